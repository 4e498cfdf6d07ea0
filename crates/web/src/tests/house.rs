//! A house to test in: a database, a router, a browser that keeps its cookie, and an employee that asks.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, Response, StatusCode, header},
};
use domain::{
    policy::{Effect, Verdict},
    server_questions::NewServerQuestion,
    work::{self, PlannedCall, Question, Work, Worker},
};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Actor, BoxFuture, Config, Store, Vault, mcp_servers,
    tasks::{self, NewTask},
    users, watchers,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::{State, app};

pub(super) const PASSWORD: &str = "correct horse battery staple";

/// Everything a test needs; the database ends with it.
pub(super) struct House {
    folder: tempfile::TempDir,
    pub store: Store,
    router: Router,
    pub state: State,
}

/// Watchers of a few kinds, which look nowhere, and backups at a place that answers at once.
#[derive(Debug)]
struct Hands;

/// The backup that the tests' place holds.
pub(super) const BUNDLE: &str = "20261122T020000Z-0123abcd";

impl crate::Hands for Hands {
    fn check_watcher(&self, settings: &crate::Settings, _: &[String]) -> domain::Result<()> {
        if !["folder", "feed", "webhook"].contains(&settings.watcher_type.as_str()) {
            return Err(domain::Error::invalid("watcher_type", "there is no such kind of watcher"));
        }
        let needed = if settings.watcher_type == "folder" { "path" } else { "url" };
        if settings.watcher_type == "webhook" || settings.config[needed].is_string() {
            Ok(())
        } else {
            Err(domain::Error::invalid("config", "the folder's path is missing"))
        }
    }

    fn backups(&self) -> BoxFuture<'static, Option<crate::Backups>> {
        let as_of = "2026-11-22T02:00:00Z".parse().unwrap();
        let bundle =
            crate::Bundle { id: BUNDLE.to_owned(), as_of, size_bytes: 5 << 20, has_log: true, schema_version: 30 };
        let seen = crate::Seen {
            at: store::now(),
            bundles: Some(vec![bundle]),
            unusable: vec![("20261121T020000Z-0123abcd".to_owned(), "it was not finished".to_owned())],
            newest: Some(as_of),
            well: vec!["shipped".to_owned()],
            alarms: vec!["the place is away; mend it".to_owned()],
        };
        Box::pin(std::future::ready(Some(crate::Backups {
            place: "/mnt/elsewhere".to_owned(),
            sealed_for: "whoever holds the master key".to_owned(),
            keeps: "7 days".to_owned(),
            seen: Some(seen),
        })))
    }

    fn look(&self) -> BoxFuture<'static, domain::Result<Option<Vec<crate::Finding>>>> {
        Box::pin(std::future::ready(Ok(Some(vec![crate::Finding {
            what: "files".to_owned(),
            state: "wrong",
            said: "few may be open".to_owned(),
            remedy: Some("raise the limit".to_owned()),
        }]))))
    }

    fn preview_watcher<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        _: &'a watchers::Watcher,
        _: usize,
    ) -> BoxFuture<'a, domain::Result<Vec<crate::Preview>>> {
        Box::pin(async {
            Ok(vec![crate::Preview {
                title: "File: Rechnung März 2026.pdf".to_owned(),
                description: None,
                source: "/home/ada/steward/inbox/Rechnung März 2026.pdf".to_owned(),
                files: vec!["Rechnung März 2026.pdf".to_owned()],
            }])
        })
    }

    fn set_way<'a>(
        &'a self,
        on: (&'a Store, &'a Vault),
        actor: &'a Actor,
        channel: &'a str,
        config: Json,
        secret: Option<Json>,
    ) -> BoxFuture<'a, domain::Result<()>> {
        Box::pin(async move {
            let sealed =
                secret.map(|s| on.1.seal_json(&store::sealed::Purpose::channel_secret(channel), &s)).transpose()?;
            store::notification_channels::put(actor, on.0, channel, config, sealed).await?;
            Ok(())
        })
    }

    fn test_way<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        channel: &'a str,
    ) -> BoxFuture<'a, domain::Result<crate::Told>> {
        Box::pin(async move {
            Ok(if channel == "sms" {
                crate::Told::Failed("the gateway is not set up".to_owned())
            } else {
                crate::Told::Sent
            })
        })
    }

    fn folder(&self, path: &str) -> domain::Result<String> {
        Ok(path.replacen('~', "/home/ada", 1))
    }

    fn models(&self) -> crate::Models {
        crate::Models {
            entries: vec![crate::ModelEntry {
                name: "main".to_owned(),
                provider: "anthropic".to_owned(),
                model: "claude-sonnet-4-5".to_owned(),
                url: None,
                used_for: vec!["default".to_owned()],
                window_tokens: 200_000,
                input_usd_per_mtok: 3.0,
                output_usd_per_mtok: 15.0,
            }],
            limits: domain::brain::limits::Limits::default(),
            file: "/home/ada/.local/share/steward/models.toml".to_owned(),
        }
    }

    fn make_push_key(&self) -> domain::Result<secrecy::SecretString> {
        Ok("a key".to_owned().into())
    }

    fn push_public(&self, _: &secrecy::SecretString) -> domain::Result<String> {
        Ok("BKey".to_owned())
    }

    fn check_browser(&self, browser: &Json) -> domain::Result<String> {
        let endpoint = browser["endpoint"].as_str().map(str::to_owned);
        endpoint.ok_or_else(|| domain::Error::invalid("subscription", "the endpoint is missing"))
    }
}

/// What came back.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// Length of the body.
    pub bytes: usize,
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// What the page's form was opened with.
    pub fn read_mark(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"read\" value=\"").expect("a form that carries what was read");
        rest.split('"').next().unwrap().to_owned()
    }

    /// The token in the page's first form.
    pub fn form_token(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").expect("a form with a token");
        rest.split('"').next().unwrap().to_owned()
    }
}

impl House {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::from_url(&format!("sqlite://{}", folder.path().join("steward.db").display())).unwrap();
        store::migrate::migrate(&config).await.unwrap();
        let store = Store::open(&config).await.unwrap();
        let vault = Vault::open(&folder.path().join("master.key"), &folder.path().join("attachments")).unwrap();
        let playbooks = crate::Playbooks::new(|| {
            ["file-away", "broken"]
                .map(|name| crate::PlaybookEntry {
                    name: name.to_owned(),
                    description: None,
                    origin: "built in".to_owned(),
                    is_on: true,
                    errors: if name == "broken" { vec!["line 2: no steps".to_owned()] } else { Vec::new() },
                })
                .to_vec()
        });
        let state = State {
            store: store.clone(),
            vault,
            hands: Arc::new(Hands),
            version: "0.0.0-test",
            allowed_hosts: Vec::new(),
            trusted_proxies: crate::Proxies::default(),
            playbooks,
        };
        let router =
            app::router(app::App::new(state.clone(), "127.0.0.1:8000".parse().unwrap(), CancellationToken::new()));
        Self { folder, store, router, state }
    }

    /// The same house after its end and a new start.
    pub async fn reopened(self, user: Uuid) -> (Self, Uuid) {
        let config =
            Config::from_url(&format!("sqlite://{}", self.folder.path().join("steward.db").display())).unwrap();
        let store = Store::open(&config).await.unwrap();
        let state = State { store: store.clone(), ..self.state };
        let router =
            app::router(app::App::new(state.clone(), "127.0.0.1:8000".parse().unwrap(), CancellationToken::new()));
        (Self { folder: self.folder, store, router, state }, user)
    }

    /// The same house with something else in it.
    pub fn with(self, change: impl FnOnce(State) -> State) -> Self {
        let state = change(self.state);
        let router =
            app::router(app::App::new(state.clone(), "127.0.0.1:8000".parse().unwrap(), CancellationToken::new()));
        Self { folder: self.folder, store: self.store, router, state }
    }

    /// Where its data lies.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// With ada, the administrator.
    pub async fn with_ada() -> (Self, Uuid) {
        let house = Self::new().await;
        let setup = domain::accounts::Setup {
            username: "ada".to_owned(),
            email: "ada@example.org".to_owned(),
            password: PASSWORD.to_owned(),
            token: None,
        };
        let ada = domain::accounts::setup(&house.store, setup).await.unwrap();
        (house, ada)
    }

    /// The answer with a body that is still to be read.
    pub async fn open(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.open(request).await;
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 4 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text, bytes: bytes.len() }
    }

    /// The answer's headers and its bytes as they were sent.
    pub async fn send_raw(&self, request: Request<Body>) -> (HeaderMap, Vec<u8>) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts.headers, axum::body::to_bytes(body, 4 << 20).await.unwrap().to_vec())
    }

    /// A session of a user, without a log-in.
    pub async fn browser(&self, user: Uuid) -> Browser<'_> {
        let (token, _) = domain::accounts::begin_session(&self.store, &Actor::service(), user).await.unwrap();
        Browser {
            house: self,
            cookie: Some(format!("steward_session={token}")),
            bearer: None,
            token: crate::origin::form_token(&token),
        }
    }

    /// A program that shows an API token of a user with these scopes; `maker` makes it.
    pub async fn program(&self, maker: Uuid, user: Uuid, scopes: &[&str]) -> Browser<'_> {
        let new = domain::tokens::NewToken {
            user_id: Some(user),
            name: "test".to_owned(),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            days: 1,
        };
        let (token, _) = domain::tokens::create(&self.store, &Actor::user(maker), new).await.unwrap();
        Browser { house: self, cookie: None, bearer: Some(token), token: String::new() }
    }

    pub fn stranger(&self) -> Browser<'_> {
        Browser { house: self, cookie: None, bearer: None, token: String::new() }
    }

    pub async fn add_user(&self, ada: Uuid, name: &str, role: &str) -> Uuid {
        domain::accounts::add_user(
            &self.store,
            &Actor::user(ada),
            name,
            &format!("{name}@example.org"),
            role,
            PASSWORD.to_owned(),
        )
        .await
        .unwrap()
    }

    /// A task of `owner` for the employee, in the middle of which it asks to move a file. Answers task and approval.
    pub async fn asked(&self, owner: Uuid, ada: Uuid) -> (Uuid, Uuid) {
        self.asked_by_rule(owner, ada, None).await
    }

    /// The same, because a rule says so.
    pub async fn asked_by_rule(&self, owner: Uuid, ada: Uuid, rule: Option<(Uuid, String)>) -> (Uuid, Uuid) {
        let tool = self.tool(ada).await;
        let (worker, work) = self.at_work(owner).await;
        let verdict =
            Verdict { effect: Effect::Ask, rule, reason: "no rule matched".to_owned(), approval_ttl_minutes: 60 };
        let approval = worker.ask(&self.store, &work, None, move_call(), &verdict, &tool).await.unwrap();
        (work.task.id, approval)
    }

    /// A started move of which nobody knows whether it happened. Answers task and approval.
    pub async fn unknown(&self, owner: Uuid, ada: Uuid) -> (Uuid, Uuid) {
        self.tool(ada).await;
        let (worker, work) = self.at_work(owner).await;
        let (store, call) = (&self.store, move_call());
        let verdict = Verdict {
            effect: Effect::Allow,
            rule: None,
            reason: "a rule allows it".to_owned(),
            approval_ttl_minutes: 60,
        };
        let step = worker.journal_allowed(store, &work, call.clone(), &verdict).await.unwrap();
        worker.start(store, &work.lease, step, call.arguments, call.arguments_sha256, None).await.unwrap();
        let work = work::reopen(&worker, store, &work.lease).await.unwrap().unwrap();
        let approval =
            worker.outcome_unknown(store, &work, &work.steps[0], "Steward was stopped".to_owned()).await.unwrap();
        (work.task.id, approval)
    }

    /// A question of the model that leads the work, of the kind `question` or `budget`. Answers the approval.
    pub async fn question(&self, owner: Uuid, action_type: &'static str) -> Uuid {
        let (worker, work) = self.at_work(owner).await;
        let question = Question {
            step: "turn 0 call 1".to_owned(),
            tool: domain::brain::ASK_PERSON,
            action_type,
            summary: "Which of the two?".to_owned(),
            arguments: json!({"question": "Which of the two?"}),
        };
        worker.ask_person(&self.store, &work, question).await.unwrap()
    }

    /// A question of the server whose tool is being called: a form, or an address. Answers the approval.
    pub async fn server_question(&self, owner: Uuid, url: Option<&str>) -> Uuid {
        let (worker, work) = self.at_work(owner).await;
        let (store, call) = (&self.store, move_call());
        let verdict = Verdict { effect: Effect::Allow, rule: None, reason: String::new(), approval_ttl_minutes: 60 };
        let step = worker.journal_allowed(store, &work, call.clone(), &verdict).await.unwrap();
        worker.start(store, &work.lease, step, call.arguments, call.arguments_sha256, None).await.unwrap();
        let work = work::reopen(&worker, store, &work.lease).await.unwrap().unwrap();
        let fields = json!({"room": {"type": "string", "enum": ["blue", "red"], "default": "blue"}, "beds": {"type": "integer", "minimum": 1}});
        let question = NewServerQuestion {
            message: "Which room shall it be?".to_owned(),
            schema: url.is_none().then(|| json!({"type": "object", "properties": fields, "required": ["room"]})),
            defaults: if url.is_none() { json!({"room": "blue"}) } else { json!({}) },
            url: url.map(str::to_owned),
            patience: SignedDuration::from_mins(30),
        };
        worker.ask_for_server(store, &work, &work.steps[0], question).await.unwrap()
    }

    async fn at_work(&self, owner: Uuid) -> (Worker, Work) {
        let employee = users::agent(&Actor::service(), &self.store, domain::accounts::EMPLOYEE).await.unwrap().unwrap();
        let mut new = NewTask::titled("File away: Rechnung März 2026.pdf");
        new.assigned_to = Some(employee);
        let actor = Actor::user(owner);
        let task = tasks::create(&actor, &self.store, &new).await.unwrap();
        tasks::add_provenance(&actor, &self.store, task, true, "watcher:inbox", json!({})).await.unwrap();
        let worker =
            Worker { actor: Actor::user(employee), name: "test/1".to_owned(), lease: SignedDuration::from_secs(60) };
        let lease = worker.claim(&self.store).await.unwrap().expect("a task to claim");
        let work = work::open(&worker, &self.store, &lease, "file-away", "name: file-away").await.unwrap();
        (worker, work)
    }

    async fn tool(&self, ada: Uuid) -> mcp_servers::ServerTool {
        let (ada, service) = (Actor::user(ada), Actor::service());
        if let Some(tool) = mcp_servers::tool(&ada, &self.store, "files", "move_file").await.unwrap() {
            return tool;
        }
        let id = mcp_servers::create(&ada, &self.store, "files", "files-server", Vec::new(), None).await.unwrap();
        let schema = json!({"type": "object", "required": ["source", "destination"], "additionalProperties": false,
            "properties": {"source": {"type": "string"}, "destination": {"type": "string"}}});
        mcp_servers::see_tool(&service, &self.store, id, "move_file", Some("Moves a file"), &schema, &"a".repeat(64))
            .await
            .unwrap();
        mcp_servers::approve_tool(&ada, &self.store, id, "move_file", &"a".repeat(64), false).await.unwrap();
        mcp_servers::tool(&ada, &self.store, "files", "move_file").await.unwrap().unwrap()
    }
}

fn move_call() -> PlannedCall {
    let arguments =
        domain::playbook::canonical_json(&json!({"source": "/inbox/a.pdf", "destination": "/archive/a.pdf"}));
    PlannedCall {
        step: "move".to_owned(),
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        arguments_sha256: domain::playbook::sha256_hex(&arguments),
        arguments,
    }
}

/// A browser with (or without) a session's cookie.
pub(super) struct Browser<'a> {
    pub house: &'a House,
    pub cookie: Option<String>,
    /// An API token to show.
    pub bearer: Option<String>,
    /// The session's form token.
    pub token: String,
}

impl Browser<'_> {
    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let mut builder = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:8000");
        if let Some(cookie) = &self.cookie {
            builder = builder.header(header::COOKIE, cookie);
        }
        if let Some(token) = &self.bearer {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        builder
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.house.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// A form as a browser sends it from our own page, with the session's token.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut all = vec![("csrf", self.token.as_str())];
        all.extend(fields);
        self.post_raw(path, &all, &[("sec-fetch-site", "same-origin")]).await
    }

    pub async fn post_raw(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let mut builder =
            self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        self.house.send(builder.body(Body::from(body.join("&"))).unwrap()).await
    }

    pub async fn post_json(&self, path: &str, body: &Json) -> Answer {
        let builder = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        self.house.send(builder.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn patch_nothing(&self, path: &str) -> Answer {
        let builder = self.request(Method::PATCH, path).header(header::CONTENT_TYPE, "application/json");
        self.house.send(builder.body(Body::empty()).unwrap()).await
    }

    pub async fn patch_json(&self, path: &str, body: &Json) -> Answer {
        let builder = self.request(Method::PATCH, path).header(header::CONTENT_TYPE, "application/merge-patch+json");
        self.house.send(builder.body(Body::from(body.to_string())).unwrap()).await
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
