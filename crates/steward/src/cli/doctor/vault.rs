//! The vault: whether its key is the database's, and what the last reading of its files found.

use store::{Actor, Store, kept_files};

use super::{Findings, blocking, count, machine::size};
use crate::{Error, config::Config};

/// Damaged files that are named.
const NAMED: i64 = 20;

pub(super) async fn look(config: &Config, store: &Store, findings: &mut Findings) {
    files(config, store, findings).await;
    key(config, store, findings).await;
}

async fn files(config: &Config, store: &Store, findings: &mut Findings) {
    let service = Actor::service();
    let (figures, troubled) =
        match tokio::try_join!(kept_files::figures(&service, store), kept_files::troubled(&service, store, NAMED)) {
            Ok(found) => found,
            Err(e) => return findings.failed("attachments", &Error::from(e)),
        };
    for row in &troubled {
        let what = row.trouble.clone().unwrap_or_default();
        findings.wrong("attachments", what, "then: steward schedule run attachments-check");
    }
    let folder = config.attachments_dir();
    let at = folder.clone();
    if figures.files > 0 && !blocking(move || Ok(folder.is_dir())).await.unwrap_or_default() {
        return findings.wrong(
            "attachments",
            format!(
                "the folder {} is missing, and {} should lie in it",
                at.display(),
                count(usize::try_from(figures.files).unwrap_or_default(), "file")
            ),
            "mount it where it lies on another disk, or fetch them from the place of the backups: steward backup attachments; where several nodes keep files, look on the one that took them in",
        );
    }
    let (used, limit) = (u64::try_from(figures.size_bytes).unwrap_or_default(), config.attachments.total_bytes);
    let files = usize::try_from(figures.files).unwrap_or_default();
    let said = format!("{} in {}, of {} at most", size(used), count(files, "file"), size(limit));
    if used / 9 > limit / 10 {
        findings.warning("attachments", said, "raise attachments_total_mb, or let files go");
    } else if troubled.is_empty() {
        findings.well("attachments", said);
    }
}

async fn key(config: &Config, store: &Store, findings: &mut Findings) {
    // Where there is none yet, the machine's part says so.
    if !config.master_key_file.exists() {
        return;
    }
    let settings = config.clone();
    // What can't be opened is said there too.
    let Ok(vault) = blocking(move || settings.vault()).await else { return };
    match domain::master_key::standing(store, &vault).await {
        Ok(standing) if !standing.is_known => findings.wrong(
            "master key",
            format!("its file holds another key than the one the database is sealed with ({})", standing.expected),
            "restore that key's file, or name it with master_key_file",
        ),
        Ok(standing) if standing.older > 0 => findings.warning(
            "master key",
            format!("{} still sealed with an older key", count(standing.older, "value")),
            "go on with: steward key rotate --resume",
        ),
        Ok(_) => {}
        Err(e) => findings.failed("master key", &Error::from(e)),
    }
}
