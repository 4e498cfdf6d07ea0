//! `steward attachment`: files on tasks, from the disk and back to it.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use domain::{
    files::{self, NewFile},
    ids::Beginning,
};
use jiff::Timestamp;
use store::{beginnings::Kind, file_attachments};
use uuid::Uuid;
use workers::watchers::folder::display_name;

use super::{Context, Json, Place, blocking, not_found};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The files of a task
    List {
        /// The task's id
        task: Beginning,
        #[command(flatten)]
        json: Json,
    },
    /// Hang a file on a task, encrypted
    Add {
        /// The task's id
        task: Beginning,
        /// The file
        file: PathBuf,
        /// When it may be removed, such as 2027-01-01T00:00:00Z; never without
        #[arg(long, value_name = "TIME", value_parser = super::task::parse_due)]
        expires_at: Option<Timestamp>,
        #[command(flatten)]
        json: Json,
    },
    /// Take a file off its task
    Remove {
        /// The attachment's id
        id: Beginning,
    },
    /// Write a file's content to the disk
    Get {
        /// The attachment's id
        id: Beginning,
        /// Where to; without it, under the attachment's own name here. - is the standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    let ctx = place.here()?;
    match command {
        Command::List { task, json } => {
            let task = place.id_of(Kind::Task, &task).await?;
            domain::tasks::get(&ctx.store, &ctx.actor, task).await?;
            let found = file_attachments::list(&ctx.actor, &ctx.store, task).await?;
            output::list(json.json, &found, "no files", &["id", "name", "size", "type", "expires"], |f| {
                vec![
                    f.id.to_string(),
                    output::safe(&f.filename),
                    f.file_size.map(|bytes| bytes.to_string()).unwrap_or_default(),
                    output::safe(f.mime_type.as_deref().unwrap_or_default()),
                    f.expires_at.map(output::time).unwrap_or_default(),
                ]
            })
        }
        Command::Add { task, file, expires_at, json } => {
            let task = place.id_of(Kind::Task, &task).await?;
            add(ctx, task, file, expires_at, json.json).await
        }
        Command::Remove { id } => {
            let id = place.id_of(Kind::Attachment, &id).await?;
            files::take_off(&ctx.store, &ctx.actor, id).await?;
            output::line(format!("Removed {id}"))
        }
        Command::Get { id, output } => get(ctx, place.id_of(Kind::Attachment, &id).await?, output).await,
    }
}

async fn add(ctx: &Context, task: Uuid, path: PathBuf, expires_at: Option<Timestamp>, json: bool) -> Result<()> {
    if expires_at.is_some_and(|at| at <= store::now()) {
        return Err(Error::refused("--expires-at must lie ahead"));
    }
    domain::tasks::get(&ctx.store, &ctx.actor, task).await?;
    let vault = ctx.vault().await?;
    let name = display_name(path.file_name().unwrap_or_default());
    let opened = blocking(move || {
        let fail = |e| Error::file(format!("{} can't be read", path.display()), e);
        let opened = std::fs::File::open(&path).map_err(fail)?;
        if !opened.metadata().map_err(fail)?.is_file() {
            return Err(Error::refused(format!("{} is no plain file; name one", path.display())));
        }
        Ok(opened)
    })
    .await?;
    let kept = files::keep(&ctx.store, &vault, opened, vault.limits().file_bytes).await?;
    let row = files::add(&ctx.store, &vault, &ctx.actor, task, NewFile { name, kept, expires_at }).await?;
    if json {
        return output::json(&row);
    }
    output::line(format!(
        "Added {} as {}. Write it back with: steward attachment get {}",
        output::safe(&row.filename),
        row.id,
        row.id
    ))
}

/// The content, whole or not at all.
async fn get(ctx: &Context, id: Uuid, target: Option<PathBuf>) -> Result<()> {
    let row = file_attachments::get(&ctx.actor, &ctx.store, id).await?;
    let row = row.ok_or_else(|| not_found("attachment", &id.to_string()))?;
    let vault = ctx.vault().await?;
    let mut opened = files::open(&ctx.store, &vault, &row).await?;
    let target = target.unwrap_or_else(|| PathBuf::from(&row.filename));
    if target == Path::new("-") {
        return blocking(move || {
            let mut out = std::io::stdout().lock();
            opened.copy(0, u64::MAX, &mut out)?;
            out.flush().map_err(|e| Error::file("the content can't be written".to_owned(), e))
        })
        .await;
    }
    let shown = target.display().to_string();
    let written = blocking(move || {
        let fail = |e| Error::file(format!("{} can't be written", target.display()), e);
        if target.symlink_metadata().is_ok() {
            return Err(Error::refused(format!(
                "{} is there already, and nothing is written over; name another file with --output",
                target.display()
            )));
        }
        let mut beside = target.clone().into_os_string();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let mut out =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(fail)?;
        let copied =
            opened.copy(0, u64::MAX, &mut out).map_err(Error::from).and_then(|()| out.sync_all().map_err(fail));
        if let Err(e) = copied {
            std::fs::remove_file(&beside).map_err(fail)?;
            return Err(e);
        }
        std::fs::rename(&beside, &target).map_err(fail)
    });
    written.await?;
    output::line(format!("Written to {shown}"))
}
