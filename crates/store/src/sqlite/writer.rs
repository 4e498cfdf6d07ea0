//! The writer's thread: transactions wait in a queue, and up to 64 of them share one durable commit.

use std::{panic::AssertUnwindSafe, time::Instant};

use tokio::sync::{mpsc::Receiver, oneshot};

use super::{SqliteTransaction, sqlite, translate};
use crate::{
    Error,
    metrics::WriterCounts,
    run::Transaction,
    signals::{Hub, Marks},
};

/// What is told to whoever waits, once the commit stands or failed.
pub(super) type Reply = Box<dyn FnOnce(Option<Error>) + Send>;
/// One transaction; it is given none where it could not even begin. It answers whether it is to be kept.
pub(super) type Job = Box<dyn FnOnce(Option<&Transaction>) -> (bool, Reply) + Send>;

/// What the writer is asked to do.
pub(super) enum Work {
    /// Run this in the next commit.
    Transaction(Job),
    /// Look whether somebody else wrote to the file, and say when that is done.
    Look(oneshot::Sender<()>),
}

/// Transactions in one commit at most.
const GROUP: usize = 64;

/// Runs until every sender is gone.
pub(super) fn run(tx: &Transaction, mut queue: Receiver<Work>, hub: &Hub, counts: &WriterCounts) {
    let (mut seen, mut is_well) = (None, true);
    while let Some(work) = queue.blocking_recv() {
        let first = match work {
            Work::Transaction(job) => job,
            Work::Look(done) => {
                look(tx, &mut seen, hub, done);
                continue;
            }
        };
        let began = Instant::now();
        let mut replies = Vec::new();
        let mut marks = Marks::default();
        let mut wanted = None;
        if let Err(e) = control(tx, "BEGIN IMMEDIATE") {
            first(None).1(Some(e));
            continue;
        }
        let mut next = Some(first);
        while let Some(job) = next.take() {
            replies.push(one(tx, job, &mut marks));
            if replies.len() < GROUP && began.elapsed().as_millis() < 50 {
                next = match queue.try_recv() {
                    Ok(Work::Transaction(job)) => Some(job),
                    Ok(Work::Look(done)) => {
                        wanted = Some(done);
                        None
                    }
                    Err(_) => None,
                };
            }
        }
        let failure = control(tx, "COMMIT").err();
        if failure.is_some() {
            drop(control(tx, "ROLLBACK"));
        } else {
            hub.committed(marks);
        }
        counts.committed(replies.len(), failure.is_some());
        for (kept, reply) in replies {
            // What was rolled back by itself has its own answer; what was to be kept shares the commit's.
            let error = if kept { failure.as_ref().map(same) } else { None };
            reply(error);
        }
        // Said once, not at each commit: the words become log lines, whose commit fails like the others.
        match failure {
            Some(e) if std::mem::replace(&mut is_well, false) => {
                tracing::error!(error = %e, "a commit failed; its transactions were rolled back and told so, and so are those of the next ones that fail");
            }
            None if !std::mem::replace(&mut is_well, true) => tracing::info!("commits succeed again"),
            Some(_) | None => {}
        }
        if let Some(done) = wanted {
            look(tx, &mut seen, hub, done);
        }
    }
}

/// Looks whether somebody else wrote; where that can't be seen now, the next look shows it.
fn look(tx: &Transaction, seen: &mut Option<i64>, hub: &Hub, done: oneshot::Sender<()>) {
    if let Ok(version) = sqlite(tx).and_then(|inner| inner.data_version().map_err(|e| translate("signals/look", &e))) {
        hub.looked(version, seen);
    }
    // Whoever asked may be gone.
    let _ = done.send(());
}

/// The commit's failure, for each of those that shared it.
fn same(error: &Error) -> Error {
    match error {
        Error::Busy(said) => Error::Busy(said.clone()),
        Error::Storage(said) => Error::Storage(said.clone()),
        other => Error::Storage(other.to_string()),
    }
}

/// One transaction as a savepoint of the group; what others wait for goes to `marks` if it is kept.
fn one(tx: &Transaction, job: Job, marks: &mut Marks) -> (bool, Reply) {
    // A full disk can end the whole group's transaction. A savepoint would then commit on its own what the group's
    // COMMIT goes on to call failed, so nothing more is begun.
    if !sqlite(tx).is_ok_and(SqliteTransaction::has_begun) {
        let (_, reply) = job(None);
        return (
            false,
            Box::new(move |_| reply(Some(Error::Storage("an earlier write ended the transaction".to_owned())))),
        );
    }
    if let Err(e) = control(tx, "SAVEPOINT one") {
        let (_, reply) = job(None);
        return (false, Box::new(move |_| reply(Some(e))));
    }
    if let Ok(inner) = sqlite(tx) {
        inner.restart();
    }
    let Ok((keep, reply)) = std::panic::catch_unwind(AssertUnwindSafe(|| job(Some(tx)))) else {
        // The reply's sender was dropped by the panic: whoever waits is told that the work ended.
        drop(control(tx, "ROLLBACK TO one"));
        drop(control(tx, "RELEASE one"));
        return (false, Box::new(|_| {}));
    };
    if !keep {
        drop(control(tx, "ROLLBACK TO one"));
    }
    match control(tx, "RELEASE one") {
        Err(e) if keep => (false, Box::new(move |_| reply(Some(e)))),
        // What failed has its own answer, which says more than a savepoint that went with it.
        _ => {
            if keep && let Ok(inner) = sqlite(tx) {
                marks.add(inner.take_marks());
            }
            (keep, reply)
        }
    }
}

fn control(tx: &Transaction, sql: &str) -> Result<(), Error> {
    sqlite(tx)?.control(sql).map_err(|e| translate("transaction", &e))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::sync::{mpsc, oneshot};

    use super::{Job, Work, run};
    use crate::{
        Actor, Config, Error,
        metrics::WriterCounts,
        migrate,
        signals::Hub,
        sqlite::{Access, at_once, open, sqlite},
        system_logs::{self, NewLogLine},
        value::{now, time_text},
    };

    /// A transaction that writes a line of this length and says afterwards whether it stands.
    fn write(module: &'static str, length: usize) -> (Job, oneshot::Receiver<Result<u64, Error>>) {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            let Some(tx) = tx else {
                return (false, Box::new(move |e| drop(reply.send(Err(e.unwrap_or(Error::RolledBack))))));
            };
            let line = NewLogLine {
                id: uuid::Uuid::now_v7(),
                timestamp: time_text(now()),
                level: "info",
                module: module.to_owned(),
                message: "x".repeat(length),
                user_id: None,
                task_id: None,
                request_id: None,
                ip_address: None,
                user_agent: None,
                metadata: json!({}),
            };
            let done = at_once(Box::pin(async move { system_logs::append(&Actor::service(), tx, &[line]).await }));
            (done.is_ok(), Box::new(move |e| drop(reply.send(e.map_or(done, Err)))))
        });
        (job, answer)
    }

    /// A full disk in the middle of a group: nobody is told that something stands which does not, or the other way.
    #[tokio::test]
    async fn a_full_disk_leaves_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steward.db");
        migrate::migrate(&Config::from_url(&format!("sqlite://{}", path.display())).unwrap()).await.unwrap();
        let tx = open(&path, Access::Write, Duration::from_secs(5)).unwrap();
        {
            let plain = rusqlite::Connection::open(&path).unwrap();
            let pages: i64 = plain.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
            sqlite(&tx).unwrap().limit_pages(pages + 20);
        }
        let (sender, receiver) = mpsc::channel(8);
        let mut answers = Vec::new();
        for (module, length) in [("before", 10), ("too-much", 4_000_000), ("after", 10), ("after-that", 10)] {
            let (job, answer) = write(module, length);
            assert!(sender.send(Work::Transaction(job)).await.is_ok());
            answers.push((module, answer));
        }
        drop(sender);
        tokio::task::spawn_blocking(move || run(&tx, receiver, &Hub::default(), &WriterCounts::new())).await.unwrap();
        let plain = rusqlite::Connection::open(&path).unwrap();
        for (module, answer) in answers {
            let said = answer.await.unwrap();
            let stands: i64 =
                plain.query_row("SELECT count(*) FROM system_logs WHERE module = ?1", [module], |r| r.get(0)).unwrap();
            assert_eq!(said.is_ok(), stands == 1, "{module}: {said:?}, {stands} rows");
            if module == "too-much" {
                assert!(matches!(said, Err(Error::Storage(_))), "{said:?}");
            }
        }
    }
}
