//! Says when a watcher sees nothing for longer than its settings allow: what broke in silence would go unnoticed.

use std::time::Duration;

use domain::{telling::copy_id, watchers as rules};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use store::{Actor, Store, notifications, schedules, watchers, watchers::Watcher};
use tokio_util::sync::CancellationToken;

use crate::{
    Result,
    once::{Told, told_once},
};

/// How often it is looked.
const TICK: Duration = Duration::from_secs(300);

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    loop {
        let told = match schedules::clock(&Actor::service(), &store).await {
            Ok(now) => round(&store, now).await,
            Err(e) => Err(e.into()),
        };
        if let Err(e) = told {
            tracing::warn!(error = %e, "silent watchers could not be looked for; it is tried again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Tells the owners of watchers that were silent for too long at `now`, once for each silence. Answers how many.
pub async fn round(store: &Store, now: Timestamp) -> Result<usize> {
    let service = Actor::service();
    let mut told = 0;
    for watcher in watchers::list(&service, store).await?.into_iter().filter(|w| w.is_active) {
        if rules::silent_after(watcher.config.as_ref()).is_some() {
            let cursor = watchers::cursor(&service, store, watcher.id).await?;
            told += usize::from(one(store, &watcher, cursor.as_ref(), now).await?);
        }
    }
    Ok(told)
}

async fn one(store: &Store, watcher: &Watcher, cursor: Option<&Json>, now: Timestamp) -> Result<bool> {
    let (Some(limit), Some(owner)) = (rules::silent_after(watcher.config.as_ref()), watcher.created_by) else {
        return Ok(false);
    };
    let last = cursor.and_then(|c| c.get("last_event_at")).and_then(Json::as_str).and_then(|t| t.parse().ok());
    let last: Timestamp = last.unwrap_or(watcher.created_at);
    if now.duration_since(last) < limit {
        return Ok(false);
    }
    let id = copy_id(watcher.id, &format!("silent since {last}"));
    if notifications::get(&Actor::service(), store, id).await?.is_some() {
        return Ok(false);
    }
    let told = Told {
        user_id: owner,
        title: format!("Silent: {}", watcher.name),
        message: format!(
            "Nothing was seen since {} UTC, for more than {} hours. Look at the place it watches; it goes on watching.",
            last.strftime("%Y-%m-%d %H:%M"),
            limit.as_hours()
        ),
        kind: "alert",
        priority: "high",
        data: Some(json!({ "watcher_id": watcher.id })),
    };
    told_once(store, id, told, now).await
}
