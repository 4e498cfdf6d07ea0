//! One life of a server: started, greeted, its tools listed, stopped.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use rmcp::model::{ClientCapabilities, ErrorCode, Implementation, InitializeRequestParams, ProtocolVersion};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, RequestError},
    definition::{self, ToolDefinition},
    error::StartError,
    events::LogSink,
    limits::Limits,
    peer::Peer,
    secrets::Secrets,
    spec::ServerSpec,
};

const MAX_TOOLS: usize = 1000;
const MAX_PAGES: usize = 100;
/// All definitions of a server together, in bytes.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;
/// One request of a start or a listing; the whole of it has a shorter limit, `start_timeout`.
const STEP: Duration = Duration::from_secs(3600);
/// How long the last bytes of a process that is gone may take.
const LAST_BYTES: Duration = Duration::from_millis(300);

/// What a server offers, by name.
pub(crate) type Tools = BTreeMap<String, ToolDefinition>;

/// A list of tools, and how many changes had been announced when it was asked for.
pub(crate) struct Listed {
    pub tools: Tools,
    pub changes: u64,
}

/// A server that is ready.
pub(crate) struct Session {
    pub connection: Arc<Connection>,
    pub peer: Peer,
    pub greeting: Greeting,
    pub listed: Listed,
    log: LogSink,
}

/// How a server introduced itself.
pub(crate) struct Greeting {
    pub version: String,
    pub capabilities: Vec<String>,
}

/// Starts a server, asks what it offers, and stops it again. For use where nothing supervises it.
pub async fn probe(spec: &ServerSpec, limits: &Limits) -> Result<Vec<ToolDefinition>, StartError> {
    let log = LogSink::new(None, spec.secrets(), limits).knowing(Secrets::of(&spec.environment));
    let mut session = Session::start(spec, limits, None, log, &CancellationToken::new()).await?;
    let tools = std::mem::take(&mut session.listed.tools);
    session.stop(limits.stop_grace).await;
    Ok(tools.into_values().collect())
}

impl Session {
    pub(crate) async fn start(
        spec: &ServerSpec,
        limits: &Limits,
        run_dir: Option<&Path>,
        log: LogSink,
        stop: &CancellationToken,
    ) -> Result<Self, StartError> {
        log.begin();
        let (mut peer, connection) = Peer::open(spec, limits, run_dir, &log).await?;
        let limit = limits.start_timeout;
        let agreed = peer.agreement();
        let ready = async {
            let greeting = greet(&connection, agreed).await?;
            let listed = list_tools(&connection, &greeting, &log).await?;
            Ok((greeting, listed))
        };
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => Err(StartError::Stopped),
            how = peer.exited() => Err(StartError::Exited { how, last_words: String::new() }),
            ready = tokio::time::timeout(limit, ready) => {
                ready.unwrap_or_else(|_| Err(StartError::TooSlow { after: limit, last_words: String::new() }))
            }
        };
        let connection = Arc::new(connection);
        match outcome {
            Ok((greeting, listed)) => Ok(Self { connection, peer, greeting, listed, log }),
            Err(reason) => {
                // A closed pipe is mostly the first sign of a process that is ending: let it say why.
                let exited = match reason {
                    StartError::ClosedPipes { .. } => tokio::time::timeout(LAST_BYTES, peer.exited()).await.ok(),
                    _ => None,
                };
                let reason = exited.map_or(reason, |how| StartError::Exited { how, last_words: String::new() });
                peer.kill().await;
                peer.last_words(LAST_BYTES).await;
                Err(reason.with_last_words(&log))
            }
        }
    }

    /// Stops it in order: what is in flight may still be answered while it leaves.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.connection.close_input();
        self.peer.stop(grace).await;
        self.finish().await;
    }

    /// Ends it at once.
    pub(crate) async fn kill(mut self) {
        self.peer.kill().await;
        self.finish().await;
    }

    async fn finish(&mut self) {
        self.connection.finish(LAST_BYTES).await;
        self.peer.last_words(LAST_BYTES).await;
        self.log.flush(true);
    }
}

/// Lists the tools of a running server anew.
pub(crate) async fn relist(
    connection: &Connection,
    greeting: &Greeting,
    limit: Duration,
    log: &LogSink,
) -> Result<Listed, StartError> {
    let listed = tokio::time::timeout(limit, list_tools(connection, greeting, log)).await;
    listed.unwrap_or_else(|_| Err(protocol(format!("it did not list its tools within {} s", limit.as_secs_f32()))))
}

async fn greet(connection: &Connection, agreed: impl FnOnce(&str)) -> Result<Greeting, StartError> {
    let us = Implementation::new("steward", env!("CARGO_PKG_VERSION"));
    let hello = InitializeRequestParams::new(ClientCapabilities::default(), us)
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE);
    let mut hello =
        serde_json::to_value(hello).map_err(|error| protocol(format!("no greeting could be made: {error}")))?;
    // What `reader` does for servers.
    hello["capabilities"] = json!({"elicitation": {"form": {}, "url": {}}, "roots": {}});
    let answer = connection.request("initialize", hello, STEP).await.map_err(|error| failed("initialize", &error))?;
    let version = answer["protocolVersion"].as_str().unwrap_or("no version");
    let is_known =
        ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.has_initialize() && known.as_str() == version);
    if !is_known {
        return Err(protocol(format!(
            "it speaks revision {version:?}, and Steward speaks {} and before",
            ProtocolVersion::LATEST_WITH_INITIALIZE
        )));
    }
    agreed(version);
    connection.notify("notifications/initialized").await.map_err(|error| failed("initialize", &error))?;
    let text = |field: &str| -> String {
        answer["serverInfo"][field].as_str().unwrap_or_default().chars().take(100).collect()
    };
    let mut capabilities: Vec<String> = answer["capabilities"]
        .as_object()
        .map(|capabilities| capabilities.keys().take(32).map(|name| name.chars().take(100).collect()).collect())
        .unwrap_or_default();
    capabilities.sort_unstable();
    Ok(Greeting { version: format!("{} {}", text("name"), text("version")).trim().to_owned(), capabilities })
}

async fn list_tools(connection: &Connection, greeting: &Greeting, log: &LogSink) -> Result<Listed, StartError> {
    let changes = connection.changes();
    if !greeting.capabilities.iter().any(|name| name == "tools") {
        return Ok(Listed { tools: Tools::new(), changes });
    }
    let mut entries: Vec<Value> = Vec::new();
    let mut size_bytes = 0;
    let mut params = json!({});
    for _ in 0..MAX_PAGES {
        let mut page = match connection.request("tools/list", params, STEP).await {
            Ok(page) => page,
            Err(error) => return Err(failed("tools/list", &error)),
        };
        let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
            return Err(protocol("its list of tools is not a list".into()));
        };
        size_bytes += tools.iter().map(|tool| tool.to_string().len()).sum::<usize>();
        entries.extend(tools);
        if entries.len() > MAX_TOOLS || size_bytes > MAX_LIST_BYTES {
            return Err(protocol(format!(
                "it offers more than {MAX_TOOLS} tools, or more than {MAX_LIST_BYTES} bytes of them"
            )));
        }
        if let Some(Value::String(cursor)) = page.get("nextCursor") {
            params = json!({ "cursor": cursor });
            continue;
        }
        let (tools, left_out) = definition::collect(entries);
        for what in left_out {
            log.push(format!("(left out: {what})").as_bytes());
        }
        return Ok(Listed { tools, changes });
    }
    Err(protocol(format!("its list of tools goes on after {MAX_PAGES} pages")))
}

fn protocol(what: String) -> StartError {
    StartError::Protocol { what, last_words: String::new() }
}

fn failed(method: &str, error: &RequestError) -> StartError {
    match error {
        RequestError::Closed => StartError::ClosedPipes { last_words: String::new() },
        RequestError::Late => protocol(format!("{method} was not answered in time")),
        RequestError::Lost { reason } => StartError::Unreachable { reason: reason.clone() },
        RequestError::TooLarge { size } => protocol(format!("the answer to {method} has {size} bytes")),
        RequestError::Answered { code, message } => {
            let hint = match i32::try_from(*code) {
                Ok(code) if code == ErrorCode::METHOD_NOT_FOUND.0 => " (an MCP server must know it)",
                _ => "",
            };
            protocol(format!("{method} was refused: {message} (code {code}){hint}"))
        }
    }
}

impl StartError {
    /// Adds what the server last wrote to stderr, where that may explain the failure.
    pub(crate) fn with_last_words(mut self, log: &LogSink) -> Self {
        match &mut self {
            Self::Exited { last_words, .. }
            | Self::TooSlow { last_words, .. }
            | Self::Protocol { last_words, .. }
            | Self::ClosedPipes { last_words } => *last_words = log.last_words(),
            _ => {}
        }
        self
    }
}
