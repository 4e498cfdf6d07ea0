//! One's own second factor: begun, confirmed by its first code, recovered, taken away.

use axum::{Json, extract::State, http::StatusCode};
use domain::{
    second_factor::{self, Enrolment},
    sign_in,
};
use serde::{Deserialize, Serialize};

use super::auth::Nothing;
use crate::{app::App, body::SignedJson, fault::Result, params::Params, session::Signed};

/// Whoever changes how one comes in has just shown who it is.
fn fresh(me: &Signed) -> Result<()> {
    if sign_in::is_fresh(&me.session) { Ok(()) } else { Err(domain::Error::ReauthenticationNeeded.into()) }
}

/// `GET /v1/auth/second-factor`
pub(crate) async fn state(State(app): State<App>, me: Signed, params: Params) -> Result<Json<second_factor::State>> {
    params.only(&[])?;
    Ok(Json(second_factor::state(app.store(), &me.actor).await?))
}

/// `POST /v1/auth/second-factor`: begins; it counts once confirmed.
pub(crate) async fn begin(
    State(app): State<App>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<(StatusCode, Json<Enrolment>)> {
    fresh(&me)?;
    let enrolment = second_factor::begin(app.store(), &app.state.vault, &me.actor).await?;
    Ok((StatusCode::CREATED, Json(enrolment)))
}

/// A code of the app.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    code: String,
}

/// Codes for the day the app is lost; shown this once.
#[derive(Serialize)]
pub(crate) struct Codes {
    recovery_codes: Vec<String>,
}

/// `POST /v1/auth/second-factor/confirm`
pub(crate) async fn confirm(State(app): State<App>, SignedJson(me, shown): SignedJson<Code>) -> Result<Json<Codes>> {
    fresh(&me)?;
    let recovery_codes = second_factor::confirm(app.store(), &app.state.vault, &me.actor, &shown.code).await?;
    Ok(Json(Codes { recovery_codes }))
}

/// `POST /v1/auth/second-factor/recovery-codes`: new ones in place of all before.
pub(crate) async fn renew_codes(
    State(app): State<App>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Json<Codes>> {
    fresh(&me)?;
    Ok(Json(Codes { recovery_codes: second_factor::renew_codes(app.store(), &me.actor).await? }))
}

/// `DELETE /v1/auth/second-factor`
pub(crate) async fn remove(
    State(app): State<App>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    fresh(&me)?;
    second_factor::remove(app.store(), &me.actor, me.user_id()).await?;
    Ok(StatusCode::NO_CONTENT)
}
