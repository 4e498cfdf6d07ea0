//! Looking at a database that was restored as Steward would open it on the day: the files that its rows name are fetched,
//! and all of it is verified, from pages to audit chain.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use store::{Config, Store, Target, Vault, migrate, verify};

use super::Safe;
use crate::{
    Bundle, Error, Result,
    engine::SQLITE_FILE,
    error::joined,
    files::{self, Fetched},
};

/// What was found.
pub(super) struct Looked {
    /// The files of its rows.
    pub(super) fetched: Fetched,
    /// Checks that were made.
    pub(super) checks: usize,
    /// What is wrong.
    pub(super) findings: Vec<verify::Finding>,
}

impl Looked {
    /// What is wrong with the database itself: files that it lacks, or knew to be damaged, are told apart.
    pub(super) fn wrong(&self) -> Vec<String> {
        let of_files = [verify::ROWS_WITHOUT_FILE, verify::DAMAGED_FILES];
        let own = self.findings.iter().filter(|finding| !of_files.contains(&finding.check));
        own.map(|finding| format!("{}: {} {}", finding.check, finding.place, finding.what)).collect()
    }
}

impl Safe {
    /// Looks at what was restored into `staging`, which gets its attachments. The database itself is left as it is: one of
    /// before an upgrade is brought up to date in a copy.
    pub(super) async fn look(&self, bundle: &Bundle, staging: &Path) -> Result<Looked> {
        let into = staging.join("attachments");
        let (key, folder, own) = (staging.join("master.key"), into.clone(), self.vault.clone());
        let vault = joined(
            tokio::task::spawn_blocking(move || match own {
                // The one that came with the bundle opens what is in it.
                _ if key.exists() => Ok(Some(Vault::open(&key, &folder)?)),
                Some(own) => Ok(Some(own.at(&folder))),
                None => Ok(None),
            })
            .await,
        )?;
        let listed: BTreeMap<_, _> =
            files::list(bundle).await?.into_iter().map(|kept| (kept.path.clone(), kept)).collect();
        let config = current(staging).await?;
        let store = Store::open(&config).await?;
        let done = async {
            let fetched =
                files::fetch_named(&store, &self.place, &listed, vault.as_ref(), &into, &self.progress, false).await?;
            let tell = |check: &str| self.progress.tell(format!("verifying: {check}"));
            let report = verify::run(&config, &store, vault.as_ref(), &tell).await?;
            Ok(Looked { fetched, checks: report.checks.len(), findings: report.findings })
        };
        let done: Result<Looked> = done.await;
        store.close().await;
        done
    }
}

impl Safe {
    /// Fetches into the vault what the rows of a database name and the vault lacks: of one that was restored on its own
    /// server, or where the folder was lost. Each file proves right before it is put there; what can't be had is named.
    pub async fn fetch_attachments(&self, store: &Store) -> Result<Fetched> {
        let vault = self.vault.as_ref();
        let none = BTreeMap::new();
        files::fetch_named(store, &self.place, &none, vault, &self.attachments_dir, &self.progress, true).await
    }
}

/// The restored database, or where its schema is older than this program a copy that is brought up to date.
async fn current(staging: &Path) -> Result<Config> {
    let of = |path: PathBuf| -> Result<Config> {
        Ok(Config { target: Target::Sqlite(path), ..Config::from_url("sqlite://steward.db")? })
    };
    let file = staging.join(SQLITE_FILE);
    let config = of(file.clone())?;
    if migrate::status(&config).await?.pending.is_empty() {
        return Ok(config);
    }
    let copy = staging.join("upgraded").join(SQLITE_FILE);
    let target = copy.clone();
    let copied = tokio::task::spawn_blocking(move || {
        if let Some(folder) = target.parent() {
            files::make_folder(folder)?;
        }
        std::fs::copy(&file, &target)
            .map(drop)
            .map_err(|e| Error::file(format!("{} can't be written", target.display()), e))
    });
    joined(copied.await)?;
    let config = of(copy)?;
    migrate::migrate(&config).await?;
    Ok(config)
}
