//! Servers elsewhere: the conversation is the same as with a process, and of every call it is known whether the server
//! may have acted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Watched, eventually, limits, request, watch};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tools::{CallError, EventKind, ServerSpec};
use uuid::Uuid;

/// How the scripted server answers a call of a tool.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Json,
    Events,
    /// Takes the request and goes away.
    HangsUp,
    /// Begins a stream and ends it without the answer.
    EndsEarly,
    /// Breaks off within the message.
    BreaksWithin,
    /// Ends a stream whose events have names, and gives the answer to whoever takes it up again.
    EndsNamed,
    Status(u16),
    /// Has forgotten the session.
    Forgets,
}

/// A server on loopback that speaks HTTP by hand, so that it can also speak it badly.
#[derive(Clone)]
struct Script(Arc<Shared>);

struct Shared {
    address: String,
    manner: Mutex<Manner>,
    /// Each request: its head in lower case, and its body.
    seen: Mutex<Vec<(String, String)>>,
    tools: Mutex<Vec<&'static str>>,
    /// The answer that is kept for whoever takes the stream up again.
    kept: Mutex<Value>,
    changed: Notify,
    wants: Option<&'static str>,
    stop: Notify,
}

impl Script {
    async fn start(wants: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self(Arc::new(Shared {
            address: format!("http://{}/mcp", listener.local_addr().unwrap()),
            manner: Mutex::new(Manner::Json),
            seen: Mutex::default(),
            tools: Mutex::new(vec!["pay"]),
            kept: Mutex::default(),
            changed: Notify::new(),
            wants,
            stop: Notify::new(),
        }));
        let serving = script.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.unwrap();
                        let script = serving.clone();
                        tokio::spawn(async move { script.answer(stream).await });
                    }
                    () = serving.0.stop.notified() => return,
                }
            }
        });
        script
    }

    fn becomes(&self, manner: Manner) {
        *self.0.manner.lock().unwrap() = manner;
    }

    fn heads(&self, part: &str) -> Vec<String> {
        let seen = self.0.seen.lock().unwrap();
        seen.iter().filter(|(head, body)| head.contains(part) || body.contains(part)).map(|s| s.0.clone()).collect()
    }

    fn spec(&self, headers: &[(&str, &str)]) -> ServerSpec {
        ServerSpec {
            id: Uuid::new_v4(),
            name: "shop".to_owned(),
            command: self.0.address.clone(),
            args: Vec::new(),
            environment: headers.iter().map(|(n, v)| ((*n).to_owned(), SecretString::from(*v))).collect(),
            directory: None,
            store: None,
            granted: None,
        }
    }

    async fn running(&self) -> Watched {
        let mut server = watch(self.spec(&[("Authorization", "Bearer opensesame")]), limits());
        server.running().await;
        server
    }

    /// One request a connection.
    async fn answer(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let Some((head, body)) = request(&mut stream).await else { return };
        let head = head.to_ascii_lowercase();
        self.0.seen.lock().unwrap().push((head.clone(), body.clone()));
        let stream = stream.get_mut();
        if let Some(wanted) = self.0.wants
            && !head.contains(&format!("authorization: {wanted}\r\n"))
        {
            return reply(stream, "401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "text/plain", "who are you?")
                .await;
        }
        if head.contains("last-event-id: e-1\r\n") {
            let kept = self.0.kept.lock().unwrap().clone();
            let body = format!("id: e-2\ndata: {kept}\n\n");
            return reply(stream, "200 OK", "", "text/event-stream", &body).await;
        }
        if head.starts_with("get ") {
            return self.listen(stream).await;
        }
        if head.starts_with("delete ") {
            return reply(stream, "204 No Content", "", "text/plain", "").await;
        }
        self.message(stream, &serde_json::from_str(&body).unwrap()).await;
    }

    /// Tells of changed tools.
    async fn listen(&self, stream: &mut TcpStream) {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n")
            .await
            .unwrap();
        self.0.changed.notified().await;
        let news = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        drop(stream.write_all(format!("id: 1\ndata: {news}\n\n").as_bytes()).await);
        // Open until the other side goes.
        drop(stream.read(&mut [0; 1]).await);
    }

    async fn message(&self, stream: &mut TcpStream, message: &Value) {
        if message["id"].is_null() {
            return reply(stream, "202 Accepted", "", "text/plain", "").await;
        }
        let tools = self.0.tools.lock().unwrap().clone();
        let (session, result) = match message["method"].as_str().unwrap() {
            "initialize" => (
                "Mcp-Session-Id: s-1\r\n",
                json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "shop", "version": "2"}}),
            ),
            "tools/list" => {
                let schema = json!({"type": "object"});
                (
                    "",
                    json!({"tools": tools.iter().map(|n| json!({"name": n, "inputSchema": schema})).collect::<Vec<_>>()}),
                )
            }
            "tools/call" => ("", json!({"content": [{"type": "text", "text": "paid\nin full"}]})),
            _ => ("", json!({})),
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let manner = *self.0.manner.lock().unwrap();
        if message["method"] != "tools/call" {
            return reply(stream, "200 OK", session, "application/json", &format!("{answer:#}")).await;
        }
        match manner {
            Manner::Json => reply(stream, "200 OK", "", "application/json", &format!("{answer:#}")).await,
            Manner::Events => {
                let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
                let body = format!("event: message\ndata: {note}\n\ndata: {answer}\n\n");
                reply(stream, "200 OK", "", "text/event-stream", &body).await;
            }
            Manner::HangsUp => {}
            Manner::EndsNamed => {
                *self.0.kept.lock().unwrap() = answer;
                reply(stream, "200 OK", "", "text/event-stream", "id: e-1\nretry: 60\ndata: \n\n").await;
            }
            Manner::EndsEarly => reply(stream, "200 OK", "", "text/event-stream", ": soon\n\n").await,
            Manner::BreaksWithin => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\n";
                drop(stream.write_all(format!("{head}data: {{\"jsonrpc\": \"2.0\", \"id\"").as_bytes()).await);
            }
            Manner::Status(code) => reply(stream, &format!("{code} Sorry"), "", "text/plain", "not today").await,
            Manner::Forgets => reply(stream, "404 Not Found", "", "text/plain", "").await,
        }
    }
}

async fn reply(stream: &mut TcpStream, status: &str, more: &str, kind: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\n{more}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    drop(stream.write_all(text.as_bytes()).await);
}

#[tokio::test]
async fn it_is_greeted_called_and_told_good_bye_as_the_protocol_wants() {
    let script = Script::start(Some("bearer opensesame")).await;
    let server = script.running().await;
    let frozen = r#"{ "to":"Kiosk", "cents":1200.0 }"#;
    for manner in [Manner::Json, Manner::Events] {
        script.becomes(manner);
        let result = server.call("pay", frozen).await.unwrap();
        assert_eq!((result.text.as_str(), result.is_error), ("paid\nin full", false), "{manner:?}");
    }
    let bodies: Vec<String> = script.0.seen.lock().unwrap().iter().map(|s| s.1.clone()).collect();
    let calls: Vec<&String> = bodies.iter().filter(|b| b.contains("tools/call")).collect();
    assert!(calls.len() == 2 && calls.iter().all(|b| b.contains(frozen)), "{calls:?}");
    // The session and the version go with everything after the greeting.
    assert!(!script.heads("\"initialize\"")[0].contains("mcp-session-id"));
    for part in ["tools/list", "tools/call", "notifications/initialized"] {
        let head = &script.heads(part)[0];
        assert!(head.contains("mcp-session-id: s-1") && head.contains("mcp-protocol-version: 2025-06-18"), "{head}");
    }
    server.handle.stop().await;
    eventually("it is told good-bye", || script.heads("delete /mcp").iter().any(|h| h.contains("s-1"))).await;
}

#[tokio::test]
async fn of_a_call_without_an_answer_it_is_known_whether_it_may_have_acted() {
    let script = Script::start(None).await;
    let server = script.running().await;
    for manner in [
        Manner::BreaksWithin,
        Manner::HangsUp,
        Manner::EndsEarly,
        Manner::Status(500),
        Manner::Status(502),
        Manner::Status(408),
        Manner::Status(409),
    ] {
        script.becomes(manner);
        let error = server.call("pay", "{}").await.unwrap_err();
        assert!(
            matches!(&error, CallError::OutcomeUnknown { reason } if reason.contains("Look whether")),
            "{manner:?}: {error}"
        );
    }
    for manner in [Manner::Status(400), Manner::Status(403), Manner::Status(429)] {
        script.becomes(manner);
        let error = server.call("pay", "{}").await.unwrap_err();
        assert!(
            matches!(&error, CallError::NotStarted { reason } if reason.contains("not today")),
            "{manner:?}: {error}"
        );
    }
    script.becomes(Manner::Json);
    server.call("pay", "{}").await.expect("none of that ended the session");
    // Nobody listens there any more: not a byte was sent.
    script.0.stop.notify_one();
    let mut error = None;
    for _ in 0..50 {
        match server.call("pay", "{}").await {
            Err(e) => {
                error = Some(e);
                break;
            }
            // The listener ends in its own time.
            Ok(_) => tokio::task::yield_now().await,
        }
    }
    let error = error.expect("it is gone");
    assert!(matches!(&error, CallError::NotStarted { reason } if reason.contains("connection failed")), "{error}");
}

#[tokio::test]
async fn a_stream_that_ends_before_its_answer_is_taken_up_again() {
    let script = Script::start(None).await;
    let server = script.running().await;
    script.becomes(Manner::EndsNamed);
    let result = server.call("pay", "{}").await.unwrap();
    assert_eq!(result.text, "paid\nin full");
    assert_eq!(script.heads("tools/call").len(), 1, "the call is not made again");
    assert_eq!(script.heads("last-event-id: e-1").len(), 1);
}

#[tokio::test]
async fn tools_that_change_are_listed_anew() {
    let script = Script::start(None).await;
    let mut server = script.running().await;
    eventually("it is listened to", || !script.heads("get /mcp").is_empty()).await;
    *script.0.tools.lock().unwrap() = vec!["pay", "refund"];
    script.0.changed.notify_one();
    let news = server.until(|kind| matches!(kind, EventKind::ToolsChanged { .. })).await;
    let EventKind::ToolsChanged { tools } = news else { unreachable!() };
    assert_eq!(tools.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["pay", "refund"]);
}

#[tokio::test]
async fn a_forgotten_session_begins_anew() {
    let script = Script::start(None).await;
    let mut server = script.running().await;
    script.becomes(Manner::Forgets);
    let error = server.call("pay", "{}").await.unwrap_err();
    assert!(matches!(&error, CallError::NotStarted { reason } if reason.contains("forgotten")), "{error}");
    script.becomes(Manner::Json);
    server.running().await;
    server.call("pay", "{}").await.unwrap();
    assert_eq!(script.heads("\"initialize\"").len(), 2);
}

#[tokio::test]
async fn a_server_that_can_t_be_used_says_why() {
    let script = Script::start(Some("bearer opensesame")).await;
    for (headers, words) in [
        (&[][..], "wants a token"),
        (&[("Authorization", "Bearer wrong")][..], "is not accepted"),
        (&[("not a name", "x")][..], "no name of a header"),
    ] {
        let mut server = watch(script.spec(headers), limits());
        let reason = server.failed().await;
        assert!(reason.contains(words) && !reason.contains("wrong"), "{reason}");
        server.handle.stop().await;
    }
    let mut nowhere = script.spec(&[]);
    nowhere.command = "http://127.0.0.1:1/mcp".to_owned();
    let mut server = watch(nowhere, limits());
    let reason = server.failed().await;
    assert!(reason.contains("can't be reached") && reason.contains("connection failed"), "{reason}");
    tokio::time::timeout(Duration::from_secs(10), server.handle.stop()).await.unwrap();
}
