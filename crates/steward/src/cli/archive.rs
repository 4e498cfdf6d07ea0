//! `steward backup setup` and `steward backup restore --to` on PostgreSQL: continuous archiving, and any moment of it.

use std::{
    io::{BufRead, IsTerminal},
    path::{Path, PathBuf},
};

use ::backup::postgres::{Against, DEFAULT_FILE, Options, PgBackRest, Plan, Recovery, Standing, drill_archive, pour};
use domain::backups;
use jiff::Timestamp;
use serde::Serialize;
use store::backup::postgres::LibPq;
use tokio_util::sync::CancellationToken;

use super::{blocking, context::open_store};
use crate::{Error, Result, config::Config, output};

/// How archiving is set up.
#[derive(Debug, clap::Args)]
pub(super) struct SetupArgs {
    /// pgBackRest's file of settings, which is made; the pass phrase of the archive lies in it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    archive: PathBuf,
    /// Where the archive is kept
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/pgbackrest")]
    repository: PathBuf,
    /// pgBackRest's name for this server
    #[arg(long, value_name = "NAME", default_value = "steward")]
    stanza: String,
    /// After how many seconds the server closes a segment that is not full, 1 to 60
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    archive_timeout_s: u32,
    /// Full backups (one a week) that are kept, with the log from the oldest on
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    full_backups: u32,
    /// Change it without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// Take the place of the backups over from the database that has it: where this one replaces that one for good, as after
    /// a restore. That one's backups stay, and it makes none there any more
    #[arg(long)]
    pub(super) take_over: bool,
    /// Answer in JSON (SQLite, where nothing is changed)
    #[arg(long)]
    pub(super) json: bool,
}

/// Sets archiving up: says what it changes, asks, changes it, proves it.
pub(super) async fn setup(config: &Config, args: SetupArgs) -> Result<()> {
    let options = Options {
        file: args.archive,
        repository: args.repository,
        stanza: args.stanza,
        archive_timeout_s: args.archive_timeout_s,
        full_backups: args.full_backups,
    };
    let file = options.file.clone();
    let plan = Plan::make(&config.database, options).await?;
    output::line(format!("This is what will be changed for {}:", config.database.describe()))?;
    for line in plan.lines() {
        output::line(format!("  {line}"))?;
    }
    if !args.yes && !blocking(|| confirmed("Change it?")).await? {
        return Err(Error::refused("nothing was changed"));
    }
    let stop = interrupted();
    match plan.carry_out(&stop).await? {
        Standing::NeedsRestart(how) => {
            output::line(format!(
                "\nThe server archives from its next start on. Restart it ({how}), then run this again: it proves that what is archived arrives, and makes the first backup."
            ))?;
        }
        Standing::Archives(kind) => {
            note(config, backups::ARCHIVE_BACKUP, Ok(format!("a {kind} backup of the archive was made"))).await;
            output::line(format!(
                "\nThe server archives, what it archives arrives, and a {} backup was made. At most {} s of work wait to be archived.",
                if kind == "full" { "full" } else { "differential" },
                args.archive_timeout_s
            ))?;
        }
    }
    output::line(format!(
        "Keep a copy of {} away from this machine: without the pass phrase in it nobody can read the archive.",
        file.display()
    ))
}

/// Notes for those who look elsewhere how a backup or a drill went. What can't be noted is said.
async fn note(config: &Config, module: &'static str, went: std::result::Result<String, String>) {
    let noted = async {
        let store = open_store(config).await?;
        let noted = backups::note_archive(&store, module, went).await;
        store.close().await;
        Ok::<_, Error>(noted?)
    };
    if let Err(e) = noted.await {
        output::note(format!("How it went could not be noted in the database, so doctor will miss it: {}", e.line()));
    }
}

/// Makes a backup of the archive: a full one each week, else what is different since it.
pub(super) async fn back_up(config: &Config, file: &Path, json: bool) -> Result<()> {
    let stop = interrupted();
    let done = async { Ok::<_, Error>(open(file).await?.back_up(&stop).await?) }.await;
    let went = done.as_ref().map(|kind| format!("a {kind} backup of the archive was made")).map_err(Error::line);
    note(config, backups::ARCHIVE_BACKUP, went).await;
    let kind = done?;
    if json {
        return output::json(&serde_json::json!({ "kind": kind }));
    }
    output::line(format!("A {} backup was made.", if kind == "full" { "full" } else { "differential" }))
}

async fn open(file: &Path) -> Result<PgBackRest> {
    PgBackRest::open(file).await?.ok_or_else(|| {
        Error::refused(format!(
            "there is no archive: {} is missing; it is made by steward backup setup, on the database's machine",
            file.display()
        ))
    })
}

/// Recovers the archive to its end in a folder of its own, looks at all of it, removes it, and notes how it went.
pub(super) async fn drill(config: &Config, file: &Path, json: bool) -> Result<()> {
    let done = drilled(config, file, json).await;
    note(config, backups::ARCHIVE_DRILL, done.as_ref().cloned().map_err(Error::line)).await;
    done.map(drop)
}

/// Answers in words how it went.
async fn drilled(config: &Config, file: &Path, json: bool) -> Result<String> {
    let engine = open(file).await?;
    let database = LibPq::new(&config.database)?.database;
    output::note("Recovering all of the archive beside the server …");
    let began_at = store::now();
    let room = std::env::temp_dir();
    let done = drill_archive(&engine, &database, &Against::Nothing, &room, &interrupted()).await?;
    let age = began_at.duration_since(done.newest).as_secs().max(0);
    if json {
        let proof = serde_json::json!({
            "backup": done.from, "newest": done.newest, "recovery_ms": done.took.as_millis(), "age_s": age,
            "checks": done.proof.checks, "wrong": done.proof.wrong,
        });
        output::json(&proof)?;
    } else {
        output::fields(&[
            ("from", done.from.clone()),
            ("restored to", done.newest.to_string()),
            ("recovery took (RTO)", format!("{} ms", done.took.as_millis())),
            ("newest moment was (RPO)", format!("{age} s old")),
            ("looked at", done.proof.checks.join("\n")),
        ])?;
        for wrong in &done.proof.wrong {
            output::line(format!("wrong: {}", output::safe(wrong)))?;
        }
    }
    match done.proof.wrong.first() {
        None => Ok(format!(
            "{} restored to {} and verified; recovery took {} ms, its newest moment was {age} s old",
            done.from,
            done.newest,
            done.took.as_millis()
        )),
        Some(first) => {
            Err(Error::refused(format!("what came out of the archive has damage; see above; first: {first}")))
        }
    }
}

/// What is brought back.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// Everything committed by this moment, as 2026-11-22T13:59:59Z, or so long ago, as 2h; without it everything that was kept
    #[arg(long, value_name = "TIME", value_parser = super::logs::moment)]
    pub(super) to: Option<Timestamp>,
    /// A folder that is not there yet or empty, or postgres://… of a database that is not there yet or empty
    #[arg(long, value_name = "FOLDER|URL")]
    pub(super) into: String,
    /// Put it in the place of a database that holds something, or of a folder's data (SQLite); takes --force too. The
    /// database is kept under another name, what the folder holds is set aside in it
    #[arg(long)]
    pub(super) replace: bool,
    /// The second word for --replace
    #[arg(long, requires = "replace")]
    pub(super) force: bool,
    /// A certain backup; without it any moment
    #[arg(long, value_name = "ID")]
    pub(super) bundle: Option<String>,
    /// Private keys of a recipient, as age-keygen makes them
    #[arg(long, value_name = "FILE")]
    pub(super) identity: Option<PathBuf>,
    /// pgBackRest's file of settings
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub(super) archive: PathBuf,
    /// With a URL: a folder with room for all of the server's data meanwhile; without it the system's for temporary files
    #[arg(long, value_name = "FOLDER")]
    pub(super) scratch: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What a recovery came to.
#[derive(Debug, Serialize)]
struct Report {
    into: String,
    backup: String,
    reached: Option<Timestamp>,
    took_ms: u128,
    roles: Vec<String>,
    kept_as: Option<String>,
    checks: Vec<String>,
    wrong: Vec<String>,
}

/// Recovers everything up to a moment into a new folder or a new database, and looks at all of it.
pub(super) async fn recover(config: &Config, args: &RestoreArgs) -> Result<()> {
    let engine = PgBackRest::open(&args.archive).await?.ok_or_else(|| {
        Error::refused(format!(
            "there is no archive: {} is missing; bring it back from where its copy is kept, or name another with --archive (it is made by steward backup setup)",
            args.archive.display()
        ))
    })?;
    let database = LibPq::new(&config.database)?.database;
    let stop = interrupted();
    let report = if args.into.starts_with("postgres://") || args.into.starts_with("postgresql://") {
        into_database(&engine, &database, args, &stop).await?
    } else {
        into_folder(&engine, &database, args, &stop).await?
    };
    if args.json {
        output::json(&report)?;
    } else {
        tell(&report)?;
    }
    if report.wrong.is_empty() { Ok(()) } else { Err(Error::refused("what was restored has damage; see above")) }
}

async fn into_folder(
    engine: &PgBackRest,
    database: &str,
    args: &RestoreArgs,
    stop: &CancellationToken,
) -> Result<Report> {
    let into = PathBuf::from(&args.into);
    let into =
        blocking(move || std::path::absolute(&into).map_err(|e| Error::file(into.display().to_string(), e))).await?;
    output::note(format!("Restoring into {} …", into.display()));
    let back = engine.recover(&Recovery { into, to: args.to }, stop).await?;
    output::note("Looking at all of it …");
    let reached = back.reached().await?;
    let proof = back.prove(database, &Against::Nothing, stop).await?;
    let report = Report {
        into: back.data.display().to_string(),
        backup: back.backup.clone(),
        reached,
        took_ms: back.took.as_millis(),
        roles: Vec::new(),
        kept_as: None,
        checks: proof.checks,
        wrong: proof.wrong,
    };
    back.stop().await?;
    Ok(report)
}

async fn into_database(
    engine: &PgBackRest,
    database: &str,
    args: &RestoreArgs,
    stop: &CancellationToken,
) -> Result<Report> {
    let target = store::Config::from_url(&args.into)?;
    let room = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let (room, data) = blocking({
        let engine = engine.clone();
        move || Ok(engine.room(&room)?)
    })
    .await?;
    output::note("Restoring …");
    let back = engine.recover(&Recovery { into: data, to: args.to }, stop).await?;
    let reached = back.reached().await?;
    output::note(format!("Bringing it into {} …", target.describe()));
    let poured = pour(&back.config(database)?, &target, args.replace, room.path(), stop).await;
    let (backup, took_ms) = (back.backup.clone(), back.took.as_millis());
    back.stop().await?;
    let poured = poured?;
    Ok(Report {
        into: target.describe(),
        backup,
        reached,
        took_ms: took_ms + poured.took.as_millis(),
        roles: poured.roles,
        kept_as: poured.kept_as,
        checks: poured.proof.checks,
        wrong: poured.proof.wrong,
    })
}

fn tell(report: &Report) -> Result<()> {
    let took = std::time::Duration::from_millis(u64::try_from(report.took_ms).unwrap_or(u64::MAX));
    output::fields(&[
        ("restored into", report.into.clone()),
        ("from", report.backup.clone()),
        ("last commit", report.reached.map(|at| at.to_string()).unwrap_or_default()),
        ("took", format!("{:.1} s", took.as_secs_f64())),
        ("looked at", report.checks.join("\n")),
    ])?;
    for wrong in &report.wrong {
        output::line(format!("wrong: {}", output::safe(wrong)))?;
    }
    if let Some(name) = &report.kept_as {
        output::line(format!("The database that stood there is kept as {name}; drop it when nobody misses anything."))?;
    }
    tell_roles(&report.roles)?;
    output::line(
        "Its attachments come from the place of the backups: once Steward works on it (database_url, DATABASE_URL), run: steward backup attachments",
    )?;
    if Path::new(&report.into).is_absolute() {
        output::line(format!(
            "\nThe server in it is stopped and does not archive. To work on it: stop Steward and the old server, start this one (pg_ctl -D {} start, or name the folder in the service's settings), and run steward backup setup --take-over, which says that it replaces the original for good.",
            report.into
        ))?;
    }
    Ok(())
}

/// Roles that a restore made, and what they lack.
pub(super) fn tell_roles(roles: &[String]) -> Result<()> {
    if roles.is_empty() {
        return Ok(());
    }
    output::line(format!(
        "Roles were made, without log-in: {}. Make Steward's own again: CREATE ROLE steward LOGIN PASSWORD '…' IN ROLE app_user, app_service;",
        roles.join(", ")
    ))
}

/// Asks on the terminal; where there is none, only `--yes` says so.
pub(super) fn confirmed(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::refused("there is nobody to ask; nothing was changed; say --yes to change it"));
    }
    output::note(format!("{question} [y/N]"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| Error::file("the answer can't be read", e))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Cancelled when the person interrupts. At the second time the program ends at once: what it does then may be a piece of work
/// that looks at nothing for minutes.
#[expect(clippy::disallowed_methods, reason = "whoever interrupts twice waits for no order")]
pub(super) fn interrupted() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            output::note("Stopping … (once more to end at once)");
            told.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop
}
