//! A server elsewhere, over streamable HTTP, made to look like a process: lines go in, lines come out, so that the one
//! conversation ([`crate::connection`]) holds for both.
//!
//! Each line that is written is one POST; what comes back, a JSON document or a stream of events, is passed on as it
//! flows. Where no answer can come any more, the line that says so tells whether the server may have acted.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use http_client::{
    Client, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    connection::MAX_IN_FLIGHT,
    error::StartError,
    events::LogSink,
    frames::Frames,
    lines::{Line, Lines},
    spec::ServerSpec,
};

/// How long it may take until the server's machine answers at all.
const CONNECT: Duration = Duration::from_secs(10);
/// No exchange lasts longer; calls have shorter limits of their own.
const LONGEST: Duration = Duration::from_secs(3700);
/// How long the server may take to hear that the session is over.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long until the server is listened to again after its stream ended.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// How long a server may fall silent within a message.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes on their way between the conversation and the exchanges.
const PIPE: usize = 64 * 1024;
/// What is shown of a refusal's body.
const SHOWN: usize = 300;
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The conversation with a server elsewhere. Dropping it ends all exchanges.
pub(crate) struct Remote {
    link: Arc<Link>,
    pump: JoinHandle<()>,
}

/// Why a line has no answer, and whether the server may have acted on it.
struct Lost {
    was_sent: bool,
    reason: String,
}

impl Lost {
    fn sent(reason: impl Into<String>) -> Self {
        Self { was_sent: true, reason: reason.into() }
    }
    fn not_sent(reason: impl Into<String>) -> Self {
        Self { was_sent: false, reason: reason.into() }
    }
}

/// Where messages go.
struct Out {
    pipe: DuplexStream,
    /// A message broke off: what comes next begins a line of its own.
    is_within: bool,
}

impl Out {
    async fn write(&mut self, bytes: &[u8], is_begun: bool, is_within: bool) -> std::io::Result<()> {
        if !is_begun && self.is_within {
            self.pipe.write_all(b"\n").await?;
        }
        self.is_within = is_within;
        self.pipe.write_all(bytes).await
    }
}

/// What the exchanges share.
struct Link {
    client: Client,
    /// By which the conversation knows our own lines from the server's.
    mark: String,
    url: String,
    headers: HeaderMap,
    session: Mutex<Option<HeaderValue>>,
    version: Mutex<Option<HeaderValue>>,
    /// Where messages from the server go, one at a time.
    out: tokio::sync::Mutex<Option<Out>>,
    listens: AtomicBool,
    is_forgotten: AtomicBool,
    ended: CancellationToken,
    exchanges: TaskTracker,
    log: LogSink,
}

/// The conversation's ends: what it writes to and reads from.
pub(crate) struct Ends {
    pub stdin: DuplexStream,
    pub stdout: DuplexStream,
    /// What our own lines bear.
    pub mark: String,
}

impl Remote {
    /// Nothing is sent yet. The environment that the owner gave holds the headers.
    pub(crate) fn open(spec: &ServerSpec, message_bytes: usize, log: LogSink) -> Result<(Self, Ends), StartError> {
        let unusable = |cause: String| StartError::Spawn { command: spec.command.clone(), cause };
        let tls = outside::tls::config(None).map_err(|e| unusable(e.to_string()))?;
        let client = Client::builder()
            .user_agent(concat!("Steward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|e| unusable(e.to_string()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &spec.environment {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                unusable(format!("{name:?} is no name of a header; remove it, or name it as HTTP does"))
            })?;
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| unusable(format!("the value of {name} can't stand in a header")))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let (stdin, lines) = duplex(PIPE);
        let (out, stdout) = duplex(PIPE);
        let mark = Uuid::new_v4().to_string();
        let link = Arc::new(Link {
            client,
            mark: mark.clone(),
            url: spec.command.clone(),
            headers,
            session: Mutex::new(None),
            version: Mutex::new(None),
            out: tokio::sync::Mutex::new(Some(Out { pipe: out, is_within: false })),
            listens: AtomicBool::new(false),
            is_forgotten: AtomicBool::new(false),
            ended: CancellationToken::new(),
            exchanges: TaskTracker::new(),
            log,
        });
        let pump = tokio::spawn(pump(link.clone(), Lines::new(lines, message_bytes)));
        Ok((Self { link, pump }, Ends { stdin, stdout, mark }))
    }

    /// What both sides speak, once that is agreed; from then on the server is listened to.
    pub(crate) fn agreed(&self, version: &str) {
        let version = HeaderValue::from_str(version).ok();
        *self.link.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
        if !self.link.listens.swap(true, Ordering::SeqCst) {
            let link = self.link.clone();
            self.link.exchanges.spawn(async move { link.listen().await });
        }
    }

    /// Waits until it is of no more use; says why.
    pub(crate) async fn ended(&self) -> String {
        self.link.ended.cancelled().await;
        "the session is over".to_owned()
    }

    /// Tells the server that the session is over; answers on their way are read for `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.link.exchanges.close();
        // Listening lasts as long as the session; everything else is let finish.
        self.link.listens.store(false, Ordering::SeqCst);
        self.link.ended.cancel();
        drop(tokio::time::timeout(grace, self.link.exchanges.wait()).await);
        self.kill().await;
        if let Some(session) = self.link.session() {
            let farewell =
                self.link.client.delete(&self.link.url).headers(self.link.headers()).header(SESSION, session);
            // A courtesy: sessions end by themselves as well.
            drop(tokio::time::timeout(FAREWELL, farewell.send()).await);
        }
    }

    /// Ends all exchanges at once.
    pub(crate) async fn kill(&self) {
        self.link.ended.cancel();
        self.pump.abort();
        *self.link.out.lock().await = None;
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.link.ended.cancel();
        self.pump.abort();
    }
}

/// Sends each line on its way, until the conversation closes its end.
async fn pump(link: Arc<Link>, mut lines: Lines<DuplexStream>) {
    let room = Arc::new(Semaphore::new(MAX_IN_FLIGHT * 2));
    let mut first = true;
    while let Ok(Some(line)) = lines.next().await {
        let Line::Whole(bytes) = line else { continue };
        let Ok(permit) = room.clone().acquire_owned().await else { break };
        let exchange = link.clone();
        let work = async move {
            exchange.exchange(bytes).await;
            drop(permit);
        };
        // The greeting brings the session, without which nothing else may be sent.
        if first {
            work.await;
            first = false;
        } else {
            link.exchanges.spawn(work);
        }
    }
}

impl Link {
    fn session(&self) -> Option<HeaderValue> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(version) = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            headers.insert(VERSION, version);
        }
        headers
    }

    /// One line, and whatever the server has to say to it.
    async fn exchange(&self, line: Vec<u8>) {
        let id = asked(&line);
        let done = tokio::select! {
            done = tokio::time::timeout(LONGEST, self.post(line)) => done,
            // What is in flight while the session is stopped may still be answered; see `stop`.
            () = self.closed() => return,
        };
        let lost = match done {
            Ok(Ok(())) => None,
            Ok(Err(lost)) => Some(lost),
            Err(_) => Some(Lost::sent("no answer came")),
        };
        match (id, lost) {
            // Said also after an answer: whoever got one awaits no other.
            (Some(id), lost) => {
                self.say(id, lost.unwrap_or_else(|| Lost::sent("its answer ended before it was whole"))).await;
            }
            (None, Some(lost)) => self.log.push(format!("(a message did not arrive: {})", lost.reason).as_bytes()),
            (None, None) => {}
        }
        if self.is_forgotten.load(Ordering::SeqCst) {
            *self.out.lock().await = None;
            self.ended.cancel();
        }
    }

    async fn closed(&self) {
        self.ended.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    }

    /// Sends a line and passes the answer on.
    async fn post(&self, line: Vec<u8>) -> Result<(), Lost> {
        let mut request = self
            .client
            .post(&self.url)
            .headers(self.headers())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(line);
        if let Some(session) = self.session() {
            request = request.header(SESSION, session);
        }
        let answer = request
            .send()
            .await
            .map_err(|e| Lost { was_sent: !(e.is_connect() || e.is_builder()), reason: chain(&e) })?;
        if let Some(session) = answer.headers().get(SESSION) {
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        }
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(()),
            status if status.is_success() => self.pass_on(answer).await.map_err(Lost::sent),
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

    /// What a refusal says, for the log and the person.
    async fn refusal(&self, answer: Response) -> String {
        let status = answer.status();
        let asks = answer.headers().contains_key("www-authenticate");
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
            (StatusCode::UNAUTHORIZED, _) | (_, true) if self.headers.contains_key(AUTHORIZATION) => {
                "; the token in its Authorization header is not accepted: give it another"
            }
            (StatusCode::UNAUTHORIZED, _) | (_, true) => {
                "; it wants a token: give the server a header Authorization with `Bearer …`"
            }
            _ => "",
        };
        format!("the server answered {status}{hint}: {}", String::from_utf8_lossy(&shown).trim())
    }

    /// Passes the messages of an answer on as they flow.
    async fn pass_on(&self, answer: Response) -> Result<(), String> {
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let mut frames = if kind.starts_with("text/event-stream") {
            Frames::events()
        } else if kind.starts_with("application/json") {
            Frames::document()
        } else {
            return Err(format!("the server answered with {kind:?}, and neither JSON nor a stream of events"));
        };
        let mut body = answer.bytes_stream();
        let mut held = None;
        loop {
            // Within a message nobody else gets a word in, so its sender may not fall silent.
            let part = match tokio::time::timeout(if frames.is_within() { SILENCE } else { LONGEST }, body.next()).await
            {
                Ok(part) => part.transpose().map_err(|e| chain(&e))?,
                Err(_) => return Err("the server fell silent within its answer".to_owned()),
            };
            let is_last = part.is_none();
            let bytes = match part {
                Some(part) => frames.feed(&part),
                None => frames.finish(),
            };
            if !bytes.is_empty() {
                // Held from a message's first byte to its last, so that no two are mixed.
                let is_begun = held.is_some();
                let mut out = match held.take() {
                    Some(out) => out,
                    None => self.out.lock().await,
                };
                let Some(to) = out.as_mut() else { return Err("the conversation is over".to_owned()) };
                let written = to.write(&bytes, is_begun, frames.is_within()).await;
                written.map_err(|_| "the conversation is over".to_owned())?;
                if frames.is_within() {
                    held = Some(out);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Says in the server's place that no answer comes any more.
    async fn say(&self, id: Value, lost: Lost) {
        let line = json!({"lost": self.mark, "id": id, "was_sent": lost.was_sent, "reason": lost.reason});
        if let Some(out) = self.out.lock().await.as_mut() {
            // Nobody reads any more: then nobody waits either.
            drop(out.write(format!("{line}\n").as_bytes(), false, false).await);
        }
    }

    /// Listens to what the server says unasked, as long as it offers that.
    async fn listen(&self) {
        while self.listens.load(Ordering::SeqCst) {
            let mut request = self.client.get(&self.url).headers(self.headers()).header(ACCEPT, "text/event-stream");
            if let Some(session) = self.session() {
                request = request.header(SESSION, session);
            }
            let stream = async {
                match request.send().await {
                    Ok(answer) if answer.status().is_success() => self.pass_on(answer).await.is_ok(),
                    // It has nothing to say unasked, or does not let us listen: the tools are listed from time to time.
                    Ok(answer) => !answer.status().is_client_error(),
                    Err(_) => true,
                }
            };
            let again = tokio::select! {
                again = stream => again,
                () = self.ended.cancelled() => return,
            };
            if !again {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LISTEN_AGAIN) => {}
                () = self.ended.cancelled() => return,
            }
        }
    }
}

/// The id of a line that wants an answer.
fn asked(line: &[u8]) -> Option<Value> {
    #[derive(serde::Deserialize)]
    struct Head {
        id: Option<Value>,
        method: Option<serde::de::IgnoredAny>,
    }
    let head: Head = serde_json::from_slice(line).ok()?;
    head.method.and(head.id)
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
