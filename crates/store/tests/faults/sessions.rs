//! Connections that run out, backends that are killed, locks that are held, deadlocks.

use std::time::{Duration, Instant};

use store::{
    Error, Store,
    tasks::{self, NewTask, Task},
};
use tokio_postgres::Client;

use crate::common::{
    cluster::Cluster,
    private::{owner, runtime, settle, until},
};

/// Ends the sessions of the runtime role that are in this state.
async fn kill(owner: &Client, state: &str) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'steward' AND state = $1";
    owner.query_one(sql, &[&state]).await.unwrap().get(0)
}

async fn waits_for_a_lock(owner: &Client) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = 'steward' AND wait_event_type = 'Lock')";
    owner.query_one(sql, &[]).await.unwrap().get(0)
}

async fn count(owner: &Client, title: &str) -> i64 {
    owner.query_one("SELECT count(*) FROM tasks WHERE title = $1", &[&title]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_free_connections() {
    let cluster = Cluster::start(&["max_connections = 10", "superuser_reserved_connections = 3"]);
    let people = settle(&cluster).await;
    let mut config = runtime(cluster.port);
    config.pool_size = 20;
    config.connect_timeout = Duration::from_secs(20);
    let store = Store::open(&config).await.unwrap();
    let mut hogs = Vec::new();
    for _ in 0..4 {
        hogs.push(crate::common::connect(&runtime(cluster.port)).await);
    }
    // The pool may have 20, the server gives it three: everybody gets a turn.
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (bob, store) = (people.bob.clone(), store.clone());
        callers.spawn(async move { tasks::create(&bob, &store, &NewTask::titled(format!("{number}"))).await });
    }
    while let Some(made) = callers.join_next().await {
        made.unwrap().expect("a caller waits for a free connection");
    }
    let owner = owner(&cluster).await;
    let made: i64 = owner.query_one("SELECT count(*) FROM tasks", &[]).await.unwrap().get(0);
    assert_eq!(made, 60);
    store.close().await;

    // Nothing is left at all: bounded waiting and a clear word, and then it works by itself.
    config.connect_timeout = Duration::from_secs(1);
    let store = Store::open(&config).await.unwrap();
    assert!(kill(&owner, "idle").await > 0, "the store's own goes too");
    drop(hogs);
    let mut hogs = Vec::new();
    until("all connections are in use", async || {
        while let Ok(hog) = crate::common::private::try_connect(&runtime(cluster.port)).await {
            hogs.push(hog);
        }
        hogs.iter().filter(|h: &&Client| !h.is_closed()).count() >= 6
    })
    .await;
    let began = Instant::now();
    let error = tasks::create(&people.bob, &store, &NewTask::titled("too many")).await.unwrap_err();
    assert!(matches!(&error, Error::Busy(said) if said.contains("max_connections")), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    hogs.clear();
    until("it works when one is free", async || {
        tasks::create(&people.bob, &store, &NewTask::titled("after")).await.is_ok()
    })
    .await;
    assert_eq!((count(&owner, "too many").await, count(&owner, "after").await), (0, 1));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backend_is_nobodys_trouble() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    // What a transaction sees of other sessions stands still, so looking has a session of its own.
    let (watcher, owner) = (owner(&cluster).await, owner(&cluster).await);
    let store = Store::open(&runtime(cluster.port)).await.unwrap();
    // While it is idle: whoever comes next does not notice.
    for round in 0..20 {
        kill(&owner, "idle").await;
        let made = tasks::create(&people.bob, &store, &NewTask::titled(format!("round {round}"))).await;
        // The one thing that may be said instead is that the answer was lost, and then it is looked up.
        if let Err(e) = made {
            assert!(matches!(e, Error::OutcomeUnknown(_)), "{e:?}");
        }
        assert!(count(&owner, &format!("round {round}")).await <= 1);
        kill(&owner, "idle").await;
        tasks::list(&people.bob, &store, None, None, 10).await.expect("a read is done again");
    }
    // In the middle of a statement: it changed nothing, and is done again.
    let task = tasks::create(&people.bob, &store, &NewTask::titled("held")).await.unwrap();
    owner.batch_execute("BEGIN").await.unwrap();
    owner.execute("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE", &[&task]).await.unwrap();
    let changed = Task { title: "changed".to_owned(), ..tasks::get(&people.bob, &store, task).await.unwrap().unwrap() };
    let (bob, at_work) = (people.bob.clone(), store.clone());
    let changing = tokio::spawn(async move { tasks::update(&bob, &at_work, &changed).await });
    until("the change waits", async || waits_for_a_lock(&watcher).await).await;
    assert_eq!(kill(&watcher, "active").await, 1);
    until("it waits again", async || waits_for_a_lock(&watcher).await).await;
    owner.batch_execute("COMMIT").await.unwrap();
    changing.await.unwrap().unwrap();
    assert_eq!(count(&owner, "changed").await, 1);
    assert!(store.metrics().retries >= 1);
    // In the middle of a transaction: nothing of it stands, and it says so.
    let (bob, killer) = (people.bob.clone(), crate::common::private::owner(&cluster).await);
    let ended: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                tasks::create(&bob, tx, &NewTask::titled("half")).await?;
                assert_eq!(kill(&killer, "idle in transaction").await, 1);
                tasks::create(&bob, tx, &NewTask::titled("other half")).await.map(drop)
            })
        })
        .await;
    assert!(matches!(ended, Err(Error::Unavailable(_))), "{ended:?}");
    assert_eq!((count(&owner, "half").await, count(&owner, "other half").await), (0, 0));
    store.ping().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_else_holds() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let owner = owner(&cluster).await;
    let store = Store::open(&runtime(cluster.port)).await.unwrap();
    owner.batch_execute("BEGIN; LOCK TABLE tasks").await.unwrap();
    let (bob, new) = (people.bob.clone(), NewTask::titled("within"));
    for _ in 0..3 {
        let began = Instant::now();
        let error = tasks::create(&people.bob, &store, &NewTask::titled("alone")).await.unwrap_err();
        assert!(matches!(&error, Error::Busy(said) if said.contains("somebody else holds")), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    let ended = store.transaction(move |tx| Box::pin(async move { tasks::create(&bob, tx, &new).await })).await;
    assert!(matches!(ended, Err(Error::Busy(_))), "{ended:?}");
    // What does not need the table goes on.
    store::users::names(&people.bob, &store, Vec::new()).await.unwrap();
    owner.batch_execute("ROLLBACK").await.unwrap();
    tasks::create(&people.bob, &store, &NewTask::titled("alone")).await.unwrap();
    assert_eq!((count(&owner, "alone").await, count(&owner, "within").await), (1, 0));
    let busy = store.metrics().errors.into_iter().find(|(class, _)| *class == "busy").unwrap();
    assert_eq!(busy.1, 3);
    store.close().await;
}

/// Of two that wait for each other the database ends one. A verb is done again; it is told to nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_not_told_to_who_did_one_thing() {
    let cluster = Cluster::start(&["deadlock_timeout = '200ms'"]);
    let people = settle(&cluster).await;
    let (watcher, owner) = (owner(&cluster).await, owner(&cluster).await);
    // This one is patient, so it is the verb that is ended.
    owner.batch_execute("SET deadlock_timeout = '1min'").await.unwrap();
    let store = Store::open(&runtime(cluster.port)).await.unwrap();
    let new = NewTask { assigned_to: people.employee.user_id(), ..NewTask::titled("contended") };
    let task = tasks::create(&people.bob, &store, &new).await.unwrap();
    owner.batch_execute("BEGIN").await.unwrap();
    let held = owner.execute("SELECT 1 FROM task_queue WHERE task_id = $1 FOR UPDATE", &[&task]).await.unwrap();
    assert_eq!(held, 1);
    let (bob, at_work) = (people.bob.clone(), store.clone());
    let changed =
        Task { priority: "critical".to_owned(), ..tasks::get(&people.bob, &store, task).await.unwrap().unwrap() };
    let changing = tokio::spawn(async move { tasks::update(&bob, &at_work, &changed).await });
    until("the verb holds the task and waits for its place in the queue", async || waits_for_a_lock(&watcher).await)
        .await;
    owner.execute("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE", &[&task]).await.unwrap();
    owner.batch_execute("COMMIT").await.unwrap();
    changing.await.unwrap().expect("the verb is done again");
    assert!(store.metrics().retries >= 1, "it met the deadlock");
    let row = owner.query_one("SELECT priority::text FROM tasks WHERE id = $1", &[&task]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "critical");
    store.close().await;
}
