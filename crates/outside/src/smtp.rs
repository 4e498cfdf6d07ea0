//! Mail that leaves over SMTP: one message to one person, or a letter that somebody writes to people.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{Kind, Result, Trouble, Unanswered, imap::Security};

/// For the whole of one message.
const WHOLE: Duration = Duration::from_secs(60);

/// Where mail is handed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The server.
    pub host: String,
    /// Its port: 465 for TLS, 587 for STARTTLS and 25 for none, unless said otherwise.
    pub port: Option<u16>,
    /// How the way is kept secret.
    #[serde(default = "tls")]
    pub security: Security,
    /// A certificate (PEM) that is trusted beside the public ones.
    pub ca_pem: Option<String>,
    /// Who.
    pub user: Option<String>,
    /// Whose mail it is, as in `Steward <steward@example.org>`.
    pub from: String,
}

fn tls() -> Security {
    Security::Tls
}

/// A mail to be sent.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The same for every try, so that a mail that is sent twice is known as one.
    pub id: String,
    /// To whom.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// As plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A letter to people, in plain text.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Its id, without angle brackets and domain.
    pub id: String,
    /// To whom; at least one.
    pub to: Vec<String>,
    /// To whom else.
    pub cc: Vec<String>,
    /// Subject.
    pub subject: String,
    /// As plain text.
    pub text: String,
    /// The id of the mail that it answers.
    pub in_reply_to: Option<String>,
}

/// An id of a mail as its header wants it.
fn message_id(text: &str) -> String {
    let plain: String = text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>')).take(900).collect();
    format!("<{plain}>")
}

fn people(field: &str, list: &[String]) -> Result<Vec<Mailbox>> {
    let read = |text: &String| {
        text.parse::<Mailbox>().map_err(|e| Trouble::lasting(format!("{field}: {text:?} is no address of mail ({e})")))
    };
    list.iter().map(read).collect()
}

impl Server {
    /// Sends a letter. Where it has no good end, it is known whether the server may have taken it.
    pub async fn deliver(&self, password: Option<&SecretString>, letter: &Outgoing) -> Result<(), Unanswered> {
        let message = self.written(letter).map_err(Unanswered::not_sent)?;
        let transport = self.transport(password).map_err(Unanswered::not_sent)?;
        // First to get there at all: what fails here has sent nothing.
        match tokio::time::timeout(WHOLE, transport.test_connection()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                return Err(Unanswered::not_sent(Trouble::passing(format!("{} hung up; try again later", self.host))));
            }
            Ok(Err(e)) => return Err(Unanswered::not_sent(self.trouble(&e))),
            Err(_) => {
                return Err(Unanswered::not_sent(Trouble::passing(format!(
                    "{} did not answer within {} s; try again later",
                    self.host,
                    WHOLE.as_secs()
                ))));
            }
        }
        match tokio::time::timeout(WHOLE, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            // The server's own no, or what never left.
            Ok(Err(e)) if e.is_permanent() || e.is_transient() || e.is_client() || e.is_tls() => {
                Err(Unanswered::not_sent(self.trouble(&e)))
            }
            Ok(Err(e)) => Err(Unanswered::sent(self.trouble(&e))),
            Err(_) => Err(Unanswered::sent(Trouble::passing(format!(
                "{} did not say within {} s that it took the mail",
                self.host,
                WHOLE.as_secs()
            )))),
        }
    }

    fn written(&self, letter: &Outgoing) -> Result<Message> {
        let sender = self.sender()?;
        let domain = sender.email.domain().to_owned();
        let mut builder = Message::builder()
            .from(sender)
            .subject(letter.subject.chars().filter(|c| !c.is_control()).collect::<String>())
            .message_id(Some(format!("<{}@{domain}>", letter.id)));
        for to in people("to", &letter.to)? {
            builder = builder.to(to);
        }
        for cc in people("cc", &letter.cc)? {
            builder = builder.cc(cc);
        }
        if let Some(answered) = &letter.in_reply_to {
            builder = builder.in_reply_to(message_id(answered)).references(message_id(answered));
        }
        builder
            .singlepart(SinglePart::plain(letter.text.clone()))
            .map_err(|e| Trouble::lasting(format!("the mail can't be written ({e})")))
    }

    /// Whether it can be used.
    pub fn check(&self) -> Result<()> {
        self.sender().map(drop)?;
        if self.host.trim().is_empty() {
            return Err(Trouble::lasting("host must name the mail server"));
        }
        Ok(())
    }

    fn sender(&self) -> Result<Mailbox> {
        self.from.parse().map_err(|e| {
            Trouble::lasting(format!(
                "from {:?} is no address of mail ({e}); write Steward <steward@example.org>",
                self.from
            ))
        })
    }

    fn transport(&self, password: Option<&SecretString>) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
        let wrong = |e: &dyn std::fmt::Display| Trouble::lasting(format!("TLS to {} can't be set up ({e})", self.host));
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(pem) = &self.ca_pem {
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(|e| wrong(&e))?);
        }
        let parameters = parameters.build_rustls().map_err(|e| wrong(&e))?;
        let (tls, port) = match self.security {
            Security::Tls => (Tls::Wrapper(parameters), 465),
            Security::Starttls => (Tls::Required(parameters), 587),
            Security::None => (Tls::None, 25),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(WHOLE));
        match (&self.user, password) {
            (Some(user), Some(password)) => {
                builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
            }
            (Some(_), None) => return Err(Trouble::credentials("the mail server's user has no password; give it one")),
            (None, _) => {}
        }
        Ok(builder.build())
    }

    /// Sends one mail. When this answers well, the server has taken it over.
    pub async fn send(&self, password: Option<&SecretString>, letter: &Letter) -> Result<()> {
        let sender = self.sender()?;
        let to: Mailbox =
            letter.to.parse().map_err(|e| Trouble::lasting(format!("{:?} is no address of mail ({e})", letter.to)))?;
        let domain = sender.email.domain().to_owned();
        let mut message = Message::builder()
            .from(sender)
            .to(to)
            .subject(letter.subject.chars().filter(|c| !c.is_control()).collect::<String>())
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
            .map_err(|e| Trouble::lasting(format!("the mail can't be written ({e})")))?;
        // Nobody's holiday notice answers a machine.
        message.headers_mut().insert_raw(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
        let sent = tokio::time::timeout(WHOLE, self.transport(password)?.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(self.trouble(&e)),
            Err(_) => {
                Err(Trouble::passing(format!("{} did not take the mail within {} s", self.host, WHOLE.as_secs())))
            }
        }
    }

    fn trouble(&self, e: &lettre::transport::smtp::Error) -> Trouble {
        let mut why = e.to_string();
        let mut cause = std::error::Error::source(e);
        while let Some(inner) = cause {
            why = format!("{why}: {inner}");
            cause = inner.source();
        }
        let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
        let code = e.status().map(u16::from).unwrap_or_default();
        let (kind, what) = match code {
            530 | 534 | 535 | 538 => (Kind::Credentials, "give the channel new credentials"),
            _ if e.is_permanent() => (Kind::Lasting, "check the address and the sender"),
            _ if why.contains("certificate") => (Kind::Lasting, "check host, or give ca_pem"),
            _ => (Kind::Passing, "it is tried again"),
        };
        Trouble { kind, message: format!("{} did not take the mail ({why}); {what}", self.host), retry_after: None }
    }
}
