//! Shipping attachments: what the vault takes in goes to the place by itself, not only with a bundle, so that a moment of
//! the log has its files. A file is durable in the vault before a row names it; so whoever brings the files that are there
//! to the place, and then sends a piece of the log that was finished before, never sends a row whose file is missing.
//!
//! Looked at are the folders of the vault, by the time of their last change, and then the names in those that changed. What
//! is at the place is asked of the place: after a restart, or when it was away, it goes on where it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    Error, Place, Progress, Result,
    error::joined,
    files::{FOLDER, sizes, upload},
};

/// A folder that changed within this time may change again under the same time, as file systems count it.
const SETTLED: Duration = Duration::from_secs(3);
/// When a file that could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(60);
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
    /// What could not be read: when it was tried, and what was said.
    unread: BTreeMap<String, (Instant, String)>,
}

/// A folder that changed.
#[derive(Debug, Clone)]
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
        Self { vault, done: BTreeMap::new(), young: BTreeMap::new(), unread: BTreeMap::new() }
    }

    /// Brings to the place what it lacks; answers how many files went. After an error the next call goes on with the rest.
    /// A file that can't be read stops none of the others, and is told when they are there ([`Error::Unread`]).
    pub async fn send(&mut self, place: &Place) -> Result<usize> {
        let (vault, done) = (self.vault.clone(), self.done.clone());
        let looked = joined(tokio::task::spawn_blocking(move || changed(&vault, &done)).await);
        let changed =
            looked.map_err(|e| if matches!(e, Error::File { .. }) { Error::Unread(e.to_string()) } else { e })?;
        self.send_changed(place, changed).await
    }

    async fn send_changed(&mut self, place: &Place, changed: Vec<Changed>) -> Result<usize> {
        self.unread.retain(|_, (tried, _)| tried.elapsed() < AGAIN);
        let asked = changed.iter().filter(|folder| !self.knows(folder)).count();
        let whole = if asked > ONE_BY_ONE { Some(sizes(place, FOLDER).await?) } else { None };
        let mut sent = 0;
        for folder in changed {
            sent += self.send_folder(place, &folder, whole.as_ref()).await?;
            let is_whole = folder.files.keys().all(|path| !self.unread.contains_key(path));
            if folder.is_settled && is_whole {
                self.young.remove(&folder.name);
                self.done.insert(folder.name, folder.at);
            } else {
                let sent = folder.files.into_keys().filter(|path| !self.unread.contains_key(path));
                self.young.insert(folder.name, sent.collect());
            }
        }
        match self.unread.values().next() {
            None => Ok(sent),
            Some((_, said)) => Err(Error::Unread(match self.unread.len() {
                1 => said.clone(),
                many => format!("{many} files of the vault can't be read, first: {said}"),
            })),
        }
    }

    /// Whether all of it is known to be at the place, or to be unreadable just now.
    fn knows(&self, folder: &Changed) -> bool {
        let known = self.young.get(&folder.name);
        let is_known = |path: &String| known.is_some_and(|known| known.contains(path));
        folder.files.keys().all(|path| is_known(path) || self.unread.contains_key(path))
    }

    async fn send_folder(
        &mut self,
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
            if there.get(&name) == Some(size_bytes) || self.unread.contains_key(path) {
                continue;
            }
            match upload(place, &name, &self.vault.join(path), &Progress::default()).await {
                Ok(true) => sent += 1,
                // What is gone meanwhile is named by no row any more.
                Ok(false) => {}
                Err(e @ Error::File { .. }) => {
                    self.unread.insert(path.clone(), (Instant::now(), e.to_string()));
                }
                Err(e) => return Err(e),
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
    async fn a_file_that_can_not_be_read_stops_none_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, kept) = (dir.path().join("attachments"), dir.path().join("kept"));
        let place = Place::open(kept.to_str().unwrap(), &Access::default()).unwrap();
        let mut attachments = Attachments::new(vault.clone());
        for n in 0..4 {
            let path = vault.join(name(n));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, [n; 10]).unwrap();
        }
        let seen = || changed(&vault, &BTreeMap::new()).unwrap();
        let before = seen();
        // A folder in its place is read by nobody, whoever he is.
        std::fs::remove_file(vault.join(name(0))).unwrap();
        std::fs::create_dir(vault.join(name(0))).unwrap();
        for _ in 0..2 {
            let said = attachments.send_changed(&place, before.clone()).await.unwrap_err();
            assert!(matches!(&said, Error::Unread(_)) && said.to_string().contains(&name(0)), "{said}");
            let there = [0, 1, 2, 3].map(|n| kept.join("files").join(name(n)).is_file());
            assert_eq!(there, [false, true, true, true]);
        }
        std::fs::remove_dir(vault.join(name(0))).unwrap();
        std::fs::write(vault.join(name(0)), [0; 10]).unwrap();
        attachments.unread.clear();
        assert_eq!(attachments.send(&place).await.unwrap(), 1, "it is sent when it can be read again");
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
