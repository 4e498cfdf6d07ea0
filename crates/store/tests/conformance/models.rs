//! `model_turns`, `model_spend`, `work_time`, `handbook`, `memories` and `playbooks`.

use serde_json::json;
use store::{
    approvals::{self, NewApproval},
    handbook,
    memories::{self, NewMemory},
    model_turns::{self, NewTurn, TurnEnd, Used},
    playbooks,
    runs::{self, NewStep},
    tasks,
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(
    a_question_is_answered_once,
    what_is_spent_adds_up,
    how_long_was_worked_adds_up_without_what_people_took,
    the_handbook_has_versions,
    a_kept_playbook_is_seen_by_others_once_it_is_on,
    a_fact_is_for_one_persons_work_or_everybodys,
);

pub(crate) fn new_turn(run_id: Uuid, task_id: Uuid, ordinal: i32) -> NewTurn {
    NewTurn {
        run_id,
        task_id,
        ordinal,
        model: "main".to_owned(),
        request_sha256: "a".repeat(64),
        request_bytes: 1234,
        attempt: 1,
    }
}

pub(crate) fn answer(cost_microusd: i64) -> TurnEnd {
    TurnEnd {
        served_by: Some("m-1-2026".to_owned()),
        answer: Some("{\"text\": \"a  b\"}".to_owned()),
        input_tokens: 100,
        cached_tokens: 60,
        output_tokens: 20,
        cost_microusd,
        error: None,
    }
}

async fn a_question_is_answered_once(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let run = db.run(task).await;
    let first = model_turns::ask(&db.employee, on, &new_turn(run, task, 0)).await.unwrap();
    assert!(model_turns::end(&db.employee, on, first, &answer(5)).await.unwrap());
    assert!(!model_turns::end(&db.employee, on, first, &answer(9)).await.unwrap(), "ended once");
    let second = model_turns::ask(&db.employee, on, &new_turn(run, task, 1)).await.unwrap();
    let lost = TurnEnd { error: Some("no answer".to_owned()), ..TurnEnd::default() };
    assert!(
        !model_turns::end(&db.bob, on, second, &lost).await.unwrap(),
        "bob wants the task done, and does not do it"
    );
    assert!(model_turns::end(&db.employee, on, second, &lost).await.unwrap());
    assert_eq!(
        refusal(model_turns::ask(&db.employee, on, &new_turn(run, task, 1)).await),
        "uq_model_turns_run_ordinal"
    );
    let turns = model_turns::list(&db.bob, on, run).await.unwrap();
    assert_eq!(
        turns.iter().map(|t| (t.id, t.state.as_str())).collect::<Vec<_>>(),
        [(first, "answered"), (second, "failed")]
    );
    let read = &turns[0];
    assert_eq!(read.answer.as_deref(), Some("{\"text\": \"a  b\"}"), "byte for byte");
    assert_eq!((read.input_tokens, read.cached_tokens, read.output_tokens, read.cost_microusd), (100, 60, 20, 5));
    assert_eq!((read.request_bytes, read.served_by.as_deref(), read.attempt), (1234, Some("m-1-2026"), 1));
    assert!(read.answered_at.is_some());
    assert_eq!((turns[1].error.as_deref(), turns[1].answer.as_deref()), (Some("no answer"), None));
    assert!(model_turns::list(&db.cat, on, run).await.unwrap().is_empty(), "a stranger sees none");
    let trail = store::audit_trail::list(&db.ada, on, Some("model_turn"), Some(first), 10).await.unwrap();
    assert_eq!(
        trail.iter().map(|a| a.action.as_str()).collect::<Vec<_>>(),
        ["model_turn_updated", "model_turn_created"]
    );
    assert!(trail.iter().all(|a| !format!("{a:?}").contains("a  b")), "the words stand in their own row alone");
}

async fn what_is_spent_adds_up(db: &Db) {
    let on = &db.store;
    let (one, two) = (db.task("one").await, db.task("two").await);
    for (task, costs) in [(one, [5, 7]), (two, [1, 2])] {
        let run = db.run(task).await;
        for (ordinal, cost) in (0..).zip(costs) {
            let turn = model_turns::ask(&db.employee, on, &new_turn(run, task, ordinal)).await.unwrap();
            model_turns::end(&db.employee, on, turn, &answer(cost)).await.unwrap();
        }
        model_turns::ask(&db.employee, on, &new_turn(run, task, 2)).await.unwrap();
    }
    let used = model_turns::used(&db.employee, on, one).await.unwrap();
    assert_eq!(used, Used { turns: 3, tokens: 240, cost_microusd: 12 });
    let all = Used { turns: 4, tokens: 480, cost_microusd: 15 };
    for today in [true, false] {
        assert_eq!(model_turns::spent(&db.employee, on, today).await.unwrap(), all);
    }
    // What was asked outside of work counts as well, and Steward alone says so.
    for model in ["main", "other"] {
        model_turns::book(&db.service, on, model, &answer(100)).await.unwrap();
    }
    let all = Used { turns: 6, tokens: 720, cost_microusd: 215 };
    assert_eq!(model_turns::spent(&db.employee, on, true).await.unwrap(), all);
    assert!(model_turns::book(&db.ada, on, "main", &answer(1)).await.is_err());
    assert_eq!(model_turns::spent(&db.nobody, on, true).await.unwrap(), Used::default());
}

async fn how_long_was_worked_adds_up_without_what_people_took(db: &Db) {
    let on = &db.store;
    let worked = async || model_turns::worked(&db.employee, on, true).await.unwrap().worked_ms;
    let task = db.task("long").await;
    let run = db.run(task).await;
    assert_eq!(worked().await, 0);
    let turn = model_turns::ask(&db.employee, on, &new_turn(run, task, 0)).await.unwrap();
    let unread = model_turns::ask(&db.employee, on, &new_turn(run, task, 1)).await.unwrap();
    let lost = TurnEnd { error: Some("no answer".to_owned()), ..TurnEnd::default() };
    assert!(model_turns::end(&db.employee, on, unread, &lost).await.unwrap());
    assert_eq!(worked().await, 0, "what nobody read is no work");
    assert!(model_turns::end(&db.employee, on, turn, &answer(1)).await.unwrap());
    let thought = worked().await;
    assert!(thought > 0);
    // A call that was under way for long counts when its answer comes, and not where a person must say what became of it.
    let mut steps = Vec::new();
    for ordinal in 0..2 {
        let step = NewStep {
            run_id: run,
            task_id: task,
            ordinal,
            name: format!("step {ordinal}"),
            server: "files".to_owned(),
            tool: "read".to_owned(),
            state: "allowed",
            arguments: "{}".to_owned(),
            arguments_sha256: "a".repeat(64),
            policy_id: None,
            policy_reason: None,
            attempt: 1,
            error: None,
        };
        let id = runs::add_step(&db.employee, on, &step).await.unwrap();
        assert!(runs::start_step(&db.employee, on, id, 1, "{}", "a").await.unwrap());
        steps.push(id);
    }
    let question = NewApproval {
        task_id: task,
        action_type: "outcome_unknown".to_owned(),
        details: json!({}),
        expires_at: in_seconds(600),
    };
    let asked = approvals::create(&db.employee, on, &question).await.unwrap();
    runs::ask_step(&db.employee, on, steps[0], "outcome_unknown", asked, None).await.unwrap();
    assert!(runs::end_step(&db.employee, on, steps[0], "succeeded", Some("{}"), None).await.unwrap());
    assert_eq!(worked().await, thought);
    assert!(runs::end_step(&db.employee, on, steps[1], "failed", None, Some("no")).await.unwrap());
    assert!(worked().await > thought);
    assert_eq!(model_turns::worked(&db.ada, on, false).await.unwrap().worked_ms, worked().await);
    assert_eq!(model_turns::worked(&db.nobody, on, false).await.unwrap().worked_ms, 0);
}

async fn the_handbook_has_versions(db: &Db) {
    let on = &db.store;
    assert_eq!(handbook::current(&db.employee, on).await.unwrap(), None);
    handbook::save(&db.ada, on, 1, "Be kind.").await.unwrap();
    handbook::save(&db.ada, on, 2, "Be kind and quick.").await.unwrap();
    assert!(handbook::save(&db.ada, on, 2, "Both at once").await.is_err(), "a version is saved once");
    for actor in [&db.bob, &db.employee] {
        assert!(handbook::save(actor, on, 3, "Obey me.").await.unwrap_err().to_string().contains("handbook"));
    }
    assert_eq!(refusal(handbook::save(&db.ada, on, 3, &"x".repeat(100_001)).await), "chk_handbook_content");
    let current = handbook::current(&db.employee, on).await.unwrap().unwrap();
    assert_eq!((current.version, current.content.as_str()), (2, "Be kind and quick."));
    assert_eq!(current.created_by, Some(id(&db.ada)));
    assert_eq!(handbook::list(&db.bob, on).await.unwrap().iter().map(|h| h.version).collect::<Vec<_>>(), [2, 1]);
}

async fn a_kept_playbook_is_seen_by_others_once_it_is_on(db: &Db) {
    let on = &db.store;
    let task = tasks::create(&db.ada, on, &tasks::NewTask::titled("x")).await.unwrap();
    for actor in [&db.bob, &db.obs, &db.employee, &db.admin_agent, &db.service, &db.nobody] {
        assert_eq!(refusal(playbooks::create(actor, on, "mine", "name: mine", None).await), "refused", "{actor:?}");
    }
    playbooks::create(&db.ada, on, "mine", "name: mine", Some(task)).await.unwrap();
    assert_eq!(refusal(playbooks::create(&db.ada, on, "mine", "x", None).await), "uq_playbooks_name");
    assert_eq!(refusal(playbooks::create(&db.ada, on, "empty", "", None).await), "chk_playbook_source");
    let kept = playbooks::named(&db.ada, on, "mine").await.unwrap().unwrap();
    assert_eq!((kept.is_on, kept.task_id, kept.created_by), (false, Some(task), Some(id(&db.ada))));
    assert_eq!((kept.source.as_str(), kept.switched_at), ("name: mine", None));
    for actor in [&db.bob, &db.employee, &db.admin_agent] {
        assert!(playbooks::named(actor, on, "mine").await.unwrap().is_none(), "a draft is its makers' alone");
        assert!(!playbooks::switch(actor, on, "mine", true).await.unwrap(), "{actor:?}");
    }
    assert!(playbooks::switch(&db.ada, on, "mine", true).await.unwrap());
    let names = |found: Vec<playbooks::KeptPlaybook>| found.into_iter().map(|p| p.name).collect::<Vec<_>>();
    assert_eq!(names(playbooks::in_use(&db.employee, on).await.unwrap()), ["mine"]);
    assert_eq!(names(playbooks::list(&db.bob, on).await.unwrap()), ["mine"]);
    assert!(playbooks::list(&db.nobody, on).await.unwrap().is_empty());
    // The task goes, the playbook stays.
    assert!(tasks::delete(&db.ada, on, task).await.unwrap());
    let kept = playbooks::named(&db.bob, on, "mine").await.unwrap().unwrap();
    assert!(kept.task_id.is_none() && kept.switched_at.is_some());
    assert!(!playbooks::remove(&db.employee, on, "mine").await.unwrap());
    assert!(playbooks::remove(&db.ada, on, "mine").await.unwrap());
    let trail = store::audit_trail::list(&db.ada, on, Some("playbook"), Some(kept.id), 10).await.unwrap();
    assert_eq!(trail.first().map(|a| a.action.as_str()), Some("playbook_deleted"));
    assert_eq!(trail.last().map(|a| a.action.as_str()), Some("playbook_created"));
}

async fn a_fact_is_for_one_persons_work_or_everybodys(db: &Db) {
    let on = &db.store;
    let said = |content: &str, user_id: Option<Uuid>| NewMemory {
        content: content.to_owned(),
        user_id,
        source: "person",
        outside: false,
        task_id: None,
        step_id: None,
    };
    let of_bob = memories::create(&db.bob, on, &said("Bob likes blue.", Some(id(&db.bob)))).await.unwrap();
    let of_all = memories::create(&db.ada, on, &said("We close at five.", None)).await.unwrap();
    for (actor, whose) in
        [(&db.bob, None), (&db.bob, Some(id(&db.cat))), (&db.obs, Some(id(&db.obs))), (&db.service, None)]
    {
        assert_eq!(refusal(memories::create(actor, on, &said("x", whose)).await), "refused", "{actor:?}");
    }
    assert_eq!(refusal(memories::create(&db.ada, on, &said("", None)).await), "chk_memory_content");
    assert_eq!(refusal(memories::create(&db.ada, on, &said(&"x".repeat(1001), None)).await), "chk_memory_content");
    let task = db.task("learn").await;
    let learned = NewMemory {
        source: "task",
        outside: true,
        task_id: Some(task),
        ..said("The bank's number is 12.", Some(id(&db.bob)))
    };
    let from_work = memories::create(&db.employee, on, &learned).await.unwrap();
    for actor in [&db.bob, &db.admin_agent, &db.ada] {
        assert_eq!(refusal(memories::create(actor, on, &learned).await), "refused", "{actor:?}");
    }
    let for_all = NewMemory { user_id: None, ..learned.clone() };
    assert_eq!(refusal(memories::create(&db.employee, on, &for_all).await), "refused", "people alone speak for all");
    let trusted = NewMemory { source: "person", ..learned.clone() };
    assert_eq!(refusal(memories::create(&db.employee, on, &trusted).await), "refused");
    let ids = |found: Vec<memories::Memory>| found.into_iter().map(|m| m.id).collect::<Vec<_>>();
    assert_eq!(ids(memories::told(&db.employee, on, id(&db.bob)).await.unwrap()), [from_work, of_all, of_bob]);
    assert_eq!(ids(memories::told(&db.employee, on, id(&db.cat)).await.unwrap()), [of_all]);
    assert_eq!(ids(memories::list(&db.cat, on, 100).await.unwrap()), [of_all], "nobody else's");
    assert_eq!(ids(memories::list(&db.ada, on, 2).await.unwrap()), [from_work, of_all]);
    assert!(memories::list(&db.nobody, on, 100).await.unwrap().is_empty());
    for actor in [&db.cat, &db.employee, &db.admin_agent] {
        assert!(!memories::edit(actor, on, of_bob, "Eve is right.").await.unwrap(), "{actor:?}");
        assert!(!memories::remove(actor, on, of_bob).await.unwrap(), "{actor:?}");
    }
    assert!(memories::edit(&db.bob, on, from_work, "The bank's number is 13.").await.unwrap());
    let read = memories::get(&db.ada, on, from_work).await.unwrap().unwrap();
    assert_eq!(
        (read.content.as_str(), read.outside, read.edited_at.is_some()),
        ("The bank's number is 13.", true, true)
    );
    assert_eq!((read.task_id, read.created_by), (Some(task), Some(id(&db.employee))));
    assert!(
        memories::remove(&db.bob, on, of_bob).await.unwrap() && memories::remove(&db.ada, on, of_all).await.unwrap()
    );
    let trail = store::audit_trail::list(&db.ada, on, Some("memory"), Some(of_bob), 10).await.unwrap();
    assert_eq!(trail.iter().map(|a| a.action.as_str()).collect::<Vec<_>>(), ["memory_deleted", "memory_created"]);
}
