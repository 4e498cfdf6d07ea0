//! Between a folder watcher and the store: the file streams into the vault, then event, task and file are one
//! transaction. What was kept for a task that did not come to be is removed again.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
};

use domain::{
    files::{self, Kept, NewFile},
    intake::{self, Event},
    playbook::sha256_hex,
};
use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use store::{
    Actor, Store, Vault,
    notifications::{self, NewNotification},
    tasks::NewTask,
    users,
    watchers::{self, Watcher},
};

use crate::{
    logs::LogQueue,
    watchers::folder::{Candidate, Duplicates, FolderConfig, Intake, IntakeError, Refusal, Round, Taken},
};

/// The intake of one folder watcher.
pub(crate) struct FolderIntake {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) watcher: Watcher,
    pub(crate) config: FolderConfig,
    pub(crate) logs: LogQueue,
    pub(crate) health: std::sync::Arc<Health>,
}

/// What the last looks said, so that `last_run` moves while all is well, at most once a minute.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: AtomicBool,
    noted_s: AtomicI64,
}
/// How often a look in which all was well is noted.
const NOTE_EVERY_S: i64 = 60;

impl FolderIntake {
    fn actor(&self) -> Result<Actor, IntakeError> {
        intake::acting_for(&self.watcher).map_err(IntakeError::new)
    }

    fn module(&self) -> String {
        format!("watcher:{}", self.watcher.name)
    }

    async fn report(&self, error: Option<&str>) {
        self.health.failing.store(error.is_some(), Ordering::Relaxed);
        self.health.noted_s.store(store::now().as_second(), Ordering::Relaxed);
        note(&self.store, &self.watcher, error).await;
    }

    async fn take_whole(&self, candidate: Candidate) -> Result<Taken, IntakeError> {
        if candidate.path.to_str().is_none() {
            // Any text for it would be the name of another file.
            self.leave_alone(
                "unspeakable",
                &candidate,
                "its name (or that of its folder) is not UTF-8, so no tool can be told of it; rename it".to_owned(),
            )
            .await?;
            return Ok(Taken::Duplicate);
        }
        let source = candidate.file.try_clone().map_err(IntakeError::new)?;
        let kept =
            files::keep(&self.store, &self.vault, source, self.config.max_bytes).await.map_err(IntakeError::new)?;
        let looked = tokio::task::spawn_blocking(move || (candidate.is_unchanged().unwrap_or(false), candidate));
        let (unchanged, candidate) = looked.await.map_err(IntakeError::new)?;
        let file = NewFile { name: candidate.name.clone(), kept, expires_at: None };
        if !unchanged {
            files::give_up(&self.vault, &[file]).await;
            return Ok(Taken::Changed);
        }
        self.make_task(&candidate, file).await
    }

    async fn make_task(&self, candidate: &Candidate, file: NewFile) -> Result<Taken, IntakeError> {
        let actor = self.actor()?;
        let key = match self.config.duplicates {
            Duplicates::Once => format!("sha256:{}", file.kept.stored.sha256),
            Duplicates::Each => {
                format!("each:{}", sha256_hex(&format!("{}\n{}", candidate.source, candidate.fingerprint)))
            }
        };
        let assigned_to = match &self.config.assign_to {
            None => None,
            Some(name) => {
                let user = users::named(&actor, &self.store, name).await.map_err(IntakeError::new)?;
                Some(
                    user.ok_or_else(|| {
                        IntakeError::new(format!(
                            "there is no user {name} to assign to; correct assign_to of the watcher"
                        ))
                    })?
                    .id,
                )
            }
        };
        let facts = file_facts(candidate, &file.kept);
        let title: String = format!("File: {}", candidate.name).chars().take(255).collect();
        let task = NewTask {
            assigned_to,
            priority: self.config.priority.clone().unwrap_or_else(|| "medium".to_owned()),
            metadata: json!({ "playbook": self.config.playbook, "file": facts, "watcher": self.watcher_facts() }),
            ..NewTask::titled(title)
        };
        let event = Event {
            key,
            source: candidate.source.clone(),
            fingerprint: candidate.fingerprint.clone(),
            task,
            files: vec![file],
            parts: Vec::new(),
            detail: json!({ "path": candidate.source, "sha256": facts["sha256"], "raw_name_hex": candidate.raw_name.as_ref().map(hex::encode) }),
            cursor: json!({ "last_source": candidate.source, "last_event_at": store::now() }),
        };
        match intake::intake(&self.store, &self.vault, &self.watcher, event).await {
            Ok(id) => {
                self.logs.push("info", &self.module(), &format!("{} became a task", candidate.name), Some(id));
                Ok(Taken::Task(id))
            }
            Err(domain::Error::Duplicate) => {
                let why = "it has the content of an earlier file, and the same content is one task; set duplicates to \
                           each in the watcher if every file is to be one";
                self.leave_alone("same", candidate, why.to_owned()).await?;
                Ok(Taken::Duplicate)
            }
            Err(e) => Err(IntakeError::new(e)),
        }
    }

    /// Notes a file that becomes no task, so that it is not read again.
    async fn remember(&self, actor: &Actor, why: &str, source: &str, fingerprint: &str) -> Result<bool, IntakeError> {
        let key = format!("{why}:{}", sha256_hex(&format!("{source}\n{fingerprint}")));
        watchers::add_event(actor, &self.store, self.watcher.id, &key, None, source, fingerprint)
            .await
            .map_err(IntakeError::new)
    }

    fn watcher_facts(&self) -> Json {
        let path = &self.config.path;
        json!({
            "name": self.watcher.name,
            "path": path.to_string_lossy(),
            "root": path.parent().unwrap_or(path).to_string_lossy(),
        })
    }

    async fn refuse(&self, refusal: Refusal) -> Result<(), IntakeError> {
        self.tell_left(
            refusal.kind.as_str(),
            &refusal.source,
            &refusal.fingerprint,
            &refusal.name,
            refusal.reason.clone(),
        )
        .await
    }

    async fn leave_alone(&self, kind: &str, candidate: &Candidate, reason: String) -> Result<(), IntakeError> {
        self.tell_left(kind, &candidate.source, &candidate.fingerprint, &candidate.name, reason).await
    }

    /// Notes that a file becomes no task, and tells its watcher's owner once.
    async fn tell_left(
        &self,
        kind: &str,
        source: &str,
        fingerprint: &str,
        name: &str,
        reason: String,
    ) -> Result<(), IntakeError> {
        let actor = self.actor()?;
        if !self.remember(&actor, kind, source, fingerprint).await? {
            return Ok(());
        }
        self.logs.push("warning", &self.module(), &format!("{name}: {reason}"), None);
        if let Some(user_id) = self.watcher.created_by {
            let told = NewNotification {
                user_id,
                title: format!("Left alone: {name}"),
                message: Some(reason),
                r#type: if kind == "same" { "info" } else { "error" },
                data: json!({ "watcher_id": self.watcher.id, "path": source }),
            };
            notifications::create(&actor, &self.store, &told).await.map_err(IntakeError::new)?;
        }
        Ok(())
    }
}

/// What a playbook may know of a file.
fn file_facts(candidate: &Candidate, kept: &Kept) -> Json {
    let stored = &kept.stored;
    let day = candidate.modified.to_zoned(TimeZone::UTC).date();
    let name = Path::new(&candidate.name);
    json!({
        "path": candidate.source,
        "name": candidate.name,
        "stem": name.file_stem().map(|s| s.to_string_lossy()),
        "extension": name.extension().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default(),
        "size_bytes": stored.size_bytes,
        "mime_type": mime_guess::from_path(name).first_or_octet_stream().essence_str(),
        "sha256": stored.sha256,
        "modified_at": store::value::truncate(candidate.modified),
        "year": format!("{:04}", day.year()),
        "month": format!("{:02}", day.month()),
        "day": format!("{:02}", day.day()),
    })
}

async fn note(store: &Store, watcher: &Watcher, error: Option<&str>) {
    if let Err(e) = watchers::report(&Actor::service(), store, watcher.id, error).await {
        tracing::warn!(watcher = %watcher.name, error = %e, "a watcher's state could not be written down");
    }
}

impl Intake for FolderIntake {
    fn known<'a>(&'a self, source: &'a str, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, IntakeError>> {
        Box::pin(async move {
            let actor = self.actor()?;
            watchers::known(&actor, &self.store, self.watcher.id, source, fingerprint).await.map_err(IntakeError::new)
        })
    }
    fn take(&self, candidate: Candidate) -> BoxFuture<'_, Result<Taken, IntakeError>> {
        Box::pin(self.take_whole(candidate))
    }
    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<(), IntakeError>> {
        Box::pin(self.refuse(refusal))
    }
    fn looked(&self, round: Round) {
        let now = store::now().as_second();
        let due = now - self.health.noted_s.load(Ordering::Relaxed) >= NOTE_EVERY_S;
        if round.listed && due && !self.health.failing.load(Ordering::Relaxed) {
            self.health.noted_s.store(now, Ordering::Relaxed);
            let (store, watcher) = (self.store.clone(), self.watcher.clone());
            tokio::spawn(async move { note(&store, &watcher, None).await });
        }
    }
    fn healthy(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.report(None))
    }
    fn failed<'a>(&'a self, error: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.logs.push("error", &self.module(), error, None);
            self.report(Some(error)).await;
        })
    }
}
