//! `passkeys`: what a person's device shows in place of a password, or after it.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{FromRow, Row, page, row},
};

/// Passkeys of one user, at most.
pub const MOST: i64 = 50;

row! {
    /// A passkey, without its key.
    pub struct Passkey {
        /// Id.
        pub id: Uuid,
        /// Whose.
        pub user_id: Uuid,
        /// What its owner calls it, 1–100 characters.
        pub name: String,
        /// The name of the desk that it is for, as in `desk.example.org`.
        pub site: String,
        /// How often the device says it was used; many devices do not count, and say 0.
        pub sign_count: i64,
        /// When it was enrolled.
        pub created_at: Timestamp,
        /// When it last let its owner in.
        pub last_used_at: Option<Timestamp>,
    }
}

/// A passkey with its public key; never serialized.
#[derive(Debug, Clone)]
pub struct Key {
    /// Id.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The public key with what is known of the device.
    pub credential: Json,
}
impl FromRow for Key {
    const COLUMNS: &'static [&'static str] = &["id", "user_id", "credential"];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.get(0, "id")?, user_id: row.get(1, "user_id")?, credential: row.get(2, "credential")? })
    }
}

/// A passkey to be kept.
#[derive(Debug, Clone)]
pub struct NewPasskey {
    /// Whose.
    pub user_id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// The name of the desk that it is for.
    pub site: String,
    /// SHA-256 of the credential's id in hex.
    pub credential_sha256: String,
    /// The public key with what is known of the device.
    pub credential: Json,
    /// How often the device says it was used.
    pub sign_count: i64,
    /// When the challenge was made that it answered.
    pub challenge_at: Timestamp,
}

statements! {
    CREATE: Passkey = "passkeys/create";
    LIST: Passkey = "passkeys/list";
    KEYS: Key = "passkeys/keys";
    BY_CREDENTIAL: Key = "passkeys/by_credential" split;
    USED: Passkey = "passkeys/used";
    REMOVE: Passkey = "passkeys/remove";
}

/// Keeps a passkey and answers its id; none where its user has [`MOST`] already. For Steward itself only.
pub async fn create(actor: &Actor, on: impl Run, new: &NewPasskey) -> Result<Option<Uuid>> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        new.user_id.into(),
        (&new.name).into(),
        (&new.site).into(),
        (&new.credential_sha256).into(),
        new.credential.clone().into(),
        new.sign_count.into(),
        new.challenge_at.into(),
        MOST.into(),
    ];
    Ok((on.execute(actor, &CREATE, params).await? > 0).then_some(id))
}

/// A user's passkeys, newest first: one's own, or anybody's for a user administrator.
pub async fn list(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<Vec<Passkey>> {
    on.list(actor, &LIST, vec![user_id.into(), page(MOST)]).await
}

/// A user's keys for a desk of this name. For Steward itself only.
pub async fn keys(actor: &Actor, on: impl Run, user_id: Uuid, site: &str) -> Result<Vec<Key>> {
    on.list(actor, &KEYS, vec![user_id.into(), site.into(), page(MOST)]).await
}

/// The key that a device names. For Steward itself only.
pub async fn by_credential(actor: &Actor, on: impl Run, credential_sha256: &str) -> Result<Option<Key>> {
    on.optional(actor, &BY_CREDENTIAL, vec![credential_sha256.into()]).await
}

/// Notes that a passkey answered the challenge of that moment. False: a later one, or this one, was answered before, or
/// it is gone. For Steward itself only.
pub async fn used(
    actor: &Actor,
    on: impl Run,
    id: Uuid,
    credential: Json,
    sign_count: i64,
    challenge_at: Timestamp,
) -> Result<bool> {
    let params = vec![id.into(), credential.into(), sign_count.into(), challenge_at.into()];
    Ok(on.execute(actor, &USED, params).await? > 0)
}

/// Takes a passkey away: one's own, or anybody's for a user administrator. False: none such.
pub async fn remove(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![id.into()]).await? > 0)
}
