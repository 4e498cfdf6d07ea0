//! `steward schedule`: what runs by the clock, when, how it went, and running it now.

use domain::schedules as rules;
use store::schedules::{Change, Schedule};
use tokio_util::sync::CancellationToken;
use workers::{jobs::Jobs, log_keeping, safekeeping, scheduler};

use super::{Context, Json, Place, blocking};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// What runs by the clock, when next, and how it went
    List(Json),
    /// Change when a job runs, or whether it does
    Set(Set),
    /// Run a job now, once, and say how it went; exit 1 if it failed
    Run {
        /// The job's name
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Break off a job that runs, wherever it does; a backup leaves nothing at its place
    Cancel {
        /// The job's name
        name: String,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct Set {
    /// The job's name
    name: String,
    /// When: five fields, as in '30 2 * * *' for 2:30 each day
    #[arg(long, value_name = "FIELDS", group = "change")]
    cron: Option<String>,
    /// In which zone: Europe/Berlin, UTC …
    #[arg(long, value_name = "ZONE", group = "change")]
    time_zone: Option<String>,
    /// Let it run by the clock
    #[arg(long, group = "change", conflicts_with = "pause")]
    resume: bool,
    /// Keep it from running by the clock
    #[arg(long, group = "change")]
    pause: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List(Json { json }) => {
            let rows = place.schedules().await?;
            // There always are some: who sees none may not.
            if rows.is_empty() {
                return Err(Error::refused("you may not see what runs by the clock; ask an administrator"));
            }
            output::list(
                json,
                &rows,
                "nothing runs by the clock",
                &["name", "when", "zone", "runs", "next", "last", "took", "result"],
                |s| {
                    vec![
                        s.name.clone(),
                        s.cron.clone(),
                        s.time_zone.clone(),
                        by_whom(s).to_owned(),
                        output::maybe_time(s.next_fire_at),
                        output::maybe_time(s.last_fire_at),
                        s.last_duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
                        s.last_result.clone().or_else(|| s.last_status.clone()).unwrap_or_default(),
                    ]
                },
            )
        }
        Command::Set(set) => change(place, set).await,
        Command::Cancel { name, json } => {
            let row = place.cancel_schedule(&name).await?;
            if json.json {
                return output::json(&row);
            }
            output::line(format!("{name} is broken off; what became of it: steward schedule list"))
        }
        Command::Run { name, json } => now(place.here()?, &name, json.json).await,
    }
}

fn by_whom(schedule: &Schedule) -> &'static str {
    match (schedule.run_by.as_str(), schedule.is_active) {
        ("pg_cron", _) => "in pg_cron",
        (_, true) => "yes",
        (_, false) => "paused",
    }
}

async fn change(place: &Place, set: Set) -> Result<()> {
    let is_active = match (set.resume, set.pause) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let change = Change { cron: set.cron, time_zone: set.time_zone, is_active };
    let row = place.set_schedule(&set.name, change).await?;
    if set.json.json {
        return output::json(&row);
    }
    let when = format!("{} in {}", row.cron, row.time_zone);
    output::line(match (row.run_by.as_str(), row.next_fire_at) {
        ("pg_cron", _) => format!("{} runs at {when}, by pg_cron.", row.name),
        (_, Some(next)) if row.is_active => format!("{} runs at {when}, next at {}.", row.name, output::time(next)),
        _ => format!("{} is paused; it would run at {when}.", row.name),
    })
}

async fn now(ctx: &Context, name: &str, json: bool) -> Result<()> {
    let config = ctx.config.clone();
    let safe = blocking(move || config.safe()).await?;
    let jobs = safekeeping::jobs(log_keeping::jobs(Jobs::standard(), ctx.config.log_keeping()), safe);
    let vault = ctx.vault().await?;
    let schedule = rules::request(&ctx.store, &ctx.actor, name).await?;
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    let listener = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    let mut scheduler = scheduler::Scheduler::new(ctx.store.clone(), vault, jobs, &stop);
    let fire = tokio::select! {
        fire = scheduler::run_requested(&mut scheduler, &ctx.store, &schedule) => fire?,
        () = stop.cancelled() => None,
    };
    listener.abort();
    scheduler.end().await;
    let Some(fire) = fire else {
        return Err(Error::refused(format!(
            "{name} was stopped before it was done; a running Steward takes it up, or run it again"
        )));
    };
    if json {
        output::json(&fire)?;
    } else if fire.state == "done" {
        output::line(format!("{name}: {}", output::safe(fire.result.as_deref().unwrap_or_default())))?;
    }
    if fire.state == "done" {
        return Ok(());
    }
    Err(Error::refused(format!("{name} {}", fire.result.unwrap_or_default())))
}
