//! What a person does with a log-in: show again who it is, see and end one's sessions, take a new password.

use std::net::IpAddr;

use jiff::SignedDuration;
use store::{
    Actor, BoxFuture, Store, Transaction, Vault,
    cache::Change,
    sessions::{self, OpenSession, Session},
    users,
};
use uuid::Uuid;

use crate::{
    Error, Result,
    accounts::{as_service, begin_session, check_password},
    guessing::{self, Device, Try},
    passkeys,
    passwords::hash_password,
    second_factor,
};

/// What somebody shows to come in.
#[derive(Clone, Copy)]
pub struct LogIn<'a> {
    /// Name or address of the account.
    pub login: &'a str,
    /// The password in clear.
    pub password: &'a str,
    /// A code of the second factor, where there is one.
    pub code: Option<&'a str>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With which program.
    pub user_agent: Option<&'a str>,
    /// The browser's mark, where it bears one of this account.
    pub device: Option<&'a Device>,
}

impl std::fmt::Debug for LogIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIn").field("ip", &self.ip).finish_non_exhaustive()
    }
}

/// Checks password and second factor, within the bounds on guessing, and begins a session; answers its token. Where a
/// code or a passkey is still to come, [`Error::SecondFactorNeeded`] says so.
pub async fn log_in(store: &Store, vault: &Vault, shown: LogIn<'_>) -> Result<(String, Session)> {
    let service = Actor::service().from_request(shown.ip, shown.user_agent, None);
    let attempt = Try { login: shown.login, ip: shown.ip, device: shown.device };
    guessing::begin(store, &attempt).await?;
    let user = check_password(store, &service, shown.login, shown.password.to_owned()).await?.id;
    guessing::succeeded(store, &attempt).await?;
    if second_factor::is_on(store, user).await? || passkeys::is_on(store, user).await? {
        let code = shown.code.ok_or(Error::SecondFactorNeeded { user_id: user })?;
        second_factor::check(store, vault, user, code).await?;
    }
    begin(store, &service, user).await
}

/// The second half of a log-in: the code, after the password was shown to be right.
pub async fn log_in_by_code(
    store: &Store,
    vault: &Vault,
    user_id: Uuid,
    code: &str,
    ip: Option<IpAddr>,
    user_agent: Option<&str>,
) -> Result<(String, Session)> {
    second_factor::check(store, vault, user_id, code).await?;
    begin(store, &Actor::service().from_request(ip, user_agent, None), user_id).await
}

pub(crate) async fn begin(store: &Store, service: &Actor, user_id: Uuid) -> Result<(String, Session)> {
    let session = begin_session(store, service, user_id).await?;
    users::touch_login(service, store, user_id).await?;
    Ok(session)
}

/// How long a person counts as having just shown who it is.
pub const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Sessions of one person that are shown.
const SHOWN: i64 = 200;

/// Whether a session's user has just shown who it is; an API token never does.
pub fn is_fresh(session: &Session) -> bool {
    session.authenticated_at.is_some_and(|at| store::now().duration_since(at) < FRESH)
}

/// One's open sessions, the last used first.
pub async fn open_sessions(store: &Store, actor: &Actor) -> Result<Vec<OpenSession>> {
    match actor.user_id() {
        Some(me) => Ok(sessions::list(actor, store, me, SHOWN).await?),
        None => Ok(Vec::new()),
    }
}

/// Ends one of one's own sessions.
pub async fn end_session(store: &Store, actor: &Actor, id: Uuid) -> Result<()> {
    if sessions::revoke(actor, store, id).await? { Ok(()) } else { Err(Error::NotFound(format!("session {id}"))) }
}

/// Has a user (id and name) show the password once more, under the same bounds as a log-in. Nothing of it stays: at the terminal, where
/// there is no session, it holds for the one thing it was asked for.
pub async fn show_password(
    store: &Store,
    actor: &Actor,
    (id, username): (Uuid, &str),
    device: Option<&Device>,
    password: String,
) -> Result<()> {
    let attempt = Try { login: username, ip: actor.ip_address, device };
    guessing::begin(store, &attempt).await?;
    let found = check_password(store, &as_service(actor), username, password).await?;
    if found.id != id {
        return Err(Error::LogInRefused);
    }
    guessing::succeeded(store, &attempt).await
}

/// Has a session's user show again who it is; see [`is_fresh`].
pub async fn reauthenticate(
    store: &Store,
    actor: &Actor,
    session: &Session,
    device: Option<&Device>,
    password: String,
) -> Result<()> {
    show_password(store, actor, (session.user_id, &session.username), device, password).await?;
    if sessions::authenticated(&as_service(actor), store, session.id).await? {
        Ok(())
    } else {
        Err(Error::LogInRefused)
    }
}

/// Gives oneself a new password, who shows the present one; ends all sessions but this.
pub async fn change_password(
    store: &Store,
    actor: &Actor,
    session: &Session,
    device: Option<&Device>,
    present: String,
    new: String,
) -> Result<()> {
    let me = session.user_id;
    show_password(store, actor, (me, &session.username), device, present).await.map_err(|e| match e {
        Error::LogInRefused => Error::invalid("current_password", "this is not your present password"),
        other => other,
    })?;
    let account = users::account(actor, store, me).await?.ok_or(Error::LogInRefused)?;
    let hash = hash_password(new, &[account.username, account.email]).await?;
    let (service, this) = (as_service(actor), session.id);
    let change = store.transaction(move |tx: &Transaction| -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if !users::set_password(&service, tx, me, &hash).await? {
                return Err(Error::LogInRefused);
            }
            sessions::revoke_others(&service, tx, me, this).await?;
            Ok(())
        })
    });
    change.await?;
    store.changed(Change::User(me)).await;
    Ok(())
}
