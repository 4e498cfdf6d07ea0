//! Work that a model led becomes a playbook: tried on the past, kept switched off, and then done without the model.

use super::{
    allow_moves_at_home,
    common::Steward,
    give,
    model_server::{ModelServer, Play, call},
    with_model, yes,
};
use domain::{
    decide::decide,
    intake::{self, Event},
    playbook, playbooks, promote,
    rerun::{self, Span},
};
use serde_json::json;
use store::{approvals::Approval, runs, tasks, tasks::NewTask, users, watchers};
use uuid::Uuid;
use workers::{brains::Brains, employee::rethink::rethink};

crate::on_both!(
    a_promoted_playbook_does_the_like_without_the_model,
    what_tools_answer_stays_from_outside,
    another_model_goes_through_what_was_done,
);

/// What a watcher noticed: a letter, which lies there already.
async fn notice(s: &Steward, watcher: Uuid, kind: &str, name: &str) -> Uuid {
    let path = s.drop_elsewhere(name, name.as_bytes());
    let watcher = watchers::get(&s.ada, &s.store, watcher).await.unwrap().unwrap();
    let event = Event {
        key: name.to_owned(),
        source: "https://example.org/letters".to_owned(),
        fingerprint: name.to_owned(),
        task: NewTask {
            metadata: json!({
                "playbook": null,
                "event": { "kind": "webhook", "type": kind, "body": { "path": path, "name": name } },
                "watcher": { "name": "letters" },
            }),
            ..NewTask::titled(format!("Letter {name}"))
        },
        files: Vec::new(),
        parts: Vec::new(),
        detail: json!({}),
        cursor: json!({}),
    };
    intake::intake(&s.store, &s.vault(), &watcher, event).await.unwrap()
}

/// Waits for the question about a move, and says yes.
async fn allow_the_move(s: &Steward) -> Approval {
    let approval = s.pending().await;
    let details = approval.details.clone().unwrap();
    assert_eq!((details["tool"].as_str(), details["outside"].as_bool()), (Some("move_file"), Some(true)), "{details}");
    decide(&s.store, &s.ada, approval.id, yes(None)).await.unwrap();
    approval
}

async fn completed(s: &Steward, task: Uuid) -> tasks::Task {
    s.until("the task is completed", async |s| {
        tasks::get(&s.ada, &s.store, task).await.unwrap().filter(|t| t.status == "completed")
    })
    .await
}

async fn a_promoted_playbook_does_the_like_without_the_model(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "").await;
    let watcher = watchers::create(&s.ada, &s.store, "letters", "webhook", json!({})).await.unwrap();
    let kept_at = |name: &str| s.home().join(format!("kept-{name}"));
    server.play([
        call("get_file_info", json!({"path": s.home().join("one.txt")})),
        call("get_file_info", json!({"path": s.home().join("nowhere.txt")})),
        call("move_file", json!({"source": s.home().join("one.txt"), "destination": kept_at("one.txt")})),
        Play::Say("It is kept."),
    ]);
    let first = notice(&s, watcher, "letter", "one.txt").await;
    allow_the_move(&s).await;
    completed(&s, first).await;
    assert!(kept_at("one.txt").exists());

    // The draft: what came from the event is put in anew, what came to nothing is left out.
    let draft = promote::promote(&s.store, &s.ada, first, Some("keep-letters")).await.unwrap();
    let parameters: Vec<_> = draft.parameters.iter().map(|p| (p.step.as_str(), p.argument.as_str())).collect();
    assert_eq!(
        parameters,
        [("get_file_info", "path"), ("move_file", "destination"), ("move_file", "source")],
        "{}",
        draft.source
    );
    assert_eq!(draft.parameters[0].template, "{{ event.body.path }}");
    assert!(draft.parameters[1].template.ends_with("/kept-{{ event.body.name }}"), "{:?}", draft.parameters[1]);
    assert!(draft.remarks.iter().any(|r| r.starts_with("left out: get_file_info")), "{:?}", draft.remarks);
    let read = playbook::parse(&draft.source).unwrap();
    let asked = server.asked().len();
    let effects = s.effects();

    // On the past: the same calls, and nothing is called.
    let span = Span { watcher: Some("letters".to_owned()), first: None, last: 10 };
    let events = rerun::replay(&s.store, &s.ada, &read, &span).await.unwrap();
    assert_eq!(events.len(), 1, "{events:#?}");
    assert!(!events[0].differs() && events[0].ends == "completes", "{events:#?}");
    assert_eq!(events[0].calls.iter().map(|c| c.then.as_deref()).collect::<Vec<_>>(), [Some("succeeded"); 2]);
    let now: Vec<_> = events[0].calls.iter().map(|c| serde_json::to_value(c.now).unwrap()).collect();
    assert_eq!(now, ["allow", "ask"], "the rules decide, as ever");
    // Changed, it would do something else, and what that would answer is not known.
    let other = playbook::parse(&draft.source.replace("/kept-", "/lost-")).unwrap();
    let events = rerun::replay(&s.store, &s.ada, &other, &span).await.unwrap();
    assert!(events[0].differs() && events[0].ends == "stops" && events[0].missing.is_empty(), "{events:#?}");
    assert_eq!(events[0].calls.last().unwrap().then, None);
    let strict = playbook::parse(&draft.source.replace(r#"\"letter\""#, r#"\"bill\""#)).unwrap();
    let events = rerun::replay(&s.store, &s.ada, &strict, &span).await.unwrap();
    assert!(events[0].unfit.is_some() && events[0].calls.is_empty(), "{events:#?}");
    assert_eq!((server.asked().len(), s.effects()), (asked, effects), "nothing was asked or called");

    // Kept, it is off, and only an admin has it on.
    let kept = playbooks::save(&s.store, &s.ada, draft.source.clone(), Some(first), &[]).await.unwrap();
    assert!(!kept.is_on && kept.task_id == Some(first));
    assert!(playbooks::save(&s.store, &s.ada, draft.source.clone(), None, &[]).await.is_err(), "the name is taken");
    server.play([Play::Say("A second one; I leave it.")]);
    let second = notice(&s, watcher, "letter", "two.txt").await;
    assert_eq!(completed(&s, second).await.metadata["summary"], "A second one; I leave it.", "a draft leads nothing");
    assert!(playbooks::switch(&s.store, &s.ada, "keep-letters", true).await.unwrap().is_on);
    let asked = server.asked().len();
    let third = notice(&s, watcher, "letter", "three.txt").await;
    allow_the_move(&s).await;
    completed(&s, third).await;
    assert!(kept_at("three.txt").exists());
    assert_eq!(server.asked().len(), asked, "no model was asked");
    let run = runs::list(&s.ada, &s.store, third).await.unwrap().pop().unwrap();
    assert_eq!((run.playbook.as_str(), run.playbook_source == draft.source), ("keep-letters", true));

    // What it is not for still goes to the model; what the model left alone would be done otherwise.
    server.play([Play::Say("An advertisement.")]);
    let fourth = notice(&s, watcher, "advertisement", "four.txt").await;
    assert_eq!(completed(&s, fourth).await.metadata["summary"], "An advertisement.");
    let events = rerun::replay(&s.store, &s.ada, &read, &span).await.unwrap();
    let differ: Vec<_> = events.iter().map(|e| (e.task_id, e.unfit.is_some(), e.differs())).collect();
    assert_eq!(differ, [(fourth, true, false), (third, false, false), (second, false, true), (first, false, false)]);

    // A task that no model led can't be promoted.
    assert!(promote::promote(&s.store, &s.ada, third, None).await.is_err());
    s.stop().await;
}

/// A rule that allows a call on content of the house alone does not reach what came of a tool's answer.
async fn what_tools_answer_stays_from_outside(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "").await;
    allow_moves_at_home(&s).await;
    let employee = users::agent(&store::Actor::service(), &s.store, domain::accounts::EMPLOYEE).await.unwrap();
    for (name, results) in [("careful", "results: outside\n"), ("plain", "")] {
        let (from, to) = (s.drop_elsewhere(name, b"x"), s.home().join(format!("{name}-moved")));
        let source = format!(
            "name: {name}\n{results}steps:\n  - {{ name: info, server: files, tool: get_file_info, arguments: {{ path: \"{}\" }} }}\n  - {{ name: move, server: files, tool: move_file, arguments: {{ source: \"{}\", destination: \"{}\" }} }}\n",
            from.display(),
            from.display(),
            to.display()
        );
        playbooks::save(&s.store, &s.ada, source, None, &[]).await.unwrap();
        playbooks::switch(&s.store, &s.ada, name, true).await.unwrap();
        let new = NewTask { assigned_to: employee, metadata: json!({ "playbook": name }), ..NewTask::titled(name) };
        let task = tasks::create(&s.ada, &s.store, &new).await.unwrap();
        if !results.is_empty() {
            allow_the_move(&s).await;
        }
        completed(&s, task).await;
        assert!(to.exists(), "{name}");
    }
    assert!(server.asked().is_empty(), "one that asks nothing of a task takes none by itself, and each was named");
    s.stop().await;
}

async fn another_model_goes_through_what_was_done(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "").await;
    let (from, to) = (s.drop_elsewhere("one.txt", b"x"), s.home().join("kept.txt"));
    let look = || call("get_file_info", json!({"path": from}));
    let move_to = |to: std::path::PathBuf| call("move_file", json!({"source": from, "destination": to}));
    server.play([look(), move_to(to.clone()), Play::Say("It is kept.")]);
    let task = give(&s, "Keep one.txt").await;
    allow_the_move(&s).await;
    completed(&s, task).await;
    let brains = Brains::open(toml::from_str(&server.settings("anthropic", "")).unwrap()).unwrap();
    let effects = s.effects();
    let again = async || rethink(&s.store, &s.ada, &brains, task, "main").await.unwrap();

    server.play([look(), move_to(to.clone()), Play::Say("Kept it.")]);
    let same = again().await;
    assert!(!same.differs() && same.ends == "completes" && same.words == "Kept it.", "{same:#?}");
    assert_eq!(same.calls.iter().map(|c| c.then.as_deref()).collect::<Vec<_>>(), [Some("succeeded"); 2]);
    assert_eq!(same.used.turns, 3);
    assert!(
        server.asked().last().unwrap().1.to_string().contains("Successfully moved"),
        "it reads what was answered then"
    );

    server.play([look(), move_to(s.home().join("other.txt"))]);
    let other = again().await;
    assert!(other.differs() && other.ends == "stops" && other.missing.is_empty(), "{other:#?}");
    assert_eq!(other.calls.last().unwrap().then, None);

    server.play([look(), Play::Say("I leave it.")]);
    let less = again().await;
    assert!(less.differs() && less.ends == "completes", "{less:#?}");
    assert_eq!(less.missing.iter().map(|c| c.tool.as_str()).collect::<Vec<_>>(), ["move_file"]);
    assert_eq!(s.effects(), effects, "nothing was called");
    assert_eq!(runs::list(&s.ada, &s.store, task).await.unwrap().len(), 1, "nothing was written");
    s.stop().await;
}
