//! A fresh, migrated, peopled database for each test, on either engine, gone afterwards.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod cluster;
pub mod pooler;
pub mod private;
pub mod proxy;
pub mod standby;

use std::{panic::AssertUnwindSafe, path::PathBuf, time::Duration};

use futures_util::FutureExt;
use serde_json::json;
use store::{
    Actor, Config, Error, Store, Target,
    approvals::{self, NewApproval},
    migrate, runs,
    tasks::{self, NewTask},
    users::{self, NewUser},
};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Far longer than any test needs on a busy machine; a test that hangs is named by it.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The two engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database with its people.
pub struct Db {
    pub engine: Engine,
    /// What is tested. On PostgreSQL it connects as a role that is only a member of `app_user` and `app_service`.
    pub store: Store,
    /// How `store` connects.
    pub config: Config,
    /// How the owner connects, to migrate and to tamper.
    pub owner: Config,
    pub people: People,
}

/// One of each kind.
#[derive(Debug, Clone)]
pub struct People {
    /// An administrator.
    pub ada: Actor,
    /// A user.
    pub bob: Actor,
    /// Another user.
    pub cat: Actor,
    /// An observer.
    pub obs: Actor,
    /// A suspended user.
    pub sus: Actor,
    /// An inactive user.
    pub ina: Actor,
    /// An agent with the role of a user.
    pub employee: Actor,
    /// An agent with the role of an administrator.
    pub admin_agent: Actor,
    pub service: Actor,
    pub nobody: Actor,
}

impl std::ops::Deref for Db {
    type Target = People;
    fn deref(&self) -> &People {
        &self.people
    }
}

/// The id of an actor that is a user.
pub fn id(actor: &Actor) -> Uuid {
    actor.user_id().expect("a user")
}

/// What an error is, without its words: the same on both engines.
pub fn kind(error: &Error) -> String {
    match error {
        Error::Refused { .. } => "refused".to_owned(),
        Error::Constraint { constraint, .. } => constraint.clone(),
        Error::RolledBack => "rolled back".to_owned(),
        other => format!("unexpected: {other:?}"),
    }
}

/// The name of the refusal, or panics.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    kind(&result.expect_err("this must be refused"))
}

/// A database that is dropped at the end.
pub struct Fresh {
    pub engine: Engine,
    /// As owner.
    pub owner: Config,
    /// As the runtime role (PostgreSQL), else the same.
    pub runtime: Config,
    folder: Option<tempfile::TempDir>,
    names: Option<(String, String)>,
}

/// The PostgreSQL that tests may use, as superuser.
pub fn postgres_url() -> String {
    std::env::var("STEWARD_TEST_POSTGRES_URL")
        .expect("STEWARD_TEST_POSTGRES_URL is not set: run ./test, or name a PostgreSQL 15+ superuser URL there")
}

pub fn target(config: &mut Config) -> &mut tokio_postgres::Config {
    match &mut config.target {
        Target::Postgres(target) => target,
        Target::Sqlite(_) => panic!("not a PostgreSQL URL"),
    }
}

pub async fn connect(config: &Config) -> Client {
    let mut config = config.clone();
    let (client, connection) = target(&mut config)
        .connect(NoTls)
        .await
        .unwrap_or_else(|e| panic!("{} does not answer: {e:?}", config.describe()));
    tokio::spawn(connection);
    client
}

impl Fresh {
    /// An empty database, not migrated.
    pub async fn new(engine: Engine) -> Self {
        Self::made_of(engine, "template0").await
    }

    /// An empty PostgreSQL database whose letters sort as in an English dictionary, not by their bytes.
    pub async fn in_english() -> Self {
        Self::made_of(Engine::Postgres, "template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'").await
    }

    /// A copy of another fresh database that nobody is connected to.
    pub async fn copy_of(other: &Self) -> Self {
        let Some((template, _)) = &other.names else {
            let this = Self::new(Engine::Sqlite).await;
            std::fs::copy(other.path(), this.path()).unwrap();
            return this;
        };
        let this = Self::made_of(Engine::Postgres, template).await;
        let (_, role) = this.names.as_ref().unwrap();
        connect(&this.owner).await.batch_execute(&login(role, &role_password(role))).await.expect("CREATE ROLE");
        this
    }

    /// A database with the schema. On PostgreSQL it is a copy of one that was migrated once for all tests of these migrations
    /// on this server, in a fraction of the time.
    pub async fn migrated(engine: Engine) -> Self {
        if engine == Engine::Sqlite {
            let this = Self::new(engine).await;
            this.migrate().await;
            return this;
        }
        let template = migrated_template().await;
        let this = Self::made_of(engine, &template).await;
        let (database, role) = this.names.as_ref().unwrap();
        // What belongs to the database as a whole is not copied: its rights and its settings.
        let whole = format!(
            "UPDATE pg_database d SET datacl = t.datacl FROM pg_database t WHERE t.datname = '{template}' AND d.datname = '{database}';
             INSERT INTO pg_db_role_setting SELECT d.oid, s.setrole, s.setconfig FROM pg_db_role_setting s
             JOIN pg_database t ON t.oid = s.setdatabase JOIN pg_database d ON d.datname = '{database}' WHERE t.datname = '{template}'"
        );
        let admin = connect(&Config::from_url(&postgres_url()).unwrap()).await;
        admin
            .batch_execute(&format!("{whole}; {}", login(role, &role_password(role))))
            .await
            .expect("a copy of the template");
        this
    }

    async fn made_of(engine: Engine, template: &str) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join("steward.db").display());
                let owner = Config::from_url(&url).unwrap();
                Self { engine, runtime: owner.clone(), owner, folder: Some(folder), names: None }
            }
            Engine::Postgres => {
                let mut owner = Config::from_url(&postgres_url()).unwrap();
                let admin = connect(&owner).await;
                let tag = Uuid::now_v7().simple().to_string();
                let (database, role) = (format!("steward_test_{tag}"), format!("steward_runtime_{tag}"));
                admin
                    // Copied as files, and not page by page through the log.
                    .batch_execute(&format!("CREATE DATABASE {database} TEMPLATE {template} STRATEGY file_copy"))
                    .await
                    .expect("CREATE DATABASE");
                target(&mut owner).dbname(&database);
                owner.pool_size = 8;
                let mut runtime = owner.clone();
                target(&mut runtime).user(&role).password(&tag);
                Self { engine, owner, runtime, folder: None, names: Some((database, role)) }
            }
        }
    }

    /// Migrates, and on PostgreSQL makes the runtime role.
    pub async fn migrate(&self) {
        migrate::migrate(&self.owner).await.unwrap();
        if let Some((_, role)) = &self.names {
            connect(&self.owner).await.batch_execute(&login(role, &role_password(role))).await.expect("CREATE ROLE");
        }
    }

    /// The file (SQLite).
    pub fn path(&self) -> PathBuf {
        match &self.owner.target {
            Target::Sqlite(path) => path.clone(),
            Target::Postgres(_) => panic!("PostgreSQL has no file"),
        }
    }

    /// The folder of the file (SQLite).
    pub fn folder(&self) -> PathBuf {
        self.folder.as_ref().expect("SQLite").path().to_owned()
    }

    /// Drops what was made.
    pub async fn remove(self) {
        if let Some((database, role)) = &self.names {
            let admin = connect(&Config::from_url(&postgres_url()).unwrap()).await;
            admin.batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await.unwrap();
            admin.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).await.unwrap();
        }
    }
}

/// The database that others are copied from, by its migrations' hash; the first test that needs it makes it.
async fn migrated_template() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let name = format!("steward_template_{}", &store::canonical::sha256_hex(&texts)[..16]);
    let mut owner = Config::from_url(&postgres_url()).unwrap();
    let admin = connect(&owner).await;
    admin.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", &[&name]).await.unwrap();
    if admin.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.unwrap().is_none() {
        let half = format!("{name}_half");
        for sql in [format!("DROP DATABASE IF EXISTS {half}"), format!("CREATE DATABASE {half} TEMPLATE template0")] {
            admin.batch_execute(&sql).await.unwrap();
        }
        target(&mut owner).dbname(&half);
        migrate::migrate(&owner).await.unwrap();
        // One more session may still be on its way out.
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{half}'; "
            ))
            .await
            .unwrap();
        admin.batch_execute(&format!("ALTER DATABASE {half} RENAME TO {name}")).await.unwrap();
    }
    name
}

fn login(role: &str, password: &str) -> String {
    format!("CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE app_user, app_service")
}
fn role_password(role: &str) -> String {
    role.trim_start_matches("steward_runtime_").to_owned()
}

/// Runs `test` with an empty database and removes it whatever happens.
pub async fn with_fresh(engine: Engine, test: impl AsyncFnOnce(&Fresh)) {
    and_remove(Fresh::new(engine).await, test).await;
}

/// Runs `test` with a database and removes it whatever happens.
pub async fn and_remove(fresh: Fresh, test: impl AsyncFnOnce(&Fresh)) {
    let outcome = AssertUnwindSafe(tokio::time::timeout(TIME_LIMIT, test(&fresh))).catch_unwind().await;
    fresh.remove().await;
    match outcome {
        Ok(in_time) => in_time.expect("the test takes too long"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs `test` with a migrated and peopled database.
pub async fn with(engine: Engine, test: impl AsyncFnOnce(&Db)) {
    and_remove(Fresh::migrated(engine).await, async |fresh| {
        let store = Store::open(&fresh.runtime).await.unwrap();
        let people = people(&store).await;
        let db = Db { engine, store, config: fresh.runtime.clone(), owner: fresh.owner.clone(), people };
        test(&db).await;
        db.store.close().await;
    })
    .await;
}

/// Makes one test an engine of each scenario.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::common::with($crate::common::Engine::Sqlite, super::$name).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::common::with($crate::common::Engine::Postgres, super::$name).await;
            }
        }
    )* };
}

pub fn new_user(name: &str, role: &str) -> NewUser {
    NewUser {
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        password_hash: format!("$argon2id$of-{name}"),
        role: role.to_owned(),
        first_name: Some(name.to_uppercase()),
        last_name: None,
    }
}

/// Makes the people: the first administrator as the service does at set-up, the others as the administrator does.
pub async fn people(store: &Store) -> People {
    let service = Actor::service();
    let ada = Actor::user(users::create(&service, store, &new_user("ada", "admin")).await.unwrap());
    let mut made = Vec::new();
    for (name, role) in [
        ("bob", "user"),
        ("cat", "user"),
        ("obs", "observer"),
        ("sus", "user"),
        ("ina", "user"),
        ("employee", "user"),
        ("admin-agent", "admin"),
    ] {
        made.push(users::create(&ada, store, &new_user(name, role)).await.unwrap());
    }
    let [bob, cat, obs, sus, ina, employee, admin_agent] = made[..] else { panic!("seven people") };
    assert!(users::set_status(&ada, store, sus, "suspended").await.unwrap());
    assert!(users::set_status(&ada, store, ina, "inactive").await.unwrap());
    users::make_agent(&ada, store, employee, "employee").await.unwrap();
    users::make_agent(&ada, store, admin_agent, "steward").await.unwrap();
    People {
        ada,
        bob: Actor::user(bob),
        cat: Actor::user(cat),
        obs: Actor::user(obs),
        sus: Actor::user(sus),
        ina: Actor::user(ina),
        employee: Actor::user(employee),
        admin_agent: Actor::user(admin_agent),
        service,
        nobody: Actor::anonymous(),
    }
}

impl Db {
    /// Bob's task for the employee.
    pub async fn task(&self, title: &str) -> Uuid {
        let new = NewTask { assigned_to: Some(id(&self.employee)), ..NewTask::titled(title) };
        tasks::create(&self.bob, &self.store, &new).await.unwrap()
    }

    /// The employee's question about a task, open for an hour.
    pub async fn approval(&self, task_id: Uuid) -> Uuid {
        approvals::create(&self.employee, &self.store, &new_approval(task_id, 3600)).await.unwrap()
    }

    /// The employee's run of a task.
    pub async fn run(&self, task_id: Uuid) -> Uuid {
        runs::create(&self.employee, &self.store, task_id, "file-away", "steps: []", &"a".repeat(64)).await.unwrap()
    }

    /// Runs SQL behind the store's back, as the owner, with every trigger off.
    pub async fn tamper(&self, sql: &str) {
        match &self.owner.target {
            Target::Sqlite(path) => {
                let (path, sql) = (path.clone(), sql.to_owned());
                tokio::task::spawn_blocking(move || {
                    let file = rusqlite::Connection::open(path).unwrap();
                    file.busy_timeout(Duration::from_secs(10)).unwrap();
                    let mut triggers = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
                    let names: Vec<String> =
                        triggers.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
                    for name in names {
                        file.execute_batch(&format!("DROP TRIGGER \"{name}\"")).unwrap();
                    }
                    file.execute_batch(&sql).unwrap();
                })
                .await
                .unwrap();
            }
            Target::Postgres(_) => {
                let client = connect(&self.owner).await;
                client
                    .batch_execute("ALTER TABLE audit_trail DISABLE TRIGGER ALL; ALTER TABLE audit_chain DISABLE TRIGGER ALL; SET session_replication_role = replica")
                    .await
                    .unwrap();
                client.batch_execute(sql).await.unwrap();
            }
        }
    }
}

/// A question about a task, open for `seconds` (negative: over already).
pub fn new_approval(task_id: Uuid, seconds: i64) -> NewApproval {
    NewApproval {
        task_id,
        action_type: "tool_call".to_owned(),
        details: json!({ "tool": "move_file", "arguments": { "to": "März/a b.pdf" } }),
        expires_at: store::now() + jiff::SignedDuration::from_secs(seconds),
    }
}

/// A moment `seconds` from now.
pub fn in_seconds(seconds: i64) -> jiff::Timestamp {
    store::now() + jiff::SignedDuration::from_secs(seconds)
}

/// A length of time.
pub fn seconds(seconds: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(seconds)
}

/// Runs verbs in one transaction and rolls it back; answers what they answered.
pub async fn undone<T: Send + 'static>(
    store: &Store,
    work: impl for<'t> FnOnce(&'t store::Transaction) -> store::BoxFuture<'t, T> + Send + 'static,
) -> T {
    struct Undone<T>(T);
    impl<T> From<Error> for Undone<T> {
        fn from(e: Error) -> Self {
            panic!("the transaction could not be undone: {e}")
        }
    }
    let ended = store.transaction(move |tx| Box::pin(async move { Err::<(), _>(Undone(work(tx).await)) })).await;
    match ended {
        Err(Undone(value)) => value,
        Ok(()) => panic!("nothing is committed"),
    }
}
