//! One listing of the folder, bounded in entries and depth, never through a link.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::RefusalKind;
use super::config::{FolderConfig, MAX_DEPTH};
use super::eyes::Folder;
use super::facts::{Facts, Kind};
use super::names::{self, quoted};

/// The most entries one look goes through.
pub(super) const MAX_ENTRIES: usize = 200_000;

/// How often the walk asks whether to stop.
const STOP_EVERY: usize = 256;

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// What is new, and whether it is to be refused.
    pub(super) found: Vec<(PathBuf, Facts, Option<RefusalKind>)>,
    /// The folders met, the watched one first.
    pub(super) folders: Vec<Folder>,
    pub(super) entries: usize,
    /// There was no more room for new files.
    pub(super) full: bool,
    /// Everything was gone through.
    pub(super) complete: bool,
    /// What kept the look from seeing everything, for people.
    pub(super) trouble: Option<String>,
}

/// Lists the folder. `room` bounds what may be found; `settled` says what need not be found again. The error is for
/// people: the folder itself cannot be read.
pub(super) fn look(
    config: &FolderConfig,
    room: usize,
    stop: &CancellationToken,
    mut settled: impl FnMut(&Path, &Facts) -> bool,
) -> Result<Look, String> {
    let meta = fs::metadata(&config.path).map_err(|error| folder_error(&config.path, &error))?;
    let top = Facts::of(&meta);
    if top.kind != Kind::Folder {
        return Err(format!(
            "The watched path {} is not a folder. Put a folder there or give the watcher another `path`; watching goes on by itself.",
            quoted(&config.path)
        ));
    }
    let mut look = Look { folders: vec![(config.path.clone(), top.id())], ..Look::default() };
    let mut open: Vec<(PathBuf, usize)> = vec![(config.path.clone(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(folder_error(&folder, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => {
                // A folder below that may not be listed is refused once; the rest goes on.
                if let Ok(meta) = fs::symlink_metadata(&folder) {
                    let facts = Facts::of(&meta);
                    offer(&mut look, room, folder, facts, Some(RefusalKind::UnreadableFolder), &mut settled);
                }
                continue;
            }
        };
        for entry in entries {
            if look.full || (look.entries.is_multiple_of(STOP_EVERY) && stop.is_cancelled()) {
                return Ok(look);
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if depth == 0 => return Err(folder_error(&folder, &error)),
                Err(_) => break,
            };
            look.entries += 1;
            if look.entries > MAX_ENTRIES {
                look.trouble = Some(format!(
                    "The folder {} holds more than {MAX_ENTRIES} entries; what lies beyond is not seen. Move finished files out of it.",
                    quoted(&config.path)
                ));
                return Ok(look);
            }
            if names::is_left_alone(&entry.file_name(), config.include_hidden) {
                continue;
            }
            let path = entry.path();
            let facts = match entry.metadata() {
                Ok(meta) => Facts::of(&meta),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    look.trouble.get_or_insert_with(|| {
                        format!(
                            "The file {} cannot be examined: {error}. Give the user Steward runs as the right to enter its folder, or check the disk.",
                            quoted(&path)
                        )
                    });
                    continue;
                }
            };
            if facts.kind == Kind::Folder {
                if config.recursive && depth < MAX_DEPTH {
                    look.folders.push((path.clone(), facts.id()));
                    open.push((path, depth + 1));
                } else if config.recursive {
                    offer(&mut look, room, path, facts, Some(RefusalKind::TooDeep), &mut settled);
                }
            } else if config.wants(path.strip_prefix(&config.path).unwrap_or(&path)) && !settled(&path, &facts) {
                match judge(config, &path, &facts) {
                    Judged::Take => push(&mut look, room, path, facts, None),
                    Judged::Refuse(kind) => push(&mut look, room, path, facts, Some(kind)),
                    Judged::Ignore => {}
                }
            }
        }
    }
    look.complete = look.trouble.is_none() && !look.full;
    Ok(look)
}

fn offer(
    look: &mut Look,
    room: usize,
    path: PathBuf,
    facts: Facts,
    refuse: Option<RefusalKind>,
    settled: &mut impl FnMut(&Path, &Facts) -> bool,
) {
    if !settled(&path, &facts) {
        push(look, room, path, facts, refuse);
    }
}

fn push(look: &mut Look, room: usize, path: PathBuf, facts: Facts, refuse: Option<RefusalKind>) {
    if look.found.len() < room {
        look.found.push((path, facts, refuse));
    } else {
        look.full = true;
    }
}

/// What a thing that is no folder is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    Take,
    Refuse(RefusalKind),
    Ignore,
}

pub(super) fn judge(config: &FolderConfig, path: &Path, facts: &Facts) -> Judged {
    match facts.kind {
        Kind::File if facts.size_bytes > config.max_bytes => Judged::Refuse(RefusalKind::TooLarge),
        Kind::File => Judged::Take,
        Kind::Special => Judged::Refuse(RefusalKind::SpecialFile),
        // A link to a file inside needs nothing: that file is taken itself.
        Kind::Symlink if leads_out(config, path) => Judged::Refuse(RefusalKind::SymlinkOut),
        Kind::Folder | Kind::Symlink => Judged::Ignore,
    }
}

fn leads_out(config: &FolderConfig, link: &Path) -> bool {
    let Ok(root) = fs::canonicalize(&config.path) else { return false };
    match fs::canonicalize(link) {
        Ok(target) => !target.starts_with(root),
        // Nothing is there (yet): judge by where the link points.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Ok(target), Some(folder)) = (fs::read_link(link), link.parent()) else { return false };
            let Ok(folder) = fs::canonicalize(folder) else { return false };
            !without_dots(&folder.join(target)).starts_with(root)
        }
        // A link to itself leads nowhere.
        Err(_) => false,
    }
}

/// The path with `.` and `..` worked out by the letter.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == OsStr::new("..") {
            out.pop();
        } else {
            out.push(part);
        }
    }
    out
}

fn folder_error(path: &Path, error: &io::Error) -> String {
    let folder = quoted(path);
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "The watched folder {folder} does not exist. Create it, or connect the disk it is on; watching goes on by itself within two seconds of its return."
        ),
        io::ErrorKind::NotADirectory => format!(
            "The watched path {folder} leads through something that is not a folder. Correct the watcher's `path`, or put the folder there; watching goes on by itself."
        ),
        io::ErrorKind::PermissionDenied => format!(
            "The watched folder {folder} may not be listed (permission denied). Give the user Steward runs as the right to read and enter it; watching goes on by itself."
        ),
        _ => format!(
            "The watched folder {folder} cannot be read: {error}. Check the disk or network share it is on; watching goes on by itself."
        ),
    }
}
