//! `steward mcp`: Steward's own MCP server on standard input and output, for an agent that starts it.

use domain::tokens::Scope;
use tokio_util::sync::CancellationToken;
use tools::own::{self, Caller};

use super::Context;
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How far the agent reaches: read, tasks, logs
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["read", "tasks", "logs"])]
    scopes: Vec<String>,
}

pub(super) async fn run(ctx: &Context, args: Args) -> Result<()> {
    let scopes = args.scopes.iter().map(|word| scope(word)).collect::<Result<Vec<_>>>()?;
    let vault = ctx.vault().await?;
    let shutdown = CancellationToken::new();
    let caller = Caller { actor: ctx.actor.clone(), scopes };
    let mut served = Box::pin(own::stdio(ctx.store.clone(), vault, caller, shutdown.clone()));
    // Whoever ends it is answered what was asked before.
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        done = &mut served => done,
        _ = interrupted => { shutdown.cancel(); served.await }
    }
    .map_err(|e| Error::Internal(format!("the connection to the agent broke: {e}")))
}

fn scope(word: &str) -> Result<Scope> {
    let known = [Scope::Read, Scope::Tasks, Scope::Logs];
    known.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| {
        Error::refused(format!("there is no scope {word:?} here; say --scope with some of: read, tasks, logs"))
    })
}
