//! From an event to a task: event key, task, file and cursor in one transaction, and so exactly once.

use serde_json::Value as Json;
use store::{
    Actor, Store, Vault,
    tasks::{self, NewTask},
    users, watchers,
    watchers::Watcher,
};
use uuid::Uuid;

use crate::{
    Error, Result,
    accounts::EMPLOYEE,
    files::{self, NewFile},
};

/// Something a watcher noticed.
#[derive(Debug, Clone)]
pub struct Event {
    /// What makes it the same event when seen again; at most 255 bytes.
    pub key: String,
    /// Where it was seen.
    pub source: String,
    /// What shows that the source has not changed since; at most 255 bytes.
    pub fingerprint: String,
    /// The task that it becomes; assigned to the employee where it names nobody.
    pub task: NewTask,
    /// The files it brought.
    pub files: Vec<NewFile>,
    /// Keys that are noted with it: what it is made of, such as the rows of a statement.
    pub parts: Vec<String>,
    /// What is known of where it came from.
    pub detail: Json,
    /// How far the watcher has come with it.
    pub cursor: Json,
}

/// Makes the task of an event and answers its id; the watcher acts for the user who made it. An event whose key was
/// noted before is refused with [`Error::Duplicate`] and changes nothing; then its files are not kept either.
pub async fn intake(store: &Store, vault: &Vault, watcher: &Watcher, event: Event) -> Result<Uuid> {
    let actor = acting_for(watcher)?;
    let brought = event.files.clone();
    let (watcher_id, source) = (watcher.id, format!("watcher:{}", watcher.name));
    // What kind of task it becomes is said by the watcher's settings, whatever the event says.
    let kind = watcher.config.as_ref().and_then(|config| config.get("kind")).filter(|kind| kind.is_string()).cloned();
    let made = store
        .transaction(move |tx| {
            Box::pin(async move {
                let mut task = event.task;
                if let (Some(kind), Some(metadata)) = (kind, task.metadata.as_object_mut()) {
                    metadata.insert("kind".to_owned(), kind);
                }
                if task.assigned_to.is_none() {
                    task.assigned_to = users::agent(&actor, tx, EMPLOYEE).await?;
                }
                let id = tasks::create(&actor, tx, &task).await?;
                tasks::add_provenance(&actor, tx, id, true, &source, event.detail).await?;
                let mut attached = Vec::new();
                for file in &event.files {
                    attached.push(files::attach(&actor, tx, id, file).await?);
                }
                if !watchers::add_event(&actor, tx, watcher_id, &event.key, Some(id), &event.source, &event.fingerprint)
                    .await?
                {
                    return Err(Error::Duplicate);
                }
                for part in &event.parts {
                    // One that was noted meanwhile, by another node, is in another task: this one is made anew without it.
                    if !watchers::add_event(&actor, tx, watcher_id, part, Some(id), &event.source, part).await? {
                        return Err(Error::Duplicate);
                    }
                }
                watchers::put_cursor(&actor, tx, watcher_id, event.cursor).await?;
                watchers::report(&actor, tx, watcher_id, None).await?;
                Ok((id, attached))
            })
        })
        .await;
    match made {
        Ok((id, attached)) => {
            files::settle(vault, &brought, &attached).await;
            Ok(id)
        }
        Err(e) => {
            // After another error the task may stand all the same: what belongs to no row is swept.
            if matches!(e, Error::Duplicate) {
                files::give_up(vault, &brought).await;
            }
            Err(e)
        }
    }
}

/// Under whose rights a watcher works.
pub fn acting_for(watcher: &Watcher) -> Result<Actor> {
    watcher.created_by.map(Actor::user).ok_or_else(|| {
        Error::Conflict(format!("the watcher {} belongs to nobody any more; remove it and add it again", watcher.name))
    })
}
