//! SQLite's own schema against the specification: everything it can hold, under the same names and with the same
//! refusals. Who may see and do what is decided by the store's guards, which have tests of their own.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::fresh::migrations;
use crate::postgres::{DELETE_RULES, OTHER_KEYS};
use crate::specification::SPECIFICATION;
use crate::violations::{ACCEPTED, FIXTURE, OTHER_TASK, TASK, VIOLATIONS, expected};

/// A database in memory with every migration applied.
fn fresh() -> Connection {
    let db = Connection::open_in_memory().expect("a database in memory");
    // The schema's one own function; a connection of the store answers with its transaction's time.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("now", 0, flags, |_| Ok("2026-11-22T12:00:00.000000Z")).expect("now()");
    db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; BEGIN").expect("settings");
    for (name, text) in migrations("sqlite") {
        db.execute_batch(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    db.execute_batch("COMMIT").expect("COMMIT");
    db
}

/// The same, without the triggers that write the audit and the queue: they call functions of the store's connections,
/// and have their tests there. What is left is what refuses.
fn bare() -> Connection {
    let db = fresh();
    let names = texts(
        &db,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND (sql LIKE '%audit\\_%(%' ESCAPE '\\' OR sql LIKE '%as\\_definer(%' ESCAPE '\\')
         AND name NOT LIKE '%append\\_only%' ESCAPE '\\'",
    );
    for name in names {
        db.execute_batch(&format!("DROP TRIGGER {name}")).expect("DROP TRIGGER");
    }
    db
}

/// The first column of every row.
fn texts(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    statement.query_map([], |row| row.get(0)).expect(sql).collect::<Result<_, _>>().expect(sql)
}

fn definition(db: &Connection, kind: &str, name: &str) -> String {
    db.query_row("SELECT sql FROM sqlite_master WHERE type = ?1 AND name = ?2", [kind, name], |row| row.get(0))
        .unwrap_or_else(|_| panic!("{kind} {name} is missing"))
}

fn stored_type(kind: &str) -> &'static str {
    match kind {
        "INTEGER" | "BIGINT" | "BOOLEAN" => "INTEGER",
        _ => "TEXT",
    }
}

#[test]
fn every_table_and_column_stands() {
    let db = fresh();
    let loose = texts(
        &db,
        "SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main' AND NOT strict
         AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'idx_%\\_fulltext%' ESCAPE '\\'",
    );
    assert!(loose.is_empty(), "tables that take any type: {loose:?}");
    for table in &SPECIFICATION.tables {
        let sql = definition(&db, "table", &table.name);
        for column in &table.columns {
            let place = format!("{}.{}", table.name, column.name);
            let (kind, not_null, default): (String, bool, Option<String>) = db
                .query_row(
                    "SELECT type, \"notnull\", dflt_value FROM pragma_table_info(?1) WHERE name = ?2",
                    [&table.name, &column.name],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap_or_else(|_| panic!("{place} is missing"));
            assert_eq!(kind, stored_type(&column.kind), "{place}");
            let sent_at = place == "notifications.sent_at"; // ruling 16
            let forced = matches!(
                place.as_str(),
                "approvals.requested_by"
                    | "tasks.dependencies"
                    | "tasks.tags"
                    | "mcp_servers.args"
                    | "mcp_servers.capabilities"
            );
            assert_eq!(
                not_null,
                column.not_null || forced || (column.default.is_some() && !sent_at),
                "{place} NOT NULL"
            );
            assert_eq!(
                default.is_some(),
                forced && column.name != "requested_by" || column.default.is_some() && !sent_at,
                "{place} DEFAULT"
            );
            // What PostgreSQL's type refuses, a check refuses here.
            let line =
                sql.lines().find(|l| l.trim_start().starts_with(&format!("{} ", column.name))).unwrap_or_default();
            let words = SPECIFICATION
                .checks
                .iter()
                .any(|c| c.table == table.name && c.words.as_ref().is_some_and(|w| w.0 == column.name));
            let bound = match column.kind.as_str() {
                kind if kind.starts_with("VARCHAR(") && !words && !line.contains("NOT GLOB '*[^0-9a-f]*'") => {
                    format!("length({}) <= {}", column.name, kind.trim_start_matches("VARCHAR(").trim_end_matches(')'))
                }
                "TIMESTAMP" => format!("{} GLOB '????-??-??T??:??:??.??????Z'", column.name),
                "JSONB" | "TEXT[]" | "UUID[]" => format!("json_valid({})", column.name),
                "BOOLEAN" => format!("{} IN (0, 1)", column.name),
                _ => continue,
            };
            assert!(line.contains(&bound), "{place}: no check {bound}");
        }
    }
}

#[test]
fn every_check_holds_its_words() {
    let db = fresh();
    for check in &SPECIFICATION.checks {
        let sql = definition(&db, "table", &check.table);
        if let Some((column, words)) = &check.words {
            let list = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(", ");
            let wanted = format!("CONSTRAINT {} CHECK ({column} IN ({list}))", check.name);
            assert!(sql.contains(&wanted), "{}: {wanted}", check.table);
        } else {
            let trigger = texts(
                &db,
                &format!("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{}'", check.table),
            );
            assert!(
                sql.contains(&format!("CONSTRAINT {} ", check.name)) || trigger.contains(&check.name),
                "{}",
                check.name
            );
        }
    }
}

#[test]
fn every_constraint_stands_and_bites() {
    let db = bare();
    // One row for the audit's own refusals to bite on.
    db.execute_batch(FIXTURE).expect("the fixture");
    db.execute_batch(
        "INSERT INTO audit_trail (id, action, user_id) VALUES ('00000000-0000-7000-8000-0000000000aa', 'x', '00000000-0000-7000-8000-00000000000b');
         INSERT INTO audit_chain (seq, audit_id, previous_sha256, sha256) VALUES (1, '00000000-0000-7000-8000-0000000000aa', hex(zeroblob(32)), hex(zeroblob(32)))",
    )
    .expect("an audit row");
    for violation in VIOLATIONS {
        db.execute_batch("BEGIN").unwrap();
        let said = db.execute_batch(violation.sql).expect_err(violation.sql).to_string();
        let wanted = expected(violation);
        assert!(
            wanted.iter().any(|name| said.contains(name)),
            "{}: refused as {said:?}, not {wanted:?}",
            violation.sql
        );
        db.execute_batch("ROLLBACK").unwrap();
    }
    for sql in ACCEPTED {
        db.execute_batch("BEGIN").unwrap();
        db.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        db.execute_batch("ROLLBACK").unwrap();
    }
}

#[test]
fn every_index_stands() {
    let db = fresh();
    for index in &SPECIFICATION.indexes {
        if index.keys.contains("to_tsvector") {
            let sql = definition(&db, "table", &index.name);
            assert!(
                sql.contains("USING fts5(") && sql.contains(&format!("content = '{}'", index.table)),
                "{}",
                index.name
            );
            continue;
        }
        let sql = definition(&db, "index", &index.name);
        let wanted =
            OTHER_KEYS.iter().find(|(name, _)| *name == index.name).map_or(index.keys.as_str(), |(_, keys)| keys);
        assert!(sql.to_ascii_lowercase().ends_with(&format!(" on {}({})", index.table, wanted)), "{sql}");
    }
    // Each foreign key is led by some index, or the row it points at can be removed only by reading a whole table.
    let bare = texts(
        &db,
        "SELECT t.name || '.' || f.\"from\" FROM pragma_table_list t, pragma_foreign_key_list(t.name) f
         WHERE t.schema = 'main' AND t.type = 'table' AND NOT EXISTS (
           SELECT 1 FROM pragma_index_list(t.name) i, pragma_index_info(i.name) k WHERE k.seqno = 0 AND k.name = f.\"from\")",
    );
    assert!(bare.is_empty(), "foreign keys that no index leads with: {bare:?}");
}

#[test]
fn every_delete_rule_is_as_ruled() {
    let db = fresh();
    for table in &SPECIFICATION.tables {
        for column in table.columns.iter().filter(|c| c.references.is_some()) {
            let (target, rule): (String, String) = db
                .query_row(
                    "SELECT \"table\", on_delete FROM pragma_foreign_key_list(?1) WHERE \"from\" = ?2",
                    [&table.name, &column.name],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap_or_else(|_| panic!("{}.{} leads nowhere", table.name, column.name));
            assert_eq!(Some(&target), column.references.as_ref(), "{}.{}", table.name, column.name);
            let known =
                DELETE_RULES.iter().find(|(t, c, _)| *t == table.name && *c == column.name).map_or('a', |(_, _, r)| *r);
            let wanted = match known {
                'n' => "SET NULL",
                'c' => "CASCADE",
                _ => "NO ACTION",
            };
            assert_eq!(rule, wanted, "{}.{}", table.name, column.name);
        }
    }
}

#[test]
fn every_view_answers() {
    let db = bare();
    db.execute_batch(FIXTURE).expect("the fixture");
    for view in &SPECIFICATION.views {
        let statement =
            db.prepare(&format!("SELECT * FROM {}", view.name)).unwrap_or_else(|e| panic!("{}: {e}", view.name));
        assert_eq!(statement.column_names().collect::<Vec<_>>(), view.columns, "{}", view.name);
    }
    for (due, status, urgency) in [
        ("NULL", "pending", "on_track"),
        ("'-2 days'", "pending", "overdue"),
        ("'+0 days'", "pending", "due_soon"),
        ("'+9 days'", "pending", "on_track"),
        ("'-2 days'", "failed", "on_track"), // ruling 22
        ("'-2 days'", "cancelled", "on_track"),
    ] {
        let due = format!("strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now', {due})");
        db.execute_batch(&format!("UPDATE tasks SET status = '{status}', due_date = {due} WHERE id = '{TASK}'"))
            .unwrap();
        let found = texts(&db, &format!("SELECT urgency_status FROM task_summary WHERE id = '{TASK}'"));
        assert_eq!(found, [urgency], "due {due}, {status}");
    }
    let row = texts(
        &db,
        &format!("SELECT assigned_to_name || ' ' || approval_requests FROM task_summary WHERE id = '{TASK}'"),
    );
    assert_eq!(row, ["ada 1"]);
    let at = "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now')";
    db.execute_batch(&format!(
        "INSERT INTO system_logs (timestamp, level, module) VALUES ({at}, 'error', 'b'), ({at}, 'error', 'a'), ({at}, 'error', 'a'), ({at}, 'info', 'c')"
    ))
    .unwrap();
    let day = texts(
        &db,
        "SELECT event_count || ' ' || modules_affected FROM daily_activity WHERE level = 'error' ORDER BY activity_date DESC LIMIT 1",
    );
    assert_eq!(day, ["3 a, b"]);
}

#[test]
fn log_partitions_stand() {
    let db = bare();
    db.execute_batch("INSERT INTO system_logs_partitioned (level, message) VALUES ('info', 'by the second name')")
        .unwrap();
    assert_eq!(texts(&db, "SELECT message FROM system_logs"), ["by the second name"]);
    assert_eq!(texts(&db, "SELECT message FROM system_logs_partitioned"), ["by the second name"]);
}

#[test]
fn schedule_stands() {
    let db = fresh();
    for (name, cron) in &SPECIFICATION.schedules {
        assert_eq!(
            texts(&db, &format!("SELECT cron FROM schedules WHERE name = '{name}' AND is_active")),
            std::slice::from_ref(cron),
            "{name}"
        );
    }
}

#[test]
fn dependencies_stay_true() {
    let db = bare();
    db.execute_batch(FIXTURE).expect("the fixture");
    let depends = |task: &str, on: &[&str]| {
        let list = on.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
        format!("UPDATE tasks SET dependencies = '[{list}]' WHERE id = '{task}'")
    };
    for (sql, why) in [
        (depends(TASK, &[TASK]), "itself"),
        (depends(TASK, &["00000000-0000-7000-8000-0000000000ff"]), "nothing"),
        (depends(TASK, &[OTHER_TASK, OTHER_TASK]), "twice the same"),
    ] {
        let said = db.execute_batch(&sql).expect_err(why).to_string();
        assert!(said.contains("chk_task_dependencies"), "{why}: {said}");
    }
    db.execute_batch(&depends(TASK, &[OTHER_TASK])).unwrap();
    assert!(db.execute_batch(&depends(OTHER_TASK, &[TASK])).is_err(), "a cycle");
    assert!(
        db.execute_batch(&format!("DELETE FROM tasks WHERE id = '{OTHER_TASK}'")).is_err(),
        "somebody waits for it"
    );
    db.execute_batch(&format!("DELETE FROM tasks WHERE id = '{TASK}'; DELETE FROM tasks WHERE id = '{OTHER_TASK}'"))
        .unwrap();
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    // What SQLite needs besides, because it has no arrays to index.
    let own: BTreeSet<&str> = ["task_dependencies"].into();
    let db = fresh();
    let here: BTreeSet<String> = texts(
        &db,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .into_iter()
    .filter(|name| !own.contains(name.as_str()))
    .collect();
    let created = regex::Regex::new(r"(?m)^CREATE TABLE (\w+) \(").unwrap();
    let there: BTreeSet<String> = migrations("postgres")
        .iter()
        .flat_map(|(_, text)| created.captures_iter(text).map(|c| c[1].to_owned()).collect::<Vec<_>>())
        // What PostgreSQL's policies look up; a connection remembers it here.
        .filter(|name| name != "user_rights")
        .collect();
    assert_eq!(here, there);
}
