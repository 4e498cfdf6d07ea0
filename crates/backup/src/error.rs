//! What can go wrong with a backup, as one line for a person.

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
    /// The place where backups are kept does not answer, or refuses.
    #[error("the place of the backups ({place}) can't be used: {reason}")]
    Place {
        /// Which, without secrets.
        place: String,
        /// What it said.
        reason: String,
    },
    /// The place is another database's.
    #[error(
        "{place} belongs to another database: {why}; nothing was written there, and nothing removed; name another place for this one (backup_target), or, where this one replaces the other for good, take the place over: steward backup setup --take-over"
    )]
    NotOwn {
        /// Which, without secrets.
        place: String,
        /// Why it is not this one's.
        why: String,
    },
    /// There is no such thing at the place.
    #[error("{what} is not there; nothing was changed; see what there is: steward backup list")]
    Missing {
        /// A bundle, a part, a file.
        what: String,
    },
    /// A part can't be opened with the keys at hand.
    #[error("the part {part} can't be opened: {reason}; nothing was changed")]
    Locked {
        /// Its name, with its bundle.
        part: String,
        /// Why.
        reason: String,
    },
    /// A part is not what was written.
    #[error(
        "the part {part} was altered, cut off or exchanged: {reason}; nothing was changed; take another backup (steward backup list)"
    )]
    Damaged {
        /// Its name, with its bundle.
        part: String,
        /// What gave it away.
        reason: String,
    },
    /// A file of the vault can't be read; everything else went to the place.
    #[error("{0}; all else goes to the place of the backups")]
    Unread(String),
    /// A local file can't be read or written.
    #[error("{what}: {source}")]
    File {
        /// What was tried with which file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was asked for can't be done; a whole sentence.
    #[error("{0}")]
    Refused(String),
    /// Somebody broke it off; what is left of it.
    #[error("{0}")]
    Cancelled(String),
    /// A program of somebody else's (`pg_dump`, pgBackRest) failed; what it said.
    #[error("{0}")]
    Failed(String),
    /// The database refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A part of the program ended in a way it never should.
    #[error("a part of the backup ended unexpectedly: {0}")]
    Internal(String),
}

/// A result of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A sentence that says why not, and what to do.
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(sentence.into())
    }

    /// What a program said that failed.
    pub fn failed(said: impl Into<String>) -> Self {
        Self::Failed(said.into())
    }

    /// A file or folder that can't be used.
    pub fn file(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::File { what: what.into(), source }
    }

    /// Whether trying again later may help without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Place { .. } => true,
            Self::Store(e) => e.is_transient(),
            _ => false,
        }
    }
}

/// Carries an error of this crate through a reader or writer.
pub(crate) fn through(error: Error) -> std::io::Error {
    std::io::Error::other(error)
}

/// Takes out again what [`through`] put in; whatever else it is has a sentence of its own.
pub(crate) fn back(error: std::io::Error, what: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(inner) => inner,
        Err(source) => Error::file(what, source),
    }
}

/// The end of a task that should not have panicked.
pub(crate) fn joined<T>(ended: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    ended.map_err(|e| Error::Internal(e.to_string()))?
}
