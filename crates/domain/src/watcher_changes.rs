//! Changing watchers, as a person does it.

use store::{
    Actor, Store,
    watchers::{self, Watcher},
};
use uuid::Uuid;

use crate::{Error, Result, watchers as watchers_rules};

fn check_name(name: &str) -> Result<()> {
    let good =
        (1..=100).contains(&name.chars().count()) && !name.trim().is_empty() && !name.chars().any(char::is_control);
    if good { Ok(()) } else { Err(Error::invalid("name", "a watcher's name needs 1 to 100 characters on one line")) }
}

fn taken(name: &str) -> Error {
    Error::Conflict(format!("there is a watcher called {name} already; choose another name, or remove that one first"))
}

/// Changes a watcher: `change` is given the row and answers it as it shall be.
pub async fn change(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    change: impl FnOnce(Watcher) -> Result<Watcher> + Send + 'static,
) -> Result<Watcher> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let unknown = || Error::NotFound(format!("watcher {id}"));
                let before = watchers::get(&actor, tx, id).await?.ok_or_else(unknown)?;
                let (name, config) = (before.name.clone(), before.config.clone());
                let after = change(before)?;
                if let Some(wanted) = after.config.as_ref().filter(|wanted| Some(*wanted) != config.as_ref()) {
                    watchers_rules::check_place(&actor, tx, &after.watcher_type, wanted).await?;
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
