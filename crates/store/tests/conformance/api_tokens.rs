//! `api_tokens`.

use store::{
    api_tokens::{self, NewApiToken},
    audit_trail,
    cache::Use,
    users,
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal, seconds};

crate::on_both!(
    tokens_act_while_they_are_valid,
    who_makes_tokens,
    a_token_keeps_its_rules,
    tokens_are_listed,
    uses_of_tokens_are_noted_together
);

fn new(user_id: Uuid, c: char, scopes: &[&str]) -> NewApiToken {
    NewApiToken {
        user_id,
        name: "nightly report".to_owned(),
        token_sha256: c.to_string().repeat(64),
        hint: "wxyz".to_owned(),
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        expires_at: in_seconds(600),
    }
}

fn hash(c: char) -> String {
    c.to_string().repeat(64)
}

async fn tokens_act_while_they_are_valid(db: &Db) {
    let on = &db.store;
    let made = api_tokens::create(&db.bob, on, &new(id(&db.bob), 'a', &["read", "tasks"])).await.unwrap();
    let found = api_tokens::by_token(&db.service, on, &hash('a')).await.unwrap().unwrap();
    assert_eq!(
        (found.id, found.user_id, found.username.as_str(), found.role.as_str(), found.is_agent),
        (made, id(&db.bob), "bob", "user", false)
    );
    assert_eq!(found.scopes, Some(vec!["read".to_owned(), "tasks".to_owned()]));
    assert!(api_tokens::by_token(&db.service, on, &hash('b')).await.unwrap().is_none());
    assert_eq!(api_tokens::valid(&db.service, on, &hash('a')).await.unwrap().unwrap().id, made);
    let seen = api_tokens::get(&db.bob, on, made).await.unwrap().unwrap();
    assert_eq!(
        (seen.name.as_str(), seen.hint.as_str(), seen.created_by),
        ("nightly report", "wxyz", Some(id(&db.bob)))
    );
    assert!(seen.last_used_at.is_none() && seen.revoked_at.is_none());

    users::set_status(&db.ada, on, id(&db.bob), "suspended").await.unwrap();
    assert!(api_tokens::by_token(&db.service, on, &hash('a')).await.unwrap().is_none(), "its owner is suspended");
    users::set_status(&db.ada, on, id(&db.bob), "active").await.unwrap();
    let over = NewApiToken { expires_at: in_seconds(-1), ..new(id(&db.bob), 'c', &["read"]) };
    api_tokens::create(&db.bob, on, &over).await.unwrap();
    assert!(api_tokens::by_token(&db.service, on, &hash('c')).await.unwrap().is_none(), "it is over");

    for other in [&db.cat, &db.obs, &db.employee, &db.nobody] {
        assert!(!api_tokens::revoke(other, on, made).await.unwrap(), "{other:?}");
    }
    assert_eq!(refusal(api_tokens::revoke(&db.service, on, made).await), "refused");
    assert!(api_tokens::revoke(&db.bob, on, made).await.unwrap());
    assert!(!api_tokens::revoke(&db.bob, on, made).await.unwrap(), "it was revoked before");
    assert!(api_tokens::by_token(&db.service, on, &hash('a')).await.unwrap().is_none());
    assert!(api_tokens::valid(&db.service, on, &hash('a')).await.unwrap().is_none());
    assert!(api_tokens::get(&db.bob, on, made).await.unwrap().unwrap().revoked_at.is_some());
}

async fn who_makes_tokens(db: &Db) {
    let on = &db.store;
    let (bob, cat, employee) = (id(&db.bob), id(&db.cat), id(&db.employee));
    for (actor, owner) in [
        (&db.bob, cat),
        (&db.bob, employee),
        (&db.ada, bob),
        (&db.employee, employee),
        (&db.admin_agent, id(&db.admin_agent)),
        (&db.sus, id(&db.sus)),
        (&db.service, bob),
        (&db.nobody, bob),
    ] {
        assert_eq!(refusal(api_tokens::create(actor, on, &new(owner, 'a', &["read"])).await), "refused", "{actor:?}");
    }
    api_tokens::create(&db.ada, on, &new(employee, 'a', &["read", "tasks"])).await.unwrap();
    assert!(api_tokens::by_token(&db.service, on, &hash('a')).await.unwrap().unwrap().is_agent);
    api_tokens::create(&db.obs, on, &new(id(&db.obs), 'b', &["read"])).await.unwrap();
    let deciding = api_tokens::create(&db.ada, on, &new(employee, 'c', &["read", "decide"])).await;
    assert_eq!(refusal(deciding), "chk_api_token_agent", "no agent's token decides");
    api_tokens::create(&db.bob, on, &new(bob, 'c', &["decide"])).await.unwrap();
}

async fn a_token_keeps_its_rules(db: &Db) {
    let on = &db.store;
    let mine = |c| new(id(&db.bob), c, &["read"]);
    api_tokens::create(&db.bob, on, &mine('a')).await.unwrap();
    assert_eq!(refusal(api_tokens::create(&db.bob, on, &mine('a')).await), "api_tokens_token_key");
    let raw = NewApiToken { token_sha256: "stw_raw".to_owned(), ..mine('b') };
    assert_eq!(refusal(api_tokens::create(&db.bob, on, &raw).await), "api_tokens_token_check");
    let nameless = NewApiToken { name: String::new(), ..mine('b') };
    assert_eq!(refusal(api_tokens::create(&db.bob, on, &nameless).await), "chk_api_token_name");
    let reachless = NewApiToken { scopes: Vec::new(), ..mine('b') };
    assert_eq!(refusal(api_tokens::create(&db.bob, on, &reachless).await), "chk_api_token_scopes");
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(api_tokens::by_token(actor, on, &hash('a')).await), "refused", "{actor:?} reads no token");
    }
    let audit = audit_trail::list(&db.ada, on, Some("api_token"), None, 10).await.unwrap();
    let told = serde_json::to_string(&audit).unwrap();
    assert!(audit.iter().any(|row| row.action == "api_token_created"), "{told}");
    assert!(told.contains("nightly report") && !told.contains(&hash('a')), "not even the hash stands in the audit");
}

async fn tokens_are_listed(db: &Db) {
    let on = &db.store;
    let (bob, cat) = (id(&db.bob), id(&db.cat));
    let first = api_tokens::create(&db.bob, on, &new(bob, 'a', &["read"])).await.unwrap();
    let second = api_tokens::create(&db.bob, on, &new(bob, 'b', &["read"])).await.unwrap();
    let cats = api_tokens::create(&db.cat, on, &new(cat, 'c', &["read"])).await.unwrap();
    assert!(api_tokens::revoke(&db.ada, on, first).await.unwrap(), "a user administrator revokes anybody's");
    let ids = async |actor, user, ended| -> Vec<Uuid> {
        api_tokens::list(actor, on, user, ended, 10).await.unwrap().into_iter().map(|t| t.id).collect()
    };
    assert_eq!(ids(&db.bob, Some(bob), true).await, [second, first], "newest first");
    assert_eq!(ids(&db.bob, Some(bob), false).await, [second]);
    assert_eq!(ids(&db.bob, None, true).await, [second, first], "of others one sees nothing");
    assert!(ids(&db.bob, Some(cat), true).await.is_empty());
    assert_eq!(ids(&db.ada, None, false).await, [cats, second]);
    assert!(ids(&db.nobody, None, true).await.is_empty());
}

async fn uses_of_tokens_are_noted_together(db: &Db) {
    let on = &db.store;
    let mut uses = Vec::new();
    for c in ['a', 'b', 'c'] {
        let session_id = api_tokens::create(&db.bob, on, &new(id(&db.bob), c, &["read"])).await.unwrap();
        let at = in_seconds(1);
        uses.push(Use { session_id, token_sha256: hash(c), at, expires_at: at, is_token: true });
    }
    assert!(api_tokens::revoke(&db.bob, on, uses[2].session_id).await.unwrap());
    assert_eq!(api_tokens::touch_all(&db.service, on, &uses).await.unwrap(), 2, "what was revoked has no use");
    let noted = api_tokens::get(&db.bob, on, uses[0].session_id).await.unwrap().unwrap().last_used_at;
    assert_eq!(noted, Some(uses[0].at));
    for used in &mut uses {
        used.at += seconds(59);
    }
    assert_eq!(api_tokens::touch_all(&db.service, on, &uses).await.unwrap(), 0, "at most once a minute");
    for used in &mut uses {
        used.at += seconds(1);
    }
    assert_eq!(api_tokens::touch_all(&db.service, on, &uses).await.unwrap(), 2);
    let end = api_tokens::get(&db.bob, on, uses[0].session_id).await.unwrap().unwrap().expires_at;
    assert!(end > in_seconds(300), "a use moves no end");
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(api_tokens::touch_all(actor, on, &uses).await), "refused");
    }
}
