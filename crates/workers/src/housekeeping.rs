//! What must happen by the clock: approvals expire and are brought back to mind, leases run out, schedules fire, the vault is
//! swept.

use std::time::Duration;

use domain::files;
use jiff::SignedDuration;
use store::{Actor, Store, Vault, approvals, schedules, task_queue};
use tokio_util::sync::CancellationToken;

use crate::{Result, jobs::Jobs, reminding, scheduler::Scheduler};

/// How often approvals and leases are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Every how many ticks the schedules are looked at.
const SCHEDULE_TICKS: u64 = 15;
/// How often this node's own vault is swept: the job `attachments` runs on one node alone.
const SWEEP: Duration = Duration::from_secs(24 * 3600);

/// Runs until `shutdown`; then the jobs at work are told to stop and waited for. `remind` is after how long whoever was asked
/// something is reminded where no rule says; none never.
pub async fn run(store: Store, vault: Vault, jobs: Jobs, remind: Option<SignedDuration>, shutdown: CancellationToken) {
    let mut scheduler = Scheduler::new(store.clone(), vault.clone(), jobs, &shutdown);
    // Beside the clock: it looks at every kept file, and approvals expire meanwhile.
    let sweeping = tokio::spawn(sweep_daily(store.clone(), vault, shutdown.clone()));
    let mut ticks: u64 = 0;
    let mut failing = false;
    loop {
        let result = tick(&store, &mut scheduler, ticks, remind).await;
        match (&result, failing) {
            (Err(e), false) => tracing::warn!(error = %e, "housekeeping could not do its round; it tries again"),
            (Ok(()), true) => tracing::info!("housekeeping is well again"),
            _ => {}
        }
        failing = result.is_err();
        ticks += 1;
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(TICK) => {}
        }
    }
    scheduler.end().await;
    if let Err(e) = sweeping.await {
        tracing::error!(error = %e, "the sweep of kept files ended unexpectedly");
    }
}

async fn sweep_daily(store: Store, vault: Vault, shutdown: CancellationToken) {
    let mut day = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = day.tick() => sweep(&store, &vault, &shutdown).await,
        }
    }
}

async fn sweep(store: &Store, vault: &Vault, shutdown: &CancellationToken) {
    match files::sweep(store, vault, files::SWEEP_AGE, || shutdown.is_cancelled()).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "kept files that belong to no task were removed"),
        Err(e) => tracing::warn!(error = %e, "kept files could not be swept"),
    }
}

async fn tick(store: &Store, scheduler: &mut Scheduler, ticks: u64, remind: Option<SignedDuration>) -> Result<()> {
    let service = Actor::service();
    let expired = approvals::expire(&service, store).await?;
    let freed = task_queue::reclaim(&service, store, None).await?;
    if !expired.is_empty() || !freed.is_empty() {
        tracing::info!(expired = expired.len(), freed = freed.len(), "approvals expired or leases ran out");
    }
    if ticks.is_multiple_of(SCHEDULE_TICKS) {
        let now = schedules::clock(&service, store).await?;
        scheduler.round(now).await?;
        reminding::round(store, now, remind).await?;
    }
    Ok(())
}
