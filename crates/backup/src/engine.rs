//! The two engines: what a database gives into a bundle, and how it comes back out of one. The only place where a backup
//! differs by engine.

mod sqlite;

use std::path::Path;

use tokio_util::sync::CancellationToken;

pub(crate) use self::sqlite::FILE as SQLITE_FILE;
pub use self::sqlite::SqliteEngine;
use crate::{Bundle, Error, Result, Writer, manifest::Facts, postgres, safe::Verdict};

/// One of the engines.
#[derive(Debug, Clone)]
pub enum Engine {
    /// A file.
    Sqlite(SqliteEngine),
    /// A server's database.
    Postgres(Box<store::Config>),
}

impl Engine {
    /// The engine of a configured database.
    pub fn of(config: &store::Config) -> Self {
        match &config.target {
            store::Target::Sqlite(path) => Self::Sqlite(SqliteEngine::new(path.clone())),
            store::Target::Postgres(_) => Self::Postgres(Box::new(config.clone())),
        }
    }

    /// Adds the database's parts to a bundle, as of one moment, beside running writers. `scratch` is a folder of this
    /// bundle's own, gone afterwards.
    pub async fn dump(&self, writer: &mut Writer, scratch: &Path) -> Result<Facts> {
        match self {
            Self::Sqlite(engine) => engine.dump(writer, scratch).await,
            Self::Postgres(config) => postgres::write(config, writer, &CancellationToken::new()).await,
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
