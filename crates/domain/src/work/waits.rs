//! What a playbook waits for, and the tasks that it makes: each transaction first renews the lease.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};
use store::{
    Store,
    runs::{self, Step},
    tasks::{self, NewTask, Task},
};
use uuid::Uuid;

use super::{PlannedCall, Work, Worker, new_step};
use crate::{
    Error, Result,
    playbook::{OutcomeState, WAIT},
};

/// How deep sub-tasks may make sub-tasks.
const MAX_DEPTH: i64 = 5;
/// How often it is looked for what others do, at the most and at the least: seldom after a while.
const LOOK: (SignedDuration, SignedDuration) = (SignedDuration::from_millis(250), SignedDuration::from_secs(10));
/// The longest wait: 31 days.
const LONGEST_MINUTES: i64 = 31 * 24 * 60;
/// The longest answer of a wait, in bytes; of a longer one only the ids are kept.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Where a wait stands.
#[derive(Debug, Clone)]
pub enum Waited {
    /// It is over.
    Over {
        /// What later steps can look at, as an MCP result.
        result: Option<Json>,
        /// Why what was waited for did not come.
        error: Option<String>,
    },
    /// Not yet.
    Rest {
        /// When to look again, at the latest.
        at_most: SignedDuration,
    },
}

/// A wait's arguments with the moment at which it ends, as of `now`; or what is wrong with them.
pub fn planned(arguments: &Json, now: Timestamp) -> Result<Json, String> {
    let minutes = |name: &str| match arguments.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64().filter(|n| (1..=LONGEST_MINUTES).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(format!("{name} must be a whole number from 1 to {LONGEST_MINUTES}, and is {value}")),
        },
    };
    let longest = now + SignedDuration::from_mins(LONGEST_MINUTES);
    let mut planned = arguments.as_object().cloned().unwrap_or_default();
    let until = if let Some(n) = minutes("minutes")? {
        now + SignedDuration::from_mins(n)
    } else if let Some(until) = arguments.get("until") {
        let text = until.as_str().unwrap_or_default();
        let until: Timestamp =
            text.parse().map_err(|_| format!("until must be a moment such as 2026-11-27T12:00:00Z, and is {until}"))?;
        until
    } else {
        let n = minutes("at_most_minutes")?.ok_or("at_most_minutes is missing")?;
        now + SignedDuration::from_mins(n)
    };
    if until > longest {
        return Err(format!("{until:.0} is more than 31 days from now"));
    }
    if let Some(list) = arguments.get("tasks") {
        let ids = list.as_array().ok_or("tasks must be a list of ids")?;
        if ids.is_empty() || ids.len() > 200 || ids.iter().any(|id| id_of(id).is_none()) {
            return Err("tasks must be a list of 1 to 200 ids, as steps.<name>.data.task_id gives them".to_owned());
        }
    }
    planned.remove("minutes");
    planned.insert("until".to_owned(), json!(until));
    Ok(Json::Object(planned))
}

fn id_of(value: &Json) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

/// Whether a wait brought something from outside into the work: an event, or what other tasks say of themselves, which may
/// be of content from outside.
pub(super) fn brought_outside(step: &Step) -> bool {
    step.server.is_empty()
        && step.tool == WAIT
        && step.state == "succeeded"
        && serde_json::from_str::<Json>(&step.arguments)
            .is_ok_and(|a| a.get("watcher").is_some() || a.get("tasks").is_some())
}

fn answer(data: &Json) -> Json {
    json!({ "content": [{ "type": "text", "text": data.to_string() }], "structuredContent": data })
}

impl Worker {
    /// Journals a step that is begun and not ended.
    pub async fn journal_planned(&self, store: &Store, work: &Work, call: PlannedCall) -> Result<()> {
        let step = new_step(work, call, "planned", None, None);
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move { runs::add_step(&actor, tx, &step).await.map(drop).map_err(Into::into) })
        })
        .await
    }

    /// Journals a step with what came of it at once.
    pub async fn journal_ended(
        &self,
        store: &Store,
        work: &Work,
        call: PlannedCall,
        state: OutcomeState,
    ) -> Result<()> {
        let step = new_step(work, call, "planned", None, None);
        let (state, result, error) = match state {
            OutcomeState::Succeeded { result } => ("succeeded", Some(result.to_string()), None),
            OutcomeState::Failed { error } => ("failed", None, Some(error)),
            OutcomeState::Denied { reason: words } | OutcomeState::Changes { words } => ("denied", None, Some(words)),
            OutcomeState::Skipped => ("skipped", None, None),
        };
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let id = runs::add_step(&actor, tx, &step).await?;
                runs::end_step(&actor, tx, id, state, result.as_deref(), error.as_deref())
                    .await
                    .map(drop)
                    .map_err(Into::into)
            })
        })
        .await
    }

    /// Looks whether what a step waits for has come.
    pub async fn look(&self, store: &Store, work: &Work, step: &Step, now: Timestamp) -> Result<Waited> {
        let arguments: Json = serde_json::from_str(&step.arguments).unwrap_or_default();
        let until: Option<Timestamp> = arguments.get("until").and_then(Json::as_str).and_then(|t| t.parse().ok());
        let Some(until) = until else {
            return Ok(Waited::Over { result: None, error: Some("it is not known how long to wait".to_owned()) });
        };
        let over = now >= until;
        let rest = |most: SignedDuration| Waited::Rest { at_most: until.duration_since(now).min(most) };
        let look = (now.duration_since(step.created_at) / 4).clamp(LOOK.0, LOOK.1);
        if let Some(ids) = arguments.get("tasks").and_then(Json::as_array) {
            let waited = self.look_at_tasks(store, ids.iter().filter_map(id_of).collect()).await?;
            return Ok(match waited {
                Some(waited) => waited,
                None if over => late("the tasks were not done in time"),
                None => rest(look),
            });
        }
        if let Some(watcher) = arguments.get("watcher").and_then(Json::as_str) {
            let contains = arguments.get("contains").and_then(Json::as_str).unwrap_or_default().to_lowercase();
            let source = format!("watcher:{watcher}");
            let came = tasks::of_source(&self.actor, store, &source, step.created_at).await?;
            let came = came.into_iter().find(|t| t.id != work.task.id && text_of(t).to_lowercase().contains(&contains));
            return Ok(match came {
                Some(task) => Waited::Over { result: Some(answer(&seen(&task))), error: None },
                None if over => late("nothing like it came in time"),
                None => rest(look),
            });
        }
        Ok(if over {
            Waited::Over { result: Some(answer(&json!({ "waited_until": until }))), error: None }
        } else {
            rest(SignedDuration::MAX)
        })
    }

    /// `None`: some are still at work.
    async fn look_at_tasks(&self, store: &Store, ids: Vec<Uuid>) -> Result<Option<Waited>> {
        let mut summaries = Map::new();
        for id in ids {
            let Some(task) = tasks::get(&self.actor, store, id).await? else {
                return Ok(Some(late(&format!("there is no task {id} any more"))));
            };
            match task.status.as_str() {
                "completed" => {
                    let summary = task.metadata.get("summary").cloned().unwrap_or_default();
                    summaries.insert(id.to_string(), json!({ "title": task.title, "summary": summary }));
                }
                "failed" | "cancelled" => {
                    let why =
                        task.metadata.get("failure_reason").and_then(Json::as_str).unwrap_or("no reason was given");
                    return Ok(Some(late(&format!("the task {:?} {}: {why}", task.title, task.status))));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Waited::Over { result: Some(answer(&json!({ "tasks": summaries }))), error: None }))
    }

    /// Makes a task of the employee's own, and notes it, in one transaction: it is there once, whatever happens between. It
    /// belongs to whoever wants the task it is a part of, and what that works on is what it works on.
    pub async fn add_subtask(&self, store: &Store, work: &Work, call: PlannedCall, arguments: &Json) -> Result<()> {
        let new = match subtask(work, arguments) {
            Ok(new) => new,
            Err(reason) => {
                return self.journal_ended(store, work, call, OutcomeState::Failed { error: reason }).await;
            }
        };
        let step = new_step(work, call, "planned", None, None);
        let (outside, source) = (work.is_outside(), format!("playbook:{}", work.run.playbook));
        let parent = work.task.id;
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let new = NewTask { assigned_to: actor.user_id(), ..new };
                let step_id = runs::add_step(&actor, tx, &step).await?;
                let id = tasks::create(&actor, tx, &new).await?;
                tasks::add_provenance(&actor, tx, id, outside, &source, json!({ "parent_task_id": parent })).await?;
                let result = answer(&json!({ "task_id": id })).to_string();
                runs::end_step(&actor, tx, step_id, "succeeded", Some(&result), None).await?;
                Ok::<_, Error>(())
            })
        })
        .await
    }
}

fn late(words: &str) -> Waited {
    Waited::Over { result: None, error: Some(words.to_owned()) }
}

fn text_of(task: &Task) -> String {
    format!("{}\n{}\n{}", task.title, task.description.as_deref().unwrap_or_default(), task.metadata)
}

/// What a playbook sees of an event that it waited for.
fn seen(task: &Task) -> Json {
    let part = |name: &str| task.metadata.get(name).cloned().unwrap_or(Json::Null);
    let whole = json!({
        "task_id": task.id, "title": task.title, "description": task.description, "event": part("event"), "file": part("file"),
    });
    if whole.to_string().len() > MAX_ANSWER_BYTES { json!({ "task_id": task.id, "title": task.title }) } else { whole }
}

/// The task that a step asks for; or what is wrong with it.
fn subtask(work: &Work, arguments: &Json) -> Result<NewTask, String> {
    let text = |name: &str| match arguments.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{name} must be text, and is {other}")),
    };
    let depth = work.task.metadata.get("depth").and_then(Json::as_i64).unwrap_or(0) + 1;
    if depth > MAX_DEPTH {
        return Err(format!("tasks of tasks go {MAX_DEPTH} levels deep at most"));
    }
    let title = text("title")?.filter(|t| !t.trim().is_empty()).ok_or("the task needs a title")?;
    let title: String = title.chars().take(255).collect();
    let mut dependencies = Vec::new();
    for id in arguments.get("after").and_then(Json::as_array).into_iter().flatten() {
        dependencies.push(id_of(id).ok_or("after must be a list of ids, as steps.<name>.data.task_id gives them")?);
    }
    let mut metadata = Map::new();
    for name in ["file", "event", "watcher"] {
        if let Some(fact) = work.task.metadata.get(name) {
            metadata.insert(name.to_owned(), fact.clone());
        }
    }
    if let Some(playbook) = text("playbook")? {
        metadata.insert("playbook".to_owned(), playbook.into());
    }
    if let Some(kind) = text("kind")? {
        crate::tasks::check_kind(&kind).map_err(|e| e.to_string())?;
        metadata.insert("kind".to_owned(), kind.into());
    }
    metadata.insert("parent_task_id".to_owned(), json!(work.task.id));
    metadata.insert("depth".to_owned(), json!(depth));
    let priority = text("priority")?.unwrap_or_else(|| work.task.priority.clone());
    if !["low", "medium", "high", "critical"].contains(&priority.as_str()) {
        return Err(format!("the priority must be low, medium, high or critical, and is {priority:?}"));
    }
    Ok(NewTask {
        description: text("description")?,
        priority,
        dependencies,
        metadata: Json::Object(metadata),
        ..NewTask::titled(title)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::planned;

    #[test]
    fn a_wait_ends_at_a_moment() {
        let now = "2026-11-27T12:00:00Z".parse().unwrap();
        assert_eq!(planned(&json!({"minutes": 5}), now).unwrap(), json!({"until": "2026-11-27T12:05:00Z"}));
        let until = json!({"until": "2026-11-28T00:00:00+01:00"});
        assert_eq!(planned(&until, now).unwrap(), json!({"until": "2026-11-27T23:00:00Z"}));
        let event = planned(&json!({"watcher": "inbox", "at_most_minutes": 1}), now).unwrap();
        assert_eq!(event, json!({"watcher": "inbox", "at_most_minutes": 1, "until": "2026-11-27T12:01:00Z"}));
        for (wrong, word) in [
            (json!({"minutes": 0}), "whole number"),
            (json!({"minutes": "5"}), "whole number"),
            (json!({"until": "soon"}), "moment"),
            (json!({"until": "2030-01-01T00:00:00Z"}), "31 days"),
            (json!({"tasks": ["x"], "at_most_minutes": 1}), "ids"),
            (json!({"tasks": []}), "at_most_minutes"),
        ] {
            let said = planned(&wrong, now).unwrap_err();
            assert!(said.contains(word), "{wrong}: {said}");
        }
    }
}
