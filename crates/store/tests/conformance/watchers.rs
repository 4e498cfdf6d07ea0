//! `watchers`, their events and cursors.

use serde_json::json;
use store::watchers;
use uuid::Uuid;

use crate::common::{Db, id, refusal};

crate::on_both!(lists_are_whole, a_watcher_acts_for_its_maker, an_event_counts_once);

async fn a_watcher_acts_for_its_maker(db: &Db) {
    let on = &db.store;
    let config = json!({ "path": "~/inbox ü", "playbook": "file-away" });
    let inbox = watchers::create(&db.bob, on, "inbox", "folder", config.clone()).await.unwrap();
    for actor in [&db.obs, &db.sus, &db.ina, &db.service, &db.nobody] {
        assert_eq!(refusal(watchers::create(actor, on, "x", "folder", json!({})).await), "refused", "{actor:?}");
    }
    let row = watchers::get(&db.bob, on, inbox).await.unwrap().unwrap();
    assert_eq!(
        (row.name.as_str(), row.config, row.is_active, row.error_count, row.created_by),
        ("inbox", Some(config), true, 0, Some(id(&db.bob)))
    );
    for (actor, sees) in [
        (&db.ada, true),
        (&db.obs, true),
        (&db.service, true),
        (&db.admin_agent, false),
        (&db.cat, false),
        (&db.employee, false),
        (&db.nobody, false),
    ] {
        assert_eq!(watchers::get(actor, on, inbox).await.unwrap().is_some(), sees, "{actor:?}");
        assert_eq!(watchers::list(actor, on).await.unwrap().len(), usize::from(sees), "{actor:?}");
    }
    for (actor, may) in [(&db.bob, true), (&db.ada, true), (&db.cat, false), (&db.obs, false), (&db.employee, false)] {
        let changed = watchers::set_config(actor, on, inbox, json!({ "path": "/ü" })).await.unwrap();
        assert_eq!(changed, may, "{actor:?}");
    }
    assert_eq!(refusal(watchers::set_config(&db.service, on, inbox, json!({})).await), "refused");
    let changed = watchers::get(&db.bob, on, inbox).await.unwrap().unwrap().config;
    assert_eq!(changed, Some(json!({ "path": "/ü" })));
    assert!(watchers::report(&db.bob, on, inbox, Some("folder is missing")).await.unwrap());
    assert!(watchers::report(&db.service, on, inbox, Some("still")).await.unwrap());
    let row = watchers::get(&db.bob, on, inbox).await.unwrap().unwrap();
    assert_eq!((row.error_count, row.last_error.as_deref()), (2, Some("still")));
    assert!(row.last_run.is_some());
    assert!(watchers::report(&db.bob, on, inbox, None).await.unwrap());
    let row = watchers::get(&db.bob, on, inbox).await.unwrap().unwrap();
    assert_eq!((row.error_count, row.last_error), (0, None));
    for actor in [&db.cat, &db.obs, &db.sus, &db.employee, &db.nobody] {
        assert!(!watchers::report(actor, on, inbox, None).await.unwrap(), "{actor:?}");
        assert!(!watchers::set_active(actor, on, inbox, false).await.unwrap(), "{actor:?}");
        assert!(!watchers::delete(actor, on, inbox).await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(watchers::set_active(&db.service, on, inbox, false).await), "refused");
    assert_eq!(refusal(watchers::delete(&db.service, on, inbox).await), "refused");
    assert!(watchers::set_active(&db.ada, on, inbox, false).await.unwrap());
    assert!(!watchers::get(&db.bob, on, inbox).await.unwrap().unwrap().is_active);
    assert!(watchers::set_active(&db.bob, on, inbox, true).await.unwrap());
    let mut changed = watchers::get(&db.bob, on, inbox).await.unwrap().unwrap();
    (changed.name, changed.config, changed.is_active) = ("post".to_owned(), Some(json!({"path": "/post"})), false);
    for actor in [&db.cat, &db.obs, &db.sus, &db.employee, &db.nobody] {
        assert!(!watchers::update(actor, on, &changed).await.unwrap(), "{actor:?}");
    }
    assert!(watchers::update(&db.bob, on, &changed).await.unwrap());
    let row = watchers::get(&db.bob, on, inbox).await.unwrap().unwrap();
    assert_eq!((&row.name, &row.config, row.is_active), (&changed.name, &changed.config, false));
    changed.name = "x".repeat(101);
    assert_eq!(refusal(watchers::update(&db.bob, on, &changed).await), "length");
    (changed.name, changed.is_active) = ("inbox".to_owned(), true);
    assert!(watchers::update(&db.bob, on, &changed).await.unwrap());
    watchers::create(&db.bob, on, "Alpha", "folder", json!({})).await.unwrap();
    assert_eq!(
        watchers::list(&db.bob, on).await.unwrap().iter().map(|w| w.name.clone()).collect::<Vec<_>>(),
        ["Alpha", "inbox"]
    );
    assert_eq!(refusal(watchers::create(&db.bob, on, &"x".repeat(101), "folder", json!({})).await), "length");
    assert!(watchers::delete(&db.bob, on, inbox).await.unwrap());
    assert!(!watchers::delete(&db.bob, on, inbox).await.unwrap());
}

async fn an_event_counts_once(db: &Db) {
    let on = &db.store;
    let inbox = watchers::create(&db.bob, on, "inbox", "folder", json!({})).await.unwrap();
    let task = db.task("x").await;
    assert!(watchers::add_event(&db.bob, on, inbox, "key", Some(task), "a.pdf", "f1").await.unwrap());
    assert!(!watchers::add_event(&db.bob, on, inbox, "key", None, "b.pdf", "f2").await.unwrap(), "noted before");
    assert!(watchers::known(&db.bob, on, inbox, "a.pdf", "f1").await.unwrap());
    assert!(!watchers::known(&db.bob, on, inbox, "a.pdf", "f2").await.unwrap());
    assert!(!watchers::known(&db.cat, on, inbox, "a.pdf", "f1").await.unwrap());
    assert!(watchers::known(&db.obs, on, inbox, "a.pdf", "f1").await.unwrap());
    let asked = || vec!["key".to_owned(), "other".to_owned(), "key".to_owned()];
    let known = watchers::known_keys(&db.bob, on, inbox, asked()).await.unwrap();
    assert_eq!(known.iter().map(|e| e.event_key.as_str()).collect::<Vec<_>>(), ["key"]);
    assert!(watchers::known_keys(&db.cat, on, inbox, asked()).await.unwrap().is_empty());
    assert!(watchers::known_keys(&db.bob, on, inbox, Vec::new()).await.unwrap().is_empty());
    // Two at once under one key: one is noted.
    let (a, b) = tokio::join!(
        watchers::add_event(&db.bob, on, inbox, "raced", None, "c", "f"),
        watchers::add_event(&db.bob, on, inbox, "raced", None, "c", "f")
    );
    assert!(a.unwrap() != b.unwrap());
    for actor in [&db.cat, &db.ada, &db.obs, &db.employee, &db.service, &db.nobody] {
        assert_eq!(
            refusal(watchers::add_event(actor, on, inbox, "other", None, "x", "f").await),
            "refused",
            "{actor:?}"
        );
        assert_eq!(refusal(watchers::put_cursor(actor, on, inbox, json!(1)).await), "refused", "{actor:?}");
    }
    assert_eq!(refusal(watchers::add_event(&db.bob, on, inbox, &"k".repeat(256), None, "x", "f").await), "length");
    assert_eq!(
        refusal(watchers::add_event(&db.bob, on, inbox, "t", Some(Uuid::now_v7()), "x", "f").await),
        "foreign_key"
    );
    assert_eq!(refusal(watchers::add_event(&db.bob, on, Uuid::now_v7(), "t", None, "x", "f").await), "refused");

    assert_eq!(watchers::cursor(&db.bob, on, inbox).await.unwrap(), None);
    watchers::put_cursor(&db.bob, on, inbox, json!({ "seen": [1, "ü"] })).await.unwrap();
    watchers::put_cursor(&db.bob, on, inbox, json!({ "seen": [2] })).await.unwrap();
    assert_eq!(watchers::cursor(&db.bob, on, inbox).await.unwrap(), Some(json!({ "seen": [2] })));
    assert_eq!(watchers::cursor(&db.service, on, inbox).await.unwrap(), Some(json!({ "seen": [2] })));
    assert_eq!(watchers::cursor(&db.obs, on, inbox).await.unwrap(), None, "a cursor is its maker's");
    // What a watcher has seen goes with it; the task stays.
    assert!(watchers::delete(&db.bob, on, inbox).await.unwrap());
    assert!(!watchers::known(&db.service, on, inbox, "a.pdf", "f1").await.unwrap());
    assert!(store::tasks::get(&db.bob, on, task).await.unwrap().is_some());
}

async fn lists_are_whole(db: &Db) {
    let ada = db.ada.clone();
    let made: store::Result<()> = db
        .store
        .transaction(move |tx| {
            Box::pin(async move {
                for n in 0..401 {
                    watchers::create(&ada, tx, &format!("w{n:03}"), "folder", json!({})).await?;
                }
                Ok(())
            })
        })
        .await;
    made.unwrap();
    let names: Vec<String> =
        watchers::list(&db.ada, &db.store).await.unwrap().into_iter().map(|watcher| watcher.name).collect();
    assert_eq!(names, (0..401).map(|n| format!("w{n:03}")).collect::<Vec<_>>());
}
