//! The conversation with one server process: JSON-RPC over its stdin and stdout.
//!
//! Written here and not left to rmcp's service, which serves well for talking but not for the promises made here: the
//! arguments are sent as the bytes that were approved, it is known of every call whether it reached the server, a
//! definition or result is kept as the server gave it, and nothing a server sends can grow without bound.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use rmcp::model::ErrorCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::CallError,
    events::LogSink,
    lines::{Line, Lines, Oversized},
};

/// Messages waiting to be written.
const OUTBOX: usize = 64;
/// Calls in flight at once.
pub(crate) const MAX_IN_FLIGHT: usize = 64;
/// From this size on a message is parsed away from the async threads, in bytes.
const LARGE_MESSAGE: usize = 256 * 1024;

/// What a server answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Result {
        value: Value,
        size: usize,
    },
    Error {
        code: i64,
        message: String,
    },
    Oversized(Oversized),
    /// None will come from a server elsewhere; whether it may have acted is known.
    Lost {
        was_sent: bool,
        reason: String,
    },
}

/// Why a request of our own (not a call) has no result.
#[derive(Debug)]
pub(crate) enum RequestError {
    Late,
    Closed,
    Answered { code: i64, message: String },
    TooLarge { size: usize },
    Lost { reason: String },
}

/// A running conversation. Dropping it ends the tasks behind it.
pub(crate) struct Connection {
    outbox: mpsc::Sender<Outgoing>,
    pending: Arc<Pending>,
    next_id: AtomicU64,
    input: CancellationToken,
    ended: CancellationToken,
    drained: CancellationToken,
    news: Arc<ListNews>,
    tasks: [JoinHandle<()>; 2],
}

/// How often the server said that its tools changed, and how often it had when the list in use was asked for.
#[derive(Default)]
struct ListNews {
    changes: AtomicU64,
    listed: AtomicU64,
    told: Notify,
}

struct Outgoing {
    line: Vec<u8>,
    gate: Option<Arc<Gate>>,
}

/// Decides, once, whether a call is written: the writer opens it just before the first byte, or the caller revokes it.
struct Gate(AtomicU8);

const WAITING: u8 = 0;
const OPENED: u8 = 1;
const REVOKED: u8 = 2;

impl Gate {
    fn open(&self) -> bool {
        self.0.compare_exchange(WAITING, OPENED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// True when not a byte was or ever will be written.
    fn revoke(&self) -> bool {
        self.0.compare_exchange(WAITING, REVOKED, Ordering::SeqCst, Ordering::SeqCst) != Err(OPENED)
    }
}

/// Who waits for which answer; `None` once there will be no more answers.
struct Pending(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl Pending {
    fn with<T>(&self, act: impl FnOnce(&mut Option<HashMap<u64, oneshot::Sender<Answer>>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, id: u64) -> Option<oneshot::Receiver<Answer>> {
        let (sender, receiver) = oneshot::channel();
        self.with(|waiting| waiting.as_mut().map(|waiting| waiting.insert(id, sender))).map(|_| receiver)
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.with(|waiting| waiting.as_mut().and_then(|waiting| waiting.remove(&id)))
    }

    fn close(&self) {
        self.with(|waiting| *waiting = None);
    }
}

impl Connection {
    pub(crate) fn open(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        message_bytes: usize,
        mark: Option<String>,
        log: LogSink,
    ) -> Self {
        let (outbox, queue) = mpsc::channel(OUTBOX);
        let pending = Arc::new(Pending(Mutex::new(Some(HashMap::new()))));
        let (input, ended, drained) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let news = Arc::new(ListNews::default());
        let writer = tokio::spawn(write_all(stdin, queue, input.clone(), ended.clone()));
        let reader = Reader { pending: pending.clone(), outbox: outbox.clone(), news: news.clone(), mark, log };
        let reader = tokio::spawn(reader.run(Lines::new(stdout, message_bytes), ended.clone(), drained.clone()));
        Self { outbox, pending, next_id: AtomicU64::new(1), input, ended, drained, news, tasks: [writer, reader] }
    }

    /// A request of our own: not a call, so it does not matter whether it arrived when there is no answer.
    pub(crate) async fn request(&self, method: &str, params: Value, limit: Duration) -> Result<Value, RequestError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let receiver = self.pending.add(id).ok_or(RequestError::Closed)?;
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into_bytes();
        let exchange = async {
            self.outbox.send(Outgoing { line, gate: None }).await.map_err(|_| RequestError::Closed)?;
            receiver.await.map_err(|_| RequestError::Closed)
        };
        let answer = tokio::time::timeout(limit, exchange).await;
        self.pending.take(id);
        match answer.map_err(|_| RequestError::Late)?? {
            Answer::Result { value, .. } => Ok(value),
            Answer::Error { code, message } => Err(RequestError::Answered { code, message }),
            Answer::Oversized(over) => Err(RequestError::TooLarge { size: over.size }),
            Answer::Lost { reason, .. } => Err(RequestError::Lost { reason }),
        }
    }

    pub(crate) async fn notify(&self, method: &str) -> Result<(), RequestError> {
        let line = json!({"jsonrpc": "2.0", "method": method}).to_string().into_bytes();
        self.outbox.send(Outgoing { line, gate: None }).await.map_err(|_| RequestError::Closed)
    }

    /// Calls a tool once. `arguments` is the frozen text, fit for one line, and is sent as it stands.
    pub(crate) async fn call(&self, tool: &str, arguments: &str, limit: Duration) -> Result<Answer, CallError> {
        const GONE: &str = "the server stopped before the call was handed over. Try again when it runs.";
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let receiver = match self.pending.with(|waiting| waiting.as_ref().map(HashMap::len)) {
            None => return Err(CallError::not_started(GONE)),
            Some(in_flight) if in_flight >= MAX_IN_FLIGHT => {
                let reason = format!("the server already works on {in_flight} calls. Try again when they are done.");
                return Err(CallError::not_started(reason));
            }
            Some(_) => self.pending.add(id).ok_or_else(|| CallError::not_started(GONE))?,
        };
        let name = Value::from(tool);
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":{name},"arguments":{arguments}}}}}"#
        );
        let gate = Arc::new(Gate(AtomicU8::new(WAITING)));
        let mut call = InFlight { connection: self, id, gate: gate.clone(), answered: false };
        let exchange = async {
            self.outbox.send(Outgoing { line: line.into_bytes(), gate: Some(gate) }).await.map_err(|_| ())?;
            receiver.await.map_err(|_| ())
        };
        let outcome = tokio::time::timeout(limit, exchange).await;
        let never_sent = call.gate.revoke();
        match outcome {
            Ok(Ok(_)) if never_sent => {
                Err(CallError::not_started("the server answered before it was asked. Have its owner look at it."))
            }
            Ok(Ok(answer)) => {
                call.answered = true;
                match answer {
                    Answer::Lost { was_sent: false, reason } => Err(CallError::not_started(format!("{reason}."))),
                    Answer::Lost { reason, .. } => {
                        Err(CallError::unknown(format!("{reason}. Look whether the effect took place.")))
                    }
                    answer => Ok(answer),
                }
            }
            Ok(Err(())) if never_sent => Err(CallError::not_started(GONE)),
            Ok(Err(())) => {
                Err(CallError::unknown("the server stopped before it answered. Look whether the effect took place."))
            }
            Err(_) if never_sent => {
                let reason = format!("the server took in nothing for {} s. Try again later.", limit.as_secs_f32());
                Err(CallError::not_started(reason))
            }
            Err(_) => {
                let seconds = limit.as_secs_f32();
                let reason =
                    format!("the server did not answer within {seconds} s. Look whether the effect took place.");
                Err(CallError::unknown(reason))
            }
        }
    }

    /// Whether an answer of any kind is awaited.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending.with(|waiting| waiting.as_ref().is_some_and(|waiting| !waiting.is_empty()))
    }

    /// Whether the server said that its tools changed after the list in use was asked for.
    pub(crate) fn is_stale(&self) -> bool {
        self.changes() != self.news.listed.load(Ordering::SeqCst)
    }

    /// To be read before the tools are listed, so that a change during the listing is not missed.
    pub(crate) fn changes(&self) -> u64 {
        self.news.changes.load(Ordering::SeqCst)
    }

    /// To be said when the list asked for after `changes` is in use.
    pub(crate) fn set_listed(&self, changes: u64) {
        self.news.listed.store(changes, Ordering::SeqCst);
    }

    /// Waits until the server says that its tools changed.
    pub(crate) async fn list_changed(&self) {
        self.news.told.notified().await;
    }

    /// Waits until stdin or stdout is of no more use.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Closes the server's stdin, its sign to leave. Answers still on their way are read.
    pub(crate) fn close_input(&self) {
        self.input.cancel();
    }

    /// Waits for the last answers; call it when the process is gone.
    pub(crate) async fn finish(&self, limit: Duration) {
        // A grandchild that left the group may hold stdout open for ever; hence the limit.
        let _ = tokio::time::timeout(limit, self.drained.cancelled()).await;
        self.pending.close();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pending.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A call whose answer somebody waits for. Whoever stops waiting, however that comes, leaves it revoked or cancelled.
struct InFlight<'a> {
    connection: &'a Connection,
    id: u64,
    gate: Arc<Gate>,
    answered: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.connection.pending.take(self.id);
        if !self.gate.revoke() {
            let params = json!({"requestId": self.id, "reason": "no longer awaited"});
            let line = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
            // A courtesy: when the server does not read, it would not read this either.
            let _ = self.connection.outbox.try_send(Outgoing { line: line.to_string().into_bytes(), gate: None });
        }
    }
}

async fn write_all(
    mut stdin: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Outgoing>,
    input: CancellationToken,
    ended: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            biased;
            () = input.cancelled() => break,
            message = queue.recv() => message,
        };
        let Some(mut message) = message else { break };
        if message.gate.as_ref().is_some_and(|gate| !gate.open()) {
            continue;
        }
        message.line.push(b'\n');
        let write = async {
            stdin.write_all(&message.line).await?;
            stdin.flush().await
        };
        tokio::select! {
            biased;
            written = write => if written.is_err() {
                ended.cancel();
                break;
            },
            () = input.cancelled() => break,
        }
    }
    // Here stdin closes, which is what tells the server to leave.
}

struct Reader {
    pending: Arc<Pending>,
    outbox: mpsc::Sender<Outgoing>,
    news: Arc<ListNews>,
    /// What lines bear that are not the server's: see [`crate::remote`].
    mark: Option<String>,
    log: LogSink,
}

impl Reader {
    async fn run<R: AsyncRead + Unpin>(
        self,
        mut lines: Lines<R>,
        ended: CancellationToken,
        drained: CancellationToken,
    ) {
        while let Ok(Some(line)) = lines.next().await {
            match line {
                Line::Whole(bytes) if bytes.is_empty() => {}
                Line::Whole(bytes) => self.take(bytes).await,
                Line::Oversized(over) => match over.id.and_then(|id| self.pending.take(id)) {
                    Some(waiting) => drop(waiting.send(Answer::Oversized(over))),
                    None => self.log.push(format!("(a message of {} bytes was left out)", over.size).as_bytes()),
                },
            }
        }
        self.pending.close();
        drained.cancel();
        ended.cancel();
    }

    async fn take(&self, bytes: Vec<u8>) {
        let size = bytes.len();
        let parsed = if size > LARGE_MESSAGE {
            let parse = move || serde_json::from_slice::<Value>(&bytes).map_err(|_| bytes);
            tokio::task::spawn_blocking(parse).await.unwrap_or_else(|_| Err(Vec::new()))
        } else {
            serde_json::from_slice::<Value>(&bytes).map_err(|_| bytes)
        };
        match parsed {
            // The revision of March 2025 let servers gather messages in one array.
            Ok(Value::Array(batch)) => batch.into_iter().for_each(|message| self.dispatch(message, size)),
            Ok(message) => self.dispatch(message, size),
            Err(bytes) => self.garbage(&bytes),
        }
    }

    fn dispatch(&self, mut message: Value, size: usize) {
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        match (message.get("method").and_then(Value::as_str), id) {
            (Some(method), Value::Null) => self.notification(method, &message),
            (Some(method), id) => self.request(method, &id),
            (None, id) => {
                // Some servers send the number back as text.
                let id = id.as_u64().or_else(|| id.as_str().and_then(|text| text.parse().ok()));
                let Some(waiting) = id.and_then(|id| self.pending.take(id)) else {
                    // An answer to what nobody awaits any more is no garbage.
                    if id.is_none() {
                        self.garbage(message.to_string().as_bytes());
                    }
                    return;
                };
                let is_ours = self.mark.as_deref().is_some_and(|mark| message["lost"] == mark);
                let answer = match message.get_mut("result").map(Value::take) {
                    _ if is_ours => Answer::Lost {
                        was_sent: message["was_sent"] != false,
                        reason: message["reason"].as_str().unwrap_or_default().to_owned(),
                    },
                    Some(value) => Answer::Result { value, size },
                    None => error_answer(&message["error"]),
                };
                drop(waiting.send(answer));
            }
        }
    }

    fn notification(&self, method: &str, message: &Value) {
        match method {
            "notifications/tools/list_changed" => {
                self.news.changes.fetch_add(1, Ordering::SeqCst);
                self.news.told.notify_one();
            }
            "notifications/message" => self.log.push(message["params"]["data"].to_string().as_bytes()),
            _ => {}
        }
    }

    /// Steward offers servers nothing: no sampling, no roots, no questions to people. It only says that it is there.
    fn request(&self, method: &str, id: &Value) {
        let reply = if method == "ping" {
            json!({"jsonrpc": "2.0", "id": id, "result": {}})
        } else {
            let error = json!({"code": ErrorCode::METHOD_NOT_FOUND.0, "message": "Steward does not offer this"});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        };
        // A server that asks faster than it reads gets no answer, rather than memory without bound.
        let _ = self.outbox.try_send(Outgoing { line: reply.to_string().into_bytes(), gate: None });
    }

    fn garbage(&self, bytes: &[u8]) {
        self.log.push(&[b"(stdout) ".as_slice(), bytes].concat());
    }
}

fn error_answer(error: &Value) -> Answer {
    let code = error["code"].as_i64().unwrap_or(i64::from(ErrorCode::INTERNAL_ERROR.0));
    let message = error["message"].as_str().unwrap_or("no reason given").chars().take(2000).collect();
    Answer::Error { code, message }
}
