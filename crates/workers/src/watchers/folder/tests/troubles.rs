//! A folder that goes, an intake that fails, an end that comes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{LIMIT, Rig, Told};

#[tokio::test]
async fn a_folder_may_be_missing_come_go_and_return() {
    let mut rig = Rig::new(json!({"poll_ms": 60_000}));
    fs::remove_dir(rig.root()).unwrap();
    rig.start();
    let text = rig.failed().await;
    assert!(text.contains("does not exist. Create it"), "{text}");
    // Told again, later each time.
    assert_eq!(rig.failed().await, text);

    for name in ["first", "second"] {
        // Made elsewhere and moved, so that the new folder already holds a file.
        let elsewhere = rig.dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join(name), "1").unwrap();
        let returned = Instant::now();
        fs::rename(&elsewhere, rig.root()).unwrap();
        rig.healthy().await;
        assert!(returned.elapsed() < Duration::from_secs(3), "{:?}", returned.elapsed());
        assert_eq!(rig.take().await.name, name);
        // It is watched again, not merely polled.
        fs::write(rig.path(format!("{name} more")), "1").unwrap();
        assert_eq!(rig.take().await.name, format!("{name} more"));

        fs::remove_dir_all(rig.root()).unwrap();
        assert!(rig.failed().await.contains("does not exist"));
    }
}

#[tokio::test]
async fn a_folder_replaced_between_two_looks_is_watched_anew() {
    let mut rig = Rig::started(json!({})).await;
    fs::create_dir(rig.dir.path().join("new")).unwrap();
    fs::rename(rig.root(), rig.dir.path().join("old")).unwrap();
    fs::rename(rig.dir.path().join("new"), rig.root()).unwrap();
    rig.looked(|round| round.listed).await;
    fs::write(rig.path("a"), "1").unwrap();
    assert_eq!(rig.take().await.path, rig.path("a"));
}

#[tokio::test]
async fn a_path_that_is_a_file_is_told_and_recovered_from() {
    let mut rig = Rig::new(json!({}));
    fs::remove_dir(rig.root()).unwrap();
    fs::write(rig.root(), "not a folder").unwrap();
    rig.start();
    assert!(rig.failed().await.contains("is not a folder"));
    fs::remove_file(rig.root()).unwrap();
    fs::create_dir(rig.root()).unwrap();
    rig.healthy().await;
}

#[tokio::test]
async fn a_folder_that_may_not_be_listed_is_told() {
    let mut rig = Rig::new(json!({}));
    fs::set_permissions(rig.root(), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(rig.root()).is_ok() {
        return; // Root may list everything.
    }
    rig.start();
    assert!(rig.failed().await.contains("permission denied"));
    fs::set_permissions(rig.root(), fs::Permissions::from_mode(0o700)).unwrap();
    rig.healthy().await;
}

#[tokio::test]
async fn an_intake_that_fails_loses_nothing() {
    let mut rig = Rig::started(json!({})).await;
    rig.fake.down.store(true, Ordering::SeqCst);
    for name in ["a", "b", "c"] {
        fs::write(rig.path(name), name).unwrap();
    }
    let text = rig.failed().await;
    assert!(text.contains("could not be taken: the database does not answer. It stays where it is"), "{text}");
    rig.failed().await;
    rig.fake.down.store(false, Ordering::SeqCst);
    let mut names = Vec::new();
    let mut well = false;
    while names.len() < 3 || !well {
        rig.wait(|told| match told {
            Told::Take(file) => {
                names.push(file.name);
                Some(())
            }
            Told::Healthy => {
                well = true;
                Some(())
            }
            _ => None,
        })
        .await;
    }
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn one_file_that_always_fails_does_not_stop_the_others() {
    let mut rig = Rig::started(json!({})).await;
    *rig.fake.poison.lock().unwrap() = Some("a poison".to_owned());
    for name in ["a poison", "b", "c", "d"] {
        fs::write(rig.path(name), "1").unwrap();
    }
    let mut taken = Vec::new();
    while taken.len() < 3 {
        taken.push(rig.take().await.name);
    }
    taken.sort_unstable();
    assert_eq!(taken, ["b", "c", "d"]);
    // Once it is gone, all is well again.
    fs::remove_file(rig.path("a poison")).unwrap();
    rig.healthy().await;
}

#[tokio::test]
async fn an_intake_that_panics_is_tried_again() {
    let mut rig = Rig::started(json!({})).await;
    rig.fake.panics.store(true, Ordering::SeqCst);
    fs::write(rig.path("a"), "1").unwrap();
    assert!(rig.failed().await.contains("internal error"));
    assert_eq!(rig.take().await.name, "a");
}

#[tokio::test]
async fn the_end_comes_promptly() {
    let mut rig = Rig::started(json!({})).await;
    let asked = Instant::now();
    rig.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());

    // A take that never ends is given its grace and dropped; the file is not recorded, so nothing is lost.
    rig.fake.hangs.store(true, Ordering::SeqCst);
    fs::write(rig.path("a"), "1").unwrap();
    rig.start();
    rig.take().await;
    let asked = Instant::now();
    rig.stop().await;
    assert!(asked.elapsed() < LIMIT / 4, "{:?}", asked.elapsed());
    rig.fake.hangs.store(false, Ordering::SeqCst);
    rig.start();
    assert_eq!(rig.take().await.body, b"1");
}
