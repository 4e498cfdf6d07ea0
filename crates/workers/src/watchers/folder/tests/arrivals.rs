//! Files that come: whole, in pieces, many, oddly named, again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Rig;

#[tokio::test]
async fn a_file_moved_in_is_taken_soon() {
    // Polling would take an hour: this is the system's report.
    let mut rig = Rig::started(json!({"settle_ms": 700, "poll_ms": 250})).await;
    assert!(rig.looked(|round| round.listed).await.events);
    rig.stop().await;
    let mut rig = Rig::new(json!({"settle_ms": 700, "poll_ms": 3_600_000}));
    rig.start();
    rig.healthy().await;
    let outside = rig.dir.path().join("Rechnung März 2026.pdf");
    fs::write(&outside, "whole").unwrap();
    let dropped = Instant::now();
    fs::rename(&outside, rig.path("Rechnung März 2026.pdf")).unwrap();
    let file = rig.take().await;
    let took = dropped.elapsed();
    assert_eq!((file.name.as_str(), file.body.as_slice()), ("Rechnung März 2026.pdf", &b"whole"[..]));
    assert_eq!(file.path, rig.path("Rechnung März 2026.pdf"));
    assert!(took >= Duration::from_millis(700), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn files_that_came_while_nobody_watched_are_found_at_start() {
    let mut rig = Rig::new(json!({"poll_ms": 3_600_000}));
    fs::write(rig.path("early"), "1").unwrap();
    rig.start();
    assert_eq!(rig.take().await.name, "early");
}

#[tokio::test]
async fn polling_alone_finds_files() {
    let mut rig = Rig::new(json!({}));
    rig.start_blind();
    rig.quiet().await;
    fs::write(rig.path("a"), "1").unwrap();
    assert_eq!(rig.take().await.name, "a");
}

#[tokio::test]
async fn the_bell_makes_it_look_at_once() {
    let mut rig = Rig::new(json!({"poll_ms": 3_600_000}));
    rig.start_blind();
    rig.healthy().await;
    fs::write(rig.path("a"), "1").unwrap();
    rig.wake.notify_one();
    assert_eq!(rig.take().await.name, "a");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_half_written_file_waits_until_its_writer_is_done() {
    let mut rig = Rig::started(json!({})).await;
    let mut writer = File::create(rig.path("big")).unwrap();
    for piece in ["one ", "two ", "three"] {
        writer.write_all(piece.as_bytes()).unwrap();
        // It stands still for far longer than it must, and is still held open.
        rig.looked(|round| round.held_open == 1).await;
        rig.looks(4).await;
        assert_eq!(rig.takes(), 0, "taken before it was whole");
    }
    drop(writer);
    assert_eq!(rig.take().await.body, b"one two three");
    rig.quiet().await;
    assert_eq!(rig.takes(), 1);
}

#[tokio::test]
async fn many_at_once_are_each_taken_once() {
    let mut rig = Rig::started(json!({})).await;
    let names: BTreeSet<String> = (0..500).map(|number| format!("file {number}.txt")).collect();
    for name in &names {
        fs::write(rig.path(name), name).unwrap();
    }
    let mut taken = BTreeSet::new();
    while taken.len() < names.len() {
        let file = rig.take().await;
        assert_eq!(file.body, file.name.as_bytes());
        assert!(taken.insert(file.name), "taken twice");
    }
    assert_eq!(taken, names);
    rig.quiet().await;
    assert_eq!(rig.takes(), 500);
}

#[tokio::test]
async fn odd_names_and_empty_files_are_taken() {
    let mut rig = Rig::started(json!({})).await;
    let names: [&[u8]; 8] = [
        b" spaces  everywhere ",
        "日本語 – Ünï.pdf".as_bytes(),
        b"new\nline",
        b"tab\tquote\"back\\slash",
        &[b'x'; 255],
        b"not\xffutf8\\",
        b"-rf *",
        b"%s%n",
    ];
    for name in names {
        File::create(rig.path(OsStr::from_bytes(name))).unwrap();
    }
    let mut taken: BTreeSet<Vec<u8>> = BTreeSet::new();
    while taken.len() < names.len() {
        let file = rig.take().await;
        assert_eq!((file.size_bytes, file.body.len()), (0, 0));
        match &file.raw_name {
            Some(raw) => assert_eq!((file.name.as_str(), raw.as_slice()), ("not\\xffutf8\\\\", &b"not\xffutf8\\"[..])),
            None => assert_eq!(Some(OsStr::new(&file.name)), file.path.file_name()),
        }
        taken.insert(file.path.file_name().unwrap().as_bytes().to_vec());
    }
    assert_eq!(taken, names.iter().map(|name| name.to_vec()).collect());
    rig.quiet().await;
    assert_eq!(rig.takes(), names.len());
}

#[tokio::test]
async fn a_changed_file_is_taken_again_and_an_unchanged_one_is_not() {
    let mut rig = Rig::started(json!({})).await;
    fs::write(rig.path("a"), "one").unwrap();
    assert_eq!(rig.take().await.body, b"one");
    rig.quiet().await;
    fs::write(rig.path("a"), "two and more").unwrap();
    assert_eq!(rig.take().await.body, b"two and more");
    rig.quiet().await;
    rig.stop().await;
    rig.start();
    rig.quiet().await;
    assert_eq!(rig.takes(), 2, "a restart takes nothing that is known");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_taken_whole_later() {
    let mut rig = Rig::started(json!({})).await;
    rig.fake.disturb.store(true, Ordering::SeqCst);
    fs::write(rig.path("a"), "torn").unwrap();
    assert_eq!(rig.take().await.body, b"disturbed");
    rig.quiet().await;
    assert_eq!(rig.takes(), 1);
}

#[tokio::test]
async fn a_file_that_vanishes_is_forgotten() {
    let mut rig = Rig::started(json!({"settle_ms": 1_000})).await;
    fs::write(rig.path("gone"), "1").unwrap();
    rig.looked(|round| round.pending == 1).await;
    fs::remove_file(rig.path("gone")).unwrap();
    rig.looked(|round| round.pending == 0).await;
    fs::write(rig.path("next"), "1").unwrap();
    assert_eq!(rig.take().await.name, "next");
    assert_eq!(rig.takes(), 1);
}

#[tokio::test]
async fn folders_below_are_taken_only_when_asked_for() {
    let mut rig = Rig::new(json!({}));
    fs::create_dir_all(rig.path("sub/.hidden")).unwrap();
    fs::write(rig.path("sub/a"), "1").unwrap();
    fs::write(rig.path("top"), "1").unwrap();
    rig.start();
    assert_eq!(rig.take().await.name, "top");
    rig.quiet().await;
    rig.stop().await;
    assert_eq!(rig.takes(), 1);

    let mut rig = Rig::started(json!({"recursive": true, "poll_ms": 60_000, "patterns": ["*.txt"]})).await;
    fs::create_dir_all(rig.path("new/deep")).unwrap();
    fs::write(rig.path("new/deep/a.txt"), "1").unwrap();
    assert_eq!(rig.take().await.path, rig.path("new/deep/a.txt"));
    // The folder that came is watched by now, without polling.
    fs::write(rig.path("new/deep/no.pdf"), "1").unwrap();
    fs::write(rig.path("new/deep/b.TXT"), "1").unwrap();
    assert_eq!(rig.take().await.name, "b.TXT");
}
