//! Where a call's values came from: the facts of the task, and what earlier steps answered.

use serde_json::{Map, Value};

use super::{Literal, Parameter, text};

/// Places that are looked at.
const MOST_PLACES: usize = 4_000;
/// Levels of an answer that are looked into.
const MOST_LEVELS: usize = 12;
/// The longest text that is looked for within another, in bytes.
const MAX_PART_BYTES: usize = 4 * 1024;
/// What is shorter (characters) is in many a text by chance.
const LEAST_PART: usize = 4;
/// What is shorter may be equal by chance …
const LEAST_WHOLE: usize = 3;
/// … and so may numbers.
const LEAST_NUMBER: usize = 4;
/// What a playbook may read of a file, of its watcher, and of the task.
const FACTS: [(&str, &[&str]); 3] = [
    ("file", &["path", "name", "stem", "sha256", "mime_type", "size_bytes", "modified_at", "year"]),
    ("watcher", &["path", "root", "name"]),
    ("task", &["id", "title", "description"]),
];

/// A value that is known, and the expression for it.
#[derive(Debug)]
struct Place {
    path: String,
    /// The last name in the path.
    field: String,
    text: String,
    is_text: bool,
}

/// All that is known when a step is reached, what stands nearest to the event first.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Place>);

/// Where what is found is written down.
pub(super) struct Found<'a> {
    pub step: &'a str,
    pub parameters: &'a mut Vec<Parameter>,
    pub literals: &'a mut Vec<Literal>,
}

/// A piece of a text.
enum Piece {
    Plain(String),
    /// A place, by its number.
    Known(usize),
}

impl Known {
    /// What stands before any step.
    pub(super) fn of_facts(facts: &Value) -> Self {
        let mut known = Self::default();
        known.add_fields(facts, "file");
        if let Some(event) = facts.get("event") {
            known.add(event, "event", "event", 0);
        }
        known.add_fields(facts, "watcher");
        known.add_fields(facts, "task");
        known
    }

    fn add_fields(&mut self, facts: &Value, root: &str) {
        let fields = FACTS.iter().find(|(name, _)| *name == root).map_or(&[][..], |(_, fields)| *fields);
        for field in fields {
            if let Some(value) = facts.get(root).and_then(|part| part.get(field)) {
                self.add(value, &format!("{root}.{field}"), field, 0);
            }
        }
    }

    /// What a step's result shows to those after it.
    pub(super) fn add_step(&mut self, step: &str, seen: &Map<String, Value>) {
        for field in ["data", "text"] {
            if let Some(value) = seen.get(field) {
                self.add(value, &format!("steps.{step}.{field}"), field, 0);
            }
        }
    }

    fn add(&mut self, value: &Value, path: &str, field: &str, level: usize) {
        if self.0.len() >= MOST_PLACES || level > MOST_LEVELS {
            return;
        }
        let place =
            |text: String, is_text: bool| Place { path: path.to_owned(), field: field.to_owned(), text, is_text };
        match value {
            Value::String(text) if !text.trim().is_empty() => self.0.push(place(text.clone(), true)),
            Value::Number(number) => self.0.push(place(number.to_string(), false)),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(item, &format!("{path}[{index}]"), field, level + 1);
                }
            }
            Value::Object(entries) => {
                for (name, item) in entries {
                    if let Some(inner) = text::member(path, name) {
                        self.add(item, &inner, name, level + 1);
                    }
                }
            }
            _ => {}
        }
    }

    /// The arguments with templates in place of what is known.
    pub(super) fn replace(&self, arguments: &Value, found: &mut Found<'_>) -> Value {
        self.inside(arguments, "", "", found)
    }

    fn inside(&self, value: &Value, argument: &str, field: &str, found: &mut Found<'_>) -> Value {
        match value {
            Value::Object(entries) => {
                let replaced = entries.iter().map(|(name, item)| {
                    let place = if argument.is_empty() { name.clone() } else { format!("{argument}.{name}") };
                    (name.clone(), self.inside(item, &place, name, found))
                });
                Value::Object(replaced.collect())
            }
            Value::Array(items) => {
                let replaced = items.iter().enumerate();
                replaced.map(|(n, item)| self.inside(item, &format!("{argument}[{n}]"), field, found)).collect()
            }
            leaf => {
                let template = match leaf {
                    Value::String(text) => self.of_text(text, field),
                    Value::Number(number) => self.of_number(number, field),
                    _ => None,
                };
                let (step, argument) = (found.step.to_owned(), argument.to_owned());
                if let Some(template) = template {
                    let value = leaf.clone();
                    found.parameters.push(Parameter { step, argument, template: template.clone(), value });
                    return Value::String(template);
                }
                if !matches!(leaf, Value::String(text) if text.is_empty()) {
                    let part_of = leaf.as_str().and_then(|text| self.holder(text));
                    found.literals.push(Literal { step, argument, value: leaf.clone(), part_of });
                }
                match leaf {
                    Value::String(text) => Value::String(text::escaped(text, false)),
                    other => other.clone(),
                }
            }
        }
    }

    /// The first place that holds exactly this. What is shorter than `least` must bear the argument's name.
    fn whole(&self, text: &str, field: &str, least: usize) -> Option<&Place> {
        let is_long = text.chars().count() >= least;
        self.0.iter().find(|place| place.text == text && (is_long || place.field == field))
    }

    fn of_number(&self, number: &serde_json::Number, field: &str) -> Option<String> {
        let place = self.whole(&number.to_string(), field, LEAST_NUMBER)?;
        let filter = match (place.is_text, number.is_f64()) {
            (false, _) => "",
            (true, true) => " | float",
            (true, false) => " | int",
        };
        Some(format!("{{{{ {}{filter} }}}}", place.path))
    }

    fn of_text(&self, text: &str, field: &str) -> Option<String> {
        if let Some(place) = self.whole(text, field, LEAST_WHOLE) {
            let filter = if place.is_text { "" } else { " | string" };
            return Some(format!("{{{{ {}{filter} }}}}", place.path));
        }
        let mut order: Vec<usize> = (0..self.0.len())
            .filter(|n| {
                let part = &self.0[*n].text;
                part.len() <= MAX_PART_BYTES && part.len() < text.len() && part.chars().count() >= LEAST_PART
            })
            .collect();
        // The longest first; of equal ones that which is nearest to the event.
        order.sort_by_key(|n| std::cmp::Reverse(self.0[*n].text.len()));
        let mut pieces = vec![Piece::Plain(text.to_owned())];
        for number in order {
            let part = &self.0[number].text;
            pieces = pieces
                .into_iter()
                .flat_map(|piece| match piece {
                    Piece::Plain(plain) => split_at(&plain, part, number),
                    known @ Piece::Known(_) => vec![known],
                })
                .collect();
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Known(_))) {
            return None;
        }
        let mut template = String::new();
        for (at, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Plain(plain) => template.push_str(&text::escaped(plain, at + 1 < pieces.len())),
                Piece::Known(number) => {
                    template.push_str("{{ ");
                    template.push_str(&self.0[*number].path);
                    template.push_str(" }}");
                }
            }
        }
        Some(template)
    }

    /// What holds a text as a part.
    fn holder(&self, text: &str) -> Option<String> {
        if text.chars().count() < LEAST_WHOLE {
            return None;
        }
        self.0.iter().find(|place| place.is_text && place.text.contains(text)).map(|place| place.path.clone())
    }
}

/// A text cut where a part stands in it as a word of its own.
fn split_at(plain: &str, part: &str, number: usize) -> Vec<Piece> {
    let (mut pieces, mut begin, mut from) = (Vec::new(), 0, 0);
    while let Some(found) = plain[from..].find(part) {
        let (start, end) = (from + found, from + found + part.len());
        if is_edge(plain[..start].chars().next_back(), part.chars().next())
            && is_edge(plain[end..].chars().next(), part.chars().next_back())
        {
            if start > begin {
                pieces.push(Piece::Plain(plain[begin..start].to_owned()));
            }
            pieces.push(Piece::Known(number));
            begin = end;
        }
        from = end;
    }
    if begin < plain.len() {
        pieces.push(Piece::Plain(plain[begin..].to_owned()));
    }
    pieces
}

/// Whether no word goes on over the edge between two characters.
fn is_edge(outside: Option<char>, inside: Option<char>) -> bool {
    !(outside.is_some_and(char::is_alphanumeric) && inside.is_some_and(char::is_alphanumeric))
}
