//! Passkeys: enrolled, listed and taken away by their owner, and shown to come in or to show again who one is. Each is a
//! ceremony of two requests: what the browser is asked for, and what it answers.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use axum_extra::extract::cookie::CookieJar;
use domain::{
    passkeys::{self, Begun, Site},
    second_factor,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Actor, passkeys::Passkey};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, List},
    auth::Present,
    second_factor::fresh,
};
use crate::{
    app::App,
    body::{OpenJson, SignedJson},
    fault::{Fault, Result},
    hosts::host_of,
    params::{Id, Params},
    session::{self, Signed},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, enrol))
        .routes(routes!(begin_enrolment))
        .routes(routes!(remove))
        .routes(routes!(begin_log_in))
        .routes(routes!(log_in))
        .routes(routes!(begin_again))
        .routes(routes!(again))
}

/// The desk as the browser names it.
fn site(headers: &HeaderMap) -> Result<Site> {
    let host = host_of(headers).ok_or_else(|| Fault::malformed("the request names no host"))?;
    Ok(Site::of(host.host())?)
}

/// What the browser is asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ceremony {
    /// For `navigator.credentials`: `create` to enrol, `get` otherwise; bytes are in base 64 for addresses.
    #[schema(value_type = Object)]
    options: Value,
    /// To be sent back with the browser's answer, as it is; good for five minutes.
    state: String,
}

impl From<Begun> for Ceremony {
    fn from(begun: Begun) -> Self {
        Self { options: begun.options, state: begun.state }
    }
}

/// Your passkeys, newest first
#[utoipa::path(get, path = "/auth/passkeys", tag = "Sessions",
    responses((status = 200, description = "The passkeys, without their keys", body = List<Passkey>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::whole(passkeys::list(app.store(), &me.actor).await?)
}

/// Begin to enrol a passkey
///
/// Needs that you have just shown who you are, and a desk that is reached by a name.
#[utoipa::path(post, path = "/auth/passkeys/begin", tag = "Sessions", request_body = Nothing,
    responses((status = 200, description = "What the browser is asked for", body = Ceremony)))]
async fn begin_enrolment(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Json<Ceremony>> {
    fresh(&me)?;
    let begun = passkeys::begin_enrolment(app.store(), &app.state.vault, &me.actor, &site(&headers)?).await?;
    Ok(Json(begun.into()))
}

/// A passkey that a device made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasskey {
    /// What you call it, 1–100 characters.
    name: String,
    /// The `state` that it was begun with.
    state: String,
    /// What the browser answered.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Enrol a passkey
///
/// From then on your password alone lets nobody in.
#[utoipa::path(post, path = "/auth/passkeys", tag = "Sessions", request_body = NewPasskey,
    responses((status = 201, description = "The passkey", body = Passkey)))]
async fn enrol(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, new): SignedJson<NewPasskey>,
) -> Result<Response> {
    fresh(&me)?;
    let shown = (new.state.as_str(), new.credential);
    let made = passkeys::enrol(app.store(), &app.state.vault, &me.actor, &site(&headers)?, &new.name, shown).await?;
    answer::json(StatusCode::CREATED, &made)
}

/// Take a passkey away
///
/// Needs that you have just shown who you are.
#[utoipa::path(delete, path = "/auth/passkeys/{id}", tag = "Sessions",
    params(("id" = Uuid, Path, description = "The passkey")), responses((status = 204, description = "It is gone")))]
async fn remove(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    fresh(&me)?;
    passkeys::remove(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is to show a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// What the desk gave after the right password; without it, whoever has a passkey.
    #[serde(default)]
    challenge: Option<String>,
}

/// Whose password was right before this.
fn challenged(app: &App, challenge: Option<&str>) -> Result<Option<Uuid>> {
    let over = || Fault::invalid("challenge", "that took longer than five minutes; begin again with the password");
    challenge.map(|text| second_factor::challenged(&app.device_key, text).ok_or_else(over)).transpose()
}

/// Begin a log-in with a passkey
#[utoipa::path(post, path = "/auth/login/passkey/begin", tag = "Sessions", request_body = Whose,
    responses((status = 200, description = "What the browser is asked for", body = Ceremony)))]
async fn begin_log_in(
    State(app): State<App>,
    headers: HeaderMap,
    OpenJson(_, whose): OpenJson<Whose>,
) -> Result<Json<Ceremony>> {
    let user = challenged(&app, whose.challenge.as_deref())?;
    Ok(Json(passkeys::begin(app.store(), &app.state.vault, &site(&headers)?, user).await?.into()))
}

/// A passkey that is shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    /// The `state` that it was begun with.
    state: String,
    /// What the browser answered.
    #[schema(value_type = Object)]
    credential: Value,
    /// What the desk gave after the right password, as it was begun with.
    #[serde(default)]
    challenge: Option<String>,
}

/// Log in with a passkey
///
/// In place of a password, or after it. The answer sets the cookie `steward_session`.
#[utoipa::path(post, path = "/auth/login/passkey", tag = "Sessions", request_body = Shown,
    responses((status = 200, description = "The session", body = Present)))]
async fn log_in(
    State(app): State<App>,
    headers: HeaderMap,
    OpenJson(client, shown): OpenJson<Shown>,
) -> Result<Response> {
    let user = challenged(&app, shown.challenge.as_deref())?;
    let (from, site) = (client.as_actor(Actor::service()), site(&headers)?);
    let credential = (shown.state.as_str(), shown.credential);
    let (token, session) = passkeys::log_in(app.store(), &app.state.vault, &site, user, credential, &from).await?;
    let jar = CookieJar::new().add(session::cookie(token.clone(), &client));
    Ok((jar, Json(Present::of(session, &token))).into_response())
}

/// Begin to show again who you are, with a passkey
#[utoipa::path(post, path = "/auth/reauthenticate/passkey/begin", tag = "Sessions", request_body = Nothing,
    responses((status = 200, description = "What the browser is asked for", body = Ceremony)))]
async fn begin_again(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Json<Ceremony>> {
    let site = site(&headers)?;
    Ok(Json(passkeys::begin(app.store(), &app.state.vault, &site, Some(me.user_id())).await?.into()))
}

/// A passkey that is shown again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownAgain {
    /// The `state` that it was begun with.
    state: String,
    /// What the browser answered.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Show again who you are, with a passkey
///
/// Decisions of high risk need that within ten minutes.
#[utoipa::path(post, path = "/auth/reauthenticate/passkey", tag = "Sessions", request_body = ShownAgain,
    responses((status = 204, description = "It is you")))]
async fn again(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, shown): SignedJson<ShownAgain>,
) -> Result<StatusCode> {
    let (site, credential) = (site(&headers)?, (shown.state.as_str(), shown.credential));
    passkeys::reauthenticate(app.store(), &app.state.vault, &me.actor, (&site, &me.session), credential).await?;
    Ok(StatusCode::NO_CONTENT)
}
