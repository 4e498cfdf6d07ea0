//! Signals: that work may have become ready, that something worth caching changed, or that such news may have been lost.
//!
//! They are hints and may vanish at any moment; the database is the truth. Whoever waits for them looks again by
//! itself from time to time, and forgets what it remembers when [`Signal::Missed`] comes or [`Store::is_listening`]
//! says no.
//!
//! - *Ready* follows the commit of a statement that is declared to wake (`statements!`). Within the process it is heard
//!   at once; on PostgreSQL others hear it by a NOTIFY outside the transaction, at most one every few milliseconds.
//! - *Changed* is said by the database itself: triggers with `pg_notify` on PostgreSQL, temporary triggers of the
//!   writer on SQLite, so that no path can forget it.
//! - *Missed* comes whenever listening begins or breaks off, and on SQLite when another program wrote to the file.

mod postgres;
mod sqlite;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, broadcast, watch},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::sqlite::{Marks, SharedMarks, watch_changes};
use crate::{Store, config::Target, run::Engine};

/// News that may wait for a slow receiver; one that falls further behind hears [`Signal::Missed`] in their place.
const WAITING: usize = 1024;
/// How long closing waits for the last wake-up to be sent.
const CLOSING: Duration = Duration::from_secs(2);

/// What a waiter is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Work may have become ready: try to claim.
    Ready,
    /// Rows that may be cached changed: forget what is remembered of this key.
    Changed(Topic, String),
    /// Signals may have been lost: look yourself, and forget everything remembered.
    Missed,
}

/// What changed, and what its key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A session was revoked or deleted; the key is the SHA-256 of its token in hex.
    Sessions,
    /// A user or whether it is an agent (not its last log-in); the key is the user's id.
    Users,
    /// What a role may do; the key is the role.
    RolePermissions,
    /// A rule of the policy; the key is its id.
    Policies,
    /// A server (not its heartbeat); the key is its id.
    McpServers,
    /// A tool of a server (not when it was last seen); the key is the server's id.
    ServerTools,
    /// A watcher's name, settings or whether it is active (not how its runs went); the key is its id.
    Watchers,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 7] = [
        Self::Sessions,
        Self::Users,
        Self::RolePermissions,
        Self::Policies,
        Self::McpServers,
        Self::ServerTools,
        Self::Watchers,
    ];

    /// The table's name, which the triggers say.
    pub fn table(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Users => "users",
            Self::RolePermissions => "role_permissions",
            Self::Policies => "policies",
            Self::McpServers => "mcp_servers",
            Self::ServerTools => "server_tools",
            Self::Watchers => "watchers",
        }
    }

    fn of_table(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.table() == name)
    }
}

/// How signals fared since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Wake-ups sent to other processes (PostgreSQL; one stands for all commits since the last).
    pub sent: u64,
    /// Signals that came from the database: notifications, or on SQLite the writes of others that were noticed.
    pub received: u64,
    /// How often the connection that listens was lost.
    pub reconnects: u64,
    /// Whether signals arrive now.
    pub is_listening: bool,
}

/// Hears the signals of a store from the moment it was made.
#[derive(Debug)]
pub struct Receiver {
    ready: watch::Receiver<()>,
    news: broadcast::Receiver<Signal>,
    closed: CancellationToken,
}

impl Receiver {
    /// The next signal; `None` once the store is closed. Several *ready* between two calls are one. A call that is
    /// dropped loses nothing.
    pub async fn recv(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            news = self.news.recv() => match news {
                Ok(signal) => Some(signal),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(Signal::Missed),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            ready = self.ready.changed() => ready.ok().map(|()| Signal::Ready),
        }
    }
}

/// Where signals meet within the process.
#[derive(Debug)]
pub(crate) struct Hub {
    ready: watch::Sender<()>,
    news: broadcast::Sender<Signal>,
    /// Rung when others are to be told of ready work.
    bell: Notify,
    listening: AtomicBool,
    closed: CancellationToken,
    sent: AtomicU64,
    received: AtomicU64,
    reconnects: AtomicU64,
    /// The caches hear what is told before anybody else does.
    ear: OnceLock<Arc<crate::cache::Inner>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            ready: watch::Sender::new(()),
            news: broadcast::Sender::new(WAITING),
            bell: Notify::new(),
            listening: AtomicBool::new(false),
            closed: CancellationToken::new(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            ear: OnceLock::new(),
        }
    }
}

impl Hub {
    /// Lets the caches hear; once.
    pub(crate) fn let_hear(&self, ear: Arc<crate::cache::Inner>) {
        drop(self.ear.set(ear));
    }

    /// Whether signals of other processes arrive now.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::SeqCst)
    }

    /// A commit of this store may have made work ready.
    pub(crate) fn wake(&self) {
        self.ready.send_replace(());
        self.bell.notify_one();
    }

    /// Tells this process alone.
    fn ready(&self) {
        self.ready.send_replace(());
    }

    fn tell(&self, signal: Signal) {
        if let Some(ear) = self.ear.get() {
            ear.heard(&signal);
        }
        // Nobody listens: then nobody remembers anything either.
        drop(self.news.send(signal));
    }

    /// Signals arrive from now on; what happened before may have been missed.
    fn listens(&self) {
        self.listening.store(true, Ordering::SeqCst);
        self.tell(Signal::Missed);
    }

    /// Signals arrive no longer. Answers whether they did.
    fn is_lost(&self) -> bool {
        let was = self.listening.swap(false, Ordering::SeqCst);
        if was {
            self.tell(Signal::Missed);
        }
        was
    }

    fn receiver(&self) -> Receiver {
        Receiver { ready: self.ready.subscribe(), news: self.news.subscribe(), closed: self.closed.clone() }
    }
}

/// A store's part in the signals. The tasks behind it end with [`Store::close`], or with the last clone of the store.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    hub: Arc<Hub>,
    line: Option<Arc<postgres::Line>>,
    listener: Arc<AtomicBool>,
    ringer: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Ends the tasks when the last clone goes.
    _end: Arc<DropGuard>,
}

impl Signals {
    pub(crate) fn new(hub: Arc<Hub>, engine: &Engine, config: &crate::Config) -> Self {
        let line = match (engine, &config.target) {
            (Engine::Postgres(pool), Target::Postgres(target)) => {
                Some(Arc::new(postgres::Line::new(pool.clone(), target, config.connect_timeout)))
            }
            _ => None,
        };
        let end = hub.closed.clone().drop_guard();
        let ringer = line.as_ref().map(|line| tokio::spawn(postgres::ring(Arc::clone(&hub), Arc::clone(line))));
        Self { hub, line, listener: Arc::default(), ringer: Arc::new(Mutex::new(ringer)), _end: Arc::new(end) }
    }

    /// Where the signals meet.
    pub(crate) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub)
    }

    /// A commit may have made work ready.
    pub(crate) fn wake(&self) {
        self.hub.wake();
    }

    /// Sends the last wake-up and ends the tasks.
    pub(crate) async fn close(&self) {
        self.hub.closed.cancel();
        let ringer = self.ringer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ringer) = ringer
            && tokio::time::timeout(CLOSING, ringer).await.is_err()
        {
            tracing::debug!("the last wake-up could not be sent; others find the work by themselves");
        }
        self.hub.is_lost();
    }
}

impl Store {
    /// Hears signals from now on. The first call begins to listen (on PostgreSQL over a connection of its own, on
    /// SQLite by looking for other programs' writes), so it is made within the runtime.
    pub fn signals(&self) -> Receiver {
        let receiver = self.signals.hub.receiver();
        if !self.signals.listener.swap(true, Ordering::SeqCst) && !self.signals.hub.closed.is_cancelled() {
            let hub = Arc::clone(&self.signals.hub);
            match (&self.signals.line, &self.engine) {
                (Some(line), _) => drop(tokio::spawn(postgres::listen(hub, Arc::clone(line)))),
                (None, Engine::Sqlite(file)) => drop(tokio::spawn(sqlite::look(hub, file.clone()))),
                (None, Engine::Postgres(_)) => {}
            }
        }
        receiver
    }

    /// Whether signals of other processes arrive now. After a network that hangs it may say yes for up to 8 s more.
    pub fn is_listening(&self) -> bool {
        self.signals.hub.listening.load(Ordering::SeqCst) && !self.signals.hub.closed.is_cancelled()
    }

    /// How signals fared so far, for the metrics.
    pub fn signal_counts(&self) -> Counts {
        let hub = &self.signals.hub;
        Counts {
            sent: hub.sent.load(Ordering::Relaxed),
            received: hub.received.load(Ordering::Relaxed),
            reconnects: hub.reconnects.load(Ordering::Relaxed),
            is_listening: self.is_listening(),
        }
    }
}
