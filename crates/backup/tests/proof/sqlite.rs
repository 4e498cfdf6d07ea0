//! The proof on SQLite: who writes and who ships are processes of their own, and both are killed at random moments.

use std::{
    io::Write,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use backup::safe::Wish;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    KEEPS_UP, dice,
    witness::{Witness, example, files},
    world::{World, config},
};

/// Of what was written longer ago, nothing may be lost with the disk: half a second until it is shipped, and as much as
/// two busy cores may need for it.
const RECOVERY_POINT: SignedDuration = SignedDuration::from_secs(5);

/// A process that ships.
struct Shipper {
    child: Child,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Shipper {
    fn start(data: &Path, kept: &Path) -> Self {
        let mut child = Command::new(example("shipper"))
            .args([data, kept, Path::new("1000000000")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                all.lock().unwrap().push(line);
            }
        });
        Self { child, heard }
    }

    async fn back_up(&mut self) {
        use tokio::io::AsyncWriteExt;
        self.child.stdin.as_mut().unwrap().write_all(b"backup\n").await.unwrap();
    }

    /// Whether it has said that a copy is made.
    fn has_copied(&self) -> bool {
        self.heard.lock().unwrap().iter().any(|line| is_copy(line))
    }

    async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.unwrap();
        self.heard.lock().unwrap().clone()
    }
}

fn is_copy(line: &str) -> bool {
    line.starts_with("copy") || line.starts_with("backup")
}

fn keeps_up(data: &Path) -> bool {
    let fresh = Timestamp::now() - SignedDuration::from_secs(2);
    let standing = backup::ship::standing(&data.join("backup"));
    standing.is_ok_and(|s| s.waiting == 0 && s.last_commit_at.is_some_and(|at| at > fresh))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    let (mut dice, how_long) = dice(30);
    let mut world = World::new(true).await;
    world.shipping = None;
    world.store.take().unwrap().close().await;
    let (data, kept) = (world.data(), world.kept());
    let url = format!("sqlite://{}", world.database().display());
    let mut witness = Witness::with_files(&data);
    let mut writer = witness.start(&url, world.ada_id);
    let mut shipper = Shipper::start(&data, &kept);
    let mut heard = Vec::new();
    let (mut kills, mut crashes, mut backups) = (0, 0, 0);
    // A first copy, before anybody is killed: on a busy machine there might be no other.
    let patience = Instant::now() + KEEPS_UP;
    shipper.back_up().await;
    while !shipper.has_copied() {
        assert!(Instant::now() < patience, "no copy is made");
        witness.listen(&mut writer, Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    while began.elapsed() < how_long {
        witness.listen(&mut writer, Duration::from_millis(dice.random_range(100..1500))).await;
        match dice.random_range(0..5) {
            0 | 1 => {
                heard.extend(shipper.kill().await);
                kills += 1;
                // For a while nobody ships.
                witness.listen(&mut writer, Duration::from_millis(dice.random_range(0..1000))).await;
                shipper = Shipper::start(&data, &kept);
            }
            2 => {
                // Everything, as when power fails or Steward is killed: who writes and who ships are one process there.
                heard.extend(shipper.kill().await);
                witness.kill(writer).await;
                crashes += 1;
                shipper = Shipper::start(&data, &kept);
                writer = witness.start(&url, world.ada_id);
            }
            3 => shipper.back_up().await,
            // Another process makes one, as by hand.
            _ => backups += usize::from(world.safe().create().await.is_ok()),
        }
    }
    // Whoever ships comes up to what is written meanwhile, on a machine that has other work too.
    let patience = Instant::now() + KEEPS_UP;
    while Instant::now() < patience && !keeps_up(&data) {
        witness.listen(&mut writer, Duration::from_millis(200)).await;
    }
    heard.extend(shipper.kill().await);
    witness.kill(writer).await;
    let destroyed = Timestamp::now();
    std::fs::remove_dir_all(&data).unwrap();
    let copies = heard.iter().filter(|line| is_copy(line)).count();
    println!(
        "{} writes acknowledged, {kills} times one process killed, {crashes} times all; {copies} copies where it is shipped, {backups} by hand",
        witness.acknowledged()
    );
    assert!(witness.acknowledged() > 100, "too little was written to prove anything");
    let alarms: Vec<_> = heard.iter().filter(|line| line.starts_with("alarm")).collect();
    assert!(alarms.is_empty(), "a killed process is no reason to begin the log anew: {alarms:?}");

    // Any moment since the first copy, to the commit.
    let first = world.safe().list().await.unwrap().bundles.iter().find(|b| b.has_log).unwrap().as_of;
    let last = destroyed - RECOVERY_POINT;
    assert!(first < last, "let it write for longer: STEWARD_TEST_PROOF_S");
    for round in 0..3 {
        let micros = dice.random_range(first.as_microsecond()..last.as_microsecond());
        let moment = Timestamp::from_microsecond(micros).unwrap();
        let name = format!("moment-{round}");
        let back = world.restore(&name, Some(moment)).await.unwrap();
        let there = witness.judge(&config(&back), world.ada_id, moment).await;
        let files = files(&back, &config(&back), &world.vault).await;
        println!("restored to {moment}: {there} writes with {files} files, none of a later one");
    }
    // And everything that is there: how much of the newest is lost with the disk.
    let wish = Wish { id: None, to: None, into: world.dir.path().join("all"), replace: false };
    let restored = world.safe().restore(&wish, &world.opener()).await.unwrap();
    let there = witness.judge(&config(&wish.into), world.ada_id, restored.as_of).await;
    assert_eq!((restored.missing, restored.wrong), (Vec::new(), Vec::new()));
    let files = files(&wish.into, &config(&wish.into), &world.vault).await;
    let missing = destroyed.duration_since(restored.as_of);
    println!(
        "restored all of it: {there} writes with {files} files; the newest is of {} ms before the end",
        missing.as_millis()
    );
    std::io::stdout().flush().unwrap();
    assert!(missing < RECOVERY_POINT, "the log is {missing:#} behind");
}
