//! A scripted HTTP server that speaks each provider's real wire: it plays answers in order, streamed in pieces, and keeps what
//! it was asked.

#![allow(dead_code, reason = "each of the tests that share it uses a part")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the server does with one question.
#[derive(Debug, Clone)]
pub enum Play {
    /// Words.
    Say(&'static str),
    /// Calls: name and arguments.
    Call(Vec<(String, Value)>),
    /// A call whose arguments are this text, as it stands.
    RawCall(String, String),
    /// A call whose arguments are no JSON.
    BrokenCall(String),
    /// A refusal: status, headers, body.
    Refuse(u16, &'static str, &'static str),
    /// The beginning of an answer, and then the connection ends.
    BreakOff,
    /// Something that is no answer at all.
    Nonsense,
    /// Nothing, ever.
    Silence,
    /// Words, stopped by the limit on their number.
    CutShort(&'static str),
    /// Words, without a count of tokens.
    Uncounted(&'static str),
}

/// One call, with the names under which `files` offers its tools.
pub fn call(tool: &str, arguments: Value) -> Play {
    Play::Call(vec![(format!("files__{tool}"), arguments)])
}

/// Answers by what is asked.
type Mind = dyn Fn(&Value) -> Play + Send + Sync;

/// The running server.
#[derive(Clone)]
pub struct ModelServer {
    pub port: u16,
    mind: Option<Arc<Mind>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    plays: Arc<Mutex<VecDeque<Play>>>,
}

impl ModelServer {
    /// Plays these answers, and refuses what is asked beyond them.
    pub async fn start(plays: impl IntoIterator<Item = Play>) -> Self {
        Self::serve_on(None, plays.into_iter().collect()).await
    }

    /// Answers each question as `mind` says, from the question's body alone.
    pub async fn thinking(mind: impl Fn(&Value) -> Play + Send + Sync + 'static) -> Self {
        Self::serve_on(Some(Arc::new(mind)), VecDeque::new()).await
    }

    async fn serve_on(mind: Option<Arc<Mind>>, plays: VecDeque<Play>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            mind,
            asked: Arc::default(),
            plays: Arc::new(Mutex::new(plays)),
        };
        let server = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                // Whoever asked may have gone; that is what some tests are about.
                tokio::spawn(async move { drop(server.serve(stream).await) });
            }
        });
        this
    }

    /// `models.toml` with this server as `main`.
    pub fn settings(&self, provider: &str, more: &str) -> String {
        let path = if provider == "ollama" { "" } else { "v1/" };
        format!(
            "[models.main]\nprovider = \"{provider}\"\nmodel = \"scripted\"\nurl = \"http://127.0.0.1:{}/{path}\"\n\
             input_usd_per_mtok = 3.0\noutput_usd_per_mtok = 15.0\n{more}\n[use]\ndefault = \"main\"\n",
            self.port
        )
    }

    /// What was asked: path and body.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    /// Plays these after those that are left.
    pub fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.plays.lock().unwrap().extend(plays);
    }

    pub fn unplayed(&self) -> usize {
        self.plays.lock().unwrap().len()
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.split();
        let mut read = BufReader::new(read);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>()));
        let mut body = vec![0; length.unwrap().unwrap()];
        read.read_exact(&mut body).await?;
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let body: Value = serde_json::from_slice(&body).unwrap();
        self.asked.lock().unwrap().push((path.clone(), body.clone()));
        let play = match &self.mind {
            Some(mind) => Some(mind(&body)),
            None => self.plays.lock().unwrap().pop_front(),
        };
        let play = play.unwrap_or(Play::Refuse(400, "", "{\"error\": \"nothing is scripted for this question\"}"));
        match play {
            Play::Refuse(status, headers, body) => {
                let answer = format!(
                    "HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                write.write_all(answer.as_bytes()).await?;
            }
            Play::Silence => std::future::pending::<()>().await,
            play => {
                let (kind, pieces) = stream_of(&path, &play);
                write
                    .write_all(
                        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n").as_bytes(),
                    )
                    .await?;
                for piece in pieces {
                    write.write_all(piece.as_bytes()).await?;
                    write.flush().await?;
                }
            }
        }
        write.shutdown().await
    }
}

/// The stream of an answer, in the wire of the provider that the path belongs to.
fn stream_of(path: &str, play: &Play) -> (&'static str, Vec<String>) {
    let sse = "text/event-stream";
    if matches!(play, Play::Nonsense) {
        return (sse, vec!["data: {\"this is\": no answer}\n\n".to_owned()]);
    }
    let (mut pieces, kind) = if path.contains("/messages") {
        (anthropic(play), sse)
    } else if path.contains("streamGenerateContent") {
        (gemini(play), sse)
    } else if path.contains("/api/chat") {
        (ollama(play), "application/x-ndjson")
    } else {
        (openai(play), sse)
    };
    if matches!(play, Play::BreakOff) {
        pieces.truncate(2);
    }
    if matches!(play, Play::Uncounted(_)) {
        // As of a server that knows nothing of them.
        for name in ["usage", "usageMetadata", "prompt_eval_count", "eval_count"] {
            pieces = pieces.iter().map(|piece| piece.replace(&format!("\"{name}\""), "\"unknown\"")).collect();
        }
    }
    (kind, pieces)
}

/// A text's halves.
fn in_two(text: &str) -> (&str, &str) {
    text.split_at(text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at))
}

/// What is said, in two pieces, and the calls.
fn content(play: &Play) -> (Vec<String>, Vec<(String, String)>) {
    let halves = |text: &str| [in_two(text).0, in_two(text).1].map(str::to_owned).to_vec();
    match play {
        Play::Say(text) | Play::CutShort(text) | Play::Uncounted(text) => (halves(text), Vec::new()),
        Play::Call(calls) => {
            (vec!["I look.".to_owned()], calls.iter().map(|(n, a)| (n.clone(), a.to_string())).collect())
        }
        Play::RawCall(name, arguments) => (Vec::new(), vec![(name.clone(), arguments.clone())]),
        Play::BrokenCall(name) => (Vec::new(), vec![(name.clone(), "{\"path\": \"unfinished".to_owned())]),
        _ => (vec!["The beginning of".to_owned(), " an answer".to_owned()], Vec::new()),
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn openai(play: &Play) -> Vec<String> {
    let (texts, calls) = content(play);
    let chunk = |delta: Value, finish: Value| {
        data(
            &json!({"id": "c-1", "object": "chat.completion.chunk", "model": "scripted-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    let mut pieces: Vec<String> =
        texts.iter().map(|t| chunk(json!({"role": "assistant", "content": t}), Value::Null)).collect();
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let (first, rest) = in_two(arguments);
        let begin = json!({"tool_calls": [{"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": name, "arguments": first}}]});
        pieces.push(chunk(begin, Value::Null));
        pieces.push(chunk(json!({"tool_calls": [{"index": index, "function": {"arguments": rest}}]}), Value::Null));
    }
    let finish = if matches!(play, Play::CutShort(_)) {
        "length"
    } else if calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    pieces.push(chunk(json!({}), json!(finish)));
    pieces.push(data(&json!({"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 60}}})));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

fn anthropic(play: &Play) -> Vec<String> {
    let (texts, calls) = content(play);
    let event = |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
    let mut pieces = vec![event(
        json!({"type": "message_start", "message": {"id": "m-1", "type": "message", "role": "assistant", "model": "scripted-1", "content": [], "stop_reason": null, "usage": {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 1}}}),
    )];
    let mut index = 0;
    if !texts.is_empty() {
        pieces.push(event(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ));
        for text in texts {
            pieces.push(event(
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
            ));
        }
        pieces.push(event(json!({"type": "content_block_stop", "index": 0})));
        index = 1;
    }
    for (name, arguments) in &calls {
        let (first, rest) = in_two(arguments);
        pieces.push(event(json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {}}})));
        for part in [first, rest] {
            pieces.push(event(json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": part}})));
        }
        pieces.push(event(json!({"type": "content_block_stop", "index": index})));
        index += 1;
    }
    let reason = if matches!(play, Play::CutShort(_)) {
        "max_tokens"
    } else if calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    };
    pieces.push(event(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 20}})));
    pieces.push(event(json!({"type": "message_stop"})));
    pieces
}

fn gemini(play: &Play) -> Vec<String> {
    let (texts, calls) = content(play);
    let usage = json!({"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120, "cachedContentTokenCount": 60});
    let chunk = |parts: Value, finish: Option<&str>| {
        let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        data(&json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted-1"}))
    };
    let mut pieces: Vec<String> = texts.iter().map(|t| chunk(json!([{"text": t}]), None)).collect();
    // Arguments come whole here; what is broken comes as text.
    for (name, arguments) in &calls {
        let arguments = serde_json::from_str(arguments).unwrap_or(Value::String(arguments.clone()));
        pieces.push(chunk(json!([{"functionCall": {"name": name, "args": arguments}}]), None));
    }
    let reason = if matches!(play, Play::CutShort(_)) { "MAX_TOKENS" } else { "STOP" };
    pieces.push(chunk(json!([{"text": ""}]), Some(reason)));
    pieces
}

fn ollama(play: &Play) -> Vec<String> {
    let (texts, calls) = content(play);
    let line = |value: Value| format!("{value}\n");
    let message = |message: Value| {
        line(json!({"model": "scripted-1", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false}))
    };
    let mut pieces: Vec<String> = texts.iter().map(|t| message(json!({"role": "assistant", "content": t}))).collect();
    for (name, arguments) in &calls {
        let arguments = serde_json::from_str(arguments).unwrap_or(Value::String(arguments.clone()));
        pieces.push(message(json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]})));
    }
    let reason = if matches!(play, Play::CutShort(_)) { "length" } else { "stop" };
    pieces.push(line(json!({"model": "scripted-1", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason, "prompt_eval_count": 100, "eval_count": 20})));
    pieces
}
