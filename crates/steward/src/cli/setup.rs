//! `steward setup`: the first admin and the employee.

use domain::accounts::{self, Setup};
use store::{Store, migrate};

use super::{blocking, password};
use crate::{Error, Result, config::Config, output};

/// What `setup` needs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The first admin's name
    #[arg(long)]
    username: String,
    /// The first admin's e-mail address
    #[arg(long)]
    email: String,
    #[command(flatten)]
    password: password::Source,
}

pub(super) async fn run(config: Config, args: Args) -> Result<()> {
    if config.sqlite_file().is_some() {
        let folder = config.clone();
        blocking(move || folder.ensure_data_dir()).await?;
        migrate::migrate(&config.database).await?;
    } else {
        migrate::require_current(&config.database).await?;
    }
    let store = Store::open(&config.database).await?;
    let result = make(&store, args).await;
    store.close().await;
    let username = result?;
    output::line(format!(
        "{username} is the first admin, and the employee is ready.\nLog in at http://{} while Steward runs (steward), or go on here: steward server add --help",
        config.listen
    ))
}

async fn make(store: &Store, args: Args) -> Result<String> {
    // Asked before the password is, so that nobody types one for nothing.
    if !accounts::needs_setup(store).await? {
        return Err(Error::refused(
            "set-up was done before: there is an admin; log in, or let an admin add you with: steward user add",
        ));
    }
    let password = args.password.read().await?;
    let setup = Setup { username: args.username.clone(), email: args.email, password, token: None };
    accounts::setup(store, setup).await?;
    Ok(args.username)
}
