//! The jobs that schedules name, each a function that may run twice: a node can die between its end and its note.

mod attachments;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use store::{Actor, Store, Vault, idempotency_keys as keys, schedules, sessions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Result;

/// Tables that one run of `statistics` looks at.
const MOST_TABLES: usize = 1000;

/// What a job works with.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The database.
    pub store: Store,
    /// Where attachments are kept.
    pub vault: Vault,
    /// How far it has come, in words; they stand in the fire while it runs.
    pub progress: watch::Sender<String>,
    /// Cancelled when the job is to stop: Steward ends, the job's time is over, or its fire passed to another node.
    pub stop: CancellationToken,
}

/// A job at work; it answers what it did, in words.
pub type JobRun = BoxFuture<'static, Result<String>>;

/// A job.
#[derive(Clone)]
pub struct Job {
    /// The schedule's name.
    pub name: &'static str,
    /// After how long it is cut off.
    pub limit: Duration,
    run: Arc<dyn Fn(JobContext) -> JobRun + Send + Sync>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("name", &self.name).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Job {
    /// A job that is cut off after `limit`.
    pub fn new(
        name: &'static str,
        limit: Duration,
        run: impl Fn(JobContext) -> JobRun + Send + Sync + 'static,
    ) -> Self {
        Self { name, limit, run: Arc::new(run) }
    }

    pub(crate) fn start(&self, context: JobContext) -> JobRun {
        (self.run)(context)
    }
}

/// The jobs there are.
#[derive(Debug, Clone, Default)]
pub struct Jobs(Vec<Job>);

impl Jobs {
    /// Steward's own.
    pub fn standard() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self::default()
            .with(Job::new("cleanup-sessions", 10 * MINUTE, |c| Box::pin(cleanup_sessions(c))))
            .with(Job::new("log-partitions", 10 * MINUTE, |c| Box::pin(log_partitions(c))))
            .with(Job::new("attachments", 30 * MINUTE, |c| Box::pin(attachments::run(c))))
            .with(Job::new("attachments-check", 30 * MINUTE, |c| Box::pin(attachments::check(c))))
            .with(Job::new("idempotency-keys", 10 * MINUTE, |c| Box::pin(idempotency_keys(c))))
            .with(Job::new("statistics", 30 * MINUTE, |c| Box::pin(statistics(c))))
    }

    /// With another one; it takes the place of one of the same name.
    #[must_use]
    pub fn with(mut self, job: Job) -> Self {
        self.0.retain(|known| known.name != job.name);
        self.0.push(job);
        self
    }

    /// One by its schedule's name.
    pub fn get(&self, name: &str) -> Option<&Job> {
        self.0.iter().find(|job| job.name == name)
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|job| job.name).collect()
    }
}

async fn cleanup_sessions(context: JobContext) -> Result<String> {
    let removed = sessions::cleanup(&Actor::service(), &context.store).await?;
    Ok(format!("{removed} sessions removed"))
}

/// Keys removed in one transaction, short for those who wait to write.
const KEYS: i64 = 500;

async fn idempotency_keys(context: JobContext) -> Result<String> {
    let (mut removed, before) = (0, store::now() - keys::KEPT);
    while !context.stop.is_cancelled() {
        match keys::clean(&Actor::service(), &context.store, before, KEYS).await? {
            0 => break,
            some => removed += some,
        }
    }
    Ok(format!("{removed} answers whose day is over removed"))
}

async fn log_partitions(context: JobContext) -> Result<String> {
    let made = schedules::ensure_log_partitions(&Actor::service(), &context.store).await?;
    Ok(format!("{made} partitions made"))
}

async fn statistics(context: JobContext) -> Result<String> {
    let mut tables = 0;
    while tables < MOST_TABLES && !context.stop.is_cancelled() {
        let looked: Option<i64> = context
            .store
            .transaction(|tx| Box::pin(async move { schedules::refresh_statistics(&Actor::service(), tx).await }))
            .await?;
        match looked {
            None => return Ok("the figures are fresh".to_owned()),
            Some(0) => break,
            Some(_) => tables += 1,
        }
    }
    Ok(format!("{tables} tables looked at"))
}
