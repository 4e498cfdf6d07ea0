//! Where Steward keeps its own: database, key, attachments. No tool is given these places and no watcher watches them, as what
//! is read there could leave by any other tool.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use crate::{Error, Result};

static OWN: OnceLock<Vec<PathBuf>> = OnceLock::new();
/// How long a disk has to say what a path is.
const DISK: Duration = Duration::from_secs(2);
/// Questions to disks at once: one that hangs keeps a thread each, and no more than these.
static ASKING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(4)));

/// Names them, once, before anything is watched or started.
pub fn keep_off(places: impl IntoIterator<Item = PathBuf>) {
    drop(OWN.set(places.into_iter().collect()));
}

/// A path without links, as far as it exists. Blocking.
pub fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (std::fs::canonicalize(ancestor), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// The paths that a text may name: itself, and each word of it, as a shell is given one; from the root, from the home folder
/// (`~/`, and as servers run there), and from the working directory. Blocking.
pub fn named_in(text: &str) -> Vec<PathBuf> {
    let words = text.split(|c: char| "=,:;&|<>()\"'`".contains(c) || c.is_whitespace());
    words.chain([text]).flat_map(named_by).collect()
}

/// The same for a text that is one path.
fn named_by(word: &str) -> Vec<PathBuf> {
    let home = std::env::home_dir();
    match (word.strip_prefix("~/").or((word == "~").then_some("")), home) {
        (Some(rest), Some(home)) => vec![home.join(rest)],
        _ if word.starts_with('/') => vec![word.into()],
        // A word that is the name of nothing leads nowhere.
        (_, home) if !word.is_empty() => {
            let from = home.into_iter().chain(std::env::current_dir());
            from.map(|at| at.join(word)).filter(|at| at.exists()).collect()
        }
        _ => Vec::new(),
    }
}

/// The place of Steward's own that a path lies in or above, links followed; none: it reaches none. Blocking, for a moment.
pub fn reached_from(path: &Path) -> Option<&'static Path> {
    let path = real(path);
    let reaches = |own: &&PathBuf| {
        let own = real(own);
        own.starts_with(&path) || path.starts_with(own)
    };
    OWN.get()?.iter().find(reaches).map(PathBuf::as_path)
}

/// Refuses paths that lead to such a place.
pub async fn check_paths(field: &'static str, paths: Vec<String>) -> Result<()> {
    check(field, paths, named_by).await
}

/// Refuses a program's arguments that name such a place, also within a longer one.
pub async fn check_arguments(field: &'static str, arguments: Vec<String>) -> Result<()> {
    check(field, arguments, named_in).await
}

async fn check(field: &'static str, texts: Vec<String>, places: fn(&str) -> Vec<PathBuf>) -> Result<()> {
    let reaching = move |text: &String| Some((text.clone(), places(text).iter().find_map(|path| reached_from(path))?));
    match ask_disk(field, move || texts.iter().find_map(reaching)).await? {
        None => Ok(()),
        Some((text, own)) => Err(Error::invalid(
            field,
            format!("{text} reaches {}, where Steward keeps its own data; name a narrower folder", own.display()),
        )),
    }
}

/// Asks a disk on a thread that may wait. One that does not answer keeps nobody else waiting: it is an error of `field` after
/// two seconds for its turn and two for the answer. Whoever asks has looked at the rights before.
pub async fn ask_disk<T: Send + 'static>(
    field: &'static str,
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let silent = || Error::invalid(field, "the disk on which this lies does not answer; look at it, and try again");
    let broken = |e: &dyn std::fmt::Display| store::Error::Unavailable(e.to_string());
    let turn = timeout(DISK, Arc::clone(&ASKING).acquire_owned()).await.map_err(|_| silent())?;
    let turn = turn.map_err(|e| broken(&e))?;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = question();
        drop(turn);
        answer
    });
    Ok(timeout(DISK, asked).await.map_err(|_| silent())?.map_err(|e| broken(&e))?)
}
