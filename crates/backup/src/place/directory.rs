//! A directory as a place: files for their owner alone, written beside and renamed when they are whole and durable.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    Entry,
    pieces::{self, Pieces},
};
use crate::{Error, Result, error::joined};

/// Bytes read at once.
const READ: usize = 256 * 1024;
/// Bytes that are written and not yet on the disk, at most.
const UNWRITTEN: usize = 4 * 1024 * 1024;
/// Folders within folders at most.
const DEPTH: usize = 8;

/// A directory.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// Names it; it is made when something is put there.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn describe(&self) -> String {
        self.0.display().to_string()
    }

    fn failed(&self, e: &std::io::Error) -> Error {
        Error::Place {
            place: self.describe(),
            reason: format!("{e}; check that it is mounted, can be written and has space"),
        }
    }

    pub(super) async fn put(&self, name: &str, pieces: Pieces) -> Result<()> {
        let (this, target) = (self.clone(), self.0.join(name));
        joined(tokio::task::spawn_blocking(move || this.write(&target, pieces)).await)
    }

    fn write(&self, target: &Path, pieces: Pieces) -> Result<()> {
        let fail = |e: std::io::Error| self.failed(&e);
        let folder = target.parent().unwrap_or(&self.0);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
        // Its beginning with a dot keeps it out of every list.
        let beside =
            folder.join(format!(".{}.{}", target.file_name().unwrap_or_default().to_string_lossy(), super::unique()));
        let mut unfinished = Unfinished(Some(beside.clone()));
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(fail)?;
        let mut reader = pieces.into_reader();
        let mut buffer = vec![0_u8; READ];
        let mut unwritten = 0;
        loop {
            let got = reader.read(&mut buffer).map_err(|e| crate::error::back(e, "the content can't be read"))?;
            if got == 0 {
                break;
            }
            file.write_all(&buffer[..got]).map_err(fail)?;
            unwritten += got;
            // Whoever commits on the same disk meanwhile waits for what lies unwritten.
            if unwritten >= UNWRITTEN {
                file.sync_data().map_err(fail)?;
                unwritten = 0;
            }
        }
        file.sync_all().map_err(fail)?;
        std::fs::rename(&beside, target).map_err(fail)?;
        unfinished.0 = None;
        // The names must last as the contents do, up to the place itself.
        let folders = folder.ancestors().take_while(|a| a.starts_with(&self.0));
        for folder in folders {
            File::open(folder).and_then(|f| f.sync_all()).map_err(fail)?;
        }
        Ok(())
    }

    pub(super) async fn get(&self, name: &str) -> Result<Pieces> {
        let (this, path, what) = (self.clone(), self.0.join(name), name.to_owned());
        let opened = tokio::task::spawn_blocking(move || match File::open(&path) {
            Ok(file) => Ok(file),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing { what }),
            Err(e) => Err(this.failed(&e)),
        });
        let mut file = joined(opened.await)?;
        let (mut writer, pieces) = pieces::channel();
        let this = self.clone();
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            match std::io::copy(&mut file, &mut writer) {
                // Whoever stopped reading wants no more.
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
                Err(e) => runtime.block_on(writer.fail(this.failed(&e))),
                Ok(_) => drop(writer.finish()),
            }
        });
        Ok(pieces)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let (this, prefix) = (self.clone(), prefix.to_owned());
        joined(
            tokio::task::spawn_blocking(move || {
                let mut found = Vec::new();
                this.walk(&this.0.join(&prefix), &prefix, DEPTH, &mut found)?;
                Ok(found)
            })
            .await,
        )
    }

    fn walk(&self, folder: &Path, name: &str, depth: usize, found: &mut Vec<Entry>) -> Result<()> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(self.failed(&e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| self.failed(&e))?;
            let file_name = entry.file_name();
            let Some(word) = file_name.to_str().filter(|w| !w.starts_with('.')) else { continue };
            let name = format!("{name}/{word}");
            // What goes away while this looks was not to be found.
            let Ok(kind) = entry.metadata() else { continue };
            if kind.is_dir() {
                if depth > 0 {
                    self.walk(&entry.path(), &name, depth - 1, found)?;
                }
            } else {
                let put_at = kind.modified().ok().and_then(|at| at.try_into().ok());
                found.push(Entry { name, size_bytes: kind.len(), put_at });
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let (this, path) = (self.clone(), self.0.join(name));
        let gone = tokio::task::spawn_blocking(move || match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(this.failed(&e)),
            _ => {
                // Folders that are empty now go with their last file; one that is not empty refuses by itself.
                let mut folder = path.parent();
                while let Some(empty) = folder.filter(|f| *f != this.0 && std::fs::remove_dir(f).is_ok()) {
                    folder = empty.parent();
                }
                Ok(())
            }
        });
        joined(gone.await)
    }
}

/// Removes a file that was not finished.
struct Unfinished(Option<PathBuf>);
impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(e) = std::fs::remove_file(path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), error = %e, "an unfinished part of a backup could not be removed");
        }
    }
}
