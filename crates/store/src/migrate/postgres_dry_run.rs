//! A dry run on PostgreSQL: the pending statements run in a scratch database with the live one's migrations; the locks are
//! those that the server itself says it holds, the sizes are the live tables'.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tokio_postgres::Client;

use super::{
    Migration,
    dry_run::{Lock, Plan, Planned, Statement},
    online, pending, postgres, split,
};
use crate::{Config, Error, Result, postgres::translate};

/// What a server on ordinary disks gets through in a millisecond; on a busy one it takes longer.
const READ_BYTES_PER_MS: i64 = 200_000;
const WRITE_BYTES_PER_MS: i64 = 50_000;
const INDEX_BYTES_PER_MS: i64 = 20_000;
const ROWS_PER_MS: i64 = 20;

const LOCKS: &str = "SELECT c.relname::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
    WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype = 'relation' AND c.relnamespace = 'public'::regnamespace \
      AND c.relkind IN ('r', 'p') AND l.mode <> 'AccessShareLock' AND c.relname <> 'schema_migrations' ORDER BY 1, 2";
const TABLES: &str = "SELECT c.relname::text, c.relfilenode::bigint, \
    COALESCE((SELECT array_agg(i.indexrelid::bigint ORDER BY 1) FROM pg_index i WHERE i.indrelid = c.oid), '{}'), \
    COALESCE((SELECT array_agg(o.conname::text || o.convalidated::text ORDER BY 1) FROM pg_constraint o WHERE o.conrelid = c.oid AND o.contype IN ('c', 'f')), '{}'), \
    COALESCE((SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnotnull), 0) \
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')";
/// A partitioned table is as large as its partitions.
const SIZES: &str = "SELECT c.relname::text, COALESCE(sum(GREATEST(p.reltuples, 0))::bigint, 0), \
    COALESCE(sum(pg_table_size(p.oid))::bigint, 0), COALESCE(sum(pg_total_relation_size(p.oid))::bigint, 0) \
    FROM pg_class c CROSS JOIN LATERAL (SELECT d.oid, d.reltuples FROM pg_partition_tree(c.oid) t JOIN pg_class d ON d.oid = t.relid AND d.relkind = 'r' \
      UNION SELECT c.oid, c.reltuples WHERE c.relkind = 'r') p \
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY 1";

/// A live table.
#[derive(Debug, Clone, Copy)]
struct Size {
    rows: i64,
    table_bytes: i64,
    all_bytes: i64,
}

/// A table as it stands in the scratch database.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    file: i64,
    indexes: Vec<i64>,
    constraints: Vec<String>,
    not_null: i64,
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fail(e: tokio_postgres::Error) -> Error {
    translate("migrate", &e)
}

pub(super) async fn dry_run(config: &Config, all: &'static [Migration]) -> Result<Plan> {
    let live = postgres::connect(config, None).await?;
    let applied = postgres::applied(&live).await?;
    let missing = pending(&applied, all, |m| m.postgres)?;
    if missing.is_empty() {
        return Ok(Plan { migrations: Vec::new(), copy_ms: None });
    }
    let known = &all[..all.len() - missing.len()];
    if known.iter().zip(&applied).any(|(m, a)| m.version != a.version) {
        return Err(Error::Schema(
            "migrations are missing in the middle of the sequence; see: steward db status".to_owned(),
        ));
    }
    let sizes = sizes(&live).await?;
    let migrations = postgres::in_scratch(config, &live, "a dry run needs", known, async |client| {
        let mut planned = Vec::new();
        for migration in missing {
            planned.push(plan(client, migration, &sizes).await?);
        }
        Ok(planned)
    })
    .await?;
    Ok(Plan { migrations, copy_ms: None })
}

async fn sizes(client: &Client) -> Result<BTreeMap<String, Size>> {
    let rows = client.query(SIZES, &[]).await.map_err(fail)?;
    rows.iter()
        .map(|r| {
            let size = Size { rows: r.try_get(1)?, table_bytes: r.try_get(2)?, all_bytes: r.try_get(3)? };
            Ok((r.try_get(0)?, size))
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(fail)
}

async fn shapes(client: &Client) -> Result<BTreeMap<String, Shape>> {
    let rows = client.query(TABLES, &[]).await.map_err(fail)?;
    rows.iter()
        .map(|r| {
            let shape = Shape {
                file: r.try_get(1)?,
                indexes: r.try_get(2)?,
                constraints: r.try_get(3)?,
                not_null: r.try_get(4)?,
            };
            Ok((r.try_get(0)?, shape))
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(fail)
}

async fn plan(client: &mut Client, migration: &'static Migration, sizes: &BTreeMap<String, Size>) -> Result<Planned> {
    let is_online = online::is_online(migration.postgres);
    let text =
        if is_online { online::within_a_transaction(migration.postgres)? } else { migration.postgres.to_owned() };
    let originals: Vec<String> = if is_online {
        online::steps(migration.postgres)?.iter().map(|s| s.sql().to_owned()).collect()
    } else {
        Vec::new()
    };
    let tx = client.transaction().await.map_err(fail)?;
    let mut held = BTreeSet::new();
    let mut before = shapes(tx.client()).await?;
    let mut statements = Vec::new();
    for (place, sql) in split::statements(&text).into_iter().enumerate() {
        let began = Instant::now();
        tx.batch_execute(sql).await.map_err(|e| {
            let detail = e.as_db_error().map(|d| d.message().to_owned()).unwrap_or_default();
            Error::Schema(format!(
                "migration {} {} would fail ({detail}) at: {}; nothing was changed",
                migration.version,
                migration.name,
                split::shortened(sql)
            ))
        })?;
        let moment_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let after = shapes(tx.client()).await?;
        let mut locks = Vec::new();
        for row in tx.query(LOCKS, &[]).await.map_err(fail)? {
            let (table, mode): (String, String) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
            let Some(size) = sizes.get(&table) else { continue };
            if !held.insert((table.clone(), mode.clone())) {
                continue;
            }
            let mode = if is_online { "ShareUpdateExclusiveLock".to_owned() } else { mode };
            locks.push(Lock { table, keeps_out: keeps_out(&mode), mode, rows: size.rows, size_bytes: size.all_bytes });
        }
        let (work, work_ms) = work(sql, &before, &after, &locks, sizes);
        before = after;
        statements.push(Statement {
            text: split::shortened(originals.get(place).map_or(sql, String::as_str)),
            locks,
            work,
            expected_ms: moment_ms + work_ms,
        });
    }
    tx.commit().await.map_err(fail)?;
    let expected_ms = statements.iter().map(|s| s.expected_ms).sum();
    Ok(Planned { version: migration.version, name: migration.name, is_online, statements, expected_ms })
}

/// Who waits for whoever holds such a lock.
fn keeps_out(mode: &str) -> &'static str {
    match mode {
        "AccessExclusiveLock" => "readers and writers",
        "ExclusiveLock" | "ShareRowExclusiveLock" | "ShareLock" => "writers",
        "ShareUpdateExclusiveLock" => "nobody but upkeep",
        _ => "nobody",
    }
}

/// What grows with the tables, and the milliseconds it takes.
fn work(
    sql: &str,
    before: &BTreeMap<String, Shape>,
    after: &BTreeMap<String, Shape>,
    locks: &[Lock],
    sizes: &BTreeMap<String, Size>,
) -> (Vec<String>, u64) {
    let (mut said, mut total_ms) = (Vec::new(), 0_i64);
    let line = split::without_comments(sql).to_lowercase();
    let validates = line.contains("validate constraint");
    for (table, was) in before {
        let (Some(is), Some(size)) = (after.get(table), sizes.get(table)) else { continue };
        if is.file != was.file {
            said.push(format!("rewrites {table}"));
            total_ms +=
                size.table_bytes / WRITE_BYTES_PER_MS + (size.all_bytes - size.table_bytes) / INDEX_BYTES_PER_MS;
            continue;
        }
        let built = is.indexes.iter().filter(|i| !was.indexes.contains(i)).count();
        if built > 0 && !line.contains("using index") {
            said.push(format!("builds an index of {table}"));
            total_ms += i64::try_from(built).unwrap_or(i64::MAX).saturating_mul(size.table_bytes / INDEX_BYTES_PER_MS);
        }
        let added = is.constraints.iter().any(|c| !was.constraints.contains(c));
        if is.not_null > was.not_null || (added && (validates || !line.contains("not valid"))) {
            said.push(format!("reads all of {table} to check it"));
            total_ms += size.table_bytes / READ_BYTES_PER_MS;
        }
    }
    if line.starts_with("update") || line.starts_with("delete") || line.starts_with("insert") {
        for lock in locks.iter().filter(|l| l.mode == "RowExclusiveLock" && !line.starts_with("insert")) {
            said.push(format!("may change every row of {}", lock.table));
            total_ms += lock.rows / ROWS_PER_MS;
        }
    }
    (said, u64::try_from(total_ms).unwrap_or(0))
}
