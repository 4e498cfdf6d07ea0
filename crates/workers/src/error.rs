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
    /// A backup could not be made, restored or looked at.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// A server could not be started.
    #[error("the server {name} could not be started: {reason}")]
    Server {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// What is outside refused or failed.
    #[error(transparent)]
    Outside(#[from] outside::Trouble),
    /// An archive of the log can't be written or read back.
    #[error(
        "the log's archive {path} can't be kept ({reason}); its lines stay in the database. Free some space or mend the folder's permissions; it is tried again the next day"
    )]
    Archive {
        /// The file or folder.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// A task of the program ended in a way it never should.
    #[error("a part of Steward ended unexpectedly: {0}")]
    Internal(String),
}

/// A result of a worker.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same work may succeed later. Work is taken up from what stands in the database then, so it may also
    /// follow a write of which nobody knows whether it stands.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(e) | Self::Domain(domain::Error::Store(e)) => {
                e.is_transient() || matches!(e, store::Error::OutcomeUnknown(_))
            }
            _ => false,
        }
    }
}
