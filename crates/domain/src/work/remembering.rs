//! What a model notes and asks to be reminded of: the step and what came of it, in one transaction that first renews the lease.

use serde_json::{Value as Json, json};
use store::{
    Store,
    memories::{self, NewMemory},
    runs::{self, Step},
};

use super::{PlannedCall, Work, Worker, new_step};
use crate::{
    Result,
    brain::{OWN_SERVER, RECALL},
    memory::{self, MOST},
    tasks as task_rules,
};

/// Whether a step brought to mind what was learned from outside content.
pub(super) fn recalled_outside(step: &Step) -> bool {
    step.server == OWN_SERVER
        && step.tool == RECALL
        && step
            .result
            .as_deref()
            .and_then(|result| serde_json::from_str::<Json>(result).ok())
            // What can't be read is not trusted.
            .is_some_and(|result| {
                result["facts"].as_array().is_none_or(|facts| facts.iter().any(|f| f["outside"] != false))
            })
}

impl Worker {
    /// Notes a fact for the work of whoever wants this task. It keeps the mark of what the work is on.
    pub async fn remember(&self, store: &Store, work: &Work, call: PlannedCall, content: String) -> Result<()> {
        let step = new_step(work, call, "planned", None, None);
        let (task, outside) = (work.task.clone(), work.is_outside());
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let step_id = runs::add_step(&actor, tx, &step).await?;
                let refused = match task_rules::wanted_by(&actor, tx, &task).await? {
                    None => "the task belongs to nobody any more, so there is nobody for whom to remember it",
                    Some(person) => {
                        let known = memories::told(&actor, tx, person).await?;
                        let is_known = known.iter().any(|m| m.content == content);
                        if is_known || known.len() < MOST {
                            let new = NewMemory {
                                content,
                                user_id: Some(person),
                                source: "task",
                                outside,
                                task_id: Some(task.id),
                                step_id: Some(step_id),
                            };
                            if !is_known {
                                memories::create(&actor, tx, &new).await?;
                            }
                            let result = json!({ "noted": !is_known }).to_string();
                            runs::end_step(&actor, tx, step_id, "succeeded", Some(&result), None).await?;
                            return Ok(());
                        }
                        "the memory is full; a person must forget something first"
                    }
                };
                runs::end_step(&actor, tx, step_id, "denied", None, Some(refused)).await?;
                Ok(())
            })
        })
        .await
    }

    /// Looks for facts, and writes down what was found.
    pub async fn recall(&self, store: &Store, work: &Work, call: PlannedCall, query: String) -> Result<()> {
        let step = new_step(work, call, "planned", None, None);
        let task = work.task.clone();
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let step_id = runs::add_step(&actor, tx, &step).await?;
                let known = match task_rules::wanted_by(&actor, tx, &task).await? {
                    Some(person) => memories::told(&actor, tx, person).await?,
                    None => Vec::new(),
                };
                let result = json!({ "facts": memory::found(known, &query) }).to_string();
                runs::end_step(&actor, tx, step_id, "succeeded", Some(&result), None).await?;
                Ok(())
            })
        })
        .await
    }
}
