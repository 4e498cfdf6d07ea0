//! `steward status`: how things stand, at a glance.

use serde::Serialize;
use store::{approvals, mcp_servers, notifications, tasks, watchers};

use super::{Context, Json, health};
use crate::{Result, output};

/// Rows that are counted at most; where there are more, the figure says so.
const COUNTED: i64 = 200;

/// What `status` shows.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    desk: String,
    desk_answers: bool,
    engine: &'static str,
    engine_version: String,
    database: String,
    acting_as: String,
    tasks_pending: usize,
    tasks_in_progress: usize,
    tasks_failed: usize,
    approvals_pending: usize,
    notifications_unread: usize,
    servers: Vec<Part>,
    watchers: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    name: String,
    is_active: bool,
    is_well: bool,
}

pub(super) async fn run(ctx: &Context, args: Args) -> Result<()> {
    let status = load(ctx).await?;
    if args.json.json {
        return output::json(&status);
    }
    let answers = if status.desk_answers { "answers" } else { "does not answer; start it with: steward" };
    output::fields(&[
        ("Steward", format!("{}, http://{} {answers}", status.version, status.desk)),
        ("database", format!("{} ({})", status.database, status.engine_version)),
        ("you are", status.acting_as),
        (
            "tasks",
            format!(
                "{} pending, {} in progress, {} failed",
                shown(status.tasks_pending),
                shown(status.tasks_in_progress),
                shown(status.tasks_failed)
            ),
        ),
        ("approvals", format!("{} pending (steward approval list)", shown(status.approvals_pending))),
        ("unread", format!("{} (steward notify log --status unread)", shown(status.notifications_unread))),
        ("servers", parts(&status.servers)),
        ("watchers", parts(&status.watchers)),
    ])
}

async fn load(ctx: &Context) -> Result<Status> {
    let (actor, store) = (&ctx.actor, &ctx.store);
    let count = |status| async move {
        Ok::<_, store::Error>(tasks::list(actor, store, Some(status), None, COUNTED).await?.len())
    };
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        desk: ctx.config.listen.to_string(),
        desk_answers: health::desk_answers(&ctx.config).await,
        engine: store.engine_name(),
        engine_version: store.engine_version().await?,
        database: ctx.config.database.describe(),
        acting_as: ctx.user.username.clone(),
        tasks_pending: count("pending").await?,
        tasks_in_progress: count("in_progress").await?,
        tasks_failed: count("failed").await?,
        approvals_pending: approvals::list(actor, store, Some("pending"), None, None, COUNTED).await?.len(),
        notifications_unread: notifications::list(actor, store, Some("unread"), COUNTED).await?.len(),
        servers: mcp_servers::list(actor, store)
            .await?
            .into_iter()
            .map(|s| Part { is_well: s.status == "active", name: s.name, is_active: s.is_active })
            .collect(),
        watchers: watchers::list(actor, store)
            .await?
            .into_iter()
            .map(|w| Part { is_well: w.error_count == 0, name: w.name, is_active: w.is_active })
            .collect(),
    })
}

fn shown(count: usize) -> String {
    if i64::try_from(count).unwrap_or(COUNTED) >= COUNTED { format!("{count} or more") } else { count.to_string() }
}

fn parts(parts: &[Part]) -> String {
    if parts.is_empty() {
        return "none".to_owned();
    }
    let word = |p: &Part| match (p.is_active, p.is_well) {
        (false, _) => "paused",
        (true, true) => "well",
        (true, false) => "not well",
    };
    parts.iter().map(|p| format!("{}: {}", p.name, word(p))).collect::<Vec<_>>().join(", ")
}
