//! `steward playbook`: the written steps at hand, checking one, and running one on a file.

use std::path::{Path, PathBuf};

use domain::{
    accounts::EMPLOYEE,
    files::{self, Attached, NewFile},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::{Value, json};
use store::{
    tasks::{self, NewTask, Task},
    users,
};
use workers::{library, watchers::folder::display_name};

use super::{Context, Json, Place, blocking, db::count, not_found};
use crate::{Error, Result, output};

/// The largest file that is taken, in bytes; as for the folder watcher.
const MAX_FILE_BYTES: u64 = 2 << 30;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The playbooks at hand: yours, and those that come with Steward
    List(Json),
    /// Read a playbook's file and name every mistake with line and column
    Check(Check),
    /// Make a playbook draft of what a model did for a task, and keep it switched off
    Promote(super::playbook_kept::Promote),
    /// The text of a playbook that is kept here
    Show(super::playbook_kept::Named),
    /// Have the employee use a kept playbook for the tasks that its match fits
    On(super::playbook_kept::Named),
    /// Have the employee use it no more
    Off(super::playbook_kept::Named),
    /// Remove a kept playbook
    Remove(super::playbook_kept::Named),
    /// Show what a playbook would do with past events beside what was done; nothing is called
    Replay(super::playbook_kept::Replay),
    /// Make a task for the employee: this playbook, on this file
    Run {
        /// The playbook's name
        name: String,
        /// The file it is for
        #[arg(long)]
        file: PathBuf,
        /// Only show every call that it would make, and what the rules would say; nothing is called
        #[arg(long)]
        dry: bool,
        /// What a step is assumed to answer in a dry run: text, or JSON
        #[arg(long, value_name = "STEP=ANSWER", requires = "dry", value_parser = super::playbook_dry::parse_answer)]
        answer: Vec<(String, Value)>,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The YAML file
    file: PathBuf,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List(json) => {
            let found = place.playbooks().await?;
            output::list(json.json, &found, "no playbooks", &["name", "from", "what it is for", "mistakes"], |e| {
                let origin = if e.is_on { e.origin.clone() } else { format!("{}, switched off", e.origin) };
                vec![e.name.clone(), origin, e.description.clone().unwrap_or_default(), e.errors.join("; ")]
            })
        }
        Command::Promote(args) => super::playbook_kept::promote(place, args).await,
        Command::Show(args) => super::playbook_kept::show(place, &args).await,
        Command::On(args) => super::playbook_kept::switch(place, &args, true).await,
        Command::Off(args) => super::playbook_kept::switch(place, &args, false).await,
        Command::Remove(args) => super::playbook_kept::remove(place, &args).await,
        Command::Replay(args) => super::playbook_kept::replay(place, args).await,
        Command::Check(args) => check(args).await,
        Command::Run { name, file, dry: true, answer, json } => {
            super::playbook_dry::show(place.here()?, name, &file, answer, json.json).await
        }
        Command::Run { name, file, json, .. } => start(place.here()?, name, file, json.json).await,
    }
}

/// A step as `check --json` shows it.
#[derive(Debug, Serialize)]
struct Step {
    name: String,
    server: String,
    tool: String,
}

impl Step {
    /// What it does, for people: what calls nothing has no server.
    fn does(&self) -> String {
        match (self.server.as_str(), self.tool.as_str()) {
            ("", domain::playbook::WAIT) => "(waits)".to_owned(),
            ("", domain::playbook::SUBTASK) => "(makes a task)".to_owned(),
            ("", _) => "(for each of a list)".to_owned(),
            (server, tool) => format!("{server}/{tool}"),
        }
    }
}

/// Checks a file; needs no database.
pub(super) async fn check(args: Check) -> Result<()> {
    let (file, name) = (args.file.clone(), args.file.display().to_string());
    let playbook = blocking(move || {
        let text = library::read(&file).map_err(|e| Error::refused(e.message))?;
        Ok(library::parse(&name, &text)?)
    })
    .await?;
    let steps: Vec<Step> = playbook
        .steps()
        .iter()
        .map(|s| Step { name: s.name.to_owned(), server: s.server.to_owned(), tool: s.tool.to_owned() })
        .collect();
    if args.json.json {
        return output::json(
            &json!({ "name": playbook.name(), "description": playbook.description(), "steps": steps }),
        );
    }
    output::line(format!("The playbook {} is right; it has {}:", playbook.name(), count(steps.len(), "step")))?;
    output::line(output::table(&["step", "what it does"], steps.iter().map(|s| vec![s.name.clone(), s.does()])))
}

async fn start(ctx: &Context, name: String, file: PathBuf, json: bool) -> Result<()> {
    ctx.check_playbook(&name).await?;
    let vault = ctx.vault().await?;
    let (path, opened, modified) = blocking(move || {
        let path =
            std::path::absolute(&file).map_err(|e| Error::file(format!("{} can't be read", file.display()), e))?;
        let fail = |e| Error::file(format!("{} can't be read", path.display()), e);
        let opened = std::fs::File::open(&path).map_err(fail)?;
        let meta = opened.metadata().map_err(fail)?;
        if !meta.is_file() {
            return Err(Error::refused(format!("{} is no plain file; name one", path.display())));
        }
        let modified = meta.modified().ok().and_then(|t| Timestamp::try_from(t).ok()).unwrap_or_else(store::now);
        Ok((path, opened, modified))
    })
    .await?;
    let kept = files::keep(&ctx.store, &vault, opened, MAX_FILE_BYTES).await?;
    let facts = described(&path, modified, (kept.stored.size_bytes, &kept.stored.sha256));
    let file = NewFile { name: display_name(path.file_name().unwrap_or_default()), kept, expires_at: None };
    let task = match make(ctx, name, facts, file.clone()).await {
        Ok((task, attached)) => {
            files::settle(&vault, &[file], &[attached]).await;
            task
        }
        Err(e) => {
            // The copy belongs to nothing.
            files::give_up(&vault, &[file]).await;
            return Err(e);
        }
    };
    if json {
        return output::json(&task);
    }
    output::line(format!(
        "Made the task {} “{}” for the employee. See how it goes: steward task show {0}",
        task.id,
        output::safe(&task.title)
    ))
}

/// A file's facts, as playbooks know them.
pub(super) fn described(path: &Path, modified: Timestamp, (size_bytes, sha256): (u64, &str)) -> Value {
    let name = display_name(path.file_name().unwrap_or_default());
    let (day, parts) = (modified.to_zoned(TimeZone::UTC).date(), Path::new(&name));
    let mime_type = mime_guess::from_path(parts).first_or_octet_stream().essence_str().to_owned();
    let parent = path.parent().unwrap_or(path);
    json!({
        "file": {
            "path": display_name(path),
            "name": name,
            "stem": parts.file_stem().map(|s| s.to_string_lossy()),
            "extension": parts.extension().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default(),
            "size_bytes": size_bytes,
            "mime_type": mime_type,
            "sha256": sha256,
            "modified_at": store::value::truncate(modified),
            "year": format!("{:04}", day.year()),
            "month": format!("{:02}", day.month()),
            "day": format!("{:02}", day.day()),
        },
        // As if a watcher had found it where it lies.
        "watcher": {
            "name": "terminal",
            "path": display_name(parent),
            "root": display_name(parent.parent().unwrap_or(parent)),
        },
    })
}

/// Task, provenance and file in one transaction. The file's content is from outside, whoever names it.
async fn make(ctx: &Context, playbook: String, facts: Value, file: NewFile) -> Result<(Task, Attached)> {
    let actor = ctx.actor.clone();
    let title: String = format!("File: {}", file.name).chars().take(255).collect();
    let mut new = NewTask::titled(title);
    let detail = json!({ "path": facts["file"]["path"], "sha256": facts["file"]["sha256"] });
    new.metadata = facts;
    new.metadata["playbook"] = Value::String(playbook);
    ctx.store
        .transaction(move |tx| {
            Box::pin(async move {
                let employee = users::agent(&actor, tx, EMPLOYEE).await?;
                new.assigned_to = Some(employee.ok_or_else(|| {
                    Error::refused("there is no employee yet; run: steward setup --username NAME --email ADDRESS")
                })?);
                let id = tasks::create(&actor, tx, &new).await?;
                tasks::add_provenance(&actor, tx, id, true, "terminal", detail).await?;
                let attached = files::attach(&actor, tx, id, &file).await?;
                let task = tasks::get(&actor, tx, id).await?.ok_or_else(|| not_found("task", &id.to_string()))?;
                Ok((task, attached))
            })
        })
        .await
}
