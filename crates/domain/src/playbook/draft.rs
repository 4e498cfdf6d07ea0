//! A playbook made of calls that were made: the same calls in the same order, with what came from the event or from an
//! earlier result as templates. It is a draft: a person reads it before it is used.

mod text;
mod values;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::canonical::canonical_json;
use super::run::{see_result, text_of};
use super::{MAX_STEPS, Next, Outcome, OutcomeState, Playbook, parse};
use values::Known;

/// A call that was made and succeeded.
#[derive(Debug, Clone)]
pub struct Made {
    /// Server's name.
    pub server: String,
    /// Tool's name.
    pub tool: String,
    /// The arguments that were sent.
    pub arguments: Value,
    /// The MCP result.
    pub result: Value,
}

/// A value that came from the event or from an earlier step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parameter {
    /// The step.
    pub step: String,
    /// Where in its arguments, such as `to[0].address`.
    pub argument: String,
    /// What stands there now.
    pub template: String,
    /// What stood there.
    #[schema(value_type = Object)]
    pub value: Value,
}

/// A value that stays as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Literal {
    /// The step.
    pub step: String,
    /// Where in its arguments.
    pub argument: String,
    /// The value.
    #[schema(value_type = Object)]
    pub value: Value,
    /// What holds it as a part of a longer text, if anything does: it may be another value for another event.
    pub part_of: Option<String>,
}

/// A playbook that was made of what was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// The playbook's name.
    pub name: String,
    /// The YAML.
    pub source: String,
    /// What became a parameter.
    pub parameters: Vec<Parameter>,
    /// What stayed as it was.
    pub literals: Vec<Literal>,
    /// What it does not do, and what it would do otherwise, in words.
    pub remarks: Vec<String>,
}

/// Makes a playbook of calls. `facts` are those of the task, `origin` says in a line what it is made of. The reason of a
/// refusal is for people.
pub fn draft(name: &str, origin: &str, facts: &Value, calls: &[Made]) -> Result<Draft, String> {
    if calls.is_empty() {
        return Err("no call of a tool succeeded, so there is nothing to do again".to_owned());
    }
    if calls.len() > MAX_STEPS {
        return Err(format!("it made {} calls; a playbook has at most {MAX_STEPS} steps", calls.len()));
    }
    let mut known = Known::of_facts(facts);
    let (mut parameters, mut literals, mut names, mut steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for call in calls {
        let step = step_name(&call.tool, &names);
        let mut found = values::Found { step: &step, parameters: &mut parameters, literals: &mut literals };
        let arguments = known.replace(&call.arguments, &mut found);
        let mut seen = Map::new();
        see_result(&mut seen, &call.result, text_of(&call.result));
        known.add_step(&step, &seen);
        steps.push((step.clone(), call, arguments));
        names.push(step);
    }
    let source = written(name, origin, &matching(facts), &steps);
    let playbook = parse(&source).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("what was done can't be written as a playbook: {first}")
    })?;
    let remarks = otherwise(&playbook, facts, &names, calls);
    Ok(Draft { name: playbook.name().to_owned(), source, parameters, literals, remarks })
}

/// The YAML; `steps` are names, calls and arguments with templates.
fn written(name: &str, origin: &str, matching: &str, steps: &[(String, &Made, Value)]) -> String {
    let (name, origin) = (text::quoted(name), text::one_line(origin));
    let mut source = format!(
        "# {origin}\nname: {name}\ndescription: {}\n{matching}# What tools answer counts as content from outside, as it did when a model led.\nresults: outside\nsteps:\n",
        text::quoted(&origin)
    );
    for (step, call, arguments) in steps {
        let (server, tool) = (text::quoted(&call.server), text::quoted(&call.tool));
        source.extend(["  - name: ", step, "\n    server: ", &server, "\n    tool: ", &tool, "\n"]);
        if arguments.as_object().is_some_and(|a| !a.is_empty()) {
            source.push_str("    arguments:");
            text::value(&mut source, arguments, 6);
        }
    }
    source
}

/// A name of the step that no earlier one has.
fn step_name(tool: &str, taken: &[String]) -> String {
    let plain: String =
        tool.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(60).collect();
    let plain = plain.trim_matches('_');
    let plain = if plain.is_empty() || plain.starts_with(|c: char| c.is_ascii_digit()) {
        format!("step_{plain}").trim_end_matches('_').to_owned()
    } else {
        plain.to_owned()
    };
    let is_free = |name: &String| !taken.contains(name);
    let numbered = (2..=MAX_STEPS + 1).map(|n| format!("{plain}_{n}"));
    std::iter::once(plain.clone()).chain(numbered).find(is_free).unwrap_or(plain)
}

/// Which events it is for: those of the same watcher, and alike in what their kind is told apart by.
fn matching(facts: &Value) -> String {
    let word = |pointer: &str| facts.pointer(pointer).and_then(Value::as_str).filter(|w| !w.is_empty());
    let mut fields = Vec::new();
    if let Some(watcher) = word("/watcher/name") {
        fields.push(("watcher", text::glob(watcher)));
    }
    if let Some(extension) = word("/file/extension") {
        fields.push(("name", format!("*.{}", text::glob(extension))));
    }
    let told_apart = [("/event/from/address", "event.from.address"), ("/event/type", "event.type")];
    let of_event = told_apart.iter().find_map(|(pointer, path)| word(pointer).map(|value| (*path, value)));
    let of_task = || word("/task/title").filter(|_| fields.is_empty()).map(|title| ("task.title", title));
    if let Some((path, value)) = of_event.or_else(of_task) {
        fields.push(("when", format!("{path} == {}", text::expression(value))));
    }
    let lines: Vec<String> =
        fields.iter().map(|(name, value)| format!("  {name}: {}\n", text::quoted(value))).collect();
    if lines.is_empty() { String::new() } else { format!("match:\n{}", lines.concat()) }
}

/// Where the playbook would do something else than was done, on the very event it is made of.
fn otherwise(playbook: &Playbook, facts: &Value, names: &[String], calls: &[Made]) -> Vec<String> {
    let mut remarks: Vec<String> = playbook.mismatch(facts).into_iter().collect();
    let mut journal = Vec::new();
    for (name, call) in names.iter().zip(calls) {
        let is_same = match playbook.next(facts, &journal) {
            Ok(Next::Call { arguments, .. }) => canonical_json(&arguments) == canonical_json(&call.arguments),
            _ => false,
        };
        if !is_same {
            remarks.push(format!("step {name} would not make the call that was made; correct it"));
        }
        let state = OutcomeState::Succeeded { result: call.result.clone() };
        journal.push(Outcome { step: name.clone(), arguments: Some(call.arguments.clone()), state });
    }
    remarks
}
