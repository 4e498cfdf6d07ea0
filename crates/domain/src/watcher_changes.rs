//! Changing watchers, as a person does it.

use store::{
    Actor, Store,
    watchers::{self, Watcher},
};
use uuid::Uuid;

use crate::{Error, Result, watchers as rules};

fn check_name(name: &str) -> Result<()> {
    let good =
        (1..=100).contains(&name.chars().count()) && !name.trim().is_empty() && !name.chars().any(char::is_control);
    if good { Ok(()) } else { Err(Error::invalid("name", "a watcher's name needs 1 to 100 characters on one line")) }
}

fn taken(name: &str) -> Error {
    Error::Conflict(format!("there is a watcher called {name} already; choose another name, or remove that one first"))
}

/// Changes a watcher: `change` is given the row and answers it as it shall be. It is asked once beforehand, as a transaction
/// waits for no disk, and once within.
pub async fn change(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    change: impl Fn(Watcher) -> Result<Watcher> + Send + 'static,
) -> Result<Watcher> {
    let unknown = move || Error::NotFound(format!("watcher {id}"));
    let seen = watchers::get(actor, store, id).await?.ok_or_else(unknown)?;
    let stood = seen.config.clone();
    let looked_at = change(seen)?;
    if let Some(wanted) = looked_at.config.as_ref().filter(|wanted| Some(*wanted) != stood.as_ref()) {
        rules::check_place(actor, store, &looked_at.watcher_type, wanted).await?;
    }
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let before = watchers::get(&actor, tx, id).await?.ok_or_else(unknown)?;
                let (name, config) = (before.name.clone(), before.config.clone());
                let after = change(before)?;
                if after.config != config && after.config != looked_at.config {
                    return Err(Error::Conflict(format!(
                        "{name} was changed by somebody else meanwhile; look at it, and try again"
                    )));
                }
                if after.name != name {
                    check_name(&after.name)?;
                    if watchers::list(&actor, tx).await?.iter().any(|w| w.name == after.name) {
                        return Err(taken(&after.name));
                    }
                }
                if !watchers::update(&actor, tx, &after).await? {
                    return Err(store::Error::Refused { what: "watchers".to_owned() }.into());
                }
                watchers::get(&actor, tx, id).await?.ok_or_else(unknown)
            })
        })
        .await
}
