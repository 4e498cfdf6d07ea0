//! Log-in, log-out and who is logged in.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use axum_extra::extract::cookie::CookieJar;
use domain::sign_in;
use serde::{Deserialize, Serialize};
use store::sessions::{self, OpenSession, Session};

use super::List;
use crate::{
    app::App,
    body::{OpenJson, SignedJson},
    fault::Result,
    origin,
    params::{Id, Params},
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
    /// A code of the second factor, or a recovery code.
    #[serde(default)]
    code: Option<String>,
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
pub(crate) async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    OpenJson(client, body): OpenJson<LogIn>,
) -> Result<Response> {
    let (session, token, jar) = {
        let shown = (body.login.as_str(), body.password.as_str(), body.code.as_deref());
        session::log_in(&app, &client, &headers, shown).await?
    };
    Ok((jar, Json(Present { session, csrf_token: origin::form_token(&token) })).into_response())
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

/// One of one's sessions.
#[derive(Debug, Serialize)]
pub(crate) struct Mine {
    #[serde(flatten)]
    session: OpenSession,
    /// Whether it is the one that asks.
    is_this: bool,
}

/// `GET /v1/auth/sessions`: one's own that are open, the last used first.
pub(crate) async fn sessions(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<Mine>>> {
    params.only(&[])?;
    let found = sign_in::open_sessions(app.store(), &me.actor).await?;
    let mine = |session: OpenSession| Mine { is_this: session.id == me.session.id, session };
    Ok(List::whole(found.into_iter().map(mine).collect()))
}

/// `DELETE /v1/auth/sessions`: ends all of one's own but the one that asks.
pub(crate) async fn end_others(
    State(app): State<App>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    sessions::revoke_others(&me.actor, app.store(), me.user_id(), me.session.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/auth/sessions/{id}`: ends one of one's own.
pub(crate) async fn end_one(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    sign_in::end_session(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What shows again who it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Again {
    password: String,
}

/// `POST /v1/auth/reauthenticate`: shows again who it is; decisions of high risk need that within ten minutes.
pub(crate) async fn reauthenticate(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, again): SignedJson<Again>,
) -> Result<StatusCode> {
    session::reauthenticate(&app, &me, &headers, again.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new password for oneself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    current_password: String,
    /// 15 to 1000 characters.
    new_password: String,
}

/// `POST /v1/auth/password`: ends all of one's sessions but the one that asks.
pub(crate) async fn change_password(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, said): SignedJson<NewPassword>,
) -> Result<StatusCode> {
    let device = session::device(&app, &headers, &me.session.username);
    let NewPassword { current_password, new_password } = said;
    sign_in::change_password(app.store(), &me.actor, &me.session, device.as_ref(), current_password, new_password)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
