//! A mailbox over IMAP.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use outside::{
    Kind, Trouble,
    address::Reach,
    http::{Client, Request},
    imap::{Cursor, Fetched, Mailbox, Place, Secret, Security},
    mail,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Ask, File, Found, Item, Source, settings};

const DEFAULT_BYTES: usize = 25 * 1024 * 1024;
const MOST_BYTES: usize = 100 * 1024 * 1024;
/// Servers end an IDLE after half an hour.
const LONGEST_IDLE: Duration = Duration::from_secs(20 * 60);
/// How often to look where the server does not say by itself when something arrives.
const POLL: Duration = Duration::from_secs(60);
/// A token is taken to be over so much before it says.
const TOKEN_SPARE: Duration = Duration::from_secs(120);
/// Bytes of a token's answer.
const TOKEN_BYTES: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    host: String,
    port: Option<u16>,
    #[serde(default = "tls")]
    security: Security,
    /// A certificate (PEM) to trust beside the public ones.
    ca_pem: Option<String>,
    user: String,
    #[serde(default = "inbox")]
    mailbox: String,
    /// Mail that arrived before the watcher was made, from here on.
    since: Option<Timestamp>,
    /// By what name the receiving server signs its `Authentication-Results`.
    trusted_server: Option<String>,
    max_bytes: Option<usize>,
}

fn tls() -> Security {
    Security::Tls
}
fn inbox() -> String {
    "INBOX".to_owned()
}

/// How to get an access token.
struct Refresh {
    url: String,
    form: String,
    client: Client,
    held: Option<(SecretString, Instant)>,
}

enum Proof {
    Fixed(Secret),
    Refreshed(Box<Refresh>),
}

pub(super) struct Mail {
    place: Place,
    since: Option<Timestamp>,
    trusted_server: Option<String>,
    proof: Option<Proof>,
    reach: Reach,
    open: Option<Mailbox>,
}

impl Mail {
    pub(super) fn open(own: Json, credentials: Option<&Json>, reach: Reach) -> Result<Self, Trouble> {
        let s: Settings = settings::read(own)?;
        let max_bytes = s.max_bytes.unwrap_or(DEFAULT_BYTES);
        if !(1024..=MOST_BYTES).contains(&max_bytes) {
            return Err(Trouble::lasting(format!("max_bytes must be from 1024 to {MOST_BYTES}")));
        }
        for (name, text) in [("host", &s.host), ("user", &s.user), ("mailbox", &s.mailbox)] {
            if text.is_empty() || text.chars().any(char::is_control) {
                return Err(Trouble::lasting(format!("{name} is empty, or has signs that no such name has")));
            }
        }
        let port = s.port.unwrap_or(if s.security == Security::Tls { 993 } else { 143 });
        let place = Place {
            host: s.host,
            port,
            security: s.security,
            ca_pem: s.ca_pem,
            user: s.user,
            mailbox: s.mailbox,
            max_bytes,
        };
        let proof = match credentials {
            None => None,
            Some(_) => Some(proof(credentials, &reach)?),
        };
        Ok(Self { place, since: s.since, trusted_server: s.trusted_server, proof, reach, open: None })
    }

    async fn secret(&mut self) -> Result<Secret, Trouble> {
        match &mut self.proof {
            None => Err(Trouble::credentials(
                "the mailbox wants credentials: a password made for this program, or an access token",
            )),
            Some(Proof::Fixed(secret)) => Ok(secret.clone()),
            Some(Proof::Refreshed(refresh)) => refresh.token().await.map(Secret::Token),
        }
    }

    async fn at(&mut self, ask: Ask<'_>) -> Result<Found, Trouble> {
        let cursor: Option<Cursor> = ask.state.and_then(|s| serde_json::from_value(s["cursor"].clone()).ok());
        // Of another mailbox nothing is known yet.
        let whose = format!("{}@{}/{}", self.place.user, self.place.host, self.place.mailbox);
        let cursor = cursor.filter(|_| ask.state.is_some_and(|s| s["whose"] == whose.as_str()));
        let mut mailbox = if let Some(mailbox) = self.open.take() {
            mailbox
        } else {
            let secret = self.secret().await?;
            Mailbox::open(&self.place, &secret, &self.reach).await?
        };
        let look = mailbox.look(cursor, self.since.unwrap_or(ask.made_at)).await?;
        self.open = Some(mailbox);
        let state = |cursor: Cursor| json!({ "whose": whose, "cursor": cursor });
        let mut items = Vec::new();
        for fetched in look.mails {
            let after = state(Cursor { validity: look.cursor.validity, uid: fetched.uid });
            if let Some(item) = self.item(fetched, after) {
                items.push(item);
            }
        }
        Ok(Found { items, state: state(look.cursor), more: look.more, ..Found::default() })
    }

    fn item(&self, fetched: Fetched, after: Json) -> Option<Item> {
        let mail = mail::parse(&fetched.raw, self.trusted_server.as_deref())?;
        let mut event = serde_json::to_value(&mail).unwrap_or_default();
        event["kind"] = json!("mail");
        event["arrived"] = json!(fetched.arrived);
        event["size_bytes"] = json!(fetched.size_bytes);
        event["cut"] = json!(fetched.is_cut);
        let from = mail.from.as_ref().map_or("(nobody)", |p| p.address.as_str());
        let subject = if mail.subject.is_empty() { "(no subject)" } else { mail.subject.as_str() };
        let mut description = mail.text.clone();
        if fetched.is_cut {
            description = format!(
                "This mail has {} bytes, more than the limit of {}: only its headers were read.",
                fetched.size_bytes, self.place.max_bytes
            );
        }
        let detail = json!({
            "from": mail.from, "message_id": mail.message_id, "thread": mail.thread,
            "mailbox": self.place.mailbox, "account": self.place.user, "authentication": mail.authentication,
        });
        let mut files = vec![File {
            name: format!("{}.eml", subject_name(subject)),
            mime_type: "message/rfc822".to_owned(),
            bytes: fetched.raw,
        }];
        files.extend(mail.attachments.into_iter().map(|f| File {
            name: f.name,
            mime_type: f.mime_type,
            bytes: f.bytes,
        }));
        Some(Item {
            key: format!("mail:{}", mail.key),
            source: format!("mail:{from}"),
            title: format!("Mail from {from}: {subject}"),
            description: Some(description),
            event,
            detail,
            files,
            parts: Vec::new(),
            state: Some(after),
        })
    }
}

/// A file's name from a subject.
fn subject_name(subject: &str) -> String {
    subject.chars().map(|c| if c.is_alphanumeric() || " -_.".contains(c) { c } else { '_' }).take(80).collect()
}

fn proof(credentials: Option<&Json>, reach: &Reach) -> Result<Proof, Trouble> {
    let text = |name: &str| settings::secret(credentials, name);
    if let Some(password) = text("password") {
        return Ok(Proof::Fixed(Secret::Password(password)));
    }
    if let Some(token) = text("access_token") {
        return Ok(Proof::Fixed(Secret::Token(token)));
    }
    let (Some(refresh), Some(client_id), Some(url)) = (text("refresh_token"), text("client_id"), text("token_url"))
    else {
        return Err(Trouble::lasting(
            "the credentials need a password, an access_token, or refresh_token with client_id and token_url (and client_secret)",
        ));
    };
    let mut form = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("refresh_token", refresh.expose_secret().to_owned()),
        ("client_id", client_id.expose_secret().to_owned()),
    ];
    if let Some(secret) = text("client_secret") {
        form.push(("client_secret", secret.expose_secret().to_owned()));
    }
    let form = form.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect::<Vec<_>>().join("&");
    let client = Client::new(reach.clone(), TOKEN_BYTES)?;
    Ok(Proof::Refreshed(Box::new(Refresh { url: url.expose_secret().to_owned(), form, client, held: None })))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

impl Refresh {
    /// A token that holds for a while yet.
    async fn token(&mut self) -> Result<SecretString, Trouble> {
        if let Some((token, until)) = &self.held
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let body = self.form.clone().into_bytes();
        let answer = self.client.send(Request::post(&self.url, "application/x-www-form-urlencoded", body)).await?;
        let said: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(error) = said["error"].as_str() {
            // The words are the standard's; a description may hold more than is good for a log.
            return Err(Trouble::credentials(format!(
                "the refresh token was refused ({}); log in at the provider again and give the new one",
                error.chars().take(60).collect::<String>()
            )));
        }
        answer.good()?;
        let token = said["access_token"].as_str().ok_or_else(|| Trouble {
            kind: Kind::Lasting,
            message: "token_url answers no access_token; check it".to_owned(),
            retry_after: None,
        })?;
        let lasts = Duration::from_secs(said["expires_in"].as_u64().unwrap_or(3600).min(24 * 3600));
        let token = SecretString::from(token.to_owned());
        self.held = Some((token.clone(), Instant::now() + lasts.saturating_sub(TOKEN_SPARE)));
        Ok(token)
    }
}

impl Source for Mail {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(self.at(ask))
    }

    fn wait(&mut self, longest: Duration) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            let Some(mailbox) = self.open.take() else {
                tokio::time::sleep(longest).await;
                return Ok(());
            };
            let (mailbox, heard) = mailbox.wait(longest.min(LONGEST_IDLE)).await?;
            self.open = Some(mailbox);
            if !heard {
                tokio::time::sleep(longest.min(POLL)).await;
            }
            Ok(())
        })
    }

    fn every_s(&self) -> u64 {
        LONGEST_IDLE.as_secs()
    }
}
