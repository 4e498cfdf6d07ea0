//! `steward status`: how things stand, at a glance.

use serde::Serialize;

use super::{Json, Place, place::House};
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
    #[serde(flatten)]
    house: House,
    acting_as: String,
    tasks_pending: usize,
    tasks_in_progress: usize,
    /// Those of them that wait for a person.
    tasks_waiting: usize,
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

pub(super) async fn run(place: &Place, args: Args) -> Result<()> {
    let status = load(place).await?;
    if args.json.json {
        return output::json(&status);
    }
    let answers = match &status.house {
        house if house.desk_answers => "answers",
        house if house.another_answers => "is answered by something else; see: steward doctor",
        _ => "does not answer; start it with: steward",
    };
    let waiting = match status.tasks_waiting {
        0 => String::new(),
        1 => " (1 waits for a decision)".to_owned(),
        n => format!(" ({n} wait for a decision)"),
    };
    output::fields(&[
        ("Steward", format!("{}, {} {answers}", status.version, status.desk)),
        ("database", format!("{} ({})", status.house.database, status.house.engine_version)),
        ("you are", status.acting_as),
        (
            "tasks",
            format!(
                "{} pending, {} in progress{waiting}, {} failed",
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

async fn load(place: &Place) -> Result<Status> {
    let count = |status| async move { Ok::<_, crate::Error>(place.tasks(Some(status), COUNTED).await?.len()) };
    let asked = place.approvals(Some("pending"), None, COUNTED).await?;
    let begun = place.tasks(Some("in_progress"), COUNTED).await?;
    let waiting = super::task::waiting_of(&asked);
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        desk: place.desk(),
        house: place.house().await?,
        acting_as: place.user().username.clone(),
        tasks_pending: count("pending").await?,
        tasks_in_progress: begun.len(),
        tasks_waiting: begun.iter().filter(|task| waiting.contains(&task.id)).count(),
        tasks_failed: count("failed").await?,
        approvals_pending: asked.len(),
        notifications_unread: place.notifications(Some("unread"), COUNTED).await?.len(),
        servers: place
            .servers()
            .await?
            .into_iter()
            .map(|s| Part { is_well: s.status == "active", name: s.name, is_active: s.is_active })
            .collect(),
        watchers: place
            .watchers()
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
