//! A server elsewhere, over streamable HTTP, made to look like a process: lines go in, lines come out, so that the one
//! conversation ([`crate::connection`]) holds for both.
//!
//! Each line that is written is one POST; what comes back, a JSON document or a stream of events, is passed on as it
//! flows. Where no answer can come any more, the line that says so tells whether the server may have acted.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_client::{
    Client,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use tokio::{
    io::{DuplexStream, duplex},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    bearer::Bearer,
    connection::MAX_IN_FLIGHT,
    error::StartError,
    events::LogSink,
    lines::{Line, Lines},
    link::{Link, Lost, Out, SESSION, read_head},
    spec::ServerSpec,
};

/// How long it may take until the server's machine answers at all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may take to hear that the session is over.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes on their way between the conversation and the exchanges.
const PIPE: usize = 64 * 1024;

/// The conversation with a server elsewhere. Dropping it ends all exchanges.
pub(crate) struct Remote {
    link: Arc<Link>,
    pump: JoinHandle<()>,
}

/// The conversation's ends: what it writes to and reads from.
pub(crate) struct Ends {
    pub stdin: DuplexStream,
    pub stdout: DuplexStream,
    /// What our own lines bear.
    pub mark: String,
}

impl Remote {
    /// Nothing is sent yet. The environment that the owner gave holds the headers.
    pub(crate) fn open(spec: &ServerSpec, message_bytes: usize, log: LogSink) -> Result<(Self, Ends), StartError> {
        let unusable = |cause: String| StartError::Spawn { command: spec.command.clone(), cause };
        let tls = outside::tls::config(None).map_err(|e| unusable(e.to_string()))?;
        let client = Client::builder()
            .user_agent(concat!("Steward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|e| unusable(e.to_string()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &spec.environment {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                unusable(format!("{name:?} is no name of a header; remove it, or name it as HTTP does"))
            })?;
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| unusable(format!("the value of {name} can't stand in a header")))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let (stdin, lines) = duplex(PIPE);
        let (out, stdout) = duplex(PIPE);
        let mark = Uuid::new_v4().to_string();
        let link = Arc::new(Link {
            client,
            mark: mark.clone(),
            url: spec.command.clone(),
            headers,
            bearer: spec.granted.as_ref().map(|granted| Bearer::new(&spec.command, granted)),
            session: Mutex::new(None),
            version: Mutex::new(None),
            out: tokio::sync::Mutex::new(Some(Out::new(out, mark.clone()))),
            running: Mutex::new(HashMap::new()),
            listens: AtomicBool::new(false),
            can_hear: CancellationToken::new(),
            is_forgotten: AtomicBool::new(false),
            ended: CancellationToken::new(),
            exchanges: TaskTracker::new(),
            log,
        });
        let pump = tokio::spawn(pump(link.clone(), Lines::new(lines, message_bytes)));
        Ok((Self { link, pump }, Ends { stdin, stdout, mark }))
    }

    /// What both sides speak, once that is agreed; from then on the server is listened to.
    pub(crate) fn agreed(&self, version: &str) {
        let version = HeaderValue::from_str(version).ok();
        *self.link.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
        if !self.link.listens.swap(true, Ordering::SeqCst) {
            let link = self.link.clone();
            self.link.exchanges.spawn(async move { link.listen().await });
        }
    }

    /// Waits until it is of no more use; says why.
    pub(crate) async fn ended(&self) -> String {
        self.link.ended.cancelled().await;
        "the session is over".to_owned()
    }

    /// Tells the server that the session is over; answers on their way are read for `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.link.exchanges.close();
        // Listening lasts as long as the session; everything else is let finish.
        self.link.listens.store(false, Ordering::SeqCst);
        self.link.ended.cancel();
        drop(tokio::time::timeout(grace, self.link.exchanges.wait()).await);
        self.kill().await;
        if let Some(session) = self.link.session() {
            let farewell = async {
                let headers = self.link.headers(None).await?;
                let farewell = self.link.client.delete(&self.link.url).headers(headers).header(SESSION, session);
                farewell.send().await.map_err(|e| e.to_string())
            };
            // A courtesy: sessions end by themselves as well.
            drop(tokio::time::timeout(FAREWELL, farewell).await);
        }
    }

    /// Ends all exchanges at once.
    pub(crate) async fn kill(&self) {
        self.link.ended.cancel();
        self.pump.abort();
        *self.link.out.lock().await = None;
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.link.ended.cancel();
        self.pump.abort();
    }
}

/// Sends each line on its way, until the conversation closes its end.
async fn pump(link: Arc<Link>, mut lines: Lines<DuplexStream>) {
    let room = Arc::new(Semaphore::new(MAX_IN_FLIGHT * 2));
    let mut first = true;
    while let Ok(Some(line)) = lines.next().await {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Oversized(over) => {
                let size = over.size;
                let reason = format!("the message has {size} bytes, which is more than is sent; shorten the arguments");
                match over.id {
                    Some(id) => link.say(id.into(), Lost::not_sent(reason)).await,
                    None => link.log.push(format!("(a message was not sent: {reason})").as_bytes()),
                }
                continue;
            }
        };
        let Ok(permit) = room.clone().acquire_owned().await else { break };
        let head = read_head(&bytes);
        let exchange = link.clone();
        let work = async move {
            exchange.exchange(bytes, head).await;
            drop(permit);
        };
        // The greeting brings the session, without which nothing else may be sent.
        if first {
            work.await;
            first = false;
        } else {
            link.exchanges.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::limits::Limits;

    #[tokio::test]
    async fn a_message_too_long_to_be_sent_is_an_error_for_whoever_sent_it() {
        let spec = ServerSpec {
            id: Uuid::nil(),
            name: "shop".to_owned(),
            command: "http://127.0.0.1:1/mcp".to_owned(),
            args: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            directory: None,
            store: None,
            granted: None,
        };
        let log = LogSink::new(None, Vec::new(), &Limits::default());
        let (_remote, mut ends) = Remote::open(&spec, 100, log).unwrap();
        let line = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"x","params":{{"long":"{}"}}}}"#, "x".repeat(200));
        ends.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut said = BufReader::new(ends.stdout).lines();
        let lost = loop {
            let line = said.next_line().await.unwrap().unwrap();
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["lost"] == ends.mark {
                break line;
            }
        };
        assert_eq!((lost["id"].as_u64(), lost["was_sent"].as_bool()), (Some(7), Some(false)));
        assert!(lost["reason"].as_str().unwrap().contains("bytes"), "{lost}");
    }
}
