//! Keeps one server running: starts it, watches it, starts it again, gives up, stops it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, RequestError},
    error::StartError,
    events::{Emitter, EventKind, LogSink, ServerEvent},
    handle::ServerHandle,
    limits::Limits,
    secrets::Secrets,
    session::{Greeting, Session, Tools, relist},
    spec::ServerSpec,
};

/// However often a server says that its tools changed, they are listed at most this often.
const RELIST_PAUSE: Duration = Duration::from_secs(1);

/// What supervised servers share.
#[derive(Clone)]
pub struct Context {
    /// The bounds they are held to.
    pub limits: Limits,
    /// Where running processes are noted for [`crate::reap_leftovers`]; nowhere when not set.
    pub run_dir: Option<PathBuf>,
    /// Where their news goes. News of lines and heartbeats is dropped when nobody takes it.
    pub events: mpsc::Sender<ServerEvent>,
    /// Cancelled when all of them are to stop.
    pub shutdown: CancellationToken,
}

/// Where a server stands.
#[derive(Clone)]
pub(crate) enum State {
    Starting,
    Running(Running),
    Waiting { reason: String, until: Instant },
    GaveUp { reason: String },
    Stopped,
}

/// What is needed to call a running server.
#[derive(Clone)]
pub(crate) struct Running {
    pub connection: Arc<Connection>,
    pub tools: Arc<Tools>,
}

/// Starts to supervise a server, in a task of its own, until `context.shutdown` or [`ServerHandle::stop`].
pub fn supervise(spec: ServerSpec, context: &Context) -> ServerHandle {
    let (state, watched) = watch::channel(State::Starting);
    let stop = context.shutdown.child_token();
    let done = CancellationToken::new();
    let retry = Arc::new(Notify::new());
    let name: Arc<str> = spec.name.as_str().into();
    let secrets = Secrets::of(&spec.environment);
    let handle = ServerHandle {
        id: spec.id,
        name: name.clone(),
        secrets: secrets.clone(),
        state: watched,
        limits: context.limits.clone(),
        retry: retry.clone(),
        stop: stop.clone(),
        done: done.clone(),
    };
    let emitter = Emitter { id: spec.id, name, events: context.events.clone(), stop: stop.clone() };
    let log = LogSink::new(Some(emitter.clone()), spec.secrets(), &context.limits).knowing(secrets);
    let supervisor = Supervisor {
        spec,
        limits: context.limits.clone(),
        run_dir: context.run_dir.clone(),
        emitter,
        log,
        state,
        retry,
        stop,
    };
    tokio::spawn(async move {
        // Said even if the task should panic: nobody may wait for it in vain.
        let _done = done.drop_guard();
        supervisor.run().await;
    });
    handle
}

struct Supervisor {
    spec: ServerSpec,
    limits: Limits,
    run_dir: Option<PathBuf>,
    emitter: Emitter,
    log: LogSink,
    state: watch::Sender<State>,
    retry: Arc<Notify>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self) {
        let mut failures: VecDeque<Instant> = VecDeque::new();
        while !self.stop.is_cancelled() {
            self.state.send_replace(State::Starting);
            self.emitter.tell(EventKind::Starting).await;
            let error = self.live().await;
            if error == StartError::Stopped {
                break;
            }
            let reason = error.to_string();
            let now = Instant::now();
            failures.push_back(now);
            failures.retain(|at| now.duration_since(*at) < self.limits.restart_window);
            if failures.len() <= self.limits.max_restarts_in_window {
                let retry_in = self.limits.back_off(failures.len());
                self.state.send_replace(State::Waiting { reason: reason.clone(), until: now + retry_in });
                self.emitter.tell(EventKind::Failed { reason, retry_in }).await;
                self.pause(retry_in).await;
            } else {
                let reason = format!("it failed {} times; the last time: {reason}", failures.len());
                self.state.send_replace(State::GaveUp { reason: reason.clone() });
                self.emitter.tell(EventKind::GaveUp { reason }).await;
                self.pause(self.limits.restart_window).await;
                failures.clear();
            }
        }
        self.state.send_replace(State::Stopped);
        self.emitter.tell(EventKind::Stopped).await;
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.retry.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// One life of the server, from its start to its end; says why it ended.
    async fn live(&self) -> StartError {
        let started =
            Session::start(&self.spec, &self.limits, self.run_dir.as_deref(), self.log.clone(), &self.stop).await;
        let mut session = match started {
            Ok(session) => session,
            Err(error) => return error,
        };
        let tools = Arc::new(std::mem::take(&mut session.listed.tools));
        let running = Running { connection: session.connection.clone(), tools };
        running.connection.set_listed(session.listed.changes);
        self.state.send_replace(State::Running(running.clone()));
        self.emitter
            .tell(EventKind::Running {
                server_version: session.greeting.version.clone(),
                capabilities: session.greeting.capabilities.clone(),
                tools: running.tools.values().cloned().collect(),
            })
            .await;
        let ended = self.watch(&mut session, running).await;
        // From here on nothing new is called; what is in flight gets its answer or learns that there is none.
        if ended == StartError::Stopped {
            self.state.send_replace(State::Stopped);
            session.stop(self.limits.stop_grace).await;
            return ended;
        }
        let until = Instant::now();
        self.state.send_replace(State::Waiting { reason: ended.to_string(), until });
        session.kill().await;
        ended.with_last_words(&self.log)
    }

    async fn watch(&self, session: &mut Session, running: Running) -> StartError {
        let connection = running.connection.clone();
        let Session { peer, greeting, .. } = session;
        let health = self.look_after(greeting, running);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => StartError::Stopped,
            how = peer.exited() => StartError::Exited { how, last_words: String::new() },
            () = connection.ended() => {
                // Mostly the process is ending and this was its first sign.
                match tokio::time::timeout(self.limits.stop_grace, peer.exited()).await {
                    Ok(how) => StartError::Exited { how, last_words: String::new() },
                    Err(_) => StartError::ClosedPipes { last_words: String::new() },
                }
            }
            error = health => error,
        }
    }

    /// Pings, and lists the tools when they changed or from time to time; ends when the server fails at it.
    async fn look_after(&self, greeting: &Greeting, mut running: Running) -> StartError {
        let limits = &self.limits;
        let mut listed_at = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(limits.ping_interval) => {
                    if let Err(error) = self.ping(&running.connection).await {
                        return error;
                    }
                    self.log.flush(false);
                }
                () = running.connection.list_changed() => {
                    let pause = RELIST_PAUSE.min(limits.relist_interval);
                    tokio::time::sleep(pause.saturating_sub(listed_at.elapsed())).await;
                }
            }
            if running.connection.is_stale() || listed_at.elapsed() >= limits.relist_interval {
                listed_at = Instant::now();
                let listed = relist(&running.connection, greeting, limits.start_timeout, &self.log).await;
                let listed = match listed {
                    Ok(listed) => listed,
                    Err(error) => return error,
                };
                let is_other = listed.tools != *running.tools;
                if is_other {
                    running.tools = Arc::new(listed.tools);
                    // First for the calls, then for the record: a changed tool is refused from this moment.
                    self.state.send_replace(State::Running(running.clone()));
                }
                running.connection.set_listed(listed.changes);
                if is_other {
                    let tools = running.tools.values().cloned().collect();
                    self.emitter.tell(EventKind::ToolsChanged { tools }).await;
                }
            }
        }
    }

    async fn ping(&self, connection: &Connection) -> Result<(), StartError> {
        let was_busy = connection.is_busy();
        match connection.request("ping", json!({}), self.limits.ping_timeout).await {
            // A refusal is a sign of life too.
            Ok(_) | Err(RequestError::Answered { .. } | RequestError::TooLarge { .. }) => {
                self.emitter.mention(EventKind::Heartbeat);
                Ok(())
            }
            // Its end is noticed elsewhere, with its reason.
            Err(RequestError::Closed) => std::future::pending().await,
            // Many servers do one thing at a time. The call has a limit of its own, and the next ping decides.
            Err(RequestError::Lost { reason }) => Err(StartError::Unreachable { reason }),
            Err(RequestError::Late) if was_busy || connection.is_busy() => Ok(()),
            Err(RequestError::Late) => Err(StartError::Unresponsive { after: self.limits.ping_timeout }),
        }
    }
}
