//! Log-in, log-out and who is logged in.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use axum_extra::extract::cookie::CookieJar;
use serde::{Deserialize, Serialize};
use store::sessions::{self, Session};

use crate::{
    app::App,
    body::{OpenJson, SignedJson},
    fault::Result,
    origin,
    session::{self, Client, Signed},
};

/// What a log-in needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    /// Name or address.
    #[serde(alias = "username", alias = "email")]
    login: String,
    password: String,
}

/// The body that carries nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Who is logged in, and what the session's forms carry.
#[derive(Debug, Serialize)]
pub(crate) struct Present {
    #[serde(flatten)]
    session: Session,
    csrf_token: String,
}

/// `POST /v1/auth/login`
pub(crate) async fn login(State(app): State<App>, OpenJson(client, body): OpenJson<LogIn>) -> Result<Response> {
    let (token, session) = session::log_in(&app, &client, &body.login, body.password).await?;
    let present = Present { session, csrf_token: origin::form_token(&token) };
    Ok((CookieJar::new().add(session::cookie(token, &client)), Json(present)).into_response())
}

/// `POST /v1/auth/logout`
pub(crate) async fn logout(
    State(app): State<App>,
    client: Client,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    sessions::revoke(&me.actor, app.store(), me.session.id).await?;
    Ok((StatusCode::NO_CONTENT, CookieJar::new().add(session::no_cookie(&client))).into_response())
}

/// `GET /v1/auth/session`
pub(crate) async fn session(me: Signed) -> Json<Present> {
    Json(Present { session: me.session, csrf_token: me.form_token })
}
