//! Kept files against their rows, both ways.

use std::time::Duration;

use super::{Looking, MOST, Outcome};
use crate::{Actor, Error, Result, Store, Vault, file_attachments, kept_files};

/// The check that finds attachments whose file is not in the vault.
pub const ROWS_WITHOUT_FILE: &str = "attachments without a file";
/// The check that tells of files that proved damaged when they were last read.
pub const DAMAGED_FILES: &str = "damaged files";
/// Kept files younger than this may belong to a row that is just being written.
const YOUNG: Duration = Duration::from_secs(3600);
/// Kept files looked at.
const FILES: usize = 1_000_000;

pub(super) async fn look(store: &Store, vault: Option<&Vault>, looking: &mut Looking<'_>) -> Result<()> {
    const ROWS: &str = ROWS_WITHOUT_FILE;
    const ORPHANS: &str = "files without an attachment";
    const DAMAGED: &str = DAMAGED_FILES;
    let mended = "once the file is restored from a backup: steward schedule run attachments-check";
    let restore = "restore the file from a backup into the vault; where several nodes keep files, look on the node that took it in";
    let orphans = "Steward removes them by itself when they are an hour old and it starts, and daily: steward schedule run attachments";
    let Some(vault) = vault else {
        looking.note(ROWS, restore, Outcome::LeftOut("there is no vault here".to_owned()));
        looking.note(ORPHANS, orphans, Outcome::LeftOut("there is no vault here".to_owned()));
        looking.note(DAMAGED, mended, Outcome::LeftOut("there is no vault here".to_owned()));
        return Ok(());
    };
    let service = Actor::service();
    let mut missing = Vec::new();
    let mut after = uuid::Uuid::nil();
    while missing.len() <= MOST {
        let page = file_attachments::after(&service, store, after, 500).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let vault = vault.clone();
        let looked = tokio::task::spawn_blocking(move || {
            page.into_iter()
                // One whose time is over may be gone already.
                .filter(|row| row.expires_at.is_none_or(|at| at > crate::now()) && !vault.holds(&row.storage_path))
                .map(|row| {
                    let what = format!("its file {} is not in the vault", row.storage_path);
                    (format!("attachment {} ({})", row.id, row.filename), what)
                })
                .collect::<Vec<_>>()
        });
        missing.extend(looked.await.map_err(|e| Error::Unavailable(e.to_string()))?);
    }
    looking.note(ROWS, restore, Outcome::Looked(missing));
    let troubled = kept_files::troubled(&service, store, i64::try_from(MOST).unwrap_or(i64::MAX)).await?;
    let troubled = troubled.into_iter().map(|row| (row.storage_path, row.trouble.unwrap_or_default()));
    looking.note(DAMAGED, mended, Outcome::Looked(troubled.collect()));
    let kept = vault.clone();
    let places = tokio::task::spawn_blocking(move || kept.older_than(YOUNG, FILES)).await;
    let mut found = Vec::new();
    for place in places.map_err(|e| Error::Unavailable(e.to_string()))? {
        if found.len() > MOST {
            break;
        }
        if !file_attachments::is_stored(&service, store, &place).await? {
            found.push((place, "belongs to no row".to_owned()));
        }
    }
    looking.note(ORPHANS, orphans, Outcome::Looked(found));
    Ok(())
}
