//! A pool of connections to one PostgreSQL: bounded waiting, and nothing broken is kept.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Hook, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

use super::{error::chain, settings::tls};
use crate::{
    Error, Result,
    metrics::{Buckets, PoolMetrics, micros},
};

/// How soon a server that had no connection left is asked again.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How long a statement may run that moves or counts whole months of the log.
const LONG: Duration = Duration::from_secs(15 * 60);

/// Connections to one server (or to the one that takes writes among several).
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: Pool,
    name: &'static str,
    described: Arc<str>,
    /// How long a connection may be waited for.
    wait: Duration,
    /// How long an answer may be waited for.
    pub(super) answer_timeout: Duration,
    counts: Arc<Counts>,
    /// How long a statement may run.
    statement: Duration,
    /// Whether a pooler stands between, with which nothing of a session lasts.
    pooled: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Counts {
    created: AtomicU64,
    waits: Buckets,
}

/// How a pool is made.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) size: usize,
    pub(super) idle: Duration,
    pub(super) wait: Duration,
    pub(super) answer: Duration,
    pub(super) statement: Duration,
    pub(super) pooled: bool,
}

impl Connections {
    /// A pool of which nothing is connected yet.
    pub(super) fn new(
        name: &'static str,
        target: tokio_postgres::Config,
        limits: &Limits,
        end: &CancellationToken,
    ) -> Result<Self> {
        let described = crate::config::describe_server(&target).into();
        let manager = Manager::from_config(target, tls(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let counts = Arc::new(Counts { created: AtomicU64::new(0), waits: Buckets::of_times() });
        let made = Arc::clone(&counts);
        let pool = Pool::builder(manager)
            .max_size(limits.size.clamp(1, 500))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(limits.wait), create: Some(limits.wait), recycle: Some(limits.wait) })
            .post_create(Hook::sync_fn(move |_, _| {
                made.created.fetch_add(1, Relaxed);
                Ok(())
            }))
            .build()
            .map_err(|e| Error::Config(format!("the pool can't be built: {e}")))?;
        tokio::spawn(close_idle(pool.clone(), limits.idle, end.clone()));
        let pooled = Arc::new(AtomicBool::new(limits.pooled));
        let (wait, answer_timeout, statement) = (limits.wait, limits.answer, limits.statement);
        Ok(Self { pool, name, described, wait, answer_timeout, counts, statement, pooled })
    }

    /// Whether each transaction may meet another session of the server.
    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Relaxed)
    }

    pub(super) fn is_from_now_on_pooled(&self) {
        if !self.pooled.swap(true, Relaxed) {
            tracing::warn!(
                "{}: a pooler gives each transaction another session; statements go unprepared",
                self.described
            );
        }
    }

    /// How long a statement may run, and how long it may wait for a lock.
    pub(super) fn timeouts_ms(&self, is_long: bool) -> [u128; 2] {
        let limit = self.statement.as_millis().max(1);
        [if is_long { limit.max(LONG.as_millis()) } else { limit }, (limit / 3).max(1)]
    }

    /// A free connection, made where there is none. A server that has no room for another one is asked again until the
    /// waiting is over: another caller may give one back.
    pub(super) async fn client(&self) -> Result<Object> {
        let began = Instant::now();
        let found = loop {
            match self.pool.get().await {
                Ok(client) => break Ok(client),
                Err(PoolError::Backend(e)) if has_no_room(&e) => {
                    if began.elapsed() + NO_ROOM_PAUSE >= self.wait {
                        break Err(Error::Busy(format!(
                            "{} has no connection left ({}); raise its max_connections, or lower pool_size here",
                            self.described,
                            chain(&e)
                        )));
                    }
                    tokio::time::sleep(NO_ROOM_PAUSE).await;
                }
                Err(e) => break Err(self.explain(e)),
            }
        };
        self.counts.waits.observe(micros(began.elapsed()));
        found
    }

    fn explain(&self, error: PoolError) -> Error {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Error::Busy("all connections of the pool are in use".to_owned()),
            PoolError::Timeout(_) => Error::Unavailable(format!("{} gave no answer in time", self.described)),
            PoolError::Backend(e) => Error::Unavailable(format!("{}: {}", self.described, chain(&e))),
            other => Error::Unavailable(format!("{}: {other}", self.described)),
        }
    }

    /// Waits for an answer, not for ever. None: it did not come, and the connection is of no more use.
    pub(super) async fn answer<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.answer_timeout, asked).await.ok()
    }

    /// The same, for a statement that may be one of those that are given more time.
    pub(super) async fn answer_to<T>(&self, is_long: bool, asked: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.patience(is_long), asked).await.ok()
    }

    fn patience(&self, is_long: bool) -> Duration {
        if is_long { self.answer_timeout.max(LONG + Duration::from_secs(5)) } else { self.answer_timeout }
    }

    /// What is said where no answer came.
    pub(super) fn silence(&self, is_long: bool) -> String {
        format!("{} gave no answer within {} s", self.described, self.patience(is_long).as_secs_f32())
    }

    /// Closes what is free: it leads to a server that was the primary and is none any more.
    pub(super) fn forget_free(&self) {
        self.pool.retain(|_, _| false);
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    pub(super) fn metrics(&self) -> PoolMetrics {
        let status = self.pool.status();
        let (created, size) = (self.counts.created.load(Relaxed), status.size as u64);
        PoolMetrics {
            name: self.name,
            max_size: status.max_size as u64,
            size,
            available: status.available as u64,
            waiting: status.waiting as u64,
            created,
            closed: created.saturating_sub(size),
            wait_us: self.counts.waits.snapshot(),
        }
    }
}

/// Whether the server refuses a further connection for now.
fn has_no_room(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

async fn close_idle(pool: Pool, idle: Duration, end: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(15).min(idle).max(Duration::from_secs(1)));
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => drop(pool.retain(|_, metrics| metrics.last_used() < idle)),
        }
    }
}
