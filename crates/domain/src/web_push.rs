//! The browsers that asked to be told: kept sealed, since whoever knows their addresses can send them something.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use store::{
    Actor, Store, Vault,
    push_subscriptions::{self, MOST, PushSubscription},
    sealed::Purpose,
};
use uuid::Uuid;

use crate::{Error, Result, accounts::as_service};

/// The key by which browsers and their makers' services know this Steward; made by `generate` where there is none yet.
pub async fn key(
    store: &Store,
    vault: &Vault,
    generate: impl FnOnce() -> Result<SecretString>,
) -> Result<SecretString> {
    let service = Actor::service();
    if push_subscriptions::key(&service, store).await?.is_none() {
        let made = vault.seal_json(&Purpose::push_key(), &json!({ "pkcs8": generate()?.expose_secret() }))?;
        // Another node may be first: then its key counts.
        push_subscriptions::create_key(&service, store, made).await?;
    }
    let odd = || store::Error::Vault("the key for pushes to browsers is not what was sealed".to_owned());
    let sealed = push_subscriptions::key(&service, store).await?.ok_or_else(odd)?;
    let opened = vault.unseal_json(&Purpose::push_key(), &sealed)?;
    Ok(SecretString::from(opened["pkcs8"].as_str().ok_or_else(odd)?.to_owned()))
}

/// Has one's browser be told from now on. `endpoint` is its address within `browser`, which was checked.
pub async fn subscribe(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    name: &str,
    (endpoint, browser): (&str, &Json),
) -> Result<PushSubscription> {
    let me = actor.user_id().ok_or(Error::LogInRefused)?;
    let name = name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "a browser's name needs 1 to 100 characters on one line"));
    }
    let hash = hex::encode(Sha256::digest(endpoint));
    let sealed = vault.seal_json(&Purpose::browser(me), browser)?;
    if !push_subscriptions::put(&as_service(actor), store, me, name, &hash, sealed).await? {
        return Err(Error::Conflict(format!("{MOST} of your browsers are told already; take one away first")));
    }
    let all = push_subscriptions::list(actor, store, me).await?;
    // The newest, or the same one as before.
    all.into_iter().find(|one| one.name == name).ok_or_else(|| Error::NotFound("browser".to_owned()))
}

/// One's browsers that are told, newest first.
pub async fn list(store: &Store, actor: &Actor) -> Result<Vec<PushSubscription>> {
    let me = actor.user_id().ok_or(Error::LogInRefused)?;
    Ok(push_subscriptions::list(actor, store, me).await?)
}

/// Tells one of one's browsers no more.
pub async fn unsubscribe(store: &Store, actor: &Actor, id: Uuid) -> Result<()> {
    if push_subscriptions::remove(actor, store, id).await? {
        Ok(())
    } else {
        Err(Error::NotFound(format!("browser {id}")))
    }
}

/// Whether a user has browsers that want to be told.
pub async fn has_browsers(store: &Store, user_id: Uuid) -> Result<bool> {
    Ok(!push_subscriptions::sealed(&Actor::service(), store, user_id).await?.is_empty())
}

/// A user's browsers, opened, for Steward to tell them. One that can't be opened stands in nobody else's way.
pub async fn browsers(store: &Store, vault: &Vault, user_id: Uuid) -> Result<Vec<(Uuid, store::Result<Json>)>> {
    let held = push_subscriptions::sealed(&Actor::service(), store, user_id).await?;
    Ok(held.iter().map(|one| (one.id, vault.unseal_json(&Purpose::browser(user_id), &one.secret))).collect())
}

/// Forgets a browser that does not want to be told any more.
pub async fn forget(store: &Store, id: Uuid) -> Result<()> {
    push_subscriptions::remove(&Actor::service(), store, id).await?;
    Ok(())
}
