//! The interpreter: replays the journal over the playbook and says what is due where the journal ends. A pure
//! function, so that it answers the same before and after a crash.

use std::collections::BTreeMap;

use minijinja::value::Value as Jinja;
use serde_json::{Map, Value, json};

use super::canonical::{canonical_json, depth};
use super::error::{EvalError, PlaybookRunError};
use super::matcher::Fit;
use super::template::{MAX_DEPTH, MAX_VALUE_BYTES, jinja};
use super::{MAX_RESULT_BYTES, Next, Outcome, OutcomeState, Playbook, Reaction, Retry, SUBTASK, Step, WAIT, repeat};

pub(super) fn next(playbook: &Playbook, facts: &Value, journal: &[Outcome]) -> Result<Next, PlaybookRunError> {
    let mut run = Run::new(playbook, facts, journal)?;
    let next = match run.replay() {
        // What was done is taken back, whatever it is that the run fails of.
        Ok(Next::Fail { reason }) => run.take_back(&reason)?,
        Err(error) if run.can_take_back(&error) => run.take_back(&error.to_string())?,
        other => other?,
    };
    let over = matches!(next, Next::Finish { .. } | Next::Fail { .. });
    match journal.get(run.at) {
        Some(extra) if over => Err(run.wrong_entry(extra, "nothing".to_owned())),
        _ => Ok(next),
    }
}

/// The name under which a step sees what a person wants to be different.
const CHANGES: &str = "changes";
/// How often a person's wish for changes has a step asked for again; after that it counts as denied.
const MOST_CHANGES: usize = 5;

/// Facts and values as expressions see them before any step.
pub(super) fn facts_context(facts: &Value, vars: &Map<String, Value>) -> Jinja {
    let mut base = roots(facts);
    base.insert("vars".to_owned(), jinja(vars));
    Jinja::from(base)
}

fn roots(facts: &Value) -> BTreeMap<String, Jinja> {
    let entries = facts.as_object().into_iter().flatten();
    // Nobody asked for changes yet.
    let changes = [(CHANGES.to_owned(), Jinja::from(""))];
    changes.into_iter().chain(entries.map(|(name, fact)| (name.clone(), jinja(fact)))).collect()
}

pub(super) struct Run<'p> {
    pub(super) playbook: &'p Playbook,
    pub(super) journal: &'p [Outcome],
    /// The journal's next entry.
    pub(super) at: usize,
    /// What expressions see, `steps` and `failure` aside.
    pub(super) base: BTreeMap<String, Jinja>,
    pub(super) steps: BTreeMap<String, Jinja>,
    /// What the last step left to be seen.
    pub(super) last: Map<String, Value>,
    /// What takes back the steps that succeeded, in their order.
    pub(super) undo: Vec<repeat::Due>,
}

/// How one step went, as far as the journal knows.
pub(super) enum Visit {
    /// The journal ends here: this is due.
    Due(Next),
    /// It succeeded or was skipped.
    Went,
    /// It failed or was denied.
    Failed(Failure),
}

pub(super) struct Failure {
    pub(super) denied: bool,
    pub(super) error: String,
    /// The reason a task fails with where the playbook gives none.
    pub(super) reason: String,
    /// What expressions see as `failure`.
    pub(super) seen: Jinja,
}

impl<'p> Run<'p> {
    fn new(playbook: &'p Playbook, facts: &'p Value, journal: &'p [Outcome]) -> Result<Self, PlaybookRunError> {
        if !facts.is_object() {
            return Err(PlaybookRunError::Facts { playbook: playbook.name.clone() });
        }
        let mut vars = Map::new();
        for (name, tree) in &playbook.vars {
            let value =
                tree.eval(&facts_context(facts, &vars)).map_err(|e| e.at(format!("the value \"vars.{name}\"")))?;
            vars.insert(name.clone(), value);
        }
        let mut choice = json!({ "rule": null, "captures": {} });
        for rule in &playbook.choose {
            let place = |what: &str| format!("{what} of rule {:?} under `choose`", rule.name);
            let context = facts_context(facts, &vars);
            if let Fit::Yes(captures) = rule.matcher.judge(facts, &context).map_err(|e| e.at(place("the condition")))? {
                choice = json!({ "rule": rule.name, "captures": captures });
                let mut base = roots(facts);
                base.insert("vars".to_owned(), jinja(&vars));
                base.insert("choice".to_owned(), jinja(&choice));
                let context = Jinja::from(base);
                for (name, tree) in &rule.set {
                    let value = tree.eval(&context).map_err(|e| e.at(place(&format!("{name:?}"))))?;
                    vars.insert(name.clone(), value);
                }
                break;
            }
        }
        let mut base = roots(facts);
        base.insert("vars".to_owned(), jinja(&vars));
        base.insert("choice".to_owned(), jinja(&choice));
        let not_run = jinja(&json!({ "state": "not_run" }));
        let steps = playbook.all_steps().into_iter().map(|step| (step.name.clone(), not_run.clone())).collect();
        Ok(Self { playbook, journal, at: 0, base, steps, last: Map::new(), undo: Vec::new() })
    }

    fn replay(&mut self) -> Result<Next, PlaybookRunError> {
        let playbook = self.playbook;
        let next = self.through(&playbook.steps, "")?;
        Ok(next.unwrap_or_else(|| Next::Finish { summary: self.summary() }))
    }

    /// Goes through steps in order: what is due, or `None` behind the last of them. `suffix` tells the turns of a loop apart.
    pub(super) fn through(&mut self, steps: &'p [Step], suffix: &str) -> Result<Option<Next>, PlaybookRunError> {
        for step in steps {
            let visit = match &step.each {
                Some(each) => self.each(step, each)?,
                None => self.visit(step, suffix, None)?,
            };
            match visit {
                Visit::Due(next) => return Ok(Some(next)),
                Visit::Went => {}
                Visit::Failed(failure) => {
                    if let Some(next) = self.react(step, suffix, &failure)? {
                        return Ok(Some(next));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Reads one step's outcome from the journal, or says what is due; a call that failed may be tried again.
    pub(super) fn visit(
        &mut self,
        step: &'p Step,
        suffix: &str,
        failure: Option<&Jinja>,
    ) -> Result<Visit, PlaybookRunError> {
        let visit = self.tried(step, suffix, failure);
        self.base.insert(CHANGES.to_owned(), Jinja::from(""));
        visit
    }

    fn tried(&mut self, step: &'p Step, suffix: &str, failure: Option<&Jinja>) -> Result<Visit, PlaybookRunError> {
        let name = format!("{}{suffix}", step.name);
        let mut visit = self.once(step, &name, failure)?;
        let retry = step.retry.unwrap_or(Retry { times: 0, after_s: 0 });
        for number in 0..retry.times {
            if !matches!(&visit, Visit::Failed(failure) if !failure.denied) {
                break;
            }
            let again = format!("{name}~{}", number + 2);
            match self.journal.get(self.at) {
                None => {
                    let after_s = retry.after_s.saturating_mul(1 << number.min(16)).min(repeat::MAX_PAUSE_S);
                    return Ok(Visit::Due(Next::Again {
                        step: again,
                        server: step.server.clone(),
                        tool: step.tool.clone(),
                        arguments: self.arguments(step, failure)?,
                        after_s,
                    }));
                }
                // It may not be made again: what failed has failed.
                Some(outcome) if outcome.state == OutcomeState::Skipped && outcome.step == again => {
                    self.at += 1;
                    break;
                }
                Some(_) => visit = self.once(step, &again, failure)?,
            }
        }
        if matches!(visit, Visit::Went) && self.last.get("state") == Some(&Value::from("succeeded")) {
            self.remember_undo(step, &name);
        }
        Ok(visit)
    }

    /// One try of a step, asked for again as often as a person wants it otherwise.
    fn once(&mut self, step: &Step, name: &str, failure: Option<&Jinja>) -> Result<Visit, PlaybookRunError> {
        for time in 0..=MOST_CHANGES {
            let Some(outcome) = self.journal.get(self.at) else {
                return self.due(step, name, failure).map(Visit::Due);
            };
            if outcome.step != name {
                return Err(self.wrong_entry(outcome, format!("step {name:?}")));
            }
            self.at += 1;
            let OutcomeState::Changes { words } = &outcome.state else {
                return self.settled(step, name, failure, outcome);
            };
            if time == MOST_CHANGES || !self.asks_otherwise(step, name, failure, outcome, words) {
                break;
            }
        }
        match self.journal.get(self.at.wrapping_sub(1)) {
            Some(outcome) => self.settled(step, name, failure, outcome),
            None => self.due(step, name, failure).map(Visit::Due),
        }
    }

    /// Whether the step asks for something else once it knows what a person wants; it knows from here on.
    fn asks_otherwise(
        &mut self,
        step: &Step,
        name: &str,
        failure: Option<&Jinja>,
        outcome: &Outcome,
        words: &str,
    ) -> bool {
        let refused = outcome.arguments.clone().or_else(|| self.arguments(step, failure).ok());
        self.base.insert(CHANGES.to_owned(), Jinja::from(words));
        match self.due(step, name, failure) {
            Ok(Next::Call { arguments, .. }) => {
                refused.is_none_or(|refused| canonical_json(&refused) != canonical_json(&arguments))
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// What an outcome means for what follows.
    fn settled(
        &mut self,
        step: &Step,
        name: &str,
        failure: Option<&Jinja>,
        outcome: &Outcome,
    ) -> Result<Visit, PlaybookRunError> {
        let mut seen = Map::new();
        if outcome.state != OutcomeState::Skipped {
            let arguments = match &outcome.arguments {
                Some(sent) => sent.clone(),
                None => self.arguments(step, failure)?,
            };
            seen.insert("arguments".to_owned(), arguments);
        }
        let failed = match &outcome.state {
            OutcomeState::Skipped => {
                seen.insert("state".to_owned(), "skipped".into());
                None
            }
            OutcomeState::Succeeded { result } => {
                let text = text_of(result);
                if result.get("isError") == Some(&Value::Bool(true)) {
                    Some((
                        false,
                        if text.is_empty() { "the tool reported an error without a word".to_owned() } else { text },
                    ))
                } else {
                    see_result(&mut seen, result, text);
                    None
                }
            }
            OutcomeState::Failed { error } => Some((false, error.clone())),
            OutcomeState::Denied { reason: words } | OutcomeState::Changes { words } => Some((true, words.clone())),
        };
        let visit = match failed {
            None => Visit::Went,
            Some((denied, error)) => {
                let state = if denied { "denied" } else { "failed" };
                seen.insert("state".to_owned(), state.into());
                seen.insert("error".to_owned(), error.clone().into());
                Visit::Failed(failure_of(step, name, denied, error))
            }
        };
        self.steps.insert(step.name.clone(), jinja(&seen));
        self.last = seen;
        Ok(visit)
    }

    /// What a step that has not run yet asks for.
    fn due(&self, step: &Step, name: &str, failure: Option<&Jinja>) -> Result<Next, PlaybookRunError> {
        if let Some(reason) = self.holds_not(step, failure)? {
            return Ok(Next::Skip { step: name.to_owned(), reason });
        }
        let (step_name, arguments) = (name.to_owned(), self.arguments(step, failure)?);
        Ok(match (step.server.as_str(), step.tool.as_str()) {
            ("", WAIT) => Next::Wait { step: step_name, arguments },
            ("", SUBTASK) => Next::Task { step: step_name, arguments },
            _ => Next::Call { step: step_name, server: step.server.clone(), tool: step.tool.clone(), arguments },
        })
    }

    /// Why a step is not done, where its condition does not hold.
    pub(super) fn holds_not(&self, step: &Step, failure: Option<&Jinja>) -> Result<Option<String>, PlaybookRunError> {
        let Some(when) = &step.when else { return Ok(None) };
        let place = || format!("the condition of step {:?}", step.name);
        let holds = when.holds(&self.context(failure)).map_err(|e| e.at(place()))?;
        Ok((!holds).then(|| format!("its condition `{}` does not hold", when.source)))
    }

    fn arguments(&self, step: &Step, failure: Option<&Jinja>) -> Result<Value, PlaybookRunError> {
        let place = || format!("the arguments of step {:?}", step.name);
        let arguments = step.arguments.eval(&self.context(failure)).map_err(|e| e.at(place()))?;
        let levels = depth(&arguments);
        if levels > MAX_DEPTH {
            let reason = format!("they nest {levels} levels deep, at most {MAX_DEPTH} are possible");
            return Err(EvalError::new("arguments", reason).at(place()));
        }
        let size = canonical_json(&arguments).len();
        if size > MAX_VALUE_BYTES {
            return Err(PlaybookRunError::TooLarge { what: place(), size, limit: MAX_VALUE_BYTES });
        }
        Ok(arguments)
    }

    /// What follows a failure: something to do, or `None` to go on with the next step.
    pub(super) fn react(
        &mut self,
        step: &'p Step,
        suffix: &str,
        failure: &Failure,
    ) -> Result<Option<Next>, PlaybookRunError> {
        let playbook = self.playbook;
        let reaction: Option<&'p Reaction> = if failure.denied {
            step.on_denied.as_ref().or(playbook.on_denied.as_ref())
        } else {
            step.on_failure.as_ref().or(playbook.on_failure.as_ref())
        };
        let Some(reaction) = reaction else {
            return Ok(Some(Next::Fail { reason: failure.reason.clone() }));
        };
        for inner in &reaction.steps {
            match self.visit(inner, suffix, Some(&failure.seen))? {
                Visit::Due(next) => return Ok(Some(next)),
                Visit::Went => {}
                Visit::Failed(second) => {
                    let reason =
                        format!("{}. What should have followed did not work either: {}", failure.reason, second.reason);
                    return Ok(Some(Next::Fail { reason }));
                }
            }
        }
        if reaction.go_on {
            return Ok(None);
        }
        // The step's failure is what people must hear of, even if the sentence about it cannot be made.
        let reason = match reaction.reason.as_ref().map(|template| template.text(&self.context(Some(&failure.seen)))) {
            Some(Ok(reason)) => reason,
            Some(Err(_)) if failure.error.is_empty() => failure.reason.clone(),
            Some(Err(error)) => format!("{}. ({})", failure.reason, error.at("The playbook's own `reason`")),
            None => failure.reason.clone(),
        };
        Ok(Some(Next::Fail { reason }))
    }

    /// What was done. The work stands, so a summary that cannot be made does not undo it.
    fn summary(&self) -> String {
        let done = self.journal.iter().filter(|o| matches!(o.state, OutcomeState::Succeeded { .. })).count();
        // Steps of a loop, and those that followed a failure, are done as often as it takes: of how many says nothing then.
        let (all, has_loop) = (self.playbook.steps.len(), self.playbook.steps.iter().any(|s| s.each.is_some()));
        let of = if has_loop || done > all { String::new() } else { format!(" of {all}") };
        let plain = format!("{}: {done}{of} steps done", self.playbook.name);
        match self.playbook.finish.as_ref().map(|template| template.text(&self.context(None))) {
            None => plain,
            Some(Ok(summary)) => summary,
            Some(Err(error)) => format!("{plain}. ({})", error.at("The playbook's own `finish`")),
        }
    }

    pub(super) fn context(&self, failure: Option<&Jinja>) -> Jinja {
        let mut context = self.base.clone();
        context.insert("steps".to_owned(), Jinja::from(self.steps.clone()));
        if let Some(failure) = failure {
            context.insert("failure".to_owned(), failure.clone());
        }
        Jinja::from(context)
    }

    pub(super) fn wrong_entry(&self, outcome: &Outcome, expected: String) -> PlaybookRunError {
        PlaybookRunError::Journal { entry: self.at + 1, found: outcome.step.clone(), expected }
    }
}

/// What is known of a failure.
pub(super) fn failure_of(step: &Step, name: &str, denied: bool, error: String) -> Failure {
    let state = if denied { "denied" } else { "failed" };
    Failure {
        denied,
        reason: default_reason(step, denied, &error),
        seen: jinja(&json!({ "step": name, "state": state, "error": error })),
        error,
    }
}

/// A person's own words stand as they are; they are the task's reason.
fn default_reason(step: &Step, denied: bool, error: &str) -> String {
    match (denied, error.trim().is_empty()) {
        (true, false) => error.to_owned(),
        (true, true) => format!("step {:?}{} was not allowed", step.name, called(step)),
        (false, _) => format!("step {:?}{} failed: {error}", step.name, called(step)),
    }
}

fn called(step: &Step) -> String {
    if step.server.is_empty() { String::new() } else { format!(" ({}.{})", step.server, step.tool) }
}

/// Puts a result where later steps can look at it; one that is too large keeps its state alone.
pub(super) fn see_result(seen: &mut Map<String, Value>, result: &Value, text: String) {
    seen.insert("state".to_owned(), "succeeded".into());
    if result.to_string().len() > MAX_RESULT_BYTES {
        return;
    }
    let data = match result.get("structuredContent") {
        Some(data) if !data.is_null() => data.clone(),
        _ => serde_json::from_str::<Value>(&text).ok().filter(|v| v.is_object() || v.is_array()).unwrap_or_default(),
    };
    seen.insert("data".to_owned(), data);
    seen.insert("text".to_owned(), text.into());
    seen.insert("result".to_owned(), result.clone());
}

/// The texts of an MCP result, one below the other.
pub(super) fn text_of(result: &Value) -> String {
    let parts = result.get("content").and_then(Value::as_array).into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    texts.join("\n")
}
