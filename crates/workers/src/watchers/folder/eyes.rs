//! The system's reports of change: a reason to look sooner, never the truth.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::config::FolderConfig;
use super::names;

/// Folders watched by one watcher; those past it are found by polling.
const MAX_FOLDERS: usize = 1_000;

/// How long to leave a system that refused a watch in peace.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A folder and its place on its disk: a new folder under an old name needs a new watch.
pub(super) type Folder = (PathBuf, (u64, u64));

/// Why a watch did not begin.
enum NoWatch {
    /// The folder is gone; the next look sorts it out.
    Gone,
    /// The system refused lately.
    NotNow,
    Refused(String),
}

/// The watches held. Creating and changing them may wait on the system: not for an async thread.
pub(super) struct Eyes {
    watcher: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, (u64, u64)>,
    wake: Arc<Notify>,
    trouble: Option<(String, Instant)>,
    all: bool,
}

impl Eyes {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self { watcher: None, watched: HashMap::new(), wake, trouble: None, all: false }
    }

    /// Whether every folder met by the last look is watched.
    pub(super) fn see_all(&self) -> bool {
        self.all
    }

    /// Watches these folders; when the look was `complete`, no others. Answers whether any watch is new: what arrived
    /// before it began is then to be looked for.
    pub(super) fn watch(&mut self, config: &FolderConfig, folders: &[Folder], complete: bool) -> bool {
        if complete {
            let wanted: HashSet<&Path> = folders.iter().map(|(path, _)| path.as_path()).collect();
            let gone: Vec<PathBuf> =
                self.watched.keys().filter(|path| !wanted.contains(path.as_path())).cloned().collect();
            for path in &gone {
                self.forget(path);
            }
        }
        let mut new = false;
        self.all = true;
        for (path, id) in folders {
            if self.watched.get(path) == Some(id) {
                continue;
            }
            self.forget(path);
            match self.begin(config, path) {
                Ok(()) => {
                    self.watched.insert(path.clone(), *id);
                    new = true;
                }
                Err(NoWatch::Gone) => self.all = false,
                Err(NoWatch::NotNow) => {
                    self.all = false;
                    break;
                }
                Err(NoWatch::Refused(why)) => {
                    self.all = false;
                    self.note(config, why);
                    break;
                }
            }
        }
        if self.all {
            self.trouble = None;
        }
        new
    }

    /// Lets go of everything: the folder is gone.
    pub(super) fn close(&mut self) {
        self.watched.clear();
        self.watcher = None;
        self.all = false;
    }

    fn begin(&mut self, config: &FolderConfig, path: &Path) -> Result<(), NoWatch> {
        if self.trouble.as_ref().is_some_and(|(_, since)| since.elapsed() < RETRY_AFTER) {
            return Err(NoWatch::NotNow);
        }
        if self.watched.len() >= MAX_FOLDERS {
            return Err(NoWatch::Refused(format!("there are more than {MAX_FOLDERS} folders")));
        }
        if self.watcher.is_none() {
            let made = new_watcher(config, &self.wake).map_err(|error| NoWatch::Refused(error.to_string()))?;
            self.watcher = Some(made);
        }
        let Some(watcher) = &mut self.watcher else { return Err(NoWatch::NotNow) };
        watcher.watch(path, RecursiveMode::NonRecursive).map_err(|error| match &error.kind {
            notify::ErrorKind::PathNotFound => NoWatch::Gone,
            notify::ErrorKind::Io(why) if why.kind() == std::io::ErrorKind::NotFound => NoWatch::Gone,
            notify::ErrorKind::MaxFilesWatch => NoWatch::Refused(
                "the system's limit of watches is reached (raise fs.inotify.max_user_watches)".to_owned(),
            ),
            _ => NoWatch::Refused(error.to_string()),
        })
    }

    fn forget(&mut self, path: &Path) {
        if self.watched.remove(path).is_some()
            && let Some(watcher) = &mut self.watcher
        {
            // It may be gone already, with its folder.
            let _ = watcher.unwatch(path);
        }
    }

    fn note(&mut self, config: &FolderConfig, why: String) {
        if self.trouble.as_ref().is_none_or(|(said, _)| *said != why) {
            tracing::warn!(
                folder = %config.path.display(), %why, poll_ms = config.poll_ms,
                "the system does not report changes in the whole folder; polling finds them, a little later"
            );
        }
        self.trouble = Some((why, Instant::now()));
    }
}

fn new_watcher(config: &FolderConfig, wake: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let (wake, root, hidden) = (Arc::clone(wake), config.path.clone(), config.include_hidden);
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error may mean that reports were lost: all the more reason to look.
        if event.map_or(true, |event| matters(&event, &root, hidden)) {
            wake.notify_one();
        }
    })
}

/// Whether an event can mean work. Our own listing and reading is reported too; taking that for a change would make
/// the watcher wake itself for ever.
fn matters(event: &Event, root: &Path, include_hidden: bool) -> bool {
    let change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let wanted = |path: &PathBuf| {
        path == root || path.file_name().is_none_or(|name| !names::is_left_alone(name, include_hidden))
    };
    change && (event.paths.is_empty() || event.paths.iter().any(wanted))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn only_changes_to_wanted_names_matter() {
        let event = |kind, paths: &[&str]| Event {
            kind,
            paths: paths.iter().map(PathBuf::from).collect(),
            attrs: notify::event::EventAttributes::new(),
        };
        let root = Path::new("/x/.in");
        let create = EventKind::Create(CreateKind::File);
        let rename = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        assert!(matters(&event(create, &["/x/.in/a.pdf"]), root, false));
        assert!(matters(&event(EventKind::Other, &[]), root, false));
        assert!(matters(&event(EventKind::Remove(notify::event::RemoveKind::Folder), &["/x/.in"]), root, false));
        assert!(matters(&event(rename, &["/x/.in/a.part", "/x/.in/a"]), root, false));
        assert!(matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)), &["/x/.in/a"]), root, false));
        assert!(!matters(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)), &["/x/.in"]), root, false));
        assert!(!matters(&event(create, &["/x/.in/a.part"]), root, false));
        assert!(!matters(&event(create, &["/x/.in/.a"]), root, false));
        assert!(matters(&event(create, &["/x/.in/.a"]), root, true));
    }
}
