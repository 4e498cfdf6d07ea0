//! `steward handbook`: what the owner wants the employee to know, in versions.

use std::path::{Path, PathBuf};

use store::handbook::Handbook;

use super::{Json, Place, blocking};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The version that counts, or an earlier one
    Show(Show),
    /// Save a new version
    Set(Set),
    /// All versions, newest first
    History(Json),
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// An earlier version
    #[arg(long, value_name = "N")]
    version: Option<i32>,
    #[command(flatten)]
    format: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// Markdown, at most 100,000 characters
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The version you have read; without it, the one that counts now
    #[arg(long, value_name = "N")]
    on_top_of: Option<i32>,
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::Show(args) => show(place, &args).await,
        Command::Set(args) => set(place, args).await,
        Command::History(format) => {
            let versions = place.handbook().await?;
            let names = place.names(versions.iter().map(|h| h.created_by)).await?;
            let row = |h: &Handbook| {
                let characters = h.content.chars().count().to_string();
                vec![h.version.to_string(), output::time(h.created_at), names.of(h.created_by), characters]
            };
            let head = ["version", "saved", "by", "characters"];
            output::list(format.json, &versions, "nothing was written yet", &head, row)
        }
    }
}

async fn show(place: &Place, args: &Show) -> Result<()> {
    let mut versions = place.handbook().await?.into_iter();
    let found = match args.version {
        None => versions.next(),
        Some(v) => versions.find(|h| h.version == v),
    };
    let found = found.ok_or_else(|| {
        let which =
            args.version.map_or_else(|| "nothing was written yet".to_owned(), |v| format!("there is no version {v}"));
        Error::refused(format!("{which}; save one with: steward handbook set --file FILE"))
    })?;
    if args.format.json {
        return output::json(&found);
    }
    for line in found.content.trim_end().lines() {
        output::line(output::safe(line))?;
    }
    Ok(())
}

async fn set(place: &Place, args: Set) -> Result<()> {
    let content = blocking(move || read(&args.file)).await?;
    let on_top_of = match args.on_top_of {
        Some(version) => version,
        None => place.handbook().await?.first().map_or(0, |h| h.version),
    };
    let saved = place.save_handbook(on_top_of, content).await?;
    output::line(format!("version {} of the handbook counts from now on", saved.version))
}

/// A handbook's file; one that can't be a handbook is not read whole.
fn read(file: &Path) -> Result<String> {
    let fail = |e| Error::file(format!("{} can't be read", file.display()), e);
    let most = u64::try_from(4 * domain::handbook::MAX_CHARS).unwrap_or(u64::MAX);
    if std::fs::metadata(file).map_err(fail)?.len() > most {
        return Err(Error::refused(format!("{} is too large for a handbook; shorten it", file.display())));
    }
    std::fs::read_to_string(file).map_err(fail)
}
