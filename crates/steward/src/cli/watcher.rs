//! `steward watcher`: what notices things outside.

use serde_json::Value;
use store::watchers::Watcher;
use uuid::Uuid;

use super::{Json, Place, ids, not_found, watcher_add};
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
    Pause {
        watcher: String,
        #[command(flatten)]
        json: Json,
    },
    /// Let a paused watcher go on
    Resume {
        watcher: String,
        #[command(flatten)]
        json: Json,
    },
    /// Remove a watcher with what it has seen
    Remove { watcher: String },
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::Add(args) => watcher_add::add(place.here()?, args).await,
        Command::Test(args) => watcher_add::test(place, args).await,
        Command::Credentials(args) => watcher_add::credentials(place, args).await,
        Command::List(json) => {
            let found = place.watchers().await?;
            output::list(
                json.json,
                &found,
                "no watchers; add one with: steward watcher add --help",
                &["name", "type", "watches", "playbook", "state", "last look", "last trouble"],
                row,
            )
        }
        Command::Show { watcher, json } => show(place, &watcher, json.json).await,
        Command::Pause { watcher, json } => set_active(place, &watcher, false, json.json).await,
        Command::Resume { watcher, json } => set_active(place, &watcher, true, json.json).await,
        Command::Remove { watcher } => {
            let found = named(place, &watcher).await?;
            place.remove_watcher(found.id).await?;
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

/// The id of a watcher by name or id.
pub(super) async fn id_of(place: &Place, name: &str) -> Result<Uuid> {
    named(place, name).await.map(|w| w.id)
}

/// A watcher by name or id, among those the person may see; without what is sealed.
async fn named(place: &Place, name: &str) -> Result<Watcher> {
    let all = place.watchers().await?;
    let mut found = ids::named("watcher", name, &all, |w| (w.id, w.name.as_str()))?;
    match (found.pop(), found.is_empty()) {
        (Some(watcher), true) => Ok(watcher.clone()),
        (None, _) => Err(not_found("watcher", name)),
        (Some(last), false) => {
            let ids: Vec<String> = found.iter().copied().chain([last]).map(|w| w.id.to_string()).collect();
            Err(Error::refused(format!("several watchers are called {name}; say which by its id: {}", ids.join(", "))))
        }
    }
}

async fn show(place: &Place, name: &str, json: bool) -> Result<()> {
    let watcher = named(place, name).await?;
    if json {
        return output::json(&watcher);
    }
    let names = place.names([watcher.created_by]).await?;
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

async fn set_active(place: &Place, name: &str, is_active: bool, json: bool) -> Result<()> {
    let found = named(place, name).await?;
    place.set_watcher_active(found.id, is_active).await?;
    let now = named(place, &found.id.to_string()).await?;
    let said = format!("The watcher {} {}.", output::safe(&found.name), if is_active { "goes on" } else { "rests" });
    output::told(json, &now, said)
}
