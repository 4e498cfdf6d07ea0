//! Who asks: the client behind a request, the session behind its cookie, and the log-in that makes one.

use std::{net::IpAddr, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use domain::playbook::sha256_hex;
use store::{Actor, sessions::Session};
use uuid::Uuid;

use crate::{
    access::Need,
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
    /// What the address asks for.
    pub need: Need,
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

/// Somebody logged in, or a program with a token.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub actor: Actor,
    pub session: Session,
    /// What the session's forms carry; empty for a token, which sends none.
    pub form_token: String,
    /// SHA-256 in hex of the session's or API token.
    pub token_sha256: String,
}

impl Signed {
    /// The user, not the session.
    pub fn user_id(&self) -> Uuid {
        self.session.user_id
    }

    /// Whether a program asks: an agent, or whoever holds a token.
    pub fn is_program(&self) -> bool {
        self.session.is_agent || self.session.scopes.is_some()
    }
}

/// The token in the cookie, if there is one.
pub(crate) fn cookie_token(headers: &HeaderMap) -> Option<String> {
    CookieJar::from_headers(headers).get(COOKIE).map(|c| c.value().to_owned()).filter(|t| !t.is_empty())
}

/// The token behind `Authorization: Bearer`, if that is how the request comes.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<App> for Signed {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let client = Client::from_request_parts(parts, app).await?;
        let (session, form_token, token_sha256) = match bearer_token(&parts.headers) {
            Some(token) if client.need != Need::Page => {
                (by_token(app, client.need, token).await?, String::new(), sha256_hex(token))
            }
            _ => {
                let token = cookie_token(&parts.headers).ok_or_else(Fault::log_in_needed)?;
                let session = domain::accounts::session(app.store(), &token).await?.ok_or_else(Fault::log_in_needed)?;
                (session, origin::form_token(&token), sha256_hex(&token))
            }
        };
        tracing::Span::current().record("user_id", tracing::field::display(session.user_id));
        Ok(Self { actor: client.as_actor(Actor::user(session.user_id)), session, form_token, token_sha256 })
    }
}

/// What a token lets do, where it reaches what the address asks for.
async fn by_token(app: &App, need: Need, token: &str) -> Result<Session> {
    let session = domain::tokens::valid(app.store(), token).await?.ok_or_else(Fault::token_refused)?;
    match need {
        Need::Known => Ok(session),
        Need::Scope(scope) if scope.is_held_by(&session) => Ok(session),
        Need::Scope(scope) => Err(Fault::scope_needed(scope.as_str())),
        Need::LogIn | Need::Page => Err(Fault::person_needed()),
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
