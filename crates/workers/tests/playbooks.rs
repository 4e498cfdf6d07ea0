//! Playbooks that loop, wait, make tasks, try again and take back, in whole work on both databases with a real server process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

use common::Steward;
use domain::{
    accounts,
    intake::{Event, intake},
    rules,
    servers::approve_tools,
};
use serde_json::{Value, json};
use store::{
    Actor,
    policies::{Asking, NewPolicy},
    runs, tasks,
    tasks::{NewTask, Task},
    users,
};

on_both!(
    a_loop_is_gone_through_and_taken_back,
    a_call_is_tried_again_only_where_it_may_be,
    tasks_are_made_once_and_waited_for,
    an_event_is_waited_for,
);

async fn house(postgres: bool, playbooks: &[(&str, &str)]) -> Steward {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let folder = s.dir.path().join("playbooks");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in playbooks {
        std::fs::write(folder.join(format!("{name}.yaml")), format!("name: {name}\n{text}")).unwrap();
    }
    let rule = NewPolicy {
        position: 0,
        name: "all".to_owned(),
        server: "files".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: true,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 60,
    };
    rules::add(&s.store, &s.ada, rule, None).await.unwrap();
    s
}

async fn give(s: &Steward, playbook: &str) -> uuid::Uuid {
    let employee = users::agent(&Actor::service(), &s.store, accounts::EMPLOYEE).await.unwrap();
    let metadata = json!({ "playbook": playbook });
    let new = NewTask { assigned_to: employee, metadata, ..NewTask::titled("do it") };
    tasks::create(&s.ada, &s.store, &new).await.unwrap()
}

async fn ended(s: &Steward, id: uuid::Uuid) -> Task {
    s.until("the end", async |s| {
        let task = tasks::get(&s.ada, &s.store, id).await.unwrap().unwrap();
        matches!(task.status.as_str(), "completed" | "failed").then_some(task)
    })
    .await
}

async fn names(s: &Steward, task: uuid::Uuid) -> Vec<String> {
    let run = runs::list(&s.ada, &s.store, task).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    steps.iter().map(|s| format!("{} {}", s.name, s.state)).collect()
}

fn lines(s: &Steward) -> Vec<String> {
    let line = |effect: &String| {
        let arguments: Value = serde_json::from_str(effect.strip_prefix("append ").unwrap()).unwrap();
        arguments["line"].as_str().unwrap().to_owned()
    };
    s.effects().iter().map(line).collect()
}

async fn a_loop_is_gone_through_and_taken_back(postgres: bool) {
    let text = r#"
vars: { names: [a, b] }
steps:
  - name: all
    for_each: vars.names
    as: who
    at_most: 5
    steps:
      - name: put
        server: files
        tool: append
        arguments: { line: "put {{ who }} {{ index }}" }
        undo: { server: files, tool: append, arguments: { line: "take {{ who }}" } }
  - { name: end, server: files, tool: fail }
"#;
    let s = house(postgres, &[("looping", text)]).await;
    let task = give(&s, "looping").await;
    let task = ended(&s, task).await;
    let why = task.metadata["failure_reason"].as_str().unwrap().to_owned();
    assert!(
        why.contains("it failed, as it always does") && why.contains("2 of the steps before it were taken back"),
        "{why}"
    );
    assert_eq!(lines(&s), ["put a 1", "put b 2", "take b", "take a"]);
    assert_eq!(
        names(&s, task.id).await,
        ["put[1] succeeded", "put[2] succeeded", "end failed", "undo put[2] succeeded", "undo put[1] succeeded"]
    );
    s.stop().await;
}

async fn a_call_is_tried_again_only_where_it_may_be(postgres: bool) {
    let text = "steps:\n  - { name: get, server: files, tool: fail, retry: { times: 1, after_s: 1 } }\n";
    let s = house(postgres, &[("trying", text)]).await;
    let first = give(&s, "trying").await;
    ended(&s, first).await;
    assert_eq!(names(&s, first).await, ["get failed", "get~2 skipped"], "nobody said that it may be repeated");
    approve_tools(&s.store, &s.ada, "files", &["fail".to_owned()], false, true).await.unwrap();
    let second = give(&s, "trying").await;
    ended(&s, second).await;
    assert_eq!(names(&s, second).await, ["get failed", "get~2 failed"]);
    let rule = NewPolicy {
        position: 0,
        name: "never again".to_owned(),
        server: "*".to_owned(),
        tool: "fail".to_owned(),
        condition: None,
        outside: true,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 60,
    };
    let asking = Asking { never_repeat: true, ..Asking::default() };
    rules::add_with_risk(&s.store, &s.ada, rule, None, ("normal".to_owned(), asking)).await.unwrap();
    let third = give(&s, "trying").await;
    ended(&s, third).await;
    assert_eq!(names(&s, third).await, ["get failed", "get~2 skipped"], "a rule stands against it");
    s.stop().await;
}

async fn tasks_are_made_once_and_waited_for(postgres: bool) {
    let parent = r#"
steps:
  - { name: first, task: { title: "First of {{ task.title }}", playbook: child } }
  - { name: second, task: { title: Second, playbook: child, kind: triage, after: ["{{ steps.first.data.task_id }}"] } }
  - name: both
    wait: { tasks: ["{{ steps.first.data.task_id }}", "{{ steps.second.data.task_id }}"], at_most_minutes: 5 }
  - { name: pause, wait: { until: "{{ now }}" } }
  - { name: end, server: files, tool: append, arguments: { line: "parent" } }
"#;
    let child = "steps:\n  - { name: put, server: files, tool: append, arguments: { line: \"{{ task.title }}\" } }\nfinish: done with {{ task.title }}\n";
    let child = child.replace("finish: done with {{ task.title }}", "finish: \"done with {{ task.title }}\"");
    let s = house(postgres, &[("parent", parent), ("child", &child)]).await;
    let task = give(&s, "parent").await;
    assert_eq!(ended(&s, task).await.status, "completed");
    assert_eq!(lines(&s), ["First of do it", "Second", "parent"]);
    let made = s.tasks().await;
    assert_eq!(made.len(), 3);
    let second = made.iter().find(|t| t.title == "Second").unwrap();
    assert_eq!(
        (second.dependencies.len(), second.metadata["parent_task_id"].as_str().unwrap()),
        (1, task.to_string().as_str())
    );
    assert_eq!(second.metadata["kind"], "triage");
    assert!(made.iter().filter(|t| t.id != second.id).all(|t| t.metadata.get("kind").is_none()), "each its own");
    assert!(!tasks::provenance(&s.ada, &s.store, second.id).await.unwrap().unwrap().outside);
    let run = runs::list(&s.ada, &s.store, task).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    assert!(steps[2].result.as_ref().unwrap().contains("done with Second"), "{:?}", steps[2].result);
    // Ada is told of all three, though two belong to the employee.
    let told = store::notifications::list(&s.ada, &s.store, None, 20).await.unwrap();
    assert_eq!(told.iter().filter(|n| n.title.starts_with("Done: ")).count(), 3, "{told:#?}");
    s.stop().await;
}

async fn an_event_is_waited_for(postgres: bool) {
    let text = r#"
steps:
  - { name: reply, wait: { watcher: inbox, contains: "order 7", at_most_minutes: 5 } }
  - { name: put, server: files, tool: append, arguments: { line: "{{ steps.reply.data.title }}" } }
"#;
    let s = house(postgres, &[("waiting", text)]).await;
    let task = give(&s, "waiting").await;
    s.until("it waits", async |s| (!names_of(s, task).await.is_empty()).then_some(())).await;
    let watcher = store::watchers::get(&s.ada, &s.store, s.watcher).await.unwrap().unwrap();
    for (key, title) in [("1", "about order 6"), ("2", "about order 7")] {
        let event = Event {
            key: key.to_owned(),
            source: key.to_owned(),
            fingerprint: key.to_owned(),
            task: NewTask { metadata: json!({"playbook": "none"}), ..NewTask::titled(title) },
            files: Vec::new(),
            parts: Vec::new(),
            detail: json!({}),
            cursor: json!({}),
        };
        intake(&s.store, &s.vault(), &watcher, event).await.unwrap();
    }
    assert_eq!(ended(&s, task).await.status, "completed");
    assert_eq!(lines(&s), ["about order 7"]);
    s.stop().await;
}

async fn names_of(s: &Steward, task: uuid::Uuid) -> Vec<String> {
    match runs::list(&s.ada, &s.store, task).await.unwrap().pop() {
        Some(_) => names(s, task).await,
        None => Vec::new(),
    }
}
