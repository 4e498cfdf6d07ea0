//! The migrator: all or nothing, once, one after the other, with a copy first; and drift.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

use common::{Engine, Fresh, connect, people, target, with_fresh};
use store::{
    Config, Error, Store, Target, migrate,
    migrate::MIGRATIONS,
    tasks::{self, NewTask},
};

macro_rules! on_both {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::with_fresh(super::Engine::Sqlite, super::$name).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::with_fresh(super::Engine::Postgres, super::$name).await;
            }
        }
    )* };
}
on_both!(once_and_in_order, two_at_once, drift_shows, a_newer_database_is_refused, a_changed_migration_is_refused);

/// Runs SQL as the owner, with SQLite's own library and nothing of Steward's.
async fn raw(config: &Config, sql: &str) -> Result<(), String> {
    match &config.target {
        Target::Sqlite(path) => {
            let (path, sql) = (path.clone(), sql.to_owned());
            tokio::task::spawn_blocking(move || {
                rusqlite::Connection::open(path).and_then(|c| c.execute_batch(&sql)).map_err(|e| e.to_string())
            })
            .await
            .unwrap()
        }
        Target::Postgres(_) => connect(config).await.batch_execute(sql).await.map_err(|e| format!("{e:?}")),
    }
}

fn names() -> Vec<String> {
    MIGRATIONS.iter().map(|m| m.name.to_owned()).collect()
}

async fn once_and_in_order(fresh: &Fresh) {
    let before = migrate::status(&fresh.owner).await.unwrap();
    assert_eq!((before.applied.len(), before.pending), (0, names()));
    assert!(fresh.engine == Engine::Postgres || !fresh.path().exists(), "a look makes no file");
    let old = migrate::require_current(&fresh.owner).await.unwrap_err().to_string();
    assert!(old.contains("steward db migrate") && old.contains("users"), "{old}");

    let first = migrate::migrate(&fresh.owner).await.unwrap();
    assert_eq!((first.applied, first.copy), (names(), None), "there was nothing to copy");
    let second = migrate::migrate(&fresh.owner).await.unwrap();
    assert_eq!((second.applied.len(), second.copy), (0, None));
    let after = migrate::status(&fresh.owner).await.unwrap();
    assert_eq!(after.pending, Vec::<String>::new());
    assert_eq!(
        after.applied.iter().map(|a| a.version).collect::<Vec<_>>(),
        MIGRATIONS.iter().map(|m| m.version).collect::<Vec<_>>()
    );
    assert_eq!(after.engine, if fresh.engine == Engine::Sqlite { "SQLite" } else { "PostgreSQL" });
    assert!(after.applied.iter().all(|a| a.checksum.len() == 64 && a.applied_at <= store::now()));
    migrate::require_current(&fresh.owner).await.unwrap();
    assert_eq!(migrate::drift(&fresh.owner).await.unwrap(), Vec::<String>::new());
}

async fn two_at_once(fresh: &Fresh) {
    let mut both = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let config = fresh.owner.clone();
        both.spawn(async move { migrate::migrate(&config).await.unwrap().applied });
    }
    let mut applied = both.join_all().await;
    applied.sort_by_key(Vec::len);
    assert_eq!(applied, [vec![], vec![], vec![], names()], "one does it, the others wait and find it done");
    assert_eq!(migrate::status(&fresh.owner).await.unwrap().applied.len(), MIGRATIONS.len());
    assert_eq!(migrate::drift(&fresh.owner).await.unwrap(), Vec::<String>::new());
}

async fn drift_shows(fresh: &Fresh) {
    fresh.migrate().await;
    // The people's work is no drift.
    let store = Store::open(&fresh.runtime).await.unwrap();
    let people = people(&store).await;
    tasks::create(&people.bob, &store, &NewTask::titled("x")).await.unwrap();
    store.close().await;
    assert_eq!(migrate::drift(&fresh.owner).await.unwrap(), Vec::<String>::new());
    raw(
        &fresh.owner,
        "ALTER TABLE watchers ADD COLUMN mood TEXT; DROP INDEX idx_tasks_priority; CREATE TABLE stranger (id TEXT)",
    )
    .await
    .unwrap();
    if fresh.engine == Engine::Postgres {
        raw(&fresh.owner, "ALTER POLICY user_can_view_own_tasks ON tasks USING (true); GRANT DELETE ON approvals TO app_user; ALTER TABLE runs NO FORCE ROW LEVEL SECURITY; DROP TRIGGER trg_tasks_audit ON tasks")
            .await
            .unwrap();
    } else {
        raw(&fresh.owner, "DROP TRIGGER trg_tasks_audit").await.unwrap();
    }
    let lines = migrate::drift(&fresh.owner).await.unwrap();
    let starts: &[&str] = if fresh.engine == Engine::Postgres {
        &[
            "differs: grant approvals to app_user: should be [INSERT, SELECT], is [DELETE, INSERT, SELECT]",
            "differs: policy tasks.user_can_view_own_tasks",
            "differs: table runs",
            "missing: index idx_tasks_priority",
            "missing: trigger tasks.trg_tasks_audit",
            "foreign: column stranger.id",
            "foreign: column watchers.mood",
            "foreign: table stranger",
        ]
    } else {
        &[
            "missing: index idx_tasks_priority",
            "differs: table watchers",
            "missing: trigger trg_tasks_audit",
            "foreign: table stranger",
        ]
    };
    for start in starts {
        assert!(lines.iter().any(|l| l.starts_with(start)), "{start} is not in\n{}", lines.join("\n"));
    }
    assert_eq!(lines.len(), starts.len(), "{}", lines.join("\n"));
}

async fn a_newer_database_is_refused(fresh: &Fresh) {
    fresh.migrate().await;
    let newer = "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (9999, 'future', 'x', '2030-01-01T00:00:00.000000Z')";
    raw(&fresh.owner, newer).await.unwrap();
    for said in [
        migrate::migrate(&fresh.owner).await.unwrap_err(),
        migrate::status(&fresh.owner).await.unwrap_err(),
        migrate::require_current(&fresh.owner).await.unwrap_err(),
    ] {
        let Error::Schema(text) = said else { panic!("{said}") };
        assert!(text.contains("newer Steward") && text.contains("9999 future"), "{text}");
    }
}

async fn a_changed_migration_is_refused(fresh: &Fresh) {
    fresh.migrate().await;
    raw(&fresh.owner, "UPDATE schema_migrations SET checksum = 'other' WHERE version = 3").await.unwrap();
    let text = migrate::migrate(&fresh.owner).await.unwrap_err().to_string();
    assert!(text.contains("migration 3 approvals was applied with another text"), "{text}");
}

/// The runtime role may look, and see that the schema is old, but not migrate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runtime_role_looks_and_does_not_migrate() {
    with_fresh(Engine::Postgres, async |fresh| {
        fresh.migrate().await;
        migrate::require_current(&fresh.runtime).await.unwrap();
        assert_eq!(
            migrate::migrate(&fresh.runtime).await.unwrap().applied,
            Vec::<String>::new(),
            "there is nothing to do"
        );
        assert!(
            matches!(migrate::drift(&fresh.runtime).await, Err(Error::Refused { .. })),
            "it may make no scratch database"
        );
        raw(&fresh.owner, "DELETE FROM schema_migrations WHERE version = 21").await.unwrap();
        let text = migrate::require_current(&fresh.runtime).await.unwrap_err().to_string();
        assert!(text.contains("1 of") && text.contains("privileges") && text.contains("steward db migrate"), "{text}");
        assert!(migrate::migrate(&fresh.runtime).await.is_err());
    })
    .await;
}

/// Nobody needs a superuser: an owner with CREATEROLE migrates, and the runtime role works on what it made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_without_superuser_migrates() {
    with_fresh(Engine::Postgres, async |fresh| {
        let tag = uuid::Uuid::now_v7().simple().to_string();
        let owner = format!("steward_owner_{tag}");
        let mut config = fresh.owner.clone();
        let database = target(&mut config).get_dbname().unwrap().to_owned();
        target(&mut config).user(&owner).password("x");
        raw(&fresh.owner, &format!("CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB PASSWORD 'x'; ALTER DATABASE {database} OWNER TO {owner}")).await.unwrap();
        let outcome = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async {
            let report = migrate::migrate(&config).await.unwrap();
            assert_eq!(report.applied, names());
            assert_eq!(migrate::drift(&config).await.unwrap(), Vec::<String>::new());
            migrate::require_current(&config).await.unwrap();
            let mut runtime = fresh.runtime.clone();
            let role = target(&mut runtime).get_user().unwrap().to_owned();
            raw(&config, &format!("CREATE ROLE {role} LOGIN PASSWORD '{}' IN ROLE app_user, app_service", role.trim_start_matches("steward_runtime_"))).await.unwrap();
            let store = Store::open(&runtime).await.unwrap();
            let people = people(&store).await;
            let task = tasks::create(&people.bob, &store, &NewTask { assigned_to: people.employee.user_id(), ..NewTask::titled("x") }).await.unwrap();
            assert!(tasks::get(&people.cat, &store, task).await.unwrap().is_none());
            assert!(tasks::search(&people.bob, &store, "x", 5).await.unwrap().len() == 1);
            tasks::assign(&people.bob, &store, task, None).await.unwrap();
            assert!(tasks::delete(&people.bob, &store, task).await.unwrap());
            let report = store::audit_trail::verify(&people.ada, &store).await.unwrap();
            assert!(report.broken.is_none() && report.links > 10);
            store.close().await;
        }))
        .await;
        let undo = format!("ALTER DATABASE {database} OWNER TO CURRENT_USER; REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {owner}");
        raw(&fresh.owner, &undo).await.unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    })
    .await;
}
