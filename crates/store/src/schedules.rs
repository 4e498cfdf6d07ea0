//! `schedules` and `schedule_fires`: what runs by the clock, fired once however many nodes there are.
//!
//! A fire is taken by writing its row, which only one node can. Whoever holds it renews its lease; past the lease it is
//! taken for dead, and the fire is taken up again under a higher attempt, so that the dead one's late answer is refused.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, page, row},
};

row! {
    /// A job and when it runs.
    pub struct Schedule {
        /// Name of the job.
        pub name: String,
        /// By which the audit trail names it.
        pub id: Uuid,
        /// When, as a cron expression of five fields.
        pub cron: String,
        /// In which zone (IANA name).
        pub time_zone: String,
        /// Whether Steward fires it.
        pub is_active: bool,
        /// `steward`, or `pg_cron` where the database's own scheduler has it.
        pub run_by: String,
        /// The latest time it fired for.
        pub last_fire_at: Option<Timestamp>,
        /// Next time it will; none until a scheduler has worked it out.
        pub next_fire_at: Option<Timestamp>,
        /// `running`, `done` or `failed`; none before the first time.
        pub last_status: Option<String>,
        /// How the last one went, in words.
        pub last_result: Option<String>,
        /// How long the last one took, in milliseconds.
        pub last_duration_ms: Option<i64>,
        /// Whether the last one's time passed while nothing ran, so that it ran late.
        pub last_was_missed: bool,
        /// When a person last wanted it to run beside its times.
        pub requested_at: Option<Timestamp>,
    }
}

row! {
    /// A time at which a job fired.
    pub struct Fire {
        /// Name of the job.
        pub name: String,
        /// The time, as the schedule has it.
        pub fire_at: Timestamp,
        /// `started`, `done` or `failed`.
        pub state: String,
        /// Who runs or ran it.
        pub worker: String,
        /// How often it was begun: the fence.
        pub attempt: i32,
        /// When it was last begun.
        pub started_at: Timestamp,
        /// Until when whoever runs it is taken to live.
        pub lease_until: Timestamp,
        /// When it ended.
        pub finished_at: Option<Timestamp>,
        /// How it went; while it runs, how far it has come.
        pub result: Option<String>,
    }
}

/// A fire that is held: what its holder shows with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Name of the job.
    pub name: String,
    /// The time it fires for.
    pub fire_at: Timestamp,
    /// Who holds it.
    pub worker: String,
    /// The fence.
    pub attempt: i32,
}

/// What a person changes of a schedule; none leaves it.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// When, as a cron expression of five fields.
    pub cron: Option<String>,
    /// In which zone.
    pub time_zone: Option<String>,
    /// Whether it fires at all.
    pub is_active: Option<bool>,
}

statements! {
    LIST: Schedule = "schedules/list";
    CLOCK: Scalar<Timestamp> = "schedules/clock";
    FOLLOW: Scalar<i64> = "schedules/follow" split;
    SET: Schedule = "schedules/set";
    REQUEST: Schedule = "schedules/request";
    PLAN: Schedule = "schedules/plan";
    ADVANCE: Schedule = "schedules/advance";
    RECORD: Schedule = "schedules/record";
    UNREADABLE: Schedule = "schedules/unreadable";
    LOG_PARTITIONS: Scalar<i64> = "schedules/log_partitions" split;
    STATISTICS: Scalar<i64> = "schedules/refresh_statistics" split;
    CREATE: Fire = "schedule_fires/create";
    RENEW: Fire = "schedule_fires/renew";
    ABANDONED: Fire = "schedule_fires/abandoned";
    RETAKE: Fire = "schedule_fires/retake";
    GIVE_BACK: Fire = "schedule_fires/give_back";
    FINISH: Fire = "schedule_fires/finish";
    PRUNE: Fire = "schedule_fires/prune";
    CANCEL: Fire = "schedule_fires/cancel";
    CONCLUDE: Fire = "schedule_fires/conclude";
    FIRES: Fire = "schedule_fires/list";
}

/// All schedules by name, at most 100.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Schedule>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// The latest fires of a job, newest first.
pub async fn fires(actor: &Actor, on: impl Run, name: &str, limit: i64) -> Result<Vec<Fire>> {
    on.list(actor, &FIRES, vec![name.into(), page(limit)]).await
}

/// The present moment by the database's clock: nodes may disagree about the hour.
pub async fn clock(actor: &Actor, on: impl Run) -> Result<Timestamp> {
    Ok(on.one::<Scalar<Timestamp>>(actor, &CLOCK, Vec::new()).await?.0)
}

/// Moves the database's own jobs to `pg_cron` where that can run them, and back where it no longer can; also notes how
/// they went there. Answers how many were moved (none on SQLite, which has no such thing).
pub async fn follow_pg_cron(actor: &Actor, on: impl Run) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &FOLLOW, Vec::new()).await?.0)
}

/// Changes a schedule and when it fires next; the caller has checked both. False: there is none, or not the actor's.
pub async fn set(
    actor: &Actor,
    on: impl Run,
    name: &str,
    change: &Change,
    next_fire_at: Option<Timestamp>,
) -> Result<bool> {
    let params = vec![
        name.into(),
        change.cron.as_deref().into(),
        change.time_zone.as_deref().into(),
        change.is_active.into(),
        next_fire_at.into(),
    ];
    Ok(on.execute(actor, &SET, params).await? > 0)
}

/// Wants a job to run once now, whatever its times, and whether it is active or not. False: there is none, or the actor
/// may not.
pub async fn request(actor: &Actor, on: impl Run, name: &str) -> Result<bool> {
    Ok(on.execute(actor, &REQUEST, vec![name.into()]).await? > 0)
}

/// Notes when a schedule fires next, where nobody has yet.
pub async fn plan(actor: &Actor, on: impl Run, name: &str, next_fire_at: Timestamp) -> Result<()> {
    on.execute(actor, &PLAN, vec![name.into(), next_fire_at.into()]).await.map(drop)
}

/// Takes a firing for `lease` by the database's clock. None: another node took it, the schedule has another time by now,
/// or another run of the job goes on.
pub async fn fire(
    actor: &Actor,
    on: impl Run,
    name: &str,
    fire_at: Timestamp,
    worker: &str,
    lease: SignedDuration,
) -> Result<Option<Held>> {
    let params = vec![name.into(), fire_at.into(), worker.into(), millis(lease)];
    let taken = on.execute(actor, &CREATE, params).await? > 0;
    Ok(taken.then(|| Held { name: name.to_owned(), fire_at, worker: worker.to_owned(), attempt: 1 }))
}

/// Notes, with a firing that was just taken, that the job runs and when it fires next (none: as it stands).
pub async fn advance(
    actor: &Actor,
    on: impl Run,
    held: &Held,
    next_fire_at: Option<Timestamp>,
    was_missed: bool,
) -> Result<()> {
    let params = vec![(&held.name).into(), held.fire_at.into(), next_fire_at.into(), was_missed.into()];
    on.execute(actor, &ADVANCE, params).await.map(drop)
}

/// Renews the lease of a firing, and notes how far it has come where that is news. False: it is no longer the holder's.
pub async fn renew(
    actor: &Actor,
    on: impl Run,
    held: &Held,
    lease: SignedDuration,
    progress: Option<&str>,
) -> Result<bool> {
    Ok(on.execute(actor, &RENEW, fenced(held, [millis(lease), progress.into()])).await? > 0)
}

/// Firings whose holder is taken for dead, at most 100.
pub async fn abandoned(actor: &Actor, on: impl Run) -> Result<Vec<Fire>> {
    on.list(actor, &ABANDONED, Vec::new()).await
}

/// Takes up a firing whose holder is taken for dead. None: another node was first.
pub async fn retake(
    actor: &Actor,
    on: impl Run,
    fire: &Fire,
    worker: &str,
    lease: SignedDuration,
) -> Result<Option<Held>> {
    let params = vec![(&fire.name).into(), fire.fire_at.into(), fire.attempt.into(), worker.into(), millis(lease)];
    let taken = on.execute(actor, &RETAKE, params).await? > 0;
    Ok(taken.then(|| Held {
        name: fire.name.clone(),
        fire_at: fire.fire_at,
        worker: worker.to_owned(),
        attempt: fire.attempt + 1,
    }))
}

/// Gives a firing back unfinished, so that it is taken up again at once; the attempt does not count.
pub async fn give_back(actor: &Actor, on: impl Run, held: &Held) -> Result<bool> {
    Ok(on.execute(actor, &GIVE_BACK, fenced(held, [])).await? > 0)
}

/// Ends a firing, and removes the job's old ones past the latest hundred. False: it was no longer the holder's, and
/// nothing was written.
pub async fn finish(
    actor: &Actor,
    on: impl Run,
    held: &Held,
    succeeded: bool,
    result: &str,
    duration_ms: i64,
) -> Result<bool> {
    let state = if succeeded { "done" } else { "failed" };
    if on.execute(actor, &FINISH, fenced(held, [state.into(), result.into()])).await? == 0 {
        return Ok(false);
    }
    let params = vec![(&held.name).into(), held.fire_at.into(), state.into(), result.into(), duration_ms.into()];
    on.execute(actor, &RECORD, params).await?;
    on.execute(actor, &PRUNE, vec![(&held.name).into()]).await?;
    Ok(true)
}

/// Ends a firing that somebody else holds, who sees that when the lease is renewed next. False: it had ended.
pub async fn cancel(actor: &Actor, on: impl Run, fire: &Fire, result: &str) -> Result<bool> {
    let params = vec![(&fire.name).into(), fire.fire_at.into(), result.into()];
    if on.execute(actor, &CANCEL, params).await? == 0 {
        return Ok(false);
    }
    let took = crate::now().duration_since(fire.started_at).max(SignedDuration::ZERO);
    let params = vec![(&fire.name).into(), fire.fire_at.into(), "failed".into(), result.into(), millis(took)];
    on.execute(actor, &RECORD, params).await?;
    Ok(true)
}

/// Adds to the result of a firing that was cancelled what came of it. False: it was no longer the holder's.
pub async fn conclude(actor: &Actor, on: impl Run, held: &Held, words: &str) -> Result<bool> {
    Ok(on.execute(actor, &CONCLUDE, fenced(held, [words.into()])).await? > 0)
}

/// Notes that a schedule's time can't be read. True where that is news.
pub async fn unreadable(actor: &Actor, on: impl Run, name: &str, why: &str) -> Result<bool> {
    Ok(on.execute(actor, &UNREADABLE, vec![name.into(), why.into()]).await? > 0)
}

/// Makes the log's partitions three months ahead and answers how many were made (none on SQLite, which has none).
pub async fn ensure_log_partitions(actor: &Actor, on: impl Run) -> Result<i64> {
    Ok(on.list::<Scalar<i64>>(actor, &LOG_PARTITIONS, Vec::new()).await?.iter().map(|s| s.0).sum())
}

/// Fresh figures for the planner of queries where much has changed, one table a call. Answers 1 where there was one, 0
/// where none is left; none on SQLite, which does all at once and does not say.
pub async fn refresh_statistics(actor: &Actor, on: &crate::Transaction) -> Result<Option<i64>> {
    Ok(on.optional::<Scalar<i64>>(actor, &STATISTICS, Vec::new()).await?.map(|n| n.0))
}

fn millis(length: SignedDuration) -> crate::value::Value {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX).into()
}

fn fenced<const N: usize>(held: &Held, further: [crate::value::Value; N]) -> Vec<crate::value::Value> {
    let mut params: Vec<crate::value::Value> =
        vec![(&held.name).into(), held.fire_at.into(), (&held.worker).into(), held.attempt.into()];
    params.extend(further);
    params
}
