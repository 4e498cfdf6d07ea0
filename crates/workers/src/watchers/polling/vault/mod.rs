//! A Markdown folder, such as Obsidian's, as a two-way view: a note in `Needs_Action` becomes a task; what waits for a person
//! stands in `Pending_Approval`; moved into `Approved` or `Rejected`, an unchanged note is that person's word; what is done
//! stands in `Done`, and `Dashboard.md` says how things are.

mod decisions;
mod disk;
mod text;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use outside::Trouble;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::{approvals, tasks, tasks::Task, watchers};

use super::{Ask, File, Found, House, Item, Source, settings};
use disk::Note;

/// What needs doing.
const NEEDS_ACTION: &str = "Needs_Action";
/// What is being done.
const IN_PROGRESS: &str = "In_Progress";
/// What waits for a person.
const PENDING: &str = "Pending_Approval";
/// Where a note is moved for a yes …
const APPROVED: &str = "Approved";
/// … and for a no.
const REJECTED: &str = "Rejected";
/// What is over.
const DONE: &str = "Done";
const DASHBOARD: &str = "Dashboard.md";
const FOLDERS: [&str; 6] = [NEEDS_ACTION, IN_PROGRESS, PENDING, APPROVED, REJECTED, DONE];
/// A note that was written so lately may not be whole yet.
const SETTLE: SignedDuration = SignedDuration::from_secs(2);
/// Characters of a note that stand in the task's description.
const DESCRIPTION_CHARS: usize = 4000;
/// Characters of a note that a playbook sees.
const TEXT_CHARS: usize = 20_000;
/// Approvals that are shown.
const MOST_PENDING: i64 = 100;
/// Notes that are put to those that are done at one look.
const MOST_FINISHED: usize = 50;
/// Servers that a vault's owner may vouch for.
const MOST_TRUSTED: usize = 100;
/// How often it is looked whether somebody did something in the folder.
const GLANCE: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder.
    path: String,
    /// Whose word it is when a note is moved: the user name of the watcher's owner. Without it the folder only shows.
    #[serde(default)]
    decides: Option<String>,
    /// Servers whose programs do not write into the vault, as its owner knows: without that word none of them may run where
    /// a moved note decides.
    #[serde(default)]
    trusts: Vec<String>,
}

/// The folder.
pub(super) struct Vault {
    root: PathBuf,
    decides: Option<String>,
    trusts: Vec<String>,
    seen: disk::Glance,
}

impl Vault {
    pub(super) fn open(own: Json) -> Result<Self, Trouble> {
        let settings: Settings = settings::read(own)?;
        let path = Path::new(&settings.path);
        let root = match (path.strip_prefix("~"), std::env::home_dir()) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        };
        if !root.is_absolute() || root.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(Trouble::lasting("path must be a whole path without .. in it, such as ~/Vault"));
        }
        if settings.trusts.len() > MOST_TRUSTED {
            return Err(Trouble::lasting(format!("trusts names at most {MOST_TRUSTED} servers")));
        }
        let (decides, trusts) = (settings.decides, settings.trusts);
        Ok(Self { root: root.components().collect(), decides, trusts, seen: disk::Glance::default() })
    }

    async fn notes(&self, folder: &'static str) -> Result<Vec<Note>, Trouble> {
        let root = self.root.clone();
        blocking(move || disk::notes(&root, folder)).await
    }

    /// Puts the notes that became tasks to those under way.
    async fn take_up(&self, house: &House<'_>) -> Result<(), Trouble> {
        let notes: Vec<Note> = self.notes(NEEDS_ACTION).await?.into_iter().filter(|note| !note.is_too_long).collect();
        if notes.is_empty() {
            return Ok(());
        }
        let keys = notes.iter().map(|note| note.key.clone()).collect();
        let known = watchers::known_keys(house.actor, house.store, house.watcher.id, keys).await.map_err(passing)?;
        let known: HashMap<String, _> = known.into_iter().map(|event| (event.event_key, event.task_id)).collect();
        for note in notes {
            let Some(task) = known.get(&note.key) else { continue };
            let text = text::with_task(&note.text, *task);
            let root = self.root.clone();
            blocking(move || disk::hand_on(&root, (NEEDS_ACTION, &note), IN_PROGRESS, &text)).await?;
        }
        Ok(())
    }

    /// Puts the notes whose tasks are over to those that are done, with what came of them.
    async fn finish(&self, house: &House<'_>) -> Result<(), Trouble> {
        let mut left = MOST_FINISHED;
        for note in self.notes(IN_PROGRESS).await? {
            if left == 0 {
                break;
            }
            let Some(id) = text::field(&note.text, text::TASK).and_then(|id| id.parse().ok()) else { continue };
            let found = tasks::get(house.actor, house.store, id).await.map_err(passing)?;
            let Some(task) = found.filter(|task| matches!(task.status.as_str(), "completed" | "failed" | "cancelled"))
            else {
                continue;
            };
            left -= 1;
            let text = text::with_outcome(&note.text, &task);
            let root = self.root.clone();
            blocking(move || disk::hand_on(&root, (IN_PROGRESS, &note), DONE, &text)).await?;
        }
        Ok(())
    }

    /// Shows what waits, and how things are.
    async fn show(&self, house: &House<'_>) -> Result<(), Trouble> {
        let (actor, store) = (house.actor, house.store);
        let open = approvals::list(actor, store, Some("pending"), None, None, MOST_PENDING).await.map_err(passing)?;
        let mut wanted = BTreeMap::new();
        for approval in &open {
            let asked = decisions::asked(actor, store, approval).await?;
            wanted.insert(asked.file_name(), asked.note(self.decides.is_some()));
        }
        let mut under_way = Vec::new();
        for status in ["in_progress", "pending"] {
            under_way.extend(tasks::list(actor, store, Some(status), None, 50).await.map_err(passing)?);
        }
        let done = tasks::list(actor, store, Some("completed"), None, 20).await.map_err(passing)?;
        let failed = tasks::list(actor, store, Some("failed"), None, 20).await.map_err(passing)?;
        let root = self.root.clone();
        blocking(move || {
            let left = disk::notes(&root, NEEDS_ACTION)?.into_iter().filter(|note| note.is_too_long);
            let left: Vec<String> = left.map(|note| note.name).collect();
            let names: Vec<&String> = wanted.keys().collect();
            let over: Vec<Task> = text::latest(done, failed);
            let dashboard = text::dashboard(&names, &under_way, &over, &left);
            disk::mirror(&root, PENDING, &wanted)?;
            disk::put_if_other(&root, DASHBOARD, &dashboard)
        })
        .await
    }
}

impl Source for Vault {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(async move {
            let root = self.root.clone();
            self.seen = blocking(move || disk::glance(&root)).await?;
            let mut found = Found::default();
            let now = Timestamp::now();
            for note in self.notes(NEEDS_ACTION).await? {
                if note.is_too_long {
                    continue;
                }
                // One from the future (another machine's clock) is as whole as it will be.
                let age = now.duration_since(note.modified);
                if age < SETTLE && !age.is_negative() {
                    found.next = Some(ask.now + SETTLE);
                    continue;
                }
                found.items.push(item(note));
            }
            Ok(found)
        })
    }

    fn reflect<'a>(&'a mut self, house: House<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            if !domain::watchers::may_reach_private(house.store, house.actor).await.map_err(passing)? {
                return Err(Trouble::lasting(
                    "a vault is an administrator's to set up, and its owner is none any more",
                ));
            }
            let root = self.root.clone();
            blocking(move || disk::prepare(&root)).await?;
            self.take_up(&house).await?;
            let voice = self.decides.as_deref().map(|name| decisions::Voice { name, trusts: &self.trusts });
            decisions::take(&self.root, voice.as_ref(), &house).await?;
            self.finish(&house).await?;
            self.show(&house).await
        })
    }

    fn wait(&mut self, longest: Duration) -> BoxFuture<'_, Result<(), Trouble>> {
        let (root, before) = (self.root.clone(), self.seen.clone());
        Box::pin(async move {
            let until = tokio::time::Instant::now() + longest;
            let before = std::sync::Arc::new(before);
            loop {
                let left = until.saturating_duration_since(tokio::time::Instant::now());
                if left.is_zero() {
                    return Ok(());
                }
                tokio::time::sleep(left.min(GLANCE)).await;
                let (root, before) = (root.clone(), std::sync::Arc::clone(&before));
                if blocking(move || Ok(disk::glance(&root)? != *before)).await? {
                    return Ok(());
                }
            }
        })
    }

    fn every_s(&self) -> u64 {
        10
    }
}

fn passing(e: impl std::fmt::Display) -> Trouble {
    Trouble::passing(e.to_string())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(passing)?
}

fn item(note: Note) -> Item {
    let title = text::title(&note.text).unwrap_or_else(|| note.stem().to_owned());
    Item {
        source: format!("{NEEDS_ACTION}/{}", note.name),
        title: format!("Note: {title}"),
        description: Some(note.text.chars().take(DESCRIPTION_CHARS).collect()),
        event: json!({
            "kind": "note", "note": note.name, "title": title, "key": note.key,
            "text": note.text.chars().take(TEXT_CHARS).collect::<String>(),
        }),
        detail: json!({ "note": note.name, "sha256": note.sha256 }),
        files: vec![File { name: note.name, mime_type: "text/markdown".to_owned(), bytes: note.text.into_bytes() }],
        key: note.key,
        ..Item::default()
    }
}
