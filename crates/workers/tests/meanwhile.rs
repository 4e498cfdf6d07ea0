//! What happens while a call lasts, in whole work with a real server process: a person answers the server's question, its
//! progress stands in the task's log, the files it gives away hang on the task, and a cancelled task calls it off.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

use std::{collections::BTreeMap, path::Path};

use common::{Steward, scripted_server};
use domain::{
    accounts,
    decide::{Decision, decide},
    rules, server_questions,
    servers::{NewServer, approve_tools},
};
use serde_json::{Value, json};
use store::{Actor, file_attachments, policies::NewPolicy, runs, system_logs, tasks, tasks::NewTask, users};
use uuid::Uuid;

on_both!(a_person_answers_what_the_server_asks, files_that_a_server_gives_hang_on_the_task);

/// A Steward with a server "rooms" of these flags, whose tools may be used; `tool` is called by the playbook.
async fn house(postgres: bool, tool: &str, flags: &[&str]) -> Steward {
    let s = Steward::start(postgres).await;
    let effects = s.dir.path().join("effects").display().to_string();
    s.add_own_server(NewServer {
        name: "rooms".into(),
        command: scripted_server().display().to_string(),
        args: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        environment: BTreeMap::from([("EFFECTS_LOG".to_owned(), effects)]),
    })
    .await;
    approve_tools(&s.store, &s.ada, "rooms", &[], true, false).await.unwrap();
    let rule = NewPolicy {
        position: 0,
        name: "all".to_owned(),
        server: "rooms".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: true,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 60,
    };
    rules::add(&s.store, &s.ada, rule, None).await.unwrap();
    let arguments = if tool == "append" { "\n    arguments: { line: tidy }" } else { "" };
    let playbook = format!(
        "name: tidy\nsteps:\n  - name: sweep\n    server: rooms\n    tool: {tool}{arguments}\nfinish: Swept.\n"
    );
    s.add_playbook("tidy.yaml", &playbook);
    s
}

async fn give(s: &Steward) -> Uuid {
    let employee = users::agent(&Actor::service(), &s.store, accounts::EMPLOYEE).await.unwrap();
    let new = NewTask { assigned_to: employee, metadata: json!({"playbook": "tidy"}), ..NewTask::titled("Tidy up") };
    tasks::create(&s.ada, &s.store, &new).await.unwrap()
}

async fn completed(s: &Steward, id: Uuid) {
    s.until("the end", async |s| {
        let task = tasks::get(&s.ada, &s.store, id).await.unwrap().unwrap();
        (task.status == "completed").then_some(())
    })
    .await;
}

async fn a_person_answers_what_the_server_asks(postgres: bool) {
    let s = house(postgres, "append", &["--elicit", "append", "--progress", "append"]).await;
    let task = give(&s).await;
    let asked = s.pending().await;
    assert_eq!((asked.action_type.as_str(), asked.task_id), (server_questions::ACTION_TYPE, Some(task)));
    let details = asked.details.clone().unwrap();
    assert_eq!((details["outside"].clone(), details["arguments"].clone()), (json!(true), json!({"room": "blue"})));
    assert_eq!(details["summary"], "rooms asks: Which room?");
    let yes = |arguments: Value| Decision { approve: true, note: None, arguments: Some(arguments) };
    let said = decide(&s.store, &s.ada, asked.id, yes(json!({"room": "red", "beds": 0}))).await.unwrap_err();
    assert!(said.to_string().contains("does not fit the form: /beds"), "{said}");
    let employee = users::agent(&Actor::service(), &s.store, accounts::EMPLOYEE).await.unwrap().unwrap();
    assert!(decide(&s.store, &Actor::user(employee), asked.id, yes(json!({"room": "red"}))).await.is_err());
    assert!(s.effects().is_empty());
    decide(&s.store, &s.ada, asked.id, yes(json!({"room": "red", "beds": 2}))).await.unwrap();
    completed(&s, task).await;
    assert_eq!(s.effects().len(), 1);
    let run = runs::list(&s.ada, &s.store, task).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    let result = steps[0].result.clone().unwrap();
    assert!(result.contains("red") && result.contains("accept"), "{result}");
    s.until("its progress is noted", async |s| {
        let lines = system_logs::list(&s.ada, &s.store, None, Some("server:rooms"), Some(task), 20).await.unwrap();
        lines.iter().any(|line| line.message.as_deref().is_some_and(|m| m.contains("1 of 3: sweeping"))).then_some(())
    })
    .await;
    // Refused, the server hears so, and does nothing.
    let second = give(&s).await;
    let asked = s.pending().await;
    decide(&s.store, &s.ada, asked.id, Decision { approve: false, note: None, arguments: None }).await.unwrap();
    completed(&s, second).await;
    assert_eq!(s.effects().len(), 1);
    s.stop().await;
}

async fn files_that_a_server_gives_hang_on_the_task(postgres: bool) {
    let s = house(postgres, "attach", &["--attach"]).await;
    let task = give(&s).await;
    completed(&s, task).await;
    let mut names: Vec<String> = file_attachments::list(&s.ada, &s.store, task)
        .await
        .unwrap()
        .into_iter()
        .map(|file| file.original_filename)
        .collect();
    names.sort();
    assert_eq!(names, ["plan.txt", "report.txt"]);
    s.until("what could not be had is noted", async |s| {
        let lines = system_logs::list(&s.ada, &s.store, None, Some("server:rooms"), Some(task), 20).await.unwrap();
        lines.iter().any(|line| line.message.as_deref().is_some_and(|m| m.contains("missing.txt"))).then_some(())
    })
    .await;
    s.stop().await;
}

/// Waits until the server heard something.
async fn hears(s: &Steward, file: &Path, words: &str) {
    s.until(words, async |_| std::fs::read_to_string(file).unwrap_or_default().contains(words).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_calls_its_call_off() {
    let capture = tempfile::tempdir().unwrap();
    let file = capture.path().join("lines");
    let s = house(false, "append", &["--hang-on", "append", "--capture", file.to_str().unwrap()]).await;
    let task = give(&s).await;
    hears(&s, &file, "tools/call").await;
    domain::tasks::set_status(&s.store, &s.ada, task, "cancelled", None).await.unwrap();
    hears(&s, &file, "notifications/cancelled").await;
    s.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_for_a_cancelled_task() {
    let capture = tempfile::tempdir().unwrap();
    let file = capture.path().join("lines");
    let s = house(false, "append", &["--elicit", "append", "--capture", file.to_str().unwrap()]).await;
    let task = give(&s).await;
    let asked = s.pending().await;
    domain::tasks::set_status(&s.store, &s.ada, task, "cancelled", None).await.unwrap();
    hears(&s, &file, r#""action":"cancel""#).await;
    assert!(s.effects().is_empty());
    let yes = Decision { approve: true, note: None, arguments: None };
    assert!(decide(&s.store, &s.ada, asked.id, yes).await.is_err(), "nobody waits for the answer any more");
    s.stop().await;
}
