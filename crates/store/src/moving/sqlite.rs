//! The SQLite side of a move: reads as of one moment from a file opened for reading alone, and writes on a connection
//! whose triggers are off.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, config::DbConfig, params_from_iter, types::Value};

use super::{
    cell::{Cells, Kind},
    shape::{NOTES, Table, quoted},
};
use crate::{
    Error, Result,
    sqlite::{Access, connect, translate},
};

/// Rows in one batch, and bytes after which it is full.
const ROWS: usize = 200;
const BYTES: usize = 4 << 20;
/// How long to wait for another program that writes.
const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fail(e: rusqlite::Error) -> Error {
    translate("db move", &e)
}

/// Opens a file for reading alone, as of this moment.
pub(super) fn open_source(path: &Path) -> Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|e| Error::Storage(format!("{} can't be opened: {e}", path.display())))?;
    connection.busy_timeout(WAIT).map_err(fail)?;
    // The moment is that of the first look.
    connection.execute_batch("PRAGMA query_only = ON; BEGIN; SELECT count(*) FROM sqlite_schema").map_err(fail)?;
    Ok(connection)
}

/// Opens the target; what its triggers keep is filled in at the end.
pub(super) fn open_target(path: &Path) -> Result<Connection> {
    let (connection, _context) = connect(path, Access::Migrate, WAIT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).map_err(fail)?;
    Ok(connection)
}

pub(super) fn count(connection: &Connection, table: &Table) -> Result<i64> {
    connection.query_row(&format!("SELECT count(*) FROM main.{}", quoted(&table.name)), [], |r| r.get(0)).map_err(fail)
}

/// The last link of the audit chain.
pub(super) fn head(connection: &Connection) -> Result<Option<(i64, String)>> {
    let mut rows =
        connection.prepare("SELECT seq, sha256 FROM main.audit_chain ORDER BY seq DESC LIMIT 1").map_err(fail)?;
    let mut rows = rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).map_err(fail)?;
    rows.next().transpose().map_err(fail)
}

/// The months of the log that hold lines, as `2026-01`.
pub(super) fn months(connection: &Connection) -> Result<Vec<String>> {
    let mut rows =
        connection.prepare("SELECT DISTINCT substr(timestamp, 1, 7) FROM main.system_logs ORDER BY 1").map_err(fail)?;
    let rows: rusqlite::Result<Vec<String>> = rows.query_map([], |r| r.get(0)).map_err(fail)?.collect();
    rows.map_err(fail)
}

/// Reads a table in the order of its key, after `after` where that is given, and hands it over in batches until `take`
/// says that nobody wants more.
pub(super) fn read(
    connection: &Connection,
    table: &Table,
    after: Option<Cells>,
    mut take: impl FnMut(Vec<Cells>) -> bool,
) -> Result<()> {
    let keys: Vec<String> = table.key.iter().filter_map(|k| table.columns.get(*k)).map(|c| quoted(&c.name)).collect();
    let mut params: Vec<Value> = Vec::new();
    let mut condition = String::new();
    if let Some(key) = after {
        let places: Vec<String> = (1..=key.len()).map(|n| format!("?{n}")).collect();
        condition = format!(" WHERE ({}) > ({})", keys.join(", "), places.join(", "));
        for (text, k) in key.into_iter().zip(&table.key) {
            let kind = table.columns.get(*k).map_or(Kind::Text, |c| c.kind);
            params.push(kind.write_sqlite(text).map_err(|why| table.wrong(*k, &[], why))?);
        }
    }
    let sql = format!(
        "SELECT {} FROM main.{}{condition} ORDER BY {}",
        table.column_list(),
        quoted(&table.name),
        keys.join(", ")
    );
    let mut statement = connection.prepare(&sql).map_err(fail)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(fail)?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(fail)? {
        let mut cells: Cells = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            let value = row.get_ref(place).map_err(fail)?;
            let text = column.kind.read_sqlite(value);
            let text = text.map_err(|why| table.wrong(place, &table.key_of(&cells), why))?;
            bytes += text.as_ref().map_or(0, String::len);
            cells.push(text);
        }
        batch.push(cells);
        if batch.len() >= ROWS || bytes >= BYTES {
            bytes = 0;
            if !take(std::mem::take(&mut batch)) {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        take(batch);
    }
    Ok(())
}

pub(super) fn begin_writing(connection: &Connection) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(fail)
}

/// Writes rows.
pub(super) fn write(connection: &Connection, table: &Table, rows: Vec<Cells>) -> Result<()> {
    let places: Vec<String> = (1..=table.columns.len()).map(|n| format!("?{n}")).collect();
    let sql =
        format!("INSERT INTO main.{} ({}) VALUES ({})", quoted(&table.name), table.column_list(), places.join(", "));
    let mut statement = connection.prepare_cached(&sql).map_err(fail)?;
    for row in rows {
        let key = table.key_of(&row);
        let mut values = Vec::with_capacity(row.len());
        for (place, (text, column)) in row.into_iter().zip(&table.columns).enumerate() {
            values.push(column.kind.write_sqlite(text).map_err(|why| table.wrong(place, &key, why))?);
        }
        statement.execute(params_from_iter(values)).map_err(|e| Error::Decode {
            column: format!("{} of the row {key:?}", table.name),
            reason: format!("SQLite does not take it: {e}"),
        })?;
    }
    Ok(())
}

/// Notes how far the table has come, and commits.
pub(super) fn end_writing(connection: &Connection, table: &Table, last: &str, rows: i64) -> Result<()> {
    let sql = format!(
        "INSERT INTO main.{NOTES} (table_name, last_key, rows) VALUES (?1, ?2, ?3) \
         ON CONFLICT (table_name) DO UPDATE SET last_key = excluded.last_key, rows = excluded.rows"
    );
    connection.execute(&sql, (&table.name, last, rows)).map_err(fail)?;
    connection.execute_batch("COMMIT").map_err(fail)
}

/// The notes of an earlier try, and the source they name; none where there was none.
pub(super) fn notes(connection: &Connection) -> Result<Option<Vec<(String, String, i64)>>> {
    if !connection.table_exists(None, NOTES).map_err(fail)? {
        return Ok(None);
    }
    let mut rows = connection.prepare(&format!("SELECT table_name, last_key, rows FROM main.{NOTES}")).map_err(fail)?;
    let rows: rusqlite::Result<Vec<_>> =
        rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).map_err(fail)?.collect();
    rows.map(Some).map_err(fail)
}

/// Makes an empty target ready: what the migrations put into it goes, the notes are begun.
pub(super) fn prepare(connection: &Connection, tables: &[Table], source: &str) -> Result<()> {
    let mut sql = vec!["BEGIN IMMEDIATE; ".to_owned()];
    for table in tables.iter().rev() {
        sql.push(format!("DELETE FROM main.{}; ", quoted(&table.name)));
    }
    sql.push(format!(
        "CREATE TABLE main.{NOTES} (table_name TEXT NOT NULL PRIMARY KEY, last_key TEXT NOT NULL, rows INTEGER NOT NULL) STRICT"
    ));
    connection.execute_batch(&sql.concat()).map_err(fail)?;
    connection.execute(&format!("INSERT INTO main.{NOTES} VALUES ('', ?1, 0)"), [source]).map_err(fail)?;
    connection.execute_batch("COMMIT").map_err(fail)
}

/// What comes after the proof: what triggers keep elsewhere is filled in, the notes go.
pub(super) fn finish(connection: &Connection) -> Result<()> {
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; DELETE FROM main.task_dependencies; \
             INSERT OR IGNORE INTO main.task_dependencies (task_id, depends_on) \
               SELECT t.id, d.value FROM main.tasks t, json_each(t.dependencies) d WHERE t.dependencies <> '[]' AND d.type = 'text'; \
             INSERT INTO idx_tasks_fulltext(idx_tasks_fulltext) VALUES ('rebuild'); \
             INSERT INTO idx_logs_fulltext(idx_logs_fulltext) VALUES ('delete-all'); \
             INSERT INTO idx_logs_fulltext(rowid, id, timestamp, message) \
               SELECT rowid, id, timestamp, message FROM main.system_logs WHERE message IS NOT NULL; \
             DROP TABLE main.{NOTES}; COMMIT; ANALYZE"
        ))
        .map_err(fail)
}

/// Jobs that PostgreSQL's own scheduler ran are Steward's here. Their triggers are on again: it is a change like any.
pub(super) fn take_schedules(path: &Path) -> Result<()> {
    let (connection, _context) = connect(path, Access::Migrate, WAIT)?;
    connection
        .execute_batch(
            "UPDATE main.schedules SET is_active = 1, run_by = 'steward', next_fire_at = NULL WHERE run_by = 'pg_cron'; \
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .map_err(fail)
}
