//! Moving a whole database from one engine to the other, row by row as texts that both write alike.
//!
//! The source is opened for reading alone and read as of one moment. The target takes each transaction's rows together
//! with a note of how far they go, so that a move that was broken off goes on there. No trigger fires on the way: what
//! triggers would write (audit rows, the chain, the queue) comes from the source like everything else. In the end both
//! sides are read once more and compared value by value; only then the notes go, and with them what keeps Steward from
//! opening a database that was moved by half.

mod cell;
mod postgres;
mod shape;
mod side;
mod sqlite;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

pub(crate) use self::shape::NOTES;
use self::{
    cell::Cells,
    shape::Table,
    side::{Reader, Side},
};
use crate::{Config, Error, Result, Target, migrate};

/// Batches of rows in one transaction of the target.
const BATCHES: usize = 25;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Rows are copied.
    Copying,
    /// Both sides are read and compared.
    Comparing,
}

/// How far the move has come.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// With what.
    pub phase: Phase,
    /// With which table.
    pub table: &'a str,
    /// Rows of it that are done.
    pub rows: i64,
    /// Of how many.
    pub of: i64,
}

/// A table that stands on both sides.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MovedTable {
    /// Its name.
    pub name: String,
    /// Its rows, the same number on both sides.
    pub rows: i64,
    /// SHA-256 over all values in the order of the key, the same on both sides; hex.
    pub sha256: String,
}

/// What was moved and proven equal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Every table.
    pub tables: Vec<MovedTable>,
    /// Number of the audit chain's last link, the same on both sides; none where nothing was audited yet.
    pub audit_seq: Option<i64>,
    /// Its hash.
    pub audit_sha256: Option<String>,
    /// Whether an earlier try was taken up.
    pub resumed: bool,
}

/// Told how far it has come.
pub type Told<'a> = &'a (dyn Fn(&Progress<'_>) + Send + Sync);

/// Moves everything in the database `source` into the empty or new database `target`, which is of the other engine.
/// Whoever calls makes sure that nothing writes to a SQLite source meanwhile; a PostgreSQL one that Steward works on is
/// refused. Cancelled or broken off, the same call goes on where it stood.
pub async fn run(source: &Config, target: &Config, told: Told<'_>, stop: &CancellationToken) -> Result<Moved> {
    if matches!(
        (&source.target, &target.target),
        (Target::Sqlite(_), Target::Sqlite(_)) | (Target::Postgres(_), Target::Postgres(_))
    ) {
        return Err(Error::Config(
            "a move goes from SQLite to PostgreSQL or back; between two of a kind take a backup and restore it"
                .to_owned(),
        ));
    }
    migrate::require_current(source).await?;
    Side::require_alone(source).await?;
    Side::require_alone(target).await?;
    let from = Side::source(source).await?;
    let identity = identity(source, &from).await?;
    let (to, tables, notes) = ready_target(target, &from, &identity).await?;
    let resumed = notes.is_some();
    let notes = notes.unwrap_or_default();
    for table in &tables {
        let known = notes.iter().find(|(name, _, _)| *name == table.name);
        copy(&from, &to, table, known, told, stop).await?;
    }
    let mut moved = Vec::new();
    for table in &tables {
        moved.push(compare(&from, &to, table, told, stop).await?);
    }
    let (head, theirs) = (from.head().await?, to.head().await?);
    if head != theirs {
        return Err(Error::Schema(format!(
            "the audit chain ends otherwise in the copy ({theirs:?}) than in the source ({head:?}); the source is as it was"
        )));
    }
    // What was read is one moment; whether somebody wrote after it only a fresh look shows.
    let now = Side::source(source).await?.head().await?;
    if now != head {
        return Err(Error::Busy(
            "somebody changed the source during the move, and the copy lacks that; stop every Steward on it, remove the copy and move again".to_owned(),
        ));
    }
    to.finish(target).await?;
    let (audit_seq, audit_sha256) = head.unzip();
    Ok(Moved { tables: moved, audit_seq, audit_sha256, resumed })
}

/// What a source must still be when a move goes on.
async fn identity(config: &Config, from: &Side) -> Result<String> {
    let head = from.head().await?.map_or_else(|| "nothing".to_owned(), |(seq, hash)| format!("{seq} {hash}"));
    Ok(format!("{} audited up to {head}", config.describe()))
}

type Notes = Vec<(String, String, i64)>;

/// The target with the schema and nothing in it, or with what an earlier try of the same move left.
async fn ready_target(target: &Config, from: &Side, identity: &str) -> Result<(Side, Vec<Table>, Option<Notes>)> {
    let notes = Side::notes_of(target).await?;
    if let Some(notes) = &notes {
        let theirs = notes.iter().find(|(name, _, _)| name.is_empty()).map_or("", |(_, source, _)| source.as_str());
        if theirs != identity {
            return Err(Error::Schema(format!(
                "{} holds an unfinished move of another source or of another moment of it ({theirs}, now {identity}); remove that database, make it anew and move again",
                target.describe()
            )));
        }
    } else {
        let status = migrate::status(target).await?;
        if !status.applied.is_empty() && !status.pending.is_empty() {
            return Err(Error::Schema(format!(
                "{} holds a database of an older Steward; name an empty one",
                target.describe()
            )));
        }
        migrate::migrate(target).await?;
    }
    let to = Side::target(target).await?;
    let tables = match (from, &to) {
        (Side::Postgres(client), _) | (_, Side::Postgres(client)) => shape::tables(client).await?,
        _ => Vec::new(),
    };
    from.check(&tables).await?;
    to.check(&tables).await?;
    if notes.is_none() {
        for table in tables.iter().filter(|t| ["users", "tasks", "approvals", "system_logs"].contains(&t.name.as_str()))
        {
            if to.count(table).await? > 0 {
                return Err(Error::Schema(format!(
                    "{} is not empty (there are rows in {}); name a new or empty database",
                    target.describe(),
                    table.name
                )));
            }
        }
        to.prepare(&tables, identity, &from.months().await?).await?;
    }
    Ok((to, tables, notes))
}

fn stopped(stop: &CancellationToken) -> Result<()> {
    if stop.is_cancelled() {
        return Err(Error::Config("the move was stopped; the same command goes on where it stands".to_owned()));
    }
    Ok(())
}

fn key_text(key: &[Option<String>]) -> Result<String> {
    serde_json::to_string(key).map_err(|e| Error::Decode { column: "last_key".to_owned(), reason: e.to_string() })
}

/// Copies what the target does not hold yet.
async fn copy(
    from: &Side,
    to: &Side,
    table: &Table,
    known: Option<&(String, String, i64)>,
    told: Told<'_>,
    stop: &CancellationToken,
) -> Result<()> {
    let of = from.count(table).await?;
    let after: Option<Cells> = known
        .map(|(_, key, _)| serde_json::from_str(key))
        .transpose()
        .map_err(|e| Error::Decode { column: "last_key".to_owned(), reason: e.to_string() })?;
    let mut rows = known.map_or(0, |(_, _, rows)| *rows);
    told(&Progress { phase: Phase::Copying, table: &table.name, rows, of });
    let mut reader = Reader::open(from, table, after).await?;
    let writer = to.writer(table).await?;
    let (mut last, mut batches) = (String::new(), 0);
    loop {
        stopped(stop)?;
        let batch = reader.next().await?;
        if let Some(row) = batch.last() {
            last = key_text(&table.key_of(row))?;
            rows += i64::try_from(batch.len()).unwrap_or(i64::MAX);
            if batches == 0 {
                writer.begin().await?;
            }
            batches += 1;
            writer.write(batch).await?;
            if batches < BATCHES {
                continue;
            }
        } else if batches == 0 {
            return Ok(());
        }
        let is_end = batches < BATCHES;
        writer.end(&last, rows).await?;
        told(&Progress { phase: Phase::Copying, table: &table.name, rows, of });
        batches = 0;
        if is_end {
            return Ok(());
        }
    }
}

/// Reads both sides in the same order, value by value.
async fn compare(
    from: &Side,
    to: &Side,
    table: &Table,
    told: Told<'_>,
    stop: &CancellationToken,
) -> Result<MovedTable> {
    let of = from.count(table).await?;
    let (mut ours, mut theirs) = (Reader::open(from, table, None).await?, Reader::open(to, table, None).await?);
    let (mut left, mut right) = (Vec::new().into_iter(), Vec::new().into_iter());
    let (mut hash, mut rows) = (Sha256::new(), 0_i64);
    loop {
        if left.len() == 0 {
            stopped(stop)?;
            told(&Progress { phase: Phase::Comparing, table: &table.name, rows, of });
            left = ours.next().await?.into_iter();
        }
        if right.len() == 0 {
            right = theirs.next().await?.into_iter();
        }
        match (left.next(), right.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => digest(&mut hash, &a),
            (a, b) => return Err(differs(table, a.as_ref(), b.as_ref())),
        }
        rows += 1;
    }
    Ok(MovedTable { name: table.name.clone(), rows, sha256: hex::encode(hash.finalize()) })
}

/// Each value goes in with its length, so that no two rows have the same bytes.
fn digest(hash: &mut Sha256, row: &Cells) {
    for cell in row {
        match cell {
            None => hash.update([0]),
            Some(text) => {
                hash.update([1]);
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
    }
}

/// Where two rows part. Values are not told: they may be secret.
fn differs(table: &Table, ours: Option<&Cells>, theirs: Option<&Cells>) -> Error {
    let what = match (ours, theirs) {
        (Some(a), Some(b)) if table.key_of(a) == table.key_of(b) => {
            let place = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or_default();
            let column = table.columns.get(place).map_or("?", |c| c.name.as_str());
            format!("the column {column} of the row {:?} came out otherwise", table.key_of(a))
        }
        (Some(a), _) => format!("the row {:?} is missing or stands elsewhere in the copy", table.key_of(a)),
        (None, Some(b)) => format!("the copy has the row {:?} and the source has not", table.key_of(b)),
        (None, None) => String::new(),
    };
    Error::Schema(format!(
        "the copy is not the same as the source: {}: {what}; the source is as it was, and the copy stays locked",
        table.name
    ))
}
