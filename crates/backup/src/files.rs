//! What belongs to a bundle beside the database: attachments, which are ciphertext already and are copied once for all
//! bundles, and settings with playbooks, as one sealed tar.

mod months;
mod named;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::Vault;

pub use self::named::Fetched;
pub(crate) use self::{
    months::{FOLDER as MONTHS, add_months, fetch_months, needed_months},
    named::fetch_named,
};
use crate::{
    Bundle, Error, Place, Progress, Result, Writer,
    error::{back, joined},
    manifest::Attachments,
    place::pieces,
    progress::Passing,
    sealed::Counting,
};

/// Where attachments lie at a place.
pub(crate) const FOLDER: &str = "files";
const LIST: &str = "attachments";
/// The names of the files that rows name, whichever node's vault they are in; a part that not every bundle has.
const NAMED: &str = "files-named";
const SETTINGS: &str = "settings.tar";
/// Attachments in a bundle at most.
pub(crate) const MOST: usize = 10_000_000;
/// Bytes of settings and playbooks at most.
const SETTINGS_BYTES: u64 = 64 * 1024 * 1024;
/// Every how many attachments it is told how far it has come.
const TOLD_EVERY: usize = 100;
/// Bytes of a line of the list at most.
const LINE: u64 = 4096;

/// An attachment, in the list that is a part of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

/// Makes a file for its owner alone; one that is there is no place for it.
pub(crate) fn create(path: &Path) -> Result<File> {
    let fail = |e| Error::file(format!("{} can't be made", path.display()), e);
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail)
}

pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| Error::file(format!("the folder {} can't be made", folder.display()), e))
}

fn digest(mut source: impl Read) -> std::io::Result<(u64, String)> {
    let mut counted = Counting::new(&mut source);
    std::io::copy(&mut counted, &mut std::io::sink())?;
    let (_, digested) = counted.end();
    Ok((digested.size_bytes, digested.sha256))
}

/// The attachments of a bundle in the making. It is gathered before the database is copied and once more after it: a file
/// that a row of the copy names was there at one of these times, even if it is removed while the copy is made.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    list: BTreeMap<String, Kept>,
    /// Files that were brought to the place for it.
    brought: usize,
}

impl Gathered {
    /// Copies what the place does not have yet of what is in the vault, and notes it. `folder` is the vault's.
    pub(crate) async fn gather(
        &mut self,
        place: &Place,
        vault: &Vault,
        folder: &Path,
        progress: &Progress,
    ) -> Result<()> {
        let kept = vault.clone();
        let listed = tokio::task::spawn_blocking(move || Ok(kept.older_than(std::time::Duration::ZERO, MOST)));
        let mut paths = joined(listed.await)?;
        paths.retain(|path| !self.list.contains_key(path));
        if paths.is_empty() {
            return Ok(());
        }
        let there = sizes(place, FOLDER).await?;
        let of = paths.len();
        for (path, number) in paths.into_iter().zip(1_usize..) {
            progress.check()?;
            if number == of || number.is_multiple_of(TOLD_EVERY) {
                progress.tell(format!("attachments kept: {number} of {of}"));
            }
            let file = folder.join(&path);
            let hashing = file.clone();
            let hashed = tokio::task::spawn_blocking(move || match File::open(&hashing).and_then(digest) {
                Ok(found) => Ok(Some(found)),
                // It was removed meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(Error::file(format!("the attachment {} can't be read", hashing.display()), e)),
            });
            let Some((size_bytes, sha256)) = joined(hashed.await)? else { continue };
            let name = format!("{FOLDER}/{path}");
            if there.get(&name) != Some(&size_bytes) {
                if !upload(place, &name, &file, progress).await? {
                    continue;
                }
                self.brought += 1;
            }
            self.list.insert(path.clone(), Kept { path, size_bytes, sha256 });
        }
        Ok(())
    }

    /// How many files were brought to the place for it.
    pub(crate) fn brought(&self) -> usize {
        self.brought
    }

    /// Adds the list to the bundle.
    pub(crate) async fn add(&mut self, writer: &mut Writer) -> Result<Attachments> {
        let list = std::mem::take(&mut self.list);
        let sum = Attachments { count: list.len() as u64, size_bytes: list.values().map(|k| k.size_bytes).sum() };
        writer
            .add(LIST, move |out| {
                for kept in list.values() {
                    let line = serde_json::to_string(kept).map_err(|e| Error::Internal(e.to_string()))?;
                    writeln!(out, "{line}").map_err(|e| back(e, "the list of attachments can't be kept"))?;
                }
                Ok(())
            })
            .await?;
        Ok(sum)
    }
}

/// Names and sizes of what the place has below a folder.
pub(crate) async fn sizes(place: &Place, folder: &str) -> Result<BTreeMap<String, u64>> {
    Ok(place.list(folder).await?.into_iter().map(|e| (e.name, e.size_bytes)).collect())
}

/// False: the file is gone.
pub(crate) async fn upload(place: &Place, name: &str, file: &Path, progress: &Progress) -> Result<bool> {
    let path = file.to_owned();
    let opened = tokio::task::spawn_blocking(move || match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(format!("the attachment {} can't be read", path.display()), e)),
    });
    let Some(source) = joined(opened.await)? else { return Ok(false) };
    let mut source = Passing::new(source, progress, "an attachment kept".to_owned());
    let (mut writer, pieces) = pieces::channel();
    let what = format!("the attachment {} can't be read", file.display());
    let copying = tokio::task::spawn_blocking(move || {
        std::io::copy(&mut source, &mut writer).and_then(|_| writer.finish()).map_err(|e| back(e, &what))
    });
    let put = place.put(name, pieces).await;
    match (joined(copying.await), put) {
        // Where the place failed first, the reading only tells that it could not go on.
        (Err(Error::File { source, .. }), Err(e)) if source.kind() == std::io::ErrorKind::BrokenPipe => Err(e),
        // Where the reading failed first, the place only tells that it broke off.
        (Err(e), _) | (Ok(()), Err(e)) => Err(e),
        (Ok(()), Ok(())) => Ok(true),
    }
}

/// The attachments that a bundle names.
pub(crate) async fn list(bundle: &Bundle) -> Result<Vec<Kept>> {
    lines(bundle, LIST, MOST).await
}

/// The lines of a part that is a list, at most so many: a longer one is none that Steward wrote.
async fn lines<T: DeserializeOwned + Send + 'static>(
    bundle: &Bundle,
    part: &'static str,
    most: usize,
) -> Result<Vec<T>> {
    let damaged = move |reason: String| Error::Damaged { part: part.to_owned(), reason };
    bundle
        .read(part, move |source| {
            let mut list = Vec::new();
            let mut lines = BufReader::new(source);
            loop {
                let mut line = String::new();
                let got =
                    lines.by_ref().take(LINE).read_line(&mut line).map_err(|e| back(e, "the list can't be read"))?;
                if got == 0 {
                    return Ok(list);
                }
                if list.len() >= most {
                    return Err(damaged(format!("it has more than {most} lines")));
                }
                let one = serde_json::from_str(line.trim_end());
                list.push(one.map_err(|e| damaged(format!("a line of it can't be read ({e})")))?);
            }
        })
        .await
}

/// Fetches every attachment and compares it with the list; keeps them below `into`, where one is given.
pub(crate) async fn fetch_attachments(bundle: &Bundle, place: &Place, into: Option<&Path>) -> Result<u64> {
    let list = list(bundle).await?;
    for (kept, number) in list.iter().zip(1_usize..) {
        bundle.progress().check()?;
        if number == list.len() || number.is_multiple_of(TOLD_EVERY) {
            bundle.progress().tell(format!("attachments read: {number} of {}", list.len()));
        }
        let name = format!("{FOLDER}/{}", kept.path);
        let pieces = place.get(&name).await.map_err(|e| match e {
            Error::Missing { .. } => {
                Error::Missing { what: format!("the attachment {} of {}", kept.path, bundle.manifest().id) }
            }
            other => other,
        })?;
        let target = into.map(|folder| folder.join(&kept.path));
        let fetched = tokio::task::spawn_blocking(move || {
            let mut source = Counting::new(pieces.into_reader());
            let fail = |e| back(e, "an attachment can't be fetched");
            match target {
                Some(path) => {
                    let mut out = create(&path)?;
                    std::io::copy(&mut source, &mut out).and_then(|_| out.sync_all()).map_err(fail)?;
                }
                None => drop(std::io::copy(&mut source, &mut std::io::sink()).map_err(fail)?),
            }
            Ok(source.end().1)
        });
        let was = joined(fetched.await)?;
        if was.size_bytes != kept.size_bytes || was.sha256 != kept.sha256 {
            return Err(Error::Damaged {
                part: format!("attachment {} of {}", kept.path, bundle.manifest().id),
                reason: "it is not the one that the list names".to_owned(),
            });
        }
    }
    Ok(list.len() as u64)
}

/// Names of attachments that a bundle needs: those it lists, and those that its rows name.
pub(crate) async fn needed(bundle: &Bundle) -> Result<Vec<String>> {
    let mut paths: Vec<String> = list(bundle).await?.into_iter().map(|kept| kept.path).collect();
    if bundle.has(NAMED) {
        paths.extend(lines::<String>(bundle, NAMED, MOST).await?);
    }
    Ok(paths.into_iter().map(|path| format!("{FOLDER}/{path}")).collect())
}

/// Adds the names of the files that the database's rows name.
pub(crate) async fn add_named(writer: &mut Writer, paths: Vec<String>) -> Result<()> {
    writer
        .add(NAMED, move |out| {
            for path in &paths {
                let line = serde_json::to_string(path).map_err(|e| Error::Internal(e.to_string()))?;
                writeln!(out, "{line}").map_err(|e| back(e, "the list of files can't be kept"))?;
            }
            Ok(())
        })
        .await
}

/// Adds settings and playbooks, and the master key where only recipients open the bundle.
pub(crate) async fn add_settings(writer: &mut Writer, files: Vec<(String, PathBuf)>) -> Result<()> {
    writer
        .add(SETTINGS, move |out| {
            let mut tar = tar::Builder::new(out);
            let mut total = 0;
            for (name, path) in files {
                let fail = |e| Error::file(format!("{} can't be read", path.display()), e);
                let bytes = match std::fs::read(&path) {
                    Ok(bytes) => zeroize::Zeroizing::new(bytes),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(fail(e)),
                };
                total += bytes.len() as u64;
                if total > SETTINGS_BYTES {
                    return Err(Error::refused(format!(
                        "settings and playbooks are larger than {SETTINGS_BYTES} bytes; what is that large is hardly a playbook"
                    )));
                }
                let mut head = tar::Header::new_gnu();
                head.set_size(bytes.len() as u64);
                head.set_mode(0o600);
                tar.append_data(&mut head, &name, bytes.as_slice()).map_err(|e| back(e, "settings can't be kept"))?;
            }
            tar.into_inner().map(drop).map_err(|e| back(e, "settings can't be kept"))
        })
        .await
}

/// Unpacks settings and playbooks below `into`; answers the names.
pub(crate) async fn fetch_settings(bundle: &Bundle, into: &Path) -> Result<Vec<String>> {
    let folder = into.to_owned();
    bundle
        .read(SETTINGS, move |source| {
            let fail = |e| back(e, "settings can't be unpacked");
            let mut names = Vec::new();
            let mut tar = tar::Archive::new(source.take(SETTINGS_BYTES * 2));
            for entry in tar.entries().map_err(fail)? {
                let mut entry = entry.map_err(fail)?;
                let name = entry.path().map_err(fail)?.to_string_lossy().into_owned();
                let is_plain = name.split('/').all(|word| !word.is_empty() && word != "." && word != "..");
                if !is_plain || !entry.header().entry_type().is_file() {
                    return Err(Error::Damaged { part: SETTINGS.to_owned(), reason: format!("it holds {name:?}") });
                }
                let mut out = create(&folder.join(&name))?;
                std::io::copy(&mut entry, &mut out).map_err(fail)?;
                names.push(name);
            }
            Ok(names)
        })
        .await
}
