//! One's own second factor: begun, confirmed by its first code, recovered, taken away.

use axum::{Json, extract::State, http::StatusCode};
use domain::{
    second_factor::{self, Enrolment},
    sign_in,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Nothing;
use crate::{app::App, body::SignedJson, fault::Result, params::Params, session::Signed};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(state, begin, remove)).routes(routes!(confirm)).routes(routes!(renew_codes))
}

/// Whoever changes how one comes in has just shown who it is.
pub(super) fn fresh(me: &Signed) -> Result<()> {
    if sign_in::is_fresh(&me.session) { Ok(()) } else { Err(domain::Error::ReauthenticationNeeded.into()) }
}

/// Whether you have a second factor
#[utoipa::path(get, path = "/auth/second-factor", tag = "Sessions",
    responses((status = 200, description = "How it stands", body = Object)))]
async fn state(State(app): State<App>, me: Signed, params: Params) -> Result<Json<second_factor::State>> {
    params.only(&[])?;
    Ok(Json(second_factor::state(app.store(), &me.actor).await?))
}

/// Begin with a second factor
///
/// It counts once confirmed by a code. Needs that you have just shown who you are.
#[utoipa::path(post, path = "/auth/second-factor", tag = "Sessions", request_body = Nothing,
    responses((status = 201, description = "What the app needs, shown this once", body = Object)))]
async fn begin(
    State(app): State<App>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<(StatusCode, Json<Enrolment>)> {
    fresh(&me)?;
    let enrolment = second_factor::begin(app.store(), &app.state.vault, &me.actor).await?;
    Ok((StatusCode::CREATED, Json(enrolment)))
}

/// A code of the app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    /// The code.
    code: String,
}

/// Codes for the day the app is lost; shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct Codes {
    /// The codes.
    recovery_codes: Vec<String>,
}

/// Confirm the second factor by its first code
#[utoipa::path(post, path = "/auth/second-factor/confirm", tag = "Sessions", request_body = Code,
    responses((status = 200, description = "Recovery codes, shown this once", body = Codes)))]
async fn confirm(State(app): State<App>, SignedJson(me, shown): SignedJson<Code>) -> Result<Json<Codes>> {
    fresh(&me)?;
    let recovery_codes = second_factor::confirm(app.store(), &app.state.vault, &me.actor, &shown.code).await?;
    Ok(Json(Codes { recovery_codes }))
}

/// New recovery codes in place of all before
#[utoipa::path(post, path = "/auth/second-factor/recovery-codes", tag = "Sessions", request_body = Nothing,
    responses((status = 200, description = "Recovery codes, shown this once", body = Codes)))]
async fn renew_codes(State(app): State<App>, SignedJson(me, Nothing {}): SignedJson<Nothing>) -> Result<Json<Codes>> {
    fresh(&me)?;
    Ok(Json(Codes { recovery_codes: second_factor::renew_codes(app.store(), &me.actor).await? }))
}

/// Take your second factor away
#[utoipa::path(delete, path = "/auth/second-factor", tag = "Sessions",
    responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, SignedJson(me, Nothing {}): SignedJson<Nothing>) -> Result<StatusCode> {
    fresh(&me)?;
    second_factor::remove(app.store(), &me.actor, me.user_id()).await?;
    Ok(StatusCode::NO_CONTENT)
}
