//! `steward briefing`: what was done, what waits and for how long, where it is stuck, and what comes.

use std::io::IsTerminal;

use domain::briefing::{Links, Period};

use super::{Json, Place};
use crate::{Result, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of the last week, instead of the last day
    #[arg(long)]
    week: bool,
    /// In Markdown with links to the desk, as where it goes into a file or to another program
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, args: Args) -> Result<()> {
    let period = if args.week { Period::Week } else { Period::Day };
    let made = place.briefing(period).await?;
    if args.json.json {
        return output::json(&made);
    }
    let is_markdown = args.markdown || !std::io::stdout().is_terminal();
    let desk = place.desk();
    let text = made.text(if is_markdown { Links::Markdown(&desk) } else { Links::None });
    // No title of a row begins a line, so what begins with such a mark is a heading.
    let shown = |line: &str| output::safe(if is_markdown { line } else { line.trim_start_matches('#').trim_start() });
    output::line(text.trim_end().lines().map(shown).collect::<Vec<_>>().join("\n"))
}
