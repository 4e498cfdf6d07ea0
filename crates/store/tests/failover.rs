//! A primary that dies and its synchronous standby that takes over: what was acknowledged is there, nothing is there
//! twice, and work goes on by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use common::{
    cluster::{Cluster, Stop},
    id,
    private::{at, owner, settle, until},
    standby::{control, standby_of, synchronous_standby_of},
};
use store::{
    Error, Store,
    task_queue::{self, Lease},
    tasks::{self, NewTask},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What writers saw.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<BTreeMap<String, Uuid>>,
    unknown: Mutex<Vec<String>>,
    failed: AtomicU64,
    slowest_ms: AtomicU64,
    claimed: Mutex<Vec<Lease>>,
}

impl Seen {
    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
    fn failed(&self, title: Option<String>, error: &Error) {
        self.failed.fetch_add(1, Relaxed);
        match (error, title) {
            (Error::OutcomeUnknown(_), Some(title)) => self.unknown.lock().unwrap().push(title),
            (Error::OutcomeUnknown(_), None) => {}
            (e, _) => assert!(matches!(e, Error::Unavailable(_) | Error::Busy(_)), "{e:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::too_many_lines, reason = "one story, told in order")]
async fn acknowledged_writes_outlive_the_primary() {
    let primary = Cluster::start(&[]);
    let people = settle(&primary).await;
    let standby = synchronous_standby_of(&primary);
    let watching = owner(&primary).await;
    until("the standby is synchronous", async || {
        let row = watching.query_one("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", &[]).await;
        row.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    drop(watching);

    let store = Store::open(&at(&format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port))).await.unwrap();
    let (seen, end) = (Arc::new(Seen::default()), CancellationToken::new());
    let mut parts = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (bob, employee) = (people.bob.clone(), id(&people.employee));
        let (store, seen, end) = (store.clone(), Arc::clone(&seen), end.clone());
        parts.spawn(async move {
            for number in 0.. {
                if end.is_cancelled() {
                    return;
                }
                let title = format!("{writer}-{number}");
                let new = NewTask { assigned_to: Some(employee), ..NewTask::titled(&title) };
                let began = Instant::now();
                // Half of them on their own, half in a transaction.
                let made = if number % 2 == 0 {
                    tasks::create(&bob, &store, &new).await
                } else {
                    let bob = bob.clone();
                    store.transaction(move |tx| Box::pin(async move { tasks::create(&bob, tx, &new).await })).await
                };
                let took = u64::try_from(began.elapsed().as_millis()).unwrap();
                seen.slowest_ms.fetch_max(took, Relaxed);
                match made {
                    Ok(id) => drop(seen.acknowledged.lock().unwrap().insert(title, id)),
                    Err(e) => seen.failed(Some(title), &e),
                }
            }
        });
    }
    for worker in 0..2 {
        let (employee, store, seen, end) = (people.employee.clone(), store.clone(), Arc::clone(&seen), end.clone());
        parts.spawn(async move {
            while !end.is_cancelled() {
                let lease = common::seconds(3600);
                match task_queue::claim(&employee, &store, &format!("node/{worker}"), lease).await {
                    Ok(Some(lease)) => seen.claimed.lock().unwrap().push(lease),
                    Ok(None) => tokio::task::yield_now().await,
                    Err(e) => seen.failed(None, &e),
                }
            }
        });
    }
    until("writers are at work", async || seen.acknowledged() >= 200).await;
    primary.stop(Stop::Immediate);
    until("the loss is noticed", async || seen.failed.load(Relaxed) > 0).await;
    let before = seen.acknowledged();
    control(&standby, "promote");
    let promoted = Instant::now();
    until("work goes on by itself", async || seen.acknowledged() >= before + 200).await;
    println!("200 further writes stood {} ms after the promotion", promoted.elapsed().as_millis());
    end.cancel();
    while let Some(ended) = parts.join_next().await {
        ended.unwrap();
    }
    let slowest = Duration::from_millis(seen.slowest_ms.load(Relaxed));
    assert!(slowest < Duration::from_secs(15), "a write took {slowest:?}");

    let there = owner(&standby).await;
    let rows = there.query("SELECT title, id FROM tasks", &[]).await.unwrap();
    let mut found: BTreeMap<String, Vec<Uuid>> = BTreeMap::new();
    for row in rows {
        found.entry(row.get(0)).or_default().push(row.get(1));
    }
    let acknowledged = seen.acknowledged.lock().unwrap().clone();
    let unknown = seen.unknown.lock().unwrap().clone();
    for (title, id) in &acknowledged {
        assert_eq!(found.get(title), Some(&vec![*id]), "{title} was acknowledged");
    }
    for (title, ids) in &found {
        assert_eq!(ids.len(), 1, "{title} is there twice");
        assert!(acknowledged.contains_key(title) || unknown.contains(title), "{title} was said to have failed");
    }
    // Each has its audit row, once.
    let row = there
        .query_one("SELECT count(*), count(DISTINCT entity_id) FROM audit_trail WHERE action = 'task_created'", &[])
        .await
        .unwrap();
    let rows = i64::try_from(found.len()).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (rows, rows));
    // No task was claimed twice under one attempt, and every claim that was acknowledged stands.
    let claimed = seen.claimed.lock().unwrap().clone();
    assert!(claimed.len() > 100, "{}", claimed.len());
    let mut once = std::collections::BTreeSet::new();
    for lease in &claimed {
        assert!(once.insert((lease.task_id, lease.attempt)), "{lease:?} was claimed twice");
        assert!(
            task_queue::hold(&people.employee, &store, lease, common::seconds(60)).await.unwrap(),
            "{lease:?} is lost"
        );
    }
    println!(
        "{} acknowledged, {} unknown ({} of them stand), {} refused, slowest {slowest:?}, {} claims",
        acknowledged.len(),
        unknown.len(),
        unknown.iter().filter(|t| found.contains_key(*t)).count(),
        seen.failed.load(Relaxed),
        claimed.len()
    );
    store.close().await;
}

/// The first of the hosts is a standby, as after a failover: whoever connects now finds the one that takes writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_hosts_lead_to_the_one_that_takes_writes() {
    let primary = Cluster::start(&[]);
    let people = settle(&primary).await;
    let standby = standby_of(&primary);
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port, primary.port);
    let store = Store::open(&at(&hosts)).await.unwrap();
    tasks::create(&people.bob, &store, &NewTask::titled("here")).await.unwrap();
    store::migrate::require_current(&at(&hosts)).await.unwrap();
    store.close().await;
    // A store that was told of the standby alone says what is wrong, and keeps no such connection.
    let alone = Store::open(&common::private::runtime(standby.port)).await.unwrap();
    let error = tasks::create(&people.bob, &alone, &NewTask::titled("there")).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(said) if said.contains("takes no writes")), "{error:?}");
    control(&standby, "promote");
    until("it takes writes once it is the primary", async || {
        tasks::create(&people.bob, &alone, &NewTask::titled("there")).await.is_ok()
    })
    .await;
    alone.close().await;
}
