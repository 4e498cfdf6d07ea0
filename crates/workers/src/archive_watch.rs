//! The archive of PostgreSQL's log: the admins are told when it begins to fail or falls behind, and when it is well again;
//! and when a backup or a drill of it failed or is missing.

use std::time::Duration;

use domain::{alarms::tell_admins, backups, telling::copy_id};
use jiff::Timestamp;
use serde_json::json;
use store::{Actor, Store, Target, backup::postgres::archive, notifications, users};
use tokio_util::sync::CancellationToken;

use crate::{
    Result,
    once::{Told, told_once},
};

/// How often it is looked at: less than the minute that may be lost.
pub const EVERY: Duration = Duration::from_secs(30);

/// Looks at it until `shutdown`; with SQLite there is nothing to look at. Each node tells what it sees. One that can't ask
/// tells nothing: whatever keeps it from asking is told elsewhere.
pub async fn keep_watching(store: Store, database: store::Config, every: Duration, shutdown: CancellationToken) {
    if matches!(database.target, Target::Sqlite(_)) {
        // A part that ends by itself ends Steward.
        return shutdown.cancelled().await;
    }
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut troubled = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        let trouble = match archive(&database).await {
            Ok(found) => {
                if found.is_on
                    && let Err(e) = tell_runs(&store, store::now()).await
                {
                    tracing::warn!(error = %e, "it could not be looked how backups and drills of the archive went; it is tried again");
                }
                found.trouble()
            }
            Err(e) => {
                tracing::debug!(error = %e, "the archive of the database's log could not be looked at");
                continue;
            }
        };
        let told = match &trouble {
            Some((what, remedy)) if !troubled => {
                tracing::error!("{what}; {remedy}");
                tell_admins(&store, "archive", "The archive of the database has trouble", &format!("{what}; {remedy}."))
                    .await
            }
            None if troubled => {
                tracing::info!("the archive of the database's log is well again");
                tell_admins(
                    &store,
                    "archive",
                    "The archive of the database is well again",
                    "What waited has been archived.",
                )
                .await
            }
            _ => continue,
        };
        match told {
            Ok(()) => troubled = trouble.is_some(),
            // It is told the next time.
            Err(e) => tracing::warn!(error = %e, "the admins could not be told of the archive"),
        }
    }
}

/// Tells each admin once what is wrong at `now` with backups and drills of the archive; of a missing one once a day. Of which
/// none is known, one is awaited from now on.
/// Answers how many were told.
pub async fn tell_runs(store: &Store, now: Timestamp) -> Result<usize> {
    let service = Actor::service();
    let mut told = 0;
    backups::await_archive(store).await?;
    for trouble in backups::archive_runs(store, now).await?.troubles {
        let title = if trouble.module == backups::ARCHIVE_DRILL {
            "The archive was not tried out"
        } else {
            "The archive has no fresh backup"
        };
        for admin in users::people_with_role(&service, store, "admin").await? {
            let id = copy_id(admin.id, &format!("{} {}", trouble.module, trouble.about));
            if notifications::get(&service, store, id).await?.is_some() {
                continue;
            }
            let alarm = Told {
                user_id: admin.id,
                title: title.to_owned(),
                message: format!("{}; {}.", trouble.what, trouble.remedy),
                kind: "alert",
                priority: "high",
                data: Some(json!({ "about": "archive" })),
            };
            told += usize::from(told_once(store, id, alarm, now).await?);
        }
    }
    Ok(told)
}
