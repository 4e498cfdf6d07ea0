//! Steward's client as the official conformance suite of MCP drives it (`scripts/mcp-conformance`): it is started with the
//! address of one of the suite's servers, greets it, calls each tool that it offers, and takes its leave. Who asks a person
//! gets the answer that the form already holds, and who wants to be authorized meets a person who says yes at once.
#![allow(clippy::print_stderr, reason = "a program of its own, whose words the suite keeps")]

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use outside::{
    address::Reach,
    http::{Client, Request},
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tools::{
    Authorization, CallNews, ClientIdentity, Context, EventKind, Grant, GrantKeeper, Granted, Limits, ServerHandle,
    ServerSpec, ToolCall, ToolDefinition, supervise,
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);
/// How often a person is asked for more before it is left.
const MOST_TIMES: usize = 3;
/// Where the browser of the suite's person comes back to; nobody listens there, since it is read off the answer.
const REDIRECT: &str = "http://localhost:3000/callback";
/// The name by which the suite knows a client that describes itself.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(address) = std::env::args().next_back().filter(|address| address.starts_with("http")) else {
        eprintln!("usage: mcp-conformance-client ADDRESS");
        return ExitCode::from(2);
    };
    match drive(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

async fn drive(address: &str) -> Result<(), String> {
    let wants_person = std::env::var("MCP_CONFORMANCE_SCENARIO").is_ok_and(|name| name.starts_with("auth/"));
    let mut scopes = Vec::new();
    for _ in 0..MOST_TIMES {
        let challenge = if wants_person { tools::challenge(address).await? } else { None };
        let granted = match challenge {
            Some(challenge) => Some(authorize(address, &challenge, &scopes).await?),
            None => None,
        };
        let Err(reason) = visit(address, granted).await else { return Ok(()) };
        // What more it wants stands in the advice.
        let Some((_, more)) = reason.split_once("--scope ") else { return Err(reason) };
        let more = more.trim_end_matches(|c: char| !c.is_alphanumeric());
        scopes = more.split(',').map(str::to_owned).collect();
    }
    Err(format!("it wanted more each of {MOST_TIMES} times"))
}

/// A person who opens the address and says yes.
async fn authorize(address: &str, challenge: &str, scopes: &[String]) -> Result<Granted, String> {
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    let text = |name: &str| context[name].as_str().map(str::to_owned);
    let identity = ClientIdentity {
        id: text("client_id"),
        secret: text("client_secret").map(Into::into),
        document: Some(DOCUMENT.to_owned()),
    };
    let authorization = Authorization::begin(address, REDIRECT, identity, Some(challenge), scopes).await?;
    let browser = Client::new(Reach::with(["localhost".to_owned(), "127.0.0.1".to_owned()]), 1 << 16);
    let browser = browser.map_err(|e| e.to_string())?;
    let page = browser.send_once(Request::get(authorization.url())).await.map_err(|e| e.to_string())?;
    let back = page.header("location").ok_or("the browser was not sent back")?.to_owned();
    let grant = authorization.finish(&back, "now".to_owned()).await?;
    Ok(Granted { authorized_at: grant.authorized_at.clone(), keeper: Arc::new(Kept(Mutex::new(grant))) })
}

/// Keeps a grant as long as this runs.
struct Kept(Mutex<Grant>);

impl GrantKeeper for Kept {
    fn load(&self) -> BoxFuture<'_, Result<Grant, String>> {
        let grant = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move { Ok(grant) }.boxed()
    }

    fn hold(&self) -> BoxFuture<'_, Result<bool, String>> {
        async { Ok(true) }.boxed()
    }
    fn save<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, Result<(), String>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = grant.clone();
        async { Ok(()) }.boxed()
    }

    fn over<'a>(&'a self, _: &'a Grant, reason: &'a str) -> BoxFuture<'a, ()> {
        eprintln!("the grant is over: {reason}");
        async {}.boxed()
    }
}

async fn visit(address: &str, granted: Option<Granted>) -> Result<(), String> {
    let (events, mut news) = mpsc::channel(64);
    let context = Context { limits: Limits::default(), run_dir: None, events, shutdown: CancellationToken::new() };
    let spec = ServerSpec {
        id: Uuid::new_v4(),
        name: "suite".to_owned(),
        command: address.to_owned(),
        args: Vec::new(),
        environment: BTreeMap::new(),
        directory: None,
        store: None,
        granted,
    };
    let server = supervise(spec, &context);
    let begun = async {
        while let Some(event) = news.recv().await {
            match event.kind {
                EventKind::Running { .. } => return Ok(()),
                EventKind::Failed { reason, .. } | EventKind::GaveUp { reason } => return Err(reason),
                _ => {}
            }
        }
        Err("it ended before it was ready".to_owned())
    };
    let mut outcome =
        tokio::time::timeout(PATIENCE, begun).await.unwrap_or_else(|_| Err("it was not ready in time".to_owned()));
    let told = tokio::spawn(async move { while news.recv().await.is_some() {} });
    if outcome.is_ok() {
        for tool in server.tools().unwrap_or_default() {
            match call(&server, &tool).await {
                Ok(result) => eprintln!("{}: {result}", tool.name),
                Err(reason) => outcome = Err(reason),
            }
        }
    }
    server.stop().await;
    told.abort();
    outcome
}

async fn call(server: &ServerHandle, tool: &ToolDefinition) -> Result<Value, String> {
    let (sender, mut news) = mpsc::channel(16);
    let arguments = arguments(&tool.input_schema).to_string();
    let call = server.call(ToolCall {
        tool: &tool.name,
        definition_sha256: Some(&tool.sha256),
        arguments: &arguments,
        timeout: None,
        news: Some(&sender),
    });
    tokio::pin!(call);
    loop {
        tokio::select! {
            done = &mut call => return done.map(|result| result.json).map_err(|e| format!("{}: {e}", tool.name)),
            Some(said) = news.recv() => match said {
                CallNews::Progress(progress) => eprintln!("{}: {progress}", tool.name),
                CallNews::Question(question) => {
                    let content = question.asks.defaults();
                    question.accept(content).await;
                }
            },
        }
    }
}

/// Something of the right kind for each field.
fn arguments(schema: &Value) -> Value {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, field)| {
        let value = match field["type"].as_str() {
            Some("number" | "integer") => json!(5),
            Some("boolean") => json!(true),
            _ => json!("x"),
        };
        (name.clone(), value)
    });
    Value::Object(fields.collect::<Map<_, _>>())
}
