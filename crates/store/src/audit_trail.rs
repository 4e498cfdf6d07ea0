//! `audit_trail` and its hash chain: what was done, by whom, and the proof that it was not altered.

mod chain;
mod verify;

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

pub use self::{
    chain::{Break, Damage, Finding, Link, Walk},
    verify::{ChainReport, Links, verify_against, verify_telling},
};
use crate::{
    Actor, Result, Run, Store,
    statement::statements,
    tasks::{Cursor, from_place},
    value::{FromRow, Row, Scalar, page as most, row},
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
        #[schema(value_type = Option<Object>)]
        pub old_values: Option<Json>,
        /// What changed: after.
        #[schema(value_type = Option<Object>)]
        pub new_values: Option<Json>,
        /// From where.
        #[schema(value_type = Option<String>)]
        pub ip_address: Option<IpAddr>,
        /// By which program.
        pub user_agent: Option<String>,
        /// When.
        pub created_at: Timestamp,
        /// In which request, as the log names it; none where there was none. It stands beside the trail, not in its chain.
        pub request_id: Option<String>,
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
#[derive(Debug)]
struct Range(Option<i64>, Option<i64>);
impl FromRow for Range {
    const COLUMNS: &'static [&'static str] = &[];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self(row.get(0, "first")?, row.get(1, "last")?))
    }
}

statements! {
    LIST: AuditRow = "audit_trail/list";
    LIST_OF_ENTITY: AuditRow = "audit_trail/list_of_entity";
    CHAIN: Link = "audit_trail/chain" split;
    NEAR: Link = "audit_trail/near" split;
    UNLINKED: Link = "audit_trail/unlinked" split;
    UNRECORDED: Scalar<String> = "audit_trail/unrecorded";
    COUNTS: Counts = "audit_trail/counts";
    RANGE: Range = "audit_trail/range";
}

/// The newest rows the actor may see, of an entity.
pub async fn list(
    actor: &Actor,
    on: impl Run,
    entity_type: Option<&str>,
    entity_id: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    self::page(actor, on, entity_type, entity_id, None, limit).await
}

/// The same from a place on.
pub async fn page(
    actor: &Actor,
    on: impl Run,
    entity_type: Option<&str>,
    entity_id: Option<Uuid>,
    cursor: Option<Cursor>,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    filtered(actor, on, &Filter { entity_type, entity_id, ..Filter::default() }, cursor, limit).await
}

/// Which changes; what is none is not asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Of this kind of row.
    pub entity_type: Option<&'a str>,
    /// Of this row.
    pub entity_id: Option<Uuid>,
    /// By this user.
    pub user_id: Option<Uuid>,
    /// Of this kind: `task_created`, `approval_updated` …
    pub action: Option<&'a str>,
    /// Then or later …
    pub from: Option<Timestamp>,
    /// … and before then.
    pub to: Option<Timestamp>,
}

/// The newest rows the actor may see that pass the filter, from a place on, at most `limit`.
pub async fn filtered(
    actor: &Actor,
    on: impl Run,
    filter: &Filter<'_>,
    cursor: Option<Cursor>,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    let Filter { entity_type, entity_id, user_id, action, from, to } = *filter;
    // Neither kind of word has a NUL, and PostgreSQL takes none.
    if [entity_type, action].into_iter().flatten().any(|word| word.contains('\0')) {
        return Ok(Vec::new());
    }
    // An end is the place that a walk begins at, as a cursor is.
    let end = to.map(|to| (to, Uuid::nil()));
    let mut params = from_place(cursor.into_iter().chain(end).min(), limit);
    params.extend([entity_type.into(), entity_id.into()]);
    // Whoever sees all of the trail walks it by time; a text of its own keeps that apart from one entity's few rows.
    if entity_type.is_some() && entity_id.is_some() && user_id.is_none() && action.is_none() && from.is_none() {
        return on.list(actor, &LIST_OF_ENTITY, params).await;
    }
    params.extend([user_id.into(), action.into(), from.unwrap_or(BEGINNING).into()]);
    on.list(actor, &LIST, params).await
}

/// Before every row: the year 1, which both databases hold and sort.
const BEGINNING: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Links of the chain with their rows, from behind a position on, at most `limit` (0–1000).
pub async fn links(actor: &Actor, on: impl Run, after: i64, limit: i64) -> Result<Vec<Link>> {
    on.list(actor, &CHAIN, vec![after.into(), most(limit)]).await
}

/// The first and the last position between which all rows of a time stand; none where there is no such row. A row is
/// linked when it is committed, so rows of a moment before or after may stand there too.
pub async fn positions(
    actor: &Actor,
    on: impl Run,
    since: Option<Timestamp>,
    before: Option<Timestamp>,
) -> Result<Option<(i64, i64)>> {
    let Range(first, last) = on.one(actor, &RANGE, vec![since.into(), before.into()]).await?;
    Ok(first.zip(last))
}

/// Checks the whole chain; see [`verify_against`].
pub async fn verify(actor: &Actor, on: &Store) -> Result<ChainReport> {
    verify_against(actor, on, None).await
}

#[cfg(test)]
mod tests;
