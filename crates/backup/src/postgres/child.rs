//! Running the programs of others: as the right user, in a bounded time, with what they say kept short and told.

use std::{
    io::Read,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use super::unusable;
use crate::{Error, Result};

/// What is kept of what a program says.
const SAID_BYTES: usize = 8 * 1024;
/// What is kept of what a program answers.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// The user whose files a program works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Identity {
    /// Who owns a file or folder.
    pub(crate) fn owner_of(path: &Path) -> Result<Self> {
        let found = std::fs::metadata(path).map_err(|e| unusable(path, e))?;
        Ok(Self { uid: found.uid(), gid: found.gid() })
    }

    /// Who runs this process.
    pub(crate) fn own() -> Result<Self> {
        let file = tempfile::tempfile().map_err(|e| unusable(&std::env::temp_dir(), e))?;
        let found = file.metadata().map_err(|e| unusable(&std::env::temp_dir(), e))?;
        Ok(Self { uid: found.uid(), gid: found.gid() })
    }

    /// A program that will run as this user; refused where this process may not become it.
    pub(crate) fn command(self, program: &Path) -> Result<Command> {
        let own = Self::own()?;
        let mut command = Command::new(program);
        // Not every user may read where Steward was started.
        command.current_dir("/").env("LC_ALL", "C.UTF-8").env("LC_MESSAGES", "C");
        if own.uid == self.uid {
            return Ok(command);
        }
        if own.uid != 0 {
            return Err(Error::refused(format!(
                "{} must run as the user with the number {} (the owner of the files); run this command as that user or as root",
                program.display(),
                self.uid
            )));
        }
        command.uid(self.uid).gid(self.gid);
        Ok(command)
    }

    /// Gives a file or folder to this user.
    pub(crate) fn give(self, path: &Path) -> Result<()> {
        if Self::own()?.uid == self.uid {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(|e| unusable(path, e))
    }
}

/// Runs a program to its end and answers what it wrote to its standard output.
pub(crate) async fn run(command: Command, name: &str, limit: Duration, stop: &CancellationToken) -> Result<String> {
    let (answer, said, status) = finish(command, name, limit, stop).await?;
    ended(name, status, if said.trim().is_empty() { &answer } else { &said })?;
    Ok(answer)
}

/// Runs a program to its end: its answer, what it said beside, and how it ended.
pub(crate) async fn finish(
    command: Command,
    name: &str,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<(String, String, ExitStatus)> {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| not_started(name, &e))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (answer, said, status) = tokio::join!(whole(out), tail(err), child.wait());
        Ok::<_, Error>((answer?, said, status.map_err(|e| Error::failed(format!("{name}: {e}")))?))
    };
    tokio::select! {
        done = tokio::time::timeout(limit, work) => done.map_err(|_| {
            Error::failed(format!("{name} did not end within {} s and was stopped", limit.as_secs_f32()))
        })?,
        () = stop.cancelled() => Err(Error::failed(format!("{name} was stopped"))),
    }
}

/// A program that is killed when this is dropped before it has ended.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn start(command: &mut Command, name: &'static str) -> Result<Self> {
        let child = command.stderr(Stdio::piped()).spawn().map_err(|e| not_started(name, &e))?;
        Ok(Self { name, child })
    }

    /// Does `work` with the program's ends while all that it says is read; then how it ended. Where the work
    /// fails while the program still waits for input, the program is killed.
    pub(crate) fn through<T>(mut self, work: impl FnOnce(&mut Child) -> Result<T>) -> Result<T> {
        let err = self.child.stderr.take();
        std::thread::scope(|threads| {
            let said = threads.spawn(move || said(err));
            let worked = work(&mut self.child);
            if worked.is_err() && self.child.stdin.is_some() {
                // With its input closed it would take what it has for all: it must not come to that.
                self.kill();
            }
            drop((self.child.stdin.take(), self.child.stdout.take()));
            let status = self.child.wait().map_err(|e| Error::failed(format!("{}: {e}", self.name)))?;
            let said = said.join().unwrap_or_default();
            match worked {
                Ok(value) => ended(self.name, status, &said).map(|()| value),
                // What the program says of itself goes before the broken pipe that follows from it.
                Err(Error::Failed(e)) if !said.is_empty() => {
                    Err(ended(self.name, status, &said).err().unwrap_or(Error::Failed(e)))
                }
                Err(e) => Err(e),
            }
        })
    }

    fn kill(&mut self) {
        // It may have ended meanwhile; that is what was wanted.
        drop(self.child.kill());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            drop(self.child.wait());
        }
    }
}

fn not_started(name: &str, error: &std::io::Error) -> Error {
    Error::failed(format!("{name} could not be started: {error}"))
}

/// An error that says what the program said, where it failed.
pub(crate) fn ended(name: &str, status: ExitStatus, said: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let said = said.trim();
    let said = if said.is_empty() { "it said nothing" } else { said };
    Err(Error::failed(format!("{name} failed ({status}): {said}")))
}

async fn whole(from: Option<impl AsyncRead + Unpin>) -> Result<String> {
    let Some(from) = from else { return Ok(String::new()) };
    let mut text = Vec::new();
    from.take(ANSWER_BYTES)
        .read_to_end(&mut text)
        .await
        .map_err(|e| Error::failed(format!("a program's answer could not be read: {e}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The end of what a program says; all of it is read, so that the program never waits for its reader.
async fn tail(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 4096]);
    while let Ok(n) = from.read(&mut piece).await {
        if n == 0 {
            break;
        }
        keep(&mut kept, &piece[..n]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn said(from: Option<impl Read>) -> String {
    let Some(mut from) = from else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 4096]);
    while let Ok(n) = from.read(&mut piece) {
        if n == 0 {
            break;
        }
        keep(&mut kept, &piece[..n]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    kept.extend_from_slice(piece);
    let over = kept.len().saturating_sub(SAID_BYTES);
    kept.drain(..over);
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::Path, process::Stdio, time::Duration};

    use tokio_util::sync::CancellationToken;

    use super::{Identity, Running, run};
    use crate::Error;

    fn shell(script: &str) -> std::process::Command {
        let mut command = Identity::own().unwrap().command(Path::new("/bin/sh")).unwrap();
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn what_a_program_says_is_told_and_its_time_is_bounded() {
        let never = CancellationToken::new();
        let long = Duration::from_secs(60);
        assert_eq!(run(shell("printf well"), "sh", long, &never).await.unwrap(), "well");
        let said = run(shell("echo broken >&2; exit 3"), "sh", long, &never).await.unwrap_err().to_string();
        assert!(said.contains("broken") && said.contains('3'), "{said}");
        let said = run(shell("exec cat /dev/zero >/dev/null"), "sh", Duration::from_millis(50), &never).await;
        assert!(said.unwrap_err().to_string().contains("did not end"));
        never.cancel();
        assert!(run(shell("exec cat /dev/zero >/dev/null"), "sh", long, &never).await.is_err());
    }

    /// A program that gets only a part of its input must not take it for the whole.
    #[test]
    fn a_broken_feed_kills_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("came-to-the-end");
        let mut command = shell(&format!("cat >/dev/null; : > {}", mark.display()));
        let running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null()), "sh").unwrap();
        let fed = running.through(|child| {
            child.stdin.as_mut().unwrap().write_all(b"a part").unwrap();
            Err::<(), _>(Error::refused("the rest is damaged"))
        });
        assert_eq!(fed.unwrap_err().to_string(), "the rest is damaged");
        assert!(!mark.exists(), "it went on as if it had read everything");
    }
}
