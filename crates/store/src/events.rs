//! What happened, in the order of its commits: the audit chain, read as a stream of changes. Nothing besides it is
//! written, so no path can change something and forget to say so, and a reader goes on where it stopped, on any node.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, Value, row},
};

/// Changes that [`after`] answers at most.
pub const BATCH: usize = 500;

row! {
    /// A change, with whom it may concern. It is for Steward itself: who may hear of it, [`visible`] says.
    pub struct Happened {
        /// Its position, from 1; later commits have higher ones.
        pub seq: i64,
        /// The audit row.
        pub audit_id: Uuid,
        /// `task_updated`, `approval_created` …
        pub action: String,
        /// What kind of row the audit names: `task`, `approval_call` …
        pub kind: Option<String>,
        /// The row's id.
        pub entity_id: Option<Uuid>,
        /// When.
        pub created_at: Timestamp,
        /// The task it belongs to.
        pub task_id: Option<Uuid>,
        /// Who made the task.
        pub creator: Option<Uuid>,
        /// To whom the task is assigned.
        pub assignee: Option<Uuid>,
        /// Whose the row is, or else who did it.
        pub person: Option<Uuid>,
    }
}

row! {
    /// A row that the actor may see.
    pub struct Seen {
        /// A word of [`KINDS`].
        pub kind: String,
        /// The row's id.
        pub id: Uuid,
    }
}

/// What [`visible`] can be asked of, in the order of its parameters; `audit` is a row of the audit trail itself.
pub const KINDS: [&str; 12] = [
    "task",
    "approval",
    "run",
    "step",
    "file_attachment",
    "notification",
    "watcher",
    "mcp_server",
    "policy",
    "schedule",
    "user",
    "audit",
];

statements! {
    LATEST: Scalar<i64> = "events/latest";
    AFTER: Happened = "events/after";
    VISIBLE: Seen = "events/visible";
}

/// The position of the last change; 0 where nothing happened yet.
pub async fn latest(actor: &Actor, on: impl Run) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &LATEST, Vec::new()).await?.0)
}

/// Changes behind a position, in order, at most [`BATCH`]. For Steward itself: others see of it what they see of the
/// audit chain.
pub async fn after(actor: &Actor, on: impl Run, seq: i64) -> Result<Vec<Happened>> {
    on.list(actor, &AFTER, vec![seq.into()]).await
}

/// Which of these rows the actor may see; each is a word of [`KINDS`] and an id. Other words are passed over.
pub async fn visible(actor: &Actor, on: impl Run, rows: &[(&str, Uuid)]) -> Result<Vec<Seen>> {
    let ids_of = |kind: &str| rows.iter().filter(|(k, _)| *k == kind).map(|(_, id)| *id).collect::<Vec<Uuid>>();
    on.list(actor, &VISIBLE, KINDS.iter().map(|kind| Value::Uuids(ids_of(kind))).collect()).await
}
