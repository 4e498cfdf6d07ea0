//! `steward backup`: making bundles, looking at them, bringing them back, and trying that out.

use std::path::PathBuf;

use ::backup::{Bundle, Opener, Safe, postgres, safe::Wish, ship};
use bytes::Bytes;
use store::Target;
use tokio_util::sync::CancellationToken;

use super::{
    Json,
    archive::{self, RestoreArgs, SetupArgs},
    blocking,
    context::open_store,
};
use crate::{Error, Result, config::Config, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a backup now: database, attachments, settings, encrypted, beside the running work
    Create(Json),
    /// The backups there are, oldest first, and what was never finished
    List(Json),
    /// Read every part of a backup, and prove that it is whole and opens with the keys at hand
    Verify {
        /// Which; without it the newest
        id: Option<String>,
        #[command(flatten)]
        keys: Keys,
        #[command(flatten)]
        json: Json,
    },
    /// Bring back any moment that was kept, or a certain backup, and look at all of it
    Restore(RestoreArgs),
    /// Restore the newest backup into a scratch folder, verify it, say how long it took, and remove it
    Drill {
        #[command(flatten)]
        keys: Keys,
        #[command(flatten)]
        json: Json,
    },
    /// Where backups go, for whom they are sealed, whether the place takes them; on PostgreSQL set continuous archiving up:
    /// says what it changes, asks, changes it, proves it
    Setup(SetupArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// Private keys of a recipient, as age-keygen makes them
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let settings = config.clone();
    let makes_one = matches!(command, Command::Create(_));
    let safe = blocking(move || {
        if makes_one {
            // The key is made when missing; whoever only looks makes none.
            settings.vault()?;
        }
        settings.safe()
    })
    .await?;
    match command {
        Command::Create(json) => create(&config, &safe, json).await,
        Command::List(json) => list(&safe, json).await,
        Command::Verify { id, keys, json } => {
            let opener = keys.opener(&safe).await?;
            let done = safe.verify(id.as_deref(), &opener).await?;
            if json.json {
                return output::json(&done);
            }
            output::line(format!(
                "{} is whole: {} parts with {} rows, {} attachments.",
                done.id, done.parts, done.rows, done.attachments
            ))
        }
        Command::Restore(args) if matches!(config.database.target, Target::Postgres(_)) => match &args.bundle {
            None => archive::recover(&config, &args).await,
            Some(id) => into_database(&safe, id, &args).await,
        },
        Command::Restore(args) => restore(&safe, args).await,
        Command::Drill { keys, json } => {
            let opener = keys.opener(&safe).await?;
            let done = safe.drill(&opener).await?;
            if json.json {
                return output::json(&done);
            }
            output::fields(&[
                ("backup", done.bundle),
                ("restored to", output::time(done.as_of)),
                ("recovery took (RTO)", format!("{} ms", done.recovery_ms)),
                ("newest moment was (RPO)", format!("{} ms old", done.age_ms)),
                ("rows", done.rows.to_string()),
                ("audit links", done.audit_links.to_string()),
                ("attachments", done.attachments.to_string()),
                ("checks", done.checks.to_string()),
            ])
        }
        Command::Setup(args) if matches!(config.database.target, Target::Postgres(_)) => {
            archive::setup(&config, args).await
        }
        Command::Setup(args) => setup(&config, &safe, args.json).await,
    }
}

impl Keys {
    async fn opener(&self, safe: &Safe) -> Result<Opener> {
        let (opener, file) = (safe.opener(), self.identity.clone());
        blocking(move || {
            Ok(match file {
                Some(file) => opener.with_identities(&file)?,
                None => opener,
            })
        })
        .await
    }
}

async fn create(config: &Config, safe: &Safe, Json { json }: Json) -> Result<()> {
    // A database of this Steward, with its schema: anything else is no backup of it.
    open_store(config).await?.close().await;
    let made = safe.create().await?;
    if json {
        return output::json(&made);
    }
    output::line(format!(
        "{} is kept at {}: {} bytes in {} parts, as of {}.",
        made.id,
        safe.place.describe(),
        made.size_bytes(),
        made.parts.len(),
        output::time(made.as_of)
    ))
}

async fn list(safe: &Safe, Json { json }: Json) -> Result<()> {
    let found = safe.list().await?;
    output::list(
        json,
        &found.bundles,
        "there is no backup yet; make one with: steward backup create",
        &["id", "as of", "engine", "schema", "bytes", "any moment after"],
        |b| {
            vec![
                b.id.clone(),
                output::time(b.as_of),
                b.engine.clone(),
                b.schema_version.to_string(),
                b.size_bytes().to_string(),
                if b.has_log { "yes" } else { "no" }.to_owned(),
            ]
        },
    )?;
    for (id, why) in found.unfinished {
        output::note(format!("{} can't be used: {}", output::safe(&id), output::safe(&why)));
    }
    Ok(())
}

/// A bundle of a PostgreSQL database, into a database that is not there yet or empty.
async fn into_database(safe: &Safe, id: &str, args: &RestoreArgs) -> Result<()> {
    if args.to.is_some() {
        return Err(Error::refused("a bundle stands for its own moment; leave --to or --bundle out"));
    }
    let target = store::Config::from_url(&args.into)?;
    let opener = Keys { identity: args.identity.clone() }.opener(safe).await?;
    let bundle = Bundle::open(&safe.place, id, &opener).await?;
    // Every part is opened before anything is touched.
    bundle.verify().await?;
    let done = postgres::restore(&bundle, &target, args.replace, None, &CancellationToken::new()).await?;
    output::fields(&[
        ("restored", id.to_owned()),
        ("into", target.describe()),
        ("stands at", output::time(bundle.manifest().facts.as_of)),
        ("looked at", done.proof.checks.join("\n")),
    ])?;
    if let Some(name) = done.kept_as {
        output::line(format!("The database that stood there is kept as {name}."))?;
    }
    Ok(())
}

async fn restore(safe: &Safe, args: RestoreArgs) -> Result<()> {
    let opener = Keys { identity: args.identity }.opener(safe).await?;
    let into = std::path::absolute(&args.into).map_err(|e| Error::file(format!("{} can't be used", args.into), e))?;
    if args.replace != args.force {
        return Err(Error::refused(
            "to set aside what a folder holds takes both --replace and --force; nothing was changed",
        ));
    }
    let wish = Wish { id: args.bundle, to: args.to, into: into.clone(), replace: args.replace };
    let done = safe.restore(&wish, &opener).await?;
    if args.json {
        return output::json(&done);
    }
    output::fields(&[
        ("restored", done.bundle),
        ("into", into.display().to_string()),
        ("stands at", output::time(done.as_of)),
        ("rows", done.rows.to_string()),
        ("audit links", done.audit_links.to_string()),
        ("attachments", done.attachments.to_string()),
    ])?;
    if let Some(aside) = done.set_aside {
        output::line(format!("What had been there lies in {}.", aside.display()))?;
    }
    if done.wants_master_key {
        output::line(format!(
            "Put the master key that you keep elsewhere at {}, or name it with master_key_file.",
            into.join("master.key").display()
        ))?;
    }
    output::line(format!("Start it with: steward --data-dir {}", into.display()))
}

/// How backups are set up.
#[derive(Debug, serde::Serialize)]
struct SetUp {
    place: String,
    place_answers: String,
    sealed_for: String,
    kept: String,
    log: String,
    keep_elsewhere: String,
}

async fn setup(config: &Config, safe: &Safe, json: bool) -> Result<()> {
    let probe = format!("probe/{}", std::process::id());
    let answers = async {
        safe.place.put_bytes(&probe, Bytes::from_static(b"Steward looks whether it can write here.")).await?;
        safe.place.get_bytes(&probe, 1024).await?;
        safe.place.remove(&probe).await
    }
    .await;
    let people = !config.backups.recipients.is_empty();
    let keep = config.backups.keep;
    let log = if config.ships_log() {
        let folder = config.backup_dir();
        let standing = blocking(move || Ok(ship::standing(&folder)?)).await?;
        match (standing.is_followed, standing.last_commit_at) {
            (true, Some(at)) => format!("shipped; newest commit {}", output::time(at)),
            (true, None) => "shipped; nothing was committed yet".to_owned(),
            (false, _) => "shipped from the next start on".to_owned(),
        }
    } else {
        "not shipped: only the moments of backups can be restored (backup_ship_log = \"on\")".to_owned()
    };
    let found = SetUp {
        place: safe.place.describe(),
        place_answers: answers.as_ref().map_or_else(ToString::to_string, |()| "yes: written, read, removed".to_owned()),
        sealed_for: if people {
            config.backups.recipients.join(", ")
        } else {
            format!("whoever holds {}", config.master_key_file.display())
        },
        kept: format!("{} days, {} weeks, {} months", keep.daily, keep.weekly, keep.monthly),
        log,
        keep_elsewhere: if people {
            "the private key of a recipient; it opens everything, the master key included".to_owned()
        } else {
            format!("a copy of {}: without it no backup opens", config.master_key_file.display())
        },
    };
    if json {
        output::json(&found)?;
    } else {
        output::fields(&[
            ("place", found.place),
            ("it answers", found.place_answers),
            ("sealed for", found.sealed_for),
            ("kept", found.kept),
            ("the log", found.log),
            ("keep elsewhere", found.keep_elsewhere),
        ])?;
    }
    answers.map_err(Error::from)
}
