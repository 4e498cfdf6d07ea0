//! `approvals`, the calls they freeze, and edits.

use store::{
    Actor,
    approvals::{self, ApprovalCall},
    runs, task_queue, tasks,
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, new_approval, refusal, seconds};

crate::on_both!(
    asking_and_seeing,
    deciding_once,
    agents_never_decide,
    expired_means_no,
    more_time,
    frozen_calls_and_edits,
    decisions_release_the_queue,
    lists
);

async fn asking_and_seeing(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let new = new_approval(task, 60);
    let approval = approvals::create(&db.employee, on, &new).await.unwrap();
    let row = approvals::get(&db.bob, on, approval).await.unwrap().unwrap();
    assert_eq!(
        (row.task_id, row.status.as_str(), row.requested_by),
        (Some(task), "pending", id(&db.employee).to_string())
    );
    assert_eq!(
        (row.details, row.expires_at, row.action_type.as_str()),
        (Some(new.details.clone()), Some(new.expires_at), "tool_call")
    );
    for (actor, sees) in [
        (&db.ada, true),
        (&db.bob, true),
        (&db.employee, true),
        (&db.obs, true),
        (&db.service, true),
        (&db.admin_agent, false),
        (&db.cat, false),
        (&db.sus, false),
        (&db.nobody, false),
    ] {
        assert_eq!(approvals::get(actor, on, approval).await.unwrap().is_some(), sees, "{actor:?}");
    }
    for actor in [&db.cat, &db.obs, &db.sus, &db.service, &db.nobody] {
        assert_eq!(refusal(approvals::create(actor, on, &new).await), "refused", "{actor:?}");
    }
    assert_eq!(refusal(approvals::create(&db.employee, on, &new_approval(Uuid::now_v7(), 60)).await), "refused");
}

async fn deciding_once(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let approval = db.approval(task).await;
    for actor in [&db.cat, &db.obs, &db.sus, &db.ina, &db.employee, &db.nobody] {
        assert!(!approvals::approve(actor, on, approval, None).await.unwrap(), "{actor:?}");
        assert!(!approvals::reject(actor, on, approval, None).await.unwrap(), "{actor:?}");
        assert!(approvals::lock(actor, on, approval).await.unwrap().is_none(), "{actor:?}");
    }
    assert_eq!(refusal(approvals::approve(&db.service, on, approval, None).await), "refused");
    assert_eq!(refusal(approvals::reject(&db.service, on, approval, None).await), "refused");
    assert!(approvals::lock(&db.bob, on, approval).await.unwrap().is_some());
    assert!(approvals::lock(&db.ada, on, approval).await.unwrap().is_some());
    assert!(approvals::approve(&db.bob, on, approval, Some("ja, März")).await.unwrap());
    let row = approvals::get(&db.bob, on, approval).await.unwrap().unwrap();
    assert_eq!(
        (row.status.as_str(), row.approved_by, row.rejected_by, row.notes.as_deref()),
        ("approved", Some(id(&db.bob)), None, Some("ja, März"))
    );
    assert!(row.approved_at.is_some() && row.rejected_at.is_none());
    // The second decision, whosever, changes nothing.
    for actor in [&db.bob, &db.ada] {
        assert!(!approvals::approve(actor, on, approval, None).await.unwrap());
        assert!(!approvals::reject(actor, on, approval, Some("no")).await.unwrap());
        assert!(approvals::lock(actor, on, approval).await.unwrap().is_none());
    }
    assert_eq!(approvals::get(&db.bob, on, approval).await.unwrap().unwrap(), row);
    // Two at once: one decides.
    let both = db.approval(task).await;
    let (yes, no) =
        tokio::join!(approvals::approve(&db.bob, on, both, None), approvals::reject(&db.ada, on, both, None));
    assert!(yes.unwrap() != no.unwrap(), "exactly one of them");
    let rejected = db.approval(task).await;
    assert!(approvals::reject(&db.ada, on, rejected, Some("not this")).await.unwrap());
    let row = approvals::get(&db.ada, on, rejected).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.rejected_by, row.approved_by), ("rejected", Some(id(&db.ada)), None));
    let audit = store::audit_trail::list(&db.service, on, Some("approval"), Some(rejected), 10).await.unwrap();
    assert_eq!(
        audit.iter().map(|a| (a.action.as_str(), a.user_id)).collect::<Vec<_>>(),
        [("approval_updated", Some(id(&db.ada))), ("approval_created", Some(id(&db.employee)))]
    );
}

async fn agents_never_decide(db: &Db) {
    let on = &db.store;
    // Neither on work of others nor on tasks they made themselves, nor with an administrator's role.
    let its_own = |agent: &Actor| {
        let agent = agent.clone();
        async move {
            let new = tasks::NewTask { assigned_to: agent.user_id(), ..tasks::NewTask::titled("its own") };
            let task = tasks::create(&agent, on, &new).await.unwrap();
            approvals::create(&agent, on, &new_approval(task, 60)).await.unwrap()
        }
    };
    for agent in [&db.employee, &db.admin_agent] {
        for approval in [db.approval(db.task("x").await).await, its_own(agent).await] {
            assert!(!approvals::approve(agent, on, approval, None).await.unwrap());
            assert!(!approvals::reject(agent, on, approval, None).await.unwrap());
            assert!(approvals::lock(agent, on, approval).await.unwrap().is_none());
            assert_eq!(refusal(approvals::add_edit(agent, on, approval, "{}", &"0".repeat(64)).await), "refused");
            assert_eq!(approvals::get(&db.ada, on, approval).await.unwrap().unwrap().status, "pending");
        }
    }
}

async fn expired_means_no(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let late = approvals::create(&db.employee, on, &new_approval(task, -1)).await.unwrap();
    let open = db.approval(task).await;
    assert_eq!(refusal(approvals::approve(&db.bob, on, late, None).await), "chk_approval_not_expired");
    assert_eq!(refusal(approvals::reject(&db.ada, on, late, None).await), "chk_approval_not_expired");
    // Letting expire is the service's, and never says yes.
    assert_eq!(refusal(approvals::expire(&db.bob, on).await), "refused");
    assert!(approvals::expire(&db.cat, on).await.unwrap().is_empty());
    assert_eq!(approvals::expire(&db.service, on).await.unwrap(), [late]);
    assert!(approvals::expire(&db.service, on).await.unwrap().is_empty());
    let row = approvals::get(&db.bob, on, late).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.approved_by, row.rejected_by), ("expired", None, None));
    assert!(!approvals::approve(&db.bob, on, late, None).await.unwrap(), "expired stays expired");
    assert_eq!(approvals::get(&db.bob, on, open).await.unwrap().unwrap().status, "pending");
}

async fn more_time(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let approval = db.approval(task).await;
    let day = 86_400;
    for actor in [&db.cat, &db.obs, &db.sus, &db.ina, &db.employee, &db.admin_agent, &db.nobody] {
        assert!(!approvals::extend(actor, on, approval, in_seconds(day)).await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(approvals::extend(&db.service, on, approval, in_seconds(day)).await), "refused");
    let until = in_seconds(day);
    assert!(approvals::extend(&db.bob, on, approval, until).await.unwrap());
    let row = approvals::get(&db.bob, on, approval).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.expires_at), ("pending", Some(until)));
    // Neither earlier, nor for ever.
    for wrong in [until, in_seconds(60), in_seconds(31 * day)] {
        assert_eq!(refusal(approvals::extend(&db.ada, on, approval, wrong).await), "chk_approval_extension");
    }
    let audit = store::audit_trail::list(&db.service, on, Some("approval"), Some(approval), 10).await.unwrap();
    assert_eq!((audit[0].action.as_str(), audit[0].user_id), ("approval_updated", Some(id(&db.bob))));
    // What is over stays over.
    let late = approvals::create(&db.employee, on, &new_approval(task, -1)).await.unwrap();
    assert_eq!(refusal(approvals::extend(&db.bob, on, late, until).await), "chk_approval_not_expired");
    assert!(approvals::reject(&db.bob, on, approval, None).await.unwrap());
    assert!(!approvals::extend(&db.bob, on, approval, in_seconds(2 * day)).await.unwrap());
}

async fn frozen_calls_and_edits(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let run = db.run(task).await;
    let step = runs::add_step(&db.employee, on, &super::runs::new_step(run, task, 0)).await.unwrap();
    let approval = db.approval(task).await;
    let call = ApprovalCall {
        approval_id: approval,
        step_id: step,
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        definition_sha256: "d".repeat(64),
        arguments: "{\"to\":  \"ü\"}".to_owned(),
        arguments_sha256: "a".repeat(64),
    };
    for actor in [&db.bob, &db.ada, &db.cat, &db.service, &db.nobody] {
        assert_eq!(refusal(approvals::add_call(actor, on, &call).await), "refused", "{actor:?}");
    }
    approvals::add_call(&db.employee, on, &call).await.unwrap();
    assert_eq!(refusal(approvals::add_call(&db.employee, on, &call).await), "approval_calls_pkey");
    let frozen = approvals::call(&db.bob, on, approval).await.unwrap().unwrap();
    assert_eq!((&frozen.call, &frozen.edit), (&call, &None), "byte for byte");
    assert!(approvals::call(&db.cat, on, approval).await.unwrap().is_none());
    assert_eq!(approvals::edit(&db.bob, on, approval).await.unwrap(), None);

    for actor in [&db.cat, &db.obs, &db.sus, &db.employee, &db.service, &db.nobody] {
        assert_eq!(
            refusal(approvals::add_edit(actor, on, approval, "{}", &"e".repeat(64)).await),
            "refused",
            "{actor:?}"
        );
    }
    approvals::add_edit(&db.bob, on, approval, "{\"to\": \"b\"}", &"e".repeat(64)).await.unwrap();
    assert_eq!(refusal(approvals::add_edit(&db.ada, on, approval, "{}", &"f".repeat(64)).await), "approval_edits_pkey");
    let frozen = approvals::call(&db.employee, on, approval).await.unwrap().unwrap();
    assert_eq!(frozen.edit, Some(("{\"to\": \"b\"}".to_owned(), "e".repeat(64))));
    assert_eq!(approvals::edit(&db.employee, on, approval).await.unwrap().as_deref(), Some("{\"to\": \"b\"}"));
    // Once decided, nothing is put in its place any more.
    let decided = db.approval(task).await;
    assert!(approvals::reject(&db.bob, on, decided, None).await.unwrap());
    assert_eq!(refusal(approvals::add_edit(&db.bob, on, decided, "{}", &"e".repeat(64)).await), "refused");
}

async fn decisions_release_the_queue(db: &Db) {
    let on = &db.store;
    for way in ["approve", "reject", "expire"] {
        let task = db.task(way).await;
        let lease = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
        assert_eq!(lease.task_id, task);
        let approval = approvals::create(&db.employee, on, &new_approval(task, if way == "expire" { -1 } else { 60 }))
            .await
            .unwrap();
        assert!(task_queue::wait(&db.employee, on, &lease).await.unwrap());
        assert!(task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().is_none(), "it waits");
        match way {
            "approve" => assert!(approvals::approve(&db.bob, on, approval, None).await.unwrap()),
            "reject" => assert!(approvals::reject(&db.bob, on, approval, None).await.unwrap()),
            _ => assert_eq!(approvals::expire(&db.service, on).await.unwrap(), [approval]),
        }
        let next = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
        assert_eq!((next.task_id, next.attempt), (task, 2), "{way} wakes the work");
        assert!(task_queue::wait(&db.employee, on, &next).await.unwrap());
    }
    // A decision that is rolled back wakes nobody.
    let task = db.task("undone").await;
    let lease = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
    let approval = db.approval(task).await;
    assert!(task_queue::wait(&db.employee, on, &lease).await.unwrap());
    let bob = db.bob.clone();
    assert!(
        crate::common::undone(on, move |tx| Box::pin(async move {
            approvals::approve(&bob, tx, approval, None).await.unwrap()
        }))
        .await
    );
    assert_eq!(task_queue::get(&db.bob, on, task).await.unwrap().unwrap().state, "waiting");
    assert_eq!(approvals::get(&db.bob, on, approval).await.unwrap().unwrap().status, "pending");
}

async fn lists(db: &Db) {
    let on = &db.store;
    let (one, two) = (db.task("one").await, db.task("two").await);
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(db.approval(if n == 3 { two } else { one }).await);
    }
    approvals::approve(&db.bob, on, made[0], None).await.unwrap();
    let ids = async |actor, status, task, cursor, limit| -> Vec<Uuid> {
        approvals::list(actor, on, status, task, cursor, limit).await.unwrap().into_iter().map(|a| a.id).collect()
    };
    let newest = [made[4], made[3], made[2], made[1], made[0]];
    assert_eq!(ids(&db.bob, None, None, None, 10).await, newest);
    assert_eq!(ids(&db.bob, Some("pending"), None, None, 10).await, newest[..4]);
    assert_eq!(ids(&db.obs, None, Some(two), None, 10).await, [made[3]]);
    assert!(ids(&db.cat, None, None, None, 10).await.is_empty());
    for (actor, most, count) in
        [(&db.bob, 100, 4), (&db.bob, 3, 3), (&db.obs, 100, 4), (&db.employee, 100, 4), (&db.cat, 100, 0)]
    {
        assert_eq!(approvals::waiting(actor, on, most).await.unwrap(), count, "{actor:?}");
    }
    for (actor, kind, most, count) in [
        (&db.employee, "tool_call", 100, 4),
        (&db.employee, "tool_call", 2, 2),
        (&db.employee, "request", 100, 0),
        (&db.bob, "tool_call", 100, 0),
    ] {
        assert_eq!(approvals::open_of(actor, on, kind, most).await.unwrap(), count, "{actor:?} {kind}");
    }
    let last = approvals::get(&db.bob, on, made[3]).await.unwrap().unwrap();
    assert_eq!(ids(&db.employee, None, None, Some((last.created_at, last.id)), 2).await, newest[2..4]);
}
