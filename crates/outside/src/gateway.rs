//! Short messages over HTTP: pushes (as ntfy takes them) and SMS (as Twilio takes them, or by a template).

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Kind, Result, Trouble,
    address::Reach,
    http::{Client, Request, Response},
};

/// Bytes of an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// Characters of an SMS: three parts.
const SMS_CHARS: usize = 450;

/// What is told.
#[derive(Debug, Clone)]
pub struct Note {
    /// The same for every try.
    pub id: String,
    /// The topic of a push, or the number of a telephone.
    pub to: String,
    /// In a few words.
    pub title: String,
    /// In full.
    pub text: String,
    /// Where to look.
    pub link: Option<String>,
    /// Whether it may make a noise.
    pub is_urgent: bool,
}

/// A server of pushes that takes what ntfy takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Its address.
    pub url: String,
    /// Hosts that may be reached although they are not public.
    #[serde(default)]
    pub allow_private: Vec<String>,
}

/// A gateway of SMS.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum Sms {
    /// Twilio, or what answers as it does.
    Twilio {
        /// The account.
        account: String,
        /// The sender's number.
        from: String,
        /// Its address.
        #[serde(default = "twilio")]
        url: String,
        /// Hosts that may be reached although they are not public.
        #[serde(default)]
        allow_private: Vec<String>,
    },
    /// Any other, by a template in which `{to}`, `{text}` and `{id}` are replaced.
    Generic {
        /// Its address; may hold the marks too.
        url: String,
        /// `GET`, `POST` or `PUT`.
        #[serde(default = "post")]
        method: String,
        /// `application/json` or `application/x-www-form-urlencoded`.
        #[serde(default = "form")]
        content_type: String,
        /// The body.
        #[serde(default)]
        body: String,
        /// Hosts that may be reached although they are not public.
        #[serde(default)]
        allow_private: Vec<String>,
    },
}

fn twilio() -> String {
    "https://api.twilio.com".to_owned()
}
fn post() -> String {
    "POST".to_owned()
}
fn form() -> String {
    "application/x-www-form-urlencoded".to_owned()
}

fn client(allow_private: &[String]) -> Result<Client> {
    Client::new(Reach::with(allow_private.iter().cloned()), ANSWER_BYTES)
}

impl Push {
    /// Whether it can be used.
    pub fn check(&self) -> Result<()> {
        is_address(&self.url)
    }

    /// Sends one.
    pub async fn send(&self, token: Option<&SecretString>, note: &Note) -> Result<()> {
        let is_topic = !note.to.is_empty()
            && note.to.len() <= 64
            && note.to.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !is_topic {
            return Err(Trouble::lasting(format!("{:?} is no topic: letters, digits, dashes, at most 64", note.to)));
        }
        let mut body = json!({
            "topic": note.to, "title": note.title, "message": note.text, "priority": if note.is_urgent { 4 } else { 3 },
        });
        if let Some(link) = &note.link {
            body["click"] = json!(link);
        }
        let mut request = Request::post(&self.url, "application/json", body.to_string().into_bytes());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.expose_secret()));
        }
        client(&self.allow_private)?.send(request).await?.good().map(drop)
    }
}

impl Sms {
    /// Whether it can be used.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Twilio { account, from, url, .. } => {
                if account.is_empty() || from.is_empty() {
                    return Err(Trouble::lasting("account and from must be given"));
                }
                is_address(url)
            }
            Self::Generic { url, body, method, .. } => {
                Request::get("x").method(method)?;
                if !format!("{url}{body}").contains("{to}") || !format!("{url}{body}").contains("{text}") {
                    return Err(Trouble::lasting("url or body must hold {to} and {text}"));
                }
                is_address(url)
            }
        }
    }

    /// Sends one. `token` is Twilio's auth token, or what goes into the header `Authorization` as it stands.
    pub async fn send(&self, token: Option<&SecretString>, note: &Note) -> Result<()> {
        let is_number = note.to.starts_with('+')
            && (8..=16).contains(&note.to.len())
            && note.to[1..].bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            return Err(Trouble::lasting(format!(
                "{:?} is no number of a telephone; write it as +491701234567",
                note.to
            )));
        }
        let text = words(note);
        let request = match self {
            Self::Twilio { account, from, url, .. } => {
                let token = token.ok_or_else(|| Trouble::credentials("the gateway has no token; give it one"))?;
                let body = format!("To={}&From={}&Body={}", percent(&note.to), percent(from), percent(&text));
                let basic = STANDARD.encode(format!("{account}:{}", token.expose_secret()));
                Request::post(
                    format!("{}/2010-04-01/Accounts/{account}/Messages.json", url.trim_end_matches('/')),
                    &form(),
                    body.into_bytes(),
                )
                .header("authorization", format!("Basic {basic}"))
            }
            Self::Generic { url, method, content_type, body, .. } => {
                let is_json = content_type.contains("json");
                let inner = |text: &str| if is_json { json_inner(text) } else { percent(text) };
                let fill = |template: &str, how: &dyn Fn(&str) -> String| {
                    // One pass over each mark: what a message holds is not filled in again.
                    replaced(template, &[("{to}", &how(&note.to)), ("{text}", &how(&text)), ("{id}", &how(&note.id))])
                };
                let url = fill(url, &percent);
                let mut request = if method == "GET" {
                    Request::get(url)
                } else {
                    Request::post(url, content_type, fill(body, &inner).into_bytes()).method(method)?
                };
                if let Some(token) = token {
                    request = request.header("authorization", token.expose_secret());
                }
                request
            }
        };
        let allow_private = match self {
            Self::Twilio { allow_private, .. } | Self::Generic { allow_private, .. } => allow_private,
        };
        judged(client(allow_private)?.send(request).await?)
    }
}

fn judged(answer: Response) -> Result<()> {
    // A number that can't be reached stays so; the gateway says it with 400.
    let status = answer.status;
    answer.good().map(drop).map_err(|t| if status == 400 { Trouble { kind: Kind::Lasting, ..t } } else { t })
}

fn words(note: &Note) -> String {
    let mut text = note.title.clone();
    if !note.text.is_empty() {
        text = format!("{text}: {}", note.text);
    }
    let link = note.link.as_ref().map(|l| format!(" {l}")).unwrap_or_default();
    let room = SMS_CHARS.saturating_sub(link.chars().count());
    let cut: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(room).collect();
    cut + &link
}

fn is_address(url: &str) -> Result<()> {
    if url.starts_with("https://") || url.starts_with("http://") {
        Ok(())
    } else {
        Err(Trouble::lasting(format!("{url:?} must begin with https://")))
    }
}

fn percent(text: &str) -> String {
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

fn json_inner(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn replaced(template: &str, marks: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    'next: while !rest.is_empty() {
        for (mark, value) in marks {
            if let Some(after) = rest.strip_prefix(mark) {
                out.push_str(value);
                rest = after;
                continue 'next;
            }
        }
        let mut chars = rest.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_once() {
        let filled = replaced("{\"a\": \"{to}\", \"b\": \"{text}\"}", &[("{to}", "{text}"), ("{text}", "x{to}")]);
        assert_eq!(filled, "{\"a\": \"{text}\", \"b\": \"x{to}\"}");
        assert_eq!(json_inner("a\"b\n"), "a\\\"b\\n");
        assert_eq!(percent("+49 ä"), "%2B49%20%C3%A4");
    }

    #[test]
    fn an_sms_keeps_its_link() {
        let note = Note {
            id: "1".into(),
            to: "+491701234567".into(),
            title: "T".into(),
            text: "x".repeat(600),
            link: Some("https://s/1".into()),
            is_urgent: false,
        };
        let text = words(&note);
        assert!(text.chars().count() <= SMS_CHARS && text.ends_with(" https://s/1"));
    }

    #[test]
    fn settings_are_checked() {
        let sms = |v: serde_json::Value| {
            serde_json::from_value::<Sms>(v).map_err(|e| Trouble::lasting(e.to_string())).and_then(|s| s.check())
        };
        assert!(sms(json!({ "kind": "generic", "url": "https://x/{to}" })).unwrap_err().message.contains("{text}"));
        assert!(sms(json!({ "kind": "generic", "url": "https://x/{to}/{text}" })).is_ok());
        assert!(sms(json!({ "kind": "twilio", "account": "a", "from": "" })).is_err());
    }
}
