//! Signals on SQLite: what the writer's own transactions changed, and whether somebody else wrote to the file.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, functions::FunctionFlags};

use super::{Hub, Signal, Topic};
use crate::sqlite::Sqlite;

/// How often the file is looked at for the writes of other programs.
const LOOK: Duration = Duration::from_millis(50);
/// Changes remembered of one commit; more are told as [`Signal::Missed`].
const MOST_CHANGES: usize = 64;

/// Temporary triggers that note what a transaction of the writer changes. Not in the file: only this process hears
/// them, and others are told by the file's version.
const TRIGGERS: &str = include_str!("../sqlite/changes.sql");

/// What a transaction did that others wait for. It counts once the transaction stands.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    wakes: bool,
    changed: Vec<(Topic, String)>,
    too_many: bool,
}

/// The marks of the transaction that the writer runs now.
pub(crate) type SharedMarks = Arc<Mutex<Marks>>;

impl Marks {
    /// A statement may have made work ready.
    pub(crate) fn wake(&mut self) {
        self.wakes = true;
    }

    fn changed(&mut self, topic: Topic, key: String) {
        let change = (topic, key);
        if self.changed.contains(&change) {
            return;
        }
        if self.changed.len() < MOST_CHANGES {
            self.changed.push(change);
        } else {
            self.too_many = true;
        }
    }

    /// Adds those of a transaction that shares the commit.
    pub(crate) fn add(&mut self, other: Self) {
        self.wakes |= other.wakes;
        self.too_many |= other.too_many;
        for (topic, key) in other.changed {
            self.changed(topic, key);
        }
    }
}

impl Hub {
    /// Tells of what a commit did.
    pub(crate) fn committed(&self, marks: Marks) {
        if marks.too_many {
            self.tell(Signal::Missed);
        } else {
            for (topic, key) in marks.changed {
                self.tell(Signal::Changed(topic, key));
            }
        }
        if marks.wakes {
            self.wake();
        }
    }

    /// The writer looked at the file's version, which changes when another connection commits. `seen` is the last one.
    pub(crate) fn looked(&self, version: i64, seen: &mut Option<i64>) {
        match seen.replace(version) {
            None => self.listens(),
            Some(before) if before != version => {
                self.received.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.tell(Signal::Missed);
            }
            Some(_) => {}
        }
    }
}

/// Notes what is changed over `connection` in `marks`.
pub(crate) fn watch_changes(connection: &Connection, marks: SharedMarks) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("note_change", 2, flags, move |call| {
        let (table, key): (String, String) = (call.get(0)?, call.get(1)?);
        if let Some(topic) = Topic::of_table(&table) {
            marks.lock().unwrap_or_else(PoisonError::into_inner).changed(topic, key);
        }
        Ok(true)
    })?;
    connection.execute_batch(TRIGGERS)
}

/// Has the writer look at the file's version until the store is closed. There is at most one look at a time.
pub(super) async fn look(hub: Arc<Hub>, file: Sqlite) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = hub.closed.cancelled() => return,
            _ = tick.tick() => {}
        }
        if !file.look().await {
            return;
        }
    }
}
