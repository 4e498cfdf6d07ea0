//! SQLite's own checks, and the rows. Blocking.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use super::{MOST, Outcome, rows};
use crate::{
    Result,
    sqlite::{Access, connect, translate},
};

type Done = (&'static str, &'static str, Outcome);

pub(super) fn look(path: &Path) -> Result<Vec<Done>> {
    let fail = |e: rusqlite::Error| translate("verify", &e);
    let (connection, _context) = connect(path, Access::Migrate, Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA query_only = ON").map_err(fail)?;
    let mut done: Vec<Done> = vec![
        (
            "pages, indexes and CHECK rules",
            "stop Steward, keep a copy of the file, and restore the last backup; what can be read is saved by: sqlite3 FILE .recover",
            Outcome::Looked(integrity(&connection).map_err(fail)?),
        ),
        (
            "foreign keys",
            "restore the row that is missing from a backup, or remove the one that points to it",
            Outcome::Looked(foreign_keys(&connection).map_err(fail)?),
        ),
    ];
    for check in rows::ALL {
        let outcome = match asked(&connection, &check.sql(rows::SQLITE_LIST)) {
            Ok(found) => Outcome::Looked(found),
            // Damage that a check above tells of.
            Err(e) => Outcome::LeftOut(format!("it could not be asked: {}", translate("verify", &e))),
        };
        done.push((check.name, check.remedy, outcome));
    }
    Ok(done)
}

fn integrity(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({})", MOST + 1))?;
    let lines = statement.query_map([], |r| r.get::<_, String>(0))?;
    // So damaged that the check itself can't go on.
    let lines: Vec<String> = lines.map(|line| line.unwrap_or_else(|e| e.to_string())).take(MOST + 1).collect();
    Ok(lines.into_iter().filter(|line| line != "ok").map(|line| ("the file".to_owned(), line)).collect())
}

fn foreign_keys(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let rows = statement.query_map([], |r| {
        let (table, row, parent): (String, Option<i64>, String) = (r.get(0)?, r.get(1)?, r.get(2)?);
        Ok((
            format!("{table} row {}", row.map_or_else(|| "?".to_owned(), |n| n.to_string())),
            format!("points to a row of {parent} that is not there"),
        ))
    })?;
    rows.take(MOST + 1).collect()
}

fn asked(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(sql)?;
    statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}
