//! The safe: making bundles, looking at them, bringing them back, trying that out, and letting the old ones go.

mod drill;
mod look;
mod restore;
mod retention;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use store::Vault;

pub use self::{
    drill::Drilled,
    restore::{Restored, RestoredFiles, Wish},
    retention::Keep,
};
pub use crate::files::Fetched;
use crate::{
    Bundle, Claim, Contents, Engine, Error, Opener, Place, Progress, Result, Writer, bundle,
    error::joined,
    files,
    keys::Recipients,
    manifest::{Attachments, Facts},
};

/// Unfinished bundles younger than this may be in the making.
const YOUNG: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// What is backed up, and where to.
#[derive(Debug, Clone)]
pub struct Safe {
    /// Where bundles are kept.
    pub place: Place,
    /// For whom they are sealed; none where this node has no key to seal with.
    pub recipients: Option<Recipients>,
    /// The database.
    pub engine: Engine,
    /// The vault; none where the master key is not at hand.
    pub vault: Option<Vault>,
    /// Where the vault keeps attachments.
    pub attachments_dir: PathBuf,
    /// The master key's file; a part of bundles that only recipients can open.
    pub master_key_file: PathBuf,
    /// The folder of data: its `playbooks` and `log-archive` go into bundles.
    pub data_dir: PathBuf,
    /// The file of settings, which goes into bundles as `steward.toml`, where there is one.
    pub settings_file: PathBuf,
    /// The language models' file, which goes into bundles as `models.toml`, where there is one.
    pub models_file: PathBuf,
    /// Where copies are made on their way; on the database's own disk or another.
    pub scratch_dir: PathBuf,
    /// How many are kept.
    pub keep: Keep,
    /// Who is told how far it has come.
    pub progress: Progress,
    /// This Steward's version.
    pub version: &'static str,
}

/// What a restored database is.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The moment it stands at: that of the copy, or of the last commit of the log in it.
    pub as_of: Timestamp,
    /// What it holds.
    pub facts: Facts,
}

/// How the bundles at a place stand.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// The bundle.
    pub id: String,
    /// Parts that were read and are whole.
    pub parts: usize,
    /// Attachments that were read and are whole.
    pub attachments: u64,
    /// Rows in all tables.
    pub rows: i64,
}

impl Safe {
    /// The keys that this node has.
    pub fn opener(&self) -> Opener {
        self.vault.as_ref().map_or_else(Opener::default, |vault| Opener::default().with_master(vault))
    }

    /// Its right to write at the place.
    pub fn claim(&self) -> Claim {
        Claim::new(self.place.clone(), self.engine.clone(), self.scratch_dir.clone())
    }

    /// Makes a bundle, then lets go of those that are too old. Refused where the place is another database's.
    pub async fn create(&self) -> Result<Contents> {
        let (Some(vault), Some(recipients)) = (&self.vault, &self.recipients) else {
            return Err(Error::refused(
                "there is no master key to seal a backup with; start Steward first, which makes one",
            ));
        };
        let claim = self.claim();
        claim.take().await?;
        let mut writer = Writer::begin(&self.place, recipients)?.telling(&self.progress);
        let id = writer.id().to_owned();
        let scratch = Scratch::make(&self.scratch_dir.join(format!("making-{id}"))).await?;
        let mut attachments = files::Gathered::default();
        let filled = self.fill(&mut writer, &scratch.0, &mut attachments, vault, recipients).await;
        scratch.remove().await;
        let made = async {
            let (facts, sum) = filled?;
            // It may have taken hours.
            claim.check().await?;
            writer.finish(facts, sum, recipients.are_people(), self.version).await
        };
        let contents = match made.await {
            Ok(contents) => contents,
            Err(e) => return Err(self.broken_off(&id, attachments.brought(), e).await),
        };
        if let Err(e) = self.let_go(store::now()).await {
            // The new bundle stands all the same.
            tracing::warn!(error = %e, "old backups could not be removed; it is tried again with the next one");
        }
        Ok(contents)
    }

    /// All parts of a bundle, but for what closes it.
    async fn fill(
        &self,
        writer: &mut Writer,
        scratch: &Path,
        attachments: &mut files::Gathered,
        vault: &Vault,
        recipients: &Recipients,
    ) -> Result<(Facts, Attachments)> {
        attachments.gather(&self.place, vault, &self.attachments_dir, &self.progress).await?;
        self.progress.tell("copying the database");
        let facts = self.engine.dump(writer, scratch).await?;
        attachments.gather(&self.place, vault, &self.attachments_dir, &self.progress).await?;
        let sum = attachments.add(writer).await?;
        let playbooks = self.data_dir.join("playbooks");
        let mut named = vec![
            ("steward.toml".to_owned(), self.settings_file.clone()),
            ("models.toml".to_owned(), self.models_file.clone()),
        ];
        named.extend(recipients.are_people().then(|| ("master.key".to_owned(), self.master_key_file.clone())));
        let listed = tokio::task::spawn_blocking(move || with_playbooks(named, &playbooks));
        files::add_settings(writer, joined(listed.await)?).await?;
        files::add_months(writer, &self.place, recipients, &self.data_dir).await?;
        self.progress.check()?;
        Ok((facts, sum))
    }

    /// Removes what there is of a bundle that will never be one; answers why it is none. Attachments stay: they are shared,
    /// and whatever ships them knows that they are there.
    async fn broken_off(&self, id: &str, brought: usize, error: Error) -> Error {
        let removed = bundle::remove(&self.place, id).await;
        let place = self.place.describe();
        match (error, removed) {
            (Error::Cancelled(_), Ok(())) if brought > 0 => Error::Cancelled(format!(
                "it was broken off, and nothing of it is left at {place} but {brought} attachments, which the next one needs not bring again"
            )),
            (Error::Cancelled(_), Ok(())) => {
                Error::Cancelled(format!("it was broken off, and nothing of it is left at {place}"))
            }
            (Error::Cancelled(_), Err(left)) => Error::Cancelled(format!(
                "it was broken off, and what it had written could not be removed, which a later backup does ({left})"
            )),
            (error, removed) => {
                if let Err(left) = removed {
                    tracing::debug!(bundle = id, error = %left, "what a failed backup had written could not be removed; a later one does it");
                }
                error
            }
        }
    }

    /// What is at the place.
    pub async fn list(&self) -> Result<bundle::Found> {
        bundle::list(&self.place).await
    }

    /// Reads every part and attachment of a bundle (the newest one without an id) and keeps nothing.
    pub async fn verify(&self, id: Option<&str>, opener: &Opener) -> Result<Verified> {
        let id = self.pick(id).await?;
        let found = Bundle::open(&self.place, &id, opener).await?.telling(&self.progress);
        found.verify().await?;
        let attachments = files::fetch_attachments(&found, &self.place, None).await?;
        files::fetch_months(&found, &self.place, None).await?;
        let manifest = found.manifest();
        Ok(Verified { id, parts: manifest.parts.len() + 1, attachments, rows: manifest.facts.tables.values().sum() })
    }

    async fn pick(&self, id: Option<&str>) -> Result<String> {
        if let Some(id) = id {
            return Ok(id.to_owned());
        }
        let mut found = self.list().await?;
        let newest = found.bundles.pop();
        newest.map(|b| b.id).ok_or_else(|| self.none_of(&found))
    }

    /// That there is no whole backup, and what there is instead.
    fn none_of(&self, found: &bundle::Found) -> Error {
        let place = self.place.describe();
        Error::refused(match found.unfinished.last() {
            None => format!("there is no backup at {place}; make one with: steward backup create"),
            Some((id, why)) => format!(
                "there is no whole backup at {place}: {} can't be used, the newest of them, {id}, as {}; bring its place back as it was, or make a new one with: steward backup create",
                found.unfinished.len(),
                why.trim_end_matches("; nothing was changed; take another backup (steward backup list)")
            ),
        })
    }

    /// Removes bundles that the counts do not keep, what was never finished, and what no kept bundle needs any more.
    /// Answers how many bundles went. Refused where the place is another database's.
    pub async fn let_go(&self, now: Timestamp) -> Result<usize> {
        self.claim().check().await?;
        let found = self.list().await?;
        for (id, why) in &found.unfinished {
            let is_old = bundle::time_of(id).is_some_and(|made| now.duration_since(made) > YOUNG);
            if is_old {
                tracing::info!(bundle = %id, reason = %why, "a backup that was never finished is removed");
                bundle::remove(&self.place, id).await?;
            }
        }
        let gone = retention::gone(&found.bundles, self.keep);
        for id in &gone {
            bundle::remove(&self.place, id).await?;
        }
        let kept: Vec<&Contents> = found.bundles.iter().filter(|b| !gone.contains(&b.id)).collect();
        retention::sweep_log(&self.place, &kept, self.keep, now).await?;
        if !gone.is_empty() {
            retention::sweep_files(&self.place, &kept, self.keep, &self.opener()).await?;
        }
        Ok(gone.len())
    }
}

/// Files of settings and playbooks, by their names in a bundle; one that is not there is left out later. Blocking.
fn with_playbooks(mut files: Vec<(String, PathBuf)>, playbooks: &Path) -> Result<Vec<(String, PathBuf)>> {
    match std::fs::read_dir(playbooks) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::file(format!("{} can't be read", playbooks.display()), e)),
        Ok(entries) => {
            for entry in entries.flatten().filter(|e| e.path().is_file()) {
                if let Some(name) = entry.file_name().to_str() {
                    files.push((format!("playbooks/{name}"), entry.path()));
                }
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A folder of one job's own, gone with it.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) async fn make(path: &Path) -> Result<Self> {
        let folder = path.to_owned();
        joined(
            tokio::task::spawn_blocking(move || {
                // What an earlier try left is nobody's.
                match std::fs::remove_dir_all(&folder) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::file(format!("{} can't be removed", folder.display()), e));
                    }
                    _ => {}
                }
                files::make_folder(&folder)?;
                Ok(Self(folder))
            })
            .await,
        )
    }

    /// Removes it off the async threads.
    pub(crate) async fn remove(self) {
        if let Err(e) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::warn!(error = %e, "a folder of backups could not be removed");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.0.display(), error = %e, "a folder of backups could not be removed");
        }
    }
}
