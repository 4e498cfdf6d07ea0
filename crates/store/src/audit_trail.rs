//! `audit_trail` and its hash chain: what was done, by whom, and the proof that it was not altered.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Error, Result, Run, canonical,
    statement::statements,
    value::{FromRow, Row, page, row},
};

row! {
    /// A change, as the database itself wrote it down.
    pub struct AuditRow {
        /// Id.
        pub id: Uuid,
        /// Who; none where Steward itself acted.
        pub user_id: Option<Uuid>,
        /// `task_created`, `approval_updated` …
        pub action: String,
        /// `task`, `approval` …
        pub entity_type: Option<String>,
        /// The row's id.
        pub entity_id: Option<Uuid>,
        /// What changed: before.
        pub old_values: Option<Json>,
        /// What changed: after.
        pub new_values: Option<Json>,
        /// From where.
        pub ip_address: Option<IpAddr>,
        /// By which program.
        pub user_agent: Option<String>,
        /// When.
        pub created_at: Timestamp,
    }
}

/// A link of the chain with the row it covers; the row is none where it was removed.
#[derive(Debug)]
struct Link {
    seq: i64,
    previous_sha256: String,
    sha256: String,
    canonical: Option<String>,
}
impl FromRow for Link {
    const COLUMNS: &'static [&'static str] = &["seq", "previous_sha256", "sha256", "canonical"];
    fn from_row(row: &Row) -> Result<Self> {
        let canonical = match row {
            Row::Postgres(_) => row.get(3, "canonical")?,
            Row::Sqlite(_) => row
                .get::<Option<String>>(3, "canonical")?
                .map(|t| canonical::jsonb_text(&t))
                .transpose()
                .map_err(|e| Error::Decode { column: "audit_trail".to_owned(), reason: e.to_string() })?,
        };
        Ok(Self {
            seq: row.get(0, "seq")?,
            previous_sha256: row.get(1, "previous")?,
            sha256: row.get(2, "sha256")?,
            canonical,
        })
    }
}
#[derive(Debug)]
struct Counts(i64, i64);
impl FromRow for Counts {
    const COLUMNS: &'static [&'static str] = &[];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self(row.get(0, "rows")?, row.get(1, "links")?))
    }
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChainReport {
    /// Links looked at.
    pub links: i64,
    /// Hash of the last one; 64 zeros where there is none.
    pub head: String,
    /// The first thing that is wrong, with its place in the chain.
    pub broken: Option<String>,
}

statements! {
    LIST: AuditRow = "audit_trail/list";
    CHAIN: Link = "audit_trail/chain" split;
    COUNTS: Counts = "audit_trail/counts";
}

/// The newest rows the actor may see, of an entity.
pub async fn list(
    actor: &Actor,
    on: impl Run,
    entity_type: Option<&str>,
    entity_id: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    on.list(actor, &LIST, vec![entity_type.into(), entity_id.into(), page(limit)]).await
}

/// Checks the whole chain, a thousand links at a time.
pub async fn verify(actor: &Actor, on: impl Run) -> Result<ChainReport> {
    let mut head = canonical::GENESIS_SHA256.to_owned();
    let mut seq = 0;
    loop {
        let links: Vec<Link> = on.list(actor, &CHAIN, vec![seq.into(), 1000.into()]).await?;
        if links.is_empty() {
            break;
        }
        for link in links {
            let broken = if link.seq != seq + 1 {
                Some(format!("link {} is missing", seq + 1))
            } else if link.previous_sha256 != head {
                Some(format!("link {} does not follow the one before it", link.seq))
            } else {
                match &link.canonical {
                    None => Some(format!("the row of link {} was removed", link.seq)),
                    Some(text) if canonical::chain_sha256(&head, text) != link.sha256 => {
                        Some(format!("the row of link {} was altered", link.seq))
                    }
                    Some(_) => None,
                }
            };
            if broken.is_some() {
                return Ok(ChainReport { links: seq, head, broken });
            }
            seq = link.seq;
            head = link.sha256;
        }
    }
    let Counts(rows, links) = on.one(actor, &COUNTS, Vec::new()).await?;
    let broken = (rows != links).then(|| format!("{rows} rows stand in the trail, but the chain has {links} links"));
    Ok(ChainReport { links: seq, head, broken })
}
