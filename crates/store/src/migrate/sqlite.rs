//! Migrations of SQLite: a verified copy first, then one transaction.

use std::{
    collections::BTreeMap,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior, backup::StepResult, fallible_iterator::FallibleIterator};

use super::{
    Applied, MIGRATIONS, Migration, Report, Status,
    drift::compare,
    dry_run::{Plan, Planned, Statement},
    half_moved, pending, split,
};
use crate::{
    Error, Result,
    moving::NOTES,
    sqlite::{Access, connect, refuse_affected_version, translate},
    value::{now, time_text},
};

/// How long a second migration waits for the first.
const WAIT: Duration = Duration::from_secs(120);

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fail(e: rusqlite::Error) -> Error {
    translate("migrate", &e)
}

fn applied(connection: &Connection) -> Result<Vec<Applied>> {
    let exists: bool = connection
        .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations')", [], |r| r.get(0))
        .map_err(fail)?;
    if !exists {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare("SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version")
        .map_err(fail)?;
    let rows = statement
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get::<_, String>(3)?)))
        .map_err(fail)?
        .collect::<rusqlite::Result<Vec<_>>>()
        .map_err(fail)?;
    rows.into_iter()
        .map(|(version, name, checksum, at)| {
            let applied_at = at
                .parse()
                .map_err(|e: jiff::Error| Error::Decode { column: "applied_at".to_owned(), reason: e.to_string() })?;
            Ok(Applied { version, name, checksum, applied_at })
        })
        .collect()
}

pub(super) fn migrate(path: &Path, all: &'static [Migration]) -> Result<Report> {
    refuse_affected_version(rusqlite::version_number())?;
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::Storage(format!("the folder {} can't be made: {e}", folder.display())))?;
    }
    let (mut connection, _context) = connect(path, Access::Migrate, WAIT)?;
    refuse_half_moved(&connection)?;
    // Looked at without a lock first, so that a start with nothing to do waits for no writer.
    if pending(&applied(&connection)?, all, |m| m.sqlite)?.is_empty() {
        return Ok(Report { applied: Vec::new(), copy: None });
    }
    apply(&mut connection, path, all)
}

/// Applies what is missing in one transaction; a second process waits at its beginning. The copy is made within it,
/// through a connection of its own, so that nothing is written between the copy and the change.
fn apply(connection: &mut Connection, path: &Path, all: &'static [Migration]) -> Result<Report> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let before = applied(&tx)?;
    let missing = pending(&before, all, |m| m.sqlite)?;
    if missing.is_empty() {
        return Ok(Report { applied: Vec::new(), copy: None });
    }
    let copy = before.last().map(|last| verified_copy(path, last.version)).transpose()?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, \
         applied_at TEXT NOT NULL) STRICT",
    )
    .map_err(fail)?;
    let mut names = Vec::new();
    for migration in missing {
        tx.execute_batch(migration.sqlite).map_err(|e| {
            Error::Schema(format!(
                "migration {} {} failed ({e}); the schema is as it was",
                migration.version, migration.name
            ))
        })?;
        tx.execute(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
            (migration.version, migration.name, migration.checksum(migration.sqlite), time_text(now())),
        )
        .map_err(fail)?;
        names.push(migration.name.to_owned());
    }
    tx.commit().map_err(fail)?;
    Ok(Report { applied: names, copy })
}

fn refuse(what: &str, e: &dyn std::fmt::Display) -> Error {
    Error::Storage(format!("the copy that is made before migrating {what} ({e}); nothing was migrated"))
}

/// A copy beside the database, checked for integrity and equal counts before anything is changed. One that can't be
/// relied on does not stay.
fn verified_copy(path: &Path, version: i32) -> Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    // To the microsecond: two nodes that migrate at once, and a second try at once after a first, make a copy each.
    name.push(format!(".before-{version}-{}.copy", jiff::Timestamp::now().as_microsecond()));
    let target = path.with_file_name(name);
    // It holds what the database holds: only its owner may read it.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&target)
        .map_err(|e| refuse("can't be made", &e))?;
    if let Err(e) = fill_and_check(path, &target) {
        return Err(match std::fs::remove_file(&target) {
            Ok(()) => e,
            Err(left) => Error::Storage(format!("{e}; what there is of it is left at {} ({left})", target.display())),
        });
    }
    Ok(target)
}

fn fill_and_check(path: &Path, target: &Path) -> Result<()> {
    let source = read_only(path)?;
    let mut copy = Connection::open(target).map_err(|e| refuse("can't be opened", &e))?;
    let backup = rusqlite::backup::Backup::new(&source, &mut copy).map_err(|e| refuse("can't be begun", &e))?;
    loop {
        match backup.step(1000).map_err(|e| refuse("can't be written", &e))? {
            StepResult::Done => break,
            StepResult::More => {}
            // The write lock is ours, and readers keep nobody waiting: whatever this is, it does not pass by waiting.
            other => return Err(refuse("can't be written", &format!("{other:?}"))),
        }
    }
    drop(backup);
    let verdict: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0)).map_err(|e| refuse("can't be checked", &e))?;
    if verdict != "ok" {
        return Err(refuse("is damaged", &verdict));
    }
    for table in ["users", "tasks", "audit_trail"] {
        let count =
            |c: &Connection| c.query_row(&format!("SELECT count(*) FROM main.{table}"), [], |r| r.get::<_, i64>(0));
        let (ours, theirs) = (count(&source).map_err(fail)?, count(&copy).map_err(|e| refuse("can't be read", &e))?);
        if theirs != ours {
            return Err(refuse("does not agree", &format!("{table}: {theirs} rows against {ours}")));
        }
    }
    copy.close().map_err(|(_, e)| refuse("can't be closed", &e))?;
    std::fs::File::open(target).and_then(|f| f.sync_all()).map_err(|e| refuse("can't be made durable", &e))
}

/// Applies what is missing to a copy, and throws it away.
pub(super) fn dry_run(path: &Path, all: &'static [Migration]) -> Result<Plan> {
    let before = if path.exists() { applied(&read_only(path)?)? } else { Vec::new() };
    let missing = pending(&before, all, |m| m.sqlite)?;
    if missing.is_empty() {
        return Ok(Plan { migrations: Vec::new(), copy_ms: None });
    }
    let began = Instant::now();
    let copy = before.last().map(|last| verified_copy(path, last.version)).transpose()?.map(Discarded);
    let copy_ms = copy.as_ref().map(|_| elapsed_ms(began));
    let place = copy.as_ref().map_or(Path::new(":memory:"), |c| c.0.as_path());
    let (mut connection, _context) = connect(place, Access::Migrate, WAIT)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let mut migrations = Vec::new();
    for migration in missing {
        let mut statements = Vec::new();
        let mut batch = rusqlite::Batch::new(&tx, migration.sqlite);
        let failed = |e: rusqlite::Error| {
            Error::Schema(format!(
                "migration {} {} would fail ({e}); nothing was changed",
                migration.version, migration.name
            ))
        };
        while let Some(mut statement) = batch.next().map_err(failed)? {
            let began = Instant::now();
            let text = statement.expanded_sql().unwrap_or_default();
            let mut rows = statement.query([]).map_err(failed)?;
            while rows.next().map_err(failed)?.is_some() {}
            drop(rows);
            let (text, expected_ms) = (split::shortened(&text), elapsed_ms(began));
            statements.push(Statement { text, locks: Vec::new(), work: Vec::new(), expected_ms });
        }
        let expected_ms = statements.iter().map(|s| s.expected_ms).sum();
        let (version, name) = (migration.version, migration.name);
        migrations.push(Planned { version, name, is_online: false, statements, expected_ms });
    }
    drop(tx);
    Ok(Plan { migrations, copy_ms })
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A copy that nobody needs any more.
struct Discarded(PathBuf);
impl Drop for Discarded {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            if let Err(e) = std::fs::remove_file(&name)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(file = %name.display(), error = %e, "the copy of a dry run could not be removed");
            }
        }
    }
}

/// A database that a move has filled by half is nobody's yet.
fn refuse_half_moved(connection: &Connection) -> Result<()> {
    if connection.table_exists(None, NOTES).map_err(fail)? { Err(half_moved()) } else { Ok(()) }
}

pub(super) fn status(path: &Path) -> Result<Status> {
    let applied = if path.exists() {
        let connection = read_only(path)?;
        refuse_half_moved(&connection)?;
        applied(&connection)?
    } else {
        Vec::new()
    };
    let missing = pending(&applied, MIGRATIONS, |m| m.sqlite)?;
    Ok(Status {
        engine: "SQLite",
        version: rusqlite::version().to_owned(),
        applied,
        pending: missing.iter().map(|m| m.name.to_owned()).collect(),
    })
}

pub(super) fn drift(path: &Path) -> Result<Vec<String>> {
    let found = catalogue(&read_only(path)?)?;
    let (mut scratch, _context) = connect(Path::new(":memory:"), Access::Migrate, WAIT)?;
    apply(&mut scratch, Path::new(":memory:"), MIGRATIONS)?;
    Ok(compare(&catalogue(&scratch)?, &found))
}

fn read_only(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|e| Error::Storage(format!("{} can't be opened: {e}", path.display())))
}

fn catalogue(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let mut statement = connection
        .prepare("SELECT type || ' ' || name, COALESCE(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        .map_err(fail)?;
    statement
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .map_err(fail)?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()
        .map_err(fail)
}
