//! What is remembered of the database, in this process and in Redis, so that a request need not ask each time.
//!
//! The database is the truth. A cached answer must never outlive a change that was committed, whatever happens to
//! Redis, to a node or to the network. Why it does not:
//!
//! 1. **A node believes nothing unless it is told of changes.** The database's own triggers tell every node of each
//!    change that matters here, within the commit (`signals`). While a node does not hear them, or may have missed some,
//!    it reads the database. What it hears takes effect before anybody is told of the signal.
//! 2. **A shared answer carries a stamp**: the database's snapshot (`pg_current_snapshot`) from before the answer was
//!    read, so the answer includes whatever the stamp includes. When a node hears of a change it finds its **floor**, a
//!    snapshot taken after it heard, which includes the change. An answer whose stamp includes the floor therefore includes
//!    the change. No other is believed, and until the floor is known nothing that depends on the change is. A node that
//!    begins to listen (again) finds a floor for everything.
//! 3. So it does not matter what Redis holds: an entry it could not be told to remove, one that comes back with an
//!    old dump or an old replica, one that a slow reader put there after the change. None of their stamps includes the
//!    floor. There is no clock in this. A restart lifts the floor: slower, not wrong.
//! 4. The names in Redis bear the database's identity and **timeline**, so that what a lost primary or a restored copy
//!    knew is not believed of another.
//! 5. For the few milliseconds until a signal arrives elsewhere, the node that made the change also removes the entry
//!    from Redis before it answers. A reader puts an answer there only in the place it took (a **lease**) before it read;
//!    the removal takes the lease away too. So while Redis answers, a session that was revoked is refused everywhere when
//!    the revocation returns; while it does not, when the signal arrives.
//! 6. What a node itself read (`local`) is kept with the count of changes heard before it was read; a later change,
//!    and a later loss, make it unbelieved. Whoever asks after a change never joins a reading that began before it.
//!
//! A network that swallows everything is noticed by the listening connection's heartbeat; until then (`signals` says how
//! long) a node that reaches Redis, but not the database, may believe a session that was revoked meanwhile on a node that
//! could not reach Redis.
//!
//! On SQLite sessions are read from the file, which costs less than asking Redis; other programs' writes are noticed there
//! a moment later, so only what is shown is kept. Redis is not used.
//!
//! Redis holds sessions (never a token, only its SHA-256) and whether a user has a permission, nothing else. All that
//! decides whether a call may run reads the database in its own transaction.

mod beliefs;
mod breaker;
mod keeper;
mod local;
mod redis;
mod snapshot;
mod uses;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(crate) use self::uses::EVERY;
use self::{
    beliefs::Beliefs,
    local::Local,
    redis::{Found, Redis},
    snapshot::Snapshot,
    uses::Uses,
};
pub use self::{breaker::BreakerState, redis::RedisFigures, uses::Use};
use crate::{
    Actor, Config, Error, Result, Run, Store, Target,
    run::{BoxFuture, Engine},
    signals::{Signal, Topic},
    statement::{Statement, statements},
    value::Scalar,
};

/// How long Redis keeps an answer that has no end of its own.
const SHARED_LIFE: Duration = Duration::from_secs(600);
/// What a lease begins with; an answer begins with its stamp.
const LEASE: &str = "lease:";

statements! {
    STAMP: Scalar<String> = "store/stamp" split;
    FLOOR: keeper::Floor = "store/floor" split;
}

/// A committed change on which cached answers may depend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// A session ended; the SHA-256 of its token in hex.
    Session(String),
    /// A user's name, role, status or kind.
    User(Uuid),
    /// What roles may do.
    Permissions,
    /// A server or its tools.
    Servers,
    /// A rule of the policy.
    Policies,
}

/// What is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sessions,
    Permissions,
    Servers,
    Policies,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Sessions, Self::Permissions, Self::Servers, Self::Policies];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Permissions => "permissions",
            Self::Servers => "servers",
            Self::Policies => "policies",
        }
    }

    /// Whether Redis may hold it: nothing in which somebody may have written a secret.
    fn is_shared(self) -> bool {
        matches!(self, Self::Sessions | Self::Permissions)
    }
}

/// How often what is cached was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindFigures {
    /// `sessions`, `permissions`, `servers` or `policies`.
    pub name: &'static str,
    /// Answers that were remembered and believed.
    pub hits: u64,
    /// Answers that were read from the database.
    pub misses: u64,
}

/// What the caches counted since the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFigures {
    /// By what is cached.
    pub kinds: Vec<KindFigures>,
    /// Redis, where it is used.
    pub redis: Option<RedisFigures>,
    /// Whether cached answers are believed now.
    pub is_trusting: bool,
    /// Uses of sessions that wait to be written.
    pub uses_waiting: usize,
}

/// Reads an answer from the database; boxed, for what waits for it is large enough.
type Loading<'l, T> = BoxFuture<'l, Result<T>>;

/// The caches of a store.
#[derive(Debug)]
pub(crate) struct Cache {
    inner: Arc<Inner>,
    started: AtomicBool,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Ends the tasks with the last clone of the store.
    _end: DropGuard,
}

/// What the tasks share with the cache.
#[derive(Debug)]
pub(crate) struct Inner {
    beliefs: Beliefs,
    local: Local,
    redis: Option<Arc<Redis>>,
    uses: Uses,
    /// Hits and misses by kind.
    counts: [[AtomicU64; 2]; Kind::ALL.len()],
    /// Rung when a floor is to be found.
    work: Notify,
    end: CancellationToken,
}

impl Inner {
    /// A signal of the database. It takes effect before this returns.
    pub(crate) fn heard(&self, signal: &Signal) {
        match signal {
            Signal::Ready => return,
            Signal::Missed => self.beliefs.distrust_all(),
            Signal::Changed(topic, key) => match (topic, key.parse::<Uuid>()) {
                (Topic::Sessions, _) => self.beliefs.distrust(Change::Session(key.clone())),
                (Topic::Users, Ok(id)) => self.beliefs.distrust(Change::User(id)),
                (Topic::Users, Err(_)) => self.beliefs.distrust_all(),
                (Topic::RolePermissions, _) => self.beliefs.distrust(Change::Permissions),
                (Topic::McpServers | Topic::ServerTools, _) => self.beliefs.distrust(Change::Servers),
                (Topic::Policies, _) => self.beliefs.distrust(Change::Policies),
                (Topic::Watchers, _) => return,
            },
        }
        self.work.notify_one();
    }

    fn count(&self, kind: Kind, hit: bool) {
        let place = Kind::ALL.iter().position(|k| *k == kind).unwrap_or_default();
        if let Some(counts) = self.counts.get(place) {
            counts[usize::from(!hit)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The answer from Redis, if it is there and believed; else what `load` reads, which is put there. `on` says what
    /// an answer depends on, `life` how long it may be kept (None: not at all). The flag says whether it was there.
    async fn shared<T: Serialize + DeserializeOwned>(
        &self,
        store: &Store,
        (kind, key): (Kind, &str),
        on: impl Fn(&T) -> Vec<Change>,
        life: impl Fn(&T) -> Option<Duration>,
        load: Loading<'_, T>,
    ) -> Result<(T, bool)> {
        let (Some(redis), Some(scope), true) = (&self.redis, self.beliefs.scope(), kind.is_shared()) else {
            return Ok((load.await?, false));
        };
        let name = name(&scope, kind, key);
        let mut budget = redis.budget();
        let seen = match redis.get(&mut budget, &name).await {
            Found::Text(text) => {
                if let Some((stamp, value)) = read::<T>(&text)
                    && life(&value).is_some()
                    && self.beliefs.believes_shared(&scope, &on(&value), &stamp)
                {
                    return Ok((value, true));
                }
                text
            }
            Found::Nothing => String::new(),
            Found::NoAnswer => return Ok((load.await?, false)),
        };
        let lease = format!("{LEASE}{}", Uuid::now_v7());
        // Somebody else's lease stays: who holds it puts the answer there.
        if seen.starts_with(LEASE) || !redis.lease(&mut budget, &name, &seen, &lease).await {
            return Ok((load.await?, false));
        }
        // The stamp's snapshot is older than the answer's, so the answer includes whatever the stamp promises.
        let stamp = store.one::<Scalar<String>>(&Actor::service(), &STAMP, Vec::new()).await;
        let value = load.await?;
        if let (Ok(Scalar(stamp)), Some(life), Ok(json)) = (stamp, life(&value), serde_json::to_string(&value)) {
            redis.replace(&mut budget, &name, &lease, &format!("{stamp}|{json}"), life).await;
        }
        Ok((value, false))
    }
}

/// Which of what is shown a statement changes, as bits.
pub(crate) fn touched(statement: &Statement) -> u8 {
    match statement.name.split_once('/') {
        Some(("mcp_servers" | "server_tools", _)) if statement.writes() => 1,
        Some(("policies", _)) if statement.writes() => 2,
        _ => 0,
    }
}

/// Under which name Redis holds something.
fn name(scope: &str, kind: Kind, key: &str) -> String {
    format!("steward:{scope}:{}:{key}", kind.as_str())
}

/// An answer's stamp and value.
fn read<T: DeserializeOwned>(text: &str) -> Option<(Snapshot, T)> {
    let (stamp, json) = text.split_once('|')?;
    Some((stamp.parse().ok()?, serde_json::from_str(json).ok()?))
}

impl Cache {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let redis = match (&config.redis_url, &config.target) {
            (Some(url), Target::Postgres(_)) => Some(Arc::new(Redis::new(url, config.redis_timeout)?)),
            _ => None,
        };
        let end = CancellationToken::new();
        let inner = Arc::new(Inner {
            beliefs: Beliefs::new(),
            local: Local::default(),
            redis,
            uses: Uses::default(),
            counts: std::array::from_fn(|_| [AtomicU64::new(0), AtomicU64::new(0)]),
            work: Notify::new(),
            end: end.clone(),
        });
        Ok(Self { inner, started: AtomicBool::new(false), keeper: Mutex::default(), _end: end.drop_guard() })
    }

    /// What hears the signals.
    pub(crate) fn ear(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    /// Begins to listen; a store that never asks its caches never does.
    fn start(&self, store: &Store) {
        if self.inner.end.is_cancelled() || self.started.swap(true, Ordering::SeqCst) {
            return;
        }
        // What is heard comes by the ear; the receiver itself is not needed.
        drop(store.signals());
        let keeper = keeper::keep(Arc::clone(&self.inner), store.engine.clone(), store.signals.hub());
        *self.keeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(tokio::spawn(keeper));
        if let Some(redis) = &self.inner.redis {
            tokio::spawn(redis::mend(Arc::clone(redis), self.inner.end.clone()));
        }
    }

    /// Takes what is shown out of this node's cache, by the bits of [`touched`]. Others hear of it from the database.
    pub(crate) fn forget(&self, touched: u8) {
        for (bit, change) in [(1, Change::Servers), (2, Change::Policies)] {
            if touched & bit != 0 {
                self.inner.beliefs.distrust(change);
                self.inner.work.notify_one();
            }
        }
    }

    /// Whether sessions are cached.
    pub(crate) fn holds_sessions(&self) -> bool {
        self.inner.redis.is_some()
    }

    /// A valid session by the SHA-256 of its token, or what `load` reads.
    pub(crate) async fn session<T: Serialize + DeserializeOwned>(
        &self,
        store: &Store,
        token_sha256: &str,
        on: impl Fn(&T) -> Vec<Change>,
        life: impl Fn(&T) -> Option<Duration>,
        load: Loading<'_, T>,
    ) -> Result<T> {
        self.start(store);
        let (session, hit) = self.inner.shared(store, (Kind::Sessions, token_sha256), on, life, load).await?;
        self.inner.count(Kind::Sessions, hit);
        Ok(session)
    }

    /// An answer that is kept in this process (and in Redis, where it may), or what `load` reads.
    pub(crate) async fn kept<T>(
        &self,
        store: &Store,
        (kind, key): (Kind, &str),
        on: &[Change],
        load: Loading<'_, T>,
    ) -> Result<T>
    where
        T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.start(store);
        let inner = &self.inner;
        if inner.beliefs.scope().is_none() {
            inner.count(kind, false);
            return load.await;
        }
        let was_shared = AtomicBool::new(false);
        let read = async {
            let (value, hit) = inner.shared(store, (kind, key), |_| on.to_vec(), |_| Some(SHARED_LIFE), load).await?;
            was_shared.store(hit, Ordering::Relaxed);
            Ok(value)
        };
        let (value, was_kept) = inner.local.get(&inner.beliefs, &name("", kind, key), on, Box::pin(read)).await?;
        inner.count(kind, was_kept || was_shared.into_inner());
        Ok(value)
    }

    /// Notes a use of a session. False: too many wait.
    pub(crate) fn note_use(&self, store: &Store, used: Use) -> bool {
        self.start(store);
        !self.inner.end.is_cancelled() && self.inner.uses.note(used)
    }

    /// Ends the tasks and writes down what waits.
    pub(crate) async fn close(&self, engine: &Engine) {
        self.inner.end.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(keeper) = keeper
            && tokio::time::timeout(keeper::CLOSING, keeper).await.is_ok()
        {
            keeper::write_uses(&self.inner, engine).await;
        }
    }
}

impl Store {
    /// Takes what depends on a committed change out of the caches: here at once, in Redis if it answers. Every node also
    /// hears of it from the database; this makes it take effect before the change's caller goes on.
    pub async fn changed(&self, change: Change) {
        let inner = &self.cache.inner;
        inner.beliefs.distrust(change.clone());
        inner.work.notify_one();
        let Some(redis) = &inner.redis else { return };
        let tokens = match change {
            Change::Session(token) => Ok(vec![token]),
            Change::User(id) => crate::sessions::tokens(self, id).await,
            Change::Permissions | Change::Servers | Change::Policies => return,
        };
        let Ok(tokens) = tokens else { return inner.beliefs.distrust_all() };
        let scope = match inner.beliefs.scope() {
            Some(scope) => Ok(scope.to_string()),
            None => keeper::floor(&self.engine).await.map(|floor| floor.scope),
        };
        // Without an answer from the database or Redis the stamps still hold, see the module's argument.
        if let Ok(scope) = scope {
            let names: Vec<String> = tokens.iter().map(|token| name(&scope, Kind::Sessions, token)).collect();
            redis.remove(&mut redis.budget(), &names).await;
        }
    }

    /// Takes a session out of the caches that was ended or changed, by its id.
    pub(crate) async fn session_ended(&self, id: Uuid) {
        if !self.cache.holds_sessions() {
            return;
        }
        match crate::sessions::tokens(self, id).await {
            Ok(tokens) => {
                for token in tokens {
                    self.changed(Change::Session(token)).await;
                }
            }
            Err(_) => self.cache.inner.beliefs.distrust_all(),
        }
    }

    /// What the caches counted.
    pub fn cache_figures(&self) -> CacheFigures {
        let inner = &self.cache.inner;
        let kinds = Kind::ALL.iter().zip(&inner.counts).map(|(kind, [hits, misses])| KindFigures {
            name: kind.as_str(),
            hits: hits.load(Ordering::Relaxed),
            misses: misses.load(Ordering::Relaxed),
        });
        CacheFigures {
            kinds: kinds.collect(),
            redis: inner.redis.as_ref().map(|redis| redis.figures()),
            is_trusting: inner.beliefs.scope().is_some(),
            uses_waiting: inner.uses.len(),
        }
    }
}

/// The database did not answer what it always does.
fn odd_answer(what: &'static str) -> Error {
    Error::Database { statement: what.to_owned(), reason: "it answered something else".to_owned() }
}
