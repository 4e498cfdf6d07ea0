//! A mailbox over IMAP: what arrived since the last look, read without marking it as read, and waiting for more.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_imap::{Authenticator, Client, Session, types::UnsolicitedResponse};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{Kind, Result, Trouble, address::Reach, tls};

#[cfg(test)]
mod tests;

/// To connect to one address.
const CONNECT: Duration = Duration::from_secs(10);
/// For one command and its answer.
const COMMAND: Duration = Duration::from_secs(60);
/// Mails of one look.
const MOST_MAILS: usize = 50;
/// Bytes of one look: it ends with the mail that passes this, and goes on with the next.
const LOOK_BYTES: usize = 64 * 1024 * 1024;
/// Of a mail that is too large this much is read: its headers.
const HEAD_BYTES: usize = 64 * 1024;

/// How the way to the server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the beginning (port 993).
    Tls,
    /// TLS after a plain greeting (port 143).
    Starttls,
    /// None; only for hosts that were allowed by name.
    None,
}

/// Where and how.
#[derive(Debug, Clone)]
pub struct Place {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way is kept secret.
    pub security: Security,
    /// A certificate (PEM) that is trusted beside the public ones.
    pub ca_pem: Option<String>,
    /// Who.
    pub user: String,
    /// The mailbox, as in `INBOX`.
    pub mailbox: String,
    /// Bytes of one mail; of a larger one only the headers are read.
    pub max_bytes: usize,
}

/// What proves who we are.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A password, best one made for this program.
    Password(SecretString),
    /// An access token (`XOAUTH2`).
    Token(SecretString),
}

/// How far a mailbox was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The mailbox's `UIDVALIDITY`: when it changes, the numbers mean other mails.
    pub validity: u32,
    /// The last number read.
    pub uid: u32,
}

/// A mail as it lies in the mailbox.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its number.
    pub uid: u32,
    /// When it arrived.
    pub arrived: Option<Timestamp>,
    /// Its bytes; only the head where it is too large.
    pub raw: Vec<u8>,
    /// Its size in bytes.
    pub size_bytes: u32,
    /// Whether only its head was read.
    pub is_cut: bool,
}

/// What a look gave.
#[derive(Debug, Clone)]
pub struct Look {
    /// Mails in the order of their arrival.
    pub mails: Vec<Fetched>,
    /// Where the look ended.
    pub cursor: Cursor,
    /// Whether there is more to read at once.
    pub more: bool,
    /// Whether the mailbox was made anew since the last look, so that it was read from its beginning.
    pub anew: bool,
}

/// A stream to a server.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug> Wire for T {}

/// An open mailbox.
#[derive(Debug)]
pub struct Mailbox {
    session: Session<Box<dyn Wire>>,
    validity: u32,
    next_uid: Option<u32>,
    can_idle: bool,
    max_bytes: usize,
}

/// What `XOAUTH2` sends.
struct Bearer {
    first: Option<String>,
}

impl Authenticator for Bearer {
    type Response = String;
    fn process(&mut self, _: &[u8]) -> String {
        // A second challenge holds the error, and wants an empty answer.
        self.first.take().unwrap_or_default()
    }
}

async fn within<T>(host: &str, work: impl Future<Output = async_imap::error::Result<T>>) -> Result<T> {
    match timeout(COMMAND, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(Trouble::passing(format!("{host} broke off ({}); it is tried again", short(&e)))),
        Err(_) => {
            Err(Trouble::passing(format!("{host} did not answer within {} s; it is tried again", COMMAND.as_secs())))
        }
    }
}

fn short(e: &async_imap::error::Error) -> String {
    e.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

impl Mailbox {
    /// Connects, logs in, and opens the mailbox for reading alone.
    pub async fn open(place: &Place, secret: &Secret, reach: &Reach) -> Result<Self> {
        let host = place.host.as_str();
        let mut client = connect(place, reach).await?;
        if place.security == Security::Starttls {
            within(host, client.run_command_and_check_ok("STARTTLS", None)).await?;
            // Whatever came in plain before the handshake counts for nothing: the client begins anew.
            client = Client::new(encrypt(place, client.into_inner()).await?);
        }
        let refused = |e: async_imap::error::Error| log_in_trouble(host, &place.user, &e);
        let log_in = async {
            match secret {
                Secret::Password(password) => {
                    client.login(&place.user, password.expose_secret()).await.map_err(|(e, _)| refused(e))
                }
                Secret::Token(token) => {
                    let first = format!("user={}\x01auth=Bearer {}\x01\x01", place.user, token.expose_secret());
                    client.authenticate("XOAUTH2", Bearer { first: Some(first) }).await.map_err(|(e, _)| refused(e))
                }
            }
        };
        let mut session = timeout(COMMAND, log_in)
            .await
            .map_err(|_| Trouble::passing(format!("{host} did not answer the log-in in time; it is tried again")))??;
        let can_idle = within(host, session.capabilities()).await?.has_str("IDLE");
        let opened = match timeout(COMMAND, session.examine(&place.mailbox)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(async_imap::error::Error::No(why))) => {
                return Err(Trouble::lasting(format!(
                    "there is no mailbox {:?} at {host} ({}); correct mailbox",
                    place.mailbox,
                    why.chars().take(100).collect::<String>()
                )));
            }
            Ok(Err(e)) => return Err(Trouble::passing(format!("{host} broke off ({})", short(&e)))),
            Err(_) => return Err(Trouble::passing(format!("{host} did not answer in time"))),
        };
        let validity = opened.uid_validity.ok_or_else(|| {
            Trouble::lasting(format!("{host} gives the mailbox no UIDVALIDITY, so its mails can't be told apart"))
        })?;
        Ok(Self { session, validity, next_uid: opened.uid_next, can_idle, max_bytes: place.max_bytes })
    }

    /// What arrived after `known`, at most fifty. Without one, and where the mailbox was made anew, everything that
    /// arrived at `since` or later.
    pub async fn look(&mut self, known: Option<Cursor>, since: Timestamp) -> Result<Look> {
        let same = known.filter(|k| k.validity == self.validity);
        let after = same.map_or(0, |k| k.uid);
        let what = "the mail server";
        // What was announced until here this look finds; what is announced from here on, `wait` takes for a reason to look again.
        while self.session.unsolicited_responses.try_recv().is_ok() {}
        let query = if same.is_some() {
            format!("UID {}:*", after.saturating_add(1))
        } else {
            // By days, and in the server's zone: a day more, judged exactly below.
            let day =
                since.to_zoned(jiff::tz::TimeZone::UTC).date().yesterday().unwrap_or(jiff::civil::date(1970, 1, 1));
            format!("SINCE {}", day.strftime("%d-%b-%Y"))
        };
        // (`n:*` names the last mail even where its number is smaller.)
        let mut uids: Vec<u32> =
            within(what, self.session.uid_search(query)).await?.into_iter().filter(|uid| *uid > after).collect();
        uids.sort_unstable();
        let mut more = uids.len() > MOST_MAILS;
        uids.truncate(MOST_MAILS);
        let mut last = after;
        let mut mails = Vec::new();
        if !uids.is_empty() {
            let set = uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let heads: Vec<(u32, u32, Option<Timestamp>)> = within(what, async {
                self.session
                    .uid_fetch(set, "(UID INTERNALDATE RFC822.SIZE)")
                    .await?
                    .map_ok(|f| {
                        let at = f.internal_date().and_then(|d| Timestamp::from_second(d.timestamp()).ok());
                        (f.uid.unwrap_or_default(), f.size.unwrap_or_default(), at)
                    })
                    .try_collect()
                    .await
            })
            .await?;
            let mut heads: Vec<_> = heads.into_iter().filter(|(uid, ..)| uids.binary_search(uid).is_ok()).collect();
            heads.sort_unstable_by_key(|(uid, ..)| *uid);
            let mut total_bytes = 0;
            for (uid, size_bytes, arrived) in heads {
                if total_bytes >= LOOK_BYTES {
                    more = true;
                    uids.clear();
                    break;
                }
                last = uid;
                if same.is_none() && arrived.is_some_and(|at| at < since) {
                    continue;
                }
                let is_cut = usize::try_from(size_bytes).is_ok_and(|size| size > self.max_bytes);
                let part = if is_cut { format!("BODY.PEEK[HEADER]<0.{HEAD_BYTES}>") } else { "BODY.PEEK[]".to_owned() };
                let raw: Vec<Vec<u8>> = within(what, async {
                    self.session
                        .uid_fetch(uid.to_string(), format!("(UID {part})"))
                        .await?
                        .map_ok(|f| f.body().or_else(|| f.header()).unwrap_or_default().to_vec())
                        .try_collect()
                        .await
                })
                .await?;
                // One that was removed meanwhile is none any more.
                if let Some(raw) = raw.into_iter().find(|r| !r.is_empty()) {
                    total_bytes += raw.len();
                    mails.push(Fetched { uid, arrived, raw, size_bytes, is_cut });
                }
            }
            last = last.max(uids.last().copied().unwrap_or_default());
        } else if same.is_none() {
            last = self.next_uid.map_or(0, |next| next.saturating_sub(1));
        }
        Ok(Look {
            mails,
            cursor: Cursor { validity: self.validity, uid: last },
            more,
            anew: known.is_some() && same.is_none(),
        })
    }

    /// Waits until something may have arrived, at most `longest`. Answers the mailbox, and whether it waited for the
    /// server's word: where the server can't say, the caller looks from time to time. A server says a thing once: what it
    /// said while the mailbox was looked at, or before it began to wait with us, ends the wait at once.
    pub async fn wait(self, longest: Duration) -> Result<(Self, bool)> {
        if !self.can_idle {
            return Ok((self, false));
        }
        let Self { session, validity, can_idle, max_bytes, .. } = self;
        let what = "the mail server";
        let said = session.unsolicited_responses.clone();
        // The library keeps but so many, and lets go of the rest: where it is full, a mail may be among what was lost.
        let is_news = || {
            let mut news = said.is_full();
            while let Ok(one) = said.try_recv() {
                news |= matches!(one, UnsolicitedResponse::Exists(_) | UnsolicitedResponse::Recent(1..));
            }
            news
        };
        if is_news() {
            return Ok((Self { session, validity, next_uid: None, can_idle, max_bytes }, true));
        }
        let mut idle = session.idle();
        within(what, idle.init()).await?;
        if !is_news() {
            let (waiting, _interrupt) = idle.wait_with_timeout(longest);
            // The library begins to count anew whenever the server says that it is still there.
            if let Ok(Err(e)) = timeout(longest, waiting).await {
                return Err(Trouble::passing(format!("{what} broke off ({})", short(&e))));
            }
        }
        let session = within(what, idle.done()).await?;
        Ok((Self { session, validity, next_uid: None, can_idle, max_bytes }, true))
    }

    /// Whether the server says by itself when something arrives.
    pub fn can_idle(&self) -> bool {
        self.can_idle
    }

    /// Leaves in order; a server that does not answer is left anyway.
    pub async fn close(mut self) {
        drop(timeout(Duration::from_secs(2), self.session.logout()).await);
    }
}

async fn connect(place: &Place, reach: &Reach) -> Result<Client<Box<dyn Wire>>> {
    let host = place.host.as_str();
    let addresses = reach.resolve(host, place.port).await?;
    if place.security == Security::None && addresses.iter().any(|a| crate::address::is_public(a.ip())) {
        return Err(Trouble::lasting(format!(
            "without TLS the password would go over the net in plain; set security to tls for {host}"
        )));
    }
    let mut last = None;
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|e| Trouble::passing(format!("{host}: {e}")))?;
                let stream: Box<dyn Wire> = if place.security == Security::Tls {
                    encrypt(place, Box::new(stream)).await?
                } else {
                    Box::new(stream)
                };
                let mut client = Client::new(stream);
                match timeout(COMMAND, client.read_response()).await {
                    Ok(Ok(Some(_))) => return Ok(client),
                    Ok(Ok(None)) => return Err(Trouble::passing(format!("{host} closed the connection at once"))),
                    Ok(Err(e)) => return Err(Trouble::passing(format!("{host} does not speak IMAP ({e})"))),
                    Err(_) => {
                        return Err(Trouble::passing(format!("{host} does not greet; check the port and security")));
                    }
                }
            }
            Ok(Err(e)) => last = Some(e.to_string()),
            Err(_) => last = Some("it did not answer in time".to_owned()),
        }
    }
    Err(Trouble::passing(format!("{host}:{} can't be reached ({})", place.port, last.unwrap_or_default())))
}

async fn encrypt(place: &Place, stream: Box<dyn Wire>) -> Result<Box<dyn Wire>> {
    let host = place.host.as_str();
    let config = tls::config(place.ca_pem.as_deref())?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Trouble::lasting(format!("{host} is no name of a server")))?;
    match timeout(CONNECT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(e))
            if matches!(
                e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()),
                Some(rustls::Error::InvalidCertificate(_))
            ) =>
        {
            Err(Trouble::lasting(format!(
                "{host} shows a certificate that is not trusted ({e}); check the name, or give ca_pem"
            )))
        }
        Ok(Err(e)) => {
            Err(Trouble::passing(format!("{host} can't be spoken to over TLS ({e}); check the port and security")))
        }
        Err(_) => Err(Trouble::passing(format!("{host} did not finish the TLS handshake in time"))),
    }
}

/// A refused log-in is final unless the server says that it is busy.
fn log_in_trouble(host: &str, user: &str, e: &async_imap::error::Error) -> Trouble {
    use async_imap::error::Error;
    match e {
        Error::No(why) | Error::Bad(why) => {
            let said = why.to_uppercase();
            let busy = ["UNAVAILABLE", "INUSE", "LIMIT", "TEMPORAR", "TRY AGAIN"].iter().any(|w| said.contains(w));
            let kind = if busy { Kind::Passing } else { Kind::Credentials };
            let what =
                if busy { "it is tried again" } else { "give new credentials (many providers want an app password)" };
            let why: String = why.chars().filter(|c| !c.is_control()).take(150).collect();
            Trouble { kind, message: format!("{host} refused the log-in of {user} ({why}); {what}"), retry_after: None }
        }
        other => Trouble::passing(format!("{host} broke off the log-in ({}); it is tried again", short(other))),
    }
}
