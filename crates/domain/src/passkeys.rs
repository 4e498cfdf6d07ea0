//! Passkeys (WebAuthn): enrolled by whoever is logged in, and shown in place of a password, after it, or to show again who
//! one is. The device asks its owner (a finger, a face, a PIN), so a passkey is two factors by itself.
//!
//! Between its two halves a ceremony is kept nowhere: its state goes to the browser sealed, for five minutes. That it is
//! answered once follows from the passkey's row, which takes no challenge that is not newer than the last.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    Actor, Store, Vault,
    passkeys::{self, Key, MOST, NewPasskey, Passkey},
    sealed::Purpose,
    sessions::{self, Session},
    users,
};
use url::Url;
use uuid::Uuid;
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        AuthenticationResult, DiscoverableAuthentication, Passkey as Enrolled, PasskeyAuthentication,
        PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, WebauthnError,
    },
};

use crate::{Error, Result, accounts::as_service, sign_in};

/// How long a browser has between the two halves of a ceremony.
const CEREMONY: SignedDuration = SignedDuration::from_mins(5);
/// What a device shows its owner.
const NAME: &str = "Steward";

/// The desk as a browser names it: what a passkey is bound to.
#[derive(Debug, Clone)]
pub struct Site {
    name: String,
    webauthn: Webauthn,
}

impl Site {
    /// The desk that is reached as `host`, a name without a port. An address in figures can have no passkey.
    pub fn of(host: &str) -> Result<Self> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let is_name = !name.is_empty() && !name.starts_with('[') && name.parse::<std::net::IpAddr>().is_err();
        let wrong = || {
            Error::Conflict(format!(
                "a passkey is for a name and {host:?} is none; open the desk by its name, on this machine as http://localhost"
            ))
        };
        if !is_name {
            return Err(wrong());
        }
        // A browser lets a page without TLS have a passkey on its own machine alone.
        let scheme = if name == "localhost" { "http" } else { "https" };
        let origin = Url::parse(&format!("{scheme}://{name}")).map_err(|_| wrong())?;
        let mut builder = WebauthnBuilder::new(&name, &origin).map_err(|_| wrong())?.rp_name(NAME).allow_any_port(true);
        let over_tls = Url::parse(&format!("https://{name}")).map_err(|_| wrong())?;
        if scheme == "http" {
            builder = builder.append_allowed_origin(&over_tls);
        }
        let webauthn = builder.build().map_err(|e| failed(&e))?;
        Ok(Self { name, webauthn })
    }
}

fn failed(e: &WebauthnError) -> Error {
    Error::invalid("credential", format!("the passkey was not taken: {e}"))
}

/// The first half of a ceremony.
#[derive(Debug, Clone, Serialize)]
pub struct Begun {
    /// What the browser is asked for, as `navigator.credentials` takes it.
    pub options: Value,
    /// To be sent back with what the browser answers, as it is.
    pub state: String,
}

/// What a ceremony is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Enrol,
    /// By a user who is known: after the password, or to show again who it is.
    Known,
    /// By whoever has a passkey.
    Anybody,
}

/// What is kept of a ceremony, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    kind: Kind,
    user_id: Option<Uuid>,
    /// Whose password was right before this; or who is logged in.
    begun_at: Timestamp,
    state: Value,
}

fn value<T: Serialize>(of: &T) -> Result<Value> {
    serde_json::to_value(of).map_err(|e| store::Error::Vault(format!("a ceremony can't be written: {e}")).into())
}

fn begun<O: Serialize, S: Serialize>(
    vault: &Vault,
    site: &Site,
    (kind, user_id): (Kind, Option<Uuid>),
    (options, state): (&O, &S),
) -> Result<Begun> {
    let kept = Kept { kind, user_id, begun_at: store::now(), state: value(state)? };
    let sealed = vault.seal_json(&Purpose::passkey_ceremony(&site.name), &value(&kept)?)?;
    Ok(Begun { options: value(options)?, state: sealed.to_string() })
}

/// Opens what [`begun`] sealed, if it is of this kind and in time.
fn opened<S: DeserializeOwned>(vault: &Vault, site: &Site, kind: Kind, text: &str) -> Result<(Kept, S)> {
    let wrong = || Error::invalid("state", "this was not begun here, or took longer than five minutes; begin again");
    let sealed: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let kept = vault.unseal_json(&Purpose::passkey_ceremony(&site.name), &sealed).map_err(|_| wrong())?;
    let kept: Kept = serde_json::from_value(kept).map_err(|_| wrong())?;
    let age = store::now().duration_since(kept.begun_at);
    if kept.kind != kind || age > CEREMONY || age < -CEREMONY {
        return Err(wrong());
    }
    let state = serde_json::from_value(kept.state.clone()).map_err(|_| wrong())?;
    Ok((kept, state))
}

fn read<T: DeserializeOwned>(credential: Value) -> Result<T> {
    serde_json::from_value(credential)
        .map_err(|e| Error::invalid("credential", format!("this is not what a browser answers: {e}")))
}

fn hash(credential_id: &[u8]) -> String {
    hex::encode(Sha256::digest(credential_id))
}

fn enrolled(key: &Key) -> Result<Enrolled> {
    serde_json::from_value(key.credential.clone())
        .map_err(|e| store::Error::Vault(format!("a passkey is not what was kept: {e}")).into())
}

fn me(actor: &Actor) -> Result<Uuid> {
    actor.user_id().ok_or(Error::LogInRefused)
}

/// One's passkeys, newest first.
pub async fn list(store: &Store, actor: &Actor) -> Result<Vec<Passkey>> {
    Ok(passkeys::list(actor, store, me(actor)?).await?)
}

/// Takes a passkey away: one's own, or for a user administrator that of somebody who lost it.
pub async fn remove(store: &Store, actor: &Actor, id: Uuid) -> Result<()> {
    if passkeys::remove(actor, store, id).await? { Ok(()) } else { Err(Error::NotFound(format!("passkey {id}"))) }
}

/// Takes all passkeys of a user away, and answers how many there were.
pub async fn remove_all(store: &Store, actor: &Actor, user_id: Uuid) -> Result<usize> {
    let mut removed = 0;
    for passkey in passkeys::list(actor, store, user_id).await? {
        removed += usize::from(passkeys::remove(actor, store, passkey.id).await?);
    }
    Ok(removed)
}

/// Whether a log-in of this user needs more than the password because there is a passkey.
pub async fn is_on(store: &Store, user_id: Uuid) -> Result<bool> {
    Ok(!passkeys::list(&Actor::service(), store, user_id).await?.is_empty())
}

/// Begins to give oneself a passkey.
pub async fn begin_enrolment(store: &Store, vault: &Vault, actor: &Actor, site: &Site) -> Result<Begun> {
    let me = me(actor)?;
    let account = users::account(actor, store, me).await?.ok_or(Error::LogInRefused)?;
    if account.is_agent {
        return Err(Error::Conflict("an agent never logs in, so it has no passkey".to_owned()));
    }
    let known = passkeys::keys(&as_service(actor), store, me, &site.name).await?;
    let known = known.iter().map(|key| Ok(enrolled(key)?.cred_id().clone())).collect::<Result<Vec<_>>>()?;
    let started = site.webauthn.start_passkey_registration(me, &account.username, &account.username, Some(known));
    let (options, state) = started.map_err(|e| failed(&e))?;
    let mut begun = begun(vault, site, (Kind::Enrol, Some(me)), (&options, &state))?;
    // So that it lets its owner in without a name, where the device can.
    begun.options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("preferred");
    Ok(begun)
}

/// Gives oneself the passkey that a device made.
pub async fn enrol(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    site: &Site,
    name: &str,
    (state, credential): (&str, Value),
) -> Result<Passkey> {
    let me = me(actor)?;
    let name = name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "a passkey's name needs 1 to 100 characters on one line"));
    }
    let (kept, state) = opened::<PasskeyRegistration>(vault, site, Kind::Enrol, state)?;
    if kept.user_id != Some(me) {
        return Err(Error::invalid("state", "somebody else began this; begin again"));
    }
    let shown: RegisterPublicKeyCredential = read(credential)?;
    let made = site.webauthn.finish_passkey_registration(&shown, &state).map_err(|e| failed(&e))?;
    let new = NewPasskey {
        user_id: me,
        name: name.to_owned(),
        site: site.name.clone(),
        credential_sha256: hash(made.cred_id().as_ref()),
        credential: value(&made)?,
        sign_count: 0,
        challenge_at: kept.begun_at,
    };
    let id = passkeys::create(&as_service(actor), store, &new).await?;
    let id = id.ok_or_else(|| Error::Conflict(format!("you have {MOST} passkeys already; take one away first")))?;
    let all = passkeys::list(actor, store, me).await?;
    all.into_iter().find(|passkey| passkey.id == id).ok_or_else(|| Error::NotFound(format!("passkey {id}")))
}

/// Begins to show a passkey: of this user, or of whoever has one.
pub async fn begin(store: &Store, vault: &Vault, site: &Site, user_id: Option<Uuid>) -> Result<Begun> {
    let Some(user) = user_id else {
        let (options, state) = site.webauthn.start_discoverable_authentication().map_err(|e| failed(&e))?;
        let mut begun = begun(vault, site, (Kind::Anybody, None), (&options, &state))?;
        // It is asked for by a button, and not offered while one types.
        if let Some(map) = begun.options.as_object_mut() {
            map.remove("mediation");
        }
        return Ok(begun);
    };
    let keys = passkeys::keys(&Actor::service(), store, user, &site.name).await?;
    if keys.is_empty() {
        return Err(Error::Conflict(format!("there is no passkey for the desk at {}", site.name)));
    }
    let keys = keys.iter().map(enrolled).collect::<Result<Vec<_>>>()?;
    let (options, state) = site.webauthn.start_passkey_authentication(&keys).map_err(|e| failed(&e))?;
    begun(vault, site, (Kind::Known, user_id), (&options, &state))
}

/// Who shows a passkey: `known` where it must be this user's.
pub async fn check(
    store: &Store,
    vault: &Vault,
    site: &Site,
    known: Option<Uuid>,
    (state, credential): (&str, Value),
) -> Result<Uuid> {
    let shown: PublicKeyCredential = read(credential)?;
    let service = Actor::service();
    let unknown = || Error::invalid("credential", "this passkey is not known here, or was taken away; use another way");
    let key = passkeys::by_credential(&service, store, &hash(shown.get_credential_id())).await?.ok_or_else(unknown)?;
    let mut enrolled = enrolled(&key)?;
    let (begun_at, result) = if known.is_some() {
        let (kept, state) = opened::<PasskeyAuthentication>(vault, site, Kind::Known, state)?;
        if kept.user_id != known || known != Some(key.user_id) {
            return Err(unknown());
        }
        (kept.begun_at, site.webauthn.finish_passkey_authentication(&shown, &state))
    } else {
        let (kept, state) = opened::<DiscoverableAuthentication>(vault, site, Kind::Anybody, state)?;
        let (user, _) = site.webauthn.identify_discoverable_authentication(&shown).map_err(|e| failed(&e))?;
        if user != key.user_id {
            return Err(unknown());
        }
        (kept.begun_at, site.webauthn.finish_discoverable_authentication_v2(&shown, state, &enrolled))
    };
    let result: AuthenticationResult = result.map_err(|e| match e {
        WebauthnError::CredentialPossibleCompromise => Error::invalid(
            "credential",
            "this passkey counts less than it did: it may have been copied; take it away and enrol the device anew",
        ),
        other => failed(&other),
    })?;
    enrolled.update_credential(&result);
    let count = i64::from(result.counter());
    if passkeys::used(&service, store, key.id, value(&enrolled)?, count, begun_at).await? {
        return Ok(key.user_id);
    }
    Err(Error::invalid("state", "this passkey answered a newer question meanwhile; begin again"))
}

/// Has a session's user show again who it is; see [`sign_in::is_fresh`].
pub async fn reauthenticate(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    (site, session): (&Site, &Session),
    shown: (&str, Value),
) -> Result<()> {
    check(store, vault, site, Some(session.user_id), shown).await?;
    if sessions::authenticated(&as_service(actor), store, session.id).await? {
        Ok(())
    } else {
        Err(Error::LogInRefused)
    }
}

/// Begins a session of whoever shows a passkey; answers its token. `known` is whose password was right before.
pub async fn log_in(
    store: &Store,
    vault: &Vault,
    site: &Site,
    known: Option<Uuid>,
    shown: (&str, Value),
    from: &Actor,
) -> Result<(String, Session)> {
    let user = check(store, vault, site, known, shown).await?;
    sign_in::begin(store, &as_service(from), user).await
}

#[cfg(test)]
mod tests {
    use super::Site;

    #[test]
    fn a_passkey_is_for_a_name() {
        for good in ["localhost", "desk.example.org", "Desk.Example.Org."] {
            assert!(Site::of(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1", "[::1]", "::1", "", "a b"] {
            let said = Site::of(bad).unwrap_err().to_string();
            assert!(said.contains("localhost"), "{bad}: {said}");
        }
    }
}
