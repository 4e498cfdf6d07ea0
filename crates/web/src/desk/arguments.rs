//! A form made from a tool's schema and the arguments it is to be called with: one field a property, and back from
//! what was sent to typed JSON. What nobody touched comes back exactly as it was.

use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::parts::{cut, is_hidden, pretty, say, visible};
use crate::{
    body::Fields,
    fault::{Fault, Result},
    params::FIELDS,
};

/// Arguments whose JSON text is longer than this (bytes) are not offered for editing: their form could not be sent.
const EDITABLE_BYTES: usize = 64 * 1024;
/// Properties that get fields of their own; more of them are edited as one JSON text. Each takes up to two fields.
const PROPERTIES: usize = FIELDS / 2 - 4;

/// How a value is edited.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text,
    Lines,
    Choice(Vec<String>),
    Number { is_whole: bool },
    Truth,
    Json,
}

/// A property with its field.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    kind: Kind,
    original: Option<Json>,
    is_required: bool,
    hint: Option<String>,
}

/// The form of a call.
#[derive(Debug, Clone)]
pub(crate) struct ArgumentForm {
    original: Json,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    Fields(Vec<Field>),
    /// One JSON text for all of it.
    Whole,
    /// Too large to be edited here.
    Closed,
}

impl ArgumentForm {
    /// The form for `original` under the tool's schema, if it is known.
    pub fn new(schema: Option<&Json>, original: Json) -> Self {
        let shape = shape_of(schema, &original);
        Self { original, shape }
    }

    /// Whether the arguments can be edited.
    pub fn is_open(&self) -> bool {
        !matches!(self.shape, Shape::Closed)
    }

    /// The arguments that were sent; none where the form carried none. What is left out of an open form is an error.
    pub fn read(&self, sent: &Fields) -> Result<Option<Json>> {
        if !sent.0.iter().any(|(n, _)| n.starts_with("arg.") || n == "arguments") {
            return Ok(None);
        }
        match &self.shape {
            Shape::Closed => Err(Fault::invalid("arguments", "these arguments are too large to be edited here")),
            Shape::Whole => {
                let text = sent.get("arguments").ok_or_else(|| incomplete("arguments"))?;
                read_json("arguments", text, Some(&self.original)).map(Some)
            }
            Shape::Fields(fields) => {
                let known: Vec<_> = fields.iter().map(|f| &f.name).collect();
                // What has no field stays (there is none such today: every property has one).
                let mut out: Map<String, Json> = self.original.as_object().cloned().unwrap_or_default();
                out.retain(|name, _| !known.contains(&name));
                for field in fields {
                    if let Some(value) = field.read(sent)? {
                        out.insert(field.name.clone(), value);
                    }
                }
                Ok(Some(Json::Object(out)))
            }
        }
    }

    /// Whether arguments are the ones asked for.
    pub fn is_original(&self, arguments: &Json) -> bool {
        *arguments == self.original
    }

    /// The fields, with what was entered before.
    pub fn render(&self, entered: Option<&Fields>) -> Markup {
        match &self.shape {
            Shape::Closed => html! {},
            Shape::Whole => html! {
                div.field {
                    label for="arguments" { "All arguments, as JSON" }
                    textarea #arguments name="arguments" rows="14" spellcheck="false" data-was=(pretty(&self.original)) {
                        "\n" (entered.and_then(|e| e.get("arguments")).map_or_else(|| pretty(&self.original), str::to_owned))
                    }
                }
            },
            Shape::Fields(fields) => html! {
                @for (place, field) in fields.iter().enumerate() { (field.render(place, entered)) }
            },
        }
    }
}

fn shape_of(schema: Option<&Json>, original: &Json) -> Shape {
    if original.to_string().len() > EDITABLE_BYTES {
        return Shape::Closed;
    }
    let Some(arguments) = original.as_object() else { return Shape::Whole };
    let properties = schema.and_then(|s| s.get("properties")).and_then(Json::as_object);
    let required: Vec<&str> = schema
        .and_then(|s| s.get("required"))
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let declared = properties.into_iter().flat_map(|p| p.iter());
    let others = arguments.iter().filter(|(name, _)| properties.is_none_or(|p| !p.contains_key(*name)));
    let mut fields: Vec<Field> = declared
        .map(|(name, schema)| (name, Some(schema)))
        .chain(others.map(|(name, _)| (name, None)))
        .map(|(name, schema)| Field {
            name: name.clone(),
            kind: kind_of(schema, arguments.get(name)),
            original: arguments.get(name).cloned(),
            is_required: required.contains(&name.as_str()),
            hint: schema.and_then(|s| s.get("description")).and_then(Json::as_str).map(|t| cut(&visible(t), 300)),
        })
        .collect();
    if fields.is_empty() || fields.len() > PROPERTIES {
        return Shape::Whole;
    }
    // What is asked for stands first, then what is needed, then the rest.
    fields.sort_by_key(|f| (f.original.is_none(), !f.is_required));
    Shape::Fields(fields)
}

/// The kind that holds both what the schema says and the value that is there; JSON where they don't meet.
fn kind_of(schema: Option<&Json>, value: Option<&Json>) -> Kind {
    let declared = schema.and_then(|s| s.get("type"));
    let declared = match (declared.and_then(Json::as_str), declared, value) {
        (Some(name), _, _) => name,
        (None, None, Some(Json::String(_))) if schema.is_none_or(is_plain) => "string",
        (None, None, Some(Json::Number(_))) if schema.is_none_or(is_plain) => "number",
        (None, None, Some(Json::Bool(_))) if schema.is_none_or(is_plain) => "boolean",
        _ => return Kind::Json,
    };
    match (declared, value) {
        ("string", None | Some(Json::String(_))) => {
            let text = value.and_then(Json::as_str).unwrap_or_default();
            let choices: Option<Vec<String>> = schema
                .and_then(|s| s.get("enum"))
                .and_then(Json::as_array)
                .and_then(|all| all.iter().map(|v| v.as_str().map(str::to_owned)).collect());
            match choices {
                Some(choices) if choices.len() <= 200 && (value.is_none() || choices.iter().any(|c| c == text)) => {
                    Kind::Choice(choices)
                }
                // A browser changes such characters, or a person can't see them.
                _ if text.chars().any(is_hidden) => Kind::Json,
                _ if text.contains('\n') || text.chars().count() > 90 => Kind::Lines,
                _ => Kind::Text,
            }
        }
        ("integer", None | Some(Json::Number(_))) => Kind::Number { is_whole: true },
        ("number", None | Some(Json::Number(_))) => Kind::Number { is_whole: false },
        ("boolean", None | Some(Json::Bool(_))) => Kind::Truth,
        _ => Kind::Json,
    }
}

/// A schema that says nothing about the type, in any way.
fn is_plain(schema: &Json) -> bool {
    schema
        .as_object()
        .is_some_and(|s| s.keys().all(|k| matches!(k.as_str(), "description" | "title" | "default" | "examples")))
}

fn incomplete(name: &str) -> Fault {
    Fault::invalid(name, "the form came incomplete; open the page again")
}

fn read_json(name: &str, text: &str, original: Option<&Json>) -> Result<Json> {
    if let Some(original) = original
        && lines(text) == lines(&pretty(original))
    {
        return Ok(original.clone());
    }
    serde_json::from_str(text).map_err(|e| Fault::invalid(name, format!("{name} is no JSON: {e}")))
}

/// Browsers send every end of line as CR LF.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

impl Field {
    fn input(&self) -> String {
        format!("arg.{}", self.name)
    }

    /// Whether leaving it out must be told apart from an empty text.
    fn has_switch(&self) -> bool {
        !self.is_required && matches!(self.kind, Kind::Text | Kind::Lines)
    }

    fn read(&self, sent: &Fields) -> Result<Option<Json>> {
        let name = &self.name;
        let text = sent.get(&self.input()).ok_or_else(|| incomplete(name))?;
        let wrong = |what: &str| Err(Fault::invalid(name, format!("{name} {what}")));
        match &self.kind {
            Kind::Text | Kind::Lines => {
                let is_used = sent.get(&format!("use.{name}")).is_some();
                let is_new = self.original.is_none() && !text.is_empty();
                let is_absent_still = self.original.is_none() && text.is_empty();
                if (self.has_switch() && !is_used && !is_new) || (self.is_required && is_absent_still) {
                    return Ok(None);
                }
                let original = self.original.as_ref().and_then(Json::as_str);
                Ok(Some(match original {
                    Some(original) if lines(original) == lines(text) => Json::from(original),
                    Some(original) if original.contains("\r\n") => Json::from(lines(text).replace('\n', "\r\n")),
                    _ => Json::from(lines(text)),
                }))
            }
            Kind::Choice(choices) => match text.strip_prefix('=') {
                Some(choice) if choices.iter().any(|c| c == choice) => Ok(Some(Json::from(choice))),
                None if text.is_empty() && (!self.is_required || self.original.is_none()) => Ok(None),
                _ => wrong("must be one of the choices"),
            },
            Kind::Truth => match text {
                "true" => Ok(Some(Json::Bool(true))),
                "false" => Ok(Some(Json::Bool(false))),
                "" if !self.is_required || self.original.is_none() => Ok(None),
                _ => wrong("must be yes or no"),
            },
            Kind::Number { is_whole } => {
                let text = text.trim();
                match (text.is_empty(), serde_json::from_str::<Json>(text)) {
                    (true, _) if !self.is_required || self.original.is_none() => Ok(None),
                    (false, Ok(n @ Json::Number(_))) if !is_whole || n.is_i64() || n.is_u64() => Ok(Some(n)),
                    // 1.0 stays where it was.
                    (false, Ok(same)) if self.original.as_ref() == Some(&same) => Ok(Some(same)),
                    _ if *is_whole => wrong("must be a whole number"),
                    _ => wrong("must be a number, written as in 12.5"),
                }
            }
            Kind::Json if text.trim().is_empty() && (!self.is_required || self.original.is_none()) => Ok(None),
            Kind::Json => read_json(name, text, self.original.as_ref()).map(Some),
        }
    }

    /// What stands in the field at first.
    fn text(&self) -> String {
        match (&self.kind, &self.original) {
            (_, None) => String::new(),
            (Kind::Choice(_), Some(Json::String(text))) => format!("={text}"),
            (Kind::Text | Kind::Lines, Some(Json::String(text))) => text.clone(),
            (Kind::Number { .. } | Kind::Truth, Some(value)) => value.to_string(),
            (_, Some(value)) => pretty(value),
        }
    }

    fn select(&self, id: &str, shown: &str, was: &str, options: &[(String, String)]) -> Markup {
        let must = self.is_required && self.original.is_some();
        html! {
            select id=(id) name=(self.input()) data-was=(was) {
                @if !must { option value="" selected[shown.is_empty()] { "(left out)" } }
                @for (value, label) in options { option value=(value) selected[value == shown] { (visible(label)) } }
            }
        }
    }

    fn render(&self, place: usize, entered: Option<&Fields>) -> Markup {
        let (id, input, was) = (format!("arg-{place}"), self.input(), self.text());
        let shown = entered.and_then(|e| e.get(&input)).map_or_else(|| was.clone(), str::to_owned);
        let is_used = entered.map_or(self.original.is_some(), |e| e.get(&format!("use.{}", self.name)).is_some());
        let hint_id = self.hint.as_ref().map(|_| format!("{id}-hint"));
        let kind = match self.kind {
            Kind::Text | Kind::Lines | Kind::Choice(_) => "text",
            Kind::Number { is_whole: true } => "whole number",
            Kind::Number { is_whole: false } => "number",
            Kind::Truth => "yes or no",
            Kind::Json => "JSON",
        };
        let describe = hint_id.as_deref();
        html! {
            div.field.changed[shown != was] {
                label for=(id) { (say(&self.name)) " " span.soft { (kind) @if !self.is_required { ", may be left out" } } }
                @match &self.kind {
                    Kind::Text => { input id=(id) name=(input) type="text" value=(shown) data-was=(was) spellcheck="false" autocomplete="off" aria-describedby=[describe]; }
                    Kind::Number { is_whole } => {
                        input id=(id) name=(input) type="text" inputmode=(if *is_whole { "numeric" } else { "decimal" }) value=(shown) data-was=(was)
                            autocomplete="off" aria-describedby=[describe];
                    }
                    Kind::Lines | Kind::Json => {
                        // The line break after the tag is the one that HTML drops.
                        textarea id=(id) name=(input) rows=(shown.lines().count().clamp(2, 14)) data-was=(was) spellcheck="false" aria-describedby=[describe] { "\n" (shown) }
                    }
                    Kind::Truth => {
                        (self.select(&id, &shown, &was, &[("true".to_owned(), "yes (true)".to_owned()), ("false".to_owned(), "no (false)".to_owned())]))
                    }
                    Kind::Choice(choices) => {
                        (self.select(&id, &shown, &was, &choices.iter().map(|c| (format!("={c}"), c.clone())).collect::<Vec<_>>()))
                    }
                }
                @if self.has_switch() {
                    label.check { input type="checkbox" name={ "use." (self.name) } value="1" checked[is_used]; " send it (else it is left out)" }
                }
                @if let (Some(hint), Some(id)) = (&self.hint, &hint_id) { p.hint id=(id) { "The server says: " (say(hint)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
