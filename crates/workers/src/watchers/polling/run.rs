//! The loop around a source: each event one task, failures ever more rarely, and people told.

use std::{
    io::Cursor,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Error as DomainError,
    files::{self, NewFile},
    intake::{self, Event},
};
use jiff::Timestamp;
use outside::{Kind, Trouble};
use rand::Rng;
use serde_json::{Value as Json, json};
use store::{
    Actor, Store, Vault,
    notifications::{self, NewNotification},
    schedules,
    tasks::NewTask,
    users,
    watchers::{self, Watcher},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Ask, Common, File, Found, House, Item, Known, Source};
use crate::logs::LogQueue;

/// After the first failure; doubled after each further one …
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Refused credentials rest the watcher after so many in a row: the other side may err once.
const REFUSALS: u32 = 2;
/// After so many failures in a row its owner is told, once.
const TELL_AFTER: i32 = 5;
/// How often a look in which all was well is noted at most.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Bytes of one file.
const FILE_BYTES: u64 = 256 * 1024 * 1024;

/// One watcher at work.
pub struct Poller {
    /// The database.
    pub store: Store,
    /// Where files are kept.
    pub vault: Vault,
    /// The watcher.
    pub watcher: Watcher,
    /// What all kinds share.
    pub common: Common,
    /// Whether its owner may have it reach into the private net, as its source was opened.
    pub reaches_private: bool,
    /// Its kind's own.
    pub source: Box<dyn Source>,
    /// Where it tells what it did.
    pub logs: LogQueue,
    /// Makes it look at once; rung after each look where a test waits for it.
    pub looked: Arc<Notify>,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("watcher", &self.watcher.name).finish_non_exhaustive()
    }
}

/// What the loop remembers.
#[derive(Default)]
struct Health {
    failures: u32,
    refusals: u32,
    noted: Option<Instant>,
    was_failing: bool,
}

/// Watches until `shutdown`.
pub async fn run(mut poller: Poller, shutdown: CancellationToken) {
    let mut health = Health { was_failing: poller.watcher.error_count > 0, ..Health::default() };
    loop {
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = poller.round() => looked,
        };
        let pause = match looked {
            Ok(next) => {
                poller.well(&mut health).await;
                next
            }
            Err(trouble) => match poller.failed(&trouble, &mut health).await {
                Some(pause) => {
                    poller.looked.notify_one();
                    // What is broken is not waited on.
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(pause) => continue,
                    }
                }
                None => return,
            },
        };
        poller.looked.notify_one();
        if pause.is_zero() {
            continue;
        }
        let waited = tokio::select! {
            () = shutdown.cancelled() => return,
            waited = poller.source.wait(pause) => waited,
        };
        if let Err(trouble) = waited {
            tracing::debug!(watcher = %poller.watcher.name, %trouble, "waiting broke off; it is looked again");
        }
    }
}

fn passing(e: impl std::fmt::Display) -> Trouble {
    Trouble::passing(e.to_string())
}

impl Poller {
    /// Looks once, and answers how long to wait.
    async fn round(&mut self) -> Result<Duration, Trouble> {
        let actor = intake::acting_for(&self.watcher).map_err(|e| Trouble::lasting(e.to_string()))?;
        if self.reaches_private && !domain::watchers::may_reach_private(&self.store, &actor).await.map_err(passing)? {
            return Err(Trouble::lasting(
                "allow_private was an administrator's to set, and its owner is none any more; take it out of the settings",
            ));
        }
        let cursor = watchers::cursor(&actor, &self.store, self.watcher.id).await.map_err(passing)?.unwrap_or_default();
        let now = schedules::clock(&Actor::service(), &self.store).await.map_err(passing)?;
        let known = Known { store: &self.store, actor: &actor, watcher_id: self.watcher.id };
        let state = cursor.get("state").filter(|s| !s.is_null());
        let ask = Ask { state, made_at: self.watcher.created_at, now, known: Some(known) };
        let found = self.source.look(ask).await?;
        let (more, next) = (found.more, found.next);
        self.take(&actor, found, cursor, now).await?;
        let house = House { store: &self.store, actor: &actor, watcher: &self.watcher, logs: &self.logs };
        self.source.reflect(house).await?;
        if more {
            return Ok(Duration::ZERO);
        }
        let every = Duration::from_secs(self.common.every_s.unwrap_or_else(|| self.source.every_s()));
        let until = next.and_then(|n| Duration::try_from(n.duration_since(now)).ok());
        // A time is met as it is; an interval is spread, so that many watchers do not look at once.
        Ok(match until {
            Some(until) if until <= every => until.max(Duration::from_millis(200)),
            _ => jittered(every),
        })
    }

    /// Makes a task of each event that was not noted before.
    async fn take(&self, actor: &Actor, found: Found, mut cursor: Json, now: Timestamp) -> Result<(), Trouble> {
        let known = Known { store: &self.store, actor, watcher_id: self.watcher.id };
        if !cursor.is_object() {
            cursor = json!({});
        }
        let before = cursor.clone();
        if !found.seen.is_empty() {
            for key in known.without(found.seen).await? {
                watchers::add_event(actor, &self.store, self.watcher.id, &key, None, "before", &key)
                    .await
                    .map_err(passing)?;
            }
        }
        let new = known.without(found.items.iter().map(|i| i.key.clone()).collect()).await?;
        for item in found.items {
            if let Some(state) = &item.state {
                cursor["state"] = state.clone();
            }
            if new.contains(&item.key) {
                cursor["last_event_at"] = json!(now);
                self.make_task(actor, item, cursor.clone()).await?;
            }
        }
        cursor["state"] = found.state;
        if cursor != before {
            watchers::put_cursor(actor, &self.store, self.watcher.id, cursor).await.map_err(passing)?;
        }
        Ok(())
    }

    async fn make_task(&self, actor: &Actor, item: Item, cursor: Json) -> Result<(), Trouble> {
        let assigned_to = match &self.common.assign_to {
            None => None,
            Some(name) => Some(
                users::named(actor, &self.store, name)
                    .await
                    .map_err(passing)?
                    .ok_or_else(|| {
                        Trouble::lasting(format!("there is no user {name} to assign to; correct assign_to"))
                    })?
                    .id,
            ),
        };
        let mut kept = Vec::new();
        for file in item.files {
            match self.keep(file).await {
                Ok(attachment) => kept.push(attachment),
                Err(trouble) => {
                    files::give_up(&self.vault, &kept).await;
                    return Err(trouble);
                }
            }
        }
        let title: String = item.title.chars().filter(|c| !c.is_control()).take(255).collect();
        let task = NewTask {
            assigned_to,
            description: item.description,
            priority: self.common.priority.clone().unwrap_or_else(|| "medium".to_owned()),
            metadata: without_nul(json!({
                "playbook": self.common.playbook, "event": item.event, "watcher": { "name": self.watcher.name },
            })),
            ..NewTask::titled(if title.is_empty() { self.watcher.name.clone() } else { title })
        };
        let task = NewTask { description: task.description.map(|d| d.replace('\0', "")), ..task };
        let event = Event {
            fingerprint: item.key.clone(),
            key: item.key,
            source: item.source.chars().filter(|c| *c != '\0').take(1000).collect(),
            task,
            files: kept,
            parts: item.parts,
            detail: without_nul(item.detail),
            cursor: without_nul(cursor),
        };
        let (title, source) = (event.task.title.clone(), event.source.clone());
        match intake::intake(&self.store, &self.vault, &self.watcher, event).await {
            Ok(id) => {
                self.logs.push("info", &self.module(), &format!("{title} became a task ({source})"), Some(id));
                Ok(())
            }
            Err(DomainError::Duplicate) => Ok(()),
            Err(e) => Err(passing(e)),
        }
    }

    async fn keep(&self, file: File) -> Result<NewFile, Trouble> {
        let kept = files::keep(&self.store, &self.vault, Cursor::new(file.bytes), FILE_BYTES).await.map_err(passing)?;
        Ok(NewFile { name: file.name, kept, expires_at: None })
    }

    async fn tell(&self, actor: &Actor, kind: &'static str, title: &str, message: String) -> store::Result<()> {
        let Some(user_id) = self.watcher.created_by else { return Ok(()) };
        let new = NewNotification {
            user_id,
            title: title.to_owned(),
            message: Some(message),
            r#type: kind,
            data: json!({ "watcher_id": self.watcher.id }),
        };
        notifications::create(actor, &self.store, &new).await.map(drop)
    }

    fn module(&self) -> String {
        format!("watcher:{}", self.watcher.name)
    }

    async fn well(&self, health: &mut Health) {
        let due = health.noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY);
        if due || health.failures > 0 || health.was_failing {
            self.report(None).await;
            if health.was_failing {
                self.logs.push("info", &self.module(), "it is well again", None);
            }
            *health = Health { noted: Some(Instant::now()), ..Health::default() };
        }
    }

    async fn report(&self, error: Option<&str>) {
        if let Err(e) = watchers::report(&Actor::service(), &self.store, self.watcher.id, error).await {
            tracing::warn!(watcher = %self.watcher.name, error = %e, "a watcher's state could not be written down");
        }
    }

    /// Notes a failure; answers how long to wait, or none where the watcher rests now.
    async fn failed(&self, trouble: &Trouble, health: &mut Health) -> Option<Duration> {
        self.report(Some(&trouble.message)).await;
        health.failures = health.failures.saturating_add(1);
        health.refusals = if trouble.kind == Kind::Credentials { health.refusals + 1 } else { 0 };
        health.was_failing = true;
        self.logs.push("warning", &self.module(), &trouble.message, None);
        let told = self.tell_of(trouble, health).await;
        if let Err(e) = &told {
            tracing::warn!(watcher = %self.watcher.name, error = %e, "the owner of a watcher could not be told");
        }
        if let Ok(true) = told {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (health.failures - 1).min(12)).min(LONGEST_PAUSE);
        Some(jittered(doubled).max(trouble.retry_after.unwrap_or_default()))
    }

    /// Tells the owner what is to be told of a failure. True: the watcher rests now.
    async fn tell_of(&self, trouble: &Trouble, health: &Health) -> store::Result<bool> {
        let Ok(actor) = intake::acting_for(&self.watcher) else { return Ok(false) };
        if health.refusals >= REFUSALS {
            let words = format!(
                "{}. It rests until you give it new credentials (steward watcher credentials {}) and resume it.",
                trouble.message, self.watcher.name
            );
            // First the word, then the rest: who is not told twice is at least told once.
            self.tell(&actor, "error", &format!("Resting: {}", self.watcher.name), words).await?;
            return watchers::set_active(&actor, &self.store, self.watcher.id, false).await;
        }
        let now = watchers::get(&Actor::service(), &self.store, self.watcher.id).await?;
        if now.is_some_and(|w| w.error_count == TELL_AFTER) {
            let words =
                format!("{} ({TELL_AFTER} times in a row; it is tried again ever more rarely)", trouble.message);
            self.tell(&actor, "error", &format!("Failing: {}", self.watcher.name), words).await?;
        }
        Ok(false)
    }
}

/// A tenth more or less.
fn jittered(length: Duration) -> Duration {
    length.mul_f64(rand::rng().random_range(0.9..1.1))
}

/// Texts of what is outside may hold a NUL, which no database keeps.
fn without_nul(value: Json) -> Json {
    match value {
        Json::String(s) if s.contains('\0') => Json::String(s.replace('\0', "")),
        Json::Array(list) => Json::Array(list.into_iter().map(without_nul).collect()),
        Json::Object(map) => map
            .into_iter()
            .map(|(k, v)| (k.replace('\0', ""), without_nul(v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
