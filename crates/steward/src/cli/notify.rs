//! `steward notify`: what the person was told.

use store::notifications;

use super::{Context, Json, Limit};
use crate::{Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Your notifications, newest first
    Log {
        /// Only those with this status
        #[arg(long, value_parser = ["unread", "read", "archived"])]
        status: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    let Command::Log { status, limit, json } = command;
    let found = notifications::list(&ctx.actor, &ctx.store, status.as_deref(), limit.limit).await?;
    output::list(json.json, &found, "you were told nothing yet", &["made", "type", "status", "title", "message"], |n| {
        vec![
            output::time(n.created_at),
            n.r#type.clone(),
            n.status.clone(),
            n.title.clone(),
            n.message.clone().unwrap_or_default(),
        ]
    })
}
