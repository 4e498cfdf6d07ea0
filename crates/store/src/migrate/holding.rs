//! Tests of migrations beside running work on PostgreSQL: nobody waits long behind one, and what broke off goes on.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::{MIGRATIONS, dry_run::Plan, failing::and, postgres, postgres_dry_run, sqlite};
use crate::{Config, Error, prepared};

const KNOWN: usize = MIGRATIONS.len();
const ONLINE: &str =
    "-- An index.\n-- online\nCREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_further ON tasks(title);";
const COLUMN: &str = "ALTER TABLE tasks ADD COLUMN further TEXT;";

/// Asks until the answer is yes; the server's own work between two questions is the pause.
async fn until(client: &Client, question: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !client.query_one(question, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < end, "it never came: {question}");
    }
}

async fn migrated(config: &Config) -> Client {
    postgres::migrate(config, MIGRATIONS).await.unwrap();
    let client = prepared::connect(config).await;
    client.batch_execute("INSERT INTO tasks (title) SELECT 'task ' || n FROM generate_series(1, 100) n").await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_built_while_others_write() {
    prepared::with_database(async |config| {
        let mut writer = migrated(config).await;
        let watcher = prepared::connect(config).await;
        // What an earlier try left: an index that was never finished.
        writer.batch_execute("UPDATE tasks SET title = 'the same' WHERE title IN ('task 1', 'task 2')").await.unwrap();
        let failed = writer.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY idx_tasks_further ON tasks(title)").await;
        assert!(failed.is_err());
        let under_way = writer.transaction().await.unwrap();
        under_way.batch_execute("INSERT INTO tasks (title) VALUES ('held open')").await.unwrap();
        let config = config.clone();
        let migration = tokio::spawn(async move { postgres::migrate(&config, and(KNOWN, ONLINE)).await });
        until(&watcher, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INDEX CONCURRENTLY%')").await;
        watcher.batch_execute("SET lock_timeout = '2s'; INSERT INTO tasks (title) VALUES ('meanwhile')").await.unwrap();
        under_way.commit().await.unwrap();
        assert_eq!(migration.await.unwrap().unwrap().applied, ["further"]);
        let valid = "SELECT indisvalid AND NOT indisunique FROM pg_index WHERE indexrelid = 'idx_tasks_further'::regclass";
        assert!(watcher.query_one(valid, &[]).await.unwrap().get::<_, bool>(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_steps_back_from_a_table_in_use() {
    prepared::with_database(async |config| {
        let mut reader = migrated(config).await;
        let watcher = prepared::connect(config).await;
        let under_way = reader.transaction().await.unwrap();
        under_way.batch_execute("SELECT count(*) FROM tasks").await.unwrap();
        let config = config.clone();
        let migration = tokio::spawn(async move { postgres::migrate(&config, and(KNOWN, COLUMN)).await });
        let waits = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() WHERE l.relation = 'tasks'::regclass AND NOT l.granted)";
        until(&watcher, waits).await;
        until(&watcher, &waits.replacen("SELECT EXISTS", "SELECT NOT EXISTS", 1)).await;
        // It stepped back although the table is still in use: who comes now does not wait.
        watcher.batch_execute("SET lock_timeout = '5s'; INSERT INTO tasks (title) VALUES ('meanwhile')").await.unwrap();
        under_way.commit().await.unwrap();
        assert_eq!(migration.await.unwrap().unwrap().applied, ["further"]);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_built_leaves_no_half_index() {
    const TWICE: &str = "-- Two tasks may not be called alike.\n-- online\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_further ON tasks(title);";
    prepared::with_database(async |config| {
        let client = migrated(config).await;
        client.batch_execute("INSERT INTO tasks (title) VALUES ('task 1')").await.unwrap();
        let said = postgres::migrate(config, and(KNOWN, TWICE)).await.unwrap_err();
        assert!(matches!(&said, Error::Schema(text) if text.contains("goes on from there")), "{said}");
        let left = client.query_one("SELECT to_regclass('idx_tasks_further') IS NULL", &[]).await.unwrap();
        assert!(left.get::<_, bool>(0));
        client.batch_execute("DELETE FROM tasks WHERE title = 'task 1'").await.unwrap();
        assert_eq!(postgres::migrate(config, and(KNOWN, TWICE)).await.unwrap().applied, ["further"]);
    })
    .await;
}

const SEVERAL: &str = "ALTER TABLE tasks ADD COLUMN further TEXT; CREATE INDEX idx_watchers_further ON watchers(name); \
    UPDATE watchers SET name = name; CREATE TABLE further (id INTEGER PRIMARY KEY);";

fn texts(plan: &Plan) -> Vec<&str> {
    plan.migrations
        .iter()
        .flat_map(|m| m.statements.iter().map(|s| s.text.split(' ').next().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn a_dry_run_says_what_postgresql_would_lock() {
    prepared::with_database(async |config| {
        let client = migrated(config).await;
        client.batch_execute("ANALYZE tasks").await.unwrap();
        let plan = postgres_dry_run::dry_run(config, and(KNOWN, SEVERAL)).await.unwrap();
        assert_eq!(texts(&plan), ["ALTER", "CREATE", "UPDATE", "CREATE"]);
        let statements = &plan.migrations[0].statements;
        let lock = &statements[0].locks[0];
        assert_eq!(
            (lock.table.as_str(), lock.mode.as_str(), lock.keeps_out),
            ("tasks", "AccessExclusiveLock", "readers and writers")
        );
        assert!(lock.rows == 100 && lock.size_bytes > 8192, "{lock:?}");
        assert_eq!(statements[1].locks[0].mode, "ShareLock");
        assert_eq!(statements[1].work, ["builds an index of watchers"]);
        assert_eq!(statements[2].work, ["may change every row of watchers"]);
        let online = postgres_dry_run::dry_run(config, and(KNOWN, ONLINE)).await.unwrap();
        assert!(online.migrations[0].is_online && online.migrations[0].statements[0].text.contains("CONCURRENTLY"));
        assert_eq!(online.migrations[0].statements[0].locks[0].keeps_out, "nobody but upkeep");
        let refused =
            postgres_dry_run::dry_run(config, and(KNOWN, "ALTER TABLE nothing ADD COLUMN x TEXT;")).await.unwrap_err();
        assert!(refused.to_string().contains("would fail"), "{refused}");
        assert_eq!(super::drift(config).await.unwrap(), Vec::<String>::new(), "nothing was changed");
    })
    .await;
}

#[test]
fn a_dry_run_leaves_a_sqlite_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steward.db");
    let empty = sqlite::dry_run(&path, MIGRATIONS).unwrap();
    assert_eq!((empty.migrations.len(), empty.copy_ms), (KNOWN, None));
    assert!(!path.exists());
    sqlite::migrate(&path, MIGRATIONS).unwrap();
    let plan = sqlite::dry_run(&path, and(KNOWN, SEVERAL)).unwrap();
    assert_eq!(texts(&plan), ["ALTER", "CREATE", "UPDATE", "CREATE"]);
    assert!(plan.copy_ms.is_some());
    assert_eq!(sqlite::drift(&path).unwrap(), Vec::<String>::new());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(left.iter().all(|f| !f.to_string_lossy().contains("copy")), "{left:?}");
    assert!(
        sqlite::dry_run(&path, and(KNOWN, "ALTER TABLE nothing ADD COLUMN x TEXT;"))
            .unwrap_err()
            .to_string()
            .contains("would fail")
    );
}
