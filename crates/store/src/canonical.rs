//! The canonical texts that both databases must agree on to the byte: JSON as PostgreSQL's `jsonb` prints it, an audit
//! row as its chain hashes it, and the hash itself. Pure functions; `audit verify` uses them on either database.

mod json;

use sha2::{Digest, Sha256};

pub use self::json::{Json, JsonError, MAX_DEPTH};

/// What the first row of the chain has as its predecessor.
pub const GENESIS_SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A JSON text as PostgreSQL's `jsonb` prints it.
pub fn jsonb_text(text: &str) -> Result<String, JsonError> {
    Json::parse(text).map(|value| value.to_text())
}

/// The columns of an `audit_trail` row, as stored.
#[derive(Debug, Clone, Copy)]
pub struct AuditRow<'a> {
    /// Lower-case UUID text, as every id here.
    pub id: &'a str,
    /// Who acted; none where Steward itself did.
    pub user_id: Option<&'a str>,
    /// Such as `task_created`.
    pub action: &'a str,
    /// Such as `task`.
    pub entity_type: Option<&'a str>,
    /// The row's id.
    pub entity_id: Option<&'a str>,
    /// JSON text.
    pub old_values: Option<&'a str>,
    /// JSON text.
    pub new_values: Option<&'a str>,
    /// The address without a netmask (one is dropped).
    pub ip_address: Option<&'a str>,
    /// As the client sent it.
    pub user_agent: Option<&'a str>,
    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
    pub created_at: &'a str,
}

/// What the chain hashes of a row: the same text as `audit_canonical()` makes on PostgreSQL.
pub fn audit_text(row: &AuditRow<'_>) -> Result<String, JsonError> {
    let text = |value: Option<&str>| value.map_or(Json::Null, |v| Json::String(v.to_owned()));
    let json = |value: Option<&str>| value.map_or(Ok(Json::Null), Json::parse);
    let host = row.ip_address.map(|ip| ip.split_once('/').map_or(ip, |(host, _)| host));
    Ok(Json::Array(vec![
        text(Some(row.id)),
        text(row.user_id),
        text(Some(row.action)),
        text(row.entity_type),
        text(row.entity_id),
        json(row.old_values)?,
        json(row.new_values)?,
        text(host),
        text(row.user_agent),
        text(Some(row.created_at)),
    ])
    .to_text())
}

/// The same of a row whose JSON stands in `jsonb`'s own form already, as both databases keep it: the texts go in as they
/// are. (A row with other texts gives another text than any that [`audit_text`] makes: an array of ten elements.)
pub fn audit_text_as_kept(row: &AuditRow<'_>) -> String {
    let host = row.ip_address.map(|ip| ip.split_once('/').map_or(ip, |(host, _)| host));
    let (old, new) = (row.old_values.unwrap_or("null"), row.new_values.unwrap_or("null"));
    let mut out = String::with_capacity(old.len() + new.len() + 256);
    let text = |value: Option<&str>, out: &mut String| match value {
        Some(value) => json::write_string(value, out),
        None => out.push_str("null"),
    };
    out.push('[');
    for value in [Some(row.id), row.user_id, Some(row.action), row.entity_type, row.entity_id] {
        text(value, &mut out);
        out.push_str(", ");
    }
    out.push_str(old);
    out.push_str(", ");
    out.push_str(new);
    for value in [host, row.user_agent, Some(row.created_at)] {
        out.push_str(", ");
        text(value, &mut out);
    }
    out.push(']');
    out
}

/// SHA-256 of a text in lower-case hex.
pub fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The hash of the chain's next link, from the one before and [`audit_text`].
pub fn chain_sha256(previous_sha256: &str, audit_text: &str) -> String {
    hex::encode(Sha256::new().chain_update(previous_sha256).chain_update("\n").chain_update(audit_text).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    // What PostgreSQL 15 answered to `SELECT '…'::jsonb::text`.
    #[test]
    fn prints_as_postgres_does() {
        for (given, printed) in [
            ("[1e2,1.10,-0,-0.0,1.0e1,1.00e1,1E-3,12.5e+3,0e999]", "[100, 1.10, 0, 0.0, 10, 10.0, 0.001, 12500, 0]"),
            (r#"{"b":1,"aa":2,"a":3,"é":1,"zz":1,"b":9,"":0}"#, r#"{"": 0, "a": 3, "b": 9, "aa": 2, "zz": 1, "é": 1}"#),
            (r#""\ud83d\ude00\u001f\b\f\/\u00e9\u007f""#, "\"😀\\u001f\\b\\fé\u{7f}\"".replace("fé", "f/é").as_str()),
            (" [ ] ", "[]"),
            ("{ }", "{}"),
            ("[-0.0500e1, 0.00120E2, -12.340e-2]", "[-0.500, 0.120, -0.12340]"),
        ] {
            assert_eq!(jsonb_text(given).as_deref(), Ok(printed), "{given}");
        }
    }

    #[test]
    fn refuses_what_postgres_refuses() {
        for given in
            ["", "[1,]", "{\"a\" 1}", "01", "1.", ".5", "+1", "nul", "\"a", "\"\n\"", "[1] 2", "\"\\x\"", "\"\\u12g4\""]
        {
            assert!(matches!(jsonb_text(given), Err(JsonError::Syntax(_))), "{given}");
        }
        for given in ["1e131072", "1e-16384", "0e-16384", "0e1073741823", "1e-99999999999999999999"] {
            assert!(matches!(jsonb_text(given), Err(JsonError::NumberRange(0))), "{given}");
        }
        for given in [r#""\u0000""#, r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#] {
            assert!(matches!(jsonb_text(given), Err(JsonError::Character(0))), "{given}");
        }
        assert!(matches!(jsonb_text(&"[".repeat(100_000)), Err(JsonError::TooDeep(MAX_DEPTH))));
        assert_eq!(jsonb_text("1e131071").map(|text| text.len()), Ok(131_072));
    }

    #[test]
    fn equal_as_jsonb_is() {
        let equal = |a: &str, b: &str| Json::parse(a).unwrap() == Json::parse(b).unwrap();
        assert!(equal("{\"a\":1.0,\"b\":[0]}", "{\"b\":[-0.00],\"a\":1}"));
        assert!(equal("100", "1e2"));
        assert!(!equal("10", "1"));
        assert!(!equal("\"1\"", "1"));
    }

    // The text and the hash that audit_canonical() and audit_chain_append() made of the same row.
    #[test]
    fn hashes_the_row_as_postgres_does() {
        let row = AuditRow {
            id: "00000000-0000-4000-8000-000000000001",
            user_id: None,
            action: "task_updated",
            entity_type: Some("task"),
            entity_id: Some("00000000-0000-4000-8000-000000000002"),
            old_values: Some("{\"status\":\"pending\",\"tags\":[1e2]}"),
            new_values: Some("null"),
            ip_address: Some("10.0.0.1/32"),
            user_agent: Some("a \"b\"\n"),
            created_at: "2026-11-22T17:50:54.120000Z",
        };
        let text = audit_text(&row).unwrap();
        let kept = AuditRow { old_values: Some("{\"tags\": [100], \"status\": \"pending\"}"), ..row };
        assert_eq!(audit_text_as_kept(&kept), text);
        assert_eq!(
            text,
            "[\"00000000-0000-4000-8000-000000000001\", null, \"task_updated\", \"task\", \
             \"00000000-0000-4000-8000-000000000002\", {\"tags\": [100], \"status\": \"pending\"}, null, \"10.0.0.1\", \
             \"a \\\"b\\\"\\n\", \"2026-11-22T17:50:54.120000Z\"]"
        );
        assert_eq!(
            chain_sha256(GENESIS_SHA256, &text),
            "0ac8ead1862f97cd32aa89a9118991baff9e747abf5099ed90a092bd7ca65638"
        );
    }
}
