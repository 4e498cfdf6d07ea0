//! `notifications`.

use serde_json::json;
use store::notifications::{self, NewNotification};
use uuid::Uuid;

use crate::common::{Db, id, refusal};

crate::on_both!(telling_and_reading);

fn new(user_id: Uuid, kind: &'static str) -> NewNotification {
    NewNotification {
        user_id,
        title: "ü".repeat(300),
        message: Some("m".to_owned()),
        r#type: kind,
        data: json!({ "task_id": "x" }),
    }
}

async fn telling_and_reading(db: &Db) {
    let on = &db.store;
    let bob = id(&db.bob);
    // Oneself, whoever works for one, and the service; nobody else.
    db.task("x").await;
    let own = notifications::create(&db.bob, on, &new(bob, "info")).await.unwrap();
    let told = notifications::create(&db.employee, on, &new(bob, "approval")).await.unwrap();
    let served = notifications::create(&db.service, on, &new(bob, "alert")).await.unwrap();
    assert_eq!(
        refusal(notifications::create(&db.obs, on, &new(id(&db.obs), "info")).await),
        "refused",
        "an observer writes nothing"
    );
    for actor in [&db.ada, &db.cat, &db.obs, &db.admin_agent, &db.nobody] {
        assert_eq!(refusal(notifications::create(actor, on, &new(bob, "info")).await), "refused", "{actor:?}");
    }
    assert_eq!(refusal(notifications::create(&db.employee, on, &new(id(&db.cat), "info")).await), "refused");
    assert_eq!(refusal(notifications::create(&db.bob, on, &new(bob, "gossip")).await), "chk_notification_type");
    assert_eq!(refusal(notifications::create(&db.service, on, &new(Uuid::now_v7(), "info")).await), "foreign_key");

    let all = notifications::list(&db.bob, on, None, 10).await.unwrap();
    assert_eq!(
        all.iter().map(|n| (n.id, n.r#type.as_str())).collect::<Vec<_>>(),
        [(served, "alert"), (told, "approval"), (own, "info")]
    );
    assert_eq!(all[0].title, "ü".repeat(255));
    assert!(all.iter().all(|n| n.status == "unread"
        && n.sent_at.is_some()
        && n.read_at.is_none()
        && n.channel == "web"
        && n.data == Some(json!({ "task_id": "x" }))));
    assert!(
        notifications::list(&db.ada, on, None, 10).await.unwrap().is_empty(),
        "also an administrator reads only her own"
    );
    assert_eq!(notifications::list(&db.bob, on, None, 1).await.unwrap().len(), 1);

    assert!(notifications::set_status(&db.bob, on, told, "read").await.unwrap());
    let read = notifications::list(&db.bob, on, Some("read"), 10).await.unwrap();
    assert!(read.len() == 1 && read[0].read_at.is_some());
    assert!(notifications::set_status(&db.bob, on, told, "archived").await.unwrap());
    assert_eq!(
        notifications::list(&db.bob, on, Some("archived"), 10).await.unwrap()[0].read_at,
        read[0].read_at,
        "read once"
    );
    assert!(notifications::set_status(&db.bob, on, told, "unread").await.unwrap());
    assert_eq!(
        notifications::list(&db.bob, on, Some("unread"), 10)
            .await
            .unwrap()
            .iter()
            .filter(|n| n.read_at.is_none())
            .count(),
        3
    );
    for (actor, most, count) in [(&db.bob, 100, 3), (&db.bob, 2, 2), (&db.ada, 100, 0), (&db.nobody, 100, 0)] {
        assert_eq!(notifications::unread(actor, on, most).await.unwrap(), count, "{actor:?}");
    }
    for actor in [&db.ada, &db.cat, &db.employee, &db.nobody] {
        assert!(!notifications::set_status(actor, on, own, "read").await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(notifications::set_status(&db.service, on, own, "read").await), "refused");
    assert_eq!(refusal(notifications::set_status(&db.bob, on, own, "lost").await), "chk_notification_status");
    assert!(!notifications::set_status(&db.bob, on, Uuid::now_v7(), "read").await.unwrap());
}
