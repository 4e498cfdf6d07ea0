//! What PostgreSQL answers, and to whom: policies, views, functions, partitions and the schedule at work.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::fresh::{another, explain, with_postgres};
use crate::specification::SPECIFICATION;
use crate::violations::{ADA, BOB, EVE, FIXTURE, OTHER_TASK, OWEN, TASK};

/// Tables that belong to nobody: what runs by the clock, and the migrator's own.
const UNGUARDED: &[&str] = &["schedules", "schedule_fires"];

/// Runs statements as `user` under `app_user`, as a request does, and rolls everything back. The answer is the first
/// column of the last row as text, or the refusal.
async fn ask(db: &Client, user: &str, sql: &str) -> Result<Option<String>, String> {
    db.batch_execute("BEGIN; SET LOCAL ROLE app_user").await.unwrap();
    db.execute("SELECT set_config('app.current_user_id', $1, true)", &[&user]).await.unwrap();
    let answer = db.simple_query(sql).await;
    let answer = match answer {
        Ok(messages) => Ok(messages.iter().find_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            tokio_postgres::SimpleQueryMessage::CommandComplete(n) => Some(n.to_string()),
            _ => None,
        })),
        Err(error) => Err(explain(&error)),
    };
    db.batch_execute("ROLLBACK").await.unwrap();
    answer
}

async fn tell(db: &Client, user: &str, sql: &str) -> String {
    match ask(db, user, sql).await {
        Ok(answer) => answer.unwrap_or_default(),
        Err(refusal) => panic!("{user}: {sql}: {refusal}"),
    }
}

async fn filled(db: &Client) {
    db.batch_execute(FIXTURE).await.unwrap_or_else(|e| panic!("{}", explain(&e)));
}

#[tokio::test]
async fn every_policy_stands_and_every_table_is_guarded() {
    with_postgres(|db| async move {
        for policy in &SPECIFICATION.policies {
            let sql = "SELECT roles::text[] FROM pg_policies WHERE tablename = $1 AND policyname = $2";
            let row = db.query_opt(sql, &[&policy.table, &policy.name]).await.unwrap();
            let row = row.unwrap_or_else(|| panic!("policy {} on {} is missing", policy.name, policy.table));
            assert_eq!(row.get::<_, Vec<String>>(0), std::slice::from_ref(&policy.role), "{}", policy.name);
        }
        // Ruling 08, partitions included: a policy on the parent does not guard a partition read by its own name.
        let sql = "SELECT relname::text, relrowsecurity AND relforcerowsecurity FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')";
        let tables = db.query(sql, &[]).await.unwrap();
        let open: BTreeSet<String> = tables.iter().filter(|r| !r.get::<_, bool>(1)).map(|r| r.get(0)).collect();
        assert_eq!(open, UNGUARDED.iter().map(|t| (*t).to_owned()).collect());
        let all: BTreeSet<String> = tables.iter().map(|r| r.get(0)).collect();
        for table in SPECIFICATION.guarded.iter().chain(&SPECIFICATION.partitions) {
            assert!(all.contains(table), "{table}");
        }
        // Ruling 02: no role of Steward may log in, own tables or pass the policies by.
        let sql = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'app\\_%' AND (rolcanlogin OR rolbypassrls OR rolsuper)";
        assert!(db.query(sql, &[]).await.unwrap().is_empty());
        let sql = "SELECT relname::text FROM pg_class WHERE relowner IN (SELECT oid FROM pg_roles WHERE rolname IN ('app_user', 'app_service'))";
        assert!(db.query(sql, &[]).await.unwrap().is_empty());
        // Ruling 09: a bare function in a policy is called once a row.
        let sql = "SELECT tablename || '.' || policyname FROM pg_policies
                   WHERE regexp_replace(COALESCE(qual, '') || COALESCE(with_check, ''), '\\( SELECT (current_user_id\\(\\)|has_permission\\(current_user_id\\(\\), ''\\w+''::text\\))', '', 'g') ~ '(current_user_id|has_permission)\\('";
        let bare: Vec<String> = db.query(sql, &[]).await.unwrap().iter().map(|r| r.get(0)).collect();
        assert!(bare.is_empty(), "{bare:?}");
    })
    .await;
}

#[tokio::test]
async fn policies_guard_rows() {
    with_postgres(|db| async move {
        filled(&db).await;
        let count = "SELECT count(*) FROM tasks";
        for (user, sees) in [(ADA, "2"), (BOB, "1"), (OWEN, "2"), (EVE, "0"), ("", "0")] {
            assert_eq!(tell(&db, user, count).await, sees, "tasks that {user:?} sees");
        }
        for (user, sees) in [(ADA, "1"), (BOB, "1"), (OWEN, "1"), (EVE, "0"), ("", "0")] {
            assert_eq!(tell(&db, user, "SELECT count(*) FROM approvals").await, sees, "approvals that {user:?} sees");
            assert_eq!(tell(&db, user, "SELECT count(*) FROM system_logs").await, sees, "log lines that {user:?} sees");
            assert_eq!(tell(&db, user, "SELECT count(*) FROM system_logs_partitioned").await, sees, "through the view");
        }
        // Nobody reads a partition by its own name.
        assert!(ask(&db, ADA, "SELECT * FROM system_logs_2026_01").await.is_err());
        // The creator edits and deletes; a stranger and an observer change nothing; a creator stays the creator.
        let edit = format!("UPDATE tasks SET title = 'x' WHERE id = '{TASK}'");
        for (user, rows) in [(ADA, "1"), (BOB, "1"), (OWEN, "0"), (EVE, "0"), ("", "0")] {
            assert_eq!(tell(&db, user, &edit).await, rows, "{user:?} edits");
        }
        assert_eq!(tell(&db, BOB, &format!("DELETE FROM tasks WHERE id = '{TASK}'")).await, "1");
        assert_eq!(tell(&db, BOB, &format!("DELETE FROM tasks WHERE id = '{OTHER_TASK}'")).await, "0");
        assert!(ask(&db, BOB, &format!("UPDATE tasks SET created_by = '{ADA}' WHERE id = '{TASK}'")).await.is_err());
        assert!(ask(&db, BOB, &format!("INSERT INTO tasks (title, created_by) VALUES ('x', '{ADA}')")).await.is_err());
        assert_eq!(tell(&db, BOB, &format!("INSERT INTO tasks (title, created_by) VALUES ('x', '{BOB}')")).await, "1");
        assert!(
            ask(&db, OWEN, &format!("INSERT INTO tasks (title, created_by) VALUES ('x', '{OWEN}')")).await.is_err()
        );
        assert!(ask(&db, EVE, &format!("INSERT INTO tasks (title, created_by) VALUES ('x', '{EVE}')")).await.is_err());
        // Who may decide decides in his own name alone.
        let approve =
            |by: &str| format!("UPDATE approvals SET status = 'approved', approved_by = '{by}', approved_at = now()");
        assert_eq!(tell(&db, BOB, &approve(BOB)).await, "1");
        assert!(ask(&db, BOB, &approve(ADA)).await.is_err());
        assert_eq!(tell(&db, OWEN, &approve(OWEN)).await, "0");
        // Secrets have no reader here.
        for secret in
            ["SELECT password_hash FROM users", "SELECT token FROM sessions", "SELECT environment FROM mcp_servers"]
        {
            assert!(ask(&db, ADA, secret).await.is_err(), "{secret}");
        }
        // Nobody writes the audit by hand.
        assert!(ask(&db, ADA, "INSERT INTO audit_trail (action) VALUES ('forged')").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn an_agent_never_decides() {
    with_postgres(|db| async move {
        filled(&db).await;
        db.batch_execute(&format!("INSERT INTO agents (user_id) VALUES ('{ADA}'), ('{BOB}')")).await.unwrap();
        for user in [ADA, BOB] {
            let sql = format!("UPDATE approvals SET status = 'approved', approved_by = '{user}', approved_at = now()");
            assert_eq!(tell(&db, user, &sql).await, "0", "an agent's decision, whatever its role");
        }
    })
    .await;
}

#[tokio::test]
async fn every_view_answers() {
    with_postgres(|db| async move {
        filled(&db).await;
        for (due, status, urgency) in [
            ("NULL", "pending", "on_track"),
            ("now() - interval '2 days'", "pending", "overdue"),
            ("now()", "pending", "due_soon"),
            ("now() + interval '9 days'", "pending", "on_track"),
            ("now() - interval '2 days'", "failed", "on_track"), // ruling 22
            ("now() - interval '2 days'", "cancelled", "on_track"),
        ] {
            let sql = format!(
                "UPDATE tasks SET due_date = {due}, status = '{status}' WHERE id = '{TASK}'; \
                 SELECT urgency_status FROM task_summary WHERE id = '{TASK}'"
            );
            db.batch_execute("BEGIN").await.unwrap();
            let rows = db.simple_query(&sql).await.unwrap();
            let found = rows.iter().find_map(|m| match m {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            assert_eq!(found.as_deref(), Some(urgency), "due {due}, {status}");
            db.batch_execute("ROLLBACK").await.unwrap();
        }
        let row = format!("SELECT assigned_to_name || ' ' || approval_requests FROM task_summary WHERE id = '{TASK}'");
        assert_eq!(tell(&db, BOB, &row).await, "ada 1");
        assert_eq!(tell(&db, EVE, "SELECT count(*) FROM task_summary").await, "0", "ruling 11");
        db.batch_execute("INSERT INTO system_logs (level, module) VALUES ('error', 'b'), ('error', 'a'), ('error', 'a'), ('info', 'c')").await.unwrap();
        let day = "SELECT event_count || ' ' || modules_affected FROM daily_activity WHERE level = 'error' AND activity_date = (now() AT TIME ZONE 'UTC')::date";
        assert_eq!(tell(&db, OWEN, day).await, "3 a, b");
        assert_eq!(tell(&db, EVE, "SELECT count(*) FROM daily_activity").await, "0", "ruling 11");
    })
    .await;
}

#[tokio::test]
async fn every_function_answers() {
    with_postgres(|db| async move {
        filled(&db).await;
        assert_eq!(tell(&db, BOB, "SELECT current_user_id()").await, BOB);
        assert_eq!(tell(&db, "", "SELECT current_user_id() IS NULL").await, "t", "ruling 03");
        for (user, permission, has) in
            [(ADA, "anything", "t"), (BOB, "task_create", "t"), (BOB, "task_assign", "f"), (OWEN, "task_create", "f"), (EVE, "task_create", "f")]
        {
            assert_eq!(tell(&db, user, &format!("SELECT has_permission('{user}', '{permission}')")).await, has, "{user} {permission}");
        }
        // Ruling 23. Bob may assign his own task; not another's, not in another's name, not to somebody suspended.
        let assign = |task: &str, to: &str, by: &str| format!("SELECT assign_task('{task}', '{to}', '{by}')");
        let then = format!("{}; SELECT assigned_to FROM tasks WHERE id = '{TASK}'", assign(TASK, OWEN, BOB));
        assert!(ask(&db, BOB, &then).await.is_ok());
        assert!(ask(&db, BOB, &assign(OTHER_TASK, BOB, BOB)).await.is_err());
        assert!(ask(&db, BOB, &assign(TASK, BOB, ADA)).await.is_err());
        assert!(ask(&db, ADA, &assign(TASK, EVE, ADA)).await.is_err());
        assert!(ask(&db, OWEN, &assign(TASK, OWEN, OWEN)).await.is_err());
        assert!(ask(&db, ADA, &assign("00000000-0000-7000-8000-0000000000ff", BOB, ADA)).await.is_err());
        // It changes the row and logs both values; a temporary table does not divert what it writes.
        db.batch_execute(&format!("SET app.current_user_id = '{ADA}'; CREATE TEMPORARY TABLE audit_trail (LIKE public.audit_trail)")).await.unwrap();
        db.batch_execute(&assign(OTHER_TASK, BOB, ADA)).await.unwrap();
        let sql = "SELECT (SELECT assigned_to::text FROM public.tasks WHERE id = $1::text::uuid), count(*), count(*) FILTER (WHERE new_values ->> 'assigned_to' = $2 AND old_values ? 'assigned_to')
                   FROM public.audit_trail WHERE action = 'task_assigned' AND entity_id = $1::text::uuid";
        let row = db.query_one(sql, &[&OTHER_TASK, &BOB]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), BOB);
        assert!(row.get::<_, i64>(1) >= 1 && row.get::<_, i64>(2) >= 1, "the assignment is in the audit with both values");
        let diverted: i64 = db.query_one("SELECT count(*) FROM pg_temp.audit_trail", &[]).await.unwrap().get(0);
        assert_eq!(diverted, 0);
        // Ruling 12: which session asks, and from which zone, changes nothing.
        for zone in ["Asia/Tokyo", "America/Los_Angeles"] {
            db.batch_execute(&format!("BEGIN; SET LOCAL timezone = '{zone}'")).await.unwrap();
            let gone: i32 = db.query_one("SELECT cleanup_expired_sessions()", &[]).await.unwrap().get(0);
            let left: i64 = db.query_one("SELECT count(*) FROM sessions", &[]).await.unwrap().get(0);
            assert_eq!((gone, left), (1, 1), "{zone}");
            db.batch_execute("ROLLBACK").await.unwrap();
        }
        assert!(ask(&db, ADA, "SELECT cleanup_expired_sessions()").await.is_err(), "not for everybody");
    })
    .await;
}

#[tokio::test]
async fn search_finds_what_one_may_see() {
    with_postgres(|db| async move {
        filled(&db).await;
        let found = "SELECT count(*) FROM search_tasks('plants or invoices')";
        for (user, finds) in [(ADA, "2"), (BOB, "1"), (OWEN, "2"), (EVE, "0"), ("", "0")] {
            assert_eq!(tell(&db, user, found).await, finds, "{user:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn log_partitions_stand() {
    with_postgres(|db| async move {
        filled(&db).await;
        let sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'system_logs'::regclass";
        let parts: BTreeSet<String> = db.query(sql, &[]).await.unwrap().iter().map(|r| r.get(0)).collect();
        for name in SPECIFICATION.partitions.iter().map(String::as_str).chain(["system_logs_default"]) {
            assert!(parts.contains(name), "{name}");
        }
        let ahead = "SELECT bool_and(to_regclass('system_logs_' || to_char(now() AT TIME ZONE 'UTC' + n * interval '1 month', 'YYYY_MM')) IS NOT NULL)
                     FROM generate_series(0, 3) n";
        assert!(db.query_one(ahead, &[]).await.unwrap().get::<_, bool>(0), "this month and three ahead");
        for (at, part) in [
            ("2026-01-01 00:00+00", "system_logs_2026_01"),
            ("2026-01-31 23:59:59.999999+00", "system_logs_2026_01"),
            ("2026-02-01 00:00+00", "system_logs_2026_02"),
            ("1999-01-01 00:00+00", "system_logs_default"),
        ] {
            // Written through the second name, found in its month.
            db.batch_execute(&format!("INSERT INTO system_logs_partitioned (timestamp, level, message) VALUES ('{at}', 'info', '{at}')")).await.unwrap();
            let sql = "SELECT tableoid::regclass::text FROM system_logs WHERE message = $1";
            let found: String = db.query_one(sql, &[&at]).await.unwrap().get(0);
            assert_eq!(found, part, "{at}");
        }
        let made: i32 = db.query_one("SELECT ensure_log_partitions(current_date, (current_date + interval '3 months')::date)", &[]).await.unwrap().get(0);
        assert_eq!(made, 0, "a second call makes nothing");
        let made: i32 = db.query_one("SELECT ensure_log_partitions('2031-11-05', '2032-01-20')", &[]).await.unwrap().get(0);
        assert_eq!(made, 3);
        let sql = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = 'system_logs_2031_12'::regclass";
        assert!(db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "a new month is guarded as it is made");
        let indexes: i64 = db.query_one("SELECT count(*) FROM pg_index WHERE indrelid = 'system_logs_2031_12'::regclass", &[]).await.unwrap().get(0);
        let parent: i64 = db.query_one("SELECT count(*) FROM pg_index WHERE indrelid = 'system_logs'::regclass", &[]).await.unwrap().get(0);
        assert_eq!(indexes, parent, "a new month has the parent's indexes");
    })
    .await;
}

#[tokio::test]
async fn schedule_stands() {
    with_postgres(|db| async move {
        for (name, cron) in &SPECIFICATION.schedules {
            let row = db.query_opt("SELECT cron, is_active FROM schedules WHERE name = $1", &[name]).await.unwrap();
            let row = row.unwrap_or_else(|| panic!("schedule {name} is missing"));
            assert_eq!(row.get::<_, String>(0), *cron, "{name}");
            // Ruling 25: pg_cron or Steward, never both.
            let other: bool = db
                .query_one("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')", &[])
                .await
                .unwrap()
                .get(0);
            assert_eq!(row.get::<_, bool>(1), !other, "{name}");
        }
        let fire = "INSERT INTO schedule_fires (name, fire_at) VALUES ('cleanup-sessions', '2026-01-01 02:00+00')";
        db.batch_execute(fire).await.unwrap();
        assert!(db.batch_execute(fire).await.is_err(), "one moment fires once");
    })
    .await;
}

#[tokio::test]
async fn every_audit_row_is_chained() {
    with_postgres(|db| async move {
        filled(&db).await;
        let sql = "SELECT count(*), count(c.seq), max(c.seq),
                     bool_and(c.sha256 = encode(sha256(convert_to(c.previous_sha256 || E'\\n' || audit_canonical(a), 'UTF8')), 'hex'))
                   FROM audit_trail a LEFT JOIN audit_chain c ON c.audit_id = a.id";
        let row = db.query_one(sql, &[]).await.unwrap();
        let (rows, chained, last): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert!(rows >= 10 && rows == chained && chained == last, "{rows} rows, {chained} in the chain, the last is {last}");
        assert!(row.get::<_, bool>(3), "a hash does not match its row");
        let sql = "SELECT bool_and(c.previous_sha256 = COALESCE(p.sha256, repeat('0', 64))) FROM audit_chain c LEFT JOIN audit_chain p ON p.seq = c.seq - 1";
        assert!(db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "the chain is broken");
        let secrets: i64 = db
            .query_one("SELECT count(*) FROM audit_trail WHERE concat(old_values, new_values) ~ '0123456789abcdef0123|\"password_hash\": \"x\"'", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(secrets, 0, "a secret stands in the audit");
    })
    .await;
}

#[tokio::test]
async fn dependencies_stay_true() {
    with_postgres(|db| async move {
        filled(&db).await;
        let depends = |task: &str, on: &str| format!("UPDATE tasks SET dependencies = '{{{on}}}' WHERE id = '{task}'");
        for (sql, why) in [
            (depends(TASK, TASK), "itself"),
            (depends(TASK, "00000000-0000-7000-8000-0000000000ff"), "nothing"),
            (depends(TASK, &format!("{OTHER_TASK},{OTHER_TASK}")), "twice the same"),
        ] {
            let error = db.batch_execute(&sql).await.expect_err(why);
            assert_eq!(error.as_db_error().and_then(|e| e.constraint()), Some("chk_task_dependencies"), "{why}");
        }
        db.batch_execute(&depends(TASK, OTHER_TASK)).await.unwrap();
        assert!(db.batch_execute(&depends(OTHER_TASK, TASK)).await.is_err(), "a cycle");
        assert!(
            db.batch_execute(&format!("DELETE FROM tasks WHERE id = '{OTHER_TASK}'")).await.is_err(),
            "somebody waits for it"
        );
        db.batch_execute(&format!("DELETE FROM tasks WHERE id IN ('{TASK}', '{OTHER_TASK}')")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn two_writers_close_no_cycle_together() {
    with_postgres(|db| async move {
        filled(&db).await;
        let other = another(&db).await;
        db.batch_execute(&format!("BEGIN; UPDATE tasks SET dependencies = '{{{OTHER_TASK}}}' WHERE id = '{TASK}'"))
            .await
            .unwrap();
        // The second has not seen the first, which has not committed: it must wait, and then look again.
        let second = format!("UPDATE tasks SET dependencies = '{{{TASK}}}' WHERE id = '{OTHER_TASK}'");
        let (first, second) = tokio::join!(
            async {
                let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)";
                while !db.query_one(waiting, &[]).await.unwrap().get::<_, bool>(0) {
                    tokio::task::yield_now().await;
                }
                db.batch_execute("COMMIT").await
            },
            other.batch_execute(&second)
        );
        first.unwrap();
        let refusal = second.expect_err("the cycle is closed");
        assert_eq!(refusal.as_db_error().and_then(|e| e.constraint()), Some("chk_task_dependencies"));
    })
    .await;
}
