//! Playbooks that are kept in the database: saved switched off, and used only while they are switched on.

use serde_json::Value as Json;
use store::{
    Actor, Run, Store,
    playbooks::{self, KeptPlaybook},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    playbook::{self, MAX_SOURCE_BYTES, Playbook},
};

/// Playbooks kept at most.
const MOST: usize = 200;

/// Reads a playbook's text, and says under its name what is wrong with it.
pub fn read(source: &str) -> Result<Playbook> {
    playbook::parse(source).map_err(|errors| Error::Playbook { name: "in this text".to_owned(), errors })
}

/// Keeps a playbook, switched off, and answers it. `taken` are the names of those that are files, which go first; `task_id` is
/// the task whose work it was made of.
pub async fn save(
    store: &Store,
    actor: &Actor,
    source: String,
    task_id: Option<Uuid>,
    taken: &[String],
) -> Result<KeptPlaybook> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Error::invalid("source", format!("a playbook has at most {MAX_SOURCE_BYTES} bytes")));
    }
    let (source, read) = off_thread(move || read(&source).map(|read| (source, read))).await??;
    let name = read.name().to_owned();
    if taken.contains(&name) {
        return Err(Error::Conflict(format!("there is a playbook {name} already; give this one another name")));
    }
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let kept = playbooks::list(&actor, tx).await?;
                if kept.iter().any(|k| k.name == name) {
                    return Err(Error::Conflict(format!(
                        "there is a playbook {name} already; remove it first, or give this one another name"
                    )));
                }
                if kept.len() >= MOST {
                    return Err(Error::Conflict(format!("there are {MOST} playbooks already; remove one first")));
                }
                playbooks::create(&actor, tx, &name, &source, task_id).await?;
                named(&actor, tx, &name).await
            })
        })
        .await
}

/// A kept playbook by name.
pub async fn named(actor: &Actor, on: impl Run, name: &str) -> Result<KeptPlaybook> {
    playbooks::named(actor, on, name).await?.ok_or_else(|| Error::NotFound(format!("playbook {name}")))
}

/// Switches a playbook on or off, and answers it.
pub async fn switch(store: &Store, actor: &Actor, name: &str, is_on: bool) -> Result<KeptPlaybook> {
    named(actor, store, name).await?;
    if !playbooks::switch(actor, store, name, is_on).await? {
        return Err(store::Error::Refused { what: "playbooks".to_owned() }.into());
    }
    named(actor, store, name).await
}

/// Removes a playbook. Runs that it led keep its text.
pub async fn remove(store: &Store, actor: &Actor, name: &str) -> Result<()> {
    named(actor, store, name).await?;
    if !playbooks::remove(actor, store, name).await? {
        return Err(store::Error::Refused { what: "playbooks".to_owned() }.into());
    }
    Ok(())
}

/// The first of these that says of itself that a task with these facts is for it. One that asks nothing of a task is meant to be
/// named, and takes none by itself. Reading them takes a while.
pub fn taking(kept: &[KeptPlaybook], facts: &Json) -> Option<(String, String)> {
    kept.iter().filter(|k| k.is_on).find_map(|k| {
        let read = playbook::parse(&k.source).ok()?;
        (!read.fits_all() && read.mismatch(facts).is_none()).then(|| (k.name.clone(), k.source.clone()))
    })
}

/// What a kept playbook is for, in its own words, and what is wrong with it. Reading it takes a while.
pub fn described(kept: &KeptPlaybook) -> (Option<String>, Vec<String>) {
    match playbook::parse(&kept.source) {
        Ok(read) => (read.description().map(str::to_owned), Vec::new()),
        Err(errors) => (None, errors.iter().map(ToString::to_string).collect()),
    }
}

/// Does what may take a while where nobody waits for it.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Conflict(format!("it could not be looked at: {e}")))
}
