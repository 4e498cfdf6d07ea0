//! Reads what a step does: a call, a wait, a task to be made or a loop; how a call is tried again, and how it is taken back.

use super::super::check::Scope;
use super::super::template::{Expression, MAX_DEPTH, Tree};
use super::super::yaml::{Node, Yaml};
use super::super::{Each, MAX_JOURNAL, Retry, SUBTASK, Step, Undo, WAIT};
use super::parts::{MAX_TOOL_BYTES, is_name};
use super::{Fields, MAX_NAME_CHARS, Reader};

/// The most entries that a loop may go through.
const MAX_TURNS: usize = 200;
/// The most further tries of a call.
const MAX_RETRIES: u64 = 10;
/// The longest pause before the first of them, in seconds.
const MAX_AFTER_S: u64 = 3600;
/// The longest wait, in minutes: 31 days.
const MAX_WAIT_MINUTES: u64 = 31 * 24 * 60;
/// The longest name of a step whose name in the record is a longer one, in characters.
const MAX_LONGER_NAME_CHARS: usize = 80;

const WAIT_FIELDS: &[&str] = &["minutes", "until", "tasks", "watcher", "contains", "at_most_minutes"];
const TASK_FIELDS: &[&str] = &["title", "description", "playbook", "kind", "priority", "after"];

/// What a step does.
pub(super) struct More {
    pub server: String,
    pub tool: String,
    pub arguments: Tree,
    pub each: Option<Each>,
}

impl Reader<'_> {
    /// Exactly one of the four.
    pub(super) fn what_it_does(&mut self, fields: &Fields<'_>, name: Option<&str>, scope: &mut Scope) -> Option<More> {
        let special: Vec<&str> =
            ["wait", "task", "for_each"].into_iter().filter(|field| fields.get(field).is_some()).collect();
        let calls = ["server", "tool", "arguments", "retry", "undo"];
        if let [field, rest @ ..] = special.as_slice()
            && let Some(other) = rest.first().or(calls.iter().find(|call| fields.get(call).is_some()))
        {
            self.error(fields.at, format!("a step with `{field}` has no `{other}`; make two steps of it"));
            return None;
        }
        for field in ["as", "at_most", "steps"] {
            if fields.get("for_each").is_none()
                && let Some(node) = fields.get(field)
            {
                self.error(node.at, format!("`{field}` belongs to `for_each`, which is missing here"));
            }
        }
        let name_is_longer = ["for_each", "retry", "undo"].iter().any(|field| fields.get(field).is_some());
        if (name_is_longer || !scope.locals.is_empty()) && name.is_some_and(|n| n.len() > MAX_LONGER_NAME_CHARS) {
            self.error(fields.at, format!("the name of such a step has at most {MAX_LONGER_NAME_CHARS} characters"));
        }
        match special.first() {
            Some(&"wait") => self.wait(fields.get("wait")?, scope),
            Some(&"task") => self.task(fields.get("task")?, scope),
            Some(_) => self.each(fields, scope),
            None => self.call(fields, scope),
        }
    }

    fn call(&mut self, fields: &Fields<'_>, scope: &Scope) -> Option<More> {
        let server =
            self.required(fields, "server", "a step").and_then(|node| self.fixed(node, "server", MAX_NAME_CHARS));
        let tool = self.required(fields, "tool", "a step").and_then(|node| self.fixed(node, "tool", MAX_TOOL_BYTES));
        let arguments = self.arguments(fields, scope);
        Some(More { server: server?, tool: tool?, arguments: arguments?, each: None })
    }

    fn arguments(&mut self, fields: &Fields<'_>, scope: &Scope) -> Option<Tree> {
        match fields.get("arguments") {
            None => Some(Tree::Object(Vec::new())),
            Some(node) if matches!(node.value, Yaml::Map(_)) => self.tree(node, scope, MAX_DEPTH),
            Some(node) => {
                self.error(
                    node.at,
                    format!("`arguments` must be a mapping (`name: value`), and this is {}", node.value.kind()),
                );
                None
            }
        }
    }

    fn wait(&mut self, node: &Node, scope: &Scope) -> Option<More> {
        let fields = self.fields(node, "`wait`", WAIT_FIELDS)?;
        let kinds: Vec<&str> =
            ["minutes", "until", "tasks", "watcher"].into_iter().filter(|f| fields.get(f).is_some()).collect();
        if kinds.len() != 1 {
            self.error(node.at, "`wait` needs one of `minutes`, `until`, `tasks` and `watcher`");
            return None;
        }
        let for_others = matches!(kinds.as_slice(), ["tasks" | "watcher"]);
        if for_others && fields.get("at_most_minutes").is_none() {
            self.error(
                node.at,
                "a wait for somebody else needs `at_most_minutes`; what never comes is not waited for without end",
            );
        }
        if !for_others && let Some(other) = fields.get("at_most_minutes") {
            self.error(other.at, "`at_most_minutes` is for `tasks` and `watcher`; this wait ends by itself");
        }
        if kinds != ["watcher"]
            && let Some(other) = fields.get("contains")
        {
            self.error(other.at, "`contains` is for `watcher`");
        }
        for field in ["minutes", "at_most_minutes"] {
            if let Some(node) = fields.get(field)
                && matches!(node.value, Yaml::Number(_))
            {
                self.whole(node, field, 1, MAX_WAIT_MINUTES);
            }
        }
        let arguments = self.tree(node, scope, MAX_DEPTH)?;
        Some(More { server: String::new(), tool: WAIT.to_owned(), arguments, each: None })
    }

    fn task(&mut self, node: &Node, scope: &Scope) -> Option<More> {
        let fields = self.fields(node, "`task`", TASK_FIELDS)?;
        self.required(&fields, "title", "`task`");
        if let Some(playbook) = fields.get("playbook") {
            // Known before it runs, like a server and a tool.
            self.fixed(playbook, "playbook", MAX_NAME_CHARS);
        }
        let arguments = self.tree(node, scope, MAX_DEPTH)?;
        Some(More { server: String::new(), tool: SUBTASK.to_owned(), arguments, each: None })
    }

    fn each(&mut self, fields: &Fields<'_>, scope: &mut Scope) -> Option<More> {
        let list = fields.get("for_each").and_then(|node| self.list(node, scope));
        let bind = match fields.get("as") {
            None => "item".to_owned(),
            Some(node) => {
                let name = self.text(node, "as", MAX_NAME_CHARS)?;
                let taken = [
                    "task", "file", "event", "watcher", "now", "vars", "choice", "steps", "failure", "index", "outside",
                ];
                if !is_name(&name) || taken.contains(&name.as_str()) {
                    self.error(
                        node.at,
                        format!(
                            "{name:?} cannot name an entry; use letters, digits and `_`, and none of {}",
                            taken.join(", ")
                        ),
                    );
                }
                name
            }
        };
        let at_most = self
            .required(fields, "at_most", "a loop")
            .and_then(|node| self.whole(node, "at_most", 1, u64::try_from(MAX_TURNS).unwrap_or(u64::MAX)));
        let known = scope.steps.len();
        scope.locals = vec![bind.clone(), "index".to_owned()];
        let steps = self.required(fields, "steps", "a loop").map_or_else(Vec::new, |node| self.steps(node, scope));
        scope.locals.clear();
        // Behind the loop they are seen in its results alone.
        scope.steps.truncate(known);
        let at_most = usize::try_from(at_most?).unwrap_or(MAX_TURNS);
        let arguments = Tree::Object(Vec::new());
        Some(More {
            server: String::new(),
            tool: String::new(),
            arguments,
            each: Some(Each { list: list?, bind, at_most, steps }),
        })
    }

    /// An expression that gives a list, without braces.
    fn list(&mut self, node: &Node, scope: &Scope) -> Option<Expression> {
        let source = self.text(node, "for_each", super::super::MAX_SOURCE_BYTES)?.trim().to_owned();
        if source.starts_with("{{") {
            self.error(node.at, "\"for_each\" is an expression already; leave out `{{` and `}}`");
            return None;
        }
        match Expression::parse(&source) {
            Ok(expression) => {
                self.references(node.at.of(self.source, &source, 0), &source, scope);
                Some(expression)
            }
            Err(reason) => {
                self.error(node.at, format!("\"for_each\" cannot be read: {reason} (in `{source}`)"));
                None
            }
        }
    }

    pub(super) fn retry(&mut self, fields: &Fields<'_>) -> Option<Retry> {
        let node = fields.get("retry")?;
        let inner = self.fields(node, "`retry`", &["times", "after_s"])?;
        let times =
            self.required(&inner, "times", "`retry`").and_then(|node| self.whole(node, "times", 1, MAX_RETRIES));
        let after_s = match inner.get("after_s") {
            None => Some(10),
            Some(node) => self.whole(node, "after_s", 1, MAX_AFTER_S),
        };
        Some(Retry { times: u32::try_from(times?).unwrap_or(0), after_s: after_s? })
    }

    pub(super) fn undo(&mut self, fields: &Fields<'_>, scope: &Scope) -> Option<Undo> {
        let node = fields.get("undo")?;
        let inner = self.fields(node, "`undo`", &["server", "tool", "arguments"])?;
        let More { server, tool, arguments, .. } = self.call(&inner, scope)?;
        Some(Undo { server, tool, arguments })
    }

    /// A whole number within bounds.
    fn whole(&mut self, node: &Node, field: &str, least: u64, most: u64) -> Option<u64> {
        let number = match &node.value {
            Yaml::Number(number) => number.as_u64(),
            _ => None,
        };
        let good = number.filter(|n| (least..=most).contains(n));
        if good.is_none() {
            self.error(node.at, format!("{field:?} must be a whole number from {least} to {most}"));
        }
        good
    }

    /// A run's record is bounded: what all steps can come to, each loop at its most.
    pub(super) fn bounded(&mut self, node: &Node, steps: &[Step]) {
        fn most(steps: &[Step]) -> usize {
            steps
                .iter()
                .map(|step| {
                    let tries = 1 + step.retry.map_or(0, |r| usize::try_from(r.times).unwrap_or(0));
                    let inner = step.each.as_ref().map_or(1, |each| each.at_most.saturating_mul(most(&each.steps)));
                    tries.max(inner) + usize::from(step.undo.is_some())
                })
                .fold(0, usize::saturating_add)
        }
        let most = most(steps);
        if most > MAX_JOURNAL {
            self.error(
                node.at,
                format!("this can come to {most} steps, at most {MAX_JOURNAL} are possible; lower `at_most`, or make sub-tasks"),
            );
        }
    }
}
