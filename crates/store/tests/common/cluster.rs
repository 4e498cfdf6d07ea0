//! A PostgreSQL of a test's own, for what can't be tried on the shared one: settings, standbys, stops and crashes.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A server on a free port, in a temporary folder. Dropping it stops it and removes the folder.
#[derive(Debug)]
pub struct Cluster {
    folder: tempfile::TempDir,
    /// The port on 127.0.0.1.
    pub port: u16,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// In order.
    Fast,
    /// As in a crash.
    Immediate,
}

impl Cluster {
    /// Makes and starts a server with these lines added to its settings.
    pub fn start(settings: &[&str]) -> Self {
        let this = Self::folder();
        run(this
            .program("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(this.data()));
        this.configure(settings);
        this.resume();
        this
    }

    /// An empty folder for a server that is going to be copied into it (a standby), with a port of its own.
    pub fn folder() -> Self {
        let folder = tempfile::Builder::new().prefix("steward-pg-").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port }
    }

    /// Adds lines to the settings; they hold from the next start.
    pub fn configure(&self, settings: &[&str]) {
        let own = [
            format!("port = {}", self.port),
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = '{}'", self.folder.path().display()),
        ];
        let lines: Vec<String> = own.into_iter().chain(settings.iter().map(|s| (*s).to_owned())).collect();
        let path = self.data().join("postgresql.auto.conf");
        let script = format!("cat >> {}", path.display());
        let mut command = as_postgres("sh");
        command.args(["-c", &script]).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), (lines.join("\n") + "\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Starts it again after a stop.
    pub fn resume(&self) {
        let log = self.folder.path().join("log");
        run(self.program("pg_ctl").args(["-w", "-t", "60", "-D"]).arg(self.data()).arg("-l").arg(log).arg("start"));
    }

    /// Stops it.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        run(self.program("pg_ctl").args(["-w", "-t", "60", "-m", mode, "-D"]).arg(self.data()).arg("stop"));
    }

    /// A program of the server's, run as the user it must run as.
    pub fn program(&self, name: &str) -> Command {
        let path = Path::new("/usr/lib/postgresql/15/bin").join(name);
        assert!(path.exists(), "{} is missing: install postgresql-15", path.display());
        let mut command = as_postgres(path);
        command.current_dir(self.folder.path());
        command
    }

    /// Where its data lies.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of one of its databases, as the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            let mut command = as_postgres("/usr/lib/postgresql/15/bin/pg_ctl");
            // What can't be stopped any more has stopped already.
            drop(command.args(["-m", "immediate", "-D"]).arg(self.data()).arg("stop").current_dir("/").output());
        }
        if is_root() {
            // The folder's content belongs to another user than the one who removes it.
            drop(Command::new("chown").arg("-R").arg("root").arg(self.folder.path()).output());
        }
    }
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
    let Output { stdout, .. } = Command::new("id").arg("-u").output().unwrap();
    stdout.trim_ascii() == b"0"
}

/// Runs a command to its end, with its output away from pipes that a server would inherit.
fn run(command: &mut Command) {
    let out = tempfile::tempfile().unwrap();
    let said = out.try_clone().unwrap();
    let status =
        command.stdin(std::process::Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).status().unwrap();
    if !status.success() {
        let mut text = String::new();
        let mut said = said;
        std::io::Seek::rewind(&mut said).unwrap();
        std::io::Read::read_to_string(&mut said, &mut text).unwrap();
        panic!("{command:?} failed: {text}");
    }
}
