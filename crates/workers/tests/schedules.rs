//! Jobs by the clock: once on all nodes, late ones once, dead ones again, long ones cut off. The clock is handed in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{
    accounts::{self, Setup},
    schedules as rules,
};
use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Store, Vault,
    schedules::{self, Change, Schedule},
};
use tokio::sync::{Barrier, Notify};
use tokio_util::sync::CancellationToken;
use workers::{
    jobs::{Job, Jobs},
    scheduler::{self, Scheduler},
};

use crate::common::{Database, PATIENCE};

const JOB: &str = "cleanup-sessions";
const LONG: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    database: Database,
    store: Store,
    vault: Vault,
    ada: Actor,
}

impl World {
    async fn new(postgres: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = if postgres { Database::postgres().await } else { Database::sqlite(dir.path()).await };
        let store = Store::open(&database.config).await.unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        let setup = Setup {
            username: "ada".into(),
            email: "ada@example.org".into(),
            password: "four words are enough".into(),
            token: None,
        };
        let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
        let this = Self { dir, database, store, vault, ada };
        for other in schedules::list(&this.ada, &this.store).await.unwrap() {
            if other.name != JOB {
                let pause = Change { is_active: Some(false), ..Change::default() };
                rules::set(&this.store, &this.ada, &other.name, pause).await.unwrap();
            }
        }
        this
    }

    fn node(&self, jobs: &Jobs) -> Scheduler {
        Scheduler::new(self.store.clone(), self.vault.clone(), jobs.clone(), &CancellationToken::new())
    }

    async fn schedule(&self) -> Schedule {
        rules::named(&self.store, &self.ada, JOB).await.unwrap()
    }

    /// Has the time of the first fire worked out.
    async fn planned(&self, node: &mut Scheduler) -> Timestamp {
        assert!(node.round(at("2026-11-22T13:00:00Z")).await.unwrap().is_empty());
        self.schedule().await.next_fire_at.unwrap()
    }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn counting(count: &Arc<AtomicUsize>) -> Jobs {
    let count = Arc::clone(count);
    Jobs::default().with(Job::new(JOB, LONG, move |_| {
        let count = Arc::clone(&count);
        Box::pin(async move { Ok(format!("run {}", count.fetch_add(1, Ordering::SeqCst) + 1)) })
    }))
}

/// Two nodes look at the same moment, forty days long: each time fires once.
async fn race(postgres: bool) {
    const DAYS: i64 = 40;
    let world = World::new(postgres).await;
    let count = Arc::new(AtomicUsize::new(0));
    let jobs = counting(&count);
    let other = if postgres { Store::open(&world.database.config).await.unwrap() } else { world.store.clone() };
    let mut a = world.node(&jobs);
    let mut b = Scheduler::new(other, world.vault.clone(), jobs, &CancellationToken::new());
    let first = world.planned(&mut a).await;
    assert_eq!(first, at("2026-11-23T02:00:00Z"));
    let mut seen = BTreeSet::new();
    let mut by_b = 0;
    for day in 0..DAYS {
        let now = first + SignedDuration::from_hours(24 * day) + SignedDuration::from_secs(5);
        let (by_first, by_second) = tokio::join!(a.round(now), b.round(now));
        let (by_first, by_second) = (by_first.unwrap(), by_second.unwrap());
        by_b += by_second.len();
        for held in by_first.into_iter().chain(by_second) {
            assert!(seen.insert(held.fire_at), "{} fired twice", held.fire_at);
        }
        a.settle().await;
        b.settle().await;
        // Nothing is left of the same moment.
        assert!(a.round(now).await.unwrap().is_empty());
    }
    assert_eq!((seen.len(), count.load(Ordering::SeqCst)), (40, 40), "{by_b} by the second node");
    let fires = schedules::fires(&world.ada, &world.store, JOB, 100).await.unwrap();
    assert!(fires.iter().all(|f| f.state == "done" && f.attempt == 1), "{fires:?}");
    let row = world.schedule().await;
    assert_eq!((row.last_status.as_deref(), row.last_was_missed), (Some("done"), false));
    assert_eq!(row.last_result.as_deref(), Some("run 40"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_fire_each_time_once_on_postgres() {
    race(true).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_fire_each_time_once_on_sqlite() {
    race(false).await;
}

#[tokio::test]
async fn what_was_missed_runs_once_late_and_says_so() {
    let world = World::new(false).await;
    let count = Arc::new(AtomicUsize::new(0));
    let mut node = world.node(&counting(&count));
    let first = world.planned(&mut node).await;
    // Three days asleep.
    let awake = first + SignedDuration::from_hours(3 * 24 + 5);
    let begun = node.round(awake).await.unwrap();
    assert_eq!(begun.iter().map(|h| h.fire_at).collect::<Vec<_>>(), [first]);
    node.settle().await;
    assert!(node.round(awake).await.unwrap().is_empty());
    let row = world.schedule().await;
    assert!(row.last_was_missed);
    assert_eq!(row.last_result.as_deref(), Some("run 1; 3 d 5 h late, for nothing ran at its time"));
    assert_eq!(row.next_fire_at, Some(first + SignedDuration::from_hours(4 * 24)));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_clock_change_fires_neither_twice_nor_never() {
    let world = World::new(false).await;
    let count = Arc::new(AtomicUsize::new(0));
    let mut node = world.node(&counting(&count));
    let berlin = Change {
        cron: Some("30 2 * * *".to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
        ..Change::default()
    };
    rules::set(&world.store, &world.ada, JOB, berlin).await.unwrap();
    // From before the autumn of 2026 to after the spring of 2027, looked at every half hour of the two nights.
    let mut fired = Vec::new();
    for night in ["2026-10-24T12:00:00Z", "2027-03-27T12:00:00Z"] {
        let start = at(night);
        world.set_next(start).await;
        for half_hours in 0..60 {
            let now = start + SignedDuration::from_mins(30 * half_hours);
            fired.extend(node.round(now).await.unwrap().into_iter().map(|h| h.fire_at.to_string()));
            node.settle().await;
        }
    }
    assert_eq!(fired, ["2026-10-25T00:30:00Z", "2027-03-28T01:00:00Z"]);
}

impl World {
    /// The next time after `now`, as if the schedule had been planned then.
    async fn set_next(&self, now: Timestamp) {
        let row = self.schedule().await;
        let next = rules::next_of(&row, now).unwrap();
        assert!(schedules::set(&self.ada, &self.store, JOB, &Change::default(), Some(next)).await.unwrap());
    }
}

#[tokio::test]
async fn failures_are_told_and_do_not_stop_the_next_time() {
    let world = World::new(false).await;
    let turn = Arc::new(AtomicUsize::new(0));
    let turns = Arc::clone(&turn);
    let jobs = Jobs::default().with(Job::new(JOB, Duration::from_millis(50), move |_| {
        let turn = turns.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match turn {
                0 => Err(workers::Error::Internal("the first goes wrong".to_owned())),
                1 => panic!("the second is a defect"),
                2 => std::future::pending().await,
                _ => Ok("well".to_owned()),
            }
        })
    }));
    let mut node = world.node(&jobs);
    let mut now = world.planned(&mut node).await;
    for said in ["the first goes wrong", "it ended in a way it never should", "it ran longer than 0 s and was cut off"]
    {
        assert_eq!(node.round(now).await.unwrap().len(), 1);
        node.settle().await;
        let row = world.schedule().await;
        assert_eq!(row.last_status.as_deref(), Some("failed"));
        assert!(row.last_result.as_deref().is_some_and(|r| r.starts_with("failed: ") && r.contains(said)), "{row:?}");
        now = row.next_fire_at.unwrap();
    }
    node.round(now).await.unwrap();
    node.settle().await;
    assert_eq!(world.schedule().await.last_result.as_deref(), Some("well"));
    // A schedule without a job says so, too.
    let mut node = world.node(&Jobs::default());
    node.round(world.schedule().await.next_fire_at.unwrap()).await.unwrap();
    node.settle().await;
    assert_eq!(
        world.schedule().await.last_result.as_deref(),
        Some("failed: there is no job called cleanup-sessions; there are: ")
    );
}

/// A node dies in the middle: another runs the fire again, once; and when that dies too, it says so.
async fn deaths(postgres: bool) {
    let world = World::new(postgres).await;
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let hanging = Jobs::default().with(Job::new(JOB, LONG, move |_| {
        told.notify_one();
        Box::pin(std::future::pending())
    }));
    let mut first = world.node(&hanging).with_lease(SignedDuration::ZERO);
    let due = world.planned(&mut first).await;
    assert_eq!(first.round(due).await.unwrap().len(), 1);
    begun.notified().await;
    // Its lease is over and its tasks are gone with it.
    drop(first);
    let mut second = world.node(&hanging).with_lease(SignedDuration::ZERO);
    let again = second.round(due).await.unwrap();
    assert_eq!(again.iter().map(|h| (h.fire_at, h.attempt)).collect::<Vec<_>>(), [(due, 2)]);
    begun.notified().await;
    drop(second);
    let count = Arc::new(AtomicUsize::new(0));
    let mut third = world.node(&counting(&count));
    assert!(third.round(due).await.unwrap().is_empty());
    let row = world.schedule().await;
    assert_eq!(row.last_status.as_deref(), Some("failed"));
    assert!(row.last_result.as_deref().is_some_and(|r| r.contains("begun 2 times")), "{row:?}");
    // The next time is as good as ever.
    third.round(row.next_fire_at.unwrap()).await.unwrap();
    third.settle().await;
    assert_eq!(world.schedule().await.last_result.as_deref(), Some("run 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fire_whose_node_died_runs_again_once_on_postgres() {
    deaths(true).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fire_whose_node_died_runs_again_once_on_sqlite() {
    deaths(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_beside_each_other_and_each_once_at_a_time() {
    let world = World::new(false).await;
    let resume = Change { is_active: Some(true), ..Change::default() };
    rules::set(&world.store, &world.ada, "statistics", resume).await.unwrap();
    // Both must be there at once to get on.
    let both = Arc::new(Barrier::new(2));
    let gate = Arc::new(Notify::new());
    let jobs = [JOB, "statistics"].into_iter().fold(Jobs::default(), |jobs, name| {
        let (both, gate) = (Arc::clone(&both), Arc::clone(&gate));
        jobs.with(Job::new(name, LONG, move |_| {
            let (both, gate) = (Arc::clone(&both), Arc::clone(&gate));
            Box::pin(async move {
                both.wait().await;
                gate.notified().await;
                Ok("well".to_owned())
            })
        }))
    });
    let mut node = world.node(&jobs);
    let due = world.planned(&mut node).await + SignedDuration::from_hours(24 * 400);
    assert_eq!(node.round(due).await.unwrap().len(), 2);
    // The next day comes while they still run: it waits.
    let later = due + SignedDuration::from_hours(24);
    assert!(node.round(later).await.unwrap().is_empty());
    assert!(world.node(&jobs).round(later).await.unwrap().is_empty(), "nor does another node begin it");
    let settled = async {
        while schedules::list(&world.ada, &world.store)
            .await
            .unwrap()
            .iter()
            .any(|s| s.last_status.as_deref() == Some("running"))
        {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    node.settle().await;
    assert_eq!(node.round(later).await.unwrap().len(), 2, "now it comes");
}

#[tokio::test]
async fn a_shutdown_stops_jobs_and_they_are_taken_up_again() {
    let world = World::new(false).await;
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let jobs = Jobs::default().with(Job::new(JOB, LONG, move |context| {
        told.notify_one();
        Box::pin(async move {
            context.stop.cancelled().await;
            Ok("half".to_owned())
        })
    }));
    let mut node = world.node(&jobs);
    let due = world.planned(&mut node).await;
    node.round(due).await.unwrap();
    begun.notified().await;
    tokio::time::timeout(PATIENCE, node.end()).await.unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let mut next = world.node(&counting(&count));
    let begun = next.round(due).await.unwrap();
    assert_eq!(begun.iter().map(|h| (h.fire_at, h.attempt)).collect::<Vec<_>>(), [(due, 1)], "it does not count");
    next.settle().await;
    assert_eq!(world.schedule().await.last_status.as_deref(), Some("done"));
}

#[tokio::test]
async fn a_person_changes_a_schedule_and_runs_it_now() {
    let world = World::new(false).await;
    let wrong = Change { cron: Some("at noon".to_owned()), ..Change::default() };
    let said = rules::set(&world.store, &world.ada, JOB, wrong).await.unwrap_err().to_string();
    assert!(said.contains("can't be read"), "{said}");
    let pause = Change { is_active: Some(false), ..Change::default() };
    let row = rules::set(&world.store, &world.ada, JOB, pause).await.unwrap();
    assert_eq!((row.is_active, row.next_fire_at), (false, None));
    let count = Arc::new(AtomicUsize::new(0));
    let mut node = world.node(&counting(&count));
    assert!(node.round(at("2030-01-01T00:00:00Z")).await.unwrap().is_empty(), "it is paused");
    let asked = rules::request(&world.store, &world.ada, JOB).await.unwrap();
    let ran = scheduler::run_requested(&mut node, &world.store, &asked);
    let fire = tokio::time::timeout(PATIENCE, ran).await.unwrap().unwrap().unwrap();
    assert_eq!((fire.state.as_str(), fire.result.as_deref()), ("done", Some("run 1")));
    assert!(node.round(at("2030-01-01T00:00:00Z")).await.unwrap().is_empty(), "once");
    assert!(rules::request(&world.store, &world.ada, "unknown").await.is_err());
    assert!(rules::request(&world.store, &Actor::anonymous(), JOB).await.is_err());
}

#[tokio::test]
async fn stewards_own_jobs_work() {
    for postgres in [false, true] {
        let world = World::new(postgres).await;
        let source = tempfile::NamedTempFile::new_in(world.dir.path()).unwrap();
        let stray = world.vault.store(&mut source.reopen().unwrap(), 10).unwrap();
        let kept = world.dir.path().join("attachments").join(&stray.storage_path);
        drop(stray);
        let old = std::time::SystemTime::now() - Duration::from_secs(7200);
        std::fs::File::options().write(true).open(&kept).unwrap().set_modified(old).unwrap();
        let mut node = world.node(&Jobs::standard());
        for (name, said) in [
            ("attachments", "0 files whose time was over and 1 that belonged to no task removed"),
            ("cleanup-sessions", "0 sessions removed"),
            ("statistics", ""),
        ] {
            let asked = rules::request(&world.store, &world.ada, name).await.unwrap();
            let ran = scheduler::run_requested(&mut node, &world.store, &asked);
            let fire = tokio::time::timeout(PATIENCE, ran).await.unwrap().unwrap().unwrap();
            assert_eq!(fire.state, "done", "{fire:?}");
            assert!(said.is_empty() || fire.result.as_deref() == Some(said), "{fire:?}");
        }
        assert!(!kept.exists());
    }
}
