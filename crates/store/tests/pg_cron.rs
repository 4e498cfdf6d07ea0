//! The database's own jobs in the real `pg_cron`: registered there instead of here, fired there, and back when it goes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

use std::time::Duration;

use store::{
    Actor, Config, Store, migrate,
    schedules::{self, Change, Schedule},
};

use crate::common::{cluster::Cluster, connect, people};

const SETTINGS: &[&str] = &["shared_preload_libraries = 'pg_cron'", "cron.database_name = 'postgres'", "fsync = off"];

async fn named(store: &Store, name: &str) -> Schedule {
    schedules::list(&Actor::service(), store).await.unwrap().into_iter().find(|s| s.name == name).unwrap()
}

/// `cleanup-sessions 0 2 * * *`
async fn registered(db: &tokio_postgres::Client) -> Vec<String> {
    let rows = db.query("SELECT jobname || ' ' || schedule FROM cron.job ORDER BY jobname", &[]).await.unwrap();
    rows.iter().map(|r| r.get(0)).collect()
}

async fn follow(store: &Store) -> i64 {
    schedules::follow_pg_cron(&Actor::service(), store).await.unwrap()
}

fn place(schedule: &Schedule) -> (&str, bool) {
    (&schedule.run_by, schedule.is_active)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_move_to_pg_cron_fire_there_and_come_back() {
    let cluster = Cluster::start(SETTINGS);
    let config = Config::from_url(&cluster.url("postgres")).unwrap();
    migrate::migrate(&config).await.unwrap();
    let (store, db) = (Store::open(&config).await.unwrap(), connect(&config).await);
    let ada = people(&store).await.ada;
    assert_eq!(follow(&store).await, 0);
    assert_eq!(place(&named(&store, "cleanup-sessions").await), ("steward", true));

    // It is installed after Steward.
    db.batch_execute("CREATE EXTENSION pg_cron").await.unwrap();
    assert_eq!(follow(&store).await, 2);
    assert_eq!(registered(&db).await, ["cleanup-sessions 0 2 * * *", "log-partitions 30 2 * * *"]);
    for name in ["cleanup-sessions", "log-partitions"] {
        assert_eq!(place(&named(&store, name).await), ("pg_cron", false), "{name} in one place alone");
    }
    assert_eq!(place(&named(&store, "attachments").await), ("steward", true), "no work of the database's");
    assert_eq!(follow(&store).await, 0, "nothing moves twice");

    // It really fires there, and not here.
    let each_minute = Change { cron: Some("* * * * *".to_owned()), ..Change::default() };
    assert!(schedules::set(&ada, &store, "cleanup-sessions", &each_minute, None).await.unwrap());
    assert_eq!(follow(&store).await, 1);
    let expired = "INSERT INTO sessions (user_id, token, expires_at) SELECT id, repeat('a', 64), now() - interval '1 hour' FROM users LIMIT 1";
    db.batch_execute(expired).await.unwrap();
    let mut look = tokio::time::interval(Duration::from_millis(250));
    let gone = async {
        loop {
            look.tick().await;
            let left: i64 = db.query_one("SELECT count(*) FROM sessions", &[]).await.unwrap().get(0);
            follow(&store).await;
            let row = named(&store, "cleanup-sessions").await;
            if left == 0 && row.last_status.as_deref() == Some("done") {
                return row;
            }
        }
    };
    let row = tokio::time::timeout(Duration::from_secs(130), gone).await.expect("pg_cron fires within a minute");
    assert!(row.last_fire_at.is_some() && row.last_result.is_some() && row.next_fire_at.is_none(), "{row:?}");
    assert!(schedules::fires(&ada, &store, "cleanup-sessions", 10).await.unwrap().is_empty(), "Steward did not");

    // What it can't do as it is written stays here; so does what a person paused, nowhere.
    let berlin = Change { time_zone: Some("Europe/Berlin".to_owned()), ..Change::default() };
    assert!(schedules::set(&ada, &store, "cleanup-sessions", &berlin, None).await.unwrap());
    let pause = Change { is_active: Some(false), ..Change::default() };
    assert!(schedules::set(&ada, &store, "log-partitions", &pause, None).await.unwrap());
    assert_eq!(follow(&store).await, 2);
    assert!(registered(&db).await.is_empty());
    assert_eq!(place(&named(&store, "cleanup-sessions").await), ("steward", true));
    assert_eq!(place(&named(&store, "log-partitions").await), ("steward", false));
    let utc = Change { time_zone: Some("UTC".to_owned()), is_active: Some(true), ..Change::default() };
    for name in ["cleanup-sessions", "log-partitions"] {
        assert!(schedules::set(&ada, &store, name, &utc, None).await.unwrap());
    }
    assert_eq!((follow(&store).await, registered(&db).await.len()), (2, 2));

    // And it goes again.
    db.batch_execute("DROP EXTENSION pg_cron CASCADE").await.unwrap();
    assert_eq!(follow(&store).await, 2);
    for name in ["cleanup-sessions", "log-partitions"] {
        assert_eq!(place(&named(&store, name).await), ("steward", true), "{name}");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pg_cron_that_was_there_first_gets_its_jobs_with_the_migration() {
    let cluster = Cluster::start(SETTINGS);
    let config = Config::from_url(&cluster.url("postgres")).unwrap();
    let db = connect(&config).await;
    db.batch_execute("CREATE EXTENSION pg_cron").await.unwrap();
    migrate::migrate(&config).await.unwrap();
    assert_eq!(registered(&db).await.len(), 2);
    let store = Store::open(&config).await.unwrap();
    assert_eq!(place(&named(&store, "log-partitions").await), ("pg_cron", false));
    assert_eq!(follow(&store).await, 0);
    store.close().await;
    // Its library is no longer loaded: the jobs are Steward's again, though the extension still stands.
    drop(db);
    cluster.stop(crate::common::cluster::Stop::Fast);
    cluster.configure(&["shared_preload_libraries = ''"]);
    cluster.resume();
    let store = Store::open(&config).await.unwrap();
    assert_eq!(follow(&store).await, 2);
    assert_eq!(place(&named(&store, "log-partitions").await), ("steward", true));
    assert_eq!(follow(&store).await, 0);
    store.close().await;
}
