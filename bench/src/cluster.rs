//! A private PostgreSQL for one run: made in a temporary folder, stopped and removed with it.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::error::{Error, Result};

/// Where Debian keeps the server's programs; the newest is taken.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Where it listens.
pub(crate) const HOST: &str = "127.0.0.1";

/// Both sides meet the same server with these settings. Durability is as installed: `fsync` and `synchronous_commit` on.
pub(crate) const SETTINGS: &[&str] = &[
    "shared_buffers = '2GB'",
    "max_wal_size = '16GB'",
    "checkpoint_timeout = '1h'",
    "maintenance_work_mem = '1GB'",
    "max_connections = 100",
];

/// A running server.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts a server.
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("steward-bench-pg-").tempdir()?;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        let port = TcpListener::bind((HOST, 0))?.local_addr()?.port();
        let this = Self { folder, programs: programs()?, port };
        let data = this.data();
        run(this
            .program("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data))?;
        let own = format!(
            "port = {port}\nlisten_addresses = '{HOST}'\nunix_socket_directories = '{}'\n",
            this.folder.path().display()
        );
        let mut settings = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
        std::io::Write::write_all(&mut settings, (own + &SETTINGS.join("\n") + "\n").as_bytes())?;
        let log = this.folder.path().join("log");
        run(this.program("pg_ctl").args(["-w", "-t", "60", "-D"]).arg(&data).arg("-l").arg(log).arg("start"))?;
        Ok(this)
    }

    /// A program of the server's, run as the user it must run as.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = as_postgres(self.programs.join(name));
        command.current_dir(self.folder.path());
        command
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of one of its databases, as the superuser. Both sides come over loopback, without TLS.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{HOST}:{}/{database}?sslmode=disable", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        // What can't be stopped any more has stopped already; the folder goes either way.
        drop(stop.args(["-w", "-m", "fast", "-D"]).arg(self.data()).arg("stop").stdout(Stdio::null()).status());
        if is_root() {
            // The folder's content belongs to another user than the one who removes it.
            drop(Command::new("chown").arg("-R").arg("root").arg(self.folder.path()).status());
        }
    }
}

fn programs() -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(VERSIONS)
        .map_err(|e| Error::Tool(format!("{VERSIONS} can't be read ({e}): install postgresql-15 or newer")))?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    versions.sort();
    let newest = versions.pop().filter(|(version, _)| *version >= 15);
    newest
        .map(|(_, path)| path)
        .ok_or_else(|| Error::Tool("no PostgreSQL 15 or newer found: install postgresql-15".to_owned()))
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

/// Runs a command to its end, with its output away from pipes that a server would inherit.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let mut out = tempfile::tempfile()?;
    let status = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out.try_clone()?)
        .status()
        .map_err(|e| Error::Tool(format!("{command:?} can't be started: {e}")))?;
    let mut text = String::new();
    std::io::Seek::rewind(&mut out)?;
    std::io::Read::read_to_string(&mut out, &mut text)?;
    if status.success() { Ok(text) } else { Err(Error::Tool(format!("{command:?} failed: {text}"))) }
}
