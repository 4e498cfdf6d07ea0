//! PostgreSQL: VACUUM and ANALYZE where the statistics call for it, bloated indexes rebuilt beside their use.

use std::time::Duration;

use tokio_postgres::{Client, error::SqlState};
use tokio_util::sync::CancellationToken;

use super::{Action, Progress};
use crate::{Config, Error, Result, migrate::postgres::connect, postgres::translate};

/// How often a step is tried that met a lock.
const TRIES: usize = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Tables that somebody else owns, and who.
const NOT_OURS: &str = "
    SELECT c.relname::text, c.relowner::regrole::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT pg_has_role(current_user, c.relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname LIMIT 1";

/// What an interrupted REINDEX CONCURRENTLY left. One that is being built just now is not among them.
const LEFTOVERS: &str = r"
    SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)\d*$'
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid)
    ORDER BY 1";

/// Tables with what the statistics call for, at half of autovacuum's own thresholds: by the table, VACUUM or ANALYZE, why.
/// Partitioned tables are never analysed by autovacuum.
const TABLES: &str = "
    SELECT c.oid::regclass::text, s.n_dead_tup > 50 + 0.1 * GREATEST(c.reltuples, 0) AS dead,
           CASE WHEN s.n_dead_tup > 50 + 0.1 * GREATEST(c.reltuples, 0) THEN format('%s dead rows', s.n_dead_tup)
                WHEN c.relkind = 'p' THEN 'its figures are for all months together'
                ELSE format('%s rows changed since it was last analysed', s.n_mod_since_analyze) END
    FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace
      AND (c.relkind = 'r' AND (s.n_dead_tup > 50 + 0.1 * GREATEST(c.reltuples, 0) OR s.n_mod_since_analyze > 50 + 0.05 * GREATEST(c.reltuples, 0))
           OR c.relkind = 'p' AND COALESCE(s.last_analyze, '-infinity') < now() - interval '20 hours')
    ORDER BY c.relkind DESC, s.n_dead_tup DESC, c.relname";

/// B-tree indexes of a megabyte and more that hold at least twice the pages that their rows need at the usual density, by
/// the planner's figures (rows, width of the columns; 32 bytes where they say nothing). Where pgstattuple is installed,
/// what it counts decides instead.
const INDEXES: &str = "
    SELECT c.oid::regclass::text, c.relpages::bigint * 8 AS kilobytes,
        CASE WHEN e.nspname IS NOT NULL THEN format('SELECT avg_leaf_density < 45 FROM %I.pgstatindex(%s::regclass)', e.nspname, quote_literal(c.oid::regclass)) END AS question
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam JOIN pg_class t ON t.oid = i.indrelid
    LEFT JOIN LATERAL (SELECT n.nspname FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = 'pgstattuple') e ON true
    CROSS JOIN LATERAL (
        SELECT sum(COALESCE((SELECT s.avg_width FROM pg_stats s WHERE s.schemaname = 'public' AND s.attname = k.attname AND s.tablename = c.relname),
                            (SELECT s.avg_width FROM pg_attribute ta JOIN pg_stats s ON s.schemaname = 'public' AND s.tablename = t.relname AND s.attname = ta.attname
                             WHERE ta.attrelid = t.oid AND ta.attnum = i.indkey[k.attnum - 1] AND i.indkey[k.attnum - 1] > 0),
                            NULLIF(k.attlen, -1), 32)) AS width
        FROM pg_attribute k WHERE k.attrelid = c.oid) w
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid AND NOT i.indisexclusion
      AND pg_relation_size(c.oid) >= 1048576 AND c.reltuples >= 0
      AND (e.nspname IS NOT NULL OR pg_relation_size(c.oid) > 2 * 8192 * ceil(c.reltuples * (ceil((w.width + 8) / 8.0) * 8 + 4) / (8192 * 0.9)))
    ORDER BY pg_relation_size(c.oid) DESC LIMIT 200";

pub(super) async fn run(config: &Config, progress: &Progress, stop: &CancellationToken) -> Result<Vec<Action>> {
    let fail = |e: tokio_postgres::Error| translate("maintain", &e);
    let client = connect(config, None).await?;
    owned(&client, config).await?;
    // One at a time; it ends with the connection.
    let alone: bool = client
        .query_one("SELECT pg_try_advisory_lock(hashtextextended('steward.maintain', 0))", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)?;
    if !alone {
        return Err(Error::Busy("another steward db maintain is at work".to_owned()));
    }
    // Whoever waits for a lock holds up all who come after it: so never for long.
    client.batch_execute("SET lock_timeout = '2s'").await.map_err(fail)?;
    let mut actions = Vec::new();
    remove_leftovers(&client, &mut actions).await?;
    let tables = client.query(TABLES, &[]).await.map_err(fail)?;
    for (number, row) in tables.iter().enumerate() {
        if stop.is_cancelled() {
            return Ok(actions);
        }
        let (table, dead, why): (String, bool, String) =
            (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?, row.try_get(2).map_err(fail)?);
        let (verb, what) = if dead { ("VACUUM (ANALYZE)", "vacuumed") } else { ("ANALYZE", "analysed") };
        progress(&format!("table {} of {}: {table} ({why})", number + 1, tables.len()));
        actions.push(patiently(&client, &format!("{verb} {table}"), table, what, why, stop).await?);
    }
    let indexes = client.query(INDEXES, &[]).await.map_err(fail)?;
    for (number, row) in indexes.iter().enumerate() {
        if stop.is_cancelled() {
            return Ok(actions);
        }
        let (index, kilobytes, question): (String, i64, Option<String>) =
            (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?, row.try_get(2).map_err(fail)?);
        progress(&format!("index {} of {}: {index} ({kilobytes} kB)", number + 1, indexes.len()));
        if let Some(question) = question {
            // Where this role may not count, the index is left: the estimate was not asked.
            let bloated = client.query_one(&question, &[]).await.and_then(|r| r.try_get::<_, bool>(0));
            if !bloated.unwrap_or(false) {
                continue;
            }
        }
        let said = format!("it was {kilobytes} kB");
        let sql = format!("REINDEX INDEX CONCURRENTLY {index}");
        actions.push(patiently(&client, &sql, index, "rebuilt", said, stop).await?);
        // A try that met a lock leaves its half-made index.
        remove_leftovers(&client, &mut actions).await?;
    }
    Ok(actions)
}

/// Refuses a role that may not do any of it, and says which may.
async fn owned(client: &Client, config: &Config) -> Result<()> {
    let row = client.query_opt(NOT_OURS, &[]).await.map_err(|e| translate("maintain", &e))?;
    let Some(row) = row else { return Ok(()) };
    let read = |i: usize| row.try_get::<_, String>(i).map_err(|e| translate("maintain", &e));
    Err(Error::Config(format!(
        "VACUUM, ANALYZE and REINDEX are the owner's: {} does not own the table {}, {owner} does; run it with the address that you migrate with, as in DATABASE_URL=postgres://{owner}@HOST/DATABASE steward db maintain",
        config.describe(),
        read(0)?,
        owner = read(1)?,
    )))
}

async fn remove_leftovers(client: &Client, actions: &mut Vec<Action>) -> Result<()> {
    let fail = |e: tokio_postgres::Error| translate("maintain", &e);
    for row in client.query(LEFTOVERS, &[]).await.map_err(fail)? {
        let index: String = row.try_get(0).map_err(fail)?;
        let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
        let said = "an interrupted rebuild had left it".to_owned();
        actions.push(patiently(client, &sql, index, "removed", said, &CancellationToken::new()).await?);
    }
    Ok(())
}

/// Runs a statement; one that meets a lock or a deadlock is tried again a few times, and then left for the next time.
async fn patiently(
    client: &Client,
    sql: &str,
    place: String,
    what: &'static str,
    said: String,
    stop: &CancellationToken,
) -> Result<Action> {
    let mut tried = 0;
    loop {
        let Err(e) = client.batch_execute(sql).await else { return Ok(Action { place, what, said }) };
        tried += 1;
        let locked = [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_OBJECT,
        ];
        let Some(code) = e.code().filter(|code| locked.contains(code)) else { return Err(translate("maintain", &e)) };
        if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_OBJECT {
            return Ok(Action { place, what: "left", said: "it is gone by now".to_owned() });
        }
        if tried >= TRIES || stop.is_cancelled() {
            let said = "somebody holds a lock on it; it is done the next time".to_owned();
            return Ok(Action { place, what: "left", said });
        }
        tokio::time::sleep(PAUSE).await;
        if sql.starts_with("REINDEX") {
            // The half-made index of the try before would be in the way of nobody, but grow in number.
            drop_half_made(client).await?;
        }
    }
}

async fn drop_half_made(client: &Client) -> Result<()> {
    let fail = |e: tokio_postgres::Error| translate("maintain", &e);
    for row in client.query(LEFTOVERS, &[]).await.map_err(fail)? {
        let index: String = row.try_get(0).map_err(fail)?;
        // What can't be removed now is removed at the end.
        drop(client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {index}")).await);
    }
    Ok(())
}
