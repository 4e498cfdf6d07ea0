//! `push_subscriptions` and `push_keys`: the browsers that asked to be told, and the key that tells them who sends.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{FromRow, Row, Scalar, page, row},
};

/// Browsers of one user, at most.
pub const MOST: i64 = 20;

row! {
    /// A browser that asked to be told.
    pub struct PushSubscription {
        /// Id.
        pub id: Uuid,
        /// Whose.
        pub user_id: Uuid,
        /// What its owner calls it, 1–100 characters.
        pub name: String,
        /// Since when.
        pub created_at: Timestamp,
    }
}

/// A browser with its address and keys, sealed; never serialized.
#[derive(Clone)]
pub struct Sealed {
    /// Id.
    pub id: Uuid,
    /// Sealed by the vault.
    pub secret: Json,
}
impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("id", &self.id).finish_non_exhaustive()
    }
}
impl FromRow for Sealed {
    const COLUMNS: &'static [&'static str] = &["id", "secret"];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.get(0, "id")?, secret: row.get(1, "secret")? })
    }
}

statements! {
    PUT: PushSubscription = "push_subscriptions/put";
    LIST: PushSubscription = "push_subscriptions/list";
    SEALED: Sealed = "push_subscriptions/sealed";
    REMOVE: PushSubscription = "push_subscriptions/remove";
    CREATE_KEY: Scalar<i64> = "push_keys/create";
    KEY: Scalar<Json> = "push_keys/get";
}

/// Keeps a browser, in place of the same one before. False: its user has [`MOST`] others. For Steward itself only.
pub async fn put(
    actor: &Actor,
    on: impl Run,
    user_id: Uuid,
    name: &str,
    endpoint_sha256: &str,
    sealed: Json,
) -> Result<bool> {
    let params =
        vec![Uuid::now_v7().into(), user_id.into(), name.into(), endpoint_sha256.into(), sealed.into(), MOST.into()];
    Ok(on.execute(actor, &PUT, params).await? > 0)
}

/// One's own browsers, newest first.
pub async fn list(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<Vec<PushSubscription>> {
    on.list(actor, &LIST, vec![user_id.into(), page(MOST)]).await
}

/// A user's browsers with their sealed addresses. For Steward itself only.
pub async fn sealed(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<Vec<Sealed>> {
    on.list(actor, &SEALED, vec![user_id.into(), page(MOST)]).await
}

/// Takes a browser away: one's own; Steward those that are gone. False: none such.
pub async fn remove(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![id.into()]).await? > 0)
}

/// Keeps the sender's key, sealed. False: there is one. For Steward itself only.
pub async fn create_key(actor: &Actor, on: impl Run, sealed: Json) -> Result<bool> {
    Ok(on.execute(actor, &CREATE_KEY, vec![sealed.into()]).await? > 0)
}

/// The sender's key, sealed. For Steward itself only.
pub async fn key(actor: &Actor, on: impl Run) -> Result<Option<Json>> {
    Ok(on.optional::<Scalar<Json>>(actor, &KEY, Vec::new()).await?.map(|found| found.0))
}
