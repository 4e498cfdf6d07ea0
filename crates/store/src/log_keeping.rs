//! Keeping the log: months made ahead, the DEFAULT partition drained, old months taken out. The lines are `system_logs`'.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    system_logs::LogLine,
    value::{Scalar, page, row},
};

row! {
    /// A place where lines lie.
    pub struct LogMonth {
        /// Its name: `system_logs_2026_01`, `system_logs_default`, `system_logs_2024_01_detached`.
        pub name: String,
        /// `month`, `default` (lines whose month is missing), or `detached` (out of the log, soon exported and dropped).
        pub state: String,
        /// First moment; none for the DEFAULT partition.
        pub from_at: Option<Timestamp>,
        /// First moment after it.
        pub to_at: Option<Timestamp>,
        /// Lines in it.
        pub lines: i64,
        /// Whether they were counted; else they are the planner's estimate.
        pub is_exact: bool,
        /// Bytes with indexes; none on SQLite, where one table holds all months.
        pub size_bytes: Option<i64>,
    }
}

impl LogMonth {
    /// `2026_01`; none for the DEFAULT partition.
    pub fn month(&self) -> Option<&str> {
        self.from_at?;
        self.name.get("system_logs_".len()..).and_then(|rest| rest.get(..7))
    }
}

statements! {
    PARTITIONS: LogMonth = "log_keeping/partitions" split long;
    DRAIN: Scalar<bool> = "log_keeping/drain" split long;
    DETACH: Scalar<bool> = "log_keeping/detach" split;
    READ: LogLine = "log_keeping/read" split;
    REMOVE: Scalar<i64> = "log_keeping/remove" split;
    DISCARD: Scalar<i64> = "log_keeping/discard" split long;
}

/// Where lines lie, by name.
pub async fn partitions(actor: &Actor, on: impl Run) -> Result<Vec<LogMonth>> {
    on.list(actor, &PARTITIONS, Vec::new()).await
}

/// Makes the oldest month of which lines wait in the DEFAULT partition and moves them there; false when there is none.
pub async fn drain(actor: &Actor, on: impl Run) -> Result<bool> {
    Ok(on.one::<Scalar<bool>>(actor, &DRAIN, Vec::new()).await?.0)
}

/// Takes a month (`2024_01`) that is over for a month at least out of the log, lines and all. False where there is no such
/// month, and on SQLite, where lines are removed where they are.
pub async fn detach(actor: &Actor, on: impl Run, month: &str) -> Result<bool> {
    Ok(on.one::<Scalar<bool>>(actor, &DETACH, vec![month.into()]).await?.0)
}

/// Lines between two moments in order of time and id, after the given one, at most 1000: on PostgreSQL those of the
/// detached `month`, on SQLite those of the log.
pub async fn read(
    actor: &Actor,
    on: impl Run,
    month: &str,
    between: (Timestamp, Timestamp),
    after: Option<(Timestamp, Uuid)>,
) -> Result<Vec<LogLine>> {
    let (from, id) = after.unwrap_or((between.0, Uuid::nil()));
    on.list(actor, &READ, vec![month.into(), from.into(), between.1.into(), from.into(), id.into(), page(1000)]).await
}

/// Removes these lines between two moments on SQLite, and answers how many went. (On PostgreSQL none: months are dropped
/// whole.) Lines of the last month are refused.
pub async fn remove(actor: &Actor, on: impl Run, ids: Vec<Uuid>, between: (Timestamp, Timestamp)) -> Result<u64> {
    Ok(on.rows(actor, &REMOVE, vec![ids.into(), between.0.into(), between.1.into()]).await?.len() as u64)
}

/// Drops a detached month that still holds just `lines` lines, and answers how many went; fails where it holds others.
pub async fn discard(actor: &Actor, on: impl Run, month: &str, lines: i64) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &DISCARD, vec![month.into(), lines.into()]).await?.0)
}
