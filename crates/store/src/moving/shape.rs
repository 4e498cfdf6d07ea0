//! Which tables there are and what their columns hold: PostgreSQL's catalogue says so for both engines.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use tokio_postgres::Client;

use super::cell::Kind;
use crate::{Error, Result, postgres::translate};

/// The move's own notes in the target; gone when it is done.
pub(crate) const NOTES: &str = "steward_move";

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As PostgreSQL calls it, without a length.
    pub(super) type_name: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Places of the key's columns.
    pub(super) key: Vec<usize>,
}

impl Table {
    /// The columns' names, quoted.
    pub(super) fn column_list(&self) -> String {
        self.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
    }

    /// An error about one value of a row.
    pub(super) fn wrong(&self, place: usize, key: &[Option<String>], reason: String) -> Error {
        let column = self.columns.get(place).map_or("?", |c| c.name.as_str());
        let key: Vec<&str> = key.iter().map(|k| k.as_deref().unwrap_or("NULL")).collect();
        Error::Decode { column: format!("{}.{column} of the row {}", self.name, key.join(", ")), reason }
    }

    /// The key's texts of a row.
    pub(super) fn key_of(&self, row: &[Option<String>]) -> Vec<Option<String>> {
        self.key.iter().map(|k| row.get(*k).cloned().flatten()).collect()
    }
}

/// A name as both engines quote it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const COLUMNS: &str = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), \
      COALESCE((SELECT array_position(i.indkey::int2[], a.attnum)::int FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), -1) \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
      AND c.relname NOT IN ('schema_migrations', 'steward_move', 'user_rights') AND c.relname !~ '^system_logs_' \
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname, a.attnum";
const REFERENCES: &str = "SELECT DISTINCT c.relname::text, f.relname::text FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid \
    JOIN pg_class f ON f.oid = o.confrelid WHERE o.contype = 'f' AND o.connamespace = 'public'::regnamespace AND o.conrelid <> o.confrelid AND NOT c.relispartition";

/// Every table with people's data (what PostgreSQL alone derives from it is filled in by `postgres.rs`), in an order in which each comes after those that it refers to.
pub(super) async fn tables(client: &Client) -> Result<Vec<Table>> {
    let fail = |e: tokio_postgres::Error| translate("db move", &e);
    let mut found: BTreeMap<String, (Table, Vec<(i32, usize)>)> = BTreeMap::new();
    for row in client.query(COLUMNS, &[]).await.map_err(fail)? {
        let (table, name, type_name, place): (String, String, String, i32) = (
            row.try_get(0).map_err(fail)?,
            row.try_get(1).map_err(fail)?,
            row.try_get(2).map_err(fail)?,
            row.try_get(3).map_err(fail)?,
        );
        let kind = Kind::of(&type_name).ok_or_else(|| {
            Error::Schema(format!("the column {table}.{name} is of the type {type_name}, which can't be moved"))
        })?;
        let (table, key) = found
            .entry(table.clone())
            .or_insert_with(|| (Table { name: table, columns: Vec::new(), key: Vec::new() }, Vec::new()));
        if place >= 0 {
            key.push((place, table.columns.len()));
        }
        table.columns.push(Column { name, kind, type_name });
    }
    let mut waiting = Vec::new();
    for (name, (mut table, mut key)) in found {
        key.sort_unstable();
        table.key = key.into_iter().map(|(_, place)| place).collect();
        if table.key.is_empty() {
            return Err(Error::Schema(format!("the table {name} has no primary key and can't be moved")));
        }
        waiting.push(table);
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in client.query(REFERENCES, &[]).await.map_err(fail)? {
        needs.entry(row.try_get(0).map_err(fail)?).or_default().insert(row.try_get(1).map_err(fail)?);
    }
    let mut sorted: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let ready = |t: &Table| {
            needs.get(&t.name).is_none_or(|n| n.iter().all(|other| sorted.iter().any(|s| s.name == *other)))
        };
        let Some(place) = waiting.iter().position(ready) else {
            let names: Vec<&str> = waiting.iter().map(|t| t.name.as_str()).collect();
            return Err(Error::Schema(format!("these tables refer to each other in a circle: {}", names.join(", "))));
        };
        sorted.push(waiting.remove(place));
    }
    Ok(sorted)
}

/// Refuses a SQLite file whose tables are not the same.
pub(super) fn check_sqlite(connection: &Connection, tables: &[Table]) -> Result<()> {
    for table in tables {
        let names = || -> rusqlite::Result<BTreeSet<String>> {
            connection
                .prepare("SELECT name FROM pragma_table_info(?1)")?
                .query_map([&table.name], |r| r.get(0))?
                .collect()
        };
        let theirs = names().map_err(|e| crate::sqlite::translate("db move", &e))?;
        let ours: BTreeSet<String> = table.columns.iter().map(|c| c.name.clone()).collect();
        if let Some(other) = ours.symmetric_difference(&theirs).next() {
            return Err(Error::Schema(format!(
                "the table {} has the column {other} on one of the two databases alone; bring both up to date (steward db migrate)",
                table.name
            )));
        }
    }
    Ok(())
}
