//! Files on their way onto tasks and out again.
//!
//! A file is kept before a row names it, and its rows are gone before it is removed; so a crash between the two leaves a
//! file that nothing names, which is swept, and never a row without its file. The same content is kept once, under one
//! key, however many rows name it: the last row that goes takes it along. Whoever is about to name a file and whoever is
//! about to let it go wait for one another at its row of `kept_files`.

mod kinds;

use std::{io::Read, sync::Arc, time::Duration};

use jiff::Timestamp;
use store::{
    Actor, Error, Result, Store, Transaction, Vault,
    file_attachments::{self, Attachment, NewAttachment},
    kept_files::{self, KeptRow},
    vault::{KeptFile, Stored},
};
use uuid::Uuid;

pub use self::kinds::{kind_of, safe_name};
use crate::{alarms::tell_admins, checkpoint};

/// Kept files younger than this may belong to a row that another process is just writing.
pub const SWEEP_AGE: Duration = Duration::from_secs(3600);
/// Files looked at in one sweep.
const SWEEP_MOST: usize = 100_000;
/// Rows looked at in one transaction, short for those who wait to write.
const BATCH: i64 = 200;
/// Rounds in which every kept file is read once, where there are enough.
const ROUNDS: i64 = 30;
/// Files of a round.
const LEAST_SHARE: i64 = 200;
const MOST_SHARE: i64 = 20_000;

/// A file that the vault holds and that belongs to no row yet.
#[derive(Debug, Clone)]
pub struct Kept {
    /// As it was taken in.
    pub stored: Stored,
    /// Where the same content is kept already.
    alike: Option<String>,
}

/// A file to be hung on a task.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its name as it came.
    pub name: String,
    /// What it was kept as.
    pub kept: Kept,
    /// When it may be removed; never without.
    pub expires_at: Option<Timestamp>,
}

/// A file's new row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its id.
    pub id: Uuid,
    /// Where the vault keeps its content.
    place: String,
}

/// Streams a file into the vault, within `max_bytes` and the limit of all files. It is durable when this returns; what is
/// refused leaves nothing.
pub async fn keep(
    store: &Store,
    vault: &Vault,
    mut source: impl Read + Send + 'static,
    max_bytes: u64,
) -> Result<Kept> {
    let used = used_bytes(store).await?;
    let keeper = vault.clone();
    let stored = blocking(move || keeper.store_beside(&mut source, max_bytes, used)).await?;
    // What others kept meanwhile counts too.
    let total_bytes = vault.limits().total_bytes;
    if used_bytes(store).await?.saturating_add(vault.incoming_bytes()) > total_bytes {
        discard(vault, vec![stored.storage_path]).await;
        return Err(Error::Quota { total_bytes });
    }
    let found = kept_files::alike(&Actor::service(), store, &stored.sha256).await?;
    let keeper = vault.clone();
    // On this node's disk, that is: another node's file is none of ours.
    let alike =
        blocking(move || Ok(found.into_iter().map(|k| k.storage_path).find(|place| keeper.holds(place)))).await?;
    checkpoint::reached("a file kept");
    Ok(Kept { stored, alike })
}

async fn used_bytes(store: &Store) -> Result<u64> {
    let figures = kept_files::figures(&Actor::service(), store).await?;
    Ok(u64::try_from(figures.size_bytes).unwrap_or_default())
}

/// Hangs a file on a task, within the caller's transaction. After its commit comes [`settle`].
pub async fn attach(actor: &Actor, tx: &Transaction, task_id: Uuid, file: &NewFile) -> Result<Attached> {
    let (service, stored) = (Actor::service(), &file.kept.stored);
    let mut place = None;
    if let Some(alike) = &file.kept.alike {
        // It may have gone or gone bad meanwhile.
        let held = kept_files::lock(&service, tx, vec![alike.clone()]).await?;
        place = held.into_iter().find(|k| k.trouble.is_none()).map(|k| k.storage_path);
    }
    let place = if let Some(place) = place {
        place
    } else {
        kept_files::create(&service, tx, stored).await?;
        stored.storage_path.clone()
    };
    let new = NewAttachment {
        filename: safe_name(&file.name),
        original_filename: file.name.chars().filter(|c| *c != '\0').take(255).collect(),
        mime_type: Some(kind_of(&stored.head, &file.name)),
        file_size: i64::try_from(stored.size_bytes).unwrap_or(i64::MAX),
        storage_path: place.clone(),
        task_id,
        hash_checksum: stored.sha256.clone(),
        expires_at: file.expires_at,
    };
    let id = file_attachments::create(actor, tx, &new).await?;
    Ok(Attached { id, place })
}

/// After the commit: removes the copies whose content was kept already.
pub async fn settle(vault: &Vault, files: &[NewFile], attached: &[Attached]) {
    checkpoint::reached("a file attached");
    let own = files.iter().map(|f| &f.kept.stored.storage_path);
    let spare = own.filter(|place| attached.iter().all(|a| a.place != **place)).cloned().collect();
    discard(vault, spare).await;
}

/// Removes files that came to belong to nothing: what asked for them was refused. Where it is not known whether it was,
/// they are left to the sweep.
pub async fn give_up(vault: &Vault, files: &[NewFile]) {
    discard(vault, files.iter().map(|f| f.kept.stored.storage_path.clone()).collect()).await;
}

async fn discard(vault: &Vault, places: Vec<String>) {
    let vault = vault.clone();
    let removed = blocking(move || places.iter().try_for_each(|place| vault.remove(place))).await;
    if let Err(e) = removed {
        tracing::warn!(error = %e, "a copy that belongs to nothing could not be removed; it is swept");
    }
}

/// Hangs one file on a task that stands, and answers its row. A refusal leaves neither file nor row.
pub async fn add(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    task_id: Uuid,
    file: NewFile,
) -> crate::Result<Attachment> {
    let (me, files) = (actor.clone(), [file]);
    let new = files[0].clone();
    let attached = store
        .transaction(move |tx| {
            Box::pin(async move {
                let attached = attach(&me, tx, task_id, &new).await?;
                let row = file_attachments::get(&me, tx, attached.id).await?;
                Ok::<_, crate::Error>((attached, row.ok_or_else(|| crate::Error::NotFound("attachment".to_owned()))?))
            })
        })
        .await;
    match attached {
        Ok((attached, row)) => {
            settle(vault, &files, &[attached]).await;
            Ok(row)
        }
        Err(e) => {
            if is_certain(&e) {
                give_up(vault, &files).await;
            }
            Err(e)
        }
    }
}

/// Takes a file off its task; what the vault keeps of it is swept when nothing else names it.
pub async fn take_off(store: &Store, actor: &Actor, id: Uuid) -> crate::Result<()> {
    if file_attachments::get(actor, store, id).await?.is_none() {
        return Err(crate::Error::NotFound(format!("attachment {id}")));
    }
    if !file_attachments::delete(actor, store, id).await? {
        return Err(Error::Refused { what: "file_attachments".to_owned() }.into());
    }
    Ok(())
}

/// Whether nothing was changed for certain.
pub fn is_certain(error: &crate::Error) -> bool {
    !matches!(error, crate::Error::Store(Error::OutcomeUnknown(_) | Error::Unavailable(_)))
}

/// Opens the content of a row that somebody may see. A file that is missing, cut or altered is refused, and the admins
/// are told.
pub async fn open(store: &Store, vault: &Vault, file: &Attachment) -> crate::Result<KeptFile> {
    if file.expires_at.is_some_and(|at| at <= store::now()) {
        return Err(crate::Error::NotFound("attachment whose time is not over".to_owned()));
    }
    let row = kept_files::get(&Actor::service(), store, &file.storage_path).await?;
    if let Some(trouble) = row.as_ref().and_then(|row| row.trouble.clone()) {
        return Err(Error::Damaged(trouble).into());
    }
    let (keeper, place) = (vault.clone(), file.storage_path.clone());
    let expected = file.file_size.and_then(|size| u64::try_from(size).ok());
    let opened = blocking(move || {
        let opened = keeper.open_file(&place, row.as_ref().map(|row| &row.sealed_key))?;
        match expected {
            Some(size) if size != opened.size_bytes() => Err(Error::Damaged(format!(
                "the file {place} in the vault holds {} bytes in place of {size}; restore it from a backup",
                opened.size_bytes()
            ))),
            _ => Ok(opened),
        }
    });
    match opened.await {
        Err(Error::Damaged(what)) => {
            damaged(store, &file.storage_path, &what).await;
            Err(Error::Damaged(what).into())
        }
        other => Ok(other?),
    }
}

/// Notes that something is wrong with a kept file. The admins are told, once.
pub async fn damaged(store: &Store, place: &str, what: &str) {
    tracing::error!(place, what, "a kept file is damaged");
    if let Err(e) = note_damage(store, place, what).await {
        tracing::error!(error = %e, "the damage of a kept file could not be noted");
    }
}

async fn note_damage(store: &Store, place: &str, what: &str) -> Result<()> {
    let service = Actor::service();
    let known = kept_files::get(&service, store, place).await?;
    if known.is_some_and(|row| row.trouble.is_some()) {
        return kept_files::checked(&service, store, place, Some(what)).await.map(drop);
    }
    kept_files::checked(&service, store, place, Some(what)).await?;
    let names: Vec<String> = file_attachments::named(&service, store, place)
        .await?
        .into_iter()
        .take(5)
        .map(|row| format!("{} (attachment {})", row.filename, row.id))
        .collect();
    let message = format!("{what}. It is the content of: {}. Until then it is given to nobody.", names.join(", "));
    tell_admins(store, "attachments", "A kept file is damaged", &message).await
}

/// Removes rows whose time is over, and the files that nothing else names. Answers how many rows.
pub async fn expire(store: &Store, vault: &Vault) -> Result<usize> {
    let gone = store
        .transaction(|tx| {
            Box::pin(async move {
                let service = Actor::service();
                let places = file_attachments::expire(&service, tx, BATCH).await?;
                let mut gone = kept_files::drop_unused(&service, tx, places.clone()).await?;
                for place in &places {
                    // An older file has no row of its own.
                    if !gone.contains(place)
                        && !file_attachments::is_stored(&service, tx, place).await?
                        && kept_files::get(&service, tx, place).await?.is_none()
                    {
                        gone.push(place.clone());
                    }
                }
                Ok::<_, Error>((places.len(), gone))
            })
        })
        .await?;
    let (rows, gone) = gone;
    checkpoint::reached("rows of files removed");
    remove(vault, gone).await?;
    Ok(rows)
}

/// Removes what belongs to no row: Steward ended between keeping a file and writing its row, or between removing a row
/// and its file. What is younger than `age` or on its way into this process is left alone. Answers how many files.
pub async fn sweep(store: &Store, vault: &Vault, age: Duration, is_stopped: impl Fn() -> bool) -> Result<usize> {
    let service = Actor::service();
    let keeper = vault.clone();
    let mut removed = blocking(move || keeper.clear_incoming(age)).await?;
    loop {
        let unused = kept_files::unused(&service, store, BATCH).await?;
        if unused.is_empty() || is_stopped() {
            break;
        }
        let gone = store.transaction(move |tx| {
            Box::pin(async move { kept_files::drop_unused(&Actor::service(), tx, unused).await })
        });
        let gone = gone.await?;
        if gone.is_empty() {
            break;
        }
        removed += gone.len();
        remove(vault, gone).await?;
    }
    let keeper = vault.clone();
    for place in blocking(move || Ok(keeper.older_than(age, SWEEP_MOST))).await? {
        if is_stopped() {
            break;
        }
        // In this order: once it is busy no more, its row stands.
        if !vault.is_busy(&place)
            && kept_files::get(&service, store, &place).await?.is_none()
            && !file_attachments::is_stored(&service, store, &place).await?
        {
            remove(vault, vec![place]).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// What a round of reading found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files that were read whole.
    pub read: usize,
    /// Of them, how many are damaged; those that are missing too.
    pub damaged: usize,
}

/// Says that work is to end.
pub type IsStopped = Arc<dyn Fn() -> bool + Send + Sync>;

/// Reads a share of the kept files again, those first that were read longest ago, and compares each with its hash: a
/// thirtieth of all a round, if they were read `before` last, and those with which something is wrong. Damage is noted,
/// and the admins are told.
pub async fn check(store: &Store, vault: &Vault, before: Timestamp, is_stopped: IsStopped) -> Result<Checked> {
    let service = Actor::service();
    let share = (kept_files::figures(&service, store).await?.files / ROUNDS).clamp(LEAST_SHARE, MOST_SHARE);
    let mut due = kept_files::troubled(&service, store, LEAST_SHARE).await?;
    let mut left = share;
    let mut checked = Checked::default();
    while !is_stopped() {
        let Some(row) = due.pop() else {
            // What was read goes to the end, so that this comes to one.
            due = kept_files::due(&service, store, before, left.min(BATCH)).await?;
            due.retain(|row| row.trouble.is_none());
            due.reverse();
            left -= i64::try_from(due.len()).unwrap_or(left);
            if due.is_empty() {
                break;
            }
            continue;
        };
        let Some(trouble) = trouble_of(vault, &row, &is_stopped).await? else { break };
        checked.read += 1;
        checked.damaged += usize::from(trouble.is_some());
        match (&row.trouble, trouble) {
            (_, Some(what)) => damaged(store, &row.storage_path, &what).await,
            (was, None) => {
                kept_files::checked(&service, store, &row.storage_path, None).await?;
                if was.is_some() {
                    let what = format!("The file {} in the vault is whole again, and is given out.", row.storage_path);
                    tell_admins(store, "attachments", "A kept file is well again", &what).await?;
                }
            }
        }
    }
    Ok(checked)
}

/// What is wrong with a kept file; none where it was not read to its end.
async fn trouble_of(vault: &Vault, row: &KeptRow, is_stopped: &IsStopped) -> Result<Option<Option<String>>> {
    let (vault, row, is_stopped) = (vault.clone(), row.clone(), Arc::clone(is_stopped));
    blocking(move || {
        let read = vault
            .open_file(&row.storage_path, Some(&row.sealed_key))
            .and_then(|mut file| file.digest(&|| is_stopped()));
        Ok(match read {
            Ok(None) => None,
            Ok(Some(hash)) if hash == row.content_sha256 => Some(None),
            Ok(Some(_)) => Some(Some(format!(
                "the file {} in the vault has another content than was kept; restore it from a backup",
                row.storage_path
            ))),
            // A disk that can't be read, or a key that can't be opened, is no better.
            Err(e) => Some(Some(e.to_string())),
        })
    })
    .await
}

/// Keeps files anew that bear their own key, as older ones do, so that their keys are where all others are. Answers how
/// many. What can't be read is noted as lost.
pub async fn renew(store: &Store, vault: &Vault, is_stopped: &IsStopped) -> Result<usize> {
    let service = Actor::service();
    let mut renewed = 0;
    while !is_stopped() {
        let Some(row) = file_attachments::unkept(&service, store, 1).await?.pop() else { break };
        let (keeper, place) = (vault.clone(), row.storage_path.clone());
        let kept = blocking(move || {
            let opened = keeper.open_file(&place, None)?;
            keeper.store(&mut opened.into_reader(), u64::MAX)
        });
        let kept = kept.await.and_then(|stored| match &row.hash_checksum {
            Some(hash) if *hash != stored.sha256 => Err(Error::Damaged(format!(
                "the file {} in the vault has another content than was kept; restore it from a backup",
                row.storage_path
            ))),
            _ => Ok(stored),
        });
        match kept {
            Ok(stored) => {
                let (from, new) = (row.storage_path.clone(), stored.clone());
                let moved = store.transaction(move |tx| {
                    Box::pin(async move {
                        kept_files::create(&Actor::service(), tx, &new).await?;
                        file_attachments::move_to(&Actor::service(), tx, &from, &new.storage_path).await
                    })
                });
                moved.await?;
                remove(vault, vec![row.storage_path]).await?;
                renewed += 1;
            }
            Err(e) => {
                let hash = row.hash_checksum.clone().unwrap_or_else(|| "0".repeat(64));
                let place = row.storage_path.as_str();
                let known = (place, hash.as_str(), row.file_size.unwrap_or_default());
                kept_files::create_lost(&service, store, known, &e.to_string()).await?;
                let message = format!("{e}. It is the content of: {} (attachment {}).", row.filename, row.id);
                tell_admins(store, "attachments", "A kept file is damaged", &message).await?;
            }
        }
    }
    Ok(renewed)
}

async fn remove(vault: &Vault, places: Vec<String>) -> Result<()> {
    let vault = vault.clone();
    blocking(move || places.iter().try_for_each(|place| vault.remove(place))).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Vault(format!("work on a file ended early: {e}")))?
}
