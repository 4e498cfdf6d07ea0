//! What a reading connection has beside the others: rights that it remembers until the file changes, and a bound on reads
//! that are made on the thread that asks.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use uuid::Uuid;

use super::functions::{self, Rights};

/// How long a read may take; on PostgreSQL the session's `statement_timeout` says the same.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Users remembered at most.
const MOST: usize = 256;

/// A reader's own state.
#[derive(Debug)]
pub(super) struct Reader {
    known: Mutex<Known>,
    bound: Arc<Bound>,
    busy_timeout: Duration,
    /// Whether the connection waits where another one writes.
    waits: AtomicBool,
}

/// Rights as of one state of the file.
#[derive(Debug, Default)]
struct Known {
    version: Option<i64>,
    rights: HashMap<Uuid, Rights>,
}

/// Whether the read in progress is to be short, and how often it was asked whether it goes on. What stands around the
/// read (beginning and ending it) is never broken off.
#[derive(Debug, Default)]
struct Bound {
    is_on: AtomicBool,
    is_short: AtomicBool,
    asked: AtomicU32,
    until: Mutex<Option<Instant>>,
}

impl Bound {
    /// SQLite counts the steps of a prepared statement over all its runs, so the first question may come at once; at the
    /// second the read has taken its full measure.
    fn is_over(&self) -> bool {
        if !self.is_on.load(Ordering::Relaxed) {
            false
        } else if self.is_short.load(Ordering::Relaxed) {
            self.asked.fetch_add(1, Ordering::Relaxed) > 0
        } else {
            locked(&self.until).is_some_and(|until| Instant::now() > until)
        }
    }
}

impl Reader {
    /// Makes `connection` a reader whose short reads are broken off after `steps` to twice as many.
    pub(super) fn new(connection: &mut Connection, steps: i32, busy_timeout: Duration) -> rusqlite::Result<Self> {
        let bound = Arc::new(Bound::default());
        let asked = Arc::clone(&bound);
        connection.progress_handler(steps, Some(move || asked.is_over()))?;
        Ok(Self { known: Mutex::default(), bound, busy_timeout, waits: AtomicBool::new(true) })
    }

    /// Before a read: a short one waits for nobody.
    pub(super) fn begin(&self, connection: &Connection, is_short: bool) -> rusqlite::Result<()> {
        self.bound.is_short.store(is_short, Ordering::Relaxed);
        self.bound.asked.store(0, Ordering::Relaxed);
        *locked(&self.bound.until) = if is_short { None } else { Some(Instant::now() + LONGEST) };
        if self.waits.swap(!is_short, Ordering::Relaxed) == is_short {
            connection.busy_timeout(if is_short { Duration::ZERO } else { self.busy_timeout })?;
        }
        Ok(())
    }

    /// Runs what the bound is for.
    pub(super) fn bounded<T>(&self, read: impl FnOnce() -> T) -> T {
        self.bound.is_on.store(true, Ordering::Relaxed);
        let done = read();
        self.bound.is_on.store(false, Ordering::Relaxed);
        done
    }

    /// Whether the last read was to be short and was broken off.
    pub(super) fn was_broken_off(&self) -> bool {
        self.bound.is_short.load(Ordering::Relaxed) && self.bound.asked.load(Ordering::Relaxed) > 1
    }

    /// Whether the last read took longer than any may.
    pub(super) fn took_too_long(&self) -> bool {
        locked(&self.bound.until).is_some_and(|until| Instant::now() > until)
    }

    /// What a user held in the state of the file that was last looked at, and which one that was.
    pub(super) fn known(&self, user: Uuid) -> Option<(i64, Rights)> {
        let known = locked(&self.known);
        Some((known.version?, known.rights.get(&user)?.clone()))
    }

    /// What a user holds. It is remembered until somebody commits to the file: a reader itself writes nothing.
    pub(super) fn rights(&self, connection: &Connection, user: Uuid) -> rusqlite::Result<Rights> {
        let version = data_version(connection)?;
        let mut known = locked(&self.known);
        if known.version != Some(version) || known.rights.len() >= MOST {
            known.rights.clear();
            known.version = Some(version);
        }
        if let Some(rights) = known.rights.get(&user) {
            return Ok(rights.clone());
        }
        let rights = functions::rights(connection, &user.to_string())?;
        known.rights.insert(user, rights.clone());
        Ok(rights)
    }
}

/// A number that is another one in a later state of the file, where somebody else committed in between.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// A lock whose holder panicked still guards a value that each read sets anew.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
