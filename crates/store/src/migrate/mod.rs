//! Migrations: the same numbers, names and meanings on both databases, all or nothing.

mod drift;
pub mod dry_run;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod holding;
mod online;
pub(crate) mod postgres;
mod postgres_dry_run;
#[cfg(test)]
mod rules;
mod split;
mod sqlite;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{Config, Error, Result, Target};

/// A step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1, 2, …
    pub version: i32,
    /// Its name.
    pub name: &'static str,
    postgres: &'static str,
    pub(crate) sqlite: &'static str,
}

impl Migration {
    /// SHA-256 of the text, to notice that an applied migration was changed afterwards.
    fn checksum(self, text: &str) -> String {
        hex::encode(Sha256::digest(format!("{} {}\n{text}", self.version, self.name)))
    }
}

macro_rules! migrations {
    ($($version:literal $name:literal $file:literal),* $(,)?) => {
        /// Every migration in order.
        pub static MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            postgres: include_str!(concat!("../../migrations/postgres/", $file, ".sql")),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
        }),*];
    };
}
migrations! {
    1 "users" "0001_users",
    2 "tasks" "0002_tasks",
    3 "approvals" "0003_approvals",
    4 "system_logs" "0004_system_logs",
    5 "mcp_servers" "0005_mcp_servers",
    6 "watchers" "0006_watchers",
    7 "sessions" "0007_sessions",
    8 "file_attachments" "0008_file_attachments",
    9 "notifications" "0009_notifications",
    10 "audit_trail" "0010_audit_trail",
    11 "indexes" "0011_indexes",
    12 "constraints_and_triggers" "0012_constraints_and_triggers",
    13 "views" "0013_views",
    14 "policies" "0014_policies",
    15 "work" "0015_work",
    16 "audit_triggers" "0016_audit_triggers",
    17 "row_level_security" "0017_row_level_security",
    18 "functions" "0018_functions",
    19 "log_partitions" "0019_log_partitions",
    20 "schedules" "0020_schedules",
    21 "privileges" "0021_privileges",
    22 "api_tokens" "0022_api_tokens",
    23 "rights" "0023_rights",
    24 "notifying" "0024_notifying",
    25 "signing_in" "0025_signing_in",
    26 "risk" "0026_risk",
    27 "second_factors" "0027_second_factors",
    28 "models" "0028_models",
    29 "idempotency_keys" "0029_idempotency_keys",
    30 "backup_schedules" "0030_backup_schedules",
    31 "more_time" "0031_more_time",
    32 "kept_files" "0032_kept_files",
    33 "master_key" "0033_master_key",
    34 "audit_requests" "0034_audit_requests",
    35 "passkeys" "0035_passkeys",
    36 "web_push" "0036_web_push",
    37 "trust" "0037_trust",
    38 "steps_started_at" "0038_steps_started_at",
    39 "votes_and_secrets" "0039_votes_and_secrets",
    40 "notifications_user_ways" "0040_notifications_user_ways",
    41 "playbooks" "0041_playbooks",
    42 "memories" "0042_memories",
    43 "server_grants" "0043_server_grants",
    44 "one_person" "0044_one_person",
    45 "sources_and_newest_files" "0045_sources_and_newest_files",
    46 "removing_files" "0046_removing_files",
    47 "spent_outside_work" "0047_spent_outside_work",
    48 "tasks_after" "0048_tasks_after",
    49 "work_time" "0049_work_time",
}

/// A migration that stands in a database.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// Number.
    pub version: i32,
    /// Name.
    pub name: String,
    /// SHA-256 of its text.
    #[serde(skip)]
    pub checksum: String,
    /// When it was applied.
    pub applied_at: Timestamp,
}

/// How a database's schema stands.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    /// `PostgreSQL` or `SQLite`.
    pub engine: &'static str,
    /// The engine's version.
    pub version: String,
    /// Migrations that stand.
    pub applied: Vec<Applied>,
    /// Names of those that are missing, in order.
    pub pending: Vec<String>,
}

/// What a migration did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Names of what was applied.
    pub applied: Vec<String>,
    /// The verified copy taken before (SQLite, when there was something to copy).
    pub copy: Option<std::path::PathBuf>,
}

/// Applies what is missing, all or nothing. Two at once: one waits for the other. On SQLite a verified copy is made
/// first, and if that fails nothing is changed. On PostgreSQL a migration asks for its locks briefly and again, so that
/// nobody waits behind it for long; one that is marked `-- online` runs beside the work, and goes on where it stood when
/// it was broken off.
pub async fn migrate(config: &Config) -> Result<Report> {
    match &config.target {
        Target::Postgres(_) => postgres::migrate(config, MIGRATIONS).await,
        Target::Sqlite(path) => {
            let path = path.clone();
            blocking(move || sqlite::migrate(&path, MIGRATIONS)).await
        }
    }
}

/// How the schema stands; changes nothing.
pub async fn status(config: &Config) -> Result<Status> {
    match &config.target {
        Target::Postgres(_) => postgres::status(config).await,
        Target::Sqlite(path) => {
            let path = path.clone();
            blocking(move || sqlite::status(&path)).await
        }
    }
}

/// What differs between the live schema and what the migrations make, one line each. On PostgreSQL the comparison is
/// with a scratch database, for which the role must be allowed to create one.
pub async fn drift(config: &Config) -> Result<Vec<String>> {
    match &config.target {
        Target::Postgres(_) => postgres::drift(config).await,
        Target::Sqlite(path) => {
            let path = path.clone();
            blocking(move || sqlite::drift(&path)).await
        }
    }
}

/// Refuses a schema that this program can't work on, saying what to do.
pub async fn require_current(config: &Config) -> Result<()> {
    let status = status(config).await?;
    if status.pending.is_empty() {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "the schema of {} is older than this Steward ({} of {} migrations are missing, first: {}); run: steward db migrate",
        config.describe(),
        status.pending.len(),
        MIGRATIONS.len(),
        status.pending.first().map_or("", String::as_str)
    )))
}

/// Those that are missing. A database that is newer, or whose applied migrations have another text, is refused.
fn pending(
    applied: &[Applied],
    all: &'static [Migration],
    text: impl Fn(&Migration) -> &'static str,
) -> Result<Vec<&'static Migration>> {
    for row in applied {
        let Some(known) = all.iter().find(|m| m.version == row.version) else {
            return Err(Error::Schema(format!(
                "this database was written by a newer Steward (it has migration {} {}, this one knows {}); use that version or newer; nothing was changed",
                row.version,
                row.name,
                all.last().map_or(0, |m| m.version)
            )));
        };
        if known.checksum(text(known)) != row.checksum {
            return Err(Error::Schema(format!(
                "migration {} {} was applied with another text than this Steward carries; use the Steward that made this database; nothing was changed",
                row.version, row.name
            )));
        }
    }
    Ok(all.iter().filter(|m| !applied.iter().any(|a| a.version == m.version)).collect())
}

fn half_moved() -> Error {
    Error::Schema(
        "this database is the unfinished target of a move; finish it with the same steward db move, or remove it and use the source, which is as it was".to_owned(),
    )
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Unavailable(e.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::{Applied, MIGRATIONS, pending};

    fn applied(version: i32, checksum: String) -> Applied {
        Applied { version, name: "x".to_owned(), checksum, applied_at: crate::now() }
    }

    #[test]
    fn newer_and_changed_databases_are_refused() {
        let newer = pending(&[applied(9999, String::new())], MIGRATIONS, |m| m.sqlite).unwrap_err().to_string();
        assert!(newer.contains("newer Steward"), "{newer}");
        let changed = pending(&[applied(1, "0".repeat(64))], MIGRATIONS, |m| m.sqlite).unwrap_err().to_string();
        assert!(changed.contains("another text"), "{changed}");
    }

    #[test]
    fn numbers_march_in_step() {
        for (place, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, place);
        }
    }
}
