//! A value on its way from one engine to the other: a text that both write alike, so that equal values have equal texts.
//!
//! Moments carry six digits of fraction and `Z`, JSON is `jsonb`'s own text, lists are compact JSON of texts, truth is 1
//! or 0, bytes are hexadecimal.

use rusqlite::types::{Value as SqliteValue, ValueRef};

use crate::canonical::{self, JsonError};

/// A row: its columns in the table's order.
pub(super) type Cells = Vec<Option<String>>;

/// What a column holds, as PostgreSQL names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Uuid,
    Time,
    Json,
    Int,
    Real,
    Bool,
    Ip,
    Bytes,
    Texts,
    Uuids,
}

impl Kind {
    /// From PostgreSQL's `format_type` without the length.
    pub(super) fn of(type_name: &str) -> Option<Self> {
        Some(match type_name.split('(').next().unwrap_or_default().trim() {
            "text" | "character varying" | "character" | "date" => Self::Text,
            "uuid" => Self::Uuid,
            "timestamp with time zone" => Self::Time,
            "jsonb" => Self::Json,
            "smallint" | "integer" | "bigint" => Self::Int,
            "double precision" => Self::Real,
            "boolean" => Self::Bool,
            "inet" => Self::Ip,
            "bytea" => Self::Bytes,
            "text[]" | "character varying[]" => Self::Texts,
            "uuid[]" => Self::Uuids,
            _ => return None,
        })
    }

    /// The expression that answers the text of a column on PostgreSQL.
    pub(super) fn postgres_read(self, column: &str) -> String {
        match self {
            // What SQLite's four digits can't say goes as it is, and is refused there.
            Self::Time => format!(
                "CASE WHEN {column} >= '0001-01-01 00:00Z' AND {column} < '10000-01-01 00:00Z' THEN to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') ELSE {column}::text END"
            ),
            Self::Bool => format!("{column}::int::text"),
            Self::Ip => format!(
                "CASE WHEN masklen({column}) = CASE family({column}) WHEN 4 THEN 32 ELSE 128 END THEN host({column}) ELSE {column}::text END"
            ),
            Self::Bytes => format!("encode({column}, 'hex')"),
            Self::Texts | Self::Uuids => format!("to_json({column})::text"),
            Self::Text | Self::Uuid | Self::Json | Self::Int | Self::Real => format!("{column}::text"),
        }
    }

    /// The expression that makes the column's value of a text on PostgreSQL.
    pub(super) fn postgres_write(self, text: &str, type_name: &str) -> String {
        match self {
            Self::Bool => format!("({text}::int)::boolean"),
            Self::Bytes => format!("decode({text}, 'hex')"),
            Self::Texts | Self::Uuids => format!(
                "CASE WHEN {text} IS NOT NULL THEN ARRAY(SELECT e.v FROM jsonb_array_elements_text({text}::jsonb) WITH ORDINALITY e(v, n) ORDER BY e.n)::{type_name} END"
            ),
            _ => format!("{text}::{type_name}"),
        }
    }

    /// The text of a value that PostgreSQL wrote.
    pub(super) fn read_postgres(self, text: String) -> Result<String, String> {
        match self {
            Self::Texts | Self::Uuids => list(&text),
            _ => Ok(text),
        }
    }

    /// The text of a value as SQLite keeps it.
    pub(super) fn read_sqlite(self, value: ValueRef<'_>) -> Result<Option<String>, String> {
        let text = match value {
            ValueRef::Null => return Ok(None),
            ValueRef::Integer(n) => n.to_string(),
            ValueRef::Real(n) => n.to_string(),
            ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map_err(|e| format!("its text is no UTF-8 ({e})"))?.to_owned()
            }
            ValueRef::Blob(bytes) => hex::encode(bytes),
        };
        if text.contains('\0') {
            return Err("it holds a NUL character, which PostgreSQL keeps in no text; take it out first".to_owned());
        }
        match self {
            Self::Json => canonical::jsonb_text(&text).map(Some).map_err(|e| json_error(&e)),
            Self::Texts | Self::Uuids => list(&text).map(Some),
            _ => Ok(Some(text)),
        }
    }

    /// What SQLite keeps for a text.
    pub(super) fn write_sqlite(self, text: Option<String>) -> Result<SqliteValue, String> {
        let Some(text) = text else { return Ok(SqliteValue::Null) };
        Ok(match self {
            Self::Int | Self::Bool => SqliteValue::Integer(text.parse().map_err(|e| format!("{text}: {e}"))?),
            Self::Real => SqliteValue::Real(text.parse().map_err(|e| format!("{text}: {e}"))?),
            Self::Bytes => SqliteValue::Blob(hex::decode(&text).map_err(|e| e.to_string())?),
            _ => SqliteValue::Text(text),
        })
    }
}

fn json_error(e: &JsonError) -> String {
    match e {
        JsonError::Character(_) => {
            "its JSON holds an escape that PostgreSQL keeps in no text (\\u0000 or half of a pair); take it out first"
                .to_owned()
        }
        JsonError::NumberRange(_) => {
            "its JSON holds a number with more digits than PostgreSQL keeps; shorten it first".to_owned()
        }
        other => format!("its JSON can't be kept by PostgreSQL ({other}); correct it first"),
    }
}

/// A list of texts as compact JSON, the way Steward writes it.
fn list(text: &str) -> Result<String, String> {
    let items: Vec<Option<String>> =
        serde_json::from_str(text).map_err(|e| format!("it is no plain list of texts ({e}); correct it first"))?;
    serde_json::to_string(&items).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Option<String>, String> {
        Kind::Json.read_sqlite(ValueRef::Text(text.as_bytes()))
    }

    #[test]
    fn numbers_keep_every_digit_and_the_last_of_equal_keys_counts() {
        assert_eq!(json("[12345678901234567890.123,-0,1e3]").unwrap().unwrap(), "[12345678901234567890.123, 0, 1000]");
        assert_eq!(json("1e400").unwrap().unwrap().len(), 401);
        assert_eq!(json(r#"{"bb":1,"a":2,"a":"\u00e9"}"#).unwrap().unwrap(), r#"{"a": "é", "bb": 1}"#);
    }

    #[test]
    fn what_the_other_cannot_keep_is_refused() {
        assert!(json(r#""\u0000""#).unwrap_err().contains("\\u0000"));
        assert!(json("1e200000").unwrap_err().contains("digits"));
        assert!(Kind::Text.read_sqlite(ValueRef::Text(b"a\0b")).unwrap_err().contains("NUL"));
        assert!(Kind::Text.read_sqlite(ValueRef::Text(b"\xff")).unwrap_err().contains("UTF-8"));
        assert!(Kind::Texts.read_sqlite(ValueRef::Text(b"[1]")).unwrap_err().contains("list of texts"));
        assert_eq!(Kind::Texts.read_postgres("[\"a\", null]".to_owned()).unwrap(), "[\"a\",null]");
    }
}
