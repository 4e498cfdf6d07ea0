//! Watchers as people make them: names, sealed credentials, and what only an administrator may allow.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Actor, Run, Store, Vault,
    sealed::Purpose,
    users,
    watchers::{self, Watcher},
};
use uuid::Uuid;

use crate::{Error, Result, intake::acting_for, own_places};

/// Where in the settings sealed credentials stand.
pub const CREDENTIALS: &str = "credentials";
/// After how many hours without any event its owner is told, in a watcher's settings.
pub const SILENT_AFTER_H: &str = "silent_after_h";
/// Where in the settings the hosts stand that may be reached although they are not public.
pub const ALLOW_PRIVATE: &str = "allow_private";
/// Where in a vault's settings the person stands whose word a moved note is.
pub const DECIDES: &str = "decides";
/// The kinds that watch what lies on this machine's disks: an administrator's.
const OF_THE_MACHINE: [&str; 3] = ["folder", "csv", "vault"];
/// Hours of silence that may be waited for: a year.
const MOST_SILENT_H: u64 = 8784;
/// Characters of the settings.
const MOST_SETTINGS: usize = 32 * 1024;

/// A watcher to be made.
#[derive(Debug, Clone)]
pub struct NewWatcher {
    /// 1 to 100 characters on one line.
    pub name: String,
    /// What it watches: `folder`, `imap` …
    pub watcher_type: String,
    /// What its kind needs, without secrets.
    pub config: Json,
    /// Passwords and tokens; sealed, and never shown again.
    pub credentials: Option<Json>,
}

/// Adds a watcher that acts for the actor, and answers its id. What its kind wants of the settings, the caller checked.
pub async fn add(store: &Store, vault: &Vault, actor: &Actor, new: NewWatcher) -> Result<Uuid> {
    let is_name = (1..=100).contains(&new.name.chars().count())
        && !new.name.trim().is_empty()
        && !new.name.chars().any(char::is_control);
    if !is_name {
        return Err(Error::invalid("name", "a watcher's name needs 1 to 100 characters on one line"));
    }
    if watchers::list(actor, store).await?.iter().any(|w| w.name == new.name) {
        return Err(Error::Conflict(format!(
            "there is a watcher called {} already; choose another name, or remove that one first",
            new.name
        )));
    }
    check(store, actor, &new.config).await?;
    check_place(actor, store, &new.watcher_type, &new.config).await?;
    let (vault, actor) = (vault.clone(), actor.clone());
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let id = watchers::create(&actor, tx, &new.name, &new.watcher_type, new.config.clone()).await?;
                if let Some(secret) = &new.credentials {
                    // The seal names the watcher, so it comes second: copied into another, it does not open.
                    let sealed = with_sealed(&vault, id, new.config, secret)?;
                    watchers::set_config(&actor, tx, id, sealed).await?;
                }
                Ok(id)
            })
        })
        .await
}

/// What is to be known of a folder that another watcher watches too: what both want becomes two tasks. It is no mistake where
/// their patterns part what comes between them, so it is said and not refused.
pub fn also_watched(all: &[Watcher], watcher: &Watcher) -> Option<String> {
    let mine = folder_of(watcher)?;
    let other = all.iter().find(|other| {
        let meets = folder_of(other).is_some_and(|theirs| {
            theirs == mine
                || theirs.starts_with(&mine) && is_deep(watcher)
                || mine.starts_with(&theirs) && is_deep(other)
        });
        other.id != watcher.id && other.is_active && meets
    })?;
    Some(format!(
        "the watcher {} watches {} too, and what both want becomes two tasks; give them patterns that part it, or remove one of \
         them",
        other.name,
        folder_of(other)?.display()
    ))
}

/// The folder that a watcher takes files from; none where it takes none.
fn folder_of(watcher: &Watcher) -> Option<PathBuf> {
    let path = watcher.config.as_ref()?.get("path")?.as_str().filter(|_| watcher.watcher_type == "folder")?;
    let whole = match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir()?.join(rest),
        None => PathBuf::from(path),
    };
    // Without what is only another way to write it.
    Some(whole.components().collect())
}

fn is_deep(watcher: &Watcher) -> bool {
    watcher.config.as_ref().and_then(|c| c.get("recursive")).and_then(Json::as_bool).unwrap_or(false)
}

/// Puts new credentials in the place of the old ones.
pub async fn set_credentials(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    watcher: &Watcher,
    secret: &Json,
) -> Result<()> {
    let config = watcher.config.clone().unwrap_or_else(|| json!({}));
    let sealed = with_sealed(vault, watcher.id, config, secret)?;
    if watchers::set_config(actor, store, watcher.id, sealed).await? {
        Ok(())
    } else {
        Err(store::Error::Refused { what: "watchers".to_owned() }.into())
    }
}

/// A watcher's credentials in clear; none where it has none.
pub fn credentials(vault: &Vault, watcher: &Watcher) -> Result<Option<Json>> {
    match watcher.config.as_ref().and_then(|c| c.get(CREDENTIALS)) {
        None => Ok(None),
        Some(sealed) => Ok(Some(vault.unseal_json(&Purpose::watcher_credentials(watcher.id), sealed)?)),
    }
}

/// The watcher as it may be shown: that it has credentials, and not even their seal.
#[must_use]
pub fn shown(mut watcher: Watcher) -> Watcher {
    if let Some(secret) = watcher.config.as_mut().and_then(|c| c.get_mut(CREDENTIALS)) {
        *secret = Json::String("(sealed)".to_owned());
    }
    watcher
}

/// After how long without any event its owner is told; none where nobody asked for it.
pub fn silent_after(config: Option<&Json>) -> Option<SignedDuration> {
    let hours = config?.get(SILENT_AFTER_H)?.as_u64().filter(|h| (1..=MOST_SILENT_H).contains(h))?;
    i64::try_from(hours).ok().map(SignedDuration::from_hours)
}

/// Whether whoever made the watcher may have it reach into the private net.
pub async fn may_reach_private(store: &Store, actor: &Actor) -> Result<bool> {
    Ok(users::allowed(actor, store, "watcher_admin").await?)
}

/// What a watcher has of this machine's own disks: a folder, or a file. None: it has nothing of them.
fn of_the_machine<'a>(kind: &str, config: &'a Json) -> Option<Vec<&'a str>> {
    let text = |name: &str| config.get(name).and_then(Json::as_str);
    let calendar = text("calendar").filter(|place| !place.contains("://"));
    (OF_THE_MACHINE.contains(&kind) || calendar.is_some()).then(|| text("path").into_iter().chain(calendar).collect())
}

/// Refuses what only an administrator may have watched, any file of the machine, and what nobody may: Steward's own.
pub async fn check_place(actor: &Actor, on: impl Run, kind: &str, config: &Json) -> Result<()> {
    let Some(places) = of_the_machine(kind, config) else { return Ok(()) };
    if !users::allowed(actor, on, "watcher_admin").await? {
        let what = "only administrators have this machine's folders and files watched".to_owned();
        return Err(store::Error::Refused { what }.into());
    }
    own_places::check_paths("config", places.into_iter().map(str::to_owned).collect()).await
}

/// Whether a watcher's owner may have watched what it watches as things are now: a right that is gone counts at once.
pub async fn may_go_on(store: &Store, watcher: &Watcher) -> Result<bool> {
    let config = watcher.config.as_ref().unwrap_or(&Json::Null);
    if of_the_machine(&watcher.watcher_type, config).is_none() {
        return Ok(true);
    }
    may_reach_private(store, &acting_for(watcher)?).await
}

/// Refuses settings that no watcher may have, or that only an administrator gives.
pub async fn check(store: &Store, actor: &Actor, config: &Json) -> Result<()> {
    let Some(settings) = config.as_object() else {
        return Err(Error::invalid("config", "the settings must be a JSON object, such as {\"url\": \"https://…\"}"));
    };
    if config.to_string().len() > MOST_SETTINGS {
        return Err(Error::invalid("config", format!("the settings are longer than {MOST_SETTINGS} bytes")));
    }
    if settings.contains_key(CREDENTIALS) {
        return Err(Error::invalid(
            "config",
            "credentials do not belong into the settings, where they can be read: give them apart",
        ));
    }
    if settings.contains_key(SILENT_AFTER_H) && silent_after(Some(config)).is_none() {
        return Err(Error::invalid(
            "config",
            format!("silent_after_h must be a whole number of hours, from 1 to {MOST_SILENT_H}"),
        ));
    }
    if let Some(name) = settings.get(DECIDES) {
        let me = match actor.user_id() {
            Some(id) => users::account(actor, store, id).await?,
            None => None,
        };
        let is_me =
            me.is_some_and(|me| !me.is_agent && name.as_str().is_some_and(|n| me.username.eq_ignore_ascii_case(n)));
        if !is_me {
            return Err(Error::invalid(
                "config",
                "decides must be your own user name: nobody lets a folder speak for somebody else",
            ));
        }
    }
    if settings.contains_key(ALLOW_PRIVATE) && !may_reach_private(store, actor).await? {
        return Err(Error::invalid(
            "config",
            "only an administrator may set allow_private: it lets a watcher reach into the private net",
        ));
    }
    Ok(())
}

fn with_sealed(vault: &Vault, id: Uuid, mut config: Json, secret: &Json) -> Result<Json> {
    let sealed = vault.seal_json(&Purpose::watcher_credentials(id), secret)?;
    if let Some(settings) = config.as_object_mut() {
        settings.insert(CREDENTIALS.to_owned(), sealed);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value as Json, json};
    use store::watchers::Watcher;
    use uuid::Uuid;

    use super::also_watched;

    fn watcher(id: u128, config: Json) -> Watcher {
        Watcher {
            id: Uuid::from_u128(id),
            name: format!("w{id}"),
            watcher_type: "folder".to_owned(),
            config: Some(config),
            last_run: None,
            is_active: true,
            created_by: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            error_count: 0,
            last_error: None,
        }
    }

    #[test]
    fn two_watchers_of_one_folder_are_noticed() {
        let first = watcher(1, json!({ "path": "/in/box" }));
        let said = |all: &[Watcher], config| also_watched(all, &watcher(2, config));
        let all = [first.clone()];
        let warning = said(&all, json!({ "path": "/in//box/" })).unwrap();
        assert!(warning.contains("w1 watches /in/box too"), "{warning}");
        assert!(said(&all, json!({ "path": "/in", "recursive": true })).is_some(), "below it");
        for other in
            [json!({ "path": "/in" }), json!({ "path": "/in/boxes" }), json!({ "path": "/in/box/deep" }), json!({})]
        {
            assert_eq!(said(&all, other.clone()), None, "{other}");
        }
        assert_eq!(also_watched(&all, &first), None, "itself");
        assert_eq!(said(&[Watcher { is_active: false, ..first }], json!({ "path": "/in/box" })), None, "it rests");
    }
}
