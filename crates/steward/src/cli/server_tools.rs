//! `steward server tools`: what a server offers. Just after a server was added nobody knows yet: then this waits for the
//! running Steward to ask it, or asks it itself where none runs.

use std::{io::IsTerminal, time::Duration};

use serde::Serialize;
use store::mcp_servers::{Server, ServerTool};
use tokio::time::Instant;

use super::{
    Place, blocking,
    health::{self, Answers},
    place::Lines,
};
use crate::{Error, Result, output};

/// How long a server may take to be listed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the database is asked meanwhile.
const POLL: Duration = Duration::from_millis(250);
/// How long a Steward that runs may give no sign, before the server is asked from here; without one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// The same where a Steward runs: a first start may have to download the server.
const SIGN_OF_LIFE_RUNNING: Duration = Duration::from_secs(30);
/// How long a server may stay in error before that is the answer; it is started again after a moment.
const IN_ERROR: Duration = Duration::from_secs(5);

/// A tool with its state in one word.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    tool: ServerTool,
    state: &'static str,
}

pub(super) async fn run(place: &Place, name: &str, json: bool) -> Result<()> {
    let server = place.server(name).await?;
    let tools = listed(place, &server).await?;
    let shown: Vec<Shown> = tools.into_iter().map(|tool| Shown { state: state(&tool), tool }).collect();
    let waits = shown.iter().any(|s| matches!(s.state, "new" | "changed"));
    output::list(json, &shown, "the server offers no tools", &["tool", "state", "what it says it does"], |s| {
        let first_line = s.tool.description.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        vec![s.tool.name.clone(), s.state.to_owned(), first_line.chars().take(160).collect()]
    })?;
    if waits && !json {
        output::note(format!(
            "New and changed tools wait until approved: steward server approve-tools {name} --all (or name them)"
        ));
    }
    Ok(())
}

fn state(tool: &ServerTool) -> &'static str {
    if !tool.is_offered {
        "gone"
    } else if tool.is_usable() {
        "approved"
    } else if tool.approved_sha256.is_some() {
        "changed"
    } else {
        "new"
    }
}

/// The tools as the database knows them, after waiting for a first listing.
async fn listed(place: &Place, server: &Server) -> Result<Vec<ServerTool>> {
    let known = place.tools(server).await?;
    if !known.is_empty() {
        return Ok(known);
    }
    if !server.is_active {
        return Err(Error::refused(format!(
            "the server {0} is paused and was never listed; start it with: steward server resume {0}",
            server.name
        )));
    }
    let progress = Progress::begin(&server.name);
    let begun = Instant::now();
    let own_start = begun + if is_running(place).await? { SIGN_OF_LIFE_RUNNING } else { SIGN_OF_LIFE };
    let mut in_error_since = None;
    loop {
        let tools = place.tools(server).await?;
        let now = place.server(&server.name).await?;
        // A server that is running and has been heard was listed, even where it offers nothing.
        if !tools.is_empty() || (now.status == "active" && now.last_heartbeat.is_some()) {
            return Ok(tools);
        }
        if now.status == "error" {
            let since = *in_error_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= IN_ERROR {
                return Err(Error::refused(format!(
                    "the server {} fails to start: {}",
                    server.name,
                    last_words(place, &server.name).await?
                )));
            }
        } else {
            in_error_since = None;
            if let Place::Here(ctx) = place
                && Instant::now() >= own_start
                && now.last_heartbeat.is_none()
            {
                let vault = ctx.vault().await?;
                workers::servers::list_now(&ctx.store, &vault, &server.name).await?;
                return place.tools(server).await;
            }
        }
        if begun.elapsed() >= PATIENCE {
            return Err(Error::refused(format!(
                "the server {0} has not said what it offers within {1} s; see how it fares with: steward logs --module server:{0}",
                server.name,
                PATIENCE.as_secs()
            )));
        }
        progress.go_on();
        tokio::time::sleep(POLL).await;
    }
}

/// Whether a Steward runs that will ask the server by itself.
async fn is_running(place: &Place) -> Result<bool> {
    let Place::Here(ctx) = place else { return Ok(true) };
    let config = ctx.config.clone();
    Ok(health::desk(&config).await != Answers::Nobody
        || blocking(move || Ok(health::process(&config).is_some())).await?)
}

/// The newest error in a server's log.
async fn last_words(place: &Place, name: &str) -> Result<String> {
    let module = format!("server:{name}");
    let wanted = Lines { level: Some("error".to_owned()), module: Some(module.clone()), ..Lines::default() };
    let lines = place.logs(&wanted, 1).await?;
    let said = lines.into_iter().next().and_then(|l| l.message).unwrap_or_else(|| "it said nothing".to_owned());
    Ok(format!("{said}; see: steward logs --module {module}"))
}

/// A word on stderr while one waits.
struct Progress {
    is_terminal: bool,
}

impl Progress {
    fn begin(name: &str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        if is_terminal {
            eprint!("Waiting for {name} to say what it offers ");
        } else {
            output::note(format!("Waiting for {name} to say what it offers"));
        }
        Self { is_terminal }
    }
    fn go_on(&self) {
        if self.is_terminal {
            eprint!(".");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}
