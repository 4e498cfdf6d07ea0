//! PostgreSQL: a pool of pipelined connections, each statement under the actor's row-level security.

mod error;
#[cfg(test)]
mod leaks;
mod pool;
mod replica;
mod sent;
mod settings;
mod transaction;

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Object;
use tokio_postgres::SimpleQueryMessage;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::{
    error::{chain, translate},
    settings::{session_settings, tls},
    transaction::PostgresTransaction,
};
use self::{
    pool::{Connections, Limits},
    replica::Replica,
    settings::{bound_statements, pooled_settings, replica_settings},
    transaction::{Answer, Wanted, once},
};
use crate::{
    Actor, Config, Error, Result,
    metrics::{Metrics, Recorder},
    run::{BoxFuture, Transaction, TransactionEngine},
    statement::Statement,
    value::{Row, Value},
};

/// How often a statement is done again that certainly changed nothing.
const RETRIES: u32 = 4;
/// How long a standby is given before the primary is asked instead.
const REPLICA_PATIENCE: Duration = Duration::from_secs(5);

/// The pools of connections.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    primary: Connections,
    replica: Option<Arc<Replica>>,
    recorder: Arc<Recorder>,
    end: CancellationToken,
    /// With the last clone the tasks behind the pools end, even where nobody closed them.
    _tasks: Arc<DropGuard>,
}

impl Postgres {
    pub(crate) async fn open(
        config: &Config,
        target: &tokio_postgres::Config,
        recorder: Arc<Recorder>,
    ) -> Result<Self> {
        let end = CancellationToken::new();
        let tasks = Arc::new(end.clone().drop_guard());
        let limits = Limits {
            size: config.pool_size,
            idle: config.idle_timeout,
            wait: config.connect_timeout,
            answer: config.answer_timeout(),
            statement: config.statement_timeout,
            pooled: false,
        };
        let bounded = bound_statements(target, config.statement_timeout);
        let primary = Connections::new("primary", session_settings(&bounded, config.connect_timeout), &limits, &end)?;
        let primary = if is_pooled(&primary).await? {
            tracing::info!("{}: a pooler stands before the database; statements go unprepared", config.describe());
            primary.close();
            let settings = pooled_settings(target, config.connect_timeout);
            let primary = Connections::new("primary", settings, &Limits { pooled: true, ..limits }, &end)?;
            drop(primary.client().await?);
            primary
        } else {
            primary
        };
        let replica = match &config.read_replica {
            None => None,
            Some(target) => {
                // A read that the standby is slow with is the primary's.
                let wait = config.connect_timeout.min(REPLICA_PATIENCE);
                let bounded = bound_statements(target, config.statement_timeout.min(REPLICA_PATIENCE));
                let limits = Limits { wait, answer: config.answer_timeout().min(REPLICA_PATIENCE), ..limits };
                let standby = Connections::new("replica", replica_settings(&bounded, wait)?, &limits, &end)?;
                let replica = Arc::new(Replica::new(standby, config.replica_lag));
                let (looked_at, primary, end) = (Arc::clone(&replica), primary.clone(), end.clone());
                tokio::spawn(async move { looked_at.keep_looking(primary, end).await });
                Some(replica)
            }
        };
        Ok(Self { primary, replica, recorder, end, _tasks: tasks })
    }

    pub(crate) async fn client(&self) -> Result<Object> {
        self.primary.client().await
    }

    pub(crate) async fn version(&self) -> Result<String> {
        Ok(asked(&*self.client().await?, "SHOW server_version").await?.unwrap_or_default())
    }

    pub(crate) fn close(&self) {
        self.end.cancel();
        self.primary.close();
        if let Some(replica) = &self.replica {
            replica.pool().close();
        }
    }

    /// Adds what the pools know.
    pub(crate) fn measure(&self, metrics: &mut Metrics) {
        metrics.pools.push(self.primary.metrics());
        if let Some(replica) = &self.replica {
            metrics.pools.push(replica.pool().metrics());
            metrics.replica = Some(replica.metrics());
        }
    }

    /// The rows of one statement in a transaction of its own.
    pub(crate) async fn rows(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
    ) -> Result<Vec<Row>> {
        // Boxed: whoever asks would carry all of this within his own future, once a call.
        Box::pin(self.alone(actor, statement, params, Wanted::Rows)).await.map(Answer::into_rows)
    }

    /// How many rows one statement changed, in a transaction of its own.
    pub(crate) async fn execute(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Result<u64> {
        Box::pin(self.alone(actor, statement, params, Wanted::Count)).await.map(|answer| answer.count)
    }

    /// One statement in a transaction of its own, in one round trip. What was undone by a deadlock or by the end of its
    /// connection is done again a few times.
    async fn alone(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        wanted: Wanted,
    ) -> Result<Answer> {
        if let Some(replica) = &self.replica
            && let Some(answer) = replica.read(actor, statement, params, wanted).await
        {
            return Ok(answer);
        }
        let mark = self.replica.is_some() && statement.writes();
        let mut tries = 0;
        loop {
            match once(&self.primary, actor, statement, params, wanted, mark).await {
                Ok((answer, reach)) => {
                    if let Some(replica) = self.replica.as_ref().filter(|_| mark) {
                        replica.wrote(actor.user_id(), reach);
                    }
                    return Ok(answer);
                }
                Err(failure) if failure.again && tries < RETRIES => {
                    tries += 1;
                    self.recorder.retried();
                    // Two that met do not meet again in step.
                    tokio::time::sleep(Duration::from_millis(rand::random_range(1..=10 << tries))).await;
                }
                Err(failure) => return Err(self.unsure(failure.error)),
            }
        }
    }

    /// After a change of unknown outcome only the primary can say how it stands.
    fn unsure(&self, error: Error) -> Error {
        if let (Some(replica), Error::OutcomeUnknown(_)) = (&self.replica, &error) {
            replica.distrust();
        }
        error
    }

    pub(crate) async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<Error>,
        F: for<'t> FnOnce(&'t Transaction) -> BoxFuture<'t, Result<T, E>> + Send,
    {
        let tx = PostgresTransaction::begin(&self.primary).await?;
        let tx = Transaction::new(TransactionEngine::Postgres(tx));
        let result = work(&tx).await;
        let TransactionEngine::Postgres(tx) = tx.0 else { return result };
        let failed = tx.has_failed();
        let ended = tx.end(result.is_ok() && !failed, self.replica.is_some()).await;
        let value = result?;
        if failed {
            return Err(Error::RolledBack.into());
        }
        if let (Some((writers, reach)), Some(replica)) = (ended.map_err(|e| self.unsure(e))?, &self.replica) {
            for user in writers {
                replica.wrote(user, reach);
            }
        }
        Ok(value)
    }
}

/// One value, by a statement that no session needs to remember.
async fn asked(client: &tokio_postgres::Client, sql: &str) -> Result<Option<String>> {
    let messages = client.simple_query(sql).await.map_err(|e| translate("session", &e))?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// Whether a pooler stands between that gives each transaction another session: it refuses what a session of ours is
/// begun with, or leaves it out.
async fn is_pooled(on: &Connections) -> Result<bool> {
    match on.client().await {
        Ok(client) => {
            let mark = asked(&client, "SELECT current_setting('app.session', true)").await?;
            Ok(mark.as_deref() != Some("steward"))
        }
        Err(Error::Unavailable(said)) if said.contains("unsupported startup parameter") => Ok(true),
        Err(e) => Err(e),
    }
}
