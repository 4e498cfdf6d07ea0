//! `audit_trail` and its chain.

use serde_json::json;
use store::{
    Store, approvals, audit_trail, mcp_servers, notifications, policies, runs, sessions, task_queue, tasks, users,
    watchers,
};

use crate::common::{Db, id, in_seconds, new_user, refusal};

crate::on_both!(
    every_change_leaves_its_row,
    who_reads_the_trail,
    an_altered_row_is_found,
    a_removed_row_is_found,
    a_removed_link_is_found,
    a_foreign_row_is_found,
    a_new_order_is_found,
    a_cut_tail_is_found
);

/// A bit of everything, so that the chain is long and of many kinds.
async fn work(db: &Db) -> usize {
    let on = &db.store;
    let bob = db.bob.clone().from_request(Some("192.0.2.7".parse().unwrap()), Some("Fire\u{7}fox „ü“"), Some("r-1"));
    let task = tasks::create(
        &bob,
        on,
        &tasks::NewTask {
            assigned_to: Some(id(&db.employee)),
            ..tasks::NewTask::titled("tâche \u{1F600} \\ \" \u{1}")
        },
    )
    .await
    .unwrap();
    let mut row = tasks::get(&bob, on, task).await.unwrap().unwrap();
    row.metadata = json!({ "n": 1.50, "e": 1e-7, "big": u64::MAX, "z": [], "a": { "ä": "\u{1F600}" } });
    row.due_date = Some(in_seconds(9999));
    tasks::update(&bob, on, &row).await.unwrap();
    let lease = task_queue::claim(&db.employee, on, "w", in_seconds(60)).await.unwrap().unwrap();
    let run = db.run(task).await;
    let step = runs::add_step(&db.employee, on, &super::runs::new_step(run, task, 0)).await.unwrap();
    let approval = db.approval(task).await;
    runs::ask_step(&db.employee, on, step, "awaiting_approval", approval, None).await.unwrap();
    task_queue::wait(&db.employee, on, &lease).await.unwrap();
    let call = approvals::ApprovalCall {
        approval_id: approval,
        step_id: step,
        server: "files".to_owned(),
        tool: "t".to_owned(),
        definition_sha256: "d".to_owned(),
        arguments: "{ \"a\": 1.0 }".to_owned(),
        arguments_sha256: "a".to_owned(),
    };
    approvals::add_call(&db.employee, on, &call).await.unwrap();
    tasks::add_provenance(&bob, on, task, true, "watcher:inbox", json!({ "path": "ü" })).await.unwrap();
    approvals::add_edit(&db.bob, on, approval, "{}", &"0".repeat(64)).await.unwrap();
    approvals::approve(&db.bob, on, approval, Some("yes")).await.unwrap();
    runs::end_step(&db.employee, on, step, "succeeded", Some("{}"), None).await.unwrap();
    runs::finish(&db.employee, on, run, "completed", None).await.unwrap();
    let server = mcp_servers::create(&db.ada, on, "files", "npx", vec!["a".to_owned()], Some(json!({ "K": "s3cret" })))
        .await
        .unwrap();
    mcp_servers::see_tool(&db.service, on, server, "t", None, &json!({}), "h").await.unwrap();
    mcp_servers::approve_tool(&db.ada, on, server, "t", "h", false).await.unwrap();
    mcp_servers::delete(&db.ada, on, server).await.unwrap();
    let inbox = watchers::create(&db.bob, on, "inbox", "folder", json!({ "p": 1 })).await.unwrap();
    watchers::report(&db.bob, on, inbox, Some("e")).await.unwrap();
    let new = policies::NewPolicy {
        position: 1,
        name: "p".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 5,
    };
    policies::create(&db.ada, on, &new).await.unwrap();
    sessions::create(&db.service, on, id(&db.bob), &"a".repeat(64), in_seconds(60), bob.ip_address, None)
        .await
        .unwrap();
    let told = notifications::NewNotification {
        user_id: id(&db.bob),
        title: "t".to_owned(),
        message: None,
        r#type: "info",
        data: json!({}),
    };
    notifications::create(&db.service, on, &told).await.unwrap();
    let extra = users::create(&db.ada, on, &new_user("extra", "user")).await.unwrap();
    users::set_status(&db.ada, on, extra, "suspended").await.unwrap();
    tasks::delete(&db.bob, on, task).await.unwrap();
    audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap().len()
}

async fn every_change_leaves_its_row(db: &Db) {
    let on = &db.store;
    let rows = work(db).await;
    let report = audit_trail::verify(&db.ada, on).await.unwrap();
    assert_eq!((report.links, &report.broken), (i64::try_from(rows).unwrap(), &None));
    let all = audit_trail::list(&db.service, on, None, None, 1000).await.unwrap();
    let made = all.iter().find(|a| a.action == "task_created").unwrap();
    assert_eq!(
        (made.user_id, made.ip_address, made.user_agent.as_deref()),
        (Some(id(&db.bob)), Some("192.0.2.7".parse().unwrap()), Some("Firefox „ü“"))
    );
    let mut actions: Vec<&str> = all.iter().map(|a| a.action.as_str()).collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(
        actions,
        [
            "agent_created",
            "approval_call_created",
            "approval_call_deleted",
            "approval_created",
            "approval_deleted",
            "approval_edit_created",
            "approval_edit_deleted",
            "approval_updated",
            "mcp_server_created",
            "mcp_server_deleted",
            "notification_created",
            "policy_created",
            "run_created",
            "run_deleted",
            "run_updated",
            "server_tool_created",
            "server_tool_deleted",
            "server_tool_updated",
            "session_created",
            "step_created",
            "step_deleted",
            "step_updated",
            "task_created",
            "task_deleted",
            "task_provenance_created",
            "task_provenance_deleted",
            "task_updated",
            "user_created",
            "user_updated",
            "watcher_created",
            "watcher_updated"
        ]
    );
    // Nothing that was rolled back, nor a read, leaves a row.
    let bob = db.bob.clone();
    crate::common::undone(on, move |tx| {
        Box::pin(async move { tasks::create(&bob, tx, &tasks::NewTask::titled("x")).await.unwrap() })
    })
    .await;
    assert_eq!(audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap().len(), rows);
    // A change that changes nothing is none.
    users::set_status(&db.ada, on, id(&db.cat), "active").await.unwrap();
    assert_eq!(audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap().len(), rows);
    assert_eq!(audit_trail::verify(&db.service, on).await.unwrap().head.len(), 64);
}

async fn who_reads_the_trail(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    for (actor, sees) in [
        (&db.ada, 1),
        (&db.bob, 1),
        (&db.employee, 1),
        (&db.obs, 1),
        (&db.service, 1),
        (&db.cat, 0),
        (&db.sus, 0),
        (&db.nobody, 0),
    ] {
        assert_eq!(audit_trail::list(actor, on, Some("task"), Some(task), 10).await.unwrap().len(), sees, "{actor:?}");
    }
    let of_ada = audit_trail::list(&db.bob, on, Some("user"), None, 100).await.unwrap();
    assert!(of_ada.is_empty(), "what others did to others stays theirs");
    // Who may not read the whole trail sees no chain, and no alarm.
    for actor in [&db.bob, &db.obs, &db.nobody] {
        let report = audit_trail::verify(actor, on).await.unwrap();
        assert_eq!(report.links, 0, "{actor:?}");
    }
    assert_eq!(audit_trail::verify(&db.ada, on).await.unwrap().broken, None);
}

async fn broken(db: &Db, sql: &str) -> String {
    work(db).await;
    assert_eq!(audit_trail::verify(&db.ada, &db.store).await.unwrap().broken, None);
    db.tamper(sql).await;
    // Also through a connection that was open before.
    let said = audit_trail::verify(&db.ada, &db.store).await.unwrap().broken.expect("the chain is broken");
    let anew = Store::open(&db.config).await.unwrap();
    assert_eq!(audit_trail::verify(&db.ada, &anew).await.unwrap().broken.as_ref(), Some(&said));
    anew.close().await;
    said
}
async fn an_altered_row_is_found(db: &Db) {
    let said =
        broken(db, "UPDATE audit_trail SET user_id = NULL WHERE id = (SELECT audit_id FROM audit_chain WHERE seq = 5)")
            .await;
    assert_eq!(said, "the row of link 5 was altered");
}
async fn a_removed_row_is_found(db: &Db) {
    // With the foreign key out of the way, as whoever owns the file or the server can.
    let sql = match db.engine {
        crate::common::Engine::Sqlite => {
            "PRAGMA foreign_keys = OFF; DELETE FROM audit_trail WHERE id = (SELECT audit_id FROM audit_chain WHERE seq = 7)"
        }
        crate::common::Engine::Postgres => {
            "DELETE FROM audit_trail WHERE id = (SELECT audit_id FROM audit_chain WHERE seq = 7)"
        }
    };
    assert_eq!(broken(db, sql).await, "the row of link 7 was removed");
}
async fn a_removed_link_is_found(db: &Db) {
    assert_eq!(broken(db, "DELETE FROM audit_chain WHERE seq = 3").await, "link 3 is missing");
}
async fn a_foreign_row_is_found(db: &Db) {
    let sql = "INSERT INTO audit_trail (id, action, created_at) VALUES ('00000000-0000-7000-8000-000000000001', 'x', '2026-01-01T00:00:00.000000Z')";
    let said = broken(db, sql).await;
    assert!(said.contains("rows stand in the trail, but the chain has"), "{said}");
}
async fn a_new_order_is_found(db: &Db) {
    let sql = "UPDATE audit_chain SET seq = 100000 WHERE seq = 4; UPDATE audit_chain SET seq = 4 WHERE seq = 5; UPDATE audit_chain SET seq = 5 WHERE seq = 100000";
    assert_eq!(broken(db, sql).await, "link 4 does not follow the one before it");
}
async fn a_cut_tail_is_found(db: &Db) {
    // The last link without its row; a tail cut off whole shows only against a head kept elsewhere.
    let said = broken(db, "DELETE FROM audit_chain WHERE seq = (SELECT max(seq) FROM audit_chain)").await;
    assert!(said.contains("but the chain has"), "{said}");
    assert_eq!(
        refusal(users::credentials(&db.ada, &db.store, "ada").await.map(|_| ())),
        "refused",
        "the rest still answers"
    );
}
