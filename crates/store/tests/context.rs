//! Who acts is forgotten with the transaction: whatever happens to a request, the next one on the same connection is
//! nobody's until it says who it is. On both databases, and through a real PgBouncer that pools by transaction. (What a
//! kept connection of our own pool remembers is looked at from within, in `src/postgres/leaks.rs`.)
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "context/events.rs"]
mod events;

use std::sync::Mutex;

use common::{Db, Engine, pooler::Pooler};
use store::{
    Store, approvals, file_attachments, runs, task_queue,
    tasks::{self, NewTask, Task},
};
use tokio_postgres::{Client, SimpleQueryMessage};

async fn the_next_request_is_nobodys(db: &Db) {
    let mut config = db.config.clone();
    config.pool_size = 1;
    let store = Store::open(&config).await.unwrap();
    events::every(db, &store, async |after, _| events::strangers_see_nothing(db, &store, after).await).await;
    store.close().await;
}

on_both!(the_next_request_is_nobodys);

/// What another program finds on the session of the server that a request was just on.
async fn found(other: &Client) -> Vec<String> {
    let messages = other
        .simple_query(
            "SELECT pg_backend_pid(), (current_user = session_user)::text, current_setting('app.current_user_id', true), \
             current_setting('app.ip_address', true), current_setting('app.request_id', true), \
             (now() = statement_timestamp())::text, (SELECT count(*) FROM pg_prepared_statements), \
             (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')",
        )
        .await
        .unwrap();
    let row = messages.into_iter().find_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None });
    let row = row.unwrap();
    (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect()
}

async fn nothing_is_left_through_a_pooler(settings: &[&str]) {
    common::with(Engine::Postgres, async |db| {
        let pooler = Pooler::start(&db.config, 1, settings).await;
        let config = pooler.before(&db.config);
        let store = Store::open(&config).await.unwrap();
        let other = common::connect(&config).await;
        let session = Mutex::new(None);
        events::every(db, &store, async |after, kept| {
            let found = found(&other).await;
            assert_eq!(found[1..], ["true", "", "", "", "true", "0", "0"], "after {after}");
            let before = session.lock().unwrap().replace(found[0].clone());
            assert!(!kept || before.is_none_or(|b| b == found[0]), "after {after} the session is another");
            events::strangers_see_nothing(db, &store, after).await;
        })
        .await;
        store.close().await;
    })
    .await;
}

/// A pooler as it is installed: it refuses what a session of ours is begun with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_through_a_pooler_that_refuses_options() {
    nothing_is_left_through_a_pooler(&[]).await;
}

/// A pooler that was told to leave such options out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_through_a_pooler_that_leaves_options_out() {
    nothing_is_left_through_a_pooler(&["ignore_startup_parameters = options,extra_float_digits"]).await;
}

/// Requests of several people at once, on fewer sessions of the server than there are requests: each is its own
/// person's, its statements are bounded, and its times are UTC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_share_few_sessions() {
    common::with(Engine::Postgres, async |db| {
        let pooler = Pooler::start(&db.config, 2, &[]).await;
        let store = Store::open(&pooler.before(&db.config)).await.unwrap();
        let people = [&db.bob, &db.cat, &db.ada];
        for (n, person) in people.iter().enumerate() {
            let new =
                NewTask { tags: vec!["a \"b\"".to_owned(), "c\\,{}".to_owned()], ..NewTask::titled(format!("{n}")) };
            tasks::create(person, &store, &new).await.unwrap();
        }
        let asked = (0..60).map(|i| {
            let (store, person, n) = (store.clone(), people[i % 3].clone(), i % 3);
            async move {
                let mine: Vec<Task> = tasks::list(&person, &store, None, None, 10).await.unwrap();
                let others = if n == 2 { 3 } else { 1 };
                assert_eq!(mine.len(), others);
                assert!(mine.iter().any(|t| t.title == n.to_string() && t.tags == ["a \"b\"", "c\\,{}"]));
            }
        });
        futures_util::future::join_all(asked).await;

        // Work from its claim to its end, with every kind of parameter.
        let task = db.task("filed").await;
        let lease = task_queue::claim(&db.employee, &store, "w", common::seconds(60)).await.unwrap().unwrap();
        assert_eq!(lease.task_id, task);
        let run = runs::create(&db.employee, &store, task, "p", "s", "h").await.unwrap();
        let approval = approvals::create(&db.employee, &store, &common::new_approval(task, 60)).await.unwrap();
        assert!(approvals::approve(&db.bob, &store, approval, Some("yes")).await.unwrap());
        assert!(runs::finish(&db.employee, &store, run, "completed", None).await.unwrap());
        assert!(file_attachments::list(&db.bob, &store, task).await.unwrap().is_empty());
        let asked_for = approvals::get(&db.bob, &store, approval).await.unwrap().unwrap();
        assert_eq!(asked_for.details.unwrap()["arguments"]["to"], "März/a b.pdf");

        // A lock that somebody holds is not waited for without end.
        let holder = common::connect(&db.owner).await;
        holder.batch_execute("BEGIN; LOCK TABLE policies IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let mut hurried = pooler.before(&db.config);
        hurried.statement_timeout = std::time::Duration::from_millis(600);
        let hurried = Store::open(&hurried).await.unwrap();
        let error = store::policies::list(&db.ada, &hurried).await.unwrap_err();
        assert!(matches!(error, store::Error::Busy(_)), "{error:?}");
        holder.batch_execute("ROLLBACK").await.unwrap();
        hurried.close().await;
        store.close().await;
    })
    .await;
}
