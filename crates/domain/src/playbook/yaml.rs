//! YAML as a tree whose every key and value knows where it stands, so that a mistake in meaning can be shown as
//! precisely as one in syntax.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Spanned, options::DuplicateKeyPolicy, options::MergeKeyPolicy};

use super::error::PlaybookError;

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    pub line: usize,
    pub column: usize,
    /// Byte range of the scalar as written, where the parser knows it.
    pub bytes: Option<(usize, usize)>,
}

impl At {
    pub(super) fn error(self, message: impl Into<String>) -> PlaybookError {
        PlaybookError { line: self.line, column: self.column, message: message.into() }
    }

    /// The place of `fragment` inside this scalar: exact if the source spells it the same way (no escapes, no
    /// folding), else the scalar's own place. `skip_bytes` is where in the scalar's value the search starts.
    pub(super) fn of(self, source: &str, fragment: &str, skip_bytes: usize) -> Self {
        let exact = self.bytes.and_then(|(start, len)| {
            let written = source.get(start..start.checked_add(len)?)?;
            // The value may be shorter than what is written (quotes, indentation), never placed earlier.
            let skip = (0..=skip_bytes.min(written.len())).rev().find(|i| written.is_char_boundary(*i))?;
            let found = written[skip..].find(fragment).map(|i| i + skip).or_else(|| written.find(fragment))?;
            let before = &written[..found];
            Some(match before.rsplit_once('\n') {
                Some((lines, last)) => Self {
                    line: self.line + lines.matches('\n').count() + 1,
                    column: last.chars().count() + 1,
                    bytes: None,
                },
                None => Self { line: self.line, column: self.column + before.chars().count(), bytes: None },
            })
        });
        exact.unwrap_or(self)
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub at: At,
    pub value: Yaml,
}

/// A YAML value; a mapping keeps its order and its doubled keys.
#[derive(Debug, Clone)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub at: At,
    pub name: String,
}

impl Yaml {
    /// What this is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one YAML document. Depth, aliases and nodes are bounded; the caller bounds the length.
pub(super) fn parse(source: &str) -> Result<Node, PlaybookError> {
    let options = serde_saphyr::options! {
        // `yes`, `no` and `on` stay words.
        strict_booleans: true,
        // Reported here, with the other mistakes, instead of ending the reading.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        leading_zero_numbers_as_strings: true,
        emit_comments: false,
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_nodes: 20_000,
            max_events: 50_000,
            max_anchors: 50,
            max_aliases: 200,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(source, options) {
        Ok(root) => Ok(root.into()),
        Err(error) => {
            let (line, column) =
                error.location().map_or((1, 1), |l| (at_least_one(l.line()), at_least_one(l.column())));
            let text = error.without_snippet().to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            let message = if reason.contains("multiple YAML documents") || reason.contains("Documents {") {
                "a file holds one playbook; remove the `---` and what follows, or make two files".to_owned()
            } else if reason.contains("budget breached") {
                format!("this nests too deeply, or repeats too much, to be read ({reason}); make it simpler")
            } else {
                format!(
                    "this is not readable as YAML: {reason}; check indentation, quotes and brackets here and in the line before"
                )
            };
            Err(PlaybookError { line, column, message })
        }
    }
}

fn at_least_one(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX).max(1)
}

fn place(location: serde_saphyr::Location) -> At {
    let span = location.span();
    let bytes = span
        .byte_offset()
        .zip(span.byte_len())
        .and_then(|(start, len)| Some((usize::try_from(start).ok()?, usize::try_from(len).ok()?)));
    At { line: at_least_one(location.line()), column: at_least_one(location.column()), bytes }
}

/// What the parser hands over, before the places are simplified.
enum Raw {
    Leaf(Yaml),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl From<Spanned<Raw>> for Node {
    fn from(raw: Spanned<Raw>) -> Self {
        let value = match raw.value {
            Raw::Leaf(value) => value,
            Raw::List(items) => Yaml::List(items.into_iter().map(Node::from).collect()),
            Raw::Map(entries) => Yaml::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (Key { at: place(key.referenced), name: key.value }, Node::from(value)))
                    .collect(),
            ),
        };
        Self { at: place(raw.referenced), value }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("text, a number, true or false, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Raw, E> {
        serde_json::Number::from_f64(value)
            .map(|number| Raw::Leaf(Yaml::Number(number)))
            .ok_or_else(|| E::custom("only finite numbers are possible"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Leaf(Yaml::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
