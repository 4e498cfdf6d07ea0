//! SQLite: a copy through the online backup, and the shipped log put back onto it.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use store::backup::{self as file, Applier, Position};

use crate::{
    Bundle, Error, Result, Writer,
    error::{back, joined},
    manifest::{AuditHead, Facts},
    safe::Verdict,
    ship::{LogPlace, Restorable, Shipping},
};

/// The database's part.
pub(crate) const PART: &str = "database/steward.db";
/// The restored file's name.
pub(crate) const FILE: &str = "steward.db";

/// A database file, and who ships its log where that is done.
#[derive(Debug, Clone)]
pub struct SqliteEngine {
    path: PathBuf,
    shipping: Option<Arc<Mutex<Shipping>>>,
}

impl SqliteEngine {
    /// A file whose log is not shipped by this process.
    pub fn new(path: PathBuf) -> Self {
        Self { path, shipping: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file whose log is shipped: copies note where in it they were made.
    #[must_use]
    pub fn with_shipping(mut self, shipping: Arc<Mutex<Shipping>>) -> Self {
        self.shipping = Some(shipping);
        self
    }

    pub(super) async fn dump(&self, writer: &mut Writer, scratch: &Path) -> Result<Facts> {
        let (path, copy, shipping) = (self.path.clone(), scratch.join(FILE), self.shipping.clone());
        let progress = writer.progress().clone();
        let copied = tokio::task::spawn_blocking(move || {
            let (snapshot, at) = match shipping {
                Some(shipping) => {
                    let mut shipping = shipping.lock().unwrap_or_else(PoisonError::into_inner);
                    let (snapshot, at) = shipping.snapshot()?;
                    (snapshot, Some(at))
                }
                None => (file::Source::open(&path)?.snapshot(None)?, None),
            };
            let as_of = snapshot.as_of();
            let mut go_on = |done: u64, of: u64| {
                progress.tell(format!("copying the database: {} of {} MB", done / 1_000_000, of / 1_000_000));
                progress.check().is_ok()
            };
            snapshot.copy_to(&copy, &mut go_on)?;
            progress.check()?;
            progress.tell("looking at every page of the copy");
            let wrong = file::check(&copy)?;
            if let Some(first) = wrong.first() {
                return Err(Error::refused(format!(
                    "the database is damaged, and no backup is made of it ({first}); see: steward db verify"
                )));
            }
            Ok((as_of, at, file::facts(&copy)?, copy))
        });
        let (as_of, at, found, copy) = joined(copied.await)?;
        writer
            .add(PART, move |out| {
                let fail = |e| Error::file(format!("the copy {} can't be read", copy.display()), e);
                let mut source = File::open(&copy).map_err(fail)?;
                io::copy(&mut source, out).map_err(|e| back(e, "the copy of the database can't be kept"))?;
                drop(source);
                std::fs::remove_file(&copy).map_err(fail)
            })
            .await?;
        Ok(Facts {
            as_of,
            log_position: at.map(serde_json::to_value).transpose().map_err(|e| Error::Internal(e.to_string()))?,
            ..facts(found, as_of)
        })
    }

    pub(super) async fn stage(&self, bundle: &Bundle, staging: &Path, log: Option<&Restorable>) -> Result<Verdict> {
        let target = staging.join(FILE);
        let copy = target.clone();
        bundle
            .read(PART, move |source| {
                let fail = |e| Error::file(format!("{} can't be written", copy.display()), e);
                let mut out = crate::files::create(&copy)?;
                io::copy(source, &mut out).map_err(|e| back(e, "the database can't be unpacked"))?;
                out.flush().and_then(|()| out.sync_all()).map_err(fail)
            })
            .await?;
        let manifest = bundle.manifest().facts.clone();
        let path = target.clone();
        let looked = tokio::task::spawn_blocking(move || Ok((file::check(&path)?, file::facts(&path)?)));
        let (wrong, found) = joined(looked.await)?;
        let differs = difference(&manifest, &facts(found, manifest.as_of));
        if let Some(what) = wrong.first().cloned().or(differs) {
            return Err(Error::Damaged { part: format!("{PART} of {}", bundle.manifest().id), reason: what });
        }
        let Some(log) = log else {
            return Ok(Verdict { as_of: manifest.as_of, facts: manifest });
        };
        let base: LogPlace =
            manifest.log_position.clone().and_then(|value| serde_json::from_value(value).ok()).ok_or_else(|| {
                Error::refused(format!("the log does not go on from the bundle {}", bundle.manifest().id))
            })?;
        let at: Option<Position> = base.at;
        let applier = Arc::new(Mutex::new(Applier::new(&target, at)?));
        let as_of = log.replay(&base, Arc::clone(&applier)).await?.unwrap_or(manifest.as_of);
        let path = target.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let applier = Arc::try_unwrap(applier).map_err(|_| Error::Internal("the log is still read".to_owned()))?;
            applier.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?;
            Ok((file::check(&path)?, file::facts(&path)?))
        });
        let (wrong, found) = joined(looked.await)?;
        if let Some(what) = wrong.first() {
            return Err(Error::refused(format!(
                "the database is not sound at that moment: {what}; try another moment"
            )));
        }
        Ok(Verdict { as_of, facts: facts(found, as_of) })
    }
}

fn facts(found: file::Facts, as_of: jiff::Timestamp) -> Facts {
    Facts {
        engine: "SQLite".to_owned(),
        server_version: found.server_version,
        schema_version: found.schema_version,
        tables: found.tables,
        audit: AuditHead { links: found.audit_links, sha256: found.audit_sha256 },
        as_of,
        log_position: None,
    }
}

/// Where what was found is not what the manifest says.
pub(crate) fn difference(manifest: &Facts, found: &Facts) -> Option<String> {
    if manifest.audit != found.audit {
        return Some("the audit trail's end is another one than the manifest says".to_owned());
    }
    if manifest.schema_version != found.schema_version {
        return Some(format!("its schema is {}, not {}", found.schema_version, manifest.schema_version));
    }
    let mut names = manifest.tables.keys().chain(found.tables.keys());
    names.find(|name| manifest.tables.get(*name) != found.tables.get(*name)).map(|name| {
        let rows = |facts: &Facts| facts.tables.get(name).map_or("no such table".to_owned(), |n| format!("{n} rows"));
        format!("{name}: {} instead of {}", rows(found), rows(manifest))
    })
}
