//! Shipping attachments: what the vault takes in goes to the place by itself, not only with a bundle, so that a moment of
//! the log has its files. A file is durable in the vault before a row names it; so whoever brings the files that are there
//! to the place, and then sends a piece of the log that was finished before, never sends a row whose file is missing.
//!
//! Looked at are the folders of the vault, by the time of their last change, and then the names in those that changed. What
//! is at the place is asked of the place: after a restart, or when it was away, it goes on where it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    Error, Place, Result,
    error::joined,
    files::{FOLDER, sizes, upload},
};

/// A folder that changed within this time may change again under the same time, as file systems count it.
const SETTLED: Duration = Duration::from_secs(3);
/// So many changed folders are asked of the place one by one; of more, all of it is listed at once.
const ONE_BY_ONE: usize = 8;
/// Letters of the names of the vault's folders.
const LETTERS: usize = 2;

/// The vault's folder, and what of it is known to be at the place.
#[derive(Debug, Clone)]
pub struct Attachments {
    vault: PathBuf,
    /// Folders all of which is at the place, with the time of their last change.
    done: BTreeMap<String, SystemTime>,
    /// What is at the place of folders that changed just now.
    young: BTreeMap<String, BTreeSet<String>>,
}

/// A folder that changed.
#[derive(Debug)]
struct Changed {
    name: String,
    at: SystemTime,
    is_settled: bool,
    /// Paths below the vault's folder, with sizes.
    files: BTreeMap<String, u64>,
}

impl Attachments {
    /// Those in this folder, of which nothing is known yet.
    pub fn new(vault: PathBuf) -> Self {
        Self { vault, done: BTreeMap::new(), young: BTreeMap::new() }
    }

    /// Brings to the place what it lacks; answers how many files went. After an error the next call goes on with the rest.
    pub async fn send(&mut self, place: &Place) -> Result<usize> {
        let (vault, done) = (self.vault.clone(), self.done.clone());
        let changed = joined(tokio::task::spawn_blocking(move || changed(&vault, &done)).await)?;
        let asked = changed.iter().filter(|folder| !self.knows(folder)).count();
        let whole = if asked > ONE_BY_ONE { Some(sizes(place, FOLDER).await?) } else { None };
        let mut sent = 0;
        for folder in changed {
            sent += self.send_folder(place, &folder, whole.as_ref()).await?;
            if folder.is_settled {
                self.young.remove(&folder.name);
                self.done.insert(folder.name, folder.at);
            } else {
                self.young.insert(folder.name, folder.files.into_keys().collect());
            }
        }
        Ok(sent)
    }

    /// Whether all of it is known to be at the place.
    fn knows(&self, folder: &Changed) -> bool {
        let known = self.young.get(&folder.name);
        folder.files.keys().all(|path| known.is_some_and(|known| known.contains(path)))
    }

    async fn send_folder(
        &self,
        place: &Place,
        folder: &Changed,
        whole: Option<&BTreeMap<String, u64>>,
    ) -> Result<usize> {
        if self.knows(folder) {
            return Ok(0);
        }
        let own;
        let there = if let Some(whole) = whole {
            whole
        } else {
            own = sizes(place, &format!("{FOLDER}/{}", folder.name)).await?;
            &own
        };
        let mut sent = 0;
        for (path, size_bytes) in &folder.files {
            let name = format!("{FOLDER}/{path}");
            // What is gone meanwhile is named by no row any more.
            if there.get(&name) != Some(size_bytes) && upload(place, &name, &self.vault.join(path)).await? {
                sent += 1;
            }
        }
        Ok(sent)
    }
}

/// The vault's folders that changed since they were noted, with what is in them. Blocking.
fn changed(vault: &Path, done: &BTreeMap<String, SystemTime>) -> Result<Vec<Changed>> {
    let fail = |path: &Path, e| Error::file(format!("{} can't be read", path.display()), e);
    let mut found = Vec::new();
    let folders = match std::fs::read_dir(vault) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        other => other.map_err(|e| fail(vault, e))?,
    };
    for folder in folders {
        let folder = folder.map_err(|e| fail(vault, e))?;
        let Some(name) = folder.file_name().to_str().filter(|name| name.len() == LETTERS).map(str::to_owned) else {
            continue;
        };
        // In this order: what comes while it is read has a later time.
        let looked_at = SystemTime::now();
        let at =
            match folder.metadata().and_then(|meta| if meta.is_dir() { meta.modified().map(Some) } else { Ok(None) }) {
                Ok(Some(at)) => at,
                Ok(None) => continue,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(fail(&folder.path(), e)),
            };
        if done.get(&name) == Some(&at) {
            continue;
        }
        let is_settled = looked_at.duration_since(at).is_ok_and(|passed| passed > SETTLED);
        let mut files = BTreeMap::new();
        for file in std::fs::read_dir(folder.path()).map_err(|e| fail(&folder.path(), e))? {
            let file = file.map_err(|e| fail(&folder.path(), e))?;
            // What goes away while this looks was not to be found.
            let (Some(word), Ok(meta)) = (file.file_name().to_str().map(str::to_owned), file.metadata()) else {
                continue;
            };
            if meta.is_file() {
                files.insert(format!("{name}/{word}"), meta.len());
            }
        }
        found.push(Changed { name, at, is_settled, files });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Access;

    fn name(n: u8) -> String {
        format!("a{}/{}-{n}", n % 2, "0".repeat(8))
    }

    #[tokio::test]
    async fn what_the_vault_takes_in_goes_to_the_place_once_and_after_a_failure_too() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, kept) = (dir.path().join("attachments"), dir.path().join("kept"));
        let place = Place::open(kept.to_str().unwrap(), &Access::default()).unwrap();
        let mut attachments = Attachments::new(vault.clone());
        assert_eq!(attachments.send(&place).await.unwrap(), 0, "there is no vault yet");
        let take_in = |n: u8| {
            let path = vault.join(name(n));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, [n; 10]).unwrap();
        };
        take_in(0);
        take_in(1);
        assert_eq!(attachments.send(&place).await.unwrap(), 2);
        assert_eq!(attachments.send(&place).await.unwrap(), 0);
        take_in(2);
        // Away, and back again: what was there is not sent anew, also by one that knows nothing.
        let away = dir.path().join("away");
        std::fs::rename(&kept, &away).unwrap();
        std::fs::write(&kept, "no directory").unwrap();
        assert!(attachments.send(&place).await.is_err());
        std::fs::remove_file(&kept).unwrap();
        std::fs::rename(&away, &kept).unwrap();
        assert_eq!(Attachments::new(vault.clone()).send(&place).await.unwrap(), 1);
        assert_eq!(attachments.send(&place).await.unwrap(), 0);
        assert_eq!(std::fs::read(kept.join("files").join(name(2))).unwrap(), [2; 10]);
        // Folders that have not changed for long are not read again, and those that do are.
        let long_ago = SystemTime::now() - Duration::from_secs(100);
        for folder in ["a0", "a1"] {
            std::fs::File::open(vault.join(folder)).unwrap().set_modified(long_ago).unwrap();
        }
        assert_eq!(attachments.send(&place).await.unwrap(), 0);
        assert_eq!((attachments.done.len(), attachments.young.len()), (2, 0));
        assert_eq!(changed(&vault, &attachments.done).unwrap().len(), 0);
        take_in(3);
        assert_eq!(attachments.send(&place).await.unwrap(), 1);
    }
}
