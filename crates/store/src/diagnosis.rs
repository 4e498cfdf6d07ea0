//! What the database itself shows of its health, over a connection of its own: for `steward doctor`, which must work
//! also where the pool, the schema or the role is what is wrong.

mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use crate::{Config, Error, Result, Target};

/// How long Redis may take to answer.
const REDIS_PATIENCE: Duration = Duration::from_secs(3);

/// What was found. Each part is there only where the engine has it and the role may see it.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// How long the database took to answer, connecting included.
    pub answered_in: Duration,
    /// The database's clock less this machine's.
    pub clock_skew: SignedDuration,
    /// The role that is connected as, and its rights (PostgreSQL).
    pub role: Option<Role>,
    /// Connections of the whole server (PostgreSQL).
    pub connections: Option<Connections>,
    /// The transaction that has been open longest, and for how long (PostgreSQL, those the role may see).
    pub oldest_transaction: Option<OldTransaction>,
    /// Standbys that stream from this server, with how far they are behind (PostgreSQL, where the role may see them).
    pub standbys: Vec<Standby>,
    /// The read replica that is set: how it answers.
    pub read_replica: Option<Result<ReplicaState, String>>,
    /// Whether the server takes writes (PostgreSQL: it is no standby).
    pub takes_writes: bool,
    /// Pages of the file that are free, in bytes, and all of it (SQLite).
    pub file: Option<FileState>,
}

/// The role behind the pool.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// It may do everything, so row-level security does not hold it.
    pub is_superuser: bool,
    /// It is held by no policy of row-level security.
    pub bypasses_policies: bool,
    /// It owns tables of Steward, and may change the schema.
    pub owns_tables: bool,
}

/// Connections of a server.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// In use by everybody.
    pub used: i64,
    /// What ordinary roles may use together.
    pub limit: i64,
}

/// A transaction that stays open.
#[derive(Debug, Clone)]
pub struct OldTransaction {
    /// The server's process.
    pub pid: i32,
    /// For how long.
    pub age: SignedDuration,
    /// What the program calls itself.
    pub program: String,
    /// `active`, `idle in transaction` …
    pub state: String,
}

/// A standby.
#[derive(Debug, Clone)]
pub struct Standby {
    /// What it calls itself.
    pub name: String,
    /// `streaming`, `catchup` …
    pub state: String,
    /// How much it has still to replay, in bytes.
    pub behind_bytes: i64,
}

/// The read replica.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaState {
    /// Whether it is a standby; one that is none shows an old or another database.
    pub is_standby: bool,
    /// How much it has still to replay, in bytes; none where that is not known.
    pub behind_bytes: Option<i64>,
}

/// The file of SQLite.
#[derive(Debug, Clone, Copy)]
pub struct FileState {
    /// Its size in bytes.
    pub size_bytes: i64,
    /// What of it is free, in bytes.
    pub free_bytes: i64,
}

/// Looks at the database; changes nothing. Fails where it can't be reached at all.
pub async fn look(config: &Config) -> Result<Diagnosis> {
    let began = Instant::now();
    let mut found = match &config.target {
        Target::Postgres(target) => postgres::look(config, target).await?,
        Target::Sqlite(path) => {
            let path = path.clone();
            tokio::task::spawn_blocking(move || sqlite::look(&path))
                .await
                .map_err(|e| Error::Unavailable(e.to_string()))??
        }
    };
    if found.answered_in.is_zero() {
        found.answered_in = began.elapsed();
    }
    Ok(found)
}

/// The version of the Redis at an address, if it answers within a few seconds.
pub async fn redis(url: &SecretString) -> Result<String> {
    let fail = |e: redis::RedisError| Error::Unavailable(format!("Redis: {e}"));
    let client = redis::Client::open(url.expose_secret()).map_err(fail)?;
    let asked = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
    };
    let told = tokio::time::timeout(REDIS_PATIENCE, asked)
        .await
        .map_err(|_| Error::Unavailable(format!("Redis gave no answer within {} s", REDIS_PATIENCE.as_secs())))?
        .map_err(fail)?;
    let version = told.lines().find_map(|line| line.strip_prefix("redis_version:"));
    Ok(version.unwrap_or("unknown").trim().to_owned())
}

/// What lies between the database's clock, asked between two looks at ours, and ours.
fn skew(before: Timestamp, theirs: Timestamp, after: Timestamp) -> SignedDuration {
    let middle = before.duration_since(Timestamp::UNIX_EPOCH) + after.duration_since(before) / 2;
    theirs.duration_since(Timestamp::UNIX_EPOCH) - middle
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::skew;

    #[test]
    fn the_way_there_and_back_is_no_skew() {
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(skew(at(100), at(101), at(102)), SignedDuration::ZERO);
        assert_eq!(skew(at(100), at(161), at(102)), SignedDuration::from_secs(60));
        assert_eq!(skew(at(100), at(41), at(102)), SignedDuration::from_secs(-60));
    }
}
