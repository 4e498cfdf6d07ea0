//! What a file must look like for a playbook, or for one of its rules: name, type, size, where it came from.

use minijinja::value::Value as Jinja;
use regex::Regex;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::error::EvalError;
use super::glob::{Glob, MAX_GLOB_BYTES};
use super::template::Expression;

/// The largest compiled regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// Patterns of which one must fit. Case does not matter, nor how an accent is encoded.
#[derive(Debug, Clone)]
pub(super) struct Globs {
    patterns: Vec<(String, Glob)>,
}

impl Globs {
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), String> {
        let normal: String = pattern.nfc().collect();
        let glob = Glob::new(&normal, true).map_err(|reason| {
            format!("{pattern:?} is not a pattern: {reason}; `*` stands for anything, `?` for one character, `{{a,b}}` for a choice")
        })?;
        self.patterns.push((pattern.to_owned(), glob));
        Ok(())
    }

    pub(super) fn new() -> Self {
        Self { patterns: Vec::new() }
    }

    fn fits(&self, text: &str) -> bool {
        let normal: String = text.nfc().collect();
        self.patterns.iter().any(|(_, glob)| glob.fits(&normal))
    }

    fn list(&self) -> String {
        self.patterns.iter().map(|(pattern, _)| pattern.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Conditions that must all hold; one left out holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Matcher {
    pub name: Option<Globs>,
    pub name_regex: Option<Regex>,
    pub mime_type: Option<Globs>,
    pub min_size_bytes: Option<u64>,
    pub max_size_bytes: Option<u64>,
    pub watcher: Option<Globs>,
    pub source: Option<Globs>,
    pub when: Option<Expression>,
}

/// Compiles a regular expression over names.
pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_GLOB_BYTES {
        return Err(format!("the pattern has {} bytes, at most {MAX_GLOB_BYTES} are possible", pattern.len()));
    }
    let normal: String = pattern.nfc().collect();
    regex::RegexBuilder::new(&normal).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build().map_err(
        |error| {
            // The crate draws a picture over several lines; its last line says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            format!("this is not a regular expression: {reason}")
        },
    )
}

/// How a matcher judged.
pub(super) enum Fit {
    /// It fits; the named groups of `name_regex`.
    Yes(Map<String, Value>),
    /// It does not, and why.
    No(String),
}

impl Matcher {
    /// Whether nothing at all is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.name_regex.is_none()
            && self.mime_type.is_none()
            && self.min_size_bytes.is_none()
            && self.max_size_bytes.is_none()
            && self.watcher.is_none()
            && self.source.is_none()
            && self.when.is_none()
    }

    /// Judges facts; `context` is what `when` sees.
    pub(super) fn judge(&self, facts: &Value, context: &Jinja) -> Result<Fit, EvalError> {
        let mut captures = Map::new();
        let checks = [
            (&self.name, "/file/name", "the file's name"),
            (&self.mime_type, "/file/mime_type", "the file's type"),
            (&self.watcher, "/watcher/name", "the watcher's name"),
            (&self.source, "/task/source", "the task's source"),
        ];
        for (globs, pointer, what) in checks {
            let Some(globs) = globs else { continue };
            let Some(text) = facts.pointer(pointer).and_then(Value::as_str) else {
                return Ok(Fit::No(format!("{what} is not known")));
            };
            // A type may carry parameters: `text/plain; charset=utf-8`.
            let text =
                if pointer == "/file/mime_type" { text.split(';').next().unwrap_or_default().trim() } else { text };
            if !globs.fits(text) {
                return Ok(Fit::No(format!("{what} is {text:?}, which does not fit {}", globs.list())));
            }
        }
        if let Some(regex) = &self.name_regex {
            let Some(name) = facts.pointer("/file/name").and_then(Value::as_str) else {
                return Ok(Fit::No("the file's name is not known".to_owned()));
            };
            let normal: String = name.nfc().collect();
            let Some(found) = regex.captures(&normal) else {
                return Ok(Fit::No(format!("the file's name is {name:?}, which does not fit /{regex}/")));
            };
            for group in regex.capture_names().flatten() {
                let text = found.name(group).map_or(Value::Null, |m| Value::from(m.as_str()));
                captures.insert(group.to_owned(), text);
            }
        }
        if self.min_size_bytes.is_some() || self.max_size_bytes.is_some() {
            let Some(size) = facts.pointer("/file/size_bytes").and_then(Value::as_u64) else {
                return Ok(Fit::No("the file's size is not known".to_owned()));
            };
            if self.min_size_bytes.is_some_and(|min| size < min) || self.max_size_bytes.is_some_and(|max| size > max) {
                let bound = |b: Option<u64>, none: &str| b.map_or_else(|| none.to_owned(), |b| b.to_string());
                return Ok(Fit::No(format!(
                    "the file has {size} bytes, and {} to {} are asked for",
                    bound(self.min_size_bytes, "0"),
                    bound(self.max_size_bytes, "any number"),
                )));
            }
        }
        if let Some(when) = &self.when
            && !when.holds(context)?
        {
            return Ok(Fit::No(format!("`{}` does not hold", when.source)));
        }
        Ok(Fit::Yes(captures))
    }
}
