//! A built-in server made to look like a process: lines go in, lines come out, so that the one conversation
//! ([`crate::connection`]) holds for it too. Where it can't say what became of a call it says just that.

use std::{sync::Arc, time::Duration};

use rmcp::model::{ErrorCode, ProtocolVersion};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::{Mutex, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{Failure, Kind};
use crate::{
    connection::MAX_IN_FLIGHT,
    error::StartError,
    lines::{Line, Lines},
    remote::Ends,
    spec::ServerSpec,
};

/// Bytes on their way between the conversation and the server.
const PIPE: usize = 64 * 1024;

/// A running built-in server. Dropping it ends it.
pub(crate) struct Builtin {
    desk: Arc<Desk>,
}

/// What the calls share.
struct Desk {
    kind: Kind,
    /// By which the conversation knows our own word that an outcome is not known.
    mark: String,
    out: Mutex<Option<DuplexStream>>,
    calls: TaskTracker,
    ended: CancellationToken,
}

impl Builtin {
    pub(crate) fn open(spec: &ServerSpec, message_bytes: usize) -> Result<(Self, Ends), StartError> {
        let kind = super::open(&spec.command, &spec.args, &spec.environment, spec.store.clone())
            .map_err(|cause| StartError::Spawn { command: spec.command.clone(), cause })?;
        let (stdin, lines) = duplex(PIPE);
        let (out, stdout) = duplex(PIPE);
        let mark = Uuid::new_v4().to_string();
        let desk = Arc::new(Desk {
            kind,
            mark: mark.clone(),
            out: Mutex::new(Some(out)),
            calls: TaskTracker::new(),
            ended: CancellationToken::new(),
        });
        tokio::spawn(listen(Arc::clone(&desk), Lines::new(lines, message_bytes)));
        Ok((Self { desk }, Ends { stdin, stdout, mark }))
    }

    /// Waits until it is of no more use; says why.
    pub(crate) async fn ended(&self) -> String {
        self.desk.ended.cancelled().await;
        "it was stopped".to_owned()
    }

    /// Lets what is under way come to its end for `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.desk.calls.close();
        drop(tokio::time::timeout(grace, self.desk.calls.wait()).await);
        self.kill().await;
    }

    /// Ends it at once. What a disk is doing comes to its end all the same, and nobody hears of it.
    pub(crate) async fn kill(&self) {
        self.desk.ended.cancel();
        *self.desk.out.lock().await = None;
    }
}

impl Drop for Builtin {
    fn drop(&mut self) {
        self.desk.ended.cancel();
    }
}

/// Takes one line after another, until the conversation closes its end.
async fn listen(desk: Arc<Desk>, mut lines: Lines<DuplexStream>) {
    let room = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    loop {
        let line = tokio::select! {
            () = desk.ended.cancelled() => return,
            line = lines.next() => line,
        };
        let Ok(Some(line)) = line else { return };
        let Line::Whole(bytes) = line else { continue };
        let Ok(message) = serde_json::from_slice::<Value>(&bytes) else { continue };
        // What bears no id wants no answer.
        let Some(id) = message.get("id").cloned() else { continue };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let answering = Arc::clone(&desk);
        desk.calls.spawn(async move {
            let ended = answering.ended.clone();
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                () = answering.answer(id, message) => {}
            }
            drop(permit);
        });
    }
}

impl Desk {
    async fn answer(&self, id: Value, mut message: Value) {
        let method = message["method"].as_str().unwrap_or_default();
        let answer = match method {
            "initialize" => self.greeting(&id, &message["params"]["protocolVersion"]),
            "ping" => json!({"jsonrpc": "2.0", "id": id, "result": {}}),
            "tools/list" => json!({"jsonrpc": "2.0", "id": id, "result": {"tools": self.kind.tools()}}),
            "tools/call" => {
                let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
                let sent = message["params"]["arguments"].take();
                self.outcome(&id, self.kind.call(&name, sent).await)
            }
            _ => {
                let error =
                    json!({"code": ErrorCode::METHOD_NOT_FOUND.0, "message": "a built-in server offers tools alone"});
                json!({"jsonrpc": "2.0", "id": id, "error": error})
            }
        };
        if let Some(out) = self.out.lock().await.as_mut() {
            // Nobody reads any more: then nobody waits either.
            drop(out.write_all(format!("{answer}\n").as_bytes()).await);
        }
    }

    fn greeting(&self, id: &Value, wanted: &Value) -> Value {
        let version = wanted.as_str().unwrap_or(ProtocolVersion::LATEST_WITH_INITIALIZE.as_str());
        let name = match self.kind {
            Kind::Files(_) => "files",
            Kind::Web(_) => "web",
            Kind::Mail(_) => "mail",
            Kind::Notes(_) => "notes",
            Kind::Tasks(_) => "tasks",
        };
        let result = json!({
            "protocolVersion": version,
            "capabilities": { "tools": {} },
            "serverInfo": { "name": format!("Steward's own {name}"), "version": env!("CARGO_PKG_VERSION") },
        });
        json!({"jsonrpc": "2.0", "id": id, "result": result})
    }

    fn outcome(&self, id: &Value, done: super::Done) -> Value {
        let result = match done {
            Ok(value) => {
                let text = match &value["text"] {
                    Value::String(text) => text.clone(),
                    _ => value.to_string(),
                };
                json!({"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": false})
            }
            Err(Failure::Refused(said)) => json!({"content": [{"type": "text", "text": said}], "isError": true}),
            Err(Failure::NotStarted(reason)) => {
                return json!({"lost": self.mark, "id": id, "was_sent": false, "reason": reason});
            }
            Err(Failure::Unknown(reason)) => {
                return json!({"lost": self.mark, "id": id, "was_sent": true, "reason": reason});
            }
        };
        json!({"jsonrpc": "2.0", "id": id, "result": result})
    }
}
