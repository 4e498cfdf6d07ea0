//! What a migration would do, without doing it: its statements, the locks each takes on tables that are there already,
//! and about how long that lasts at their present size.
//!
//! On PostgreSQL the statements run in a scratch database of the same schema, so that nobody waits; on SQLite in a copy of
//! the file, so that the time is the true one.

use serde::Serialize;

use super::{MIGRATIONS, blocking, postgres_dry_run, sqlite};
use crate::{Config, Result, Target};

/// A lock on a table that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// The table.
    pub table: String,
    /// PostgreSQL's name for it, such as `AccessExclusiveLock`; on SQLite `the one writer`.
    pub mode: String,
    /// Who waits meanwhile.
    pub keeps_out: &'static str,
    /// The table's rows now, about.
    pub rows: i64,
    /// Its size with indexes in bytes.
    pub size_bytes: i64,
}

/// A statement that would run.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    /// Its beginning.
    pub text: String,
    /// Locks that it takes beyond those that stand already.
    pub locks: Vec<Lock>,
    /// What of a table it works through, such as `builds an index of tasks`; empty where nothing grows with a table.
    pub work: Vec<String>,
    /// Milliseconds that it may take: estimated from sizes on PostgreSQL, measured on SQLite.
    pub expected_ms: u64,
}

/// A migration that would run.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// Number.
    pub version: i32,
    /// Name.
    pub name: &'static str,
    /// Whether it runs outside a transaction, beside the work.
    pub is_online: bool,
    /// In order.
    pub statements: Vec<Statement>,
    /// The sum of its statements' milliseconds.
    pub expected_ms: u64,
}

/// What would be done.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// In order; empty where nothing is missing.
    pub migrations: Vec<Planned>,
    /// Milliseconds for the verified copy that comes first (SQLite).
    pub copy_ms: Option<u64>,
}

/// Finds out what [`super::migrate`] would do; changes nothing. On PostgreSQL the role must be allowed to create a
/// database, as for [`super::drift`]; on SQLite the folder needs room for a copy.
pub async fn dry_run(config: &Config) -> Result<Plan> {
    match &config.target {
        Target::Postgres(_) => postgres_dry_run::dry_run(config, MIGRATIONS).await,
        Target::Sqlite(path) => {
            let path = path.clone();
            blocking(move || sqlite::dry_run(&path, MIGRATIONS)).await
        }
    }
}
