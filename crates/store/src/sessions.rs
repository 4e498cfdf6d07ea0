//! `sessions` and the one-time set-up links.

use std::net::IpAddr;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, row},
};

row! {
    /// A valid session with its user.
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
    }
}

statements! {
    CREATE: Session = "sessions/create";
    BY_TOKEN: Session = "sessions/by_token";
    TOUCH: Session = "sessions/touch";
    REVOKE: Session = "sessions/revoke";
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

/// Notes a use, and moves the end of the session. For Steward itself only.
pub async fn touch(actor: &Actor, on: impl Run, id: Uuid, expires_at: Timestamp) -> Result<()> {
    on.execute(actor, &TOUCH, vec![id.into(), expires_at.into()]).await.map(drop)
}

/// Ends a session of one's own. False: none such.
pub async fn revoke(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &REVOKE, vec![id.into()]).await? > 0)
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
