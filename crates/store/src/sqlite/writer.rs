//! The writer's thread: transactions wait in a queue, and up to 64 of them share one durable commit.

use std::{panic::AssertUnwindSafe, time::Instant};

use tokio::sync::mpsc::Receiver;

use super::{SqliteTransaction, sqlite, translate};
use crate::{Error, run::Transaction};

/// What is told to whoever waits, once the commit stands or failed.
pub(super) type Reply = Box<dyn FnOnce(Option<Error>) + Send>;
/// One transaction; it is given none where it could not even begin. It answers whether it is to be kept.
pub(super) type Job = Box<dyn FnOnce(Option<&Transaction>) -> (bool, Reply) + Send>;

/// Transactions in one commit at most.
const GROUP: usize = 64;

/// Runs until every sender is gone.
pub(super) fn run(tx: &Transaction, mut jobs: Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let began = Instant::now();
        let mut replies = Vec::new();
        if let Err(e) = control(tx, "BEGIN IMMEDIATE") {
            first(None).1(Some(e));
            continue;
        }
        let mut next = Some(first);
        while let Some(job) = next.take() {
            replies.push(one(tx, job));
            if replies.len() < GROUP && began.elapsed().as_millis() < 50 {
                next = jobs.try_recv().ok();
            }
        }
        let mut failure = control(tx, "COMMIT").err();
        if failure.is_some() {
            drop(control(tx, "ROLLBACK"));
        }
        for (kept, reply) in replies {
            // What was rolled back by itself has its own answer; what was to be kept shares the commit's.
            let error = if kept { failure.as_ref().map(ToString::to_string).map(Error::Storage) } else { None };
            reply(error);
        }
        if let Some(e) = failure.take() {
            tracing::error!(error = %e, "a commit failed; its transactions were rolled back and told so");
        }
    }
}

/// One transaction as a savepoint of the group.
fn one(tx: &Transaction, job: Job) -> (bool, Reply) {
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
        Ok(()) => (keep, reply),
        Err(e) => (false, Box::new(move |_| reply(Some(e)))),
    }
}

fn control(tx: &Transaction, sql: &str) -> Result<(), Error> {
    sqlite(tx)?.control(sql).map_err(|e| translate("transaction", &e))
}
