//! `sessions` and set-up links.

use store::{cache::Use, login_tries, sessions, users};

use crate::common::{Db, id, in_seconds, refusal, seconds};

crate::on_both!(
    sessions_are_valid_while_they_are,
    sessions_are_the_services,
    set_up_links,
    uses_are_noted_together,
    those_of_one_program_end_together,
    all_of_a_user_end_together,
    open_sessions_are_listed_and_the_others_end,
    who_showed_who_it_is,
    tries_are_counted
);

fn token(c: char) -> String {
    c.to_string().repeat(64)
}

async fn sessions_are_valid_while_they_are(db: &Db) {
    let on = &db.store;
    let ip = "2001:db8::1".parse().unwrap();
    let made = sessions::create(&db.service, on, id(&db.bob), &token('a'), in_seconds(60), Some(ip), Some("Firefox"))
        .await
        .unwrap();
    let found = sessions::by_token(&db.service, on, &token('a')).await.unwrap().unwrap();
    assert_eq!(
        (found.id, found.user_id, found.username.as_str(), found.role.as_str(), found.is_agent),
        (made, id(&db.bob), "bob", "user", false)
    );
    assert!(sessions::by_token(&db.service, on, &token('b')).await.unwrap().is_none());
    let later = in_seconds(7200);
    sessions::touch(&db.service, on, made, later).await.unwrap();
    let touched = sessions::by_token(&db.service, on, &token('a')).await.unwrap().unwrap();
    assert!(touched.expires_at == later && touched.last_accessed > found.last_accessed);
    let agents =
        sessions::create(&db.service, on, id(&db.employee), &token('b'), in_seconds(60), None, None).await.unwrap();
    assert!(sessions::by_token(&db.service, on, &token('b')).await.unwrap().unwrap().is_agent);

    // Not after its time, not of a suspended user, not after it was ended.
    sessions::create(&db.service, on, id(&db.cat), &token('c'), in_seconds(-1), None, None).await.unwrap();
    assert!(sessions::by_token(&db.service, on, &token('c')).await.unwrap().is_none());
    sessions::create(&db.service, on, id(&db.sus), &token('d'), in_seconds(60), None, None).await.unwrap();
    assert!(sessions::by_token(&db.service, on, &token('d')).await.unwrap().is_none());
    users::set_status(&db.ada, on, id(&db.bob), "suspended").await.unwrap();
    assert!(sessions::by_token(&db.service, on, &token('a')).await.unwrap().is_none());
    users::set_status(&db.ada, on, id(&db.bob), "active").await.unwrap();
    assert!(sessions::by_token(&db.service, on, &token('a')).await.unwrap().is_some());
    for other in [&db.ada, &db.cat, &db.nobody] {
        assert!(!sessions::revoke(other, on, made).await.unwrap(), "{other:?}");
    }
    assert!(sessions::revoke(&db.bob, on, made).await.unwrap());
    assert!(sessions::by_token(&db.service, on, &token('a')).await.unwrap().is_none());
    assert!(sessions::revoke(&db.service, on, agents).await.unwrap(), "the service ends a session at log-out");

    assert_eq!(sessions::cleanup(&db.service, on).await.unwrap(), 3, "expired and revoked ones");
    assert_eq!(sessions::cleanup(&db.service, on).await.unwrap(), 0);
}

async fn sessions_are_the_services(db: &Db) {
    let on = &db.store;
    let made = sessions::create(&db.service, on, id(&db.bob), &token('a'), in_seconds(60), None, None).await.unwrap();
    for actor in [&db.ada, &db.bob, &db.employee, &db.admin_agent, &db.nobody] {
        assert_eq!(
            refusal(sessions::create(actor, on, id(&db.bob), &token('e'), in_seconds(60), None, None).await),
            "refused"
        );
        assert_eq!(refusal(sessions::by_token(actor, on, &token('a')).await), "refused", "{actor:?} reads no token");
        assert_eq!(refusal(sessions::touch(actor, on, made, in_seconds(1)).await), "refused");
        assert_eq!(refusal(sessions::cleanup(actor, on).await), "refused");
    }
    let wrong = sessions::create(&db.service, on, id(&db.bob), "a-raw-token", in_seconds(60), None, None).await;
    assert_eq!(refusal(wrong), "sessions_token_check");
    let twice = sessions::create(&db.service, on, id(&db.cat), &token('a'), in_seconds(60), None, None).await;
    assert_eq!(refusal(twice), "idx_sessions_token");
    let ghost = sessions::create(&db.service, on, uuid::Uuid::now_v7(), &token('f'), in_seconds(60), None, None).await;
    assert_eq!(refusal(ghost), "foreign_key");
    let audit = store::audit_trail::list(&db.service, on, Some("session"), None, 10).await.unwrap();
    assert!(!serde_json::to_string(&audit).unwrap().contains(&token('a')), "not even the hash stands in the audit");
}

async fn set_up_links(db: &Db) {
    let on = &db.store;
    sessions::create_setup_link(&db.service, on, &token('1'), in_seconds(60)).await.unwrap();
    sessions::create_setup_link(&db.service, on, &token('2'), in_seconds(-1)).await.unwrap();
    assert_eq!(
        refusal(sessions::create_setup_link(&db.service, on, &token('1'), in_seconds(60)).await),
        "setup_links_pkey"
    );
    assert_eq!(
        refusal(sessions::create_setup_link(&db.service, on, "raw", in_seconds(60)).await),
        "setup_links_token_check"
    );
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(sessions::create_setup_link(actor, on, &token('3'), in_seconds(60)).await), "refused");
        assert_eq!(refusal(sessions::take_setup_link(actor, on, &token('1')).await), "refused");
        assert_eq!(refusal(sessions::clear_setup_links(actor, on).await), "refused");
    }
    assert!(!sessions::take_setup_link(&db.service, on, &token('2')).await.unwrap(), "too old");
    assert!(sessions::take_setup_link(&db.service, on, &token('1')).await.unwrap());
    assert!(!sessions::take_setup_link(&db.service, on, &token('1')).await.unwrap(), "used up");
    sessions::create_setup_link(&db.service, on, &token('4'), in_seconds(60)).await.unwrap();
    sessions::clear_setup_links(&db.service, on).await.unwrap();
    assert!(!sessions::take_setup_link(&db.service, on, &token('4')).await.unwrap());
}

async fn uses_are_noted_together(db: &Db) {
    let on = &db.store;
    let mut uses = Vec::new();
    for c in ['a', 'b', 'c'] {
        let session_id =
            sessions::create(&db.service, on, id(&db.bob), &token(c), in_seconds(60), None, None).await.unwrap();
        uses.push(Use {
            session_id,
            token_sha256: token(c),
            at: in_seconds(61),
            expires_at: in_seconds(600),
            is_token: false,
        });
    }
    assert!(sessions::revoke(&db.bob, on, uses[2].session_id).await.unwrap());
    assert_eq!(sessions::touch_all(&db.service, on, &uses).await.unwrap(), 2, "what was revoked has no use");
    for used in &uses[..2] {
        let read = sessions::by_token(&db.service, on, &used.token_sha256).await.unwrap().unwrap();
        assert_eq!((read.last_accessed, read.expires_at), (used.at, used.expires_at));
    }
    for used in &mut uses {
        used.at += seconds(59);
    }
    assert_eq!(sessions::touch_all(&db.service, on, &uses).await.unwrap(), 0, "at most once a minute");
    for used in &mut uses {
        used.at += seconds(1);
        used.expires_at = in_seconds(1);
    }
    assert_eq!(sessions::touch_all(&db.service, on, &uses[..1]).await.unwrap(), 1);
    let read = sessions::by_token(&db.service, on, &token('a')).await.unwrap().unwrap();
    assert!(read.expires_at > in_seconds(300), "an end is never moved back");
    assert_eq!(sessions::touch_all(&db.service, on, &[]).await.unwrap(), 0);
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(sessions::touch_all(actor, on, &uses).await), "refused");
    }
}

async fn those_of_one_program_end_together(db: &Db) {
    let on = &db.store;
    for (c, user, program) in
        [('a', &db.bob, "one"), ('b', &db.bob, "one"), ('c', &db.bob, "two"), ('d', &db.cat, "one")]
    {
        sessions::create(&db.service, on, id(user), &token(c), in_seconds(60), None, Some(program)).await.unwrap();
    }
    assert_eq!(sessions::revoke_of_program(&db.ada, on, id(&db.bob), "one").await.unwrap(), 0, "not another's");
    assert_eq!(sessions::revoke_of_program(&db.service, on, id(&db.bob), "one").await.unwrap(), 2);
    assert_eq!(sessions::revoke_of_program(&db.service, on, id(&db.bob), "one").await.unwrap(), 0, "they have ended");
    for (c, stands) in [('a', false), ('b', false), ('c', true), ('d', true)] {
        assert_eq!(sessions::by_token(&db.service, on, &token(c)).await.unwrap().is_some(), stands, "{c}");
    }
}

async fn all_of_a_user_end_together(db: &Db) {
    let on = &db.store;
    for (c, user) in [('a', &db.bob), ('b', &db.bob), ('c', &db.cat), ('d', &db.cat)] {
        sessions::create(&db.service, on, id(user), &token(c), in_seconds(60), None, None).await.unwrap();
    }
    assert_eq!(sessions::revoke_all_of(&db.ada, on, id(&db.bob)).await.unwrap(), 0, "not another's");
    assert_eq!(sessions::revoke_all_of(&db.bob, on, id(&db.bob)).await.unwrap(), 2);
    assert_eq!(sessions::revoke_all_of(&db.service, on, id(&db.cat)).await.unwrap(), 2);
    assert_eq!(sessions::revoke_all_of(&db.service, on, id(&db.cat)).await.unwrap(), 0, "they have ended");
    for c in ['a', 'b', 'c', 'd'] {
        assert!(sessions::by_token(&db.service, on, &token(c)).await.unwrap().is_none());
    }
}

async fn open_sessions_are_listed_and_the_others_end(db: &Db) {
    let on = &db.store;
    let (bob, ip) = (id(&db.bob), "192.0.2.7".parse().unwrap());
    let create = async |c, seconds| {
        sessions::create(&db.service, on, bob, &token(c), in_seconds(seconds), Some(ip), Some("Firefox")).await.unwrap()
    };
    let (first, second, over) = (create('a', 60).await, create('b', 60).await, create('c', -1).await);
    let listed = sessions::list(&db.bob, on, bob, 10).await.unwrap();
    assert_eq!(listed.iter().map(|s| s.id).collect::<Vec<_>>(), [second, first], "the last used first, without {over}");
    let one = &listed[0];
    assert_eq!((one.ip_address, one.user_agent.as_deref(), one.user_id), (Some(ip), Some("Firefox"), bob));
    assert_eq!(one.authenticated_at, one.created_at);
    for other in [&db.ada, &db.cat, &db.employee, &db.nobody] {
        assert!(sessions::list(other, on, bob, 10).await.unwrap().is_empty(), "{other:?}");
        assert_eq!(sessions::revoke_others(other, on, bob, first).await.unwrap(), 0);
    }
    assert_eq!(sessions::revoke_others(&db.bob, on, bob, first).await.unwrap(), 2);
    let left: Vec<_> = sessions::list(&db.bob, on, bob, 10).await.unwrap().into_iter().map(|s| s.id).collect();
    assert_eq!(left, [first]);
}

async fn who_showed_who_it_is(db: &Db) {
    let on = &db.store;
    let made = sessions::create(&db.service, on, id(&db.bob), &token('a'), in_seconds(60), None, None).await.unwrap();
    let read = async || sessions::by_token(&db.service, on, &token('a')).await.unwrap().unwrap();
    let before = read().await;
    assert_eq!(before.authenticated_at, Some(before.created_at), "a log-in shows it");
    assert!(sessions::authenticated(&db.service, on, made).await.unwrap());
    assert!(read().await.authenticated_at > before.authenticated_at);
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(sessions::authenticated(actor, on, made).await), "refused");
    }
    assert!(sessions::revoke(&db.bob, on, made).await.unwrap());
    assert!(!sessions::authenticated(&db.service, on, made).await.unwrap(), "it is over");
    let audit = store::audit_trail::list(&db.service, on, Some("session"), Some(made), 10).await.unwrap();
    assert!(audit.iter().any(|row| row.new_values.as_ref().is_some_and(|v| v["authenticated_at"].is_string())));
}

async fn tries_are_counted(db: &Db) {
    let on = &db.store;
    let keys = [token('b'), token('a')];
    let note = async |keys: &[String], since| {
        let mut counts = login_tries::note(&db.service, on, keys, in_seconds(since)).await.unwrap();
        counts.sort_by(|x, y| x.key.cmp(&y.key));
        counts.into_iter().map(|c| c.tries).collect::<Vec<_>>()
    };
    assert_eq!(note(&keys, -900).await, [1, 1]);
    assert_eq!(note(&keys[..1], -900).await, [2]);
    assert_eq!(note(&keys, -900).await, [2, 3]);
    login_tries::forgive(&db.service, on, &keys).await.unwrap();
    assert_eq!(note(&keys, -900).await, [2, 3]);
    assert_eq!(note(&keys, 60).await, [1, 1], "a window that is over begins anew");
    let wrong = login_tries::note(&db.service, on, &["ada".to_owned()], in_seconds(-900)).await;
    assert_eq!(refusal(wrong), "login_tries_key_check", "no name stands here");
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(login_tries::note(actor, on, &keys, in_seconds(-900)).await), "refused");
        assert_eq!(refusal(login_tries::forgive(actor, on, &keys).await), "refused");
    }
}
