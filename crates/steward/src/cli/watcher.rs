//! `steward watcher`: what notices things outside.

use serde_json::Value;
use store::watchers::{self, Watcher};
use uuid::Uuid;

use super::{Context, Json, not_allowed, not_found, watcher_add};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a watcher; it acts under your rights
    Add(watcher_add::Add),
    /// Your watchers and how they fare
    List(Json),
    /// One watcher with its settings and its last trouble
    Show {
        watcher: String,
        #[command(flatten)]
        json: Json,
    },
    /// Show what it would make tasks of now, changing nothing
    Test(watcher_add::Test),
    /// Give it new credentials, in JSON on the standard input or from a file
    Credentials(watcher_add::Credentials),
    /// Let a watcher rest
    Pause { watcher: String },
    /// Let a paused watcher go on
    Resume { watcher: String },
    /// Remove a watcher with what it has seen
    Remove { watcher: String },
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    match command {
        Command::Add(args) => watcher_add::add(ctx, args).await,
        Command::Test(args) => watcher_add::test(ctx, args).await,
        Command::Credentials(args) => watcher_add::credentials(ctx, args).await,
        Command::List(json) => {
            let found: Vec<Watcher> =
                watchers::list(&ctx.actor, &ctx.store).await?.into_iter().map(domain::watchers::shown).collect();
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

fn setting<'a>(watcher: &'a Watcher, key: &str) -> &'a str {
    watcher.config.as_ref().and_then(|c| c.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// Where it looks, whatever its kind calls that.
fn place(watcher: &Watcher) -> &str {
    ["path", "url", "calendar", "cron", "host"]
        .iter()
        .map(|key| setting(watcher, key))
        .find(|s| !s.is_empty())
        .unwrap_or_default()
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
        place(watcher).to_owned(),
        setting(watcher, "playbook").to_owned(),
        state(watcher),
        output::maybe_time(watcher.last_run),
        watcher.last_error.clone().unwrap_or_default(),
    ]
}

/// A watcher by name or id, among those the person may see.
pub(super) async fn named(ctx: &Context, name: &str) -> Result<Watcher> {
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
    let watcher = domain::watchers::shown(named(ctx, name).await?);
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
