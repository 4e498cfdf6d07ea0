//! `steward logs`: what happened, oldest of the newest first, and on request what happens next.

use std::{collections::VecDeque, time::Duration};

use store::system_logs::LogLine;
use uuid::Uuid;

use super::{Json, Limit, Place};
use crate::{Result, output};

/// How often new lines are looked for.
const POLL: Duration = Duration::from_secs(1);
/// Lines looked at each time, and ids remembered so that none is shown twice.
const WINDOW: usize = 500;

/// Which lines.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only lines of this level
    #[arg(long, value_parser = ["debug", "info", "warning", "error", "critical"])]
    level: Option<String>,
    /// Only lines of this part: server:NAME, watcher:NAME, …
    #[arg(long)]
    module: Option<String>,
    /// Only lines about this task
    #[arg(long, value_name = "ID")]
    task: Option<Uuid>,
    /// Go on with new lines until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    follow: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, args: Args) -> Result<()> {
    let lines = fetch(place, &args, args.limit.limit).await?;
    if args.json.json {
        return output::json(&lines);
    }
    if lines.is_empty() && !args.follow {
        output::note("no such lines");
    }
    let mut seen = VecDeque::new();
    print(&lines, &mut seen)?;
    if !args.follow {
        return Ok(());
    }
    // Lines that were there before, and were not asked for, are not new.
    let limit = i64::try_from(WINDOW).unwrap_or(500);
    let before = fetch(place, &args, limit).await?;
    let last = lines.last().map(|l| l.timestamp);
    for line in before.iter().filter(|l| last.is_none_or(|t| l.timestamp <= t)) {
        remember(&mut seen, line.id);
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(POLL) => {}
        }
        let mut new = fetch(place, &args, limit).await?;
        new.retain(|l| !seen.contains(&l.id));
        print(&new, &mut seen)?;
    }
}

/// The newest lines, oldest first.
async fn fetch(place: &Place, args: &Args, limit: i64) -> Result<Vec<LogLine>> {
    let mut lines = place.logs(args.level.as_deref(), args.module.as_deref(), args.task, limit).await?;
    lines.reverse();
    Ok(lines)
}

fn print(lines: &[LogLine], seen: &mut VecDeque<Uuid>) -> Result<()> {
    for l in lines {
        let (module, message) = (l.module.as_deref().unwrap_or("-"), l.message.as_deref().unwrap_or_default());
        output::line(format!(
            "{} {:8} {} {}",
            output::time(l.timestamp),
            l.level,
            output::safe(module),
            output::safe(message)
        ))?;
        remember(seen, l.id);
    }
    Ok(())
}

fn remember(seen: &mut VecDeque<Uuid>, id: Uuid) {
    if !seen.contains(&id) {
        seen.push_back(id);
    }
    while seen.len() > 4 * WINDOW {
        seen.pop_front();
    }
}
