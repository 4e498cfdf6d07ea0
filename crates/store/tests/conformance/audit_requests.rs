//! `audit_requests`: the requests behind changes.

use store::{
    audit_trail,
    tasks::{self, NewTask, Task},
};

use crate::common::Db;

crate::on_both!(a_request_stands_beside_its_changes);

/// The id of a request stands beside each change it made, and is seen with it.
async fn a_request_stands_beside_its_changes(db: &Db) {
    let asking = db.bob.clone().from_request(None, None, Some("r-42"));
    let task = tasks::create(&asking, &db.store, &NewTask::titled("asked for")).await.unwrap();
    let row = tasks::get(&db.bob, &db.store, task).await.unwrap().unwrap();
    let changed = Task { title: "changed".to_owned(), ..row };
    assert!(tasks::update(&db.bob, &db.store, &changed).await.unwrap());
    for who in [&db.bob, &db.ada] {
        let told = audit_trail::list(who, &db.store, Some("task"), Some(task), 10).await.unwrap();
        let requests: Vec<_> = told.iter().map(|r| (r.action.as_str(), r.request_id.as_deref())).collect();
        assert_eq!(requests, [("task_updated", None), ("task_created", Some("r-42"))]);
        let all = audit_trail::list(who, &db.store, None, None, 10).await.unwrap();
        assert!(all.iter().any(|r| r.entity_id == Some(task) && r.request_id.as_deref() == Some("r-42")));
    }
    assert!(audit_trail::list(&db.cat, &db.store, Some("task"), Some(task), 10).await.unwrap().is_empty());
    assert!(audit_trail::verify(&db.ada, &db.store).await.unwrap().broken.is_none());
}
