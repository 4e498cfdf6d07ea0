//! A running Steward, asked through its API with a token. Refusals are told in the words that the same command says on
//! the database itself.

use std::path::Path;

use outside::{
    address::Reach,
    http::{Client, Request, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use store::{sessions::Session, users::User};
use url::Url;

use super::super::blocking;
use crate::{Error, Result, output};

/// Bytes of an answer at most.
const ANSWER_BYTES: usize = 64 << 20;
/// Rows of one page.
const PAGE_ROWS: i64 = 200;
/// Bytes of a file with a token at most.
const TOKEN_BYTES: u64 = 4096;

/// A Steward elsewhere.
#[derive(Debug)]
pub(crate) struct There {
    client: Client,
    /// `https://desk.example.org`, without a slash at its end.
    base: String,
    token: SecretString,
    /// Whose token it is.
    pub(super) user: User,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct List<T> {
    data: Vec<T>,
    next: Option<String>,
}

/// What a refusal says; the rest of the document is for programs.
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
    code: String,
}

impl There {
    /// Reads the token and asks whose it is.
    pub(super) async fn open(server: &str, token_file: Option<&Path>) -> Result<Self> {
        let file = token_file
            .ok_or_else(|| {
                Error::refused(
                    "say which token to show, with --token-file FILE (or STEWARD_TOKEN_FILE); an admin makes one there with: steward token create",
                )
            })?
            .to_owned();
        let (base, host) = address(server)?;
        let token = blocking(move || read_token(&file)).await?;
        let client = Client::new(Reach::with([host]), ANSWER_BYTES).map_err(|e| Error::refused(e.message))?;
        let user = User {
            id: uuid::Uuid::nil(),
            username: String::new(),
            role: String::new(),
            status: "active".to_owned(),
            first_name: None,
            last_name: None,
        };
        let mut there = Self { client, base, token, user };
        let me: Session = there.get("/v1/auth/session", &[]).await?;
        (there.user.id, there.user.username, there.user.role) = (me.user_id, me.username, me.role);
        Ok(there)
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Reads one thing.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<T> {
        let answer = self.send(Request::get(self.url(path, query))).await?;
        read(&answer)
    }

    /// Reads one thing; none where there is no such thing.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let answer = self.answer(Request::get(self.url(path, &[]))).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        read(&self.good(answer)?).map(Some)
    }

    /// Reads a list, page by page, up to `limit` rows.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        limit: i64,
    ) -> Result<Vec<T>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let rest = limit - i64::try_from(found.len()).unwrap_or(limit);
            let mut fields = query.to_vec();
            fields.push(("limit", Some(rest.clamp(1, PAGE_ROWS).to_string())));
            fields.push(("cursor", cursor));
            let page: List<T> = self.get(path, &fields).await?;
            found.extend(page.data);
            cursor = page.next;
            if cursor.is_none() || i64::try_from(found.len()).unwrap_or(limit) >= limit {
                return Ok(found);
            }
        }
    }

    /// Reads a list that has no pages.
    pub(super) async fn whole<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<Vec<T>> {
        Ok(self.get::<List<T>>(path, query).await?.data)
    }

    /// Sends something, and reads what became of it.
    pub(super) async fn send_json<T: DeserializeOwned>(&self, method: &str, path: &str, body: &Value) -> Result<T> {
        let answer = self.send(self.request(method, path, body)?).await?;
        read(&answer)
    }

    /// Sends something that is answered with nothing.
    pub(super) async fn tell(&self, method: &str, path: &str, body: &Value) -> Result<()> {
        self.send(self.request(method, path, body)?).await.map(drop)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<Request> {
        Request::post(self.url(path, &[]), "application/json", body.to_string().into_bytes())
            .method(method)
            .map_err(|e| Error::Internal(e.message))
    }

    fn url(&self, path: &str, query: &[(&str, Option<String>)]) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        let query = text.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{query}", self.base)
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let answer = self.answer(request).await?;
        self.good(answer)
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        let bearer = format!("Bearer {}", self.token.expose_secret());
        let sent = self.client.send(request.header("authorization", bearer)).await;
        sent.map_err(|e| Error::refused(format!("{}; check --server (STEWARD_SERVER) and that it runs", e.message)))
    }

    /// The answer, if it is a good one; else the refusal in its own words.
    fn good(&self, answer: Response) -> Result<Response> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
        Err(Error::refused(match problem {
            Some(p) if p.code == "scope_needed" || p.code == "token_refused" => {
                format!("{} ({}); make one there with: steward token create", p.detail, self.base)
            }
            Some(p) if p.code == "reauthentication_needed" => {
                format!("{}, which a token can't; decide it at the desk: {}", p.detail, self.base)
            }
            Some(p) => p.detail,
            None => format!(
                "{} answers {} and not as Steward does; check --server (STEWARD_SERVER)",
                self.base, answer.status
            ),
        }))
    }
}

fn read<T: DeserializeOwned>(answer: &Response) -> Result<T> {
    serde_json::from_slice(&answer.body).map_err(|e| {
        Error::refused(format!(
            "the answer can't be read ({e}); this program and that Steward may be of different versions"
        ))
    })
}

/// The address without a slash at its end, and its host.
fn address(server: &str) -> Result<(String, String)> {
    let wrong = |why: &str| {
        Error::Config(format!(
            "the server's address {why}; write it as https://desk.example.org (--server, STEWARD_SERVER)"
        ))
    };
    let url = Url::parse(server).map_err(|e| wrong(&format!("can't be read ({e})")))?;
    let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| wrong("names no host"))?.to_owned();
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong("must hold a host alone, without a user, a password or a query"));
    }
    let is_near = matches!(url.host(), Some(url::Host::Domain("localhost")))
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.scheme() == "http" && !is_near {
        output::note(format!("steward: the token and all that is shown go to {host} unencrypted; better use https://"));
    }
    Ok((url.as_str().trim_end_matches('/').to_owned(), host.trim_matches(['[', ']']).to_owned()))
}

/// The token in a file. What stands there is not shown when it is wrong. Blocking.
fn read_token(file: &Path) -> Result<SecretString> {
    let fail = |e| Error::file(format!("the token's file {} can't be read", file.display()), e);
    let wrong = || {
        Error::refused(format!(
            "{} holds no token; it must hold what steward token create printed, and nothing else",
            file.display()
        ))
    };
    if std::fs::metadata(file).map_err(fail)?.len() > TOKEN_BYTES {
        return Err(wrong());
    }
    let text = std::fs::read_to_string(file).map_err(fail)?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong());
    }
    Ok(SecretString::from(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_no_more() {
        assert_eq!(
            address("https://desk.example.org/").unwrap(),
            ("https://desk.example.org".into(), "desk.example.org".into())
        );
        assert_eq!(address("http://[::1]:8000").unwrap(), ("http://[::1]:8000".into(), "::1".into()));
        for bad in ["desk.example.org", "ftp://x", "https://ada:s3cret@x/", "https://x/?a=b", "https://"] {
            let line = address(bad).unwrap_err().line();
            assert!(line.contains("--server") && !line.contains("s3cret"), "{bad}: {line}");
        }
    }

    #[test]
    fn a_token_stands_alone_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "st_abc\n").unwrap();
        assert_eq!(read_token(&file).unwrap().expose_secret(), "st_abc");
        for bad in ["", "  \n", "two words"] {
            std::fs::write(&file, bad).unwrap();
            assert!(read_token(&file).unwrap_err().line().contains("holds no token"), "{bad:?}");
        }
    }
}
