//! The whole of it once, on both databases: mail arrives while nobody works, the employee starts, drafts an answer with a
//! language model, asks, a person decides on a phone, the answer goes out by SMTP, and everything stands in the record.

use std::time::Duration;

use domain::{
    servers::{self as server_rules, NewServer},
    watchers::{self as rules, NewWatcher},
};
use serde_json::json;
use store::{Actor, Vault, approvals, audit_trail, runs, system_logs, tasks};

use crate::{
    PASSWORD,
    bench::Bench,
    dovecot::Dovecot,
    driver::{Browser, PATIENCE},
    model_server::{ModelServer, Play},
    smtp::Smtp,
    until_shown,
};

const MAIL: &str = "From: Bob <bob@example.org>\nTo: ada@example.org\nSubject: Lunch on Friday?\nMessage-ID: <lunch@example.org>\n\
    Date: Mon, 02 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nShall we meet at noon?\n";
const ANSWER: &str = "Dear Bob,\n\nnoon on Friday suits me well.\n\nAda";

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_answered_from_the_phone_on_sqlite() {
    a_mail_is_answered_from_the_phone(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_answered_from_the_phone_on_postgres() {
    a_mail_is_answered_from_the_phone(true).await;
}

async fn a_mail_is_answered_from_the_phone(postgres: bool) {
    let bench = Bench::new(postgres).await;
    let (dovecot, smtp) = (Dovecot::start(None), Smtp::start());
    let draft = json!({ "to": ["bob@example.org"], "subject": "Re: Lunch on Friday?", "text": ANSWER, "in_reply_to": "lunch@example.org" });
    let model =
        ModelServer::start([Play::Call(vec![("mail__send_mail".to_owned(), draft)]), Play::Say("Bob was answered.")])
            .await;
    set_up(&bench, &dovecot, &smtp, &model).await;
    // Nobody works when it arrives.
    dovecot.deliver("1", MAIL);
    assert!(tasks::list(&bench.ada, &bench.store, None, None, 1).await.unwrap().is_empty());

    let process = bench.start(&[]);
    let browser = Browser::start().await;
    browser.resize(360, 780).await;
    let desk = process.address.clone();
    browser.page.goto(&desk).await.expect("the log-in page");
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    until_shown(&browser, &format!("{desk}approvals"), "Lunch on Friday?").await;
    let open = approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 10).await.unwrap();
    assert_eq!(open.len(), 1, "one mail, one question: {open:#?}");
    assert_eq!(open[0].details.as_ref().unwrap()["outside"], true, "it works on what came from outside");
    browser.page.goto(&format!("{desk}approvals/{}", open[0].id)).await.expect("the approval");
    let page = browser.text("main").await;
    assert!(page.contains("send_mail") && page.contains("bob@example.org"), "{page}");
    assert!(!browser.overflows().await, "the page is wider than the phone");
    browser.picture(if postgres { "demo-phone-postgres" } else { "demo-phone-sqlite" }).await;
    assert!(smtp.mails().is_empty(), "nothing is sent before the decision");
    browser.press("Approve as asked").await;
    until_shown(&browser, &format!("{desk}tasks?status=completed"), "Lunch on Friday?").await;
    assert!(!browser.overflows().await);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;

    let mails = smtp.mails();
    assert_eq!(mails.len(), 1, "sent once");
    for part in [
        "To: bob@example.org",
        "Re: Lunch on Friday?",
        "noon on Friday suits me well",
        "In-Reply-To: <lunch@example.org>",
    ] {
        assert!(mails[0].contains(part), "the mail lacks {part}: {}", mails[0]);
    }
    assert_eq!(model.unplayed(), 0, "the model was asked twice and no more");
    record(&bench, open[0].id).await;
    assert!(process.stop().await.success());
}

/// The account for mail that leaves, the mailbox, and the model.
async fn set_up(bench: &Bench, dovecot: &Dovecot, smtp: &Smtp, model: &ModelServer) {
    let data = bench.dir.path().join("data");
    std::fs::write(data.join("models.toml"), model.settings("anthropic", "")).unwrap();
    let vault = Vault::open(&data.join("master.key"), &data.join("attachments")).unwrap();
    let account = json!({
        "host": "localhost", "port": smtp.port, "security": "starttls", "ca_pem": smtp.ca_pem, "user": "steward",
        "from": "Ada <ada@example.org>",
    });
    let server = NewServer {
        name: "mail".to_owned(),
        command: "builtin:mail".to_owned(),
        args: vec![account.to_string()],
        environment: [("PASSWORD".to_owned(), "app-password".to_owned())].into(),
    };
    server_rules::add(&bench.store, &vault, &bench.ada, server).await.unwrap();
    workers::servers::list_now(&bench.store, &vault, "mail").await.unwrap();
    server_rules::approve_tools(&bench.store, &bench.ada, "mail", &[], true, false).await.unwrap();
    let config = json!({
        "host": "localhost", "port": dovecot.tls_port, "user": "ada", "ca_pem": dovecot.ca_pem, "assign_to": "employee",
        "allow_private": ["localhost"], "since": "2020-01-01T00:00:00Z",
    });
    let credentials = Some(json!({ "password": "app-password" }));
    let new = NewWatcher { name: "mail".to_owned(), watcher_type: "imap".to_owned(), config, credentials };
    rules::add(&bench.store, &vault, &bench.ada, new).await.unwrap();
}

/// What is kept of it.
async fn record(bench: &Bench, approval: uuid::Uuid) {
    let task = tasks::list(&bench.ada, &bench.store, None, None, 10).await.unwrap();
    assert_eq!(task.len(), 1, "one mail, one task");
    assert!(tasks::provenance(&bench.ada, &bench.store, task[0].id).await.unwrap().unwrap().source.contains("mail"));
    let decided = approvals::get(&bench.ada, &bench.store, approval).await.unwrap().unwrap();
    assert_eq!((decided.status.as_str(), decided.approved_by), ("approved", bench.ada.user_id()));
    let run = runs::list(&bench.ada, &bench.store, task[0].id).await.unwrap().remove(0);
    let steps = runs::steps(&bench.ada, &bench.store, run.id).await.unwrap();
    let frozen = approvals::call(&bench.ada, &bench.store, approval).await.unwrap().unwrap().call;
    assert!(steps.len() == 1 && steps[0].state == "succeeded" && steps[0].arguments == frozen.arguments, "{steps:#?}");
    // The log is written a little later.
    let logged = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let lines = system_logs::list(&Actor::service(), &bench.store, None, None, None, 100).await.unwrap();
            if lines.iter().any(|line| {
                line.message.as_deref().is_some_and(|m| m.contains("Lunch on Friday?") && m.contains("completed"))
            }) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, logged).await.expect("it is logged");
    let report = audit_trail::verify(&bench.ada, &bench.store).await.unwrap();
    assert_eq!(report.broken, None);
}
