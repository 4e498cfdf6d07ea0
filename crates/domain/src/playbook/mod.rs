//! Playbooks: written steps that need no model. `parse` reads one from YAML and names every mistake with its line;
//! [`Playbook::next`] then says what is to be done next, from nothing but the task's facts and the journal of what was
//! done. It keeps no state, reads no clock and draws no lots, so that a run goes on after a crash by replaying the
//! journal. `docs/playbooks.md` is the format's manual.

mod canonical;
mod check;
pub mod draft;
pub mod dry;
mod error;
pub(crate) mod glob;
mod matcher;
mod read;
mod repeat;
mod run;
mod scan;
mod template;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_draft;
#[cfg(test)]
mod tests_more;
#[cfg(test)]
mod tests_run;
mod yaml;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use canonical::{canonical_json, sha256_hex};
pub use error::{PlaybookError, PlaybookRunError};
use matcher::{Fit, Matcher};
pub use template::MAX_VALUE_BYTES;
use template::{Expression, Template, Tree};

/// The largest source of a playbook, in bytes.
pub const MAX_SOURCE_BYTES: usize = 256 * 1024;
/// The most steps a playbook may have, those of its reactions to failure included.
pub const MAX_STEPS: usize = 100;
/// The largest result of a step that later steps can look at, in bytes of JSON.
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;

/// A playbook that was read and found correct.
#[derive(Debug, Clone)]
pub struct Playbook {
    name: String,
    description: Option<String>,
    matcher: Matcher,
    results_are_outside: bool,
    vars: Vec<(String, Tree)>,
    choose: Vec<Choice>,
    steps: Vec<Step>,
    on_failure: Option<Reaction>,
    on_denied: Option<Reaction>,
    finish: Option<Template>,
}

/// A rule that picks values: the first that fits.
#[derive(Debug, Clone)]
struct Choice {
    name: String,
    matcher: Matcher,
    set: Vec<(String, Tree)>,
}

/// The tool of a step that waits; its server is empty.
pub const WAIT: &str = "wait";
/// The tool of a step that makes a task; its server is empty.
pub const SUBTASK: &str = "task";
/// The most entries that a run's journal can have, loops and further tries counted.
pub const MAX_JOURNAL: usize = 900;

/// One call of a tool; or a wait, a task to be made, or a loop.
#[derive(Debug, Clone)]
struct Step {
    name: String,
    /// Empty where nothing outside is called.
    server: String,
    tool: String,
    when: Option<Expression>,
    arguments: Tree,
    each: Option<Each>,
    retry: Option<Retry>,
    undo: Option<Undo>,
    on_failure: Option<Reaction>,
    on_denied: Option<Reaction>,
}

/// Steps done once for each entry of a list.
#[derive(Debug, Clone)]
struct Each {
    list: Expression,
    bind: String,
    at_most: usize,
    steps: Vec<Step>,
}

/// How often a failed call is tried again, if the owner says that its tool may be.
#[derive(Debug, Clone, Copy)]
struct Retry {
    times: u32,
    after_s: u64,
}

/// The call that takes a step back when the run fails later.
#[derive(Debug, Clone)]
struct Undo {
    server: String,
    tool: String,
    arguments: Tree,
}

/// What follows when a step failed, or was not allowed.
#[derive(Debug, Clone, Default)]
struct Reaction {
    steps: Vec<Step>,
    go_on: bool,
    reason: Option<Template>,
}

/// A step as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepSummary<'a> {
    /// The step's name, unique in the playbook.
    pub name: &'a str,
    /// The MCP server's name.
    pub server: &'a str,
    /// The tool's name.
    pub tool: &'a str,
}

/// What became of one step; the journal is a list of these, in the order in which [`Playbook::next`] asked for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The step's name.
    pub step: String,
    /// The arguments that were really sent, where they are known: a person may have edited them. Without them the
    /// playbook's own are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// How it ended.
    #[serde(flatten)]
    pub state: OutcomeState,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OutcomeState {
    /// The tool answered. An MCP result that says `isError` counts as failed.
    Succeeded {
        /// The MCP result: `{"content": […], "structuredContent": …, "isError": …}`.
        result: Value,
    },
    /// The tool, or the way to it, failed.
    Failed {
        /// Why, for people.
        error: String,
    },
    /// The policy or a person said no, or nobody decided in time.
    Denied {
        /// The person's note, or the rule.
        reason: String,
    },
    /// A person wants the call otherwise. The step is asked for again with `changes` set, or counts as denied where it
    /// would ask for the same.
    Changes {
        /// What should be different, in the person's words.
        words: String,
    },
    /// The step's condition did not hold.
    Skipped,
}

impl Outcome {
    /// An outcome whose arguments are those the playbook asked for.
    pub fn new(step: impl Into<String>, state: OutcomeState) -> Self {
        Self { step: step.into(), arguments: None, state }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Next {
    /// Call a tool, if the policy or a person allows it, and add its outcome to the journal.
    Call {
        /// The step's name.
        step: String,
        /// The MCP server's name.
        server: String,
        /// The tool's name.
        tool: String,
        /// An object; at most [`MAX_VALUE_BYTES`] as canonical text.
        arguments: Value,
    },
    /// The same call again, after it failed: at the earliest so long after it did, and only where the tool may be repeated;
    /// where it may not, add [`OutcomeState::Skipped`] under this name.
    Again {
        /// The step's name, with the number of the try.
        step: String,
        /// The MCP server's name.
        server: String,
        /// The tool's name.
        tool: String,
        /// As before.
        arguments: Value,
        /// Seconds to wait.
        after_s: u64,
    },
    /// Wait, and add an outcome when it is over.
    Wait {
        /// The step's name.
        step: String,
        /// `{"minutes": …}`, `{"until": …}`, `{"tasks": […], "at_most_minutes": …}` or `{"watcher": …, "contains": …,
        /// "at_most_minutes": …}`.
        arguments: Value,
    },
    /// Make a task, and add an outcome with its id.
    Task {
        /// The step's name.
        step: String,
        /// `{"title": …, "playbook": …, "description": …, "kind": …, "priority": …, "after": […]}`.
        arguments: Value,
    },
    /// Nothing to call: add [`OutcomeState::Skipped`] to the journal.
    Skip {
        /// The step's name.
        step: String,
        /// Why, for people.
        reason: String,
    },
    /// All is done.
    Finish {
        /// What was done, for people.
        summary: String,
    },
    /// The task has failed.
    Fail {
        /// Why, for people. A person's note, where a person said no.
        reason: String,
    },
}

/// Reads a playbook. Every mistake is reported, in the order of the lines.
pub fn parse(source: &str) -> Result<Playbook, Vec<PlaybookError>> {
    read::playbook(source)
}

impl Playbook {
    /// The playbook's name: letters, digits, `-`, `_` and `.`, at most 100.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in its author's words.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whether it asks nothing of a task, and so fits every one.
    pub fn fits_all(&self) -> bool {
        self.matcher.is_empty()
    }

    /// Whether what tools answer counts as content from outside, as it does where a model leads.
    pub fn results_are_outside(&self) -> bool {
        self.results_are_outside
    }

    /// Every step, reactions to failure included, in the order of the source.
    pub fn steps(&self) -> Vec<StepSummary<'_>> {
        self.all_steps().into_iter().map(|s| StepSummary { name: &s.name, server: &s.server, tool: &s.tool }).collect()
    }

    /// Why this playbook is not for a task with these facts, or `None` when it is.
    pub fn mismatch(&self, facts: &Value) -> Option<String> {
        let context = run::facts_context(facts, &Map::new());
        match self.matcher.judge(facts, &context) {
            Ok(Fit::Yes(_)) => None,
            Ok(Fit::No(reason)) => Some(reason),
            Err(error) => Some(error.at("`match`").to_string()),
        }
    }

    /// What is to be done next. The same facts and journal give the same answer, always. An error is final: it means
    /// that the playbook cannot be applied to these facts.
    pub fn next(&self, facts: &Value, journal: &[Outcome]) -> Result<Next, PlaybookRunError> {
        run::next(self, facts, journal)
    }

    fn all_steps(&self) -> Vec<&Step> {
        fn add<'s>(steps: &'s [Step], all: &mut Vec<&'s Step>) {
            for step in steps {
                all.push(step);
                if let Some(each) = &step.each {
                    add(&each.steps, all);
                }
                for reaction in [&step.on_failure, &step.on_denied].into_iter().flatten() {
                    all.extend(&reaction.steps);
                }
            }
        }
        let mut all = Vec::new();
        add(&self.steps, &mut all);
        for reaction in [&self.on_failure, &self.on_denied].into_iter().flatten() {
            all.extend(&reaction.steps);
        }
        all
    }
}
