//! A moment comes back with its files, wherever between two backups it lies; and what can't come back is named.

use std::{path::Path, time::SystemTime};

use backup::{Progress, Safe, safe::Wish};
use jiff::SignedDuration;
use store::{Store, vault::Stored};

use crate::world::{World, config};

/// What is in a folder's vault at the file's place.
fn content(world: &World, folder: &Path, stored: &Stored) -> Option<String> {
    let mut out = Vec::new();
    let vault = world.vault.at(&folder.join("attachments"));
    let mut file = vault.open_file(&stored.storage_path, Some(&stored.sealed_key)).ok()?;
    file.copy(0, u64::MAX, &mut out).unwrap();
    Some(String::from_utf8(out).unwrap())
}

async fn restored(world: &World, name: &str) -> backup::Result<backup::safe::Restored> {
    let wish = Wish { id: None, to: None, into: world.dir.path().join(name), replace: false };
    world.safe().restore(&wish, &world.opener()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_came_after_the_copy_comes_back_with_its_moment() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let before = world.write().await;
    let (at, stored) = world.attach("the invoice").await;
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    // The disk dies.
    std::fs::remove_dir_all(world.data().join("attachments")).unwrap();
    let back = restored(&world, "back").await.unwrap();
    assert_eq!((back.attachments, back.missing_count, back.wrong.len()), (1, 0, 0), "{back:?}");
    assert!(back.checks > 3, "{back:?}");
    assert_eq!(content(&world, &world.dir.path().join("back"), &stored).as_deref(), Some("the invoice"));
    // A moment before it has no need of it.
    let into = world.restore("before", Some(before.done)).await.unwrap();
    assert_eq!(content(&world, &into, &stored), None);
    // The drill, whose newest backup is older than the file, goes well.
    let drilled = world.safe().drill(&world.opener()).await.unwrap();
    assert!(drilled.attachments == 1 && drilled.as_of >= at.began, "{drilled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_that_can_not_be_read_hold_up_no_log() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let write = world.write().await;
    world.shipping().tick().unwrap();
    let no_vault = world.dir.path().join("no-vault");
    std::fs::write(&no_vault, "no folder").unwrap();
    let mut attachments = backup::Attachments::new(no_vault);
    let shipping = world.shipping.as_ref().unwrap();
    let said = backup::ship::send_waiting(shipping, &mut attachments, &world.place()).await.unwrap_err().to_string();
    assert!(said.contains("no-vault can't be read"), "{said}");
    world.check("back", write.done, &[write]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_later_backup_brought_comes_back_from_an_earlier_one() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let (_, stored) = world.attach("the invoice").await;
    // By hand: another process, which follows no log.
    let by_hand = Safe { engine: backup::Engine::of(&config(&world.data())), ..world.safe() };
    by_hand.create().await.unwrap();
    let after = world.write().await;
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    let into = world.restore("back", Some(after.done)).await.unwrap();
    assert_eq!(content(&world, &into, &stored).as_deref(), Some("the invoice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_nowhere_is_named_and_one_that_was_altered_is_refused() {
    let world = World::new(true).await;
    world.attach("kept").await;
    let (_, lost) = world.attach("lost").await;
    world.safe().create().await.unwrap();
    let at_place = world.kept().join("files").join(&lost.storage_path);
    let whole = std::fs::read(&at_place).unwrap();
    std::fs::remove_file(&at_place).unwrap();
    let back = restored(&world, "lacking").await.unwrap();
    assert_eq!((back.attachments, back.missing_count, back.wrong.len()), (1, 1, 0), "{back:?}");
    assert!(back.missing[0].contains("(lost.txt)") && back.missing[0].contains(&lost.storage_path), "{back:?}");
    let said = world.safe().drill(&world.opener()).await.unwrap_err().to_string();
    assert!(said.contains("attachments would be missing (1 in all)") && said.contains("(lost.txt)"), "{said}");
    let mut altered = whole.clone();
    altered[40] ^= 1;
    std::fs::write(&at_place, altered).unwrap();
    let said = restored(&world, "altered").await.unwrap_err().to_string();
    assert!(said.contains(&lost.storage_path) && said.contains("nothing was changed"), "{said}");
    assert!(!world.dir.path().join("altered").exists());
    // One that no list knows proves itself by its row.
    let (_, later) = world.attach("later").await;
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    std::fs::write(&at_place, whole).unwrap();
    let at_place = world.kept().join("files").join(&later.storage_path);
    let mut altered = std::fs::read(&at_place).unwrap();
    altered[40] ^= 1;
    std::fs::write(&at_place, altered).unwrap();
    let said = restored(&world, "altered").await.unwrap_err().to_string();
    assert!(said.contains(&later.storage_path) && said.contains("nothing was changed"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_folder_is_fetched_again() {
    let world = World::new(false).await;
    let (_, one) = world.attach("one").await;
    let (_, two) = world.attach("two").await;
    world.safe().create().await.unwrap();
    std::fs::remove_dir_all(world.data().join("attachments")).unwrap();
    std::fs::write(world.kept().join("files").join(&two.storage_path), "not what it was").unwrap();
    let (_, three) = world.attach("three").await;
    let fetched = world.safe().fetch_attachments(world.store()).await.unwrap();
    assert_eq!((fetched.attachments, fetched.fetched, fetched.missing_count), (2, 1, 1), "{fetched:?}");
    assert!(fetched.missing[0].contains("(two.txt)") && fetched.missing[0].contains("was altered"), "{fetched:?}");
    for (stored, expected) in [(&one, Some("one")), (&two, None), (&three, Some("three"))] {
        assert_eq!(content(&world, &world.data(), stored).as_deref(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_goes_while_the_copy_is_made_is_in_the_backup() {
    let world = World::new(false).await;
    let (_, stored) = world.attach("on its way out").await;
    let path = world.data().join("attachments").join(&stored.storage_path);
    // The copy stands by then, and its row is in it.
    let progress = Progress::new(move |words| {
        if words.starts_with("looking at every page") {
            std::fs::remove_file(&path).unwrap();
        }
    });
    Safe { progress, ..world.safe() }.create().await.unwrap();
    let back = restored(&world, "back").await.unwrap();
    assert_eq!((back.attachments, back.missing_count), (1, 0), "{back:?}");
    assert_eq!(content(&world, &world.dir.path().join("back"), &stored).as_deref(), Some("on its way out"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_stays_at_the_place_while_a_moment_needs_it() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let (at, stored) = world.attach_until("between two backups", Some(store::now())).await;
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    // Gone before the next copy, so that no list names it.
    world.expire().await;
    assert!(!world.vault.holds(&stored.storage_path));
    world.safe().create().await.unwrap();
    let at_place = world.kept().join("files").join(&stored.storage_path);
    // The one in between goes, and with it what nothing needs.
    world.safe().create().await.unwrap();
    assert_eq!(world.safe().list().await.unwrap().bundles.len(), 2);
    let into = world.restore("between", Some(at.done)).await.unwrap();
    assert_eq!(content(&world, &into, &stored).as_deref(), Some("between two backups"));
    // Of before the oldest moment that comes back: nothing needs it any more.
    let old = SystemTime::now() - std::time::Duration::from_secs(48 * 3600);
    std::fs::File::options().write(true).open(&at_place).unwrap().set_modified(old).unwrap();
    world.safe().create().await.unwrap();
    assert!(!at_place.exists());
    assert!(world.safe().let_go(store::now() + SignedDuration::from_hours(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_row_is_named_when_it_comes_back() {
    let mut world = World::new(false).await;
    world.write().await;
    world.store.take().unwrap().close().await;
    // Past Steward, in the file itself: what the audit trail says of the task's title.
    let mut bytes = std::fs::read(world.database()).unwrap();
    let (said, forged) = (b"\"title\": \"Read it\"", b"\"title\": \"Rob him\"");
    let places: Vec<usize> = (0..bytes.len() - said.len()).filter(|at| bytes[*at..].starts_with(said)).collect();
    assert!(!places.is_empty(), "the audit trail names the title in other words");
    for at in places {
        bytes[at..at + forged.len()].copy_from_slice(forged);
    }
    std::fs::write(world.database(), bytes).unwrap();
    world.store = Some(Store::open(&config(&world.data())).await.unwrap());
    world.safe().create().await.unwrap();
    let back = restored(&world, "back").await.unwrap();
    assert!(back.wrong.iter().any(|what| what.starts_with("audit chain: audit_trail")), "{back:?}");
    // It takes the place of nothing.
    let wish = Wish { id: None, to: None, into: world.dir.path().join("back"), replace: true };
    let said = world.safe().restore(&wish, &world.opener()).await.unwrap_err().to_string();
    assert!(said.contains("audit chain") && said.contains("it takes the place of nothing"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_and_months_of_the_log_come_along_wherever_they_lie() {
    let world = World::new(false).await;
    let elsewhere = world.dir.path().join("etc");
    let months = world.data().join("log-archive");
    for folder in [&elsewhere, &months] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(elsewhere.join("house.toml"), "log_level = \"info\"\n").unwrap();
    std::fs::write(elsewhere.join("brains.toml"), "# none\n").unwrap();
    std::fs::write(months.join("system_logs_2026_01.jsonl.zst"), "January").unwrap();
    std::fs::write(months.join("system_logs_2026_02.jsonl.zst.new"), "half of Febr").unwrap();
    let safe = Safe {
        settings_file: elsewhere.join("house.toml"),
        models_file: elsewhere.join("brains.toml"),
        ..world.safe()
    };
    safe.create().await.unwrap();
    safe.create().await.unwrap();
    let kept = world.place().list("log-archive").await.unwrap();
    assert_eq!(kept.len(), 1, "a month goes there once, and only when it is finished: {kept:?}");
    let into = world.restore("back", None).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(into.join(name)).unwrap();
    assert_eq!(read("log-archive/system_logs_2026_01.jsonl.zst"), "January");
    assert_eq!((read("steward.toml").as_str(), read("models.toml").as_str()), ("log_level = \"info\"\n", "# none\n"));
    world.safe().verify(None, &world.opener()).await.unwrap();
    let at_place = world.kept().join(&kept[0].name);
    let mut bytes = std::fs::read(&at_place).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&at_place, bytes).unwrap();
    let said = restored(&world, "altered").await.unwrap_err().to_string();
    assert!(said.contains("system_logs_2026_01.jsonl.zst of") && said.contains("nothing was changed"), "{said}");
    assert!(world.safe().verify(None, &world.opener()).await.is_err());
}
