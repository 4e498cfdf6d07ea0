//! Work that a model leads, from the task to the effect, on both databases, with a real server process and a scripted model
//! behind its provider's real wire.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "thinking/interrupted.rs"]
mod interrupted;
#[path = "common/model_server.rs"]
mod model_server;
#[path = "thinking/promoting.rs"]
mod promoting;
#[path = "thinking/remembering.rs"]
mod remembering;
#[path = "thinking/summing.rs"]
mod summing;

use common::Steward;
use domain::{
    decide::{Decision, decide},
    reconsider::ask_for_changes,
};
use model_server::{ModelServer, Play, call};
use serde_json::json;
use store::{
    approvals, handbook, model_turns,
    policies::{self, NewPolicy},
    runs, tasks,
    tasks::NewTask,
    users,
};
use workers::brains::Brains;

on_both!(
    a_model_does_the_work_and_a_person_decides,
    a_model_hears_what_should_be_different,
    a_model_asks_a_person_and_gives_up,
    a_limit_stops_the_work_and_a_person_grants_more,
    a_limit_of_the_day_is_met_between_the_calls_of_one_answer,
    another_model_is_asked_when_one_refuses,
    wrong_calls_are_told_to_the_model,
);

/// Moving is allowed on what is the house's own, and on nothing from outside.
async fn allow_moves_at_home(s: &Steward) {
    let rule = NewPolicy {
        position: 1,
        name: "moves at home".to_owned(),
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        condition: None,
        outside: false,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 60,
    };
    policies::create(&s.ada, &s.store, &rule).await.unwrap();
}

fn brains(server: &ModelServer, more: &str, limits: &str) -> Brains {
    let text = format!("{}{limits}", server.settings("anthropic", more));
    Brains::open(toml::from_str(&text).unwrap()).unwrap()
}

async fn with_model(postgres: bool, server: &ModelServer, more: &str, limits: &str) -> Steward {
    let steward = Steward::led_by(postgres, Some(brains(server, more, limits))).await;
    steward.approve_tools().await;
    steward
}

async fn give(s: &Steward, title: &str) -> uuid::Uuid {
    let employee = users::agent(&store::Actor::service(), &s.store, domain::accounts::EMPLOYEE).await.unwrap();
    let new = NewTask { assigned_to: employee, ..NewTask::titled(title) };
    tasks::create(&s.ada, &s.store, &new).await.unwrap()
}

fn yes(note: Option<&str>) -> Decision {
    Decision { approve: true, note: note.map(str::to_owned), arguments: None }
}

async fn a_model_does_the_work_and_a_person_decides(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "").await;
    handbook::save(&s.ada, &s.store, 1, "Invoices belong into the folder Taxes.").await.unwrap();
    let (from, to) = (s.drop_elsewhere("bill.txt", b"100 euros"), s.home().join("moved.txt"));
    server.play([
        call("get_file_info", json!({"path": from})),
        call("move_file", json!({"source": from, "destination": to})),
        Play::Say("The bill is where it belongs."),
    ]);
    give(&s, "Put bill.txt away").await;
    let approval = s.pending().await;
    let details = approval.details.clone().unwrap();
    assert_eq!((details["tool"].as_str(), details["outside"].as_bool()), (Some("move_file"), Some(true)), "{details}");
    assert!(from.exists(), "nothing moves before the decision");
    decide(&s.store, &s.ada, approval.id, yes(None)).await.unwrap();
    let task = s.task_that_is("completed").await;
    assert_eq!(task.metadata["summary"], "The bill is where it belongs.");
    assert!(to.exists() && !from.exists());
    assert_eq!(s.effects().iter().filter(|e| e.starts_with("move_file")).count(), 1);
    let run = runs::list(&s.ada, &s.store, task.id).await.unwrap().pop().unwrap();
    assert_eq!(run.playbook, "model:main");
    let turns = model_turns::list(&s.ada, &s.store, run.id).await.unwrap();
    assert_eq!(turns.iter().map(|t| t.state.as_str()).collect::<Vec<_>>(), ["answered"; 3]);
    let used = model_turns::used(&s.ada, &s.store, task.id).await.unwrap();
    assert_eq!((used.turns, used.tokens, used.cost_microusd), (3, 360, 1800));
    assert_eq!(model_turns::spent(&s.ada, &s.store, true).await.unwrap(), used);
    let first = &server.asked()[0].1.to_string();
    assert!(first.contains("Invoices belong into the folder Taxes.") && first.contains("Put bill.txt away"), "{first}");
    assert!(server.asked()[1].1.to_string().contains("<data source=\\\"files.get_file_info\\\" mark="));
    s.stop().await;
}

async fn a_model_hears_what_should_be_different(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "").await;
    let (from, wrong, right) = (s.drop_elsewhere("bill.txt", b"1"), s.home().join("a.txt"), s.home().join("b.txt"));
    server.play([
        call("move_file", json!({"source": from, "destination": wrong})),
        call("move_file", json!({"source": from, "destination": right})),
        Play::Say("Moved."),
    ]);
    give(&s, "Put bill.txt away").await;
    let first = s.pending().await;
    let sent_back = ask_for_changes(&s.store, &s.ada, first.id, "Call it b.txt.").await.unwrap();
    assert_eq!((sent_back.status.as_str(), sent_back.rejected_by), ("rejected", s.ada.user_id()));
    assert!(ask_for_changes(&s.store, &s.ada, first.id, "Again.").await.is_err(), "once");
    let second = s.pending_but(first.id).await;
    let details = second.details.clone().unwrap();
    assert_eq!(details["changes"], "Call it b.txt.");
    assert_eq!(details["arguments"]["destination"], json!(right));
    assert!(server.asked()[1].1.to_string().contains("The person wants it otherwise: Call it b.txt."));
    decide(&s.store, &s.ada, second.id, yes(None)).await.unwrap();
    s.task_that_is("completed").await;
    assert!(right.exists() && !wrong.exists());
    assert_eq!(s.effects().iter().filter(|e| e.starts_with("move_file")).count(), 1);
    s.stop().await;
}

async fn a_model_asks_a_person_and_gives_up(postgres: bool) {
    let ask = Play::Call(vec![("ask_person".to_owned(), json!({"question": "Which of the two?"}))]);
    let give_up = Play::Call(vec![("give_up".to_owned(), json!({"reason": "Neither exists."}))]);
    let server = ModelServer::start([ask, give_up]).await;
    let s = with_model(postgres, &server, "", "").await;
    give(&s, "Choose").await;
    let approval = s.pending().await;
    assert_eq!(approval.action_type, "question");
    assert_eq!(approval.details.as_ref().unwrap()["summary"], "Which of the two?");
    decide(&s.store, &s.ada, approval.id, yes(Some("the blue one"))).await.unwrap();
    let task = s.task_that_is("failed").await;
    assert_eq!(task.metadata["failure_reason"], "Neither exists.");
    assert!(server.asked()[1].1.to_string().contains("The person answers: the blue one"));
    s.stop().await;
}

async fn a_limit_stops_the_work_and_a_person_grants_more(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "[limits]\ntask_steps = 1\n").await;
    let file = s.drop_elsewhere("a.txt", b"a");
    let look = || call("get_file_info", json!({"path": file}));
    server.play([look(), look(), Play::Say("Done.")]);
    let first = give(&s, "Look twice").await;
    let approval = s.pending().await;
    assert_eq!(approval.action_type, "budget");
    let asked = approval.details.clone().unwrap()["summary"].as_str().unwrap().to_owned();
    assert!(asked.contains("task_steps") && asked.contains("1 of 1 calls"), "{asked}");
    decide(&s.store, &s.ada, approval.id, yes(None)).await.unwrap();
    let second = s.pending_but(approval.id).await;
    let no = Decision { approve: false, note: Some("enough".to_owned()), arguments: None };
    decide(&s.store, &s.ada, second.id, no).await.unwrap();
    let task = s.task_that_is("failed").await;
    assert_eq!(task.id, first);
    let why = task.metadata["failure_reason"].as_str().unwrap().to_owned();
    assert!(why.contains("limit") && why.contains("enough"), "{why}");
    let run = runs::list(&s.ada, &s.store, task.id).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    let made = steps.iter().filter(|s| s.server == "files" && s.state == "succeeded").count();
    assert_eq!(made, 2, "one within the limit, one granted: {steps:#?}");
    s.stop().await;
}

async fn a_limit_of_the_day_is_met_between_the_calls_of_one_answer(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "[limits]\nday_steps = 1\n").await;
    let file = s.drop_elsewhere("a.txt", b"a");
    let look = || ("files__get_file_info".to_owned(), json!({"path": file}));
    server.play([Play::Call(vec![look(), look()])]);
    give(&s, "Look twice at once").await;
    let approval = s.pending().await;
    let asked = approval.details.clone().unwrap()["summary"].as_str().unwrap().to_owned();
    assert!(asked.contains("day_steps") && asked.contains("1 of 1 calls today"), "{asked}");
    let run = runs::list(&s.ada, &s.store, approval.task_id.unwrap()).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    assert_eq!(steps.iter().filter(|s| s.server == "files").count(), 1, "one call of the two: {steps:#?}");
    let no = Decision { approve: false, note: Some("enough".to_owned()), arguments: None };
    decide(&s.store, &s.ada, approval.id, no).await.unwrap();
    s.task_that_is("failed").await;
    s.stop().await;
}

async fn another_model_is_asked_when_one_refuses(postgres: bool) {
    let refusing = ModelServer::start([Play::Refuse(401, "", "{\"error\": {\"message\": \"wrong key\"}}")]).await;
    let spare = ModelServer::start([Play::Say("Done by the spare.")]).await;
    let text = format!(
        "{}fallback = \"spare\"\n[models.spare]\nprovider = \"openai\"\nmodel = \"s\"\nurl = \"http://127.0.0.1:{}/v1/\"\n",
        refusing.settings("anthropic", ""),
        spare.port
    );
    let s = Steward::led_by(postgres, Some(Brains::open(toml::from_str(&text).unwrap()).unwrap())).await;
    give(&s, "Anything").await;
    let task = s.task_that_is("completed").await;
    assert_eq!(task.metadata["summary"], "Done by the spare.");
    let run = runs::list(&s.ada, &s.store, task.id).await.unwrap().pop().unwrap();
    let turns = model_turns::list(&s.ada, &s.store, run.id).await.unwrap();
    assert_eq!(
        turns.iter().map(|t| (t.model.as_str(), t.state.as_str())).collect::<Vec<_>>(),
        [("main", "failed"), ("spare", "answered")]
    );
    assert_eq!(refusing.asked().len(), 1, "one that refuses is not asked again");
    s.stop().await;
}

async fn wrong_calls_are_told_to_the_model(postgres: bool) {
    let server = ModelServer::start([]).await;
    let s = with_model(postgres, &server, "", "").await;
    server.play([
        Play::Call(vec![("files__format_disk".to_owned(), json!({}))]),
        call("move_file", json!({"source": 7})),
        call("get_file_info", json!({"path": s.drop_elsewhere("a.txt", b"a")})),
        Play::Say("That was all."),
    ]);
    let task = give(&s, "Try").await;
    s.task_that_is("completed").await;
    let run = runs::list(&s.ada, &s.store, task).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    assert_eq!(steps.iter().map(|s| s.state.as_str()).collect::<Vec<_>>(), ["denied", "denied", "succeeded"]);
    let told = server.asked();
    assert!(told[1].1.to_string().contains("there is no tool"), "{}", told[1].1);
    assert!(told[2].1.to_string().contains("do not fit the tool"), "{}", told[2].1);
    assert!(approvals::list(&s.ada, &s.store, None, None, None, 10).await.unwrap().is_empty());
    s.stop().await;
}
