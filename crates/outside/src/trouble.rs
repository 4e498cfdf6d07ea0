//! What can go wrong outside, and what follows from it.

use std::time::Duration;

/// What to do about a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It may pass by itself: try again later.
    Passing,
    /// Who we are was refused: a person must give new credentials.
    Credentials,
    /// It stays until a person changes something.
    Lasting,
}

/// Something went wrong; the message says what, why, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What follows.
    pub kind: Kind,
    /// For a person.
    pub message: String,
    /// Not to be tried again before, where the other side said so.
    pub retry_after: Option<Duration>,
}

/// Why something that was to be done outside has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{trouble}")]
pub struct Unanswered {
    /// What went wrong.
    pub trouble: Trouble,
    /// Whether the other side may have done it all the same. False only where it surely did not.
    pub was_sent: bool,
}

impl Unanswered {
    /// It surely was not done.
    pub(crate) fn not_sent(trouble: Trouble) -> Self {
        Self { trouble, was_sent: false }
    }

    /// It may have been done.
    pub(crate) fn sent(trouble: Trouble) -> Self {
        Self { trouble, was_sent: true }
    }
}

/// A result of what is outside.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

impl Trouble {
    /// One that may pass.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { kind: Kind::Passing, message: message.into(), retry_after: None }
    }

    /// One that stays until a person changes something.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self { kind: Kind::Lasting, message: message.into(), retry_after: None }
    }

    /// Refused credentials.
    pub fn credentials(message: impl Into<String>) -> Self {
        Self { kind: Kind::Credentials, message: message.into(), retry_after: None }
    }
}
