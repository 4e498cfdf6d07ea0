//! `api_tokens`: what a program shows in place of a person's log-in.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run, Store,
    cache::{EVERY, Use},
    sessions::{self, Session},
    statement::{Statement, statements},
    value::{Value, page, row, time_text},
};

row! {
    /// A token as people see it; the token itself is shown once, when it is made.
    pub struct ApiToken {
        /// Id (not the token).
        pub id: Uuid,
        /// As whom it acts.
        pub user_id: Uuid,
        /// What it is for, in its owner's words; 1–100 characters.
        pub name: String,
        /// Its last characters.
        pub hint: String,
        /// How far it reaches, 1–16 words; see `domain::tokens`.
        pub scopes: Vec<String>,
        /// When it ends.
        pub expires_at: Timestamp,
        /// Who made it.
        pub created_by: Option<Uuid>,
        /// When it was made.
        pub created_at: Timestamp,
        /// Its last use, noted at most once a minute.
        pub last_used_at: Option<Timestamp>,
        /// When it was revoked.
        pub revoked_at: Option<Timestamp>,
    }
}

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// As whom it acts.
    pub user_id: Uuid,
    /// What it is for, 1–100 characters.
    pub name: String,
    /// SHA-256 of the token in hex.
    pub token_sha256: String,
    /// Its last characters, at most eight.
    pub hint: String,
    /// How far it reaches, 1–16 words; an agent's without `decide`.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

statements! {
    CREATE: ApiToken = "api_tokens/create";
    GET: ApiToken = "api_tokens/get";
    LIST: ApiToken = "api_tokens/list";
    LIST_ALL: ApiToken = "api_tokens/list_all";
    REVOKE: ApiToken = "api_tokens/revoke";
    BY_TOKEN: Session = "api_tokens/by_token" split;
    TOUCH_ALL: ApiToken = "api_tokens/touch_all" split;
}

/// Keeps a token and answers its id. A person makes them for oneself, a user administrator for agents; an agent none.
pub async fn create(actor: &Actor, on: impl Run, new: &NewApiToken) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        new.user_id.into(),
        (&new.name).into(),
        (&new.token_sha256).into(),
        (&new.hint).into(),
        new.scopes.clone().into(),
        new.expires_at.into(),
        actor.user_id().into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// One token, if the actor may see it.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<ApiToken>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// Tokens of a user (None: of everybody the actor may see), newest first, at most `limit`; with `ended` also those
/// that were revoked or are over.
pub async fn list(
    actor: &Actor,
    on: impl Run,
    user_id: Option<Uuid>,
    ended: bool,
    limit: i64,
) -> Result<Vec<ApiToken>> {
    match user_id {
        Some(id) => on.list(actor, &LIST, vec![id.into(), ended.into(), page(limit)]).await,
        None => on.list(actor, &LIST_ALL, vec![ended.into(), page(limit)]).await,
    }
}

/// Revokes a token of one's own, or for a user administrator anybody's. False: none such, or it was revoked before.
pub async fn revoke(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    let ended = on.execute(actor, &REVOKE, vec![id.into()]).await? > 0;
    if ended && let Some(store) = on.store() {
        store.session_ended(id).await;
    }
    Ok(ended)
}

/// What the token of a hash lets do, if it is valid and its owner active. For Steward itself only.
pub async fn by_token(actor: &Actor, on: impl Run, token_sha256: &str) -> Result<Option<Session>> {
    on.optional(actor, &BY_TOKEN, vec![token_sha256.into()]).await
}

/// The same, from the caches where they hold it: never one that was revoked before this was called.
pub async fn valid(actor: &Actor, store: &Store, token_sha256: &str) -> Result<Option<Session>> {
    sessions::cached(actor, store, token_sha256, Box::pin(by_token(actor, store, token_sha256))).await
}

/// Notes uses, each unless one of its token was noted within the minute before. Answers how many were noted. For
/// Steward itself only.
pub async fn touch_all(actor: &Actor, on: impl Run, uses: &[Use]) -> Result<u64> {
    let (statement, params) = touch_all_of(uses);
    on.execute(actor, statement, params).await
}

/// The statement that notes uses, and what goes with it.
pub(crate) fn touch_all_of(uses: &[Use]) -> (&'static Statement, Vec<Value>) {
    let texts = |of: fn(&Use) -> Timestamp| uses.iter().map(|used| time_text(of(used))).collect::<Vec<_>>();
    let ids: Vec<Uuid> = uses.iter().map(|used| used.session_id).collect();
    (&TOUCH_ALL, vec![ids.into(), texts(|u| u.at).into(), texts(|u| u.at - EVERY).into()])
}
