//! One server process and everything it starts: its own process group, so that all of it can be ended.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::{error::StartError, leftovers, spec::ServerSpec};

/// How long what is left of a group may take to go, after SIGTERM and again after SIGKILL.
const SWEEP: Duration = Duration::from_millis(500);
/// How often to look whether it went: nobody tells us about processes that are not our children.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A child at the head of its own process group. Dropping it kills the group.
pub(crate) struct Process {
    child: Child,
    group: Pid,
    pid_file: Option<PathBuf>,
    /// Nothing of the group is left, so its number may already belong to somebody else.
    is_gone: bool,
}

/// The child's ends of the conversation.
pub(crate) struct Pipes {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
}

impl Process {
    pub(crate) async fn spawn(spec: &ServerSpec, run_dir: Option<&Path>) -> Result<(Self, Pipes), StartError> {
        let mut command = Command::new(spec.program());
        command.args(spec.arguments());
        command.env_clear().envs(spec.child_environment(std::env::vars_os()));
        if let Some(directory) = spec.working_directory() {
            if !tokio::fs::metadata(&directory).await.is_ok_and(|found| found.is_dir()) {
                return Err(StartError::NoDirectory { directory: directory.display().to_string() });
            }
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StartError::NoProgram { command: spec.command.clone() },
            _ => StartError::Spawn { command: spec.command.clone(), cause: error.to_string() },
        })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let (Some(pid), Some(stdin), Some(stdout), Some(stderr)) =
            (pid, child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            let cause = "the system gave no process id or pipes for it".to_owned();
            return Err(StartError::Spawn { command: spec.command.clone(), cause });
        };
        let mut process = Self { child, group: Pid::from_raw(pid), pid_file: None, is_gone: false };
        if let Some(run_dir) = run_dir {
            // Without the note a crash of ours may leave the server behind; it still runs, so this is only a warning.
            match leftovers::note(run_dir, spec.id, pid).await {
                Ok(file) => process.pid_file = file,
                Err(error) => tracing::warn!(server = %spec.name, %error, "the server's process could not be noted"),
            }
        }
        Ok((process, Pipes { stdin, stdout, stderr }))
    }

    /// Waits until the child ends; says how.
    pub(crate) async fn exited(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("its end could not be observed: {error}"),
        }
    }

    /// Ends the whole group: stdin is closed already; then SIGTERM, then SIGKILL, each after `grace`.
    pub(crate) async fn stop(&mut self, grace: Duration) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if tokio::time::timeout(grace, self.child.wait()).await.is_ok() {
                break;
            }
            self.signal(signal);
        }
        self.sweep().await;
    }

    /// Ends the whole group at once.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.sweep().await;
    }

    /// Reaps the child and ends what it left in its group (npx leaves node).
    async fn sweep(&mut self) {
        let _ = tokio::time::timeout(SWEEP, self.child.wait()).await;
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if !self.is_alive() {
                break;
            }
            self.signal(signal);
            let gone = async {
                while self.is_alive() {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            };
            if tokio::time::timeout(SWEEP, gone).await.is_ok() {
                break;
            }
        }
        self.is_gone = true;
        if let Some(file) = self.pid_file.take() {
            let _ = tokio::fs::remove_file(file).await;
        }
    }

    fn is_alive(&self) -> bool {
        killpg(self.group, None) != Err(Errno::ESRCH)
    }

    fn signal(&self, signal: Signal) {
        if !self.is_gone {
            // ESRCH: it went by itself meanwhile, which is as good.
            let _ = killpg(self.group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        if let (false, Some(file)) = (self.is_gone, self.pid_file.take()) {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}
