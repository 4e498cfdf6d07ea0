//! What goes wrong while SQLite's log is shipped costs nothing, and somebody is told: a place that is away, a reader that
//! holds the log, a disk that is full. (A process that is killed meanwhile: `proof`.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use backup::{
    Claim, Engine,
    ship::{self, Alarm, Pace},
};
use store::tasks;
use tokio_util::sync::CancellationToken;
use world::World;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Ships the world's log in this process; answers its alarms and its end.
fn shipped(world: &World, pace: Pace) -> (tokio::sync::mpsc::UnboundedReceiver<Alarm>, CancellationToken) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let safe = world.safe();
    let copy = move || {
        let safe = safe.clone();
        async move { safe.create().await.map(drop) }
    };
    let shipping = Arc::clone(world.shipping.as_ref().unwrap());
    let alarm = move |alarm| drop(tell.send(alarm));
    tokio::spawn(ship::run(shipping, world.attachments(), world.safe().claim(), pace, alarm, copy, stop.clone()));
    (told, stop)
}

async fn next(alarms: &mut tokio::sync::mpsc::UnboundedReceiver<Alarm>) -> Alarm {
    tokio::time::timeout(LONG, alarms.recv()).await.expect("an alarm").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_away_for_too_long_is_told_and_so_is_its_return() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let away = world.dir.path().join("away");
    std::fs::rename(world.kept(), &away).unwrap();
    std::fs::write(world.kept(), "no directory").unwrap();
    let (mut alarms, stop) = shipped(&world, Pace { patience: Duration::ZERO, ..Pace::default() });
    let mut writes = vec![world.write().await];
    let Alarm::Behind { waiting, waiting_bytes, reason } = next(&mut alarms).await else { panic!("it is behind") };
    assert!(waiting > 0 && waiting_bytes > 0 && reason.contains("check that it is mounted"), "{reason}");
    writes.push(world.write().await);
    std::fs::remove_file(world.kept()).unwrap();
    std::fs::rename(&away, world.kept()).unwrap();
    assert_eq!(next(&mut alarms).await, Alarm::Well);
    stop.cancel();
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    world.check("caught-up", writes[1].done, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_another_has_taken_over_gets_nothing_and_that_is_told_at_once() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let into = world.restore("copy", None).await.unwrap();
    let other = Claim::new(world.place(), Engine::of(&world::config(&into)), into.join("backup"));
    other.take_over().await.unwrap();
    let before = world.place().list("log").await.unwrap();
    let mut writes = vec![world.write().await];
    world.shipping().tick().unwrap();
    let (mut alarms, stop) = shipped(&world, Pace::default());
    let Alarm::NotOwn(said) = next(&mut alarms).await else { panic!("the place is another's") };
    assert!(said.contains("--take-over"), "{said}");
    assert_eq!(world.place().list("log").await.unwrap(), before);
    // Taken back, it goes on with a series of its own: the other may have gone on with this one.
    world.safe().claim().take_over().await.unwrap();
    assert_eq!(next(&mut alarms).await, Alarm::Well);
    let again = async || {
        world.place().list("bundles").await.unwrap().iter().filter(|e| e.name.ends_with("contents.json")).count()
    };
    tokio::time::timeout(LONG, async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while again().await < 2 {
            tick.tick().await;
        }
    })
    .await
    .expect("a new copy is made");
    stop.cancel();
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    world.check("back", writes[1].done, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_holds_the_log_is_told_and_so_is_its_end() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    // More than what is brought into the file in any case.
    let (mut alarms, stop) = shipped(&world, Pace { large_log_bytes: 5 << 20, ..Pace::default() });
    let mut reader = store::backup::Source::open(&world.database()).unwrap();
    let held = reader.snapshot(None).unwrap();
    // A writer that never rests; it reads too, so that not more is written than this test needs.
    let (mut writes, began) = (Vec::new(), std::time::Instant::now());
    let alarm = loop {
        writes.push(world.write().await);
        for _ in 0..20 {
            tasks::list(&world.ada, world.store(), None, None, 20).await.unwrap();
        }
        if let Ok(alarm) = alarms.try_recv() {
            break alarm;
        }
        assert!(began.elapsed() < LONG, "nobody was told");
    };
    assert!(matches!(alarm, Alarm::Held { log_bytes } if log_bytes > 5 << 20), "{alarm:?}");
    drop(held);
    assert_eq!(next(&mut alarms).await, Alarm::Well);
    writes.push(world.write().await);
    stop.cancel();
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    let last = writes.last().unwrap().done;
    world.check("all", last, &writes[writes.len() - 400.min(writes.len())..]).await;
}

/// A process that ships, which may write no file beyond so many blocks of 512 bytes: to it, each disk is full.
struct Shipper {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Shipper {
    fn start(world: &World, blocks: Option<u32>) -> Self {
        let mut program = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        let limit = blocks.map_or("unlimited".to_owned(), |blocks| blocks.to_string());
        // Without the signal, a write fails as it does where there is no space.
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &script])
            .arg(program.join("examples/shipper"))
            .args([world.data().as_path(), world.kept().as_path(), Path::new("1000000000")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    fn wait_for(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|e| panic!("{words}: {e}"));
            if line.starts_with(words) {
                return line;
            }
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_is_told() {
    let mut world = World::new(true).await;
    world.shipping = None;
    let shipper = Shipper::start(&world, None);
    shipper.wait_for("copy");
    drop(shipper);
    let mut writes = vec![world.write().await];
    // Several hundred KiB of log at once, and 16 KiB of room.
    for _ in 0..60 {
        writes.push(world.write().await);
    }
    let full = Shipper::start(&world, Some(32));
    let said = full.wait_for("alarm Failing");
    assert!(said.contains("can't be written"), "{said}");
    // Work goes on meanwhile.
    writes.push(world.write().await);
    drop(full);
    let well = Shipper::start(&world, None);
    let there = async || world.place().list("log").await.unwrap().len();
    let before = there().await;
    writes.push(world.write().await);
    tokio::time::timeout(LONG, async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while there().await == before || ship::standing(&world.data().join("backup")).unwrap().waiting > 0 {
            tick.tick().await;
        }
    })
    .await
    .expect("what waited is sent");
    drop(well);
    // What came in after the last look is taken up here, as at the next start.
    world.start_shipping();
    world.shipping().tick().unwrap();
    assert!(!world.shipping().needs_copy() && world.shipping().take_broken().is_none(), "the log was never given up");
    world.send().await.unwrap();
    world.check("full", writes[60].done, &writes).await;
    world.check("newest", writes.last().unwrap().done, &writes).await;
}
