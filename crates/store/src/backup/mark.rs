//! The mark beside a file whose log is shipped, and the times of commits, which every process notes there.
//!
//! A record is 28 bytes: the log's two salts, the number of the commit's last frame, the time in microseconds, and a check
//! of these. A commit without a record (power failed before it was written, or another program made it) gets the time at
//! which it was first seen.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::{Connection, config::DbConfig};

use crate::{Error, Result};

const RECORD: usize = 28;
/// The file of times starts over when it is larger than this and all of it was read.
const ROOM: u64 = 1024 * 1024;
/// Times remembered that belong to no commit seen so far.
const MOST: usize = 200_000;

pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn mark_of(database: &Path) -> PathBuf {
    beside(database, "-shipped")
}

fn times_of(database: &Path) -> PathBuf {
    beside(database, "-commits")
}

/// Whether the file's log is shipped.
pub fn is_shipped(database: &Path) -> bool {
    mark_of(database).exists()
}

/// From now on the file's log is shipped. Connections that are open already go on as before: mark it before the store is
/// opened. Blocking.
pub fn ship(database: &Path) -> Result<()> {
    let path = mark_of(database);
    let fail = |e: std::io::Error| Error::Storage(format!("{} can't be made: {e}", path.display()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(fail)?;
    file.write_all(b"The write-ahead log of this database is shipped by Steward, which alone may checkpoint it.\n")
        .and_then(|()| file.sync_all())
        .map_err(fail)
}

/// From now on it is not shipped. Blocking.
pub fn unship(database: &Path) -> Result<()> {
    for path in [mark_of(database), times_of(database)] {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Storage(format!("{} can't be removed: {e}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Has a connection to a file whose log is shipped leave checkpoints alone and note its commits.
pub(crate) fn watch(connection: &mut Connection, database: &Path) -> rusqlite::Result<()> {
    if !is_shipped(database) {
        return Ok(());
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let (log, times) = (beside(database, "-wal"), times_of(database));
    let mut open: Option<(File, File)> = None;
    // This hook takes the place of the one that checkpoints.
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames: std::ffi::c_int| {
        // The commit stands; that its time could not be noted makes it no worse.
        if let Err(e) = note(&log, &times, &mut open, u32::try_from(frames).unwrap_or_default()) {
            open = None;
            tracing::warn!(file = %times.display(), error = %e, "the time of a commit could not be noted; it counts from when it is seen");
        }
        Ok(())
    }))
}

fn note(log: &Path, times: &Path, open: &mut Option<(File, File)>, frames: u32) -> std::io::Result<()> {
    let now = Timestamp::now().as_microsecond();
    let (log, times) = match open {
        Some(open) => open,
        None => open.insert((File::open(log)?, OpenOptions::new().append(true).create(true).mode(0o600).open(times)?)),
    };
    let mut record = [0_u8; RECORD];
    log.read_exact_at(&mut record[..8], 16)?;
    record[8..12].copy_from_slice(&frames.to_be_bytes());
    record[12..20].copy_from_slice(&now.to_be_bytes());
    let check = check(&record[..20]);
    record[20..].copy_from_slice(&check.to_be_bytes());
    times.write_all(&record)
}

/// FNV-1a: a torn record must not pass for a time; nobody attacks it.
fn check(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Times of commits by salts and last frame.
#[derive(Debug)]
pub(super) struct Times {
    path: PathBuf,
    read_bytes: u64,
    known: HashMap<([u8; 8], u32), Timestamp>,
}

impl Times {
    pub(super) fn new(database: &Path) -> Self {
        Self { path: times_of(database), read_bytes: 0, known: HashMap::new() }
    }

    /// Reads what was noted since.
    pub(super) fn read(&mut self) -> std::io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        if file.metadata()?.len() < self.read_bytes {
            self.read_bytes = 0;
        }
        file.seek(SeekFrom::Start(self.read_bytes))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut at = 0;
        while let Some(record) = bytes.get(at..at + RECORD) {
            let number = |from: usize, to: usize| {
                record[from..to].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            };
            if check(&record[..20]) != number(20, 28) {
                // Torn by a crash: the next whole record follows somewhere.
                at += 1;
                continue;
            }
            let mut salts = [0_u8; 8];
            salts.copy_from_slice(&record[..8]);
            let time = Timestamp::from_microsecond(number(12, 20).cast_signed());
            if self.known.len() >= MOST {
                self.known.clear();
            }
            if let (Ok(time), Ok(frame)) = (time, u32::try_from(number(8, 12))) {
                self.known.insert((salts, frame), time);
            }
            at += RECORD;
        }
        self.read_bytes += at as u64;
        Ok(())
    }

    /// Whether it is time to start over.
    pub(super) fn are_many(&self) -> bool {
        self.read_bytes > ROOM
    }

    pub(super) fn of(&self, salts: [u8; 8], frame: u32) -> Option<Timestamp> {
        self.known.get(&(salts, frame)).copied()
    }

    /// Everything up to this frame was kept: its times are not asked for again.
    pub(super) fn kept(&mut self, salts: [u8; 8], frame: u32) {
        self.known.retain(|(s, f), _| *s != salts || *f > frame);
    }

    /// The earliest time that is known of a commit behind this frame.
    pub(super) fn earliest_after(&self, salts: [u8; 8], frame: u32) -> Option<Timestamp> {
        self.known.iter().filter(|((s, f), _)| *s == salts && *f > frame).map(|(_, time)| *time).min()
    }

    /// The log starts over: what belongs to no commit any more is forgotten, and a large file starts over too. Nobody
    /// may commit meanwhile.
    pub(super) fn forget(&mut self) -> std::io::Result<()> {
        self.known.clear();
        if self.are_many() {
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
            self.read_bytes = 0;
        }
        Ok(())
    }
}
