//! The files that a call names: what they held when a person was asked is what the call may meet. Bounded in number and
//! size; what is no regular file here (a folder, a path of another machine) is left alone.

use std::{fs::File, io::Read, path::Path};

use domain::work::SeenFile;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Files of a call that are looked at.
const MOST_FILES: usize = 16;
/// Texts among the arguments that are looked at.
const MOST_TEXTS: usize = 256;
/// Levels of the arguments that are looked at.
const DEPTH: usize = 8;
/// Up to this length a file is read; of a longer one the length alone is compared.
const LONGEST_READ_BYTES: u64 = 256 << 20;

/// What the files that the arguments name hold now.
pub(super) async fn seen(arguments: &Json) -> Result<Vec<SeenFile>> {
    let paths = paths(arguments);
    blocking(move || paths.iter().filter_map(|path| look(path)).take(MOST_FILES).collect()).await
}

/// Why a call may not be made: one of these files that it (still) names is not what it was.
pub(super) async fn changed(files: Vec<SeenFile>, arguments: &Json) -> Result<Option<String>> {
    let named = paths(arguments);
    blocking(move || {
        let other = files.into_iter().filter(|file| named.contains(&file.path));
        other.map(|file| (look(&file.path), file)).find(|(now, file)| now.as_ref() != Some(file)).map(|(now, file)| {
            let how = if now.is_some() { "changed" } else { "is not there any more" };
            format!(
                "the file {} {how} after the person was asked; look at it, and reopen the task to be asked anew",
                file.path
            )
        })
    })
    .await
}

/// Absolute paths among the arguments.
fn paths(arguments: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = MOST_TEXTS;
    collect(arguments, DEPTH, &mut left, &mut found);
    found
}

fn collect(value: &Json, depth: usize, left: &mut usize, found: &mut Vec<String>) {
    match value {
        Json::String(text) if *left > 0 => {
            *left -= 1;
            let is_path = Path::new(text).is_absolute() && text.len() < 4096 && !text.contains(['\0', '\n']);
            if is_path && !found.contains(text) {
                found.push(text.clone());
            }
        }
        Json::Array(list) if depth > 0 => list.iter().for_each(|v| collect(v, depth - 1, left, found)),
        Json::Object(map) if depth > 0 => map.values().for_each(|v| collect(v, depth - 1, left, found)),
        _ => {}
    }
}

/// A regular file; none where there is none, or it can't be read.
fn look(path: &str) -> Option<SeenFile> {
    // Opening a pipe would wait for its other end, so this is asked first.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let size_bytes = file.metadata().ok()?.len();
    let mut sha256 = None;
    if size_bytes <= LONGEST_READ_BYTES {
        let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 16]);
        let mut left = LONGEST_READ_BYTES;
        loop {
            let count = file.read(&mut part).ok()?;
            if count == 0 || left == 0 {
                break;
            }
            left = left.saturating_sub(count as u64);
            hash.update(part.get(..count)?);
        }
        sha256 = Some(hex::encode(hash.finalize()));
    }
    Some(SeenFile { path: path.to_owned(), size_bytes, sha256 })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::Domain(domain::Error::Store(store::Error::Unavailable(e.to_string()))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{changed, paths, seen};

    #[test]
    fn paths_are_found_wherever_they_stand() {
        let arguments =
            json!({"source": "/a/b", "list": ["/c", {"deep": "/d e"}], "text": "no /path", "n": 1, "again": "/a/b"});
        let mut found = paths(&arguments);
        found.sort();
        assert_eq!(found, ["/a/b", "/c", "/d e"]);
        assert!(paths(&json!(["/x\n/y"])).is_empty());
    }

    #[tokio::test]
    async fn a_file_that_changed_or_went_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("letter"), "pay 10").unwrap();
        std::fs::write(at("other"), "x").unwrap();
        let call = json!({"source": at("letter"), "destination": at("new"), "folder": folder.path()});
        let files = seen(&call).await.unwrap();
        assert_eq!(files.iter().map(|f| (f.path.clone(), f.size_bytes)).collect::<Vec<_>>(), [(at("letter"), 6)]);
        assert!(files[0].sha256.as_ref().is_some_and(|hash| hash.len() == 64));
        assert_eq!(changed(files.clone(), &call).await.unwrap(), None);
        // As long as before.
        std::fs::write(at("letter"), "pay 99").unwrap();
        let reason = changed(files.clone(), &call).await.unwrap().unwrap();
        assert!(reason.contains("letter changed after the person was asked"), "{reason}");
        // An edit that names another file is not held by this one.
        assert_eq!(changed(files.clone(), &json!({"source": at("other")})).await.unwrap(), None);
        std::fs::remove_file(at("letter")).unwrap();
        let reason = changed(files, &call).await.unwrap().unwrap();
        assert!(reason.contains("is not there any more"), "{reason}");
    }
}
