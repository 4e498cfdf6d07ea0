//! Attachments whose time is over, and kept files that belong to no row.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::files::{self, IsStopped};
use jiff::SignedDuration;

use super::JobContext;
use crate::Result;

/// Removes rows whose `expires_at` is past with their files, then files without a row.
pub(super) async fn run(context: JobContext) -> Result<String> {
    let (store, vault, stop) = (&context.store, &context.vault, &context.stop);
    let mut expired = 0;
    while !stop.is_cancelled() {
        let rows = files::expire(store, vault).await?;
        if rows == 0 {
            break;
        }
        expired += rows;
    }
    let swept = files::sweep(store, vault, files::SWEEP_AGE, || stop.is_cancelled()).await?;
    Ok(format!("{expired} files whose time was over and {swept} that belonged to no task removed"))
}

/// What was read that lately rests.
const RESTED: SignedDuration = SignedDuration::from_hours(12);
/// How long files are read in one run.
const READING: Duration = Duration::from_secs(20 * 60);

/// Reads a share of the kept files again and compares them with their hashes.
pub(super) async fn check(context: JobContext) -> Result<String> {
    let (stop, began) = (context.stop.clone(), Instant::now());
    let is_stopped: IsStopped = Arc::new(move || stop.is_cancelled() || began.elapsed() > READING);
    let renewed = files::renew(&context.store, &context.vault, &is_stopped).await?;
    let found = files::check(&context.store, &context.vault, store::now() - RESTED, is_stopped).await?;
    let renewed = if renewed > 0 { format!(", {renewed} older ones kept anew") } else { String::new() };
    Ok(format!("{} files read, {} of them damaged{renewed}", found.read, found.damaged))
}
