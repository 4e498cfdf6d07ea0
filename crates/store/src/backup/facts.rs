//! What a SQLite file holds, and whether it is sound: read-only, past any guard, as a backup must.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};

use crate::{Error, Result, canonical::GENESIS_SHA256, sqlite::translate};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The library's version.
    pub server_version: String,
    /// The newest migration; 0 where there is none.
    pub schema_version: i32,
    /// Rows a table.
    pub tables: BTreeMap<String, i64>,
    /// Links of the audit chain.
    pub audit_links: i64,
    /// Hash of the last of them; 64 zeros where there is none.
    pub audit_sha256: String,
}

fn open(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|e| Error::Storage(format!("{} can't be opened: {e}", path.display())))
}

/// Counts the rows of a file that nobody writes to. Blocking.
pub fn facts(path: &Path) -> Result<Facts> {
    let fail = |e: rusqlite::Error| translate("backup", &e);
    let file = open(path)?;
    let names: Vec<String> = file
        .prepare(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )
        .and_then(|mut list| list.query_map([], |row| row.get(0))?.collect())
        .map_err(fail)?;
    let mut tables = BTreeMap::new();
    for name in names {
        let count = format!("SELECT count(*) FROM main.\"{}\"", name.replace('"', "\"\""));
        tables.insert(name, file.query_row(&count, [], |row| row.get(0)).map_err(fail)?);
    }
    let has = |table: &str| tables.contains_key(table);
    let schema_version = if has("schema_migrations") {
        file.query_row("SELECT COALESCE(max(version), 0) FROM main.schema_migrations", [], |row| row.get(0))
            .map_err(fail)?
    } else {
        0
    };
    let head = if has("audit_chain") {
        let newest = file.query_row("SELECT seq, sha256 FROM main.audit_chain ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        match newest {
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            other => Some(other.map_err(fail)?),
        }
    } else {
        None
    };
    let (audit_links, audit_sha256) = head.unwrap_or_else(|| (0, GENESIS_SHA256.to_owned()));
    Ok(Facts { server_version: rusqlite::version().to_owned(), schema_version, tables, audit_links, audit_sha256 })
}

/// SQLite's own check of every page, index and constraint: what it finds, at most a hundred lines; none where all is
/// well. Blocking.
pub fn check(path: &Path) -> Result<Vec<String>> {
    let fail = |e: rusqlite::Error| translate("backup", &e);
    let file = open(path)?;
    let said: Vec<String> = file
        .prepare("PRAGMA integrity_check(100)")
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect())
        .map_err(fail)?;
    Ok(if said == ["ok"] { Vec::new() } else { said })
}
