//! Searching the text files below a folder, within bounds of number, size and time.

use std::{
    ffi::{OsStr, OsString},
    io::Read,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Done,
    confined::{self, Folder, Sort},
};

/// Files that are looked into.
const MOST_FILES: usize = 10_000;
/// Folders that wait to be looked into.
const MOST_FOLDERS: usize = 10_000;
/// Folders within folders.
const MOST_DEPTH: usize = 16;
/// Bytes of one file that are looked at.
const FILE_BYTES: u64 = 1024 * 1024;
/// Bytes of all files together.
const ALL_BYTES: u64 = 256 * 1024 * 1024;
/// Places that are shown.
const MOST_HITS: usize = 100;
/// Characters of a line that are shown.
const LINE_CHARS: usize = 240;
/// For the whole of a search.
const LONGEST: Duration = Duration::from_secs(20);

/// Lines that hold the text, in upper or lower case. It says where it stopped early.
pub(super) fn search(folders: &[Folder], path: &str, text: &str) -> Done {
    let mut search = Search {
        wanted: text.to_lowercase(),
        hits: Vec::new(),
        files: 0,
        bytes: 0,
        is_cut: false,
        began: Instant::now(),
    };
    // A folder is opened when its turn comes, from the one that holds it: what is open at a time is one way down, however
    // many there are beside it.
    let top = Rc::new(confined::folder_at(folders, path)?);
    let mut waiting: Vec<(Rc<OwnedFd>, Option<OsString>, PathBuf, usize)> = vec![(top, None, PathBuf::from(path), 0)];
    while let Some((parent, name, at, depth)) = waiting.pop() {
        let dir = match name.map(|name| confined::below(&parent, &name)) {
            None => parent,
            Some(Ok(dir)) => Rc::new(dir),
            // What can't be opened is passed over, and the answer is not the whole of it.
            Some(Err(_)) => {
                search.is_cut = true;
                continue;
            }
        };
        let Ok((entries, is_cut)) = confined::entries(&dir, &at.to_string_lossy()) else {
            search.is_cut = true;
            continue;
        };
        search.is_cut |= is_cut;
        for entry in entries {
            if search.is_full() {
                search.is_cut = true;
                return Ok(search.answer(path));
            }
            let here = at.join(&entry.name);
            match entry.sort {
                Sort::File => search.look(&dir, &entry.name, &here),
                Sort::Folder if depth + 1 >= MOST_DEPTH || waiting.len() >= MOST_FOLDERS => search.is_cut = true,
                Sort::Folder => waiting.push((Rc::clone(&dir), Some(entry.name), here, depth + 1)),
                Sort::Link | Sort::Other => {}
            }
        }
    }
    Ok(search.answer(path))
}

struct Search {
    wanted: String,
    hits: Vec<Value>,
    files: usize,
    bytes: u64,
    is_cut: bool,
    began: Instant,
}

impl Search {
    fn is_full(&self) -> bool {
        self.hits.len() >= MOST_HITS
            || self.files >= MOST_FILES
            || self.bytes >= ALL_BYTES
            || self.began.elapsed() >= LONGEST
    }

    fn look(&mut self, dir: &OwnedFd, name: &OsString, at: &Path) {
        let Ok(Some(file)) = confined::open_file(dir, OsStr::new(name)) else { return };
        let mut bytes = Vec::new();
        if file.take(FILE_BYTES).read_to_end(&mut bytes).is_err() {
            return;
        }
        self.files += 1;
        self.bytes += bytes.len() as u64;
        if bytes.contains(&0) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in (1..).zip(text.lines()) {
            if line.to_lowercase().contains(&self.wanted) {
                if self.hits.len() >= MOST_HITS {
                    return;
                }
                let shown: String = line.trim().chars().take(LINE_CHARS).collect();
                self.hits.push(json!({ "path": at.to_string_lossy(), "line": number, "text": shown }));
            }
        }
    }

    fn answer(self, path: &str) -> Value {
        json!({ "path": path, "hits": self.hits, "files_looked_at": self.files, "is_cut": self.is_cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("x"), "Invoice of others").unwrap();
        let inside = tempfile::tempdir().unwrap();
        let root = inside.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/one.md"), "first\nthe INVOICE is here\n").unwrap();
        std::fs::write(root.join("binary"), b"\0invoice").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("way")).unwrap();
        let folders = [Folder::parse(root.to_str().unwrap()).unwrap()];
        let found = search(&folders, root.to_str().unwrap(), "invoice").unwrap();
        let hits = found["hits"].as_array().unwrap();
        assert_eq!((hits.len(), &hits[0]["line"]), (1, &json!(2)), "{found}");
        assert!(hits[0]["path"].as_str().unwrap().ends_with("a/b/one.md"));
        assert_eq!(found["is_cut"], false);
        // Many folders beside each other are looked into one after another, and few are open at a time.
        for n in 0..1500 {
            std::fs::create_dir(root.join(format!("wide-{n}"))).unwrap();
        }
        std::fs::write(root.join("wide-0/last.md"), "an invoice too").unwrap();
        let found = search(&folders, root.to_str().unwrap(), "invoice").unwrap();
        assert_eq!((found["hits"].as_array().unwrap().len(), &found["is_cut"]), (2, &json!(false)));
        for n in 0..200 {
            std::fs::write(root.join(format!("{n}.txt")), "invoice").unwrap();
        }
        let found = search(&folders, root.to_str().unwrap(), "invoice").unwrap();
        assert_eq!((found["hits"].as_array().unwrap().len(), &found["is_cut"]), (MOST_HITS, &json!(true)));
    }
}
