//! Watchers that look from time to time: schedules, calendars, feeds, mailboxes, pages, statements.
//!
//! A [`Source`] knows one kind of place: asked with what it knew last time, it answers what is there now. The [`run`] loop
//! around it is the same for all: what was noted before is left out, each other event becomes one task in one transaction
//! with the state up to it, failures wait ever longer, refused credentials rest the watcher, and people are told.

mod feed;
mod mailbox;
mod page;
mod run;
mod schedule;
mod settings;
mod statement;
mod vault;

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use outside::Trouble;
use serde_json::Value as Json;
use store::{Actor, Store, Vault, watchers::Watcher};

pub use run::{Poller, run};
pub use settings::Common;

use crate::{Error, Result, logs::LogQueue};

/// The kinds there are.
pub const KINDS: &[&str] = &["schedule", "feed", "imap", "http", "csv", "vault"];

/// What a source is asked with.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What it answered as its state last time; none the first time.
    pub state: Option<&'a Json>,
    /// When the watcher was made: what is older is none of its business.
    pub made_at: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// What was noted before.
    pub known: Option<Known<'a>>,
}

/// What a watcher noted before.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    store: &'a Store,
    actor: &'a Actor,
    watcher_id: uuid::Uuid,
}

/// Keys that are looked up at once.
const KEYS_AT_ONCE: usize = 1000;

impl Known<'_> {
    /// Those of the keys that were not noted before.
    pub async fn without(&self, keys: Vec<String>) -> Result<HashSet<String>, Trouble> {
        let mut left: HashSet<String> = keys.into_iter().collect();
        let asked: Vec<String> = left.iter().cloned().collect();
        for part in asked.chunks(KEYS_AT_ONCE) {
            let known = store::watchers::known_keys(self.actor, self.store, self.watcher_id, part.to_vec())
                .await
                .map_err(|e| Trouble::passing(e.to_string()))?;
            for event in known {
                left.remove(&event.event_key);
            }
        }
        Ok(left)
    }
}

/// What a look gave.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Events in their order.
    pub items: Vec<Item>,
    /// Keys of what was there before the watcher: noted, and no task.
    pub seen: Vec<String>,
    /// What to be asked with next time, once all items are in.
    pub state: Json,
    /// Whether there is more to be had at once.
    pub more: bool,
    /// When it is worth looking again, where that is not simply the usual time.
    pub next: Option<Timestamp>,
}

/// An event that becomes a task.
#[derive(Debug, Clone, Default)]
pub struct Item {
    /// What makes it the same event when seen again; at most 255 bytes.
    pub key: String,
    /// Where it was seen.
    pub source: String,
    /// The task's title.
    pub title: String,
    /// The task's description.
    pub description: Option<String>,
    /// What a playbook may know of it, as `event`.
    pub event: Json,
    /// What is known of where it came from, for its provenance.
    pub detail: Json,
    /// Files.
    pub files: Vec<File>,
    /// Keys of what it is made of.
    pub parts: Vec<String>,
    /// The state once this one is in; none where that is as before.
    pub state: Option<Json>,
}

/// A file that came with an event.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name, as it came.
    pub name: String,
    /// Its type, as it came.
    pub mime_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a place that shows the house is given of it.
#[derive(Clone, Copy)]
pub struct House<'a> {
    /// The database.
    pub store: &'a Store,
    /// Whoever made the watcher.
    pub actor: &'a Actor,
    /// The watcher.
    pub watcher: &'a Watcher,
    /// Where it tells what it did.
    pub logs: &'a LogQueue,
}

/// One kind of place.
pub trait Source: Send + Sync {
    /// What is there now. It changes nothing outside.
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>>;

    /// Shows in the place how things are in the house, and takes what people said there; once all that a look gave is in.
    fn reflect<'a>(&'a mut self, _: House<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async { Ok(()) })
    }

    /// Waits until it is worth looking again, at most `longest`.
    fn wait(&mut self, longest: std::time::Duration) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            tokio::time::sleep(longest).await;
            Ok(())
        })
    }

    /// How often to look where nothing else is said, in seconds.
    fn every_s(&self) -> u64;
}

/// Reads a watcher's settings: what all kinds share, and its source. `credentials` are in clear; `may_reach_private` says
/// whether `allow_private` counts.
pub fn open(
    kind: &str,
    config: &Json,
    credentials: Option<&Json>,
    may_reach_private: bool,
) -> Result<(Common, Box<dyn Source>), Trouble> {
    let (common, own) = settings::split(config)?;
    let reach = common.reach(may_reach_private);
    let source: Box<dyn Source> = match kind {
        "schedule" => schedule::open(own, credentials, reach)?,
        "feed" => Box::new(feed::Feed::open(own, credentials, reach)?),
        "imap" => Box::new(mailbox::Mail::open(own, credentials, reach)?),
        "http" => Box::new(page::Page::open(own, credentials, reach)?),
        "csv" => Box::new(statement::Statements::open(own)?),
        "vault" => Box::new(vault::Vault::open(own)?),
        other => {
            return Err(Trouble::lasting(format!(
                "there is no watcher of the type {other}; there are: folder, webhook, {}",
                KINDS.join(", ")
            )));
        }
    };
    Ok((common, source))
}

/// What a look would make tasks of, at most `most`; nothing is changed.
pub async fn preview(store: &Store, vault: &Vault, actor: &Actor, watcher: &Watcher, most: usize) -> Result<Vec<Item>> {
    let cursor = store::watchers::cursor(actor, store, watcher.id).await?;
    let secret = domain::watchers::credentials(vault, watcher)?;
    let owner = domain::intake::acting_for(watcher)?;
    let allowed = domain::watchers::may_reach_private(store, &owner).await?;
    let config = watcher.config.clone().unwrap_or_default();
    domain::watchers::check_place(&owner, store, &watcher.watcher_type, &config).await?;
    let said = |t: Trouble| Error::Outside(t);
    let (_, mut source) = open(&watcher.watcher_type, &config, secret.as_ref(), allowed).map_err(said)?;
    let state = cursor.as_ref().and_then(|c| c.get("state"));
    let now = store::schedules::clock(&Actor::service(), store).await?;
    let known = Known { store, actor, watcher_id: watcher.id };
    let ask = Ask { state, made_at: watcher.created_at, now, known: Some(known) };
    let found = source.look(ask).await.map_err(said)?;
    let new = known.without(found.items.iter().map(|i| i.key.clone()).collect()).await.map_err(said)?;
    Ok(found.items.into_iter().filter(|i| new.contains(&i.key)).take(most).collect())
}
