//! From the commit of a ready task to its claim, on either database: one store commits, another hears of it and claims.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use store::{
    Actor, Config, Store,
    signals::Signal,
    task_queue,
    tasks::{self, NewTask},
};
use tokio::sync::oneshot;

use crate::{
    data,
    error::{Error, Result},
    measure::{Aim, Line, Series},
};

/// How long a claim may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the process that made the task ready.
    Same,
    /// In another: a store of its own.
    Other,
}

/// `times` wake-ups; each figure is one, in milliseconds. Nothing else may wait for the agent in this database.
pub(crate) async fn latency(config: &Config, times: usize, place: Place) -> Result<Line> {
    let person = Store::open(config).await?;
    let worker = if place == Place::Same { person.clone() } else { Store::open(config).await? };
    let mut heard = worker.signals();
    let agent = Actor::user(data::agent());
    let mut figures = Vec::new();
    for _ in 0..times {
        let (waits, is_waiting) = oneshot::channel();
        let (on, me) = (worker.clone(), agent.clone());
        let waiter = async {
            let _ = waits.send(());
            loop {
                let lease = task_queue::claim(&me, &on, "bench", SignedDuration::from_secs(60)).await?;
                if let Some(lease) = lease {
                    return Ok::<_, Error>((lease, Instant::now()));
                }
                while !matches!(heard.recv().await, Some(Signal::Ready | Signal::Missed)) {}
            }
        };
        let maker = async {
            // The waiter has looked and found nothing before the task is made.
            drop(is_waiting.await);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let new = NewTask { assigned_to: Some(data::agent()), ..NewTask::titled("wake up") };
            tasks::create(&Actor::user(data::user(1)), &person, &new).await?;
            Ok::<_, Error>(Instant::now())
        };
        let both = futures_util::future::try_join(waiter, maker);
        let ((lease, claimed), committed) =
            tokio::time::timeout(PATIENCE, both).await.map_err(|_| Error::Tool("nobody was woken".to_owned()))??;
        // The signal may arrive before the commit's answer does.
        figures.push(claimed.saturating_duration_since(committed).as_secs_f64() * 1000.0);
        let me = agent.clone();
        worker
            .transaction(move |tx| {
                Box::pin(async move {
                    let task = tasks::lock(&me, tx, lease.task_id).await?;
                    let mut task = task.ok_or(store::Error::RolledBack)?;
                    "completed".clone_into(&mut task.status);
                    tasks::set_status(&me, tx, &task).await.map(drop)
                })
            })
            .await?;
    }
    let process = if place == Place::Same { "same process" } else { "another process" };
    let work = format!("{}, wake-up: from commit of a ready task to its claim, {process}", person.engine_name());
    // A SQLite file is one process's; another that looks in notices by looking, a few tens of times a second.
    let aim = if place == Place::Other && person.engine_name() == "SQLite" { Aim::Shown } else { Aim::Under(5.0) };
    person.close().await;
    worker.close().await;
    Ok(Line { work, unit: "ms", ours: Series(figures), against: "", limit: Series::default(), aim })
}
