//! SFTP as a place. The way there is OpenSSH's own `ssh`, as a child with the subsystem `sftp`: the operator's keys, known
//! hosts and settings hold as they do everywhere else, and no second implementation of SSH has to be trusted. What is
//! spoken over it is the protocol alone. Files are written beside and renamed when they are whole and durable.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, PoisonError},
    time::Duration,
};

use russh_sftp::{
    client::{SftpSession, error::Error as SftpError},
    protocol::{OpenFlags, StatusCode},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Mutex,
};

use super::{
    Entry,
    pieces::{self, Pieces},
};
use crate::{Error, Result};

/// How long the way to the server may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long one answer may take, in seconds.
const ANSWER_S: u64 = 60;
/// Bytes read at once.
const READ: usize = 128 * 1024;
/// Folders within folders at most.
const DEPTH: usize = 8;

/// A folder on an SFTP server.
#[derive(Clone)]
pub struct Sftp {
    /// `USER@HOST` or `HOST`.
    host: String,
    port: Option<u16>,
    folder: String,
    /// A configuration of `ssh`, in place of the user's.
    config_file: Option<PathBuf>,
    session: Arc<Mutex<Option<Arc<Session>>>>,
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sftp").field("host", &self.host).field("folder", &self.folder).finish_non_exhaustive()
    }
}

struct Session {
    sftp: SftpSession,
    /// It ends with the session, and the session with it.
    ssh: std::sync::Mutex<Child>,
}

impl Session {
    /// Whether `ssh` still runs: a server that was started anew has ended it.
    fn is_open(&self) -> bool {
        let mut ssh = self.ssh.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(ssh.try_wait(), Ok(None))
    }
}

impl Sftp {
    /// Names `[USER@]HOST[:PORT]/FOLDER`; `/~/` begins at the user's home. Nothing is asked yet.
    pub fn open(rest: &str, config_file: Option<PathBuf>) -> Result<Self> {
        let wrong = || Error::Config("the place of the backups must be sftp://[USER@]HOST[:PORT]/FOLDER".to_owned());
        let (authority, folder) = rest.split_once('/').ok_or_else(wrong)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
            None => (authority, None),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        let folder = folder.trim_end_matches('/');
        // A name that begins with a dash would be an option of ssh.
        if host.is_empty() || host.starts_with('-') || !host.chars().all(is_plain) || folder.is_empty() {
            return Err(wrong());
        }
        let folder = folder.strip_prefix("~/").map_or_else(|| format!("/{folder}"), str::to_owned);
        Ok(Self { host: host.to_owned(), port, folder, config_file, session: Arc::default() })
    }

    pub(super) fn describe(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("sftp://{}{port}/{}", self.host, self.folder.trim_start_matches('/'))
    }

    fn unreachable(&self, reason: impl std::fmt::Display) -> Error {
        let mut reason = reason.to_string();
        if reason.trim() == StatusCode::Failure.to_string() {
            // The protocol has no word for why.
            "the server could not write or read there and did not say why (no space, a quota, or a file where a folder should be)"
                .clone_into(&mut reason);
        }
        let port = self.port.map(|port| format!("-P {port} ")).unwrap_or_default();
        let reason = format!("{reason}; try it by hand as the user that Steward runs as: sftp {port}{}", self.host);
        Error::Place { place: self.describe(), reason }
    }

    async fn failed(&self, e: SftpError, name: &str) -> Error {
        match e {
            SftpError::Status(status) if status.status_code == StatusCode::NoSuchFile => {
                Error::Missing { what: name.to_owned() }
            }
            SftpError::Status(status) => self.unreachable(status.status_code),
            other => {
                // The way broke; the next one asks anew.
                *self.session.lock().await = None;
                self.unreachable(other)
            }
        }
    }

    async fn session(&self) -> Result<Arc<Session>> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref().filter(|session| session.is_open()) {
            return Ok(Arc::clone(session));
        }
        let mut ssh = Command::new("ssh");
        if let Some(file) = &self.config_file {
            ssh.arg("-F").arg(file);
        }
        if let Some(port) = self.port {
            ssh.arg("-p").arg(port.to_string());
        }
        // It asks nobody anything, and notices when the server is gone.
        ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-s", "--"]);
        let mut child = ssh
            .arg(&self.host)
            .arg("sftp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| self.unreachable(format!("ssh can't be started ({e}); install OpenSSH's client")))?;
        let (Some(input), Some(output), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::Internal("ssh has no streams".to_owned()));
        };
        let opened = tokio::time::timeout(CONNECT, SftpSession::new(tokio::io::join(output, input))).await;
        let Ok(Ok(sftp)) = opened else {
            drop(child.start_kill());
            // What ssh itself said tells more than that the stream ended.
            let mut said = Vec::new();
            let mut some = errors.take(2000);
            drop(tokio::time::timeout(Duration::from_secs(2), some.read_to_end(&mut said)).await);
            let said = in_short(&String::from_utf8_lossy(&said));
            return Err(self.unreachable(if said.is_empty() { "it does not answer".to_owned() } else { said }));
        };
        sftp.set_timeout(ANSWER_S);
        // Read on, so that ssh never waits for a full pipe.
        tokio::spawn(async move { drop(tokio::io::copy(&mut errors, &mut tokio::io::sink()).await) });
        let session = Arc::new(Session { sftp, ssh: std::sync::Mutex::new(child) });
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    pub(super) async fn put(&self, name: &str, mut pieces: Pieces) -> Result<()> {
        let session = self.session().await?;
        let target = self.path(name);
        let (folder, file_name) = target.rsplit_once('/').unwrap_or(("", &target));
        let beside = format!("{folder}/.{file_name}.{}", super::unique());
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let mut file = match session.sftp.open_with_flags(&beside, flags).await {
            Ok(file) => file,
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => {
                make_folders(&session.sftp, folder).await;
                match session.sftp.open_with_flags(&beside, flags).await {
                    Ok(file) => file,
                    Err(e) => return Err(self.failed(e, name).await),
                }
            }
            Err(e) => return Err(self.failed(e, name).await),
        };
        let written = async {
            while let Some(piece) = pieces.next().await? {
                file.write_all(&piece).await.map_err(|e| self.unreachable(e))?;
            }
            file.flush().await.map_err(|e| self.unreachable(e))
        }
        .await;
        if let Err(e) = written {
            drop(file);
            // What is left has a name that no list shows.
            drop(session.sftp.remove_file(&beside).await);
            return Err(e);
        }
        // Servers without the extension keep it as durably as they do anything.
        match file.sync_all().await {
            Ok(()) | Err(SftpError::Status(_)) => {}
            Err(e) => return Err(self.failed(e, name).await),
        }
        file.close().await.map_err(|e| self.unreachable(e))?;
        if session.sftp.rename(&beside, &target).await.is_err() {
            // The protocol renames over nothing.
            drop(session.sftp.remove_file(&target).await);
            if let Err(e) = session.sftp.rename(&beside, &target).await {
                return Err(self.failed(e, name).await);
            }
        }
        Ok(())
    }

    pub(super) async fn get(&self, name: &str) -> Result<Pieces> {
        let session = self.session().await?;
        let mut file = match session.sftp.open(self.path(name)).await {
            Ok(file) => file,
            Err(e) => return Err(self.failed(e, name).await),
        };
        let (writer, pieces) = pieces::channel();
        let this = self.clone();
        tokio::spawn(async move {
            // The session lives as long as the file is read.
            let _session = session;
            loop {
                let mut piece = vec![0_u8; READ];
                match file.read(&mut piece).await {
                    Ok(0) => return writer.end().await,
                    Ok(got) => {
                        piece.truncate(got);
                        if !writer.send(piece.into()).await {
                            return;
                        }
                    }
                    Err(e) => return writer.fail(this.unreachable(e)).await,
                }
            }
        });
        Ok(pieces)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let session = self.session().await?;
        let mut found = Vec::new();
        let mut folders = vec![(prefix.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match session.sftp.read_dir(self.path(&folder)).await {
                Ok(entries) => entries,
                Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => continue,
                Err(e) => return Err(self.failed(e, &folder).await),
            };
            for entry in entries {
                let word = entry.file_name();
                if word.starts_with('.') {
                    continue;
                }
                let name = format!("{folder}/{word}");
                if entry.file_type().is_dir() {
                    if depth < DEPTH {
                        folders.push((name, depth + 1));
                    }
                } else {
                    let meta = entry.metadata();
                    let put_at = meta.mtime.and_then(|s| jiff::Timestamp::from_second(s.into()).ok());
                    found.push(Entry { name, size_bytes: meta.size.unwrap_or_default(), put_at });
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let session = self.session().await?;
        match session.sftp.remove_file(self.path(name)).await {
            Ok(()) => {}
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => {}
            Err(e) => return Err(self.failed(e, name).await),
        }
        // Folders that are empty now go with their last file; one that is not empty refuses by itself.
        let mut folder = name;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if session.sftp.remove_dir(self.path(parent)).await.is_err() {
                break;
            }
            folder = parent;
        }
        Ok(())
    }
}

/// What `ssh` said, without frames and banners: its last words tell why.
fn in_short(said: &str) -> String {
    const LINES: usize = 3;
    let lines: Vec<&str> =
        said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('@')).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" ")
}

/// Makes a folder with those above it; what can't be made shows when something is put there.
async fn make_folders(sftp: &SftpSession, folder: &str) {
    for (at, _) in folder.match_indices('/').filter(|(at, _)| *at > 0) {
        drop(sftp.create_dir(&folder[..at]).await);
    }
    drop(sftp.create_dir(folder).await);
}
