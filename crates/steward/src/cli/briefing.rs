//! `steward briefing`: what was done, what waits and for how long, where it is stuck, and what comes.

use domain::briefing::{self, Period};

use super::{Context, Json};
use crate::{Result, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of the last week, instead of the last day
    #[arg(long)]
    week: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(ctx: &Context, args: Args) -> Result<()> {
    let period = if args.week { Period::Week } else { Period::Day };
    let made = briefing::make(&ctx.store, &ctx.actor, period, store::now()).await?;
    if args.json.json {
        return output::json(&made);
    }
    let desk = format!("http://{}", ctx.config.listen);
    output::line(made.text(Some(&desk)).trim_end().lines().map(output::safe).collect::<Vec<_>>().join("\n"))
}
