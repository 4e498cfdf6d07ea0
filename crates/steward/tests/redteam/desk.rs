//! The desk as a person's browser gets it.

use std::sync::Arc;

use domain::{accounts, deceit};
use serde_json::Value;
use store::{Actor, BoxFuture, Store, Vault, approvals, approvals::Approval, watchers::Watcher};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{cases::Case, common::Steward};

/// Watches nothing.
#[derive(Debug)]
struct Hands;

impl web::Hands for Hands {
    fn check_watcher(&self, _: &web::Settings, _: &[String]) -> domain::Result<()> {
        Ok(())
    }

    fn preview_watcher<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        _: &'a Watcher,
        _: usize,
    ) -> BoxFuture<'a, domain::Result<Vec<web::Preview>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn set_way<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        _: &'a str,
        _: Value,
        _: Option<Value>,
    ) -> BoxFuture<'a, domain::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn test_way<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        _: &'a str,
    ) -> BoxFuture<'a, domain::Result<web::Told>> {
        Box::pin(async { Ok(web::Told::Sent) })
    }

    fn folder(&self, path: &str) -> domain::Result<String> {
        Ok(path.to_owned())
    }

    fn models(&self) -> web::Models {
        let limits = domain::brain::limits::Limits::default();
        web::Models { entries: Vec::new(), limits, file: String::new() }
    }
}

/// The running desk, and somebody logged in.
pub struct Desk {
    address: String,
    cookie: String,
    http: reqwest::Client,
    shutdown: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Desk {
    pub async fn open(s: &Steward) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let state = web::State {
            store: s.store.clone(),
            vault: s.vault(),
            hands: Arc::new(Hands),
            version: "0.0.0-test",
            allowed_hosts: Vec::new(),
            trusted_proxies: web::Proxies::default(),
            playbooks: web::Playbooks::new(Vec::new),
        };
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(web::serve(listener, state, shutdown.clone()));
        let ada = s.ada.user_id().unwrap();
        let (token, _) = accounts::begin_session(&s.store, &Actor::service(), ada).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address, cookie: format!("steward_session={token}"), http, shutdown, served }
    }

    async fn page(&self, path: &str) -> String {
        let asked = self.http.get(format!("{}{path}", self.address)).header("cookie", &self.cookie);
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// A page hides nothing, and loads or runs nothing that somebody else wrote.
    pub async fn looks_honest(&self, path: &str, case: &str) -> String {
        let page = self.page(path).await;
        assert_eq!(deceit::hidden(&page), 0, "{case}: something hides on {path}");
        let low = page.to_lowercase();
        for wrong in [
            "src=\"http",
            "href=\"http",
            "href=\"javascript",
            "href=\"data:",
            "<img src=x",
            "<svg onload",
            "<script>alert",
        ] {
            assert!(!low.contains(wrong), "{case}: {wrong} on {path}");
        }
        page
    }

    /// The page of a question shows the call as it really would be made.
    pub async fn shows(&self, s: &Steward, approval: &Approval, case: &Case) {
        let page = self.looks_honest(&format!("approvals/{}", approval.id), &case.name).await;
        let Some(frozen) = approvals::call(&s.ada, &s.store, approval.id).await.unwrap() else {
            return;
        };
        let read = page.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        let arguments: Value = serde_json::from_str(&frozen.call.arguments).unwrap();
        for (name, value) in arguments.as_object().unwrap() {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| Value::from(text).to_string());
            let shown = deceit::spell_out(&text, |c, out| {
                use std::fmt::Write;
                c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
            });
            assert!(
                read.contains(name.as_str()) && read.contains(&shown),
                "{}: {name} = {shown} is not shown\n{read}",
                case.name
            );
        }
        assert!(read.contains(&frozen.call.arguments_sha256), "{}: the hash is not shown", case.name);
        let hidden = deceit::hidden(&frozen.call.arguments) + deceit::mixed_words(&frozen.call.arguments).len();
        assert_eq!(read.contains("Look closely"), hidden > 0, "{}: {}", case.name, frozen.call.arguments);
    }

    pub async fn close(self) {
        self.shutdown.cancel();
        self.served.await.unwrap().unwrap();
    }
}
