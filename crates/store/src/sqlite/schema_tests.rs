//! Tests of the SQLite schema: names, defaults, triggers, the audit trail and its chain, search, foreign programs.

use super::guard_tests::{ADA, ADMIN, BOB, Fixture, LATER, TASK, id, open};
use super::*;

/// What SQLite has no use for: rights that a policy looks up (a connection remembers them here).
const POSTGRES_ALONE: [&str; 6] = [
    "user_rights",
    "my_rights",
    "trg_users_rights",
    "trg_agents_rights",
    "trg_agents_rights_of_all",
    "trg_role_permissions_rights",
];

#[test]
fn every_name_of_the_postgres_schema_is_in_the_sqlite_schema() {
    let db = Fixture::unguarded(":memory:");
    let schema: String = db.get("SELECT group_concat(coalesce(sql, name), char(10)) FROM sqlite_schema");
    let mut looked = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres")).unwrap() {
        let sql = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let words: Vec<&str> =
            sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
        for pair in words.windows(2) {
            let named = matches!(pair[0], "CONSTRAINT" | "INDEX" | "TABLE" | "VIEW" | "TRIGGER");
            let ours = ["chk_", "uq_", "idx_", "trg_"].iter().any(|p| pair[1].starts_with(p))
                || matches!(pair[0], "TABLE" | "VIEW");
            let name = pair[1];
            // Partitions, and words of PL/pgSQL that follow the same key words.
            if !named
                || !ours
                || name.starts_with("system_logs_20")
                || name == "system_logs_default"
                || !name.contains(char::is_lowercase)
                || name == "public"
                || POSTGRES_ALONE.contains(&name)
            {
                continue;
            }
            looked += 1;
            assert!(schema.contains(name), "{name} is missing");
        }
    }
    assert!(looked > 100, "only {looked} names were looked at");
}

#[test]
fn defaults_are_random_ids_and_the_transactions_time() {
    let db = Fixture::new();
    db.be(Some(ADA))
        .run(&format!("INSERT INTO main.tasks (title, created_by) VALUES ('a', '{0}'), ('b', '{0}')", id(ADA)))
        .unwrap();
    let made: String = db.get("SELECT id FROM tasks WHERE title = 'a'");
    assert_eq!(Uuid::parse_str(&made).unwrap().get_version_num(), 4);
    assert_eq!(made, made.to_lowercase());
    assert_eq!(db.get::<i64>("SELECT count(*) FROM tasks WHERE created_at = now() AND updated_at = now()"), 4);
    assert_eq!(db.get::<String>("PRAGMA main.integrity_check"), "ok");
}

#[test]
fn finishing_fills_the_time_wakes_dependants_and_writes_one_audit_row() {
    let db = Fixture::new();
    let (task, later) = (id(TASK), id(LATER));
    let state = |n: &str| db.get::<String>(&format!("SELECT state FROM main.task_queue WHERE task_id = '{n}'"));
    assert_eq!(state(&later), "blocked");
    let before = db.audit().len();
    db.be(Some(ADA)).ctx.lock().unwrap().now = "2026-11-22T13:00:00.000000Z".into();
    db.run(&format!("UPDATE main.tasks SET status = 'completed' WHERE id = '{task}'")).unwrap();
    assert_eq!(
        db.get::<String>(&format!("SELECT completed_at || updated_at FROM tasks WHERE id = '{task}'")),
        "2026-11-22T13:00:00.000000Z".repeat(2)
    );
    assert_eq!(state(&later), "ready");
    let new = db.audit().split_off(before);
    assert_eq!(
        new,
        [(
            "task_updated".to_owned(),
            Some(r#"{"status": "pending", "completed_at": null}"#.to_owned()),
            Some(r#"{"status": "completed", "completed_at": "2026-11-22T13:00:00+00:00"}"#.to_owned())
        )]
    );
    db.run(&format!("UPDATE main.tasks SET status = 'pending' WHERE id = '{task}'")).unwrap();
    assert_eq!(db.get::<Option<String>>(&format!("SELECT completed_at FROM tasks WHERE id = '{task}'")), None);
    assert_eq!(state(&later), "blocked");
    let late = format!(
        "UPDATE main.tasks SET status = 'completed', due_date = '2026-11-21T23:59:59.999999Z' WHERE id = '{task}'"
    );
    assert_eq!(db.run(&late).unwrap_err(), "CHECK constraint failed: chk_due_date_not_past");
    db.run(&late.replace("21T23:59:59.999999", "22T00:00:00.000000")).unwrap();
    db.run(&format!("UPDATE main.tasks SET assigned_to = NULL WHERE id = '{later}'")).unwrap();
    assert_eq!(db.audit().last().unwrap().0, "task_assigned");
    assert_eq!(db.get::<i64>("SELECT count(*) FROM main.task_queue"), 0);
}

#[test]
fn dependencies_exist_do_not_repeat_and_make_no_cycle() {
    let db = Fixture::new();
    db.be(Some(ADA));
    let set =
        |n: u128, deps: &str| db.run(&format!("UPDATE main.tasks SET dependencies = '{deps}' WHERE id = '{}'", id(n)));
    let (task, later) = (id(TASK), id(LATER));
    for deps in [format!("[\"{task}\"]"), format!("[\"{later}\"]"), "[null]".into(), "[1]".into()] {
        assert_eq!(set(TASK, &deps).unwrap_err(), "CHECK constraint failed: chk_task_dependencies", "{deps}");
    }
    assert_eq!(
        set(LATER, &format!("[\"{task}\", \"{task}\"]")).unwrap_err(),
        "CHECK constraint failed: chk_task_dependencies"
    );
    assert_eq!(
        set(TASK, &format!("[\"{}\"]", id(0x99))).unwrap_err(),
        "FOREIGN KEY constraint failed: chk_task_dependencies"
    );
    assert!(set(TASK, "[").unwrap_err().starts_with("CHECK constraint failed"));
    let delete = format!("DELETE FROM main.tasks WHERE id = '{task}'");
    assert_eq!(db.run(&delete).unwrap_err(), "FOREIGN KEY constraint failed: chk_task_dependencies");
    assert_eq!(set(LATER, "[]"), Ok(1));
    // What hangs on a task goes with it, though the actor may delete none of that by itself.
    assert_eq!(db.run(&delete), Ok(1));
    assert_eq!(db.get::<i64>("SELECT (SELECT count(*) FROM main.approvals) + (SELECT count(*) FROM main.runs) + (SELECT count(*) FROM main.task_dependencies)"), 0);
}

#[test]
fn the_audit_trail_hides_secrets_leaves_out_noise_and_is_chained() {
    let db = Fixture::new();
    db.be(Some(ADMIN));
    let before = db.audit().len();
    db.run("INSERT INTO main.mcp_servers (name, server_type, command, environment) VALUES ('files', 'stdio', 'npx', '{\"KEY\": \"s3cret\"}')").unwrap();
    db.run("UPDATE main.mcp_servers SET environment = '{ \"KEY\" : \"s3cret\" }'").unwrap(); // the same, written otherwise
    db.run("UPDATE main.mcp_servers SET environment = '{\"KEY\": \"other\"}', args = '[1.0, 1e2]'").unwrap();
    db.be(None).run("UPDATE main.mcp_servers SET last_heartbeat = now()").unwrap();
    let rows = db.audit().split_off(before);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(!format!("{:?}", db.audit()).contains("s3cret") && !format!("{:?}", db.audit()).contains("secret source"));
    assert!(rows[0].2.as_ref().unwrap().contains(r#""is_active": true"#));
    assert_eq!(rows[1].2.as_deref(), Some(r#"{"args": [1.0, 100], "environment": "(secret)"}"#));
    assert!(db.conn.execute("DELETE FROM main.audit_trail", []).is_err());

    let mut links = db
        .conn
        .prepare(
            "SELECT t.id, t.user_id, t.action, t.entity_type, t.entity_id, t.old_values, t.new_values, t.ip_address, t.user_agent, t.created_at,
                    c.previous_sha256, c.sha256 FROM main.audit_chain c JOIN main.audit_trail t ON t.id = c.audit_id ORDER BY c.seq",
        )
        .unwrap();
    let mut previous = canonical::GENESIS_SHA256.to_owned();
    let mut rows = links.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        let column = |n: usize| row.get::<_, Option<String>>(n).unwrap();
        let all: Vec<Option<String>> = (0..12).map(column).collect();
        let text = canonical::audit_text(&AuditRow {
            id: all[0].as_deref().unwrap(),
            user_id: all[1].as_deref(),
            action: all[2].as_deref().unwrap(),
            entity_type: all[3].as_deref(),
            entity_id: all[4].as_deref(),
            old_values: all[5].as_deref(),
            new_values: all[6].as_deref(),
            ip_address: all[7].as_deref(),
            user_agent: all[8].as_deref(),
            created_at: all[9].as_deref().unwrap(),
        })
        .unwrap();
        assert_eq!(all[10].as_ref(), Some(&previous));
        previous = canonical::chain_sha256(&previous, &text);
        assert_eq!(all[11].as_ref(), Some(&previous));
        count += 1;
    }
    assert_eq!(count, db.get::<i64>("SELECT count(*) FROM main.audit_trail"));
}

#[test]
fn a_row_is_compared_once_for_its_audit_row() {
    let db = Fixture::new();
    let mut program = db.conn.prepare("EXPLAIN UPDATE main.watchers SET name = 'x'").unwrap();
    let calls: Vec<String> =
        program.query_map([], |r| r.get::<_, Option<String>>(5)).unwrap().filter_map(Result::unwrap).collect();
    assert_eq!(calls.iter().filter(|p4| p4.starts_with("audit_changes")).count(), 1);
}

#[test]
fn search_finds_words_and_survives_a_vacuum() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("steward.db");
    let path = path.to_str().unwrap();
    let db = Fixture::unguarded(path);
    db.guard();
    let found = |word: &str| {
        db.get::<i64>(&format!(
            "SELECT count(*) FROM idx_tasks_fulltext f JOIN tasks t ON t.id = f.id WHERE idx_tasks_fulltext MATCH '{word}'"
        ))
    };
    db.be(Some(ADA));
    assert_eq!(found("invoice"), 1);
    db.run(&format!(
        "UPDATE main.tasks SET title = 'sorting', description = 'invoice', dependencies = '[]' WHERE id = '{}'",
        id(LATER)
    ))
    .unwrap();
    db.run(&format!("DELETE FROM main.tasks WHERE id = '{}'", id(TASK))).unwrap();
    // VACUUM needs a connection without the guard: the schema's own text names the tables plainly.
    open(path)
        .conn
        .execute_batch("VACUUM; INSERT INTO idx_tasks_fulltext(idx_tasks_fulltext) VALUES ('integrity-check')")
        .unwrap();
    assert_eq!((found("invoice"), found("sort"), found("later")), (1, 1, 0));
    db.be(Some(BOB));
    assert_eq!(found("invoice"), 0);
}

#[test]
fn another_program_reads_the_file_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("steward.db");
    let path = path.to_str().unwrap();
    drop(Fixture::unguarded(path));
    let plain = Connection::open(path).unwrap();
    let mut names = plain.prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')").unwrap();
    let names: Vec<String> = names.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() > 30);
    for name in names {
        let mut rows =
            plain.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut rows = rows.query([]).unwrap();
        while rows.next().unwrap().is_some() {}
    }
    for sql in [
        "UPDATE tasks SET title = 'x'",
        "DELETE FROM approvals",
        "INSERT INTO audit_trail (action) VALUES ('x')",
        "DELETE FROM audit_chain",
    ] {
        assert!(plain.execute(sql, []).is_err(), "{sql}");
    }
}
