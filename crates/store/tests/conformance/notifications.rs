//! `notifications`.

use jiff::SignedDuration;
use serde_json::json;
use store::{
    notification_channels, notification_outbox,
    notifications::{self, NewNotification},
    users,
};
use uuid::Uuid;

use crate::common::{Db, id, refusal};

crate::on_both!(telling_and_reading, what_is_told_goes_through_the_outbox, ways_are_an_administrators);

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
    for status in [None, Some("unread")] {
        let (mut walked, mut place) = (Vec::new(), None);
        for _ in 0..4 {
            let page = notifications::page(&db.bob, on, status, place, 1).await.unwrap();
            let Some(row) = page.first() else { break };
            place = Some((row.created_at, row.id));
            walked.push(row.id);
        }
        assert_eq!(walked, [served, told, own], "page by page");
    }

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

async fn what_is_told_goes_through_the_outbox(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    let lease = SignedDuration::from_secs(60);
    // Of itself: nobody who tells can forget it.
    let told = notifications::create(&db.bob, on, &new(bob, "error")).await.unwrap();
    let first = notification_outbox::claim(service, on, lease, 10).await.unwrap();
    assert_eq!(
        first.iter().map(|o| (o.notification_id, o.state.as_str(), o.attempts)).collect::<Vec<_>>(),
        [(told, "planning", 1)]
    );
    assert!(notification_outbox::claim(service, on, lease, 10).await.unwrap().is_empty(), "held by another");
    let row = notifications::get(service, on, told).await.unwrap().unwrap();
    assert_eq!(row.priority, "high");
    let copy = Uuid::now_v7();
    assert!(notifications::put_copy(service, on, copy, "email", &row, None).await.unwrap());
    assert!(!notifications::put_copy(service, on, copy, "email", &row, None).await.unwrap(), "once, however often");
    let later = store::now() + SignedDuration::from_hours(1);
    let at_night = Uuid::now_v7();
    assert!(notifications::put_copy(service, on, at_night, "sms", &row, Some(later)).await.unwrap());
    assert!(notification_outbox::finish(service, on, &first[0], "done", None).await.unwrap());
    assert!(!notification_outbox::finish(service, on, &first[0], "done", None).await.unwrap(), "ended once");
    // The copy waits to be sent, the one for later does not yet; neither is listed on the web.
    let waiting = notification_outbox::claim(service, on, SignedDuration::from_secs(-1), 10).await.unwrap();
    assert_eq!(waiting.iter().map(|o| (o.notification_id, o.state.as_str())).collect::<Vec<_>>(), [(copy, "waiting")]);
    assert_eq!(notifications::list(&db.bob, on, None, 10).await.unwrap().len(), 1);
    // Whoever had it is taken for dead: it is taken up again, and the dead one's word counts no more.
    let again = notification_outbox::claim(service, on, lease, 10).await.unwrap();
    assert_eq!((again[0].notification_id, again[0].attempts), (copy, 2));
    assert!(!notification_outbox::finish(service, on, &waiting[0], "done", None).await.unwrap());
    assert!(notification_outbox::retry(service, on, &again[0], SignedDuration::ZERO, "busy").await.unwrap());
    let third = notification_outbox::claim(service, on, lease, 10).await.unwrap();
    assert_eq!((third[0].attempts, third[0].last_error.as_deref()), (3, Some("busy")));
    assert!(notification_outbox::finish(service, on, &third[0], "done", None).await.unwrap());
    assert!(notifications::sent(service, on, copy).await.unwrap());
    assert!(!notifications::sent(service, on, copy).await.unwrap());
    let ways = notifications::list_ways(&db.bob, on, 10).await.unwrap();
    assert_eq!(ways.iter().map(|n| (n.id, n.sent_at.is_some())).collect::<Vec<_>>(), [(at_night, false), (copy, true)]);
    let states = notification_outbox::list(&db.bob, on, vec![copy, told]).await.unwrap();
    assert_eq!(states.len(), 2);
    for actor in [&db.ada, &db.cat, &db.employee, &db.nobody] {
        assert!(notification_outbox::list(actor, on, vec![copy, told]).await.unwrap().is_empty(), "{actor:?}");
        assert_eq!(refusal(notification_outbox::claim(actor, on, lease, 10).await), "refused", "{actor:?}");
        assert_eq!(refusal(notifications::sent(actor, on, copy).await), "refused", "{actor:?}");
    }
}

async fn ways_are_an_administrators(db: &Db) {
    let (on, secret) = (&db.store, Some(json!({ "sealed": "x" })));
    assert!(notification_channels::put(&db.ada, on, "email", json!({ "host": "a" }), secret.clone()).await.unwrap());
    assert!(notification_channels::put(&db.ada, on, "email", json!({ "host": "ü" }), secret.clone()).await.unwrap());
    let listed = notification_channels::list(&db.ada, on).await.unwrap();
    assert_eq!((listed.len(), &listed[0].config), (1, &json!({ "host": "ü" })));
    assert_eq!(notification_channels::ways(&db.service, on).await.unwrap()[0].secret, secret);
    assert_eq!(
        refusal(notification_channels::put(&db.ada, on, "pigeon", json!({}), None).await),
        "chk_notification_channels_channel"
    );
    for actor in [&db.bob, &db.obs, &db.employee, &db.nobody] {
        assert!(notification_channels::list(actor, on).await.unwrap().is_empty(), "{actor:?}");
        assert_eq!(
            refusal(notification_channels::put(actor, on, "sms", json!({}), None).await),
            "refused",
            "{actor:?}"
        );
        assert_eq!(refusal(notification_channels::ways(actor, on).await), "refused", "{actor:?}");
        assert!(!notification_channels::delete(actor, on, "email").await.unwrap(), "{actor:?}");
    }
    assert!(notification_channels::delete(&db.ada, on, "email").await.unwrap());
    // Settings of one's own: through Steward, which checks whose they are.
    let wish = json!({ "notifications": { "zone": "Europe/Berlin" } });
    assert!(users::set_preferences(&db.service, on, id(&db.bob), wish.clone()).await.unwrap());
    let bob = users::contact(&db.service, on, id(&db.bob)).await.unwrap().unwrap();
    assert_eq!((bob.preferences, bob.status.as_str()), (wish, "active"));
    assert_eq!(refusal(users::contact(&db.bob, on, id(&db.bob)).await), "refused");
    assert!(!users::set_preferences(&db.bob, on, id(&db.bob), json!({})).await.unwrap());
}
