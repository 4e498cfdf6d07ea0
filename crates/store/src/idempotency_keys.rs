//! `idempotency_keys`: answers to requests that carry a key of the sender's own, so that the same request is done once.
//! All of it is for Steward itself.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{page, row},
};

/// How long an answer is kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24);

row! {
    /// A request that was begun under a key.
    pub struct Kept {
        /// Whose key.
        pub user_id: Uuid,
        /// The key, 1–255 characters; the sender's own.
        pub key: String,
        /// SHA-256 of the request.
        pub request_sha256: String,
        /// Status of the answer; none while the request is under way, or where it ended without one.
        pub status: Option<i32>,
        /// The answer, sealed (see [`crate::vault`]).
        #[schema(value_type = Option<Object>)]
        pub answer: Option<Json>,
        /// When the request was begun.
        pub created_at: Timestamp,
    }
}

statements! {
    BEGIN: Kept = "idempotency_keys/begin";
    GET: Kept = "idempotency_keys/get";
    FINISH: Kept = "idempotency_keys/finish";
    FORGET: Kept = "idempotency_keys/forget";
    CLEAN: Kept = "idempotency_keys/clean";
}

/// Takes a key for a request. False: it is taken, or the user has too many.
pub async fn begin(actor: &Actor, on: impl Run, user_id: Uuid, key: &str, request_sha256: &str) -> Result<bool> {
    let over = crate::now() - KEPT;
    Ok(on.execute(actor, &BEGIN, vec![user_id.into(), key.into(), request_sha256.into(), over.into()]).await? > 0)
}

/// What was begun under a key.
pub async fn get(actor: &Actor, on: impl Run, user_id: Uuid, key: &str) -> Result<Option<Kept>> {
    on.optional(actor, &GET, vec![user_id.into(), key.into()]).await
}

/// Keeps the answer of a request that is under way. False: there is none such.
pub async fn finish(actor: &Actor, on: impl Run, user_id: Uuid, key: &str, status: i32, answer: Json) -> Result<bool> {
    Ok(on.execute(actor, &FINISH, vec![user_id.into(), key.into(), status.into(), answer.into()]).await? > 0)
}

/// Gives back the key of a request under way that changed nothing. False: there is none such.
pub async fn forget(actor: &Actor, on: impl Run, user_id: Uuid, key: &str) -> Result<bool> {
    Ok(on.execute(actor, &FORGET, vec![user_id.into(), key.into()]).await? > 0)
}

/// Removes keys from before a moment, at most `limit` (0–1000), and answers how many.
pub async fn clean(actor: &Actor, on: impl Run, before: Timestamp, limit: i64) -> Result<u64> {
    on.execute(actor, &CLEAN, vec![before.into(), page(limit)]).await
}
