//! The proof for the whole safe: a process writes without end, it and the database are killed at random moments, backups
//! are taken meanwhile, the data is destroyed, and a moment is brought back: every write that was acknowledged by then is
//! there, and none that was begun later.
//!
//! `STEWARD_TEST_PROOF_S` says for how many seconds it writes (each database; 30 without it, a minute for both),
//! `STEWARD_TEST_SEED` which random moments are taken; the seed of each run is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "../house/mod.rs"]
mod house;
mod sqlite;
mod witness;
#[path = "../world/mod.rs"]
mod world;

use std::time::{Duration, Instant};

use backup::postgres::{Against, PgBackRest, Recovery};
use house::{House, cluster::Stop, until};
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use store::backup::postgres::{Archive, archive, facts};
use tokio_util::sync::CancellationToken;
use witness::Witness;

/// Of what was written longer ago, nothing may be lost: the archive's time limit of these tests (2 s), and as much as two
/// busy cores may need to bring it away.
const RECOVERY_POINT: SignedDuration = SignedDuration::from_secs(20);

/// How long the archive may take to come up to the writers after the last crash.
const KEEPS_UP: Duration = Duration::from_secs(60);

fn keeps_up(archived: &Archive) -> bool {
    let fresh = Timestamp::now() - SignedDuration::from_secs(5);
    archived.waiting == 0 && archived.last_archived_at.is_some_and(|at| at > fresh)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// The run's random numbers, and for how long it writes.
fn dice(usual_s: u64) -> (StdRng, Duration) {
    let clock = u64::try_from(Timestamp::now().as_microsecond()).unwrap();
    let seed = number("STEWARD_TEST_SEED", clock);
    println!("STEWARD_TEST_SEED={seed}");
    (StdRng::seed_from_u64(seed), Duration::from_secs(number("STEWARD_TEST_PROOF_S", usual_s)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_postgres() {
    let (mut dice, how_long) = dice(30);
    let house = House::archiving().await;
    let never = CancellationToken::new();
    let engine = PgBackRest::open(&house.options().file).await.unwrap().unwrap();
    let url = house.server.url("postgres");
    let mut witness = Witness::default();
    let mut writer = witness.start(&url, house.ada);
    let (began, mut crashes, mut kills, mut backups) = (Instant::now(), 0, 0, 0);
    let mut under_way = None;
    let mut known = Vec::new();
    while began.elapsed() < how_long {
        witness.listen(&mut writer, Duration::from_millis(dice.random_range(300..3000))).await;
        match dice.random_range(0..4) {
            0 => {
                witness.kill(writer).await;
                kills += 1;
                writer = witness.start(&url, house.ada);
            }
            1 => {
                house.server.stop(Stop::Immediate);
                crashes += 1;
                // For a while nobody answers.
                witness.listen(&mut writer, Duration::from_millis(dice.random_range(0..500))).await;
                house.server.resume();
            }
            2 => known.push(facts(&house.config).await.unwrap()),
            _ if under_way.is_none() => {
                let (engine, never) = (engine.clone(), never.clone());
                under_way = Some(tokio::spawn(async move { engine.back_up(&never).await }));
            }
            _ => {}
        }
        if under_way.as_ref().is_some_and(tokio::task::JoinHandle::is_finished) {
            // One that a crash of the database broke off is none; the next one is.
            backups += usize::from(under_way.take().unwrap().await.unwrap().is_ok());
        }
    }
    if let Some(backup) = under_way {
        backups += usize::from(backup.await.unwrap().is_ok());
    }
    // Crashes one after the other keep the archive from its work: let it come up to what is written meanwhile, on a machine
    // that has other work too.
    let mut archived = archive(&house.config).await.unwrap();
    let patience = Instant::now() + KEEPS_UP;
    while Instant::now() < patience && !keeps_up(&archived) {
        witness.listen(&mut writer, Duration::from_millis(200)).await;
        archived = archive(&house.config).await.unwrap();
    }
    witness.kill(writer).await;
    let destroyed = Timestamp::now();
    house.destroy();
    println!(
        "{} writes acknowledged, {kills} times the process killed, {crashes} times the database, {backups} backups meanwhile; {archived:?}",
        witness.acknowledged()
    );
    assert!(witness.acknowledged() > 100, "too little was written to prove anything");

    // A moment of which the archive must know.
    let first = engine.info(&never).await.unwrap().backups[0].ended_at + SignedDuration::from_secs(1);
    let last = destroyed - RECOVERY_POINT;
    assert!(first < last, "let it write for longer: STEWARD_TEST_PROOF_S");
    let moment = Timestamp::from_microsecond(dice.random_range(first.as_microsecond()..last.as_microsecond())).unwrap();
    let back = engine.recover(&Recovery { into: house.new_folder("moment"), to: Some(moment) }, &never).await.unwrap();
    let there = witness.judge(&back.config("postgres").unwrap(), house.ada, moment).await;
    known.retain(|facts| facts.at <= moment - SignedDuration::from_secs(1));
    let against = known.pop().map_or(Against::Nothing, Against::AtLeast);
    let proof = back.prove("postgres", &against, &never).await.unwrap();
    assert_eq!(proof.wrong, Vec::<String>::new());
    println!("restored to {moment} in {} ms: {there} writes, all of them and no other", back.took.as_millis());
    back.stop().await.unwrap();

    // And everything that is there: how much of the newest is lost with the disk.
    let back = engine.recover(&Recovery { into: house.new_folder("all"), to: None }, &never).await.unwrap();
    let reached = back.reached().await.unwrap().unwrap();
    let there = witness.judge(&back.config("postgres").unwrap(), house.ada, reached).await;
    let missing = destroyed.duration_since(reached);
    println!("restored all of the archive: {there} writes; the newest is of {} ms before the end", missing.as_millis());
    assert!(missing < RECOVERY_POINT, "the archive is {missing:#} behind");
    assert_eq!(back.prove("postgres", &Against::Nothing, &never).await.unwrap().wrong, Vec::<String>::new());
    back.stop().await.unwrap();
    until("nothing runs any more", async || !house.new_folder("all").join("postmaster.pid").exists()).await;
}
