//! `Idempotency-Key`: a request under a key of the sender's is done once. Sent again, it gets the same answer for a day,
//! also from another node or after a restart.
//!
//! A file that is sent is compared by its name, its content and its time: what goes in is hashed on its way, and sent again it
//! is hashed and not kept.
//!
//! What was begun is finished although the sender goes away. A request that was refused changed nothing and gives its key
//! back; one whose outcome is not known keeps it, and is never repeated blindly.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Actor, idempotency_keys, sealed::Purpose};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    app::{App, BODY_BYTES},
    fault::{Fault, Result},
    origin,
    session::Signed,
    upload,
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const KEY_CHARS: usize = 255;
/// Bytes of an answer that are kept; what is larger was done all the same, and says so.
const ANSWER_BYTES: usize = 512 * 1024;
/// Headers that belong to an answer.
const HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
/// Longer than any answer takes: after this, a request that is still open ended without one.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(60);
/// Faults after which nobody knows whether something was changed.
const UNKNOWN: [&str; 3] = ["outcome_unknown", "too_slow", "internal"];

/// A key of somebody's.
#[derive(Debug, Clone)]
pub(super) struct Key {
    user_id: Uuid,
    text: String,
}

impl Key {
    fn read(me: &Signed, given: &HeaderValue) -> Result<Self> {
        let text = given.to_str().ok().map(str::trim).filter(|k| (1..=KEY_CHARS).contains(&k.len()));
        let text = text.ok_or_else(|| {
            Fault::malformed(format!("the Idempotency-Key must have 1 to {KEY_CHARS} plain characters"))
        })?;
        Ok(Self { user_id: me.user_id(), text: text.to_owned() })
    }

    /// The key of a request that brings a file; none where it has none.
    pub fn of_upload(me: &Signed, headers: &HeaderMap) -> Result<Option<Self>> {
        headers.get(KEY).map(|given| Self::read(me, given)).transpose()
    }

    /// Whether something came under it within a day. It may be gone in the next moment: [`begin`](Self::begin) decides.
    pub async fn is_known(&self, app: &App) -> Result<bool> {
        let row = idempotency_keys::get(&Actor::service(), app.store(), self.user_id, &self.text).await?;
        Ok(row.is_some_and(|row| store::now().duration_since(row.created_at) < idempotency_keys::KEPT))
    }

    /// Begins a request, by the hash of all that it says. False: something came under the key before.
    pub async fn begin(&self, app: &App, hash: &str) -> Result<bool> {
        Ok(idempotency_keys::begin(&Actor::service(), app.store(), self.user_id, &self.text, hash).await?)
    }

    /// Does what was begun, to its end although its sender goes away, and keeps the answer.
    pub async fn finish(self, app: &App, work: impl Future<Output = Response> + Send + 'static) -> Response {
        let app = app.clone();
        let work = async move { keep(&app, &self, work.await).await };
        let done = tokio::spawn(work.instrument(tracing::Span::current())).await;
        done.unwrap_or_else(|e| Fault::internal(format!("a request under a key ended early: {e}")).into_response())
    }

    /// What the seal of its answer is for.
    fn purpose(&self) -> Purpose {
        Purpose::request_answer(self.user_id, &self.text)
    }
}

/// What a request says, in short.
pub(super) fn hash_of(address: &str, said: &[u8]) -> String {
    hex::encode(Sha256::new_with_prefix(format!("POST {address}\n")).chain_update(said).finalize())
}

/// Does a POST with a key once. A file looks after itself, as it is known only when all of it has come.
pub(super) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_apart = path.starts_with("/v1/auth/") || upload::is_upload(request.method(), path);
    let Some(given) = request.headers().get(KEY).filter(|_| request.method() == Method::POST && !is_apart) else {
        return next.run(request).await;
    };
    let given = given.clone();
    match under_key(&app, &given, request, next).await {
        Ok(answer) => answer,
        Err(fault) => fault.into_response(),
    }
}

async fn under_key(app: &App, given: &HeaderValue, request: Request, next: Next) -> Result<Response> {
    if request.headers().contains_key(header::CONTENT_TYPE) && !origin::is_json(request.headers()) {
        return Err(Fault::invalid("Idempotency-Key", "a key goes with a JSON body, or with a file for a task"));
    }
    let (mut parts, body) = request.into_parts();
    let me = Signed::from_request_parts(&mut parts, app).await?;
    let key = Key::read(&me, given)?;
    let body = axum::body::to_bytes(body, BODY_BYTES).await.map_err(|_| crate::body::too_large())?;
    let hash = hash_of(parts.uri.path_and_query().map_or("/", |a| a.as_str()), &body);
    if !key.begin(app, &hash).await? {
        return earlier(app, &key, &hash, false).await;
    }
    let request = Request::from_parts(parts, Body::from(body));
    Ok(key.finish(app, next.run(request)).await)
}

/// Keeps the answer for those who ask again.
async fn keep(app: &App, key: &Key, answer: Response) -> Response {
    let service = Actor::service();
    if !answer.status().is_success() {
        let is_unknown = answer.extensions().get::<Fault>().is_none_or(|fault| UNKNOWN.contains(&fault.code));
        if !is_unknown && let Err(e) = idempotency_keys::forget(&service, app.store(), key.user_id, &key.text).await {
            tracing::warn!(error = %e, "the key of a refused request could not be given back; it is free again after a day");
        }
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let bytes = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(e) => return Fault::internal(e.to_string()).into_response(),
    };
    let status = i32::from(parts.status.as_u16());
    let sealed = app.state.vault.seal_json(&key.purpose(), &kept(&parts.headers, &bytes));
    let finished = match sealed {
        Ok(sealed) => idempotency_keys::finish(&service, app.store(), key.user_id, &key.text, status, sealed).await,
        Err(e) => Err(e),
    };
    if let Err(e) = finished {
        // It was done, and whoever asks again is told to look.
        tracing::warn!(error = %e, "the answer of a request under a key could not be kept");
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn kept(headers: &HeaderMap, body: &Bytes) -> Value {
    let headers: Vec<(&str, &str)> =
        HEADERS.iter().filter_map(|name| Some((name.as_str(), headers.get(name)?.to_str().ok()?))).collect();
    let body = if body.len() > ANSWER_BYTES { None } else { std::str::from_utf8(body).ok() };
    json!({ "headers": headers, "body": body })
}

fn in_use(said: &str) -> Fault {
    let mut fault = Fault::conflict(said);
    fault.code = "key_in_use";
    fault.retry_after_s = Some(1);
    fault
}

/// What an earlier request under the key came to.
///
/// `is_looked_at` says that there was one a moment ago.
pub(super) async fn earlier(app: &App, key: &Key, hash: &str, is_looked_at: bool) -> Result<Response> {
    let service = Actor::service();
    let Some(row) = idempotency_keys::get(&service, app.store(), key.user_id, &key.text).await? else {
        if is_looked_at {
            return Err(in_use("the request under this key was refused in this moment, and changed nothing")
                .advice("Send it again."));
        }
        let mut fault = Fault::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_keys",
            "you sent 10000 requests under keys within a day; nothing was changed",
        );
        fault.retry_after_s = Some(3600);
        return Err(fault.advice("Wait, or send it without a key."));
    };
    if row.request_sha256 != hash {
        let mut fault = Fault::invalid(
            "Idempotency-Key",
            "this key was used for another request within the last 24 hours; nothing was changed",
        );
        fault.code = "key_reused";
        return Err(fault.advice("Send it under a key of its own."));
    }
    let Some((status, sealed)) = row.status.zip(row.answer) else {
        return Err(if store::now().duration_since(row.created_at) < UNDER_WAY {
            in_use("the request under this key is still under way")
                .advice("Ask again in a moment; the answer will be the same.")
        } else {
            in_use("the request under this key was begun and ended without an answer; nobody knows whether it was done")
                .advice("Look whether the change was made; if not, send it under a new key.")
        });
    };
    let answer = app.state.vault.unseal_json(&key.purpose(), &sealed)?;
    let Some(body) = answer["body"].as_str() else {
        return Err(Fault::conflict("the request under this key was done, and its answer was too large to be kept")
            .advice("Look at what it made."));
    };
    let mut again = Response::new(Body::from(body.to_owned()));
    *again.status_mut() = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or_default();
    let pairs = answer["headers"].as_array().into_iter().flatten();
    for (name, value) in pairs.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?))) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            again.headers_mut().insert(name, value);
        }
    }
    again.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(again)
}
