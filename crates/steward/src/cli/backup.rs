//! `steward backup`: making bundles, looking at them, bringing them back, and trying that out.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use ::backup::{
    Bundle, Opener, Progress, Safe, postgres,
    safe::{Restored, Wish},
};
use indicatif::ProgressBar;
use store::Target;
use tokio_util::sync::CancellationToken;

use super::{
    Json,
    archive::{self, RestoreArgs, SetupArgs},
    backup_setup, blocking,
    context::open_store,
    db::count,
};
use crate::{Error, Result, config::Config, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a backup now: database, attachments, settings, encrypted, beside the running work
    Create {
        /// Of the archive of PostgreSQL's log instead, by pgBackRest's file of settings: on the database's machine, as its
        /// user or as root; a full one each week, else what is different since it
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
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
    /// Fetch the files that the database's rows name and the vault lacks, each proven against its row: after a restore on
    /// PostgreSQL, or where the folder of attachments was lost
    Attachments(Json),
    /// Restore the newest backup into a scratch folder, verify it, say how long it took, and remove it
    Drill {
        /// The archive of PostgreSQL's log instead, by pgBackRest's file of settings: on the database's machine, as its user
        /// or as root
        #[arg(long, value_name = "FILE", conflicts_with = "identity")]
        archive: Option<PathBuf>,
        #[command(flatten)]
        keys: Keys,
        #[command(flatten)]
        json: Json,
    },
    /// Where backups go, for whom they are sealed, whether the place takes them and whose it is; on PostgreSQL set continuous archiving up:
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
    let makes_one = matches!(command, Command::Create { archive: None, .. });
    let safe = blocking(move || {
        if makes_one {
            // The key is made when missing; whoever only looks makes none.
            settings.vault()?;
        }
        settings.safe()
    })
    .await?;
    let shown = Shown::new();
    // What only looks is ended by the terminal as ever.
    let is_long = matches!(
        command,
        Command::Create { archive: None, .. }
            | Command::Verify { .. }
            | Command::Restore(_)
            | Command::Drill { archive: None, .. }
    );
    let stop = if is_long { archive::interrupted() } else { CancellationToken::new() };
    let safe = Safe { progress: shown.progress().until(stop), ..safe };
    let done = carry_out(&config, &safe, command, &shown).await;
    shown.end();
    done
}

async fn carry_out(config: &Config, safe: &Safe, command: Command, shown: &Shown) -> Result<()> {
    match command {
        Command::Create { archive: Some(file), json } => {
            shown.end();
            archive::back_up(config, &file, json.json).await
        }
        Command::Create { json, .. } => create(config, safe, json, shown).await,
        Command::List(json) => list(safe, json).await,
        Command::Verify { id, keys, json } => {
            let opener = keys.opener(safe).await?;
            let done = safe.verify(id.as_deref(), &opener).await?;
            shown.end();
            if json.json {
                return output::json(&done);
            }
            output::line(format!(
                "{} is whole: {} parts with {} rows, {} attachments.",
                done.id, done.parts, done.rows, done.attachments
            ))
        }
        Command::Restore(args) if args.replace != args.force => Err(Error::refused(
            "to put it in the place of what is there takes both --replace and --force; nothing was changed",
        )),
        Command::Restore(args) if matches!(config.database.target, Target::Postgres(_)) => match &args.bundle {
            None => any_moment(config, safe, &args, shown).await,
            Some(id) => into_database(safe, id, &args, shown).await,
        },
        Command::Restore(args) => restore(safe, args, shown).await,
        Command::Attachments(json) => attachments(config, safe, json, shown).await,
        Command::Drill { archive: Some(file), json, .. } => {
            shown.end();
            archive::drill(config, &file, json.json).await
        }
        Command::Drill { keys, json, .. } => {
            let opener = keys.opener(safe).await?;
            let done = safe.drill(&opener).await?;
            shown.end();
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
        Command::Setup(args) => {
            if args.take_over {
                shown.end();
                backup_setup::take_over(safe, args.yes).await?;
            }
            if is_superuser(config).await? {
                // The archive is the database's as the place is: a copy of it leaves both alone.
                safe.claim().check_archive().await?;
                return archive::setup(config, args).await;
            }
            backup_setup::run(config, safe, args.json).await
        }
    }
}

/// Whether this is PostgreSQL, and the role may change how the server archives.
async fn is_superuser(config: &Config) -> Result<bool> {
    if matches!(config.database.target, Target::Sqlite(_)) {
        return Ok(false);
    }
    let found = store::diagnosis::look(&config.database).await?;
    Ok(found.role.is_some_and(|role| role.is_superuser))
}

/// On a terminal: how far it has come, on one line that goes when it is done.
struct Shown(Option<ProgressBar>);

impl Shown {
    fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
            bar
        }))
    }

    fn progress(&self) -> Progress {
        let bar = self.0.clone();
        Progress::new(move |words| {
            if let Some(bar) = &bar {
                bar.set_message(words.to_owned());
            }
        })
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
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

async fn create(config: &Config, safe: &Safe, Json { json }: Json, shown: &Shown) -> Result<()> {
    // A database of this Steward, with its schema: anything else is no backup of it.
    open_store(config).await?.close().await;
    let made = safe.create().await?;
    shown.end();
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

/// What the database's rows name and the vault lacks.
async fn attachments(config: &Config, safe: &Safe, Json { json }: Json, shown: &Shown) -> Result<()> {
    let store = open_store(config).await?;
    let done = safe.fetch_attachments(&store).await;
    store.close().await;
    let done = done?;
    shown.end();
    if json {
        output::json(&done)?;
    } else {
        output::fields(&[("fetched", done.fetched.to_string()), ("in the vault", done.attachments.to_string())])?;
        for what in &done.missing {
            output::line(format!("missing: {}", output::safe(what)))?;
        }
    }
    match usize::try_from(done.missing_count).unwrap_or(usize::MAX) {
        0 => Ok(()),
        some => Err(Error::refused(format!("{} missing; see above", count(some, "attachment")))),
    }
}

/// Any moment of a PostgreSQL database, from its archive; where nothing is archived, the newest backup.
async fn any_moment(config: &Config, safe: &Safe, args: &RestoreArgs, shown: &Shown) -> Result<()> {
    let file = args.archive.clone();
    if blocking(move || Ok(file.exists())).await? {
        shown.end();
        return archive::recover(config, args).await;
    }
    let missing = format!(
        "there is no archive here that could bring back any moment ({} is missing; bring it back from where its copy is kept, or name another with --archive)",
        args.archive.display()
    );
    let found = safe.list().await?;
    let fits = found.bundles.iter().rev().find(|b| args.to.is_none_or(|to| b.as_of <= to));
    match (fits, args.to) {
        (Some(newest), None) => {
            output::note(format!("{missing}; restoring the newest backup, {} …", newest.id));
            into_database(safe, &newest.id, args, shown).await
        }
        (Some(before), Some(_)) => Err(Error::refused(format!(
            "{missing}; the newest backup before that moment stands at {}: restore it with --bundle {} in the place of --to",
            output::time(before.as_of),
            before.id
        ))),
        (None, _) => Err(Error::refused(format!(
            "{missing}, and {} at {}",
            if found.bundles.is_empty() { "there is no backup" } else { "no backup is of before that moment" },
            safe.place.describe()
        ))),
    }
}

/// A bundle of a PostgreSQL database, into a database that is not there yet or empty.
async fn into_database(safe: &Safe, id: &str, args: &RestoreArgs, shown: &Shown) -> Result<()> {
    if args.to.is_some() {
        return Err(Error::refused("a bundle stands for its own moment; leave --to or --bundle out"));
    }
    if !args.into.starts_with("postgres://") && !args.into.starts_with("postgresql://") {
        return files(safe, id, args, shown).await;
    }
    let target = store::Config::from_url(&args.into)?;
    let opener = Keys { identity: args.identity.clone() }.opener(safe).await?;
    let bundle = Bundle::open(&safe.place, id, &opener).await?.telling(&safe.progress);
    // Every part is opened before anything is touched.
    bundle.verify().await?;
    let done = postgres::restore(&bundle, &target, args.replace, None, safe.progress.stop()).await?;
    shown.end();
    output::fields(&[
        ("restored", id.to_owned()),
        ("into", target.describe()),
        ("stands at", output::time(bundle.manifest().facts.as_of)),
        ("looked at", done.proof.checks.join("\n")),
    ])?;
    if let Some(name) = done.kept_as {
        output::line(format!("The database that stood there is kept as {name}; drop it when nobody misses anything."))?;
    }
    archive::tell_roles(&done.roles)?;
    output::line(format!(
        "To work on it, set database_url (DATABASE_URL) to it. Attachments, playbooks and settings come back with: steward backup restore --bundle {id} --into FOLDER"
    ))
}

/// What a bundle of a PostgreSQL database holds beside it, into a folder.
async fn files(safe: &Safe, id: &str, args: &RestoreArgs, shown: &Shown) -> Result<()> {
    let opener = Keys { identity: args.identity.clone() }.opener(safe).await?;
    let into = std::path::absolute(&args.into).map_err(|e| Error::file(format!("{} can't be used", args.into), e))?;
    let wish = Wish { id: Some(id.to_owned()), to: None, into: into.clone(), replace: args.replace };
    let done = safe.restore_files(&wish, &opener).await?;
    shown.end();
    if args.json {
        return output::json(&done);
    }
    output::fields(&[
        ("restored", done.bundle),
        ("into", into.display().to_string()),
        ("attachments", done.attachments.to_string()),
        ("settings", done.settings.join(", ")),
    ])?;
    tell_beside(&into, done.set_aside.as_deref(), done.wants_master_key)?;
    output::line(format!(
        "The database itself comes back into a server: steward backup restore --bundle {id} --into postgres://USER@HOST/NEW-DATABASE"
    ))
}

/// What a person must know of a folder that was restored into.
fn tell_beside(into: &Path, set_aside: Option<&Path>, wants_master_key: bool) -> Result<()> {
    if let Some(aside) = set_aside {
        output::line(format!("What had been there lies in {}.", aside.display()))?;
    }
    if into.join("steward.toml").exists() {
        output::line(format!(
            "Settings came along in {}: look at database_url, listen and backup_target before you start it beside the old one.",
            into.join("steward.toml").display()
        ))?;
    }
    if wants_master_key {
        output::line(format!(
            "Put the master key that you keep elsewhere at {}, or name it with master_key_file.",
            into.join("master.key").display()
        ))?;
    }
    Ok(())
}

async fn restore(safe: &Safe, args: RestoreArgs, shown: &Shown) -> Result<()> {
    if args.into.contains("://") {
        return Err(Error::refused(
            "a backup of a SQLite database is restored into a folder, as in --into /srv/restored; to bring it into PostgreSQL, restore it and then: steward db move --to postgres://…; nothing was restored",
        ));
    }
    let opener = Keys { identity: args.identity }.opener(safe).await?;
    let into = std::path::absolute(&args.into).map_err(|e| Error::file(format!("{} can't be used", args.into), e))?;
    let wish = Wish { id: args.bundle, to: args.to, into: into.clone(), replace: args.replace };
    let done = safe.restore(&wish, &opener).await?;
    shown.end();
    if args.json {
        output::json(&done)?;
        return is_whole(&done);
    }
    output::fields(&[
        ("restored", done.bundle.clone()),
        ("into", into.display().to_string()),
        ("stands at", output::time(done.as_of)),
        ("rows", done.rows.to_string()),
        ("audit links", done.audit_links.to_string()),
        ("attachments", done.attachments.to_string()),
        ("checks", done.checks.to_string()),
    ])?;
    for what in &done.missing {
        output::line(format!("missing: {}", output::safe(what)))?;
    }
    for what in &done.wrong {
        output::line(format!("wrong: {}", output::safe(what)))?;
    }
    if args.to.is_some_and(|to| done.as_of < to) {
        output::line(format!("Between {} and the moment asked for nothing was kept.", done.as_of))?;
    }
    tell_beside(&into, done.set_aside.as_deref(), done.wants_master_key)?;
    output::line(format!("Start it with: steward --data-dir {}", into.display()))?;
    is_whole(&done)
}

/// Refuses what came back with less than it should have.
fn is_whole(done: &Restored) -> Result<()> {
    let mut said = Vec::new();
    if done.missing_count > 0 {
        said.push(format!(
            "{} missing",
            count(usize::try_from(done.missing_count).unwrap_or(usize::MAX), "attachment")
        ));
    }
    if !done.wrong.is_empty() {
        said.push(format!("{} of the database wrong", count(done.wrong.len(), "thing")));
    }
    if said.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!("it was restored, with {}; see above", said.join(" and "))))
}
