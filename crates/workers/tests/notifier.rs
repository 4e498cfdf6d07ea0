//! People are told: mail through a real SMTP server, pushes and SMS through scripted gateways, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

#[path = "common/browser.rs"]
mod browser;
mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/smtp.rs"]
mod smtp;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use domain::{
    accounts::{self, Setup},
    telling,
};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Actor, Store, Vault, notification_outbox,
    notifications::{self, NewNotification, Notification},
    sealed::Purpose,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    browsers,
    notifier::{self, Notifier},
};

use crate::{
    common::{Database, PATIENCE},
    http::{Server, ok},
    smtp::Smtp,
};

on_both!(
    mail_is_sent_once_and_links_to_the_desk,
    what_can_t_be_sent_is_tried_again_or_given_up,
    what_waits_together_goes_together,
    pushes_and_sms_go_through_their_gateways,
    browsers_are_told_encrypted_and_forgotten_when_gone,
    a_browser_that_fails_stands_in_nobody_s_way,
    two_nodes_send_each_once,
    quiet_hours_keep_it,
    a_test_says_what_became_of_it,
);

struct World {
    _dir: tempfile::TempDir,
    _database: Database,
    store: Store,
    vault: Vault,
    ada: Actor,
    smtp: Smtp,
}

impl World {
    async fn new(postgres: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = if postgres { Database::postgres().await } else { Database::sqlite(dir.path()).await };
        let store = Store::open(&database.config).await.unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        let setup = Setup {
            username: "ada".into(),
            email: "ada@example.org".into(),
            password: "four words are enough".into(),
            token: None,
        };
        let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
        Self { _dir: dir, _database: database, store, vault, ada, smtp: Smtp::start() }
    }

    async fn with_mail(postgres: bool) -> Self {
        let this = Self::new(postgres).await;
        this.mail("app-password").await;
        this
    }

    async fn mail(&self, password: &str) {
        let config = json!({
            "host": "localhost", "port": self.smtp.port, "security": "starttls", "ca_pem": self.smtp.ca_pem,
            "user": "steward", "from": "Steward <steward@example.org>", "desk_url": "https://desk.example.org/",
        });
        self.way("email", config, json!({ "password": password })).await;
    }

    async fn way(&self, channel: &str, config: Json, secret: Json) {
        notifier::set_channel(&self.store, &self.vault, &self.ada, channel, config, Some(&secret)).await.unwrap();
    }

    async fn tell(&self, kind: &'static str, title: &str, data: Json) -> Uuid {
        let new = NewNotification {
            user_id: self.ada.user_id().unwrap(),
            title: title.to_owned(),
            message: Some("<b>2 < 3</b>".to_owned()),
            r#type: kind,
            data,
        };
        notifications::create(&self.ada, &self.store, &new).await.unwrap()
    }

    /// Does everything that is due.
    async fn rounds(&self) {
        let notifier = Notifier::new(self.store.clone(), self.vault.clone());
        while notifier.round().await.unwrap() > 0 {}
    }

    async fn sent(&self) -> Vec<Notification> {
        notifications::list_ways(&self.ada, &self.store, 50).await.unwrap()
    }

    async fn outbox(&self, id: Uuid) -> notification_outbox::Outgoing {
        notification_outbox::list(&self.ada, &self.store, vec![id]).await.unwrap().pop().unwrap()
    }
}

async fn mail_is_sent_once_and_links_to_the_desk(postgres: bool) {
    let world = World::with_mail(postgres).await;
    let approval = Uuid::now_v7();
    let told =
        world.tell("approval", "Möge es sein?", json!({ "approval_id": approval, "task_id": Uuid::now_v7() })).await;
    world.tell("info", "Done", json!({})).await;
    world.rounds().await;
    world.rounds().await;
    let mails = world.smtp.mails();
    assert_eq!(mails.len(), 1, "what was done stays on the web: {mails:#?}");
    let mail = &mails[0];
    assert!(mail.starts_with("X-Rcpt: ada@example.org"), "{mail}");
    assert!(mail.contains("Auto-Submitted: auto-generated") && mail.contains("multipart/alternative"), "{mail}");
    let copy = telling::copy_id(told, "email");
    assert!(mail.contains(&format!("Message-ID: <{copy}@example.org>")), "{mail}");
    let body = mail.replace("=\r\n", "").replace("=3D", "=");
    assert!(body.contains(&format!("https://desk.example.org/approvals/{approval}")), "{body}");
    assert!(body.contains("&lt;b&gt;2 &lt; 3&lt;/b&gt;"), "what others wrote is text: {body}");
    let sent = world.sent().await;
    assert!(sent.len() == 1 && sent[0].id == copy && sent[0].sent_at.is_some());
    assert_eq!(world.outbox(copy).await.state, "done");
    assert_eq!(world.outbox(told).await.state, "done");
    for row in store::audit_trail::list(&world.ada, &world.store, Some("notification_channel"), None, 10).await.unwrap()
    {
        assert!(!serde_json::to_string(&row).unwrap().contains("app-password"));
    }
}

async fn what_can_t_be_sent_is_tried_again_or_given_up(postgres: bool) {
    let world = World::with_mail(postgres).await;
    world.smtp.set_busy(true);
    let told = world.tell("error", "Broken", json!({})).await;
    world.rounds().await;
    let copy = telling::copy_id(told, "email");
    let waits = world.outbox(copy).await;
    assert_eq!((waits.state.as_str(), waits.attempts), ("waiting", 1));
    assert!(waits.last_error.as_deref().unwrap().contains("busy, come again"), "{waits:?}");
    assert!(waits.due_at > store::now(), "not at once");
    assert!(world.sent().await[0].sent_at.is_none(), "and not said to be sent");
    // Its time has come.
    world.smtp.set_busy(false);
    assert!(
        notification_outbox::retry(&Actor::service(), &world.store, &waits, SignedDuration::ZERO, "again")
            .await
            .unwrap()
    );
    world.rounds().await;
    assert_eq!((world.smtp.mails().len(), world.outbox(copy).await.state.as_str()), (1, "done"));
    // A person who can't be reached stays so.
    telling::set_wishes(&world.store, &world.ada, &json!({ "email": { "to": "nobody@example.org" } })).await.unwrap();
    let told = world.tell("error", "To nobody", json!({})).await;
    world.rounds().await;
    let failed = world.outbox(telling::copy_id(told, "email")).await;
    assert_eq!(failed.state, "failed");
    assert!(failed.last_error.unwrap().contains("no such user here"));
    // A wrong password is the operator's to mend: it is tried again.
    world.mail("wrong").await;
    telling::set_wishes(&world.store, &world.ada, &json!({})).await.unwrap();
    let told = world.tell("error", "Locked out", json!({})).await;
    world.rounds().await;
    let waits = world.outbox(telling::copy_id(told, "email")).await;
    assert_eq!(waits.state, "waiting");
    assert!(waits.last_error.as_deref().unwrap().contains("new credentials"), "{waits:?}");
}

async fn what_waits_together_goes_together(postgres: bool) {
    let world = World::with_mail(postgres).await;
    for n in 1..=3 {
        world.tell("approval", &format!("Question {n}"), json!({})).await;
    }
    world.rounds().await;
    let mails = world.smtp.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("Subject: 3 messages from Steward"), "{}", mails[0]);
    assert!((1..=3).all(|n| mails[0].contains(&format!("Question {n}"))));
    assert!(world.sent().await.iter().all(|n| n.sent_at.is_some()));
}

async fn pushes_and_sms_go_through_their_gateways(postgres: bool) {
    let world = World::new(postgres).await;
    let is_busy = Arc::new(AtomicBool::new(true));
    let server = {
        let is_busy = Arc::clone(&is_busy);
        Server::start(move |request| {
            if request.starts_with("POST /2010-04-01/Accounts/AC1/Messages.json ")
                && is_busy.swap(false, Ordering::SeqCst)
            {
                ("429 Too Many Requests".to_owned(), "retry-after: 7200\r\n".to_owned(), "{}".to_owned())
            } else {
                ok("{}")
            }
        })
        .await
    };
    world.way("push", json!({ "url": server.url, "allow_private": ["127.0.0.1"] }), json!({ "token": "tk" })).await;
    let twilio = json!({ "kind": "twilio", "account": "AC1", "from": "+15005550006", "url": server.url, "allow_private": ["127.0.0.1"] });
    world.way("sms", twilio, json!({ "token": "secret" })).await;
    let wishes = json!({ "push": { "to": "ada-phone" }, "sms": { "to": "+491701234567" } });
    telling::set_wishes(&world.store, &world.ada, &wishes).await.unwrap();
    let told = world.tell("error", "Grüße", json!({})).await;
    world.rounds().await;
    let asked = server.asked.lock().unwrap().clone();
    let push = asked.iter().find(|r| r.starts_with("POST / ")).unwrap();
    let (head, body) = push.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Bearer tk"), "{head}");
    let body: Json = serde_json::from_str(body).unwrap();
    assert_eq!((&body["topic"], &body["title"], &body["priority"]), (&json!("ada-phone"), &json!("Grüße"), &json!(4)));
    // The gateway said when to come again, and that counts.
    let sms = telling::copy_id(told, "sms");
    let waits = world.outbox(sms).await;
    assert!(waits.due_at > store::now() + SignedDuration::from_secs(7000), "{waits:?}");
    assert!(
        notification_outbox::retry(&Actor::service(), &world.store, &waits, SignedDuration::ZERO, "again")
            .await
            .unwrap()
    );
    world.rounds().await;
    assert_eq!(world.outbox(sms).await.state, "done");
    let asked = server.asked.lock().unwrap().clone();
    let last = asked.last().unwrap();
    assert!(last.contains("To=%2B491701234567&From=%2B15005550006&Body=Gr%C3%BC%C3%9Fe"), "{last}");
    assert!(last.contains("Basic QUMxOnNlY3JldA=="), "{last}");
    // Another gateway, by a template.
    let generic = json!({
        "kind": "generic", "url": format!("{}/send", server.url), "content_type": "application/json",
        "body": "{\"number\": \"{to}\", \"words\": \"{text}\"}", "allow_private": ["127.0.0.1"],
    });
    world.way("sms", generic, json!({ "token": "Key abc" })).await;
    world.tell("alert", "Say \"hi\"", json!({})).await;
    world.rounds().await;
    let asked = server.asked.lock().unwrap().clone();
    let last = asked.iter().rfind(|r| r.starts_with("POST /send ")).unwrap();
    let body: Json = serde_json::from_str(last.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["number"], &body["words"]), (&json!("+491701234567"), &json!("Say \"hi\": <b>2 < 3</b>")));
    assert!(last.contains("authorization: Key abc"), "{last}");
}

async fn two_nodes_send_each_once(postgres: bool) {
    let world = World::with_mail(postgres).await;
    let stop = CancellationToken::new();
    let nodes: Vec<_> = (0..3).map(|_| Notifier::new(world.store.clone(), world.vault.clone())).collect();
    let running: Vec<_> = nodes.into_iter().map(|n| tokio::spawn(n.run(stop.clone()))).collect();
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(telling::copy_id(world.tell("approval", &format!("Number <{n}>"), json!({})).await, "email"));
    }
    let all = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tick.tick().await;
            let done = notification_outbox::list(&world.ada, &world.store, ids.clone()).await.unwrap();
            if done.iter().filter(|o| o.state == "done").count() == 20 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all are sent in time");
    stop.cancel();
    for node in running {
        node.await.unwrap();
    }
    let whole = world.smtp.mails().join("\n").replace("=\r\n", "");
    for n in 0..20 {
        // Once as text, once as HTML: in one mail.
        assert_eq!(whole.matches(&format!("&lt;{n}&gt;")).count(), 1, "{n}");
    }
}

async fn quiet_hours_keep_it(postgres: bool) {
    let world = World::with_mail(postgres).await;
    let wishes = json!({ "quiet": { "from": "00:00", "to": "23:59:59" }, "digest_at": "23:59:59" });
    telling::set_wishes(&world.store, &world.ada, &wishes).await.unwrap();
    let told = world.tell("error", "At night", json!({})).await;
    world.rounds().await;
    let copy = telling::copy_id(told, "email");
    let kept = world.sent().await.into_iter().find(|n| n.id == copy);
    // (In the last second of a day nothing is quiet.)
    let kept = kept.unwrap();
    assert!(kept.sent_at.is_none() && kept.scheduled_for.is_some_and(|at| at > store::now()), "{kept:?}");
    assert!(world.smtp.mails().is_empty());
    let on_the_web = notifications::list(&world.ada, &world.store, None, 10).await.unwrap();
    assert_eq!(on_the_web.len(), 1, "the web shows it at once, and once");
}

async fn a_test_says_what_became_of_it(postgres: bool) {
    let world = World::with_mail(postgres).await;
    let good = notifier::test(&world.store, &world.vault, &world.ada, "email").await.unwrap().unwrap();
    assert_eq!(good.state, "done");
    assert!(world.smtp.mails()[0].contains("Steward can reach you"));
    let none = notifier::test(&world.store, &world.vault, &world.ada, "push").await.unwrap().unwrap();
    assert!(none.state == "failed" && none.last_error.unwrap().contains("steward notify channel set push"));
    let said = notifier::set_channel(
        &world.store,
        &world.vault,
        &world.ada,
        "email",
        json!({ "host": "x", "from": "nobody" }),
        None,
    )
    .await;
    assert!(said.unwrap_err().to_string().contains("no address of mail"));
}

/// A service of a browser's maker, which decrypts what it gets as the browser would.
async fn browsers_are_told_encrypted_and_forgotten_when_gone(postgres: bool) {
    let world = World::new(postgres).await;
    let is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&is_gone);
    let service = Server::start(move |_| {
        let status = if gone.load(Ordering::SeqCst) { "410 Gone" } else { "201 Created" };
        (status.to_owned(), String::new(), String::new())
    })
    .await;
    let phone = browser::Browser::new(&format!("{}/send/phone", service.url));
    let kept = phone.subscription();
    let endpoint = browsers::check(&kept).unwrap();
    domain::web_push::subscribe(&world.store, &world.vault, &world.ada, "phone", (&endpoint, &kept)).await.unwrap();
    let rounds = async || {
        let reach = outside::address::Reach::with(["127.0.0.1".to_owned()]);
        let notifier = Notifier::new(world.store.clone(), world.vault.clone()).reaching(reach);
        while notifier.round().await.unwrap() > 0 {}
    };
    let approval = Uuid::now_v7();
    let told = world.tell("approval", "Move a file?", json!({ "approval_id": approval })).await;
    rounds().await;
    let copy = telling::copy_id(told, "push");
    assert_eq!(world.outbox(copy).await.state, "done");
    assert!(world.sent().await.iter().any(|n| n.id == copy && n.sent_at.is_some() && n.channel == "push"));
    let (request, body) = (service.asked.lock().unwrap()[0].clone(), service.bodies.lock().unwrap()[0].clone());
    let request = request.to_lowercase();
    let topic = format!("topic: {}", copy.simple());
    for head in ["post /send/phone ", "content-encoding: aes128gcm", "ttl: 86400", "urgency: normal", &topic] {
        assert!(request.contains(head), "{head}: {request}");
    }
    let shown: Json = serde_json::from_slice(&phone.read(&body)).unwrap();
    let link = format!("/approvals/{approval}");
    assert_eq!(shown, json!({ "title": "Move a file?", "link": link, "tag": copy.simple().to_string() }));
    let key = domain::web_push::key(&world.store, &world.vault, browsers::new_key).await.unwrap();
    browser::believes(&request_line(&service, 0, "authorization"), &browsers::public(&key).unwrap(), &service.url);

    // What stands in the database can't be used, and where addresses are not public nothing is sent.
    let rows = store::push_subscriptions::sealed(&Actor::service(), &world.store, world.ada.user_id().unwrap()).await;
    assert!(!format!("{}", rows.unwrap()[0].secret).contains("send/phone"));
    let private = world.tell("approval", "Another?", json!({})).await;
    world.rounds().await;
    let failed = world.outbox(telling::copy_id(private, "push")).await;
    assert!(failed.last_error.unwrap().contains("not a public address"));

    is_gone.store(true, Ordering::SeqCst);
    world.tell("approval", "A third?", json!({})).await;
    rounds().await;
    assert!(domain::web_push::list(&world.store, &world.ada).await.unwrap().is_empty(), "it is forgotten");
    let after = world.tell("approval", "A fourth?", json!({})).await;
    rounds().await;
    let planned = notifications::get(&Actor::service(), &world.store, telling::copy_id(after, "push")).await.unwrap();
    assert!(planned.is_none(), "who has no browser is told by none");
}

/// One browser that can't be opened any more (its key is another's) stands in nobody's way; and who was told by a gateway is
/// not told again because a browser could not be.
async fn a_browser_that_fails_stands_in_nobody_s_way(postgres: bool) {
    let world = World::new(postgres).await;
    let service = Server::start(move |_| ("201 Created".to_owned(), String::new(), String::new())).await;
    let busy = Server::start(move |_| ("503 Service Unavailable".to_owned(), String::new(), String::new())).await;
    let spoilt = world.vault.seal_json(&Purpose::push_key(), &json!({})).unwrap();
    let me = world.ada.user_id().unwrap();
    store::push_subscriptions::put(&Actor::service(), &world.store, me, "spoilt", &"0".repeat(64), spoilt)
        .await
        .unwrap();
    let reach = || outside::address::Reach::with(["127.0.0.1".to_owned()]);
    let rounds = async || {
        let notifier = Notifier::new(world.store.clone(), world.vault.clone()).reaching(reach());
        while notifier.round().await.unwrap() > 0 {}
    };
    // Alone it is the reason why nothing was sent.
    let told = world.tell("approval", "Nobody hears this", json!({})).await;
    rounds().await;
    let alone = world.outbox(telling::copy_id(told, "push")).await;
    assert!(alone.state == "failed" && alone.last_error.unwrap().contains("not what was kept"));
    let phone = browser::Browser::new(&format!("{}/send/phone", service.url)).subscription();
    let endpoint = browsers::check(&phone).unwrap();
    domain::web_push::subscribe(&world.store, &world.vault, &world.ada, "phone", (&endpoint, &phone)).await.unwrap();
    let told = world.tell("approval", "Move a file?", json!({})).await;
    rounds().await;
    assert_eq!(world.outbox(telling::copy_id(told, "push")).await.state, "done");
    assert_eq!(service.asked.lock().unwrap().len(), 1);
    // A browser's service that is busy, beside a gateway that takes it.
    let slow = browser::Browser::new(&format!("{}/send/slow", busy.url)).subscription();
    let endpoint = browsers::check(&slow).unwrap();
    domain::web_push::subscribe(&world.store, &world.vault, &world.ada, "slow", (&endpoint, &slow)).await.unwrap();
    let gateway = Server::start(move |_| ok("{}")).await;
    world.way("push", json!({ "url": gateway.url, "allow_private": ["127.0.0.1"] }), json!({ "token": "tk" })).await;
    telling::set_wishes(&world.store, &world.ada, &json!({ "push": { "to": "ada-phone" } })).await.unwrap();
    let told = world.tell("approval", "Another?", json!({})).await;
    rounds().await;
    assert_eq!(world.outbox(telling::copy_id(told, "push")).await.state, "done");
    assert_eq!(gateway.asked.lock().unwrap().len(), 1);
    assert!(!busy.asked.lock().unwrap().is_empty());
}

/// A header of a request that the service got, as it came.
fn request_line(service: &Server, n: usize, name: &str) -> String {
    let request = service.asked.lock().unwrap()[n].clone();
    let line = request.lines().find(|l| l.to_lowercase().starts_with(&format!("{name}:"))).unwrap();
    line.split_once(": ").unwrap().1.to_owned()
}
