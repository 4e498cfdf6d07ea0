//! Backups by the clock: the nightly bundle, the weekly drill, the shipping of the log, and telling the admins when
//! something is wrong with one of them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use backup::{
    Safe,
    ship::{self, Alarm, Shipping},
};
use domain::alarms;
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    Result,
    jobs::{Job, JobContext, Jobs},
};

/// After this long a backup or a drill is cut off.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// The jobs of backups.
#[must_use]
pub fn jobs(jobs: Jobs, safe: Safe) -> Jobs {
    let drilled = safe.clone();
    jobs.with(Job::new("backup", LONGEST, move |context| {
        let safe = safe.clone();
        Box::pin(async move {
            let made = create(&safe).await;
            told(&context, "The backup failed", made).await
        })
    }))
    .with(Job::new("backup-drill", LONGEST, move |context| {
        let safe = drilled.clone();
        Box::pin(async move {
            let done = drill(&safe).await;
            told(&context, "The drill of the backup failed", done).await
        })
    }))
}

async fn create(safe: &Safe) -> Result<String> {
    let made = safe.create().await?;
    Ok(format!("{} made, {} bytes in {} parts", made.id, made.size_bytes(), made.parts.len()))
}

async fn drill(safe: &Safe) -> Result<String> {
    if safe.recipients.as_ref().is_some_and(backup::keys::Recipients::are_people) {
        // Its own keys open nothing, which is what its owner wanted: the parts are there and unaltered is all it can see.
        return Err(backup::Error::refused(
            "this node can't open its own backups; run the drill where the private key is: steward backup drill --identity FILE, and pause this one: steward schedule set backup-drill --pause",
        )
        .into());
    }
    let done = safe.drill(&safe.opener()).await?;
    Ok(format!(
        "{} restored to {:.0} and verified: {} rows, {} audit links, {} attachments; recovery took {} ms, its newest moment was {} s old",
        done.bundle,
        done.as_of,
        done.rows,
        done.audit_links,
        done.attachments,
        done.recovery_ms,
        done.age_ms / 1000
    ))
}

/// What failed is told to the admins, and goes on to the schedule.
async fn told(context: &JobContext, title: &str, result: Result<String>) -> Result<String> {
    if let Err(e) = &result {
        tell_admins(&context.store, title, &e.to_string()).await;
    }
    result
}

/// Tells every admin. What can't be told stands in the log.
pub async fn tell_admins(store: &Store, title: &str, message: &str) {
    if let Err(e) = alarms::tell_admins(store, "backup", title, message).await {
        tracing::error!(error = %e, title, message, "the admins could not be told");
    }
}

/// Ships the database's log until `shutdown`, and tells the admins of trouble.
pub async fn ship_log(store: Store, safe: Safe, shipping: Arc<Mutex<Shipping>>, shutdown: CancellationToken) {
    let place = safe.place.clone();
    let alarm = move |alarm: Alarm| {
        let store = store.clone();
        tokio::spawn(async move {
            let (title, message) = match alarm {
                Alarm::Broken(why) => (
                    "The database's log could not be followed",
                    format!(
                        "{why}. A new copy is being made; moments between the last commit that was kept and that copy can't be restored."
                    ),
                ),
                Alarm::Failing(why) => {
                    ("The database's log can't be kept", format!("{why}. It is tried again; nothing is lost so far."))
                }
                Alarm::Behind { waiting, waiting_bytes, reason } => (
                    "Backups wait for their place",
                    format!(
                        "{waiting} segments of the log ({waiting_bytes} bytes) wait on this machine's disk: {reason}"
                    ),
                ),
                Alarm::Well => ("Backups are well again", "The place answers, and the log has caught up.".to_owned()),
            };
            tell_admins(&store, title, &message).await;
        });
    };
    let copy = move || {
        let safe = safe.clone();
        async move { safe.create().await.map(drop) }
    };
    ship::run(shipping, place, alarm, copy, shutdown).await;
}
