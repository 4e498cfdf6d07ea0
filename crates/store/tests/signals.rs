//! `signals`: who is woken by what, on this store and on another one, and what happens when signals are lost;
//! on both databases with the same assertions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "signals/pooler.rs"]
mod pooler;

use std::time::{Duration, Instant};

use common::{Db, Engine, connect, id, in_seconds, new_approval, new_user, seconds, undone};
use pooler::Pooler;
use serde_json::json;
use store::{
    Error, Store, approvals, mcp_servers,
    policies::{self, NewPolicy},
    sessions,
    signals::{Receiver, Signal, Topic},
    task_queue,
    tasks::{self, NewTask},
    users, watchers,
};
use tokio::time::timeout;

crate::on_both!(
    a_commit_wakes_here_and_elsewhere,
    a_transaction_wakes_after_its_commit_and_not_when_rolled_back,
    every_way_to_ready_work_wakes,
    what_is_not_declared_wakes_nobody,
    the_database_says_what_changed,
    a_thousand_commits_are_few_signals_and_none_is_lost,
    closing_sends_the_last_signal_and_ends_the_waiting,
    waiting_is_short,
);

/// Far longer than any signal takes; a signal that does not come fails by it.
const PATIENCE: Duration = Duration::from_secs(15);

async fn next(signals: &mut Receiver) -> Signal {
    timeout(PATIENCE, signals.recv()).await.expect("no signal came").expect("the store is open")
}

/// Waits for one of these.
async fn heard(signals: &mut Receiver, wanted: &[Signal]) -> Signal {
    loop {
        let signal = next(signals).await;
        if wanted.contains(&signal) {
            return signal;
        }
    }
}

/// Begins to listen, and answers once signals arrive.
async fn listening(store: &Store) -> Receiver {
    let mut signals = store.signals();
    // What was before may have been missed; a wake-up from the preparations may come first.
    heard(&mut signals, &[Signal::Missed]).await;
    assert!(store.is_listening());
    signals
}

/// Another program on the same database.
async fn another(db: &Db) -> Store {
    Store::open(&db.config).await.unwrap()
}

fn rule(name: &str) -> NewPolicy {
    NewPolicy {
        position: 1,
        name: name.to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 60,
    }
}

/// How work elsewhere is told: on SQLite only that something was written.
fn from_elsewhere(db: &Db) -> Signal {
    if db.engine == Engine::Sqlite { Signal::Missed } else { Signal::Ready }
}

async fn a_commit_wakes_here_and_elsewhere(db: &Db) {
    let other = another(db).await;
    let (mut here, mut there) = (listening(&db.store).await, listening(&other).await);
    for round in 0..5 {
        let task = db.task(&format!("t{round}")).await;
        heard(&mut here, &[Signal::Ready]).await;
        heard(&mut there, &[from_elsewhere(db)]).await;
        let lease = task_queue::claim(&db.employee, &other, "there", seconds(60)).await.unwrap().unwrap();
        assert_eq!(lease.task_id, task);
        assert!(task_queue::release(&db.employee, &other, &lease, seconds(0)).await.unwrap());
        heard(&mut here, &[from_elsewhere(db)]).await;
        let lease = task_queue::claim(&db.employee, &db.store, "here", seconds(60)).await.unwrap().unwrap();
        assert_eq!(lease.task_id, task);
    }
    let counts = other.signal_counts();
    assert!(counts.is_listening && counts.received >= 5 && counts.reconnects == 0, "{counts:?}");
    other.close().await;
}

async fn a_transaction_wakes_after_its_commit_and_not_when_rolled_back(db: &Db) {
    let other = another(db).await;
    let (mut here, mut there) = (listening(&db.store).await, listening(&other).await);
    let (bob, assignee) = (db.bob.clone(), id(&db.employee));
    let new = move || NewTask { assigned_to: Some(assignee), ..NewTask::titled("x") };
    undone(&db.store, {
        let bob = bob.clone();
        move |tx| Box::pin(async move { tasks::create(&bob, tx, &new()).await.unwrap() })
    })
    .await;
    // What comes first is what was committed.
    let made = policies::create(&db.ada, &db.store, &rule("after")).await.unwrap();
    let changed = Signal::Changed(Topic::Policies, made.to_string());
    assert_eq!(next(&mut here).await, changed);
    if db.engine == Engine::Postgres {
        assert_eq!(next(&mut there).await, changed);
    }
    let committed: Result<_, Error> = db
        .store
        .transaction(move |tx| {
            Box::pin(async move {
                let task = tasks::create(&bob, tx, &new()).await?;
                assert!(tasks::get(&bob, tx, task).await?.is_some());
                Ok(task)
            })
        })
        .await;
    committed.unwrap();
    assert_eq!(next(&mut here).await, Signal::Ready);
    heard(&mut there, &[from_elsewhere(db)]).await;
    other.close().await;
}

/// Waits until work is said to be ready. On SQLite a look at the file may say at any time that news may have been missed.
async fn ready(signals: &mut Receiver, why: &str) {
    let signal = loop {
        match next(signals).await {
            Signal::Missed => {}
            other => break other,
        }
    };
    assert_eq!(signal, Signal::Ready, "{why}");
}

async fn every_way_to_ready_work_wakes(db: &Db) {
    let (on, employee) = (&db.store, id(&db.employee));
    let mut signals = listening(on).await;
    let mine = tasks::create(&db.bob, on, &NewTask::titled("mine")).await.unwrap();
    ready(&mut signals, "made").await;
    tasks::assign(&db.bob, on, mine, Some(employee)).await.unwrap();
    ready(&mut signals, "assigned").await;
    let mut row = tasks::get(&db.bob, on, mine).await.unwrap().unwrap();
    assert!(tasks::update(&db.bob, on, &row).await.unwrap());
    ready(&mut signals, "changed").await;
    "completed".clone_into(&mut row.status);
    assert!(tasks::set_status(&db.bob, on, &row).await.unwrap());
    ready(&mut signals, "another may have waited for it").await;

    let asked = db.task("asked").await;
    ready(&mut signals, "made").await;
    let question = db.approval(asked).await;
    assert!(approvals::approve(&db.bob, on, question, None).await.unwrap());
    ready(&mut signals, "approved").await;
    let question = db.approval(asked).await;
    assert!(approvals::reject(&db.bob, on, question, None).await.unwrap());
    ready(&mut signals, "rejected").await;
    approvals::create(&db.employee, on, &new_approval(asked, -1)).await.unwrap();
    assert_eq!(approvals::expire(&db.service, on).await.unwrap().len(), 1);
    ready(&mut signals, "expired").await;

    let lease = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
    assert!(task_queue::release(&db.employee, on, &lease, seconds(0)).await.unwrap());
    ready(&mut signals, "given back").await;
    task_queue::claim(&db.employee, on, "w", seconds(-1)).await.unwrap().unwrap();
    assert_eq!(task_queue::reclaim(&db.service, on, None).await.unwrap(), [asked]);
    ready(&mut signals, "its lease ran out").await;
    assert!(users::set_status(&db.ada, on, employee, "active").await.unwrap());
    ready(&mut signals, "the agent may work again").await;
}

async fn what_is_not_declared_wakes_nobody(db: &Db) {
    let on = &db.store;
    let mut signals = listening(on).await;
    // Nothing expired, nothing ran out, nothing is the stranger's to change; and what is read.
    assert!(task_queue::reclaim(&db.service, on, None).await.unwrap().is_empty());
    assert!(store::approvals::expire(&db.service, on).await.unwrap().is_empty());
    assert!(task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().is_none());
    tasks::list(&db.bob, on, None, None, 10).await.unwrap();
    let token = "a".repeat(64);
    let session = sessions::create(&db.service, on, id(&db.bob), &token, in_seconds(60), None, None).await.unwrap();
    sessions::touch(&db.service, on, session, in_seconds(120)).await.unwrap();
    users::touch_login(&db.service, on, id(&db.bob)).await.unwrap();
    let made = policies::create(&db.ada, on, &rule("after")).await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Policies, made.to_string()));
}

async fn the_database_says_what_changed(db: &Db) {
    let on = &db.store;
    let mut signals = listening(on).await;
    let token = |c: char| c.to_string().repeat(64);
    let dan = users::create(&db.ada, on, &new_user("dan", "user")).await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Users, dan.to_string()));
    users::make_agent(&db.ada, on, dan, "other").await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Users, dan.to_string()));
    users::set_role(&db.ada, on, dan, "observer").await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Users, dan.to_string()));

    let one = sessions::create(&db.service, on, dan, &token('a'), in_seconds(60), None, None).await.unwrap();
    let two = sessions::create(&db.service, on, dan, &token('b'), in_seconds(60), None, None).await.unwrap();
    assert!(sessions::revoke(&db.service, on, one).await.unwrap());
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Sessions, token('a')));
    assert!(sessions::revoke(&db.service, on, two).await.unwrap());
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Sessions, token('b')));
    sessions::create(&db.service, on, dan, &token('c'), in_seconds(-60), None, None).await.unwrap();
    assert_eq!(sessions::cleanup(&db.service, on).await.unwrap(), 3);
    let mut gone = [next(&mut signals).await, next(&mut signals).await, next(&mut signals).await];
    gone.sort_by_key(|signal| format!("{signal:?}"));
    assert_eq!(gone, ['a', 'b', 'c'].map(|c| Signal::Changed(Topic::Sessions, token(c))));

    let rule = policies::create(&db.ada, on, &rule("r")).await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Policies, rule.to_string()));
    assert!(policies::delete(&db.ada, on, rule).await.unwrap());
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Policies, rule.to_string()));

    let server = mcp_servers::create(&db.ada, on, "files", "x", vec![], None).await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::McpServers, server.to_string()));
    let beat = || mcp_servers::set_status(&db.service, on, server, "active", None, Some(store::now()));
    beat().await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::McpServers, server.to_string()));
    beat().await.unwrap(); // a heartbeat alone says nothing
    let schema = json!({});
    let see = || mcp_servers::see_tool(&db.service, on, server, "read", None, &schema, "abc");
    see().await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::ServerTools, server.to_string()));
    see().await.unwrap();
    mcp_servers::withdraw_tool(&db.service, on, server, "read").await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::ServerTools, server.to_string()));

    let inbox = watchers::create(&db.bob, on, "inbox", "folder", json!({})).await.unwrap();
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Watchers, inbox.to_string()));
    assert!(watchers::report(&db.service, on, inbox, Some("no folder")).await.unwrap());
    assert!(watchers::set_active(&db.bob, on, inbox, false).await.unwrap());
    assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Watchers, inbox.to_string()));
    // With the server go its tools, whoever deletes them.
    assert!(mcp_servers::delete(&db.ada, on, server).await.unwrap());
    let both = [Topic::McpServers, Topic::ServerTools].map(|topic| Signal::Changed(topic, server.to_string()));
    let (first, second) = (next(&mut signals).await, next(&mut signals).await);
    assert!(first != second && both.contains(&first) && both.contains(&second), "{first:?}, {second:?}");
}

async fn a_thousand_commits_are_few_signals_and_none_is_lost(db: &Db) {
    const WRITERS: usize = 8;
    const EACH: usize = 125;
    let other = another(db).await;
    let mut signals = listening(&other).await;
    let (store, employee) = (other.clone(), db.employee.clone());
    // It looks only when it is woken, and must find all.
    let worker = tokio::spawn(async move {
        let mut claimed = 0;
        while claimed < WRITERS * EACH {
            next(&mut signals).await;
            while task_queue::claim(&employee, &store, "w", seconds(600)).await.unwrap().is_some() {
                claimed += 1;
            }
        }
    });
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, bob, assignee) = (db.store.clone(), db.bob.clone(), id(&db.employee));
        writers.spawn(async move {
            for number in 0..EACH {
                let new = NewTask { assigned_to: Some(assignee), ..NewTask::titled(format!("{writer}/{number}")) };
                tasks::create(&bob, &store, &new).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    worker.await.unwrap();
    let sent = db.store.signal_counts().sent;
    if db.engine == Engine::Postgres {
        assert!((1..WRITERS as u64 * EACH as u64 / 2).contains(&sent), "{sent} sent");
    }
    other.close().await;
}

async fn closing_sends_the_last_signal_and_ends_the_waiting(db: &Db) {
    let mut there = listening(&db.store).await;
    // As a command of the terminal does: open, write, close.
    let short = another(db).await;
    let mut waiting = short.signals();
    let new = NewTask { assigned_to: Some(id(&db.employee)), ..NewTask::titled("x") };
    tasks::create(&db.bob, &short, &new).await.unwrap();
    short.close().await;
    heard(&mut there, &[from_elsewhere(db)]).await;
    let ended = async { while waiting.recv().await.is_some() {} };
    timeout(PATIENCE, ended).await.expect("a closed store has no more signals");
    assert!(!short.is_listening());
    assert_eq!(short.signals().recv().await, None);
}

/// From the commit of a ready task to its claim, at the median; the benchmark measures it, this only tells a signal from
/// a look into the queue now and then.
async fn waiting_is_short(db: &Db) {
    let other = another(db).await;
    for (place, store, limit_ms) in
        [("here", &db.store, 100), ("elsewhere", &other, if db.engine == Engine::Sqlite { 250 } else { 100 })]
    {
        let (store, employee) = (store.clone(), db.employee.clone());
        let mut signals = listening(&store).await;
        let (claimed, mut claims) = tokio::sync::mpsc::channel(1);
        let worker = tokio::spawn(async move {
            while signals.recv().await.is_some() {
                while task_queue::claim(&employee, &store, "w", seconds(600)).await.unwrap().is_some() {
                    claimed.send(Instant::now()).await.unwrap();
                }
            }
        });
        let mut taken = Vec::new();
        for round in 0..41 {
            db.task(&format!("{place} {round}")).await;
            let committed = Instant::now();
            let at = timeout(PATIENCE, claims.recv()).await.expect("a claim").expect("the worker lives");
            taken.push(at.saturating_duration_since(committed));
        }
        worker.abort();
        taken.sort();
        let median = taken[taken.len() / 2];
        println!("{:?} {place}: median {median:?}, 95 % {:?}", db.engine, taken[taken.len() * 95 / 100]);
        assert!(median < Duration::from_millis(limit_ms), "{place}: {median:?}");
    }
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_listener_is_missed_and_listens_again() {
    common::with(Engine::Postgres, async |db| {
        let other = another(db).await;
        let mut signals = listening(&other).await;
        let owner = connect(&db.owner).await;
        let killed = owner
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'steward signals'",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(killed, 1, "one connection listens");
        assert_eq!(next(&mut signals).await, Signal::Missed, "when it is lost");
        assert_eq!(next(&mut signals).await, Signal::Missed, "when it is there again");
        assert!(other.is_listening());
        assert_eq!(other.signal_counts().reconnects, 1);
        db.task("after").await;
        assert_eq!(next(&mut signals).await, Signal::Ready);
        let made = policies::create(&db.ada, &db.store, &rule("after")).await.unwrap();
        assert_eq!(next(&mut signals).await, Signal::Changed(Topic::Policies, made.to_string()));
        // Another program's change is told like one of ours.
        owner.batch_execute("DELETE FROM role_permissions WHERE role = 'observer'").await.unwrap();
        assert_eq!(next(&mut signals).await, Signal::Changed(Topic::RolePermissions, "observer".to_owned()));
        owner.batch_execute("TRUNCATE role_permissions").await.unwrap();
        assert_eq!(next(&mut signals).await, Signal::Missed);
        // And it may say what this one does not know yet.
        owner.batch_execute("NOTIFY steward, 'moons:1'").await.unwrap();
        assert_eq!(next(&mut signals).await, Signal::Missed);
        other.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_of_one_commit_are_one_signal() {
    common::with(Engine::Sqlite, async |db| {
        let mut signals = listening(&db.store).await;
        let ada = db.ada.clone();
        let made: Result<_, Error> = db
            .store
            .transaction(move |tx| {
                Box::pin(async move {
                    for number in 0..100 {
                        policies::create(&ada, tx, &rule(&format!("r{number}"))).await?;
                    }
                    Ok(())
                })
            })
            .await;
        made.unwrap();
        assert_eq!(next(&mut signals).await, Signal::Missed);
        db.task("after").await;
        assert_eq!(next(&mut signals).await, Signal::Ready);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_passes_nothing_on_is_found_out() {
    common::with(Engine::Postgres, async |db| {
        let (pooler, config) = Pooler::start(&db.config).await;
        let deaf = Store::open(&config).await.unwrap();
        let mut signals = deaf.signals();
        // LISTEN is taken without a word; that nothing comes back is known after three seconds.
        db.task("unheard").await;
        assert!(timeout(Duration::from_secs(5), signals.recv()).await.is_err(), "nothing can be heard");
        assert!(!deaf.is_listening(), "so everybody looks by themselves");
        let reached = connect(&db.owner)
            .await
            .query_one(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND query IN ('LISTEN steward') OR query LIKE 'NOTIFY steward, ''echo:%'",
                &[],
            )
            .await
            .unwrap();
        assert!(reached.get::<_, i64>(0) > 0, "it was tried");
        deaf.close().await;
        drop(pooler);
    })
    .await;
}
