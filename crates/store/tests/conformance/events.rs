//! Changes in the order of their commits, and who may hear of them.

use store::{
    events::{self, Happened},
    mcp_servers, notifications, policies, runs, tasks, watchers,
};
use uuid::Uuid;

use crate::common::{Db, id};

crate::on_both!(changes_come_in_order_with_whom_they_concern, who_may_hear_of_a_change, what_is_gone_is_heard_of);

async fn after(db: &Db, seq: i64) -> Vec<Happened> {
    events::after(&db.service, &db.store, seq).await.unwrap()
}

async fn changes_come_in_order_with_whom_they_concern(db: &Db) {
    let on = &db.store;
    let start = events::latest(&db.service, on).await.unwrap();
    assert!(after(db, start).await.is_empty());
    let task = db.task("one").await;
    let approval = db.approval(task).await;
    let run = db.run(task).await;
    let new = notifications::NewNotification {
        user_id: id(&db.cat),
        title: "t".to_owned(),
        message: None,
        r#type: "info",
        data: serde_json::json!({}),
    };
    let told = notifications::create(&db.service, on, &new).await.unwrap();
    let found = after(db, start).await;
    assert!(found.windows(2).all(|pair| pair[0].seq < pair[1].seq), "{found:?}");
    assert_eq!(events::latest(&db.service, on).await.unwrap(), found.last().unwrap().seq);
    let of = |kind: &str, id: Uuid| {
        let found = found.iter().find(|h| h.kind.as_deref() == Some(kind) && h.entity_id == Some(id));
        found.unwrap_or_else(|| panic!("{kind}: {found:?}")).clone()
    };
    let made = of("task", task);
    assert_eq!((made.action.as_str(), made.task_id, made.creator), ("task_created", Some(task), Some(id(&db.bob))));
    assert_eq!(made.assignee, Some(id(&db.employee)));
    for (kind, id) in [("approval", approval), ("run", run)] {
        let found = of(kind, id);
        assert_eq!((found.task_id, found.creator, found.assignee), (Some(task), made.creator, made.assignee), "{kind}");
    }
    let notification = of("notification", told);
    assert_eq!((notification.task_id, notification.person), (None, Some(id(&db.cat))));
    // From any position on.
    let middle = found[1].seq;
    assert!(after(db, middle).await.iter().all(|h| h.seq > middle));
    assert_eq!(after(db, middle).await.len(), found.len() - 2);
}

async fn who_may_hear_of_a_change(db: &Db) {
    let on = &db.store;
    let task = db.task("one").await;
    let approval = db.approval(task).await;
    let run = db.run(task).await;
    let watcher = watchers::create(&db.bob, on, "inbox", "folder", serde_json::json!({})).await.unwrap();
    let server = mcp_servers::create(&db.ada, on, "files", "npx", vec![], None).await.unwrap();
    let new = policies::NewPolicy {
        position: 1,
        name: "rule".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 5,
    };
    let policy = policies::create(&db.ada, on, &new).await.unwrap();
    let rows = [
        ("task", task),
        ("approval", approval),
        ("run", run),
        ("watcher", watcher),
        ("mcp_server", server),
        ("policy", policy),
        ("user", id(&db.bob)),
        ("unknown", task),
        ("task", Uuid::from_u128(7)),
    ];
    let seen = async |actor| {
        let mut seen: Vec<String> =
            events::visible(actor, on, &rows).await.unwrap().into_iter().map(|row| row.kind).collect();
        seen.sort();
        seen.join(" ")
    };
    let all = "approval mcp_server policy run task user watcher";
    for actor in [&db.ada, &db.bob, &db.obs, &db.service] {
        assert_eq!(seen(actor).await, all, "{actor:?}");
    }
    assert_eq!(seen(&db.employee).await, "approval mcp_server policy run task user");
    assert_eq!(seen(&db.cat).await, "mcp_server policy user");
    assert_eq!(seen(&db.sus).await, "");
    assert_eq!(seen(&db.nobody).await, "");
    assert!(runs::list(&db.cat, on, task).await.unwrap().is_empty(), "as the verbs themselves answer");
}

async fn what_is_gone_is_heard_of(db: &Db) {
    let on = &db.store;
    let task = tasks::create(&db.bob, on, &tasks::NewTask::titled("gone")).await.unwrap();
    let start = events::latest(&db.service, on).await.unwrap();
    assert!(tasks::delete(&db.bob, on, task).await.unwrap());
    let found = after(db, start).await;
    let gone = found.iter().find(|h| h.action == "task_deleted").unwrap();
    assert_eq!((gone.entity_id, gone.person), (Some(task), Some(id(&db.bob))));
    for (actor, sees) in [(&db.bob, true), (&db.ada, true), (&db.cat, false), (&db.obs, false)] {
        let rows = [("task", task), ("audit", gone.audit_id)];
        let seen = events::visible(actor, on, &rows).await.unwrap();
        assert_eq!(seen.iter().any(|row| row.kind == "audit"), sees, "{actor:?}");
        assert!(!seen.iter().any(|row| row.kind == "task"));
    }
}
