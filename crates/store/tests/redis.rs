//! Sessions and cached answers with a real Redis that is stopped, restarted empty, paused, filled and delayed: whatever it
//! does, no answer outlives a change.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "redis/load.rs"]
mod load;
#[path = "redis/server.rs"]
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Db, Engine, connect, id, in_seconds, seconds};
use server::Server;
use store::{
    Actor, Config, Store,
    cache::{BreakerState, Change, Use},
    sessions::{self, Session},
    signals::{Receiver, Signal, Topic},
    users,
};
use uuid::Uuid;

/// Far longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);

/// Waits until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + SOON;
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tick.tick().await;
    }
}

/// A node of the house: its own store over the same database and Redis.
async fn node(db: &Db, redis_url: &str) -> Store {
    let config = Config { redis_url: Some(redis_url.into()), ..db.config.clone() };
    let store = Store::open(&config).await.unwrap();
    trusting(&store).await;
    store
}

/// Waits until a node believes what was cached.
async fn trusting(store: &Store) {
    let is_trusting = async || {
        assert_eq!(valid(store, &"0".repeat(64)).await, None);
        store.cache_figures().is_trusting
    };
    until("the node believes what was cached", is_trusting).await;
}

/// The session behind a token's hash, as a request asks for it.
async fn valid(store: &Store, token: &str) -> Option<Session> {
    let found = Box::pin(sessions::valid(&Actor::service(), store, token)).await;
    found.expect("whatever Redis does, the database answers")
}

/// A session of a user, by the hash of its token.
async fn session(store: &Store, user: Uuid) -> (Uuid, String) {
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let made = sessions::create(&Actor::service(), store, user, &token, in_seconds(3600), None, None).await.unwrap();
    (made, token)
}

/// Waits until a node has heard this.
async fn hears(receiver: &mut Receiver, topic: Topic, key: &str) {
    let heard = async {
        while let Some(signal) = receiver.recv().await {
            if signal == Signal::Changed(topic, key.to_owned()) {
                return;
            }
        }
        panic!("the store was closed");
    };
    tokio::time::timeout(SOON, heard).await.expect("a signal");
}

fn hits(store: &Store, kind: &str) -> u64 {
    store.cache_figures().kinds.iter().find(|k| k.name == kind).unwrap().hits
}

/// Whether a node asks Redis.
fn breaker(store: &Store) -> BreakerState {
    store.cache_figures().redis.expect("Redis is used").breaker
}

/// Asks until the breaker of a node is so.
async fn breaker_is(store: &Store, user: Uuid, state: BreakerState) {
    let (_, token) = session(store, user).await;
    let is_so = async || {
        assert!(valid(store, &token).await.is_some());
        breaker(store) == state
    };
    until(&format!("the breaker is {}", state.as_str()), is_so).await;
}

async fn with(test: impl AsyncFnOnce(&Db, Server)) {
    let server = Server::start().await;
    common::with(Engine::Postgres, async |db| Box::pin(test(db, server)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_holds_sessions_by_the_hash_and_as_long_as_they_last() {
    with(async |db, redis| {
        let node = node(db, &redis.url()).await;
        let (made, token) = session(&node, id(&db.bob)).await;
        let before = hits(&node, "sessions");
        let read = valid(&node, &token).await.unwrap();
        assert_eq!((read.id, hits(&node, "sessions")), (made, before), "the first is read from the database");
        assert_eq!(valid(&node, &token).await.unwrap(), read);
        assert_eq!(hits(&node, "sessions"), before + 1);
        let name = redis.name_of(&token).unwrap();
        let left: i64 = redis.ask(&["PTTL", &name]);
        assert!((3_000_000..=3_600_000).contains(&left), "{left} ms of an hour");
        let held: String = redis.ask(&["GET", &name]);
        let (_, json) = held.split_once('|').unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let mut fields: Vec<&String> = json.as_object().unwrap().keys().collect();
        fields.sort();
        let expected = [
            "authenticated_at",
            "created_at",
            "expires_at",
            "id",
            "is_agent",
            "last_accessed",
            "role",
            "scopes",
            "user_id",
            "username",
        ];
        assert_eq!(fields, expected, "the row and nothing else");
        node.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ended_on_one_node_is_refused_on_all() {
    with(async |db, redis| {
        let (here, there) = (node(db, &redis.url()).await, node(db, &redis.url()).await);
        for round in 0..20 {
            let (made, token) = session(&here, id(&db.bob)).await;
            assert!(valid(&there, &token).await.is_some() && valid(&here, &token).await.is_some());
            if round % 2 == 0 {
                assert!(sessions::revoke(&db.bob, &here, made).await.unwrap());
            } else {
                assert!(sessions::revoke_all_of(&db.service, &here, id(&db.bob)).await.unwrap() > 0);
            }
            // While Redis answers, not even the signal is waited for.
            assert_eq!((valid(&there, &token).await, valid(&here, &token).await), (None, None), "round {round}");
        }
        // Of a user: suspended, and active again with another role.
        let (_, token) = session(&here, id(&db.cat)).await;
        assert!(valid(&there, &token).await.is_some());
        assert!(users::set_status(&db.ada, &here, id(&db.cat), "suspended").await.unwrap());
        assert_eq!((valid(&here, &token).await, valid(&there, &token).await), (None, None));
        assert!(users::set_status(&db.ada, &here, id(&db.cat), "active").await.unwrap());
        assert_eq!(valid(&there, &token).await.unwrap().role, "user");
        assert!(users::set_role(&db.ada, &here, id(&db.cat), "observer").await.unwrap());
        assert_eq!(valid(&there, &token).await.unwrap().role, "observer");
        here.close().await;
        there.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_program_changes_is_heard() {
    with(async |db, redis| {
        let node = node(db, &redis.url()).await;
        let mut signals = node.signals();
        let (made, token) = session(&node, id(&db.bob)).await;
        assert!(valid(&node, &token).await.is_some());
        let other = connect(&db.owner).await;
        other.execute("UPDATE sessions SET is_revoked = true WHERE id = $1", &[&made]).await.unwrap();
        hears(&mut signals, Topic::Sessions, &token).await;
        assert_eq!(valid(&node, &token).await, None);
        let (_, token) = session(&node, id(&db.bob)).await;
        assert!(valid(&node, &token).await.is_some());
        other.execute("UPDATE users SET status = 'inactive' WHERE id = $1", &[&id(&db.bob)]).await.unwrap();
        hears(&mut signals, Topic::Users, &id(&db.bob).to_string()).await;
        assert_eq!(valid(&node, &token).await, None);
        node.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_to_redis_after_a_change_is_not_believed() {
    with(async |db, redis| {
        let (here, there) = (node(db, &redis.url()).await, node(db, &redis.url()).await);
        let mut signals = there.signals();
        let (made, token) = session(&here, id(&db.bob)).await;
        assert!(valid(&here, &token).await.is_some());
        let name = redis.name_of(&token).unwrap();
        let old: String = redis.ask(&["GET", &name]);
        assert!(sessions::revoke(&db.bob, &here, made).await.unwrap());
        hears(&mut signals, Topic::Sessions, &token).await;
        // As an old dump, a replica that was behind or a slow reader would.
        let _: () = redis.ask(&["SET", &name, &old]);
        let young = node(db, &redis.url()).await;
        for store in [&here, &there, &young] {
            let _: () = redis.ask(&["SET", &name, &old]);
            assert_eq!(valid(store, &token).await, None);
        }
        for store in [here, there, young] {
            store.close().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_that_a_change_overtook_leaves_nothing_behind() {
    with(async |db, redis| {
        let (here, there) = (node(db, &redis.url()).await, node(db, &redis.url()).await);
        let (made, token) = session(&here, id(&db.bob)).await;
        assert!(valid(&here, &token).await.is_some());
        let name = redis.name_of(&token).unwrap();
        // Somebody holds the place: whoever else asks reads the database and leaves it alone.
        let _: () = redis.ask(&["SET", &name, "lease:of-another", "PX", "600000"]);
        assert!(valid(&there, &token).await.is_some());
        assert_eq!(redis.ask::<String>(&["GET", &name]), "lease:of-another");
        assert!(sessions::revoke(&db.bob, &here, made).await.unwrap());
        assert_eq!(redis.name_of(&token), None, "the place is taken from whoever read before");
        // What is no text is not ours.
        let (_, token) = session(&here, id(&db.bob)).await;
        assert!(valid(&here, &token).await.is_some());
        let name = redis.name_of(&token).unwrap();
        let _: () = redis.ask(&["DEL", &name]);
        let _: () = redis.ask(&["RPUSH", &name, "x"]);
        assert!(valid(&there, &token).await.is_some() && valid(&here, &token).await.is_some());
        assert!(redis.ask::<String>(&["GET", &name]).contains("bob"), "the name is put right");
        assert!(there.cache_figures().redis.unwrap().errors > 0);
        here.close().await;
        there.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_hear_believes_nothing() {
    with(async |db, redis| {
        let node = node(db, &redis.url()).await;
        let (made, token) = session(&node, id(&db.bob)).await;
        assert!(valid(&node, &token).await.is_some() && valid(&node, &token).await.is_some());
        let other = connect(&db.owner).await;
        // The change comes in the moment in which the node can't hear.
        other.batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'steward signals' AND datname = current_database()",
        ).await.unwrap();
        other.execute("UPDATE sessions SET is_revoked = true WHERE id = $1", &[&made]).await.unwrap();
        until("the node lost its signals", async || node.signal_counts().reconnects > 0).await;
        assert_eq!(valid(&node, &token).await, None);
        until("and hears again", async || node.cache_figures().is_trusting).await;
        assert_eq!(valid(&node, &token).await, None);
        node.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_redis_is_left_alone_until_it_is_quick_again() {
    with(async |db, redis| {
        let late_ms = Arc::new(AtomicU64::new(0));
        let port = server::slow_way(redis.port, Arc::clone(&late_ms)).await;
        let node = node(db, &format!("redis://127.0.0.1:{port}/")).await;
        breaker_is(&node, id(&db.bob), BreakerState::Closed).await;
        late_ms.store(400, Ordering::Relaxed);
        breaker_is(&node, id(&db.bob), BreakerState::Open).await;
        let slow = node.cache_figures().redis.unwrap();
        let (_, token) = session(&node, id(&db.bob)).await;
        for _ in 0..200 {
            assert!(valid(&node, &token).await.is_some());
        }
        let then = node.cache_figures().redis.unwrap();
        assert_eq!((then.timeouts, then.openings), (slow.timeouts, 1), "nobody waits for it any more");
        assert!(slow.timeouts >= 3);
        late_ms.store(0, Ordering::Relaxed);
        breaker_is(&node, id(&db.bob), BreakerState::Closed).await;
        let before = hits(&node, "sessions");
        assert!(valid(&node, &token).await.is_some() && valid(&node, &token).await.is_some());
        assert!(hits(&node, "sessions") > before);
        node.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_are_written_together_once_a_minute_and_move_the_end_in_both_places() {
    with(async |db, redis| {
        let node = node(db, &redis.url()).await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(session(&node, id(&db.bob)).await);
        }
        let old = (store::now() - seconds(300)).to_string();
        db.tamper(&format!("UPDATE sessions SET last_accessed = '{old}'")).await;
        let end = in_seconds(7200);
        let now = store::now();
        for (session_id, token) in &made {
            let session = valid(&node, token).await.unwrap();
            for late in 0..3 {
                let at = now + seconds(late);
                let used =
                    Use { session_id: *session_id, token_sha256: token.clone(), at, expires_at: end, is_token: false };
                sessions::note_use(&db.service, &node, &session, used).await.unwrap();
            }
        }
        assert_eq!(node.cache_figures().uses_waiting, 5);
        until("the uses are written", async || node.cache_figures().uses_waiting == 0).await;
        for (_, token) in &made {
            let is_moved = async || valid(&node, token).await.unwrap().expires_at == end;
            until("the end in Redis", is_moved).await;
            let read = sessions::by_token(&db.service, &node, token).await.unwrap().unwrap();
            assert_eq!((read.expires_at, read.last_accessed), (end, now));
            let left: i64 = redis.ask(&["PTTL", &redis.name_of(token).unwrap()]);
            assert!(left > 6_000_000, "{left} ms");
        }
        // What waits when the store is closed is written too.
        let (session_id, token) = session(&node, id(&db.bob)).await;
        db.tamper(&format!("UPDATE sessions SET last_accessed = '{old}'")).await;
        let found = valid(&node, &token).await.unwrap();
        let used = Use { session_id, token_sha256: token.clone(), at: store::now(), expires_at: end, is_token: false };
        sessions::note_use(&db.service, &node, &found, used).await.unwrap();
        node.close().await;
        assert_eq!(sessions::by_token(&db.service, &db.store, &token).await.unwrap().unwrap().expires_at, end);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_what_is_shown_is_kept_in_the_process() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        common::with(engine, async |db| {
            Box::pin(async {
                let (here, there) = (&db.store, Store::open(&db.config).await.unwrap());
                let may = async |store: &Store| users::may(&db.bob, store, "task_create").await.unwrap();
                for store in [here, &there] {
                    until("the node believes what was cached", async || {
                        may(store).await;
                        store.cache_figures().is_trusting
                    })
                    .await;
                    assert!(may(store).await && may(store).await);
                    assert!(hits(store, "permissions") > 0 && store.cache_figures().redis.is_none());
                }
                assert!(users::set_role(&db.ada, here, id(&db.bob), "observer").await.unwrap());
                assert!(!may(here).await, "the node that changed it knows at once");
                until("the other hears of it", async || !may(&there).await).await;
                // A change that rolls back changes nothing; one without a verb of ours is heard.
                there.changed(Change::Permissions).await;
                assert!(!may(&there).await);
                let (made, token) = session(here, id(&db.bob)).await;
                assert!(valid(here, &token).await.is_some() && valid(&there, &token).await.is_some());
                assert!(sessions::revoke(&db.bob, here, made).await.unwrap());
                assert_eq!((valid(here, &token).await, valid(&there, &token).await), (None, None));
                assert_eq!(hits(here, "sessions"), 0, "without Redis sessions are read from the database");
                there.close().await;
            })
            .await;
        })
        .await;
    }
}
