//! What comes from a server, message by message: answers to those who wait for them, news of calls, questions to people,
//! and lines for the log.

use std::sync::{Arc, atomic::Ordering};

use rmcp::model::ErrorCode;
use serde_json::{Value, json};
use tokio::{io::AsyncRead, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    asking::{self, Asked},
    connection::{Answer, ListNews, Outgoing, Pending},
    events::LogSink,
    lines::{Line, Lines},
    news::{CallNews, Listening, Progress},
};

/// From this size on a message is parsed away from the async threads, in bytes.
const LARGE_MESSAGE: usize = 256 * 1024;

/// Takes what a server says to whoever it concerns.
pub(crate) struct Reader {
    pending: Arc<Pending>,
    outbox: mpsc::Sender<Outgoing>,
    news: Arc<ListNews>,
    /// What lines bear that are not the server's: see [`crate::remote`].
    mark: Option<String>,
    /// Of a server elsewhere: the call in whose answer it is speaking.
    within: Option<u64>,
    /// What the server may look at, as `roots/list` answers it.
    roots: Value,
    log: LogSink,
}

impl Reader {
    pub(crate) fn new(
        pending: Arc<Pending>,
        outbox: mpsc::Sender<Outgoing>,
        news: Arc<ListNews>,
        (mark, roots): (Option<String>, Value),
        log: LogSink,
    ) -> Self {
        Self { pending, outbox, news, mark, within: None, roots, log }
    }

    pub(crate) async fn run<R: AsyncRead + Unpin>(
        mut self,
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

    async fn take(&mut self, bytes: Vec<u8>) {
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
            Ok(message) if self.mark.as_deref().is_some_and(|mark| message["within"] == mark) => {
                self.within = message["id"].as_u64();
            }
            Ok(message) => self.dispatch(message, size),
            Err(bytes) => self.garbage(&bytes),
        }
    }

    fn dispatch(&self, mut message: Value, size: usize) {
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        match (message.get("method").and_then(Value::as_str), id) {
            (Some(method), Value::Null) => self.notification(method, &message),
            (Some(method), id) => self.request(method, &id, &message["params"]),
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
            "notifications/progress" => {
                let token = &message["params"]["progressToken"];
                let id = token.as_u64().or_else(|| token.as_str().and_then(|text| text.parse().ok()));
                let Some(Listening { news, patience }) = id.and_then(|id| self.pending.listening(id)) else { return };
                let mut params = message["params"].clone();
                self.log.known().within(&mut params);
                let Some(progress) = Progress::read(&params) else { return };
                patience.renew();
                if let Some(news) = news {
                    // Of progress that comes faster than it is taken the rest is of no interest.
                    drop(news.try_send(CallNews::Progress(progress)));
                }
            }
            "notifications/message" => self.log.push(message["params"]["data"].to_string().as_bytes()),
            _ => {}
        }
    }

    /// What Steward does for servers: it says that it is there and what they may look at, and passes their questions on
    /// to the person whom the call concerns. It samples nothing.
    fn request(&self, method: &str, id: &Value, params: &Value) {
        let refused =
            |code: i32, message: &str| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
        let answered = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
        let reply = match method {
            "ping" => answered(json!({})),
            "roots/list" => answered(json!({ "roots": self.roots })),
            "elicitation/create" => {
                let to = self.within.map_or_else(|| self.pending.only_call(), |id| self.pending.listening(id));
                let mut params = params.clone();
                self.log.known().within(&mut params);
                match asking::pass(&params, id, to, &self.outbox) {
                    Asked::Passed => return,
                    Asked::Answer(answer) => {
                        let action = answer["action"].as_str().unwrap_or_default();
                        self.log.push(format!("(a question to a person was not passed on: {action})").as_bytes());
                        answered(answer)
                    }
                    Asked::Refused(reason) => refused(ErrorCode::INVALID_PARAMS.0, reason),
                }
            }
            _ => refused(ErrorCode::METHOD_NOT_FOUND.0, "Steward does not offer this"),
        };
        // A server that asks faster than it reads gets no answer, rather than memory without bound.
        drop(self.outbox.try_send(Outgoing::plain(&reply)));
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
