//! The built-in servers in whole work, on both databases: tools that need no program act after a person's yes, within their
//! bounds, once; and what nobody knows is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/smtp.rs"]
mod smtp;

use std::collections::BTreeMap;

use common::Steward;
use domain::{
    accounts::EMPLOYEE,
    decide::{Decision, decide},
    servers::{self as server_rules, NewServer},
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{
    Actor, approvals, audit_trail, mcp_servers, notifications, runs, tasks,
    tasks::{NewTask, Task},
    users,
};
use tokio::{io::AsyncReadExt, net::TcpListener};

on_both!(
    what_is_built_in_acts_after_a_yes,
    what_reaches_too_far_is_refused,
    a_post_whose_answer_is_lost_is_asked_about,
    mail_that_was_not_taken_is_sent_later_and_once,
    a_file_is_filed_away_without_another_program,
);

async fn add(s: &Steward, name: &str, kind: &str, config: &Value, secrets: &[(&str, &str)]) {
    let environment: BTreeMap<String, String> =
        secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (command, args) = (format!("builtin:{kind}"), vec![config.to_string()]);
    tools::builtin::check(&command, &args, &environment).unwrap();
    s.add_own_server(NewServer { name: name.to_owned(), command, args, environment }).await;
    server_rules::approve_tools(&s.store, &s.ada, name, &[], true, false).await.unwrap();
}

async fn mail_server(s: &Steward) -> smtp::Smtp {
    let smtp = smtp::Smtp::start();
    let account = json!({
        "host": "localhost", "port": smtp.port, "security": "starttls", "ca_pem": smtp.ca_pem,
        "user": "steward", "from": "Steward <steward@example.org>",
    });
    add(s, "mail", "mail", &account, &[("PASSWORD", "app-password")]).await;
    smtp
}

/// Gives the employee a task of these steps, each `(name, server, tool, arguments)`.
async fn give(s: &Steward, name: &str, steps: &[(&str, &str, &str, Value)]) -> uuid::Uuid {
    let steps: Vec<Value> = steps
        .iter()
        .map(|(name, server, tool, arguments)| json!({ "name": name, "server": server, "tool": tool, "arguments": arguments }))
        .collect();
    // JSON is YAML.
    s.add_playbook(&format!("{name}.yaml"), &json!({ "name": name, "steps": steps }).to_string());
    let employee = users::agent(&Actor::service(), &s.store, EMPLOYEE).await.unwrap();
    let new = NewTask { assigned_to: employee, metadata: json!({ "playbook": name }), ..NewTask::titled(name) };
    tasks::create(&s.ada, &s.store, &new).await.unwrap()
}

async fn status_of(s: &Steward, id: uuid::Uuid) -> Task {
    tasks::get(&s.ada, &s.store, id).await.unwrap().unwrap()
}

/// Says yes to whatever is asked until the task is at its end.
async fn say_yes(s: &Steward, id: uuid::Uuid) -> Task {
    s.until("the task is at its end", async |s| {
        for open in approvals::list(&s.ada, &s.store, Some("pending"), None, None, 20).await.unwrap() {
            let yes = Decision { approve: true, note: None, arguments: None };
            decide(&s.store, &s.ada, open.id, yes).await.unwrap();
        }
        Some(status_of(s, id).await).filter(|t| matches!(t.status.as_str(), "completed" | "failed"))
    })
    .await
}

async fn what_is_built_in_acts_after_a_yes(postgres: bool) {
    let s = Steward::start(postgres).await;
    let web = http::Server::start(|_| http::ok(r#"{"taken": true}"#)).await;
    let smtp = mail_server(&s).await;
    add(&s, "disk", "files", &json!({ "folders": [s.home()] }), &[]).await;
    add(
        &s,
        "web",
        "web",
        &json!({ "hosts": ["127.0.0.1"], "allow_private": ["127.0.0.1"] }),
        &[("AUTHORIZATION", "Bearer hush-hush-hush")],
    )
    .await;
    add(&s, "notes", "notes", &json!({ "folder": s.home() }), &[]).await;
    add(&s, "house", "tasks", &json!({ "people": ["ada"] }), &[]).await;
    let server = server_rules::named(&s.store, &s.ada, "mail").await.unwrap();
    assert_eq!(server.server_type, "builtin");
    assert!(!serde_json::to_string(&server).unwrap().contains("app-password"));
    let file = s.home().join("letter.txt");
    let later = store::now() + SignedDuration::from_hours(1);
    let id = give(
        &s,
        "hands",
        &[
            ("write", "disk", "write_file", json!({ "path": file, "content": "Dear Bob" })),
            ("read", "disk", "read_file", json!({ "path": file })),
            (
                "mail",
                "mail",
                "send_mail",
                json!({ "to": ["bob@example.org"], "subject": "Re: Ä", "text": "{{ steps.read.text }}", "in_reply_to": "<1@example.org>" }),
            ),
            (
                "post",
                "web",
                "http_post",
                json!({ "url": format!("{}/log", web.url), "body": "{{ steps.read.text }}", "content_type": "text/plain" }),
            ),
            ("note", "notes", "append_note", json!({ "name": "Letters", "text": "Bob was answered" })),
            ("task", "house", "create_task", json!({ "title": "Call Bob", "assigned_to": "ada" })),
            ("remind", "house", "create_reminder", json!({ "to": "ada", "at": later, "title": "Bob waits" })),
        ],
    )
    .await;
    let asked = s.pending().await;
    assert_eq!((&asked.details.as_ref().unwrap()["tool"], file.exists()), (&json!("write_file"), false));
    let task = say_yes(&s, id).await;
    assert_eq!(task.status, "completed", "{}", task.metadata);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "Dear Bob");
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("Dear Bob") && mails[0].contains("In-Reply-To: <1@example.org>"), "{}", mails[0]);
    let asked = web.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /log ") && asked[0].contains("Bearer hush-hush-hush"), "{}", asked[0]);
    assert_eq!(std::fs::read_to_string(s.home().join("Letters.md")).unwrap(), "Bob was answered");
    let made = s.tasks().await.into_iter().find(|t| t.title == "Call Bob").unwrap();
    assert_eq!(made.assigned_to, s.ada.user_id());
    assert!(tasks::provenance(&s.ada, &s.store, made.id).await.unwrap().unwrap().outside, "a program wrote it");
    let run = runs::list(&s.ada, &s.store, id).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    assert!(steps.len() == 7 && steps.iter().all(|step| step.state == "succeeded"), "{steps:#?}");
    let reminder = steps[6].result.as_deref().map(|text| serde_json::from_str::<Value>(text).unwrap()).unwrap();
    let reminder: uuid::Uuid = serde_json::from_value(reminder["structuredContent"]["reminder_id"].clone()).unwrap();
    let kept = notifications::get(&s.ada, &s.store, reminder).await.unwrap().unwrap();
    assert_eq!((kept.scheduled_for, kept.sent_at), (Some(later), None));
    let told = notifications::list(&s.ada, &s.store, None, 50).await.unwrap();
    assert!(told.iter().all(|n| n.id != reminder), "it is not there before its time");
    assert_eq!(audit_trail::verify(&s.ada, &s.store).await.unwrap().broken, None);
    s.stop().await;
}

async fn what_reaches_too_far_is_refused(postgres: bool) {
    let s = Steward::start(postgres).await;
    add(&s, "disk", "files", &json!({ "folders": [s.home()] }), &[]).await;
    add(&s, "web", "web", &json!({ "hosts": ["example.org", "127.0.0.1"] }), &[]).await;
    add(&s, "house", "tasks", &json!({}), &[]).await;
    let secret = s.dir.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    std::os::unix::fs::symlink(s.dir.path(), s.home().join("way")).unwrap();
    for (name, server, tool, arguments, word) in [
        (
            "out",
            "disk",
            "write_file",
            json!({ "path": secret, "content": "x", "overwrite": true }),
            "not within the folders",
        ),
        ("link", "disk", "read_file", json!({ "path": s.home().join("way/secret") }), "links are not followed"),
        ("dots", "disk", "read_file", json!({ "path": format!("{}/../secret", s.home().display()) }), "whole path"),
        ("host", "web", "http_get", json!({ "url": "https://example.com/" }), "not among the hosts"),
        ("here", "web", "http_get", json!({ "url": "http://127.0.0.1:1/" }), "not a public address"),
        ("circle", "house", "create_task", json!({ "title": "x", "assigned_to": "employee" }), "no active person"),
    ] {
        let id = give(&s, name, &[("try", server, tool, arguments)]).await;
        if name == "out" {
            // What is known to reach too far needs no call to be found out.
            let asked = s.pending().await;
            let yes = Decision { approve: true, note: None, arguments: None };
            let refused = decide(&s.store, &s.ada, asked.id, yes).await.unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
            let no = Decision { approve: false, note: Some(word.to_owned()), arguments: None };
            decide(&s.store, &s.ada, asked.id, no).await.unwrap();
        }
        let task = say_yes(&s, id).await;
        let reason = task.metadata["failure_reason"].as_str().unwrap_or_default();
        assert!(task.status == "failed" && reason.contains(word), "{name}: {}", task.metadata);
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "s");
    s.stop().await;
}

async fn a_post_whose_answer_is_lost_is_asked_about(postgres: bool) {
    let s = Steward::start(postgres).await;
    add(&s, "web", "web", &json!({ "hosts": ["127.0.0.1"], "allow_private": ["127.0.0.1"] }), &[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pay", listener.local_addr().unwrap());
    // It takes the request and hangs up.
    let taken = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        let size = stream.read(&mut seen).await.unwrap();
        drop(stream);
        (String::from_utf8_lossy(&seen[..size]).into_owned(), listener)
    });
    let sent = json!({ "url": url, "body": "10", "content_type": "text/plain" });
    let id = give(&s, "pay", &[("pay", "web", "http_post", sent)]).await;
    let first = s.pending().await;
    let yes = Decision { approve: true, note: None, arguments: None };
    decide(&s.store, &s.ada, first.id, yes).await.unwrap();
    let question = s.pending_but(first.id).await;
    assert_eq!(question.action_type, "outcome_unknown");
    let (request, listener) = taken.await.unwrap();
    assert!(request.starts_with("POST /pay "), "{request}");
    let done = Decision { approve: true, note: None, arguments: Some(json!({ "resolution": "done" })) };
    decide(&s.store, &s.ada, question.id, done).await.unwrap();
    assert_eq!(say_yes(&s, id).await.status, "completed");
    let again = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(again.is_err(), "nothing was sent twice");
    s.stop().await;
}

async fn mail_that_was_not_taken_is_sent_later_and_once(postgres: bool) {
    let s = Steward::start(postgres).await;
    let smtp = mail_server(&s).await;
    smtp.set_busy(true);
    let letter = |to: &str| json!({ "to": [to], "subject": "s", "text": "t" });
    let id = give(&s, "letter", &[("send", "mail", "send_mail", letter("bob@example.org"))]).await;
    let yes = Decision { approve: true, note: None, arguments: None };
    decide(&s.store, &s.ada, s.pending().await.id, yes).await.unwrap();
    s.until("the server says that it is busy", async |s| {
        let lines =
            store::system_logs::list(&Actor::service(), &s.store, Some("warning"), None, None, 20).await.unwrap();
        lines.into_iter().find(|line| line.message.as_deref().is_some_and(|text| text.contains("busy, come again")))
    })
    .await;
    assert_eq!(smtp.mails().len(), 0);
    smtp.set_busy(false);
    assert_eq!(say_yes(&s, id).await.status, "completed");
    assert_eq!(smtp.mails().len(), 1);
    // A plain no is a no.
    let id = give(&s, "nobody", &[("send", "mail", "send_mail", letter("nobody@example.org"))]).await;
    let task = say_yes(&s, id).await;
    assert!(task.status == "failed" && task.metadata.to_string().contains("no such user"), "{}", task.metadata);
    assert_eq!(smtp.mails().len(), 1);
    s.stop().await;
}

/// The playbook that comes with Steward, with the built-in server in the place of the one from elsewhere.
async fn a_file_is_filed_away_without_another_program(postgres: bool) {
    let s = Steward::start(postgres).await;
    server_rules::remove(&s.store, &s.ada, "files").await.unwrap();
    add(&s, "files", "files", &json!({ "folders": [s.home()] }), &[]).await;
    let from = s.drop_file("Rechnung März 2026.pdf", b"%PDF-1.4 an invoice");
    let asked = s.pending().await;
    let details = asked.details.clone().unwrap();
    assert_eq!((&details["tool"], &details["outside"]), (&json!("move_file"), &json!(true)));
    let task = say_yes(&s, s.tasks().await.pop().unwrap().id).await;
    assert_eq!(task.status, "completed", "{}", task.metadata);
    let to = details["arguments"]["destination"].as_str().unwrap();
    assert!(to.contains("/Invoices/") && std::path::Path::new(to).exists() && !from.exists(), "{to}");
    let tools = mcp_servers::tools(&s.ada, &s.store, server_rules::named(&s.store, &s.ada, "files").await.unwrap().id)
        .await
        .unwrap();
    assert_eq!(tools.len(), 7);
    s.stop().await;
}
