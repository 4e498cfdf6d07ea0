//! What can go wrong while measuring.

/// A measurement that could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program that the measurement needs failed or is not installed.
    #[error("{0}")]
    Tool(String),
    /// Steward's store refused.
    #[error("the store: {0}")]
    Store(#[from] store::Error),
    /// A backup could not be made.
    #[error("the backup: {0}")]
    Backup(#[from] backup::Error),
    /// The connection beside the store failed.
    #[error("PostgreSQL: {0:?}")]
    Postgres(#[from] tokio_postgres::Error),
    /// The connection beside the store failed.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What a program printed could not be read.
    #[error("can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A worker of the measurement stopped.
    #[error("a worker stopped: {0}")]
    Join(#[from] tokio::task::JoinError),
    /// Plans that are not as they should be.
    #[error("{0} plans are not as they should be")]
    Plans(usize),
}

/// The result of a step of a measurement.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
