//! `task_queue`: what waits to be claimed, and the fenced lease of whoever works on it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, row},
};

row! {
    /// A place in the queue. Triggers make and remove it with the task's status, assignee and dependencies.
    pub struct Queued {
        /// The task.
        pub task_id: Uuid,
        /// The agent that may claim it.
        pub assignee: Uuid,
        /// `blocked` (by dependencies), `ready`, `waiting` (for a decision) or `leased`.
        pub state: String,
        /// 0 (low) to 3 (critical).
        pub priority_rank: i32,
        /// Not before.
        pub ready_at: Timestamp,
        /// Who holds the lease.
        pub worker: Option<String>,
        /// The fence: grows with each claim; an older one may write nothing.
        pub attempt: i32,
        /// Until when the lease holds.
        pub lease_until: Option<Timestamp>,
    }
}

/// A held lease: what a worker shows with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task_id: Uuid,
    /// The worker's name.
    pub worker: String,
    /// The fence.
    pub attempt: i32,
}

statements! {
    CLAIM: Queued = "task_queue/claim";
    HOLD: Queued = "task_queue/hold";
    WAIT: Queued = "task_queue/wait";
    RELEASE: Queued = "task_queue/release" wakes;
    RECLAIM: Scalar<Uuid> = "task_queue/reclaim" wakes;
    GET: Queued = "task_queue/get";
}

/// Claims the actor's most urgent ready task for `lease`, by the database's clock: nodes may disagree about the hour.
pub async fn claim(actor: &Actor, on: impl Run, worker: &str, lease: SignedDuration) -> Result<Option<Lease>> {
    let queued: Option<Queued> = on.optional(actor, &CLAIM, vec![worker.into(), millis(lease)]).await?;
    Ok(queued.map(|q| Lease { task_id: q.task_id, worker: worker.to_owned(), attempt: q.attempt }))
}

/// Renews a lease for `length` from now on and holds its row until the transaction ends. False: it is no longer the worker's.
pub async fn hold(actor: &Actor, on: impl Run, lease: &Lease, length: SignedDuration) -> Result<bool> {
    let mut params = fence(lease);
    params.push(millis(length));
    Ok(on.optional::<Queued>(actor, &HOLD, params).await?.is_some())
}

/// Puts a task to wait for a decision. False: the lease is no longer the worker's.
pub async fn wait(actor: &Actor, on: impl Run, lease: &Lease) -> Result<bool> {
    Ok(on.execute(actor, &WAIT, fence(lease)).await? > 0)
}

/// Gives a task back, to be claimed after `delay` at the earliest. False: the lease is no longer the worker's.
pub async fn release(actor: &Actor, on: impl Run, lease: &Lease, delay: SignedDuration) -> Result<bool> {
    let mut params = fence(lease);
    params.push(millis(delay));
    Ok(on.execute(actor, &RELEASE, params).await? > 0)
}

/// Frees every lease that ran out, and those of workers whose name begins with `worker_prefix` (a node that starts
/// again knows that its former workers are gone). For Steward itself only.
pub async fn reclaim(actor: &Actor, on: impl Run, worker_prefix: Option<&str>) -> Result<Vec<Uuid>> {
    Ok(on.list::<Scalar<Uuid>>(actor, &RECLAIM, vec![worker_prefix.into()]).await?.into_iter().map(|s| s.0).collect())
}

/// A task's place in the queue, if it has one.
pub async fn get(actor: &Actor, on: impl Run, task_id: Uuid) -> Result<Option<Queued>> {
    on.optional(actor, &GET, vec![task_id.into()]).await
}

/// What `from_now()` of the database takes.
fn millis(length: SignedDuration) -> crate::value::Value {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX).into()
}

fn fence(lease: &Lease) -> Vec<crate::value::Value> {
    vec![lease.task_id.into(), (&lease.worker).into(), lease.attempt.into()]
}
