//! The archive of PostgreSQL's log: the admins are told when it begins to fail or falls behind, and when it is well again.

use std::time::Duration;

use domain::alarms::tell_admins;
use store::{Store, Target, backup::postgres::archive};
use tokio_util::sync::CancellationToken;

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
            Ok(found) => found.trouble(),
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
