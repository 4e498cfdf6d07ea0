//! The files that a database's rows name: what the vault lacks of them is fetched from a place, and each proves that it is
//! what its row says before it is put into the vault. So a moment comes back with its own files, whichever bundle it began
//! from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
};

use serde::Serialize;
use store::{Actor, Store, Vault, file_attachments, kept_files};
use uuid::Uuid;

use super::{FOLDER, Kept, TOLD_EVERY, create, make_folder};
use crate::{
    Error, Place, Progress, Result,
    error::{back, joined},
    safe::Scratch,
    sealed::Counting,
};

/// Rows read at once.
const PAGE: i64 = 500;
/// Files that are missing and named; more are counted.
const NAMED: usize = 100;
/// Where files are until they have proved right. No sweep of the vault looks there.
const PROVING: &str = ".fetching";

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fetched {
    /// Files that the rows name and that are in the vault now.
    pub attachments: u64,
    /// Of them, how many were fetched.
    pub fetched: u64,
    /// Those that are nowhere, each with the attachment it belongs to; a hundred at most.
    pub missing: Vec<String>,
    /// How many are nowhere.
    pub missing_count: u64,
}

impl Fetched {
    fn lacks(&mut self, what: String) {
        self.missing_count += 1;
        if self.missing.len() < NAMED {
            self.missing.push(what);
        }
    }
}

/// A file that rows name.
struct Wanted {
    /// What to call it.
    said: String,
    /// SHA-256 of its content, as the attachment has it.
    sha256: Option<String>,
    /// Whether a row names it whose time is not over: what is over may have been removed.
    is_needed: bool,
}

/// The files that rows name, each once.
async fn wanted(store: &Store) -> Result<BTreeMap<String, Wanted>> {
    let service = Actor::service();
    let mut found: BTreeMap<String, Wanted> = BTreeMap::new();
    let mut after = Uuid::nil();
    loop {
        let page = file_attachments::after(&service, store, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.id;
        for row in page {
            let is_needed = row.expires_at.is_none_or(|at| at > store::now());
            let known = found.entry(row.storage_path).or_insert_with(|| Wanted {
                said: format!("attachment {} ({})", row.id, row.filename),
                sha256: row.hash_checksum,
                is_needed,
            });
            known.is_needed |= is_needed;
        }
    }
}

/// Fetches what rows name and `into`, the vault's folder, lacks. `listed` are the files that a bundle knows, by their
/// paths; each other one is opened and compared with its row. One that is at the place and is another than it should be is
/// refused with its name, or where `goes_on` told among those that are missing.
pub(crate) async fn fetch_named(
    store: &Store,
    place: &Place,
    listed: &BTreeMap<String, Kept>,
    vault: Option<&Vault>,
    into: &Path,
    progress: &Progress,
    goes_on: bool,
) -> Result<Fetched> {
    let wanted = wanted(store).await?;
    let mut done = Fetched::default();
    let scratch = Scratch::make(&into.join(PROVING)).await?;
    let mut folders = BTreeSet::new();
    let of = wanted.len();
    for ((path, file), number) in wanted.into_iter().zip(1_usize..) {
        progress.check()?;
        if number == of || number.is_multiple_of(TOLD_EVERY) {
            progress.tell(format!("attachments looked for: {number} of {of}"));
        }
        if !is_plain(&path) {
            done.lacks(format!("{}: its place in the vault, {path:?}, has a wrong form", file.said));
            continue;
        }
        let (target, fresh) = (into.join(&path), scratch.0.join(&path));
        if exists(&target).await? {
            done.attachments += 1;
            continue;
        }
        let proved = match fetch(place, &path, listed.get(&path), &fresh).await {
            Ok(true) if listed.contains_key(&path) => Ok(true),
            Ok(true) => prove(store, vault, &scratch.0, &path, file.sha256.as_deref()).await.map(|()| true),
            other => other,
        };
        match proved {
            Ok(true) => {
                folders.extend(target.parent().map(Path::to_owned));
                put_in_place(fresh, target).await?;
                done.attachments += 1;
                done.fetched += 1;
            }
            Ok(false) if file.is_needed => {
                done.lacks(format!("{}: its file {path} is not at {}", file.said, place.describe()));
            }
            Ok(false) => {}
            Err(Error::Damaged { reason, .. }) if goes_on => {
                let place = place.describe();
                done.lacks(format!("{}: its file {path} at {place} was altered ({reason})", file.said));
            }
            Err(e) => return Err(e),
        }
    }
    scratch.remove().await;
    // The names must last as the contents do.
    let synced = tokio::task::spawn_blocking(move || {
        folders.iter().try_for_each(|folder| {
            File::open(folder)
                .and_then(|f| f.sync_all())
                .map_err(|e| Error::file(format!("{} can't be written", folder.display()), e))
        })
    });
    joined(synced.await)?;
    Ok(done)
}

/// Whether a row's path is one that the vault gives: a row may say anything.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

async fn exists(path: &Path) -> Result<bool> {
    let path = path.to_owned();
    joined(tokio::task::spawn_blocking(move || Ok(path.is_file())).await)
}

/// False: the place has no such file.
async fn fetch(place: &Place, path: &str, listed: Option<&Kept>, target: &Path) -> Result<bool> {
    let pieces = match place.get(&format!("{FOLDER}/{path}")).await {
        Err(Error::Missing { .. }) => return Ok(false),
        other => other?,
    };
    let target = target.to_owned();
    let fetched = tokio::task::spawn_blocking(move || {
        let mut source = Counting::new(pieces.into_reader());
        let mut out = create(&target)?;
        std::io::copy(&mut source, &mut out)
            .and_then(|_| out.sync_all())
            .map_err(|e| back(e, "an attachment can't be fetched"))?;
        Ok(source.end().1)
    });
    let was = joined(fetched.await)?;
    match listed {
        Some(kept) if was.size_bytes != kept.size_bytes || was.sha256 != kept.sha256 => {
            Err(altered(path, "it is not the one that the list of the backup names"))
        }
        _ => Ok(true),
    }
}

fn altered(path: &str, reason: &str) -> Error {
    Error::Damaged { part: format!("attachment {path}"), reason: reason.to_owned() }
}

/// Opens a file with the key of its row, reads it whole, and compares it.
async fn prove(store: &Store, vault: Option<&Vault>, folder: &Path, path: &str, said: Option<&str>) -> Result<()> {
    let Some(vault) = vault else {
        return Err(Error::refused(format!(
            "the attachment {path} can't be proved right without the master key, which is not at hand; name it with master_key_file; nothing was changed"
        )));
    };
    let row = kept_files::get(&Actor::service(), store, path).await?;
    let sha256 = row.as_ref().map(|row| row.content_sha256.clone()).or_else(|| said.map(str::to_owned));
    let (vault, place) = (vault.at(folder), path.to_owned());
    let proved = tokio::task::spawn_blocking(move || {
        let mut file = vault.open_file(&place, row.as_ref().map(|row| &row.sealed_key))?;
        Ok(file.digest(&|| false)?)
    });
    match joined(proved.await) {
        Ok(found) if found.is_some() && found == sha256 => Ok(()),
        Ok(_) => Err(altered(path, "its content is another one than its row says")),
        Err(Error::Store(e @ (store::Error::Damaged(_) | store::Error::Vault(_)))) => {
            Err(altered(path, &e.to_string()))
        }
        Err(e) => Err(e),
    }
}

async fn put_in_place(from: PathBuf, to: PathBuf) -> Result<()> {
    let moved = tokio::task::spawn_blocking(move || {
        make_folder(to.parent().unwrap_or(&to))?;
        std::fs::rename(&from, &to).map_err(|e| Error::file(format!("{} can't be put in place", to.display()), e))
    });
    joined(moved.await)
}
