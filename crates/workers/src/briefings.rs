//! Briefings that come by themselves: to each person who wants one, once a day or a week, from its time on.

use std::time::Duration;

use domain::{
    briefing::{self, Period},
    telling::{Every, Wishes, copy_id},
};
use jiff::{Timestamp, civil::Date};
use store::{
    Actor, Store, notifications, schedules,
    users::{self, Contact},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Result,
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
        let Some((every, day)) = Wishes::of(&contact.preferences).briefing_due(now) else { continue };
        made += usize::from(one(store, &contact, every, day, now).await?);
    }
    Ok(made)
}

/// False: it was made before, here or on another node.
async fn one(store: &Store, contact: &Contact, every: Every, day: Date, now: Timestamp) -> Result<bool> {
    let service = Actor::service();
    // The same for the person and the day, whoever makes it.
    let id: Uuid = copy_id(contact.id, &format!("briefing {day}"));
    if notifications::get(&service, store, id).await?.is_some() {
        return Ok(false);
    }
    let period = if every == Every::Day { Period::Day } else { Period::Week };
    // What the person may see, and no more.
    let whole = briefing::make(store, &Actor::user(contact.id), period, now).await?;
    let title = format!(
        "Briefing: {} done, {} to decide, {} failed",
        whole.done.count, whole.to_decide.count, whole.failed.count
    );
    let told =
        Told { user_id: contact.id, title, message: whole.text(None), kind: "status", priority: "normal", data: None };
    told_once(store, id, told, now).await
}
