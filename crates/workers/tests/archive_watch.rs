//! An archive of PostgreSQL's log that fails is told to the admins, once, and so is its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../store/tests/common/cluster.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod cluster;

use std::time::Duration;

use cluster::Cluster;
use domain::backups;
use jiff::SignedDuration;
use store::{
    Actor, Config, Store,
    backup::postgres::{set_archiving, switch_log},
    migrate, notifications,
    users::{self, NewUser},
};
use tokio_util::sync::CancellationToken;
use workers::archive_watch;

/// How long the server may take to try again, on a busy machine.
const LONG: Duration = Duration::from_secs(100);

/// What the admin was told, oldest first, once it is so many.
async fn told(store: &Store, ada: &Actor, count: usize) -> Vec<String> {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let mut found = notifications::list(ada, store, None, 10).await.unwrap();
            if found.len() >= count {
                found.reverse();
                return found.into_iter().map(|n| n.title).collect();
            }
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("the admin is told")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admins_are_told_of_trouble_and_of_its_end() {
    let server = Cluster::start(&["archive_mode = on", "archive_command = '/bin/false'"]);
    let config = Config::from_url(&server.url("postgres")).unwrap();
    migrate::migrate(&config).await.unwrap();
    let store = Store::open(&config).await.unwrap();
    let ada = NewUser {
        username: "ada".to_owned(),
        email: "ada@example.org".to_owned(),
        password_hash: "$argon2id$none".to_owned(),
        role: "admin".to_owned(),
        first_name: None,
        last_name: None,
    };
    let ada = Actor::user(users::create(&Actor::service(), &store, &ada).await.unwrap());
    // After an upgrade, or when archiving was just switched on, nothing is missing yet.
    assert_eq!(archive_watch::tell_runs(&store, store::now()).await.unwrap(), 0);
    assert_eq!(backups::archive_runs(&store, store::now()).await.unwrap().awaited.len(), 2);
    let later = store::now() + SignedDuration::from_hours(9 * 24);
    assert_eq!(backups::archive_runs(&store, later).await.unwrap().troubles.len(), 2);
    for module in [backups::ARCHIVE_BACKUP, backups::ARCHIVE_DRILL] {
        backups::note_archive(&store, module, Ok("it went well".to_owned())).await.unwrap();
    }
    let stop = CancellationToken::new();
    let every = Duration::from_millis(100);
    let watching = archive_watch::keep_watching(store.clone(), config.clone(), every, stop.clone());
    let watching = tokio::spawn(watching);

    switch_log(&config).await.unwrap();
    assert_eq!(told(&store, &ada, 1).await, ["The archive of the database has trouble"]);
    set_archiving(&config, "/bin/true", 60).await.unwrap();
    let all = told(&store, &ada, 2).await;
    assert_eq!(all, ["The archive of the database has trouble", "The archive of the database is well again"]);
    stop.cancel();
    watching.await.unwrap();
    // A failed drill is told once; and what is missing for more than a week once a day.
    backups::note_archive(&store, backups::ARCHIVE_DRILL, Err("no space".to_owned())).await.unwrap();
    let now = store::now();
    assert_eq!(archive_watch::tell_runs(&store, now).await.unwrap(), 1);
    assert_eq!(archive_watch::tell_runs(&store, now).await.unwrap(), 0);
    let later = now + SignedDuration::from_hours(9 * 24);
    assert_eq!(archive_watch::tell_runs(&store, later).await.unwrap(), 1);
    let all = told(&store, &ada, 4).await;
    assert_eq!(all[2..], ["The archive was not tried out", "The archive has no fresh backup"]);
    store.close().await;
}
