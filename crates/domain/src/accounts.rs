//! People and their log-ins: the first admin, passwords, sessions.

pub mod people;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rand::RngCore;
use store::{
    Actor, BoxFuture, Store, Transaction,
    cache::{Change, Use},
    sessions::{self, Session},
    users::{self, Credentials, NewUser},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    passwords::{hash_password, verify_password},
    playbook::sha256_hex,
};

/// Name of the employee's row in `users`.
pub const EMPLOYEE: &str = "employee";
/// A session ends when it was not used for this long …
pub const IDLE: SignedDuration = SignedDuration::from_hours(12);
/// … and in any case after this.
pub const ABSOLUTE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// A fresh secret of 256 bits for a cookie or link, and its SHA-256, which is all the database holds.
pub fn new_token() -> (String, String) {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let hash = sha256_hex(&token);
    (token, hash)
}

/// Whether set-up is still to be done: there is no active admin who is a person.
pub async fn needs_setup(store: &Store) -> Result<bool> {
    Ok(users::people_with_role(&Actor::service(), store, "admin").await?.is_empty())
}

/// A fresh one-time token for the set-up link, valid for 24 hours; older ones stop working.
pub async fn new_setup_token(store: &Store) -> Result<String> {
    let (token, hash) = new_token();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let service = Actor::service();
                sessions::clear_setup_links(&service, tx).await?;
                sessions::create_setup_link(&service, tx, &hash, store::now() + SignedDuration::from_hours(24)).await?;
                Ok::<_, Error>(())
            })
        })
        .await?;
    Ok(token)
}

/// What set-up needs to know.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Log-in name, 1–100 characters.
    pub username: String,
    /// Address.
    pub email: String,
    /// Password in clear; hashed here.
    pub password: String,
    /// The token of the link, where set-up comes through one.
    pub token: Option<String>,
}

/// Makes the first admin and the employee; refused when there is an admin already.
pub async fn setup(store: &Store, setup: Setup) -> Result<Uuid> {
    check_name(&setup.username)?;
    check_email(&setup.email)?;
    if !needs_setup(store).await? {
        return Err(Error::Conflict(
            "set-up was done before: there is an admin; log in, or let an admin add you with: steward user add"
                .to_owned(),
        ));
    }
    let names = [setup.username.clone(), setup.email.clone()];
    let admin = NewUser {
        username: setup.username,
        email: setup.email,
        password_hash: hash_password(setup.password, &names).await?,
        role: "admin".to_owned(),
        first_name: None,
        last_name: None,
    };
    let token = setup.token.map(|t| sha256_hex(&t));
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let service = Actor::service();
                if let Some(token) = token
                    && !sessions::take_setup_link(&service, tx, &token).await?
                {
                    return Err(Error::Conflict(
                        "this set-up link was used or is too old; start Steward again for a new one".to_owned(),
                    ));
                }
                if !users::people_with_role(&service, tx, "admin").await?.is_empty() {
                    return Err(Error::Conflict("set-up was done by somebody else in this moment; log in".to_owned()));
                }
                let id = users::create(&service, tx, &admin).await?;
                if users::agent(&service, tx, EMPLOYEE).await?.is_none() {
                    let employee = NewUser {
                        username: EMPLOYEE.to_owned(),
                        email: "employee@steward.invalid".to_owned(),
                        // No password has this hash: the employee never logs in.
                        password_hash: "!".to_owned(),
                        role: "user".to_owned(),
                        first_name: None,
                        last_name: None,
                    };
                    let agent = users::create(&service, tx, &employee).await?;
                    users::make_agent(&service, tx, agent, EMPLOYEE).await?;
                }
                sessions::clear_setup_links(&service, tx).await?;
                Ok(id)
            })
        })
        .await
}

/// Adds a user; for user administrators.
pub async fn add_user(
    store: &Store,
    actor: &Actor,
    username: &str,
    email: &str,
    role: &str,
    password: String,
) -> Result<Uuid> {
    check_name(username)?;
    check_email(email)?;
    check_role(role)?;
    if !users::allowed(actor, store, "user_admin").await? {
        return Err(store::Error::Refused { what: "users".to_owned() }.into());
    }
    let new = NewUser {
        username: username.to_owned(),
        email: email.to_owned(),
        password_hash: hash_password(password, &[username.to_owned(), email.to_owned()]).await?,
        role: role.to_owned(),
        first_name: None,
        last_name: None,
    };
    Ok(users::create(actor, store, &new).await?)
}

/// Gives a user a role; the last active admin keeps his, for nobody could give it back.
pub async fn set_role(store: &Store, actor: &Actor, id: Uuid, role: &str) -> Result<()> {
    check_role(role)?;
    let (actor, role) = (actor.clone(), role.to_owned());
    let change = store.transaction(move |tx: &Transaction| -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            permitted(users::allowed(&actor, tx, "user_admin").await?)?;
            if role != "admin" {
                keep_an_admin(&actor, tx, id).await?;
            }
            permitted(users::set_role(&actor, tx, id, &role).await?)
        })
    });
    change.await?;
    store.changed(Change::User(id)).await;
    Ok(())
}

/// Makes a user active, inactive or suspended. Whoever is not active has no session from then on, on any node; the last
/// active admin stays so.
pub async fn set_status(store: &Store, actor: &Actor, id: Uuid, status: &str) -> Result<()> {
    let (actor, status) = (actor.clone(), status.to_owned());
    let change = store.transaction(move |tx: &Transaction| -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let is_leaving = status != "active";
            permitted(users::allowed(&actor, tx, "user_admin").await?)?;
            if is_leaving {
                keep_an_admin(&actor, tx, id).await?;
            }
            permitted(users::set_status(&actor, tx, id, &status).await?)?;
            if is_leaving {
                sessions::revoke_all_of(&as_service(&actor), tx, id).await?;
            }
            Ok(())
        })
    });
    change.await?;
    store.changed(Change::User(id)).await;
    Ok(())
}

/// Gives a person a new password and ends all of that person's sessions: whoever knew the old one is out.
pub async fn set_password(store: &Store, actor: &Actor, id: Uuid, password: String) -> Result<()> {
    let account = users::account(actor, store, id).await?.ok_or_else(not_allowed)?;
    // A hash is dear: not for whoever may not keep it.
    permitted(users::allowed(actor, store, "user_admin").await?)?;
    if account.is_agent {
        let message = format!("{} is an agent and never logs in, so it has no password", account.username);
        return Err(Error::invalid("password", message));
    }
    let hash = hash_password(password, &[account.username, account.email]).await?;
    let actor = actor.clone();
    let change = store.transaction(move |tx: &Transaction| -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            permitted(users::set_password(&actor, tx, id, &hash).await?)?;
            sessions::revoke_all_of(&as_service(&actor), tx, id).await?;
            Ok(())
        })
    });
    change.await?;
    store.changed(Change::User(id)).await;
    Ok(())
}

/// Refuses to take the last active admin away. Who asks second waits here for who asked first.
async fn keep_an_admin(actor: &Actor, tx: &Transaction, id: Uuid) -> Result<()> {
    let admins = users::lock_admins(actor, tx).await?;
    match &admins[..] {
        [only] if only.id == id => Err(Error::Conflict(format!(
            "{} is the only admin; make somebody else admin first: steward user role NAME admin",
            only.username
        ))),
        _ => Ok(()),
    }
}

/// Only Steward itself ends other people's sessions; the request behind it stands in the audit.
pub(crate) fn as_service(actor: &Actor) -> Actor {
    let (agent, request) = (actor.user_agent.as_deref(), actor.request_id.as_deref());
    Actor::service().from_request(actor.ip_address, agent, request)
}

/// Nothing was changed: the database refused it, or there is no such user.
fn permitted(done: bool) -> Result<()> {
    if done { Ok(()) } else { Err(not_allowed()) }
}

fn not_allowed() -> Error {
    store::Error::Refused { what: "users".to_owned() }.into()
}

/// Whose name (or address) and password these are. Which of them is wrong, and whether there is such an account, shows
/// neither in the answer nor in the time it takes.
pub async fn check_password(store: &Store, service: &Actor, login: &str, password: String) -> Result<Credentials> {
    let found = if login.len() <= 255 { users::credentials(service, store, login).await? } else { None };
    let hash = found.as_ref().map(|c| c.password_hash.clone());
    let right = password.len() <= 4000 && verify_password(password, hash).await?;
    found.filter(|c| right && c.status == "active").ok_or(Error::LogInRefused)
}

/// Begins a session of a user without a password: for the employee at start.
pub async fn begin_session(store: &Store, service: &Actor, user_id: Uuid) -> Result<(String, Session)> {
    let (token, hash) = new_token();
    sessions::create(
        service,
        store,
        user_id,
        &hash,
        store::now() + IDLE,
        service.ip_address,
        service.user_agent.as_deref(),
    )
    .await?;
    let session = sessions::by_token(service, store, &hash).await?.ok_or(Error::LogInRefused)?;
    Ok((token, session))
}

/// The session behind a cookie's token, if it is valid; its end moves with use, which is noted at most once a minute.
pub async fn session(store: &Store, token: &str) -> Result<Option<Session>> {
    if token.len() > 100 {
        return Ok(None);
    }
    let service = Actor::service();
    let token_sha256 = sha256_hex(token);
    let Some(session) = sessions::valid(&service, store, &token_sha256).await? else { return Ok(None) };
    let now = store::now();
    if now > session.created_at + ABSOLUTE {
        return Ok(None);
    }
    if now.duration_since(session.last_accessed) > SignedDuration::from_secs(60) {
        let expires_at: Timestamp = (now + IDLE).min(session.created_at + ABSOLUTE);
        let used = Use { session_id: session.id, token_sha256, at: now, expires_at, is_token: false };
        sessions::note_use(&service, store, &session, used).await?;
    }
    Ok(Some(session))
}

/// Whether a log-in or an API token that was valid still is, by the SHA-256 of its token; that is no use of it.
pub async fn is_valid(store: &Store, session: &Session, token_sha256: &str) -> Result<bool> {
    let service = Actor::service();
    if session.scopes.is_some() {
        return Ok(store::api_tokens::valid(&service, store, token_sha256).await?.is_some());
    }
    let is_old = store::now() > session.created_at + ABSOLUTE;
    Ok(!is_old && sessions::valid(&service, store, token_sha256).await?.is_some())
}

fn check_name(name: &str) -> Result<()> {
    let good =
        (1..=100).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
    if good {
        Ok(())
    } else {
        Err(Error::invalid("username", "the user name needs 1 to 100 letters, digits, dots, dashes or underscores"))
    }
}

fn check_email(email: &str) -> Result<()> {
    let good = email.len() <= 255
        && email.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('@'))
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if good {
        Ok(())
    } else {
        Err(Error::invalid("email", "the address must look like name@example.org and have at most 255 characters"))
    }
}

/// Refuses a role that does not exist.
pub fn check_role(role: &str) -> Result<()> {
    if ["admin", "user", "observer"].contains(&role) {
        Ok(())
    } else {
        Err(Error::invalid("role", "the role must be admin, user or observer"))
    }
}
