//! Tests of the guards: who sees and may write what on SQLite; PostgreSQL's policies say what to expect.

use super::*;

pub(super) const ADMIN: u128 = 1;
pub(super) const ADA: u128 = 2;
pub(super) const BOB: u128 = 3;
pub(super) const WATCHFUL: u128 = 4; // an observer
pub(super) const EMPLOYEE: u128 = 5; // an agent
pub(super) const SUSPENDED: u128 = 6;
pub(super) const TASK: u128 = 0x10; // Ada's, assigned to the employee
pub(super) const LATER: u128 = 0x11; // Ada's, assigned to the employee, depends on TASK
pub(super) const APPROVAL: u128 = 0x20; // of TASK

pub(super) fn id(n: u128) -> String {
    Uuid::from_u128(n).to_string()
}

pub(super) struct Fixture {
    pub(super) conn: Connection,
    pub(super) ctx: SharedContext,
}

fn service() -> Context {
    Context {
        user_id: None,
        role: ActorRole::Service,
        permissions: Arc::default(),
        is_agent: false,
        ip_address: Some("10.0.0.1".into()),
        user_agent: Some("test".into()),
        request_id: None,
        now: "2026-11-22T12:00:00.123456Z".into(),
    }
}

pub(super) fn open(path: &str) -> Fixture {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA recursive_triggers = OFF;")
        .unwrap();
    let ctx = Arc::new(Mutex::new(service()));
    register(&conn, Arc::clone(&ctx)).unwrap();
    Fixture { conn, ctx }
}

impl Fixture {
    pub(super) fn new() -> Self {
        let this = Self::unguarded(":memory:");
        this.guard();
        this
    }

    pub(super) fn unguarded(path: &str) -> Self {
        let this = open(path);
        for sql in crate::migrate::MIGRATIONS.iter().map(|m| m.sqlite) {
            this.conn.execute_batch(sql).unwrap();
        }
        for (n, name, role, status) in [
            (ADMIN, "admin", "admin", "active"),
            (ADA, "ada", "user", "active"),
            (BOB, "bob", "user", "active"),
            (WATCHFUL, "watchful", "observer", "active"),
            (EMPLOYEE, "employee", "user", "active"),
            (SUSPENDED, "suspended", "admin", "suspended"),
        ] {
            this.conn
                .execute(
                    "INSERT INTO users (id, username, email, password_hash, role, status) VALUES (?1, ?2, ?2 || '@example.org', 'x', ?3, ?4)",
                    (id(n), name, role, status),
                )
                .unwrap();
        }
        let (employee, ada, task, later) = (id(EMPLOYEE), id(ADA), id(TASK), id(LATER));
        this.conn
            .execute_batch(&format!(
                "INSERT INTO agents (user_id) VALUES ('{employee}');
                 INSERT INTO tasks (id, title, created_by, assigned_to) VALUES ('{task}', 'Move the invoices', '{ada}', '{employee}');
                 INSERT INTO tasks (id, title, created_by, assigned_to, dependencies)
                 VALUES ('{later}', 'later', '{ada}', '{employee}', '[\"{task}\"]');
                 INSERT INTO approvals (id, task_id, action_type, requested_by, expires_at)
                 VALUES ('{}', '{task}', 'move', '{employee}', '2026-11-23T00:00:00.000000Z');
                 INSERT INTO runs (id, task_id, number, playbook, playbook_source, playbook_sha256)
                 VALUES ('{}', '{task}', 1, 'p', 'secret source', 'h');
                 UPDATE task_queue SET state = 'waiting' WHERE task_id = '{task}';",
                id(APPROVAL),
                id(0x30)
            ))
            .unwrap();
        this
    }

    pub(super) fn guard(&self) {
        self.conn.execute_batch(include_str!("guard_reads.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_writes.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_tokens.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_notifying.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_models.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_trust.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_schedules.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_keys.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_files.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_requests.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_passkeys.sql")).unwrap();
        self.conn.execute_batch(include_str!("guard_push.sql")).unwrap();
    }

    pub(super) fn be(&self, user: Option<u128>) -> &Self {
        let mut next = service();
        if let Some(n) = user {
            next.role = ActorRole::User;
            next.user_id = Some(Uuid::from_u128(n));
            let rights = super::rights(&self.conn, &id(n)).unwrap();
            (next.permissions, next.is_agent) = (rights.permissions, rights.is_agent);
        }
        *self.ctx.lock().unwrap() = next;
        self
    }

    /// Rows changed, or the error's text.
    pub(super) fn run(&self, sql: &str) -> Result<usize, String> {
        self.conn.execute(sql, []).map_err(|error| error.to_string())
    }

    pub(super) fn get<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(super) fn audit(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let mut rows = self
            .conn
            .prepare("SELECT t.action, t.old_values, t.new_values FROM main.audit_chain c JOIN main.audit_trail t ON t.id = c.audit_id ORDER BY c.seq")
            .unwrap();
        rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(Result::unwrap).collect()
    }

    pub(super) fn plan(&self, sql: &str) -> String {
        let mut rows = self.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = rusqlite::params_from_iter(vec![Value::Null; rows.parameter_count()]);
        let lines: Vec<String> = rows.query_map(nothing, |r| r.get(3)).unwrap().map(Result::unwrap).collect();
        lines.join("; ")
    }
}

fn refused<T: std::fmt::Debug>(result: &Result<T, String>, table: &str) {
    assert_eq!(result.as_ref().unwrap_err(), &format!("refused: {table}"));
}

#[test]
fn rows_are_found_by_index_through_the_guard() {
    let db = Fixture::new();
    db.be(Some(ADA));
    for (sql, index) in [
        ("SELECT title FROM tasks WHERE id = ?1", "SEARCH main.tasks USING INDEX sqlite_autoindex_tasks_1 (id=?)"),
        (
            "SELECT title FROM tasks WHERE created_by = current_user_id() ORDER BY created_at DESC LIMIT 20",
            "USING INDEX idx_tasks_created_by_newest (created_by=?)",
        ),
        (
            "SELECT title FROM tasks WHERE assigned_to = current_user_id() AND status = 'pending'",
            "USING INDEX idx_tasks_assigned_to_status_newest (assigned_to=? AND status=?)",
        ),
        ("SELECT * FROM task_summary WHERE id = ?1", "SEARCH main.tasks USING INDEX sqlite_autoindex_tasks_1 (id=?)"),
        ("SELECT a.id FROM approvals a WHERE a.task_id = ?1", "USING INDEX idx_approvals_task_id (task_id=?)"),
        ("SELECT s.id FROM steps s WHERE s.run_id = ?1 ORDER BY s.ordinal", "(run_id=?)"),
        (
            "SELECT t.title, u.username FROM tasks t LEFT JOIN users u ON u.id = t.assigned_to WHERE t.id = ?1",
            "SEARCH main.users USING INDEX sqlite_autoindex_users_1 (id=?)",
        ),
        (
            "SELECT task_id FROM task_queue WHERE assignee = current_user_id() AND state = 'ready' ORDER BY priority_rank DESC, ready_at, task_id LIMIT 5",
            "idx_task_queue_ready (assignee=?)",
        ),
        ("SELECT id FROM system_logs ORDER BY timestamp DESC LIMIT 20", "USING INDEX idx_system_logs_timestamp"),
        (
            "SELECT id FROM audit_trail WHERE entity_type = 'task' AND entity_id = ?1 ORDER BY created_at DESC",
            "USING INDEX idx_audit_trail_entity (entity_type=? AND entity_id=?)",
        ),
        (
            "UPDATE main.tasks SET title = 'x' WHERE id = ?1",
            "SEARCH main.tasks USING INDEX sqlite_autoindex_tasks_1 (id=?)",
        ),
    ] {
        let plan = db.plan(sql);
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("SCAN") || sql.contains("ORDER BY timestamp"), "{sql}\n{plan}");
    }
}

#[test]
fn ones_own_files_are_not_looked_for_among_everybodys() {
    let db = Fixture::new();
    db.be(Some(ADA));
    let every = crate::every_statement();
    let newest = every.iter().find(|s| s.name == "file_attachments/newest").unwrap();
    let plan = db.plan(newest.sqlite());
    // The walk through everybody's is of whoever may see them; each other arm begins with the person or a task of hers.
    for (index, arms) in [
        ("idx_file_attachments_newest (", 1),
        ("idx_file_attachments_uploaded_by (uploaded_by=?)", 1),
        ("idx_file_attachments_task_id (task_id=?)", 2),
    ] {
        assert_eq!(plan.matches(index).count(), arms, "{index}\n{plan}");
    }
}

#[test]
fn a_task_s_lines_are_not_looked_for_through_the_whole_log() {
    let db = Fixture::new();
    db.be(Some(ADA));
    let every = crate::every_statement();
    for name in ["system_logs/list_of_task", "system_logs/find_of_task"] {
        let plan = db.plan(every.iter().find(|s| s.name == name).unwrap().sqlite());
        assert!(plan.contains("USING INDEX idx_system_logs_task_id (task_id=?)"), "{name}: {plan}");
        assert!(!plan.contains("idx_system_logs_timestamp"), "{name}: {plan}");
    }
}

#[test]
fn each_actor_sees_what_the_policies_say() {
    let db = Fixture::new();
    for (who, tasks, users, approvals, accounts) in [
        (Some(ADMIN), 2, 6, 1, 6),
        (Some(ADA), 2, 6, 1, 1),
        (Some(BOB), 0, 6, 0, 1),
        (Some(WATCHFUL), 2, 6, 1, 1),
        (Some(EMPLOYEE), 2, 6, 1, 1),
        (Some(SUSPENDED), 0, 0, 0, 0),
    ] {
        db.be(who);
        assert_eq!(db.get::<i64>("SELECT count(*) FROM tasks"), tasks, "{who:?}");
        assert_eq!(db.get::<i64>("SELECT count(*) FROM users"), users, "{who:?}");
        assert_eq!(db.get::<i64>("SELECT count(*) FROM approvals"), approvals, "{who:?}");
        assert_eq!(db.get::<i64>("SELECT count(*) FROM accounts"), accounts, "{who:?}");
        assert_eq!(db.get::<i64>("SELECT count(email) + count(password_hash) FROM users"), 0, "{who:?}");
    }
    // Nobody at all, and the service.
    db.ctx.lock().unwrap().user_id = None;
    assert_eq!(
        db.get::<i64>(
            "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM tasks) + (SELECT count(*) FROM audit_trail)"
        ),
        0
    );
    assert_eq!(
        db.conn.query_row("SELECT count(*) FROM setup_links", [], |r| r.get::<_, i64>(0)).unwrap_err().to_string(),
        "refused: setup_links"
    );
    db.be(None);
    assert_eq!(db.get::<i64>("SELECT count(password_hash) FROM users"), 6);
    assert_eq!(db.get::<i64>("SELECT count(*) FROM setup_links"), 0);
    assert_eq!(
        db.conn.query_row("SELECT count(*) FROM accounts", [], |r| r.get::<_, i64>(0)).unwrap_err().to_string(),
        "refused: accounts"
    );
}

#[test]
fn rows_nobody_granted_are_passed_over_and_forged_ones_refused() {
    let db = Fixture::new();
    let title = format!("UPDATE main.tasks SET title = 'x' WHERE id = '{}'", id(TASK));
    for (who, rows) in [(ADMIN, 1), (ADA, 1), (EMPLOYEE, 1), (BOB, 0), (WATCHFUL, 0), (SUSPENDED, 0)] {
        assert_eq!(db.be(Some(who)).run(&title), Ok(rows), "{who}");
    }
    refused(&db.be(None).run(&title), "tasks");
    refused(&db.be(Some(ADA)).run(&format!("UPDATE main.tasks SET created_by = '{}'", id(BOB))), "tasks");
    refused(&db.be(Some(ADA)).run("UPDATE main.tasks SET updated_at = '2020-01-01T00:00:00.000000Z'"), "tasks");
    // The assignee may not hand the task on, nor delete it; nobody makes a task in another's name.
    refused(&db.be(Some(EMPLOYEE)).run(&format!("UPDATE main.tasks SET assigned_to = '{}'", id(BOB))), "tasks");
    assert_eq!(db.run("DELETE FROM main.tasks"), Ok(0));
    refused(&db.run(&format!("INSERT INTO main.tasks (title, created_by) VALUES ('x', '{}')", id(ADA))), "tasks");
    refused(
        &db.be(Some(SUSPENDED))
            .run(&format!("INSERT INTO main.tasks (title, created_by) VALUES ('x', '{}')", id(SUSPENDED))),
        "tasks",
    );
    refused(&db.be(Some(ADA)).run("DELETE FROM main.approvals"), "approvals");
    refused(&db.run("UPDATE main.role_permissions SET permission = '*'"), "role_permissions");
    refused(&db.run("INSERT INTO main.audit_trail (action) VALUES ('x')"), "audit_trail");
    refused(&db.be(Some(ADMIN)).run("DELETE FROM main.audit_chain"), "audit_chain");
    refused(&db.run("INSERT INTO main.system_logs_partitioned (level, user_id) VALUES ('info', 'x')"), "system_logs");
}

#[test]
fn only_the_database_keeps_the_queue_and_the_audit_trail() {
    let db = Fixture::new();
    for who in [Some(ADMIN), Some(ADA), Some(EMPLOYEE), None] {
        refused(&db.be(who).run("DELETE FROM main.task_queue"), "task_queue");
        refused(
            &db.run(&format!(
                "INSERT INTO main.task_queue (task_id, assignee, state, priority_rank) VALUES ('{}', 'x', 'ready', 1)",
                id(0x99)
            )),
            "task_queue",
        );
        refused(&db.run("UPDATE main.task_queue SET priority_rank = 9"), "task_queue");
    }
    // Ada's own change moves the queue, for her trigger acts as the database ...
    db.be(Some(ADA)).run(&format!("UPDATE main.tasks SET priority = 'high' WHERE id = '{}'", id(TASK))).unwrap();
    assert_eq!(db.get::<i64>("SELECT sum(priority_rank) FROM task_queue"), 3);
    // ... and leaves no ticket behind, whether it wrote or failed halfway.
    refused(&db.run("DELETE FROM main.task_queue"), "task_queue");
    assert!(db.run(&format!("UPDATE main.tasks SET dependencies = '[\"{0}\"]' WHERE id = '{0}'", id(TASK))).is_err());
    refused(&db.run("INSERT INTO main.audit_trail (action) VALUES ('x')"), "audit_trail");
    assert_eq!(db.run("UPDATE main.task_queue SET state = 'ready'"), Ok(0));
    assert_eq!(
        db.be(Some(EMPLOYEE)).run("UPDATE main.task_queue SET worker = 'w', lease_until = now(), state = 'leased'"),
        Ok(2)
    );
}

#[test]
fn a_decision_is_a_persons_once_in_time_and_wakes_the_work() {
    let db = Fixture::new();
    let decide = |who: u128| {
        format!("UPDATE main.approvals SET status = 'approved', approved_by = '{}', approved_at = now()", id(who))
    };
    for who in [BOB, WATCHFUL, EMPLOYEE, SUSPENDED] {
        assert_eq!(db.be(Some(who)).run(&decide(who)), Ok(0), "{who}");
    }
    refused(&db.be(None).run("UPDATE main.approvals SET status = 'rejected'"), "approvals");
    refused(&db.be(Some(ADA)).run(&decide(BOB)), "approvals");
    db.ctx.lock().unwrap().now = "2026-11-23T00:00:00.000000Z".into();
    assert_eq!(db.run(&decide(ADA)).unwrap_err(), "CHECK constraint failed: chk_approval_not_expired");
    db.be(Some(ADA));
    let before = db.audit().len();
    assert_eq!(db.run(&decide(ADA)), Ok(1));
    assert_eq!(db.get::<String>(&format!("SELECT state FROM task_queue WHERE task_id = '{}'", id(TASK))), "ready");
    assert_eq!(db.audit()[before..].iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["approval_updated"]);
    assert_eq!(db.run(&decide(ADA)), Ok(0));
    assert_eq!(
        db.be(None).run("UPDATE main.approvals SET status = 'expired'").unwrap_err(),
        "CHECK constraint failed: chk_approval_final"
    );
}

#[test]
fn deleting_a_user_leaves_what_others_need() {
    let db = Fixture::new();
    db.be(Some(ADA)).run("INSERT INTO main.system_logs (level, task_id) SELECT 'info', id FROM tasks").unwrap();
    assert_eq!(db.be(Some(ADMIN)).run(&format!("DELETE FROM main.users WHERE id = '{}'", id(EMPLOYEE))), Ok(1));
    assert_eq!(db.get::<i64>("SELECT count(*) FROM tasks WHERE assigned_to IS NULL"), 2);
    assert_eq!(db.get::<i64>("SELECT (SELECT count(*) FROM main.task_queue) + (SELECT count(*) FROM main.agents)"), 0);
    // Whoever stands in the audit trail, or made a task, stays.
    assert!(db.run(&format!("DELETE FROM main.users WHERE id = '{}'", id(ADA))).unwrap_err().contains("FOREIGN KEY"));
}

#[test]
fn a_token_is_found_by_its_index_though_the_guard_hides_it() {
    let db = Fixture::new();
    db.be(None);
    for (name, index) in [
        ("sessions/by_token", "SEARCH m USING INDEX idx_sessions_token (token=?)"),
        ("api_tokens/by_token", "SEARCH m USING INDEX sqlite_autoindex_api_tokens_2 (token=?)"),
        ("passkeys/by_credential", "(credential_sha256=?)"),
    ] {
        let statement = crate::every_statement().into_iter().find(|s| s.name == name).unwrap();
        let plan = db.plan(statement.sqlite());
        assert!(plan.contains(index) && !plan.contains("idx_users_status") && !plan.contains("SCAN"), "{name}: {plan}");
    }
}
