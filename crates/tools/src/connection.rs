//! The conversation with one server process: JSON-RPC over its stdin and stdout. What comes from it is read in
//! [`crate::reader`].
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
    lines::{Lines, Oversized},
    news::{CallNews, Listening, Patience},
    reader::Reader,
};

/// Messages waiting to be written.
const OUTBOX: usize = 64;
/// Calls in flight at once.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

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
pub(crate) struct ListNews {
    pub changes: AtomicU64,
    listed: AtomicU64,
    pub told: Notify,
}

/// A line on its way to the server.
pub(crate) struct Outgoing {
    pub line: Vec<u8>,
    gate: Option<Arc<Gate>>,
}

impl Outgoing {
    /// One that is written in any case.
    pub(crate) fn plain(message: &Value) -> Self {
        Self { line: message.to_string().into_bytes(), gate: None }
    }
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
pub(crate) struct Pending(Mutex<Option<HashMap<u64, Awaiting>>>);

/// Whoever waits for an answer; for a call also how its news are taken.
struct Awaiting {
    answer: oneshot::Sender<Answer>,
    call: Option<Listening>,
}

impl Pending {
    fn with<T>(&self, act: impl FnOnce(&mut Option<HashMap<u64, Awaiting>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, id: u64, call: Option<Listening>) -> Option<oneshot::Receiver<Answer>> {
        let (answer, receiver) = oneshot::channel();
        self.with(|waiting| waiting.as_mut().map(|waiting| waiting.insert(id, Awaiting { answer, call })))
            .map(|_| receiver)
    }

    pub(crate) fn take(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.with(|waiting| waiting.as_mut().and_then(|waiting| waiting.remove(&id))).map(|awaiting| awaiting.answer)
    }

    /// How news of a call are taken; `None` when nobody waits for it.
    pub(crate) fn listening(&self, id: u64) -> Option<Listening> {
        self.with(|waiting| waiting.as_ref()?.get(&id)?.call.clone())
    }

    /// The same for the one call there is; `None` where there are several, and nobody knows which is meant.
    pub(crate) fn only_call(&self) -> Option<Listening> {
        self.with(|waiting| {
            let mut calls = waiting.as_ref()?.values().filter_map(|awaiting| awaiting.call.as_ref());
            let first = calls.next()?.clone();
            calls.next().is_none().then_some(first)
        })
    }

    pub(crate) fn close(&self) {
        self.with(|waiting| *waiting = None);
    }
}

/// How long a call may last, and whoever takes its news.
#[derive(Clone)]
pub(crate) struct Waiting {
    /// Without a sign of progress, and without the time in which a person is asked.
    pub limit: Duration,
    /// In any case.
    pub hard: Duration,
    pub news: Option<mpsc::Sender<CallNews>>,
}

impl Connection {
    pub(crate) fn open(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        message_bytes: usize,
        (mark, roots): (Option<String>, Value),
        log: LogSink,
    ) -> Self {
        let (outbox, queue) = mpsc::channel(OUTBOX);
        let pending = Arc::new(Pending(Mutex::new(Some(HashMap::new()))));
        let (input, ended, drained) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let news = Arc::new(ListNews::default());
        let writer = tokio::spawn(write_all(stdin, queue, input.clone(), ended.clone()));
        let reader = Reader::new(pending.clone(), outbox.clone(), news.clone(), (mark, roots), log);
        let reader = tokio::spawn(reader.run(Lines::new(stdout, message_bytes), ended.clone(), drained.clone()));
        Self { outbox, pending, next_id: AtomicU64::new(1), input, ended, drained, news, tasks: [writer, reader] }
    }

    /// A request of our own: not a call, so it does not matter whether it arrived when there is no answer.
    pub(crate) async fn request(&self, method: &str, params: Value, limit: Duration) -> Result<Value, RequestError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let receiver = self.pending.add(id, None).ok_or(RequestError::Closed)?;
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
    pub(crate) async fn call(&self, tool: &str, arguments: &str, waiting: Waiting) -> Result<Answer, CallError> {
        const GONE: &str = "the server stopped before the call was handed over. Try again when it runs.";
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Waiting { limit, hard, news } = waiting;
        let patience = Arc::new(Patience::new(limit, hard));
        let listening = Listening { news, patience: patience.clone() };
        let receiver = match self.pending.with(|waiting| waiting.as_ref().map(HashMap::len)) {
            None => return Err(CallError::not_started(GONE)),
            Some(in_flight) if in_flight >= MAX_IN_FLIGHT => {
                let reason = format!("the server already works on {in_flight} calls. Try again when they are done.");
                return Err(CallError::not_started(reason));
            }
            Some(_) => self.pending.add(id, Some(listening)).ok_or_else(|| CallError::not_started(GONE))?,
        };
        let name = Value::from(tool);
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":{name},"arguments":{arguments},"_meta":{{"progressToken":{id}}}}}}}"#
        );
        let gate = Arc::new(Gate(AtomicU8::new(WAITING)));
        let mut call = InFlight { connection: self, id, gate: gate.clone(), answered: false };
        let exchange = async {
            self.outbox.send(Outgoing { line: line.into_bytes(), gate: Some(gate) }).await.map_err(|_| ())?;
            receiver.await.map_err(|_| ())
        };
        let outcome = tokio::select! {
            biased;
            outcome = exchange => Some(outcome),
            () = patience.over() => None,
        };
        let never_sent = call.gate.revoke();
        match outcome {
            Some(Ok(_)) if never_sent => {
                Err(CallError::not_started("the server answered before it was asked. Have its owner look at it."))
            }
            Some(Ok(answer)) => {
                call.answered = true;
                match answer {
                    Answer::Lost { was_sent: false, reason } => Err(CallError::not_started(format!("{reason}."))),
                    Answer::Lost { reason, .. } => {
                        Err(CallError::unknown(format!("{reason}. Look whether the effect took place.")))
                    }
                    answer => Ok(answer),
                }
            }
            Some(Err(())) if never_sent => Err(CallError::not_started(GONE)),
            Some(Err(())) => {
                Err(CallError::unknown("the server stopped before it answered. Look whether the effect took place."))
            }
            None if never_sent => {
                let reason = format!("the server took in nothing for {} s. Try again later.", limit.as_secs_f32());
                Err(CallError::not_started(reason))
            }
            None => {
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
            let _ = self.connection.outbox.try_send(Outgoing::plain(&line));
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
