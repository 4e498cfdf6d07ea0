//! Databases of every released schema, with data, are brought up to date: nothing is lost or altered, the schema is what
//! the migrations make, and work goes on. What a fixture is and how one is made stands in `fixtures/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "permissions/world.rs"]
#[allow(dead_code, reason = "the matrix uses all of it")]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use common::{Engine, Fresh, connect, seconds, with_fresh};
use store::{Actor, Config, Store, Target, audit_trail, migrate, task_queue, tasks, users, verify};

/// Schemas that were released: the number of the last migration of each.
const RELEASED: [i32; 1] = [21];
/// The tables that people's work is in: not even a row more.
const WORK: [&str; 8] =
    ["users", "tasks", "approvals", "notifications", "runs", "steps", "file_attachments", "approval_calls"];

/// Where the fixtures are.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(folder: &Path, version: i32, engine: Engine) -> PathBuf {
    folder.join(format!("{version:04}.{}.zst", if engine == Engine::Sqlite { "sqlite" } else { "postgres.sql" }))
}

/// A table's columns and, in no order, its rows; each value as text.
type Content = BTreeMap<String, (Vec<String>, Vec<Vec<Option<String>>>)>;

/// What stands in a database; of the tables and columns of `before` alone where that is given.
async fn content(config: &Config, before: Option<&Content>) -> Content {
    let mut found = match &config.target {
        Target::Sqlite(path) => {
            let file = rusqlite::Connection::open(path).unwrap();
            let mut out = Content::new();
            let tables = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '%fulltext%'";
            for pair in file.prepare(tables).unwrap().query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap() {
                let (table, column): (String, String) = pair.unwrap();
                out.entry(table).or_default().0.push(column);
            }
            if let Some(before) = before {
                out = before.iter().map(|(t, (columns, _))| (t.clone(), (columns.clone(), Vec::new()))).collect();
            }
            for (table, (columns, rows)) in &mut out {
                let list: Vec<String> = columns.iter().map(|c| format!("CAST({c} AS TEXT)")).collect();
                let mut read = file.prepare(&format!("SELECT {} FROM {table}", list.join(", "))).unwrap();
                let all =
                    read.query_map([], |r| (0..columns.len()).map(|i| r.get(i)).collect::<rusqlite::Result<Vec<_>>>());
                rows.extend(all.unwrap().map(Result::unwrap));
            }
            out
        }
        Target::Postgres(_) => {
            let client = connect(config).await;
            let mut out = Content::new();
            let tables = "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1, a.attnum";
            for row in client.query(tables, &[]).await.unwrap() {
                out.entry(row.get(0)).or_default().0.push(row.get(1));
            }
            if let Some(before) = before {
                out = before.iter().map(|(t, (columns, _))| (t.clone(), (columns.clone(), Vec::new()))).collect();
            }
            for (table, (columns, rows)) in &mut out {
                let list: Vec<String> = columns.iter().map(|c| format!("\"{c}\"::text")).collect();
                let all = client.query(&format!("SELECT {} FROM public.{table}", list.join(", ")), &[]).await.unwrap();
                rows.extend(all.iter().map(|r| (0..columns.len()).map(|i| r.get(i)).collect::<Vec<_>>()));
            }
            out
        }
    };
    found.remove("schema_migrations");
    found
}

/// The database of a fixture, as it was on the day.
async fn restore(folder: &Path, version: i32, fresh: &Fresh) {
    let packed = std::fs::read(fixture(folder, version, fresh.engine)).expect("a fixture for each released schema");
    let plain = zstd::decode_all(packed.as_slice()).unwrap();
    match fresh.engine {
        Engine::Sqlite => std::fs::write(fresh.path(), plain).unwrap(),
        Engine::Postgres => {
            let dump = String::from_utf8(plain).unwrap();
            let roles = "SELECT pg_advisory_lock(hashtextextended('steward.test.roles', 0)); DO $do$ DECLARE r text; BEGIN
                FOREACH r IN ARRAY ARRAY['app_user', 'app_definer', 'app_service'] LOOP
                    BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', r); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
                END LOOP;
                EXECUTE format('ALTER DATABASE %I SET timezone = ''UTC''', current_database());
                EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
            END $do$;";
            let client = connect(&fresh.owner).await;
            client.batch_execute(roles).await.unwrap();
            client.batch_execute(&dump).await.unwrap();
        }
    }
}

async fn upgrade(version: i32, engine: Engine) {
    with_fresh(engine, async |fresh| {
        restore(&kept(), version, fresh).await;
        let old = migrate::status(&fresh.owner).await.unwrap_or_else(|e| {
            panic!("a migration that was released with schema {version} was edited; undo that and add a new one: {e}")
        });
        assert_eq!(old.applied.last().unwrap().version, version);
        let before = content(&fresh.owner, None).await;
        assert!(before["tasks"].1.len() > 30 && before["audit_trail"].1.len() > 300, "the fixture has data");
        fresh.migrate().await;
        assert_eq!(migrate::drift(&fresh.owner).await.unwrap(), Vec::<String>::new());
        let after = content(&fresh.owner, Some(&before)).await;
        for (table, (columns, rows)) in &before {
            let (was, is): (BTreeSet<_>, BTreeSet<_>) = (rows.iter().collect(), after[table].1.iter().collect());
            let lost: Vec<_> = was.difference(&is).take(3).collect();
            assert!(lost.is_empty(), "{table} {columns:?}: these rows are gone or altered: {lost:?}");
            if WORK.contains(&table.as_str()) {
                assert_eq!(was, is, "{table}: rows that nobody wrote");
            }
        }
        // Work goes on where it stood.
        let store = Store::open(&fresh.runtime).await.unwrap();
        let service = Actor::service();
        let report = verify::run(&fresh.owner, &store, None, &|_| {}).await.unwrap();
        assert!(report.findings.iter().all(|f| f.check == "log partitions"), "{:#?}", report.findings);
        let employee = Actor::user(users::agent(&service, &store, "employee").await.unwrap().unwrap());
        assert!(task_queue::claim(&employee, &store, "w/1", seconds(60)).await.unwrap().is_some());
        let bob = Actor::user(users::named(&service, &store, "bob").await.unwrap().unwrap().id);
        let open = tasks::list(&bob, &store, Some("pending"), None, 1).await.unwrap().remove(0);
        assert!(
            tasks::set_status(&bob, &store, &tasks::Task { status: "completed".to_owned(), ..open }).await.unwrap()
        );
        assert!(audit_trail::verify(&service, &store).await.unwrap().broken.is_none());
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_released_schema_is_brought_up_to_date_on_sqlite() {
    for version in RELEASED {
        upgrade(version, Engine::Sqlite).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_released_schema_is_brought_up_to_date_on_postgres() {
    for version in RELEASED {
        upgrade(version, Engine::Postgres).await;
    }
}

/// Where `STEWARD_TEST_FIXTURES` says, else for nobody: fixtures of the schema as it is now, which can be loaded again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixture_can_be_made() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("STEWARD_TEST_FIXTURES").map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let version = migrate::MIGRATIONS.last().unwrap().version;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        common::with(engine, async |db| {
            world::every(db).await;
            // Behind whatever else the employee was left with.
            db.task("for the day after").await;
            let plain = match &db.owner.target {
                Target::Sqlite(path) => {
                    let whole = path.with_extension("whole");
                    let file = rusqlite::Connection::open(path).unwrap();
                    file.backup("main", &whole, None::<fn(rusqlite::backup::Progress)>).unwrap();
                    rusqlite::Connection::open(&whole).unwrap().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
                    std::fs::read(whole).unwrap()
                }
                Target::Postgres(target) => {
                    let owner = target.get_user().unwrap();
                    let url = common::postgres_url();
                    let (server, _) = url.rsplit_once('/').unwrap();
                    let url = format!("{server}/{}", target.get_dbname().unwrap());
                    let out = Command::new("pg_dump")
                        .args(["--inserts", "--rows-per-insert=50", "--quote-all-identifiers", &url])
                        .output()
                        .unwrap();
                    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                    let dump = String::from_utf8(out.stdout).unwrap();
                    // What is for psql alone.
                    let lines = dump.lines().filter(|l| !l.starts_with('\\'));
                    let text = lines.fold(String::new(), |all, line| all + line + "\n");
                    text.replace(&format!("OWNER TO \"{owner}\""), "OWNER TO CURRENT_USER").into_bytes()
                }
            };
            std::fs::write(fixture(&folder, version, engine), zstd::encode_all(plain.as_slice(), 19).unwrap()).unwrap();
        })
        .await;
        with_fresh(engine, async |fresh| {
            restore(&folder, version, fresh).await;
            fresh.migrate().await;
            assert_eq!(migrate::drift(&fresh.owner).await.unwrap(), Vec::<String>::new());
            assert!(content(&fresh.owner, None).await["tasks"].1.len() > 30);
        })
        .await;
    }
}
