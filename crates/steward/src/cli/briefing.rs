//! `steward briefing`: what was done, what waits and for how long, where it is stuck, and what comes.

use domain::briefing::{Links, Period};

use super::{Json, Place};
use crate::{Result, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of the last week, instead of the last day
    #[arg(long)]
    week: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, args: Args) -> Result<()> {
    let period = if args.week { Period::Week } else { Period::Day };
    let made = place.briefing(period).await?;
    if args.json.json {
        return output::json(&made);
    }
    output::line(
        made.text(Links::Markdown(&place.desk())).trim_end().lines().map(output::safe).collect::<Vec<_>>().join("\n"),
    )
}
