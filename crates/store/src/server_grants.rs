//! `server_grants`: what servers elsewhere let Steward do.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{FromRow, Row, Scalar},
};

/// A grant, sealed; never serialized.
#[derive(Clone)]
pub struct ServerGrant {
    /// Sealed by the vault.
    pub secret: Json,
    /// When a person gave it.
    pub created_at: Timestamp,
}
impl std::fmt::Debug for ServerGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerGrant").field("created_at", &self.created_at).finish_non_exhaustive()
    }
}
impl FromRow for ServerGrant {
    const COLUMNS: &'static [&'static str] = &["secret", "created_at"];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { secret: row.get(0, "secret")?, created_at: row.get(1, "created_at")? })
    }
}

statements! {
    GIVE: Scalar<i64> = "server_grants/give";
    PUT: Scalar<i64> = "server_grants/put";
    GET: ServerGrant = "server_grants/get";
    HOLD: Scalar<i64> = "server_grants/hold";
    REMOVE: Scalar<i64> = "server_grants/remove";
}

/// Keeps what a server lets Steward do, sealed; there may be none before it.
pub async fn give(actor: &Actor, on: impl Run, server_id: Uuid, sealed: Json) -> Result<()> {
    on.execute(actor, &GIVE, vec![server_id.into(), sealed.into()]).await.map(drop)
}

/// Puts what was renewed in the place of what was given at `given`; nobody holds it then. False: there is another, or none.
/// For Steward itself only.
pub async fn put(actor: &Actor, on: impl Run, server_id: Uuid, sealed: Json, given: Timestamp) -> Result<bool> {
    Ok(on.execute(actor, &PUT, vec![server_id.into(), sealed.into(), given.into()]).await? > 0)
}

/// What a server lets Steward do. For Steward itself only.
pub async fn get(actor: &Actor, on: impl Run, server_id: Uuid) -> Result<Option<ServerGrant>> {
    on.optional(actor, &GET, vec![server_id.into()]).await
}

/// Holds it for `length`, to renew it. False: somebody else does, or there is none. For Steward itself only.
pub async fn hold(actor: &Actor, on: impl Run, server_id: Uuid, length: SignedDuration) -> Result<bool> {
    let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    Ok(on.execute(actor, &HOLD, vec![server_id.into(), length_ms.into()]).await? > 0)
}

/// Takes it back. False: there is none, or not allowed.
pub async fn remove(actor: &Actor, on: impl Run, server_id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![server_id.into()]).await? > 0)
}
