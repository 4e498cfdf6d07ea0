//! Briefings that come by themselves: to each person who wants one, once a day, a week or both, from its time on.

use std::time::Duration;

use domain::{
    briefing::{self, Links, Period},
    telling::{Wishes, copy_id},
};
use jiff::{Timestamp, civil::Date};
use serde_json::json;
use store::{
    Actor, Store, notification_channels, notifications, schedules,
    users::{self, Contact},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Result,
    notifier::DESK,
    once::{Told, told_once},
};

/// How often it is looked whether one is due.
const TICK: Duration = Duration::from_secs(60);

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    loop {
        let now = schedules::clock(&Actor::service(), &store).await;
        let made = match now {
            Ok(now) => round(&store, now).await,
            Err(e) => Err(e.into()),
        };
        match made {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "briefings were made"),
            Err(e) => tracing::warn!(error = %e, "briefings could not be made; it is tried again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Makes the briefings that are due at `now` and were not made yet; answers how many.
pub async fn round(store: &Store, now: Timestamp) -> Result<usize> {
    let mut made = 0;
    for contact in users::contacts(&Actor::service(), store).await? {
        let (due, day) = Wishes::of(&contact.preferences).briefings_due(now);
        for period in due {
            made += usize::from(one(store, &contact, period, day, now).await?);
        }
    }
    Ok(made)
}

/// False: it was made before, here or on another node.
async fn one(store: &Store, contact: &Contact, period: Period, day: Date, now: Timestamp) -> Result<bool> {
    let service = Actor::service();
    let word = match period {
        Period::Day => "day",
        Period::Week => "week",
    };
    // The same for the person, the period and the day, whoever makes it.
    let id: Uuid = copy_id(contact.id, &format!("briefing {word} {day}"));
    if notifications::get(&service, store, id).await?.is_some() {
        return Ok(false);
    }
    // What the person may see, and no more.
    let whole = briefing::make(store, &Actor::user(contact.id), period, now).await?;
    let title = format!(
        "Briefing: {} done, {} to decide, {} failed",
        whole.done.count, whole.to_decide.count, whole.failed.count
    );
    let desk = desk(store).await?;
    let told = Told {
        user_id: contact.id,
        title,
        message: whole.text(desk.as_deref().map_or(Links::None, Links::Bare)),
        kind: "status",
        priority: "normal",
        data: Some(json!({ "briefing": word })),
    };
    told_once(store, id, told, now).await
}

/// The desk's address, where one of the ways of telling people says it.
async fn desk(store: &Store) -> Result<Option<String>> {
    let ways = notification_channels::list(&Actor::service(), store).await?;
    let said = ways.iter().filter(|way| way.is_active).find_map(|way| way.config.get(DESK)?.as_str());
    Ok(said.map(|desk| desk.trim_end_matches('/').to_owned()))
}
