//! PostgreSQL's catalogue against the specification: names, types, keys, checks, indexes, and who may call what.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use crate::fresh::with_postgres;
use crate::specification::SPECIFICATION;

/// Delete rules of the specification's foreign keys (ruling 17). What is not here keeps the specification's letter:
/// NO ACTION.
pub const DELETE_RULES: &[(&str, &str, char)] = &[
    ("tasks", "assigned_to", 'n'),
    ("approvals", "task_id", 'c'),
    ("system_logs", "user_id", 'n'),
    ("system_logs", "task_id", 'n'),
    ("watchers", "created_by", 'n'),
    ("sessions", "user_id", 'c'),
    ("file_attachments", "uploaded_by", 'n'),
    ("file_attachments", "task_id", 'n'),
    ("notifications", "user_id", 'c'),
];

/// Indexes whose keys depart from the specification's letter.
pub const OTHER_KEYS: &[(&str, &str)] = &[
    ("idx_file_attachments_uploaded_by", "uploaded_by"), // ruling 01
    ("idx_users_username", "lower(username)"),           // ruling 13
    ("idx_users_email", "lower(email)"),                 // ruling 13
];

#[tokio::test]
async fn every_table_and_column_stands() {
    with_postgres(|db| async move {
        let version: i32 = db.query_one("SELECT current_setting('server_version_num')::int", &[]).await.unwrap().get(0);
        assert!(version >= 150_000, "PostgreSQL 15 or newer, not {version}");
        for table in &SPECIFICATION.tables {
            let rows = db
                .query(
                    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
                     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                     WHERE a.attrelid = to_regclass('public.' || $1) AND a.attnum > 0 AND NOT a.attisdropped",
                    &[&table.name],
                )
                .await
                .unwrap();
            let live: BTreeMap<String, (String, bool, Option<String>)> =
                rows.iter().map(|r| (r.get(0), (r.get(1), r.get(2), r.get(3)))).collect();
            for column in &table.columns {
                let place = format!("{}.{}", table.name, column.name);
                let (kind, not_null, default) = live.get(&column.name).unwrap_or_else(|| panic!("{place} is missing"));
                assert_eq!(*kind, live_type(&column.kind), "{place}");
                // Ruling 14: what has a default is never NULL.
                let sent_at = place == "notifications.sent_at"; // ruling 16: no default, NULL until delivered
                assert_eq!(*not_null, column.not_null || needs_value(&place, column.default.is_some()), "{place} NOT NULL");
                match &column.default {
                    Some(wanted) if !sent_at => assert_eq!(plain_default(default.as_deref()), *wanted, "{place} DEFAULT"),
                    Some(_) => assert_eq!(*default, None, "{place} DEFAULT"),
                    None => {}
                }
                if column.primary_key || column.unique {
                    assert!(is_unique(&db, &table.name, &column.name).await, "{place} is not unique");
                }
                if let Some(target) = &column.references {
                    assert_eq!(leads_to(&db, &table.name, &column.name).await.as_ref(), Some(target), "{place} REFERENCES");
                }
            }
        }
        // Ruling 12: the database's own days are UTC days, whoever connects.
        let zone: String = db
            .query_one("SELECT array_to_string(setconfig, ',') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database() AND setrole = 0", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(zone, "TimeZone=UTC");
    })
    .await;
}

/// Rulings 14, 16, 18 on top of the specification's NOT NULL.
fn needs_value(place: &str, has_default: bool) -> bool {
    match place {
        "notifications.sent_at" => false,
        "approvals.requested_by"
        | "tasks.dependencies"
        | "tasks.tags"
        | "mcp_servers.args"
        | "mcp_servers.capabilities" => true,
        _ => has_default,
    }
}

fn live_type(kind: &str) -> String {
    match kind {
        "TIMESTAMP" => "timestamp with time zone".to_owned(), // ruling 12
        other => other.to_ascii_lowercase().replace("varchar", "character varying"),
    }
}

/// `'user'::character varying` as the specification writes it: `'user'`.
fn plain_default(live: Option<&str>) -> String {
    live.unwrap_or_default().split("::").next().unwrap_or_default().to_owned()
}

async fn is_unique(db: &Client, table: &str, column: &str) -> bool {
    // A partitioned table's key carries the partition's column too (ruling 06).
    let allowed = if table == "system_logs" { vec![column, "timestamp"] } else { vec![column] };
    db.query_one(
        "SELECT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass('public.' || $1) AND i.indisunique AND i.indpred IS NULL
           AND (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) = $2)",
        &[&table, &allowed],
    )
    .await
    .unwrap()
    .get(0)
}

async fn leads_to(db: &Client, table: &str, column: &str) -> Option<String> {
    db.query_opt(
        "SELECT c.confrelid::regclass::text FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
         WHERE c.contype = 'f' AND c.conrelid = to_regclass('public.' || $1) AND a.attname = $2 AND cardinality(c.conkey) = 1",
        &[&table, &column],
    )
    .await
    .unwrap()
    .map(|r| r.get(0))
}

#[tokio::test]
async fn every_check_holds_its_words() {
    with_postgres(|db| async move {
        for check in &SPECIFICATION.checks {
            let row = db
                .query_opt(
                    "SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint
                     WHERE contype = 'c' AND conrelid = to_regclass('public.' || $1) AND conname = $2",
                    &[&check.table, &check.name],
                )
                .await
                .unwrap()
                .unwrap_or_else(|| panic!("{}.{} is missing", check.table, check.name));
            assert!(row.get::<_, bool>(1), "{}.{} is not validated", check.table, check.name);
            if let Some((column, words)) = &check.words {
                let definition: String = row.get(0);
                let live: Vec<&str> = definition.split('\'').skip(1).step_by(2).collect();
                assert_eq!(live, *words, "{}.{}", check.table, check.name);
                assert!(definition.contains(column.as_str()), "{}.{} looks at another column", check.table, check.name);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_index_stands() {
    with_postgres(|db| async move {
        for index in &SPECIFICATION.indexes {
            let definition: String = db
                .query_opt("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1 AND indexname = $2", &[
                    &index.table,
                    &index.name,
                ])
                .await
                .unwrap()
                .unwrap_or_else(|| panic!("{} on {} is missing", index.name, index.table))
                .get(0);
            let plain = |text: &str| text.to_ascii_lowercase().replace("::regconfig", "").replace("::text", "").replace([' ', '(', ')', '"'], "");
            let keys = definition.split_once(" USING ").and_then(|(_, rest)| rest.split_once(' ')).map_or("", |(_, keys)| keys);
            let wanted = OTHER_KEYS.iter().find(|(name, _)| *name == index.name).map_or(index.keys.as_str(), |(_, keys)| keys);
            assert_eq!(plain(keys).replace("charactervarying", ""), plain(wanted), "{}", index.name);
        }
        let doubled = db
            .query(
                "SELECT indrelid::regclass::text FROM pg_index WHERE indrelid::regclass::text NOT LIKE 'pg_%'
                 GROUP BY indrelid, indkey::text, pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid), indclass::text, indoption::text
                 HAVING count(*) > 1",
                &[],
            )
            .await
            .unwrap();
        let doubled: Vec<String> = doubled.iter().map(|r| r.get(0)).collect();
        assert!(doubled.is_empty(), "two identical indexes (ruling 13) on {doubled:?}");
    })
    .await;
}

#[tokio::test]
async fn every_foreign_key_is_indexed() {
    with_postgres(|db| async move {
        let bare = db
            .query(
                "SELECT c.conrelid::regclass::text || '.' || c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
                 WHERE c.contype = 'f' AND NOT t.relispartition AND NOT EXISTS (SELECT 1 FROM pg_index i
                   WHERE i.indrelid = c.conrelid AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)",
                &[],
            )
            .await
            .unwrap();
        let bare: Vec<String> = bare.iter().map(|r| r.get(0)).collect();
        assert!(bare.is_empty(), "foreign keys that no index leads with: {bare:?}");
    })
    .await;
}

#[tokio::test]
async fn every_delete_rule_is_as_ruled() {
    with_postgres(|db| async move {
        for table in &SPECIFICATION.tables {
            for column in table.columns.iter().filter(|c| c.references.is_some()) {
                let rule: i8 = db
                    .query_one(
                        "SELECT c.confdeltype FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
                         WHERE c.contype = 'f' AND c.conrelid = to_regclass('public.' || $1) AND a.attname = $2",
                        &[&table.name, &column.name],
                    )
                    .await
                    .unwrap()
                    .get(0);
                let known = DELETE_RULES.iter().find(|(t, c, _)| *t == table.name && *c == column.name);
                let wanted = known.map_or('a', |(_, _, rule)| *rule);
                assert_eq!(char::from(rule.to_ne_bytes()[0]), wanted, "{}.{}", table.name, column.name);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_view_stands_and_reads_as_its_caller() {
    with_postgres(|db| async move {
        for view in &SPECIFICATION.views {
            let columns = db
                .query("SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('public.' || $1) AND attnum > 0 ORDER BY attnum", &[&view.name])
                .await
                .unwrap();
            let columns: Vec<String> = columns.iter().map(|r| r.get(0)).collect();
            assert_eq!(columns, view.columns, "{}", view.name);
        }
        // Ruling 11. `accounts` and `my_rights` read as their owner on purpose and spell their rule out.
        let open = db
            .query(
                "SELECT relname::text FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
                 AND NOT COALESCE(reloptions @> ARRAY['security_invoker=true'], false) ORDER BY 1",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(open.iter().map(|r| r.get(0)).collect::<Vec<String>>(), ["accounts", "my_rights"]);
        let foreign = "SELECT viewname::text FROM pg_views WHERE viewname IN ('accounts', 'my_rights') AND viewowner <> 'app_definer'";
        let foreign = db.query(foreign, &[]).await.unwrap();
        assert!(foreign.is_empty(), "a view that reads as its owner must not read as a superuser: {foreign:?}");
    })
    .await;
}

#[tokio::test]
async fn every_definer_function_is_pinned_and_closed() {
    with_postgres(|db| async move {
        for name in SPECIFICATION.functions.iter().map(String::as_str).chain(["current_user_id", "has_permission"]) {
            let sql = "SELECT 1 FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = $1";
            assert!(db.query_opt(sql, &[&name]).await.unwrap().is_some(), "{name}() is missing");
        }
        let rows = db
            .query(
                "SELECT proname::text, prosecdef, COALESCE(array_to_string(proconfig, ';'), ''), proowner::regrole::text,
                        has_function_privilege('public', oid, 'EXECUTE'), prorettype = 'trigger'::regtype, prosqlbody IS NOT NULL
                 FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
                &[],
            )
            .await
            .unwrap();
        for row in rows {
            let (name, definer, settings, owner): (String, bool, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
            let (open, trigger): (bool, bool) = (row.get(4), row.get(5));
            // A body that was bound when the function was made looks no name up.
            if row.get::<_, bool>(6) {
                assert!(!definer, "{name}() is a definer function: its callees look names up");
            } else {
                assert!(settings.contains("search_path=pg_catalog"), "{name}() has no pinned search_path: a temporary table diverts it");
                assert!(settings.contains("pg_temp"), "{name}(): a temporary schema is searched first unless it is named last");
            }
            // PostgreSQL refuses to call a trigger's function otherwise than as a trigger.
            assert!(!definer || trigger || !open, "{name}() runs as its definer and anybody may call it");
            assert!(!definer || owner == "app_definer" || ["ensure_log_partitions", "drain_log_default", "detach_log_month", "drop_log_month", "follow_pg_cron", "refresh_statistics"].contains(&name.as_str()), "{name}() runs as {owner}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_named_trigger_is_enabled() {
    with_postgres(|db| async move {
        // Ruling 19: updated_at moves wherever the specification has the column.
        for table in SPECIFICATION.tables.iter().filter(|t| t.columns.iter().any(|c| c.name == "updated_at")) {
            let before = db
                .query_opt(
                    "SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = to_regclass('public.' || $1) AND tgfoid = 'set_updated_at'::regproc",
                    &[&table.name],
                )
                .await
                .unwrap()
                .unwrap_or_else(|| panic!("{} has no trigger for updated_at", table.name));
            assert_eq!(before.get::<_, String>(0), "O", "{}", table.name);
        }
        // Every table of the specification but the two that are logs themselves has its audit trigger.
        let audited = db.query("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'audit_row'::regproc", &[]).await.unwrap();
        let audited: BTreeSet<String> = audited.iter().map(|r| r.get(0)).collect();
        for table in SPECIFICATION.tables.iter().filter(|t| t.name != "system_logs" && t.name != "audit_trail") {
            assert!(audited.contains(&table.name), "a change of {} leaves no audit row", table.name);
        }
    })
    .await;
}
