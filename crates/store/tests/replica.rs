//! Reads from a real streaming standby: only what may be a moment old, never what the reader just wrote, and never from
//! one that is down or too far behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::time::Duration;

use common::{
    cluster::{Cluster, Stop},
    private::{asking, owner, runtime, settle, until},
    standby::{control, standby_of},
};
use store::{
    Actor, Store,
    metrics::ReplicaMetrics,
    tasks::{self, NewTask},
};

fn replica(store: &Store) -> ReplicaMetrics {
    store.metrics().replica.expect("a replica is set")
}

async fn titles(actor: &Actor, store: &Store) -> Vec<String> {
    tasks::list(actor, store, None, None, 100).await.unwrap().into_iter().map(|t| t.title).collect()
}

async fn open(primary: &Cluster, standby: &Cluster) -> Store {
    let url = format!("postgres://steward@127.0.0.1:{}/postgres", standby.port);
    let mut config = runtime(primary.port).with_read_replica(&url).unwrap();
    config.replica_lag = Duration::from_secs(1);
    let store = Store::open(&config).await.unwrap();
    until("the standby is used", async || replica(&store).usable).await;
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_answers_what_may_be_a_moment_old() {
    let primary = Cluster::start(&[]);
    let people = settle(&primary).await;
    let (bob, cat) = (asking(&people.bob), asking(&people.cat));
    let standby = standby_of(&primary);
    let store = open(&primary, &standby).await;
    tasks::create(&bob, &store, &NewTask::titled("first")).await.unwrap();
    assert_eq!(titles(&bob, &store).await, ["first"], "what was just written is read, wherever it stands");
    until("the standby has what bob wrote and serves him", async || {
        let before = replica(&store).reads;
        assert_eq!(titles(&bob, &store).await, ["first"]);
        replica(&store).reads > before
    })
    .await;

    // Work, and what carries no request, reads the primary.
    let before = replica(&store);
    for actor in [&people.bob, &people.employee, &people.service] {
        tasks::list(actor, &store, None, None, 10).await.unwrap();
    }
    store.transaction(move |tx| Box::pin(async move { tasks::list(&cat, tx, None, None, 10).await })).await.unwrap();
    let after = replica(&store);
    assert_eq!((after.reads, after.fallbacks), (before.reads, before.fallbacks));

    // The standby stands still: whoever wrote reads the primary, and soon everybody does.
    let there = owner(&standby).await;
    there.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    let in_transaction = bob.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move { tasks::create(&in_transaction, tx, &NewTask::titled("second")).await })
        })
        .await
        .unwrap();
    assert_eq!(titles(&bob, &store).await.len(), 2, "a transaction's writes are remembered too");
    tasks::create(&bob, &store, &NewTask::titled("third")).await.unwrap();
    assert_eq!(titles(&bob, &store).await.len(), 3);
    until("a standby that is too far behind is not used", async || !replica(&store).usable).await;
    assert_eq!(titles(&bob, &store).await.len(), 3);
    there.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    until("it is used again by itself", async || {
        let before = replica(&store).reads;
        assert_eq!(titles(&bob, &store).await.len(), 3, "nobody's own rows go missing meanwhile");
        replica(&store).reads > before
    })
    .await;
    drop(there);

    // It dies: nobody is refused anything. It comes back: it is used again.
    standby.stop(Stop::Immediate);
    for _ in 0..20 {
        assert_eq!(titles(&bob, &store).await.len(), 3);
    }
    until("a standby that is down is not used", async || !replica(&store).usable).await;
    standby.resume();
    until("it is used again when it is back", async || {
        let before = replica(&store).reads;
        assert_eq!(titles(&bob, &store).await.len(), 3);
        replica(&store).reads > before
    })
    .await;
    store.close().await;
}

/// Writers read back what they wrote at once, for a while, against a standby that is always a little behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_what_they_just_wrote() {
    let primary = Cluster::start(&[]);
    let people = settle(&primary).await;
    let standby = standby_of(&primary);
    standby.configure(&["recovery_min_apply_delay = '120ms'"]);
    control(&standby, "reload");
    let store = open(&primary, &standby).await;
    let writers = [&people.bob, &people.cat, &people.ada, &people.employee].map(|actor| {
        let (actor, store) = (asking(actor), store.clone());
        async move {
            for number in 0..60 {
                let id = tasks::create(&actor, &store, &NewTask::titled(format!("number {number}"))).await.unwrap();
                assert!(tasks::get(&actor, &store, id).await.unwrap().is_some(), "{number} was written and is gone");
                if number % 10 == 9 {
                    let before = replica(&store).reads;
                    until("the standby serves this writer again", async || {
                        assert!(tasks::get(&actor, &store, id).await.unwrap().is_some());
                        replica(&store).reads > before
                    })
                    .await;
                }
            }
        }
    });
    futures_util::future::join_all(writers).await;
    let found = replica(&store);
    assert!(found.reads > 10 && found.fallbacks > 100, "{found:?}");
    store.close().await;
}

#[tokio::test]
async fn a_replica_goes_with_postgresql_alone() {
    let config = store::Config::from_url("sqlite:///srv/x.db").unwrap();
    assert!(config.with_read_replica("postgres://a@b/c").unwrap_err().to_string().contains("read_replica_url"));
    let config = store::Config::from_url("postgres://a@b/c").unwrap();
    assert!(config.with_read_replica("sqlite:///srv/x.db").is_err());
}
