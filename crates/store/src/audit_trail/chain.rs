//! The chain over the audit trail, as pure functions: a link with the row it covers, and walking from one to the next.
//! What is checked in a database and what is checked in an exported file is checked here.

use std::fmt;

use crate::{
    Result,
    canonical::{self, AuditRow, GENESIS_SHA256},
    value::{FromRow, Row},
};

/// A link of the chain with the row it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Place in the chain, from 1.
    pub position: i64,
    /// The row's id.
    pub row_id: String,
    /// Hash of the link before, as noted in this one.
    pub previous_sha256: String,
    /// This link's hash, as noted.
    pub sha256: String,
    /// The row's time, RFC 3339 in UTC; none where the row is missing.
    pub created_at: Option<String>,
    /// The row's canonical text; none where the row is missing.
    pub text: Option<String>,
    /// The hash that `previous_sha256` and `text` really give.
    pub made_sha256: String,
}

impl Link {
    /// A link from its text, its hash worked out.
    pub fn new(position: i64, row_id: String, previous_sha256: String, sha256: String, text: Option<String>) -> Self {
        let made_sha256 = text.as_ref().map(|t| canonical::chain_sha256(&previous_sha256, t)).unwrap_or_default();
        Self { position, row_id, previous_sha256, sha256, created_at: None, text, made_sha256 }
    }

    /// Whether this row's text, after the link with the hash `previous`, gives `sha256`.
    pub(super) fn would_be(&self, previous: &str, sha256: &str) -> bool {
        self.text.as_ref().is_some_and(|text| canonical::chain_sha256(previous, text) == sha256)
    }
}

impl FromRow for Link {
    const COLUMNS: &'static [&'static str] = &[
        "seq",
        "audit_id",
        "previous_sha256",
        "sha256",
        "id",
        "user_id",
        "action",
        "entity_type",
        "entity_id",
        "old_values",
        "new_values",
        "ip_address",
        "user_agent",
        "created_at",
    ];
    fn from_row(row: &Row) -> Result<Self> {
        let text = |place: usize| row.get::<Option<String>>(place, Self::COLUMNS[place]);
        let values = [text(4)?, text(5)?, text(6)?, text(7)?, text(8)?, text(9)?, text(10)?, text(11)?, text(12)?];
        let [id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent] = &values;
        let created_at = text(13)?;
        let columns = id.as_deref().map(|id| AuditRow {
            id,
            user_id: user_id.as_deref(),
            action: action.as_deref().unwrap_or_default(),
            entity_type: entity_type.as_deref(),
            entity_id: entity_id.as_deref(),
            old_values: old_values.as_deref(),
            new_values: new_values.as_deref(),
            ip_address: ip_address.as_deref(),
            user_agent: user_agent.as_deref(),
            created_at: created_at.as_deref().unwrap_or_default(),
        });
        // Both databases keep JSON in the form that is hashed; what stands there otherwise is brought into it.
        let mut link = Self::new(
            row.get(0, "seq")?,
            row.get(1, "audit_id")?,
            row.get(2, "previous_sha256")?,
            row.get(3, "sha256")?,
            columns.as_ref().map(canonical::audit_text_as_kept),
        );
        if let Some(columns) = columns
            && link.made_sha256 != link.sha256
            && let Ok(text) = canonical::audit_text(&columns)
        {
            link = Self::new(link.position, link.row_id, link.previous_sha256, link.sha256, Some(text));
        }
        Ok(Self { created_at, ..link })
    }
}

/// What happened to the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// A row, or its link, says something else than what was written.
    Altered,
    /// A row or a link is gone.
    Removed,
    /// A row or a link stands there that the database did not write.
    Inserted,
    /// Rows changed places.
    Reordered,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// What happened.
    pub damage: Damage,
    /// Where in the chain; none for a row outside it.
    pub position: Option<i64>,
    /// Which row, where that can be told.
    pub row_id: Option<String>,
    /// The row's time, RFC 3339 in UTC, where that can be told.
    pub created_at: Option<String>,
    /// What gave it away.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.row_id {
            Some(id) => write!(f, "the row {id}")?,
            None => write!(f, "a row")?,
        }
        if let Some(position) = self.position {
            write!(f, " at position {position}")?;
        }
        if let Some(time) = &self.created_at {
            write!(f, " of {time}")?;
        }
        let word = match self.damage {
            Damage::Altered => "altered",
            Damage::Removed => "removed",
            Damage::Inserted => "inserted",
            Damage::Reordered => "reordered",
        };
        write!(f, " was {word}: {}", self.reason)
    }
}

/// Why a link does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Its position is not the next one.
    Gap,
    /// It follows another link than the one before it.
    Previous,
    /// Its row is missing.
    NoRow,
    /// Its row has another text than the one that was hashed.
    Text,
}

/// A walk along the chain: the last link that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Its position; 0 before the first.
    pub position: i64,
    /// Its hash.
    pub head: String,
    /// Its row.
    pub row_id: Option<String>,
    /// Its row's time.
    pub created_at: Option<String>,
}

impl Default for Walk {
    fn default() -> Self {
        Self::after(0, GENESIS_SHA256.to_owned())
    }
}

impl Walk {
    /// From behind a link that is taken for good.
    pub fn after(position: i64, head: String) -> Self {
        Self { position, head, row_id: None, created_at: None }
    }

    /// Goes on to `link` if it is the next one.
    pub fn step(&mut self, link: &Link) -> Result<(), Break> {
        if link.position != self.position + 1 {
            return Err(Break::Gap);
        }
        if link.previous_sha256 != self.head {
            return Err(Break::Previous);
        }
        if link.text.is_none() {
            return Err(Break::NoRow);
        }
        if link.made_sha256 != link.sha256 {
            return Err(Break::Text);
        }
        self.position = link.position;
        self.head.clone_from(&link.sha256);
        self.row_id = Some(link.row_id.clone());
        self.created_at.clone_from(&link.created_at);
        Ok(())
    }
}
