//! `idempotency_keys`.

use serde_json::json;
use store::{idempotency_keys as keys, users};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(a_key_is_taken_once, keys_go_after_their_day);

async fn a_key_is_taken_once(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    let (hash, other) = ("a".repeat(64), "b".repeat(64));
    for actor in [&db.ada, &db.bob, &db.employee, &db.obs, &db.nobody] {
        assert_eq!(refusal(keys::begin(actor, on, bob, "k", &hash).await), "refused", "{actor:?}");
        assert_eq!(refusal(keys::get(actor, on, bob, "k").await), "refused", "{actor:?}");
    }
    let (one, two) =
        tokio::join!(keys::begin(service, on, bob, "k", &hash), keys::begin(service, on, bob, "k", &other));
    assert!(one.unwrap() ^ two.unwrap(), "of two at once one takes it");
    assert!(keys::begin(service, on, id(&db.cat), "k", &other).await.unwrap(), "another's key is another");
    let row = keys::get(service, on, bob, "k").await.unwrap().unwrap();
    assert_eq!((row.user_id, row.key.as_str(), row.status, row.answer), (bob, "k", None, None));
    let answer = json!({ "sealed": "x" });
    assert!(keys::finish(service, on, bob, "k", 201, answer.clone()).await.unwrap());
    assert!(!keys::finish(service, on, bob, "k", 200, json!({})).await.unwrap(), "an answer stays");
    assert!(!keys::forget(service, on, bob, "k").await.unwrap(), "and its key is not given back");
    let row = keys::get(service, on, bob, "k").await.unwrap().unwrap();
    assert_eq!((row.status, row.answer), (Some(201), Some(answer)));
    assert!(keys::forget(service, on, id(&db.cat), "k").await.unwrap());
    assert!(keys::get(service, on, id(&db.cat), "k").await.unwrap().is_none());
    assert_eq!(refusal(keys::begin(service, on, bob, "", &hash).await), "chk_idempotency_key");
    assert_eq!(refusal(keys::begin(service, on, bob, "x", "short").await), "chk_idempotency_request");
    assert_eq!(refusal(keys::begin(service, on, bob, &"x".repeat(256), &hash).await), "length");
    assert_eq!(refusal(keys::begin(service, on, Uuid::now_v7(), "x", &hash).await), "foreign_key");
}

async fn keys_go_after_their_day(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    for key in ["a", "b", "c"] {
        assert!(keys::begin(service, on, bob, key, &"a".repeat(64)).await.unwrap());
    }
    keys::finish(service, on, bob, "a", 200, json!({})).await.unwrap();
    assert_eq!(keys::clean(service, on, in_seconds(-60), 10).await.unwrap(), 0, "none is past its day");
    assert_eq!(keys::clean(service, on, in_seconds(60), 2).await.unwrap(), 2, "not more than asked for");
    assert_eq!(keys::clean(service, on, in_seconds(60), 10).await.unwrap(), 1);
    assert!(users::account(&db.ada, on, bob).await.unwrap().is_some());
}
