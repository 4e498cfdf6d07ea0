//! What the tests share: the scripted server, small limits, and waits that end.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use tools::{CallError, CallResult, Context, EventKind, Limits, ServerEvent, ServerHandle, ServerSpec, ToolCall};
use uuid::Uuid;

/// The end of any wait of these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The scripted server, which Cargo builds beside the tests.
pub fn server() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples/scripted-mcp-server");
    assert!(path.is_file(), "run `cargo build -p tools --examples` first: {} is missing", path.display());
    path
}

pub fn spec(name: &str, args: &[&str]) -> ServerSpec {
    ServerSpec {
        id: Uuid::new_v4(),
        name: name.to_owned(),
        command: server().to_str().unwrap().to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        environment: BTreeMap::new(),
        directory: None,
        store: None,
        granted: None,
    }
}

pub fn with(mut spec: ServerSpec, variable: &str, value: &Path) -> ServerSpec {
    spec.environment.insert(variable.to_owned(), SecretString::from(value.to_str().unwrap()));
    spec
}

/// Small enough that a test of a limit is quick, large enough for a busy machine.
pub fn limits() -> Limits {
    Limits {
        start_timeout: Duration::from_secs(10),
        call_timeout: Duration::from_secs(10),
        restart_min: Duration::from_millis(20),
        restart_max: Duration::from_millis(100),
        stop_grace: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// One supervised server and its news.
pub struct Watched {
    pub handle: ServerHandle,
    pub events: mpsc::Receiver<ServerEvent>,
    pub context: Context,
}

pub fn context(limits: Limits) -> (Context, mpsc::Receiver<ServerEvent>) {
    let (sender, events) = mpsc::channel(1024);
    (Context { limits, run_dir: None, events: sender, shutdown: CancellationToken::new() }, events)
}

pub fn watch(spec: ServerSpec, limits: Limits) -> Watched {
    let (context, events) = context(limits);
    Watched { handle: tools::supervise(spec, &context), events, context }
}

impl Watched {
    pub async fn next(&mut self) -> EventKind {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("no news in time");
        event.expect("the news ended").kind
    }

    /// Waits for news of this sort, passing over others.
    pub async fn until(&mut self, wanted: impl Fn(&EventKind) -> bool) -> EventKind {
        loop {
            let kind = self.next().await;
            if wanted(&kind) {
                return kind;
            }
        }
    }

    pub async fn running(&mut self) -> EventKind {
        self.until(|kind| matches!(kind, EventKind::Running { .. })).await
    }

    pub async fn failed(&mut self) -> String {
        match self.until(|kind| matches!(kind, EventKind::Failed { .. } | EventKind::GaveUp { .. })).await {
            EventKind::Failed { reason, .. } | EventKind::GaveUp { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    pub async fn call(&self, tool: &str, arguments: &str) -> Result<CallResult, CallError> {
        let call = ToolCall { tool, definition_sha256: None, arguments, timeout: None, news: None };
        tokio::time::timeout(PATIENCE, self.handle.call(call)).await.expect("the call has a limit of its own")
    }
}

/// Head and body of the one request of a connection, as it came; none where it went away.
pub async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Some((head, String::from_utf8(body).unwrap()))
}

pub fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Whether a process runs; a zombie that waits for its parent does not.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

pub fn pid_in(file: &Path) -> i32 {
    std::fs::read_to_string(file).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until something on the machine is so; there is no signal for it.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
