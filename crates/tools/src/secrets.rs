//! A server's own keys in what it says: they are taken out before anybody sees it (answers, files, progress, questions), also
//! in the usual encodings, so that a server that was talked into printing its environment, or the token it is spoken to with,
//! gives nothing away.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
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
/// Tokens that are kept in mind: that in use, and some of those before it.
const LEARNED: usize = 8;
/// Where a result carries bytes as Base64.
const CARRIED: [&str; 2] = ["blob", "data"];
/// Words that make a variable's value a secret.
const NAMES: [&str; 7] = ["SECRET", "TOKEN", "PASSW", "KEY", "CREDENTIAL", "AUTH", "COOKIE"];

/// The texts that nothing from a server may hold. Clones share what is learned.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    /// Of the environment, in every dress.
    own: Vec<SecretString>,
    /// Tokens, the newest last.
    learned: VecDeque<SecretString>,
    /// All of them in every dress, longest first, so that one that contains another is blanked whole.
    all: Arc<[SecretString]>,
}

impl Known {
    fn set(&mut self) {
        let learned = self.learned.iter().flat_map(|token| dresses(token.expose_secret()));
        let mut all: Vec<SecretString> = self.own.iter().cloned().chain(learned.map(SecretString::from)).collect();
        all.sort_by_key(|text| std::cmp::Reverse(text.expose_secret().len()));
        self.all = all.into();
    }
}

/// A value as it is written down.
fn dresses(value: &str) -> Vec<String> {
    let mut texts = vec![
        value.to_owned(),
        STANDARD_NO_PAD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        hex::encode(value),
        hex::encode_upper(value),
    ];
    // What stands behind `Bearer`, by itself.
    texts.extend(value.split_whitespace().filter(|part| part.len() >= SHORTEST_KEY).map(str::to_owned));
    // As JSON within JSON writes it.
    let quoted = Value::from(value).to_string();
    texts.push(quoted.trim_matches('"').to_owned());
    texts.sort_unstable();
    texts.dedup();
    texts
}

impl Secrets {
    /// Those of an environment: values whose names say so, and values that look like keys. Folders, addresses and numbers are
    /// what answers are about, and stay.
    pub fn of(environment: &BTreeMap<String, SecretString>) -> Self {
        let keys = environment.iter().filter(|(name, value)| is_key(name, value.expose_secret()));
        let own = keys.flat_map(|(_, value)| dresses(value.expose_secret())).map(SecretString::from).collect();
        let mut known = Known { own, ..Known::default() };
        known.set();
        Self(Arc::new(RwLock::new(known)))
    }

    /// One more that the server knows: the token that goes with what it is sent.
    pub fn learn(&self, token: &str) {
        let is_known = |known: &Known| known.learned.iter().any(|before| before.expose_secret() == token);
        if token.len() < SHORTEST_NAMED || is_known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.learned.push_back(SecretString::from(token));
        if known.learned.len() > LEARNED {
            known.learned.pop_front();
        }
        known.set();
    }

    fn all(&self) -> Arc<[SecretString]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// The outcome of a call without them.
    pub fn taken_out(&self, outcome: Result<CallResult, CallError>) -> Result<CallResult, CallError> {
        match outcome {
            Ok(mut result) => {
                self.within(&mut result.json);
                self.blank(&mut result.text);
                Ok(result)
            }
            Err(mut error) => {
                let (CallError::NotStarted { reason: said }
                | CallError::OutcomeUnknown { reason: said }
                | CallError::Refused { message: said, .. }) = &mut error;
                self.blank(said);
                Err(error)
            }
        }
    }

    /// A content without them, whatever it is.
    pub fn taken_out_of(&self, content: Vec<u8>) -> Vec<u8> {
        match String::from_utf8(content) {
            Ok(mut text) => {
                self.blank(&mut text);
                text.into_bytes()
            }
            Err(other) => {
                let content = other.into_bytes();
                blanked(&self.all(), &content).unwrap_or(content)
            }
        }
    }

    /// Takes them out of a value: of its texts, its names, and of the bytes that it carries.
    pub fn within(&self, value: &mut Value) {
        let all = self.all();
        if !all.is_empty() {
            within(&all, value);
        }
    }

    /// Takes them out of a text.
    pub fn blank(&self, text: &mut String) {
        blank(&self.all(), text);
    }
}

fn within(all: &[SecretString], value: &mut Value) {
    match value {
        Value::String(text) => blank(all, text),
        Value::Array(items) => items.iter_mut().for_each(|item| within(all, item)),
        Value::Object(map) => {
            if map.keys().any(|name| all.iter().any(|secret| name.contains(secret.expose_secret()))) {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(mut name, value)| {
                        blank(all, &mut name);
                        (name, value)
                    })
                    .collect();
            }
            for (name, value) in map {
                // Within Base64 a text looks otherwise at each place: what is carried is looked at as it is.
                if let Value::String(text) = &mut *value
                    && CARRIED.contains(&name.as_str())
                    && let Ok(bytes) = STANDARD.decode(text.as_bytes())
                    && let Some(clean) = blanked(all, &bytes)
                {
                    *text = STANDARD.encode(clean);
                }
                within(all, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn blank(all: &[SecretString], text: &mut String) {
    for secret in all {
        if text.contains(secret.expose_secret()) {
            *text = text.replace(secret.expose_secret(), BLANK);
        }
    }
}

/// Bytes without them; none where they hold none.
fn blanked(all: &[SecretString], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Option<Vec<u8>> = None;
    for secret in all {
        let without = replaced(clean.as_deref().unwrap_or(bytes), secret.expose_secret().as_bytes());
        clean = without.or(clean);
    }
    clean
}

/// Bytes with a blank wherever `part` stood, written once from beginning to end; none where it stands nowhere.
fn replaced(bytes: &[u8], part: &[u8]) -> Option<Vec<u8>> {
    let mut next = Some(find(bytes, part, 0)?);
    let (mut clean, mut from) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(at) = next {
        clean.extend_from_slice(&bytes[from..at]);
        clean.extend_from_slice(BLANK.as_bytes());
        from = at + part.len();
        next = find(bytes, part, from);
    }
    clean.extend_from_slice(&bytes[from..]);
    Some(clean)
}

/// Where `part` begins in `bytes`, from a place on.
fn find(bytes: &[u8], part: &[u8], from: usize) -> Option<usize> {
    let first = *part.first()?;
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(part) {
            return Some(at);
        }
        at += 1;
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

    #[test]
    fn what_is_carried_as_bytes_and_a_token_that_was_learned_are_taken_out() {
        let secrets = secrets();
        let carried = |bytes: &[u8]| json!({"resource": {"uri": "mem://x", "blob": STANDARD.encode(bytes)}});
        let mut value = carried(b"\x00\xffxx hunter2hunter2 and k4f9s8d7f6g5h4j3k2l1\x00");
        secrets.within(&mut value);
        assert_eq!(value, carried(b"\x00\xffxx [secret] and [secret]\x00"));
        let mut untouched = carried(b"\x00\xffnothing");
        secrets.within(&mut untouched);
        assert_eq!(untouched, carried(b"\x00\xffnothing"));
        assert_eq!(secrets.taken_out_of(b"\xff hunter2hunter2".to_vec()), b"\xff [secret]");

        // A long content full of them is gone through once for each, and not moved at each place.
        let many = [b"\xff".as_slice(), "hunter2hunter2,".repeat(100_000).as_bytes()].concat();
        let blanks = [b"\xff".as_slice(), "[secret],".repeat(100_000).as_bytes()].concat();
        assert!(secrets.taken_out_of(many) == blanks);

        let other = secrets.clone();
        other.learn("first-token-of-many");
        let lost = secrets.taken_out(Err(CallError::unknown("500: you sent Bearer first-token-of-many")));
        assert_eq!(lost, Err(CallError::unknown("500: you sent Bearer [secret]")));
        for n in 0..20 {
            other.learn(&format!("token-number-{n}"));
        }
        let mut said = "token-number-19 hunter2hunter2".to_owned();
        secrets.blank(&mut said);
        assert_eq!(said, "[secret] [secret]");
        assert_eq!(secrets.0.read().unwrap().learned.len(), LEARNED);
    }
}
