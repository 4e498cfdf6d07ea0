//! `steward backup`: backups, and getting them back.

use super::archive::{self, RestoreArgs, SetupArgs};
use crate::{Error, Result, config::Config};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Set continuous archiving up (PostgreSQL): says what it changes, asks, changes it, proves it
    Setup(SetupArgs),
    /// Bring back any moment of the archive into a new folder or database, and look at all of it (PostgreSQL)
    Restore(RestoreArgs),
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    match command {
        Command::Setup(args) => archive::setup(&config, args).await,
        Command::Restore(args) if matches!(config.database.target, store::Target::Postgres(_)) => {
            archive::recover(&config, &args).await
        }
        Command::Restore(_) => Err(Error::refused("there is no archive of a SQLite database")),
    }
}
