//! What must happen by the clock: approvals expire, leases run out, schedules fire.

use std::{str::FromStr, sync::Arc, time::Duration};

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use store::{Actor, Store, Vault, approvals, file_attachments, schedules, schedules::Schedule, sessions, task_queue};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// How often approvals and leases are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Every how many ticks the schedules are looked at.
const SCHEDULE_TICKS: u64 = 15;

/// Kept files younger than this may belong to a task that is just being made.
const SWEEP_AGE: Duration = Duration::from_secs(3600);
/// Files looked at in one sweep.
const SWEEP_MOST: usize = 100_000;

/// Removes kept files that belong to no row: Steward ended between keeping a file and making its task.
pub async fn sweep(store: &Store, vault: &Vault) -> Result<usize> {
    let kept = vault.clone();
    let places = tokio::task::spawn_blocking(move || kept.older_than(SWEEP_AGE, SWEEP_MOST)).await;
    let mut removed = 0;
    for place in places.map_err(|e| Error::Internal(e.to_string()))? {
        if !file_attachments::is_stored(&Actor::service(), store, &place).await? {
            let vault = vault.clone();
            let gone = tokio::task::spawn_blocking(move || vault.remove(&place)).await;
            gone.map_err(|e| Error::Internal(e.to_string()))??;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Runs until `shutdown`.
pub async fn run(store: Store, vault: Vault, wake: Arc<Notify>, shutdown: CancellationToken) {
    match sweep(&store, &vault).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "kept files that belong to no task were removed"),
        Err(e) => tracing::warn!(error = %e, "kept files could not be swept"),
    }
    let mut ticks: u64 = 0;
    let mut failing = false;
    loop {
        let result = tick(&store, &wake, ticks).await;
        match (&result, failing) {
            (Err(e), false) => tracing::warn!(error = %e, "housekeeping could not do its round; it tries again"),
            (Ok(()), true) => tracing::info!("housekeeping is well again"),
            _ => {}
        }
        failing = result.is_err();
        ticks += 1;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn tick(store: &Store, wake: &Notify, ticks: u64) -> Result<()> {
    let service = Actor::service();
    let expired = approvals::expire(&service, store).await?;
    let freed = task_queue::reclaim(&service, store, None).await?;
    if !expired.is_empty() || !freed.is_empty() {
        tracing::info!(expired = expired.len(), freed = freed.len(), "approvals expired or leases ran out");
        wake.notify_waiters();
    }
    if ticks.is_multiple_of(SCHEDULE_TICKS) {
        for schedule in schedules::list(&service, store).await? {
            fire_if_due(store, &schedule, store::now()).await?;
        }
    }
    Ok(())
}

/// Fires a schedule whose time has come, once on all nodes. A time that was missed (sleep, shutdown) fires once, late.
async fn fire_if_due(store: &Store, schedule: &Schedule, now: Timestamp) -> Result<()> {
    let service = Actor::service();
    let Some(due) = schedule.next_fire_at else {
        schedules::record(&service, store, &schedule.name, None, next_after(schedule, now)?, None).await?;
        return Ok(());
    };
    if due > now || !schedules::fire(&service, store, &schedule.name, due).await? {
        return Ok(());
    }
    let done = match schedule.name.as_str() {
        "cleanup-sessions" => sessions::cleanup(&service, store).await.map(|n| format!("{n} sessions removed")),
        "log-partitions" => {
            schedules::ensure_log_partitions(&service, store).await.map(|n| format!("{n} partitions made"))
        }
        other => Ok(format!("there is no job called {other}")),
    };
    let late = now.duration_since(due).as_secs();
    let result = match done {
        Ok(words) if late > 60 => format!("{words} ({late} s late)"),
        Ok(words) => words,
        Err(e) => format!("failed: {e}"),
    };
    if result.starts_with("failed") {
        tracing::error!(schedule = %schedule.name, %result, "a schedule failed");
    } else {
        tracing::info!(schedule = %schedule.name, %result, "a schedule fired");
    }
    schedules::record(&service, store, &schedule.name, Some(due), next_after(schedule, now)?, Some(&result)).await?;
    Ok(())
}

/// When a schedule fires next, in its own zone (clock changes included).
fn next_after(schedule: &Schedule, now: Timestamp) -> Result<Timestamp> {
    let wrong = |reason: String| Error::Schedule { name: schedule.name.clone(), cron: schedule.cron.clone(), reason };
    let cron = Cron::from_str(&schedule.cron).map_err(|e| wrong(e.to_string()))?;
    let zone = TimeZone::get(&schedule.time_zone).map_err(|e| wrong(e.to_string()))?;
    let next = cron.find_next_occurrence(&now.to_zoned(zone), false).map_err(|e| wrong(e.to_string()))?;
    Ok(next.timestamp())
}

#[cfg(test)]
mod tests {
    use store::schedules::Schedule;

    use super::next_after;

    #[test]
    fn two_in_the_morning_is_two_in_the_morning_in_its_zone() {
        let schedule = |zone: &str| Schedule {
            name: "x".to_owned(),
            cron: "0 2 * * *".to_owned(),
            time_zone: zone.to_owned(),
            is_active: true,
            last_fire_at: None,
            next_fire_at: None,
            last_result: None,
        };
        let after = |zone, now: &str| next_after(&schedule(zone), now.parse().unwrap()).unwrap().to_string();
        assert_eq!(after("UTC", "2026-11-22T13:00:00Z"), "2026-11-23T02:00:00Z");
        assert_eq!(after("Europe/Berlin", "2026-11-22T13:00:00Z"), "2026-11-23T01:00:00Z");
        assert!(next_after(&Schedule { cron: "nonsense".to_owned(), ..schedule("UTC") }, store::now()).is_err());
    }
}
