//! `steward task`: making, listing and moving tasks.

use std::collections::HashSet;

use domain::ids::Beginning;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;
use store::{
    approvals::Approval,
    beginnings::Kind,
    tasks::{NewTask, Task},
};
use uuid::Uuid;

use super::{Json, Limit, Place, place::Move, task_search, task_show};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a task
    Add(Add),
    /// Your tasks, newest first
    List {
        /// Only those with this status
        #[arg(long, value_parser = ["pending", "in_progress", "completed", "failed", "cancelled"])]
        status: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// One task with its runs, steps, files and approvals
    Show {
        id: Beginning,
        #[command(flatten)]
        json: Json,
    },
    /// Give a task to somebody
    Assign {
        id: Beginning,
        /// Who works on it: a name, or `employee`
        #[arg(required_unless_present = "nobody")]
        user: Option<String>,
        /// Take it from whoever has it
        #[arg(long, conflicts_with = "user")]
        nobody: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Say that work on a task has begun
    Start {
        id: Beginning,
        #[command(flatten)]
        json: Json,
    },
    /// Give a failed, cancelled or completed task anew: a new run begins from the start of its playbook
    Reopen {
        id: Beginning,
        #[command(flatten)]
        json: Json,
    },
    /// Say that a task is done
    Complete {
        id: Beginning,
        /// What was done
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Give a task up
    Cancel {
        id: Beginning,
        /// Why
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Tasks whose title or description match, best first
    Search(task_search::Args),
    /// Show or change what must be completed before a task
    Depends {
        id: Beginning,
        /// A task that must be completed first
        #[arg(long, value_name = "ID")]
        on: Vec<Beginning>,
        /// A task that need not be completed first any more
        #[arg(long, value_name = "ID")]
        not_on: Vec<Beginning>,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// What it is, in a few words
    title: String,
    /// What is to be done
    #[arg(long)]
    description: Option<String>,
    #[arg(long, default_value = "medium", value_parser = ["low", "medium", "high", "critical"])]
    priority: String,
    /// Who works on it: a name, or `employee`
    #[arg(long, value_name = "USER")]
    assign: Option<String>,
    /// When it is due: 2026-12-24, or 2026-12-24T15:00:00Z
    #[arg(long, value_parser = parse_due)]
    due: Option<Timestamp>,
    /// Minutes it should take
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(i32).range(0..))]
    estimate: Option<i32>,
    /// A label; may be said several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A task that must be completed first; may be said several times
    #[arg(long = "depends", value_name = "ID")]
    depends: Vec<Beginning>,
    /// The playbook the employee follows
    #[arg(long)]
    playbook: Option<String>,
    /// The kind of task, by which a model is chosen (docs/models.md)
    #[arg(long)]
    kind: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// A day (UTC) or a moment.
pub(super) fn parse_due(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let day = text.parse::<Date>().ok().and_then(|d| d.to_zoned(TimeZone::UTC).ok());
    day.map(|z| z.timestamp()).ok_or_else(|| "write a day as 2026-12-24 or a moment as 2026-12-24T15:00:00Z".to_owned())
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::Add(args) => add(place, args).await,
        Command::List { status, limit, json } => {
            let found = place.tasks(status.as_deref(), limit.limit).await?;
            list(place, &found, json.json, "no tasks").await?;
            limit.note(found.len());
            Ok(())
        }
        Command::Show { id, json } => task_show::run(place, one(place, &id).await?, json.json).await,
        Command::Assign { id, user, json, .. } => {
            assign(place, one(place, &id).await?, user.as_deref(), json.json).await
        }
        Command::Reopen { id, json } => move_to(place, &id, Move::Reopen, None, json.json).await,
        Command::Start { id, json } => move_to(place, &id, Move::Start, None, json.json).await,
        Command::Complete { id, note, json } => move_to(place, &id, Move::Complete, note, json.json).await,
        Command::Cancel { id, note, json } => move_to(place, &id, Move::Cancel, note, json.json).await,
        Command::Search(args) => task_search::run(place, args).await,
        Command::Depends { id, on, not_on, json } => {
            let (on, not_on) = (place.ids_of(Kind::Task, &on).await?, place.ids_of(Kind::Task, &not_on).await?);
            depends(place, one(place, &id).await?, on, not_on, json.json).await
        }
    }
}

async fn one(place: &Place, typed: &Beginning) -> Result<Uuid> {
    place.id_of(Kind::Task, typed).await
}

async fn add(place: &Place, args: Add) -> Result<()> {
    if args.title.trim().is_empty() || args.title.chars().count() > 255 {
        return Err(Error::refused("a task's title needs 1 to 255 characters; say the rest with --description"));
    }
    let assigned_to = match &args.assign {
        Some(name) => Some(place.user_named(name).await?.id),
        None => None,
    };
    let mut metadata = json!({});
    if let Some(playbook) = &args.playbook {
        place.check_playbook(playbook).await?;
        metadata["playbook"] = json!(playbook);
    }
    if let Some(kind) = &args.kind {
        domain::tasks::check_kind(kind)?;
        metadata["kind"] = json!(kind);
    }
    let new = NewTask {
        description: args.description,
        priority: args.priority,
        assigned_to,
        due_date: args.due,
        estimated_duration: args.estimate,
        metadata,
        dependencies: place.ids_of(Kind::Task, &args.depends).await?,
        tags: args.tags,
        ..NewTask::titled(args.title)
    };
    let task = place.add_task(new).await?;
    if args.json.json {
        return output::json(&task);
    }
    output::line(format!("Added the task {} “{}”.", task.id, output::safe(&task.title)))
}

async fn list(place: &Place, found: &[Task], json: bool, empty: &str) -> Result<()> {
    let names = place.names(found.iter().map(|t| t.assigned_to)).await?;
    let is_asked_for = !json && found.iter().any(|t| matches!(t.status.as_str(), "pending" | "in_progress"));
    let asked = if is_asked_for { place.approvals(Some("pending"), None, OPEN).await? } else { Vec::new() };
    let waiting = waiting_of(&asked);
    output::list(json, found, empty, &["id", "title", "status", "priority", "assigned to", "due", "made"], |t| {
        vec![
            t.id.to_string(),
            t.title.clone(),
            status_of(place, t, waiting.contains(&t.id)),
            t.priority.clone(),
            names.of(t.assigned_to),
            output::due(t.due_date),
            output::time(t.created_at),
        ]
    })
}

/// Open questions that are looked at for who waits.
const OPEN: i64 = 200;

/// The tasks about which somebody is asked.
pub(super) fn waiting_of(approvals: &[Approval]) -> HashSet<Uuid> {
    let now = store::now();
    let open = approvals.iter().filter(|a| a.status == "pending" && a.expires_at.is_none_or(|end| end > now));
    open.filter_map(|a| a.task_id).collect()
}

/// How a task stands, and whether it waits for the person who reads that, or for another.
pub(super) fn status_of(place: &Place, task: &Task, is_waiting: bool) -> String {
    let me = place.user();
    match is_waiting {
        false => task.status.clone(),
        true if me.role == "admin" || task.created_by == Some(me.id) => format!("{}, waits for you", task.status),
        true => format!("{}, waits for a decision", task.status),
    }
}

async fn assign(place: &Place, id: Uuid, user: Option<&str>, json: bool) -> Result<()> {
    let assignee = match user {
        Some(name) => Some(place.user_named(name).await?),
        None => None,
    };
    place.assign_task(id, assignee.as_ref().map(|u| u.id)).await?;
    if json {
        return output::json(&place.task(id).await?);
    }
    output::line(match assignee {
        Some(user) => format!("{} has the task now.", user.username),
        None => "Nobody has the task now.".to_owned(),
    })
}

async fn move_to(place: &Place, typed: &Beginning, to: Move, note: Option<String>, json: bool) -> Result<()> {
    let id = one(place, typed).await?;
    let said = place.move_task(id, to, note).await?;
    if json {
        said.into_iter().for_each(output::note);
        return output::json(&place.task(id).await?);
    }
    output::line(format!("The task is {} now.", to.status().replace('_', " ")))?;
    said.map_or(Ok(()), output::line)
}

async fn depends(place: &Place, id: Uuid, on: Vec<Uuid>, not_on: Vec<Uuid>, json: bool) -> Result<()> {
    let task = if on.is_empty() && not_on.is_empty() {
        place.task(id).await?
    } else {
        place.change_dependencies(id, on, not_on).await?
    };
    let found = place.dependencies(&task).await?;
    if !json && found.len() < task.dependencies.len() {
        output::note(format!("{} of its dependencies are not yours to see", task.dependencies.len() - found.len()));
    }
    list(place, &found, json, "the task depends on none that you may see").await
}

#[cfg(test)]
mod tests {
    use super::parse_due;

    #[test]
    fn a_day_is_a_utc_day() {
        assert_eq!(parse_due("2026-12-24").unwrap().to_string(), "2026-12-24T00:00:00Z");
        assert_eq!(parse_due("2026-12-24T15:00:00+01:00").unwrap().to_string(), "2026-12-24T14:00:00Z");
        assert!(parse_due("soon").is_err());
    }
}
