//! One SQLite connection: its settings, its context, and statements on it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, hooks::AuthContext, params_from_iter};

use super::{
    authorizer::authorize,
    error::wrong_form,
    functions::{self, ActorRole, Context, Rights, SharedContext},
    grants,
    reader::{self, LONGEST, Reader},
    translate,
};
use crate::{
    Actor, Error, Principal, Result, backup,
    run::{Transaction, TransactionEngine},
    signals::{Marks, SharedMarks, watch_changes},
    statement::Statement,
    value::{self, Row, Value},
};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The one writer.
    Write,
    /// A reader: SQLite refuses writes on it.
    Read,
    /// Migrations: functions, but no guard, so that the bare names are the tables.
    Migrate,
}

/// A connection with a context; within a transaction once the writer has begun one.
#[derive(Debug)]
pub(crate) struct SqliteTransaction {
    connection: Mutex<Connection>,
    context: SharedContext,
    actor: Mutex<Option<Actor>>,
    failed: AtomicBool,
    marks: SharedMarks,
    /// Of a reader alone.
    reader: Option<Reader>,
}

/// Steps of SQLite's machine (a page takes about 3,000) that a read may make on the thread that asks: below a millisecond.
const SHORT_STEPS: i32 = 20_000;

/// Opens a connection, wrapped for [`crate::run`].
pub(crate) fn open(path: &Path, access: Access, busy_timeout: Duration) -> Result<Transaction> {
    open_bounded(path, access, busy_timeout, SHORT_STEPS)
}

fn open_bounded(path: &Path, access: Access, busy_timeout: Duration, steps: i32) -> Result<Transaction> {
    let fail = |e: rusqlite::Error| translate("open", &e);
    let (mut connection, context) = connect(path, access, busy_timeout)?;
    let marks = SharedMarks::default();
    if access == Access::Write {
        watch_changes(&connection, Arc::clone(&marks)).map_err(fail)?;
    }
    if access != Access::Migrate {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(fail)?;
        connection.authorizer(Some(|asked: AuthContext<'_>| authorize(&asked))).map_err(fail)?;
    }
    let reader = if access == Access::Read {
        Some(Reader::new(&mut connection, steps, busy_timeout).map_err(fail)?)
    } else {
        None
    };
    Ok(Transaction::new(TransactionEngine::Sqlite(SqliteTransaction {
        reader,
        connection: Mutex::new(connection),
        context,
        actor: Mutex::new(None),
        failed: AtomicBool::new(false),
        marks,
    })))
}

/// A bare connection with Steward's settings, functions and (unless it migrates) guard.
pub(crate) fn connect(path: &Path, access: Access, busy_timeout: Duration) -> Result<(Connection, SharedContext)> {
    let fail = |e: rusqlite::Error| translate("open", &e);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if access != Access::Read {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    if access != Access::Read && path != Path::new(":memory:") {
        make_private(path);
    }
    let mut connection = Connection::open_with_flags(path, flags)
        .map_err(|e| Error::Storage(format!("{} can't be opened: {e}", path.display())))?;
    connection.busy_timeout(busy_timeout).map_err(fail)?;
    write_ahead(&connection, busy_timeout).map_err(fail)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000; PRAGMA journal_size_limit = 67108864; PRAGMA recursive_triggers = OFF;",
        )
        .map_err(fail)?;
    backup::watch(&mut connection, path).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(128);
    let context: SharedContext = Arc::new(Mutex::new(nobody(value::time_text(value::now()))));
    functions::register(&connection, Arc::clone(&context)).map_err(fail)?;
    if access != Access::Migrate {
        connection.execute_batch(GUARD_READS).map_err(fail)?;
        if access == Access::Write {
            connection.execute_batch(GUARD_WRITES).map_err(fail)?;
        } else {
            connection.execute_batch("PRAGMA query_only = ON").map_err(fail)?;
        }
    }
    Ok((connection, context))
}

/// Makes a file that is not there, for its owner alone: it is going to hold password hashes, and SQLite gives the files
/// beside it the same rights. Where that can't be, opening it says why.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    drop(std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
}

/// Puts a file into WAL mode, once and for all. Where two programs do so at once to a new file, SQLite calls it busy
/// without waiting: then this waits for the other's turn, as any write does, and looks again.
fn write_ahead(connection: &Connection, limit: Duration) -> rusqlite::Result<()> {
    let end = Instant::now() + limit;
    loop {
        // A file without a page can still be told to keep account of free pages, so that they can be given back (see
        // `space.rs`). On any other it would do nothing, but write.
        let settings = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).and_then(|pages: i64| {
            let vacuum = if pages == 0 { "PRAGMA auto_vacuum = INCREMENTAL;" } else { "" };
            connection.execute_batch(&format!("{vacuum} PRAGMA journal_mode = WAL"))
        });
        match settings {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < end => {
                std::thread::yield_now();
                // Whether this gets its turn or not is seen at the next look.
                drop(connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK"));
            }
            other => return other,
        }
    }
}

const GUARD_READS: &str = include_str!("guard_reads.sql");
const GUARD_WRITES: &str = concat!(
    include_str!("guard_writes.sql"),
    include_str!("guard_tokens.sql"),
    include_str!("guard_notifying.sql"),
    include_str!("guard_models.sql"),
    include_str!("guard_trust.sql"),
    include_str!("guard_schedules.sql"),
    include_str!("guard_keys.sql"),
    include_str!("guard_files.sql"),
    include_str!("guard_requests.sql"),
    include_str!("guard_passkeys.sql"),
    include_str!("guard_push.sql"),
);

impl SqliteTransaction {
    /// The connection itself, for what measures the store against it.
    #[cfg(feature = "limit")]
    pub(crate) fn into_connection(self) -> Connection {
        self.connection.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Forgets the last transaction's actor, failure and marks, and takes the time anew.
    pub(super) fn restart(&self) {
        self.failed.store(false, Ordering::Relaxed);
        drop(self.take_marks());
        *lock(&self.actor) = None;
        let mut context = lock(&self.context);
        let mut now = value::time_text(value::now());
        if now <= context.now {
            // Times never stand still, so that rows keep their order.
            now = context
                .now
                .parse::<jiff::Timestamp>()
                .ok()
                .and_then(|t| jiff::Timestamp::from_microsecond(t.as_microsecond() + 1).ok())
                .map_or(now, value::time_text);
        }
        *context = nobody(now);
    }

    /// What others wait for, of the transaction that is just ending.
    pub(super) fn take_marks(&self) -> Marks {
        std::mem::take(&mut *lock(&self.marks))
    }

    /// A number that is another one after somebody else committed to the file.
    pub(super) fn data_version(&self) -> rusqlite::Result<i64> {
        reader::data_version(&lock(&self.connection))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Lets the file grow no further, as a full disk does.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        lock(&self.connection).query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    }

    /// Whether a transaction is open on the connection.
    pub(super) fn has_begun(&self) -> bool {
        !lock(&self.connection).is_autocommit()
    }

    pub(super) fn control(&self, sql: &str) -> rusqlite::Result<()> {
        lock(&self.connection).prepare_cached(sql)?.execute([]).map(drop)
    }

    pub(crate) fn rows(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Result<Vec<Row>> {
        self.watch(actor, statement, params, |connection| {
            self.become_actor(connection, actor)?;
            let mut prepared = connection.prepare_cached(statement.sqlite())?;
            let columns = prepared.column_count();
            let mut rows = prepared.query(params_from_iter(params))?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(taken(row, columns)?);
            }
            self.mark(statement, !out.is_empty());
            Ok(out)
        })
    }

    /// The rows of one statement on a reader, as of one moment: what the actor holds and what is there belong together.
    /// None: it was to be a short read, and it is long or would have to wait.
    pub(super) fn read(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        is_short: bool,
    ) -> Result<Option<Vec<Row>>> {
        let fail = |e: rusqlite::Error| translate(statement.name, &e);
        self.failed.store(false, Ordering::Relaxed);
        *lock(&self.actor) = None;
        lock(&self.context).now.clear();
        let Some(reader) = &self.reader else { return Err(Error::Unavailable("this is no reader".to_owned())) };
        reader.begin(&lock(&self.connection), is_short).map_err(fail)?;
        if let Some(rows) = self.read_as_known(reader, actor, statement, params) {
            return Ok(Some(rows));
        }
        if reader.was_broken_off() {
            return Ok(None);
        }
        self.control("BEGIN").map_err(fail)?;
        let rows = reader.bounded(|| self.rows(actor, statement, params));
        if self.has_begun() {
            // Nothing was written: either way of ending it leaves everything as it is.
            self.control("ROLLBACK").map_err(fail)?;
        }
        match rows {
            Err(Error::Busy(_)) if is_short => Ok(None),
            Err(_) if reader.was_broken_off() => Ok(None),
            Err(_) if reader.took_too_long() => {
                Err(Error::Busy(format!("a read took longer than {} s and was broken off", LONGEST.as_secs())))
            }
            rows => rows.map(Some),
        }
    }

    /// The rows by the rights that are remembered, in one statement and without a transaction around it. They stand if the
    /// statement saw the state of the file that the rights are from: that number only grows, so the same one afterwards
    /// was the same one throughout. None: it has to be looked at in a transaction, which also says what is wrong.
    fn read_as_known(
        &self,
        reader: &Reader,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
    ) -> Option<Vec<Row>> {
        if params.iter().any(Value::has_nul) || !grants::is_granted(actor, statement) {
            return None;
        }
        // Who is no user holds nothing that a row could change.
        let known = match actor.user_id() {
            Some(id) => Some(reader.known(id)?),
            None => None,
        };
        let (version, rights) = known.unzip();
        self.act(actor, rights);
        let connection = lock(&self.connection);
        let (rows, seen) = reader.bounded(|| gather(&connection, statement, params)).ok()?;
        let Some(version) = version else { return Some(rows) };
        let seen = seen.map_or_else(|| reader::data_version(&connection), Ok);
        seen.is_ok_and(|seen| seen == version).then_some(rows)
    }

    pub(crate) fn execute(&self, actor: &Actor, statement: &'static Statement, params: &[Value]) -> Result<u64> {
        self.watch(actor, statement, params, |connection| {
            self.become_actor(connection, actor)?;
            let changed = connection.prepare_cached(statement.sqlite())?.execute(params_from_iter(params))?;
            self.mark(statement, changed > 0);
            Ok(changed as u64)
        })
    }

    fn mark(&self, statement: &Statement, did_anything: bool) {
        if did_anything && statement.wakes() {
            lock(&self.marks).wake();
        }
    }

    fn watch<T>(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        if self.has_failed() {
            return Err(Error::RolledBack);
        }
        let result = if params.iter().any(Value::has_nul) {
            Err(wrong_form("a text holds a NUL character"))
        } else if !grants::is_granted(actor, statement) {
            Err(Error::refused(statement.name.split('/').next().unwrap_or_default()))
        } else {
            work(&lock(&self.connection)).map_err(|e| translate(statement.name, &e))
        };
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        } else if statement.writes() && (statement.name.starts_with("users/") || statement.name.starts_with("agents/"))
        {
            // Rights may have changed: look again before the next statement.
            *lock(&self.actor) = None;
        }
        result
    }

    /// Puts the actor's id, rights and request into the context that the guard and the triggers read.
    fn become_actor(&self, connection: &Connection, actor: &Actor) -> rusqlite::Result<()> {
        let mut current = lock(&self.actor);
        if current.as_ref() == Some(actor) {
            return Ok(());
        }
        let rights = match (actor.user_id(), &self.reader) {
            (None, _) => None,
            (Some(id), Some(reader)) => Some(reader.rights(connection, id)?),
            (Some(id), None) => Some(functions::rights(connection, &id.to_string())?),
        };
        self.act(actor, rights);
        *current = Some(actor.clone());
        Ok(())
    }

    fn act(&self, actor: &Actor, rights: Option<Rights>) {
        let mut context = lock(&self.context);
        context.user_id = actor.user_id();
        context.role = if actor.principal == Principal::Service { ActorRole::Service } else { ActorRole::User };
        context.ip_address = actor.ip_address.map(|ip| ip.to_string());
        context.user_agent.clone_from(&actor.user_agent);
        context.request_id.clone_from(&actor.request_id);
        (context.permissions, context.is_agent) =
            rights.map_or_else(Default::default, |rights| (rights.permissions, rights.is_agent));
    }
}

/// A statement's rows, and the state of the file that they were read from; where there are none, that is not known.
fn gather(
    connection: &Connection,
    statement: &Statement,
    params: &[Value],
) -> rusqlite::Result<(Vec<Row>, Option<i64>)> {
    let mut prepared = connection.prepare_cached(statement.sqlite())?;
    let columns = prepared.column_count();
    let mut rows = prepared.query(params_from_iter(params))?;
    let (mut out, mut seen) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        if seen.is_none() {
            // Asked while the statement is under way, this takes no lock of its own.
            seen = Some(reader::data_version(connection)?);
        }
        out.push(taken(row, columns)?);
    }
    Ok((out, seen))
}

fn taken(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    Ok(Row::Sqlite((0..columns).map(|i| row.get(i)).collect::<rusqlite::Result<_>>()?))
}

/// A lock whose holder panicked still guards a value that each transaction sets anew.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The context in which nobody acts.
fn nobody(now: String) -> Context {
    Context {
        user_id: None,
        role: ActorRole::User,
        permissions: Arc::default(),
        is_agent: false,
        ip_address: None,
        user_agent: None,
        request_id: None,
        now,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Barrier, thread};

    use super::*;
    use crate::{Config, migrate, sqlite::sqlite};

    /// What is broken off leaves the connection as it was: the next read is answered.
    #[tokio::test]
    async fn a_long_read_is_broken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steward.db");
        migrate::migrate(&Config::from_url(&format!("sqlite://{}", path.display())).unwrap()).await.unwrap();
        let tx = open_bounded(&path, Access::Read, Duration::from_secs(5), 5).unwrap();
        let (reader, actor) = (sqlite(&tx).unwrap(), Actor::service());
        let every = crate::every_statement();
        let list = every.iter().find(|s| s.name == "schedules/list").unwrap();
        assert!(reader.read(&actor, list, &[], true).unwrap().is_none());
        assert!(reader.read(&actor, list, &[], false).unwrap().is_some_and(|rows| !rows.is_empty()));
    }

    /// Several programs that open one new file in the same instant all get in: none is told that it is busy.
    #[test]
    fn a_new_file_is_opened_by_several_at_once() {
        const OPENERS: usize = 8;
        let folder = tempfile::tempdir().unwrap();
        for round in 0..25 {
            let path: PathBuf = folder.path().join(format!("{round}.db"));
            let together = Barrier::new(OPENERS);
            thread::scope(|scope| {
                let openers: Vec<_> = (0..OPENERS)
                    .map(|_| {
                        scope.spawn(|| {
                            together.wait();
                            let (connection, _) = connect(&path, Access::Migrate, Duration::from_secs(30))?;
                            Ok(connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap())
                        })
                    })
                    .collect();
                for opener in openers {
                    let mode: Result<String> = opener.join().unwrap();
                    assert_eq!(mode.unwrap(), "wal");
                }
            });
        }
    }
}
