//! `steward watcher add`, `credentials` and `test`: making a watcher, its secrets, and what it would do.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use domain::{
    Error as DomainError,
    watchers::{self as rules, NewWatcher},
};
use serde_json::{Value, json};
use store::{
    users,
    watchers::{self, Watcher},
};
use uuid::Uuid;
use workers::{
    folder_preview,
    watchers::{folder, polling},
};

use super::{Context, Json, Place, blocking, folders::Made, not_found, watcher::id_of};
use crate::{Error, Result, output};

/// Bytes of a file with credentials.
const CREDENTIALS_BYTES: u64 = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Its name
    name: String,
    /// What it watches
    #[arg(long = "type", value_name = "TYPE", value_parser = ["folder", "schedule", "feed", "imap", "http", "csv", "vault", "webhook"])]
    kind: String,
    /// Its settings in JSON, such as '{"path": "~/steward/inbox", "playbook": "file-away"}' (see docs/watchers.md)
    #[arg(long, value_name = "JSON")]
    config: String,
    /// A file with its credentials in JSON, or - for the standard input; they are sealed and never shown
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Credentials {
    watcher: String,
    /// A file with them in JSON; without it the standard input is read
    #[arg(long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    watcher: String,
    /// How many at most, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn add(ctx: &Context, args: Add) -> Result<()> {
    let config: Value = serde_json::from_str(&args.config).map_err(|e| {
        Error::refused(format!(
            "--config is no JSON ({e}); write it as '{{\"path\": \"~/steward/inbox\", \"playbook\": \"file-away\"}}'"
        ))
    })?;
    let mut credentials = match &args.credentials_file {
        Some(file) => Some(read_credentials(file.clone()).await?),
        None => None,
    };
    let wrong = |why: String| Error::from(DomainError::invalid("config", why));
    let mut made = None;
    let mut secret_made = None;
    let (playbook, assign_to, priority) = match args.kind.as_str() {
        "folder" => {
            let parsed = folder::parse(&config).map_err(|e| wrong(e.to_string()))?;
            made = Some(parsed.path.clone());
            (Some(parsed.playbook), parsed.assign_to, parsed.priority)
        }
        "webhook" => {
            let parsed = domain::webhooks::Settings::parse(&config)?;
            if credentials.is_none() {
                let (secret, _) = domain::accounts::new_token();
                credentials = Some(json!({ "secret": secret }));
                secret_made = Some(secret);
            }
            domain::webhooks::check_secret(credentials.as_ref())?;
            (parsed.playbook, parsed.assign_to, parsed.priority)
        }
        kind => {
            let allowed = rules::may_reach_private(&ctx.store, &ctx.actor).await?;
            let (common, _) =
                polling::open(kind, &config, credentials.as_ref(), allowed).map_err(|t| wrong(t.message))?;
            (common.playbook, common.assign_to, common.priority)
        }
    };
    if let Some(playbook) = &playbook {
        ctx.check_playbook(playbook).await?;
    }
    if let Some(name) = &assign_to
        && users::named(&ctx.actor, &ctx.store, name).await?.is_none()
    {
        return Err(Error::refused(format!(
            "assign_to names {name:?}, but there is no such user; see: steward user list"
        )));
    }
    if let Some(priority) = &priority
        && !["low", "medium", "high", "critical"].contains(&priority.as_str())
    {
        return Err(Error::refused(format!("priority must be low, medium, high or critical, not {priority:?}")));
    }
    let folder = made.clone();
    let made = match made {
        Some(path) => Some(blocking(move || Made::folder(&path, std::env::home_dir().as_deref())).await?),
        None => None,
    };
    let vault = ctx.vault().await?;
    // The settings are kept as they were written, so that `~` follows the home folder.
    let new = NewWatcher { name: args.name.clone(), watcher_type: args.kind.clone(), config, credentials };
    let id = match rules::add(&ctx.store, &vault, &ctx.actor, new).await {
        Ok(id) => id,
        Err(e) => {
            blocking(move || {
                if let Some(made) = made {
                    made.take_back();
                }
                Ok(())
            })
            .await?;
            return Err(e.into());
        }
    };
    if let Some(said) = made.as_ref().and_then(Made::said).filter(|_| !args.json.json) {
        output::line(said)?;
    }
    tell_added(ctx, id, &args, folder.as_deref(), (playbook.as_deref(), assign_to.as_deref()), secret_made).await?;
    let all = watchers::list(&ctx.actor, &ctx.store).await?;
    if let Some(warning) = all.iter().find(|w| w.id == id).and_then(|added| rules::also_watched(&all, added)) {
        output::note(format!("Note: {}.", output::safe(&warning)));
    }
    Ok(())
}

/// Says what was added, and a secret that was made, once.
async fn tell_added(
    ctx: &Context,
    id: Uuid,
    args: &Add,
    folder: Option<&Path>,
    (playbook, assign_to): (Option<&str>, Option<&str>),
    secret_made: Option<String>,
) -> Result<()> {
    if args.json.json {
        let watcher = watchers::get(&ctx.actor, &ctx.store, id).await?.map(rules::shown);
        let mut shown = serde_json::to_value(watcher).map_err(|e| Error::Internal(e.to_string()))?;
        if let Some(secret) = secret_made {
            shown["secret"] = json!(secret);
        }
        return output::json(&shown);
    }
    let what = match (folder, args.kind.as_str()) {
        (Some(path), _) => format!("what arrives in {}", output::safe(&path.display().to_string())),
        (None, "webhook") => "each call".to_owned(),
        (None, _) => "each event".to_owned(),
    };
    let whom = match (playbook, assign_to) {
        (Some(playbook), _) => format!("for the playbook {playbook}"),
        (None, name) => format!("for {}", output::safe(name.unwrap_or("the employee"))),
    };
    output::line(format!("Added the watcher {}: {what} becomes a task {whom}.", output::safe(&args.name)))?;
    if args.kind == "webhook" {
        output::line(format!("It is called at /hooks/{id} of this Steward."))?;
    } else {
        output::line(format!("See what it would do now: steward watcher test {}", output::safe(&args.name)))?;
    }
    if let Some(secret) = secret_made {
        output::line(format!("The sender signs with this secret, which is not shown again: {secret}"))?;
    }
    Ok(())
}

/// A watcher with all its settings.
async fn sealed(place: &Place, name: &str) -> Result<Watcher> {
    let (ctx, id) = (place.here()?, id_of(place, name).await?);
    watchers::get(&ctx.actor, &ctx.store, id).await?.ok_or_else(|| not_found("watcher", name))
}

pub(super) async fn credentials(place: &Place, args: Credentials) -> Result<()> {
    let (ctx, watcher) = (place.here()?, sealed(place, &args.watcher).await?);
    let secret = read_credentials(args.file).await?;
    if watcher.watcher_type == "webhook" {
        domain::webhooks::check_secret(Some(&secret))?;
    } else {
        let config = watcher.config.clone().unwrap_or_default();
        polling::open(&watcher.watcher_type, &config, Some(&secret), true)
            .map_err(|t| DomainError::invalid("credentials", t.message))?;
    }
    let vault = ctx.vault().await?;
    rules::set_credentials(&ctx.store, &vault, &ctx.actor, &watcher, &secret).await?;
    let name = output::safe(&watcher.name);
    output::line(format!("The watcher {name} has new credentials."))?;
    if watcher.is_active {
        return Ok(());
    }
    output::line(format!("It rests; let it go on with: steward watcher resume {name}"))
}

/// Reads credentials without ever showing them. `-` is the standard input.
pub(super) async fn read_credentials(file: PathBuf) -> Result<Value> {
    blocking(move || {
        let shown = if file == Path::new("-") { "the standard input".to_owned() } else { file.display().to_string() };
        let mut text = String::new();
        let read = if file == Path::new("-") {
            std::io::stdin().take(CREDENTIALS_BYTES + 1).read_to_string(&mut text)
        } else {
            std::fs::File::open(&file).and_then(|f| f.take(CREDENTIALS_BYTES + 1).read_to_string(&mut text))
        };
        read.map_err(|e| Error::file(format!("the credentials in {shown} can't be read"), e))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            // What stands there is not shown: it is a secret.
            Error::refused(format!(
                "the credentials in {shown} are no JSON (line {}); write them as {{\"password\": \"…\"}}",
                e.line()
            ))
        })?;
        if !value.is_object() || text.len() as u64 > CREDENTIALS_BYTES {
            return Err(Error::refused(format!(
                "the credentials in {shown} must be a JSON object such as {{\"password\": \"…\"}}"
            )));
        }
        Ok(value)
    })
    .await
}

pub(super) async fn test(place: &Place, args: Test) -> Result<()> {
    let most = usize::from(args.limit);
    if let Some(mut tasks) = place.preview_elsewhere(id_of(place, &args.watcher).await?).await? {
        tasks.truncate(most);
        if args.json.json {
            return output::json(&tasks);
        }
        let files = |task: &Value| task["files"].as_array().map_or(0, Vec::len);
        return told(tasks.iter().map(|task| (task["title"].as_str().unwrap_or_default(), files(task))));
    }
    let (ctx, watcher) = (place.here()?, sealed(place, &args.watcher).await?);
    let items = match watcher.watcher_type.as_str() {
        "folder" => folder_preview::preview(&ctx.store, &ctx.actor, &watcher, most).await?,
        "webhook" => {
            let why = format!("a webhook waits to be called: send it something at /hooks/{}", watcher.id);
            return Err(Error::refused(why));
        }
        _ => polling::preview(&ctx.store, &ctx.vault().await?, &ctx.actor, &watcher, most).await?,
    };
    if args.json.json {
        let shown: Vec<Value> = items
            .iter()
            .map(|i| json!({
                "key": i.key, "title": i.title, "description": i.description, "source": i.source, "event": i.event,
                "files": i.files.iter().map(|f| json!({ "name": f.name, "size_bytes": f.bytes.len() })).collect::<Vec<_>>(),
            }))
            .collect();
        return output::json(&shown);
    }
    told(items.iter().map(|item| (item.title.as_str(), item.files.len())))
}

/// Says which tasks would be made, each with how many files.
fn told<'a>(tasks: impl ExactSizeIterator<Item = (&'a str, usize)>) -> Result<()> {
    if tasks.len() == 0 {
        return output::line("It would make no task now; it was asked, and answered. Nothing was changed.");
    }
    output::line("It would make these tasks; nothing was changed:")?;
    for (title, files) in tasks {
        let files = if files == 0 { String::new() } else { format!(" ({files} files)") };
        output::line(format!("  {}{files}", output::safe(title)))?;
    }
    Ok(())
}
