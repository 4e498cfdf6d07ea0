//! Running statements: the closed type of the two databases, single statements, and transactions.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Instant,
};

use crate::{
    Actor, Config, Error, Result,
    cache::{self, Cache},
    config::Target,
    metrics::{Metrics, Recorder},
    postgres::{Postgres, PostgresTransaction},
    signals::{Hub, Signals},
    sqlite::{Sqlite, SqliteTransaction},
    statement::Statement,
    value::{FromRow, Row, Value},
};

/// A future that may be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The database, whichever it is. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) engine: Engine,
    recorder: Arc<Recorder>,
    pub(crate) signals: Signals,
    pub(crate) cache: Arc<Cache>,
}

/// The two engines.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// A transaction in progress. It ends with the closure given to [`Store::transaction`].
#[derive(Debug)]
pub struct Transaction(pub(crate) TransactionEngine, AtomicBool, AtomicU8);

impl Transaction {
    pub(crate) fn new(engine: TransactionEngine) -> Self {
        Self(engine, AtomicBool::new(false), AtomicU8::new(0))
    }

    /// Notes whether the transaction may make work ready, and what it changes that is cached; both are told after its
    /// commit. On SQLite the writer knows.
    fn note(&self, statement: &Statement, did_anything: bool) {
        if did_anything && statement.wakes() {
            self.1.store(true, Ordering::Relaxed);
        }
        if did_anything {
            self.2.fetch_or(cache::touched(statement), Ordering::Relaxed);
        }
    }
}

/// A transaction on one of the engines.
#[derive(Debug)]
pub(crate) enum TransactionEngine {
    Postgres(PostgresTransaction),
    Sqlite(SqliteTransaction),
}

/// Where a verb runs: on its own (`&Store`), or within a transaction (`&Transaction`).
pub trait Run: Send + Copy {
    /// Rows the statement answers.
    fn rows(
        self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send;
    /// Number of rows the statement changed.
    fn execute(
        self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// The store, where the verb is a transaction of its own: what it changed is then committed.
    fn store<'s>(self) -> Option<&'s Store>
    where
        Self: 's;

    /// Rows, read as structs.
    fn list<T: FromRow + Send>(
        self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<T>>> + Send {
        async move { self.rows(actor, statement, params).await?.iter().map(T::from_row).collect() }
    }
    /// The first row, if any.
    fn optional<T: FromRow + Send>(
        self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        async move { self.rows(actor, statement, params).await?.first().map(T::from_row).transpose() }
    }
    /// The one row that must be there; where it is not, the actor was not allowed.
    fn one<T: FromRow + Send>(
        self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> impl Future<Output = Result<T>> + Send {
        async move { self.optional(actor, statement, params).await?.ok_or_else(|| Error::refused(statement.name)) }
    }
}

/// Rows of a page of a list that is read whole …
const WHOLE_PAGE_ROWS: i64 = 200;
/// … and rows of the whole at most.
const WHOLE_ROWS: usize = 10_000;

/// Reads a list whole, page by page: `$1` and `$2` are the place of the row before (`first` for none), `$3` how many.
pub(crate) async fn whole<T: FromRow + Send>(
    actor: &Actor,
    on: impl Run,
    statement: &'static Statement,
    first: (Value, Value),
    place: fn(&T) -> (Value, Value),
) -> Result<Vec<T>> {
    let (mut found, mut from) = (Vec::new(), first);
    loop {
        let rows: Vec<T> = on.list(actor, statement, vec![from.0, from.1, Value::Int(WHOLE_PAGE_ROWS)]).await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < WHOLE_PAGE_ROWS);
        found.extend(rows);
        match found.last() {
            Some(last) if !is_last && found.len() < WHOLE_ROWS => from = place(last),
            _ => return Ok(found),
        }
    }
}

impl Store {
    /// Opens the database. On PostgreSQL one connection is made at once, so that a wrong address shows here;
    /// on SQLite the file is made when missing. The schema is not looked at: see [`crate::migrate`].
    pub async fn open(config: &Config) -> Result<Self> {
        let recorder = Arc::new(Recorder::new());
        let hub = Arc::new(Hub::default());
        let engine = match &config.target {
            Target::Postgres(target) => Engine::Postgres(Postgres::open(config, target, Arc::clone(&recorder)).await?),
            Target::Sqlite(path) => {
                Engine::Sqlite(Sqlite::open(path.clone(), config.connect_timeout, Arc::clone(&hub)).await?)
            }
        };
        let cache = Arc::new(Cache::new(config)?);
        hub.let_hear(cache.ear());
        Ok(Self { signals: Signals::new(hub, &engine, config), engine, recorder, cache })
    }

    /// `PostgreSQL` or `SQLite`.
    pub fn engine_name(&self) -> &'static str {
        match self.engine {
            Engine::Postgres(_) => "PostgreSQL",
            Engine::Sqlite(_) => "SQLite",
        }
    }

    /// The engine's version, as it says itself.
    pub async fn engine_version(&self) -> Result<String> {
        match &self.engine {
            Engine::Postgres(pg) => pg.version().await,
            Engine::Sqlite(_) => Ok(rusqlite::version().to_owned()),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.rows(&Actor::anonymous(), &PING, Vec::new()).await.map(drop)
    }

    /// Runs `work` in one transaction: all of it is committed, or none. On SQLite it runs on the writer's thread, so
    /// it may wait for nothing but its own statements.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&'t Transaction) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let began = Instant::now();
        let result = match &self.engine {
            Engine::Postgres(pg) => {
                let wakes = Arc::new((AtomicBool::new(false), AtomicU8::new(0)));
                let noted = Arc::clone(&wakes);
                let result = pg.transaction(move |tx: &Transaction| {
                    let work = work(tx);
                    Box::pin(async move {
                        let result = work.await;
                        noted.0.store(tx.1.load(Ordering::Relaxed), Ordering::Relaxed);
                        noted.1.store(tx.2.load(Ordering::Relaxed), Ordering::Relaxed);
                        result
                    })
                });
                let result = result.await;
                // Even a failed commit may stand, where its answer was lost.
                self.cache.forget(wakes.1.load(Ordering::Relaxed));
                if result.is_ok() && wakes.0.load(Ordering::Relaxed) {
                    self.signals.wake();
                }
                result
            }
            Engine::Sqlite(sqlite) => sqlite.transaction(work).await,
        };
        // The error is the caller's own type; what the store said in it is counted with its statement.
        self.recorder.ended("transaction", began.elapsed(), None);
        result
    }

    /// What was counted since it was opened.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.recorder.snapshot();
        match &self.engine {
            Engine::Postgres(pg) => pg.measure(&mut metrics),
            Engine::Sqlite(sqlite) => metrics.writer = Some(sqlite.writer_metrics()),
        }
        metrics
    }

    /// Ends what is under way and closes the connections.
    pub async fn close(&self) {
        self.cache.close(&self.engine).await;
        self.signals.close().await;
        match &self.engine {
            Engine::Postgres(pg) => pg.close(),
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}

crate::statement::statement!(PING, crate::value::Scalar<i32>, "store/ping");
pub(crate) static ALL: &[&Statement] = &[&PING];

impl Run for &Store {
    fn store<'s>(self) -> Option<&'s Store>
    where
        Self: 's,
    {
        Some(self)
    }
    async fn rows(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<Vec<Row>> {
        let began = Instant::now();
        let result = match &self.engine {
            Engine::Postgres(pg) => {
                let result = pg.rows(actor, statement, &params).await;
                self.cache.forget(cache::touched(statement));
                if statement.wakes() && result.as_ref().is_ok_and(|rows| !rows.is_empty()) {
                    self.signals.wake();
                }
                result
            }
            Engine::Sqlite(sqlite) => sqlite.rows(actor, statement, params).await,
        };
        self.recorder.note(statement.name, began.elapsed(), result)
    }
    async fn execute(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<u64> {
        let began = Instant::now();
        let result = match &self.engine {
            Engine::Postgres(pg) => {
                let result = pg.execute(actor, statement, &params).await;
                self.cache.forget(cache::touched(statement));
                if statement.wakes() && result.as_ref().is_ok_and(|changed| *changed > 0) {
                    self.signals.wake();
                }
                result
            }
            Engine::Sqlite(sqlite) => sqlite.execute(actor, statement, params).await,
        };
        self.recorder.note(statement.name, began.elapsed(), result)
    }
}

impl Run for &Transaction {
    fn store<'s>(self) -> Option<&'s Store>
    where
        Self: 's,
    {
        None
    }
    async fn rows(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<Vec<Row>> {
        match &self.0 {
            TransactionEngine::Postgres(tx) => {
                let rows = tx.rows(actor, statement, &params).await?;
                self.note(statement, !rows.is_empty());
                Ok(rows)
            }
            TransactionEngine::Sqlite(tx) => tx.rows(actor, statement, &params),
        }
    }
    async fn execute(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<u64> {
        match &self.0 {
            TransactionEngine::Postgres(tx) => {
                let changed = tx.execute(actor, statement, &params).await?;
                self.note(statement, changed > 0);
                Ok(changed)
            }
            TransactionEngine::Sqlite(tx) => tx.execute(actor, statement, &params),
        }
    }
}
