//! The vault's files: read within bounds, written whole under another name first, and no link followed.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use domain::playbook::sha256_hex;
use jiff::Timestamp;
use outside::Trouble;

use super::{APPROVED, FOLDERS, NEEDS_ACTION, REJECTED, text};

/// Bytes of a note; a longer one is left alone.
const NOTE_BYTES: u64 = 1024 * 1024;
/// Notes of a folder that are read at once.
const MOST_NOTES: usize = 1000;
/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 10_000;
/// Notes of one name that are told apart by a number.
const MOST_NAMESAKES: u32 = 100;

/// A note as it was read.
#[derive(Debug, Clone)]
pub(super) struct Note {
    /// Its name, with `.md`.
    pub name: String,
    /// Its text; empty where it is too long.
    pub text: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// When it was last written.
    pub modified: Timestamp,
    /// What makes it the same note when it is seen again.
    pub key: String,
    /// It is longer than a note may be.
    pub is_too_long: bool,
    stamp: (i64, i64, u64),
}

impl Note {
    pub(super) fn stem(&self) -> &str {
        self.name.strip_suffix(".md").unwrap_or(&self.name)
    }
}

/// What stands in the folders where people do something: enough to see that they did.
pub(super) type Glance = BTreeMap<String, (i64, i64, u64)>;

fn fail(path: &Path, e: &io::Error) -> Trouble {
    Trouble::passing(format!("{} can't be used ({e}); look at the folder and its rights", path.display()))
}

/// A folder of the vault, which is no link.
fn folder(root: &Path, name: &str) -> Result<PathBuf, Trouble> {
    let path = root.join(name);
    let facts = fs::symlink_metadata(&path).map_err(|e| fail(&path, &e))?;
    if facts.is_dir() {
        return Ok(path);
    }
    Err(Trouble::lasting(format!("{} must be a folder, and no link to one", path.display())))
}

/// Makes the folders that are missing. The vault itself must be there: an unmounted disk is no empty vault.
pub(super) fn prepare(root: &Path) -> Result<(), Trouble> {
    if !root.is_dir() {
        return Err(Trouble::passing(format!(
            "the folder {} is not there; make it, or correct the path",
            root.display()
        )));
    }
    for name in FOLDERS {
        let path = root.join(name);
        // Nobody else may write there: whoever can is taken for the vault's owner.
        match fs::DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(fail(&path, &e)),
        }
        folder(root, name)?;
    }
    Ok(())
}

fn is_note(name: &str) -> bool {
    name.strip_suffix(".md").is_some_and(|stem| !stem.is_empty())
        && !name.starts_with('.')
        && !name.chars().any(char::is_control)
}

/// Names of notes in a folder, sorted; none where the folder is not there yet.
fn names(path: &Path) -> Result<Vec<String>, Trouble> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(fail(path, &e)),
    };
    let mut names = Vec::new();
    for entry in entries.take(MOST_ENTRIES) {
        let entry = entry.map_err(|e| fail(path, &e))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        // A name that is no text is no note's.
        if let (true, Ok(name)) = (is_file, entry.file_name().into_string())
            && is_note(&name)
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The notes of a folder by name, at most 1,000; of more than that it is told in the log.
pub(super) fn notes(root: &Path, name: &str) -> Result<Vec<Note>, Trouble> {
    if !root.is_dir() {
        return Err(Trouble::passing(format!(
            "the folder {} is not there; make it, or correct the path",
            root.display()
        )));
    }
    let path = root.join(name);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(Vec::new());
    }
    let path = folder(root, name)?;
    let mut notes = Vec::new();
    let names = names(&path)?;
    if names.len() > MOST_NOTES {
        tracing::warn!(folder = %path.display(), notes = names.len(), "only the first {MOST_NOTES} notes are looked at; put some away");
    }
    for name in names.into_iter().take(MOST_NOTES) {
        // What went, or became something else meanwhile, is looked at another time.
        if let Some(note) = read(&path, name).map_err(|e| fail(&path, &e))? {
            notes.push(note);
        }
    }
    Ok(notes)
}

fn stamp(facts: &fs::Metadata) -> (i64, i64, u64) {
    (facts.mtime(), facts.mtime_nsec(), facts.len())
}

fn read(folder: &Path, name: String) -> io::Result<Option<Note>> {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(folder.join(&name));
    let Ok(file) = opened else { return Ok(None) };
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(NOTE_BYTES + 1).read_to_end(&mut bytes)?;
    let is_too_long = bytes.len() as u64 > NOTE_BYTES;
    // Notes are text; what is not is shown as far as it goes.
    let text = if is_too_long { String::new() } else { String::from_utf8_lossy(&bytes).replace('\0', "") };
    let sha256 = sha256_hex(&text);
    let since = facts.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = Timestamp::try_from(UNIX_EPOCH + since).unwrap_or(Timestamp::UNIX_EPOCH);
    // Written anew it is another note, even with the same words: what was done once may be wanted again.
    let key = sha256_hex(&format!("{name}\n{}.{}\n{sha256}", facts.mtime(), facts.mtime_nsec()));
    Ok(Some(Note { name, text, sha256, modified, key, is_too_long, stamp: stamp(&facts) }))
}

/// What stands in the folders where people do something.
pub(super) fn glance(root: &Path) -> Result<Glance, Trouble> {
    let mut seen = Glance::new();
    for name in [NEEDS_ACTION, APPROVED, REJECTED] {
        let path = root.join(name);
        for note in names(&path)? {
            if let Ok(facts) = fs::symlink_metadata(path.join(&note)) {
                seen.insert(format!("{name}/{note}"), stamp(&facts));
            }
        }
    }
    Ok(seen)
}

/// Writes a file whole under another name first.
fn put(path: &Path, text: &str) -> Result<(), Trouble> {
    let folder = path.parent().unwrap_or(path);
    let staged = folder.join(format!(".steward-{}.tmp", uuid::Uuid::new_v4().simple()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&staged)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&staged, path));
    written.map_err(|e| {
        drop(fs::remove_file(&staged));
        fail(path, &e)
    })
}

/// Writes a file of the vault unless it holds just that.
pub(super) fn put_if_other(root: &Path, name: &str, text: &str) -> Result<(), Trouble> {
    let path = root.join(name);
    let stands = read(root, name.to_owned()).ok().flatten();
    if stands.is_some_and(|note| note.text == text) {
        return Ok(());
    }
    put(&path, text)
}

/// Hands a note on to another folder with a new text. Broken off in between, it is done again and comes out the same.
pub(super) fn hand_on(root: &Path, (from, note): (&str, &Note), to: &str, text: &str) -> Result<(), Trouble> {
    let (from, to) = (folder(root, from)?.join(&note.name), folder(root, to)?);
    let stem = note.stem();
    let mut target = to.join(&note.name);
    for number in 2..=MOST_NAMESAKES {
        match fs::symlink_metadata(&target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            _ if fs::read_to_string(&target).is_ok_and(|stands| stands == text) => break,
            _ => target = to.join(format!("{stem} ({number}).md")),
        }
    }
    put(&target, text)?;
    // Written on since it was read: it stays, and is a note of its own.
    let is_as_read = fs::symlink_metadata(&from).is_ok_and(|facts| stamp(&facts) == note.stamp);
    if is_as_read { remove(&from) } else { Ok(()) }
}

/// Writes a note anew where it lies.
pub(super) fn rewrite(root: &Path, name: &str, note: &Note, text: &str) -> Result<(), Trouble> {
    put(&folder(root, name)?.join(&note.name), text)
}

/// Removes a note; somebody may have been faster.
fn remove(path: &Path) -> Result<(), Trouble> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fail(path, &e)),
        _ => Ok(()),
    }
}

/// Makes a folder hold just these notes of ours; a person's own stay.
pub(super) fn mirror(root: &Path, name: &str, wanted: &BTreeMap<String, String>) -> Result<(), Trouble> {
    let path = folder(root, name)?;
    for (name, text) in wanted {
        put_if_other(&path, name, text)?;
    }
    for name in names(&path)?.into_iter().filter(|name| !wanted.contains_key(name)) {
        if let Some(note) = read(&path, name).map_err(|e| fail(&path, &e))?
            && text::field(&note.text, text::APPROVAL).is_some()
        {
            remove(&path.join(&note.name))?;
        }
    }
    Ok(())
}

/// Why a note in a folder may have been put there by somebody else than the vault's owner; none: it was not. Whoever may
/// write into a folder may exchange what stands in it, so it is asked of each one on the way.
pub(super) fn stranger(root: &Path, name: &str, note: &Note) -> Result<Option<String>, Trouble> {
    let path = folder(root, name)?;
    let facts = |path: &Path| fs::symlink_metadata(path).map_err(|e| fail(path, &e));
    let me = fs::metadata("/proc/self").map_err(|e| fail(Path::new("/proc/self"), &e))?.uid();
    let whole = fs::canonicalize(root).map_err(|e| fail(root, &e))?;
    for above in whole.ancestors().skip(1) {
        let facts = facts(above)?;
        // Where a folder is sticky, each one's own is nobody else's to move.
        let is_open = facts.mode() & 0o022 != 0 && facts.mode() & 0o1000 == 0;
        if is_open || ![0, me].contains(&facts.uid()) {
            return Ok(Some(format!(
                "others on this machine may write into {}, above the vault, and put another one in its place",
                above.display()
            )));
        }
    }
    let (of_root, of_folder, of_note) = (facts(&whole)?, facts(&path)?, facts(&path.join(&note.name))?);
    if of_folder.mode() & 0o022 != 0 || of_root.mode() & 0o022 != 0 {
        return Ok(Some(format!(
            "others on this machine may write into {name}, so nobody knows who moved it; take that right away (chmod go-w)"
        )));
    }
    if [of_root.uid(), of_folder.uid(), of_note.uid()].iter().any(|owner| *owner != me) {
        return Ok(Some(format!(
            "the note, {name} and the vault do not all belong to the user of this machine as which Steward runs"
        )));
    }
    Ok(None)
}
