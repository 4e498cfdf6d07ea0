//! What leads the work on a task: the playbook it names, else one that is kept here, switched on and meant for such tasks, else a
//! language model.

use domain::{
    playbooks as rules,
    work::{self, Worker},
};
use serde_json::Value as Json;
use store::{
    playbooks,
    tasks::{self, Task},
};

use super::Employee;
use crate::{Error, Result};

/// Name and source of what leads a run.
type Lead = (String, String);

impl Employee {
    /// What leads the work on this task, or why nothing can.
    pub(super) async fn choose(&self, worker: &Worker, task: &Task) -> Result<Result<Lead, String>> {
        if let Some(name) = task.metadata.get("playbook").and_then(Json::as_str) {
            return self.named(worker, name).await;
        }
        if let Some(lead) = self.taking(worker, task).await? {
            return Ok(Ok(lead));
        }
        Ok(self.brief(worker, task).await?.ok_or_else(|| {
            "The task names no playbook, and no language model is set up: give it one, or do it yourself.".to_owned()
        }))
    }

    /// A playbook by name.
    async fn named(&self, worker: &Worker, name: &str) -> Result<Result<Lead, String>> {
        match self.library.find(&self.store, &worker.actor, name).await {
            Ok((playbook, source)) => Ok(Ok((playbook.name().to_owned(), source))),
            Err(domain::Error::Store(e)) => Err(e.into()),
            Err(e) => Ok(Err(e.to_string())),
        }
    }

    /// One that says of itself that this task is for it.
    async fn taking(&self, worker: &Worker, task: &Task) -> Result<Option<Lead>> {
        let kept = playbooks::in_use(&worker.actor, &self.store).await?;
        if kept.is_empty() {
            return Ok(None);
        }
        let provenance = tasks::provenance(&worker.actor, &self.store, task.id).await?;
        let facts = work::facts_of(task, provenance.is_some_and(|p| p.outside), store::now());
        let taking = tokio::task::spawn_blocking(move || rules::taking(&kept, &facts));
        taking.await.map_err(|e| Error::Internal(e.to_string()))
    }
}
