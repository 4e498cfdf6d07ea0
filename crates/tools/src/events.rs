//! What a supervised server tells the rest of Steward, and the bounded way its stderr takes there.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    definition::ToolDefinition,
    limits::Limits,
    lines::{Line, Lines},
    result::char_boundary,
    secrets::Secrets,
};

/// How long news of a change waits for a receiver that does not keep up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The window of `stderr_lines_per_minute`.
const MINUTE: Duration = Duration::from_secs(60);
/// How many lines of stderr are quoted when a server fails.
const LAST_WORDS: usize = 5;

/// News of one server.
#[derive(Debug, Clone)]
pub struct ServerEvent {
    /// The row in `mcp_servers`.
    pub server_id: Uuid,
    /// Its name.
    pub server_name: Arc<str>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a server.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// Its process is being started.
    Starting,
    /// It is ready to be called.
    Running {
        /// Its own name and version, as it says.
        server_version: String,
        /// Its capabilities by name, sorted (`tools`, `resources` …).
        capabilities: Vec<String>,
        /// What it offers, sorted by name.
        tools: Vec<ToolDefinition>,
    },
    /// It offers something else than before.
    ToolsChanged {
        /// What it offers now, sorted by name.
        tools: Vec<ToolDefinition>,
    },
    /// It answered a ping.
    Heartbeat,
    /// It wrote to stderr (or something that is no message to stdout). Secrets of its environment are blanked.
    Stderr {
        /// One line, of printable characters, at most `line_bytes` long.
        line: String,
    },
    /// It failed and will be started again.
    Failed {
        /// Why, for people.
        reason: String,
        /// When it is started again.
        retry_in: Duration,
    },
    /// It failed too often. It is left alone for `restart_window`, or until somebody asks for it.
    GaveUp {
        /// Why, for people.
        reason: String,
    },
    /// It was stopped, as asked.
    Stopped,
}

/// Sends a server's news; never lets a slow receiver hold the supervisor up for long.
#[derive(Clone)]
pub(crate) struct Emitter {
    pub id: Uuid,
    pub name: Arc<str>,
    pub events: mpsc::Sender<ServerEvent>,
    pub stop: CancellationToken,
}

impl Emitter {
    fn event(&self, kind: EventKind) -> ServerEvent {
        ServerEvent { server_id: self.id, server_name: self.name.clone(), kind }
    }

    /// For news that must arrive: waits for room, but not for ever, and not while stopping.
    pub(crate) async fn tell(&self, kind: EventKind) {
        let event = self.event(kind);
        let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) else { return };
        tokio::select! {
            sent = tokio::time::timeout(PATIENCE, self.events.send(event)) => {
                if sent.is_err() {
                    tracing::warn!(server = %self.name, "news of a server was lost: nobody took it in time");
                }
            }
            () = self.stop.cancelled() => {}
        }
    }

    /// For news that may be lost; says whether it was taken.
    pub(crate) fn mention(&self, kind: EventKind) -> bool {
        self.events.try_send(self.event(kind)).is_ok()
    }
}

/// Takes lines from a server's stderr, as fast as they come, and passes on as many as a minute may have.
#[derive(Clone)]
pub(crate) struct LogSink {
    emitter: Option<Emitter>,
    secrets: Arc<[SecretString]>,
    known: Secrets,
    lines_per_minute: u32,
    line_bytes: usize,
    window: Arc<Mutex<Window>>,
}

struct Window {
    since: Instant,
    passed: u32,
    left_out: u64,
    recent: VecDeque<String>,
}

impl LogSink {
    /// Without an emitter the lines are only kept for the last words.
    pub(crate) fn new(emitter: Option<Emitter>, secrets: Vec<SecretString>, limits: &Limits) -> Self {
        let window = Window { since: Instant::now(), passed: 0, left_out: 0, recent: VecDeque::new() };
        Self {
            emitter,
            secrets: secrets.into(),
            known: Secrets::default(),
            lines_per_minute: limits.stderr_lines_per_minute,
            line_bytes: limits.line_bytes,
            window: Arc::new(Mutex::new(window)),
        }
    }

    /// The same, taking out these as well.
    #[must_use]
    pub(crate) fn knowing(self, known: Secrets) -> Self {
        Self { known, ..self }
    }

    /// What nothing that the server says may hold.
    pub(crate) fn known(&self) -> &Secrets {
        &self.known
    }

    /// One line as it came.
    pub(crate) fn push(&self, raw: &[u8]) {
        let line = self.clean(raw);
        if line.trim().is_empty() {
            return;
        }
        let mut window = self.window();
        window.recent.push_back(line.clone());
        if window.recent.len() > LAST_WORDS {
            window.recent.pop_front();
        }
        if window.since.elapsed() >= MINUTE {
            self.close(&mut window);
        }
        let passes = window.passed < self.lines_per_minute;
        let taken = passes && self.emitter.as_ref().is_none_or(|emitter| emitter.mention(EventKind::Stderr { line }));
        if taken {
            window.passed += 1;
        } else {
            window.left_out += 1;
        }
    }

    /// Forgets the last words of an earlier life.
    pub(crate) fn begin(&self) {
        self.window().recent.clear();
    }

    /// Says how many lines were left out, once a minute and at the end of a life.
    pub(crate) fn flush(&self, at_end: bool) {
        let mut window = self.window();
        if at_end || window.since.elapsed() >= MINUTE {
            self.close(&mut window);
        }
    }

    fn close(&self, window: &mut Window) {
        window.since = Instant::now();
        window.passed = 0;
        if window.left_out == 0 {
            return;
        }
        let lines =
            if window.left_out == 1 { "1 line was".to_owned() } else { format!("{} lines were", window.left_out) };
        let line = format!("{lines} left out; {} a minute are kept", self.lines_per_minute);
        if self.emitter.as_ref().is_none_or(|emitter| emitter.mention(EventKind::Stderr { line })) {
            window.left_out = 0;
        }
    }

    /// The last lines, to be put at the end of a reason; empty when there were none.
    pub(crate) fn last_words(&self) -> String {
        let window = self.window();
        if window.recent.is_empty() {
            return String::new();
        }
        let quoted: Vec<String> = window.recent.iter().map(|line| line.chars().take(300).collect()).collect();
        format!("; the last it wrote: {}", quoted.join(" | "))
    }

    /// Printable, without secrets, of bounded length.
    pub(crate) fn clean(&self, raw: &[u8]) -> String {
        let mut line = String::from_utf8_lossy(raw).into_owned();
        for secret in self.secrets.iter() {
            if line.contains(secret.expose_secret()) {
                line = line.replace(secret.expose_secret(), "[secret]");
            }
        }
        self.known.blank(&mut line);
        // Control characters could forge lines or colour a terminal; a tab is harmless.
        line.retain(|c| c == '\t' || !c.is_control());
        if line.len() > self.line_bytes {
            let cut = char_boundary(&line, self.line_bytes.saturating_sub('…'.len_utf8()));
            line.truncate(cut);
            line.push('…');
        }
        line
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads stderr to its end; it is always read, so that a server never blocks on writing it.
pub(crate) async fn drain_stderr(stderr: tokio::process::ChildStderr, log: LogSink) {
    // Room beyond the limit, so that a secret across the cut is still recognised.
    let mut lines = Lines::new(stderr, log.line_bytes + 4096);
    while let Ok(Some(line)) = lines.next().await {
        match line {
            Line::Whole(bytes) => log.push(&bytes),
            Line::Oversized(over) => log.push(&over.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(limits: &Limits, secrets: &[&str]) -> (LogSink, mpsc::Receiver<ServerEvent>) {
        let (events, received) = mpsc::channel(64);
        let emitter = Emitter { id: Uuid::nil(), name: "files".into(), events, stop: CancellationToken::new() };
        let secrets = secrets.iter().map(|text| SecretString::from(*text)).collect();
        (LogSink::new(Some(emitter), secrets, limits), received)
    }

    fn drain(received: &mut mpsc::Receiver<ServerEvent>) -> Vec<String> {
        std::iter::from_fn(|| received.try_recv().ok())
            .map(|event| match event.kind {
                EventKind::Stderr { line } => line,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_flood_is_counted_not_passed_on() {
        let limits = Limits { stderr_lines_per_minute: 3, ..Limits::default() };
        let (sink, mut received) = sink(&limits, &[]);
        for n in 0..1000 {
            sink.push(format!("line {n}").as_bytes());
        }
        sink.flush(false);
        assert_eq!(drain(&mut received), ["line 0", "line 1", "line 2"]);
        sink.flush(true);
        assert_eq!(drain(&mut received), ["997 lines were left out; 3 a minute are kept"]);
        assert!(sink.last_words().ends_with("line 998 | line 999"));
    }

    #[test]
    fn secrets_control_characters_and_length_are_taken_out() {
        let limits = Limits { line_bytes: 20, ..Limits::default() };
        let (sink, mut received) = sink(&limits, &["hunter2hunter2"]);
        sink.push(b"\x1b[31mpass hunter2hunter2\x07 now and more");
        sink.push("ääääääääääääääää".as_bytes());
        sink.push(b"  ");
        assert_eq!(drain(&mut received), ["[31mpass [secret]…", "ääääääää…"]);
    }
}
