//! How to reach the database.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::{Error, Result};

/// Settings of the store, with the specification's pool as default ("Connection Pooling").
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the database is.
    pub target: Target,
    /// Connections at most (1–500).
    pub pool_size: usize,
    /// After how long an idle connection is closed.
    pub idle_timeout: Duration,
    /// How long to try to connect, and to wait for a free connection.
    pub connect_timeout: Duration,
    /// How long a statement may run; whoever waits for its answer gives up a little later (PostgreSQL).
    pub statement_timeout: Duration,
    /// Redis for sessions and cached answers, `redis://…` (PostgreSQL).
    pub redis_url: Option<SecretString>,
    /// How long Redis may delay one request at most.
    pub redis_timeout: Duration,
    /// A streaming standby for reads that may be a moment old (PostgreSQL).
    pub read_replica: Option<Box<tokio_postgres::Config>>,
    /// How far behind the standby may be before the primary is read instead.
    pub replica_lag: Duration,
}

/// A database.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file, made when missing.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Box<tokio_postgres::Config>),
}

impl Config {
    /// From `sqlite://PATH` or `postgres://…`, with the default pool.
    pub fn from_url(url: &str) -> Result<Self> {
        let target = if let Some(path) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            if path.is_empty() {
                return Err(Error::Config("the database URL sqlite:// lacks the file's path".to_owned()));
            }
            Target::Sqlite(PathBuf::from(path))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let config = url.parse::<tokio_postgres::Config>().map_err(|e| {
                let cause = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
                Error::Config(format!("the database URL can't be read ({e}{cause})"))
            })?;
            Target::Postgres(Box::new(config))
        } else {
            return Err(Error::Config(
                "the database URL must begin with sqlite:// or postgres:// (its value is not shown, as it may hold a password)".to_owned(),
            ));
        };
        Ok(Self {
            target,
            pool_size: 20,
            idle_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            redis_url: None,
            redis_timeout: Duration::from_millis(50),
            read_replica: None,
            replica_lag: Duration::from_secs(5),
        })
    }

    /// The same with a standby to read from, `postgres://…`.
    pub fn with_read_replica(mut self, url: &str) -> Result<Self> {
        if matches!(self.target, Target::Sqlite(_)) {
            return Err(Error::Config(
                "a read replica goes with PostgreSQL; a SQLite file has none, so remove read_replica_url".to_owned(),
            ));
        }
        match Self::from_url(url)?.target {
            Target::Postgres(target) => self.read_replica = Some(target),
            Target::Sqlite(_) => {
                return Err(Error::Config("the read replica's URL must begin with postgres://".to_owned()));
            }
        }
        Ok(self)
    }

    /// How long an answer is waited for: a little longer than the server itself lets a statement run, so that the server
    /// says so where it can and only its silence ends the waiting.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.statement_timeout + (self.statement_timeout / 2).min(Duration::from_secs(5))
    }

    /// What is connected to, without secrets.
    pub fn describe(&self) -> String {
        match &self.target {
            Target::Sqlite(path) => format!("SQLite {}", path.display()),
            Target::Postgres(config) => describe_server(config),
        }
    }
}

/// A server without its password.
pub(crate) fn describe_server(config: &tokio_postgres::Config) -> String {
    format!(
        "PostgreSQL {} database {} as {}",
        config
            .get_hosts()
            .iter()
            .map(|h| match h {
                tokio_postgres::config::Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
            })
            // One port for several hosts is the port of each.
            .zip(
                config
                    .get_ports()
                    .iter()
                    .copied()
                    .chain(std::iter::repeat(config.get_ports().last().copied().unwrap_or(5432)))
            )
            .map(|(h, p)| format!("{h}:{p}"))
            .collect::<Vec<_>>()
            .join(","),
        config.get_dbname().unwrap_or("(default)"),
        config.get_user().unwrap_or("(default)"),
    )
}
