//! A dry run: every call that a playbook would make, and nothing is called. What calls would answer is assumed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{MAX_JOURNAL, Next, Outcome, OutcomeState, Playbook, SUBTASK, WAIT};

/// What would be done in one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryStep {
    /// The step's name.
    pub step: String,
    /// `call`, `wait`, `task` or `skip`.
    pub kind: &'static str,
    /// Server's name, of a call.
    pub server: String,
    /// Tool's name, of a call.
    pub tool: String,
    /// The arguments.
    pub arguments: Value,
    /// Why it is skipped.
    pub reason: Option<String>,
    /// Whether its answer was given, and not just assumed to be empty.
    pub is_given: bool,
}

/// How a dry run goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRun {
    /// What would be done, in order.
    pub steps: Vec<DryStep>,
    /// Whether it would be completed.
    pub completes: bool,
    /// The summary, or why it would fail.
    pub words: String,
}

/// Goes through a playbook as if every call succeeded. `answers` are what steps answer, by name: an MCP result, or any other
/// value as structured content. In a loop the name without its number counts for every turn.
pub fn dry_run(playbook: &Playbook, facts: &Value, answers: &BTreeMap<String, Value>) -> DryRun {
    let mut journal: Vec<Outcome> = Vec::new();
    let mut steps = Vec::new();
    if let Some(reason) = playbook.mismatch(facts) {
        return DryRun { steps, completes: false, words: format!("it is not for this task: {reason}") };
    }
    while journal.len() <= MAX_JOURNAL {
        let (step, kind, server, tool, arguments) = match playbook.next(facts, &journal) {
            Ok(Next::Call { step, server, tool, arguments } | Next::Again { step, server, tool, arguments, .. }) => {
                (step, "call", server, tool, arguments)
            }
            Ok(Next::Wait { step, arguments }) => (step, "wait", String::new(), WAIT.to_owned(), arguments),
            Ok(Next::Task { step, arguments }) => (step, "task", String::new(), SUBTASK.to_owned(), arguments),
            Ok(Next::Skip { step, reason }) => {
                journal.push(Outcome::new(step.clone(), OutcomeState::Skipped));
                steps.push(DryStep {
                    step,
                    kind: "skip",
                    server: String::new(),
                    tool: String::new(),
                    arguments: Value::Null,
                    reason: Some(reason),
                    is_given: false,
                });
                continue;
            }
            Ok(Next::Finish { summary }) => return DryRun { steps, completes: true, words: summary },
            Ok(Next::Fail { reason }) => return DryRun { steps, completes: false, words: reason },
            Err(error) => return DryRun { steps, completes: false, words: error.to_string() },
        };
        let plain = step.split('[').next().unwrap_or(&step);
        let given = answers.get(&step).or_else(|| answers.get(plain));
        let result = match given {
            Some(result) if result.get("content").is_some() || result.get("structuredContent").is_some() => {
                result.clone()
            }
            Some(Value::String(text)) => json!({ "content": [{ "type": "text", "text": text }] }),
            Some(data) => {
                json!({ "content": [{ "type": "text", "text": data.to_string() }], "structuredContent": data })
            }
            None if kind == "task" => json!({ "content": [], "structuredContent": { "task_id": Uuid::nil() } }),
            None => json!({ "content": [{ "type": "text", "text": "" }] }),
        };
        steps.push(DryStep {
            step: step.clone(),
            kind,
            server,
            tool,
            arguments: arguments.clone(),
            reason: None,
            is_given: given.is_some(),
        });
        journal.push(Outcome { step, arguments: Some(arguments), state: OutcomeState::Succeeded { result } });
    }
    DryRun { steps, completes: false, words: format!("it does more than {MAX_JOURNAL} steps") }
}
