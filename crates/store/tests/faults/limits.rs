//! How long a statement may run, and what a commit that fails says.

use std::time::Duration;

use store::{
    Actor, Error, Store, log_keeping,
    tasks::{self, NewTask},
};

use crate::common::{
    cluster::Cluster,
    private::{owner, runtime, settle},
};

/// Puts something slow in the place of what moves the months, as a big table would be.
const SLOW: &str = "CREATE OR REPLACE FUNCTION drain_log_default() RETURNS boolean LANGUAGE sql AS
    $fn$ SELECT pg_sleep(1) IS NOT NULL $fn$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_whole_months_may_take_longer_than_a_statement() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let owner = owner(&cluster).await;
    owner.batch_execute(SLOW).await.unwrap();
    let mut config = runtime(cluster.port);
    config.statement_timeout = Duration::from_millis(400);
    let store = Store::open(&config).await.unwrap();
    assert!(log_keeping::drain(&Actor::service(), &store).await.unwrap(), "longer than a statement and its answer may");
    // The next one on the same connections has no more time than ever.
    owner.batch_execute("BEGIN; LOCK TABLE tasks").await.unwrap();
    let error = tasks::list(&people.bob, &store, None, None, 1).await.unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error:?}");
    owner.batch_execute("ROLLBACK").await.unwrap();
    tasks::list(&people.bob, &store, None, None, 1).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_refused_says_why_once_and_leaves_nothing() {
    let cluster = Cluster::start(&[]);
    let people = settle(&cluster).await;
    let owner = owner(&cluster).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $fn$ BEGIN RAISE EXCEPTION 'the moon is full'; END $fn$;
        CREATE CONSTRAINT TRIGGER trg_refuse AFTER INSERT ON tasks DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()";
    owner.batch_execute(refuse).await.unwrap();
    let store = Store::open(&runtime(cluster.port)).await.unwrap();
    let alone = tasks::create(&people.bob, &store, &NewTask::titled("alone")).await.unwrap_err();
    let bob = people.bob.clone();
    let within: Result<(), Error> = store
        .transaction(move |tx| {
            Box::pin(async move { tasks::create(&bob, tx, &NewTask::titled("within")).await.map(drop) })
        })
        .await;
    for error in [alone, within.unwrap_err()] {
        let said = error.to_string();
        assert_eq!(said.matches("the moon is full").count(), 1, "{said}");
        assert!(!matches!(error, Error::OutcomeUnknown(_)), "it is certain that nothing stands: {error:?}");
    }
    let left: i64 = owner.query_one("SELECT count(*) FROM tasks", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    owner.batch_execute("DROP TRIGGER trg_refuse ON tasks").await.unwrap();
    tasks::create(&people.bob, &store, &NewTask::titled("after")).await.unwrap();
    store.close().await;
}
