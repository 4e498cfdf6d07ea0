//! A PgBouncer that gives a connection to the server for one transaction at a time.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use store::Config;
use tokio_postgres::config::Host;

use crate::common::target;

/// Runs until it is dropped.
pub struct Pooler {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Starts one before the server of `config`, and answers how to reach the database through it.
    pub async fn start(config: &Config) -> (Self, Config) {
        let mut through = config.clone();
        let server = target(&mut through);
        let (host, port) = match &server.get_hosts()[0] {
            Host::Tcp(name) => (name.clone(), server.get_ports()[0]),
            Host::Unix(path) => (path.display().to_string(), server.get_ports().first().copied().unwrap_or(5432)),
        };
        let user = server.get_user().unwrap().to_owned();
        let password = String::from_utf8(server.get_password().unwrap().to_vec()).unwrap();
        let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

        let folder = tempfile::Builder::new().prefix("steward-pooler-").tempdir().unwrap();
        let users = folder.path().join("users.txt");
        std::fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let settings = folder.path().join("pgbouncer.ini");
        let lines = [
            "[databases]".to_owned(),
            format!("* = host={host} port={port}"),
            "[pgbouncer]".to_owned(),
            format!("listen_addr = 127.0.0.1\nlisten_port = {own}\nunix_socket_dir ="),
            format!("auth_type = trust\nauth_file = {}", users.display()),
            "pool_mode = transaction\nignore_startup_parameters = options".to_owned(),
        ];
        std::fs::write(&settings, lines.join("\n")).unwrap();
        let mut command = Command::new("pgbouncer");
        if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
            // It does not run as root.
            let shared = Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status().unwrap();
            assert!(shared.success());
            command.args(["-u", "postgres"]);
        }
        let process = command.arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("pgbouncer can't be started: install Debian's package pgbouncer");

        let through_it = tokio_postgres::Config::new();
        let pooled = std::mem::replace(server, through_it);
        server.host("127.0.0.1").port(own).user(&user).password(&password);
        server.dbname(pooled.get_dbname().unwrap());
        let this = Self { process, _folder: folder };
        let answers = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while tokio::net::TcpStream::connect(("127.0.0.1", own)).await.is_err() {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), answers).await.expect("the pooler answers");
        (this, through)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let killed = self.process.kill().and_then(|()| self.process.wait());
        assert!(killed.is_ok() || std::thread::panicking(), "{killed:?}");
    }
}
