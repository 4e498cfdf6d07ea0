//! What rules rest on: several people's agreement, known people, and the count of calls.

use serde_json::json;
use store::{
    approvals::{self, NewApproval},
    contacts,
    policies::{self, Asking, NewPolicy},
    runs::{self, NewStep},
    tasks::{self, NewTask},
};

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(several_must_agree, people_are_known, calls_are_counted_for_all, rules_say_how_they_ask);

async fn several_must_agree(db: &Db) {
    let on = &db.store;
    let new = NewTask { assigned_to: Some(id(&db.employee)), ..NewTask::titled("pay") };
    let task = tasks::create(&db.bob, on, &new).await.unwrap();
    let ask = NewApproval {
        task_id: task,
        action_type: "tool_call".to_owned(),
        details: json!({"approvers": 2}),
        expires_at: in_seconds(600),
    };
    let approval = approvals::create(&db.employee, on, &ask).await.unwrap();
    for actor in [&db.obs, &db.sus, &db.employee, &db.admin_agent, &db.service, &db.nobody, &db.cat] {
        assert_eq!(refusal(approvals::vote(actor, on, approval, None).await), "refused", "{actor:?}");
    }
    // Past our code too: one person's yes is not enough, whoever it is, and nobody agrees twice.
    assert_eq!(refusal(approvals::approve(&db.ada, on, approval, None).await), "chk_approval_approvers");
    approvals::vote(&db.bob, on, approval, Some("fine")).await.unwrap();
    assert_eq!(refusal(approvals::approve(&db.bob, on, approval, None).await), "chk_approval_approvers");
    assert!(approvals::vote(&db.bob, on, approval, None).await.is_err(), "one person, one vote");
    assert!(approvals::approve(&db.ada, on, approval, None).await.unwrap());
    let votes = approvals::votes(&db.ada, on, approval).await.unwrap();
    assert_eq!(votes.iter().map(|v| (v.user_id, v.note.as_deref())).collect::<Vec<_>>(), [(id(&db.bob), Some("fine"))]);
    assert_eq!(refusal(approvals::vote(&db.ada, on, approval, None).await), "refused", "it is decided");
    // One no is a no.
    let second = approvals::create(&db.employee, on, &ask).await.unwrap();
    assert!(approvals::reject(&db.bob, on, second, None).await.unwrap());
}

async fn people_are_known(db: &Db) {
    let on = &db.store;
    for actor in [&db.bob, &db.obs, &db.employee, &db.admin_agent, &db.service, &db.nobody] {
        assert_eq!(refusal(contacts::add(actor, on, "eve@example.org", None).await), "refused", "{actor:?}");
    }
    contacts::add(&db.ada, on, "bob@example.org", Some("Bob")).await.unwrap();
    assert_eq!(refusal(contacts::add(&db.ada, on, "Bob@example.org", None).await), "chk_contact_address");
    assert!(contacts::add(&db.ada, on, "bob@example.org", None).await.is_err());
    let asked = vec!["bob@example.org".to_owned(), "eve@example.org".to_owned(), "' OR 1=1".to_owned()];
    assert_eq!(contacts::known(&db.employee, on, asked.clone()).await.unwrap(), ["bob@example.org"]);
    assert!(contacts::known(&db.nobody, on, asked).await.unwrap().is_empty());
    assert!(!contacts::remove(&db.bob, on, "bob@example.org").await.unwrap());
    assert!(contacts::remove(&db.ada, on, "bob@example.org").await.unwrap());
    assert!(contacts::list(&db.bob, on).await.unwrap().is_empty());
}

async fn calls_are_counted_for_all(db: &Db) {
    let on = &db.store;
    let new = NewTask { assigned_to: Some(id(&db.employee)), ..NewTask::titled("send") };
    let task = tasks::create(&db.bob, on, &new).await.unwrap();
    let run = runs::create(&db.employee, on, task, "p", "s", "h").await.unwrap();
    for ordinal in 0..3 {
        let step = NewStep {
            run_id: run,
            task_id: task,
            ordinal,
            name: format!("s{ordinal}"),
            server: "mail".to_owned(),
            tool: "send".to_owned(),
            state: "allowed",
            arguments: "{}".to_owned(),
            arguments_sha256: "h".to_owned(),
            policy_id: None,
            policy_reason: None,
            attempt: 1,
            error: None,
        };
        let step = runs::add_step(&db.employee, on, &step).await.unwrap();
        if ordinal > 0 {
            assert!(runs::start_step(&db.employee, on, step, 1, "{}", "h").await.unwrap());
        }
        if ordinal == 2 {
            assert!(runs::unsend_step(&db.employee, on, step, 1).await.unwrap());
        }
    }
    // Planned and taken back is not called. Cat may not see the task, and her rules count its calls all the same.
    for actor in [&db.employee, &db.cat, &db.ada] {
        let made = runs::calls_made(actor, on, 60).await.unwrap();
        assert_eq!(made.iter().map(|m| (m.tool.as_str(), m.made)).collect::<Vec<_>>(), [("send", 1)], "{actor:?}");
    }
    for actor in [&db.sus, &db.nobody] {
        assert!(runs::calls_made(actor, on, 60).await.unwrap().is_empty(), "{actor:?}");
    }
    let past = runs::past(&db.bob, on, in_seconds(-60), 10).await.unwrap();
    assert_eq!(past.iter().map(|s| s.ordinal).collect::<Vec<_>>(), [2, 1, 0]);
    assert!(runs::past(&db.cat, on, in_seconds(-60), 10).await.unwrap().is_empty());
}

async fn rules_say_how_they_ask(db: &Db) {
    let on = &db.store;
    let new = NewPolicy {
        position: 1,
        name: "pay".to_owned(),
        server: "*".to_owned(),
        tool: "pay".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 60,
    };
    let rule = policies::create(&db.ada, on, &new).await.unwrap();
    assert_eq!(policies::list(&db.bob, on).await.unwrap()[0].asking(), Asking::default());
    let asking = Asking {
        approvers: 2,
        never_repeat: true,
        remind_minutes: Some(10),
        escalate_minutes: Some(20),
        escalate_to: Some(id(&db.bob)),
    };
    assert!(policies::set_asking(&db.ada, on, rule, &asking).await.unwrap());
    assert_eq!(policies::list(&db.bob, on).await.unwrap()[0].asking(), asking);
    let none = Asking { approvers: 0, ..Asking::default() };
    assert_eq!(refusal(policies::set_asking(&db.ada, on, rule, &none).await), "chk_policy_approvers");
    assert!(!policies::set_asking(&db.bob, on, rule, &Asking::default()).await.unwrap());
}
