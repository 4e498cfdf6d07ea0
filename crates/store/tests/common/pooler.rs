//! A real `PgBouncer` in front of the tests' PostgreSQL, pooling by transaction.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use store::{Config, Target};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A pooler on a free port; dropping it ends it.
#[derive(Debug)]
pub struct Pooler {
    _folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Pooler {
    /// Starts one for the database and role of `direct`, with `sessions` sessions of the server at most. `settings` are
    /// lines of its own settings.
    pub async fn start(direct: &Config, sessions: usize, settings: &[&str]) -> Self {
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: install pgbouncer");
        let target = server(direct);
        let folder = tempfile::Builder::new().prefix("steward-pooler-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (user, password) = (target.get_user().unwrap(), String::from_utf8_lossy(target.get_password().unwrap()));
        let host = match &target.get_hosts()[0] {
            tokio_postgres::config::Host::Tcp(host) => host.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        };
        let server_port = target.get_ports().first().copied().unwrap_or(5432);
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("users"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        let own = [
            "[databases]".to_owned(),
            format!("* = host={host} port={server_port}"),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
            "unix_socket_dir =".to_owned(),
            "auth_type = trust".to_owned(),
            format!("auth_file = {}", file("users")),
            format!("logfile = {}", file("log")),
            "pool_mode = transaction".to_owned(),
            format!("default_pool_size = {sessions}"),
            "max_client_conn = 200".to_owned(),
        ];
        let lines: Vec<String> = own.into_iter().chain(settings.iter().map(|s| (*s).to_owned())).collect();
        std::fs::write(file("ini"), lines.join("\n") + "\n").unwrap();
        let child = command(folder.path()).arg("-q").arg(file("ini")).stdin(Stdio::null()).spawn().unwrap();
        let this = Self { _folder: folder, child, port };
        this.ready().await;
        this
    }

    async fn ready(&self) {
        let listens = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), listens).await.expect("pgbouncer does not listen");
    }

    /// The way to the same database through it.
    pub fn before(&self, direct: &Config) -> Config {
        let target = server(direct);
        let url = format!(
            "postgres://{}:{}@127.0.0.1:{}/{}",
            target.get_user().unwrap(),
            String::from_utf8_lossy(target.get_password().unwrap()),
            self.port,
            target.get_dbname().unwrap(),
        );
        let mut config = direct.clone();
        config.target = Config::from_url(&url).unwrap().target;
        config
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has seen.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn server(config: &Config) -> &tokio_postgres::Config {
    match &config.target {
        Target::Postgres(target) => target,
        Target::Sqlite(_) => panic!("a pooler stands before PostgreSQL"),
    }
}

/// It refuses to run as root, and must be able to write in its folder.
fn command(folder: &Path) -> Command {
    if Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() != b"0" {
        return Command::new(PROGRAM);
    }
    assert!(Command::new("chown").arg("-R").arg("postgres").arg(folder).status().unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", PROGRAM]);
    command
}
