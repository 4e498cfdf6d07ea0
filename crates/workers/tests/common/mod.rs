//! What the tests of the job share: a fresh database, a whole Steward without desk, and waits that end.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{
    accounts::{self, Setup},
    servers::{self as server_rules, NewServer},
};
use jiff::SignedDuration;
use serde_json::json;
use store::{Actor, Store, Vault, approvals, approvals::Approval, migrate, tasks, tasks::Task};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tools::{Context, Limits, Supervisors};
use uuid::Uuid;
use workers::{
    brains::Brains, employee::Employee, housekeeping, jobs::Jobs, library::Library, logs::LogQueue, servers, watching,
};

/// The end of any wait.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A database of its own for one test.
pub struct Database {
    pub config: store::Config,
    dropped_from: Option<(String, String)>,
}

impl Database {
    pub async fn sqlite(dir: &Path) -> Self {
        let config = store::Config::from_url(&format!("sqlite://{}", dir.join("steward.db").display())).unwrap();
        migrate::migrate(&config).await.unwrap();
        Self { config, dropped_from: None }
    }

    pub async fn postgres() -> Self {
        let base =
            std::env::var("STEWARD_TEST_POSTGRES_URL").expect("STEWARD_TEST_POSTGRES_URL is not set; run ./test");
        let name = format!("job_{}", Uuid::now_v7().simple());
        psql(&base, &format!("CREATE DATABASE {name}"));
        let url = format!("{}/{name}", base.rsplit_once('/').unwrap().0);
        let config = store::Config::from_url(&url).unwrap();
        migrate::migrate(&config).await.unwrap();
        Self { config, dropped_from: Some((base, name)) }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((base, name)) = &self.dropped_from {
            psql(base, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

fn psql(url: &str, sql: &str) {
    let out = std::process::Command::new("psql").args(["-X", "-q", "-d", url, "-c", sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A whole Steward without desk, with a person, a server and a watched folder.
pub struct Steward {
    pub dir: TempDir,
    pub database: Database,
    pub store: Store,
    pub ada: Actor,
    pub watcher: Uuid,
    brains: Option<Brains>,
    shutdown: CancellationToken,
    parts: JoinSet<()>,
    vault: Vault,
}

impl Steward {
    pub async fn start(postgres: bool) -> Self {
        Self::led_by(postgres, None).await
    }

    /// The same with language models.
    pub async fn led_by(postgres: bool, brains: Option<Brains>) -> Self {
        let mut this = Self::asleep(postgres, brains).await;
        this.wake();
        this.add_server().await;
        this
    }

    /// The same before it runs, without the server.
    pub async fn asleep(postgres: bool, brains: Option<Brains>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = if postgres { Database::postgres().await } else { Database::sqlite(dir.path()).await };
        let store = Store::open(&database.config).await.unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        let setup = Setup {
            username: "ada".into(),
            email: "ada@example.org".into(),
            password: "four words are enough".into(),
            token: None,
        };
        let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
        std::fs::create_dir_all(dir.path().join("home/inbox")).unwrap();
        let config = json!({"path": dir.path().join("home/inbox"), "playbook": "file-away", "settle_ms": 200});
        let watcher = store::watchers::create(&ada, &store, "inbox", "folder", config).await.unwrap();
        Self {
            dir,
            database,
            store,
            ada,
            watcher,
            vault,
            brains,
            shutdown: CancellationToken::new(),
            parts: JoinSet::new(),
        }
    }

    /// Adds the server "files" and waits until it has said what it offers.
    pub async fn add_server(&self) {
        let new = NewServer {
            name: "files".into(),
            command: scripted_server().display().to_string(),
            args: vec!["--say".into(), "@modelcontextprotocol/server-filesystem".into()],
            environment: BTreeMap::from([(
                "EFFECTS_LOG".to_owned(),
                self.dir.path().join("effects").display().to_string(),
            )]),
        };
        let (_, rule) = server_rules::add(&self.store, &self.vault, &self.ada, new).await.unwrap();
        assert_eq!(rule.as_deref(), Some("files: reading"));
        self.until("the tools are listed", async |s| {
            let server = server_rules::named(&s.store, &s.ada, "files").await.unwrap();
            (!store::mcp_servers::tools(&s.ada, &s.store, server.id).await.unwrap().is_empty()).then_some(())
        })
        .await;
    }

    /// Starts its parts.
    pub fn wake(&mut self) {
        let (logs, (events, news)) = (LogQueue::default(), mpsc::channel(1024));
        let context =
            Context { limits: Limits::default(), run_dir: None, events, shutdown: self.shutdown.child_token() };
        let supervisors = Arc::new(Supervisors::new(context));
        let employee = Employee {
            store: self.store.clone(),
            supervisors: Arc::clone(&supervisors),
            library: Library::open(&self.dir.path().join("playbooks")),
            brains: self.brains.clone(),
            vault: self.vault.clone(),
            logs: logs.clone(),
            node: "test".into(),
            lease: SignedDuration::from_secs(30),
        };
        let (store, vault, stop) = (&self.store, &self.vault, &self.shutdown);
        self.parts.spawn(servers::write_down(store.clone(), logs.clone(), news, stop.clone()));
        self.parts.spawn(watching::keep_watching(store.clone(), vault.clone(), logs.clone(), stop.clone()));
        self.parts.spawn(housekeeping::run(store.clone(), vault.clone(), Jobs::standard(), None, stop.clone()));
        self.parts.spawn(servers::keep_running(store.clone(), vault.clone(), supervisors, logs.clone(), stop.clone()));
        self.parts.spawn(logs.write(store.clone(), stop.clone()));
        self.parts.spawn(employee.run(stop.clone()));
    }

    /// Adds a server of one's own, and waits until its tools are listed.
    pub async fn add_own_server(&self, new: NewServer) {
        let name = new.name.clone();
        server_rules::add(&self.store, &self.vault, &self.ada, new).await.unwrap();
        self.until("the tools are listed", async |s| {
            let server = server_rules::named(&s.store, &s.ada, &name).await.unwrap();
            (!store::mcp_servers::tools(&s.ada, &s.store, server.id).await.unwrap().is_empty()).then_some(())
        })
        .await;
    }

    pub fn vault(&self) -> Vault {
        self.vault.clone()
    }

    pub async fn approve_tools(&self) {
        server_rules::approve_tools(&self.store, &self.ada, "files", &[], true, false).await.unwrap();
    }

    /// Waits until `look` finds something, or fails after [`PATIENCE`].
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let found = async {
            loop {
                tick.tick().await;
                if let Some(found) = look(self).await {
                    return found;
                }
            }
        };
        if let Ok(found) = tokio::time::timeout(PATIENCE, found).await {
            return found;
        }
        panic!(
            "not in time: {what}; tasks: {:#?}; approvals: {:#?}; watchers: {:#?}; logs: {:#?}",
            self.tasks().await,
            store::approvals::list(&self.ada, &self.store, None, None, None, 20).await,
            store::watchers::list(&self.ada, &self.store).await,
            store::system_logs::list(&Actor::service(), &self.store, None, None, None, 20).await,
        )
    }

    pub async fn tasks(&self) -> Vec<Task> {
        tasks::list(&self.ada, &self.store, None, None, 200).await.unwrap()
    }

    pub async fn pending(&self) -> Approval {
        self.until("an approval is pending", async |s| {
            approvals::list(&s.ada, &s.store, Some("pending"), None, None, 10).await.unwrap().pop()
        })
        .await
    }

    /// The next one after `known`.
    pub async fn pending_but(&self, known: Uuid) -> Approval {
        self.until("another approval is pending", async |s| {
            let pending = approvals::list(&s.ada, &s.store, Some("pending"), None, None, 10).await.unwrap();
            pending.into_iter().find(|a| a.id != known)
        })
        .await
    }

    /// The only task, once it has the status.
    pub async fn task_that_is(&self, status: &str) -> Task {
        self.until(status, async |s| s.tasks().await.pop().filter(|t| t.status == status)).await
    }

    pub fn drop_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home().join("inbox").join(name);
        let staged = self.dir.path().join("staged");
        std::fs::write(&staged, content).unwrap();
        std::fs::rename(staged, &path).unwrap();
        path
    }

    pub fn add_playbook(&self, file: &str, source: &str) {
        let folder = self.dir.path().join("playbooks");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), source).unwrap();
    }

    /// A file beside the inbox, which no watcher sees.
    pub fn drop_elsewhere(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("effects")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Stops its parts; [`Self::wake`] starts them again.
    pub async fn rest(&mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.parts.join_next().await {
            ended.unwrap();
        }
        self.shutdown = CancellationToken::new();
    }

    pub async fn stop(mut self) {
        self.rest().await;
        self.store.close().await;
    }
}

/// The scripted server, which Cargo builds with the workspace's tests.
pub fn scripted_server() -> PathBuf {
    let path =
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/scripted-mcp-server");
    assert!(path.is_file(), "run `cargo build -p tools --examples` first: {} is missing", path.display());
    path
}

/// Makes the two tests of a scenario, one a database.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(false).await; })* }
        mod postgres { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(true).await; })* }
    };
}
