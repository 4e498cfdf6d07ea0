//! Bringing a bundle back: everything is fetched, opened, checked and compared beside the target first; only then is
//! anything put in place, and nothing that was there is lost.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{Safe, Scratch, Verdict};
use crate::{Bundle, Contents, Error, Opener, Result, engine::SQLITE_FILE, error::joined, files, ship::Restorable};

/// What is to be restored, and where to.
#[derive(Debug, Clone)]
pub struct Wish {
    /// A bundle; none for the right one.
    pub id: Option<String>,
    /// The moment; none for the newest that can be had.
    pub to: Option<Timestamp>,
    /// The data folder that is to be made.
    pub into: PathBuf,
    /// Whether what is there may be set aside, which a person says twice.
    pub replace: bool,
}

/// What was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// From which bundle.
    pub bundle: String,
    /// The moment it stands at.
    pub as_of: Timestamp,
    /// Rows in all tables.
    pub rows: i64,
    /// Links of the audit chain.
    pub audit_links: i64,
    /// Attachments.
    pub attachments: u64,
    /// Where what had been there lies now.
    pub set_aside: Option<PathBuf>,
    /// Whether the folder still lacks the master key.
    pub wants_master_key: bool,
}

impl Safe {
    /// Restores into a folder. The folder of a Steward that runs is refused.
    pub async fn restore(&self, wish: &Wish, opener: &Opener) -> Result<Restored> {
        let into = wish.into.clone();
        let replace = wish.replace;
        let lock = joined(tokio::task::spawn_blocking(move || claim(&into, replace)).await)?;
        let chosen = self.choose(wish.id.as_deref(), wish.to).await?;
        let bundle = Bundle::open(&self.place, &chosen.id, opener).await?;
        let staging = Scratch::make(&wish.into.join(format!(".restore-{}", chosen.id))).await?;
        let verdict = self.stage(&bundle, wish.to, opener, &staging.0, wish.id.is_some()).await?;
        let attachments = files::fetch_attachments(&bundle, &self.place, Some(&staging.0.join("attachments"))).await?;
        files::fetch_settings(&bundle, &staging.0).await?;
        let (from, into) = (staging.0.clone(), wish.into.clone());
        let set_aside = joined(tokio::task::spawn_blocking(move || put_in_place(&from, &into)).await)?;
        staging.remove().await;
        drop(lock);
        let key = wish.into.join("master.key");
        Ok(Restored {
            bundle: chosen.id,
            as_of: verdict.as_of,
            rows: verdict.facts.tables.values().sum(),
            audit_links: verdict.facts.audit.links,
            attachments,
            set_aside,
            wants_master_key: !key.exists(),
        })
    }

    /// The database of a bundle in `staging`, at the moment asked for. A bundle that is named stands for its own moment
    /// unless another is asked for.
    pub(super) async fn stage(
        &self,
        bundle: &Bundle,
        to: Option<Timestamp>,
        opener: &Opener,
        staging: &Path,
        is_named: bool,
    ) -> Result<Verdict> {
        let has_log = bundle.manifest().facts.log_position.is_some();
        let wants_log = has_log && (to.is_some() || !is_named);
        let log = wants_log.then(|| Restorable { place: self.place.clone(), opener: opener.clone(), to });
        self.engine.stage(bundle, staging, log.as_ref()).await
    }

    /// The newest bundle that is not after the moment.
    async fn choose(&self, id: Option<&str>, to: Option<Timestamp>) -> Result<Contents> {
        let found = self.list().await?;
        let none = || Error::refused(format!("there is no backup at {}", self.place.describe()));
        if let Some(id) = id {
            let named = found.bundles.into_iter().find(|b| b.id == id);
            return named.ok_or_else(|| Error::Missing { what: format!("a whole bundle {id}") });
        }
        let oldest = found.bundles.first().ok_or_else(none)?.as_of;
        let fits = |b: &&Contents| to.is_none_or(|to| b.as_of <= to);
        // With a log any moment can be had; a copy without one stands for its own moment alone.
        let newest = |with_log: bool| found.bundles.iter().rev().filter(fits).find(|b| b.has_log || !with_log).cloned();
        let chosen = if to.is_some() { newest(true).or_else(|| newest(false)) } else { newest(false) };
        chosen.ok_or_else(|| {
            Error::refused(format!("nothing was kept before {oldest:.0}; name a later moment with --to"))
        })
    }
}

/// Takes the folder: made where it is missing, refused where a Steward runs on it, or where something is there and nobody
/// said that it may be set aside.
fn claim(into: &Path, replace: bool) -> Result<std::fs::File> {
    files::make_folder(into)?;
    let lock_path = into.join("steward.lock");
    let fail = |e| Error::file(format!("{} can't be used", lock_path.display()), e);
    let lock = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(fail)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(Error::refused(format!(
                "a Steward runs on {}; stop it first, or restore into another folder",
                into.display()
            )));
        }
        Err(std::fs::TryLockError::Error(e)) => return Err(fail(e)),
    }
    let is_used = into.join(SQLITE_FILE).exists() || into.join("attachments").exists();
    if is_used && !replace {
        return Err(Error::refused(format!(
            "{} holds a Steward's data; restore into another folder, or say twice that it may be set aside: --replace --force",
            into.display()
        )));
    }
    Ok(lock)
}

/// Everything that is restored takes its place; what was there goes into a folder beside it. Settings that are there
/// stay: those of the bundle are put beside them.
fn put_in_place(from: &Path, into: &Path) -> Result<Option<PathBuf>> {
    let fail = |e| Error::file(format!("{} can't be put in place", into.display()), e);
    let aside = into.join(format!("before-restore-{}", store::now().strftime("%Y%m%dT%H%M%S%.6fZ")));
    let beside_database = ["-wal", "-shm", "-shipped", "-commits"].map(|end| format!("{SQLITE_FILE}{end}"));
    let names = [SQLITE_FILE.to_owned(), "attachments".to_owned(), "playbooks".to_owned(), "backup".to_owned()];
    let mut moved = false;
    for name in names.iter().chain(&beside_database) {
        let there = into.join(name);
        if there.exists() {
            files::make_folder(&aside)?;
            std::fs::rename(&there, aside.join(name)).map_err(fail)?;
            moved = true;
        }
    }
    for name in names {
        let restored = from.join(&name);
        if restored.exists() {
            std::fs::rename(&restored, into.join(&name)).map_err(fail)?;
        }
    }
    for name in ["steward.toml", "master.key"] {
        let restored = from.join(name);
        if restored.exists() {
            let target = into.join(name);
            let target = if target.exists() { into.join(format!("{name}.restored")) } else { target };
            std::fs::rename(&restored, target).map_err(fail)?;
        }
    }
    std::fs::File::open(into).and_then(|folder| folder.sync_all()).map_err(fail)?;
    Ok(moved.then_some(aside))
}
