//! Readers on two nodes while Redis goes through everything that can happen to it and sessions end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use store::{Actor, Store, cache::BreakerState, sessions, signals::Topic, users};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breaker_is,
    common::{self, Db, Engine, id},
    hears, node,
    server::Server,
    session, valid,
};

/// Readers on each node.
const READERS: usize = 4;
/// Sessions that end: four at each of nine moments.
const ENDING: usize = 36;

/// A session that is read all the time.
struct Case {
    id: Uuid,
    token: String,
    /// Whether it lasts longer than the test.
    stays: bool,
    /// Whether it ended, as each of the two nodes may know.
    over: [AtomicBool; 2],
}

/// Reads all cases again and again; counts the readings.
async fn read(store: Store, place: usize, cases: Arc<Vec<Case>>, reads: Arc<AtomicU64>, end: CancellationToken) {
    while !end.is_cancelled() {
        for case in cases.iter() {
            let was_over = case.over[place].load(Ordering::SeqCst);
            let found = valid(&store, &case.token).await;
            assert!(!(was_over && found.is_some()), "a session that ended was believed on node {place}");
            assert!(!case.stays || found.is_some(), "a session was lost on node {place}");
            reads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends the next sessions on the first node: one by itself, one by suspending its user for a moment.
async fn end_some(db: &Db, nodes: &[Store; 2], cases: &[Case], next: &mut usize) {
    let [here, there] = nodes;
    let mut signals = there.signals();
    for _ in 0..4 {
        let case = &cases[*next];
        *next += 1;
        assert!(sessions::revoke(&db.bob, here, case.id).await.unwrap());
        case.over[0].store(true, Ordering::SeqCst);
        hears(&mut signals, Topic::Sessions, &case.token).await;
        case.over[1].store(true, Ordering::SeqCst);
    }
    let (_, token) = session(here, id(&db.cat)).await;
    assert!(valid(here, &token).await.is_some() && valid(there, &token).await.is_some());
    assert!(users::set_status(&db.ada, here, id(&db.cat), "suspended").await.unwrap());
    assert_eq!(valid(here, &token).await, None);
    hears(&mut signals, Topic::Users, &id(&db.cat).to_string()).await;
    assert_eq!(valid(there, &token).await, None);
    assert!(users::set_status(&db.ada, here, id(&db.cat), "active").await.unwrap());
    assert!(valid(here, &token).await.is_some());
}

/// The breakers of both nodes, with sessions of nobody else's.
async fn breakers_are(db: &Db, nodes: &[Store; 2], state: BreakerState) {
    for store in nodes {
        breaker_is(store, id(&db.employee), state).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_does_no_session_outlives_its_end() {
    let mut redis = Server::start().await;
    common::with(Engine::Postgres, async |db| {
        Box::pin(async {
            let nodes = [node(db, &redis.url()).await, node(db, &redis.url()).await];
            let mut cases = Vec::new();
            for number in 0..ENDING + 4 {
                let (id, token) = session(&nodes[0], id(&db.bob)).await;
                cases.push(Case { id, token, stays: number >= ENDING, over: Default::default() });
            }
            let (cases, reads, end) = (Arc::new(cases), Arc::new(AtomicU64::new(0)), CancellationToken::new());
            let mut readers = JoinSet::new();
            for (place, store) in nodes.iter().enumerate() {
                for _ in 0..READERS {
                    readers.spawn(read(store.clone(), place, Arc::clone(&cases), Arc::clone(&reads), end.clone()));
                }
            }
            let mut next = 0;
            end_some(db, &nodes, &cases, &mut next).await;

            // Paused: it keeps what it holds, and answers nothing.
            redis.pause();
            end_some(db, &nodes, &cases, &mut next).await;
            breakers_are(db, &nodes, BreakerState::Open).await;
            end_some(db, &nodes, &cases, &mut next).await;
            redis.resume();
            end_some(db, &nodes, &cases, &mut next).await;
            breakers_are(db, &nodes, BreakerState::Closed).await;
            end_some(db, &nodes, &cases, &mut next).await;

            // Gone, and back with nothing.
            redis.stop();
            end_some(db, &nodes, &cases, &mut next).await;
            breakers_are(db, &nodes, BreakerState::Open).await;
            redis.start_again().await;
            breakers_are(db, &nodes, BreakerState::Closed).await;
            end_some(db, &nodes, &cases, &mut next).await;

            // Full: it answers what it holds, and takes nothing.
            let _: () = redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
            let _: () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
            end_some(db, &nodes, &cases, &mut next).await;
            let errors = nodes[0].cache_figures().redis.unwrap().errors;
            assert!(errors > 0, "it said so");
            breakers_are(db, &nodes, BreakerState::Closed).await;
            let _: () = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
            end_some(db, &nodes, &cases, &mut next).await;

            end.cancel();
            while let Some(ended) = readers.join_next().await {
                ended.unwrap();
            }
            assert!(reads.load(Ordering::Relaxed) > 0);
            for store in &nodes {
                let found = store.cache_figures();
                let sessions = found.kinds.iter().find(|k| k.name == "sessions").unwrap();
                assert!(sessions.hits > 0 && sessions.misses > 0, "{found:?}");
                let redis = found.redis.unwrap();
                // Each opening costs what was under way then, and no more: latency is bounded by the breaker.
                let most = redis.openings * (3 + READERS as u64 + 2);
                assert!(redis.openings >= 2 && redis.timeouts <= most, "{redis:?}");
                let uses = sessions::valid(&Actor::service(), store, &cases[0].token).await.unwrap();
                assert_eq!(uses, None);
                store.close().await;
            }
        })
        .await;
    })
    .await;
}
