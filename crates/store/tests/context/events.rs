//! Everything that can happen to a request, each followed by a look at what it left behind.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, task::Poll};

use futures_util::FutureExt;
use store::{
    BoxFuture, Error, Store, policies,
    policies::NewPolicy,
    tasks::{self, NewTask},
    users,
};
use uuid::Uuid;

use crate::common::{Db, kind, new_user, refusal, undone};

/// How often a request is cut off at most; it ends before that by itself.
const MOST_CUTS: usize = 200;

/// Runs `work` until it has waited `waits` times, then drops it where it stands.
pub async fn cut_off<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
    let mut work = pin!(work.map(Some));
    let mut left = waits;
    std::future::poll_fn(move |cx| match work.as_mut().poll(cx) {
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
        Poll::Ready(done) => Poll::Ready(done),
    })
    .await
}

fn policy() -> NewPolicy {
    NewPolicy {
        position: 1,
        name: "p".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 5,
    }
}

/// What happens to requests on `store`, whose people are `db`'s. `look` is called after each, with its name and whether
/// the connection must have been kept.
pub async fn every(db: &Db, store: &Store, look: impl AsyncFn(&str, bool)) {
    look("nothing", true).await;
    ended(db, store, &look).await;
    refused(db, store, &look).await;
    actors_in_turn(db, store, &look).await;
    cut_short(db, store, &look).await;
    panicked(db, store, &look).await;
}

async fn ended(db: &Db, store: &Store, look: &impl AsyncFn(&str, bool)) {
    tasks::create(&db.bob, store, &NewTask::titled("bob's")).await.unwrap();
    look("commit of a statement", true).await;
    let bob = db.bob.clone();
    let made: Result<Uuid, Error> = store
        .transaction(move |tx| Box::pin(async move { tasks::create(&bob, tx, &NewTask::titled("bob's")).await }))
        .await;
    made.unwrap();
    look("commit of a transaction", true).await;
    let bob = db.bob.clone();
    undone(store, move |tx| {
        Box::pin(async move { tasks::create(&bob, tx, &NewTask::titled("undone")).await.map(drop) })
    })
    .await
    .unwrap();
    look("rollback", true).await;
}

async fn refused(db: &Db, store: &Store, look: &impl AsyncFn(&str, bool)) {
    assert_eq!(refusal(users::create(&db.ada, store, &new_user("bob", "user")).await), "idx_users_username");
    look("a constraint", true).await;
    assert_eq!(refusal(policies::create(&db.bob, store, &policy()).await), "refused");
    look("a refusal", true).await;
    assert_eq!(refusal(tasks::create(&db.bob, store, &NewTask::titled("x".repeat(300).as_str())).await), "length");
    look("a value that does not fit", true).await;
    let (ada, bob) = (db.ada.clone(), db.bob.clone());
    let failed: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                users::set_role(&ada, tx, ada.user_id().unwrap(), "admin").await?;
                policies::create(&bob, tx, &policy()).await.map(drop)
            })
        })
        .await;
    assert_eq!(refusal(failed), "refused");
    look("a refusal within a transaction", true).await;
    let bob = db.bob.clone();
    let failed: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                // Whoever goes on after an error is told at the end.
                drop(policies::create(&bob, tx, &policy()).await);
                Ok(())
            })
        })
        .await;
    assert_eq!(refusal(failed), "rolled back");
    look("an error passed over", true).await;
}

/// Several actors in one transaction: each statement is its own actor's.
async fn actors_in_turn(db: &Db, store: &Store, look: &impl AsyncFn(&str, bool)) {
    let people = db.people.clone();
    let seen: Result<Vec<usize>, Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                let task = tasks::create(&people.bob, tx, &NewTask::titled("bob's")).await?;
                let mut seen = Vec::new();
                for actor in [&people.bob, &people.cat, &people.nobody, &people.ada, &people.nobody, &people.sus] {
                    seen.push(usize::from(tasks::get(actor, tx, task).await?.is_some()));
                }
                Ok(seen)
            })
        })
        .await;
    assert_eq!(seen.unwrap(), [1, 0, 0, 1, 0, 0]);
    look("actors in turn", true).await;
}

async fn cut_short(db: &Db, store: &Store, look: &impl AsyncFn(&str, bool)) {
    let mut waits = 0;
    while cut_off(tasks::list(&db.ada, store, None, None, 10), waits).await.is_none() {
        look(&format!("a read dropped after {waits} waits"), false).await;
        waits += 1;
        assert!(waits < MOST_CUTS, "it never ends");
    }
    let mut waits = 0;
    while cut_off(tasks::create(&db.ada, store, &NewTask::titled("ada's")), waits).await.is_none() {
        look(&format!("a write dropped after {waits} waits"), false).await;
        waits += 1;
        assert!(waits < MOST_CUTS, "it never ends");
    }
    let mut waits = 0;
    loop {
        let (ada, bob) = (db.ada.clone(), db.bob.clone());
        let work = store.transaction(move |tx| -> BoxFuture<'_, Result<(), Error>> {
            Box::pin(async move {
                tasks::create(&ada, tx, &NewTask::titled("ada's")).await?;
                tasks::create(&bob, tx, &NewTask::titled("bob's")).await.map(drop)
            })
        });
        if cut_off(work, waits).await.is_some() {
            break;
        }
        look(&format!("a transaction dropped after {waits} waits"), false).await;
        waits += 1;
        assert!(waits < MOST_CUTS, "it never ends");
    }
    look("the one that came through", true).await;
}

async fn panicked(db: &Db, store: &Store, look: &impl AsyncFn(&str, bool)) {
    if db.engine == crate::common::Engine::Sqlite {
        // The writer's thread runs the work: it is not made to panic.
        return;
    }
    let ada = db.ada.clone();
    let work = store.transaction(move |tx| -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            tasks::create(&ada, tx, &NewTask::titled("never")).await?;
            panic!("the request's own fault")
        })
    });
    assert!(AssertUnwindSafe(work).catch_unwind().await.is_err());
    look("a panic", false).await;
}

/// What another actor's request sees afterwards: its own, and nobody's nothing.
pub async fn strangers_see_nothing(db: &Db, store: &Store, after: &str) {
    for actor in [&db.nobody, &db.cat, &db.sus] {
        let tasks = tasks::list(actor, store, None, None, 100).await;
        let seen = tasks.unwrap_or_else(|e| panic!("after {after}: {}", kind(&e)));
        assert!(seen.is_empty(), "after {after} {actor:?} sees {seen:?}");
    }
    assert_eq!(refusal(policies::create(&db.nobody, store, &policy()).await), "refused", "after {after}");
}
