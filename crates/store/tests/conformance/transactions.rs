//! What holds for every verb: transactions, contexts, groups of commits, and small installations.

use std::time::Duration;

use store::{
    Actor, Error, Store, approvals, audit_trail,
    tasks::{self, NewTask},
    users,
};
use tokio::sync::oneshot;

use crate::common::{Db, Engine, id, kind, new_approval, new_user, people, refusal};

crate::on_both!(
    all_or_nothing,
    a_swallowed_failure_rolls_back,
    several_actors_in_one,
    the_context_does_not_leak,
    a_dropped_future_leaves_nothing_behind,
    two_hundred_at_once,
    work_that_panics,
    the_engine_answers
);

async fn all_or_nothing(db: &Db) {
    let on = &db.store;
    let (bob, employee) = (db.bob.clone(), db.employee.clone());
    let failed = on
        .transaction(move |tx| {
            Box::pin(async move {
                let task =
                    tasks::create(&bob, tx, &NewTask { assigned_to: Some(id(&employee)), ..NewTask::titled("x") })
                        .await?;
                approvals::create(&employee, tx, &new_approval(task, 60)).await?;
                assert!(tasks::get(&bob, tx, task).await?.is_some(), "one sees one's own");
                tasks::create(&bob, tx, &NewTask { priority: "urgent".to_owned(), ..NewTask::titled("y") }).await
            })
        })
        .await;
    assert_eq!(refusal(failed), "chk_priority");
    assert!(tasks::list(&db.ada, on, None, None, 10).await.unwrap().is_empty());
    assert!(approvals::list(&db.ada, on, None, None, None, 10).await.unwrap().is_empty());
    // An error of the caller's own rolls back as well.
    let bob = db.bob.clone();
    let own = on
        .transaction(move |tx| {
            Box::pin(async move {
                tasks::create(&bob, tx, &NewTask::titled("x")).await?;
                Err::<(), _>(Error::Config("mine".to_owned()))
            })
        })
        .await;
    assert_eq!(own.unwrap_err().to_string(), "mine");
    assert!(tasks::list(&db.ada, on, None, None, 10).await.unwrap().is_empty());
    assert_eq!(audit_trail::verify(&db.ada, on).await.unwrap().broken, None);
}

async fn a_swallowed_failure_rolls_back(db: &Db) {
    let on = &db.store;
    for way in 0..3 {
        let (bob, obs) = (db.bob.clone(), db.obs.clone());
        let result = on
            .transaction(move |tx| {
                Box::pin(async move {
                    tasks::create(&bob, tx, &NewTask::titled("before")).await?;
                    let failed = match way {
                        0 => tasks::create(&bob, tx, &NewTask { priority: "x".to_owned(), ..NewTask::titled("x") })
                            .await
                            .map(drop),
                        1 => tasks::create(&obs, tx, &NewTask::titled("x")).await.map(drop),
                        _ => users::credentials(&bob, tx, "bob").await.map(drop),
                    };
                    let failed = kind(&failed.unwrap_err());
                    assert_eq!(failed, if way == 0 { "chk_priority" } else { "refused" });
                    // What comes after it is not done, and says so.
                    let after = tasks::create(&bob, tx, &NewTask::titled("after")).await;
                    assert_eq!(refusal(after), "rolled back");
                    assert_eq!(refusal(tasks::list(&bob, tx, None, None, 1).await), "rolled back");
                    Ok::<_, Error>("pretends")
                })
            })
            .await;
        assert_eq!(refusal(result), "rolled back", "way {way}");
    }
    assert!(tasks::list(&db.ada, on, None, None, 10).await.unwrap().is_empty());
    // An empty transaction, and one that only reads, are fine.
    on.transaction(|_| Box::pin(async { Ok::<_, Error>(()) })).await.unwrap();
    tasks::create(&db.bob, on, &NewTask::titled("next")).await.unwrap();
}

async fn several_actors_in_one(db: &Db) {
    let on = &db.store;
    let people = db.people.clone();
    let task = on
        .transaction(move |tx| {
            Box::pin(async move {
                let new = NewTask { assigned_to: Some(id(&people.employee)), ..NewTask::titled("x") };
                let task = tasks::create(&people.bob, tx, &new).await?;
                assert!(tasks::get(&people.cat, tx, task).await?.is_none());
                let approval = approvals::create(&people.employee, tx, &new_approval(task, 60)).await?;
                assert!(!approvals::approve(&people.employee, tx, approval, None).await?);
                assert!(tasks::get(&people.nobody, tx, task).await?.is_none());
                assert!(approvals::approve(&people.bob, tx, approval, None).await?);
                assert!(tasks::get(&people.service, tx, task).await?.is_some());
                Ok::<_, Error>(task)
            })
        })
        .await
        .unwrap();
    let rows = audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap();
    let last: Vec<_> = rows.iter().take_while(|r| r.created_at == rows[0].created_at).collect();
    assert_eq!(last.len(), 3, "one time for the whole transaction");
    let by = |action: &str| last.iter().find(|r| r.action == action).unwrap().user_id;
    assert_eq!(
        (by("task_created"), by("approval_created"), by("approval_updated")),
        (Some(id(&db.bob)), Some(id(&db.employee)), Some(id(&db.bob)))
    );
    assert!(tasks::get(&db.bob, on, task).await.unwrap().is_some());
}

/// A store with one connection, so that the next request surely meets what the last one left.
async fn narrow(db: &Db) -> Store {
    let mut config = db.config.clone();
    config.pool_size = 1;
    config.connect_timeout = Duration::from_secs(10);
    Store::open(&config).await.unwrap()
}

async fn the_context_does_not_leak(db: &Db) {
    let on = &narrow(db).await;
    let task = tasks::create(&db.bob, on, &NewTask::titled("bob's")).await.unwrap();
    let sees = async |actor| tasks::get(actor, on, task).await.unwrap().is_some();
    for _ in 0..3 {
        assert!(
            sees(&db.bob).await
                && !sees(&db.nobody).await
                && sees(&db.service).await
                && !sees(&db.cat).await
                && sees(&db.ada).await
        );
        assert!(!sees(&db.nobody).await);
        // After a refusal, a broken rule, and a transaction that failed as somebody who sees everything.
        refusal(tasks::create(&db.obs, on, &NewTask::titled("x")).await);
        assert!(!sees(&db.nobody).await);
        refusal(tasks::create(&db.ada, on, &NewTask { priority: "x".to_owned(), ..NewTask::titled("x") }).await);
        assert!(!sees(&db.nobody).await);
        let service = db.service.clone();
        let failed = on
            .transaction(move |tx| {
                Box::pin(async move {
                    tasks::get(&service, tx, task).await?;
                    Err::<(), _>(Error::RolledBack)
                })
            })
            .await;
        assert_eq!(refusal(failed), "rolled back");
        assert!(!sees(&db.nobody).await && !sees(&db.cat).await);
    }
    // The request's facts do not stay either.
    let from = db.bob.clone().from_request(Some("192.0.2.1".parse().unwrap()), Some("agent"), Some("r"));
    tasks::create(&from, on, &NewTask::titled("with")).await.unwrap();
    tasks::create(&db.bob, on, &NewTask::titled("without")).await.unwrap();
    let rows = audit_trail::list(&db.ada, on, Some("task"), None, 2).await.unwrap();
    assert_eq!((rows[0].ip_address, &rows[0].user_agent), (None, &None));
    assert_eq!(
        (rows[1].ip_address, rows[1].user_agent.as_deref()),
        (Some("192.0.2.1".parse().unwrap()), Some("agent"))
    );
    on.close().await;
}

async fn a_dropped_future_leaves_nothing_behind(db: &Db) {
    let on = &narrow(db).await;
    let task = tasks::create(&db.bob, on, &NewTask::titled("bob's")).await.unwrap();
    if db.engine == Engine::Postgres {
        // Dropped in the middle of a transaction, which waits for something that never comes.
        let (began, has_begun) = oneshot::channel();
        let (store, ada) = (on.clone(), db.ada.clone());
        let work = tokio::spawn(async move {
            store
                .transaction(move |tx| {
                    Box::pin(async move {
                        tasks::create(&ada, tx, &NewTask::titled("never")).await?;
                        began.send(()).unwrap();
                        std::future::pending::<Result<(), Error>>().await
                    })
                })
                .await
        });
        has_begun.await.unwrap();
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
    } else {
        // On SQLite a transaction waits for nothing but its statements: what would wait is refused.
        let ada = db.ada.clone();
        let waiting = on
            .transaction(move |tx| {
                Box::pin(async move {
                    tasks::create(&ada, tx, &NewTask::titled("never")).await?;
                    std::future::pending::<Result<(), Error>>().await
                })
            })
            .await;
        assert!(waiting.unwrap_err().to_string().contains("may wait for nothing"));
    }
    assert!(tasks::get(&db.nobody, on, task).await.unwrap().is_none());
    assert_eq!(tasks::list(&db.ada, on, None, None, 10).await.unwrap().len(), 1);
    // Single statements dropped at their first wait: done or not done, never half, and nobody's rights stay.
    for _ in 0..20 {
        let read = tasks::list(&db.ada, on, None, None, 10);
        drop(tokio::time::timeout(Duration::ZERO, read).await);
        assert!(tasks::get(&db.nobody, on, task).await.unwrap().is_none());
        let new = NewTask::titled("perhaps");
        drop(tokio::time::timeout(Duration::ZERO, tasks::create(&db.bob, on, &new)).await);
        assert!(tasks::list(&db.nobody, on, None, None, 10).await.unwrap().is_empty());
    }
    on.close().await;
    let report = audit_trail::verify(&db.ada, &db.store).await.unwrap();
    assert_eq!(report.broken, None);
}

async fn two_hundred_at_once(db: &Db) {
    let mut work = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (store, bob, cat) = (db.store.clone(), db.bob.clone(), db.cat.clone());
        work.spawn(async move {
            let actor = if n % 2 == 0 { bob } else { cat };
            store
                .transaction(move |tx| {
                    Box::pin(async move {
                        let first = tasks::create(&actor, tx, &NewTask::titled(format!("first {n}"))).await?;
                        if n % 5 == 0 {
                            // Every fifth breaks a rule; its neighbours in the same commit must not feel it.
                            tasks::create(&actor, tx, &NewTask { priority: "x".to_owned(), ..NewTask::titled("x") })
                                .await?;
                        }
                        tasks::create(
                            &actor,
                            tx,
                            &NewTask { dependencies: vec![first], ..NewTask::titled(format!("second {n}")) },
                        )
                        .await
                    })
                })
                .await
        });
    }
    let results = work.join_all().await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 160);
    assert!(results.iter().filter_map(|r| r.as_ref().err()).all(|e| kind(e) == "chk_priority"));
    let rows = tasks::list(&db.ada, &db.store, None, None, 1000).await.unwrap();
    assert_eq!(rows.len(), 320, "whole pairs only");
    assert_eq!(tasks::list(&db.bob, &db.store, None, None, 1000).await.unwrap().len(), 160);
    assert!(rows.iter().all(|t| (t.title.starts_with("second")) == (t.dependencies.len() == 1)));
    let report = audit_trail::verify(&db.ada, &db.store).await.unwrap();
    assert_eq!((report.broken, report.links), (None, 320 + 12), "the chain holds under load");
}

async fn work_that_panics(db: &Db) {
    let (store, bob) = (db.store.clone(), db.bob.clone());
    let panicked = tokio::spawn(async move {
        store
            .transaction(move |tx| {
                Box::pin(async move {
                    tasks::create(&bob, tx, &NewTask::titled("never")).await?;
                    panic!("as a defect would");
                    #[allow(unreachable_code)]
                    Ok::<(), Error>(())
                })
            })
            .await
    })
    .await;
    assert!(panicked.is_err() || panicked.unwrap().is_err(), "whoever waits is told");
    assert!(tasks::list(&db.ada, &db.store, None, None, 10).await.unwrap().is_empty());
    tasks::create(&db.bob, &db.store, &NewTask::titled("life goes on")).await.unwrap();
}

async fn the_engine_answers(db: &Db) {
    let on = &db.store;
    on.ping().await.unwrap();
    assert_eq!(on.engine_name(), if db.engine == Engine::Sqlite { "SQLite" } else { "PostgreSQL" });
    assert!(on.engine_version().await.unwrap().starts_with(|c: char| c.is_ascii_digit()));
    on.close().await;
    assert!(matches!(tasks::create(&db.bob, on, &NewTask::titled("x")).await, Err(Error::Unavailable(_))));
    assert!(matches!(tasks::list(&db.bob, on, None, None, 1).await, Err(Error::Unavailable(_))));
}

/// A small installation has one superuser URL: its requests run as `app_user` all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_url_is_under_the_same_rules() {
    crate::common::with_fresh(Engine::Postgres, async |fresh| {
        fresh.migrate().await;
        let store = Store::open(&fresh.owner).await.unwrap();
        let people = people(&store).await;
        let task = tasks::create(&people.bob, &store, &NewTask::titled("x")).await.unwrap();
        assert!(tasks::get(&people.cat, &store, task).await.unwrap().is_none());
        assert!(tasks::get(&people.nobody, &store, task).await.unwrap().is_none());
        assert!(tasks::get(&people.ada, &store, task).await.unwrap().is_some());
        assert_eq!(refusal(tasks::create(&people.obs, &store, &NewTask::titled("x")).await), "refused");
        assert_eq!(refusal(users::create(&people.bob, &store, &new_user("eve", "admin")).await), "refused");
        assert_eq!(refusal(users::credentials(&people.ada, &store, "ada").await.map(|_| ())), "refused");
        assert_eq!(audit_trail::verify(&Actor::service(), &store).await.unwrap().broken, None);
        store.close().await;
    })
    .await;
}

/// Lists come by bytes, as on SQLite, whatever the server's language.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_names_is_not_the_servers() {
    crate::common::and_remove(crate::common::Fresh::in_english().await, async |fresh| {
        fresh.migrate().await;
        let store = Store::open(&fresh.runtime).await.unwrap();
        let people = people(&store).await;
        users::create(&people.ada, &store, &new_user("Zoe", "user")).await.unwrap();
        let names: Vec<String> =
            users::accounts(&people.ada, &store, None, 100).await.unwrap().into_iter().map(|a| a.username).collect();
        assert_eq!(names[..3], ["Zoe", "ada", "admin-agent"]);
        let next = users::accounts(&people.ada, &store, Some("Zoe"), 1).await.unwrap();
        assert_eq!(next[0].username, "ada", "and pages go on from there");
        for name in ["b", "A", "a_", "aB"] {
            store::mcp_servers::create(&people.ada, &store, name, "x", vec![], None).await.unwrap();
            store::watchers::create(&people.ada, &store, name, "folder", serde_json::json!({})).await.unwrap();
        }
        let servers: Vec<String> =
            store::mcp_servers::list(&people.ada, &store).await.unwrap().into_iter().map(|s| s.name).collect();
        let watchers: Vec<String> =
            store::watchers::list(&people.ada, &store).await.unwrap().into_iter().map(|w| w.name).collect();
        assert_eq!(servers, ["A", "aB", "a_", "b"]);
        assert_eq!(watchers, servers);
        store.close().await;
    })
    .await;
}
