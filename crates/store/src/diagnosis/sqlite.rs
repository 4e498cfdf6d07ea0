//! Looking at a SQLite file, read-only and past any guard: nothing of its rows is read.

use std::path::Path;

use jiff::SignedDuration;
use rusqlite::{Connection, OpenFlags};

use super::{Diagnosis, FileState};
use crate::{Error, Result, sqlite::translate};

/// Blocking.
pub(super) fn look(path: &Path) -> Result<Diagnosis> {
    let fail = |e: rusqlite::Error| translate("diagnosis", &e);
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|e| Error::Storage(format!("{} can't be opened: {e}", path.display())))?;
    let number = |pragma: &str| -> Result<i64> {
        file.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).map_err(fail)
    };
    let (page, pages, free) = (number("page_size")?, number("page_count")?, number("freelist_count")?);
    Ok(Diagnosis {
        // The same machine, the same clock.
        clock_skew: SignedDuration::ZERO,
        takes_writes: std::fs::metadata(path).is_ok_and(|m| !m.permissions().readonly()),
        file: Some(FileState { size_bytes: page * pages, free_bytes: page * free }),
        ..Diagnosis::default()
    })
}
