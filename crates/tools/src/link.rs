//! The exchanges with a server elsewhere: one line, one POST, and whatever the server has to say to it. A stream that ends
//! before the answer is taken up again where it stopped, which repeats nothing: only the answer is fetched.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use http_client::{
    Client, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use rmcp::transport::auth::WWWAuthenticateParams;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bearer::Bearer,
    events::LogSink,
    frames::{Frames, Mark},
    news::printable,
    remote::FAREWELL,
};

/// No exchange lasts longer; calls have shorter limits of their own.
const LONGEST: Duration = Duration::from_secs(3700);
/// How long until the server is listened to again after its stream ended, where it does not say.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// How long the first request waits until the server can be heard.
const OPENING: Duration = Duration::from_secs(2);
/// How long until an answer is taken up again, where the server does not say …
const TAKE_UP_AGAIN: Duration = Duration::from_secs(1);
/// … and within which bounds it may.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));
/// How long a server may fall silent within a message.
const SILENCE: Duration = Duration::from_secs(30);
/// What is shown of a refusal's body.
const SHOWN: usize = 300;
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why a line has no answer, and whether the server may have acted on it.
pub(crate) struct Lost {
    was_sent: bool,
    reason: String,
}

impl Lost {
    fn sent(reason: impl Into<String>) -> Self {
        Self { was_sent: true, reason: reason.into() }
    }
    pub(crate) fn not_sent(reason: impl Into<String>) -> Self {
        Self { was_sent: false, reason: reason.into() }
    }
}

/// Where messages go.
pub(crate) struct Out {
    pipe: DuplexStream,
    /// By which the conversation knows our own lines from the server's.
    mark: String,
    /// A message broke off: what comes next begins a line of its own.
    is_within: bool,
}

impl Out {
    pub(crate) fn new(pipe: DuplexStream, mark: String) -> Self {
        Self { pipe, mark, is_within: false }
    }

    /// Writes part of what is said in the answer to `about`; `is_begun`: its message has begun before.
    async fn write(
        &mut self,
        bytes: &[u8],
        about: Option<u64>,
        is_begun: bool,
        is_within: bool,
    ) -> std::io::Result<()> {
        if !is_begun {
            let ends = if self.is_within { "\n" } else { "" };
            let whose = json!({"within": self.mark, "id": about});
            self.pipe.write_all(format!("{ends}{whose}\n").as_bytes()).await?;
        }
        self.is_within = is_within;
        self.pipe.write_all(bytes).await
    }
}

/// What a line of ours is, as far as its way depends on it.
#[derive(Default)]
pub(crate) struct Head {
    /// The request's id, where it is one.
    asks: Option<u64>,
    /// The request that is no longer wanted, where it says so.
    cancels: Option<u64>,
}

/// Looks at a line of ours.
pub(crate) fn read_head(line: &[u8]) -> Head {
    #[derive(serde::Deserialize)]
    struct Message {
        id: Option<Value>,
        method: Option<String>,
        params: Option<Params>,
    }
    #[derive(serde::Deserialize)]
    struct Params {
        #[serde(rename = "requestId")]
        request_id: Option<u64>,
    }
    let Ok(message) = serde_json::from_slice::<Message>(line) else { return Head::default() };
    let Some(method) = message.method else { return Head::default() };
    let cancels = message.params.and_then(|params| params.request_id);
    Head {
        asks: message.id.and_then(|id| id.as_u64()),
        cancels: cancels.filter(|_| method == "notifications/cancelled"),
    }
}

/// What the exchanges share.
pub(crate) struct Link {
    pub client: Client,
    /// By which the conversation knows our own lines from the server's.
    pub mark: String,
    pub url: String,
    pub headers: HeaderMap,
    /// Where a person authorized the server: what gives out the token.
    pub bearer: Option<Bearer>,
    pub session: Mutex<Option<HeaderValue>>,
    pub version: Mutex<Option<HeaderValue>>,
    /// Where messages from the server go, one at a time.
    pub out: tokio::sync::Mutex<Option<Out>>,
    /// Requests whose answers are still coming; cancelled when nobody wants them any more.
    pub running: Mutex<HashMap<u64, CancellationToken>>,
    pub listens: AtomicBool,
    /// Cancelled when the server can say something unasked, or it is known that it will not.
    pub can_hear: CancellationToken,
    pub is_forgotten: AtomicBool,
    pub ended: CancellationToken,
    pub exchanges: TaskTracker,
    pub log: LogSink,
}

impl Link {
    pub(crate) fn session(&self) -> Option<HeaderValue> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What goes with every request; `refused` is a token that the server did not take.
    pub(crate) async fn headers(&self, refused: Option<&HeaderValue>) -> Result<HeaderMap, String> {
        let mut headers = self.headers.clone();
        if let Some(bearer) = &self.bearer {
            let header = bearer.header(refused).await?;
            if let Some(token) = header.to_str().ok().and_then(|said| said.strip_prefix("Bearer ")) {
                // Before it is sent: whatever the server makes of it, it comes back to nobody.
                self.log.known().learn(token);
            }
            headers.insert(AUTHORIZATION, header);
        }
        if let Some(version) = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            headers.insert(VERSION, version);
        }
        Ok(headers)
    }

    /// One line, and whatever the server has to say to it.
    pub(crate) async fn exchange(&self, line: Vec<u8>, head: Head) {
        let id = head.asks;
        if id.is_some() {
            self.until_it_is_heard().await;
        }
        let unwanted = CancellationToken::new();
        if let Some(id) = id {
            self.running().insert(id, unwanted.clone());
        }
        let done = tokio::select! {
            done = tokio::time::timeout(LONGEST, self.post(line, id)) => Some(done),
            // The server was told so by a line of its own, which goes before.
            () = unwanted.cancelled() => None,
            // What is in flight while the session is stopped may still be answered; see `stop`.
            () = self.closed() => None,
        };
        if let Some(id) = id {
            self.running().remove(&id);
        }
        if let Some(id) = head.cancels
            && let Some(unwanted) = self.running().remove(&id)
        {
            unwanted.cancel();
        }
        let Some(done) = done else { return };
        let lost = match done {
            Ok(Ok(())) => None,
            Ok(Err(lost)) => Some(lost),
            Err(_) => Some(Lost::sent("no answer came")),
        };
        match (id, lost) {
            // Said also after an answer: whoever got one awaits no other.
            (Some(id), lost) => {
                let lost = lost.unwrap_or_else(|| Lost::sent("its answer ended before it was whole"));
                self.say(id.into(), lost).await;
            }
            (None, Some(lost)) => self.log.push(format!("(a message did not arrive: {})", lost.reason).as_bytes()),
            (None, None) => {}
        }
        if self.is_forgotten.load(Ordering::SeqCst) {
            *self.out.lock().await = None;
            self.ended.cancel();
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u64, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn closed(&self) {
        self.ended.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    }

    /// Sends a line and passes the answer on.
    async fn post(&self, line: Vec<u8>, id: Option<u64>) -> Result<(), Lost> {
        let headers = self.headers(None).await.map_err(Lost::not_sent)?;
        let token = headers.get(AUTHORIZATION).filter(|_| self.bearer.is_some()).cloned();
        let mut answer = self.send(line.clone(), headers).await?;
        // A token that the server does not take is renewed, once: nothing was done with the first.
        if answer.status() == StatusCode::UNAUTHORIZED && token.is_some() {
            let headers = self.headers(token.as_ref()).await.map_err(Lost::not_sent)?;
            answer = self.send(line, headers).await?;
        }
        if let Some(session) = answer.headers().get(SESSION) {
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        }
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(()),
            status if status.is_success() => self.follow(answer, id).await.map_err(Lost::sent),
            // The session is gone, and with it what the server knew of us: a new life begins.
            StatusCode::NOT_FOUND if self.session().is_some() => {
                self.is_forgotten.store(true, Ordering::SeqCst);
                Err(Lost::not_sent("the server has forgotten the session"))
            }
            // These say that it was not done. Of all others nobody knows what was done before.
            status => {
                let is_refusal = matches!(status.as_u16(), 400 | 401 | 403 | 404 | 405 | 406 | 413 | 415 | 422 | 429);
                Err(Lost { was_sent: !is_refusal, reason: self.refusal(answer).await })
            }
        }
    }

    async fn send(&self, line: Vec<u8>, headers: HeaderMap) -> Result<Response, Lost> {
        let mut request = self
            .client
            .post(&self.url)
            .headers(headers)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(line);
        if let Some(session) = self.session() {
            request = request.header(SESSION, session);
        }
        let sent = request.send().await;
        sent.map_err(|e| Lost { was_sent: !(e.is_connect() || e.is_builder()), reason: chain(&e) })
    }

    /// Passes an answer on, and takes its stream up again where it ended before the answer to `id`.
    async fn follow(&self, answer: Response, id: Option<u64>) -> Result<(), String> {
        let mut mark = Mark::default();
        let mut passed = self.pass_on(answer, id, &mut mark).await;
        while id.is_some() && passed != Ok(true) && mark.last_id.is_some() {
            tokio::time::sleep(mark.retry.unwrap_or(TAKE_UP_AGAIN).clamp(PAUSES.0, PAUSES.1)).await;
            match self.listen_from(&mark).await {
                Some(answer) if answer.status().is_success() => passed = self.pass_on(answer, id, &mut mark).await,
                Some(answer) if answer.status().is_client_error() => break,
                // Its machine may be back in a moment; the call has a limit of its own.
                _ => {}
            }
        }
        passed.map(drop)
    }

    /// Asks to hear what the server says unasked, or from where a stream broke off. `None`: no answer came.
    async fn listen_from(&self, mark: &Mark) -> Option<Response> {
        let headers = self.headers(None).await.ok()?;
        let mut request = self.client.get(&self.url).headers(headers).header(ACCEPT, "text/event-stream");
        if let Some(session) = self.session() {
            request = request.header(SESSION, session);
        }
        if let Some(id) = mark.last_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            request = request.header(LAST_EVENT_ID, id);
        }
        request.send().await.ok()
    }

    /// What a refusal says, for the log and the person.
    async fn refusal(&self, answer: Response) -> String {
        let status = answer.status();
        let challenge = answer.headers().get("www-authenticate").and_then(|said| said.to_str().ok()).map(str::to_owned);
        let asks = challenge.is_some();
        let wanted = challenge.and_then(|said| {
            let said = WWWAuthenticateParams::parse(&said, &self.url.parse().ok()?);
            said.scope.filter(|_| said.error.as_deref() == Some("insufficient_scope"))
        });
        let mut shown = Vec::new();
        let mut body = answer.bytes_stream();
        while let Some(Ok(part)) = body.next().await {
            shown.extend_from_slice(&part);
            if shown.len() >= SHOWN {
                break;
            }
        }
        shown.truncate(SHOWN);
        let hint = match (status, asks) {
            (StatusCode::UNAUTHORIZED, _) | (_, true) if self.bearer.is_some() => {
                "; it does not take the authorization that was given: authorize it again with `steward server authorize NAME`"
            }
            (StatusCode::UNAUTHORIZED, _) | (_, true) if self.headers.contains_key(AUTHORIZATION) => {
                "; the token in its Authorization header is not accepted: give it another"
            }
            (StatusCode::UNAUTHORIZED, _) | (_, true) => {
                "; it wants a token: authorize it with `steward server authorize NAME`, or give it a header Authorization with `Bearer …`"
            }
            _ => "",
        };
        if let (Some(scope), true) = (wanted, self.bearer.is_some()) {
            return format!(
                "the server answered {status}; it wants more than was granted: authorize it again with `steward server authorize NAME --scope {}`",
                printable(&scope, SHOWN).split_whitespace().collect::<Vec<_>>().join(",")
            );
        }
        format!("the server answered {status}{hint}: {}", self.log.clean(&shown).trim())
    }

    /// Passes the messages of an answer on as they flow, and notes where its stream stands. Answers whether the answer to
    /// `id` was among them.
    async fn pass_on(&self, answer: Response, id: Option<u64>, mark: &mut Mark) -> Result<bool, String> {
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let mut frames = if kind.starts_with("text/event-stream") {
            Frames::events(id)
        } else if kind.starts_with("application/json") {
            Frames::document()
        } else {
            return Err(format!("the server answered with {kind:?}, and neither JSON nor a stream of events"));
        };
        let mut body = answer.bytes_stream();
        let mut held = None;
        loop {
            // Within a message nobody else gets a word in, so its sender may not fall silent.
            let patience = if frames.is_within() { SILENCE } else { LONGEST };
            let part = match tokio::time::timeout(patience, body.next()).await {
                Ok(part) => part.transpose().map_err(|e| chain(&e))?,
                Err(_) => return Err("the server fell silent within its answer".to_owned()),
            };
            let is_last = part.is_none();
            let bytes = match part {
                Some(part) => frames.feed(&part),
                None => frames.finish(),
            };
            if frames.mark().last_id.is_some() {
                mark.last_id.clone_from(&frames.mark().last_id);
            }
            mark.retry = frames.mark().retry.or(mark.retry);
            if !bytes.is_empty() {
                // Held from a message's first byte to its last, so that no two are mixed.
                let is_begun = held.is_some();
                let mut out = match held.take() {
                    Some(out) => out,
                    None => self.out.lock().await,
                };
                let Some(to) = out.as_mut() else { return Err("the conversation is over".to_owned()) };
                let written = to.write(&bytes, id, is_begun, frames.is_within()).await;
                written.map_err(|_| "the conversation is over".to_owned())?;
                if frames.is_within() {
                    held = Some(out);
                }
            }
            if is_last {
                return Ok(frames.is_answered());
            }
        }
    }

    /// Says in the server's place that no answer comes any more.
    pub(crate) async fn say(&self, id: Value, lost: Lost) {
        let line = json!({"lost": self.mark, "id": id, "was_sent": lost.was_sent, "reason": lost.reason});
        if let Some(out) = self.out.lock().await.as_mut() {
            // Nobody reads any more: then nobody waits either.
            drop(out.write(format!("{line}\n").as_bytes(), None, false, false).await);
        }
    }

    /// Listens to what the server says unasked, as long as it offers that.
    pub(crate) async fn listen(&self) {
        let mut mark = Mark::default();
        while self.listens.load(Ordering::SeqCst) {
            let stream = async {
                let answer = self.listen_from(&mark).await;
                self.can_hear.cancel();
                match answer {
                    Some(answer) if answer.status().is_success() => {
                        let mut further = mark.clone();
                        (self.pass_on(answer, None, &mut further).await.is_ok(), further)
                    }
                    // It has nothing to say unasked, or does not let us listen: the tools are listed from time to time.
                    Some(answer) => (!answer.status().is_client_error(), Mark::default()),
                    None => (true, mark.clone()),
                }
            };
            let again = tokio::select! {
                (again, further) = stream => {
                    mark = further;
                    again
                }
                () = self.ended.cancelled() => return,
            };
            if !again {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(mark.retry.unwrap_or(LISTEN_AGAIN).clamp(PAUSES.0, PAUSES.1)) => {}
                () = self.ended.cancelled() => return,
            }
        }
    }
}

impl Link {
    /// Lets the server be heard before it is asked for something about which it may ask back. Some answer only when they
    /// have something to say: these are waited for once.
    async fn until_it_is_heard(&self) {
        if self.listens.load(Ordering::SeqCst) {
            drop(tokio::time::timeout(OPENING, self.can_hear.cancelled()).await);
            self.can_hear.cancel();
        }
    }
}

/// An error with its causes; its address may hold a secret and is left out.
fn chain(error: &http_client::Error) -> String {
    let mut said = if error.is_timeout() { "no answer in time".to_owned() } else { "the connection failed".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        said = format!("{said}: {inner}");
        cause = inner.source();
    }
    said
}
