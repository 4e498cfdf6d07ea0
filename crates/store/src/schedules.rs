//! `schedules`: what runs by the clock, fired once however many nodes there are.

use jiff::Timestamp;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, row},
};

row! {
    /// A job and when it runs.
    pub struct Schedule {
        /// Name of the job.
        pub name: String,
        /// When, as a cron expression of five fields.
        pub cron: String,
        /// In which zone.
        pub time_zone: String,
        /// Whether Steward runs it (else the database's own scheduler does).
        pub is_active: bool,
        /// Last time it fired.
        pub last_fire_at: Option<Timestamp>,
        /// Next time it will.
        pub next_fire_at: Option<Timestamp>,
        /// How the last one went.
        pub last_result: Option<String>,
    }
}

statements! {
    LIST: Schedule = "schedules/list";
    FIRE: Schedule = "schedules/fire";
    RECORD: Schedule = "schedules/record";
    LOG_PARTITIONS: Scalar<i64> = "schedules/log_partitions" split;
}

/// The active schedules by name.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Schedule>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// Takes a firing. False: another node took it.
pub async fn fire(actor: &Actor, on: impl Run, name: &str, fire_at: Timestamp) -> Result<bool> {
    Ok(on.execute(actor, &FIRE, vec![name.into(), fire_at.into()]).await? > 0)
}

/// Notes how a firing went and when the next is.
pub async fn record(
    actor: &Actor,
    on: impl Run,
    name: &str,
    fired_at: Option<Timestamp>,
    next: Timestamp,
    result: Option<&str>,
) -> Result<()> {
    on.execute(actor, &RECORD, vec![name.into(), fired_at.into(), next.into(), result.into()]).await.map(drop)
}

/// Makes the log's partitions three months ahead and answers how many were made (none on SQLite, which has none).
pub async fn ensure_log_partitions(actor: &Actor, on: impl Run) -> Result<i64> {
    Ok(on.list::<Scalar<i64>>(actor, &LOG_PARTITIONS, Vec::new()).await?.iter().map(|s| s.0).sum())
}
