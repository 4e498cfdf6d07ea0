//! `steward logs`: what happened, oldest of the newest first, and on request what happens next.

use std::{collections::VecDeque, time::Duration};

use domain::ids::Beginning;
use jiff::{Span, Timestamp, tz::TimeZone};
use store::{beginnings::Kind, system_logs::LogLine};
use uuid::Uuid;

use super::{Json, Limit, Place, place::Lines};
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
    task: Option<Beginning>,
    /// Only lines about this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only lines of then or later: a moment (2026-12-24T15:00:00Z), or how long ago (2h, 3d)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only lines from before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only lines with these words: "a phrase", -without, this or that, begin*
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    search: Option<String>,
    /// Go on with new lines until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    follow: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    json: Json,
}

/// A moment, or how long ago it was.
pub(super) fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let now = store::now();
    let ago = text.parse::<Span>().ok().and_then(|span| now.to_zoned(TimeZone::UTC).checked_sub(span).ok());
    ago.map(|at| at.timestamp())
        .ok_or_else(|| "say a moment such as 2026-12-24T15:00:00Z, or how long ago it was, such as 2h or 3d".to_owned())
}

pub(super) async fn run(place: &Place, args: Args) -> Result<()> {
    let user = match &args.user {
        Some(name) => Some(place.user_named(name).await?.id),
        None => None,
    };
    let wanted = Lines {
        level: args.level,
        module: args.module,
        task: place.maybe_id_of(Kind::Task, args.task.as_ref()).await?,
        user,
        since: args.since,
        until: args.until,
        search: args.search,
    };
    let lines = fetch(place, &wanted, args.limit.limit).await?;
    if args.json.json {
        return output::json(&lines);
    }
    if lines.is_empty() && !args.follow {
        output::note(match &wanted.search {
            Some(words) => format!(
                "nothing found for {words:?}, which is looked for in the messages of those lines that you may see (for their parts \
                 and tasks: --module, --task; who changed what: steward audit list; titles and texts: steward task search)"
            ),
            None => "no such lines".to_owned(),
        });
    }
    let mut seen = VecDeque::new();
    print(&lines, &mut seen)?;
    if !args.follow {
        return Ok(());
    }
    // Lines that were there before, and were not asked for, are not new.
    let limit = i64::try_from(WINDOW).unwrap_or(500);
    let before = fetch(place, &wanted, limit).await?;
    let last = lines.last().map(|l| l.timestamp);
    for line in before.iter().filter(|l| last.is_none_or(|t| l.timestamp <= t)) {
        remember(&mut seen, line.id);
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(POLL) => {}
        }
        let mut new = fetch(place, &wanted, limit).await?;
        new.retain(|l| !seen.contains(&l.id));
        print(&new, &mut seen)?;
    }
}

/// The newest lines, oldest first.
async fn fetch(place: &Place, wanted: &Lines, limit: i64) -> Result<Vec<LogLine>> {
    let mut lines = place.logs(wanted, limit).await?;
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
