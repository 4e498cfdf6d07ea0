//! What tests of the real process share: a database, a data directory, a person, a server that counts its effects.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use domain::{
    accounts::{self, Setup},
    servers::{self as server_rules, NewServer},
};
use serde_json::json;
use store::{Actor, Store, Vault, migrate};
use tempfile::TempDir;
use uuid::Uuid;

/// A world for one process.
pub struct Bench {
    pub dir: TempDir,
    pub url: String,
    pub store: Store,
    pub ada: Actor,
    drop_from: Option<(String, String)>,
}

impl Bench {
    /// Set up as after the first ten minutes: an admin, a server with approved tools, a watched folder.
    pub async fn new(postgres: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (url, drop_from) = if postgres {
            postgres_database()
        } else {
            (format!("sqlite://{}", dir.path().join("data/steward.db").display()), None)
        };
        Self::on(dir, url, drop_from).await
    }

    /// The same on a database that is there.
    pub async fn on(dir: TempDir, url: String, drop_from: Option<(String, String)>) -> Self {
        let config = store::Config::from_url(&url).unwrap();
        migrate::migrate(&config).await.unwrap();
        let store = Store::open(&config).await.unwrap();
        std::fs::create_dir_all(dir.path().join("data")).unwrap();
        let vault = Vault::open(&dir.path().join("data/master.key"), &dir.path().join("data/attachments")).unwrap();
        let setup = Setup {
            username: "ada".into(),
            email: "ada@example.org".into(),
            password: "four words are enough".into(),
            token: None,
        };
        let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
        let new = NewServer {
            name: "files".into(),
            command: scripted_server().display().to_string(),
            args: vec!["--say".into(), "@modelcontextprotocol/server-filesystem".into()],
            environment: BTreeMap::from([("EFFECTS_LOG".to_owned(), dir.path().join("effects").display().to_string())]),
        };
        server_rules::add(&store, &vault, &ada, new).await.unwrap();
        workers::servers::list_now(&store, &vault, "files").await.unwrap();
        server_rules::approve_tools(&store, &ada, "files", &[], true, false).await.unwrap();
        std::fs::create_dir_all(dir.path().join("home/inbox")).unwrap();
        let config = json!({"path": dir.path().join("home/inbox"), "playbook": "file-away", "settle_ms": 100});
        store::watchers::create(&ada, &store, "inbox", "folder", config).await.unwrap();
        Self { dir, url, store, ada, drop_from }
    }

    /// Starts the real program.
    pub fn start(&self, environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
        command
            .env_clear()
            .envs(std::env::vars().filter(|(k, _)| ["PATH", "HOME", "LANG"].contains(&k.as_str())))
            .env("DATABASE_URL", &self.url)
            .env("STEWARD_DATA_DIR", self.dir.path().join("data"))
            .env("STEWARD_LISTEN", "127.0.0.1:0")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It says where the desk is once it can be stopped in order.
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        let address = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        // What it says later is of no interest, but must find a reader.
        std::thread::spawn(move || said.for_each(drop));
        Process { child, address }
    }

    pub fn drop_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join("home/inbox").join(name);
        let staged = self.dir.path().join("staged");
        std::fs::write(&staged, content).unwrap();
        std::fs::rename(staged, &path).unwrap();
        path
    }

    pub fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("effects")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some((base, name)) = &self.drop_from {
            psql(base, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// A running Steward; killed when dropped.
pub struct Process {
    child: Child,
    /// `http://127.0.0.1:…/`
    pub address: String,
}

impl Process {
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to stop (SIGTERM) and waits for it; answers how it ended.
    pub async fn stop(mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let ended = async {
            loop {
                tick.tick().await;
                if let Some(status) = self.ended() {
                    return status;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it did not stop")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A fresh database on the test's server: its URL, and where to drop it.
pub fn postgres_database() -> (String, Option<(String, String)>) {
    let base = std::env::var("STEWARD_TEST_POSTGRES_URL").expect("STEWARD_TEST_POSTGRES_URL is not set; run ./test");
    let name = format!("steward_{}", Uuid::now_v7().simple());
    psql(&base, &format!("CREATE DATABASE {name}"));
    (format!("{}/{name}", base.rsplit_once('/').unwrap().0), Some((base, name)))
}

pub fn psql(url: &str, sql: &str) {
    let out = Command::new("psql").args(["-X", "-q", "-d", url, "-c", sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// The scripted server, which Cargo builds with the workspace's tests.
pub fn scripted_server() -> PathBuf {
    let path =
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/scripted-mcp-server");
    assert!(path.is_file(), "run `cargo build -p tools --examples` first: {} is missing", path.display());
    path
}
