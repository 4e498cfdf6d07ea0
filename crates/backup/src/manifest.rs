//! What a bundle says of itself: the clear table of contents, which anybody at the place may read, and the sealed manifest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sealed::Digested;

/// The form of bundles that this program writes.
pub const FORMAT: u32 = 1;

/// A part, as the manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The content's size and hash.
    pub plain: Digested,
    /// The sealed form's size and hash.
    pub sealed: Digested,
}

/// The audit trail's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Links of the chain.
    pub links: i64,
    /// Hash of the last; 64 zeros where there is none.
    pub sha256: String,
}

/// What a database says of itself, as of the moment that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `PostgreSQL` or `SQLite`.
    pub engine: String,
    /// The engine's version.
    pub server_version: String,
    /// The newest migration.
    pub schema_version: i32,
    /// Rows a table.
    pub tables: BTreeMap<String, i64>,
    /// The audit trail's end.
    pub audit: AuditHead,
    /// The moment that was copied.
    pub as_of: Timestamp,
    /// Where the log goes on from this copy, in the engine's own words; none where no log is kept.
    pub log_position: Option<serde_json::Value>,
}

/// Attachments that belong to a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// How many.
    pub count: u64,
    /// Bytes of their ciphertext.
    pub size_bytes: u64,
}

/// The sealed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The bundle's id.
    pub id: String,
    /// The Steward that wrote it.
    pub steward_version: String,
    /// The database.
    pub facts: Facts,
    /// Files beside the database.
    pub attachments: Attachments,
    /// Whether the master key is among the sealed settings (only where recipients' private keys open them).
    pub holds_master_key: bool,
    /// When the writing began.
    pub began_at: Timestamp,
    /// Every other part, by its place.
    pub parts: Vec<Part>,
}

/// The clear table of contents, written last. It proves nothing: what it says is compared with the sealed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// See [`FORMAT`].
    pub format: u32,
    /// The bundle's id.
    pub id: String,
    /// The moment that was copied.
    pub as_of: Timestamp,
    /// When it was complete.
    pub finished_at: Timestamp,
    /// `PostgreSQL` or `SQLite`.
    pub engine: String,
    /// The newest migration.
    pub schema_version: i32,
    /// The Steward that wrote it.
    pub steward_version: String,
    /// Whether a shipped log goes on from it.
    #[serde(default)]
    pub has_log: bool,
    /// Which series of the shipped log goes on from it (SQLite).
    #[serde(default)]
    pub log_series: Option<String>,
    /// The parts' names and sealed forms, the manifest first.
    pub parts: Vec<ClearPart>,
}

/// A part, as anybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearPart {
    /// Its name.
    pub name: String,
    /// The sealed form's size and hash.
    pub sealed: Digested,
}

impl Contents {
    /// Bytes of all parts.
    pub fn size_bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.sealed.size_bytes).sum()
    }
}
