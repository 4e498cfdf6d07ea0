//! A live file as the source of backups: copies of it, and its log as it grows. The one owner of checkpoints.

use std::{
    fs::File,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, backup::StepResult};

use super::{
    log::{self, Batch, Commit, HEAD, Head, Position},
    mark::{Times, beside},
};
use crate::{
    Error, Result,
    sqlite::{Access, connect, translate},
};

/// Bytes of frames handed out at once.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Frames that may still be handed out while writers wait; with more, they are not made to wait.
const WHILE_HELD: u32 = 256;
/// Pages copied at once.
const STEP_PAGES: i32 = 1024;
/// Bytes of a page, as Steward makes its files; only what is told hangs on it.
const PAGE_BYTES: u64 = 4096;
/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the log had.
#[derive(Debug)]
pub enum Step {
    /// Frames, and whether they were all that there was when it was looked.
    Batch(Batch, bool),
    /// Nothing more for now.
    Idle,
    /// It does not go on where it was left: somebody else checkpointed, or power failed. A new copy is needed.
    Broken(String),
}

/// How a checkpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whether the log can start over.
    pub is_complete: bool,
    /// Bytes of the log that are in use.
    pub log_bytes: u64,
}

/// Takes what a batch holds and keeps it; when it returns well, the log may lose it.
pub type Keep<'a> = &'a mut dyn FnMut(&Batch) -> Result<()>;

/// A live file.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    at: Option<Position>,
    /// All of the log up to `at` is in the file, and it ends there: it may start over.
    may_restart: bool,
    times: Times,
    hand: Connection,
    lock: Connection,
    pin: Connection,
}

/// The file as of one moment.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    as_of: Timestamp,
}

impl Snapshot {
    /// The moment.
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// Copies it to `to`, which must not be there, page by page through SQLite's own online backup, and makes it durable.
    /// Writers change nothing about it and wait for nothing. `go_on` is asked between pieces, with the bytes that were
    /// copied and those of all; where it says no, the copy is left unfinished, and false answered. Blocking.
    pub fn copy_to(self, to: &Path, go_on: &mut dyn FnMut(u64, u64) -> bool) -> Result<bool> {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(|e| Error::Storage(format!("the copy {} can't be made: {e}", to.display())))?;
        let mut copy = Connection::open(to).map_err(|e| fail(&e))?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut copy).map_err(|e| fail(&e))?;
        let durable =
            |e: std::io::Error| Error::Storage(format!("the copy {} can't be made durable: {e}", to.display()));
        let written = File::open(to).map_err(durable)?;
        // The snapshot is held between the pieces, so they are of one moment.
        loop {
            match backup.step(STEP_PAGES).map_err(|e| fail(&e))? {
                StepResult::Done => break,
                StepResult::More => {}
                other => return Err(Error::Busy(format!("the database could not be copied ({other:?})"))),
            }
            let pages = |n: i32| u64::try_from(n).unwrap_or_default() * PAGE_BYTES;
            let stands = backup.progress();
            if !go_on(pages(stands.pagecount - stands.remaining), pages(stands.pagecount)) {
                return Ok(false);
            }
            // What lies unwritten stands before every writer's own commit in the disk's queue: it stays short.
            written.sync_data().map_err(durable)?;
        }
        drop(backup);
        copy.close().map_err(|(_, e)| fail(&e))?;
        end(&self.connection)?;
        written.sync_all().map_err(durable)?;
        Ok(true)
    }
}

fn fail(e: &rusqlite::Error) -> Error {
    translate("backup", e)
}

impl Source {
    /// Opens the file. Blocking, as all of this is.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = || Ok::<_, Error>(connect(path, Access::Migrate, PATIENCE)?.0);
        Ok(Self {
            path: path.to_owned(),
            at: None,
            may_restart: false,
            times: Times::new(path),
            hand: connection()?,
            lock: connection()?,
            pin: connection()?,
        })
    }

    /// Goes on where an earlier process stopped.
    pub fn resume(&mut self, at: Option<Position>, may_restart: bool) {
        self.at = at;
        self.may_restart = may_restart;
    }

    /// Where the log was left, and whether it may start over there.
    pub fn position(&self) -> (Option<Position>, bool) {
        (self.at, self.may_restart)
    }

    /// Opens a snapshot of the file as of one moment. Writers wait for a few milliseconds at its beginning and not again.
    /// Where the log is shipped, `keep` takes what is left of it up to that moment, from where it goes on.
    pub fn snapshot(&mut self, keep: Option<Keep<'_>>) -> Result<Snapshot> {
        let connection = connect(&self.path, Access::Migrate, PATIENCE)?.0;
        let Some(keep) = keep else {
            begin_write(&self.lock)?;
            let begun = begin_read(&connection);
            let as_of = crate::now();
            end(&self.lock)?;
            return begun.map(|()| Snapshot { connection, as_of });
        };
        if self.at.is_none() && !self.may_restart {
            self.locate()?;
        }
        self.hand_out(keep)?;
        begin_write(&self.lock)?;
        let begun = self.hand_out(keep).and_then(|()| begin_read(&connection));
        let as_of = crate::now();
        end(&self.lock)?;
        begun.map(|()| Snapshot { connection, as_of })
    }

    /// Lets go of a log that is not followed any more, so that it does not grow for nobody.
    pub fn discard(&mut self) -> Result<()> {
        (self.at, self.may_restart) = (None, false);
        passive(&self.hand).map(drop)
    }

    /// Finds the end of a log that nobody followed so far. From here on it counts.
    fn locate(&mut self) -> Result<()> {
        self.may_restart = false;
        let (busy, frames, done) = passive(&self.hand)?;
        let Some((file, head)) = self.log()? else {
            // There is none: the next write begins one.
            self.may_restart = true;
            return Ok(());
        };
        let mut at = head.start();
        let mut last = at;
        let mut bytes = vec![0_u8; head.frame_bytes()];
        loop {
            let place = HEAD as u64 + u64::from(at.frame) * head.frame_bytes() as u64;
            if !read_whole(&file, &mut bytes, place)? {
                break;
            }
            let Some(frame) = log::check(&at, &bytes, head.big_endian) else { break };
            at = Position { frame: at.frame + 1, checksum: frame.checksum, ..at };
            if frame.commit.is_some() {
                last = at;
            }
        }
        self.may_restart = busy == 0 && frames == done && last.frame == frames;
        self.at = Some(last);
        Ok(())
    }

    fn log(&self) -> Result<Option<(File, Head)>> {
        let path = beside(&self.path, "-wal");
        let failed = |e: std::io::Error| Error::Storage(format!("{} can't be read: {e}", path.display()));
        match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed(e)),
            Ok(file) => Ok(Head::read(&file).map_err(failed)?.map(|head| (file, head))),
        }
    }

    /// The frame that the log reaches at most as it is now. Who follows it further at once may never come to an end, as
    /// others write meanwhile.
    pub fn reach(&self) -> Result<u32> {
        let Some((file, head)) = self.log()? else { return Ok(0) };
        let failed = |e: std::io::Error| Error::Storage(format!("the log can't be read: {e}"));
        let frames = file.metadata().map_err(failed)?.len().saturating_sub(HEAD as u64) / head.frame_bytes() as u64;
        Ok(u32::try_from(frames).unwrap_or(u32::MAX))
    }

    /// The next frames that belong to commits.
    pub fn read_on(&mut self) -> Result<Step> {
        let Some((file, head)) = self.log()? else {
            return Ok(match self.at {
                Some(at) if at.frame > 0 || !self.may_restart => Step::Broken("the log is gone".to_owned()),
                _ => Step::Idle,
            });
        };
        let failed = |e: std::io::Error| Error::Storage(format!("the log can't be read: {e}"));
        let at = match self.at {
            Some(at) if at.salts == head.salts => at,
            Some(at) if self.may_restart && log::follows(at.salts, head.salts) => head.start(),
            None if self.may_restart => head.start(),
            _ => return Ok(Step::Broken("it started over before all of it was kept".to_owned())),
        };
        if log::noted(&file, &head, at.frame).map_err(failed)? != Some(at.checksum) {
            return Ok(Step::Broken("it is not the log that was followed so far".to_owned()));
        }
        Ok(self.read(&file, &head, at)?.map_or(Step::Idle, |(batch, is_all)| Step::Batch(batch, is_all)))
    }

    /// Reads frames from `at` on, as many as make a batch, if they lead to a commit; and whether they are all that is there.
    fn read(&mut self, file: &File, head: &Head, from: Position) -> Result<Option<(Batch, bool)>> {
        let failed = |e: std::io::Error| Error::Storage(format!("the log can't be read: {e}"));
        let most = (BATCH_BYTES / head.frame_bytes()).max(1);
        let mut at = from;
        let mut frames = Vec::new();
        let mut kept = (from, 0);
        let mut commits = Vec::new();
        let mut bytes = vec![0_u8; head.frame_bytes()];
        let mut count = 0;
        let seen_at = loop {
            // Before the look that finds nothing more: what was seen so far was begun before, and what comes later is
            // committed after.
            let seen_at = crate::now();
            let place = HEAD as u64 + u64::from(at.frame) * head.frame_bytes() as u64;
            if !read_whole(file, &mut bytes, place)? {
                break seen_at;
            }
            let Some(frame) = log::check(&at, &bytes, head.big_endian) else { break seen_at };
            at = Position { frame: at.frame + 1, checksum: frame.checksum, ..at };
            count += 1;
            if count <= most {
                frames.extend_from_slice(&bytes);
            }
            if let Some(pages) = frame.commit {
                if count <= most {
                    commits.push(Commit { frame: at.frame, pages, at: seen_at });
                    kept = (at, frames.len());
                } else {
                    // Its commit is known to be there, so that its beginning may go ahead.
                    if kept.1 == 0 {
                        kept = (behind(head, from, &frames), frames.len());
                    }
                    break seen_at;
                }
            } else if count > most && kept.1 > 0 {
                break seen_at;
            }
        };
        if kept.1 == 0 {
            return Ok(None);
        }
        frames.truncate(kept.1);
        self.times.read().map_err(failed)?;
        for commit in &mut commits {
            commit.at = self.times.of(head.salts, commit.frame).map_or(seen_at, |noted| noted.min(seen_at));
        }
        // Of frames that are left for the next batch some times may be known already.
        let later = (count > most).then(|| self.times.earliest_after(head.salts, kept.0.frame)).flatten();
        log::in_order(&mut commits, later);
        let batch = Batch { from, to: kept.0, page_size: head.page_size, big_endian: head.big_endian, commits, frames };
        Ok(Some((batch, count <= most)))
    }

    /// Notes that a batch was kept. One that was not is read again, and its commits have the same times then.
    pub fn kept(&mut self, batch: &Batch) {
        self.times.kept(batch.to.salts, batch.to.frame);
        self.at = Some(batch.to);
        self.may_restart = false;
    }

    /// All that is there now, at least.
    fn hand_out(&mut self, keep: Keep<'_>) -> Result<()> {
        let reach = self.reach()?;
        loop {
            match self.read_on()? {
                Step::Batch(batch, is_all) => {
                    keep(&batch)?;
                    self.kept(&batch);
                    if is_all || batch.to.frame >= reach {
                        return Ok(());
                    }
                }
                Step::Idle => return Ok(()),
                Step::Broken(why) => return Err(Error::Schema(format!("the log can't be followed: {why}"))),
            }
        }
    }

    /// Brings the log into the file, so that it starts over; `keep` takes what was not handed out yet. Most of it is done
    /// beside running writers; for the rest they wait some milliseconds. Where a reader holds on to an old state, or
    /// too much is being written, it is left for the next time.
    pub fn checkpoint(&mut self, keep: Keep<'_>) -> Result<Checkpoint> {
        if self.at.is_none() {
            return Ok(Checkpoint { is_complete: true, log_bytes: 0 });
        }
        // What the pin sees is the most that can be brought into the file, and all of that is handed out first.
        begin_read(&self.pin)?;
        let done = self.hand_out(keep).and_then(|()| passive(&self.hand));
        end(&self.pin)?;
        let (busy, frames, _) = self.completed(done?);
        if busy != 0 || self.may_restart && !self.times.are_many() {
            return self.ended(frames);
        }
        begin_write(&self.lock)?;
        let done = self.finish_held(keep);
        end(&self.lock)?;
        let frames = done?;
        self.ended(frames)
    }

    /// Within the lock: nothing is written meanwhile.
    fn finish_held(&mut self, keep: Keep<'_>) -> Result<u32> {
        // What is not handed out must not be brought into the file: it could be overwritten.
        if let Step::Batch(batch, _) = self.read_on()?
            && batch.to.frame - batch.from.frame > WHILE_HELD
        {
            return Ok(batch.to.frame);
        }
        self.hand_out(keep)?;
        // Nobody commits.
        let done = passive(&self.hand)?;
        let (_, frames, _) = self.completed(done);
        if self.may_restart {
            self.times.forget().map_err(|e| Error::Storage(format!("the times of commits can't be cut: {e}")))?;
        }
        Ok(frames)
    }

    fn completed(&mut self, (busy, frames, done): (i64, u32, u32)) -> (i64, u32, u32) {
        self.may_restart = busy == 0 && frames == done && self.at.is_some_and(|at| at.frame == frames);
        (busy, frames, done)
    }

    fn ended(&self, frames: u32) -> Result<Checkpoint> {
        let bytes = self.log()?.map_or(0, |(_, head)| u64::from(frames) * head.frame_bytes() as u64);
        Ok(Checkpoint { is_complete: self.may_restart, log_bytes: if self.may_restart { 0 } else { bytes } })
    }
}

/// The place behind the last of these frames, which were checked already.
fn behind(head: &Head, from: Position, frames: &[u8]) -> Position {
    frames.chunks_exact(head.frame_bytes()).fold(from, |at, bytes| {
        let frame = log::check(&at, bytes, head.big_endian);
        frame.map_or(at, |frame| Position { frame: at.frame + 1, checksum: frame.checksum, ..at })
    })
}

/// Opens a snapshot of the file as it is now.
fn begin_read(connection: &Connection) -> Result<()> {
    let begun = connection
        .execute_batch("BEGIN")
        .and_then(|()| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)));
    begun.map(drop).map_err(|e| {
        drop(end(connection));
        fail(&e)
    })
}

/// Keeps writers waiting until [`end`].
fn begin_write(connection: &Connection) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|e| fail(&e))
}

fn end(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK").map_err(|e| fail(&e)) }
}

/// Brings what it can of the log into the file without waiting for anybody: whether it could not, frames of the log, and
/// how many of them are in the file.
fn passive(connection: &Connection) -> Result<(i64, u32, u32)> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            let frames = |at| row.get::<_, i64>(at).map(|n| u32::try_from(n).unwrap_or_default());
            Ok((row.get(0)?, frames(1)?, frames(2)?))
        })
        .map_err(|e| fail(&e))
}

fn read_whole(file: &File, into: &mut [u8], at: u64) -> Result<bool> {
    match file.read_exact_at(into, at) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(Error::Storage(format!("the log can't be read: {e}"))),
    }
}
