//! How the rest of Steward calls a supervised server, and asks how it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    connection::Waiting,
    definition::ToolDefinition,
    error::CallError,
    frozen,
    limits::Limits,
    news::CallNews,
    resources::{self, Resource},
    result::{self, CallResult},
    secrets::Secrets,
    supervisor::{Running, State},
};

/// One call, as it was decided.
#[derive(Debug, Clone, Copy)]
pub struct ToolCall<'a> {
    /// The tool's name.
    pub tool: &'a str,
    /// [`ToolDefinition::sha256`] as it was when the call was decided; the call is not made when the server offers
    /// another definition now. `None` takes the tool as it is: for a person who tries a server out.
    pub definition_sha256: Option<&'a str>,
    /// The frozen arguments: a JSON object, sent as it stands.
    pub arguments: &'a str,
    /// How long to wait for the answer without a sign of progress; `Limits::call_timeout` when not set, and never longer
    /// than `Limits::longest_call`.
    pub timeout: Option<Duration>,
    /// Who is told how far it is, and whom it may ask; nobody when not set. A channel that is full is told nothing.
    pub news: Option<&'a mpsc::Sender<CallNews>>,
}

/// A supervised server. Clones speak of the same one; dropping them stops nothing.
#[derive(Clone)]
pub struct ServerHandle {
    pub(crate) id: Uuid,
    pub(crate) name: Arc<str>,
    pub(crate) secrets: Secrets,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) limits: Limits,
    pub(crate) retry: Arc<Notify>,
    pub(crate) stop: CancellationToken,
    pub(crate) done: CancellationToken,
}

impl ServerHandle {
    /// The row in `mcp_servers`.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it offers now, sorted by name; `None` while it does not run.
    pub fn tools(&self) -> Option<Vec<ToolDefinition>> {
        self.running().ok().map(|running| running.tools.values().cloned().collect())
    }

    /// Calls a tool once; never repeats. Dropping the future cancels the call where it stands, and what has become of
    /// it is unknown.
    pub async fn call(&self, call: ToolCall<'_>) -> Result<CallResult, CallError> {
        let arguments = frozen::one_line(call.arguments).map_err(CallError::not_started)?;
        let Running { connection, tools } = self.running().map_err(CallError::not_started)?;
        let (server, tool) = (&self.name, call.tool);
        let Some(offered) = tools.get(tool) else {
            return Err(CallError::not_started(format!("the server {server:?} does not offer a tool {tool:?}.")));
        };
        if connection.is_stale() {
            let reason =
                format!("the server {server:?} says that its tools changed; they are being listed. Try again.");
            return Err(CallError::not_started(reason));
        }
        if call.definition_sha256.is_some_and(|decided| decided != offered.sha256) {
            let reason = format!(
                "the tool {tool:?} of the server {server:?} has changed since the call was decided. A person must approve it again."
            );
            return Err(CallError::not_started(reason));
        }
        let hard = self.limits.longest_call;
        let limit = call.timeout.unwrap_or(self.limits.call_timeout).min(hard);
        let answer = connection.call(tool, &arguments, Waiting { limit, hard, news: call.news.cloned() }).await;
        let most = self.limits.max_result_bytes;
        self.secrets.taken_out(answer.and_then(|answer| result::from_answer(answer, most)))
    }

    /// Reads a resource that the server named in a result: its parts, together at most `Limits::resource_bytes`.
    pub async fn read_resource(&self, uri: &str) -> Result<Vec<Resource>, String> {
        let Running { connection, .. } = self.running()?;
        let read = resources::read(&connection, uri, &self.limits).await;
        let mut found = read.map_err(|mut said| {
            self.secrets.blank(&mut said);
            said
        })?;
        for part in &mut found {
            part.bytes = self.secrets.taken_out_of(std::mem::take(&mut part.bytes));
        }
        Ok(found)
    }

    /// Starts a server at once that waits for its next start or was given up.
    pub fn retry(&self) {
        // Only then: a wake-up left over would cut a later wait short.
        if matches!(&*self.state.borrow(), State::Waiting { .. } | State::GaveUp { .. }) {
            self.retry.notify_one();
        }
    }

    /// Waits until the server can be called, or says why it cannot after `limit`.
    pub async fn wait_running(&self, limit: Duration) -> Result<(), CallError> {
        let mut state = self.state.clone();
        let ready = state.wait_for(|state| matches!(state, State::Running(_) | State::GaveUp { .. } | State::Stopped));
        // When the time is over the state says why; dropping the guard before it is read again.
        let _ = tokio::time::timeout(limit, ready).await.map(drop);
        self.running().map(drop).map_err(CallError::not_started)
    }

    /// Stops the server and waits until nothing of it is left: at most about five seconds with the default limits.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.done.cancelled().await;
    }

    fn running(&self) -> Result<Running, String> {
        let name = &self.name;
        match &*self.state.borrow() {
            // Between the wish to stop and the last word nothing new begins.
            State::Running(running) if !self.stop.is_cancelled() => Ok(running.clone()),
            State::Running(_) | State::Stopped => Err(format!("the server {name:?} is stopped.")),
            State::Starting => Err(format!("the server {name:?} is still starting. Try again in a moment.")),
            State::Waiting { reason, until } => {
                let seconds = until.saturating_duration_since(Instant::now()).as_secs();
                Err(format!("the server {name:?} does not run: {reason}. It is started again in {seconds} s."))
            }
            State::GaveUp { reason } => {
                Err(format!("the server {name:?} was given up: {reason}. Put right what is wrong and start it again."))
            }
        }
    }
}
