//! Each kind of damage, done behind the store's back, is found with its place.

use std::time::{Duration, SystemTime};

use store::{Vault, file_attachments, verify};

use crate::common::{Db, Engine, connect};

crate::on_both!(
    nothing_is_wrong_where_nothing_is,
    rows_that_point_to_nothing,
    rows_that_break_their_rules,
    a_queue_that_does_not_agree,
    an_altered_audit_trail,
    files_and_rows_apart,
    a_migration_with_another_text,
    an_index_that_lost_rows,
);

async fn look(db: &Db, vault: Option<&Vault>) -> verify::Report {
    verify::run(&db.owner, &db.store, vault, &|_| {}).await.unwrap()
}

/// What was found by these checks: `place: what`.
fn found(report: &verify::Report, check: &str) -> Vec<String> {
    report.findings.iter().filter(|f| f.check == check).map(|f| format!("{}: {}", f.place, f.what)).collect()
}

/// One finding of the check that tells of `words`.
#[track_caller]
fn tells(report: &verify::Report, check: &str, words: &str) {
    let found = found(report, check);
    assert!(found.iter().any(|line| line.contains(words)), "{check}: {words}: {found:?} of {report:#?}");
}

/// The statement without foreign keys and CHECK rules, as far as each engine lets itself be told so.
async fn force(db: &Db, sql: &str) {
    let off = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; ";
    db.tamper(&if db.engine == Engine::Sqlite { format!("{off}{sql}") } else { sql.to_owned() }).await;
}

async fn nothing_is_wrong_where_nothing_is(db: &Db) {
    if db.engine == Engine::Postgres {
        connect(&db.owner).await.batch_execute("CREATE EXTENSION amcheck").await.unwrap();
    }
    let task = db.task("well").await;
    db.approval(task).await;
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("key"), &dir.path().join("kept")).unwrap();
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |what: &str| seen.lock().unwrap().push(what.to_owned());
    let report = verify::run(&db.owner, &db.store, Some(&vault), &progress).await.unwrap();
    assert!(report.is_well(), "{report:#?}");
    assert!(seen.lock().unwrap().iter().any(|what| what == "audit chain"));
    let left_out: Vec<_> = report.checks.iter().filter(|c| c.state == "left out").map(|c| c.name).collect();
    let expected: &[&str] = if db.engine == Engine::Sqlite { &["log partitions"] } else { &[] };
    assert_eq!(left_out, expected, "{report:#?}");
    // As the runtime role: what it may not look at is said.
    let report = verify::run(&db.config, &db.store, None, &|_| {}).await.unwrap();
    assert!(report.is_well(), "{report:#?}");
    let left_out = report.checks.iter().filter(|c| c.state == "left out").count();
    assert!(left_out >= 3 && report.checks.iter().all(|c| c.state != "left out" || !c.said.is_empty()), "{report:#?}");
}

async fn rows_that_point_to_nothing(db: &Db) {
    let gone = "00000000-0000-7000-8000-0000000000ff";
    let (task, other) = (db.task("depends").await, db.task("another").await);
    let run = db.run(task).await;
    let step = step(db, run, task).await;
    let list = if db.engine == Engine::Sqlite { format!("[\"{gone}\"]") } else { format!("{{{gone}}}") };
    force(db, &format!("UPDATE tasks SET dependencies = '{list}' WHERE id = '{task}'")).await;
    force(db, &format!("UPDATE tasks SET created_by = '{gone}' WHERE id = '{other}'")).await;
    force(db, &format!("UPDATE steps SET state = 'awaiting_approval', approval_id = NULL WHERE id = '{step}'")).await;
    force(db, &format!("UPDATE runs SET task_id = '{other}' WHERE id = '{run}'")).await;
    let report = look(db, None).await;
    tells(&report, "dependencies", &format!("task {task}: depends on the task {gone}"));
    tells(&report, "steps and approvals", &format!("step {step}: waits for an approval that is not there"));
    tells(&report, "steps and runs", &format!("step {step}: belongs to the task {task}, but its run to {other}"));
    match db.engine {
        Engine::Sqlite => tells(&report, "foreign keys", "points to a row of users that is not there"),
        Engine::Postgres => tells(&report, "rows against their rules", "tasks.tasks_created_by_fkey: 1 rows break"),
    }
}

async fn step(db: &Db, run: uuid::Uuid, task: uuid::Uuid) -> uuid::Uuid {
    let new = store::runs::NewStep {
        run_id: run,
        task_id: task,
        ordinal: 0,
        name: "file".to_owned(),
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        state: "allowed",
        arguments: "{}".to_owned(),
        arguments_sha256: "a".repeat(64),
        policy_id: None,
        policy_reason: None,
        attempt: 1,
        error: None,
    };
    store::runs::add_step(&db.employee, &db.store, &new).await.unwrap()
}

async fn rows_that_break_their_rules(db: &Db) {
    let task = db.task("breaks a rule").await;
    if db.engine == Engine::Postgres {
        force(db, "ALTER TABLE tasks DROP CONSTRAINT chk_priority").await;
    }
    force(db, &format!("UPDATE tasks SET priority = 'loud' WHERE id = '{task}'")).await;
    if db.engine == Engine::Sqlite {
        let report = look(db, None).await;
        tells(&report, "pages, indexes and CHECK rules", "CHECK constraint failed in tasks");
        return;
    }
    force(
        db,
        "ALTER TABLE tasks ADD CONSTRAINT chk_priority CHECK (priority IN ('low', 'medium', 'high', 'critical')) NOT VALID",
    )
    .await;
    force(db, "ALTER TABLE approvals DISABLE TRIGGER trg_approvals_guard").await;
    force(db, "UPDATE user_rights SET permissions = '{*}' WHERE permissions = '{}' OR NOT permissions && '{*}'").await;
    let report = look(db, None).await;
    tells(&report, "rules in force", "constraint tasks.chk_priority: was never checked");
    tells(&report, "rules in force", "trigger approvals.trg_approvals_guard: is switched off");
    tells(&report, "rows against their rules", "tasks.chk_priority: 1 rows break");
    tells(&report, "rights", "has other rights than his role gives");
    // The log's months, and what lies in none.
    force(db, "INSERT INTO system_logs (level, message, timestamp) VALUES ('info', 'old', '1999-01-01')").await;
    let next = store::now().to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month() + jiff::Span::new().months(2);
    let month = format!("system_logs_{:04}_{:02}", next.year(), next.month());
    force(db, &format!("DROP TABLE {month}")).await;
    let report = look(db, None).await;
    tells(&report, "log partitions", &format!("{month}: this month of the log is missing"));
    tells(&report, "log partitions", "system_logs_default: holds 1 lines");
}

async fn a_queue_that_does_not_agree(db: &Db) {
    let [lost, done, other, waits, held] = [
        db.task("lost").await,
        db.task("done").await,
        db.task("other").await,
        db.task("waits").await,
        db.task("held").await,
    ];
    let cat = crate::common::id(&db.cat);
    force(db, &format!("DELETE FROM task_queue WHERE task_id = '{lost}'")).await;
    force(db, &format!("UPDATE tasks SET status = 'cancelled' WHERE id = '{done}'")).await;
    force(db, &format!("UPDATE task_queue SET assignee = '{cat}' WHERE task_id = '{other}'")).await;
    force(db, &format!("UPDATE task_queue SET state = 'waiting' WHERE task_id = '{waits}'")).await;
    force(db, &format!("UPDATE task_queue SET state = 'blocked' WHERE task_id = '{held}'")).await;
    let report = look(db, None).await;
    tells(&report, "the queue lacks a task", &format!("task {lost}: is open and assigned to an agent"));
    tells(&report, "the queue against the tasks", &format!("task {done}: is cancelled and still in the queue"));
    tells(&report, "the queue against the tasks", &format!("task {other}: is queued for another"));
    tells(&report, "the queue against the tasks", &format!("task {held}: is held back although"));
    tells(&report, "tasks that wait for nothing", &format!("task {waits}: waits for a decision"));
    assert_eq!(found(&report, "the queue against the tasks").len(), 3, "{report:#?}");
}

async fn an_altered_audit_trail(db: &Db) {
    db.task("audited").await;
    force(db, "UPDATE audit_trail SET action = 'task_deleted' WHERE action = 'task_created'").await;
    let report = look(db, None).await;
    assert_eq!(found(&report, "audit chain").len(), 1, "{report:#?}");
}

async fn files_and_rows_apart(db: &Db) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("key"), &dir.path().join("kept")).unwrap();
    let task = db.task("files").await;
    let mut kept = Vec::new();
    for name in ["whole", "lost", "stray"] {
        let stored = vault.store(&mut name.as_bytes(), 100).unwrap();
        if name != "stray" {
            let new = file_attachments::NewAttachment {
                filename: name.to_owned(),
                original_filename: name.to_owned(),
                mime_type: None,
                file_size: 5,
                storage_path: stored.storage_path.clone(),
                task_id: task,
                hash_checksum: stored.sha256.clone(),
                expires_at: None,
            };
            file_attachments::create(&db.bob, &db.store, &new).await.unwrap();
        }
        kept.push(stored.storage_path);
    }
    assert!(look(db, Some(&vault)).await.is_well(), "a young stray may belong to a row that is just being written");
    let stray = dir.path().join("kept").join(&kept[2]);
    let old = SystemTime::now() - Duration::from_secs(7200);
    std::fs::File::options().write(true).open(stray).unwrap().set_modified(old).unwrap();
    vault.remove(&kept[1]).unwrap();
    let report = look(db, Some(&vault)).await;
    tells(&report, "attachments without a file", &format!("(lost): its file {} is not in the vault", kept[1]));
    tells(&report, "files without an attachment", &format!("{}: belongs to no row", kept[2]));
    assert_eq!(report.findings.len(), 2, "{report:#?}");
}

async fn a_migration_with_another_text(db: &Db) {
    force(db, "UPDATE schema_migrations SET checksum = 'x' WHERE version = 3").await;
    let report = look(db, None).await;
    tells(&report, "migrations", "schema_migrations: migration 3 approvals was applied with another text");
}

/// An index that a query would trust, and that lacks rows.
async fn an_index_that_lost_rows(db: &Db) {
    if db.engine == Engine::Sqlite {
        db.task("x").await;
        force(
            db,
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '(priority)', '(status)') WHERE name = 'idx_tasks_priority'; PRAGMA writable_schema = OFF",
        )
        .await;
        let report = look(db, None).await;
        tells(&report, "pages, indexes and CHECK rules", "idx_tasks_priority");
        return;
    }
    let set = |on: bool| {
        format!(
            "UPDATE pg_index SET indisready = {on}, indislive = {on}, indisvalid = {on} WHERE indexrelid = 'idx_tasks_priority'::regclass"
        )
    };
    let owner = connect(&db.owner).await;
    owner.batch_execute("CREATE EXTENSION amcheck").await.unwrap();
    owner.batch_execute(&set(false)).await.unwrap();
    let report = look(db, None).await;
    tells(&report, "rules in force", "index idx_tasks_priority: is not valid");
    // A session that is new since then writes past it.
    let bob = crate::common::id(&db.bob);
    let unseen = format!("INSERT INTO tasks (title, created_by) VALUES ('unseen', '{bob}')");
    connect(&db.owner).await.batch_execute(&unseen).await.unwrap();
    owner.batch_execute(&set(true)).await.unwrap();
    let report = look(db, None).await;
    tells(&report, "pages and indexes", "index idx_tasks_priority: heap tuple");
}
