//! What rules can say beyond yes and no, tried in whole work on both databases: how often, by how many people, brought back to
//! mind, and what changed rules would have done.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "common/model_server.rs"]
mod model_server;

use common::Steward;
use domain::{
    accounts,
    decide::{Decision, decide},
    policy::Effect,
    presets,
    replay::{Change, replay},
    rules,
};
use jiff::SignedDuration;
use model_server::{ModelServer, Play, call};
use serde_json::{Value, json};
use store::{
    Actor, approvals, notifications,
    policies::{self, Asking, NewPolicy},
    runs, tasks,
    tasks::NewTask,
    users,
};
use workers::{brains::Brains, reminding};

on_both!(
    no_more_calls_than_the_rule_allows_however_many_at_once,
    two_people_must_agree_and_one_no_is_a_no,
    a_yes_counts_while_its_giver_may_decide,
    a_question_is_brought_back_to_mind,
    a_rule_is_made_of_a_decision,
);

/// The model appends its task's title, once, and is done.
async fn appending(postgres: bool) -> Steward {
    let model = ModelServer::thinking(|body: &Value| {
        let messages = body["messages"].as_array().unwrap();
        let task = messages[0].to_string();
        let line = task.split("Title: ").nth(1).unwrap().split("\\n").next().unwrap().to_owned();
        if messages.len() == 1 { call("append", json!({ "line": line })) } else { Play::Say("Done.") }
    })
    .await;
    let brains = Brains::open(toml::from_str(&model.settings("anthropic", "")).unwrap()).unwrap();
    let s = Steward::led_by(postgres, Some(brains)).await;
    s.approve_tools().await;
    s
}

async fn give(s: &Steward, title: &str) -> uuid::Uuid {
    let employee = users::agent(&Actor::service(), &s.store, accounts::EMPLOYEE).await.unwrap();
    let new = NewTask { assigned_to: employee, ..NewTask::titled(title) };
    tasks::create(&s.ada, &s.store, &new).await.unwrap()
}

fn about(name: &str, effect: &str, condition: Option<&str>) -> NewPolicy {
    NewPolicy {
        position: 0,
        name: name.to_owned(),
        server: "files".to_owned(),
        tool: "append".to_owned(),
        condition: condition.map(str::to_owned),
        outside: true,
        effect: effect.to_owned(),
        approval_ttl_minutes: 600,
    }
}

async fn asks_with(s: &Steward, asking: Asking) {
    let (rule, risk) = (about("notes", "ask", None), "normal".to_owned());
    rules::add_with_risk(&s.store, &s.ada, rule, Some(1), (risk, asking)).await.unwrap();
}

fn say(approve: bool) -> Decision {
    Decision { approve, note: None, arguments: None }
}

async fn no_more_calls_than_the_rule_allows_however_many_at_once(postgres: bool) {
    let s = appending(postgres).await;
    rules::add(&s.store, &s.ada, about("at most five", "allow", Some("calls(\"append\", \"1h\") < 5")), None)
        .await
        .unwrap();
    let mut given = Vec::new();
    for n in 0..12 {
        given.push(give(&s, &format!("note {n}")).await);
    }
    let open = s
        .until("five are done and the others ask", async |s| {
            let open = approvals::list(&s.ada, &s.store, Some("pending"), None, None, 50).await.unwrap();
            let done = s.tasks().await.iter().filter(|t| t.status == "completed").count();
            (open.len() + done == given.len()).then_some(open)
        })
        .await;
    assert_eq!(s.effects().len(), 5, "{:?}", s.effects());
    assert_eq!(open.len(), 7);
    // A person's yes is not held back by a rule that only stops allowing; and it counts.
    decide(&s.store, &s.ada, open[0].id, say(true)).await.unwrap();
    s.until("the sixth", async |s| (s.effects().len() == 6).then_some(())).await;
    // Each step says which rule decided.
    for task in &given {
        let run = runs::list(&s.ada, &s.store, *task).await.unwrap().pop().unwrap();
        let step = runs::steps(&s.ada, &s.store, run.id).await.unwrap().remove(0);
        assert!(step.policy_reason.is_some(), "{step:#?}");
    }
    // What a stricter rule would have done: two would still have been allowed, and nothing is called by asking.
    let change = Change {
        without: vec!["at most five".to_owned()],
        with: vec![about("at most two", "allow", Some("calls(\"append\", \"1h\") < 2"))],
    };
    let replayed = replay(&s.store, &s.ada, 1, &change).await.unwrap();
    assert_eq!(replayed.len(), given.len());
    let changed = replayed.iter().filter(|r| r.changed == Effect::Allow).count();
    let now = replayed.iter().filter(|r| r.now == Effect::Allow).count();
    assert!(changed < now && changed >= 2, "{changed} of {now}");
    assert!(replayed.iter().any(|r| r.then == Effect::Ask) && replayed.iter().any(|r| r.then == Effect::Allow));
    let unknown = Change { without: vec!["no such".to_owned()], with: Vec::new() };
    assert!(replay(&s.store, &s.ada, 1, &unknown).await.is_err());
    assert_eq!(s.effects().len(), 6);
    s.stop().await;
}

async fn two_people_must_agree_and_one_no_is_a_no(postgres: bool) {
    let s = appending(postgres).await;
    asks_with(&s, Asking { approvers: 2, ..Asking::default() }).await;
    let bob =
        accounts::add_user(&s.store, &s.ada, "bob", "bob@example.org", "admin", "four other words fit".to_owned());
    let bob = Actor::user(bob.await.unwrap());
    give(&s, "pay the rent").await;
    let approval = s.pending().await;
    assert_eq!(approval.details.as_ref().unwrap()["approvers"], 2);
    let first = decide(&s.store, &s.ada, approval.id, say(true)).await.unwrap();
    assert_eq!(first.status, "pending");
    let again = decide(&s.store, &s.ada, approval.id, say(true)).await.unwrap_err().to_string();
    assert!(again.contains("you have agreed already"), "{again}");
    let edit = Decision { arguments: Some(json!({"line": "other"})), ..say(true) };
    let other = decide(&s.store, &bob, approval.id, edit).await.unwrap_err().to_string();
    assert!(other.contains("agree to the call as it stands"), "{other}");
    assert!(s.effects().is_empty(), "one yes is not enough");
    assert_eq!(decide(&s.store, &bob, approval.id, say(true)).await.unwrap().status, "approved");
    s.until("the effect", async |s| (s.effects().len() == 1).then_some(())).await;
    let second = give(&s, "pay it again").await;
    let approval = s.pending().await;
    decide(&s.store, &bob, approval.id, say(true)).await.unwrap();
    assert_eq!(decide(&s.store, &s.ada, approval.id, say(false)).await.unwrap().status, "rejected");
    s.until("the end", async |s| {
        s.tasks().await.into_iter().find(|t| t.id == second).filter(|t| t.status == "completed").map(drop)
    })
    .await;
    assert_eq!(s.effects().len(), 1);
    s.stop().await;
}

async fn a_yes_counts_while_its_giver_may_decide(postgres: bool) {
    let s = appending(postgres).await;
    asks_with(&s, Asking { approvers: 2, ..Asking::default() }).await;
    let mut others = Vec::new();
    for (name, words) in [("bob", "four other words fit"), ("eve", "and four more of them")] {
        let address = format!("{name}@example.org");
        others.push(accounts::add_user(&s.store, &s.ada, name, &address, "admin", words.to_owned()).await.unwrap());
    }
    let [bob, eve] = others[..] else { panic!("two") };
    give(&s, "pay the plumber").await;
    let approval = s.pending().await;
    // Who may be the second hears of it at once, and once.
    assert_eq!(reminding::round(&s.store, approval.created_at, None).await.unwrap(), 2);
    assert_eq!(reminding::round(&s.store, approval.created_at, None).await.unwrap(), 0);
    let told = notifications::list(&Actor::user(bob), &s.store, None, 20).await.unwrap();
    assert!(told[0].title.starts_with("Several people must agree"), "{told:?}");
    let yes = || Decision { approve: true, note: None, arguments: None };
    decide(&s.store, &Actor::user(bob), approval.id, yes()).await.unwrap();
    assert!(users::set_status(&s.ada, &s.store, bob, "suspended").await.unwrap());
    assert_eq!(decide(&s.store, &s.ada, approval.id, yes()).await.unwrap().status, "pending", "bob's yes lapsed");
    // Nor does the database take it past our code.
    assert!(
        approvals::approve(&Actor::user(eve), &s.store, approval.id, None).await.is_ok_and(|done| done),
        "ada's and eve's"
    );
    s.until("the effect", async |s| (s.effects().len() == 1).then_some(())).await;
    give(&s, "pay it again").await;
    let second = s.pending().await;
    approvals::vote(&Actor::user(eve), &s.store, second.id, None).await.unwrap();
    assert!(users::set_status(&s.ada, &s.store, eve, "suspended").await.unwrap());
    let said = approvals::approve(&s.ada, &s.store, second.id, None).await;
    assert!(said.is_err(), "{said:?}");
    s.stop().await;
}

async fn a_question_is_brought_back_to_mind(postgres: bool) {
    let s = appending(postgres).await;
    let asking = Asking { remind_minutes: Some(10), escalate_minutes: Some(30), ..Asking::default() };
    asks_with(&s, asking).await;
    let bob =
        accounts::add_user(&s.store, &s.ada, "bob", "bob@example.org", "admin", "four other words fit".to_owned());
    let bob = Actor::user(bob.await.unwrap());
    give(&s, "call the plumber").await;
    let approval = s.pending().await;
    let titles = async |who: &Actor| -> Vec<String> {
        let all = notifications::list(who, &s.store, None, 20).await.unwrap();
        all.into_iter().map(|n| n.title).filter(|t| t.starts_with("Still") || t.starts_with("Nobody")).collect()
    };
    let at = |minutes| approval.created_at + SignedDuration::from_mins(minutes);
    assert_eq!(reminding::round(&s.store, at(9), None).await.unwrap(), 0);
    assert_eq!(reminding::round(&s.store, at(10), None).await.unwrap(), 1);
    assert_eq!(reminding::round(&s.store, at(11), None).await.unwrap(), 0, "once");
    assert_eq!(titles(&s.ada).await.len(), 1);
    assert!(titles(&bob).await.is_empty());
    assert_eq!(reminding::round(&s.store, at(30), None).await.unwrap(), 1);
    assert!(titles(&bob).await[0].starts_with("Nobody has decided yet, please do: append of files"));
    assert_eq!(reminding::round(&s.store, at(31), None).await.unwrap(), 0);
    decide(&s.store, &bob, approval.id, say(true)).await.unwrap();
    // Where no rule says, the house reminds: after its time, half-way to the end at the latest, once, and not for ever.
    let task = approval.task_id.unwrap();
    let employee = users::agent(&Actor::service(), &s.store, accounts::EMPLOYEE).await.unwrap().unwrap();
    for (kind, open_h, from_min) in [("budget", 24 * 7, 240), ("outcome_unknown", 4, 120), ("question", 48, 240)] {
        let details = serde_json::json!({ "summary": kind });
        let expires_at = store::now() + SignedDuration::from_hours(open_h);
        let new = approvals::NewApproval { task_id: task, action_type: kind.to_owned(), details, expires_at };
        let id = approvals::create(&Actor::user(employee), &s.store, &new).await.unwrap();
        let row = approvals::get(&s.ada, &s.store, id).await.unwrap().unwrap();
        let house = Some(SignedDuration::from_hours(4));
        let round = async |minutes: i64, house| {
            let at = row.created_at + SignedDuration::from_mins(minutes);
            reminding::round(&s.store, at, house).await.unwrap()
        };
        assert_eq!(round(from_min - 1, house).await, 0, "{kind}");
        assert_eq!(round(from_min + 1, None).await, 0, "{kind}: the house may be silent");
        assert_eq!(round(from_min + 1, house).await, 1, "{kind}");
        assert_eq!(round(from_min + 2, house).await, 0, "{kind}: once");
        assert!(titles(&s.ada).await.iter().any(|t| t == &format!("Still waiting for your decision: {kind}")));
        approvals::reject(&s.ada, &s.store, id, None).await.unwrap();
    }
    assert_eq!(reminding::round(&s.store, at(500), None).await.unwrap(), 0, "what is decided is left alone");
    s.stop().await;
}

async fn a_rule_is_made_of_a_decision(postgres: bool) {
    let s = appending(postgres).await;
    let added = presets::apply(&s.store, &s.ada, "ask-for-everything", "*").await.unwrap();
    assert_eq!(added, [("ask for everything".to_owned(), true)]);
    let again = presets::apply(&s.store, &s.ada, "ask-for-everything", "*").await.unwrap();
    assert_eq!(again, [("ask for everything".to_owned(), false)]);
    let all = presets::apply(&s.store, &s.ada, "community", "*").await.unwrap();
    assert_eq!(all.len(), 3);
    let rows = policies::list(&s.ada, &s.store).await.unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "payments always ask",
            "at most 20 mails an hour",
            "ask for everything",
            "files: reading",
            "known people may be written to"
        ]
    );
    assert!(rows[0].never_repeat && rows[0].risk == "high");
    give(&s, "a note").await;
    let approval = s.pending().await;
    decide(&s.store, &s.ada, approval.id, say(true)).await.unwrap();
    let rule = rules::always(&s.store, &s.ada, &approval).await.unwrap();
    assert_eq!((rule.name.as_str(), rule.effect.as_str(), rule.outside), ("files: append", "allow", false));
    s.until("the first", async |s| (s.effects().len() == 1).then_some(())).await;
    give(&s, "another note").await;
    s.until("the second, without being asked", async |s| (s.effects().len() == 2).then_some(())).await;
    s.stop().await;
}
