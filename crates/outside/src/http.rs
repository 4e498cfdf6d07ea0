//! HTTP with a guard: no address that is not allowed, at most so many bytes, so much time and so many redirects.

use std::{error::Error as _, net::IpAddr, sync::Arc, time::Duration};

use http_client::{
    Method, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use crate::{
    Kind, Result, Trouble, Unanswered,
    address::{Reach, refusal},
    tls,
};

/// From one address to the next at most so often.
const MOST_REDIRECTS: usize = 5;
/// To connect.
const CONNECT: Duration = Duration::from_secs(10);
/// For the whole of a request.
const WHOLE: Duration = Duration::from_secs(30);
/// Longest pause that the other side may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// Of an answer that is an error, this much is told.
const ERROR_CHARS: usize = 200;

/// A client for one purpose.
#[derive(Debug, Clone)]
pub struct Client {
    inner: http_client::Client,
    reach: Reach,
    only: Option<Vec<String>>,
    max_bytes: usize,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
    /// Where it came from in the end.
    pub url: String,
}

impl Request {
    /// A reading request.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: None }
    }

    /// A request that sends something.
    pub fn post(url: impl Into<String>, content_type: &str, body: Vec<u8>) -> Self {
        Self { method: Method::POST, url: url.into(), headers: Vec::new(), body: Some(body) }
            .header("content-type", content_type)
    }

    /// With another method, such as `PUT`.
    pub fn method(mut self, method: &str) -> Result<Self> {
        self.method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Trouble::lasting(format!("{method:?} is no method of HTTP; use GET, POST or PUT")))?;
        Ok(self)
    }

    /// With a header. Headers named `authorization` or `cookie` go to the first host alone.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Whether a secret in it is for its host's own service alone: it goes encrypted and to the usual port, or stays on
    /// this machine.
    pub fn may_bear_a_secret(&self) -> bool {
        let Ok(url) = Url::parse(&self.url) else { return false };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        is_here || (url.scheme() == "https" && url.port().is_none())
    }
}

impl Response {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        let charset = self.header("content-type").and_then(|t| t.split("charset=").nth(1)).unwrap_or("utf-8");
        let label = charset.split(';').next().unwrap_or_default().trim().trim_matches('"');
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::UTF_8);
        encoding.decode(&self.body).0.into_owned()
    }

    /// The answer, if it is a good one; otherwise what follows from its status.
    pub fn good(self) -> Result<Self> {
        match self.status {
            200..=299 | 304 => Ok(self),
            status => Err(self.trouble(status)),
        }
    }

    fn trouble(&self, status: u16) -> Trouble {
        let said: String =
            self.text().chars().filter(|c| !c.is_control()).take(ERROR_CHARS).collect::<String>().trim().to_owned();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let name = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("error");
        let host = Url::parse(&self.url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        let message = format!("{host} answered {status} {name}{said}");
        match status {
            401 | 407 => Trouble::credentials(format!("{message}; give it new credentials")),
            403 => Trouble::credentials(format!("{message}; the credentials do not allow this, or are over")),
            408 | 425 | 429 | 500..=599 => {
                Trouble { retry_after: self.retry_after(), ..Trouble::passing(format!("{message}; it is tried again")) }
            }
            _ => Trouble::lasting(format!("{message}; check the address")),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        let pause = if let Ok(seconds) = text.parse::<u64>() {
            Duration::from_secs(seconds)
        } else {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok()?
        };
        Some(pause.min(LONGEST_PAUSE))
    }
}

impl Client {
    /// A client that reaches what `reach` allows and reads at most `max_bytes` of an answer.
    pub fn new(reach: Reach, max_bytes: usize) -> Result<Self> {
        let inner = http_client::Client::builder()
            .user_agent(concat!("Steward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .tls_backend_preconfigured(tls::config(None)?)
            .dns_resolver(Arc::new(Guarded(reach.clone())))
            .build()
            .map_err(|e| Trouble::lasting(format!("HTTP can't be set up: {e}")))?;
        Ok(Self { inner, reach, only: None, max_bytes })
    }

    /// The same for these hosts alone, also where a redirect leads: names, addresses, or `*.example.org` for all below one.
    #[must_use]
    pub fn only(mut self, hosts: Vec<String>) -> Self {
        self.only = Some(hosts.into_iter().map(|host| host.to_lowercase()).collect());
        self
    }

    /// Sends a request and reads the answer, whatever its status, also where it leads elsewhere: nothing is followed.
    pub async fn send_once(&self, request: Request) -> Result<Response> {
        let url = self.checked(&request.url, None)?;
        let answer = self.ask_at(&request, &url, &url).await.map_err(|unanswered| unanswered.trouble)?;
        self.read(answer, &url).await
    }

    /// Sends a request and reads the answer, whatever its status. A reading request follows redirects, each checked as
    /// the first address was.
    pub async fn send(&self, request: Request) -> Result<Response> {
        self.ask(request).await.map_err(|unanswered| unanswered.trouble)
    }

    /// The same; where there is no answer it is known whether the other side may have acted.
    pub async fn ask(&self, request: Request) -> Result<Response, Unanswered> {
        let mut url = self.checked(&request.url, None).map_err(Unanswered::not_sent)?;
        let first = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask_at(&request, &url, &first).await?;
            let next = answer.headers().get("location").and_then(|l| l.to_str().ok()).map(str::to_owned);
            match next {
                Some(next) if answer.status().is_redirection() && request.method == Method::GET => {
                    url = self.checked(&next, Some(&url)).map_err(Unanswered::sent)?;
                }
                _ => return self.read(answer, &url).await.map_err(Unanswered::sent),
            }
        }
        let round = format!("{first} leads from one address to another more than {MOST_REDIRECTS} times");
        Err(Unanswered::sent(Trouble::lasting(round)))
    }

    /// Asks at one address, to which the request may have been led from `first`.
    async fn ask_at(&self, request: &Request, url: &Url, first: &Url) -> Result<http_client::Response, Unanswered> {
        let is_ours = url.host() == first.host() && url.port_or_known_default() == first.port_or_known_default();
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            if !is_ours && !matches!(name.as_str(), "accept" | "if-none-match" | "if-modified-since" | "content-type") {
                continue;
            }
            let wrong = || Trouble::lasting(format!("{name} is no header that can be sent; check the settings"));
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unanswered::not_sent(wrong()))?,
                HeaderValue::from_str(value).map_err(|_| Unanswered::not_sent(wrong()))?,
            );
        }
        let mut builder = self.inner.request(request.method.clone(), url.clone()).headers(headers);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let sent = builder.send().await;
        sent.map_err(|e| Unanswered { was_sent: !(e.is_connect() || e.is_builder()), trouble: failed(url, &e) })
    }

    /// Reads a page or document.
    pub async fn get(&self, url: &str) -> Result<Response> {
        self.send(Request::get(url)).await?.good()
    }

    fn checked(&self, text: &str, base: Option<&Url>) -> Result<Url> {
        let wrong = |why: &str| Trouble::lasting(format!("{text:?} is no address of a web page ({why})"));
        let url = match base {
            Some(base) => base.join(text),
            None => Url::parse(text),
        }
        .map_err(|e| wrong(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with https:// or http://"));
        }
        if base.is_some_and(|b| b.scheme() == "https" && url.scheme() == "http") {
            return Err(Trouble::lasting(format!("{url} is not encrypted, though the address it came from was")));
        }
        let host = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        if let Some(only) = &self.only
            && !only.iter().any(|allowed| is_host(allowed, host))
        {
            return Err(Trouble::lasting(format!(
                "{host} is not among the hosts that may be reached: {}",
                only.join(", ")
            )));
        }
        // An address in figures is connected to without being looked up.
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>()
            && !self.reach.permits(host, ip)
        {
            return Err(refusal(host, ip));
        }
        Ok(url)
    }

    async fn read(&self, mut answer: http_client::Response, url: &Url) -> Result<Response> {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| failed(url, &e))? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(Trouble::lasting(format!(
                    "what {url} answers is larger than the limit of {} bytes; raise max_bytes",
                    self.max_bytes
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body, url: url.to_string() })
    }
}

/// Whether a host is the one that is allowed, or below the one behind `*.`.
fn is_host(allowed: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match allowed.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => host == allowed || host.trim_start_matches('[').trim_end_matches(']') == allowed,
    }
}

/// Looks names up, and hides addresses that may not be connected to.
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let found = reach.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What became of a request that got no answer, without the address's query, which may hold a secret.
fn failed(url: &Url, error: &http_client::Error) -> Trouble {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(trouble) = inner.downcast_ref::<Trouble>() {
            return trouble.clone();
        }
        match inner.source() {
            Some(deeper) => cause = Some(deeper),
            None => break,
        }
    }
    let host = url.host_str().unwrap_or_default();
    let why = match cause {
        _ if error.is_timeout() => "it did not answer in time".to_owned(),
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    };
    Trouble { kind: Kind::Passing, message: format!("{host} can't be reached ({why})"), retry_after: None }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers each connection in turn, and hands back what was asked.
    async fn server(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                    let mut part = [0; 1024];
                    let n = stream.read(&mut part).await.unwrap();
                    assert!(n > 0, "the client went away");
                    seen.extend_from_slice(&part[..n]);
                }
                asked.push(String::from_utf8(seen).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (base, asked)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
    }

    fn local(max_bytes: usize) -> Client {
        Client::new(Reach::with(["127.0.0.1".to_owned()]), max_bytes).unwrap()
    }

    #[tokio::test]
    async fn this_machine_and_ways_to_it_are_refused() {
        let client = Client::new(Reach::public(), 100).unwrap();
        for url in [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://[::ffff:127.0.0.1]/",
            "http://127.1/",
        ] {
            let said = client.get(url).await.unwrap_err();
            assert!(said.message.contains("not a public address"), "{url}: {said}");
            assert_eq!(said.kind, Kind::Lasting, "{url}");
        }
        assert!(client.get("file:///etc/passwd").await.unwrap_err().message.contains("https://"));
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_address() {
        let (base, _asked) = server(vec![answer("302 Found", "location: http://127.0.0.2:9/secret\r\n", "")]).await;
        let said = local(100).get(&base).await.unwrap_err();
        assert!(said.message.contains("127.0.0.2") && said.message.contains("not a public address"), "{said}");
    }

    #[tokio::test]
    async fn a_redirect_is_followed_and_takes_no_secret_to_another_host() {
        let (second, asked) = server(vec![answer("200 OK", "", "there")]).await;
        let (first, _) = server(vec![answer("301 Moved", &format!("location: {second}/x\r\n"), "")]).await;
        let got = local(100).send(Request::get(first).header("authorization", "Bearer s3cret")).await.unwrap();
        assert_eq!((got.status, got.text().as_str()), (200, "there"));
        let asked = asked.await.unwrap();
        assert!(asked[0].starts_with("GET /x ") && !asked[0].contains("s3cret"), "{asked:?}");
    }

    #[tokio::test]
    async fn other_hosts_than_those_named_are_not_asked() {
        assert!(is_host("*.example.org", "a.b.example.org") && !is_host("*.example.org", "example.org"));
        assert!(!is_host("*.example.org", "evilexample.org") && is_host("::1", "[::1]"));
        let (base, _) = server(vec![answer("302 Found", "location: http://localhost:9/\r\n", "")]).await;
        let reach = Reach::with(["127.0.0.1".to_owned(), "localhost".to_owned()]);
        let client = Client::new(reach, 100).unwrap().only(vec!["127.0.0.1".to_owned()]);
        let said = client.ask(Request::get(base)).await.unwrap_err();
        assert!(said.was_sent && said.trouble.message.contains("localhost is not among the hosts"), "{said}");
        let said = client.ask(Request::get("http://localhost:9/")).await.unwrap_err();
        assert!(!said.was_sent, "{said}");
        // Nobody listens there any more.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let said = client.ask(Request::post(format!("http://{free}/"), "text/plain", Vec::new())).await.unwrap_err();
        assert!(!said.was_sent, "{said}");
        let (base, _) = server(vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned()]).await;
        let said = client.ask(Request::post(base, "text/plain", Vec::new())).await.unwrap_err();
        assert!(said.was_sent, "{said}");
    }

    #[tokio::test]
    async fn too_large_an_answer_is_refused() {
        let (base, _) = server(vec![answer("200 OK", "", &"x".repeat(101))]).await;
        assert!(local(100).get(&base).await.unwrap_err().message.contains("limit of 100 bytes"));
    }

    #[tokio::test]
    async fn a_status_says_what_to_do() {
        let all = [
            ("401 Unauthorized", "", Kind::Credentials, None),
            ("404 Not Found", "", Kind::Lasting, None),
            ("429 Too Many", "retry-after: 120\r\n", Kind::Passing, Some(Duration::from_secs(120))),
            ("503 Unavailable", "", Kind::Passing, None),
        ];
        for (status, headers, kind, pause) in all {
            let (base, _) = server(vec![answer(status, headers, "why")]).await;
            let said = local(100).get(&base).await.unwrap_err();
            assert_eq!((said.kind, said.retry_after), (kind, pause), "{said}");
            assert!(said.message.contains("why"), "{said}");
        }
    }
}
