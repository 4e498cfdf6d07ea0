//! The settings of backups, and the safe that follows from them.

use std::path::{Path, PathBuf};

use backup::{
    Engine, Place, Progress, Safe,
    keys::Recipients,
    place::{Access, S3Access},
    safe::Keep,
};
use secrecy::SecretString;
use store::{Target, backup::postgres::LibPq};

use super::{Config, Written, number, shown, wrong};
use crate::Result;

/// Days, weeks or months kept at most.
const MOST_KEPT: u64 = 10_000;

/// How backups are made.
#[derive(Debug, Clone)]
pub struct Backups {
    /// A directory, `s3://BUCKET/PREFIX`, or `sftp://[USER@]HOST[:PORT]/FOLDER`.
    pub target: String,
    /// Whether somebody chose it: else it lies beside the data, and helps where a hand slipped but not where a disk died.
    pub is_chosen: bool,
    /// Who backs a PostgreSQL database up: a role that sees every row. None: the one that Steward works as.
    pub database: Option<store::Config>,
    /// How the place is reached.
    pub access: Access,
    /// Public keys for which backups are sealed; the master key where there are none.
    pub recipients: Vec<String>,
    /// How many are kept.
    pub keep: Keep,
    /// Whether SQLite's log is shipped with the attachments, and beside PostgreSQL's archive the attachments alone, so that
    /// any moment can be restored.
    pub ships_log: bool,
    /// Bytes of the log that may wait on this machine's disk for the place.
    pub spool_limit_bytes: u64,
}

/// Reads them.
pub(super) fn read(
    get: &impl Fn(&str) -> Result<Option<Written>>,
    data_dir: &Path,
    live: &store::Config,
    path: impl Fn(&Written) -> Result<PathBuf>,
) -> Result<Backups> {
    let chosen = get("backup_target")?;
    let target = match &chosen {
        None => data_dir.join("backups").to_string_lossy().into_owned(),
        Some(written) if written.text.contains("://") => written.text.clone(),
        Some(written) => path(written)?.to_string_lossy().into_owned(),
    };
    let text = |key: &str| get(key).map(|found| found.map(|w| w.text));
    let count = |key: &str, usual: u32| -> Result<u32> {
        Ok(number(get(key)?, key, 0..=MOST_KEPT)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(usual))
    };
    let usual = Keep::default();
    let ships_log = match get("backup_ship_log")? {
        None => chosen.is_some(),
        Some(written) => match written.text.as_str() {
            "on" => true,
            "off" => false,
            other => {
                return Err(wrong(
                    "backup_ship_log",
                    &written.origin,
                    &format!("must be on or off, not {}", shown(other)),
                ));
            }
        },
    };
    let recipients: Vec<String> = text("backup_recipients")?
        .map(|keys| keys.split([',', ' ']).filter(|k| !k.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default();
    if !recipients.is_empty() {
        Recipients::people(&recipients)?;
    }
    let s3 = S3Access {
        endpoint: text("backup_s3_endpoint")?,
        region: text("backup_s3_region")?,
        access_key_id: text("backup_s3_access_key_id")?,
        secret_access_key: text("backup_s3_secret_access_key")?.map(SecretString::from),
    };
    let access = Access { s3, ssh_config: get("backup_ssh_config")?.map(|w| path(&w)).transpose()? };
    // A wrong place is told at once, not at two in the morning.
    Place::open(&target, &access)?;
    Ok(Backups {
        target,
        is_chosen: chosen.is_some(),
        database: get("backup_database_url")?.map(|written| reading(&written, live)).transpose()?,
        access,
        recipients,
        keep: Keep {
            daily: count("backup_keep_daily", usual.daily)?,
            weekly: count("backup_keep_weekly", usual.weekly)?,
            monthly: count("backup_keep_monthly", usual.monthly)?,
        },
        ships_log,
        spool_limit_bytes: number(get("backup_spool_mb")?, "backup_spool_mb", 16..=1_000_000)?.unwrap_or(1024)
            * 1_000_000,
    })
}

/// Who backs a PostgreSQL database up.
fn reading(written: &Written, live: &store::Config) -> Result<store::Config> {
    const KEY: &str = "backup_database_url";
    if matches!(live.target, Target::Sqlite(_)) {
        return Err(wrong(
            KEY,
            &written.origin,
            "is for PostgreSQL, and the database is a file, which Steward copies by itself; remove it",
        ));
    }
    let mut config =
        store::Config::from_url(&written.text).map_err(|e| wrong(KEY, &written.origin, &format!("is wrong: {e}")))?;
    let Target::Postgres(target) = &config.target else {
        return Err(wrong(
            KEY,
            &written.origin,
            "must be postgres://… of the same database, by a role that sees every row",
        ));
    };
    if target.get_dbname().is_none() {
        config = config.with_database(&LibPq::new(live)?.database);
    }
    config.connect_timeout = live.connect_timeout;
    Ok(config)
}

impl Config {
    /// The folder in which backups are made on their way, and where the shipped log waits.
    pub fn backup_dir(&self) -> PathBuf {
        self.data_dir.join("backup")
    }

    /// Whether the database is a file whose log is shipped.
    pub fn ships_log(&self) -> bool {
        self.backups.ships_log && self.sqlite_file().is_some()
    }

    /// The safe. Where the master key is missing none is made: what was sealed with another one would not open with it.
    /// Blocking.
    pub fn safe(&self) -> Result<Safe> {
        let vault = if self.master_key_file.exists() { Some(self.vault()?) } else { None };
        let recipients = if self.backups.recipients.is_empty() {
            vault.as_ref().map(Recipients::master)
        } else {
            Some(Recipients::people(&self.backups.recipients)?)
        };
        Ok(Safe {
            place: Place::open(&self.backups.target, &self.backups.access)?,
            recipients,
            engine: Engine::of(&self.database).read_by(self.backups.database.clone()),
            vault,
            attachments_dir: self.attachments_dir(),
            master_key_file: self.master_key_file.clone(),
            data_dir: self.data_dir.clone(),
            settings_file: self.settings_file.clone(),
            models_file: self.models_file.clone(),
            scratch_dir: self.backup_dir(),
            keep: self.backups.keep,
            progress: Progress::default(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}
