//! How a SQLite database is known at a place of backups: by a file beside it, `steward.db-place`. A restore makes none (but
//! one that says that it was restored), so what was restored is another database. The file notes when it was made itself: a
//! copy of it was made later, and shows so.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What follows the database's own name.
const ENDING: &str = "-place";
/// Places whose turn is remembered: one that was used before may be used again.
const PLACES: usize = 16;

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    id: String,
    /// The turn of each place it writes to, the latest last.
    turns: Vec<String>,
    /// Whether the database was restored, and has had no place since.
    #[serde(default)]
    is_restored: bool,
    /// When this file was made, as the file system has it; none where it does not say.
    made_at: Option<Timestamp>,
}

/// A database by its file.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) path: PathBuf,
    pub(super) id: String,
    pub(super) turns: Vec<String>,
    pub(super) is_restored: bool,
    /// Whether the file is a copy of another database's.
    pub(super) is_copy: bool,
}

/// Sixteen digits that nobody else has, twice.
pub(super) fn new_word() -> String {
    let mut bytes = [0_u8; 16];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    hex::encode(bytes)
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ENDING);
    name.into()
}

fn made_at(file: &std::fs::File) -> Option<Timestamp> {
    file.metadata().ok()?.created().ok().and_then(|at| at.try_into().ok())
}

/// Whether the database lies in a copy of the folder that was known at a place. Blocking.
pub(crate) fn is_copy(database: &Path) -> Result<bool> {
    Ok(Known::read(database)?.is_copy)
}

/// Notes of a database that was just restored that it is another one than it comes from. One that was restored in the
/// place of another goes on as that one. Blocking.
pub(crate) fn restored(database: &Path) -> Result<()> {
    let path = beside(database);
    if path.exists() {
        return Ok(());
    }
    Known { path, id: new_word(), turns: Vec::new(), is_restored: true, is_copy: false }.save()
}

impl Known {
    /// Reads the file of a database; without one it is a new database. Blocking.
    pub(super) fn read(database: &Path) -> Result<Self> {
        let path = beside(database);
        let fresh = |path| Self { path, id: new_word(), turns: Vec::new(), is_restored: false, is_copy: false };
        let fail = |e| Error::file(format!("{} can't be read", path.display()), e);
        let file = match std::fs::File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(fresh(path)),
            other => other.map_err(fail)?,
        };
        let made = made_at(&file);
        let noted: Noted = match serde_json::from_str(&std::io::read_to_string(file).map_err(fail)?) {
            Ok(noted) => noted,
            Err(e) => {
                tracing::warn!(file = %path.display(), error = %e, "how the database is known at its place of backups can't be read");
                return Ok(fresh(path));
            }
        };
        let is_copy = noted.made_at.zip(made).is_some_and(|(noted, made)| noted != made);
        Ok(Self { path, id: noted.id, turns: noted.turns, is_restored: noted.is_restored, is_copy })
    }

    /// The same with another turn.
    pub(super) fn with(mut self, turn: &str) -> Self {
        if self.is_copy {
            self.turns.clear();
        }
        self.turns.push(turn.to_owned());
        let over = self.turns.len().saturating_sub(PLACES);
        self.turns.drain(..over);
        Self { is_restored: false, is_copy: false, ..self }
    }

    /// Puts it beside the database, durably. Blocking.
    pub(super) fn save(&self) -> Result<()> {
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let write = || -> std::io::Result<()> {
            match std::fs::remove_file(&new) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            let noted = Noted {
                id: self.id.clone(),
                turns: self.turns.clone(),
                is_restored: self.is_restored,
                made_at: made_at(&out),
            };
            out.write_all(&serde_json::to_vec(&noted)?)?;
            out.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            match self.path.parent() {
                Some(folder) => std::fs::File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|e| Error::file(format!("{} can't be written", self.path.display()), e))
    }
}
