//! What can go wrong with a server: while it starts, and when it is called. The texts are read by people.

use std::time::Duration;

use thiserror::Error;

/// Why a server did not start, or did not stay.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The program is not there.
    #[error("the program {command:?} was not found. Install it, or give its full path as the server's command")]
    NoProgram {
        /// As configured.
        command: String,
    },
    /// The working directory is not there.
    #[error("the working directory {directory:?} does not exist. Create it, or change the server's settings")]
    NoDirectory {
        /// After `~/` was resolved.
        directory: String,
    },
    /// The operating system refused to run it.
    #[error("{command:?} could not be run: {cause}")]
    Spawn {
        /// As configured.
        command: String,
        /// The system's own words.
        cause: String,
    },
    /// The process ended by itself.
    #[error("it ended by itself ({how}){last_words}")]
    Exited {
        /// The exit code or signal.
        how: String,
        /// The last lines of its stderr, ready to be appended.
        last_words: String,
    },
    /// It did not finish starting in time.
    #[error("it was not ready after {} s{last_words}", .after.as_secs_f32())]
    TooSlow {
        /// The limit.
        after: Duration,
        /// The last lines of its stderr, ready to be appended.
        last_words: String,
    },
    /// It answered something that is not the protocol.
    #[error("it does not speak MCP as expected: {what}{last_words}")]
    Protocol {
        /// What was wrong.
        what: String,
        /// The last lines of its stderr, ready to be appended.
        last_words: String,
    },
    /// A server elsewhere can't be spoken to.
    #[error("it can't be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// It no longer answers.
    #[error("it did not answer a ping within {} s and was killed", .after.as_secs_f32())]
    Unresponsive {
        /// The limit.
        after: Duration,
    },
    /// Its pipes closed while it went on running.
    #[error("it closed its input or output and was killed{last_words}")]
    ClosedPipes {
        /// The last lines of its stderr, ready to be appended.
        last_words: String,
    },
    /// Steward is stopping, or the server is no longer wanted.
    #[error("it was asked to stop")]
    Stopped,
}

/// Why a call has no result. What matters is whether the server may have acted.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum CallError {
    /// Not a byte of the call reached the server: it is safe to try again.
    #[error("the call was not made: {reason}")]
    NotStarted {
        /// Why, and what to do.
        reason: String,
    },
    /// The call was handed over and no answer came: it may or may not have taken effect.
    #[error("the outcome of the call is unknown: {reason}")]
    OutcomeUnknown {
        /// What happened instead of an answer.
        reason: String,
    },
    /// The server answered that it does not do this.
    #[error("the server refused the call: {message} (code {code})")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// The server's own words; data, not to be trusted.
        message: String,
    },
}

impl CallError {
    pub(crate) fn not_started(reason: impl Into<String>) -> Self {
        Self::NotStarted { reason: reason.into() }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::OutcomeUnknown { reason: reason.into() }
    }
}
