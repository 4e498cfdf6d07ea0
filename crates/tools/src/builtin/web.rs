//! The web within allowed hosts: GET and POST, bounded in size, time and redirects.

use outside::{
    Kind, Unanswered,
    address::Reach,
    http::{Client, Request, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, Failure, arguments, tool, unknown_tool};

/// Hosts of one server.
const MOST_HOSTS: usize = 100;
/// Bytes of an answer, as it is …
const ANSWER_BYTES: usize = 256 * 1024;
/// … and at most.
const MOST_ANSWER_BYTES: usize = 900 * 1024;
/// Bytes that are sent.
const BODY_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The hosts that may be asked: names, or `*.example.org` for all below one.
    hosts: Vec<String>,
    /// Those of them that may be reached although they are not public.
    #[serde(default)]
    allow_private: Vec<String>,
    /// Bytes of an answer.
    max_bytes: Option<usize>,
}

/// The server.
pub(super) struct Web {
    client: Client,
    authorization: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    url: String,
    accept: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    url: String,
    body: String,
    content_type: String,
    accept: Option<String>,
}

pub(super) fn tools() -> Vec<Value> {
    let url = json!({ "type": "string", "pattern": "^https?://", "maxLength": 4096 });
    let accept = json!({ "type": "string", "maxLength": 200, "description": "The kind of answer that is wanted, such as application/json" });
    vec![
        tool(
            "http_get",
            "Reads an address of an allowed host.",
            true,
            &json!({ "url": url, "accept": accept }),
            &["url"],
        ),
        tool(
            "http_post",
            "Sends something to an address of an allowed host, once.",
            false,
            &json!({
                "url": url, "accept": accept,
                "body": { "type": "string", "maxLength": BODY_BYTES },
                "content_type": { "type": "string", "maxLength": 200, "description": "Such as application/json" },
            }),
            &["url", "body", "content_type"],
        ),
    ]
}

impl Web {
    pub(super) fn open(settings: Settings, authorization: Option<&SecretString>) -> Result<Self, String> {
        let is_host = |host: &String| {
            let name = host.strip_prefix("*.").unwrap_or(host);
            !name.is_empty() && !name.contains(['/', '*', '@', ' ']) && name.len() <= 253
        };
        if !(1..=MOST_HOSTS).contains(&settings.hosts.len()) {
            return Err(format!("hosts must name 1 to {MOST_HOSTS} hosts that may be asked"));
        }
        if let Some(bad) = settings.hosts.iter().chain(&settings.allow_private).find(|host| !is_host(host)) {
            return Err(format!("{bad:?} is no host; write a name such as api.example.org, or *.example.org"));
        }
        let is_one = settings.hosts.len() == 1 && !settings.hosts.iter().any(|host| host.starts_with("*."));
        if authorization.is_some() && !is_one {
            return Err("AUTHORIZATION is for one host: add a server for each that wants one".to_owned());
        }
        let max_bytes = settings.max_bytes.unwrap_or(ANSWER_BYTES);
        if !(1..=MOST_ANSWER_BYTES).contains(&max_bytes) {
            return Err(format!("max_bytes must be from 1 to {MOST_ANSWER_BYTES}"));
        }
        let client = Client::new(Reach::with(settings.allow_private), max_bytes).map_err(|e| e.to_string())?;
        Ok(Self { client: client.only(settings.hosts), authorization: authorization.cloned() })
    }

    pub(super) async fn call(&self, tool: &str, sent: Value) -> Done {
        match tool {
            "http_get" => {
                let get: Get = arguments(sent)?;
                let request = self.with(Request::get(get.url), get.accept)?;
                match self.client.ask(request).await {
                    Ok(answer) => shown(&answer),
                    // It only reads: to ask again does no more than to ask once, and its owner may say so.
                    Err(Unanswered { trouble, .. }) => Err(Failure::Refused(trouble.message)),
                }
            }
            "http_post" => {
                let post: Post = arguments(sent)?;
                if post.body.len() > BODY_BYTES {
                    return Err(Failure::refused(format!("body has more than {BODY_BYTES} bytes")));
                }
                let request = Request::post(post.url, &post.content_type, post.body.into_bytes());
                match self.client.ask(self.with(request, post.accept)?).await {
                    // A gateway may say so although what stands behind it did it.
                    Ok(answer) if answer.status >= 500 => {
                        Err(Failure::Unknown(format!("{} answered {}", answer.url, answer.status)))
                    }
                    Ok(answer) => shown(&answer),
                    Err(Unanswered { trouble, was_sent: true }) => Err(Failure::Unknown(trouble.message)),
                    Err(Unanswered { trouble, .. }) if trouble.kind == Kind::Passing => {
                        Err(Failure::NotStarted(trouble.message))
                    }
                    Err(Unanswered { trouble, .. }) => Err(Failure::Refused(trouble.message)),
                }
            }
            other => Err(unknown_tool(other)),
        }
    }

    fn with(&self, mut request: Request, accept: Option<String>) -> Result<Request, Failure> {
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        if let Some(secret) = &self.authorization {
            if !request.may_bear_a_secret() {
                return Err(Failure::refused(
                    "this server bears a secret, which goes by https to the usual port alone: write https:// and no port",
                ));
            }
            request = request.header("authorization", secret.expose_secret());
        }
        Ok(request)
    }
}

/// An answer, whatever it says; one that says no is the tool's no.
fn shown(answer: &Response) -> Done {
    let text = answer.text().replace('\0', "");
    if answer.status >= 400 {
        let said: String = text.chars().take(2000).collect();
        return Err(Failure::refused(format!("{} answered {}: {said}", answer.url, answer.status)));
    }
    Ok(json!({
        "status": answer.status, "url": answer.url, "content_type": answer.header("content-type"), "text": text,
    }))
}
