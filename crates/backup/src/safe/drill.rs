//! The drill: the newest backup is restored into a scratch folder, opened as a Steward would open it, looked at, compared
//! with what was noted, and removed again. What it takes is the time a real recovery takes.

use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use store::Config;

use super::{Safe, Scratch};
use crate::{Bundle, Engine, Error, Opener, Result, files, postgres};

/// How a drill went.
#[derive(Debug, Clone, Serialize)]
pub struct Drilled {
    /// The bundle.
    pub bundle: String,
    /// The newest moment that could be had.
    pub as_of: Timestamp,
    /// How long it took until the restored Steward could answer, in milliseconds (RTO).
    pub recovery_ms: u64,
    /// How old that moment was when the drill began, in milliseconds (RPO).
    pub age_ms: i64,
    /// Checks that were made on it.
    pub checks: usize,
    /// Rows in all tables.
    pub rows: i64,
    /// Links of the audit chain.
    pub audit_links: i64,
    /// Attachments.
    pub attachments: u64,
}

impl Safe {
    /// Tries the newest backup out. An error says what would have gone wrong on the day.
    pub async fn drill(&self, opener: &Opener) -> Result<Drilled> {
        let (began_at, began) = (store::now(), Instant::now());
        let id = self.pick(None).await?;
        let bundle = Bundle::open(&self.place, &id, opener).await?.telling(&self.progress);
        self.progress.tell("restoring the database");
        let scratch = Scratch::make(&self.scratch_dir.join("drill")).await?;
        if let Engine::Postgres(server) = &self.engine {
            return self.drill_server(&bundle, server.reader(), scratch, began_at).await;
        }
        // The bundle itself is compared with its manifest on the way, and then brought to the newest moment.
        let verdict = self.stage(&bundle, None, opener, &scratch.0, false).await?;
        let looked = self.look(&bundle, &scratch.0).await;
        let recovery_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        scratch.remove().await;
        let looked = looked?;
        if let Some(first) = looked.fetched.missing.first() {
            let count = looked.fetched.missing_count;
            return Err(Error::refused(format!("attachments would be missing ({count} in all), first: {first}")));
        }
        if let Some(first) = looked.findings.first() {
            return Err(Error::refused(format!(
                "the restored database is not as it should be ({} in all), first: {} {}",
                looked.findings.len(),
                first.place,
                first.what
            )));
        }
        Ok(Drilled {
            bundle: id,
            as_of: verdict.as_of,
            recovery_ms,
            age_ms: i64::try_from(began_at.duration_since(verdict.as_of).as_millis()).unwrap_or(i64::MAX).max(0),
            checks: looked.checks,
            rows: verdict.facts.tables.values().sum(),
            audit_links: verdict.facts.audit.links,
            attachments: looked.fetched.attachments,
        })
    }

    /// PostgreSQL: into a server of the drill's own, or a database beside the live one.
    async fn drill_server(
        &self,
        bundle: &Bundle,
        live: &Config,
        scratch: Scratch,
        began_at: Timestamp,
    ) -> Result<Drilled> {
        let done = postgres::drill(bundle, live, &scratch.0, self.progress.stop()).await;
        scratch.remove().await;
        let done = done?;
        if let Some(first) = done.proof.wrong.first() {
            let count = done.proof.wrong.len();
            return Err(Error::refused(format!(
                "the restored database is not as it should be ({count} in all), first: {first}"
            )));
        }
        let attachments = files::fetch_attachments(bundle, &self.place, None).await?;
        let facts = &bundle.manifest().facts;
        Ok(Drilled {
            bundle: bundle.manifest().id.clone(),
            as_of: done.newest,
            recovery_ms: u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
            age_ms: i64::try_from(began_at.duration_since(done.newest).as_millis()).unwrap_or(i64::MAX).max(0),
            checks: done.proof.checks.len(),
            rows: facts.tables.values().sum(),
            audit_links: facts.audit.links,
            attachments,
        })
    }
}
