//! PostgreSQL: a pool of pipelined connections, each statement under the actor's row-level security.

mod error;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::{join, join3, join4};
use tokio_postgres::{Statement as Prepared, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use self::error::{chain, translate};
use crate::{
    Actor, Config, Error, Result,
    run::{BoxFuture, Transaction, TransactionEngine},
    statement::Statement,
    value::{Row, Value},
};

/// Sets who acts until the transaction ends; the database's policies and audit triggers read it.
const CONTEXT: &str = "SELECT set_config('role', $1, true), set_config('app.current_user_id', $2, true), \
     set_config('app.ip_address', $3, true), set_config('app.user_agent', $4, true), \
     set_config('app.request_id', $5, true)";

/// A pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    described: Arc<str>,
}

impl Postgres {
    pub(crate) async fn open(config: &Config, target: &tokio_postgres::Config) -> Result<Self> {
        let manager = Manager::from_config(
            session_settings(target, config.connect_timeout),
            tls(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(config.pool_size.clamp(1, 500))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(config.connect_timeout),
                create: Some(config.connect_timeout),
                recycle: Some(config.connect_timeout),
            })
            .build()
            .map_err(|e| Error::Config(format!("the pool can't be built: {e}")))?;
        let this = Self { pool, described: config.describe().into() };
        tokio::spawn(close_idle(this.pool.clone(), config.idle_timeout));
        drop(this.client().await?);
        Ok(this)
    }

    pub(crate) async fn client(&self) -> Result<Object> {
        self.pool.get().await.map_err(|e| match e {
            deadpool_postgres::PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => {
                Error::Busy("all connections of the pool are in use".to_owned())
            }
            deadpool_postgres::PoolError::Timeout(_) => {
                Error::Unavailable(format!("{} gave no answer in time", self.described))
            }
            deadpool_postgres::PoolError::Backend(e) => {
                Error::Unavailable(format!("{}: {}", self.described, error::chain(&e)))
            }
            other => Error::Unavailable(format!("{}: {other}", self.described)),
        })
    }

    pub(crate) async fn version(&self) -> Result<String> {
        let client = self.client().await?;
        let row = client.query_one("SHOW server_version", &[]).await.map_err(|e| translate("version", &e))?;
        row.try_get(0).map_err(|e| translate("version", &e))
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// The rows of one statement in a transaction of its own.
    pub(crate) async fn rows(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
    ) -> Result<Vec<Row>> {
        self.alone(actor, statement, params, Wanted::Rows).await.map(Answer::into_rows)
    }

    /// How many rows one statement changed, in a transaction of its own.
    pub(crate) async fn execute(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Result<u64> {
        self.alone(actor, statement, params, Wanted::Count).await.map(|answer| answer.count)
    }

    /// One statement in a transaction of its own, in one round trip.
    async fn alone(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        wanted: Wanted,
    ) -> Result<Answer> {
        let connection = Connection::new(self.client().await?);
        let (context, prepared) = connection.prepare(statement).await?;
        let (client, values) = (connection.client()?, ContextValues::of(actor));
        let (begin, set, answer, commit) = join4(
            client.batch_execute("BEGIN"),
            client.query(&context, &values.params()),
            wanted.ask(client, &prepared, &refs(params)),
            client.batch_execute("COMMIT"),
        )
        .await;
        connection.give_back();
        let fail = |e: tokio_postgres::Error| translate(statement.name, &e);
        begin.map_err(fail)?;
        set.map_err(fail)?;
        let answer = answer.map_err(fail)?;
        commit.map_err(fail)?;
        Ok(answer)
    }

    pub(crate) async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<Error>,
        F: for<'t> FnOnce(&'t Transaction) -> BoxFuture<'t, Result<T, E>> + Send,
    {
        let connection = Connection::new(self.client().await?);
        let tx = Transaction(TransactionEngine::Postgres(PostgresTransaction {
            connection,
            actor: Mutex::new(None),
            failed: AtomicBool::new(false),
        }));
        let result = work(&tx).await;
        let TransactionEngine::Postgres(tx) = tx.0 else { return result };
        let failed = tx.failed.load(Ordering::Relaxed);
        let ending = if result.is_ok() && !failed { "COMMIT" } else { "ROLLBACK" };
        if tx.has_begun() {
            let ended = tx.connection.client()?.batch_execute(ending).await;
            if let Err(e) = ended {
                // A connection in an unknown state is closed by dropping it.
                return Err(translate("transaction/end", &e).into());
            }
        }
        tx.connection.give_back();
        match result {
            Ok(_) if failed => Err(Error::RolledBack.into()),
            other => other,
        }
    }
}

/// A connection that goes back to the pool only when its work ended cleanly: if the future that uses it is dropped
/// half-way, the connection is closed, so that no context or open transaction reaches the next request.
#[derive(Debug)]
struct Connection(Option<Object>);

impl Connection {
    fn new(object: Object) -> Self {
        Self(Some(object))
    }
    fn client(&self) -> Result<&Object> {
        self.0.as_ref().ok_or_else(|| Error::Unavailable("the connection was given back".to_owned()))
    }
    async fn prepare(&self, statement: &'static Statement) -> Result<(Prepared, Prepared)> {
        let client = self.client()?;
        let (context, prepared) =
            join(client.prepare_cached(CONTEXT), client.prepare_cached(statement.postgres())).await;
        Ok((context.map_err(|e| translate("context", &e))?, prepared.map_err(|e| translate(statement.name, &e))?))
    }
    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// A transaction on one connection. It begins with its first statement, in the same round trip.
#[derive(Debug)]
pub(crate) struct PostgresTransaction {
    connection: Connection,
    actor: Mutex<Option<Actor>>,
    failed: AtomicBool,
}

impl PostgresTransaction {
    fn has_begun(&self) -> bool {
        self.actor.lock().is_ok_and(|a| a.is_some())
    }

    /// What must be sent before a statement of `actor`: begin, context, or nothing.
    fn take_turn(&self, actor: &Actor) -> Turn {
        let Ok(mut current) = self.actor.lock() else { return Turn::Begin };
        let turn = match &*current {
            None => Turn::Begin,
            Some(a) if a == actor => Turn::Go,
            Some(_) => Turn::Switch,
        };
        if turn != Turn::Go {
            *current = Some(actor.clone());
        }
        turn
    }

    pub(crate) async fn rows(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
    ) -> Result<Vec<Row>> {
        self.next(actor, statement, params, Wanted::Rows).await.map(Answer::into_rows)
    }

    pub(crate) async fn execute(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Result<u64> {
        self.next(actor, statement, params, Wanted::Count).await.map(|answer| answer.count)
    }

    /// The next statement; the first one, and one of another actor, takes along what must precede it.
    async fn next(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        wanted: Wanted,
    ) -> Result<Answer> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::RolledBack);
        }
        let (context, prepared) = self.watch(self.connection.prepare(statement).await)?;
        let (client, values, params) = (self.connection.client()?, ContextValues::of(actor), refs(params));
        let values = values.params();
        let ask = wanted.ask(client, &prepared, &params);
        let result = match self.take_turn(actor) {
            Turn::Begin => {
                let first = client.batch_execute("BEGIN");
                let (begun, set, answer) = join3(first, client.query(&context, &values), ask).await;
                begun.and(set).and(answer)
            }
            Turn::Switch => {
                let (set, answer) = join(client.query(&context, &values), ask).await;
                set.and(answer)
            }
            Turn::Go => ask.await,
        };
        self.watch(result.map_err(|e| translate(statement.name, &e)))
    }

    fn watch<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// What is wanted of a statement.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Rows,
    Count,
}

/// What a statement answered.
struct Answer {
    rows: Vec<tokio_postgres::Row>,
    count: u64,
}

impl Wanted {
    async fn ask(
        self,
        client: &Object,
        prepared: &Prepared,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Answer, tokio_postgres::Error> {
        Ok(match self {
            Self::Rows => Answer { rows: client.query(prepared, params).await?, count: 0 },
            Self::Count => Answer { rows: Vec::new(), count: client.execute(prepared, params).await? },
        })
    }
}

impl Answer {
    fn into_rows(self) -> Vec<Row> {
        self.rows.into_iter().map(Row::Postgres).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Begin,
    Switch,
    Go,
}

struct ContextValues([String; 5]);

impl ContextValues {
    fn of(actor: &Actor) -> Self {
        let text = |v: &Option<String>| v.clone().unwrap_or_default();
        Self([
            actor.database_role().to_owned(),
            actor.user_id().map(|id| id.to_string()).unwrap_or_default(),
            actor.ip_address.map(|ip| ip.to_string()).unwrap_or_default(),
            text(&actor.user_agent),
            text(&actor.request_id),
        ])
    }
    fn params(&self) -> [&(dyn ToSql + Sync); 5] {
        let [role, user, ip_address, user_agent, request] = &self.0;
        [role, user, ip_address, user_agent, request]
    }
}

fn refs(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|v| v as &(dyn ToSql + Sync)).collect()
}

/// The target with what every session of ours needs: UTC, bounded statements, bounded waiting.
pub(crate) fn session_settings(target: &tokio_postgres::Config, connect_timeout: Duration) -> tokio_postgres::Config {
    let mut config = target.clone();
    let ours =
        "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000";
    let options = config.get_options().map_or_else(|| ours.to_owned(), |given| format!("{ours} {given}"));
    config.options(options).connect_timeout(connect_timeout).application_name("steward");
    config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(30));
    config
}

/// TLS with the public roots; used when the server offers it or the URL asks for it (`sslmode`).
pub(crate) fn tls() -> MakeRustlsConnect {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|b| b.with_root_certificates(roots).with_no_client_auth());
    match config {
        Ok(config) => MakeRustlsConnect::new(config),
        Err(e) => unreachable!("ring offers the default protocol versions: {e}"),
    }
}

async fn close_idle(pool: Pool, idle: Duration) {
    let mut tick = tokio::time::interval(Duration::from_secs(15).min(idle).max(Duration::from_secs(1)));
    while !pool.is_closed() {
        tick.tick().await;
        pool.retain(|_, metrics| metrics.last_used() < idle);
    }
}
