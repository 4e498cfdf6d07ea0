//! Every file that is seen and not dealt with yet, and when it is next looked at.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::config::FolderConfig;
use super::eyes::Eyes;
use super::facts::{Facts, Kind};
use super::ledger::Ledger;
use super::names::quoted;
use super::scan::{self, Judged};
use super::{RefusalKind, backoff, writers};

/// The most files followed at once; the rest wait in the folder for a later look.
pub(super) const MAX_PENDING: usize = 10_000;

/// After this long without a change, a file that some program still holds open is taken as it stands: such a program
/// (a log, a viewer that opened for writing) would hide it for ever.
const HELD_LIMIT: Duration = Duration::from_secs(600);

/// How often a file held open is asked about again: from the first, doubling, to the second.
const HELD_ASK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// A file that stood still long enough.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) path: PathBuf,
    pub(super) facts: Facts,
    pub(super) refuse: Option<RefusalKind>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Dealt with, as it was.
    Done(Facts),
    Vanished,
    /// To be watched from the start again.
    Changed,
    /// To be tried again later.
    Failed,
}

#[derive(Debug)]
struct Pending {
    facts: Facts,
    refuse: Option<RefusalKind>,
    /// When these facts were first seen.
    since: Instant,
    /// When to examine it next; `None` while it is being taken.
    due: Option<Instant>,
    /// The pause before the next question, while a program holds it open.
    held: Option<Duration>,
    failures: u32,
}

/// What to do in a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// List the folder.
    pub(super) look: bool,
    /// Something changed: ask at once about files held open.
    pub(super) hurry: bool,
    /// How many files may be handed out.
    pub(super) want: usize,
}

/// What a round brought.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) work: Vec<Work>,
    /// Set when the folder cannot be read, or not wholly: for people.
    pub(super) trouble: Option<String>,
    pub(super) listed: bool,
    pub(super) entries: usize,
    /// More waits in the folder than there was room for.
    pub(super) full: bool,
    /// What arrived before a watch began is still to be looked for.
    pub(super) look_again: bool,
}

/// The state of one watched folder. Its rounds read the disk: not for an async thread.
pub(super) struct Tracker {
    pending: HashMap<PathBuf, Pending>,
    ledger: Ledger,
    eyes: Eyes,
    held_limit: Duration,
}

impl Tracker {
    pub(super) fn new(eyes: Eyes) -> Self {
        Self { pending: HashMap::new(), ledger: Ledger::default(), eyes, held_limit: HELD_LIMIT }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn held_open(&self) -> usize {
        self.pending.values().filter(|file| file.held.is_some()).count()
    }

    pub(super) fn sees_all(&self) -> bool {
        self.eyes.see_all()
    }

    /// Whether any file could not be handed over at its last try.
    pub(super) fn has_failures(&self) -> bool {
        self.pending.values().any(|file| file.failures > 0)
    }

    /// When the next file is to be examined.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.pending.values().filter_map(|file| file.due).min()
    }

    /// Lists the folder if asked, then examines the files whose time has come.
    pub(super) fn round(&mut self, config: &FolderConfig, order: Order, stop: &CancellationToken) -> Report {
        let mut report = Report::default();
        if order.look {
            self.look(config, stop, &mut report);
        }
        if order.hurry {
            let now = Instant::now();
            for file in self.pending.values_mut().filter(|file| file.held.is_some() && file.due.is_some()) {
                file.due = Some(now);
            }
        }
        self.examine(config, order.want, &mut report);
        report
    }

    fn look(&mut self, config: &FolderConfig, stop: &CancellationToken, report: &mut Report) {
        let room = MAX_PENDING.saturating_sub(self.pending.len());
        self.ledger.begin_look();
        let (pending, ledger) = (&self.pending, &mut self.ledger);
        let look =
            scan::look(config, room, stop, |path, facts| pending.contains_key(path) || ledger.meets(path, facts));
        match look {
            Err(trouble) => {
                report.trouble = Some(trouble);
                self.eyes.close();
            }
            Ok(look) => {
                if look.complete {
                    self.ledger.end_look();
                }
                report.look_again = self.eyes.watch(config, &look.folders, look.complete);
                report.listed = look.complete;
                report.entries = look.entries;
                report.full = look.full;
                report.trouble = look.trouble;
                let since = Instant::now();
                let due = Some(since + Duration::from_millis(config.settle_ms));
                self.pending.extend(look.found.into_iter().map(|(path, facts, refuse)| {
                    (path, Pending { facts, refuse, since, due, held: None, failures: 0 })
                }));
            }
        }
    }

    /// Examines at most `want` files that are due, those that failed least and waited longest first.
    fn examine(&mut self, config: &FolderConfig, want: usize, report: &mut Report) {
        let now = Instant::now();
        let mut due: Vec<(u32, Instant, PathBuf)> = self
            .pending
            .iter()
            .filter(|(_, file)| file.due.is_some_and(|due| due <= now))
            .map(|(path, file)| (file.failures, file.since, path.clone()))
            .collect();
        due.sort_unstable();
        due.truncate(want);
        let mut still: Vec<PathBuf> = Vec::new();
        for (_, _, path) in due {
            if self.stands_still(config, &path) {
                still.push(path);
            }
        }
        let ids: HashSet<(u64, u64)> = still
            .iter()
            .filter_map(|path| self.pending.get(path))
            .filter(|file| file.refuse.is_none() && file.since.elapsed() < self.held_limit)
            .map(|file| file.facts.id())
            .collect();
        let held = writers::open_for_writing(&ids);
        for path in still {
            let Some(file) = self.pending.get_mut(&path) else { continue };
            if file.refuse.is_none() && held.contains(&file.facts.id()) {
                let pause = file.held.map_or(HELD_ASK.0, |pause| (pause * 2).min(HELD_ASK.1));
                file.held = Some(pause);
                file.due = Some(Instant::now() + pause);
            } else {
                if file.held.take().is_some() && file.since.elapsed() >= self.held_limit {
                    tracing::info!(file = %quoted(&path), "held open by a program for ten minutes without a change: taken as it stands");
                }
                file.due = None;
                report.work.push(Work { facts: file.facts, refuse: file.refuse, path });
            }
        }
    }

    /// Looks at a file again. If it changed, its time starts anew; if it is gone, it is forgotten.
    fn stands_still(&mut self, config: &FolderConfig, path: &Path) -> bool {
        let Some(file) = self.pending.get_mut(path) else { return false };
        let facts = match fs::symlink_metadata(path) {
            Ok(meta) => Facts::of(&meta),
            Err(error) => {
                // Anything but its absence is the next look's to report.
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(file = %quoted(path), %error, "could not be examined; the next look tries again");
                }
                self.pending.remove(path);
                return false;
            }
        };
        let folder = facts.kind == Kind::Folder && file.facts.kind == Kind::Folder;
        if folder || facts.same_content(&file.facts) {
            // Permissions may have changed meanwhile: what is noted later is what is true now.
            file.facts = facts;
            return true;
        }
        let refuse = match scan::judge(config, path, &facts) {
            Judged::Take => None,
            Judged::Refuse(kind) => Some(kind),
            Judged::Ignore => {
                self.pending.remove(path);
                return false;
            }
        };
        let since = Instant::now();
        let due = Some(since + Duration::from_millis(config.settle_ms));
        *file = Pending { facts, refuse, since, due, held: None, failures: file.failures };
        false
    }

    /// Notes what became of a file that was handed out.
    pub(super) fn finished(&mut self, config: &FolderConfig, path: &Path, outcome: &Outcome) {
        if let Outcome::Done(facts) = outcome {
            self.ledger.mark(path, facts);
        }
        let Some(file) = self.pending.get_mut(path) else { return };
        let now = Instant::now();
        match outcome {
            Outcome::Done(_) | Outcome::Vanished => {
                self.pending.remove(path);
            }
            Outcome::Changed => {
                file.since = now;
                file.due = Some(now + Duration::from_millis(config.settle_ms));
            }
            Outcome::Failed => {
                file.failures = file.failures.saturating_add(1);
                file.due = Some(now + backoff::delay(file.failures));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_held_open_waits_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({"path": dir.path(), "playbook": "p", "settle_ms": 100});
        let config = super::super::parse(&config).unwrap();
        let stop = CancellationToken::new();
        let mut tracker = Tracker::new(Eyes::new(Arc::default()));
        let path = dir.path().join("log");
        let writer = File::create(&path).unwrap();
        let mut round = |look, held_limit| {
            tracker.held_limit = held_limit;
            // The file has stood still, and its question is due.
            for file in tracker.pending.values_mut() {
                file.due = Some(Instant::now());
            }
            let report = tracker.round(&config, Order { look, hurry: false, want: 10 }, &stop);
            (report.work.len(), tracker.held_open())
        };
        assert_eq!(round(true, HELD_LIMIT), (0, 0));
        if cfg!(target_os = "linux") {
            assert_eq!(round(false, HELD_LIMIT), (0, 1));
            assert_eq!(round(false, HELD_LIMIT), (0, 1));
        }
        assert_eq!(round(false, Duration::ZERO), (1, 0));
        drop(writer);
    }
    #[test]
    fn no_more_files_are_followed_than_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..MAX_PENDING + 5 {
            File::create(dir.path().join(number.to_string())).unwrap();
        }
        let config = json!({"path": dir.path(), "playbook": "p", "settle_ms": 100});
        let config = super::super::parse(&config).unwrap();
        let mut tracker = Tracker::new(Eyes::new(Arc::default()));
        let round = |tracker: &mut Tracker| {
            tracker.round(&config, Order { look: true, hurry: false, want: 0 }, &CancellationToken::new())
        };
        let report = round(&mut tracker);
        assert!(report.full && !report.listed);
        assert_eq!(tracker.len(), MAX_PENDING);
        let done: Vec<(PathBuf, Facts)> =
            tracker.pending.iter().map(|(path, file)| (path.clone(), file.facts)).collect();
        for (path, facts) in done {
            tracker.finished(&config, &path, &Outcome::Done(facts));
        }
        let report = round(&mut tracker);
        assert!(!report.full && report.listed);
        assert_eq!(tracker.len(), 5);
    }
}
