//! `steward audit`: who changed what, and the proof that nothing was altered.

use store::{audit_trail, users};
use uuid::Uuid;

use super::{Context, Json, Limit, db::count, not_allowed};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Changes, newest first
    List {
        /// Only of this kind: task, approval, user, mcp_server …
        #[arg(long, value_name = "KIND")]
        entity: Option<String>,
        /// Only of this thing
        #[arg(long, value_name = "ID")]
        id: Option<Uuid>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// Check the whole chain of hashes; exit 1 if anything was altered
    Verify(Json),
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    match command {
        Command::List { entity, id, limit, json } => {
            let found = audit_trail::list(&ctx.actor, &ctx.store, entity.as_deref(), id, limit.limit).await?;
            let names = ctx.names(found.iter().map(|r| r.user_id)).await?;
            output::list(json.json, &found, "no such changes", &["when", "who", "what", "of", "from", "to"], |r| {
                vec![
                    output::time(r.created_at),
                    if r.user_id.is_some() { names.of(r.user_id) } else { "Steward".to_owned() },
                    r.action.clone(),
                    r.entity_id.map(|id| id.to_string()).unwrap_or_default(),
                    brief(r.old_values.as_ref()),
                    brief(r.new_values.as_ref()),
                ]
            })
        }
        Command::Verify(Json { json }) => verify(ctx, json).await,
    }
}

/// Values in one line that fits beside others; `--json` shows them whole.
fn brief(values: Option<&serde_json::Value>) -> String {
    const LONGEST: usize = 100;
    let text = values.map(ToString::to_string).unwrap_or_default();
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

async fn verify(ctx: &Context, json: bool) -> Result<()> {
    // Who sees only a part of the chain would find it broken.
    if !users::allowed(&ctx.actor, &ctx.store, "audit_view_all").await? {
        return Err(not_allowed("audit_chain"));
    }
    let report = audit_trail::verify(&ctx.actor, &ctx.store).await?;
    if json {
        output::json(&report)?;
    }
    if let Some(broken) = report.broken {
        return Err(Error::refused(format!("the audit trail was altered: {broken}; compare it with a backup")));
    }
    if json {
        return Ok(());
    }
    output::line(format!(
        "The chain of {} is whole; its head is {}.",
        count(usize::try_from(report.links).unwrap_or(0), "change"),
        report.head
    ))
}
