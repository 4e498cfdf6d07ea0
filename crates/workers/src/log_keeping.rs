//! Keeping the log: months are made ahead, lines without a month are brought into it, and months that are too old are
//! exported and leave the database. Each step stands by itself: a crash between two loses nothing, and the next round goes on.
//!
//! On PostgreSQL a month is a partition: it is detached, exported, counted again and dropped. On SQLite its lines are
//! exported and then removed, a few thousand a transaction, by the ids that the archive really holds.

mod archive;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use store::{
    Actor, BoxFuture, Store,
    log_keeping::{self as months, LogMonth},
    schedules,
};
use tokio_util::sync::CancellationToken;

pub use self::archive::Archive;
use self::archive::{Folder, Writer};
use crate::{
    Error, Result,
    jobs::{Job, Jobs},
};

/// Lines removed in one transaction on SQLite.
const REMOVE: usize = 5000;
/// How long other writers have the database to themselves between two of them.
const PAUSE: Duration = Duration::from_millis(50);
/// Tries to get a lock beside running writers.
const TRIES: u32 = 20;
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(2);
/// Months brought out of the DEFAULT partition in one round, and taken out of the log.
const MONTHS: usize = 240;

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Where archives of old months lie.
    pub archive_dir: PathBuf,
    /// Whole months kept besides the present one; 0 keeps all.
    pub retention_months: u32,
}

/// The jobs by which the log is kept, in place of those of the same name.
#[must_use]
pub fn jobs(jobs: Jobs, keeping: Keeping) -> Jobs {
    const MINUTE: Duration = Duration::from_secs(60);
    jobs.with(Job::new("log-partitions", 10 * MINUTE, |c| Box::pin(async move { prepare(&c.store, &c.stop).await })))
        .with(Job::new("log-retention", 6 * 60 * MINUTE, move |c| {
            let keeping = keeping.clone();
            Box::pin(async move { run(&c.store, &keeping, &c.stop).await })
        }))
}

/// A whole round: months ahead, the DEFAULT partition, months that are too old. Answers what was done, in words.
pub async fn run(store: &Store, keeping: &Keeping, stop: &CancellationToken) -> Result<String> {
    let prepared = prepare(store, stop).await?;
    let retired = retire(store, keeping, store::now(), stop).await?;
    Ok(format!("{prepared}; {retired}"))
}

/// Makes the months ahead and drains the DEFAULT partition. Lines that stay there (their time is absurd) raise an alarm.
pub async fn prepare(store: &Store, stop: &CancellationToken) -> Result<String> {
    let service = Actor::service();
    let made = patiently(stop, || Box::pin(schedules::ensure_log_partitions(&service, store))).await?;
    let mut drained = 0;
    while drained < MONTHS
        && !stop.is_cancelled()
        && patiently(stop, || Box::pin(months::drain(&service, store))).await?
    {
        drained += 1;
    }
    let mut words = format!("{made} partitions made ahead, {drained} out of the default partition");
    let left: i64 =
        months::partitions(&service, store).await?.iter().filter(|m| m.state == "default").map(|m| m.lines).sum();
    if left > 0 {
        tracing::warn!(
            lines = left,
            "log lines lie in the default partition, because their time is before 2000 or far ahead; see: steward db partitions"
        );
        words = format!("{words}, {left} lines left there");
    }
    Ok(words)
}

/// Exports months that are older than the retention and takes them out of the database.
pub async fn retire(store: &Store, keeping: &Keeping, now: Timestamp, stop: &CancellationToken) -> Result<String> {
    let service = Actor::service();
    let mut found = months::partitions(&service, store).await?;
    if let Some(limit) = oldest_kept(now, keeping.retention_months) {
        for month in
            found.iter_mut().filter(|m| m.state == "month" && m.to_at.is_some_and(|to| to <= limit)).take(MONTHS)
        {
            if stop.is_cancelled() {
                break;
            }
            let Some(name) = month.month().map(str::to_owned) else { continue };
            if patiently(stop, || Box::pin(months::detach(&service, store, &name))).await? {
                "detached".clone_into(&mut month.state);
            } else if month.size_bytes.is_none() {
                // SQLite: its lines leave from where they are.
                "old".clone_into(&mut month.state);
            }
        }
    }
    let (mut gone, mut lines) = (0, 0);
    for month in found.iter().filter(|m| m.state == "detached" || m.state == "old") {
        if stop.is_cancelled() {
            break;
        }
        lines += leave(store, keeping, month, stop).await?;
        gone += 1;
    }
    if lines > 0 {
        // What SQLite gives back; nothing hangs on it.
        if let Err(e) = store.give_back_space().await {
            tracing::warn!(error = %e, "free space of the database could not be given back; it is used again");
        }
    }
    Ok(format!("{gone} months with {lines} lines exported and dropped"))
}

/// The first moment that is kept; none where all is kept.
fn oldest_kept(now: Timestamp, retention_months: u32) -> Option<Timestamp> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let first = Date::new(today.year(), today.month(), 1).ok()?;
    let span = i32::try_from(retention_months).ok().filter(|m| *m > 0)?.months();
    first.checked_sub(span).ok()?.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

/// One month leaves: export, look at the export, then drop. Answers how many lines left.
async fn leave(store: &Store, keeping: &Keeping, month: &LogMonth, stop: &CancellationToken) -> Result<i64> {
    let service = Actor::service();
    let (Some(name), Some(from), Some(to)) = (month.month(), month.from_at, month.to_at) else { return Ok(0) };
    let folder = Folder::new(&keeping.archive_dir, name);
    let is_table = month.state == "detached";
    let mut lines = 0;
    if !is_table {
        // What an earlier round exported and could not remove to the end.
        for archive in blocking(folder.clone(), Folder::archives).await? {
            lines += remove(store, &folder, &archive, (from, to), stop).await?;
        }
    }
    let Some(archive) = export(store, &folder, name, (from, to), stop).await? else {
        if is_table && !stop.is_cancelled() {
            patiently(stop, || Box::pin(months::discard(&service, store, name, 0))).await?;
        }
        return Ok(lines);
    };
    if is_table {
        lines += patiently(stop, || Box::pin(months::discard(&service, store, name, archive.lines))).await?;
    } else {
        lines += remove(store, &folder, &archive, (from, to), stop).await?;
    }
    tracing::info!(month = name, lines, archive = %archive.path.display(), "a month of the log was exported and left the database");
    Ok(lines)
}

/// Writes a month's lines into an archive and reads it back. None: there are no lines, or Steward ends.
async fn export(
    store: &Store,
    folder: &Folder,
    name: &str,
    between: (Timestamp, Timestamp),
    stop: &CancellationToken,
) -> Result<Option<Archive>> {
    let service = Actor::service();
    let mut writer: Option<Writer> = None;
    let mut after = None;
    loop {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let page = months::read(&service, store, name, between, after).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.timestamp, last.id));
        let held = writer.take();
        writer = Some(
            blocking(folder.clone(), move |f| {
                let mut writer = held.map_or_else(|| f.begin(), Ok)?;
                writer.add(&page)?;
                Ok(writer)
            })
            .await?,
        );
    }
    let Some(writer) = writer else { return Ok(None) };
    blocking(folder.clone(), move |f| f.finish(writer)).await.map(Some)
}

/// Removes from a SQLite file just those lines that the archive holds.
async fn remove(
    store: &Store,
    folder: &Folder,
    archive: &Archive,
    between: (Timestamp, Timestamp),
    stop: &CancellationToken,
) -> Result<i64> {
    let (service, path) = (Actor::service(), archive.path.clone());
    let mut ids = blocking(folder.clone(), move |_| Folder::ids(&path)).await?;
    let mut removed = 0;
    while !ids.is_empty() && !stop.is_cancelled() {
        let batch = ids.split_off(ids.len().saturating_sub(REMOVE));
        let went = patiently(stop, || Box::pin(months::remove(&service, store, batch.clone(), between))).await?;
        removed += i64::try_from(went).unwrap_or(0);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(removed)
}

/// Files are read and written off the async threads.
async fn blocking<T: Send + 'static>(
    folder: Folder,
    work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || work(&folder)).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// Tries again while a lock is held by others: each try waits for it only briefly, so that whoever queues behind it goes
/// on soon.
async fn patiently<'a, T>(
    stop: &CancellationToken,
    work: impl Fn() -> BoxFuture<'a, store::Result<T>> + Send,
) -> Result<T> {
    let (mut pause, began) = (Duration::from_millis(50), Instant::now());
    let mut tries = 1;
    loop {
        match work().await {
            Err(e @ store::Error::Busy(_)) if tries < TRIES => {
                tracing::debug!(error = %e, tries, waited_ms = began.elapsed().as_millis(), "the log's tables are in use");
                tokio::select! {
                    () = stop.cancelled() => return Err(e.into()),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST);
                tries += 1;
            }
            other => return other.map_err(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::oldest_kept;

    #[test]
    fn thirteen_whole_months_are_kept() {
        let kept = |now: &str, months| oldest_kept(now.parse().unwrap(), months).map(|t| t.to_string());
        assert_eq!(kept("2026-11-22T13:00:00Z", 13).as_deref(), Some("2025-10-01T00:00:00Z"));
        assert_eq!(kept("2026-03-31T23:59:59Z", 1).as_deref(), Some("2026-02-01T00:00:00Z"));
        assert_eq!(kept("2026-11-22T13:00:00Z", 0), None, "all is kept");
    }
}
