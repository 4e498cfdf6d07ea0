//! Reads the parts of a playbook that have an order: values, choices, steps and reactions.

use super::super::check::Scope;
use super::super::error::did_you_mean;
use super::super::matcher::Matcher;
use super::super::template::{MAX_DEPTH, Tree};
use super::super::yaml::{Node, Yaml};
use super::super::{Choice, MAX_STEPS, Reaction, Step};
use super::more::More;
use super::{MAX_NAME_CHARS, Reader};

/// The longest name of a tool, in bytes.
pub(super) const MAX_TOOL_BYTES: usize = 255;
/// The most values and the most rules a playbook may have.
const MAX_ENTRIES: usize = 200;

const CHOICE: &[&str] = &["name", "if", "set"];
const STEP: &[&str] = &[
    "name",
    "server",
    "tool",
    "when",
    "arguments",
    "retry",
    "undo",
    "wait",
    "task",
    "for_each",
    "as",
    "at_most",
    "steps",
    "on_failure",
    "on_denied",
];
/// Of a step within a loop: loops do not nest.
const LOOP_STEP: &[&str] =
    &["name", "server", "tool", "when", "arguments", "retry", "undo", "wait", "task", "on_failure", "on_denied"];
const INNER_STEP: &[&str] = &["name", "server", "tool", "when", "arguments"];
const REACTION: &[&str] = &["steps", "then", "reason"];
const WHOLE_REACTION: &[&str] = &["steps", "reason"];

/// Every step's name, wherever it stands, so that a step that comes later can be told from one that does not exist.
pub(super) fn step_names(root: &Node) -> Vec<String> {
    fn collect(node: &Node, names: &mut Vec<String>) {
        let Yaml::Map(entries) = &node.value else { return };
        for (key, value) in entries {
            match (key.name.as_str(), &value.value) {
                ("steps", Yaml::List(steps)) => {
                    for step in steps {
                        if let Yaml::Map(fields) = &step.value {
                            names.extend(fields.iter().filter_map(|(key, value)| match &value.value {
                                Yaml::Text(name) if key.name == "name" => Some(name.clone()),
                                _ => None,
                            }));
                        }
                        collect(step, names);
                    }
                }
                ("on_failure" | "on_denied", _) => collect(value, names),
                _ => {}
            }
        }
    }
    let mut names = Vec::new();
    collect(root, &mut names);
    names
}

/// Whether expressions can write this name after a dot.
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= MAX_NAME_CHARS
}

impl Reader<'_> {
    pub(super) fn vars(&mut self, node: Option<&Node>, scope: &mut Scope) -> Vec<(String, Tree)> {
        let Some(node) = node else { return Vec::new() };
        let Some(entries) = self.entries(node, "`vars`") else { return Vec::new() };
        if entries.len() > MAX_ENTRIES {
            self.error(node.at, format!("`vars` has {} values, at most {MAX_ENTRIES} are possible", entries.len()));
            return Vec::new();
        }
        let mut vars = Vec::new();
        for (key, value) in entries {
            if !is_name(&key.name) {
                self.error(
                    key.at,
                    format!("{:?} cannot name a value; use letters, digits and `_`, and start with a letter", key.name),
                );
            }
            if let Some(tree) = self.tree(value, scope, MAX_DEPTH) {
                vars.push((key.name.clone(), tree));
            }
            // Known from here on even if its own text was wrong: one mistake is reported once.
            scope.vars.push(key.name.clone());
        }
        vars
    }

    pub(super) fn choose(&mut self, node: Option<&Node>, scope: &mut Scope) -> Vec<Choice> {
        let Some(node) = node else { return Vec::new() };
        let Yaml::List(items) = &node.value else {
            self.error(node.at, format!("`choose` must be a list of rules, and this is {}", node.value.kind()));
            return Vec::new();
        };
        if items.is_empty() || items.len() > MAX_ENTRIES {
            self.error(node.at, format!("`choose` has {} rules; 1 to {MAX_ENTRIES} are possible", items.len()));
            return Vec::new();
        }
        let mut choices: Vec<Choice> = Vec::new();
        for (i, item) in items.iter().enumerate() {
            if i > 0 && choices.last().is_some_and(|last| last.matcher.is_empty()) {
                self.error(item.at, "this rule is never reached, since the one before it has no `if` and always fits; move that one to the end");
            }
            if let Some(choice) = self.choice(item, i, scope) {
                choices.push(choice);
            }
        }
        self.choices_complete(node, items.len(), &choices, scope);
        let mut captures: Vec<String> = Vec::new();
        for choice in &choices {
            captures
                .extend(choice.matcher.name_regex.iter().flat_map(|r| r.capture_names().flatten()).map(str::to_owned));
            scope.vars.extend(choice.set.iter().map(|(name, _)| name.clone()));
        }
        scope.captures = Some(captures);
        choices
    }

    fn choice(&mut self, node: &Node, index: usize, scope: &Scope) -> Option<Choice> {
        let fields = self.fields(node, "a rule of `choose`", CHOICE)?;
        let name = match fields.get("name") {
            Some(node) => self.text(node, "name", MAX_NAME_CHARS)?,
            None => format!("rule {}", index + 1),
        };
        let matcher = match fields.get("if") {
            Some(node) => self.matcher(node, "if", scope),
            None => Matcher::default(),
        };
        let mut inner = scope.clone();
        inner.captures =
            Some(matcher.name_regex.iter().flat_map(|r| r.capture_names().flatten()).map(str::to_owned).collect());
        let mut set = Vec::new();
        let set_node = self.required(&fields, "set", "a rule of `choose`")?;
        for (key, value) in self.entries(set_node, "`set`")? {
            if !is_name(&key.name) {
                self.error(
                    key.at,
                    format!("{:?} cannot name a value; use letters, digits and `_`, and start with a letter", key.name),
                );
            }
            // A name is kept even if its value is wrong, so that one mistake is not reported as two.
            let tree = self.tree(value, &inner, MAX_DEPTH).unwrap_or(Tree::Value(serde_json::Value::Null));
            set.push((key.name.clone(), tree));
        }
        Some(Choice { name, matcher, set })
    }

    /// Whatever rule fits, and if none does: every value that a step may use must have been set.
    fn choices_complete(&mut self, node: &Node, written: usize, choices: &[Choice], scope: &Scope) {
        if choices.len() != written {
            return;
        }
        let always = choices.last().is_some_and(|last| last.matcher.is_empty());
        let mut names: Vec<&str> = choices.iter().flat_map(|c| c.set.iter().map(|(name, _)| name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if scope.vars.iter().any(|v| v == name) {
                continue;
            }
            let missing = choices.iter().find(|c| !c.set.iter().any(|(n, _)| n == name));
            if let Some(choice) = missing {
                let message = format!(
                    "rule {:?} does not set {name:?}, which another rule sets; set it there too, or give it a value in `vars`",
                    choice.name
                );
                self.error(node.at, message);
            } else if !always {
                let message = format!(
                    "if no rule fits, {name:?} has no value; add a last rule without `if`, or give it a value in `vars`"
                );
                self.error(node.at, message);
            }
        }
    }

    pub(super) fn steps(&mut self, node: &Node, scope: &mut Scope) -> Vec<Step> {
        let Yaml::List(items) = &node.value else {
            self.error(node.at, format!("`steps` must be a list, and this is {}", node.value.kind()));
            return Vec::new();
        };
        if items.is_empty() {
            self.error(node.at, "`steps` is empty; a playbook needs at least one step");
        }
        let mut steps = Vec::new();
        for item in items {
            // Refused at the first one too many, so that a huge list is not read to its end.
            if self.seen_steps.len() >= MAX_STEPS {
                self.error(
                    item.at,
                    format!("this playbook has more than {MAX_STEPS} steps; split the work over several playbooks"),
                );
                break;
            }
            let known = if scope.locals.is_empty() { STEP } else { LOOP_STEP };
            if let Some(step) = self.step(item, known, scope) {
                steps.push(step);
            }
        }
        steps
    }

    fn step(&mut self, node: &Node, known: &[&str], scope: &mut Scope) -> Option<Step> {
        let fields = self.fields(node, "a step", known)?;
        let name = self.required(&fields, "name", "a step").and_then(|node| self.step_name(node));
        let when = fields.get("when").and_then(|node| self.condition(node, "when", scope));
        let what = self.what_it_does(&fields, name.as_deref(), scope);
        if let Some(name) = &name {
            scope.steps.push(name.clone());
            if fields.get("for_each").is_some() {
                scope.loops.push(name.clone());
            }
        }
        let retry = self.retry(&fields);
        let undo = self.undo(&fields, scope);
        let on_failure = self.reaction(fields.get("on_failure"), "on_failure", scope);
        let on_denied = self.reaction(fields.get("on_denied"), "on_denied", scope);
        let More { server, tool, arguments, each } = what?;
        Some(Step { name: name?, server, tool, when, arguments, each, retry, undo, on_failure, on_denied })
    }

    fn step_name(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node, "name", MAX_NAME_CHARS)?;
        if !is_name(&name) {
            self.error(node.at, format!("{name:?} cannot name a step; use letters, digits and `_`, and start with a letter, so that `steps.{}` can be written", if name.is_empty() { "name" } else { "the_name" }));
            return None;
        }
        if let Some((_, first)) = self.seen_steps.iter().find(|(seen, _)| *seen == name) {
            let message = format!("there is another step {name:?} in line {}; give each step its own name", first.line);
            self.error(node.at, message);
        }
        self.seen_steps.push((name.clone(), node.at));
        Some(name)
    }

    /// A server's or a tool's name: never templated, so that what a playbook can do is known before it runs.
    pub(super) fn fixed(&mut self, node: &Node, field: &str, limit: usize) -> Option<String> {
        let text = self.text(node, field, limit)?;
        if text.trim().is_empty() || text.contains("{{") || text.chars().any(char::is_control) {
            self.error(node.at, format!("{field:?} must be a plain name; templates are for `arguments` alone, so that it is known beforehand what a playbook may call"));
            return None;
        }
        Some(text)
    }

    fn reaction(&mut self, node: Option<&Node>, field: &str, scope: &mut Scope) -> Option<Reaction> {
        let node = node?;
        if let Yaml::Text(word) = &node.value {
            return self.go_on(node, word, field).map(|go_on| Reaction { go_on, ..Reaction::default() });
        }
        self.reaction_mapping(node, field, REACTION, scope)
    }

    /// Reacts for every step that does not react itself; the task fails afterwards.
    pub(super) fn whole_reaction(&mut self, node: Option<&Node>, field: &str, scope: &mut Scope) -> Option<Reaction> {
        self.reaction_mapping(node?, field, WHOLE_REACTION, scope)
    }

    fn reaction_mapping(&mut self, node: &Node, field: &str, known: &[&str], scope: &mut Scope) -> Option<Reaction> {
        let fields = self.fields(node, &format!("`{field}`"), known)?;
        scope.failure = true;
        let mut reaction = Reaction::default();
        if let Some(steps) = fields.get("steps") {
            reaction.steps = self.inner_steps(steps, scope);
        }
        if let Some(then) = fields.get("then")
            && let Some(word) = self.text(then, "then", MAX_NAME_CHARS)
        {
            reaction.go_on = self.go_on(then, &word, "then").unwrap_or(false);
        }
        if let Some(reason) = fields.get("reason") {
            reaction.reason = self.template(reason, "reason", scope);
            if reaction.go_on {
                self.error(
                    reason.at,
                    "`reason` is for a task that fails, and `then: continue` goes on; remove one of them",
                );
            }
        }
        scope.failure = false;
        Some(reaction)
    }

    fn inner_steps(&mut self, node: &Node, scope: &mut Scope) -> Vec<Step> {
        let Yaml::List(items) = &node.value else {
            self.error(node.at, format!("`steps` must be a list, and this is {}", node.value.kind()));
            return Vec::new();
        };
        let mut steps = Vec::new();
        for item in items {
            if self.seen_steps.len() >= MAX_STEPS {
                self.error(
                    item.at,
                    format!("this playbook has more than {MAX_STEPS} steps; split the work over several playbooks"),
                );
                break;
            }
            steps.extend(self.step(item, INNER_STEP, scope));
        }
        steps
    }

    fn go_on(&mut self, node: &Node, word: &str, field: &str) -> Option<bool> {
        match word {
            "continue" => Some(true),
            "fail" => Some(false),
            other => {
                let hint = did_you_mean(other, ["continue", "fail"]);
                self.error(node.at, format!("{field:?} cannot be {other:?}{hint}; it is `continue`, `fail`, or a mapping with `steps`, `then` and `reason`"));
                None
            }
        }
    }
}
