//! Backups by the clock: the nightly bundle, the weekly drill, the shipping of the log, and telling the admins when
//! something is wrong with one of them, or one of them is missing.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use backup::{
    Attachments, Claim, Progress, Safe,
    ship::{self, Alarm, Shipping},
};
use domain::{
    alarms,
    backups::{self as rules, Drill, Kind},
    telling::copy_id,
};
use jiff::Timestamp;
use serde_json::json;
use store::{Actor, Store, notifications, schedules, users};
use tokio_util::sync::CancellationToken;

use crate::{
    Result,
    jobs::{Job, JobContext, Jobs},
    once::{Told, told_once},
};

/// After this long a backup or a drill is cut off.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// The latest fires of a job that are looked at.
const FIRES: i64 = 100;

/// The jobs of backups.
#[must_use]
pub fn jobs(jobs: Jobs, safe: Safe) -> Jobs {
    let drilled = safe.clone();
    jobs.with(Job::new(rules::BACKUP, LONGEST, move |context| {
        let safe = telling(&safe, &context);
        Box::pin(async move { create(&safe).await })
    }))
    .with(Job::new(rules::DRILL, LONGEST, move |context| {
        let safe = telling(&drilled, &context);
        Box::pin(async move { drill(&safe).await })
    }))
}

/// The safe, telling the job's watcher how far it has come, until the job is to stop.
fn telling(safe: &Safe, context: &JobContext) -> Safe {
    let news = context.progress.clone();
    let progress = Progress::new(move |words| drop(news.send_replace(words.to_owned())));
    Safe { progress: progress.until(context.stop.clone()), ..safe.clone() }
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
    let drill = Drill {
        bundle: done.bundle,
        as_of: done.as_of,
        rows: done.rows,
        audit_links: done.audit_links,
        attachments: done.attachments,
        recovery_ms: done.recovery_ms,
        age_s: done.age_ms / 1000,
    };
    Ok(drill.to_string())
}

/// Tells every admin. What can't be told stands in the log.
pub async fn tell_admins(store: &Store, title: &str, message: &str) {
    if let Err(e) = alarms::tell_admins(store, "backup", title, message).await {
        tracing::error!(error = %e, title, message, "the admins could not be told");
    }
}

/// How often it is looked whether a backup or a drill failed or is missing.
pub const LOOKING: Duration = Duration::from_secs(60);

/// Tells the admins until `shutdown` when a backup or a drill failed, never ran, or was lost with the node that made it:
/// of each failure once, of a missing one once a day.
pub async fn keep_watching(store: Store, every: Duration, shutdown: CancellationToken) {
    let since = store::now();
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(e) = tell_trouble(&store, since, store::now()).await {
            tracing::warn!(error = %e, "it could not be looked whether a backup failed or is missing; it is tried again");
        }
    }
}

/// Tells what is wrong at `now` and was not told before; `since` is from when on this node has been running. Answers how
/// many were told.
pub async fn tell_trouble(store: &Store, since: Timestamp, now: Timestamp) -> Result<usize> {
    let service = Actor::service();
    let mut told = 0;
    for schedule in schedules::list(&service, store).await? {
        if ![rules::BACKUP, rules::DRILL].contains(&schedule.name.as_str()) {
            continue;
        }
        let fires = schedules::fires(&service, store, &schedule.name, FIRES).await?;
        let Some(trouble) = rules::trouble(&schedule, &fires, since, now)? else { continue };
        let thing = if schedule.name == rules::DRILL { "drill of the backups" } else { "backup" };
        let (title, about) = match trouble.kind {
            // Whoever paused it knows.
            Kind::Paused => continue,
            Kind::Failed(at) => (format!("The {thing} failed"), format!("failed {at}")),
            Kind::Missing => (format!("A {thing} is missing"), format!("missing {}", now.strftime("%F"))),
        };
        for admin in users::people_with_role(&service, store, "admin").await? {
            let id = copy_id(admin.id, &format!("{} {about}", schedule.name));
            if notifications::get(&service, store, id).await?.is_some() {
                continue;
            }
            let alarm = Told {
                user_id: admin.id,
                title: title.clone(),
                message: format!("{}; {}.", trouble.what, trouble.remedy),
                kind: "alert",
                priority: "high",
                data: Some(json!({ "about": "backup" })),
            };
            told += usize::from(told_once(store, id, alarm, now).await?);
        }
    }
    Ok(told)
}

/// Ships the database's log and the attachments until `shutdown`, and tells the admins of trouble.
pub async fn ship_log(store: Store, safe: Safe, shipping: Arc<Mutex<Shipping>>, shutdown: CancellationToken) {
    let (claim, attachments_dir) = (safe.claim(), safe.attachments_dir.clone());
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
                Alarm::Behind { waiting: 0, reason, .. } => {
                    ("Something of the vault is in no backup", format!("{reason}."))
                }
                Alarm::Behind { waiting, waiting_bytes, reason } => (
                    "Backups wait for their place",
                    format!(
                        "{waiting} segments of the log ({waiting_bytes} bytes) wait on this machine's disk: {reason}"
                    ),
                ),
                Alarm::NotOwn(why) => (NOT_OWN, format!("{why}.")),
                Alarm::Held { log_bytes } => (
                    "The database's log grows",
                    format!(
                        "{log_bytes} bytes: a program holds on to an old state of the database, so that its log can't start over; close it (steward doctor; lsof on the file names it). Nothing is lost, but the disk fills."
                    ),
                ),
                Alarm::Well => (
                    "Backups are well again",
                    "What was told of them before is over, and the log has caught up.".to_owned(),
                ),
            };
            tell_admins(&store, title, &message).await;
        });
    };
    let safe = Safe { progress: Progress::default().until(shutdown.clone()), ..safe };
    let copy = move || {
        let safe = safe.clone();
        async move { safe.create().await.map(drop) }
    };
    let attachments = Attachments::new(attachments_dir);
    ship::run(shipping, attachments, claim, ship::Pace::default(), alarm, copy, shutdown).await;
}

/// The alarm where the place of the backups belongs to another database.
const NOT_OWN: &str = "No backups are kept: their place belongs to another database";

/// How often it is looked whether the vault took in a file that the place lacks, where no log is shipped.
pub const FILES: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Brings attachments to the place of the backups until `shutdown`: where the database's log goes to an archive of its own
/// (PostgreSQL), so that any moment of it finds its files. The admins are told when the place is away for longer than
/// `patience`, and when it answers again; what came meanwhile is sent then. Where the place is another database's they are
/// told at once, and nothing is sent.
pub async fn ship_files(
    store: Store,
    claim: Claim,
    mut attachments: Attachments,
    patience: Duration,
    shutdown: CancellationToken,
) {
    let (mut pause, mut failing_since, mut told) = (FILES, None, false);
    loop {
        let sent = tokio::select! {
            () = shutdown.cancelled() => return,
            sent = async {
                claim.hold().await?;
                attachments.send(claim.place()).await
            } => sent,
        };
        match sent {
            Ok(_) => {
                if told {
                    tell_admins(
                        &store,
                        "Attachments are kept again",
                        "The place of the backups answers, and what waited has been sent.",
                    )
                    .await;
                }
                (pause, failing_since, told) = (FILES, None, false);
            }
            Err(e) => {
                let since = *failing_since.get_or_insert_with(tokio::time::Instant::now);
                if pause == FILES {
                    tracing::warn!(error = %e, "attachments could not be sent to the place of the backups; it is tried again");
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                let title = match &e {
                    backup::Error::NotOwn { .. } => Some(NOT_OWN),
                    _ if since.elapsed() >= patience => Some("Attachments wait for the place of the backups"),
                    _ => None,
                };
                if let Some(title) = title.filter(|_| !told) {
                    told = true;
                    let message = format!(
                        "{e}. New attachments lie on this machine's disk alone; they are sent when the place takes them."
                    );
                    tell_admins(&store, title, &message).await;
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
