//! Statements that the schema must refuse, and by which name; the same texts run on both databases.

use crate::fresh::{explain, with_postgres};
use crate::specification::SPECIFICATION;

pub const ADA: &str = "00000000-0000-7000-8000-00000000000a";
pub const BOB: &str = "00000000-0000-7000-8000-00000000000b";
pub const OWEN: &str = "00000000-0000-7000-8000-00000000000c";
pub const EVE: &str = "00000000-0000-7000-8000-00000000000d";
pub const TASK: &str = "00000000-0000-7000-8000-000000000001";
pub const OTHER_TASK: &str = "00000000-0000-7000-8000-000000000002";

/// An admin, two users of whom one is suspended, an observer, and one row of everything else. Times are far apart from
/// today, so that no day's turn changes an answer.
pub const FIXTURE: &str = "
INSERT INTO users (id, username, email, password_hash, role) VALUES
    ('00000000-0000-7000-8000-00000000000a', 'ada', 'ada@example.org', 'x', 'admin'),
    ('00000000-0000-7000-8000-00000000000b', 'bob', 'bob@example.org', 'x', 'user'),
    ('00000000-0000-7000-8000-00000000000c', 'owen', 'owen@example.org', 'x', 'observer');
INSERT INTO users (id, username, email, password_hash, role, status) VALUES
    ('00000000-0000-7000-8000-00000000000d', 'eve', 'eve@example.org', 'x', 'user', 'suspended');
INSERT INTO tasks (id, title, created_by, assigned_to) VALUES
    ('00000000-0000-7000-8000-000000000001', 'File the invoice', '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-00000000000a'),
    ('00000000-0000-7000-8000-000000000002', 'Water the plants', '00000000-0000-7000-8000-00000000000a', NULL);
INSERT INTO approvals (id, task_id, action_type, requested_by) VALUES
    ('00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-000000000001', 'tool_call', '00000000-0000-7000-8000-00000000000b');
INSERT INTO mcp_servers (id, name, server_type, command) VALUES
    ('00000000-0000-7000-8000-0000000000c1', 'files', 'stdio', 'npx');
INSERT INTO watchers (id, name, watcher_type, created_by) VALUES
    ('00000000-0000-7000-8000-0000000000d1', 'inbox', 'folder', '00000000-0000-7000-8000-00000000000b');
INSERT INTO sessions (id, user_id, token, expires_at) VALUES
    ('00000000-0000-7000-8000-0000000000e1', '00000000-0000-7000-8000-00000000000b', '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', '2099-01-01T00:00:00.000000Z'),
    ('00000000-0000-7000-8000-0000000000e2', '00000000-0000-7000-8000-00000000000b', '1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', '2001-01-01T00:00:00.000000Z');
INSERT INTO notifications (id, user_id, title, type) VALUES
    ('00000000-0000-7000-8000-0000000000f1', '00000000-0000-7000-8000-00000000000b', 'Please decide', 'approval');
INSERT INTO file_attachments (id, filename, original_filename, storage_path, task_id, uploaded_by) VALUES
    ('00000000-0000-7000-8000-0000000000f2', 'a', 'a.pdf', 'a', '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-00000000000b');
INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id) VALUES
    ('00000000-0000-7000-8000-0000000000f3', '2026-01-15T12:00:00.000000Z', 'info', 'test', 'hello', '00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-000000000001');
";

/// A statement that must be refused.
pub struct Violation {
    /// The table and name of the constraint of the specification it shows, or empty.
    pub shows: (&'static str, &'static str),
    pub sql: &'static str,
    /// The refusal names one of these.
    pub named: &'static [&'static str],
}

const fn check(table: &'static str, name: &'static str, sql: &'static str) -> Violation {
    Violation { shows: (table, name), sql, named: &[] }
}
const fn other(named: &'static [&'static str], sql: &'static str) -> Violation {
    Violation { shows: ("", ""), sql, named }
}

pub const VIOLATIONS: &[Violation] = &[
    check("users", "chk_role", "UPDATE users SET role = 'king' WHERE username = 'bob'"),
    check("users", "chk_status", "UPDATE users SET status = 'asleep' WHERE username = 'bob'"),
    check("tasks", "chk_status", "UPDATE tasks SET status = 'done' WHERE title = 'Water the plants'"),
    check("tasks", "chk_priority", "UPDATE tasks SET priority = 'urgent' WHERE title = 'Water the plants'"),
    // chk_approval_single_decision knows the same words, and PostgreSQL asks it first.
    Violation {
        shows: ("approvals", "chk_approval_status"),
        sql: "UPDATE approvals SET status = 'maybe'",
        named: &["chk_approval_status", "chk_approval_single_decision"],
    },
    check("system_logs", "chk_log_level", "INSERT INTO system_logs (level, message) VALUES ('loud', 'x')"),
    check("mcp_servers", "chk_server_status", "UPDATE mcp_servers SET status = 'on'"),
    check("notifications", "chk_notification_type", "UPDATE notifications SET type = 'gossip'"),
    check("notifications", "chk_notification_status", "UPDATE notifications SET status = 'lost'"),
    check("notifications", "chk_notification_channel", "UPDATE notifications SET channel = 'pigeon'"),
    check(
        "tasks",
        "chk_due_date_not_past",
        "UPDATE tasks SET status = 'completed', due_date = '2020-01-01T00:00:00.000000Z' WHERE title = 'Water the plants'",
    ),
    check("approvals", "chk_approval_single_decision", "UPDATE approvals SET status = 'approved'"),
    check(
        "approvals",
        "chk_approval_single_decision",
        "UPDATE approvals SET approved_by = '00000000-0000-7000-8000-00000000000a', approved_at = '2026-01-01T00:00:00.000000Z'",
    ),
    check(
        "approvals",
        "chk_approval_single_decision",
        "UPDATE approvals SET status = 'rejected', rejected_by = '00000000-0000-7000-8000-00000000000a'",
    ),
    check(
        "tasks",
        "chk_priority_duration",
        "UPDATE tasks SET priority = 'critical', estimated_duration = 1441 WHERE title = 'Water the plants'",
    ),
    // Ruling 13: a name is the same name in capitals.
    other(
        &["idx_users_username"],
        "INSERT INTO users (username, email, password_hash) VALUES ('BOB', 'new@example.org', 'x')",
    ),
    other(
        &["idx_users_email"],
        "INSERT INTO users (username, email, password_hash) VALUES ('new', 'BOB@example.org', 'x')",
    ),
    // Ruling 14: NULL is not a way round a list of words.
    other(&["role"], "UPDATE users SET role = NULL WHERE username = 'bob'"),
    other(&["status"], "UPDATE tasks SET status = NULL"),
    other(&["status"], "UPDATE approvals SET status = NULL"),
    other(&["requested_by"], "UPDATE approvals SET requested_by = NULL"),
    other(&["priority"], "UPDATE tasks SET priority = NULL"),
    other(&["channel"], "UPDATE notifications SET channel = NULL"),
    // Ruling 15: nothing is negative, a checksum is a checksum.
    other(&["estimated_duration"], "UPDATE tasks SET estimated_duration = -1"),
    other(&["actual_duration"], "UPDATE tasks SET actual_duration = -1"),
    other(&["file_size"], "UPDATE file_attachments SET file_size = -1"),
    other(&["hash_checksum"], "UPDATE file_attachments SET hash_checksum = 'abc'"),
    other(&["error_count"], "UPDATE watchers SET error_count = -1"),
    // Ruling 18: a session holds a hash, never the token.
    other(&["token"], "UPDATE sessions SET token = 'a-raw-token' WHERE id = '00000000-0000-7000-8000-0000000000e1'"),
    // A foreign key leads somewhere.
    other(
        &["tasks_created_by_fkey", "FOREIGN KEY"],
        "INSERT INTO tasks (title, created_by) VALUES ('x', '00000000-0000-7000-8000-0000000000ff')",
    ),
    // Ruling 21: what is written in the audit stays.
    other(&["append-only"], "UPDATE audit_trail SET action = 'nothing_happened'"),
    other(&["append-only"], "DELETE FROM audit_trail"),
    other(&["append-only"], "DELETE FROM audit_chain"),
    // Ruling 17: audited users are deactivated, not deleted.
    other(
        &["audit_trail_user_id_fkey", "tasks_created_by_fkey", "FOREIGN KEY"],
        "DELETE FROM users WHERE username = 'bob'",
    ),
];

/// Statements that the same constraints must let pass.
pub const ACCEPTED: &[&str] = &[
    // No estimate is no promise.
    "UPDATE tasks SET priority = 'critical' WHERE title = 'Water the plants'",
    "UPDATE tasks SET priority = 'critical', estimated_duration = 1440 WHERE title = 'Water the plants'",
    // Done before it was due, and done without a date.
    "UPDATE tasks SET status = 'completed', due_date = '2099-01-01T00:00:00.000000Z' WHERE title = 'Water the plants'",
    "UPDATE tasks SET status = 'completed' WHERE title = 'Water the plants'",
    "UPDATE approvals SET status = 'approved', approved_by = '00000000-0000-7000-8000-00000000000a', approved_at = '2026-01-01T00:00:00.000000Z'",
    "UPDATE approvals SET status = 'rejected', rejected_by = '00000000-0000-7000-8000-00000000000a', rejected_at = '2026-01-01T00:00:00.000000Z'",
    "UPDATE approvals SET status = 'expired'",
    "DELETE FROM tasks WHERE title = 'File the invoice'",
];

/// The names a refusal may carry.
pub fn expected(violation: &Violation) -> Vec<&str> {
    if violation.named.is_empty() { vec![violation.shows.1] } else { violation.named.to_vec() }
}

#[test]
fn every_constraint_is_shown_to_bite() {
    for constraint in &SPECIFICATION.checks {
        let shown = VIOLATIONS.iter().any(|v| v.shows == (constraint.table.as_str(), constraint.name.as_str()));
        assert!(shown, "no statement violates {}.{}", constraint.table, constraint.name);
    }
}

#[tokio::test]
async fn every_constraint_stands_and_bites() {
    with_postgres(|db| async move {
        db.batch_execute(FIXTURE).await.unwrap_or_else(|e| panic!("{}", explain(&e)));
        for violation in VIOLATIONS {
            db.batch_execute("BEGIN").await.unwrap();
            let error = db.batch_execute(violation.sql).await.expect_err(violation.sql);
            let refusal = error.as_db_error().unwrap_or_else(|| panic!("{}: {error}", violation.sql));
            let said = format!(
                "{} {} {}",
                refusal.constraint().unwrap_or(""),
                refusal.column().unwrap_or(""),
                refusal.message()
            );
            let wanted = expected(violation);
            assert!(
                wanted.iter().any(|name| said.contains(name)),
                "{}: refused as {said:?}, not {wanted:?}",
                violation.sql
            );
            db.batch_execute("ROLLBACK").await.unwrap();
        }
        for sql in ACCEPTED {
            // Each commits for itself, so that what is checked at the commit is checked; the row then goes back.
            db.batch_execute("BEGIN").await.unwrap();
            db.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", explain(&e)));
            db.batch_execute("SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK").await.unwrap();
        }
    })
    .await;
}
