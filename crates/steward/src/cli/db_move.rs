//! `steward db move`: everything to the other engine, proven equal, with the source left as it was.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use store::moving::{self, Moved, Phase, Progress};
use tokio_util::sync::CancellationToken;

use super::db::count;
use crate::{Error, Result, config::Config, output, serve};

/// Where a URL with a password stands, as a flag can be read by everybody on the machine.
const TO: &str = "STEWARD_MOVE_TO";
/// How often a line tells the progress where nobody looks at a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The new or empty database of the other engine: sqlite://PATH or postgres://… (with a password: STEWARD_MOVE_TO)
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, args: Args) -> Result<()> {
    let target = target(config, args.to)?;
    if let Some(file) = config.sqlite_file()
        && !file.exists()
    {
        return Err(Error::refused(format!("there is no database at {} to move", file.display())));
    }
    // Held to the end, so that no Steward starts on the source meanwhile.
    let _lock = if config.data_dir.is_dir() { Some(serve::lock(&config.data_dir)?) } else { None };
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    let shown = Shown::new();
    let moved = moving::run(&config.database, &target, &|p| shown.tell(p), &stop).await;
    shown.end();
    let moved = moved?;
    if args.json { output::json(&moved) } else { tell(config, &target, &moved) }
}

fn target(config: &Config, flag: Option<String>) -> Result<store::Config> {
    let url = match flag {
        Some(url) if crate::config::has_password(&url) => {
            return Err(Error::refused(format!(
                "the URL holds a password, which everybody on this machine can read in the list of processes; put it into the environment variable {TO}"
            )));
        }
        Some(url) => url,
        None => std::env::var(TO).ok().filter(|url| !url.is_empty()).ok_or_else(|| {
            Error::refused(format!("say where to: --to sqlite://PATH, --to postgres://…, or {TO} in the environment"))
        })?,
    };
    let mut target = store::Config::from_url(&url)?;
    if let store::Target::Sqlite(path) = &target.target {
        let path = std::path::absolute(path).map_err(|e| Error::file(format!("{}", path.display()), e))?;
        target.target = store::Target::Sqlite(path);
    }
    target.connect_timeout = config.database.connect_timeout;
    Ok(target)
}

fn tell(config: &Config, target: &store::Config, moved: &Moved) -> Result<()> {
    let rows = moved.tables.iter().map(|t| vec![t.name.clone(), t.rows.to_string(), t.sha256.clone()]);
    output::line(output::table(&["table", "rows", "sha256 on both sides"], rows))?;
    let total: i64 = moved.tables.iter().map(|t| t.rows).sum();
    let head = match (&moved.audit_seq, &moved.audit_sha256) {
        (Some(seq), Some(hash)) => format!("the audit chain ends with link {seq}, {hash}"),
        _ => "nothing was audited yet".to_owned(),
    };
    output::line(format!(
        "\n{} in {} moved{} and compared: the same on both sides; {head}.",
        count(usize::try_from(total).unwrap_or(usize::MAX), "row"),
        count(moved.tables.len(), "table"),
        if moved.resumed { " (an earlier try was taken up)" } else { "" }
    ))?;
    output::line(format!(
        "To work on it, set database_url (DATABASE_URL) to {}; data folder, attachments and key stay. {} is as it was: keep it until you are sure, and let no Steward work on it.",
        target.describe(),
        config.database.describe()
    ))
}

/// How far it has come: a bar at a terminal, a line now and then elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    /// When a line was written, and about which table.
    told: Mutex<Option<(Instant, String)>>,
}

impl Shown {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:32} {wide_bar} {human_pos}/{human_len} {elapsed}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, told: Mutex::new(None) }
    }

    fn tell(&self, p: &Progress<'_>) {
        let what = match p.phase {
            Phase::Copying => format!("copying {}", p.table),
            Phase::Comparing => format!("comparing {}", p.table),
        };
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(p.of).unwrap_or(0));
            bar.set_position(u64::try_from(p.rows).unwrap_or(0));
            bar.set_message(what);
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.as_ref().is_none_or(|(at, about)| *about != what || at.elapsed() >= LINE_EVERY);
        if is_due && p.of > 0 {
            output::note(format!("{what}: {} of {}", p.rows, p.of));
            *told = Some((Instant::now(), what));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
