//! The folder watcher: notices files in a folder and hands each, once it is whole, to an [`Intake`].
//!
//! It knows nothing of databases or tasks. A *look* lists the folder (at the start, when the system reports a change,
//! and every `poll_ms` for disks that report nothing); what is new must stand still for `settle_ms` and be held open
//! for writing by nobody; then it is opened without following links and handed over. Events are only a reason to look
//! sooner, so a lost one costs at most a polling interval.
//!
//! A program that keeps a file open without writing to it delays that file for at most ten minutes: after that the
//! file is taken as it stands, and taken again as a new version should it still change.

mod backoff;
mod config;
mod eyes;
mod facts;
mod ledger;
mod names;
mod open;
mod run;
mod scan;
mod take;
mod tracker;
mod writers;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

pub use config::{ConfigError, Duplicates, FolderConfig, parse};
pub use names::display_name;
pub use run::run;

/// Where whole files go, and where the watcher's state is told. The watcher calls it; the store is behind it.
pub trait Intake: Send + Sync {
    /// Whether this path with this fingerprint is already recorded, as taken or as refused. Then it is left alone
    /// without being read.
    fn known<'a>(&'a self, source: &'a str, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, IntakeError>>;

    /// Makes the task. At most two run at once; one that takes longer than an hour is dropped and tried again.
    fn take(&self, candidate: Candidate) -> BoxFuture<'_, Result<Taken, IntakeError>>;

    /// Records that a file is left alone for good, under `refusal.fingerprint`, so that [`Intake::known`] answers yes.
    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<(), IntakeError>>;

    /// The folder is read and nothing fails: told once at the start and at each recovery.
    fn healthy(&self) -> BoxFuture<'_, ()>;

    /// Something keeps files from being taken: what happened, why, what to do. Repeated while it lasts, ever more
    /// rarely (after 1 s, then doubling up to 60 s).
    fn failed<'a>(&'a self, error: &'a str) -> BoxFuture<'a, ()>;

    /// Told after every round of work; for figures and for tests that wait for quiet.
    fn looked(&self, round: Round) {
        let _ = round;
    }
}

/// A whole file, opened for reading and proven to be the one that was watched.
#[derive(Debug)]
pub struct Candidate {
    /// Where it lies, below the configured path.
    pub path: PathBuf,
    /// The file's name, as [`display_name`] writes it.
    pub name: String,
    /// The name's bytes, when they are not UTF-8.
    pub raw_name: Option<Vec<u8>>,
    /// The whole path as text: what [`Intake::known`] was asked about.
    pub source: String,
    /// Open for reading, at its start; no link was followed to it.
    pub file: File,
    /// Its size, at most `max_bytes`.
    pub size_bytes: u64,
    /// When its content last changed.
    pub modified: Timestamp,
    /// `device:inode:size:mtime_ns`, at most 120 characters.
    pub fingerprint: String,
}

impl Candidate {
    /// Whether the file is still as it was handed over. Ask after the last byte is read, off the async threads; if it
    /// is not, what was read may be torn: keep none of it and answer [`Taken::Changed`].
    pub fn is_unchanged(&self) -> io::Result<bool> {
        Ok(facts::Facts::of(&self.file.metadata()?).fingerprint() == self.fingerprint)
    }
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A task was made.
    Task(Uuid),
    /// The same content is already a task; the event is recorded without another.
    Duplicate,
    /// The file changed while it was read: nothing was made, and it is handed over again once it stands still.
    Changed,
}

/// A file that is left alone for good, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name, as [`display_name`] writes it.
    pub name: String,
    /// The whole path as text.
    pub source: String,
    /// The key to record it under; it differs from the file's own, so that a change of limit or of permission
    /// gives the file another chance. At most 200 characters.
    pub fingerprint: String,
    /// The kind of reason.
    pub kind: RefusalKind,
    /// The reason for people: what, why, what to do.
    pub reason: String,
}

/// Why a file is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// Larger than `max_bytes`.
    TooLarge,
    /// A socket, pipe or device.
    SpecialFile,
    /// A link that leads out of the folder, or a file reached through one.
    SymlinkOut,
    /// A file Steward may not read.
    Unreadable,
    /// A folder below the greatest depth.
    TooDeep,
    /// A folder below the watched one that Steward may not list.
    UnreadableFolder,
}

impl RefusalKind {
    /// The stable word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::SpecialFile => "special_file",
            Self::SymlinkOut => "symlink_out",
            Self::Unreadable => "unreadable",
            Self::TooDeep => "too_deep",
            Self::UnreadableFolder => "unreadable_folder",
        }
    }
}

/// A round of work that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Whether the folder was listed to its end.
    pub listed: bool,
    /// Entries the listing went through.
    pub entries: usize,
    /// Files seen and not yet dealt with, those being taken included.
    pub pending: usize,
    /// Files that wait only because a program holds them open for writing.
    pub held_open: usize,
    /// Whether the system reports changes for every folder; if not, polling alone finds them.
    pub events: bool,
}

/// The intake could not do its part; the file stays where it is and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct IntakeError {
    /// What happened and why.
    pub reason: String,
}

impl IntakeError {
    /// From anything that says what happened.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}
