//! `passkeys`.

use serde_json::json;
use store::{
    audit_trail,
    passkeys::{self, NewPasskey},
};

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(a_challenge_is_answered_once, passkeys_are_the_services_and_ones_own);

fn new(db: &Db, c: char) -> NewPasskey {
    NewPasskey {
        user_id: id(&db.bob),
        name: "phone".to_owned(),
        site: "desk.example.org".to_owned(),
        credential_sha256: c.to_string().repeat(64),
        credential: json!({"public": "key"}),
        sign_count: 0,
        challenge_at: in_seconds(-60),
    }
}

async fn a_challenge_is_answered_once(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    let passkey = passkeys::create(service, on, &new(db, 'a')).await.unwrap().unwrap();
    let (earlier, later) = (in_seconds(-120), store::value::truncate(in_seconds(-30)));
    for (challenge_at, taken) in [(earlier, false), (later, true), (later, false)] {
        let used = passkeys::used(service, on, passkey, json!({"n": 0}), 7, challenge_at).await.unwrap();
        assert_eq!(used, taken, "each challenge once, and none older than the last");
    }
    let same = store::value::truncate(in_seconds(0));
    assert!(passkeys::used(service, on, passkey, json!({"n": 1}), 8, same).await.unwrap());
    assert!(!passkeys::used(service, on, passkey, json!({"n": 2}), 9, same).await.unwrap(), "answered before");
    let kept = passkeys::keys(service, on, bob, "desk.example.org").await.unwrap();
    assert_eq!((kept.len(), &kept[0].credential), (1, &json!({"n": 1})));
    assert!(passkeys::keys(service, on, bob, "other.example.org").await.unwrap().is_empty());
    let shown = passkeys::list(&db.bob, on, bob).await.unwrap().remove(0);
    assert_eq!((shown.sign_count, shown.last_used_at.is_some()), (8, true));
    assert_eq!(passkeys::by_credential(service, on, &"a".repeat(64)).await.unwrap().unwrap().id, passkey);
    assert!(passkeys::create(service, on, &new(db, 'a')).await.is_err(), "a device's key is one person's");
    let told = audit_trail::list(&db.ada, on, Some("passkey"), Some(passkey), 10).await.unwrap();
    let text = serde_json::to_string(&told).unwrap();
    assert!(text.contains("passkey_created") && !text.contains("public"), "{text}");
}

async fn passkeys_are_the_services_and_ones_own(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    let passkey = passkeys::create(service, on, &new(db, 'a')).await.unwrap().unwrap();
    assert_eq!(refusal(passkeys::create(&db.bob, on, &new(db, 'b')).await), "refused");
    assert!(passkeys::list(&db.cat, on, bob).await.unwrap().is_empty());
    assert_eq!(passkeys::list(&db.ada, on, bob).await.unwrap().len(), 1, "for who looks after people");
    assert!(!passkeys::remove(&db.cat, on, passkey).await.unwrap());
    assert!(passkeys::remove(&db.bob, on, passkey).await.unwrap());
    assert!(!passkeys::remove(&db.ada, on, passkey).await.unwrap(), "it is gone");
    for n in 0..passkeys::MOST {
        let one = NewPasskey { credential_sha256: format!("{n:064x}"), ..new(db, 'c') };
        assert!(passkeys::create(service, on, &one).await.unwrap().is_some());
    }
    assert!(passkeys::create(service, on, &new(db, 'd')).await.unwrap().is_none(), "they are bounded");
}
