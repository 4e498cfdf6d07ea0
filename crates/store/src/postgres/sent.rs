//! How a statement is sent: prepared once a connection; or, through a pooler that gives each transaction another session
//! of the server, by its text each time, since nothing that a session keeps is there the next time.

use std::error::Error as StdError;

use deadpool_postgres::Object;
use tokio_postgres::{
    Error, Row, Statement as Prepared,
    types::{Format, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use crate::value::{Value, time_text};

/// A statement, ready to be sent.
#[derive(Debug, Clone)]
pub(super) enum Sent {
    Prepared(Prepared),
    Text(&'static str),
}

impl Sent {
    /// A statement for a connection whose session stays, or for one of a pooler's.
    pub(super) async fn ready(client: &Object, sql: &'static str, pooled: bool) -> Result<Self, Error> {
        if pooled { Ok(Self::Text(sql)) } else { client.prepare_cached(sql).await.map(Self::Prepared) }
    }

    /// The rows it answers.
    pub(super) async fn rows(&self, client: &Object, params: &[Value]) -> Result<Vec<Row>, Error> {
        match self {
            Self::Prepared(prepared) => client.query(prepared, &refs(params)).await,
            Self::Text(sql) => {
                let texts: Vec<AsText<'_>> = params.iter().map(AsText).collect();
                client.query_typed(sql, &untyped(&texts)).await
            }
        }
    }

    /// How many rows it changed.
    pub(super) async fn count(&self, client: &Object, params: &[Value]) -> Result<u64, Error> {
        match self {
            Self::Prepared(prepared) => client.execute(prepared, &refs(params)).await,
            Self::Text(sql) => {
                let texts: Vec<AsText<'_>> = params.iter().map(AsText).collect();
                client.execute_typed(sql, &untyped(&texts)).await
            }
        }
    }
}

fn refs(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|v| v as &(dyn ToSql + Sync)).collect()
}

/// The server works out the types, as it does when it prepares.
fn untyped<'a>(texts: &'a [AsText<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    texts.iter().map(|t| (t as &(dyn ToSql + Sync), Type::UNKNOWN)).collect()
}

/// A value as PostgreSQL reads it from text, whatever its type turns out to be.
#[derive(Debug)]
struct AsText<'a>(&'a Value);

impl ToSql for AsText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let text = match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Bool(v) => v.to_string(),
            Value::Int(v) => v.to_string(),
            Value::Text(v) | Value::Document(v) => v.clone(),
            Value::Uuid(v) => v.to_string(),
            Value::Time(v) => time_text(*v),
            Value::Json(v) => serde_json::to_string(v)?,
            Value::Texts(v) => array(v.iter().map(|text| quoted(text))),
            Value::Uuids(v) => array(v.iter().map(ToString::to_string)),
            Value::Ip(v) => v.to_string(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }
    to_sql_checked!();
}

fn array(elements: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", elements.collect::<Vec<_>>().join(","))
}

/// An element of an array: always in quotes, so that NULL and the empty text are themselves.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::{array, quoted};

    #[test]
    fn elements_keep_what_an_array_would_read() {
        let texts = ["", "NULL", "a\"b", "c\\d", "{e,f}"].map(quoted);
        assert_eq!(array(texts.into_iter()), r#"{"","NULL","a\"b","c\\d","{e,f}"}"#);
    }
}
