//! `steward task search`: tasks by their words, best first, with what matches shown.

use std::io::IsTerminal;

use jiff::Timestamp;
use store::{search::Piece, tasks::TaskFilter};

use super::{Json, Limit, Place, task::parse_due};
use crate::{Result, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to look for, best in quotes: 'words "an exact phrase" -without this or that begin*'
    #[arg(required = true)]
    words: Vec<String>,
    /// Only those with this status
    #[arg(long, value_parser = ["pending", "in_progress", "completed", "failed", "cancelled"])]
    status: Option<String>,
    /// Only those of this priority
    #[arg(long, value_parser = ["low", "medium", "high", "critical"])]
    priority: Option<String>,
    /// Only this user's work: a name, or `employee`
    #[arg(long, value_name = "USER")]
    assigned: Option<String>,
    /// Only those with this label
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Made then or later: 2026-12-24, or 2026-12-24T15:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_due)]
    since: Option<Timestamp>,
    /// Made before: 2026-12-24, or 2026-12-24T15:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_due)]
    before: Option<Timestamp>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, args: Args) -> Result<()> {
    let assigned_to = match &args.assigned {
        Some(name) => Some(place.user_named(name).await?.id),
        None => None,
    };
    let filter = TaskFilter {
        status: args.status,
        priority: args.priority,
        assigned_to,
        created_from: args.since,
        created_before: args.before,
        tag: args.tag,
    };
    let found = place.find_tasks(&args.words.join(" "), &filter, args.limit.limit).await?;
    if args.json.json {
        return output::json(&found);
    }
    if found.is_empty() {
        output::note("no task matches");
        return Ok(());
    }
    let is_terminal = std::io::stdout().is_terminal();
    for f in found {
        output::line(format!("{}  {}", f.task.id, shown(&f.snippet.title, is_terminal)))?;
        let (status, made) = (f.task.status.replace('_', " "), output::time(f.task.created_at));
        output::line(format!("    {status}, {} priority, made {made}", f.task.priority))?;
        if !f.snippet.description.is_empty() {
            output::line(format!("    {}", shown(&f.snippet.description, is_terminal)))?;
        }
    }
    Ok(())
}

/// What matches stands out where somebody looks; nothing of the text itself steers the terminal.
fn shown(pieces: &[Piece], is_terminal: bool) -> String {
    pieces
        .iter()
        .map(|piece| {
            let text = output::safe(&piece.text.replace(['\n', '\r', '\t'], " "));
            if piece.hit && is_terminal { format!("\u{1b}[1m{text}\u{1b}[22m") } else { text }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Piece, shown};

    #[test]
    fn what_matches_stands_out_and_nothing_else_steers() {
        let piece = |text: &str, hit| Piece { text: text.to_owned(), hit };
        let pieces = [piece("an\n", false), piece("invoice\u{1b}[2J", true)];
        assert_eq!(shown(&pieces, true), "an \u{1b}[1minvoice\\u{1b}[2J\u{1b}[22m");
        assert_eq!(shown(&pieces, false), "an invoice\\u{1b}[2J");
    }
}
