//! Loops, and taking back: the parts of the interpreter that go through steps more than once, or backwards.

use minijinja::value::Value as Jinja;
use serde_json::{Map, Value, json};

use super::error::PlaybookRunError;
use super::run::{Run, Visit, failure_of};
use super::template::jinja;
use super::{Each, MAX_RESULT_BYTES, Next, OutcomeState, Step};

/// The longest pause before a further try, in seconds.
pub(super) const MAX_PAUSE_S: u64 = 3600;

/// A call that takes a step back. Its arguments were worked out when the step had succeeded, with what was known then.
pub(super) struct Due {
    step: String,
    server: String,
    tool: String,
    arguments: Result<Value, String>,
}

impl<'p> Run<'p> {
    /// A loop: its steps for each entry of the list, one entry after another.
    pub(super) fn each(&mut self, step: &'p Step, each: &'p Each) -> Result<Visit, PlaybookRunError> {
        if let Some(reason) = self.holds_not(step, None)? {
            let Some(outcome) = self.journal.get(self.at) else {
                return Ok(Visit::Due(Next::Skip { step: step.name.clone(), reason }));
            };
            if outcome.step != step.name || outcome.state != OutcomeState::Skipped {
                return Err(self.wrong_entry(outcome, format!("step {:?}, skipped", step.name)));
            }
            self.at += 1;
            self.steps.insert(step.name.clone(), jinja(&json!({ "state": "skipped" })));
            return Ok(Visit::Went);
        }
        let place = format!("the list of step {:?}", step.name);
        let list = each.list.eval(&self.context(None)).map_err(|e| e.at(place))?;
        let wrong = |error: String| Ok(Visit::Failed(failure_of(step, &step.name, false, error)));
        let Value::Array(items) = list else {
            return wrong(format!("`{}` is no list", each.list.source));
        };
        if items.len() > each.at_most {
            return wrong(format!(
                "the list has {} entries, and at most {} are gone through",
                items.len(),
                each.at_most
            ));
        }
        let outer = (self.base.get(&each.bind).cloned(), self.base.get("index").cloned());
        let mut results: Vec<Value> = Vec::new();
        let mut size = 0;
        for (at, item) in items.iter().enumerate() {
            self.base.insert(each.bind.clone(), jinja(item));
            self.base.insert("index".to_owned(), Jinja::from(at + 1));
            if let Some(next) = self.through(&each.steps, &format!("[{}]", at + 1))? {
                return Ok(match next {
                    Next::Fail { reason } => Visit::Due(Next::Fail { reason }),
                    due => Visit::Due(due),
                });
            }
            let mut seen = Map::new();
            for inner in &each.steps {
                let known = self.steps.get(&inner.name).and_then(|value| serde_json::to_value(value).ok());
                seen.insert(inner.name.clone(), known.unwrap_or_default());
            }
            let mut result = Value::Object(seen);
            size += result.to_string().len();
            if size > MAX_RESULT_BYTES {
                // As with one large result: how it went is known, and no more.
                if let Some(map) = result.as_object_mut() {
                    map.values_mut().for_each(|seen| *seen = json!({ "state": seen["state"] }));
                }
            }
            results.push(result);
        }
        for (name, value) in [(each.bind.as_str(), outer.0), ("index", outer.1)] {
            match value {
                Some(value) => self.base.insert(name.to_owned(), value),
                None => self.base.remove(name),
            };
        }
        let not_run = jinja(&json!({ "state": "not_run" }));
        for inner in &each.steps {
            self.steps.insert(inner.name.clone(), not_run.clone());
        }
        let seen = json!({ "state": "succeeded", "count": results.len(), "results": results });
        self.steps.insert(step.name.clone(), jinja(&seen));
        Ok(Visit::Went)
    }

    /// Notes how a step that succeeded is taken back.
    pub(super) fn remember_undo(&mut self, step: &Step, name: &str) {
        let Some(undo) = &step.undo else { return };
        let arguments = undo.arguments.eval(&self.context(None));
        self.undo.push(Due {
            step: format!("undo {name}"),
            server: undo.server.clone(),
            tool: undo.tool.clone(),
            arguments: arguments.map_err(|e| e.at(format!("what takes back step {name:?}")).to_string()),
        });
    }

    /// Whether there is something to take back after this error: one in the journal itself says that nothing is known.
    pub(super) fn can_take_back(&self, error: &PlaybookRunError) -> bool {
        !self.undo.is_empty() && !matches!(error, PlaybookRunError::Journal { .. })
    }

    /// Takes back what succeeded, the last first, and then fails. What can't be taken back is told, and the rest goes on.
    pub(super) fn take_back(&mut self, reason: &str) -> Result<Next, PlaybookRunError> {
        let mut left: Vec<String> = Vec::new();
        let mut back = 0;
        for due in std::mem::take(&mut self.undo).into_iter().rev() {
            let arguments = match due.arguments {
                Ok(arguments) => arguments,
                Err(why) => {
                    left.push(format!("{} ({why})", due.step));
                    continue;
                }
            };
            let Some(outcome) = self.journal.get(self.at) else {
                return Ok(Next::Call { step: due.step, server: due.server, tool: due.tool, arguments });
            };
            if outcome.step != due.step {
                return Err(self.wrong_entry(outcome, format!("step {:?}", due.step)));
            }
            self.at += 1;
            match &outcome.state {
                OutcomeState::Succeeded { result } if result.get("isError") != Some(&Value::Bool(true)) => back += 1,
                OutcomeState::Failed { error } => left.push(format!("{} ({error})", due.step)),
                OutcomeState::Denied { reason: words } | OutcomeState::Changes { words } => {
                    left.push(format!("{} ({words})", due.step));
                }
                OutcomeState::Succeeded { .. } | OutcomeState::Skipped => left.push(due.step),
            }
        }
        let taken = match back {
            0 => String::new(),
            1 => " (1 step before it was taken back)".to_owned(),
            n => format!(" ({n} of the steps before it were taken back)"),
        };
        let left = if left.is_empty() {
            String::new()
        } else {
            format!(" — not taken back, please look: {}", left.join("; "))
        };
        let reason = format!("{reason}{taken}{left}");
        Ok(Next::Fail { reason })
    }
}
