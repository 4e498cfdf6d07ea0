//! Who asks: the client behind a request, the session behind its cookie, and the log-in that makes one.

use std::{net::IpAddr, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
    response::AppendHeaders,
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use domain::{
    guessing::Device,
    playbook::sha256_hex,
    sign_in::{self, LogIn},
};
use store::{Actor, sessions::Session};
use uuid::Uuid;

use crate::{
    access::Need,
    app::App,
    fault::{Fault, Result},
    origin,
    rate::Who,
};

/// The cookie that holds the session's token.
pub(crate) const COOKIE: &str = "steward_session";
/// The cookie that bears the browser's mark.
const DEVICE_COOKIE: &str = "steward_device";

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

    /// Whether it is a person who administers the house. For showing alone: the database judges what is done.
    pub fn is_admin(&self) -> bool {
        self.session.role == "admin" && !self.session.is_agent
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
                (by_token(app, (client.need, client.ip), token).await?, String::new(), sha256_hex(token))
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
async fn by_token(app: &App, (need, ip): (Need, Option<IpAddr>), token: &str) -> Result<Session> {
    let session = domain::tokens::valid(app.store(), token).await?.ok_or_else(Fault::token_refused)?;
    // A token that several machines share is one.
    if Who::from_address(ip).is_some() && !app.rates.take(Who::Token(session.id), Instant::now()) {
        return Err(Fault::too_fast());
    }
    match need {
        Need::Known => Ok(session),
        Need::Scope(scope) if scope.is_held_by(&session) => Ok(session),
        Need::Scope(scope) => Err(Fault::scope_needed(scope.as_str())),
        Need::LogIn | Need::Page => Err(Fault::person_needed()),
    }
}

/// What sets the cookies of session and browser, in this order.
pub(crate) type Cookies = AppendHeaders<[(HeaderName, String); 2]>;

/// The mark of this browser, if it bears one that is ours and of the account.
pub(crate) fn device(app: &App, headers: &HeaderMap, login: &str) -> Option<Device> {
    let jar = CookieJar::from_headers(headers);
    Device::read(&app.device_key, login, jar.get(DEVICE_COOKIE)?.value())
}

/// Checks what somebody shows to come in; answers the session, its token, and the cookies of session and browser.
pub(crate) async fn log_in(
    app: &App,
    client: &Client,
    headers: &HeaderMap,
    (login, password, code): (&str, &str, Option<&str>),
) -> Result<(Session, String, Cookies)> {
    let login = login.trim();
    let device = device(app, headers, login);
    let (ip, user_agent) = (client.ip, client.user_agent.as_deref());
    let shown = LogIn { login, password, code, ip, user_agent, device: device.as_ref() };
    let found = sign_in::log_in(app.store(), &app.state.vault, shown).await;
    if let Err(domain::Error::LogInRefused) = &found {
        // Not for whom: what stands in that field may be a password.
        tracing::info!("a log-in was refused");
    }
    let (token, session) = found?;
    let device = device.unwrap_or_else(|| Device::new(&app.device_key, login));
    let cookies = [cookie(token.clone(), client), device_cookie(&device, client)];
    let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie.to_string())));
    Ok((session, token, cookies))
}

/// The cookie by which a browser is known again; it opens nothing.
fn device_cookie(device: &Device, client: &Client) -> Cookie<'static> {
    let bare = Cookie::build((DEVICE_COOKIE, device.as_str().to_owned())).path("/").http_only(true);
    bare.same_site(SameSite::Strict).secure(client.is_https).permanent().build()
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

/// Has the person show again who it is.
pub(crate) async fn reauthenticate(app: &App, me: &Signed, headers: &HeaderMap, password: String) -> Result<()> {
    let device = device(app, headers, &me.session.username);
    Ok(sign_in::reauthenticate(app.store(), &me.actor, &me.session, device.as_ref(), password).await?)
}
