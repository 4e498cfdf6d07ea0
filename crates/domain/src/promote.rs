//! Work that a model led, made into a playbook draft that does the same without it.

use serde_json::Value as Json;
use store::{
    Actor, Store,
    runs::{self, Step, TaskRun},
    tasks::{self, Task},
};
use uuid::Uuid;

use crate::{
    Error, Result, brain, deceit,
    playbook::draft::{self, Draft, Made},
    work,
};

/// The longest name of a playbook, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The run of a task that a playbook can be made of: the newest that a model led to its end.
pub fn finished_run(runs: &[TaskRun]) -> Option<&TaskRun> {
    runs.iter().find(|run| run.state == "completed" && brain::leading_model(&run.playbook).is_some())
}

/// Makes a draft of what was done for a task; nothing is kept. Without a name it is called after the task.
pub async fn promote(store: &Store, actor: &Actor, task_id: Uuid, name: Option<&str>) -> Result<Draft> {
    let task = crate::tasks::get(store, actor, task_id).await?;
    let runs = runs::list(actor, store, task_id).await?;
    let run = finished_run(&runs).ok_or_else(|| {
        Error::Conflict(
            "a playbook is made of work that a model led to its end, and this task has no such run".to_owned(),
        )
    })?;
    let name = match name {
        Some(name) => checked(name)?,
        None => name_of(&task),
    };
    let steps = runs::steps(actor, store, run.id).await?;
    let is_outside = tasks::provenance(actor, store, task_id).await?.is_some_and(|p| p.outside);
    let facts = work::facts_of(&task, is_outside, run.started_at);
    let origin = format!(
        "Made of the task {task_id}, “{}”, as a model did it on {}",
        task.title,
        run.started_at.strftime("%Y-%m-%d")
    );
    let made: Vec<Made> = steps.iter().filter(|s| is_made(s)).map(made).collect();
    // A summary did nothing that would be missing.
    let other = steps.iter().filter(|s| !is_made(s) && brain::summary::stretch_of(s).is_none());
    let left_out: Vec<String> = other.map(why_left_out).collect();
    // Many values are looked for in many texts.
    let drafted = tokio::task::spawn_blocking(move || draft::draft(&name, &origin, &facts, &made)).await;
    let mut drafted =
        drafted.map_err(|e| Error::Conflict(format!("the draft could not be made: {e}")))?.map_err(Error::Conflict)?;
    drafted.remarks.extend(left_out);
    Ok(drafted)
}

fn is_made(step: &Step) -> bool {
    step.state == "succeeded" && step.server != brain::OWN_SERVER && !step.server.is_empty()
}

fn made(step: &Step) -> Made {
    let read = |text: &str| serde_json::from_str(text).unwrap_or(Json::Null);
    Made {
        server: step.server.clone(),
        tool: step.tool.clone(),
        arguments: read(&step.arguments),
        result: step.result.as_deref().map(read).unwrap_or_default(),
    }
}

fn why_left_out(step: &Step) -> String {
    if step.server == brain::OWN_SERVER {
        let answer = step.result.as_deref().and_then(|r| serde_json::from_str::<Json>(r).ok());
        let answer = answer.and_then(|a| a["answer"].as_str().map(|a| a.chars().take(200).collect::<String>()));
        return match answer {
            Some(answer) if step.tool == brain::ASK_PERSON => {
                format!(
                    "left out: a person was asked and answered “{}”; what followed from it stays as it was",
                    deceit::legible(&answer)
                )
            }
            _ => format!("left out: what no playbook does ({})", step.tool),
        };
    }
    format!(
        "left out: {} of {}, which came to nothing ({})",
        deceit::legible(&step.tool),
        deceit::legible(&step.server),
        step.state
    )
}

/// The name, if a playbook may bear it.
pub fn checked(name: &str) -> Result<String> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || !is_plain {
        let message = format!("the name of a playbook has 1 to {MAX_NAME_CHARS} letters, digits, -, _ and .");
        return Err(Error::invalid("name", message));
    }
    Ok(name.to_owned())
}

/// A name after the watcher, or the task.
fn name_of(task: &Task) -> String {
    let watcher = task.metadata.pointer("/watcher/name").and_then(Json::as_str);
    let words = watcher.map_or_else(|| task.title.clone(), |watcher| format!("{watcher} {}", task.title));
    let mut name = String::new();
    for c in words.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.chars().take(40).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "promoted".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn a_name_is_plain() {
        assert!(checked("answer-mail.v2").is_ok());
        for bad in ["", "a b", "ä", "../x", &"x".repeat(101)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
