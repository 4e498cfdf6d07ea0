//! `second_factors` and `recovery_codes`: what a log-in needs besides the password.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{FromRow, Row, Scalar, row},
};

row! {
    /// That a user has a second factor, or began to.
    pub struct SecondFactor {
        /// Whose.
        pub user_id: Uuid,
        /// When it was begun.
        pub created_at: Timestamp,
        /// When it was first shown to work; before that it is asked of nobody.
        pub confirmed_at: Option<Timestamp>,
    }
}

/// A factor's secret, sealed; never serialized.
#[derive(Clone)]
pub struct Sealed {
    /// Sealed by the vault.
    pub secret: Json,
    /// The step of the last code that was taken.
    pub last_step: i64,
}
impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("last_step", &self.last_step).finish_non_exhaustive()
    }
}
impl FromRow for Sealed {
    const COLUMNS: &'static [&'static str] = &["user_id", "secret", "last_step"];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { secret: row.get(1, "secret")?, last_step: row.get(2, "last_step")? })
    }
}

statements! {
    BEGIN: SecondFactor = "second_factors/begin";
    SECRET: Sealed = "second_factors/secret";
    CONFIRM: SecondFactor = "second_factors/confirm";
    TAKE_STEP: SecondFactor = "second_factors/take_step";
    GET: SecondFactor = "second_factors/get";
    REMOVE: SecondFactor = "second_factors/remove";
    CREATE_CODES: Scalar<i64> = "recovery_codes/create" split;
    CLEAR_CODES: Scalar<i64> = "recovery_codes/clear";
    TAKE_CODE: Scalar<i64> = "recovery_codes/take";
    CODES_LEFT: Scalar<i64> = "recovery_codes/left";
}

/// Keeps a secret that is still to be confirmed, in place of another such. False: one is confirmed already. For Steward
/// itself only.
pub async fn begin(actor: &Actor, on: impl Run, user_id: Uuid, sealed: Json) -> Result<bool> {
    Ok(on.execute(actor, &BEGIN, vec![user_id.into(), sealed.into()]).await? > 0)
}

/// The sealed secret of a user that is confirmed, or that is still to be. For Steward itself only.
pub async fn secret(actor: &Actor, on: impl Run, user_id: Uuid, is_confirmed: bool) -> Result<Option<Sealed>> {
    on.optional(actor, &SECRET, vec![user_id.into(), is_confirmed.into()]).await
}

/// Confirms a secret by the step of its first code. False: there is none to confirm. For Steward itself only.
pub async fn confirm(actor: &Actor, on: impl Run, user_id: Uuid, step: i64) -> Result<bool> {
    Ok(on.execute(actor, &CONFIRM, vec![user_id.into(), step.into()]).await? > 0)
}

/// Takes the code of a step. False: this or a later one was taken before. For Steward itself only.
pub async fn take_step(actor: &Actor, on: impl Run, user_id: Uuid, step: i64) -> Result<bool> {
    Ok(on.execute(actor, &TAKE_STEP, vec![user_id.into(), step.into()]).await? > 0)
}

/// Whether a user has a second factor: oneself, or anybody for a user administrator.
pub async fn get(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<Option<SecondFactor>> {
    on.optional(actor, &GET, vec![user_id.into()]).await
}

/// Takes a second factor away with its codes: one's own, or anybody's for a user administrator. False: none such.
pub async fn remove(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![user_id.into()]).await? > 0)
}

/// Gives a user these recovery codes (their SHA-256 in hex) in place of all before. For Steward itself only.
pub async fn set_codes(actor: &Actor, on: impl Run, user_id: Uuid, hashes: Vec<String>) -> Result<()> {
    on.execute(actor, &CLEAR_CODES, vec![user_id.into()]).await?;
    on.execute(actor, &CREATE_CODES, vec![user_id.into(), hashes.into()]).await.map(drop)
}

/// Uses a recovery code up. False: it is unknown or used. For Steward itself only.
pub async fn take_code(actor: &Actor, on: impl Run, user_id: Uuid, hash: &str) -> Result<bool> {
    Ok(on.execute(actor, &TAKE_CODE, vec![user_id.into(), hash.into()]).await? > 0)
}

/// How many recovery codes are left. For Steward itself only.
pub async fn codes_left(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &CODES_LEFT, vec![user_id.into()]).await?.0)
}
