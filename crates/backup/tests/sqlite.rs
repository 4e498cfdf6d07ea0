//! A SQLite database goes into the safe and comes back: whole, and as of any moment; whatever happened meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it stands")]

#[path = "sqlite/files.rs"]
mod files;
#[path = "sqlite/owner.rs"]
mod owner;
mod world;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use backup::{Error, Progress, Safe, safe::Wish, ship};
use jiff::Timestamp;
use store::{
    Store,
    backup::{Batch, Source, Step},
};
use tokio_util::sync::CancellationToken;
use world::{ROOM, World, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_comes_back_as_it_was() {
    let world = World::new(false).await;
    let first = world.write().await;
    let (first_file, stored) = world.attach("the invoice").await;
    std::fs::create_dir(world.data().join("playbooks")).unwrap();
    std::fs::write(world.data().join("playbooks/file-away.yaml"), "name: file-away\n").unwrap();
    let made = world.safe().create().await.unwrap();
    let later = world.write().await;
    let verified = world.safe().verify(None, &world.opener()).await.unwrap();
    assert_eq!((verified.id.as_str(), verified.attachments), (made.id.as_str(), 1));
    let into = world.restore("back", None).await.unwrap();
    assert_eq!(world.tasks(&into).await, BTreeSet::from([first.id, first_file.id]));
    let mut content = Vec::new();
    let back = world.vault.at(&into.join("attachments"));
    let mut file = back.open_file(&stored.storage_path, Some(&stored.sealed_key)).unwrap();
    file.copy(0, u64::MAX, &mut content).unwrap();
    assert_eq!(content, b"the invoice");
    assert!(into.join("playbooks/file-away.yaml").is_file());
    assert!(!into.join("master.key").exists(), "the key that opens it is not in it");
    for name in ["steward.lock", "steward.db", "steward.db-place"] {
        let found = std::fs::metadata(into.join(name)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&found) & 0o777, 0o600, "{name} is its owner's alone");
    }
    // Never over what is there, unless that is said; and then nothing is lost.
    let said = world.restore("back", None).await.unwrap_err().to_string();
    assert!(said.contains("--replace --force"), "{said}");
    world.safe().create().await.unwrap();
    let wish = Wish { id: None, to: None, into: into.clone(), replace: true };
    let again = world.safe().restore(&wish, &world.opener()).await.unwrap();
    assert_eq!(world.tasks(&into).await, BTreeSet::from([first.id, first_file.id, later.id]));
    assert!(again.set_aside.unwrap().join("steward.db").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_broken_off_leaves_nothing_and_says_so() {
    let world = World::new(false).await;
    world.write().await;
    let at = async |words: &'static str| {
        let stop = CancellationToken::new();
        let told = stop.clone();
        let progress = Progress::new(move |said| {
            if said.starts_with(words) {
                told.cancel();
            }
        });
        let safe = Safe { progress: progress.until(stop), ..world.safe() };
        let said = safe.create().await.unwrap_err();
        assert!(matches!(said, Error::Cancelled(_)), "{words}: {said:?}");
        let left = world.place().list("bundles").await.unwrap();
        assert_eq!(left, [], "{words}: nothing of it is left");
        let making = std::fs::read_dir(world.data().join("backup")).unwrap();
        let making = making.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("making")).count();
        assert_eq!(making, 0, "{words}: nor here");
        said.to_string()
    };
    // Before the copy, in it, and when a part is on its way.
    let kept = world.kept().display().to_string();
    for words in ["copying the database", "looking at every page"] {
        assert!(at(words).await.contains(&format!("nothing of it is left at {kept}")));
    }
    world.attach("the invoice").await;
    assert!(at("copying the database").await.contains("but 1 attachments"));
    world.safe().create().await.unwrap();
    world.safe().verify(None, &world.opener()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drill_tells_how_long_it_took_and_leaves_nothing() {
    let world = World::new(false).await;
    assert!(world.safe().drill(&world.opener()).await.unwrap_err().to_string().contains("there is no backup"));
    world.write().await;
    world.safe().create().await.unwrap();
    let drilled = world.safe().drill(&world.opener()).await.unwrap();
    assert!(drilled.checks > 3 && drilled.rows > 0 && drilled.audit_links > 0, "{drilled:?}");
    assert!(!world.data().join("backup/drill").exists());
    // One bit of the newest backup, and the drill fails before the day it is needed.
    let id = world.safe().list().await.unwrap().bundles.pop().unwrap().id;
    let part = world.kept().join(format!("bundles/{id}/00001.part"));
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let said = world.safe().drill(&world.opener()).await.unwrap_err().to_string();
    assert!(said.contains("database/steward.db of"), "{said}");
    let said = world.restore("back", None).await.unwrap_err().to_string();
    assert!(said.contains("database/steward.db of"), "{said}");
    assert!(!world.dir.path().join("back/steward.db").exists(), "nothing was touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_moment_comes_back_through_restarts_and_checkpoints() {
    let mut world = World::new(true).await;
    let mut writes = vec![world.write().await];
    world.safe().create().await.unwrap();
    for round in 0..60_u32 {
        writes.push(world.write().await);
        if round % 4 == 0 {
            world.shipping().tick().unwrap();
        }
        if round % 10 == 9 {
            assert!(world.shipping().checkpoint().unwrap().is_complete, "round {round}: the log starts over");
        }
        if round % 15 == 7 {
            // Killed with commits that nobody shipped yet: the next start takes them up with their own times.
            world.start_shipping();
            assert!(!world.shipping().needs_copy(), "round {round}: it goes on where it was");
        }
        if round == 30 {
            world.safe().create().await.unwrap();
        }
    }
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    for place in [5, 14, 29, 31, 47, 60] {
        world.check(&format!("at-{place}"), writes[place].done, &writes).await;
    }
    let newest = world.restore("newest", None).await.unwrap();
    assert_eq!(world.tasks(&newest).await, writes.iter().map(|w| w.id).collect());
    let said = world.restore("before", Some(Timestamp::UNIX_EPOCH)).await.unwrap_err().to_string();
    assert!(said.contains("nothing was kept before"), "{said}");
    let ahead = store::now() + jiff::SignedDuration::from_hours(1);
    let said = world.restore("ahead", Some(ahead)).await.unwrap_err().to_string();
    assert!(said.contains("lies ahead"), "{said}");
    assert!(!world.dir.path().join("ahead").exists(), "nothing is made for what is refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_holds_the_log_loses_nothing() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let mut writes = vec![world.write().await];
    let mut reader = store::backup::Source::open(&world.database()).unwrap();
    let held = reader.snapshot(None).unwrap();
    for _ in 0..5 {
        writes.push(world.write().await);
        let ended = world.shipping().checkpoint().unwrap();
        assert!(!ended.is_complete && ended.log_bytes > 0, "{ended:?}");
    }
    drop(held);
    assert!(world.shipping().checkpoint().unwrap().is_complete);
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    world.check("back", writes[3].done, &writes).await;
    world.check("newest", writes[6].done, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_somebody_else_is_noticed_and_a_new_copy_goes_on() {
    let mut world = World::new(true).await;
    world.safe().create().await.unwrap();
    let mut writes = vec![world.write().await];
    world.shipping().tick().unwrap();
    // Another program, which knows nothing of the mark.
    world.store.take().unwrap().close().await;
    world.shipping = None;
    store::backup::unship(&world.database()).unwrap();
    let other = Store::open(&config(&world.data())).await.unwrap();
    world.store = Some(other);
    writes.push(world.write().await);
    world.store.take().unwrap().close().await;
    store::backup::ship(&world.database()).unwrap();
    world.store = Some(Store::open(&config(&world.data())).await.unwrap());
    world.start_shipping();
    world.shipping().tick().unwrap();
    assert!(world.shipping().take_broken().is_some());
    assert!(world.shipping().needs_copy());
    world.safe().create().await.unwrap();
    assert!(!world.shipping().needs_copy());
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    world.check("newest", writes[2].done, &writes).await;
    // What was committed in between is known to nobody: that moment is refused, with the two nearest ones.
    let said = world.restore("gap", Some(writes[1].done)).await.unwrap_err().to_string();
    assert!(said.contains("lies in a gap") && said.contains("nothing was restored"), "{said}");
    assert!(!world.dir.path().join("gap").exists(), "nothing is left of what was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_at_which_nothing_was_written_is_no_gap() {
    let mut world = World::new(true).await;
    world.safe().create().await.unwrap();
    let mut writes = vec![world.write().await];
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    let mut quiet = vec![store::now()];
    // A copy by hand, which belongs to no log; a new start; another copy: in all that time nothing is written.
    let by_hand = Safe { engine: backup::Engine::of(&config(&world.data())), ..world.safe() };
    by_hand.create().await.unwrap();
    quiet.push(store::now());
    world.start_shipping();
    world.shipping().tick().unwrap();
    quiet.push(store::now());
    world.safe().create().await.unwrap();
    quiet.push(store::now());
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    quiet.push(store::now());
    for (number, at) in quiet.into_iter().enumerate() {
        world.check(&format!("quiet-{number}"), at, &writes).await;
    }
    // The place belongs to this database: a restored one that was started on it has put nothing between them.
    let into = world.dir.path().join("quiet-4");
    let other = Safe { engine: backup::Engine::of(&config(&into)), scratch_dir: into.join("backup"), ..world.safe() };
    assert!(matches!(other.create().await, Err(Error::NotOwn { .. })));
    world.safe().create().await.unwrap();
    world.check("still", writes[1].done, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_away_costs_disk_and_nothing_else() {
    let mut world = World::new(true).await;
    world.safe().create().await.unwrap();
    let away = world.dir.path().join("away");
    std::fs::rename(world.kept(), &away).unwrap();
    std::fs::write(world.kept(), "no directory").unwrap();
    let mut writes = Vec::new();
    for _ in 0..5 {
        writes.push(world.write().await);
        world.shipping().tick().unwrap();
        assert!(world.send().await.is_err());
        assert!(world.shipping().checkpoint().unwrap().is_complete, "the log does not wait for the place");
    }
    assert_eq!(ship::standing(&world.data().join("backup")).unwrap().waiting, 5);
    std::fs::remove_file(world.kept()).unwrap();
    std::fs::rename(&away, world.kept()).unwrap();
    world.send().await.unwrap();
    assert_eq!(ship::standing(&world.data().join("backup")).unwrap().waiting, 0);
    world.check("back", writes[2].done, &writes).await;
    // Away until the spool is full: the log is given up, said so, and begun anew.
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.room = 1;
    world.start_shipping();
    world.shipping().tick().unwrap();
    assert!(world.shipping().take_broken().unwrap().contains("spool was full"));
    assert_eq!(ship::standing(&world.data().join("backup")).unwrap().waiting, 0);
    world.room = ROOM;
    world.start_shipping();
    assert!(world.shipping().needs_copy());
    world.safe().create().await.unwrap();
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    let last = writes.last().unwrap().done;
    world.check("anew", last, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_was_not_noted_before_a_kill_is_written_again_and_sent_once() {
    let mut world = World::new(true).await;
    world.safe().create().await.unwrap();
    let mut writes = vec![world.write().await];
    world.shipping().tick().unwrap();
    let noted = world.data().join("backup/shipping.json");
    let before = std::fs::read(&noted).unwrap();
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    // Killed when the segment was durable, and that it is was not.
    std::fs::write(&noted, before).unwrap();
    writes.push(world.write().await);
    world.start_shipping();
    world.shipping().tick().unwrap();
    writes.push(world.write().await);
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    assert_eq!(world.place().list("log").await.unwrap().len(), 3);
    world.check("newest", writes[3].done, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_and_not_kept_has_the_same_times_when_it_is_read_again() {
    let world = World::new(true).await;
    let mut source = Source::open(&world.database()).unwrap();
    drop(source.snapshot(Some(&mut |_: &Batch| Ok(()))).unwrap());
    let write = world.write().await;
    let mut read = || {
        let Step::Batch(batch, _) = source.read_on().unwrap() else { panic!("something was written") };
        batch.commits
    };
    let first = read();
    assert!(first.iter().all(|commit| (write.began..=write.done).contains(&commit.at)), "{first:?}");
    assert_eq!(read(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_exchanged_segment_is_named() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let mut writes = Vec::new();
    for _ in 0..3 {
        writes.push(world.write().await);
        world.shipping().tick().unwrap();
    }
    world.send().await.unwrap();
    let segments: Vec<PathBuf> =
        world.place().list("log").await.unwrap().into_iter().map(|e| world.kept().join(e.name)).collect();
    let middle = &segments[segments.len() - 2];
    let (whole, last) = (std::fs::read(middle).unwrap(), std::fs::read(segments.last().unwrap()).unwrap());
    std::fs::write(middle, last).unwrap();
    let said = world.restore("exchanged", None).await.unwrap_err().to_string();
    assert!(said.contains("log of") && said.contains("exchanged"), "{said}");
    std::fs::remove_file(middle).unwrap();
    let said = world.restore("missing", None).await.unwrap_err().to_string();
    assert!(said.contains("the segment"), "{said}");
    std::fs::write(middle, whole).unwrap();
    world.check("whole", writes[2].done, &writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_are_made_beside_running_writers() {
    let world = Arc::new(World::new(true).await);
    world.safe().create().await.unwrap();
    let writer = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut writes = Vec::new();
            for _ in 0..120 {
                writes.push(world.write().await);
            }
            writes
        })
    };
    while !writer.is_finished() {
        world.safe().create().await.unwrap();
        let shipping = Arc::clone(world.shipping.as_ref().unwrap());
        tokio::task::spawn_blocking(move || {
            let mut shipping = shipping.lock().unwrap();
            shipping.tick().unwrap();
            shipping.checkpoint().unwrap();
        })
        .await
        .unwrap();
        world.send().await.unwrap();
    }
    let written = writer.await.unwrap();
    // A report, for whoever runs it by hand: what holds on every machine is that each write got through.
    let longest = written.iter().map(|w| w.done.duration_since(w.began)).max().unwrap();
    println!("longest write beside copies and checkpoints: {} ms", longest.as_millis());
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    for place in [30, 60, 119] {
        world.check(&format!("at-{place}"), written[place].done, &written).await;
    }
}
