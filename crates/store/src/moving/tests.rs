//! A whole database goes to the other engine and back, and is the same; what the other can't keep is refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use rusqlite::Connection;

use super::{Moved, Phase, Progress, run, shape, sqlite};
use crate::{
    Config, Error, Result, Store,
    common::{self, Db, Engine, Fresh, id, with_fresh},
    migrate,
    sqlite::{Access, connect},
    task_queue, tasks, verify,
};
use tokio_util::sync::CancellationToken;

async fn go(source: &Config, target: &Config) -> Result<Moved> {
    run(source, target, &|_| {}, &CancellationToken::new()).await
}

/// A peopled source with work under way: open, decided and finished tasks, runs, approvals, logs.
async fn with_world(test: impl AsyncFnOnce(&Db, &Fresh)) {
    common::with(Engine::Sqlite, async |db| {
        let first = db.task("first").await;
        let second =
            tasks::NewTask { dependencies: vec![first], ..tasks::NewTask::titled("second: Zoë's \u{1f600} tags") };
        let second = tasks::NewTask {
            assigned_to: Some(id(&db.employee)),
            tags: vec!["a,b".to_owned(), "\"q\"".to_owned(), String::new()],
            ..second
        };
        tasks::create(&db.bob, &db.store, &second).await.unwrap();
        db.approval(first).await;
        db.run(first).await;
        with_fresh(Engine::Postgres, async |to| test(db, to).await).await;
    })
    .await;
}

/// A file to move to.
fn new_file() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::from_url(&format!("sqlite://{}", folder.path().join("back.db").display())).unwrap();
    (folder, config)
}

/// A second connection to the source, without triggers, to write what Steward itself would not.
fn raw(config: &Config) -> Connection {
    let crate::Target::Sqlite(path) = &config.target else { panic!("a file") };
    let (connection, _) = connect(path, Access::Migrate, std::time::Duration::from_secs(20)).unwrap();
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    connection
}

async fn is_sound(owner: &Config) {
    assert_eq!(migrate::drift(owner).await.unwrap(), Vec::<String>::new());
    let store = Store::open(owner).await.unwrap();
    let report = verify::run(owner, &store, None, &|_| {}).await.unwrap();
    assert!(report.is_well(), "{:#?}", report.findings);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_again() {
    with_world(async |db, to| {
        raw(&db.config)
            .execute_batch(
                "INSERT INTO system_logs (id, timestamp, level, message) VALUES ('00000000-0000-4000-8000-000000000001', '2019-05-06T07:08:09.000001Z', 'info', 'old'), \
                   ('00000000-0000-4000-8000-000000000002', '1999-01-01T00:00:00.000000Z', 'info', NULL)",
            )
            .unwrap();
        let moved = go(&db.config, &to.owner).await.unwrap();
        assert!(moved.audit_seq.is_some_and(|seq| seq > 10) && !moved.resumed);
        assert!(moved.tables.iter().any(|t| t.name == "tasks" && t.rows == 2));
        // The oldest line is of no month that is made; it stays where such lines stay.
        let lines = crate::prepared::connect(&to.owner).await;
        lines.batch_execute("SET row_security = off; DELETE FROM system_logs_default").await.unwrap();
        is_sound(&to.owner).await;
        lines.batch_execute("INSERT INTO system_logs (id, timestamp, level) VALUES ('00000000-0000-4000-8000-000000000002', '1999-01-01 00:00Z', 'info')").await.unwrap();
        drop(lines);

        let (_folder, back) = new_file();
        let returned = go(&to.owner, &back).await.unwrap();
        assert_eq!(returned, moved, "every table has the same checksum, and the audit the same head");
        is_sound(&back).await;
        assert!(go(&db.config, &to.owner).await.unwrap_err().to_string().contains("not empty"));

        // Work goes on where it stood, on either.
        for config in [&to.owner, &back] {
            let store = Store::open(config).await.unwrap();
            let claimed = task_queue::claim(&db.employee, &store, "w/1", common::seconds(60)).await.unwrap().unwrap();
            let task = tasks::get(&db.bob, &store, claimed.task_id).await.unwrap().unwrap();
            assert_eq!(task.title, "first");
            let done = tasks::Task { status: "completed".to_owned(), ..task.clone() };
            assert!(tasks::set_status(&db.bob, &store, &done).await.unwrap());
            let next = task_queue::claim(&db.employee, &store, "w/1", common::seconds(60)).await.unwrap().unwrap();
            assert_ne!(next.task_id, task.id, "its dependant is free now");
            assert_eq!(tasks::search(&db.bob, &store, "Zoë", 5).await.unwrap().len(), 1, "found by its words");
            let chain = crate::audit_trail::verify(&db.ada, &store).await.unwrap();
            assert!(chain.broken.is_none());
            assert!(chain.links > moved.audit_seq.unwrap(), "and the audit goes on");
            store.close().await;
        }
        assert_eq!(raw(&db.config).query_row("SELECT count(*) FROM main.tasks WHERE status = 'completed'", [], |r| r.get::<_, i64>(0)).unwrap(), 0, "the source is as it was");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_broken_off_goes_on() {
    const LINES: i64 = 12_000;
    with_world(async |db, to| {
        raw(&db.config)
            .execute_batch(&format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LINES}) \
                 INSERT INTO system_logs (level, message) SELECT 'info', 'line ' || i FROM n"
            ))
            .unwrap();
        let (stop, told) = (CancellationToken::new(), AtomicUsize::new(0));
        let watch = |p: &Progress<'_>| {
            if p.table == "system_logs" && p.phase == Phase::Copying && told.fetch_add(1, Ordering::Relaxed) == 1 {
                stop.cancel();
            }
        };
        let ended = run(&db.config, &to.owner, &watch, &stop).await.unwrap_err();
        assert!(ended.to_string().contains("goes on where it stands"), "{ended}");
        let half = migrate::require_current(&to.owner).await.unwrap_err().to_string();
        assert!(half.contains("unfinished target of a move"), "{half}");
        assert!(migrate::migrate(&to.owner).await.is_err());
        let began_at = std::sync::Mutex::new(None);
        let watch = |p: &Progress<'_>| {
            if p.table == "system_logs" {
                began_at.lock().unwrap().get_or_insert(p.rows);
            }
        };
        let moved = run(&db.config, &to.owner, &watch, &CancellationToken::new()).await.unwrap();
        assert!(moved.resumed);
        assert_eq!(began_at.into_inner().unwrap(), Some(5000), "what was there stays");
        assert!(moved.tables.iter().any(|t| t.name == "system_logs" && t.rows == LINES));
        is_sound(&to.owner).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_said() {
    with_world(async |db, to| {
        to.migrate().await;
        let same = go(&db.config, &db.config).await.unwrap_err().to_string();
        assert!(same.contains("from SQLite to PostgreSQL or back"), "{same}");
        let file = raw(&db.config);
        for (value, reason) in [("'a' || char(0) || 'b'", "NUL"), ("'\u{ff}'", ""), ("CAST(x'ff' AS TEXT)", "UTF-8")] {
            file.execute_batch(&format!("UPDATE tasks SET description = {value} WHERE title = 'first'")).unwrap();
            let fresh = Fresh::new(Engine::Postgres).await;
            let said = go(&db.config, &fresh.owner).await;
            fresh.remove().await;
            match said {
                Ok(_) => assert_eq!(reason, "", "{value}"),
                Err(Error::Decode { column, reason: why }) => {
                    assert!(
                        column.starts_with("tasks.description of the row")
                            && why.contains(reason)
                            && !reason.is_empty(),
                        "{column}: {why}"
                    );
                }
                Err(other) => panic!("{value}: {other}"),
            }
        }
        file.execute_batch(
            "UPDATE tasks SET description = NULL, metadata = '{\"a\": \"\\u0000\"}' WHERE title = 'first'",
        )
        .unwrap();
        let said = go(&db.config, &to.owner).await.unwrap_err().to_string();
        assert!(said.contains("tasks.metadata") && said.contains("\\u0000"), "{said}");
        file.execute_batch("UPDATE tasks SET metadata = '{}' WHERE title = 'first'").unwrap();
        // The first try noted where it stood; the source is another since, and only its audit head can tell.
        let moved = go(&db.config, &to.owner).await.unwrap();
        assert!(moved.resumed);
        let working = Store::open(&to.runtime).await.unwrap();
        tasks::list(&db.bob, &working, None, None, 5).await.unwrap();
        let (_folder, back) = new_file();
        let said = go(&to.owner, &back).await.unwrap_err().to_string();
        assert!(said.contains("stop every Steward"), "{said}");
        working.close().await;
        go(&to.owner, &back).await.unwrap();
    })
    .await;
}

fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("-0".to_owned()),
        Just("0.00".to_owned()),
        Just("1e400".to_owned()),
        Just("12345678901234567890.123".to_owned()),
        Just("1.10".to_owned()),
        Just("-2.5E-7".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:e}")),
    ];
    let text = prop_oneof![
        "[^\u{0}]{0,12}".prop_map(|t| serde_json::to_string(&t).unwrap()),
        Just("\"\\u00e9\\ud83d\\ude00\\/\\b\"".to_owned()),
    ];
    let leaf = prop_oneof![number, text.clone(), Just("null".to_owned()), Just("true".to_owned())];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(" , "))),
            prop::collection::vec((text.clone(), inner), 0..4).prop_map(|m| format!(
                "{{{}}}",
                m.iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(",")
            )),
        ]
    })
}

fn ip() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|a| a.to_string()),
        any::<std::net::Ipv6Addr>()
            .prop_filter("not in the old form", |a| a.segments()[..6] != [0; 6])
            .prop_map(|a| a.to_string()),
        Just("::1".to_owned()),
        Just("::ffff:1.2.3.4".to_owned()),
        Just("10.0.0.0/8".to_owned()),
    ]
}

fn moment() -> impl Strategy<Value = String> {
    (-62_135_596_800_000_000_i64..253_402_300_799_999_999)
        .prop_map(|us| crate::value::time_text(jiff::Timestamp::from_microsecond(us).unwrap()))
}

/// Whatever is in a row, it comes back the same from the other engine: equal JSON, and every other value to the byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_rows_come_back() {
    const ROWS: usize = 400;
    with_world(async |db, to| {
        let mut runner = TestRunner::deterministic();
        let row = (".*", json(), prop::collection::vec("[^\u{0}]{0,9}", 0..4), prop::option::of(ip()), moment(), prop::option::of(any::<i32>().prop_map(|n| n & i32::MAX)));
        let file = raw(&db.config);
        file.execute_batch("BEGIN").unwrap();
        for _ in 0..ROWS {
            let (text, json, list, ip, moment, number) = row.new_tree(&mut runner).unwrap().current();
            let text = text.replace('\0', "");
            let list = serde_json::to_string(&list).unwrap();
            file.execute(
                "INSERT INTO tasks (title, description, metadata, tags, created_at, due_date, estimated_duration) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
                (text.chars().take(255).collect::<String>(), &text, &json, &list, &moment, number),
            )
            .unwrap();
            file.execute(
                "INSERT INTO system_logs (timestamp, level, message, ip_address, metadata) VALUES (?1, 'info', ?2, ?3, ?4)",
                (&moment, &text, &ip, &json),
            )
            .unwrap();
        }
        file.execute_batch("COMMIT").unwrap();
        let there = go(&db.config, &to.owner).await.unwrap();
        let (_folder, back) = new_file();
        assert_eq!(go(&to.owner, &back).await.unwrap(), there);
        // Not only by the move's own account.
        let returned = raw(&back);
        for (sql, what) in [
            ("SELECT group_concat(h, '') FROM (SELECT hex(title || coalesce(description, '')) || tags || created_at || coalesce(estimated_duration, '') AS h FROM main.tasks ORDER BY id)", "tasks"),
            ("SELECT group_concat(h, '') FROM (SELECT hex(coalesce(message, '')) || coalesce(ip_address, '') || timestamp AS h FROM main.system_logs ORDER BY id)", "logs"),
        ] {
            let texts = [&file, &returned].map(|c| c.query_row(sql, [], |r| r.get::<_, Option<String>>(0)).unwrap().unwrap());
            assert!(texts[0] == texts[1], "{what} differ");
        }
        let metadata = |c: &Connection| -> Vec<String> {
            let mut all = c.prepare("SELECT metadata FROM main.tasks ORDER BY id").unwrap();
            all.query_map([], |r| r.get::<_, String>(0)).unwrap().map(|t| crate::canonical::jsonb_text(&t.unwrap()).unwrap()).collect()
        };
        assert_eq!(metadata(&file), metadata(&returned));
        drop(returned);
        is_sound(&back).await;
    })
    .await;
}

/// A table that is new on one engine alone would stay behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_stays_behind() {
    with_world(async |db, to| {
        to.migrate().await;
        let tables = shape::tables(&crate::prepared::connect(&to.owner).await).await.unwrap();
        let crate::Target::Sqlite(path) = &db.config.target else { panic!("a file") };
        let file = sqlite::open_source(path).unwrap();
        shape::check_sqlite(&file, &tables).unwrap();
        let mut names = file
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
            .unwrap();
        let names: Vec<String> = names.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        let left: Vec<&String> =
            names.iter().filter(|n| !tables.iter().any(|t| t.name == **n) && !n.contains("_fulltext")).collect();
        assert_eq!(
            left,
            ["schema_migrations", "task_dependencies"],
            "what triggers keep is filled in by moving/sqlite.rs"
        );
    })
    .await;
}
