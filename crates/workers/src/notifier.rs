//! Tells people by the ways they want: plans what stands on the web, sends what is due, and notes what became of it.
//!
//! Each is taken up under a lease and ended with its fence, so that nodes beside each other plan and send each once; a node
//! that dies in between leaves it to be sent again under the same id. What is due to one person by one way at the same
//! moment goes as one message.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    telling::{self, Wishes},
    web_push,
};
use jiff::SignedDuration;
use outside::{
    Kind, Trouble,
    address::Reach,
    gateway::{Note, Push, Sms},
    smtp::{Letter, Server},
};
use secrecy::SecretString;
use serde_json::Value as Json;
use store::{
    Actor, Store, Vault, notification_channels,
    notification_outbox::{self, Outgoing},
    notifications::{self, Notification},
    schedules,
    sealed::Purpose,
    users::{self, Contact},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Error, Result, browsers};

/// How often the outbox is looked at.
const TICK: Duration = Duration::from_secs(2);
/// How long a node that says nothing is taken to live: longer than sending a whole claim can take.
const LEASE: SignedDuration = SignedDuration::from_mins(10);
/// Taken up at once.
const AT_ONCE: i64 = 8;
/// After the first failure, in seconds; doubled after each further one …
const FIRST_PAUSE_S: i64 = 30;
/// … up to this.
const LONGEST_PAUSE_S: i64 = 3600;
/// Given up after so many tries: about a day.
const MOST_TRIES: i32 = 30;
/// Characters of what is kept of an error.
const ERROR_CHARS: usize = 1000;
/// Characters of one message within a digest.
const DIGEST_CHARS: usize = 500;

/// Tells people.
#[derive(Debug, Clone)]
pub struct Notifier {
    store: Store,
    vault: Vault,
    /// What pushes to browsers may reach.
    reach: Reach,
    /// Rung after each round in which something was done; for tests that wait for it.
    pub done: Arc<Notify>,
}

/// A way with its credentials in clear.
#[derive(Debug)]
pub enum Way {
    /// Mail.
    Email(Server, Option<SecretString>, Option<String>),
    /// Pushes.
    Push(Push, Option<SecretString>, Option<String>),
    /// SMS.
    Sms(Sms, Option<SecretString>, Option<String>),
}

/// Where in a way's settings the desk's address stands, for links.
pub(crate) const DESK: &str = "desk_url";

impl Way {
    /// Reads a way's settings and credentials.
    pub fn parse(channel: &str, config: &Json, secret: Option<&Json>) -> Result<Self, Trouble> {
        let mut own = config.clone();
        let desk = own.as_object_mut().and_then(|o| o.remove(DESK)).and_then(|d| d.as_str().map(str::to_owned));
        if let Some(desk) = &desk
            && !(desk.starts_with("https://") || desk.starts_with("http://"))
        {
            return Err(Trouble::lasting(format!("desk_url {desk:?} must begin with https://")));
        }
        let desk = desk.map(|d| d.trim_end_matches('/').to_owned());
        let wrong = |e: serde_json::Error| Trouble::lasting(format!("the settings do not fit: {e}"));
        let word = |name: &str| {
            secret.and_then(|s| s.get(name)).and_then(Json::as_str).map(|s| SecretString::from(s.to_owned()))
        };
        match channel {
            "email" => {
                let server: Server = serde_json::from_value(own).map_err(wrong)?;
                server.check()?;
                Ok(Self::Email(server, word("password"), desk))
            }
            "push" => {
                let push: Push = serde_json::from_value(own).map_err(wrong)?;
                push.check()?;
                Ok(Self::Push(push, word("token"), desk))
            }
            "sms" => {
                let sms: Sms = serde_json::from_value(own).map_err(wrong)?;
                sms.check()?;
                Ok(Self::Sms(sms, word("token"), desk))
            }
            other => Err(Trouble::lasting(format!(
                "there is no way called {other}; there are: {}",
                telling::WAYS.join(", ")
            ))),
        }
    }

    async fn send(&self, to: &str, told: &[&Notification]) -> Result<(), Trouble> {
        let Some(first) = told.first() else { return Ok(()) };
        let (Self::Email(_, _, desk) | Self::Push(_, _, desk) | Self::Sms(_, _, desk)) = self;
        let title = if told.len() == 1 { first.title.clone() } else { format!("{} messages from Steward", told.len()) };
        let link = desk
            .as_ref()
            .map(|desk| if told.len() == 1 { place(desk, first) } else { format!("{desk}/notifications") });
        match self {
            Self::Email(server, password, desk) => {
                let letter = Letter {
                    id: first.id.to_string(),
                    to: to.to_owned(),
                    subject: title,
                    text: plain(told, desk.as_deref()),
                    html: html(told, desk.as_deref()),
                };
                server.send(password.as_ref(), &letter).await
            }
            Self::Push(push, token, _) => push.send(token.as_ref(), &note(to, title, told, link)).await,
            Self::Sms(sms, token, _) => sms.send(token.as_ref(), &note(to, title, told, link)).await,
        }
    }
}

fn note(to: &str, title: String, told: &[&Notification], link: Option<String>) -> Note {
    let text = match told {
        [one] => one.message.clone().unwrap_or_default(),
        many => many.iter().map(|n| n.title.as_str()).collect::<Vec<_>>().join("\n"),
    };
    Note {
        id: told.first().map(|n| n.id.to_string()).unwrap_or_default(),
        to: to.to_owned(),
        title,
        text: text.chars().take(3000).collect(),
        link,
        is_urgent: told.iter().any(|n| telling::Priority::of(&n.priority) >= telling::Priority::High),
    }
}

/// Where a message leads: to a page that shows; nothing is decided by opening it.
fn place(desk: &str, told: &Notification) -> String {
    let id = |name: &str| {
        told.data.as_ref().and_then(|d| d.get(name)).and_then(Json::as_str).and_then(|id| id.parse::<Uuid>().ok())
    };
    match (id("approval_id"), id("task_id")) {
        (Some(id), _) => format!("{desk}/approvals/{id}"),
        (None, Some(id)) => format!("{desk}/tasks/{id}"),
        (None, None) => match told.data.as_ref().and_then(|d| d.get("briefing")).and_then(Json::as_str) {
            Some(period @ ("day" | "week")) => format!("{desk}/briefing?period={period}"),
            _ => format!("{desk}/notifications"),
        },
    }
}

fn message(told: &Notification, is_one: bool) -> String {
    let text = told.message.as_deref().unwrap_or_default();
    if is_one { text.to_owned() } else { text.chars().take(DIGEST_CHARS).collect() }
}

fn plain(told: &[&Notification], desk: Option<&str>) -> String {
    let mut parts = Vec::new();
    for one in told {
        let mut part = one.title.clone();
        let text = message(one, told.len() == 1);
        if !text.is_empty() {
            part = format!("{part}\n\n{text}");
        }
        if let Some(desk) = desk {
            part = format!("{part}\n\n{}", place(desk, one));
        }
        parts.push(part);
    }
    parts.join("\n\n----\n\n") + "\n"
}

fn html(told: &[&Notification], desk: Option<&str>) -> String {
    let mut parts = Vec::new();
    for one in told {
        parts.push(format!("<h2>{}</h2>", escaped(&one.title)));
        parts.extend(message(one, told.len() == 1).lines().map(|line| format!("<p>{}</p>", linked(line, desk))));
        if let Some(desk) = desk {
            parts.push(format!("<p><a href=\"{}\">Open it in Steward</a></p>", escaped(&place(desk, one))));
        }
    }
    format!("<!doctype html><html><body>{}</body></html>", parts.join("\n"))
}

/// A line, with the desk's own addresses in it as links; no other address becomes one.
fn linked(line: &str, desk: Option<&str>) -> String {
    let is_of_desk =
        |word: &str| desk.and_then(|desk| word.strip_prefix(desk)).is_some_and(|rest| rest.starts_with('/'));
    let words = line.split(' ').map(|word| {
        let plain = escaped(word);
        if is_of_desk(word) { format!("<a href=\"{plain}\">{plain}</a>") } else { plain }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

/// One that is to be sent: its place in the outbox, itself, and whose it is.
struct Letterbox {
    held: Outgoing,
    told: Notification,
    contact: Contact,
}

impl Notifier {
    /// A notifier over a database, with the key to its credentials.
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault, reach: Reach::public(), done: Arc::default() }
    }

    /// The same, with other addresses for pushes to browsers than public ones.
    #[must_use]
    pub fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failing = false;
        loop {
            let result = tokio::select! {
                () = shutdown.cancelled() => return,
                result = self.round() => result,
            };
            match (&result, failing) {
                (Err(e), false) => tracing::warn!(error = %e, "people can't be told now; it is tried again"),
                (Ok(_), true) => tracing::info!("people are told again"),
                _ => {}
            }
            failing = result.is_err();
            if matches!(result, Ok(done) if done > 0) {
                self.done.notify_one();
                continue;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Plans and sends what is due, at most eight. Answers how many were taken up.
    pub async fn round(&self) -> Result<usize> {
        let service = Actor::service();
        let claimed = notification_outbox::claim(&service, &self.store, LEASE, AT_ONCE).await?;
        let count = claimed.len();
        if count == 0 {
            return Ok(0);
        }
        let ways = notification_channels::ways(&service, &self.store).await?;
        let names: Vec<String> = ways.iter().map(|w| w.channel.clone()).collect();
        let mut to_send: BTreeMap<(Uuid, String), Vec<Letterbox>> = BTreeMap::new();
        for held in claimed {
            let told = notifications::get(&service, &self.store, held.notification_id).await?;
            let contact = match told.as_ref().and_then(|t| t.user_id) {
                Some(id) => users::contact(&service, &self.store, id).await?,
                None => None,
            };
            let (Some(told), Some(contact)) = (told, contact) else {
                // Whom it was for is gone, and it goes with him.
                self.end(&held, "done", None).await?;
                continue;
            };
            if held.state == "planning" {
                self.plan(held, told, contact, &names).await?;
            } else {
                let key = (contact.id, told.channel.clone());
                to_send.entry(key).or_default().push(Letterbox { held, told, contact });
            }
        }
        for ((_, channel), letters) in to_send {
            self.send(&ways, &channel, letters).await?;
        }
        Ok(count)
    }

    async fn end(&self, held: &Outgoing, state: &str, error: Option<&str>) -> Result<()> {
        notification_outbox::finish(&Actor::service(), &self.store, held, state, error).await?;
        Ok(())
    }

    /// Works out the further ways of what stands on the web, in one transaction with the end of its planning.
    async fn plan(&self, held: Outgoing, told: Notification, contact: Contact, ways: &[String]) -> Result<()> {
        let now = schedules::clock(&Actor::service(), &self.store).await?;
        let has_browser = web_push::has_browsers(&self.store, contact.id).await?;
        let planned = Wishes::of(&contact.preferences).plan((&contact, has_browser), ways, &told, now);
        self.store
            .transaction(move |tx| {
                Box::pin(async move {
                    let service = Actor::service();
                    if !notification_outbox::finish(&service, tx, &held, "done", None).await? {
                        return Ok::<_, Error>(());
                    }
                    // A reminder reaches the web when its time has come; everything else was there as it was written.
                    notifications::sent(&service, tx, told.id).await?;
                    for way in planned {
                        let id = telling::copy_id(told.id, way.channel);
                        notifications::put_copy(&service, tx, id, way.channel, &told, way.not_before).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn send(&self, ways: &[notification_channels::Way], channel: &str, letters: Vec<Letterbox>) -> Result<()> {
        let Some(first) = letters.first() else { return Ok(()) };
        let target = Wishes::of(&first.contact.preferences).target(channel, &first.contact);
        let told: Vec<&Notification> = letters.iter().map(|l| &l.told).collect();
        let way = ways.iter().find(|w| w.channel == channel);
        let browsers = match channel {
            "push" => self.to_browsers(&first.contact, &told).await?,
            _ => Ok(0),
        };
        let sent = match (way, target) {
            // Browsers need neither.
            (None, _) | (_, None) if !matches!(browsers, Ok(0)) => browsers.map(drop),
            (None, _) => Err(Trouble::lasting(format!(
                "the way {channel} is not set up; set it up with: steward notify channel set {channel}"
            ))),
            (_, None) => Err(Trouble::lasting(format!(
                "{} has nowhere to be told by {channel}; set it with: steward notify wishes",
                first.contact.username
            ))),
            (Some(way), Some(to)) => match self.opened(way) {
                Ok(way) => {
                    let sent = way.send(&to, &told).await;
                    if let (Ok(()), Err(trouble)) = (&sent, browsers) {
                        // It was told; who is told by a gateway is not told again for a browser's sake.
                        tracing::warn!(user = %first.contact.username, error = %trouble.message, "a browser was not told, the other way was");
                    }
                    sent
                }
                Err(trouble) => Err(trouble),
            },
        };
        match sent {
            Ok(()) => {
                for letter in letters {
                    let id = letter.told.id;
                    let held = letter.held;
                    self.store
                        .transaction(move |tx| {
                            Box::pin(async move {
                                let service = Actor::service();
                                notifications::sent(&service, tx, id).await?;
                                notification_outbox::finish(&service, tx, &held, "done", None).await?;
                                Ok::<_, Error>(())
                            })
                        })
                        .await?;
                }
                Ok(())
            }
            Err(trouble) => {
                let error: String = trouble.message.chars().take(ERROR_CHARS).collect();
                tracing::warn!(channel, user = %first.contact.username, count = letters.len(), %error, "a message could not be sent");
                for letter in &letters {
                    self.again(&letter.held, &trouble, &error).await?;
                }
                Ok(())
            }
        }
    }

    /// Sends to a person's browsers, and answers how many took it.
    async fn to_browsers(&self, contact: &Contact, told: &[&Notification]) -> Result<Result<usize, Trouble>> {
        let links: Vec<String> = told.iter().map(|one| place("", one)).collect();
        browsers::send((&self.store, &self.vault), &self.reach, contact, told, &links).await
    }

    fn opened(&self, way: &notification_channels::Way) -> Result<Way, Trouble> {
        let secret = way
            .secret
            .as_ref()
            .map(|sealed| self.vault.unseal_json(&Purpose::channel_secret(&way.channel), sealed))
            .transpose()
            .map_err(|e| Trouble::lasting(e.to_string()))?;
        Way::parse(&way.channel, &way.config, secret.as_ref())
    }

    async fn again(&self, held: &Outgoing, trouble: &Trouble, error: &str) -> Result<()> {
        if trouble.kind == Kind::Lasting || held.attempts >= MOST_TRIES {
            tracing::error!(notification = %held.notification_id, error, "a message is given up");
            return self.end(held, "failed", Some(error)).await;
        }
        let doubled = FIRST_PAUSE_S.saturating_mul(1 << (held.attempts - 1).clamp(0, 12)).min(LONGEST_PAUSE_S);
        let asked = trouble.retry_after.and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or_default();
        let pause = SignedDuration::from_secs(doubled.max(asked));
        notification_outbox::retry(&Actor::service(), &self.store, held, pause, error).await?;
        Ok(())
    }
}

/// Sets a way up, checked, with its credentials sealed.
pub async fn set_channel(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    channel: &str,
    config: Json,
    secret: Option<&Json>,
) -> Result<()> {
    Way::parse(channel, &config, secret)?;
    let sealed = secret.map(|s| vault.seal_json(&Purpose::channel_secret(channel), s)).transpose()?;
    notification_channels::put(actor, store, channel, config, sealed).await?;
    Ok(())
}

/// Sends a test to the actor by a way, now, and answers what became of it: none where it is still being tried.
pub async fn test(store: &Store, vault: &Vault, actor: &Actor, channel: &str) -> Result<Option<Outgoing>> {
    let id = Uuid::now_v7();
    let told = Notification {
        id,
        user_id: actor.user_id(),
        title: "Steward can reach you".to_owned(),
        message: Some("This is the test you asked for. Nothing else happened.".to_owned()),
        r#type: "info".to_owned(),
        priority: "critical".to_owned(),
        status: "unread".to_owned(),
        data: None,
        read_at: None,
        sent_at: None,
        created_at: store::now(),
        scheduled_for: None,
        channel: channel.to_owned(),
    };
    notifications::put_copy(actor, store, id, channel, &told, None).await?;
    let notifier = Notifier::new(store.clone(), vault.clone());
    let mut look = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..300 {
        look.tick().await;
        // Whoever serves may be faster; then it is only looked at.
        notifier.round().await?;
        let found = notification_outbox::list(actor, store, vec![id]).await?.pop();
        if let Some(out) = found
            && (out.state != "waiting" || out.last_error.is_some())
        {
            return Ok(Some(out));
        }
    }
    Ok(None)
}
