//! Taking secrets out of what is about to be logged: by the name of a field, and by the look of a text.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";

/// Words that make a field a secret wherever they stand in its name.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "credential",
    "api_key",
    "apikey",
    "private_key",
];

/// Levels of nesting that are looked at; what lies deeper is cut off.
const DEPTH: usize = 8;

/// Whether a field of this name holds a secret: a password, a token, a key, a cookie …
pub fn is_secret(name: &str) -> bool {
    // Tokens in the plural are counted, not kept.
    let name = name.to_ascii_lowercase().replace('-', "_").replace("tokens", "");
    SECRET_WORDS.iter().any(|word| name.contains(word)) || name == "key" || name.ends_with("_key")
}

/// Words are ASCII or anything beyond it (`\u{80}`–), and their edges ASCII's: the letters of all alphabets one by one would
/// cost each pattern megabytes, and tell no secret better.
#[allow(clippy::unwrap_used, reason = "constant patterns, compiled by every test")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}
/// `scheme://user:password@host`.
static USERINFO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@"'<>]*(?:@[^\s/@"'<>]*)*@"#));
/// `Bearer …`, `Basic …`.
static BEARER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(?-u:\b)(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}"));
/// `password=…`, `"token": "…"`, `x-api-key: …`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)([[:word:]\u{80}-\u{10ffff}-]*(?:(?:password|passwd|passphrase|secret|authorization|cookie|credential|api[_-]?key|private[_-]?key)[[:word:]\u{80}-\u{10ffff}]*|token(?:_[[:word:]\u{80}-\u{10ffff}]+)?(?-u:\b))["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&"'}\])]+)"#,
    )
});

/// An API token of Steward's own, wherever it stands.
static OWN_TOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?-u:\b)stw_[A-Za-z0-9]{16,}"));

/// Keys that say themselves what they are: GitHub's and GitLab's tokens, AWS's access keys, Slack's, Stripe's and the
/// usual model providers' keys, Google's, npm's, JSON Web Tokens, and private keys in PEM.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}",
        r"|(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{16}(?-u:\b)|xox[abeprs]-[A-Za-z0-9-]{10,}|(?:sk|rk|pk)[-_](?:[a-z]+[-_])*[A-Za-z0-9_-]{20,}",
        r"|AIza[A-Za-z0-9_-]{35}|npm_[A-Za-z0-9]{36}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    ))
});
/// Shorter texts hold none of them.
const SHORTEST_KNOWN: usize = 15;

/// The text without the secrets that its look gives away: a URL's user and password, a bearer's token, what follows
/// `password=` and its like, and keys of a known form, Steward's own API tokens among them.
pub fn text(text: &str) -> Cow<'_, str> {
    // Most lines hold none of the signs.
    let has_sign = text.contains([':', '=', ' ']);
    if !has_sign && text.len() < SHORTEST_KNOWN {
        return Cow::Borrowed(text);
    }
    let mut out = Cow::Borrowed(text);
    let signs = [(&USERINFO, "${1}[redacted]@"), (&BEARER, "${1} [redacted]"), (&NAMED, "${1}[redacted]")];
    let signs = if has_sign { signs.as_slice() } else { &[] };
    for (pattern, by) in signs.iter().chain(&[(&OWN_TOKEN, "stw_[redacted]"), (&KNOWN, REDACTED)]) {
        if let Cow::Owned(changed) = pattern.replace_all(&out, *by) {
            out = Cow::Owned(changed);
        }
    }
    out
}

/// The document without secrets: the values of fields whose names say so, and secrets within texts.
pub fn json(value: &mut Value) {
    within(value, DEPTH);
}

fn within(value: &mut Value, depth: usize) {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => *value = Value::String("…".to_owned()),
        Value::Array(list) => list.iter_mut().for_each(|v| within(v, depth - 1)),
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if is_secret(name) {
                    *value = Value::String(REDACTED.to_owned());
                } else {
                    within(value, depth - 1);
                }
            }
        }
        Value::String(s) => {
            if let Cow::Owned(changed) = text(s) {
                *s = changed;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "password",
            "PASSWORD_HASH",
            "Set-Cookie",
            "x-api-key",
            "access_token",
            "key",
            "master_key",
            "Authorization",
        ] {
            assert!(super::is_secret(name), "{name}");
        }
        for name in ["task_id", "monkey", "keyboard", "module", "author", "keys_seen", "input_tokens"] {
            assert!(!super::is_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_look() {
        for (said, kept) in [
            (
                "connect to postgres://ada:hunter2@db.example:5432/x failed",
                "connect to postgres://[redacted]@db.example:5432/x failed",
            ),
            ("https://ghp_abc@host/p?token=s3cret&x=1", "https://[redacted]@host/p?token=[redacted]&x=1"),
            ("redis://:p@ss@host", "redis://[redacted]@host"),
            ("sent Authorization: Bearer eyJhbGciOi.abc-_~x", "sent Authorization: [redacted] [redacted]"),
            ("header bearer abcdef123456 refused", "header bearer [redacted] refused"),
            (r#"{"password": "a b c", "n": 1}"#, r#"{"password": [redacted], "n": 1}"#),
            ("PASSWORD='x y' next", "PASSWORD=[redacted] next"),
            (
                "read https://example.org/a@b and mail ada@example.org",
                "read https://example.org/a@b and mail ada@example.org",
            ),
            ("a basic idea: nothing here", "a basic idea: nothing here"),
            ("input_tokens=1200 token=abc", "input_tokens=1200 token=[redacted]"),
            ("plain", "plain"),
            ("stw_0123456789abcdefXYZ", "stw_[redacted]"),
            ("used stw_0123456789abcdefXYZ, then stw_ alone", "used stw_[redacted], then stw_ alone"),
            ("push with ghp_0123456789abcdefghijABCDEFGHIJ012345 failed", "push with [redacted] failed"),
            ("github_pat_11ABCDEFG0123456789_abcdefghijklmnopqrstuvwxyz", "[redacted]"),
            ("signed by AKIAIOSFODNN7EXAMPLE, refused", "signed by [redacted], refused"),
            ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key=[redacted]"),
            ("key sk-ant-api03-abcdefghijklmnopqrstuvwxyz is over its limit", "key [redacted] is over its limit"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY----- was read", "[redacted] was read"),
            (
                "the AKIA prefix and a task_id_0123456789abcdef stay",
                "the AKIA prefix and a task_id_0123456789abcdef stay",
            ),
            ("0199aa00-0000-7000-8000-000000000001", "0199aa00-0000-7000-8000-000000000001"),
        ] {
            assert_eq!(super::text(said), kept);
        }
    }

    #[test]
    fn documents_lose_theirs() {
        let mut found =
            json!({"user": "ada", "token": {"deep": 1}, "list": [{"api_key": "k"}, "see http://u:p@h/"], "n": 3});
        super::json(&mut found);
        assert_eq!(
            found,
            json!({"user": "ada", "token": "[redacted]", "list": [{"api_key": "[redacted]"}, "see http://[redacted]@h/"], "n": 3})
        );
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        super::json(&mut deep);
        assert!(deep.to_string().len() < 40);
    }
}
