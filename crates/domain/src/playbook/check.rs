//! Checks what expressions refer to, before any of them runs: every name must exist, and a step can only look back.

use super::error::did_you_mean;
use super::scan;
use super::template::{FILTERS, TESTS};

/// The fields of a file that facts carry.
const FILE: &[&str] =
    &["path", "name", "stem", "extension", "size_bytes", "mime_type", "sha256", "modified_at", "year", "month", "day"];
const WATCHER: &[&str] = &["name", "path", "root"];
const STEP: &[&str] = &["state", "text", "data", "result", "error", "arguments"];
const LOOP: &[&str] = &["state", "count", "results"];
const FAILURE: &[&str] = &["step", "state", "error"];
const CHOICE: &[&str] = &["rule", "captures"];

/// What an expression at some place of the playbook may refer to.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Names under `vars`.
    pub vars: Vec<String>,
    /// Named groups under `choice.captures`; `None` before a choice was made.
    pub captures: Option<Vec<String>>,
    /// Steps that may have run by now.
    pub steps: Vec<String>,
    /// Every step of the playbook.
    pub all_steps: Vec<String>,
    /// Those of them that are loops.
    pub loops: Vec<String>,
    /// Names that a loop around this gives.
    pub locals: Vec<String>,
    /// Whether this reacts to a failure.
    pub failure: bool,
}

/// Lists what is wrong with an expression's references: byte offset in it, and message.
pub(super) fn references(expression: &str, scope: &Scope) -> Vec<scan::Mistake> {
    let uses = scan::uses(expression);
    let mut mistakes: Vec<scan::Mistake> = Vec::new();
    for (filter, at) in &uses.filters {
        if !FILTERS.contains(&filter.as_str()) {
            let hint = did_you_mean(filter, FILTERS.iter().copied());
            mistakes.push((*at, format!("there is no filter {filter:?}{hint}{}", known("filters", FILTERS))));
        }
    }
    for (test, at) in &uses.tests {
        if !TESTS.contains(&test.as_str()) {
            let hint = did_you_mean(test, TESTS.iter().copied());
            mistakes.push((*at, format!("there is no test \"is {test}\"{hint}{}", known("tests", TESTS))));
        }
    }
    for (call, at) in &uses.calls {
        mistakes.push((*at, format!("nothing can be called, so {call:?} followed by `(` has no meaning; filters do such work, as in `file.name | upper`")));
    }
    for (path, at) in &uses.paths {
        if let Err(message) = path_exists(path, scope) {
            mistakes.push((*at, message));
        }
    }
    mistakes
}

fn path_exists(path: &[String], scope: &Scope) -> Result<(), String> {
    let field = path.get(1).map(String::as_str);
    match path[0].as_str() {
        "task" | "now" | "event" | "changes" => Ok(()),
        "file" => one_of("file", field, FILE),
        "watcher" => one_of("watcher", field, WATCHER),
        "vars" => match field {
            Some(name) if !scope.vars.iter().any(|v| v == name) => {
                let hint = did_you_mean(name, scope.vars.iter().map(String::as_str));
                Err(format!(
                    "there is no value \"vars.{name}\" here{hint}; values come from `vars` above it, or from `choose`"
                ))
            }
            _ => Ok(()),
        },
        "choice" => {
            let Some(captures) = &scope.captures else {
                return Err(
                    "nothing has been chosen here yet; `choice` is for what `choose` sets and for steps".to_owned()
                );
            };
            one_of("choice", field, CHOICE)?;
            match path.get(2) {
                Some(group) if field == Some("captures") && !captures.contains(group) => Err(format!(
                    "no `name_regex` has a group named {group:?}{}; write it as `(?P<{group}>…)`",
                    did_you_mean(group, captures.iter().map(String::as_str))
                )),
                _ => Ok(()),
            }
        }
        "steps" => step_exists(field, path.get(2).map(String::as_str), scope),
        "failure" if scope.failure => one_of("failure", field, FAILURE),
        "failure" => Err("`failure` is only known inside `on_failure` and `on_denied`".to_owned()),
        local if scope.locals.iter().any(|l| l == local) => Ok(()),
        other => {
            let mut roots = vec!["event", "file", "task", "watcher", "now", "vars", "choice", "steps", "changes"];
            if scope.failure {
                roots.push("failure");
            }
            roots.extend(scope.locals.iter().map(String::as_str));
            Err(format!(
                "there is nothing named {other:?}{}{}",
                did_you_mean(other, roots.iter().copied()),
                known("names", &roots)
            ))
        }
    }
}

fn step_exists(name: Option<&str>, field: Option<&str>, scope: &Scope) -> Result<(), String> {
    let Some(name) = name else {
        return Err("say which step: `steps.<name>.text`".to_owned());
    };
    if scope.loops.iter().any(|s| s == name) {
        return one_of(&format!("steps.{name}"), field, LOOP);
    }
    if scope.steps.iter().any(|s| s == name) {
        return one_of(&format!("steps.{name}"), field, STEP);
    }
    if scope.all_steps.iter().any(|s| s == name) {
        return Err(format!(
            "step {name:?} has not run here yet; steps only go forward, so a step can look at earlier ones alone"
        ));
    }
    let hint = did_you_mean(name, scope.steps.iter().map(String::as_str));
    Err(format!("there is no step {name:?}{hint}"))
}

fn one_of(what: &str, field: Option<&str>, fields: &[&str]) -> Result<(), String> {
    match field {
        Some(field) if !fields.contains(&field) => {
            let hint = did_you_mean(field, fields.iter().copied());
            Err(format!("\"{what}\" has no field {field:?}{hint}{}", known("fields", fields)))
        }
        _ => Ok(()),
    }
}

fn known(what: &str, names: &[&str]) -> String {
    format!(" ({what}: {})", names.join(", "))
}
