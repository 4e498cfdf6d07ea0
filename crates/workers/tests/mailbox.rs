//! Mailboxes over IMAP, against a real Dovecot, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;
#[path = "common/dovecot.rs"]
mod dovecot;
#[path = "common/http.rs"]
mod http;
#[path = "common/watching.rs"]
mod watching;

use std::sync::Arc;

use domain::{
    judging::Case,
    policy::Effect,
    watchers::{self as rules, NewWatcher},
};
use serde_json::{Value as Json, json};
use store::{
    file_attachments,
    policies::{self, NewPolicy},
    tasks, watchers,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use workers::{
    logs::LogQueue,
    watchers::polling::{self, Poller},
};

use crate::{
    common::PATIENCE,
    dovecot::Dovecot,
    http::{Server, ok},
    watching::World,
};

on_both!(
    mail_becomes_tasks_with_files_and_provenance,
    a_mailbox_made_anew_brings_nothing_twice,
    refused_credentials_rest_the_watcher_and_are_told,
    an_access_token_is_renewed,
);

fn mail(n: usize, text: &str) -> String {
    format!(
        "Authentication-Results: mx.example.org; dmarc=pass\nFrom: Bob <bob@example.org>\nTo: ada@example.org\nSubject: Letter {n}\nMessage-ID: <{n}@example.org>\n\
         Date: Mon, 02 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n{text}\n\
         --b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=\"a/b.txt\"\n\nhello\n--b--\n"
    )
}

fn mailbox(dovecot: &Dovecot) -> Json {
    json!({
        "host": "localhost", "port": dovecot.tls_port, "user": "ada", "ca_pem": dovecot.ca_pem,
        "trusted_server": "mx.example.org", "allow_private": ["localhost"], "since": "2020-01-01T00:00:00Z",
    })
}

fn password() -> Json {
    json!({ "password": "app-password" })
}

async fn mail_becomes_tasks_with_files_and_provenance(postgres: bool) {
    let world = World::new(postgres).await;
    let dovecot = Dovecot::start(None);
    dovecot.deliver("1", &mail(1, "first"));
    let id = world.add("imap", mailbox(&dovecot), Some(password())).await;
    let work = world.start(id).await;
    work.look().await;
    assert_eq!(world.titles().await, ["Mail from bob@example.org: Letter 1"], "{}", dovecot.log());
    // The server says that something arrived: nobody polls within twenty minutes.
    dovecot.deliver("2", &mail(2, "second"));
    work.look().await;
    work.end().await;
    assert_eq!(world.tasks().await.len(), 2);
    let task = world.tasks().await.remove(0);
    assert_eq!(task.metadata["event"]["text"], "second");
    let from = tasks::provenance(&world.ada, &world.store, task.id).await.unwrap().unwrap();
    assert_eq!(
        (&from.detail["authentication"]["dmarc"], &from.detail["authentication"]["trusted"]),
        (&json!("pass"), &json!(true))
    );
    // A rule can go by that, and not by what a task says of itself.
    let rule = NewPolicy {
        position: 1,
        name: "bob's mail".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: Some(
            "provenance.source == \"watcher:imap\" && provenance.detail.authentication.trusted \
             && provenance.detail.authentication.dmarc == \"pass\" && provenance.detail.from.address == \"bob@example.org\""
                .to_owned(),
        ),
        outside: true,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 60,
    };
    policies::create(&world.ada, &world.store, &rule).await.unwrap();
    let forged = tasks::NewTask { metadata: task.metadata.clone(), ..tasks::NewTask::titled("says that it is Bob's") };
    let forged = domain::tasks::create(&world.store, &world.ada, forged, "mcp", true).await.unwrap();
    for (task, effect) in [(&task, Effect::Allow), (&forged, Effect::Ask)] {
        let case = Case {
            server: "mail".to_owned(),
            tool: "send_mail".to_owned(),
            arguments: json!({}),
            outside: true,
            task: serde_json::to_value(task).unwrap(),
        };
        let said = domain::judging::judge(&world.ada, &world.store, &case).await.unwrap();
        assert_eq!(said.effect, effect, "{}: {}", task.title, said.reason);
    }
    domain::tasks::set_status(&world.store, &world.ada, forged.id, "cancelled", None).await.unwrap();
    let files = file_attachments::list(&world.ada, &world.store, task.id).await.unwrap();
    let mut names: Vec<&str> = files.iter().map(|f| f.filename.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Letter 2.eml", "a_b.txt"]);
    let file = files.iter().find(|f| f.filename == "a_b.txt").unwrap();
    let mut content = Vec::new();
    let mut opened = domain::files::open(&world.store, &world.vault, file).await.unwrap();
    opened.copy(0, u64::MAX, &mut content).unwrap();
    assert_eq!(content.trim_ascii(), b"hello");
    // STARTTLS, and the same mail under another name of it.
    let mut config = mailbox(&dovecot);
    config["port"] = json!(dovecot.plain_port);
    config["security"] = json!("starttls");
    config["playbook"] = json!("p");
    let new = NewWatcher { name: "second".into(), watcher_type: "imap".into(), config, credentials: Some(password()) };
    let id = rules::add(&world.store, &world.vault, &world.ada, new).await.unwrap();
    dovecot.deliver("3", &mail(1, "first"));
    world.once(id).await;
    assert_eq!(world.tasks().await.len(), 5, "each watcher has its own, and a mail that came twice is one");
}

async fn a_mailbox_made_anew_brings_nothing_twice(postgres: bool) {
    let world = World::new(postgres).await;
    let dovecot = Dovecot::start(None);
    dovecot.deliver("1", &mail(1, "first"));
    let id = world.add("imap", mailbox(&dovecot), Some(password())).await;
    world.once(id).await;
    let before = watchers::cursor(&world.ada, &world.store, id).await.unwrap().unwrap()["state"]["cursor"].clone();
    let work = world.start(id).await;
    work.look().await;
    work.end().await;
    // UIDVALIDITY is a time in seconds: it must be another one.
    let began = std::time::Instant::now();
    let mut after = before.clone();
    while after["validity"] == before["validity"] {
        assert!(began.elapsed() < PATIENCE, "{before} {after}");
        dovecot.renumber();
        dovecot.deliver("2", &mail(2, "second"));
        world.once(id).await;
        after = watchers::cursor(&world.ada, &world.store, id).await.unwrap().unwrap()["state"]["cursor"].clone();
    }
    assert_eq!(world.titles().await, ["Mail from bob@example.org: Letter 1", "Mail from bob@example.org: Letter 2"]);
}

async fn refused_credentials_rest_the_watcher_and_are_told(postgres: bool) {
    let world = World::new(postgres).await;
    // A page that refuses: the same for every kind.
    let server = Server::start(|_| ("401 Unauthorized".to_owned(), String::new(), "token expired".to_owned())).await;
    let config = json!({ "url": server.url, "allow_private": ["127.0.0.1"] });
    let id = world.add("feed", config, Some(json!({ "token": "old" }))).await;
    world.once(id).await;
    assert!(world.watcher(id).await.is_active, "the other side may err once");
    let dovecot = Dovecot::start(None);
    let mail = world.add("imap", mailbox(&dovecot), Some(json!({ "password": "wrong" }))).await;
    world.once(mail).await;
    let watcher = world.watcher(mail).await;
    assert!(watcher.last_error.as_deref().unwrap().contains("refused the log-in of ada"), "{watcher:?}");
    // The second refusal comes after a pause of its own, which is turned forward by beginning with one behind it.
    let looked = Arc::new(Notify::new());
    let (common, source) =
        polling::open("imap", &watcher.config.clone().unwrap(), Some(&json!({ "password": "wrong" })), true).unwrap();
    let poller = Poller {
        store: world.store.clone(),
        vault: world.vault.clone(),
        watcher,
        reaches_private: !common.allow_private.is_empty(),
        common,
        source,
        logs: LogQueue::default(),
        looked: Arc::clone(&looked),
    };
    let running = tokio::spawn(polling::run(poller, CancellationToken::new()));
    tokio::time::timeout(PATIENCE * 2, running).await.expect("it rests by itself").unwrap();
    let rested = world.watcher(mail).await;
    assert!(!rested.is_active);
    let told = world.told().await;
    assert!(
        told.iter().any(|t| t.starts_with("Resting: imap") && t.contains("steward watcher credentials")),
        "{told:?}"
    );
    // With new credentials it goes on.
    dovecot.change_password("app-password");
    rules::set_credentials(&world.store, &world.vault, &world.ada, &rested, &json!({ "password": "app-password" }))
        .await
        .unwrap();
    watchers::set_active(&world.ada, &world.store, mail, true).await.unwrap();
    world.once(mail).await;
    assert_eq!(world.watcher(mail).await.last_error, None, "{}", dovecot.log());
}

async fn an_access_token_is_renewed(postgres: bool) {
    let world = World::new(postgres).await;
    let judge = Server::start(|request| {
        if request.contains("fresh") { ok(r#"{"active": true, "email": "ada"}"#) } else { ok(r#"{"active": false}"#) }
    })
    .await;
    let dovecot = Dovecot::start(Some(&judge.url));
    dovecot.deliver("1", &mail(1, "first"));
    let tokens = Server::start(|request| {
        if request.contains("refresh_token=good%2Ftoken") {
            ok(r#"{"access_token": "fresh", "expires_in": 3600, "token_type": "Bearer"}"#)
        } else {
            ("400 Bad Request".to_owned(), String::new(), r#"{"error": "invalid_grant"}"#.to_owned())
        }
    })
    .await;
    let mut config = mailbox(&dovecot);
    config["allow_private"] = json!(["localhost", "127.0.0.1"]);
    let with = |refresh: &str| json!({ "refresh_token": refresh, "client_id": "steward", "token_url": tokens.url });
    let id = world.add("imap", config, Some(with("good/token"))).await;
    world.once(id).await;
    assert_eq!(world.tasks().await.len(), 1, "{:?} {}", world.watcher(id).await.last_error, dovecot.log());
    let watcher = world.watcher(id).await;
    rules::set_credentials(&world.store, &world.vault, &world.ada, &watcher, &with("over")).await.unwrap();
    world.once(id).await;
    let said = world.watcher(id).await.last_error.unwrap();
    assert!(said.contains("invalid_grant") && said.contains("log in at the provider"), "{said}");
}
