//! What can go wrong in a worker.

/// The workers' one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule refused, or the store failed.
    #[error(transparent)]
    Domain(#[from] domain::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A server could not be started.
    #[error("the server {name} could not be started: {reason}")]
    Server {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A schedule can't be read.
    #[error("the schedule {name} has the time {cron:?}, which can't be read: {reason}")]
    Schedule {
        /// Its name.
        name: String,
        /// Its cron expression.
        cron: String,
        /// Why.
        reason: String,
    },
    /// A task of the program ended in a way it never should.
    #[error("a part of Steward ended unexpectedly: {0}")]
    Internal(String),
}

/// A result of a worker.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same work may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(e) | Self::Domain(domain::Error::Store(e)) => e.is_transient(),
            _ => false,
        }
    }
}
