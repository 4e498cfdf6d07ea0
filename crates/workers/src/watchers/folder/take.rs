//! Handing one file over: known already, refused, or opened and taken.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::config::{FolderConfig, MAX_DEPTH};
use super::facts::Facts;
use super::names::{display_name, quoted};
use super::open::{self, Opened};
use super::tracker::{Outcome, Work};
use super::{Candidate, Intake, IntakeError, Refusal, RefusalKind, Taken};

const ASK_LIMIT: Duration = Duration::from_secs(30);
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// Two gigabytes over a slow network disk fit.
const TAKE_LIMIT: Duration = Duration::from_secs(3_600);

/// Deals with one file. The error text, if any, is for people.
pub(super) async fn deal_with(config: &FolderConfig, intake: &dyn Intake, work: &Work) -> (Outcome, Option<String>) {
    // A panic of the intake is its failure on this file, not the end of the watcher.
    let attempt = AssertUnwindSafe(attempt(config, intake, work)).catch_unwind().await;
    match attempt {
        Ok(Ok(outcome)) => (outcome, None),
        Ok(Err(why)) => (Outcome::Failed, Some(failure(&work.path, &why))),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            tracing::error!(file = %quoted(&work.path), panic = words.unwrap_or("without words"), "taking a file panicked");
            (Outcome::Failed, Some(failure(&work.path, "an internal error, which is in the log")))
        }
    }
}

fn failure(path: &Path, why: &str) -> String {
    let why = why.trim_end_matches('.');
    format!("The file {} could not be taken: {why}. It stays where it is and is tried again by itself.", quoted(path))
}

async fn attempt(config: &FolderConfig, intake: &dyn Intake, work: &Work) -> Result<Outcome, String> {
    if let Some(kind) = work.refuse {
        return refuse(config, intake, &work.path, &work.facts, kind).await;
    }
    let source = display_name(&work.path);
    let fingerprint = work.facts.fingerprint();
    if limited(ASK_LIMIT, intake.known(&source, &fingerprint)).await? {
        return Ok(Outcome::Done(work.facts));
    }
    let opened = {
        let (root, path, facts) = (config.path.clone(), work.path.clone(), work.facts);
        let opening = tokio::task::spawn_blocking(move || open::open(&root, &path, &facts));
        timeout(OPEN_LIMIT, opening).await.map_err(|_| "its disk does not answer".to_owned())?
    };
    match opened {
        Ok(Opened::File(file, facts)) => {
            let candidate = Candidate {
                name: work.path.file_name().map(display_name).unwrap_or_default(),
                raw_name: work
                    .path
                    .file_name()
                    .filter(|name| name.to_str().is_none())
                    .map(|name| name.as_encoded_bytes().to_vec()),
                path: work.path.clone(),
                source,
                file,
                size_bytes: facts.size_bytes,
                modified: facts.modified(),
                fingerprint,
            };
            Ok(match limited(TAKE_LIMIT, intake.take(candidate)).await? {
                Taken::Task(_) | Taken::Duplicate => Outcome::Done(facts),
                Taken::Changed => Outcome::Changed,
            })
        }
        Ok(Opened::Vanished) => Ok(Outcome::Vanished),
        Ok(Opened::Changed) => Ok(Outcome::Changed),
        Ok(Opened::Refused(kind, facts)) => refuse(config, intake, &work.path, &facts, kind).await,
        Ok(Opened::Trouble(why)) => Err(why),
        Err(_) => Err("an internal error, which is in the log".to_owned()),
    }
}

async fn refuse(
    config: &FolderConfig,
    intake: &dyn Intake,
    path: &Path,
    facts: &Facts,
    kind: RefusalKind,
) -> Result<Outcome, String> {
    let refusal = Refusal {
        path: path.to_owned(),
        name: path.file_name().map(display_name).unwrap_or_default(),
        source: display_name(path),
        fingerprint: refusal_key(config, facts, kind),
        kind,
        reason: reason(config, path, facts, kind),
    };
    if !limited(ASK_LIMIT, intake.known(&refusal.source, &refusal.fingerprint)).await? {
        limited(ASK_LIMIT, intake.refused(refusal)).await?;
    }
    Ok(Outcome::Done(*facts))
}

/// What a refusal is recorded under: never the file's own fingerprint, and with whatever could lift it.
fn refusal_key(config: &FolderConfig, facts: &Facts, kind: RefusalKind) -> String {
    let word = kind.as_str();
    match kind {
        RefusalKind::TooLarge => format!("{word}:{}:{}", config.max_bytes, facts.fingerprint()),
        RefusalKind::Unreadable => format!("{word}:{}:{}", facts.changed_ns(), facts.fingerprint()),
        RefusalKind::SpecialFile | RefusalKind::SymlinkOut => format!("{word}:{}", facts.fingerprint()),
        // A folder's size and time change with what is in it.
        RefusalKind::TooDeep | RefusalKind::UnreadableFolder => format!("{word}:{}:{}", facts.device, facts.inode),
    }
}

fn reason(config: &FolderConfig, path: &Path, facts: &Facts, kind: RefusalKind) -> String {
    let name = quoted(path);
    match kind {
        RefusalKind::TooLarge => format!(
            "The file {name} is left alone: it holds {} bytes and this watcher takes at most {}. Raise its `max_bytes`, or deal with the file by hand.",
            facts.size_bytes, config.max_bytes
        ),
        RefusalKind::SpecialFile => format!(
            "{name} is left alone: it is a socket, a pipe or a device, not a file. Move it out of the watched folder."
        ),
        RefusalKind::SymlinkOut => format!(
            "{name} is left alone: it is a link, or lies behind one, that leads out of the watched folder, and such links are never followed. Put the file itself there."
        ),
        RefusalKind::Unreadable => format!(
            "The file {name} is left alone: permission to read it is denied. Give the user Steward runs as the right to read it; it is tried again as soon as its permissions change."
        ),
        RefusalKind::TooDeep => format!(
            "The folder {name} is left alone: it lies more than {MAX_DEPTH} folders deep. Move it up, or watch it with a watcher of its own."
        ),
        RefusalKind::UnreadableFolder => format!(
            "The folder {name} is left alone: permission to list it is denied. Give the user Steward runs as the right to read and enter it; its files are taken from then on."
        ),
    }
}

async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T, IntakeError>>) -> Result<T, String> {
    match timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.reason),
        Err(_) => Err(format!("no answer came within {} s", limit.as_secs())),
    }
}

/// One file's work as a task of its own.
pub(super) async fn task(
    config: Arc<FolderConfig>,
    intake: Arc<dyn Intake>,
    work: Work,
) -> (Work, Outcome, Option<String>) {
    let (outcome, trouble) = deal_with(&config, intake.as_ref(), &work).await;
    (work, outcome, trouble)
}
