//! The two engines: what a database gives into a bundle, and how it comes back out of one. The only place where a backup
//! differs by engine.

mod sqlite;

use std::path::Path;

use store::backup::postgres::is_same_database;

pub(crate) use self::sqlite::FILE as SQLITE_FILE;
pub use self::sqlite::SqliteEngine;
use crate::{Bundle, Error, Result, Writer, manifest::Facts, postgres, safe::Verdict};

/// One of the engines.
#[derive(Debug, Clone)]
pub enum Engine {
    /// A file.
    Sqlite(SqliteEngine),
    /// A server's database.
    Postgres(Box<Server>),
}

/// How a server's database is reached.
#[derive(Debug, Clone)]
pub struct Server {
    /// As Steward works on it.
    pub live: store::Config,
    /// As it is backed up, where that is another role: one that sees every row.
    pub reading: Option<store::Config>,
}

impl Server {
    /// Who backs it up.
    pub fn reader(&self) -> &store::Config {
        self.reading.as_ref().unwrap_or(&self.live)
    }

    /// Refuses to back up another database than the one that Steward works on.
    async fn check(&self) -> Result<()> {
        let Some(reading) = &self.reading else { return Ok(()) };
        if is_same_database(&self.live, reading).await? {
            return Ok(());
        }
        Err(Error::refused(format!(
            "backup_database_url leads to {}, which is not the database that Steward works on ({}); nothing was backed up; name the same server and database in it",
            reading.describe(),
            self.live.describe()
        )))
    }
}

impl Engine {
    /// The engine of a configured database.
    pub fn of(config: &store::Config) -> Self {
        match &config.target {
            store::Target::Sqlite(path) => Self::Sqlite(SqliteEngine::new(path.clone())),
            store::Target::Postgres(_) => Self::Postgres(Box::new(Server { live: config.clone(), reading: None })),
        }
    }

    /// The same, backed up by another role than Steward works as (PostgreSQL).
    #[must_use]
    pub fn read_by(mut self, reading: Option<store::Config>) -> Self {
        if let Self::Postgres(server) = &mut self {
            server.reading = reading;
        }
        self
    }

    /// Adds the database's parts to a bundle, as of one moment, beside running writers. `scratch` is a folder of this
    /// bundle's own, gone afterwards.
    pub async fn dump(&self, writer: &mut Writer, scratch: &Path) -> Result<Facts> {
        match self {
            Self::Sqlite(engine) => engine.dump(writer, scratch).await,
            Self::Postgres(server) => {
                server.check().await?;
                let stop = writer.progress().stop().clone();
                postgres::write(server.reader(), writer, &stop).await
            }
        }
    }

    /// Brings a bundle's database into `staging`, a folder of this restore's own, at the moment asked for: unpacked,
    /// checked, and compared with the manifest. Nothing else is touched.
    pub async fn stage(
        &self,
        bundle: &Bundle,
        staging: &Path,
        log: Option<&crate::ship::Restorable>,
    ) -> Result<Verdict> {
        match self {
            Self::Sqlite(engine) => engine.stage(bundle, staging, log).await,
            Self::Postgres(_) => Err(Error::refused(
                "a PostgreSQL database is restored into a database: steward backup restore --bundle ID --into postgres://…",
            )),
        }
    }
}
