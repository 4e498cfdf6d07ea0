//! SQLite: figures for the planner, full-text indexes merged, free pages given back, the write-ahead log cut. Blocking.

use std::{path::Path, time::Duration};

use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::{Action, Progress};
use crate::{
    Result,
    sqlite::{Access, connect, translate},
};

/// Pages given back in one step: a few milliseconds for those who wait to write.
const PAGES_A_STEP: i64 = 500;
/// Pages of a full-text index merged in one step.
const MERGED_A_STEP: i64 = 500;
/// Steps at most: what is left is done the next time.
const MOST_STEPS: usize = 10_000;

pub(super) fn run(path: &Path, progress: &Progress, stop: &CancellationToken) -> Result<Vec<Action>> {
    let fail = |e: rusqlite::Error| translate("maintain", &e);
    let (connection, _context) = connect(path, Access::Migrate, Duration::from_secs(30))?;
    let mut actions = Vec::new();
    for name in fulltext(&connection).map_err(fail)? {
        if stop.is_cancelled() {
            return Ok(actions);
        }
        progress(&name);
        actions.push(tidy(&connection, &name, stop).map_err(fail)?);
    }
    progress("figures for the planner");
    connection.query_row("PRAGMA optimize(0x10002)", [], |_| Ok(())).or_else(none).map_err(fail)?;
    actions.push(action("the planner's figures", "analysed", "where much had changed"));
    progress("free pages");
    actions.push(shrink(&connection, stop).map_err(fail)?);
    progress("the write-ahead log");
    actions.push(if crate::backup::is_shipped(path) {
        action("the write-ahead log", "left", "it is shipped, and whoever ships it keeps it short")
    } else {
        checkpoint(&connection).map_err(fail)?
    });
    connection.close().map_err(|(_, e)| fail(e))?;
    Ok(actions)
}

fn action(place: impl Into<String>, what: &'static str, said: impl Into<String>) -> Action {
    Action { place: place.into(), what, said: said.into() }
}

fn none(e: rusqlite::Error) -> rusqlite::Result<()> {
    if matches!(e, rusqlite::Error::QueryReturnedNoRows) { Ok(()) } else { Err(e) }
}

fn fulltext(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING fts5%' ORDER BY name";
    connection.prepare(sql)?.query_map([], |r| r.get(0))?.collect()
}

/// Compares a full-text index with its table and makes it anew where they differ; else merges its parts, step by step.
fn tidy(connection: &Connection, name: &str, stop: &CancellationToken) -> rusqlite::Result<Action> {
    let tell = |command: &str, rank: i64| {
        connection.execute(&format!("INSERT INTO \"{name}\" (\"{name}\", rank) VALUES (?1, ?2)"), (command, rank))
    };
    match tell("integrity-check", 1) {
        Ok(_) => {}
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            connection.execute(&format!("INSERT INTO \"{name}\" (\"{name}\") VALUES ('rebuild')"), [])?;
            return Ok(action(name, "rebuilt", "it did not agree with its table, and was made anew from it"));
        }
        Err(e) => return Err(e),
    }
    // A negative number begins to merge all of it; the ones after it go on, until a step has next to nothing to do.
    let mut steps = 0;
    while steps < MOST_STEPS && !stop.is_cancelled() {
        let before = connection.total_changes();
        tell("merge", if steps == 0 { -MERGED_A_STEP } else { MERGED_A_STEP })?;
        if connection.total_changes() - before < 2 {
            break;
        }
        steps += 1;
    }
    Ok(action(name, "merged", format!("it agrees with its table; {steps} steps")))
}

/// Gives free pages back to the disk.
fn shrink(connection: &Connection, stop: &CancellationToken) -> rusqlite::Result<Action> {
    let figure = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |r| r.get::<_, i64>(0));
    let (free, page_size) = (figure("freelist_count")?, figure("page_size")?);
    if free == 0 {
        return Ok(action("the file", "left", "no page of it is free"));
    }
    let megabytes = |pages: i64| format!("{}.{} MB", pages * page_size / 1_000_000, pages * page_size / 100_000 % 10);
    if figure("auto_vacuum")? != 2 {
        let said = format!(
            "{} of it are free and are used again, but not given back: it was made without incremental auto_vacuum; stop Steward and run: sqlite3 FILE 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM'",
            megabytes(free)
        );
        return Ok(action("the file", "left", said));
    }
    let mut steps = 0;
    while figure("freelist_count")? > 0 && steps < MOST_STEPS && !stop.is_cancelled() {
        let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_A_STEP})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        steps += 1;
    }
    Ok(action("the file", "shrunk", format!("by {}", megabytes(free - figure("freelist_count")?))))
}

/// Brings the write-ahead log into the file and cuts it, unless somebody reads from it just now.
fn checkpoint(connection: &Connection) -> rusqlite::Result<Action> {
    // A reader of the old state would make it wait; it is small enough to be left.
    connection.busy_timeout(Duration::from_secs(2))?;
    let (busy, pages): (i64, i64) =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| Ok((r.get(0)?, r.get(2)?)))?;
    Ok(if busy == 0 {
        action("the write-ahead log", "shrunk", "it is empty")
    } else {
        let said = format!("somebody reads from it; {pages} pages were brought into the file");
        action("the write-ahead log", "left", said)
    })
}
