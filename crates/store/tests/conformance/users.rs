//! `users` and `agents`.

use store::{Actor, users};
use uuid::Uuid;

use crate::common::{Db, id, new_user, refusal};

crate::on_both!(
    accounts_and_names,
    admins_are_locked_until_the_transaction_ends,
    changing_users,
    names_are_unique,
    permissions_follow_role_and_status,
    secrets_stay_unread
);

async fn accounts_and_names(db: &Db) {
    let on = &db.store;
    let all = users::accounts(&db.ada, on, None, 100).await.unwrap();
    let names: Vec<&str> = all.iter().map(|a| a.username.as_str()).collect();
    assert_eq!(names, ["ada", "admin-agent", "bob", "cat", "employee", "ina", "obs", "sus"]);
    let page = users::accounts(&db.ada, on, Some("bob"), 2).await.unwrap();
    assert_eq!(page.iter().map(|a| a.username.as_str()).collect::<Vec<_>>(), ["cat", "employee"]);
    assert!(users::accounts(&db.ada, on, None, -1).await.unwrap().is_empty(), "a negative limit is none, never all");
    let me = users::account(&db.bob, on, id(&db.bob)).await.unwrap().unwrap();
    assert_eq!(
        (me.username.as_str(), me.email.as_str(), me.role.as_str(), me.status.as_str()),
        ("bob", "bob@example.org", "user", "active")
    );
    assert_eq!(
        (me.first_name.as_deref(), me.last_name.as_deref(), me.is_agent, me.last_login),
        (Some("BOB"), None, false, None)
    );
    assert_eq!(me.preferences, serde_json::json!({}));
    assert_eq!(users::accounts(&db.bob, on, None, 100).await.unwrap(), [me]);
    assert!(users::account(&db.bob, on, id(&db.cat)).await.unwrap().is_none());
    assert!(
        all.iter().filter(|a| a.is_agent).all(|a| a.username.contains('e'))
            && all.iter().filter(|a| a.is_agent).count() == 2
    );

    let cat = users::named(&db.bob, on, "CAT").await.unwrap().unwrap();
    assert_eq!((cat.id, cat.username.as_str(), cat.first_name.as_deref()), (id(&db.cat), "cat", Some("CAT")));
    assert!(users::named(&db.bob, on, "nobody").await.unwrap().is_none());
    assert!(users::named(&db.nobody, on, "cat").await.unwrap().is_none());
    let two = users::names(&db.bob, on, vec![id(&db.sus), id(&db.cat), Uuid::now_v7()]).await.unwrap();
    assert_eq!(two.iter().map(|u| u.username.as_str()).collect::<Vec<_>>(), ["cat", "sus"]);
    assert!(users::names(&db.bob, on, vec![]).await.unwrap().is_empty());

    assert_eq!(users::agent(&db.bob, on, "employee").await.unwrap(), Some(id(&db.employee)));
    assert_eq!(users::agent(&db.bob, on, "none").await.unwrap(), None);
    let admins = users::people_with_role(&db.service, on, "admin").await.unwrap();
    assert_eq!(admins.iter().map(|u| u.username.as_str()).collect::<Vec<_>>(), ["ada"], "an agent is no person");
    let people = users::people_with_role(&db.bob, on, "user").await.unwrap();
    assert_eq!(people.iter().map(|u| u.username.as_str()).collect::<Vec<_>>(), ["bob", "cat"], "active people only");
}

async fn changing_users(db: &Db) {
    let on = &db.store;
    let cat = id(&db.cat);
    for other in [&db.bob, &db.cat, &db.obs, &db.sus, &db.employee, &db.admin_agent, &db.nobody] {
        assert!(!users::set_role(other, on, cat, "admin").await.unwrap());
        assert!(!users::set_status(other, on, cat, "suspended").await.unwrap());
        assert!(!users::set_password(other, on, cat, "x").await.unwrap());
        assert_eq!(refusal(users::create(other, on, &new_user("eve", "admin")).await), "refused");
        assert_eq!(refusal(users::make_agent(other, on, cat, "employee").await), "refused");
        assert_eq!(refusal(users::touch_login(other, on, cat).await), "refused");
    }
    let mut row = users::account(&db.ada, on, cat).await.unwrap().unwrap();
    (row.email, row.last_name, row.preferences) =
        ("kat@example.org".to_owned(), Some("Katz".to_owned()), serde_json::json!({ "zone": "Europe/Berlin" }));
    for other in [&db.bob, &db.cat, &db.obs, &db.sus, &db.employee, &db.admin_agent, &db.nobody] {
        assert!(!users::update(other, on, &row).await.unwrap(), "{other:?}");
    }
    assert_eq!(refusal(users::update(&db.service, on, &row).await), "refused");
    assert!(users::update(&db.ada, on, &row).await.unwrap());
    let own = users::account(&db.cat, on, cat).await.unwrap().unwrap();
    assert_eq!((&own.email, &own.last_name, &own.preferences), (&row.email, &row.last_name, &row.preferences));
    "BOB@example.org".clone_into(&mut row.email);
    assert_eq!(refusal(users::update(&db.ada, on, &row).await), "idx_users_email");
    assert!(users::set_role(&db.ada, on, cat, "observer").await.unwrap());
    assert!(users::set_password(&db.ada, on, cat, "new").await.unwrap());
    assert!(users::set_password(&db.service, on, cat, "newer").await.unwrap());
    assert_eq!(refusal(users::set_role(&db.service, on, cat, "admin").await), "refused");
    assert_eq!(refusal(users::set_status(&db.service, on, cat, "active").await), "refused");
    users::touch_login(&db.service, on, cat).await.unwrap();
    let account = users::account(&db.ada, on, cat).await.unwrap().unwrap();
    assert_eq!(account.role, "observer");
    assert!(account.last_login.is_some() && account.updated_at > account.created_at);
    assert!(!users::set_role(&db.ada, on, Uuid::now_v7(), "user").await.unwrap());
    assert_eq!(refusal(users::set_role(&db.ada, on, cat, "king").await), "chk_role");
    assert_eq!(refusal(users::set_status(&db.ada, on, cat, "asleep").await), "chk_status");
    let long = new_user(&"x".repeat(101), "user");
    assert_eq!(refusal(users::create(&db.ada, on, &long).await), "length");
    assert_eq!(refusal(users::create(&db.ada, on, &new_user("nul\0", "user")).await), "format");
    assert_eq!(refusal(users::make_agent(&db.ada, on, id(&db.employee), "again").await), "agents_pkey");
    assert_eq!(refusal(users::make_agent(&db.ada, on, Uuid::now_v7(), "ghost").await), "foreign_key");
    // A person who became an agent loses at once what only a person may do.
    users::make_agent(&db.ada, on, id(&db.bob), "other").await.unwrap();
    assert!(!users::allowed(&db.bob, on, "approval_decide_own").await.unwrap());
}

async fn names_are_unique(db: &Db) {
    let on = &db.store;
    for (name, mail, rule) in [
        ("bob", "new@example.org", "idx_users_username"),
        ("BOB", "new@example.org", "idx_users_username"),
        ("new", "bob@example.org", "idx_users_email"),
        ("new", "Bob@Example.org", "idx_users_email"),
        ("bob", "bob@example.org", "idx_users_username"),
    ] {
        let mut new = new_user(name, "user");
        mail.clone_into(&mut new.email);
        assert_eq!(refusal(users::create(&db.ada, on, &new).await), rule, "{name} {mail}");
    }
}

async fn permissions_follow_role_and_status(db: &Db) {
    let on = &db.store;
    let may = async |actor: &Actor, what: &str| users::allowed(actor, on, what).await.unwrap();
    for (actor, create, decide, decide_own, view_all) in [
        (&db.ada, true, true, true, true),
        (&db.bob, true, false, true, false),
        (&db.obs, false, false, false, true),
        (&db.sus, false, false, false, false),
        (&db.ina, false, false, false, false),
        (&db.employee, true, false, false, false),
        (&db.admin_agent, true, false, false, false),
        (&db.service, false, false, false, false),
        (&db.nobody, false, false, false, false),
    ] {
        assert_eq!(may(actor, "task_create").await, create, "{actor:?}");
        assert_eq!(may(actor, "approval_decide").await, decide, "{actor:?}");
        assert_eq!(may(actor, "approval_decide_own").await, decide_own, "{actor:?}");
        assert_eq!(may(actor, "task_view_all").await, view_all, "{actor:?}");
    }
    for what in ["policy_admin", "server_admin", "user_admin"] {
        assert!(may(&db.ada, what).await && !may(&db.admin_agent, what).await, "{what} is a person's");
    }
    // A change of status counts from the next statement on, also within the transaction.
    let (ada, bob) = (db.ada.clone(), db.bob.clone());
    let seen = crate::common::undone(on, move |tx| {
        Box::pin(async move {
            let before = users::allowed(&bob, tx, "task_create").await.unwrap();
            users::set_status(&ada, tx, id(&bob), "suspended").await.unwrap();
            (before, users::allowed(&bob, tx, "task_create").await.unwrap())
        })
    })
    .await;
    assert_eq!(seen, (true, false));
}

async fn secrets_stay_unread(db: &Db) {
    let on = &db.store;
    for login in ["bob", "BOB@example.ORG"] {
        let found = users::credentials(&db.service, on, login).await.unwrap().unwrap();
        assert_eq!(
            (found.id, found.password_hash.as_str(), found.status.as_str()),
            (id(&db.bob), "$argon2id$of-bob", "active")
        );
        assert!(!format!("{found:?}").contains("argon2id"));
    }
    assert!(users::credentials(&db.service, on, "bo_").await.unwrap().is_none());
    for actor in [&db.ada, &db.bob, &db.employee, &db.admin_agent, &db.obs, &db.sus, &db.nobody] {
        assert_eq!(refusal(users::credentials(actor, on, "bob").await.map(|c| c.map(|_| ()))), "refused");
    }
    assert_eq!(refusal(users::accounts(&db.service, on, None, 10).await), "refused");
    users::set_password(&db.ada, on, id(&db.bob), "$argon2id$changed").await.unwrap();
    let audit = store::audit_trail::list(&db.service, on, Some("user"), Some(id(&db.bob)), 10).await.unwrap();
    let text = serde_json::to_string(&audit).unwrap();
    assert!(!text.contains("argon2id") && text.contains(r#""password_hash":"(secret)""#), "{text}");
}

async fn admins_are_locked_until_the_transaction_ends(db: &Db) {
    let on = &db.store;
    assert!(users::set_role(&db.ada, on, id(&db.bob), "admin").await.unwrap());
    assert!(users::lock_admins(&db.cat, on).await.unwrap().is_empty(), "for user administrators alone");
    // Each takes the role from the other, if somebody is left.
    let take_from = async |me: &Actor, other: Uuid| {
        let me = me.clone();
        let taken = on.transaction(move |tx| {
            Box::pin(async move {
                let admins = users::lock_admins(&me, tx).await?;
                if admins.len() > 1 { users::set_role(&me, tx, other, "user").await } else { Ok(false) }
            })
        });
        taken.await.unwrap()
    };
    let taken = tokio::join!(take_from(&db.ada, id(&db.bob)), take_from(&db.bob, id(&db.ada)));
    assert!(taken == (true, false) || taken == (false, true), "{taken:?}");
    let people = users::people_with_role(&db.service, on, "admin").await.unwrap();
    assert_eq!(people.len(), 1, "agents do not count");
}
