//! Who asks: the client behind a request, the session behind its cookie, and the log-in that makes one.

use std::{net::IpAddr, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use store::{Actor, sessions::Session};
use uuid::Uuid;

use crate::{
    app::App,
    fault::{Fault, Result},
    origin,
};

/// The cookie that holds the session's token.
pub(crate) const COOKIE: &str = "steward_session";

/// What is known of the program that asks; the guard puts it into the request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: String,
    /// Whether the browser came by https (told by a proxy; it only ever makes the cookie stricter).
    pub is_https: bool,
}

impl Client {
    /// An actor with this request behind it.
    pub fn as_actor(&self, actor: Actor) -> Actor {
        actor.from_request(self.ip, self.user_agent.as_deref(), Some(&self.request_id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Fault::internal("a request without its client"))
    }
}

/// Somebody logged in.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub actor: Actor,
    pub session: Session,
    /// What the session's forms carry.
    pub form_token: String,
}

impl Signed {
    /// The user, not the session.
    pub fn user_id(&self) -> Uuid {
        self.session.user_id
    }
}

/// The token in the cookie, if there is one.
pub(crate) fn cookie_token(headers: &HeaderMap) -> Option<String> {
    CookieJar::from_headers(headers).get(COOKIE).map(|c| c.value().to_owned()).filter(|t| !t.is_empty())
}

impl FromRequestParts<App> for Signed {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let client = Client::from_request_parts(parts, app).await?;
        let token = cookie_token(&parts.headers).ok_or_else(Fault::log_in_needed)?;
        let session = domain::accounts::session(app.store(), &token).await?.ok_or_else(Fault::log_in_needed)?;
        tracing::Span::current().record("user_id", tracing::field::display(session.user_id));
        Ok(Self {
            actor: client.as_actor(Actor::user(session.user_id)),
            session,
            form_token: origin::form_token(&token),
        })
    }
}

/// Checks name and password under the throttle; answers the cookie's token.
pub(crate) async fn log_in(app: &App, client: &Client, login: &str, password: String) -> Result<(String, Session)> {
    app.throttle.begin(login, client.ip, Instant::now()).map_err(Fault::too_many)?;
    let found =
        domain::accounts::log_in(app.store(), login.trim(), password, client.ip, client.user_agent.as_deref()).await?;
    app.throttle.succeeded(login, client.ip);
    Ok(found)
}

/// The cookie of a session; it ends with the browser's own session, and the server's in any case.
pub(crate) fn cookie(token: String, client: &Client) -> Cookie<'static> {
    let bare = Cookie::build((COOKIE, token)).path("/").http_only(true).same_site(SameSite::Strict);
    bare.secure(client.is_https).build()
}

/// The cookie that takes it away.
pub(crate) fn no_cookie(client: &Client) -> Cookie<'static> {
    let mut gone = cookie(String::new(), client);
    gone.make_removal();
    gone
}
