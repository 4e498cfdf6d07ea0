//! Running statements: the closed type of the two databases, single statements, and transactions.

use std::{future::Future, pin::Pin};

use crate::{
    Actor, Config, Error, Result,
    config::Target,
    postgres::{Postgres, PostgresTransaction},
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
}

/// The two engines.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// A transaction in progress. It ends with the closure given to [`Store::transaction`].
#[derive(Debug)]
pub struct Transaction(pub(crate) TransactionEngine);

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

impl Store {
    /// Opens the database. On PostgreSQL one connection is made at once, so that a wrong address shows here;
    /// on SQLite the file is made when missing. The schema is not looked at: see [`crate::migrate`].
    pub async fn open(config: &Config) -> Result<Self> {
        let engine = match &config.target {
            Target::Postgres(target) => Engine::Postgres(Postgres::open(config, target).await?),
            Target::Sqlite(path) => Engine::Sqlite(Sqlite::open(path.clone(), config.connect_timeout).await?),
        };
        Ok(Self { engine })
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
        match &self.engine {
            Engine::Postgres(pg) => pg.transaction(work).await,
            Engine::Sqlite(sqlite) => sqlite.transaction(work).await,
        }
    }

    /// Ends what is under way and closes the connections.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Postgres(pg) => pg.close(),
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}

crate::statement::statement!(PING, crate::value::Scalar<i32>, "store/ping");
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[&PING];

impl Run for &Store {
    async fn rows(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<Vec<Row>> {
        match &self.engine {
            Engine::Postgres(pg) => pg.rows(actor, statement, &params).await,
            Engine::Sqlite(sqlite) => sqlite.rows(actor, statement, params).await,
        }
    }
    async fn execute(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<u64> {
        match &self.engine {
            Engine::Postgres(pg) => pg.execute(actor, statement, &params).await,
            Engine::Sqlite(sqlite) => sqlite.execute(actor, statement, params).await,
        }
    }
}

impl Run for &Transaction {
    async fn rows(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<Vec<Row>> {
        match &self.0 {
            TransactionEngine::Postgres(tx) => tx.rows(actor, statement, &params).await,
            TransactionEngine::Sqlite(tx) => tx.rows(actor, statement, &params),
        }
    }
    async fn execute(self, actor: &Actor, statement: &'static Statement, params: Vec<Value>) -> Result<u64> {
        match &self.0 {
            TransactionEngine::Postgres(tx) => tx.execute(actor, statement, &params).await,
            TransactionEngine::Sqlite(tx) => tx.execute(actor, statement, &params),
        }
    }
}
