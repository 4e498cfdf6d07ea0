//! A server's own keys in what it answers: they are taken out before anybody sees the answer, also in the usual encodings,
//! so that a server that was talked into printing its environment gives nothing away.

use std::{collections::BTreeMap, sync::Arc};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{error::CallError, result::CallResult};

/// What stands in a key's place.
const BLANK: &str = "[secret]";
/// A value that is called a secret is one from this length on, in bytes.
const SHORTEST_NAMED: usize = 6;
/// A value that looks like a key is one from this length on, in bytes.
const SHORTEST_KEY: usize = 16;
/// Words that make a variable's value a secret.
const NAMES: [&str; 7] = ["SECRET", "TOKEN", "PASSW", "KEY", "CREDENTIAL", "AUTH", "COOKIE"];

/// The texts that no answer may hold.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<[SecretString]>);

impl Secrets {
    /// Those of an environment: values whose names say so, and values that look like keys. Folders, addresses and numbers are
    /// what answers are about, and stay.
    pub fn of(environment: &BTreeMap<String, SecretString>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for (name, value) in environment {
            let value = value.expose_secret();
            if !is_key(name, value) {
                continue;
            }
            texts.extend([
                value.to_owned(),
                STANDARD_NO_PAD.encode(value),
                URL_SAFE_NO_PAD.encode(value),
                hex::encode(value),
                hex::encode_upper(value),
            ]);
            // What stands behind `Bearer`, by itself.
            texts.extend(value.split_whitespace().filter(|part| part.len() >= SHORTEST_KEY).map(str::to_owned));
            // As JSON within JSON writes it.
            let quoted = Value::from(value).to_string();
            texts.push(quoted.trim_matches('"').to_owned());
        }
        // Longest first, so that one that contains another is blanked whole.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts.into_iter().map(SecretString::from).collect())
    }

    /// The outcome of a call without them.
    pub fn taken_out(&self, outcome: Result<CallResult, CallError>) -> Result<CallResult, CallError> {
        if self.0.is_empty() {
            return outcome;
        }
        match outcome {
            Ok(mut result) => {
                self.within(&mut result.json);
                self.blank(&mut result.text);
                Ok(result)
            }
            Err(CallError::Refused { code, mut message }) => {
                self.blank(&mut message);
                Err(CallError::Refused { code, message })
            }
            Err(other) => Err(other),
        }
    }

    /// A content without them, where it is text.
    pub fn taken_out_of(&self, content: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return content;
        }
        match String::from_utf8(content) {
            Ok(mut text) => {
                self.blank(&mut text);
                text.into_bytes()
            }
            Err(other) => other.into_bytes(),
        }
    }

    fn within(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.blank(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.within(item)),
            Value::Object(map) => {
                if map.keys().any(|name| self.0.iter().any(|secret| name.contains(secret.expose_secret()))) {
                    *map = std::mem::take(map)
                        .into_iter()
                        .map(|(mut name, value)| {
                            self.blank(&mut name);
                            (name, value)
                        })
                        .collect();
                }
                map.values_mut().for_each(|value| self.within(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn blank(&self, text: &mut String) {
        for secret in self.0.iter() {
            if text.contains(secret.expose_secret()) {
                *text = text.replace(secret.expose_secret(), BLANK);
            }
        }
    }
}

fn is_key(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_place = value.starts_with(['/', '~', '.']);
    if NAMES.iter().any(|word| name.contains(word)) {
        // `KEY_FILE=/home/ada/key` names a place; the place is no secret.
        return value.len() >= SHORTEST_NAMED && !is_place;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=.-".contains(c);
    let has = |what: fn(&char) -> bool| value.chars().any(|c| what(&c));
    let is_long = value.len() >= SHORTEST_KEY;
    let is_mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
    (is_long && is_mixed && value.chars().all(plain)) || (value.contains("://") && value.contains('@'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        let of = |name: &str, value: &str| (name.to_owned(), SecretString::from(value));
        Secrets::of(&BTreeMap::from([
            of("MAIL_PASSWORD", "hunter2hunter2"),
            of("API", "k4f9s8d7f6g5h4j3k2l1"),
            of("DATABASE", "postgres://ada:x@db/y"),
            of("ALLOWED_DIRECTORY", "/home/ada/steward"),
            of("KEY_FILE", "/home/ada/key.pem"),
            of("LANG", "de_DE.UTF-8"),
        ]))
    }

    #[test]
    fn keys_are_taken_out_in_every_dress() {
        let value = json!({"content": [{"type": "text", "text": format!(
            "hunter2hunter2 {} {} in /home/ada/steward, /home/ada/key.pem, de_DE.UTF-8",
            STANDARD_NO_PAD.encode("hunter2hunter2"), hex::encode("k4f9s8d7f6g5h4j3k2l1"))}],
            "structuredContent": {"k4f9s8d7f6g5h4j3k2l1": "postgres://ada:x@db/y"}});
        let result = CallResult { json: value, is_error: false, text: "hunter2hunter2".to_owned(), truncated: false };
        let clean = secrets().taken_out(Ok(result)).unwrap();
        assert_eq!(clean.text, "[secret]");
        assert_eq!(
            clean.json,
            json!({"content": [{"type": "text", "text":
                "[secret] [secret] [secret] in /home/ada/steward, /home/ada/key.pem, de_DE.UTF-8"}],
                "structuredContent": {"[secret]": "[secret]"}})
        );
        let refused = Err(CallError::Refused { code: 1, message: "bad key k4f9s8d7f6g5h4j3k2l1".to_owned() });
        assert!(
            matches!(secrets().taken_out(refused), Err(CallError::Refused { message, .. }) if message == "bad key [secret]")
        );
    }
}
