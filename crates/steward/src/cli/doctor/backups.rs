//! Backups: whether there is one, how old it is, where it lies, and whether the log is shipped.

use backup::ship;
use jiff::SignedDuration;

use super::{Findings, blocking};
use crate::{config::Config, output};

/// A newest backup older than this means that a night was missed.
const OLD: SignedDuration = SignedDuration::from_hours(26);
/// A segment that waits longer than this means that the place is away.
const WAITING: SignedDuration = SignedDuration::from_mins(10);
/// A write-ahead log larger than this is held by a reader, or nobody empties it.
const LARGE_LOG: u64 = 256 << 20;

pub(super) async fn look(config: &Config, findings: &mut Findings) {
    let settings = config.clone();
    let safe = match blocking(move || settings.safe()).await {
        Ok(safe) => safe,
        Err(e) => return findings.failed("backup", &e),
    };
    let place = safe.place.describe();
    match safe.list().await {
        Err(e) => findings.wrong("backup", e.to_string(), "mend the place, then see: steward backup setup"),
        Ok(found) => match found.bundles.last() {
            None => findings.warning(
                "backup",
                format!("there is none at {place} yet"),
                "Steward makes one each night; or now: steward backup create",
            ),
            Some(newest) if store::now().duration_since(newest.as_of) > OLD => findings.wrong(
                "backup",
                format!("the newest is of {}", output::time(newest.as_of)),
                "see why: steward schedule list; then: steward backup create",
            ),
            Some(newest) => {
                findings.well("backup", format!("the newest is of {}, at {place}", output::time(newest.as_of)));
            }
        },
    }
    if !config.backups.is_chosen {
        findings.warning(
            "backup place",
            "backups lie on the same disk as the data",
            "choose another disk or offsite storage with backup_target; see docs/backup.md",
        );
    }
    if let Some(file) = config.sqlite_file() {
        log(config, file, findings).await;
    }
}

async fn log(config: &Config, file: &std::path::Path, findings: &mut Findings) {
    let mut beside = file.as_os_str().to_owned();
    beside.push("-wal");
    let log_bytes = std::fs::metadata(beside).map_or(0, |m| m.len());
    if log_bytes > LARGE_LOG {
        findings.warning(
            "backup log",
            format!("the database's write-ahead log has grown to {log_bytes} bytes"),
            "a program holds on to an old state of the file, or Steward does not run; close the one, start the other",
        );
    }
    if !config.ships_log() {
        return;
    }
    let folder = config.backup_dir();
    match blocking(move || Ok(ship::standing(&folder)?)).await {
        Err(e) => findings.failed("backup log", &e),
        Ok(standing) if !standing.is_followed => findings.warning(
            "backup log",
            "the log is not followed",
            "start Steward: it makes a copy and goes on from there",
        ),
        Ok(standing) => match standing.waiting_since {
            Some(since) if store::now().duration_since(since) > WAITING => findings.wrong(
                "backup log",
                format!("{} segments ({} bytes) wait since {}", standing.waiting, standing.waiting_bytes, output::time(since)),
                "the place does not take them: steward backup setup; nothing is lost until the spool is full (backup_spool_mb)",
            ),
            _ => findings.well("backup log", standing.last_commit_at.map_or("shipped".to_owned(), |at| format!("shipped up to {at}"))),
        },
    }
}
