//! Months of the log that have left the database for `log-archive/`: each is sealed and copied to the place once, under the
//! hash of its content, and every bundle lists those that there are.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{TOLD_EVERY, create, digest, lines};
use crate::{
    Bundle, Error, Place, Result, Sealer, Writer,
    error::{back, joined},
    keys::Recipients,
    place::pieces,
    sealed::{Label, OpeningReader, SealingWriter},
};

/// Where they lie at a place, and in a folder of data.
pub(crate) const FOLDER: &str = "log-archive";
/// The part that lists them.
const LIST: &str = "log-archive";
/// What their names end with; what is being written ends otherwise.
const END: &str = ".jsonl.zst";
/// Of a folder at most.
const MOST: usize = 100_000;

/// A month, in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Month {
    /// Its file's name.
    name: String,
    size_bytes: u64,
    sha256: String,
    /// Its name at the place: of its content, and of whose keys open it.
    at: String,
}

fn label(month: &Month) -> Label {
    Label { bundle: FOLDER.to_owned(), part: month.sha256.clone(), index: 0 }
}

/// The folder's finished months, by name. Blocking.
fn names(folder: &Path) -> Result<Vec<String>> {
    let fail = |e| Error::file(format!("{} can't be read", folder.display()), e);
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries.take(MOST) {
        let name = entry.map_err(fail)?.file_name();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        found.extend(name.to_str().filter(|n| n.ends_with(END) && n.bytes().all(plain)).map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

/// Copies those that the place does not have yet, and adds the list to the bundle.
pub(crate) async fn add_months(
    writer: &mut Writer,
    place: &Place,
    recipients: &Recipients,
    data_dir: &Path,
) -> Result<()> {
    let folder = data_dir.join(FOLDER);
    let listed = folder.clone();
    let names = joined(tokio::task::spawn_blocking(move || names(&listed)).await)?;
    if names.is_empty() {
        return Ok(());
    }
    let there: BTreeSet<String> = place.list(FOLDER).await?.into_iter().map(|e| e.name).collect();
    let (id, of) = (recipients.id(), names.len());
    let mut list = Vec::new();
    for (name, number) in names.into_iter().zip(1_usize..) {
        writer.progress().check()?;
        if number == of || number.is_multiple_of(TOLD_EVERY) {
            writer.progress().tell(format!("months of the log kept: {number} of {of}"));
        }
        let path = folder.join(&name);
        let hashing = path.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            File::open(&hashing)
                .and_then(digest)
                .map_err(|e| Error::file(format!("{} can't be read", hashing.display()), e))
        });
        let (size_bytes, sha256) = joined(hashed.await)?;
        let month = Month { at: format!("{FOLDER}/{sha256}-{id}"), name, size_bytes, sha256 };
        if !there.contains(&month.at) {
            upload(place, recipients, &month, path).await?;
        }
        list.push(month);
    }
    writer
        .add(LIST, move |out| {
            for month in &list {
                let line = serde_json::to_string(month).map_err(|e| Error::Internal(e.to_string()))?;
                writeln!(out, "{line}").map_err(|e| back(e, "the list of the log's months can't be kept"))?;
            }
            Ok(())
        })
        .await
}

async fn upload(place: &Place, recipients: &Recipients, month: &Month, path: PathBuf) -> Result<()> {
    let sealer = Sealer::new(FOLDER, recipients)?;
    let (writer, pieces) = pieces::channel();
    let sealing = month.clone();
    let filling = tokio::task::spawn_blocking(move || {
        let fail = |e| back(e, "a month of the log can't be kept");
        let mut out = SealingWriter::new(&sealer, &sealing.sha256, 0, writer)?;
        let mut source = File::open(&path).map_err(fail)?;
        std::io::copy(&mut source, &mut out).map_err(fail)?;
        let (writer, was) = out.finish()?;
        if was.plain.sha256 != sealing.sha256 {
            return Err(Error::refused(format!("{} changed while it was kept; make the backup again", path.display())));
        }
        writer.finish().map_err(fail)
    });
    let put = place.put(&month.at, pieces).await;
    let filled = joined(filling.await);
    put?;
    filled
}

async fn list(bundle: &Bundle) -> Result<Vec<Month>> {
    // Older bundles have none, and neither has one of before the first month left.
    if !bundle.has(LIST) {
        return Ok(Vec::new());
    }
    let months: Vec<Month> = lines(bundle, LIST, MOST).await?;
    match months.iter().find(|month| month.name.contains('/') || !month.name.ends_with(END)) {
        Some(odd) => Err(Error::Damaged { part: LIST.to_owned(), reason: format!("it names {:?}", odd.name) }),
        None => Ok(months),
    }
}

/// Names at the place that a bundle needs.
pub(crate) async fn needed_months(bundle: &Bundle) -> Result<Vec<String>> {
    Ok(list(bundle).await?.into_iter().map(|month| month.at).collect())
}

/// Fetches every month that a bundle lists, and compares it; keeps them in `log-archive` below `into`, where one is given.
pub(crate) async fn fetch_months(bundle: &Bundle, place: &Place, into: Option<&Path>) -> Result<()> {
    for month in list(bundle).await? {
        let part = format!("{} of {}", month.name, bundle.manifest().id);
        let pieces = place.get(&month.at).await.map_err(|e| match e {
            Error::Missing { .. } => Error::Missing { what: part.clone() },
            other => other,
        })?;
        let (opener, target) = (bundle.opener().clone(), into.map(|folder| folder.join(FOLDER).join(&month.name)));
        let (label, said) = (label(&month), part.clone());
        let fetched = tokio::task::spawn_blocking(move || {
            let fail = |e| back(e, "a month of the log can't be fetched");
            let mut source = OpeningReader::new(&opener, &label, pieces.into_reader()).map_err(|e| named(e, &said))?;
            let copied = match target {
                Some(path) => {
                    let mut out = create(&path)?;
                    std::io::copy(&mut source, &mut out).and_then(|_| out.sync_all())
                }
                None => std::io::copy(&mut source, &mut std::io::sink()).map(drop),
            };
            copied.map_err(fail).and_then(|()| source.finish()).map_err(|e| named(e, &said))
        });
        let was = joined(fetched.await)?;
        if was.plain.sha256 != month.sha256 || was.plain.size_bytes != month.size_bytes {
            return Err(Error::Damaged { part, reason: "it is not the one that the list names".to_owned() });
        }
    }
    Ok(())
}

/// The same error under the name that a person knows.
fn named(error: Error, part: &str) -> Error {
    match error {
        Error::Damaged { reason, .. } => Error::Damaged { part: part.to_owned(), reason },
        Error::Locked { reason, .. } => Error::Locked { part: part.to_owned(), reason },
        other => other,
    }
}
