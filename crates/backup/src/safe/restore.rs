//! Bringing a bundle back: everything is fetched, opened, checked and compared beside the target first; only then is
//! anything put in place, and nothing that was there is lost.

use std::{
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{Safe, Scratch, Verdict};
use crate::{
    Bundle, Contents, Error, Opener, Result, claim, engine::SQLITE_FILE, error::joined, files, ship::Restorable,
};

/// Clocks may differ by as much.
const AHEAD: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

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
    /// Attachments whose files are not at the place; a hundred at most.
    pub missing: Vec<String>,
    /// How many attachments are missing.
    pub missing_count: u64,
    /// Checks that were made on it, from pages to audit chain.
    pub checks: usize,
    /// What they found wrong.
    pub wrong: Vec<String>,
    /// Where what had been there lies now.
    pub set_aside: Option<PathBuf>,
    /// Whether the folder still lacks the master key.
    pub wants_master_key: bool,
}

/// What was restored beside a database.
#[derive(Debug, Clone, Serialize)]
pub struct RestoredFiles {
    /// From which bundle.
    pub bundle: String,
    /// Attachments.
    pub attachments: u64,
    /// Settings and playbooks, by their names.
    pub settings: Vec<String>,
    /// Where what had been there lies now.
    pub set_aside: Option<PathBuf>,
    /// Whether the folder still lacks the master key.
    pub wants_master_key: bool,
}

impl Safe {
    /// Restores into a folder. The folder of a Steward that runs is refused.
    pub async fn restore(&self, wish: &Wish, opener: &Opener) -> Result<Restored> {
        if let Some(to) = wish.to.filter(|to| *to > store::now() + AHEAD) {
            return Err(Error::refused(format!(
                "the moment {to} lies ahead; nothing was restored; leave --to out for everything that was kept"
            )));
        }
        let (chosen, next) = self.choose(wish.id.as_deref(), wish.to).await?;
        let bundle = Bundle::open(&self.place, &chosen.id, opener).await?.telling(&self.progress);
        let (into, replace) = (wish.into.clone(), wish.replace);
        let claimed = joined(tokio::task::spawn_blocking(move || Claimed::take(&into, replace)).await)?;
        let restored = self.restore_into(wish, opener, &bundle, next.as_ref()).await;
        let has_failed = restored.is_err();
        let ended = tokio::task::spawn_blocking(move || {
            claimed.end(has_failed);
            Ok(())
        });
        joined(ended.await)?;
        restored
    }

    /// Restores what a bundle holds beside its database into a folder: attachments, playbooks, settings. For a database
    /// that comes back on its own server.
    pub async fn restore_files(&self, wish: &Wish, opener: &Opener) -> Result<RestoredFiles> {
        let (chosen, _) = self.choose(wish.id.as_deref(), wish.to).await?;
        let bundle = Bundle::open(&self.place, &chosen.id, opener).await?.telling(&self.progress);
        let (into, replace) = (wish.into.clone(), wish.replace);
        let claimed = joined(tokio::task::spawn_blocking(move || Claimed::take(&into, replace)).await)?;
        let restored = self.files_into(wish, &bundle).await;
        let has_failed = restored.is_err();
        let ended = tokio::task::spawn_blocking(move || {
            claimed.end(has_failed);
            Ok(())
        });
        joined(ended.await)?;
        restored
    }

    async fn files_into(&self, wish: &Wish, bundle: &Bundle) -> Result<RestoredFiles> {
        let id = &bundle.manifest().id;
        let staging = Scratch::make(&wish.into.join(format!(".restore-{id}"))).await?;
        let attachments = files::fetch_attachments(bundle, &self.place, Some(&staging.0.join("attachments"))).await?;
        let settings = files::fetch_settings(bundle, &staging.0).await?;
        files::fetch_months(bundle, &self.place, Some(&staging.0)).await?;
        let (from, into) = (staging.0.clone(), wish.into.clone());
        let set_aside = joined(tokio::task::spawn_blocking(move || put_in_place(&from, &into)).await)?;
        staging.remove().await;
        Ok(RestoredFiles {
            bundle: id.clone(),
            attachments,
            settings,
            set_aside,
            wants_master_key: !wish.into.join("master.key").exists(),
        })
    }

    async fn restore_into(
        &self,
        wish: &Wish,
        opener: &Opener,
        bundle: &Bundle,
        next: Option<&Contents>,
    ) -> Result<Restored> {
        let id = &bundle.manifest().id;
        self.progress.tell("restoring the database");
        let staging = Scratch::make(&wish.into.join(format!(".restore-{id}"))).await?;
        let verdict = self.stage(bundle, wish.to, opener, &staging.0, wish.id.is_some()).await?;
        if let (None, Some(next)) = (wish.to, next.filter(|next| next.as_of > verdict.as_of)) {
            staging.remove().await;
            let newer = Bundle::open(&self.place, &next.id, opener).await?.telling(&self.progress);
            return Box::pin(self.restore_into(wish, opener, &newer, None)).await;
        }
        if let (Some(to), Some(next)) = (wish.to.filter(|to| verdict.as_of < *to), next) {
            return Err(Error::refused(format!(
                "the moment {to} lies in a gap: what was committed after {} is in no log and no backup before {}; nothing was restored; name one of these two moments",
                verdict.as_of, next.as_of
            )));
        }
        if let Some(to) = wish.to.filter(|to| verdict.as_of < *to && bundle.manifest().facts.log_position.is_none()) {
            return Err(Error::refused(format!(
                "no log goes on from the backup {id}, which stands at {}, to {to}; nothing was restored; name that moment, or leave --to out",
                verdict.as_of
            )));
        }
        files::fetch_settings(bundle, &staging.0).await?;
        files::fetch_months(bundle, &self.place, Some(&staging.0)).await?;
        let looked = self.look(bundle, &staging.0).await?;
        let wrong = looked.wrong();
        let target = wish.into.clone();
        if let Some(first) = wrong.first()
            && joined(tokio::task::spawn_blocking(move || Ok(is_used(&target))).await)?
        {
            return Err(Error::refused(format!(
                "what was restored is not as it should be ({} in all), first: {first}; it takes the place of nothing, and nothing was changed; restore it into a new folder to look at it, or name another moment",
                wrong.len()
            )));
        }
        let (from, into) = (staging.0.clone(), wish.into.clone());
        let set_aside = joined(tokio::task::spawn_blocking(move || put_in_place(&from, &into)).await)?;
        staging.remove().await;
        Ok(Restored {
            bundle: id.clone(),
            as_of: verdict.as_of,
            rows: verdict.facts.tables.values().sum(),
            audit_links: verdict.facts.audit.links,
            attachments: looked.fetched.attachments,
            missing: looked.fetched.missing,
            missing_count: looked.fetched.missing_count,
            checks: looked.checks,
            wrong,
            set_aside,
            wants_master_key: !wish.into.join("master.key").exists(),
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
        let progress = self.progress.clone();
        let log = wants_log.then(|| Restorable { place: self.place.clone(), opener: opener.clone(), to, progress });
        self.engine.stage(bundle, staging, log.as_ref()).await
    }

    /// The newest bundle that is not after the moment; and the next one after the moment, where the log that goes on from
    /// the chosen one does not reach it: what was committed between the two may be in neither. Without a moment the second
    /// is one without a log that may be newer than all that the first one's log brings.
    async fn choose(&self, id: Option<&str>, to: Option<Timestamp>) -> Result<(Contents, Option<Contents>)> {
        let found = self.list().await?;
        if let Some(id) = id {
            let named = found.bundles.into_iter().find(|b| b.id == id);
            let named = named.ok_or_else(|| {
                Error::refused(format!(
                    "there is no whole backup {id} at {}; see what there is: steward backup list",
                    self.place.describe()
                ))
            })?;
            if to.is_some_and(|to| to < named.as_of) {
                return Err(Error::refused(format!(
                    "the backup {id} stands at {}, after the moment asked for; leave --bundle out and the right one is taken; nothing was restored",
                    named.as_of
                )));
            }
            return Ok((named, None));
        }
        let oldest = found.bundles.first().ok_or_else(|| self.none_of(&found))?.as_of;
        let fits = |b: &&Contents| to.is_none_or(|to| b.as_of <= to);
        // With a log any moment can be had; a copy without one stands for its own moment alone.
        let newest = |with_log: bool| found.bundles.iter().rev().filter(fits).find(|b| b.has_log || !with_log).cloned();
        let chosen = newest(true).or_else(|| newest(false)).ok_or_else(|| {
            Error::refused(format!("nothing was kept before {oldest}; name that moment or a later one with --to"))
        })?;
        if to.is_none() {
            // One made by another program stands for its own moment, which the log may not reach.
            let alone = newest(false).filter(|b| b.as_of > chosen.as_of);
            return Ok((chosen, alone));
        }
        let mut later = found.bundles.into_iter().filter(|b| to.is_some_and(|to| b.as_of > to));
        let next = later.find(|b| b.has_log || !chosen.has_log);
        // Of the same series: the log itself says what was committed between them.
        let next = next.filter(|b| b.log_series.is_none() || b.log_series != chosen.log_series);
        Ok((chosen, next))
    }
}

/// A folder that this restore holds.
struct Claimed {
    folder: PathBuf,
    lock: std::fs::File,
    made_folder: bool,
    made_lock: bool,
}

impl Claimed {
    /// Takes the folder: made where it is missing, refused where a Steward runs on it, or where something is there and
    /// nobody said that it may be set aside.
    fn take(folder: &Path, replace: bool) -> Result<Self> {
        let made_folder = !folder.exists();
        files::make_folder(folder)?;
        let path = folder.join("steward.lock");
        let made_lock = !path.exists();
        let fail = |e| Error::file(format!("{} can't be used", path.display()), e);
        let lock = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        let locked = lock.try_lock();
        let this = Self { folder: folder.to_owned(), lock, made_folder, made_lock };
        match locked {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(Error::refused(format!(
                    "a Steward runs on {}; stop it first, or restore into another folder; nothing was changed",
                    folder.display()
                )));
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(fail(e)),
        }
        if is_used(folder) && !replace {
            this.end(true);
            return Err(Error::refused(format!(
                "{} holds a Steward's data; restore into another folder, or say twice that it may be set aside: --replace --force; nothing was changed",
                folder.display()
            )));
        }
        Ok(this)
    }

    /// Lets go of it; after a failure what was made for nothing goes too.
    fn end(self, has_failed: bool) {
        let mut left = Vec::new();
        if has_failed && self.made_lock {
            left.extend(std::fs::remove_file(self.folder.join("steward.lock")).err());
        }
        if has_failed && self.made_folder {
            left.extend(std::fs::remove_dir(&self.folder).err());
        }
        for e in left {
            tracing::debug!(folder = %self.folder.display(), error = %e, "what a restore had made could not be removed");
        }
        drop(self.lock);
    }
}

/// Whether a folder holds a Steward's data. Blocking.
fn is_used(folder: &Path) -> bool {
    folder.join(SQLITE_FILE).exists() || folder.join("attachments").exists()
}

/// Everything that is restored takes its place; what was there goes into a folder beside it. Settings that are there
/// stay: those of the bundle are put beside them.
fn put_in_place(from: &Path, into: &Path) -> Result<Option<PathBuf>> {
    let fail = |e| Error::file(format!("{} can't be put in place", into.display()), e);
    let aside = into.join(format!("before-restore-{}", store::now().strftime("%Y%m%dT%H%M%S%.6fZ")));
    let beside_database = ["-wal", "-shm", "-shipped", "-commits"].map(|end| format!("{SQLITE_FILE}{end}"));
    let names = [SQLITE_FILE, "attachments", "playbooks", "log-archive", "backup"].map(str::to_owned);
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
    // Where nothing was in its place, it is another database than the one that the place of the backups belongs to.
    if into.join(SQLITE_FILE).exists() {
        claim::restored(&into.join(SQLITE_FILE))?;
    }
    for name in ["steward.toml", "models.toml", "master.key"] {
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
