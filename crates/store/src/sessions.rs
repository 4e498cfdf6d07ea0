//! `sessions` and the one-time set-up links.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, BoxFuture, Result, Run, Store, api_tokens,
    cache::{Change, EVERY, Use},
    statement::{Statement, statements},
    value::{Scalar, Value, page, row, time_text},
};

row! {
    /// A valid session with its user; or an API token, which is looked up in the same way.
    pub struct Session {
        /// Id of the session (not the token).
        pub id: Uuid,
        /// Whose.
        pub user_id: Uuid,
        /// The user's name.
        pub username: String,
        /// The user's role.
        pub role: String,
        /// When it began.
        pub created_at: Timestamp,
        /// When it ends unless used.
        pub expires_at: Timestamp,
        /// Last use that was noted.
        pub last_accessed: Timestamp,
        /// Whether its user is a program.
        pub is_agent: bool,
        /// How far an API token reaches; none for the log-in of a person, who reaches all that the person may.
        pub scopes: Option<Vec<String>>,
        /// When its user last showed who it is, by password or more; none for an API token, which never does.
        pub authenticated_at: Option<Timestamp>,
    }
}

row! {
    /// A session that is open, as its user sees it.
    pub struct OpenSession {
        /// Id (not the token).
        pub id: Uuid,
        /// Whose.
        pub user_id: Uuid,
        /// When it began.
        pub created_at: Timestamp,
        /// When it ends unless used.
        pub expires_at: Timestamp,
        /// Last use that was noted.
        pub last_accessed: Timestamp,
        /// When its user last showed who it is.
        pub authenticated_at: Timestamp,
        /// From where it began.
        #[schema(value_type = Option<String>)]
        pub ip_address: Option<IpAddr>,
        /// With which program.
        pub user_agent: Option<String>,
    }
}

impl Session {
    /// How long it still lasts unless it is used; None: it is over.
    pub(crate) fn life(&self) -> Option<Duration> {
        Duration::try_from(self.expires_at.duration_since(crate::now())).ok().filter(|life| !life.is_zero())
    }
}

statements! {
    CREATE: Session = "sessions/create";
    BY_TOKEN: Session = "sessions/by_token" split;
    TOKENS: Scalar<String> = "sessions/tokens";
    TOUCH: Session = "sessions/touch";
    TOUCH_ALL: Session = "sessions/touch_all" split;
    LIST: OpenSession = "sessions/list";
    AUTHENTICATED: Session = "sessions/authenticated";
    REVOKE: Session = "sessions/revoke";
    REVOKE_OTHERS: Session = "sessions/revoke_others";
    REVOKE_ALL_OF: Session = "sessions/revoke_all_of";
    REVOKE_OF_PROGRAM: Session = "sessions/revoke_of_program";
    CLEANUP: Scalar<i64> = "sessions/cleanup" split;
    CREATE_LINK: Session = "setup_links/create";
    TAKE_LINK: Session = "setup_links/take";
    CLEAR_LINKS: Session = "setup_links/clear";
}

/// Begins a session; `token_sha256` is the hash of what the browser holds. For Steward itself only.
pub async fn create(
    actor: &Actor,
    on: impl Run,
    user_id: Uuid,
    token_sha256: &str,
    expires_at: Timestamp,
    ip: Option<IpAddr>,
    user_agent: Option<&str>,
) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![id.into(), user_id.into(), token_sha256.into(), expires_at.into(), ip.into(), user_agent.into()];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// The session of a token's hash, if it is valid and its user active. For Steward itself only.
pub async fn by_token(actor: &Actor, on: impl Run, token_sha256: &str) -> Result<Option<Session>> {
    on.optional(actor, &BY_TOKEN, vec![token_sha256.into()]).await
}

/// The same, from the caches where they hold it: never one that was ended before this was called (see [`crate::cache`]).
pub async fn valid(actor: &Actor, store: &Store, token_sha256: &str) -> Result<Option<Session>> {
    cached(actor, store, token_sha256, Box::pin(by_token(actor, store, token_sha256))).await
}

/// A session or token by its hash from the caches, where they may answer, or else what `load` reads.
pub(crate) async fn cached(
    actor: &Actor,
    store: &Store,
    token_sha256: &str,
    load: BoxFuture<'_, Result<Option<Session>>>,
) -> Result<Option<Session>> {
    // Nobody but Steward itself is answered from what Steward itself read.
    if actor.principal != crate::Principal::Service || !store.cache.holds_sessions() {
        return load.await;
    }
    let on = |session: &Option<Session>| {
        let user = session.as_ref().map(|s| Change::User(s.user_id));
        user.into_iter().chain([Change::Session(token_sha256.to_owned())]).collect()
    };
    let life = |session: &Option<Session>| session.as_ref().and_then(Session::life);
    store.cache.session(store, token_sha256, on, life, load).await
}

/// The hashes of the tokens of a session, of an API token, or of a user's newest thousand, by the id of any of them.
pub(crate) async fn tokens(store: &Store, id: Uuid) -> Result<Vec<String>> {
    let rows: Vec<Scalar<String>> = store.list(&Actor::service(), &TOKENS, vec![id.into()]).await?;
    Ok(rows.into_iter().map(|token| token.0).collect())
}

/// Notes a use of a session and moves its end, within a few seconds and at most once a minute; at once where the session
/// is about to end. An API token's end stays where it is. For Steward itself only.
pub async fn note_use(actor: &Actor, store: &Store, session: &Session, used: Use) -> Result<()> {
    let is_ending = !used.is_token && session.expires_at.duration_since(used.at) < EVERY * 2;
    let is_service = actor.principal == crate::Principal::Service;
    if !is_ending && is_service && store.cache.note_use(store, used.clone()) {
        return Ok(());
    }
    if used.is_token {
        return api_tokens::touch_all(actor, store, &[used]).await.map(drop);
    }
    touch(actor, store, session.id, used.expires_at).await
}

/// Notes uses, each unless one of its session was noted within the minute before; an end is never moved back. Answers how
/// many were noted. For Steward itself only.
pub async fn touch_all(actor: &Actor, on: impl Run, uses: &[Use]) -> Result<u64> {
    let (statement, params) = touch_all_of(uses);
    on.execute(actor, statement, params).await
}

/// The statement that notes uses, and what goes with it.
pub(crate) fn touch_all_of(uses: &[Use]) -> (&'static Statement, Vec<Value>) {
    let texts = |of: fn(&Use) -> Timestamp| uses.iter().map(|used| time_text(of(used))).collect::<Vec<_>>();
    let ids: Vec<Uuid> = uses.iter().map(|used| used.session_id).collect();
    let params =
        vec![ids.into(), texts(|u| u.at).into(), texts(|u| u.at - EVERY).into(), texts(|u| u.expires_at).into()];
    (&TOUCH_ALL, params)
}

/// Notes a use, and moves the end of the session. For Steward itself only.
pub async fn touch(actor: &Actor, on: impl Run, id: Uuid, expires_at: Timestamp) -> Result<()> {
    on.execute(actor, &TOUCH, vec![id.into(), expires_at.into()]).await.map(drop)
}

/// Ends a session of one's own. False: none such. Within a transaction the caches hear of it from the database alone,
/// unless [`Store::changed`] follows the commit.
pub async fn revoke(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    let ended = on.execute(actor, &REVOKE, vec![id.into()]).await? > 0;
    if ended && let Some(store) = on.store() {
        store.session_ended(id).await;
    }
    Ok(ended)
}

/// Open sessions of a user, the last used first, at most `limit`: one's own, or for Steward itself anybody's.
pub async fn list(actor: &Actor, on: impl Run, user_id: Uuid, limit: i64) -> Result<Vec<OpenSession>> {
    on.list(actor, &LIST, vec![user_id.into(), page(limit)]).await
}

/// Notes that a session's user showed who it is. False: it is over. For Steward itself only.
pub async fn authenticated(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    let done = on.execute(actor, &AUTHENTICATED, vec![id.into()]).await? > 0;
    if done && let Some(store) = on.store() {
        store.session_ended(id).await;
    }
    Ok(done)
}

/// Ends all sessions of a user but one; see [`revoke_all_of`].
pub async fn revoke_others(actor: &Actor, on: impl Run, user_id: Uuid, but: Uuid) -> Result<u64> {
    let ended = on.execute(actor, &REVOKE_OTHERS, vec![user_id.into(), but.into()]).await?;
    if ended > 0
        && let Some(store) = on.store()
    {
        store.changed(Change::User(user_id)).await;
    }
    Ok(ended)
}

/// Ends all sessions of a user, oneself or, for Steward itself, anybody; answers how many. Within a transaction see
/// [`revoke`].
pub async fn revoke_all_of(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<u64> {
    let ended = on.execute(actor, &REVOKE_ALL_OF, vec![user_id.into()]).await?;
    if ended > 0
        && let Some(store) = on.store()
    {
        store.changed(Change::User(user_id)).await;
    }
    Ok(ended)
}

/// Ends the sessions of a user that a program of this name began; answers how many. Within a transaction see [`revoke`].
pub async fn revoke_of_program(actor: &Actor, on: impl Run, user_id: Uuid, user_agent: &str) -> Result<u64> {
    let ended = on.execute(actor, &REVOKE_OF_PROGRAM, vec![user_id.into(), user_agent.into()]).await?;
    if ended > 0
        && let Some(store) = on.store()
    {
        store.changed(Change::User(user_id)).await;
    }
    Ok(ended)
}

/// Removes expired and revoked sessions and answers how many (specification: `cleanup_expired_sessions`).
pub async fn cleanup(actor: &Actor, on: impl Run) -> Result<i64> {
    let rows: Vec<Scalar<i64>> = on.list(actor, &CLEANUP, Vec::new()).await?;
    Ok(rows.iter().map(|s| s.0).sum())
}

/// Keeps the hash of a set-up link.
pub async fn create_setup_link(actor: &Actor, on: impl Run, token_sha256: &str, expires_at: Timestamp) -> Result<()> {
    on.execute(actor, &CREATE_LINK, vec![token_sha256.into(), expires_at.into()]).await.map(drop)
}

/// Uses a set-up link up. False: it is unknown, used or too old.
pub async fn take_setup_link(actor: &Actor, on: impl Run, token_sha256: &str) -> Result<bool> {
    Ok(on.execute(actor, &TAKE_LINK, vec![token_sha256.into()]).await? > 0)
}

/// Forgets all set-up links.
pub async fn clear_setup_links(actor: &Actor, on: impl Run) -> Result<()> {
    on.execute(actor, &CLEAR_LINKS, Vec::new()).await.map(drop)
}
