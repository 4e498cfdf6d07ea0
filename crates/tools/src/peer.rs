//! The other side of a conversation: a process of ours, a server elsewhere, or a built-in one.

use std::{path::Path, sync::Arc, time::Duration};

use store::mcp_servers::is_address;
use tokio::task::JoinHandle;

use crate::{
    builtin::{self, Builtin},
    connection::Connection,
    error::StartError,
    events::{LogSink, drain_stderr},
    limits::Limits,
    process::Process,
    remote::Remote,
    spec::ServerSpec,
};

/// What is spoken with. Dropping it ends it.
pub(crate) enum Peer {
    /// A program that we started, and what reads its stderr.
    Local { process: Box<Process>, stderr: JoinHandle<()> },
    /// A server elsewhere.
    Remote(Arc<Remote>),
    /// A server within this process.
    Builtin(Builtin),
}

impl Peer {
    /// Starts the program, or gets ready to speak to the address that stands in its place.
    pub(crate) async fn open(
        spec: &ServerSpec,
        limits: &Limits,
        run_dir: Option<&Path>,
        log: &LogSink,
    ) -> Result<(Self, Connection), StartError> {
        let bytes = limits.message_bytes();
        if builtin::kind_of(&spec.command).is_some() {
            let (server, ends) = Builtin::open(spec, bytes)?;
            let connection =
                Connection::open(ends.stdin, ends.stdout, bytes, (Some(ends.mark), serde_json::json!([])), log.clone());
            return Ok((Self::Builtin(server), connection));
        }
        let roots = spec.roots().await;
        if is_address(&spec.command) {
            let (remote, ends) = Remote::open(spec, bytes, log.clone())?;
            let connection = Connection::open(ends.stdin, ends.stdout, bytes, (Some(ends.mark), roots), log.clone());
            return Ok((Self::Remote(Arc::new(remote)), connection));
        }
        let (process, pipes) = Process::spawn(spec, run_dir).await?;
        let connection = Connection::open(pipes.stdin, pipes.stdout, bytes, (None, roots), log.clone());
        let stderr = tokio::spawn(drain_stderr(pipes.stderr, log.clone()));
        Ok((Self::Local { process: Box::new(process), stderr }, connection))
    }

    /// What is to be done with the version that both sides speak.
    pub(crate) fn agreement(&self) -> impl FnOnce(&str) + Send + use<> {
        let remote = match self {
            Self::Local { .. } | Self::Builtin(_) => None,
            Self::Remote(remote) => Some(remote.clone()),
        };
        move |version| {
            if let Some(remote) = remote {
                remote.agreed(version);
            }
        }
    }

    /// Waits for its end; says how it came.
    pub(crate) async fn exited(&mut self) -> String {
        match self {
            Self::Local { process, .. } => process.exited().await,
            Self::Remote(remote) => remote.ended().await,
            Self::Builtin(server) => server.ended().await,
        }
    }

    /// Ends it in order; `grace` is how long it may take at each step.
    pub(crate) async fn stop(&mut self, grace: Duration) {
        match self {
            Self::Local { process, .. } => process.stop(grace).await,
            Self::Remote(remote) => remote.stop(grace).await,
            Self::Builtin(server) => server.stop(grace).await,
        }
    }

    /// Ends it at once.
    pub(crate) async fn kill(&mut self) {
        match self {
            Self::Local { process, .. } => process.kill().await,
            Self::Remote(remote) => remote.kill().await,
            Self::Builtin(server) => server.kill().await,
        }
    }

    /// Waits for the last lines of its stderr.
    pub(crate) async fn last_words(&mut self, limit: Duration) {
        if let Self::Local { stderr, .. } = self
            && tokio::time::timeout(limit, &mut *stderr).await.is_err()
        {
            stderr.abort();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Self::Local { stderr, .. } = self {
            stderr.abort();
        }
    }
}
