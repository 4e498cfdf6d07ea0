//! `steward key`: which master key seals, another in its place, and letting go of an old one.

use std::{path::PathBuf, sync::Arc};

use domain::{
    files::{self, IsStopped},
    master_key,
};
use serde::Serialize;
use store::users;

use super::{Context, Json, blocking, db::count};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The keys in the file, and how much each has sealed
    Status(Json),
    /// Have another key seal, and seal everything anew with it; Steward may run meanwhile
    Rotate {
        /// A file with the new key, 64 hexadecimal digits; without it one is made
        #[arg(long, value_name = "FILE", conflicts_with = "resume")]
        new_key: Option<PathBuf>,
        /// Go on with a rotation that ended early
        #[arg(long)]
        resume: bool,
    },
    /// Take an old key out of the file; backups made with it can't be opened without it
    Forget {
        /// Its fingerprint, as status shows it
        fingerprint: String,
    },
}

/// A key, as it may be shown.
#[derive(Debug, Serialize)]
struct Shown {
    fingerprint: String,
    /// `seals` or `opens`.
    does: &'static str,
    /// Values in the database that it sealed.
    sealed: usize,
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    // What is sealed belongs to everybody: whoever handles its key may change it all.
    for permission in ["server_admin", "watcher_admin", "channel_admin"] {
        if !users::allowed(&ctx.actor, &ctx.store, permission).await? {
            return Err(Error::refused("only an administrator handles the master key; nothing was changed"));
        }
    }
    match command {
        Command::Status(json) => status(ctx, json.json).await,
        Command::Rotate { new_key, resume } => rotate(ctx, new_key, resume).await,
        Command::Forget { fingerprint } => forget(ctx, fingerprint).await,
    }
}

async fn status(ctx: &Context, json: bool) -> Result<()> {
    let vault = ctx.vault().await?;
    let mut shown = Vec::new();
    for fingerprint in vault.fingerprints() {
        let sealed = master_key::sealed_with(&ctx.store, &fingerprint).await?;
        let does = if shown.is_empty() { "seals" } else { "opens" };
        shown.push(Shown { fingerprint, does, sealed });
    }
    output::list(json, &shown, "no keys", &["key", "does", "sealed"], |k| {
        vec![k.fingerprint.clone(), k.does.to_owned(), k.sealed.to_string()]
    })
}

async fn rotate(ctx: &Context, new_key: Option<PathBuf>, resume: bool) -> Result<()> {
    let vault = ctx.vault().await?;
    if !resume {
        let older = master_key::standing(&ctx.store, &vault).await?.older;
        if older > 0 && vault.fingerprints().len() > 1 {
            return Err(Error::refused(format!(
                "{} still sealed with an older key: a rotation ended early; go on with: steward key rotate --resume",
                count(older, "value")
            )));
        }
        let keys = vault.clone();
        blocking(move || Ok(keys.put_first(new_key.as_deref())?)).await?;
        domain::checkpoint::reached("a new key written");
        master_key::admit(&ctx.store, &vault).await?;
        domain::checkpoint::reached("a new key noted");
    }
    let never: IsStopped = Arc::new(|| false);
    let renewed = files::renew(&ctx.store, &vault, &never).await?;
    let sealed = master_key::seal_anew(&ctx.store, &vault, &ctx.actor, &never).await?;
    let keys = vault.fingerprints();
    let (first, older) = keys.split_first().map_or(("", &[][..]), |(first, older)| (first.as_str(), older));
    output::line(format!("The key {first} seals; {} sealed anew with it.", count(sealed + renewed, "value")))?;
    if !older.is_empty() {
        output::line(format!(
            "{} keeps the older {} for backups made before. Copy the file to where you keep it, and to other nodes that have one of their own; when no backup needs an older key: steward key forget {}",
            vault.key_file().display(),
            older.join(", "),
            older[0]
        ))?;
    }
    Ok(())
}

async fn forget(ctx: &Context, fingerprint: String) -> Result<()> {
    let vault = ctx.vault().await?;
    if vault.fingerprints().first() == Some(&fingerprint) {
        return Err(Error::refused("this key seals; rotate first: steward key rotate"));
    }
    let sealed = master_key::sealed_with(&ctx.store, &fingerprint).await?;
    if sealed > 0 {
        return Err(Error::refused(format!(
            "{} still sealed with this key; seal them anew first: steward key rotate --resume",
            count(sealed, "value")
        )));
    }
    let (keys, name) = (vault.clone(), fingerprint.clone());
    if !blocking(move || Ok(keys.forget(&name)?)).await? {
        return Err(Error::refused(format!(
            "{} holds no key {fingerprint}; see: steward key status",
            vault.key_file().display()
        )));
    }
    output::line(format!("The key {fingerprint} is out of {}.", vault.key_file().display()))
}
