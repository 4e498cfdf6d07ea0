//! `steward contact`: the people whom rules know.

use store::contacts;

use super::{Context, Json, not_found};
use crate::{Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Whom rules know
    List(Json),
    /// Add somebody: rules that say known(…) hold for this address
    Add {
        /// The address, such as bob@example.org
        address: String,
        /// Who it is
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove somebody
    Remove {
        /// The address
        address: String,
    },
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    match command {
        Command::List(json) => {
            let found = contacts::list(&ctx.actor, &ctx.store).await?;
            output::list(json.json, &found, "nobody is known", &["address", "name", "since"], |c| {
                vec![c.address.clone(), c.name.clone().unwrap_or_default(), output::time(c.created_at)]
            })
        }
        Command::Add { address, name } => {
            let address = domain::contacts::add(&ctx.store, &ctx.actor, &address, name.as_deref()).await?;
            output::line(format!("Rules know {} now.", output::safe(&address)))
        }
        Command::Remove { address } => {
            let address = domain::policy::around::address(&address);
            if !contacts::remove(&ctx.actor, &ctx.store, &address).await? {
                return Err(not_found("contact", &address));
            }
            output::line(format!("Rules do not know {} any more.", output::safe(&address)))
        }
    }
}
