//! What is left alone, silently or with a word.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::json;

use super::super::RefusalKind;
use super::Rig;

#[tokio::test]
async fn too_large_a_file_is_refused_once_and_taken_when_the_limit_is_raised() {
    let mut rig = Rig::started(json!({})).await;
    // Sparse: three gigabytes that take no room.
    File::create(rig.path("big")).unwrap().set_len(3 << 30).unwrap();
    let refusal = rig.refusal().await;
    assert_eq!((refusal.kind, refusal.name.as_str()), (RefusalKind::TooLarge, "big"));
    assert!(
        refusal.reason.contains("3221225472 bytes") && refusal.reason.contains("at most 2147483648"),
        "{}",
        refusal.reason
    );
    assert!(refusal.reason.contains("max_bytes"));
    assert!(refusal.fingerprint.len() <= 200);
    rig.quiet().await;
    rig.stop().await;

    // Neither the same watcher nor one after a restart says it again: the next word is about the next file.
    rig.start();
    fs::write(rig.path("small"), "1").unwrap();
    assert_eq!(rig.take().await.name, "small");
    rig.quiet().await;
    rig.stop().await;

    rig.settings = json!({"max_bytes": 4_u64 << 30});
    rig.start();
    let file = rig.take().await;
    assert_eq!((file.name.as_str(), file.size_bytes), ("big", 3 << 30));
}

#[tokio::test]
async fn hidden_partial_and_unwanted_names_are_left_alone() {
    let mut rig = Rig::started(json!({"patterns": ["*.pdf", "*.part"]})).await;
    for name in [".hidden.pdf", "a.pdf.part", "b.pdf~", "~$c.pdf", ".#d.pdf", "e.pdf.crdownload", "notes.txt"] {
        fs::write(rig.path(name), "1").unwrap();
    }
    fs::write(rig.path("good.pdf"), "1").unwrap();
    assert_eq!(rig.take().await.name, "good.pdf");
    rig.quiet().await;
    assert_eq!(rig.takes(), 1);

    // Once the download is done it gets its name.
    fs::rename(rig.path("a.pdf.part"), rig.path("a.pdf")).unwrap();
    assert_eq!(rig.take().await.name, "a.pdf");
    rig.stop().await;

    rig.settings = json!({"include_hidden": true, "patterns": ["*.pdf"]});
    rig.start();
    assert_eq!(rig.take().await.name, ".hidden.pdf");
    rig.quiet().await;
    assert_eq!(rig.takes(), 3);
}

#[tokio::test]
async fn links_are_never_followed() {
    let mut rig = Rig::new(json!({"recursive": true}));
    let outside = rig.dir.path().join("secret");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("key"), "secret").unwrap();
    fs::write(rig.path("inside"), "1").unwrap();
    symlink(rig.path("inside"), rig.path("link to inside")).unwrap();
    symlink("not there yet", rig.path("link to nothing inside")).unwrap();
    symlink("loop", rig.path("loop")).unwrap();
    symlink("../secret/key", rig.path("out file")).unwrap();
    symlink(&outside, rig.path("out folder")).unwrap();
    symlink("../nothing", rig.path("out nothing")).unwrap();
    rig.start();
    let mut refused = Vec::new();
    while refused.len() < 3 {
        let refusal = rig.refusal().await;
        assert_eq!(refusal.kind, RefusalKind::SymlinkOut);
        refused.push(refusal.name);
    }
    refused.sort_unstable();
    assert_eq!(refused, ["out file", "out folder", "out nothing"]);
    rig.quiet().await;
    assert_eq!(rig.takes(), 1, "only the file inside, once");
}

#[tokio::test]
async fn pipes_and_sockets_are_refused_without_being_opened() {
    let mut rig = Rig::started(json!({})).await;
    assert!(Command::new("mkfifo").arg(rig.path("pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(rig.path("socket")).unwrap();
    let mut names = [rig.refusal().await, rig.refusal().await];
    names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(names.iter().map(|refusal| refusal.name.as_str()).collect::<Vec<_>>(), ["pipe", "socket"]);
    assert!(names.iter().all(|refusal| refusal.kind == RefusalKind::SpecialFile));
}

#[tokio::test]
async fn depth_is_bounded() {
    let mut rig = Rig::new(json!({"recursive": true}));
    let levels: Vec<String> = (1..=18).map(|level| level.to_string()).collect();
    fs::create_dir_all(rig.path(levels.join("/"))).unwrap();
    fs::write(rig.path(levels[..16].join("/")).join("last"), "1").unwrap();
    fs::write(rig.path(levels[..17].join("/")).join("too deep"), "1").unwrap();
    rig.start();
    let refusal = rig.refusal().await;
    assert_eq!((refusal.kind, refusal.name.as_str()), (RefusalKind::TooDeep, "17"));
    rig.quiet().await;
    assert_eq!(rig.takes(), 1);
}

#[tokio::test]
async fn an_unreadable_file_is_refused_until_its_permissions_change() {
    let mut rig = Rig::started(json!({})).await;
    let path = rig.path("locked");
    let hidden = rig.path(".locked");
    fs::write(&hidden, "1").unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o000)).unwrap();
    fs::rename(&hidden, &path).unwrap();
    if File::open(&path).is_ok() {
        // This user (root) may read everything, so there is nothing to refuse.
        assert_eq!(rig.take().await.name, "locked");
        return;
    }
    let refusal = rig.refusal().await;
    assert_eq!(refusal.kind, RefusalKind::Unreadable);
    rig.quiet().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(rig.take().await.name, "locked");
}
