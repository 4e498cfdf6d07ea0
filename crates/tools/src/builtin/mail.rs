//! Mail by SMTP: a letter in plain text, handed over once.

use outside::{
    Kind, Unanswered,
    smtp::{Outgoing, Server},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Done, Failure, arguments, tool, unknown_tool};

/// People one letter goes to.
const MOST_PEOPLE: usize = 20;
/// Bytes of its text.
const TEXT_BYTES: usize = 200 * 1024;
/// Where in the settings it stands to whom mail may go.
const RECIPIENTS: &str = "recipients";

/// The server.
pub(super) struct Mail {
    server: Server,
    password: Option<SecretString>,
    /// To whom alone: addresses, or `*@example.org` for everybody of a domain.
    recipients: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    subject: String,
    text: String,
    in_reply_to: Option<String>,
}

pub(super) fn tools() -> Vec<Value> {
    let people = json!({
        "type": "array", "minItems": 1, "maxItems": MOST_PEOPLE, "items": { "type": "string", "maxLength": 320 },
    });
    vec![tool(
        "send_mail",
        "Sends a letter in plain text. in_reply_to is the message id of the mail that it answers.",
        false,
        &json!({
            "to": people,
            "cc": people,
            "subject": { "type": "string", "minLength": 1, "maxLength": 500 },
            "text": { "type": "string", "maxLength": TEXT_BYTES },
            "in_reply_to": { "type": "string", "maxLength": 998 },
        }),
        &["to", "subject", "text"],
    )]
}

impl Mail {
    /// The settings are those of a mail server, and to whom mail may go.
    pub(super) fn open(mut settings: Map<String, Value>, password: Option<&SecretString>) -> Result<Self, String> {
        let recipients = settings.remove(RECIPIENTS);
        let recipients: Option<Vec<String>> = recipients
            .map(serde_json::from_value)
            .transpose()
            .map_err(|_| "recipients must be a list such as [\"bob@example.org\", \"*@example.com\"]".to_owned())?;
        let server: Server =
            serde_json::from_value(settings.into()).map_err(|e| format!("the settings do not fit: {e}"))?;
        server.check().map_err(|e| e.message)?;
        if server.user.is_some() && password.is_none() {
            return Err("the mail server's user needs a password: give it as PASSWORD in the environment".to_owned());
        }
        let recipients = recipients.map(|all| all.into_iter().map(|one| one.to_lowercase()).collect());
        Ok(Self { server, password: password.cloned(), recipients })
    }

    pub(super) async fn call(&self, tool: &str, sent: Value) -> Done {
        if tool != "send_mail" {
            return Err(unknown_tool(tool));
        }
        let letter: Send = arguments(sent)?;
        let people = letter.to.len() + letter.cc.len();
        if letter.to.is_empty() || people > MOST_PEOPLE || letter.text.len() > TEXT_BYTES {
            return Err(Failure::refused(format!(
                "a letter goes to 1 to {MOST_PEOPLE} people, with at most {TEXT_BYTES} bytes of text"
            )));
        }
        if let Some(stranger) = letter.to.iter().chain(&letter.cc).find(|one| !self.may_write_to(one)) {
            return Err(Failure::refused(format!("{stranger} is not among those whom mail may go to (recipients)")));
        }
        let id = Uuid::now_v7().to_string();
        let outgoing = Outgoing {
            id: id.clone(),
            to: letter.to.clone(),
            cc: letter.cc,
            subject: letter.subject,
            text: letter.text,
            in_reply_to: letter.in_reply_to,
        };
        match self.server.deliver(self.password.as_ref(), &outgoing).await {
            Ok(()) => Ok(json!({ "sent_to": letter.to, "id": id })),
            Err(Unanswered { trouble, was_sent: true }) => Err(Failure::Unknown(trouble.message)),
            Err(Unanswered { trouble, .. }) if trouble.kind == Kind::Passing => {
                Err(Failure::NotStarted(trouble.message))
            }
            Err(Unanswered { trouble, .. }) => Err(Failure::Refused(trouble.message)),
        }
    }

    /// Whether somebody may be written to. What stands around an address (`Bob <bob@example.org>`) could hide another one.
    fn may_write_to(&self, text: &str) -> bool {
        let Some(allowed) = &self.recipients else { return true };
        let address = text.trim().to_lowercase();
        let is_plain = !address.contains([' ', '<', '>', ',', ';', '"', '(']) && address.matches('@').count() == 1;
        let domain = address.rsplit('@').next().unwrap_or_default();
        is_plain && allowed.iter().any(|one| *one == address || one.strip_prefix("*@") == Some(domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_those_who_are_named_are_written_to() {
        let settings = json!({
            "host": "smtp.example.org", "from": "ada@example.org", "recipients": ["Bob@example.org", "*@firm.example"],
        });
        let mail = Mail::open(settings.as_object().unwrap().clone(), None).unwrap();
        for good in ["bob@example.org", "BOB@EXAMPLE.ORG", "anyone@firm.example"] {
            assert!(mail.may_write_to(good), "{good}");
        }
        for bad in [
            "eve@example.org",
            "x@evil-firm.example",
            "bob@example.org <eve@evil.example>",
            "eve@evil.example,bob@example.org",
            "eve@evil.example@firm.example",
            "\"x\"@firm.example",
        ] {
            let sent = json!({ "to": [bad], "subject": "s", "text": "t" });
            let said = mail.call("send_mail", sent).await.unwrap_err();
            assert!(matches!(said, Failure::Refused(said) if said.contains("recipients")), "{bad}");
        }
    }
}
