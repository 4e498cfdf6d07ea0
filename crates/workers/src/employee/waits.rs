//! Steps of a playbook that call nothing outside: waits, tasks to be made, and further tries of a call.

use domain::{
    playbook::{OutcomeState, SUBTASK, WAIT, canonical_json, sha256_hex},
    rules,
    work::{PlannedCall, Work, Worker, waits::Waited},
};
use jiff::SignedDuration;
use serde_json::Value as Json;
use store::runs::Step;

use super::{Employee, Turn};
use crate::{Error, Result, checkpoint};

/// How long a task is left alone at a time while it waits; it may be changed or cancelled meanwhile.
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(1);

/// A step that calls nothing outside, as the journal keeps it.
fn own(step: String, tool: &str, arguments: &Json) -> PlannedCall {
    let text = canonical_json(arguments);
    PlannedCall {
        step,
        server: String::new(),
        tool: tool.to_owned(),
        arguments_sha256: sha256_hex(&text),
        arguments: text,
    }
}

impl Employee {
    /// Journals a wait with the moment at which it ends, so that a restart does not begin it anew.
    pub(super) async fn begin_wait(
        &self,
        worker: &Worker,
        work: &Work,
        step: String,
        arguments: &Json,
    ) -> Result<Turn> {
        match domain::work::waits::planned(arguments, store::now()) {
            Ok(planned) => worker.journal_planned(&self.store, work, own(step, WAIT, &planned)).await?,
            Err(reason) => {
                worker
                    .journal_ended(
                        &self.store,
                        work,
                        own(step, WAIT, arguments),
                        OutcomeState::Failed { error: reason },
                    )
                    .await?;
            }
        }
        checkpoint::reached("wait journalled");
        Ok(Turn::Again)
    }

    /// Goes on with a wait: it is over, or the task rests a little longer.
    pub(super) async fn resume_wait(&self, worker: &Worker, work: &Work, step: &Step) -> Result<Turn> {
        match worker.look(&self.store, work, step, store::now()).await? {
            Waited::Over { result, error } => {
                let state = if error.is_some() { "failed" } else { "succeeded" };
                worker.end(&self.store, &work.lease, step.id, state, result.map(|r| r.to_string()), error).await?;
                checkpoint::reached("wait ended");
                Ok(Turn::Again)
            }
            Waited::Rest { at_most } => {
                let rest = at_most.clamp(SignedDuration::from_millis(200), LONGEST_REST);
                worker.give_back(&self.store, &work.lease, rest).await?;
                Ok(Turn::Later(rest))
            }
        }
    }

    /// Makes the task that a step asks for, once, together with the record of it.
    pub(super) async fn make_subtask(
        &self,
        worker: &Worker,
        work: &Work,
        step: String,
        arguments: &Json,
    ) -> Result<Turn> {
        let made = worker.add_subtask(&self.store, work, own(step.clone(), SUBTASK, arguments), arguments).await;
        if let Err(e) = made.map_err(Error::from) {
            if e.is_transient() || matches!(e, Error::Domain(domain::Error::LeaseLost)) {
                return Err(e);
            }
            // A task that can't be made is a step that failed, and the playbook says what follows.
            let failed = OutcomeState::Failed { error: e.to_string() };
            worker.journal_ended(&self.store, work, own(step, SUBTASK, arguments), failed).await?;
        }
        checkpoint::reached("sub-task made");
        Ok(Turn::Again)
    }

    /// Makes a failed call again, when its pause is over, if its tool may be repeated: the owner says so, and no rule that it
    /// never is.
    pub(super) async fn again(
        &self,
        worker: &Worker,
        work: &Work,
        call: PlannedCall,
        arguments: &Json,
        after_s: u64,
    ) -> Result<Turn> {
        let never = rules::never_repeated(&worker.actor, &self.store, &call.server, &call.tool).await?;
        let tool = store::mcp_servers::tool(&worker.actor, &self.store, &call.server, &call.tool).await?;
        if never.is_some() || !tool.is_some_and(|tool| tool.repeatable) {
            let reason = match never {
                Some(rule) => format!("the rule {rule:?} says that it is never made again by itself"),
                None => format!(
                    "nobody said that {} may be repeated (steward server approve-tools {} {} --repeatable)",
                    call.tool, call.server, call.tool
                ),
            };
            worker.journal_undone(&self.store, work, call, "skipped", None, reason).await?;
            checkpoint::reached("further try skipped");
            return Ok(Turn::Again);
        }
        let failed_at = work.steps.last().and_then(|s| s.finished_at).unwrap_or_else(store::now);
        let due = failed_at + SignedDuration::from_secs(i64::try_from(after_s).unwrap_or(i64::MAX).min(86_400));
        let left = due.duration_since(store::now());
        if left.is_positive() {
            let rest = left.clamp(SignedDuration::from_millis(200), LONGEST_REST);
            worker.give_back(&self.store, &work.lease, rest).await?;
            return Ok(Turn::Later(rest));
        }
        self.plan(worker, work, call, arguments).await
    }
}
