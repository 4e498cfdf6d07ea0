//! `steward db`: migrations, how the schema stands, and what differs from what the migrations make.

use store::migrate;

use super::{Json, blocking, db_move, maintain, partitions, verify};
use crate::{Error, Result, config::Config, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Bring the schema up to date, all or nothing; on SQLite a verified copy is made first
    Migrate {
        /// Only show the statements, the locks they take and about how long they last; nothing is changed
        #[arg(long)]
        dry_run: bool,
        /// Answer the dry run in JSON
        #[arg(long, requires = "dry_run")]
        json: bool,
    },
    /// Engine, version, applied and pending migrations
    Status(Json),
    /// What differs between the live schema and what the migrations make; exit 1 if anything
    Drift(Json),
    /// The months of the log: bounds, lines, sizes, and lines whose month is missing
    Partitions(Json),
    /// Look for damage: pages, rules, orphans, the queue, files, the audit chain; exit 1 if anything
    Verify(Json),
    /// Move everything between SQLite and PostgreSQL, resumable and proven equal; the source stays as it is
    Move(db_move::Args),
    /// Upkeep beside the running work: dead rows, figures for the planner, bloated indexes, free pages
    Maintain(Json),
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    match command {
        Command::Migrate { dry_run: true, json } => dry_run(&config, json).await,
        Command::Migrate { .. } => bring_up_to_date(config).await,
        Command::Status(Json { json }) => status(&config, json).await,
        Command::Drift(Json { json }) => drift(&config, json).await,
        Command::Partitions(json) => partitions::run(&config, json).await,
        Command::Verify(json) => verify::run(config, json).await,
        Command::Move(args) => db_move::run(&config, args).await,
        Command::Maintain(json) => maintain::run(config, json).await,
    }
}

async fn bring_up_to_date(config: Config) -> Result<()> {
    if config.sqlite_file().is_some_and(|file| file.starts_with(&config.data_dir)) {
        let folder = config.clone();
        blocking(move || folder.ensure_data_dir()).await?;
    }
    let report = migrate::migrate(&config.database).await?;
    if let Some(copy) = report.copy {
        output::line(format!("A verified copy of the database as it was stands at {}.", copy.display()))?;
    }
    if report.applied.is_empty() {
        return output::line(format!("{} is up to date; nothing was changed.", config.database.describe()));
    }
    output::line(format!(
        "Applied {} to {}: {}.",
        count(report.applied.len(), "migration"),
        config.database.describe(),
        report.applied.join(", ")
    ))
}

async fn dry_run(config: &Config, json: bool) -> Result<()> {
    let plan = migrate::dry_run::dry_run(&config.database).await?;
    if json {
        return output::json(&plan);
    }
    if plan.migrations.is_empty() {
        return output::line(format!("{} is up to date; there is nothing to do.", config.database.describe()));
    }
    if let Some(ms) = plan.copy_ms {
        output::line(format!("First a verified copy is made, in about {}.", milliseconds(ms)))?;
    }
    for migration in &plan.migrations {
        let how = if migration.is_online { "beside the running work" } else { "in a transaction" };
        output::line(format!(
            "\n{} {}, {how}, about {}",
            migration.version,
            migration.name,
            milliseconds(migration.expected_ms)
        ))?;
        for statement in &migration.statements {
            output::line(format!("  {}  [{}]", output::safe(&statement.text), milliseconds(statement.expected_ms)))?;
            for lock in &statement.locks {
                output::line(format!(
                    "      {} on {} ({} rows, {} KiB): keeps out {}",
                    lock.mode,
                    lock.table,
                    lock.rows,
                    lock.size_bytes / 1024,
                    lock.keeps_out
                ))?;
            }
            for work in &statement.work {
                output::line(format!("      {work}"))?;
            }
        }
    }
    output::line(
        "\nLocks last until the migration's transaction ends. Nothing was changed; to do it: steward db migrate",
    )
}

fn milliseconds(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{} s", ms / 1000) }
}

async fn status(config: &Config, json: bool) -> Result<()> {
    let status = migrate::status(&config.database).await?;
    if json {
        return output::json(&status);
    }
    output::fields(&[
        ("engine", status.engine.to_owned()),
        ("version", status.version),
        ("database", config.database.describe()),
        ("applied", status.applied.len().to_string()),
        ("pending", if status.pending.is_empty() { "none".to_owned() } else { status.pending.len().to_string() }),
    ])?;
    let applied =
        status.applied.iter().map(|m| vec![m.version.to_string(), m.name.clone(), output::time(m.applied_at)]);
    let next = status.applied.last().map_or(1, |m| m.version + 1);
    let pending = (next..)
        .zip(&status.pending)
        .map(|(version, name)| vec![version.to_string(), name.clone(), "pending".to_owned()]);
    output::line(format!("\n{}", output::table(&["migration", "name", "applied"], applied.chain(pending))))?;
    if status.pending.is_empty() { Ok(()) } else { output::line("\nTo apply what is pending: steward db migrate") }
}

async fn drift(config: &Config, json: bool) -> Result<()> {
    if let Some(file) = config.sqlite_file()
        && !file.exists()
    {
        return Err(Error::refused(format!(
            "there is no database at {}; make it with: steward db migrate",
            file.display()
        )));
    }
    let lines = migrate::drift(&config.database).await?;
    if json {
        output::json(&lines)?;
    } else {
        for line in &lines {
            output::line(output::safe(line))?;
        }
    }
    if lines.is_empty() {
        return if json { Ok(()) } else { output::line("The live schema is what the migrations make.") };
    }
    Err(Error::refused(format!(
        "the live schema differs in {} from what the migrations make; undo what was changed by hand, or restore a backup",
        count(lines.len(), "place")
    )))
}

/// `1 place`, `2 places`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
