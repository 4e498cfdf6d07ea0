//! The playbooks at hand: the examples that come with Steward, and the owner's files, which go first; behind both those that
//! are kept in the database and switched on.

use std::path::{Path, PathBuf};

use domain::playbook::{self, MAX_SOURCE_BYTES, Playbook, PlaybookError};
use store::{Actor, Store, playbooks};

/// What comes with Steward.
const EXAMPLES: &[(&str, &str)] = &[("file-away", include_str!("../../../examples/playbooks/file-away.yaml"))];
/// Files looked at in the owner's folder at most.
const MAX_FILES: usize = 500;

/// Where playbooks are looked for.
#[derive(Debug, Clone)]
pub struct Library {
    folder: PathBuf,
}

/// A playbook as a list shows it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The file, `built in`, or `kept here`.
    pub origin: String,
    /// Whether the employee uses it; files are always used.
    pub is_on: bool,
    /// What is wrong with it, with line and column.
    pub errors: Vec<String>,
}

impl Library {
    /// The examples and whatever lies in `folder` as `*.yaml`; the folder need not exist.
    pub fn open(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .take(MAX_FILES)
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            .collect();
        files.sort();
        files
    }

    /// Every playbook, the owner's first. Reads the folder: blocking.
    pub fn names(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for file in self.files() {
            let origin = file.display().to_string();
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            entries.push(entry(stem, origin, read(&file)));
        }
        for (name, source) in EXAMPLES {
            if !entries.iter().any(|e| e.name == *name) {
                entries.push(entry((*name).to_owned(), "built in".to_owned(), Ok((*source).to_owned())));
            }
        }
        entries
    }

    /// A playbook by name, with its text: a file, else one that is kept and switched on.
    pub async fn find(&self, store: &Store, actor: &Actor, name: &str) -> domain::Result<(Playbook, String)> {
        let (library, wanted) = (self.clone(), name.to_owned());
        let missing = match off_thread(move || library.get(&wanted)).await {
            Err(missing @ domain::Error::NotFound(_)) => missing,
            found => return found,
        };
        let kept = playbooks::named(actor, store, name).await?.filter(|kept| kept.is_on).ok_or(missing)?;
        off_thread(move || parse(&kept.name, &kept.source).map(|playbook| (playbook, kept.source))).await
    }

    /// A playbook that is a file by name, with its text. Reads the folder: blocking.
    pub fn get(&self, name: &str) -> domain::Result<(Playbook, String)> {
        for file in self.files() {
            let source = read(&file).map_err(|e| wrong(name, e))?;
            match playbook::parse(&source) {
                Ok(playbook) if playbook.name() == name => return Ok((playbook, source)),
                // A broken file is the one that is meant when it is called like the playbook.
                Err(errors) if file.file_stem().is_some_and(|s| s == name) => {
                    return Err(domain::Error::Playbook { name: file.display().to_string(), errors });
                }
                _ => {}
            }
        }
        match EXAMPLES.iter().find(|(known, _)| *known == name) {
            Some((_, source)) => Ok((parse(name, source)?, (*source).to_owned())),
            None => Err(domain::Error::NotFound(format!("playbook {name}"))),
        }
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> domain::Result<T> + Send + 'static) -> domain::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| domain::Error::Conflict(format!("the playbook could not be read: {e}")))?
}

/// Reads a playbook's text; the errors name line and column.
pub fn parse(name: &str, source: &str) -> domain::Result<Playbook> {
    playbook::parse(source).map_err(|errors| domain::Error::Playbook { name: name.to_owned(), errors })
}

/// Reads a playbook's file, refusing one that is too large. Blocking.
pub fn read(file: &Path) -> Result<String, PlaybookError> {
    let fail = |message: String| PlaybookError { line: 1, column: 1, message };
    let size = std::fs::metadata(file).map_err(|e| fail(format!("{} can't be read: {e}", file.display())))?.len();
    if size > MAX_SOURCE_BYTES as u64 {
        return Err(fail(format!("the file has {size} bytes; a playbook has at most {MAX_SOURCE_BYTES}")));
    }
    std::fs::read_to_string(file).map_err(|e| fail(format!("{} can't be read: {e}", file.display())))
}

fn wrong(name: &str, error: PlaybookError) -> domain::Error {
    domain::Error::Playbook { name: name.to_owned(), errors: vec![error] }
}

fn entry(name: String, origin: String, source: Result<String, PlaybookError>) -> Entry {
    match source.map_err(|e| vec![e]).and_then(|s| playbook::parse(&s)) {
        Ok(p) => Entry {
            name: p.name().to_owned(),
            description: p.description().map(str::to_owned),
            origin,
            is_on: true,
            errors: Vec::new(),
        },
        Err(errors) => Entry {
            name,
            description: None,
            origin,
            is_on: true,
            errors: errors.iter().map(ToString::to_string).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::Library;

    #[test]
    fn the_examples_are_right_and_the_owners_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::open(dir.path());
        let names = library.names();
        assert!(names.iter().all(|e| e.errors.is_empty()), "{names:?}");
        let (_, source) = library.get("file-away").unwrap();
        std::fs::write(dir.path().join("mine.yaml"), format!("# mine\n{source}")).unwrap();
        assert!(library.get("file-away").unwrap().1.starts_with("# mine"));
        assert!(library.get("nothing").unwrap_err().to_string().contains("nothing"));
        std::fs::write(dir.path().join("broken.yaml"), "name: broken\nsteps: 7\n").unwrap();
        assert!(library.get("broken").unwrap_err().to_string().contains("line 2"));
    }
}
