//! `steward.toml`: flat keys with texts or whole numbers; anything else is refused with its line.

use std::{collections::BTreeMap, path::Path};

use toml::de::{DeTable, DeValue};

use super::{KEYS, Written};
use crate::{Error, Result};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What a file sets.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<String, Written>);

impl Settings {
    pub(super) fn get(&self, key: &str) -> Option<Written> {
        self.0.get(key).cloned()
    }
}

/// Reads a file of settings. Blocking.
pub(super) fn read(file: &Path) -> Result<Settings> {
    let fail = |e| Error::file(format!("the settings in {} can't be read", file.display()), e);
    if std::fs::metadata(file).map_err(fail)?.len() > MAX_BYTES {
        return Err(Error::Config(format!(
            "{} is larger than {MAX_BYTES} bytes; it is hardly a file of settings",
            file.display()
        )));
    }
    let text = std::fs::read_to_string(file).map_err(fail)?;
    parse(&text, &file.display().to_string())
}

/// Reads the text of a file called `name`.
pub(super) fn parse(text: &str, name: &str) -> Result<Settings> {
    let table = DeTable::parse(text).map_err(|e| {
        let place = e.span().map_or_else(String::new, |span| format!(" line {}", line_of(text, span.start)));
        Error::Config(format!("{name}{place} is no TOML: {}", e.message()))
    })?;
    let mut settings = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let (word, line) = (key.get_ref().as_ref(), line_of(text, key.span().start));
        if !KEYS.iter().any(|k| k.name == word) {
            let known = KEYS.map(|k| k.name).join(", ");
            return Err(Error::Config(format!(
                "{name} line {line}: there is no setting {word:?}; the settings are {known}"
            )));
        }
        let written = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            other => {
                return Err(Error::Config(format!(
                    "{name} line {line}: the setting {word} must be a text in quotes or a whole number (found: {})",
                    other.type_str()
                )));
            }
        };
        settings.insert(word.to_owned(), Written { text: written, origin: format!("{name} line {line}") });
    }
    Ok(Settings(settings))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
