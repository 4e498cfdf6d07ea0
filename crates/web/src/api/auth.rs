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
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Nothing,
    answer::{self, List},
};
use crate::{
    app::App,
    body::{OpenJson, SignedJson},
    fault::Result,
    origin,
    params::{Id, Params},
    session::{self, Client, Signed},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(present))
        .routes(routes!(open, end_others))
        .routes(routes!(end_one))
        .routes(routes!(reauthenticate))
        .routes(routes!(change_password))
}

/// What a log-in needs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    /// Name or address.
    #[serde(alias = "username", alias = "email")]
    login: String,
    /// Password.
    password: String,
    /// A code of the second factor, or a recovery code.
    #[serde(default)]
    code: Option<String>,
}

/// Who is logged in, and what the session's forms carry.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Present {
    /// The session with its user.
    #[serde(flatten)]
    session: Session,
    /// What the forms of the desk's pages send as `csrf`.
    csrf_token: String,
}

impl Present {
    /// The session behind this token.
    pub(super) fn of(session: Session, token: &str) -> Self {
        Self { session, csrf_token: origin::form_token(token) }
    }
}

/// Log in
///
/// The answer sets the cookie `steward_session`.
#[utoipa::path(post, path = "/auth/login", tag = "Sessions", request_body = LogIn,
    responses((status = 200, description = "The session", body = Present)))]
async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    OpenJson(client, body): OpenJson<LogIn>,
) -> Result<Response> {
    let (session, token, jar) = {
        let shown = (body.login.as_str(), body.password.as_str(), body.code.as_deref());
        session::log_in(&app, &client, &headers, shown).await?
    };
    Ok((jar, Json(Present::of(session, &token))).into_response())
}

/// End this session
#[utoipa::path(post, path = "/auth/logout", tag = "Sessions", request_body = Nothing,
    responses((status = 204, description = "It is over")))]
async fn logout(
    State(app): State<App>,
    client: Client,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    sessions::revoke(&me.actor, app.store(), me.session.id).await?;
    Ok((StatusCode::NO_CONTENT, CookieJar::new().add(session::no_cookie(&client))).into_response())
}

/// Who is logged in
#[utoipa::path(get, path = "/auth/session", tag = "Sessions",
    responses((status = 200, description = "The session", body = Present)))]
async fn present(me: Signed) -> Json<Present> {
    Json(Present { session: me.session, csrf_token: me.form_token })
}

/// One of one's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mine {
    /// The session.
    #[serde(flatten)]
    session: OpenSession,
    /// Whether it is the one that asks.
    is_this: bool,
}

/// Your sessions that are open, the last used first
#[utoipa::path(get, path = "/auth/sessions", tag = "Sessions",
    responses((status = 200, description = "The sessions", body = List<Mine>)))]
async fn open(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    let found = sign_in::open_sessions(app.store(), &me.actor).await?;
    let mine = |session: OpenSession| Mine { is_this: session.id == me.session.id, session };
    answer::whole(found.into_iter().map(mine).collect())
}

/// End all of your sessions but this one
#[utoipa::path(delete, path = "/auth/sessions", tag = "Sessions",
    responses((status = 204, description = "They are over")))]
async fn end_others(State(app): State<App>, SignedJson(me, Nothing {}): SignedJson<Nothing>) -> Result<StatusCode> {
    sessions::revoke_others(&me.actor, app.store(), me.user_id(), me.session.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one of your sessions
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "Sessions",
    params(("id" = Uuid, Path, description = "The session")),
    responses((status = 204, description = "It is over")))]
async fn end_one(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    sign_in::end_session(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What shows again who it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    /// Your password.
    password: String,
}

/// Show again who you are
///
/// Decisions of high risk need that within ten minutes.
#[utoipa::path(post, path = "/auth/reauthenticate", tag = "Sessions", request_body = Again,
    responses((status = 204, description = "It is you")))]
async fn reauthenticate(
    State(app): State<App>,
    headers: HeaderMap,
    SignedJson(me, again): SignedJson<Again>,
) -> Result<StatusCode> {
    session::reauthenticate(&app, &me, &headers, again.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new password for oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The one that stands.
    current_password: String,
    /// 15 to 1000 characters.
    new_password: String,
}

/// Give yourself a new password
///
/// It ends all of your sessions but this one.
#[utoipa::path(post, path = "/auth/password", tag = "Sessions", request_body = NewPassword,
    responses((status = 204, description = "It is changed")))]
async fn change_password(
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
