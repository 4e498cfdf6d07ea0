//! Opening a claimed task: its run is found again or begun.

use store::{
    Actor, Store, Transaction,
    runs::{self, TaskRun},
    task_queue::Lease,
    tasks,
};

use super::{Work, Worker};
use crate::{Error, Result, playbook::sha256_hex, tasks as task_rules};

/// Loads a claimed task. `None`: no run of it is under way, and [`open`] must begin one.
pub async fn reopen(worker: &Worker, store: &Store, lease: &Lease) -> Result<Option<Work>> {
    let held = lease.clone();
    worker
        .under_lease(store, lease, move |tx, actor| {
            Box::pin(async move {
                let run = runs::list(&actor, tx, held.task_id).await?.into_iter().find(|r| r.state == "running");
                let Some(run) = run else { return Ok(None) };
                let work = load(&actor, tx, held, run).await?;
                if work.task.status == "pending" {
                    // A person took the task back and gave it anew: the old plan is not gone on with.
                    runs::finish(&actor, tx, work.run.id, "cancelled", Some("the task was given anew")).await?;
                    return Ok(None);
                }
                Ok(Some(work))
            })
        })
        .await
}

/// Begins a run of a claimed task with a playbook as it is now; the task is in progress from here.
pub async fn open(worker: &Worker, store: &Store, lease: &Lease, playbook: &str, source: &str) -> Result<Work> {
    let (held, playbook, source) = (lease.clone(), playbook.to_owned(), source.to_owned());
    worker
        .changing_task(store, lease, move |tx, actor, task| {
            Box::pin(async move {
                let task_id = task.id;
                if task.status == "pending" {
                    task_rules::move_to(&actor, tx, task, "in_progress", None).await?;
                }
                let id = runs::create(&actor, tx, task_id, &playbook, &source, &sha256_hex(&source)).await?;
                let run = runs::list(&actor, tx, task_id).await?.into_iter().find(|r| r.id == id);
                load(&actor, tx, held, run.ok_or_else(|| Error::NotFound(format!("run {id}")))?).await
            })
        })
        .await
}

async fn load(actor: &Actor, tx: &Transaction, lease: Lease, run: TaskRun) -> Result<Work> {
    let task_id = lease.task_id;
    let task = tasks::get(actor, tx, task_id).await?.ok_or_else(|| Error::NotFound(format!("task {task_id}")))?;
    let provenance = tasks::provenance(actor, tx, task_id).await?;
    let steps = runs::steps(actor, tx, run.id).await?;
    Ok(Work { lease, task, provenance, run, steps })
}
