//! Signals on PostgreSQL: one connection that listens, and a bell that rings for other processes.
//!
//! A NOTIFY takes a lock of the whole database at commit, so wake-ups are sent outside of transactions, at most one
//! at a time and with a pause after each; one stands for all commits before it.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use super::{Hub, Signal, Topic};
use crate::{
    Error, Result,
    postgres::{Postgres, chain, session_settings, tls, translate},
};

/// Pause after each wake-up: at most 250 a second, whatever is committed meanwhile.
const PAUSE: Duration = Duration::from_millis(4);
/// How long a wake-up may take to be sent; after that others find the work by themselves.
const SENDING: Duration = Duration::from_secs(5);
/// How long connecting, or one answer on the connection that listens, may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How often the connection that listens is asked whether it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to connect.
const MOST_BACKOFF: Duration = Duration::from_secs(5);
/// When to look again whether a pooler passes signals on.
const DEAF_RETRY: Duration = Duration::from_secs(300);

/// The way to other processes.
#[derive(Debug)]
pub(super) struct Line {
    pool: Postgres,
    target: tokio_postgres::Config,
    /// Which wake-ups are this store's own.
    id: Uuid,
    /// The connection that listens, while it does.
    client: Mutex<Option<Arc<Client>>>,
    /// The last call to ourselves that was heard.
    echo: watch::Sender<Uuid>,
}

/// Why listening ended.
enum Ended {
    /// The connection could not be made or broke off.
    Lost(String),
    /// Connected, but nothing is passed on.
    Deaf,
}

impl Line {
    pub(super) fn new(pool: Postgres, target: &tokio_postgres::Config, connect_timeout: Duration) -> Self {
        let mut target = session_settings(target, connect_timeout.min(ANSWER));
        target.application_name("steward signals");
        Self { pool, target, id: Uuid::now_v7(), client: Mutex::default(), echo: watch::Sender::new(Uuid::nil()) }
    }

    fn listening(&self, client: Option<Arc<Client>>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Rings over the connection that listens, or else over one of the pool.
    async fn send(&self) -> Result<()> {
        let ready = notify(&format!("ready:{}", self.id));
        let fail = |e: tokio_postgres::Error| translate("signals/notify", &e);
        let own = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = own
            && client.batch_execute(&ready).await.is_ok()
        {
            return Ok(());
        }
        self.pool.client().await?.batch_execute(&ready).await.map_err(fail)
    }

    /// What another process, or this one, said.
    fn heard(&self, hub: &Hub, payload: &str) {
        match payload.split_once(':') {
            // Its own wake-up was heard at the commit.
            Some(("ready", who)) if who.parse() == Ok(self.id) => return,
            Some(("ready", _)) => hub.ready(),
            Some(("echo", who)) => {
                self.echo.send_replace(who.parse().unwrap_or_default());
                return;
            }
            other => match other.and_then(|(table, key)| Some((Topic::of_table(table)?, key))) {
                Some((topic, key)) => hub.tell(Signal::Changed(topic, key.to_owned())),
                // Said by a newer Steward, perhaps: whatever it means, nothing remembered is safe.
                None => hub.tell(Signal::Missed),
            },
        }
        hub.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls over a second connection and waits to be heard: a pooler that hands a connection on after each
    /// transaction takes LISTEN without a word and then passes nothing on.
    async fn hears_itself(&self) -> Result<bool, String> {
        let word = Uuid::now_v7();
        let mut echo = self.echo.subscribe();
        let (client, connection) =
            within(self.target.connect(tls())).await?.map_err(|e| format!("the second connection: {}", chain(&e)))?;
        let call = async {
            let said = client.batch_execute(&notify(&format!("echo:{word}"))).await;
            drop(client);
            said
        };
        let (said, ended) = within(futures_util::future::join(call, connection)).await?;
        said.and(ended).map_err(|e| chain(&e))?;
        let heard = tokio::time::timeout(ANSWER, echo.wait_for(|heard| *heard == word)).await;
        Ok(heard.is_ok())
    }
}

/// The words of a NOTIFY; `payload` is made of words and ids of ours.
fn notify(payload: &str) -> String {
    format!("NOTIFY steward, '{payload}'")
}

/// At most [`ANSWER`].
async fn within<T>(work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(ANSWER, work).await.map_err(|_| format!("no answer within {} s", ANSWER.as_secs()))
}

/// Tells other processes of ready work, until the store is closed and the last wake-up is sent.
pub(super) async fn ring(hub: Arc<Hub>, line: Arc<Line>) {
    loop {
        tokio::select! {
            biased;
            () = hub.bell.notified() => {}
            () = hub.closed.cancelled() => return,
        }
        let sent = tokio::time::timeout(SENDING, line.send()).await;
        match sent.unwrap_or_else(|_| Err(Error::Unavailable("no answer in time".to_owned()))) {
            Ok(()) => drop(hub.sent.fetch_add(1, Ordering::Relaxed)),
            Err(e) => tracing::debug!(error = %e, "a wake-up could not be sent; others find the work by themselves"),
        }
        tokio::select! {
            () = hub.closed.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Listens until the store is closed.
pub(super) async fn listen(hub: Arc<Hub>, line: Arc<Line>) {
    let mut failures: u32 = 0;
    let mut told = false;
    loop {
        let ended = tokio::select! {
            () = hub.closed.cancelled() => break,
            ended = once(&hub, &line) => ended,
        };
        line.listening(None);
        if hub.is_lost() {
            hub.reconnects.fetch_add(1, Ordering::Relaxed);
            (failures, told) = (0, false);
        }
        let wait = match &ended {
            Ended::Lost(reason) => {
                if !told {
                    tracing::warn!(%reason, "signals of other processes do not arrive; their changes are found by polling until they do");
                }
                backoff(failures)
            }
            Ended::Deaf => {
                if !told {
                    tracing::warn!(
                        "the pooler before PostgreSQL passes no LISTEN on, so changes of other processes are found by \
                         polling; connect directly, or by a pool that keeps one connection for the session"
                    );
                }
                DEAF_RETRY
            }
        };
        told = true;
        failures = failures.saturating_add(1);
        tokio::select! {
            () = hub.closed.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    line.listening(None);
}

/// Doubles with each failure, and differs between nodes that lost the same server.
fn backoff(failures: u32) -> Duration {
    let longest = Duration::from_millis(50 << failures.min(7)).min(MOST_BACKOFF);
    longest.mul_f64(rand::random_range(0.5..1.0))
}

/// Connects and listens for as long as it lasts.
async fn once(hub: &Hub, line: &Line) -> Ended {
    let connected = within(line.target.connect(tls())).await.and_then(|c| c.map_err(|e| chain(&e)));
    let (client, mut connection) = match connected {
        Ok(connected) => connected,
        Err(reason) => return Ended::Lost(reason),
    };
    let hear = async {
        loop {
            match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(said))) => line.heard(hub, said.payload()),
                Some(Ok(_)) => {}
                Some(Err(e)) => return Ended::Lost(chain(&e)),
                None => return Ended::Lost("the connection was closed".to_owned()),
            }
        }
    };
    tokio::select! {
        ended = hear => ended,
        ended = attend(hub, line, Arc::new(client)) => ended,
    }
}

/// Begins to listen, and asks from time to time whether the connection lives.
async fn attend(hub: &Hub, line: &Line, client: Arc<Client>) -> Ended {
    let mut statement = "LISTEN steward";
    loop {
        let answer = within(client.batch_execute(statement)).await.and_then(|a| a.map_err(|e| chain(&e)));
        if let Err(reason) = answer {
            return Ended::Lost(reason);
        }
        if !hub.listening.load(Ordering::SeqCst) {
            match line.hears_itself().await {
                Ok(true) => {
                    line.listening(Some(Arc::clone(&client)));
                    hub.listens();
                    tracing::debug!("listening for signals of other processes");
                }
                Ok(false) => return Ended::Deaf,
                Err(reason) => return Ended::Lost(reason),
            }
        }
        statement = "";
        tokio::time::sleep(HEARTBEAT).await;
    }
}
