//! What can go wrong in the rules, in words for a person.

use crate::playbook::PlaybookError;

/// The domain's one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no such thing, or the actor may not see it.
    #[error("there is no {0} here, or you may not see it")]
    NotFound(String),
    /// It is not as whoever changes it has read it. Nothing was changed.
    #[error("it was changed since you read it; nothing was changed")]
    Changed {
        /// The row as it stands.
        current: Box<serde_json::Value>,
    },
    /// Somebody else was first, or the state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A value is wrong. Nothing was changed.
    #[error("{message}")]
    Invalid {
        /// Which field.
        field: String,
        /// What is wrong with it, and what would be right.
        message: String,
    },
    /// Name or password is wrong, or the account is not active: which of them is not said.
    #[error("the name or the password is wrong")]
    LogInRefused,
    /// Too many log-ins failed of late.
    #[error("too many log-ins failed of late; the next try is possible in {retry_after_s} s")]
    TooManyTries {
        /// Seconds to wait.
        retry_after_s: u32,
    },
    /// The password is right, and the second factor is still to come.
    #[error(
        "the password is right; now the second factor is needed: the code of your authenticator app, a recovery code, or a passkey"
    )]
    SecondFactorNeeded {
        /// Whose.
        user_id: uuid::Uuid,
    },
    /// The decision needs somebody who has just shown who it is.
    #[error("this decision is of high risk, and so it needs you to show again who you are")]
    ReauthenticationNeeded,
    /// The worker's lease was taken over; what it was about to write was not written.
    #[error("the lease of this task passed to another worker")]
    LeaseLost,
    /// An event that was noted before; nothing was changed.
    #[error("this event was noted before")]
    Duplicate,
    /// A playbook is wrong, each place with line and column.
    #[error("the playbook {name} is wrong: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Playbook {
        /// Its name or file.
        name: String,
        /// What and where.
        errors: Vec<PlaybookError>,
    },
}

/// A result of the domain.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The row is another than was expected.
    pub fn changed(current: &impl serde::Serialize) -> Self {
        Self::Changed { current: Box::new(serde_json::to_value(current).unwrap_or_default()) }
    }

    /// A wrong value of a field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }
}
