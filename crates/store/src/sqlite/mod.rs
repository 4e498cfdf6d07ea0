//! SQLite: one writer on a thread of its own that gathers transactions into one durable commit, and several readers.

mod authorizer;
mod connection;
mod error;
pub(crate) mod functions;
pub(crate) mod grants;
mod reader;
mod space;
mod writer;

use std::{
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc, oneshot};

#[cfg(test)]
pub(crate) use self::error::unique;
pub(crate) use self::{
    connection::{Access, SqliteTransaction, connect, open},
    error::translate,
};
use crate::{
    Actor, Error, Result,
    metrics::{WriterCounts, WriterMetrics},
    run::{BoxFuture, Transaction, TransactionEngine},
    signals::Hub,
    statement::Statement,
    value::{Row, Value},
};

/// Writes that may wait at once; more are answered with [`Error::Busy`].
const QUEUE: usize = 1024;
/// Readers at most.
const READERS: usize = 4;

/// The file's connections.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    busy_timeout: Duration,
    /// None once the database is being closed; with the last sender the writer ends.
    writer: Mutex<Option<mpsc::Sender<writer::Work>>>,
    /// Answers when the writer's connection is closed.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    readers: Mutex<Vec<Transaction>>,
    reading: Arc<Semaphore>,
    counts: Arc<WriterCounts>,
}

impl Sqlite {
    /// Opens the file; `hub` hears what the writer commits.
    pub(crate) async fn open(path: PathBuf, busy_timeout: Duration, hub: Arc<Hub>) -> Result<Self> {
        refuse_affected_version(rusqlite::version_number())?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let file = path.clone();
        let counts = Arc::new(WriterCounts::new());
        let counted = Arc::clone(&counts);
        tokio::task::spawn_blocking(move || {
            let connection = open(&file, Access::Write, busy_timeout)?;
            std::thread::Builder::new()
                .name("sqlite-writer".to_owned())
                .spawn(move || {
                    writer::run(&connection, receiver, &hub, &counted);
                    // Closed before it is said, so that the file is whole for whoever waits for it.
                    drop(connection);
                    let _ = end.send(());
                })
                .map_err(|e| Error::Unavailable(format!("the writer's thread can't be started: {e}")))
        })
        .await
        .map_err(|e| Error::Unavailable(e.to_string()))??;
        Ok(Self(Arc::new(Inner {
            path,
            busy_timeout,
            writer: Mutex::new(Some(sender)),
            ended: Mutex::new(Some(ended)),
            readers: Mutex::new(Vec::new()),
            reading: Arc::new(Semaphore::new(READERS)),
            counts,
        })))
    }

    /// What the writer counted, and how many wait for it.
    pub(crate) fn writer_metrics(&self) -> WriterMetrics {
        let free = self.0.writer.lock().ok().and_then(|w| w.as_ref().map(mpsc::Sender::capacity));
        self.0.counts.snapshot(QUEUE - free.unwrap_or(QUEUE).min(QUEUE))
    }

    pub(crate) async fn rows(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let actor = actor.clone();
        if statement.writes() {
            return self
                .transaction(move |tx| Box::pin(async move { sqlite(tx)?.rows(&actor, statement, &params) }))
                .await;
        }
        if let Some(rows) = self.short(&actor, statement, &params) {
            return rows;
        }
        // Held by the read itself: whoever asked may leave before it ends.
        let permit = Arc::clone(&self.0.reading).acquire_owned().await.map_err(|_| closed())?;
        let inner = Arc::clone(&self.0);
        let result = tokio::task::spawn_blocking(move || {
            let reader = match inner.readers.lock().ok().and_then(|mut r| r.pop()) {
                Some(reader) => reader,
                None => open(&inner.path, Access::Read, inner.busy_timeout)?,
            };
            let rows = sqlite(&reader).and_then(|r| r.read(&actor, statement, &params, false));
            if let Ok(mut readers) = inner.readers.lock() {
                readers.push(reader);
            }
            drop(permit);
            rows
        })
        .await
        .map_err(|e| Error::Unavailable(e.to_string()))?;
        result.map(Option::unwrap_or_default)
    }

    /// A read of a row or a page takes less than the way to another thread and back, so it is made where it is asked for.
    /// None where that is not to be: no reader is free, or the read proved long, was broken off and is to be made elsewhere.
    fn short(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Option<Result<Vec<Row>>> {
        // What full-text search does within itself counts no step.
        if statement.name.ends_with("/search") {
            return None;
        }
        let _permit = self.0.reading.try_acquire().ok()?;
        let reader = self.0.readers.lock().ok()?.pop()?;
        let rows = sqlite(&reader).and_then(|r| r.read(actor, statement, params, true));
        if let Ok(mut readers) = self.0.readers.lock() {
            readers.push(reader);
        }
        rows.transpose()
    }

    pub(crate) async fn execute(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: Vec<Value>,
    ) -> Result<u64> {
        let actor = actor.clone();
        self.transaction(move |tx| Box::pin(async move { sqlite(tx)?.execute(&actor, statement, &params) })).await
    }

    pub(crate) async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&'t Transaction) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<Result<T, E>>();
        let job: writer::Job = Box::new(move |tx| {
            let Some(tx) = tx else {
                return (false, Box::new(move |e| drop(reply.send(Err(e.unwrap_or(Error::RolledBack).into())))));
            };
            let result = at_once(work(tx));
            let failed = sqlite(tx).is_ok_and(SqliteTransaction::has_failed);
            let result = if failed && result.is_ok() { Err(Error::RolledBack.into()) } else { result };
            (
                result.is_ok(),
                Box::new(move |commit_error| {
                    // Whoever asked may be gone; the work stands all the same.
                    drop(reply.send(commit_error.map_or(result, |e| Err(e.into()))));
                }),
            )
        });
        let Some(writer) = self.0.writer.lock().ok().and_then(|w| w.clone()) else {
            return Err(closed().into());
        };
        match tokio::time::timeout(self.0.busy_timeout, writer.send(writer::Work::Transaction(job))).await {
            Ok(Ok(())) => answer.await.map_err(|_| closed())?,
            Ok(Err(_)) => Err(closed().into()),
            Err(_) => Err(Error::Busy(format!("{QUEUE} writes are waiting")).into()),
        }
    }

    /// Has the writer look whether somebody else wrote to the file. False: it is being closed.
    pub(crate) async fn look(&self) -> bool {
        let (done, looked) = oneshot::channel();
        let Some(writer) = self.0.writer.lock().ok().and_then(|w| w.clone()) else { return false };
        // Where the queue is full, the next look comes soon enough.
        let sent = writer.try_send(writer::Work::Look(done));
        drop(writer);
        sent.is_err() || looked.await.is_ok()
    }

    pub(crate) async fn close(&self) {
        self.0.reading.close();
        drop(self.0.writer.lock().ok().and_then(|mut w| w.take()));
        let ended = self.0.ended.lock().ok().and_then(|mut e| e.take());
        if let Some(ended) = ended {
            drop(ended.await);
        }
        if let Ok(mut readers) = self.0.readers.lock() {
            readers.clear();
        }
    }
}

pub(crate) fn sqlite(tx: &Transaction) -> Result<&SqliteTransaction> {
    match &tx.0 {
        TransactionEngine::Sqlite(tx) => Ok(tx),
        TransactionEngine::Postgres(_) => Err(Error::Unavailable("this is not a SQLite transaction".to_owned())),
    }
}

fn closed() -> Error {
    Error::Unavailable("the database is being closed".to_owned())
}

/// A transaction's future on SQLite never waits: its statements are done when they return.
fn at_once<T, E: From<Error>>(work: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
    let mut work = pin!(work);
    match work.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::Database {
            statement: "transaction".to_owned(),
            reason: "a transaction may wait for nothing but its own statements".to_owned(),
        }
        .into()),
    }
}

/// SQLite from 3.7.0 to 3.51.2 can corrupt a WAL database when it is reset; 3.44.6 and 3.50.7 carry the fix too.
pub(crate) fn refuse_affected_version(version: i32) -> Result<()> {
    let fixed =
        version >= 3_051_003 || (3_050_007..3_051_000).contains(&version) || (3_044_006..3_045_000).contains(&version);
    if fixed {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "this Steward was built with SQLite {}.{}.{}, which can corrupt a database in WAL mode; build it with 3.51.3 or newer",
        version / 1_000_000,
        version / 1000 % 1000,
        version % 1000
    )))
}

#[cfg(test)]
mod tests {
    use super::refuse_affected_version;

    #[test]
    fn affected_versions_are_refused() {
        for bad in [3_038_000, 3_044_005, 3_045_000, 3_050_006, 3_051_000, 3_051_002] {
            assert!(refuse_affected_version(bad).is_err(), "{bad}");
        }
        for good in [3_044_006, 3_050_007, 3_051_003, 3_054_001] {
            assert!(refuse_affected_version(good).is_ok(), "{good}");
        }
    }
}
