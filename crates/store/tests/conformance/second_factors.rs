//! `second_factors` and `recovery_codes`.

use serde_json::json;
use store::{audit_trail, second_factors};

use crate::common::{Db, id, refusal};

crate::on_both!(a_factor_counts_once_confirmed, a_code_is_taken_once, factors_are_the_services_and_ones_own);

fn hash(c: char) -> String {
    c.to_string().repeat(64)
}

async fn a_factor_counts_once_confirmed(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    assert!(second_factors::get(&db.bob, on, bob).await.unwrap().is_none());
    assert!(second_factors::begin(service, on, bob, json!({"sealed": "one"})).await.unwrap());
    assert!(second_factors::begin(service, on, bob, json!({"sealed": "two"})).await.unwrap(), "begun anew");
    assert!(second_factors::secret(service, on, bob, true).await.unwrap().is_none(), "it is asked of nobody yet");
    let begun = second_factors::secret(service, on, bob, false).await.unwrap().unwrap();
    assert_eq!((begun.secret, begun.last_step), (json!({"sealed": "two"}), 0));
    assert!(!second_factors::take_step(service, on, bob, 7).await.unwrap(), "not before it is confirmed");
    assert!(second_factors::confirm(service, on, bob, 7).await.unwrap());
    assert!(!second_factors::confirm(service, on, bob, 8).await.unwrap());
    assert!(!second_factors::begin(service, on, bob, json!({"sealed": "three"})).await.unwrap(), "there is one");
    assert_eq!(second_factors::secret(service, on, bob, true).await.unwrap().unwrap().last_step, 7);
    assert!(second_factors::get(&db.bob, on, bob).await.unwrap().unwrap().confirmed_at.is_some());
    let audit = audit_trail::list(&db.ada, on, Some("second_factor"), Some(bob), 10).await.unwrap();
    let told = serde_json::to_string(&audit).unwrap();
    assert!(told.contains("second_factor_updated") && !told.contains("sealed"), "{told}");
}

async fn a_code_is_taken_once(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    second_factors::begin(service, on, bob, json!({})).await.unwrap();
    second_factors::confirm(service, on, bob, 7).await.unwrap();
    for (step, taken) in [(7, false), (6, false), (8, true), (8, false), (9, true), (8, false)] {
        assert_eq!(second_factors::take_step(service, on, bob, step).await.unwrap(), taken, "{step}");
    }
    second_factors::set_codes(service, on, bob, vec![hash('a'), hash('b')]).await.unwrap();
    assert_eq!(second_factors::codes_left(service, on, bob).await.unwrap(), 2);
    assert!(second_factors::take_code(service, on, bob, &hash('a')).await.unwrap());
    assert!(!second_factors::take_code(service, on, bob, &hash('a')).await.unwrap(), "it is used");
    assert!(!second_factors::take_code(service, on, id(&db.cat), &hash('b')).await.unwrap(), "another's");
    assert_eq!(second_factors::codes_left(service, on, bob).await.unwrap(), 1);
    second_factors::set_codes(service, on, bob, vec![hash('c')]).await.unwrap();
    assert!(!second_factors::take_code(service, on, bob, &hash('b')).await.unwrap(), "those before are gone");
    let raw = second_factors::set_codes(service, on, bob, vec!["ABCD".to_owned()]).await;
    assert_eq!(refusal(raw), "recovery_codes_code_check");
    let told = serde_json::to_string(&audit_trail::list(&db.ada, on, Some("recovery_code"), None, 50).await.unwrap());
    assert!(!told.unwrap().contains(&hash('a')), "not even the hash stands in the audit");
}

async fn factors_are_the_services_and_ones_own(db: &Db) {
    let (on, service, bob) = (&db.store, &db.service, id(&db.bob));
    second_factors::begin(service, on, bob, json!({})).await.unwrap();
    second_factors::confirm(service, on, bob, 7).await.unwrap();
    second_factors::set_codes(service, on, bob, vec![hash('a')]).await.unwrap();
    for actor in [&db.ada, &db.bob, &db.cat, &db.nobody] {
        assert_eq!(refusal(second_factors::begin(actor, on, bob, json!({})).await), "refused");
        assert_eq!(refusal(second_factors::secret(actor, on, bob, true).await), "refused");
        assert_eq!(refusal(second_factors::confirm(actor, on, bob, 8).await), "refused");
        assert_eq!(refusal(second_factors::take_step(actor, on, bob, 8).await), "refused");
        assert_eq!(refusal(second_factors::set_codes(actor, on, bob, vec![]).await), "refused");
        assert_eq!(refusal(second_factors::take_code(actor, on, bob, &hash('a')).await), "refused");
        assert_eq!(refusal(second_factors::codes_left(actor, on, bob).await), "refused");
    }
    assert!(second_factors::get(&db.ada, on, bob).await.unwrap().is_some());
    for other in [&db.cat, &db.obs, &db.employee, &db.nobody] {
        assert!(second_factors::get(other, on, bob).await.unwrap().is_none(), "{other:?}");
        assert!(!second_factors::remove(other, on, bob).await.unwrap());
    }
    assert_eq!(refusal(second_factors::remove(service, on, bob).await), "refused");
    assert!(second_factors::remove(&db.ada, on, bob).await.unwrap(), "for who lost it");
    assert_eq!(second_factors::codes_left(service, on, bob).await.unwrap(), 0, "the codes go with it");
    let audit = audit_trail::list(&db.ada, on, Some("second_factor"), Some(bob), 1).await.unwrap();
    assert_eq!((audit[0].action.as_str(), audit[0].user_id), ("second_factor_deleted", Some(id(&db.ada))));
}
