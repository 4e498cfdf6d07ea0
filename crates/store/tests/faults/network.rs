//! A network that hangs or breaks in the middle: bounded waiting, and of a change whose answer was lost it is said that
//! nobody knows.

use std::time::{Duration, Instant};

use store::{
    Error, Store,
    tasks::{self, NewTask},
};

use crate::common::{
    cluster::Cluster,
    private::{owner, runtime, settle, until},
    proxy::{Network, Proxy},
};

/// A little more than the longest that the tests' settings allow: one wait for an answer of 4.5 s.
const BOUND: Duration = Duration::from_secs(8);

async fn count(cluster: &Cluster, title: &str) -> i64 {
    let owner = owner(cluster).await;
    owner.query_one("SELECT count(*) FROM tasks WHERE title = $1", &[&title]).await.unwrap().get(0)
}

/// A task of this title, and how the caller fared within the bound.
async fn create(store: &Store, actor: &store::Actor, title: &str) -> Result<uuid::Uuid, Error> {
    let began = Instant::now();
    let made = tasks::create(actor, store, &NewTask::titled(title)).await;
    assert!(began.elapsed() < BOUND, "{title}: {:?}", began.elapsed());
    made
}

/// Makes all connections of the pool: a wake-up takes one now and then.
async fn warm(store: &Store, actor: &store::Actor) {
    let look = || async { tasks::list(actor, store, None, None, 1).await.map(drop) };
    futures_util::future::try_join_all((0..4).map(|_| look())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_hangs() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let proxy = Proxy::to(cluster.port).await;
    let store = Store::open(&runtime(proxy.port)).await.unwrap();
    create(&store, &people.bob, "before").await.unwrap();
    warm(&store, &people.bob).await;

    // The change arrives and stands; its answer does not come.
    let mut tries = 0;
    let error = loop {
        proxy.becomes(Network::HoldsAnswers);
        let error = create(&store, &people.bob, "unheard").await.unwrap_err();
        // A connection that has not yet met the statement asks about it first, and nothing was sent.
        if tries == 5 || !matches!(error, Error::Unavailable(_)) {
            break error;
        }
        tries += 1;
        proxy.becomes(Network::Works);
        until("it mends by itself", async || create(&store, &people.bob, "known").await.is_ok()).await;
    };
    assert!(matches!(&error, Error::OutcomeUnknown(said) if said.contains("no answer within")), "{error:?}");
    assert!(error.to_string().contains("look whether it was made"), "{error}");
    assert!(!error.is_transient(), "what may stand already is not sent again blindly");
    until("it stands all the same", async || count(&cluster, "unheard").await == 1).await;
    // Reading changes nothing, so its failure is plain.
    let began = Instant::now();
    let error = tasks::list(&people.bob, &store, None, None, 1).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && began.elapsed() < BOUND, "{error:?}");
    proxy.becomes(Network::Works);
    create(&store, &people.bob, "after").await.expect("it mends by itself");
    warm(&store, &people.bob).await;

    // Nothing arrives any more.
    proxy.becomes(Network::Hangs);
    let error = create(&store, &people.bob, "lost").await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_) | Error::Unavailable(_)), "{error:?}");
    // Others who come meanwhile are told in time as well.
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (store, bob) = (store.clone(), people.bob.clone());
        callers.spawn(async move { create(&store, &bob, &format!("lost {number}")).await });
    }
    while let Some(ended) = callers.join_next().await {
        let error = ended.unwrap().unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_) | Error::Unavailable(_) | Error::Busy(_)), "{error:?}");
    }
    proxy.becomes(Network::Works);
    until("it mends by itself", async || create(&store, &people.bob, "again").await.is_ok()).await;
    for title in ["before", "unheard", "after", "again"] {
        assert_eq!(count(&cluster, title).await, 1, "{title}");
    }
    assert!(count(&cluster, "lost").await <= 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_hangs_within_a_transaction() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let proxy = std::sync::Arc::new(Proxy::to(cluster.port).await);
    let store = Store::open(&runtime(proxy.port)).await.unwrap();
    // Before the commit: nothing stands, and that is certain.
    let (bob, network) = (people.bob.clone(), std::sync::Arc::clone(&proxy));
    let began = Instant::now();
    let ended: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                tasks::create(&bob, tx, &NewTask::titled("early")).await?;
                network.becomes(Network::HoldsAnswers);
                tasks::create(&bob, tx, &NewTask::titled("early too")).await.map(drop)
            })
        })
        .await;
    assert!(matches!(ended, Err(Error::Unavailable(_))) && began.elapsed() < BOUND, "{ended:?}");
    proxy.becomes(Network::Works);
    // While it commits: it may stand.
    let (bob, network) = (people.bob.clone(), std::sync::Arc::clone(&proxy));
    let began = Instant::now();
    let ended: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                tasks::create(&bob, tx, &NewTask::titled("late")).await?;
                network.becomes(Network::HoldsAnswers);
                Ok(())
            })
        })
        .await;
    assert!(matches!(ended, Err(Error::OutcomeUnknown(_))) && began.elapsed() < BOUND, "{ended:?}");
    proxy.becomes(Network::Works);
    // One that only read has nothing to be unsure of.
    let (bob, network) = (people.bob.clone(), std::sync::Arc::clone(&proxy));
    let ended: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move {
                tasks::list(&bob, tx, None, None, 1).await?;
                network.becomes(Network::HoldsAnswers);
                Ok(())
            })
        })
        .await;
    assert!(matches!(ended, Err(Error::Unavailable(_))), "{ended:?}");
    proxy.becomes(Network::Works);
    store.ping().await.unwrap();
    assert_eq!((count(&cluster, "early").await, count(&cluster, "early too").await), (0, 0));
    assert_eq!(count(&cluster, "late").await, 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let proxy = Proxy::to(cluster.port).await;
    let store = Store::open(&runtime(proxy.port)).await.unwrap();
    for round in 0..5 {
        let title = format!("round {round}");
        create(&store, &people.bob, &title).await.unwrap();
        proxy.becomes(Network::IsCut);
        let error = create(&store, &people.bob, &format!("{title} cut")).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_) | Error::Unavailable(_)), "{error:?}");
        proxy.becomes(Network::Works);
        until("it mends by itself", async || store.ping().await.is_ok()).await;
        assert_eq!(count(&cluster, &title).await, 1);
        assert!(count(&cluster, &format!("{title} cut")).await <= 1);
    }
    store.close().await;
}
