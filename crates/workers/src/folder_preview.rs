//! What a folder watcher would take now: the same looks as ever, with an intake that takes nothing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::json;
use store::{Actor, Store, watchers, watchers::Watcher};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Result,
    watchers::{
        folder::{self, Candidate, Intake, IntakeError, Refusal, Round, Taken},
        polling::Item,
    },
};

/// How long it may take beside the time that a file must stand still.
const PATIENCE: Duration = Duration::from_secs(20);

/// Notes what is handed over.
struct Dry {
    store: Store,
    actor: Actor,
    watcher: Watcher,
    seen: Mutex<Vec<Item>>,
    trouble: Mutex<Option<String>>,
    quiet: Notify,
}

impl Dry {
    fn note(&self, item: Item) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }
}

impl Intake for Dry {
    fn known<'a>(&'a self, source: &'a str, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, IntakeError>> {
        Box::pin(async move {
            watchers::known(&self.actor, &self.store, self.watcher.id, source, fingerprint)
                .await
                .map_err(IntakeError::new)
        })
    }

    fn take(&self, candidate: Candidate) -> BoxFuture<'_, Result<Taken, IntakeError>> {
        Box::pin(async move {
            self.note(Item {
                key: candidate.fingerprint.clone(),
                source: candidate.source.clone(),
                title: format!("File: {}", candidate.name),
                event: json!({ "kind": "file", "path": candidate.source, "size_bytes": candidate.size_bytes }),
                ..Item::default()
            });
            Ok(Taken::Duplicate)
        })
    }

    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<(), IntakeError>> {
        Box::pin(async move {
            self.note(Item {
                key: refusal.fingerprint,
                source: refusal.source,
                title: format!("(left alone) {}: {}", refusal.name, refusal.reason),
                ..Item::default()
            });
            Ok(())
        })
    }

    fn healthy(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn failed<'a>(&'a self, error: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_owned());
            self.quiet.notify_one();
        })
    }

    fn looked(&self, round: Round) {
        if round.listed && round.pending == 0 {
            self.quiet.notify_one();
        }
    }
}

/// What would be taken, at most `most`; nothing is changed, and content that is known under another name is not seen.
pub async fn preview(store: &Store, actor: &Actor, watcher: &Watcher, most: usize) -> Result<Vec<Item>> {
    let said = |why: String| Error::Outside(outside::Trouble::lasting(why));
    let settings = watcher.config.as_ref().unwrap_or(&serde_json::Value::Null);
    let owner = domain::intake::acting_for(watcher)?;
    domain::watchers::check_place(&owner, store, &watcher.watcher_type, settings).await?;
    let config = folder::parse(settings).map_err(|e| said(e.to_string()))?;
    let longest = PATIENCE + Duration::from_millis(config.settle_ms * 3);
    let dry = Arc::new(Dry {
        store: store.clone(),
        actor: actor.clone(),
        watcher: watcher.clone(),
        seen: Mutex::default(),
        trouble: Mutex::default(),
        quiet: Notify::new(),
    });
    let stop = CancellationToken::new();
    let running = tokio::spawn(folder::run(config, Arc::<Dry>::clone(&dry), Arc::new(Notify::new()), stop.clone()));
    // What does not come to rest in time is still being written: it is shown at another time.
    let rest = tokio::time::timeout(longest, dry.quiet.notified()).await;
    stop.cancel();
    running.await.map_err(|e| Error::Internal(e.to_string()))?;
    if let Some(trouble) = dry.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(said(trouble));
    }
    let mut seen = std::mem::take(&mut *dry.seen.lock().unwrap_or_else(PoisonError::into_inner));
    if rest.is_err() && seen.is_empty() {
        return Err(said(
            "what lies in the folder is still being written; try it again when it stands still".to_owned(),
        ));
    }
    seen.truncate(most);
    Ok(seen)
}
