//! The journal as the playbook reads it.

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use store::{runs::Step, tasks::Task};

use super::Work;
use crate::playbook::{Outcome, OutcomeState};

/// Under which name the person's words stand in a step's result.
const CHANGES: &str = "changes";

/// What a playbook may know of its task; the same for the whole of a run.
pub fn facts(work: &Work) -> Json {
    facts_of(&work.task, work.is_outside(), work.run.started_at)
}

/// The same of a task, for a run that began at `now`.
pub fn facts_of(task: &Task, is_outside: bool, now: Timestamp) -> Json {
    let metadata = &task.metadata;
    let part = |name: &str| metadata.get(name).cloned().unwrap_or(Json::Null);
    json!({
        "task": {
            "id": task.id,
            "title": task.title,
            "description": task.description,
            "priority": task.priority,
            "tags": task.tags,
            "created_at": task.created_at,
            "due_date": task.due_date,
        },
        "file": part("file"),
        "event": part("event"),
        "watcher": part("watcher"),
        "outside": is_outside,
        "now": now,
    })
}

/// What the journal keeps of a call that a person wants otherwise, beside its state `denied`.
pub fn sent_back(words: &str) -> String {
    json!({ CHANGES: words }).to_string()
}

/// What a person wants to be different, where a call ended with that.
pub fn changes_asked(step: &Step) -> Option<String> {
    let result = step.result.as_deref().filter(|_| step.state == "denied")?;
    serde_json::from_str::<Json>(result).ok()?.get(CHANGES)?.as_str().map(str::to_owned)
}

/// The ended steps as outcomes, in order.
pub fn outcomes(steps: &[Step]) -> Vec<Outcome> {
    steps.iter().filter_map(outcome).collect()
}

/// An ended step as an outcome.
pub(crate) fn outcome(step: &Step) -> Option<Outcome> {
    let why = || step.error.clone().unwrap_or_else(|| step.state.clone());
    let state = match step.state.as_str() {
        "succeeded" => OutcomeState::Succeeded {
            result: step.result.as_deref().and_then(|r| serde_json::from_str(r).ok()).unwrap_or(Json::Null),
        },
        "failed" => OutcomeState::Failed { error: why() },
        "denied" => match changes_asked(step) {
            Some(words) => OutcomeState::Changes { words },
            None => OutcomeState::Denied { reason: why() },
        },
        "skipped" => OutcomeState::Skipped,
        _ => return None,
    };
    Some(Outcome { step: step.name.clone(), arguments: serde_json::from_str(&step.arguments).ok(), state })
}

/// The step that has not ended, if there is one: the last.
pub fn pending_step(steps: &[Step]) -> Option<&Step> {
    steps.last().filter(|s| !matches!(s.state.as_str(), "succeeded" | "failed" | "denied" | "skipped"))
}
