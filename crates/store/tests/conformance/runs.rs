//! `runs` and `steps`.

use store::{
    approvals,
    runs::{self, NewStep},
};
use uuid::Uuid;

use crate::common::{Db, id, refusal};

crate::on_both!(journal_of_a_run, steps_to_be_looked_at, a_step_starts_once, only_the_assignee_journals);

pub(crate) fn new_step(run_id: Uuid, task_id: Uuid, ordinal: i32) -> NewStep {
    NewStep {
        run_id,
        task_id,
        ordinal,
        name: format!("step {ordinal}"),
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        state: "planned",
        arguments: "{}".to_owned(),
        arguments_sha256: "a".repeat(64),
        policy_id: None,
        policy_reason: Some("nothing matches".to_owned()),
        attempt: 1,
        error: None,
    }
}

async fn steps_to_be_looked_at(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    assert_eq!(runs::present_step(&db.bob, on, task).await.unwrap(), None);
    let first = db.run(task).await;
    let mut made = Vec::new();
    for ordinal in 0..3 {
        let new = NewStep { state: "allowed", ..new_step(first, task, ordinal) };
        made.push(runs::add_step(&db.employee, on, &new).await.unwrap());
    }
    let long = format!("{{\"text\":\"{}\"}}", "ü".repeat(20_000));
    assert!(runs::start_step(&db.employee, on, made[2], 1, "{}", &"a".repeat(64)).await.unwrap());
    assert!(runs::end_step(&db.employee, on, made[2], "succeeded", Some(&long), None).await.unwrap());
    let whole = runs::step(&db.bob, on, made[2]).await.unwrap().unwrap();
    assert_eq!(whole.result.as_ref(), Some(&long));
    let last = runs::present_step(&db.bob, on, task).await.unwrap().unwrap();
    let cut: String = long.chars().take(16_384).collect();
    assert_eq!(last, runs::Step { result: Some(cut), ..whole });
    let shown = async |actor, limit| -> Vec<i32> {
        runs::shown_steps(actor, on, first, limit).await.unwrap().into_iter().map(|s| s.ordinal).collect()
    };
    assert_eq!(shown(&db.bob, 9).await, [2, 1, 0]);
    assert_eq!(shown(&db.obs, 2).await, [2, 1]);
    assert!(shown(&db.cat, 9).await.is_empty());
    assert!(runs::finish(&db.employee, on, first, "failed", None).await.unwrap());
    db.run(task).await;
    assert_eq!(runs::present_step(&db.bob, on, task).await.unwrap(), None, "the newest run has none yet");
}

async fn journal_of_a_run(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let first = db.run(task).await;
    assert!(runs::finish(&db.employee, on, first, "failed", Some("no")).await.unwrap());
    assert!(!runs::finish(&db.employee, on, first, "completed", None).await.unwrap(), "ended once");
    let second = db.run(task).await;
    let rows = runs::list(&db.bob, on, task).await.unwrap();
    assert_eq!(
        rows.iter().map(|r| (r.id, r.number, r.state.as_str())).collect::<Vec<_>>(),
        [(second, 2, "running"), (first, 1, "failed")]
    );
    assert_eq!((rows[1].error.as_deref(), rows[1].started_by), (Some("no"), Some(id(&db.employee))));
    assert!(rows[1].finished_at.is_some() && rows[0].finished_at.is_none());
    assert_eq!((rows[0].playbook.as_str(), rows[0].playbook_source.as_str()), ("file-away", "steps: []"));
    assert_eq!(refusal(runs::finish(&db.employee, on, second, "lost", None).await), "chk_run_state");
    assert_eq!(refusal(runs::finish(&db.employee, on, second, "running", None).await), "chk_run_finished");

    let one = runs::add_step(&db.employee, on, &new_step(second, task, 1)).await.unwrap();
    let zero = runs::add_step(&db.employee, on, &new_step(second, task, 0)).await.unwrap();
    let skipped = NewStep { state: "skipped", error: Some("condition".to_owned()), ..new_step(second, task, 2) };
    let two = runs::add_step(&db.employee, on, &skipped).await.unwrap();
    let steps = runs::steps(&db.bob, on, second).await.unwrap();
    assert_eq!(steps.iter().map(|s| s.id).collect::<Vec<_>>(), [zero, one, two]);
    assert!(steps[2].finished_at.is_some() && steps[0].finished_at.is_none());
    assert_eq!(runs::step(&db.employee, on, one).await.unwrap().as_ref(), steps.get(1));
    for (wrong, rule) in [
        (new_step(second, task, 1), "uq_steps_run_ordinal"),
        (new_step(second, task, -1), "steps_ordinal_check"),
        (NewStep { state: "lost", ..new_step(second, task, 9) }, "chk_step_state"),
        (NewStep { policy_id: Some(Uuid::now_v7()), ..new_step(second, task, 9) }, "foreign_key"),
        (new_step(Uuid::now_v7(), task, 9), "foreign_key"),
    ] {
        assert_eq!(refusal(runs::add_step(&db.employee, on, &wrong).await), rule);
    }
    // A deleted task takes its journal along.
    assert!(store::tasks::delete(&db.bob, on, task).await.unwrap());
    assert!(runs::list(&db.service, on, task).await.unwrap().is_empty());
    assert!(runs::step(&db.service, on, one).await.unwrap().is_none());
}

async fn a_step_starts_once(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let run = db.run(task).await;
    let step = runs::add_step(&db.employee, on, &new_step(run, task, 0)).await.unwrap();
    let approval = db.approval(task).await;
    runs::ask_step(&db.employee, on, step, "awaiting_approval", approval, None).await.unwrap();
    let row = runs::step(&db.bob, on, step).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.approval_id), ("awaiting_approval", Some(approval)));
    assert!(approvals::approve(&db.bob, on, approval, None).await.unwrap());
    assert!(runs::start_step(&db.employee, on, step, 2, "{\"b\":1}", &"b".repeat(64)).await.unwrap());
    assert!(!runs::start_step(&db.employee, on, step, 3, "{}", &"c".repeat(64)).await.unwrap(), "a call starts once");
    let row = runs::step(&db.bob, on, step).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.attempt, row.arguments.as_str()), ("started", 2, "{\"b\":1}"));
    assert!(row.started_at.is_some());
    assert!(!runs::unsend_step(&db.employee, on, step, 1).await.unwrap(), "another claim's");
    assert!(runs::unsend_step(&db.employee, on, step, 2).await.unwrap());
    assert!(!runs::unsend_step(&db.employee, on, step, 2).await.unwrap());
    assert!(runs::start_step(&db.employee, on, step, 3, "{}", &"c".repeat(64)).await.unwrap());
    assert!(runs::end_step(&db.employee, on, step, "succeeded", Some("{\"ok\":true}"), None).await.unwrap());
    assert!(!runs::end_step(&db.employee, on, step, "failed", None, Some("again")).await.unwrap(), "ended once");
    assert!(!runs::start_step(&db.employee, on, step, 4, "{}", &"c".repeat(64)).await.unwrap());
    let row = runs::step(&db.bob, on, step).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.result.as_deref(), row.error), ("succeeded", Some("{\"ok\":true}"), None));
    // Two workers at once: one starts it.
    let raced = runs::add_step(&db.employee, on, &new_step(run, task, 1)).await.unwrap();
    let sha = "c".repeat(64);
    let (a, b) = tokio::join!(
        runs::start_step(&db.employee, on, raced, 1, "{}", &sha),
        runs::start_step(&db.employee, on, raced, 2, "{}", &sha)
    );
    assert!(a.unwrap() != b.unwrap());
}

async fn only_the_assignee_journals(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let run = db.run(task).await;
    let step = runs::add_step(&db.employee, on, &new_step(run, task, 0)).await.unwrap();
    let approval = db.approval(task).await;
    for actor in [&db.bob, &db.ada, &db.cat, &db.obs, &db.sus, &db.admin_agent, &db.nobody] {
        assert_eq!(refusal(runs::create(actor, on, task, "p", "s", "h").await), "refused");
        assert_eq!(refusal(runs::add_step(actor, on, &new_step(run, task, 5)).await), "refused");
        assert!(!runs::finish(actor, on, run, "completed", None).await.unwrap());
        assert!(!runs::start_step(actor, on, step, 1, "{}", "h").await.unwrap());
        assert!(!runs::end_step(actor, on, step, "succeeded", None, None).await.unwrap());
        assert!(!runs::unsend_step(actor, on, step, 1).await.unwrap());
        runs::ask_step(actor, on, step, "awaiting_approval", approval, None).await.unwrap();
    }
    for refused in [
        refusal(runs::create(&db.service, on, task, "p", "s", "h").await),
        refusal(runs::finish(&db.service, on, run, "completed", None).await),
        refusal(runs::start_step(&db.service, on, step, 1, "{}", "h").await),
    ] {
        assert_eq!(refused, "refused");
    }
    let row = runs::step(&db.service, on, step).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.approval_id), ("planned", None));
    assert!(runs::list(&db.cat, on, task).await.unwrap().is_empty());
    assert!(runs::steps(&db.cat, on, run).await.unwrap().is_empty());
    assert!(runs::step(&db.cat, on, step).await.unwrap().is_none());
}
