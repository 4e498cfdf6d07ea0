//! Fires schedules: each time once on all nodes, jobs beside each other but each once at a time, late ones once.
//!
//! Nobody leads. Every node looks every few seconds; whoever writes the fire's row first has it, renews its lease while
//! the job runs, and notes how it went. A fire whose node died is run again once, then noted as failed: jobs may run
//! twice. Times are the database's, so that nodes whose clocks differ agree.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use domain::schedules as rules;
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Store, Vault,
    schedules::{self, Fire, Held, Schedule},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Result,
    jobs::{Job, JobContext, Jobs},
};

/// Jobs beside each other on one node at most.
const AT_ONCE: usize = 4;
/// How long a node that says nothing is taken to live.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often a fire is begun at most.
const MOST_ATTEMPTS: i32 = 2;
/// How long jobs may take to stop when Steward ends.
const ENDING: Duration = Duration::from_secs(10);
/// How long a job may take to undo what it did, when a person breaks it off.
const UNDOING: Duration = Duration::from_secs(60);
/// How often it is looked whether a person broke the job off.
const LOOKING: Duration = Duration::from_secs(3);
/// How often it is noted how far a job has come, where it says so.
const TELLING: Duration = Duration::from_secs(2);
/// How long a result may be, in characters.
const RESULT_CHARS: usize = 1000;

/// One node's scheduler.
#[derive(Debug)]
pub struct Scheduler {
    store: Store,
    vault: Vault,
    jobs: Jobs,
    worker: String,
    lease: SignedDuration,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Scheduler {
    /// A scheduler that stops its jobs when `stop` is cancelled.
    pub fn new(store: Store, vault: Vault, jobs: Jobs, stop: &CancellationToken) -> Self {
        Self {
            store,
            vault,
            jobs,
            worker: Uuid::now_v7().to_string(),
            lease: LEASE,
            stop: stop.child_token(),
            running: JoinSet::new(),
        }
    }

    /// The same with another length of lease, from when on a node that says nothing is taken for dead.
    #[must_use]
    pub fn with_lease(mut self, lease: SignedDuration) -> Self {
        self.lease = lease;
        self
    }

    /// Begins what is due at `now` (the database's clock: [`schedules::clock`]) and what a dead node left. Answers what
    /// was begun. A schedule that can't be read does not hold up the others: it says so in its own row.
    pub async fn round(&mut self, now: Timestamp) -> Result<Vec<Held>> {
        while self.running.try_join_next().is_some() {}
        let service = Actor::service();
        let moved = schedules::follow_pg_cron(&service, &self.store).await?;
        if moved > 0 {
            tracing::info!(moved, "jobs of the database moved to pg_cron, or back to Steward");
        }
        let mut begun = Vec::new();
        for fire in schedules::abandoned(&service, &self.store).await? {
            begun.extend(self.take_up(&fire).await?);
        }
        for schedule in schedules::list(&service, &self.store).await? {
            match self.begin_if_due(&schedule, now).await {
                Ok(held) => begun.extend(held),
                Err(crate::Error::Domain(domain::Error::Invalid { message, .. })) => {
                    if schedules::unreadable(&service, &self.store, &schedule.name, &message).await? {
                        tracing::error!(schedule = %schedule.name, reason = %message, "a schedule can't be read and does not fire");
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(begun)
    }

    async fn begin_if_due(&mut self, schedule: &Schedule, now: Timestamp) -> Result<Option<Held>> {
        let Some(due) = rules::due(schedule, now)? else {
            if schedule.is_active && schedule.next_fire_at.is_none() {
                let next = rules::next_of(schedule, now)?;
                schedules::plan(&Actor::service(), &self.store, &schedule.name, next).await?;
            }
            return Ok(None);
        };
        if self.running.len() >= AT_ONCE || self.stop.is_cancelled() {
            return Ok(None);
        }
        let taken = rules::take(&self.store, &schedule.name, &due, &self.worker, self.lease).await?;
        if let Some(held) = &taken {
            let late = if due.was_missed { late_by(due.late) } else { String::new() };
            self.start(held, late);
        }
        Ok(taken)
    }

    /// Runs a fire again whose node died, or notes that it was begun often enough.
    async fn take_up(&mut self, fire: &Fire) -> Result<Option<Held>> {
        if self.running.len() >= AT_ONCE || self.stop.is_cancelled() {
            return Ok(None);
        }
        let Some(held) = schedules::retake(&Actor::service(), &self.store, fire, &self.worker, self.lease).await?
        else {
            return Ok(None);
        };
        if held.attempt > MOST_ATTEMPTS {
            let result =
                format!("failed: it was begun {MOST_ATTEMPTS} times, and each time the node ended before it did");
            tracing::error!(schedule = %held.name, %result, "a schedule failed");
            rules::finish(&self.store, &held, false, result, 0).await?;
            return Ok(None);
        }
        tracing::warn!(schedule = %held.name, "a job whose node ended is run again");
        self.start(&held, "; run again, for the node that ran it first ended".to_owned());
        Ok(Some(held))
    }

    fn start(&mut self, held: &Held, further: String) {
        let running = Running {
            store: self.store.clone(),
            vault: self.vault.clone(),
            job: self.jobs.get(&held.name).cloned(),
            known: self.jobs.names(),
            held: held.clone(),
            lease: self.lease,
            further,
            stop: self.stop.clone(),
        };
        self.running.spawn(running.run());
    }

    /// Waits for the jobs that this node runs.
    pub async fn settle(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    /// Tells the jobs to stop and waits for them, but not for ever. What did not end is taken up again at the next start,
    /// or by another node.
    pub async fn end(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(ENDING, self.settle()).await.is_err() {
            tracing::warn!("a job did not stop in time and was cut off; it is run again");
            self.running.shutdown().await;
        }
    }
}

/// `; 3 h 5 min late, for nothing ran at its time`.
fn late_by(late: SignedDuration) -> String {
    let minutes = late.as_mins();
    let length = match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    format!("; {length} late, for nothing ran at its time")
}

/// A fire at work.
struct Running {
    store: Store,
    vault: Vault,
    job: Option<Job>,
    known: Vec<&'static str>,
    held: Held,
    lease: SignedDuration,
    further: String,
    stop: CancellationToken,
}

/// How a job ended.
enum Ended {
    Well(String),
    Badly(String),
    /// Steward stops: the fire is given back.
    Stopped,
    /// A person broke it off, or the fire passed to another node; what the job said in the end.
    Lost(Option<String>),
}

impl Running {
    async fn run(self) {
        let began = Instant::now();
        let ended = match &self.job {
            Some(job) => self.work(job).await,
            None => {
                Ended::Badly(format!("there is no job called {}; there are: {}", self.held.name, self.known.join(", ")))
            }
        };
        let took_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (succeeded, result) = match ended {
            Ended::Well(words) => (true, words + &self.further),
            Ended::Badly(why) => (false, format!("failed: {why}{}", self.further)),
            Ended::Stopped => {
                if let Err(e) = schedules::give_back(&Actor::service(), &self.store, &self.held).await {
                    tracing::warn!(schedule = %self.held.name, error = %e, "a job that was stopped could not be given back; it is taken up when its lease is over");
                }
                return;
            }
            Ended::Lost(said) => {
                let said = said.unwrap_or_else(|| "it had ended by then".to_owned());
                let words: String = said.chars().take(RESULT_CHARS).collect();
                match schedules::conclude(&Actor::service(), &self.store, &self.held, &words).await {
                    Ok(true) => tracing::info!(schedule = %self.held.name, %words, "a job was broken off"),
                    Ok(false) => {
                        tracing::warn!(schedule = %self.held.name, "a job took too long to be heard of; another node has it now");
                    }
                    Err(e) => {
                        tracing::warn!(schedule = %self.held.name, error = %e, "the end of a job could not be noted");
                    }
                }
                return;
            }
        };
        let result: String = result.chars().take(RESULT_CHARS).collect();
        if succeeded {
            tracing::info!(schedule = %self.held.name, %result, took_ms, "a schedule fired");
        } else {
            tracing::error!(schedule = %self.held.name, %result, took_ms, "a schedule failed");
        }
        match rules::finish(&self.store, &self.held, succeeded, result, took_ms).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(schedule = %self.held.name, "the end of a job came too late: another node has it now");
            }
            Err(e) => {
                tracing::warn!(schedule = %self.held.name, error = %e, "the end of a job could not be noted; it is run again");
            }
        }
    }

    /// Runs the job within its time, and keeps the fire meanwhile.
    async fn work(&self, job: &Job) -> Ended {
        let stop = self.stop.child_token();
        let (progress, mut news) = watch::channel(String::new());
        let context = JobContext { store: self.store.clone(), vault: self.vault.clone(), progress, stop: stop.clone() };
        // Whatever ends this, what the job began beside itself sees the token.
        let _stopped = stop.clone().drop_guard();
        let mut work = AssertUnwindSafe(job.start(context)).catch_unwind();
        let mut over = std::pin::pin!(tokio::time::sleep(job.limit));
        let every = Duration::try_from(self.lease / 3).unwrap_or_default().clamp(Duration::from_millis(100), LOOKING);
        let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        let mut telling = tokio::time::interval(TELLING);
        telling.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let words = tokio::select! {
                done = &mut work => return match done {
                    // It may have stopped half-way.
                    Ok(_) if self.stop.is_cancelled() => Ended::Stopped,
                    Ok(Ok(words)) => Ended::Well(words),
                    Ok(Err(e)) => Ended::Badly(e.to_string()),
                    Err(_) => Ended::Badly("it ended in a way it never should; the log of the program says where".to_owned()),
                },
                () = &mut over => {
                    return Ended::Badly(format!("it ran longer than {} s and was cut off", job.limit.as_secs()));
                }
                _ = renewal.tick() => None,
                // A job that has dropped its end tells nothing more.
                _ = telling.tick(), if news.has_changed().unwrap_or_default() => {
                    Some(news.borrow_and_update().chars().take(RESULT_CHARS).collect::<String>())
                }
            };
            // Where the database does not answer, the lease says who has it in the end.
            let service = Actor::service();
            let renewed = schedules::renew(&service, &self.store, &self.held, self.lease, words.as_deref()).await;
            if let Ok(false) = renewed {
                stop.cancel();
                // Beside another node that has it by now nothing goes on; what a person broke off is undone first.
                if !self.is_broken_off().await {
                    return Ended::Lost(None);
                }
                let ended = tokio::time::timeout(UNDOING, &mut work).await;
                return Ended::Lost(match ended {
                    Ok(Ok(Ok(_))) => None,
                    Ok(Ok(Err(e))) => Some(e.to_string()),
                    Ok(Err(_)) => {
                        Some("it ended in a way it never should; the log of the program says where".to_owned())
                    }
                    Err(_) => Some(format!("it did not stop within {} s and was cut off", UNDOING.as_secs())),
                });
            }
        }
    }
}

impl Running {
    /// Whether the fire is nobody's any more, since a person broke it off.
    async fn is_broken_off(&self) -> bool {
        let fires = schedules::fires(&Actor::service(), &self.store, &self.held.name, 100).await.unwrap_or_default();
        fires.iter().any(|fire| fire.fire_at == self.held.fire_at && fire.state == "failed")
    }
}

/// Runs a job that a person asked for, here, or waits for the node that was faster. Answers how it went.
pub async fn run_requested(scheduler: &mut Scheduler, store: &Store, schedule: &Schedule) -> Result<Option<Fire>> {
    let Some(at) = schedule.requested_at else { return Ok(None) };
    let service = Actor::service();
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        look.tick().await;
        let fires = schedules::fires(&service, store, &schedule.name, 100).await?;
        // Somebody else may have asked after this: then the one fire is for both.
        match fires.into_iter().filter(|f| f.fire_at >= at).min_by_key(|f| f.fire_at) {
            Some(fire) if fire.state != "started" => return Ok(Some(fire)),
            Some(_) => {}
            None => {
                let now = schedules::clock(&service, store).await?;
                if scheduler.begin_if_due(&rules::named(store, &service, &schedule.name).await?, now).await?.is_some() {
                    scheduler.settle().await;
                }
            }
        }
    }
}
