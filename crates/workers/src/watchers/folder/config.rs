//! The folder watcher's settings, read from the watcher's JSON.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

/// The greatest depth of folders below the watched one.
pub(super) const MAX_DEPTH: usize = 16;

const KEYS: [&str; 13] = [
    "path",
    "playbook",
    "patterns",
    "recursive",
    "settle_ms",
    "poll_ms",
    "max_bytes",
    "duplicates",
    "include_hidden",
    "assign_to",
    "priority",
    // What kind its tasks are of: `intake` reads it.
    "kind",
    // For whoever looks after all watchers.
    "silent_after_h",
];
const DEFAULT_MAX_BYTES: u64 = 2 << 30;
const GREATEST_MAX_BYTES: u64 = 1 << 40;
const MAX_PATTERNS: usize = 64;
const MAX_TEXT_CHARS: usize = 255;
const MAX_PATH_BYTES: usize = 4_000;

/// What to do with content that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// The same content is one task.
    #[default]
    Once,
    /// Each file is a task of its own.
    Each,
}

/// A folder watcher's settings. Made by [`parse`].
#[derive(Debug, Clone)]
pub struct FolderConfig {
    /// The folder, absolute.
    pub path: PathBuf,
    /// The playbook that leads the tasks.
    pub playbook: String,
    /// The name patterns as written; empty means every name.
    pub patterns: Vec<String>,
    /// Whether folders below are watched too, to a depth of 16.
    pub recursive: bool,
    /// How long a file must stand still, in milliseconds, 100–60000.
    pub settle_ms: u64,
    /// How often the folder is listed whatever the system reports, in milliseconds, 250–3600000.
    pub poll_ms: u64,
    /// The largest file that is taken, in bytes, 1 to 1 TiB.
    pub max_bytes: u64,
    /// What to do with content that was seen before.
    pub duplicates: Duplicates,
    /// Whether names that begin with a dot are taken.
    pub include_hidden: bool,
    /// Who gets the task, as written.
    pub assign_to: Option<String>,
    /// The task's priority, as written.
    pub priority: Option<String>,
    globs: Option<GlobSet>,
}

impl FolderConfig {
    /// Whether the patterns want a file, given its path below the folder. A pattern without `/` looks at the name, one
    /// with `/` at the whole path; letters' case and the two ways to spell an accent do not matter.
    pub fn wants(&self, relative: &Path) -> bool {
        let Some(globs) = &self.globs else { return true };
        match relative.to_str() {
            Some(text) => globs.is_match(text.nfc().collect::<String>()),
            None => globs.is_match(relative),
        }
    }
}

/// What is wrong with a watcher's settings, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not an object at all.
    #[error(
        "the folder watcher's config must be a JSON object such as {{\"path\": \"~/inbox\", \"playbook\": \"file-away\"}}, not {found}"
    )]
    NotAnObject {
        /// The kind of value that was found.
        found: String,
    },
    /// A key nobody knows.
    #[error("the folder watcher's config has no key `{key}`; it knows {}", KEYS.join(", "))]
    UnknownKey {
        /// The key as written.
        key: String,
    },
    /// A required key is not there.
    #[error("the folder watcher's config lacks `{key}`, {what}")]
    Missing {
        /// The missing key.
        key: &'static str,
        /// What it holds.
        what: &'static str,
    },
    /// A value that does not fit.
    #[error("`{key}` must be {expected}, not {found}")]
    Value {
        /// The key.
        key: &'static str,
        /// What would fit.
        expected: String,
        /// What was found, shortened.
        found: String,
    },
    /// A name pattern that cannot be read.
    #[error("`patterns` holds {pattern:?}, which is no pattern: {why}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// Why it cannot be read.
        why: String,
    },
    /// `~` without a home.
    #[error("`path` begins with ~ but the user Steward runs as has no home folder; write the whole path")]
    NoHome,
}

/// Reads and checks a folder watcher's settings. Unknown keys are refused by name.
pub fn parse(value: &Value) -> Result<FolderConfig, ConfigError> {
    parse_with_home(value, std::env::home_dir().as_deref())
}

fn parse_with_home(value: &Value, home: Option<&Path>) -> Result<FolderConfig, ConfigError> {
    let Value::Object(map) = value else {
        return Err(ConfigError::NotAnObject { found: shown(value) });
    };
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(ConfigError::UnknownKey { key: key.chars().take(60).collect() });
    }
    let path =
        text(map, "path", MAX_PATH_BYTES)?.ok_or(ConfigError::Missing { key: "path", what: "the folder to watch" })?;
    let playbook = text(map, "playbook", MAX_TEXT_CHARS)?
        .ok_or(ConfigError::Missing { key: "playbook", what: "the name of the playbook that leads the work" })?;
    if let Some(kind) = map.get("kind")
        && kind.as_str().is_none_or(|kind| domain::tasks::check_kind(kind).is_err())
    {
        return Err(wrong("kind", "a word of 1 to 60 characters on one line", kind));
    }
    let patterns = patterns(map)?;
    let globs = if patterns.is_empty() { None } else { Some(globs(&patterns)?) };
    let duplicates = match map.get("duplicates") {
        None => Duplicates::Once,
        Some(Value::String(word)) if word == "once" => Duplicates::Once,
        Some(Value::String(word)) if word == "each" => Duplicates::Each,
        Some(other) => return Err(wrong("duplicates", "\"once\" or \"each\"", other)),
    };
    Ok(FolderConfig {
        path: absolute(&path, home)?,
        playbook,
        patterns,
        recursive: boolean(map, "recursive")?,
        settle_ms: number(map, "settle_ms", 100..=60_000, 700)?,
        poll_ms: number(map, "poll_ms", 250..=3_600_000, 1_000)?,
        max_bytes: number(map, "max_bytes", 1..=GREATEST_MAX_BYTES, DEFAULT_MAX_BYTES)?,
        duplicates,
        include_hidden: boolean(map, "include_hidden")?,
        assign_to: text(map, "assign_to", MAX_TEXT_CHARS)?,
        priority: text(map, "priority", MAX_TEXT_CHARS)?,
        globs,
    })
}

fn absolute(path: &str, home: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let expanded = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            home.ok_or(ConfigError::NoHome)?.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(path),
    };
    let up = expanded.components().any(|part| part.as_os_str() == OsStr::new(".."));
    if up || !expanded.is_absolute() {
        let expected = "a whole path that begins with / or ~/ and has no `..` in it";
        return Err(wrong("path", expected, &Value::String(path.to_owned())));
    }
    // Collected again so that `/a//b/` and `/a/b` are one folder with one spelling in every record.
    Ok(expanded.components().collect())
}

fn patterns(map: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    const EXPECTED: &str =
        "a list of 1 to 64 patterns such as [\"*.pdf\"], each 1 to 255 characters; leave it out for every file";
    let Some(value) = map.get("patterns") else { return Ok(Vec::new()) };
    let list = value.as_array().filter(|list| (1..=MAX_PATTERNS).contains(&list.len()));
    let list = list.ok_or_else(|| wrong("patterns", EXPECTED, value))?;
    list.iter()
        .map(|item| {
            let pattern = item.as_str().filter(|text| is_short(text, MAX_TEXT_CHARS));
            pattern.map(str::to_owned).ok_or_else(|| wrong("patterns", EXPECTED, item))
        })
        .collect()
}

fn globs(patterns: &[String]) -> Result<GlobSet, ConfigError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let refuse =
            |error: globset::Error| ConfigError::Pattern { pattern: pattern.clone(), why: error.kind().to_string() };
        let spelled: String = pattern.nfc().collect();
        // Without a slash the name decides, wherever the file lies.
        let whole = if spelled.contains('/') { spelled } else { format!("**/{spelled}") };
        set.add(GlobBuilder::new(&whole).case_insensitive(true).literal_separator(true).build().map_err(refuse)?);
    }
    set.build().map_err(|error| ConfigError::Pattern { pattern: patterns.join(", "), why: error.kind().to_string() })
}

fn text(map: &Map<String, Value>, key: &'static str, max: usize) -> Result<Option<String>, ConfigError> {
    match map.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if is_short(text, max) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(key, &format!("a text of 1 to {max} characters without line breaks"), other)),
    }
}

fn is_short(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

fn boolean(map: &Map<String, Value>, key: &'static str) -> Result<bool, ConfigError> {
    match map.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong(key, "true or false", other)),
    }
}

fn number(
    map: &Map<String, Value>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    default: u64,
) -> Result<u64, ConfigError> {
    let Some(value) = map.get(key) else { return Ok(default) };
    value
        .as_u64()
        .filter(|number| range.contains(number))
        .ok_or_else(|| wrong(key, &format!("a whole number from {} to {}", range.start(), range.end()), value))
}

fn wrong(key: &'static str, expected: &str, found: &Value) -> ConfigError {
    ConfigError::Value { key, expected: expected.to_owned(), found: shown(found) }
}

/// A value for a message, shortened.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use serde_json::json;

    use super::*;

    fn with(key: &str, value: Value) -> Result<FolderConfig, ConfigError> {
        let mut config = json!({"path": "/in", "playbook": "p"});
        config[key] = value;
        parse(&config)
    }

    #[test]
    fn defaults() {
        let config =
            parse_with_home(&json!({"path": "~/in//box/", "playbook": "p"}), Some(Path::new("/home/ada"))).unwrap();
        assert_eq!(config.path, Path::new("/home/ada/in/box"));
        assert_eq!((config.settle_ms, config.poll_ms, config.max_bytes), (700, 1_000, 2_147_483_648));
        assert_eq!(config.duplicates, Duplicates::Once);
        assert!(!config.recursive && !config.include_hidden && config.patterns.is_empty());
        assert_eq!((config.assign_to, config.priority), (None, None));
    }

    #[test]
    fn every_refusal_names_its_key() {
        let said = |result: Result<FolderConfig, ConfigError>| result.unwrap_err().to_string();
        assert!(said(parse(&json!([]))).contains("not []"));
        assert!(said(parse(&json!({"playbook": "p"}))).contains("`path`"));
        assert!(said(parse(&json!({"path": "/in"}))).contains("`playbook`"));
        assert!(said(with("setle_ms", json!(1))).contains("no key `setle_ms`; it knows path, playbook"));
        assert_eq!(
            said(with("settle_ms", json!("fast"))),
            "`settle_ms` must be a whole number from 100 to 60000, not \"fast\""
        );
        for (key, value) in [
            ("settle_ms", json!(99)),
            ("settle_ms", json!(60_001)),
            ("settle_ms", json!(1.5)),
            ("poll_ms", json!(-1)),
            ("max_bytes", json!(0)),
            ("duplicates", json!("twice")),
            ("recursive", json!("yes")),
            ("patterns", json!([])),
            ("patterns", json!(["*.pdf", 3])),
            ("patterns", json!(["[a"])),
            ("assign_to", json!("")),
            ("priority", json!(null)),
            ("path", json!("in/box")),
            ("path", json!("/in/../box")),
            ("path", json!("/in\u{0}")),
            ("path", json!("~ada/in")),
            ("playbook", json!("x".repeat(256))),
            ("kind", json!("")),
            ("kind", json!(7)),
        ] {
            assert!(said(with(key, value.clone())).contains(&format!("`{key}`")), "{key} {value}");
        }
        assert_eq!(parse_with_home(&json!({"path": "~", "playbook": "p"}), None).unwrap_err(), ConfigError::NoHome);
    }

    #[test]
    fn patterns_look_at_names_or_paths() {
        let config = with("patterns", json!(["*.PDF", "Rechnung März*", "scans/*.jpg", "{a,b}?.txt"])).unwrap();
        for name in [
            "x.pdf",
            "deep/x.Pdf",
            "Rechnung März 2026.doc",
            "Rechnung Ma\u{308}rz",
            "scans/a.jpg",
            "b1.txt",
            "a\nb.pdf",
        ] {
            assert!(config.wants(Path::new(name)), "{name}");
        }
        for name in ["x.pdfx", "a.jpg", "other/a.jpg", "c1.txt", "b12.txt"] {
            assert!(!config.wants(Path::new(name)), "{name}");
        }
        assert!(config.wants(Path::new(OsStr::from_bytes(b"\xff.pdf"))));
        assert!(with("recursive", json!(true)).unwrap().wants(Path::new("anything")));
    }
}
