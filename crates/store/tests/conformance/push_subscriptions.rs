//! `push_subscriptions` and `push_keys`.

use serde_json::json;
use store::push_subscriptions::{self, MOST};

use crate::common::{Db, id, refusal};

crate::on_both!(a_browser_stands_once, browsers_are_ones_own_and_their_addresses_are_the_services);

async fn a_browser_stands_once(db: &Db) {
    let (on, service, bob, cat) = (&db.store, &db.service, id(&db.bob), id(&db.cat));
    let hash = "a".repeat(64);
    assert!(push_subscriptions::put(service, on, bob, "phone", &hash, json!({"sealed": 1})).await.unwrap());
    assert!(push_subscriptions::put(service, on, cat, "laptop", &hash, json!({"sealed": 2})).await.unwrap());
    assert!(push_subscriptions::list(&db.bob, on, bob).await.unwrap().is_empty(), "who logs in there last has it");
    let held = push_subscriptions::sealed(service, on, cat).await.unwrap();
    assert_eq!((held.len(), &held[0].secret), (1, &json!({"sealed": 2})));
    for n in 1..MOST {
        assert!(push_subscriptions::put(service, on, cat, "x", &format!("{n:064x}"), json!({})).await.unwrap());
    }
    assert!(!push_subscriptions::put(service, on, cat, "x", &"b".repeat(64), json!({})).await.unwrap(), "bounded");
    assert!(push_subscriptions::put(service, on, cat, "again", &hash, json!({})).await.unwrap(), "the same one");
}

async fn browsers_are_ones_own_and_their_addresses_are_the_services(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    assert_eq!(refusal(push_subscriptions::put(&db.bob, on, bob, "x", &"a".repeat(64), json!({})).await), "refused");
    for c in ["a", "b"] {
        assert!(push_subscriptions::put(service, on, bob, "phone", &c.repeat(64), json!({})).await.unwrap());
    }
    let own = push_subscriptions::list(&db.bob, on, bob).await.unwrap();
    assert!(push_subscriptions::list(&db.ada, on, bob).await.unwrap().is_empty(), "nobody else's");
    assert!(!push_subscriptions::remove(&db.cat, on, own[0].id).await.unwrap());
    assert!(push_subscriptions::remove(&db.bob, on, own[0].id).await.unwrap());
    assert!(push_subscriptions::remove(service, on, own[1].id).await.unwrap(), "one that is gone");
    assert!(push_subscriptions::create_key(service, on, json!({"sealed": 1})).await.unwrap());
    assert!(!push_subscriptions::create_key(service, on, json!({"sealed": 2})).await.unwrap(), "there is one");
    assert_eq!(push_subscriptions::key(service, on).await.unwrap(), Some(json!({"sealed": 1})));
    assert!(push_subscriptions::key(&db.ada, on).await.is_err());
}
