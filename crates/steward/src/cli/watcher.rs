//! `steward watcher`: what notices things outside.

use domain::Error as DomainError;
use serde_json::Value;
use store::{
    users,
    watchers::{self, Watcher},
};
use uuid::Uuid;
use workers::watchers::folder;

use super::{Context, Json, blocking, folders::Made, not_allowed, not_found};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a watcher; it acts under your rights
    Add(Add),
    /// Your watchers and how they fare
    List(Json),
    /// One watcher with its settings and its last trouble
    Show {
        watcher: String,
        #[command(flatten)]
        json: Json,
    },
    /// Let a watcher rest
    Pause { watcher: String },
    /// Let a paused watcher go on
    Resume { watcher: String },
    /// Remove a watcher with what it has seen
    Remove { watcher: String },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Its name
    name: String,
    /// What it watches
    #[arg(long = "type", value_name = "TYPE", value_parser = ["folder"])]
    kind: String,
    /// Its settings in JSON, such as '{"path": "~/steward/inbox", "playbook": "file-away"}'
    #[arg(long, value_name = "JSON")]
    config: String,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    match command {
        Command::Add(args) => add(ctx, args).await,
        Command::List(json) => {
            let found = watchers::list(&ctx.actor, &ctx.store).await?;
            output::list(
                json.json,
                &found,
                "no watchers; add one with: steward watcher add --help",
                &["name", "type", "watches", "playbook", "state", "last look", "last trouble"],
                row,
            )
        }
        Command::Show { watcher, json } => show(ctx, &watcher, json.json).await,
        Command::Pause { watcher } => set_active(ctx, &watcher, false).await,
        Command::Resume { watcher } => set_active(ctx, &watcher, true).await,
        Command::Remove { watcher } => {
            let found = named(ctx, &watcher).await?;
            if !watchers::delete(&ctx.actor, &ctx.store, found.id).await? {
                return Err(not_allowed("watchers"));
            }
            output::line(format!("Removed the watcher {}; its tasks stay.", output::safe(&found.name)))
        }
    }
}

async fn add(ctx: &Context, args: Add) -> Result<()> {
    let is_name = (1..=100).contains(&args.name.chars().count())
        && !args.name.trim().is_empty()
        && !args.name.chars().any(char::is_control);
    if !is_name {
        return Err(Error::refused("a watcher's name needs 1 to 100 characters on one line"));
    }
    if watchers::list(&ctx.actor, &ctx.store).await?.iter().any(|w| w.name == args.name) {
        return Err(Error::refused(format!(
            "there is a watcher called {} already; choose another name, or remove that one first",
            args.name
        )));
    }
    let config: Value = serde_json::from_str(&args.config).map_err(|e| {
        Error::refused(format!(
            "--config is no JSON ({e}); write it as '{{\"path\": \"~/steward/inbox\", \"playbook\": \"file-away\"}}'"
        ))
    })?;
    let parsed = folder::parse(&config).map_err(|e| DomainError::invalid("config", e.to_string()))?;
    ctx.check_playbook(&parsed.playbook).await?;
    if let Some(name) = &parsed.assign_to
        && users::named(&ctx.actor, &ctx.store, name).await?.is_none()
    {
        return Err(Error::refused(format!(
            "assign_to names {name:?}, but there is no such user; see: steward user list"
        )));
    }
    if let Some(priority) = &parsed.priority
        && !["low", "medium", "high", "critical"].contains(&priority.as_str())
    {
        return Err(Error::refused(format!("priority must be low, medium, high or critical, not {priority:?}")));
    }
    let path = parsed.path.clone();
    let made = blocking(move || Made::folder(&path, std::env::home_dir().as_deref())).await?;
    // The settings are kept as they were written, so that `~` follows the home folder.
    let id = match watchers::create(&ctx.actor, &ctx.store, &args.name, &args.kind, config).await {
        Ok(id) => id,
        Err(e) => {
            blocking(move || {
                made.take_back();
                Ok(())
            })
            .await?;
            return Err(e.into());
        }
    };
    if args.json.json {
        return output::json(&watchers::get(&ctx.actor, &ctx.store, id).await?);
    }
    if let Some(said) = made.said() {
        output::line(said)?;
    }
    output::line(format!(
        "Added the watcher {}: what arrives in {} becomes a task for the playbook {}.",
        output::safe(&args.name),
        output::safe(&parsed.path.display().to_string()),
        parsed.playbook
    ))
}

fn setting<'a>(watcher: &'a Watcher, key: &str) -> &'a str {
    watcher.config.as_ref().and_then(|c| c.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn state(watcher: &Watcher) -> String {
    match (watcher.is_active, watcher.error_count, watcher.last_run) {
        (false, ..) => "paused".to_owned(),
        (true, 0, None) => "new".to_owned(),
        (true, 0, Some(_)) => "watching".to_owned(),
        (true, times, _) => format!("failing ({times}×)"),
    }
}

fn row(watcher: &Watcher) -> Vec<String> {
    vec![
        watcher.name.clone(),
        watcher.watcher_type.clone(),
        setting(watcher, "path").to_owned(),
        setting(watcher, "playbook").to_owned(),
        state(watcher),
        output::maybe_time(watcher.last_run),
        watcher.last_error.clone().unwrap_or_default(),
    ]
}

/// A watcher by name or id, among those the person may see.
async fn named(ctx: &Context, name: &str) -> Result<Watcher> {
    if let Ok(id) = name.parse::<Uuid>() {
        return watchers::get(&ctx.actor, &ctx.store, id).await?.ok_or_else(|| not_found("watcher", name));
    }
    let mut found: Vec<Watcher> =
        watchers::list(&ctx.actor, &ctx.store).await?.into_iter().filter(|w| w.name == name).collect();
    match (found.pop(), found.is_empty()) {
        (Some(watcher), true) => Ok(watcher),
        (None, _) => Err(not_found("watcher", name)),
        (Some(last), false) => {
            let ids: Vec<String> = found.iter().chain([&last]).map(|w| w.id.to_string()).collect();
            Err(Error::refused(format!("several watchers are called {name}; say which by its id: {}", ids.join(", "))))
        }
    }
}

async fn show(ctx: &Context, name: &str, json: bool) -> Result<()> {
    let watcher = named(ctx, name).await?;
    if json {
        return output::json(&watcher);
    }
    let names = ctx.names([watcher.created_by]).await?;
    let config = watcher.config.as_ref().map(|c| serde_json::to_string_pretty(c).unwrap_or_else(|_| c.to_string()));
    output::fields(&[
        ("id", watcher.id.to_string()),
        ("name", output::safe(&watcher.name)),
        ("type", watcher.watcher_type.clone()),
        ("acts for", names.of(watcher.created_by)),
        ("state", state(&watcher)),
        ("settings", config.unwrap_or_default()),
        ("last look", output::maybe_time(watcher.last_run)),
        ("last trouble", watcher.last_error.clone().unwrap_or_else(|| "none".to_owned())),
        ("made", output::time(watcher.created_at)),
    ])
}

async fn set_active(ctx: &Context, name: &str, is_active: bool) -> Result<()> {
    let found = named(ctx, name).await?;
    if !watchers::set_active(&ctx.actor, &ctx.store, found.id, is_active).await? {
        return Err(not_allowed("watchers"));
    }
    output::line(format!("The watcher {} {}.", output::safe(&found.name), if is_active { "goes on" } else { "rests" }))
}
