//! Values that go into statements and columns that come out, the same for both databases.

use std::{error::Error as StdError, net::IpAddr};

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, Value as SqliteValue};
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use uuid::Uuid;

use crate::{Error, Result};

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// Boolean.
    Bool(bool),
    /// Whole number; sent as wide as the column wants.
    Int(i64),
    /// Text.
    Text(String),
    /// Id.
    Uuid(Uuid),
    /// Moment, to the microsecond.
    Time(Timestamp),
    /// JSON document.
    Json(serde_json::Value),
    /// JSON document that is written already; who writes it leaves no NUL in it.
    Document(String),
    /// List of texts.
    Texts(Vec<String>),
    /// List of ids.
    Uuids(Vec<Uuid>),
    /// Address.
    Ip(IpAddr),
}

macro_rules! from {
    ($($t:ty => $make:expr),* $(,)?) => { $(impl From<$t> for Value { fn from(v: $t) -> Self { $make(v) } })* };
}
from! {
    bool => Value::Bool, i64 => Value::Int, String => Value::Text, Uuid => Value::Uuid, Timestamp => Value::Time,
    serde_json::Value => Value::Json, Vec<String> => Value::Texts, Vec<Uuid> => Value::Uuids, IpAddr => Value::Ip,
    i32 => |v: i32| Value::Int(v.into()), u32 => |v: u32| Value::Int(v.into()),
    &str => |v: &str| Value::Text(v.to_owned()), &String => |v: &String| Value::Text(v.clone()),
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}

impl Value {
    /// Whether a text in it holds a NUL, which PostgreSQL refuses and SQLite would take for the end of the text.
    pub(crate) fn has_nul(&self) -> bool {
        fn within(json: &serde_json::Value) -> bool {
            match json {
                serde_json::Value::String(s) => s.contains('\0'),
                serde_json::Value::Array(list) => list.iter().any(within),
                serde_json::Value::Object(map) => map.iter().any(|(k, v)| k.contains('\0') || within(v)),
                _ => false,
            }
        }
        match self {
            Self::Text(s) => s.contains('\0'),
            Self::Texts(list) => list.iter().any(|s| s.contains('\0')),
            Self::Json(json) => within(json),
            _ => false,
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(v) => v.to_sql_checked(ty, out),
            Self::Int(v) if *ty == Type::INT4 => i32::try_from(*v)?.to_sql_checked(ty, out),
            Self::Int(v) => v.to_sql_checked(ty, out),
            Self::Text(v) => v.to_sql_checked(ty, out),
            Self::Uuid(v) => v.to_sql_checked(ty, out),
            Self::Time(v) => v.to_sql_checked(ty, out),
            Self::Json(v) => v.to_sql_checked(ty, out),
            Self::Document(v) => {
                // The one version there is of JSONB on the wire.
                if *ty == Type::JSONB {
                    out.extend_from_slice(&[1]);
                }
                out.extend_from_slice(v.as_bytes());
                Ok(IsNull::No)
            }
            Self::Texts(v) => v.to_sql_checked(ty, out),
            Self::Uuids(v) => v.to_sql_checked(ty, out),
            Self::Ip(v) => v.to_sql_checked(ty, out),
        }
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let json = |v: &dyn erased::Json| v.text().map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)));
        Ok(ToSqlOutput::Owned(match self {
            Self::Null => SqliteValue::Null,
            Self::Bool(v) => SqliteValue::Integer((*v).into()),
            Self::Int(v) => SqliteValue::Integer(*v),
            Self::Text(v) | Self::Document(v) => return Ok(ToSqlOutput::from(v.as_str())),
            Self::Uuid(v) => SqliteValue::Text(v.to_string()),
            Self::Time(v) => SqliteValue::Text(time_text(*v)),
            Self::Json(v) => SqliteValue::Text(json(v)?),
            Self::Texts(v) => SqliteValue::Text(json(v)?),
            Self::Uuids(v) => SqliteValue::Text(json(v)?),
            Self::Ip(v) => SqliteValue::Text(v.to_string()),
        }))
    }
}

mod erased {
    //! JSON text of the few types that become JSON on SQLite.
    pub(super) trait Json {
        fn text(&self) -> serde_json::Result<String>;
    }
    impl<T: serde::Serialize> Json for T {
        fn text(&self) -> serde_json::Result<String> {
            serde_json::to_string(self)
        }
    }
}

/// Rows in one answer at most.
const PAGE_ROWS: i64 = 1000;

/// The LIMIT of a list: never negative, which SQLite takes for "all", and never unbounded.
pub(crate) fn page(limit: i64) -> Value {
    Value::Int(limit.clamp(0, PAGE_ROWS))
}

/// A moment as SQLite keeps it: UTC, six digits of fraction, `Z`; such texts sort by time.
pub fn time_text(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// The present moment, to the microsecond that both databases keep.
pub fn now() -> Timestamp {
    truncate(Timestamp::now())
}

/// A moment without what is finer than a microsecond.
pub fn truncate(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// A row of a result, from either database.
#[derive(Debug)]
pub enum Row {
    /// From PostgreSQL.
    Postgres(tokio_postgres::Row),
    /// From SQLite.
    Sqlite(Vec<SqliteValue>),
}

/// A type that a column can be read as.
pub trait Column: Sized {
    /// Reads a column of a PostgreSQL row.
    fn from_postgres(row: &tokio_postgres::Row, index: usize) -> Result<Self, String>;
    /// Reads a value of SQLite.
    fn from_sqlite(value: &SqliteValue) -> Result<Self, String>;
}

impl Row {
    /// The column at `index`, named `name` in errors.
    pub fn get<T: Column>(&self, index: usize, name: &str) -> Result<T> {
        match self {
            Self::Postgres(row) => T::from_postgres(row, index),
            Self::Sqlite(values) => values.get(index).map_or_else(|| Err("no such column".to_owned()), T::from_sqlite),
        }
        .map_err(|reason| Error::Decode { column: name.to_owned(), reason })
    }
}

fn found(value: &SqliteValue) -> String {
    format!("found {}", value.data_type())
}

macro_rules! column {
    ($t:ty, $pattern:pat => $read:expr) => {
        impl Column for $t {
            fn from_postgres(row: &tokio_postgres::Row, index: usize) -> Result<Self, String> {
                row.try_get(index).map_err(|e| e.to_string())
            }
            fn from_sqlite(value: &SqliteValue) -> Result<Self, String> {
                match value {
                    $pattern => $read,
                    other => Err(found(other)),
                }
            }
        }
        impl Column for Option<$t> {
            fn from_postgres(row: &tokio_postgres::Row, index: usize) -> Result<Self, String> {
                row.try_get(index).map_err(|e| e.to_string())
            }
            fn from_sqlite(value: &SqliteValue) -> Result<Self, String> {
                if *value == SqliteValue::Null { Ok(None) } else { <$t>::from_sqlite(value).map(Some) }
            }
        }
    };
}
column!(String, SqliteValue::Text(v) => Ok(v.clone()));
column!(i64, SqliteValue::Integer(v) => Ok(*v));
column!(i32, SqliteValue::Integer(v) => i32::try_from(*v).map_err(|e| e.to_string()));
column!(bool, SqliteValue::Integer(v) => Ok(*v != 0));
column!(Uuid, SqliteValue::Text(v) => v.parse().map_err(|e: uuid::Error| e.to_string()));
column!(Timestamp, SqliteValue::Text(v) => v.parse().map_err(|e: jiff::Error| e.to_string()));
column!(IpAddr, SqliteValue::Text(v) => v.parse().map_err(|e: std::net::AddrParseError| e.to_string()));
column!(serde_json::Value, SqliteValue::Text(v) => serde_json::from_str(v).map_err(|e| e.to_string()));
column!(Vec<String>, SqliteValue::Text(v) => serde_json::from_str(v).map_err(|e| e.to_string()));
column!(Vec<Uuid>, SqliteValue::Text(v) => serde_json::from_str(v).map_err(|e| e.to_string()));

/// A row struct: its columns in order, and how it is read.
pub trait FromRow: Sized {
    /// Column names, in the order of the fields.
    const COLUMNS: &'static [&'static str];
    /// Reads one row.
    fn from_row(row: &Row) -> Result<Self>;
}

/// Declares a row struct: the fields are the columns, and the struct is the payload. Its comments are what the API's
/// description says of it.
macro_rules! row {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $t:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub struct $name { $($(#[$fmeta])* pub $field: $t),* }
        impl $crate::value::FromRow for $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];
            fn from_row(row: &$crate::value::Row) -> $crate::Result<Self> {
                let mut index = 0..;
                Ok(Self { $($field: row.get(index.next().unwrap_or_default(), stringify!($field))?),* })
            }
        }
    };
}
pub(crate) use row;

/// One unnamed column, for statements that answer a single value.
#[derive(Debug)]
pub(crate) struct Scalar<T>(pub T);
impl<T: Column> FromRow for Scalar<T> {
    const COLUMNS: &'static [&'static str] = &[];
    fn from_row(row: &Row) -> Result<Self> {
        row.get(0, "value").map(Scalar)
    }
}
