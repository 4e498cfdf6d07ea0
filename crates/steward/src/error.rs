//! What can go wrong in the program itself, as one line for a person, and the exit code that follows.

use std::{path::PathBuf, process::ExitCode};

use crate::output;

/// The program's one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
    /// What was asked for can't be done; a whole sentence.
    #[error("{0}")]
    Refused(String),
    /// A file or folder can't be used.
    #[error("{what}: {source}")]
    File {
        /// What was tried with which file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data folder can't be made or written.
    #[error("the data folder {} can't be used ({reason}); free some space, mend its permissions, or choose another with data_dir (STEWARD_DATA_DIR)", path.display())]
    DataDir {
        /// The folder, or what is wrong in it.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another Steward works on the same data folder.
    #[error("another Steward (pid {pid}) uses the data folder {}; stop that one first, or choose another folder with data_dir (STEWARD_DATA_DIR)", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other's process.
        pid: String,
    },
    /// The desk's address can't be taken.
    #[error(
        "the desk can't listen at {address} ({reason}); stop whatever listens there, or choose another address with listen (STEWARD_LISTEN)"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The answer can't be written where it should go.
    #[error("the answer can't be written: {0}")]
    Output(std::io::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A rule refused.
    #[error(transparent)]
    Domain(#[from] domain::Error),
    /// A backup failed or was refused.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// A worker failed.
    #[error(transparent)]
    Workers(#[from] workers::Error),
    /// A part of the program ended in a way it never should.
    #[error("a part of Steward ended unexpectedly: {0}")]
    Internal(String),
}

/// A result of the program.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A sentence that says why not, and what to do.
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(sentence.into())
    }

    /// A file or folder that can't be used.
    pub fn file(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::File { what: what.into(), source }
    }

    /// The error in one line, with what to do where the error itself can't know it.
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        if self.is_unanswered() {
            line.push_str("; check that it runs and that database_url (DATABASE_URL) names it");
        }
        output::safe(&line)
    }

    fn is_unanswered(&self) -> bool {
        match self {
            Self::Store(e) | Self::Domain(domain::Error::Store(e)) => matches!(e, store::Error::Unavailable(_)),
            Self::Workers(workers::Error::Store(e) | workers::Error::Domain(domain::Error::Store(e))) => {
                matches!(e, store::Error::Unavailable(_))
            }
            _ => false,
        }
    }

    /// What the program ends with: 1, but 0 where whoever reads the answer has gone (as `head` does).
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Output(e) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}
