//! Shipping SQLite's log: what is committed is sealed and durable in a spool beside the database within half a second,
//! and from there goes to the place as fast as that takes it. Only what is in the spool may leave the log, so a place that
//! is away for an hour costs disk, and nothing else.
//!
//! The policy where it is away for longer: when the spool is full, it is given up, the log starts over, and an alarm is
//! raised; a new copy begins a new series when the place answers again. The database's own disk goes first.

mod replay;
mod run;

use std::{
    collections::VecDeque,
    io::Write,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::backup::{Batch, Commit, Position, Snapshot, Source, Step};

pub use self::{
    replay::Restorable,
    run::{Alarm, Pace, run, send_waiting},
};
use crate::{
    Error, Result, Sealer, bundle::new_id, claim, error::back, files::make_folder, keys::Recipients,
    sealed::SealingWriter,
};

/// Where the log lies at a place.
pub(crate) const FOLDER: &str = "log";
/// A segment's name among parts.
const PART: &str = "log";
/// Bytes of the log in use from which on it is brought into the file.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a page, as Steward makes its files; only the moment of a checkpoint hangs on it.
const PAGE_BYTES: u64 = 4096;
const STATE: &str = "shipping.json";
const SPOOL: &str = "spool";
/// Stands where the series was forgotten, until whoever follows it has begun anew.
const FORGOTTEN: &str = "forgotten";

/// A place in the shipped log, as a bundle notes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// The series; it ends where the log could not be followed.
    pub series: String,
    /// The first segment that may hold what came later.
    pub segment: u64,
    /// The place in SQLite's own log; none where that was empty.
    pub at: Option<Position>,
}

/// What a segment says of its frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SegmentHead {
    from: Position,
    to: Position,
    page_size: u32,
    big_endian: bool,
    commits: Vec<Commit>,
    /// SHA-256 of the sealed segment before; empty for a series' first.
    previous_sha256: String,
}

/// What must survive a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    series: Option<String>,
    next_segment: u64,
    at: Option<Position>,
    may_restart: bool,
    previous_sha256: String,
    last_commit_at: Option<Timestamp>,
}

/// How shipping stands, for those who look from outside.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The newest commit that is at the place or in the spool.
    pub last_commit_at: Option<Timestamp>,
    /// Whether the log is followed; else a new copy is needed.
    pub is_followed: bool,
    /// Segments that wait for the place.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Since when the oldest waits.
    pub waiting_since: Option<Timestamp>,
}

/// The one who follows a database's log.
#[derive(Debug)]
pub struct Shipping {
    source: Source,
    folder: PathBuf,
    state: State,
    sealer: Option<Sealer>,
    recipients: Recipients,
    spool_limit_bytes: u64,
    /// Why the log is not followed any more, until somebody takes note.
    broken: Option<String>,
}

/// A segment's file name: its number, and the times of its first and last commit in microseconds (0 for none).
fn segment_name(number: u64, commits: &[Commit]) -> String {
    let at = |commit: Option<&Commit>| commit.map_or(0, |c| c.at.as_microsecond());
    format!("{number:012}-{}-{}.segment", at(commits.first()), at(commits.last()))
}

/// Number, first and last commit of a segment's name.
pub(crate) fn parse_name(name: &str) -> Option<(u64, i64, i64)> {
    let mut words = name.strip_suffix(".segment")?.split('-');
    let parsed = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(parsed)
}

impl Shipping {
    /// Goes on with a database whose mark stands ([`store::backup::ship`]). `folder` keeps state and spool. Blocking, as
    /// all of this is.
    pub fn open(database: &Path, folder: &Path, recipients: Recipients, spool_limit_bytes: u64) -> Result<Self> {
        if claim::is_copy(database)? {
            // The one that it is a copy of goes on with the series.
            tracing::warn!(database = %database.display(), "the folder is a copy of another one; its log begins anew");
            forget(folder)?;
        }
        make_folder(&folder.join(SPOOL))?;
        let state: State = match std::fs::read(folder.join(STATE)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|e| {
                tracing::warn!(error = %e, "the state of the log's shipping can't be read; a new copy begins it anew");
                State::default()
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(e) => return Err(Error::file(format!("{} can't be read", folder.join(STATE).display()), e)),
        };
        // Written, but not noted before the process was killed: it was not sent, and is written again with what has come since.
        for segment in spooled(folder)? {
            if state.series.as_ref() == Some(&segment.series) && segment.number >= state.next_segment {
                remove_file(&segment.path)?;
            }
        }
        let mut source = Source::open(database)?;
        source.resume(state.at, state.may_restart);
        Ok(Self { source, folder: folder.to_owned(), state, sealer: None, recipients, spool_limit_bytes, broken: None })
    }

    /// Whether a new copy is needed.
    pub fn needs_copy(&self) -> bool {
        self.state.series.is_none()
    }

    /// Why the log could not be followed any more, once.
    pub fn take_broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    /// Takes what was committed into the spool, and brings the log into the file when it has grown.
    pub fn tick(&mut self) -> Result<()> {
        if self.needs_copy() {
            return Ok(self.source.discard()?);
        }
        if spooled(&self.folder)?.iter().map(|s| s.size_bytes).sum::<u64>() > self.spool_limit_bytes {
            return self.give_up();
        }
        let reach = self.source.reach()?;
        loop {
            match self.source.read_on()? {
                Step::Idle => break,
                Step::Broken(why) => return self.end_series(why),
                Step::Batch(batch, is_all) => {
                    self.spool(&batch)?;
                    self.source.kept(&batch);
                    // What is committed meanwhile has time until the next turn: others want theirs.
                    if is_all || batch.to.frame >= reach {
                        break;
                    }
                }
            }
        }
        if self.log_bytes() >= CHECKPOINT_BYTES {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Bytes of the database's log that are in use: what is not in the file yet, or is held by a reader.
    pub fn log_bytes(&self) -> u64 {
        let (at, may_restart) = self.source.position();
        if may_restart { 0 } else { at.map_or(0, |at| u64::from(at.frame)) * PAGE_BYTES }
    }

    /// Brings the log into the file; what was not in the spool yet goes there first.
    pub fn checkpoint(&mut self) -> Result<store::backup::Checkpoint> {
        let ended = self.with_source(|source, keep| source.checkpoint(keep))?;
        self.state.may_restart = self.source.position().1;
        self.save()?;
        Ok(ended)
    }

    /// Opens a snapshot of the database; answers where the log goes on from it.
    pub fn snapshot(&mut self) -> Result<(Snapshot, LogPlace)> {
        if self.needs_copy() {
            self.state = State { series: Some(new_id(store::now())), ..State::default() };
            self.sealer = None;
            self.source.resume(None, false);
        }
        let begun = self.with_source(|source, keep| source.snapshot(Some(keep)));
        let snapshot = begun.inspect_err(|_| {
            // A series without a copy is none.
            if self.state.at.is_none() {
                self.state.series = None;
            }
        })?;
        (self.state.at, self.state.may_restart) = self.source.position();
        self.save()?;
        let series = self.state.series.clone().unwrap_or_default();
        Ok((snapshot, LogPlace { series, segment: self.state.next_segment, at: self.state.at }))
    }

    /// Works with the source while batches go to the spool.
    fn with_source<T>(
        &mut self,
        work: impl FnOnce(&mut Source, store::backup::Keep<'_>) -> store::Result<T>,
    ) -> Result<T> {
        // The source is lent out of `self`, so that the spool can be written meanwhile.
        let Self { source, folder, state, sealer, recipients, .. } = self;
        let mut own = None;
        let mut keep = |batch: &Batch| {
            write_segment(folder, state, sealer, recipients, batch).map_err(|e| {
                let said = e.to_string();
                own = Some(e);
                store::Error::Storage(said)
            })
        };
        let done = work(source, &mut keep);
        match (done, own) {
            (_, Some(e)) => Err(e),
            (done, None) => Ok(done?),
        }
    }

    fn spool(&mut self, batch: &Batch) -> Result<()> {
        write_segment(&self.folder, &mut self.state, &mut self.sealer, &self.recipients, batch)
    }

    fn save(&self) -> Result<()> {
        save(&self.folder, &self.state)
    }

    /// Gives up what waits and begins a new series with a new copy: the place was another's meanwhile, who may have gone on
    /// with this one.
    pub fn begin_anew(&mut self) -> Result<()> {
        self.state = State::default();
        self.sealer = None;
        empty(&self.folder)?;
        make_folder(&self.folder.join(SPOOL))?;
        self.source.discard()?;
        remove_file(&self.folder.join(FORGOTTEN))
    }

    /// Whether a command made this forget its series.
    fn was_forgotten(&self) -> bool {
        self.folder.join(FORGOTTEN).exists()
    }

    fn end_series(&mut self, why: String) -> Result<()> {
        self.broken = Some(why);
        self.state.series = None;
        self.save()
    }

    /// The spool is full: what waits is given up, and the log starts over.
    fn give_up(&mut self) -> Result<()> {
        let series = self.state.series.clone();
        self.end_series(format!(
            "the place did not answer until the spool was full ({} MB)",
            self.spool_limit_bytes / 1_000_000
        ))?;
        for segment in spooled(&self.folder)?.into_iter().filter(|s| Some(&s.series) == series.as_ref()) {
            remove_file(&segment.path)?;
        }
        Ok(self.source.discard()?)
    }
}

fn save(folder: &Path, state: &State) -> Result<()> {
    let text = serde_json::to_vec(state).map_err(|e| Error::Internal(e.to_string()))?;
    write_durably(&folder.join(STATE), |out| {
        out.write_all(&text)?;
        Ok(())
    })
}

fn write_segment(
    folder: &Path,
    state: &mut State,
    sealer: &mut Option<Sealer>,
    recipients: &Recipients,
    batch: &Batch,
) -> Result<()> {
    let Some(series) = &state.series else { return Err(Error::Internal("no series of the log was begun".to_owned())) };
    let used = match sealer {
        Some(sealer) => sealer,
        None => sealer.insert(Sealer::new(series, recipients)?),
    };
    let head = SegmentHead {
        from: batch.from,
        to: batch.to,
        page_size: batch.page_size,
        big_endian: batch.big_endian,
        commits: batch.commits.clone(),
        previous_sha256: state.previous_sha256.clone(),
    };
    let text = serde_json::to_vec(&head).map_err(|e| Error::Internal(e.to_string()))?;
    let length = u32::try_from(text.len()).map_err(|e| Error::Internal(e.to_string()))?;
    let fail = |e| back(e, "a segment of the log can't be kept");
    let mut out = SealingWriter::new(used, PART, state.next_segment, Vec::new())?;
    out.write_all(&length.to_be_bytes())
        .and_then(|()| out.write_all(&text))
        .and_then(|()| out.write_all(&batch.frames))
        .map_err(fail)?;
    let (bytes, was) = out.finish()?;
    let name = format!("{series}.{}", segment_name(state.next_segment, &batch.commits));
    write_durably(&folder.join(SPOOL).join(name), |out| out.write_all(&bytes))?;
    let next = State {
        next_segment: state.next_segment + 1,
        at: Some(batch.to),
        may_restart: false,
        previous_sha256: was.sealed.sha256,
        last_commit_at: batch.commits.last().map(|c| c.at).or(state.last_commit_at),
        series: state.series.clone(),
    };
    save(folder, &next)?;
    *state = next;
    Ok(())
}

/// What is known of the series that was last followed.
pub(crate) enum Followed {
    /// There never was one.
    Never,
    /// The log can't be followed any more.
    Broken,
    /// It is followed.
    Series(String),
}

/// Which series is followed in `folder`. Blocking.
pub(crate) fn followed(folder: &Path) -> Result<Followed> {
    match std::fs::read(folder.join(STATE)) {
        Ok(text) => {
            let state: State = serde_json::from_slice(&text).unwrap_or_default();
            Ok(state.series.map_or(Followed::Broken, Followed::Series))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Followed::Never),
        Err(e) => Err(Error::file(format!("{} can't be read", folder.join(STATE).display()), e)),
    }
}

/// Forgets the series that was followed in `folder`, and what waits there for the place; a Steward that follows it meanwhile
/// begins anew. Blocking.
pub(crate) fn forget(folder: &Path) -> Result<()> {
    write_durably(&folder.join(FORGOTTEN), |_| Ok(()))?;
    empty(folder)
}

fn empty(folder: &Path) -> Result<()> {
    for segment in spooled(folder)? {
        remove_file(&segment.path)?;
    }
    remove_file(&folder.join(STATE))
}

/// Writes beside, makes it durable, and puts it in place.
fn write_durably(path: &Path, fill: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>) -> Result<()> {
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        fill(&mut out)?;
        out.sync_all()?;
        std::fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    written().map_err(|e| Error::file(format!("{} can't be written", path.display()), e))
}

fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(format!("{} can't be removed", path.display()), e))
        }
        _ => Ok(()),
    }
}

/// A segment in the spool.
#[derive(Debug, Clone)]
struct Spooled {
    series: String,
    number: u64,
    /// Its name at the place.
    name: String,
    path: PathBuf,
    size_bytes: u64,
    made_at: Option<std::time::SystemTime>,
}

/// What waits in the spool, in order.
fn spooled(folder: &Path) -> Result<VecDeque<Spooled>> {
    let spool = folder.join(SPOOL);
    let fail = |e| Error::file(format!("{} can't be read", spool.display()), e);
    let entries = match std::fs::read_dir(&spool) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        other => other.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let file_name = entry.file_name();
        let Some((series, segment)) = file_name.to_str().and_then(|n| n.split_once('.')) else { continue };
        // What was begun and not finished is written again.
        let (Some((number, ..)), Ok(meta)) = (parse_name(segment), entry.metadata()) else { continue };
        found.push(Spooled {
            series: series.to_owned(),
            number,
            name: format!("{FOLDER}/{series}/{segment}"),
            path: entry.path(),
            size_bytes: meta.len(),
            made_at: meta.modified().ok(),
        });
    }
    found.sort_by(|a, b| (&a.series, a.number).cmp(&(&b.series, b.number)));
    Ok(found.into())
}

/// How shipping stands in `folder`, also where another process does it. Blocking.
pub fn standing(folder: &Path) -> Result<Standing> {
    let state: State = match std::fs::read(folder.join(STATE)) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => State::default(),
        Err(e) => return Err(Error::file(format!("{} can't be read", folder.join(STATE).display()), e)),
    };
    let waiting = spooled(folder)?;
    Ok(Standing {
        last_commit_at: state.last_commit_at,
        is_followed: state.series.is_some(),
        waiting: waiting.len(),
        waiting_bytes: waiting.iter().map(|s| s.size_bytes).sum(),
        waiting_since: waiting.iter().filter_map(|s| Timestamp::try_from(s.made_at?).ok()).min(),
    })
}
