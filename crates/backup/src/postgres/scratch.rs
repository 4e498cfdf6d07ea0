//! A PostgreSQL server of our own for a while: nobody but its owner can reach it (a socket in a private folder), it
//! archives nothing and runs nobody's jobs, and it is stopped whatever happens.

use std::{
    io::{Read, Seek, SeekFrom},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use store::Config;
use tokio_util::sync::CancellationToken;

use super::{
    child::{Identity, run},
    programs, unusable,
};
use crate::{Error, Result};

/// How long making an empty one may take.
const MAKE_TIME: Duration = Duration::from_secs(300);
/// How long it may take to be ready; one that is being recovered replays its log first, which takes as long as it takes.
const READY_TIME_S: u32 = 7 * 24 * 3600;
/// Between two looks whether it is.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// How long an orderly stop may take.
const STOP_TIME_S: u32 = 300;
/// A socket's path may have 107 bytes at most, of which its name takes 16.
const SOCKET_FOLDER_BYTES: usize = 90;
/// The end of the server's log that is told where it does not start.
const LOG_TAIL: u64 = 4096;

/// A server of our own.
#[derive(Debug)]
pub(crate) struct Scratch {
    data: PathBuf,
    private: tempfile::TempDir,
    identity: Identity,
    major: u32,
    superuser: String,
    running: bool,
}

impl Scratch {
    /// Makes an empty server in `data`, which must be an empty folder of `identity`'s, and starts it.
    pub(crate) async fn make(data: &Path, identity: Identity, major: u32, stop: &CancellationToken) -> Result<Self> {
        let initdb = programs::of_version("initdb", major)?;
        let mut command = identity.command(&initdb)?;
        command
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--pgdata",
            ])
            .arg(data);
        run(command, "initdb", MAKE_TIME, stop).await?;
        let mut this = Self::of(data, identity, "postgres")?;
        this.start(&["fsync=off"], stop).await?;
        Ok(this)
    }

    /// Over data that is there already; not started yet. `superuser` is a role of that server.
    pub(crate) fn of(data: &Path, identity: Identity, superuser: &str) -> Result<Self> {
        let version = data.join("PG_VERSION");
        let said = std::fs::read_to_string(&version).map_err(|e| unusable(&version, e))?;
        let major = said
            .trim()
            .parse()
            .map_err(|_| Error::failed(format!("{} holds no version: {said}", version.display())))?;
        let unwritable = |e: std::io::Error| unusable(&std::env::temp_dir(), e);
        let private = tempfile::Builder::new()
            .prefix("steward-pg-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(unwritable)?;
        let path = private.path();
        if path.as_os_str().len() > SOCKET_FOLDER_BYTES
            || path.to_str().is_none_or(|p| p.contains(['\'', '"', ' ', '\\']))
        {
            return Err(Error::refused(format!(
                "{} can't hold a server's socket (a short path without blanks can); set TMPDIR to such a folder",
                path.display()
            )));
        }
        let place = path.display();
        let settings = format!(
            "hba_file = '{place}/hba.conf'\nident_file = '{place}/ident.conf'\nunix_socket_directories = '{place}'\nlc_messages = 'C'\n\
             max_connections = 50\nssl = off\nlogging_collector = off\nlog_destination = 'stderr'\n"
        );
        for (name, text) in
            [("postgresql.conf", settings.as_str()), ("hba.conf", "local all all trust\n"), ("ident.conf", "")]
        {
            let file = path.join(name);
            std::fs::write(&file, text).map_err(|e| unusable(&file, e))?;
            identity.give(&file)?;
        }
        identity.give(path)?;
        Ok(Self { data: data.to_owned(), private, identity, major, superuser: superuser.to_owned(), running: false })
    }

    /// Starts it and waits until it takes commands. What is given here goes before every setting of the data's own.
    pub(crate) async fn start(&mut self, settings: &[&str], stop: &CancellationToken) -> Result<()> {
        let place = self.private.path().display();
        let fixed = [
            // What stands in the data's own file of settings would otherwise go before ours.
            format!("config_file={place}/postgresql.conf"),
            format!("hba_file={place}/hba.conf"),
            format!("ident_file={place}/ident.conf"),
            format!("unix_socket_directories={place}"),
            "listen_addresses=".to_owned(),
            "port=5432".to_owned(),
            "archive_mode=off".to_owned(),
            "shared_preload_libraries=".to_owned(),
            "hot_standby=off".to_owned(),
            "ssl=off".to_owned(),
            "logging_collector=off".to_owned(),
            "synchronous_standby_names=".to_owned(),
            "max_connections=50".to_owned(),
            "lc_messages=C".to_owned(),
        ];
        let options: Vec<String> =
            fixed.into_iter().chain(settings.iter().map(|s| (*s).to_owned())).map(|s| format!("-c {s}")).collect();
        let mut command = self.identity.command(&programs::of_version("pg_ctl", self.major)?)?;
        command
            .arg("start")
            .args(["--silent", "--wait", "--timeout", &READY_TIME_S.to_string()])
            .arg("--pgdata")
            .arg(&self.data)
            .arg("--log")
            .arg(self.log())
            .arg("--options")
            .arg(options.join(" "));
        // From here on there may be something to stop.
        self.running = true;
        let limit = Duration::from_secs(u64::from(READY_TIME_S));
        let told = |e: Error| Error::failed(format!("{e}; its log ends with: {}", self.log_tail()));
        run(command, "the server", limit, stop).await.map_err(told)?;
        // One that is being recovered counts as started while it still replays its log.
        let ready = async {
            let mut tick = tokio::time::interval(READY_PAUSE);
            loop {
                tick.tick().await;
                match self.state().await? {
                    None => return Err(told(Error::failed("the server ended while it was being recovered"))),
                    Some(state) if state == "ready" => return Ok(()),
                    Some(_) => {}
                }
            }
        };
        tokio::select! {
            done = tokio::time::timeout(limit, ready) => done.map_err(|_| told(Error::failed("the server is not ready in time")))?,
            () = stop.cancelled() => Err(Error::failed("the recovery was stopped")),
        }
    }

    /// What the server's own file says of its state; none where the server has ended.
    async fn state(&self) -> Result<Option<String>> {
        let file = self.data.join("postmaster.pid");
        match tokio::fs::read_to_string(&file).await {
            // The eighth line: starting, standby, ready, stopping.
            Ok(text) => Ok(Some(text.lines().nth(7).unwrap_or_default().trim().to_owned())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unusable(&file, e)),
        }
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let mut command = self.identity.command(&programs::of_version("pg_ctl", self.major)?)?;
        command
            .args(["stop", "--silent", "--wait", "--mode=fast", "--timeout", &STOP_TIME_S.to_string(), "--pgdata"])
            .arg(&self.data);
        let limit = Duration::from_secs(u64::from(STOP_TIME_S) + 10);
        run(command, "pg_ctl stop", limit, &CancellationToken::new()).await?;
        self.running = false;
        Ok(())
    }

    /// How one of its databases is reached.
    pub(crate) fn config(&self, database: &str) -> Result<Config> {
        let folder = self.private.path().display().to_string().replace('/', "%2F");
        Ok(Config::from_url(&format!("postgres://{}@{folder}:5432/{}", encoded(&self.superuser), encoded(database)))?)
    }

    fn log(&self) -> PathBuf {
        self.private.path().join("log")
    }

    /// The end of what it wrote to its log.
    pub(crate) fn log_tail(&self) -> String {
        let read = || {
            let mut file = std::fs::File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&text).trim().to_owned())
        };
        read().unwrap_or_else(|e| format!("(its log can't be read: {e})"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.running || !self.data.join("postmaster.pid").exists() {
            return;
        }
        let Ok(program) = programs::of_version("pg_ctl", self.major) else { return };
        let Ok(mut command) = self.identity.command(&program) else { return };
        command.args(["stop", "--silent", "--wait", "--mode=immediate", "--timeout=30", "--pgdata"]).arg(&self.data);
        // Whoever dropped it is on the way out already; what can't be stopped is told where it is found: in the data's folder.
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => {}
            _ => {
                tracing::warn!(data = %self.data.display(), "a scratch server could not be stopped; stop it with pg_ctl stop");
            }
        }
    }
}

/// A name within a URL.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
