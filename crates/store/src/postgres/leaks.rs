//! What a kept connection of the pool remembers of the request before: nothing.

use std::{sync::Mutex, time::Duration};

use tokio_postgres::SimpleQueryMessage;

use crate::{
    Error, Store,
    common::{self, Db, Engine},
    policies,
    run::Engine as Running,
};

#[path = "../../tests/context/events.rs"]
mod events;

/// Who the one connection takes itself for, and whether it is within a transaction.
async fn remembered(store: &Store) -> Vec<String> {
    let Running::Postgres(pg) = &store.engine else { panic!("this is PostgreSQL") };
    let client = pg.client().await.unwrap();
    let messages = client
        .simple_query(
            "SELECT pg_backend_pid(), (current_user = session_user)::text, current_setting('app.current_user_id', true), \
             current_setting('app.ip_address', true), (now() = statement_timestamp())::text",
        )
        .await
        .unwrap();
    let row = messages.into_iter().find_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None });
    let row = row.unwrap();
    (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect()
}

/// A pool of one connection, which is therefore the next request's as well.
async fn one(db: &Db, statement_timeout: Duration) -> Store {
    let mut config = db.config.clone();
    config.pool_size = 1;
    // What the address sets goes before: a lock is waited for as long as a statement may run.
    common::target(&mut config).options("-c lock_timeout=0");
    config.statement_timeout = statement_timeout;
    Store::open(&config).await.unwrap()
}

async fn look(store: &Store, session: &Mutex<Option<String>>, after: &str, kept: bool) {
    let found = remembered(store).await;
    assert_eq!(found[1..], ["true", "", "", "true"], "after {after}");
    let before = session.lock().unwrap().replace(found[0].clone());
    assert!(!kept || before.is_none_or(|b| b == found[0]), "after {after} the connection was not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_remembers_nobody() {
    common::with(Engine::Postgres, async |db| {
        let store = one(db, Duration::from_secs(30)).await;
        let session = Mutex::new(None);
        events::every(db, &store, async |after, kept| {
            look(&store, &session, after, kept).await;
            events::strangers_see_nothing(db, &store, after).await;
        })
        .await;

        store.close().await;

        // A statement that runs too long, and a client that goes while it waits.
        let (store, session) = (one(db, Duration::from_millis(1500)).await, Mutex::new(None));
        let holder = common::connect(&db.owner).await;
        holder.batch_execute("BEGIN; LOCK TABLE policies IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let late = policies::list(&db.ada, &store).await;
        assert!(matches!(late, Err(Error::Busy(_))), "{late:?}");
        look(&store, &session, "a statement that ran too long", true).await;
        let (asking, ada) = (store.clone(), db.ada.clone());
        let gone = tokio::spawn(async move { policies::list(&ada, &asking).await });
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let waiting = async {
            while holder.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(common::TIME_LIMIT, waiting).await.expect("nobody waits for the lock");
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        look(&store, &session, "a client that went", false).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
        store.close().await;
    })
    .await;
}
