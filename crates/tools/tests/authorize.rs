//! A server elsewhere that wants to be authorized: who authorizes is found, Steward registers there, a person says yes, the
//! token is renewed, and its end is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{Watched, limits, request, watch};
use futures_util::{FutureExt, future::BoxFuture};
use outside::{
    address::Reach,
    http::{Client, Request},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tools::{Authorization, ClientIdentity, Grant, GrantKeeper, Granted, ServerSpec};
use uuid::Uuid;

/// Server and authorization server in one, on loopback.
#[derive(Clone)]
struct House(Arc<Shared>);

struct Shared {
    base: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was asked: method and path, and the form or document that came with it.
    seen: Vec<(String, String)>,
    challenge: String,
    /// The number of the token that counts.
    token: u32,
    refuses_refresh: bool,
    expires_in: Option<u32>,
}

impl House {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let house = Self(Arc::new(Shared { base, state: Mutex::default() }));
        let serving = house.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let house = serving.clone();
                tokio::spawn(async move { house.answer(stream).await });
            }
        });
        house
    }

    fn address(&self) -> String {
        format!("{}/mcp", self.0.base)
    }

    fn seen(&self, path: &str) -> Vec<String> {
        let state = self.0.state.lock().unwrap();
        state.seen.iter().filter(|(asked, _)| asked == path).map(|(_, body)| body.clone()).collect()
    }

    async fn answer(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let Some((head, body)) = request(&mut stream).await else { return };
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let method = head.split(' ').next().unwrap();
        let (status, more, answer) = self.act(method, path, query, &head.to_ascii_lowercase(), &body);
        let text = if answer.is_null() { String::new() } else { answer.to_string() };
        let length = text.len();
        let reply = format!(
            "HTTP/1.1 {status} Well\r\n{more}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
        drop(stream.get_mut().write_all(reply.as_bytes()).await);
    }

    fn act(&self, method: &str, path: &str, query: &str, head: &str, body: &str) -> (u16, String, Value) {
        let base = &self.0.base;
        let mut state = self.0.state.lock().unwrap();
        state.seen.push((format!("{method} {path}"), body.to_owned()));
        let form = |text: &str| -> BTreeMap<String, String> {
            let url = http_client::Url::parse(&format!("http://x/?{text}")).unwrap();
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
        };
        match (method, path) {
            ("GET", "/.well-known/oauth-protected-resource/mcp") => (
                200,
                String::new(),
                json!({"resource": format!("{base}/mcp"), "authorization_servers": [base], "scopes_supported": ["pay"]}),
            ),
            ("GET", "/.well-known/oauth-authorization-server") => (
                200,
                String::new(),
                json!({"issuer": base, "authorization_endpoint": format!("{base}/authorize"), "token_endpoint": format!("{base}/token"),
                    "registration_endpoint": format!("{base}/register"), "response_types_supported": ["code"],
                    "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["none"]}),
            ),
            ("POST", "/register") => {
                let wish: Value = serde_json::from_str(body).unwrap();
                (
                    201,
                    String::new(),
                    json!({"client_id": "c-1", "redirect_uris": wish["redirect_uris"], "client_name": wish["client_name"]}),
                )
            }
            ("GET", "/authorize") => {
                let asked = form(query);
                assert_eq!(asked["code_challenge_method"], "S256");
                assert_eq!(asked["resource"], format!("{base}/mcp"));
                assert_eq!((asked["client_id"].as_str(), asked["scope"].as_str()), ("c-1", "pay"));
                state.challenge.clone_from(&asked["code_challenge"]);
                let back = format!("Location: {}?code=yes&state={}\r\n", asked["redirect_uri"], asked["state"]);
                (302, back, Value::Null)
            }
            ("POST", "/token") => {
                let asked = form(body);
                assert_eq!(asked["resource"], format!("{base}/mcp"), "the token is for this server alone");
                match asked["grant_type"].as_str() {
                    "authorization_code" => {
                        let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(&asked["code_verifier"]));
                        assert_eq!((asked["code"].as_str(), verifier), ("yes", state.challenge.clone()));
                    }
                    "refresh_token" if state.refuses_refresh => {
                        return (400, String::new(), json!({"error": "invalid_grant"}));
                    }
                    other => assert_eq!((other, asked["refresh_token"].as_str()), ("refresh_token", "again")),
                }
                state.token += 1;
                let mut given = json!({"access_token": format!("t-{}", state.token), "token_type": "Bearer", "refresh_token": "again", "scope": "pay"});
                if let Some(seconds) = state.expires_in {
                    given["expires_in"] = json!(seconds);
                }
                (200, String::new(), given)
            }
            ("POST" | "DELETE", "/mcp") => {
                if !head.contains(&format!("authorization: bearer t-{}\r\n", state.token)) {
                    let more = format!(
                        "WWW-Authenticate: Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource/mcp\"\r\n"
                    );
                    return (401, more, Value::Null);
                }
                let message: Value = serde_json::from_str(body).unwrap_or_default();
                let result = match message["method"].as_str() {
                    Some("initialize") => {
                        json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "shop", "version": "2"}})
                    }
                    Some("tools/list") => json!({"tools": [{"name": "pay", "inputSchema": {"type": "object"}}]}),
                    Some("tools/call") => json!({"content": [{"type": "text", "text": "paid"}]}),
                    _ => json!({}),
                };
                if message["id"].is_null() {
                    return (202, String::new(), Value::Null);
                }
                (200, String::new(), json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
            }
            _ => (404, String::new(), Value::Null),
        }
    }
}

/// Keeps a grant, and what became of it.
#[derive(Clone)]
struct Kept(Arc<Mutex<(Grant, Vec<String>)>>);

impl GrantKeeper for Kept {
    fn load(&self) -> BoxFuture<'_, Result<Grant, String>> {
        let grant = self.0.lock().unwrap().0.clone();
        async move { Ok(grant) }.boxed()
    }
    fn hold(&self) -> BoxFuture<'_, Result<bool, String>> {
        async { Ok(true) }.boxed()
    }
    fn save<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, Result<(), String>> {
        // As it is sealed and opened.
        let text = serde_json::to_string(grant).unwrap();
        self.0.lock().unwrap().0 = serde_json::from_str(&text).unwrap();
        async { Ok(()) }.boxed()
    }
    fn over<'a>(&'a self, grant: &'a Grant, reason: &'a str) -> BoxFuture<'a, ()> {
        let mut kept = self.0.lock().unwrap();
        kept.0 = grant.ended();
        kept.1.push(reason.to_owned());
        async {}.boxed()
    }
}

/// A person opens the address and says yes; the server runs with what was granted.
async fn authorized(house: &House) -> (Watched, Kept) {
    let address = house.address();
    let challenge = tools::challenge(&address).await.unwrap().expect("it wants to be authorized");
    let redirect = "http://127.0.0.1:9/callback";
    let begun = Authorization::begin(&address, redirect, ClientIdentity::default(), Some(&challenge), &[]).await;
    let authorization = begun.unwrap();
    let browser = Client::new(Reach::with(["127.0.0.1".to_owned()]), 1 << 16).unwrap();
    let page = browser.send_once(Request::get(authorization.url())).await.unwrap();
    let back = page.header("location").unwrap().to_owned();
    assert!(back.starts_with(redirect), "{back}");
    let grant = authorization.finish(&back, "today".to_owned()).await.unwrap();
    let kept = Kept(Arc::new(Mutex::new((grant, Vec::new()))));
    let spec = ServerSpec {
        id: Uuid::new_v4(),
        name: "shop".to_owned(),
        command: address,
        args: Vec::new(),
        environment: BTreeMap::new(),
        directory: None,
        store: None,
        granted: Some(Granted { keeper: Arc::new(kept.clone()), authorized_at: "today".to_owned() }),
    };
    let mut server = watch(spec, limits());
    server.running().await;
    (server, kept)
}

#[tokio::test]
async fn a_person_s_yes_opens_the_server() {
    let house = House::start().await;
    let (server, kept) = authorized(&house).await;
    assert_eq!(server.call("pay", "{}").await.unwrap().text, "paid");
    let registered: Value = serde_json::from_str(&house.seen("POST /register")[0]).unwrap();
    assert_eq!(registered["client_name"], "Steward");
    assert!(!format!("{:?}", kept.0.lock().unwrap().0).contains("t-1"), "a grant does not print its token");
    let text = serde_json::to_string(&kept.0.lock().unwrap().0).unwrap();
    assert!(text.contains("t-1") && text.contains("again"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_and_the_call_made_once() {
    let house = House::start().await;
    let (server, kept) = authorized(&house).await;
    // The server takes the first token no more.
    house.0.state.lock().unwrap().token += 1;
    assert_eq!(server.call("pay", "{}").await.unwrap().text, "paid");
    assert_eq!(house.seen("POST /token").len(), 2);
    assert!(serde_json::to_string(&kept.0.lock().unwrap().0).unwrap().contains("t-3"), "what was renewed is kept");
}

#[tokio::test]
async fn the_end_of_a_grant_is_told_once_and_nothing_is_called() {
    let house = House::start().await;
    let (server, kept) = authorized(&house).await;
    {
        let mut state = house.0.state.lock().unwrap();
        state.token += 1;
        state.refuses_refresh = true;
    }
    for _ in 0..2 {
        let error = server.call("pay", "{}").await.unwrap_err();
        assert!(
            matches!(&error, tools::CallError::NotStarted { reason } if reason.contains("authorize it again")),
            "{error}"
        );
    }
    let kept = kept.0.lock().unwrap();
    assert!(kept.0.is_over);
    assert_eq!(kept.1.len(), 1, "{:?}", kept.1);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_time_is_over() {
    let house = House::start().await;
    let (server, _kept) = authorized(&house).await;
    {
        let mut state = house.0.state.lock().unwrap();
        state.token += 1;
        state.expires_in = Some(0);
    }
    for _ in 0..2 {
        let before = house.seen("POST /token").len();
        assert_eq!(server.call("pay", "{}").await.unwrap().text, "paid");
        assert!(house.seen("POST /token").len() > before, "what is given has no time left");
    }
}

#[tokio::test]
async fn without_a_grant_it_says_what_to_do() {
    let house = House::start().await;
    let spec = ServerSpec {
        id: Uuid::new_v4(),
        name: "shop".to_owned(),
        command: house.address(),
        args: Vec::new(),
        environment: BTreeMap::new(),
        directory: None,
        store: None,
        granted: None,
    };
    let mut server = watch(spec, limits());
    let reason = server.failed().await;
    assert!(reason.contains("steward server authorize"), "{reason}");
    server.handle.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_encrypted_is_authorized_by_nobody() {
    let begun = Authorization::begin(
        "http://intranet.example.org/mcp",
        "http://127.0.0.1:9/callback",
        ClientIdentity::default(),
        None,
        &[],
    );
    let said = begun.await.err().unwrap();
    assert!(said.contains("intranet.example.org"), "{said}");
}
