//! `notification_outbox`: what is still to be planned or sent, and what became of it. Triggers fill it; Steward empties it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{page, row},
};

row! {
    /// A notification's place in the outbox.
    pub struct Outgoing {
        /// The notification.
        pub notification_id: Uuid,
        /// `planning` (on the web, its further ways not yet worked out), `waiting` (to be sent), `done` or `failed`.
        pub state: String,
        /// How often it was taken up: the fence.
        pub attempts: i32,
        /// Not before.
        pub due_at: Timestamp,
        /// Until when whoever has it is taken to live.
        pub lease_until: Option<Timestamp>,
        /// What went wrong last.
        pub last_error: Option<String>,
    }
}

statements! {
    CLAIM: Outgoing = "notification_outbox/claim";
    FINISH: Outgoing = "notification_outbox/finish";
    RETRY: Outgoing = "notification_outbox/retry";
    LIST: Outgoing = "notification_outbox/list";
}

/// Takes up what is due, at most `limit`, for `lease` by the database's clock. For Steward itself only.
pub async fn claim(actor: &Actor, on: impl Run, lease: SignedDuration, limit: i64) -> Result<Vec<Outgoing>> {
    on.list(actor, &CLAIM, vec![millis(lease), page(limit)]).await
}

/// Ends one: `done` or `failed`. False: another took it up meanwhile, and nothing was written.
pub async fn finish(actor: &Actor, on: impl Run, held: &Outgoing, state: &str, error: Option<&str>) -> Result<bool> {
    let params = vec![held.notification_id.into(), held.attempts.into(), state.into(), error.into()];
    Ok(on.execute(actor, &FINISH, params).await? > 0)
}

/// Gives one back, to be taken up again after `delay`. False: another took it up meanwhile.
pub async fn retry(actor: &Actor, on: impl Run, held: &Outgoing, delay: SignedDuration, error: &str) -> Result<bool> {
    let params = vec![held.notification_id.into(), held.attempts.into(), millis(delay), error.into()];
    Ok(on.execute(actor, &RETRY, params).await? > 0)
}

/// What became of notifications that the actor may see.
pub async fn list(actor: &Actor, on: impl Run, ids: Vec<Uuid>) -> Result<Vec<Outgoing>> {
    on.list(actor, &LIST, vec![ids.into()]).await
}

fn millis(length: SignedDuration) -> crate::value::Value {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX).into()
}
