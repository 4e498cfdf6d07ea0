//! What every request passes: the host it names, its time, its id, the headers of the answer, and the look of errors.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use tracing::Instrument;
use uuid::Uuid;

use crate::{access, app::App, desk, fault::Fault, rate::Who, serve::OverTls, session::Client, upload};

/// How long an answer may take: longer than the store waits for its database (35 s), which then says what became of it.
const TIME: Duration = Duration::from_secs(40);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Pages bring their own style and script and nothing else; forms go nowhere else; nobody frames them.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The middleware around everything.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let client = client_of(&app, &request);
    let is_tls = request.extensions().get::<OverTls>().is_some();
    let asked = Asked::of(&request);
    let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
    let host = if is_probe { Ok(()) } else { app.hosts.check(request.headers(), request.uri()) };
    request.extensions_mut().insert(client.clone());
    // What is logged below says which request it belongs to; the session adds the user.
    let span = tracing::info_span!(
        "request",
        request_id = client.request_id,
        ip = client.ip.map(tracing::field::display),
        user_agent = client.user_agent,
        user_id = tracing::field::Empty
    );
    let who = Who::from_address(client.ip).filter(|_| !is_probe);
    let answer = if let Err(fault) = host {
        fault.into_response()
    } else if who.is_some_and(|who| !app.rates.take(who, Instant::now())) {
        Fault::too_fast().into_response()
    } else {
        let time = if asked.is_upload() { upload::TIME } else { TIME };
        let answer = tokio::time::timeout(time, next.run(request).instrument(span.clone()));
        answer.await.unwrap_or_else(|_| Fault::too_slow().into_response())
    };
    let _in_request = span.entered();
    let mut answer = dress(answer, &asked, &client);
    let headers = answer.headers_mut();
    add_headers(headers);
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(id) = HeaderValue::from_str(&client.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let status = answer.status();
    if let Some(count) = app.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    tracing::debug!(method = %asked.method, path = asked.log_path(), status = status.as_u16(), request_id = client.request_id, "answered");
    answer
}

fn client_of(app: &App, request: &Request) -> Client {
    let text = |name: &HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    let given = text(&REQUEST_ID).filter(|id| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    Client {
        ip: request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|peer| app.state.trusted_proxies.client(peer.0.ip(), request.headers())),
        user_agent: text(&header::USER_AGENT).map(str::to_owned),
        request_id: given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned),
        need: access::needed(request.method(), request.uri().path()),
        is_https: request.extensions().get::<OverTls>().is_some()
            || text(&HeaderName::from_static("x-forwarded-proto")).is_some_and(|p| p.eq_ignore_ascii_case("https")),
    }
}

/// What is needed of the request when its answer is known.
#[derive(Debug)]
struct Asked {
    method: Method,
    path: String,
    /// Where to come back to after a log-in.
    address: String,
    is_cross_site: bool,
    has_cookie: bool,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            address: request.uri().path_and_query().map_or("/", |a| a.as_str()).to_owned(),
            is_cross_site: request.headers().get("sec-fetch-site").is_some_and(|s| s == "cross-site"),
            has_cookie: crate::session::cookie_token(request.headers()).is_some(),
        }
    }

    fn is_api(&self) -> bool {
        self.path == "/mcp" || self.path == "/v1" || self.path.starts_with("/v1/")
    }

    fn is_upload(&self) -> bool {
        upload::is_upload(&self.method, &self.path)
    }

    /// The path as it may stand in a log: a set-up link is a secret.
    fn log_path(&self) -> &str {
        if self.path.starts_with("/setup/") { "/setup/…" } else { &self.path }
    }
}

/// Gives a refusal or failure its look.
fn dress(mut answer: Response, asked: &Asked, client: &Client) -> Response {
    let Some(fault) = answer.extensions_mut().remove::<Fault>() else { return answer };
    if let Some(cause) = &fault.cause {
        tracing::error!(method = %asked.method, path = asked.log_path(), request_id = client.request_id, cause, "a request failed");
    }
    let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
    let mut dressed = if asked.is_api() {
        let document = serde_json::to_vec(&fault.problem(&client.request_id)).unwrap_or_default();
        (fault.status, [(header::CONTENT_TYPE, "application/problem+json")], document).into_response()
    } else if fault.status == StatusCode::UNAUTHORIZED && is_read {
        if asked.is_cross_site && !asked.has_cookie {
            // A strict cookie does not come along from another site's link: one step on our own page brings it.
            desk::layout::step_page(&asked.address).into_response()
        } else {
            Redirect::to(&format!("/login?next={}", encode(&asked.address))).into_response()
        }
    } else {
        (fault.status, desk::layout::fault_page(&fault, &client.request_id)).into_response()
    };
    for (name, value) in answer.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            dressed.headers_mut().insert(name.clone(), value.clone());
        }
    }
    dressed
}

/// Percent-encodes all but the plainest characters.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing into a String does not fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

fn add_headers(headers: &mut HeaderMap) {
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in all {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
