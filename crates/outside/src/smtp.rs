//! Mail that leaves: one message to one person, over SMTP.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{Kind, Result, Trouble, imap::Security};

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

impl Server {
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
