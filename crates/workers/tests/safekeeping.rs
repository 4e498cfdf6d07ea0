//! Backups by the clock: one that failed or is missing is told to the admins, once; and one under way says how far it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{
    accounts::{self, Setup},
    backups::BACKUP,
    schedules as rules,
};
use jiff::{SignedDuration, Timestamp};
use store::{Actor, Store, Vault, notifications, schedules};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use workers::{
    jobs::{Job, Jobs},
    safekeeping,
    scheduler::Scheduler,
};

use crate::common::{Database, PATIENCE};

const LONG: Duration = Duration::from_secs(60);

async fn house(dir: &std::path::Path, postgres: bool) -> (Database, Store, Vault, Actor) {
    let database = if postgres { Database::postgres().await } else { Database::sqlite(dir).await };
    let store = Store::open(&database.config).await.unwrap();
    let vault = Vault::open(&dir.join("master.key"), &dir.join("attachments")).unwrap();
    let setup = Setup {
        username: "ada".into(),
        email: "ada@example.org".into(),
        password: "four words are enough".into(),
        token: None,
    };
    let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
    (database, store, vault, ada)
}

async fn troubles(postgres: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (_database, store, vault, ada) = house(dir.path(), postgres).await;
    let is_full = Arc::new(AtomicBool::new(true));
    let full = Arc::clone(&is_full);
    let jobs = Jobs::default().with(Job::new(BACKUP, LONG, move |_| {
        let full = full.load(Ordering::SeqCst);
        let full = move || if full { Err(workers::Error::Internal("no space".to_owned())) } else { Ok("made".into()) };
        Box::pin(async move { full() })
    }));
    let since = store::now();
    let told = async |now: Timestamp| {
        safekeeping::tell_trouble(&store, since, now).await.unwrap();
        let all = notifications::list(&ada, &store, None, 50).await.unwrap();
        all.into_iter()
            .filter(|n| n.title.contains("backup "))
            .map(|n| (n.title, n.message.unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(store::now()).await, [], "nothing was due yet");
    let run = async || {
        let mut node = Scheduler::new(store.clone(), vault.clone(), jobs.clone(), &CancellationToken::new());
        rules::request(&store, &ada, BACKUP).await.unwrap();
        node.round(schedules::clock(&Actor::service(), &store).await.unwrap()).await.unwrap();
        node.settle().await;
    };
    run().await;
    let failed = told(store::now()).await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].0, "The backup failed");
    assert!(failed[0].1.contains("no space") && failed[0].1.contains("steward schedule run backup"), "{failed:?}");
    assert_eq!(told(store::now()).await.len(), 1, "once");
    is_full.store(false, Ordering::SeqCst);
    run().await;
    assert_eq!(told(store::now()).await.len(), 1, "it is well again");
    // Two days on nobody has made one.
    let later = store::now() + SignedDuration::from_hours(48);
    let missing = told(later).await;
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing.iter().any(|(title, said)| title == "A backup is missing" && said.contains("was due at")));
    assert_eq!(told(later).await.len(), 2, "once a day");
    store.close().await;
}

#[tokio::test]
async fn a_backup_that_failed_or_is_missing_is_told_once_on_sqlite() {
    troubles(false).await;
}

#[tokio::test]
async fn a_backup_that_failed_or_is_missing_is_told_once_on_postgres() {
    troubles(true).await;
}

#[tokio::test]
async fn a_job_under_way_says_how_far_it_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let (_database, store, vault, ada) = house(dir.path(), false).await;
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let jobs = Jobs::default().with(Job::new(BACKUP, LONG, move |context| {
        let waits = Arc::clone(&waits);
        Box::pin(async move {
            context.progress.send_replace("half of it".to_owned());
            waits.notified().await;
            Ok("all of it".to_owned())
        })
    }));
    let mut node = Scheduler::new(store.clone(), vault, jobs, &CancellationToken::new());
    rules::request(&store, &ada, BACKUP).await.unwrap();
    node.round(schedules::clock(&Actor::service(), &store).await.unwrap()).await.unwrap();
    let fire = async || schedules::fires(&ada, &store, BACKUP, 1).await.unwrap().swap_remove(0);
    tokio::time::timeout(PATIENCE, async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while fire().await.result.as_deref() != Some("half of it") {
            look.tick().await;
        }
    })
    .await
    .expect("how far it has come is told");
    assert_eq!(fire().await.state, "started");
    go_on.notify_one();
    node.settle().await;
    let fire = fire().await;
    assert_eq!((fire.state.as_str(), fire.result.as_deref()), ("done", Some("all of it")));
    store.close().await;
}

#[tokio::test]
async fn a_job_that_is_broken_off_stops_and_says_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_database, store, vault, ada) = house(dir.path(), false).await;
    let jobs = Jobs::default().with(Job::new(BACKUP, LONG, move |context| {
        Box::pin(async move {
            context.stop.cancelled().await;
            Err(workers::Error::Internal("nothing of it is left".to_owned()))
        })
    }));
    let nobody = rules::cancel(&store, &ada, BACKUP).await.unwrap_err().to_string();
    assert!(nobody.contains("no backup is running"), "{nobody}");
    let node = Scheduler::new(store.clone(), vault, jobs, &CancellationToken::new());
    let mut node = node.with_lease(SignedDuration::from_secs(3));
    rules::request(&store, &ada, BACKUP).await.unwrap();
    node.round(schedules::clock(&Actor::service(), &store).await.unwrap()).await.unwrap();
    let broken_off = rules::cancel(&store, &ada, BACKUP).await.unwrap();
    assert_eq!(broken_off.last_result.as_deref(), Some("cancelled by ada"));
    tokio::time::timeout(PATIENCE, node.settle()).await.expect("it stops");
    let fire = schedules::fires(&ada, &store, BACKUP, 1).await.unwrap().swap_remove(0);
    assert_eq!(fire.state, "failed");
    let said = fire.result.unwrap();
    assert!(said.starts_with("cancelled by ada; ") && said.contains("nothing of it is left"), "{said}");
    assert_eq!(safekeeping::tell_trouble(&store, store::now(), store::now()).await.unwrap(), 0, "whoever did it knows");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_go_to_the_place_by_themselves_and_that_they_cannot_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (database, store, vault, ada) = house(dir.path(), true).await;
    let kept = dir.path().join("kept");
    std::fs::write(&kept, "no directory").unwrap();
    let stored = tokio::task::spawn_blocking(move || vault.store(&mut b"the invoice".as_slice(), 100)).await.unwrap();
    let path = kept.join("files").join(&stored.unwrap().storage_path);
    let place = backup::Place::open(kept.to_str().unwrap(), &backup::place::Access::default()).unwrap();
    let claim = backup::Claim::new(place, backup::Engine::of(&database.config), dir.path().join("backup"));
    let attachments = backup::Attachments::new(dir.path().join("attachments"));
    let stop = CancellationToken::new();
    let shipping =
        tokio::spawn(safekeeping::ship_files(store.clone(), claim, attachments, Duration::ZERO, stop.clone()));
    let told = async |title: &str| {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let seen = async {
            while !notifications::list(&ada, &store, None, 50).await.unwrap().iter().any(|n| n.title == title) {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{title}: nobody was told"));
    };
    told("Attachments wait for the place of the backups").await;
    std::fs::remove_file(&kept).unwrap();
    told("Attachments are kept again").await;
    assert!(path.is_file());
    stop.cancel();
    shipping.await.unwrap();
}
