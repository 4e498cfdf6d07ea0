//! Continuous archiving of the log (WAL): how the server stands, setting it, and whether it keeps up.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_postgres::Client;

use crate::{Config, Error, Result, migrate::postgres::connect, postgres::translate};

/// What setting archiving up must know of a server.
#[derive(Debug, Clone)]
pub struct Server {
    /// The role that is connected as.
    pub role: String,
    /// Whether it may change the server's settings.
    pub is_superuser: bool,
    /// Where the data lies, on the server's machine.
    pub data_directory: PathBuf,
    /// Its port.
    pub port: u16,
    /// The folder of its first socket; none where it has no socket.
    pub socket_directory: Option<PathBuf>,
    /// `archive_mode`.
    pub archive_mode: String,
    /// `archive_command`; empty where there is none.
    pub archive_command: String,
    /// `archive_timeout` in seconds; 0 is never.
    pub archive_timeout_s: u32,
    /// `wal_level`.
    pub wal_level: String,
    /// The server's main version.
    pub major: u32,
    /// Whether it is a standby.
    pub is_standby: bool,
    /// The databases of the server, without templates.
    pub databases: Vec<String>,
}

/// How the archive keeps up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archive {
    /// Whether the server archives at all.
    pub is_on: bool,
    /// Segments that were archived since the figures began.
    pub archived: i64,
    /// When the last one was.
    pub last_archived_at: Option<Timestamp>,
    /// Tries that failed since the figures began.
    pub failed: i64,
    /// When the last one failed.
    pub last_failed_at: Option<Timestamp>,
    /// Whether the newest try failed.
    pub is_failing: bool,
    /// Segments that are full and not archived yet, by their names.
    pub waiting: i64,
    /// For how long something has been waiting to be archived.
    pub behind: SignedDuration,
    /// `archive_timeout` in seconds: how long a segment that is not full waits at most; 0 is for ever.
    pub timeout_s: u32,
}

/// What waits longer to be archived is behind: a recovery point under one minute is what is promised.
const BEHIND: SignedDuration = SignedDuration::from_secs(60);

impl Archive {
    /// What is wrong with it now and what to do, where something is. A server that archives nothing is no trouble of the
    /// archive's.
    pub fn trouble(&self) -> Option<(String, &'static str)> {
        if self.is_on && self.is_failing {
            let last = self.last_failed_at.map(|at| format!(", the last at {at:.0}")).unwrap_or_default();
            return Some((
                format!(
                    "archiving PostgreSQL's log fails ({} failed tries{last}); {} segments wait and fill the server's disk",
                    self.failed, self.waiting
                ),
                "the server's log says why; mend it (disk, network, rights of the repository), and it catches up by itself",
            ));
        }
        (self.is_on && self.behind > BEHIND).then(|| {
            (
                format!(
                    "the archive of PostgreSQL's log is {} min behind; {} segments wait",
                    self.behind.as_mins(),
                    self.waiting
                ),
                "look at the repository's disk and network, and at the server's log",
            )
        })
    }
}

/// What one server must be asked before it is set up.
pub async fn server(config: &Config) -> Result<Server> {
    let fail = |e: tokio_postgres::Error| translate("archive", &e);
    let client = connect(config, None).await?;
    let row = client
        .query_one("SELECT current_user::text, rolsuper FROM pg_roles WHERE rolname = current_user", &[])
        .await
        .map_err(fail)?;
    let (role, is_superuser): (String, bool) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
    if !is_superuser {
        return Err(Error::Config(format!(
            "{}: {role} may not change how the server archives; name a superuser, as in: DATABASE_URL=postgres://postgres@HOST/DATABASE steward backup setup",
            config.describe()
        )));
    }
    let row = client
        .query_one(
            "SELECT current_setting('data_directory'), current_setting('port')::int, split_part(current_setting('unix_socket_directories'), ',', 1), \
             current_setting('archive_mode'), current_setting('archive_command'), \
             (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout'), current_setting('wal_level'), \
             current_setting('server_version_num')::int / 10000, pg_is_in_recovery(), \
             (SELECT array_agg(datname::text ORDER BY datname) FROM pg_database WHERE NOT datistemplate AND datallowconn), \
             (SELECT setting FROM pg_file_settings WHERE name = 'archive_command' ORDER BY seqno DESC LIMIT 1)",
            &[],
        )
        .await
        .map_err(fail)?;
    let socket: String = row.try_get(2).map_err(fail)?;
    // With archiving off the server says so in the place of the command; its files say what it would be.
    let command: String = row.try_get(4).map_err(fail)?;
    let written: Option<String> = row.try_get(10).map_err(fail)?;
    Ok(Server {
        role,
        is_superuser,
        data_directory: PathBuf::from(row.try_get::<_, String>(0).map_err(fail)?),
        port: u16::try_from(row.try_get::<_, i32>(1).map_err(fail)?).unwrap_or_default(),
        socket_directory: Some(socket.trim()).filter(|s| !s.is_empty()).map(PathBuf::from),
        archive_mode: row.try_get(3).map_err(fail)?,
        archive_command: if command == "(disabled)" { written.unwrap_or_default() } else { command },
        archive_timeout_s: u32::try_from(row.try_get::<_, i32>(5).map_err(fail)?).unwrap_or_default(),
        wal_level: row.try_get(6).map_err(fail)?,
        major: u32::try_from(row.try_get::<_, i32>(7).map_err(fail)?).unwrap_or_default(),
        is_standby: row.try_get(8).map_err(fail)?,
        databases: row.try_get(9).map_err(fail)?,
    })
}

/// Sets archiving in the server's own file of settings and has it read again. Whether it takes a restart is told by
/// `archive_mode` as the server runs with it.
pub async fn set_archiving(config: &Config, command: &str, timeout_s: u32) -> Result<()> {
    let fail = |e: tokio_postgres::Error| translate("archive", &e);
    let client = connect(config, None).await?;
    let command = command.replace('\'', "''");
    for statement in [
        "ALTER SYSTEM SET archive_mode = 'on'".to_owned(),
        format!("ALTER SYSTEM SET archive_command = '{command}'"),
        format!("ALTER SYSTEM SET archive_timeout = '{timeout_s}s'"),
        "SELECT pg_reload_conf()".to_owned(),
    ] {
        client.batch_execute(&statement).await.map_err(fail)?;
    }
    Ok(())
}

/// What waits is seen where the role may list the server's folders; elsewhere by how far the log has gone.
const WAITING: &str = "SELECT count(*), COALESCE(EXTRACT(epoch FROM clock_timestamp() - min(modification)), 0)::bigint \
     FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'";
const FAR: &str = "SELECT CASE WHEN last_archived_wal ~ '^[0-9A-F]{24}$' AND pg_walfile_name(pg_current_wal_lsn()) > last_archived_wal \
     AND last_archived_wal < pg_walfile_name(pg_current_wal_lsn() - (2 * pg_size_bytes(current_setting('wal_segment_size')))) THEN 1 ELSE 0 END::bigint, \
     COALESCE(EXTRACT(epoch FROM clock_timestamp() - last_archived_time), 0)::bigint FROM pg_stat_archiver";

/// How the archive keeps up; any role may ask.
pub async fn archive(config: &Config) -> Result<Archive> {
    let fail = |e: tokio_postgres::Error| translate("archive", &e);
    let client = connect(config, None).await?;
    let row = client
        .query_one(
            "SELECT current_setting('archive_mode') IN ('on', 'always') AND NOT pg_is_in_recovery(), archived_count, last_archived_time, failed_count, last_failed_time, \
             last_failed_time IS NOT NULL AND (last_archived_time IS NULL OR last_failed_time > last_archived_time), \
             (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout') FROM pg_stat_archiver",
            &[],
        )
        .await
        .map_err(fail)?;
    let is_on: bool = row.try_get(0).map_err(fail)?;
    let (waiting, behind_s) = if is_on { waiting(&client).await? } else { (0, 0) };
    Ok(Archive {
        is_on,
        archived: row.try_get(1).map_err(fail)?,
        last_archived_at: row.try_get(2).map_err(fail)?,
        failed: row.try_get(3).map_err(fail)?,
        last_failed_at: row.try_get(4).map_err(fail)?,
        is_failing: row.try_get(5).map_err(fail)?,
        waiting,
        behind: SignedDuration::from_secs(behind_s),
        timeout_s: u32::try_from(row.try_get::<_, i32>(6).map_err(fail)?).unwrap_or_default(),
    })
}

async fn waiting(client: &Client) -> Result<(i64, i64)> {
    let row = match client.query_one(WAITING, &[]).await {
        Ok(row) => row,
        Err(e) if e.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE) => {
            client.query_one(FAR, &[]).await.map_err(|e| translate("archive", &e))?
        }
        Err(e) => return Err(translate("archive", &e)),
    };
    let fail = |e: tokio_postgres::Error| translate("archive", &e);
    let (count, seconds): (i64, i64) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
    Ok((count, if count > 0 { seconds } else { 0 }))
}

/// Closes the segment of the log that is being written, so that it is archived now.
pub async fn switch_log(config: &Config) -> Result<()> {
    connect(config, None).await?.batch_execute("SELECT pg_switch_wal()").await.map_err(|e| translate("archive", &e))
}

/// The server's own clock.
pub async fn clock(config: &Config) -> Result<Timestamp> {
    let row = connect(config, None).await?.query_one("SELECT clock_timestamp()", &[]).await;
    row.and_then(|r| r.try_get(0)).map_err(|e| translate("archive", &e))
}

/// When the last commit was made that a recovery replayed; none where nothing was replayed.
pub async fn last_replayed(config: &Config) -> Result<Option<Timestamp>> {
    let row = connect(config, None).await?.query_one("SELECT pg_last_xact_replay_timestamp()", &[]).await;
    row.and_then(|r| r.try_get(0)).map_err(|e| translate("restore", &e))
}
