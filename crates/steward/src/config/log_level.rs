//! The setting `log_level`: from which of the specification's levels on events go to the database.

use std::str::FromStr;

/// A level of the specification, lightest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// What happened.
    Info,
    /// What may become a fault.
    Warning,
    /// What failed.
    Error,
    /// What must be looked at now.
    Critical,
}

impl LogLevel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// As the specification writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// The lightest level of `tracing` that can become this one.
    pub fn tracing(self) -> tracing::Level {
        match self {
            Self::Debug => tracing::Level::TRACE,
            Self::Info => tracing::Level::INFO,
            Self::Warning => tracing::Level::WARN,
            Self::Error | Self::Critical => tracing::Level::ERROR,
        }
    }
}

impl FromStr for LogLevel {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(())
    }
}
