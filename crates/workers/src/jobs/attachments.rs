//! Attachments whose time is over, and kept files that belong to no row.

use std::time::Duration;

use store::{Actor, Store, Vault, file_attachments};
use tokio_util::sync::CancellationToken;

use super::JobContext;
use crate::{Error, Result};

/// Kept files younger than this may belong to a task that is just being made.
const SWEEP_AGE: Duration = Duration::from_secs(3600);
/// Files looked at in one sweep.
const SWEEP_MOST: usize = 100_000;
/// Rows removed in one transaction, short for those who wait to write.
const BATCH: i64 = 200;

/// Removes rows whose `expires_at` is past with their files, then files without a row.
pub(super) async fn run(context: JobContext) -> Result<String> {
    let mut expired = 0;
    while !context.stop.is_cancelled() {
        let places = file_attachments::expire(&Actor::service(), &context.store, BATCH).await?;
        if places.is_empty() {
            break;
        }
        expired += places.len();
        // The rows are gone first: a file whose removal fails here belongs to no row, and the sweep takes it.
        for place in places {
            remove(&context.vault, place).await?;
        }
    }
    let swept = sweep(&context.store, &context.vault, &context.stop).await?;
    Ok(format!("{expired} files whose time was over and {swept} that belonged to no task removed"))
}

/// Removes kept files that belong to no row: Steward ended between keeping a file and making its task. Answers how many.
pub async fn sweep(store: &Store, vault: &Vault, stop: &CancellationToken) -> Result<usize> {
    let kept = vault.clone();
    let places = tokio::task::spawn_blocking(move || kept.older_than(SWEEP_AGE, SWEEP_MOST)).await;
    let mut removed = 0;
    for place in places.map_err(|e| Error::Internal(e.to_string()))? {
        if stop.is_cancelled() {
            break;
        }
        if !file_attachments::is_stored(&Actor::service(), store, &place).await? {
            remove(vault, place).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn remove(vault: &Vault, place: String) -> Result<()> {
    let vault = vault.clone();
    let gone = tokio::task::spawn_blocking(move || vault.remove(&place)).await;
    Ok(gone.map_err(|e| Error::Internal(e.to_string()))??)
}
