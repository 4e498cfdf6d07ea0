//! Redis, asked for a bounded time and behind a breaker. Whatever goes wrong here is a missing answer, never an error.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::breaker::{Breaker, BreakerState};
use crate::{Error, Result};

/// How long a trial may take to connect; nobody waits for it.
const CONNECT: Duration = Duration::from_secs(2);
/// Pause before each trial while the breaker is open.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a place may be kept for an answer that is being read from the database.
const LEASE_MS: u64 = 2000;
/// The longest value that is kept, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Keeps a place for an answer, unless something else stands there than what was seen.
const LEASE: &str = "local v = redis.call('GET', KEYS[1]) \
    if v == false or v == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0";
/// Puts a value in the place of another, if that still stands there.
const REPLACE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] \
    then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0";

/// The time that Redis may take of one request.
#[derive(Debug)]
pub(super) struct Budget(Duration);

/// What was found under a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This text.
    Text(String),
    /// Nothing.
    Nothing,
    /// Redis gave no answer that can be used.
    NoAnswer,
}

/// What was counted of Redis since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisFigures {
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// How often the breaker opened.
    pub openings: u64,
    /// Answers that did not come in time.
    pub timeouts: u64,
    /// Connections that could not be made or broke off.
    pub disconnections: u64,
    /// Errors that Redis answered: full, of the wrong type, loading.
    pub errors: u64,
}

/// A Redis server.
pub(super) struct Redis {
    client: Client,
    timeout: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
    breaker: Breaker,
    /// Rung when the breaker opened.
    opened: Notify,
    timeouts: AtomicU64,
    disconnections: AtomicU64,
    errors: AtomicU64,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("Redis").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects to nothing yet.
    pub(super) fn new(url: &SecretString, timeout: Duration) -> Result<Self> {
        let client = Client::open(url.expose_secret()).map_err(|e| {
            Error::Config(format!(
                "redis_url can't be used ({}); its value is not shown, as it may hold a password",
                e.category()
            ))
        })?;
        Ok(Self {
            client,
            timeout,
            connection: Mutex::default(),
            breaker: Breaker::default(),
            opened: Notify::new(),
            timeouts: AtomicU64::new(0),
            disconnections: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        })
    }

    /// The time that one request may spend here.
    pub(super) fn budget(&self) -> Budget {
        Budget(self.timeout)
    }

    pub(super) fn figures(&self) -> RedisFigures {
        RedisFigures {
            breaker: self.breaker.state(),
            openings: self.breaker.openings(),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            disconnections: self.disconnections.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }

    pub(super) async fn get(&self, budget: &mut Budget, name: &str) -> Found {
        match self.ask::<redis::Value>(budget, redis::cmd("GET").arg(name)).await {
            Asked::Answer(redis::Value::Nil) => return Found::Nothing,
            Asked::Answer(redis::Value::BulkString(bytes)) => {
                if let Ok(text) = String::from_utf8(bytes) {
                    return Found::Text(text);
                }
            }
            Asked::Error => {}
            Asked::Answer(_) | Asked::Nothing => return Found::NoAnswer,
        }
        // What can't be read as text (a list, say) is not ours: it makes room.
        self.remove(budget, &[name.to_owned()]).await;
        Found::Nothing
    }

    /// Keeps the place `name`, where `seen` stood (nothing: an empty text), for whoever holds `lease`.
    pub(super) async fn lease(&self, budget: &mut Budget, name: &str, seen: &str, lease: &str) -> bool {
        let mut eval = redis::cmd("EVAL");
        eval.arg(LEASE).arg(1).arg(name).arg(seen).arg(lease).arg(LEASE_MS);
        matches!(self.ask::<i64>(budget, &eval).await, Asked::Answer(1))
    }

    /// Puts `value` where `seen` stands, for at most `life`.
    pub(super) async fn replace(
        &self,
        budget: &mut Budget,
        name: &str,
        seen: &str,
        value: &str,
        life: Duration,
    ) -> bool {
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        if value.len() > MOST_BYTES || life_ms == 0 {
            return false;
        }
        let mut eval = redis::cmd("EVAL");
        eval.arg(REPLACE).arg(1).arg(name).arg(seen).arg(value).arg(life_ms);
        matches!(self.ask::<i64>(budget, &eval).await, Asked::Answer(1))
    }

    /// Removes names. False: Redis could not be told.
    pub(super) async fn remove(&self, budget: &mut Budget, names: &[String]) -> bool {
        if names.is_empty() {
            return true;
        }
        // DEL is taken even by a Redis that is full.
        matches!(self.ask::<i64>(budget, redis::cmd("DEL").arg(names)).await, Asked::Answer(_))
    }

    async fn ask<T: FromRedisValue>(&self, budget: &mut Budget, command: &Cmd) -> Asked<T> {
        if budget.0.is_zero() || !self.breaker.lets_pass() {
            return Asked::Nothing;
        }
        let began = Instant::now();
        let asking = async {
            let mut connection = self.connected().await?;
            command.query_async::<T>(&mut connection).await
        };
        let asked = tokio::time::timeout(budget.0, asking).await;
        budget.0 = budget.0.saturating_sub(began.elapsed());
        match asked {
            Ok(Ok(answer)) => {
                self.breaker.succeeded();
                Asked::Answer(answer)
            }
            Ok(Err(e)) if !is_lost(&e) => {
                self.breaker.succeeded();
                self.errors.fetch_add(1, Ordering::Relaxed);
                Asked::Error
            }
            Ok(Err(_)) => {
                self.disconnections.fetch_add(1, Ordering::Relaxed);
                self.failed().await;
                Asked::Nothing
            }
            Err(_) => {
                self.timeouts.fetch_add(1, Ordering::Relaxed);
                if self.breaker.failed() {
                    self.opened.notify_one();
                }
                Asked::Nothing
            }
        }
    }

    /// The connection, made when there is none.
    async fn connected(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let connection = self.connect(self.timeout).await?;
        *held = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self, connecting: Duration) -> Result<MultiplexedConnection, RedisError> {
        // How long an answer may take is said by each request's budget.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(connecting)).set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// The connection is of no use any more.
    async fn failed(&self) {
        self.connection.lock().await.take();
        if self.breaker.failed() {
            self.opened.notify_one();
        }
    }

    /// Whether Redis answers in time on a new connection, which then is used.
    async fn try_again(&self) -> bool {
        let Ok(Ok(mut connection)) = tokio::time::timeout(CONNECT, self.connect(CONNECT)).await else { return false };
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(self.timeout, ping.query_async::<String>(&mut connection)).await;
        let answered = matches!(answer, Ok(Ok(_)));
        if answered {
            *self.connection.lock().await = Some(connection);
        }
        answered
    }
}

enum Asked<T> {
    Answer(T),
    /// It answered with an error.
    Error,
    Nothing,
}

/// Whether the connection is to be given up; otherwise Redis answered, if with an error.
fn is_lost(e: &RedisError) -> bool {
    e.is_io_error() || e.is_timeout() || e.is_connection_dropped() || e.is_connection_refusal()
}

/// Tries Redis again while the breaker is open, until `end`.
pub(super) async fn mend(redis: Arc<Redis>, end: CancellationToken) {
    let work = async {
        loop {
            redis.opened.notified().await;
            tracing::warn!(
                "Redis does not answer; sessions and cached answers are read from the database until it does"
            );
            redis.connection.lock().await.take();
            let began = Instant::now();
            loop {
                tokio::time::sleep(PAUSE).await;
                redis.breaker.begin_trial();
                let answered = redis.try_again().await;
                redis.breaker.end_trial(answered);
                if answered {
                    break;
                }
            }
            tracing::info!(seconds = began.elapsed().as_secs(), "Redis answers again");
        }
    };
    end.run_until_cancelled(work).await;
}
