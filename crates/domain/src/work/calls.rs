//! The call itself in the journal: marked as started, taken back where it never left, and ended. Each transaction first renews
//! the lease.

use store::{Store, runs, task_queue::Lease};
use uuid::Uuid;

use super::{Counted, Worker};
use crate::{
    Error, Result, judging,
    policy::{Effect, Verdict},
};

impl Worker {
    /// Marks a step as started with exactly these arguments. After this commit the call may be sent, once. Where rules count
    /// calls it is judged once more here, with everybody else's calls that were started: the verdict is answered if the call
    /// may not start any more, and nothing was written.
    pub async fn start(
        &self,
        store: &Store,
        lease: &Lease,
        step_id: Uuid,
        arguments: String,
        sha256: String,
        counted: Option<Counted>,
    ) -> Result<Option<Verdict>> {
        let attempt = lease.attempt;
        self.under_lease(store, lease, move |tx, actor| {
            Box::pin(async move {
                if let Some(Counted { case, is_decided }) = counted {
                    let verdict = judging::judge(&actor, tx, &case).await?;
                    if verdict.effect == Effect::Deny || (verdict.effect == Effect::Ask && !is_decided) {
                        return Ok(Some(verdict));
                    }
                }
                if runs::start_step(&actor, tx, step_id, attempt, &arguments, &sha256).await? {
                    Ok(None)
                } else {
                    Err(Error::Conflict("the step was started before; it is not started twice".to_owned()))
                }
            })
        })
        .await
    }

    /// Takes back the start of a call that certainly never left.
    /// `attempt` is the claim that started it.
    pub async fn unsend(&self, store: &Store, lease: &Lease, step_id: Uuid, attempt: i32) -> Result<()> {
        self.under_lease(store, lease, move |tx, actor| {
            Box::pin(async move { runs::unsend_step(&actor, tx, step_id, attempt).await.map(drop).map_err(Into::into) })
        })
        .await
    }

    /// Ends a step with what came of it.
    pub async fn end(
        &self,
        store: &Store,
        lease: &Lease,
        step_id: Uuid,
        state: &'static str,
        result: Option<String>,
        error: Option<String>,
    ) -> Result<()> {
        self.under_lease(store, lease, move |tx, actor| {
            Box::pin(async move {
                runs::end_step(&actor, tx, step_id, state, result.as_deref(), error.as_deref())
                    .await
                    .map(drop)
                    .map_err(Into::into)
            })
        })
        .await
    }
}
