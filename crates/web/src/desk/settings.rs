//! Settings as fields of a form, and back from what was sent; credentials go in and never come out.

use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};

use super::form::Form;
use crate::{
    body::Fields,
    fault::{Fault, Result},
};

/// How a setting is entered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    Line,
    Lines,
    Number,
    /// Texts with commas between.
    List,
    Tick,
    /// Values and what they are called; the first is what counts where nothing is said.
    Choice(&'static [(&'static str, &'static str)]),
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Where it stands: names with dots between.
    pub name: &'static str,
    label: &'static str,
    hint: &'static str,
    entry: Entry,
}

/// A setting.
pub(super) const fn field(name: &'static str, label: &'static str, hint: &'static str, entry: Entry) -> Field {
    Field { name, label, hint, entry }
}

/// A part of the credentials. They are entered, and never shown.
#[derive(Debug)]
pub(super) struct Secret {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
}

pub(super) fn find<'a>(config: &'a Json, name: &str) -> Option<&'a Json> {
    name.split('.').try_fold(config, |at, part| at.get(part))
}

/// A setting as it stands in its field.
fn shown(config: &Json, name: &str) -> String {
    match find(config, name) {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// Puts a value at its place, or takes what stands there away.
pub(super) fn put(config: &mut Json, name: &str, value: Option<Json>) {
    let Some(map) = config.as_object_mut() else { return };
    match (name.split_once('.'), value) {
        (Some((first, rest)), Some(value)) => {
            put(map.entry(first).or_insert_with(|| Json::Object(Map::new())), rest, Some(value));
        }
        (Some((first, rest)), None) => {
            if let Some(inner) = map.get_mut(first) {
                put(inner, rest, None);
            }
        }
        (None, Some(value)) => drop(map.insert(name.to_owned(), value)),
        (None, None) => drop(map.remove(name)),
    }
}

impl Field {
    /// Name, label, and the value as its field sends it.
    pub fn as_read(self, config: &Json) -> (&'static str, &'static str, String) {
        let value = match (self.entry, shown(config, self.name)) {
            (Entry::Tick, text) => if text == "true" { "yes" } else { "" }.to_owned(),
            (_, text) => text,
        };
        (self.name, self.label, value)
    }

    /// The field with what stands in it.
    pub fn render(self, form: Form<'_>, config: &Json) -> Markup {
        let first = shown(config, self.name);
        match self.entry {
            Entry::Line | Entry::List => form.line(self.name, self.label, &first, self.hint),
            Entry::Lines => form.lines(self.name, self.label, &first, self.hint, 3),
            Entry::Number => form.of_kind("number", self.name, self.label, &first, self.hint),
            Entry::Tick => form.tick(self.name, self.label, first == "true"),
            Entry::Choice(all) => {
                let all: Vec<_> = all.iter().map(|(v, called)| ((*v).to_owned(), (*called).to_owned())).collect();
                form.choice(self.name, self.label, &first, &all, self.hint)
            }
        }
    }

    /// What was sent; none where that is nothing.
    pub fn read(self, sent: &Fields) -> Result<Option<Json>> {
        let text = sent.text(self.name).map(|t| t.replace("\r\n", "\n"));
        Ok(match (self.entry, text) {
            (Entry::Tick, _) => sent.get(self.name).map(|_| json!(true)),
            (_, None) => None,
            (Entry::Number, Some(text)) => {
                let number: u64 = text
                    .parse()
                    .map_err(|_| Fault::invalid(self.name, format!("{} must be a whole number", self.label)))?;
                Some(json!(number))
            }
            (Entry::List, Some(text)) => {
                let all: Vec<&str> = text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
                (!all.is_empty()).then(|| json!(all))
            }
            (Entry::Choice(all), Some(text)) if !all.iter().any(|(value, _)| *value == text) => {
                return Err(Fault::invalid(self.name, format!("{} has no choice {text}", self.label)));
            }
            (_, Some(text)) => Some(json!(text)),
        })
    }
}

/// The fields for credentials. What was entered is never shown again.
pub(super) fn render_secrets(secrets: &[Secret], form: Form<'_>, hint: &str) -> Markup {
    if secrets.is_empty() {
        return html! {};
    }
    html! {
        fieldset {
            legend { "Credentials" }
            p.hint { (hint) }
            div.pair {
                @for secret in secrets { (form.of_kind("password", &format!("secret.{}", secret.name), secret.label, "", secret.hint)) }
            }
        }
    }
}

/// The credentials that were sent; none where nothing was entered.
pub(super) fn read_secrets(secrets: &[Secret], sent: &Fields) -> Option<Json> {
    let entered: Map<String, Json> = secrets
        .iter()
        .filter_map(|s| Some((s.name.to_owned(), json!(sent.text(&format!("secret.{}", s.name))?))))
        .collect();
    (!entered.is_empty()).then_some(Json::Object(entered))
}
