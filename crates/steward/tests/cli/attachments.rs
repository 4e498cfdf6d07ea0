//! Files and the master key from the terminal, with the real program killed between one step and the next.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::desk::{Desk, mode};

/// Every file below a folder, oldest first made older than any sweep's patience.
fn aged(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(aged(&entry.path()));
        } else {
            let old = SystemTime::now() - Duration::from_secs(7200);
            std::fs::File::options().write(true).open(entry.path()).unwrap().set_modified(old).unwrap();
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn a_file_is_added_and_written_back() {
    let desk = Desk::set_up();
    let task = desk.made(&["task", "add", "Read it"]);
    let file = desk.file("Brief ä.txt", "Grüße");
    let id = desk.made(&["attachment", "add", &task, &file, "--expires-at", "2099-01-01T00:00:00Z"]);
    let list = desk.json(&["attachment", "list", &task]);
    assert_eq!((&list[0]["filename"], &list[0]["mime_type"]), (&"Brief ä.txt".into(), &"text/plain".into()));
    let said = desk.run(&["attachment", "get", &id]).refused();
    assert!(said.contains("is there already, and nothing is written over"), "{said}");
    let target = desk.home().join("back.txt");
    desk.run(&["attachment", "get", &id, "--output", target.to_str().unwrap()]).done();
    assert_eq!((std::fs::read_to_string(&target).unwrap().as_str(), mode(&target)), ("Grüße", 0o600));
    assert_eq!(desk.run(&["attachment", "get", &id, "--output", "-"]).done(), "Grüße");
    let past = desk.run(&["attachment", "add", &task, &file, "--expires-at", "2001-01-01T00:00:00Z"]).refused();
    assert!(past.contains("must lie ahead"), "{past}");
    let desk = desk.env("STEWARD_ATTACHMENT_MAX_MB", "1").env("STEWARD_ATTACHMENTS_TOTAL_MB", "1");
    let large = desk.home().join("large");
    std::fs::write(&large, vec![0; 1_000_001]).unwrap();
    let said = desk.run(&["attachment", "add", &task, large.to_str().unwrap()]).refused();
    assert!(said.contains("larger than the limit of 1000000 bytes; nothing was kept"), "{said}");
    std::fs::write(&large, vec![0; 999_999]).unwrap();
    let said = desk.run(&["attachment", "add", &task, large.to_str().unwrap()]).refused();
    assert!(said.contains("more than the 1000000 bytes they may take together"), "{said}");
    // Damage is found by the job, named by the doctor and by verify, and refused to whoever asks.
    let kept = aged(&desk.data().join("attachments"));
    assert_eq!(kept.len(), 1);
    std::fs::write(&kept[0], "not what it was").unwrap();
    assert!(desk.run(&["attachment", "get", &id, "--output", "-"]).refused().contains("restore it from a backup"));
    let found = desk.run(&["schedule", "run", "attachments-check"]).done();
    assert!(found.contains("1 files read, 1 of them damaged"), "{found}");
    for args in [&["doctor"][..], &["db", "verify"]] {
        let ran = desk.run(args);
        assert!(ran.code == 1 && ran.out.contains("restore it from a backup"), "{ran:?}");
    }
}

#[test]
fn a_lost_folder_of_files_is_found_and_fetched_again() {
    let desk = Desk::set_up();
    let task = desk.made(&["task", "add", "Read it"]);
    let id = desk.made(&["attachment", "add", &task, &desk.file("a.txt", "the first")]);
    desk.run(&["backup", "create"]).done();
    std::fs::remove_dir_all(desk.data().join("attachments")).unwrap();
    let ran = desk.run(&["db", "verify"]);
    assert!(ran.code == 1 && ran.out.contains("(a.txt)") && ran.out.contains("is not in the vault"), "{ran:?}");
    let ran = desk.run(&["doctor"]);
    assert!(ran.code == 1 && ran.out.contains("is missing, and 1 file should lie in it"), "{ran:?}");
    let out = desk.run(&["backup", "attachments"]).done();
    assert!(out.contains("fetched") && out.contains('1'), "{out}");
    assert_eq!(desk.run(&["attachment", "get", &id, "--output", "-"]).done(), "the first");
    desk.run(&["db", "verify"]).done();
    // Lost there too: it is named, here and where the backup is restored, and nobody takes it for well.
    for folder in [desk.data().join("attachments"), desk.data().join("backups/files")] {
        std::fs::remove_dir_all(folder).unwrap();
    }
    let ran = desk.run(&["backup", "attachments"]);
    assert!(ran.code == 1 && ran.out.contains("(a.txt)") && ran.err.contains("1 attachment missing"), "{ran:?}");
    let into = desk.home().join("restored");
    let ran = desk.run(&["backup", "restore", "--into", into.to_str().unwrap()]);
    assert!(ran.code == 1 && ran.out.contains("missing: attachment") && ran.out.contains("(a.txt)"), "{ran:?}");
    assert!(ran.err.contains("it was restored, with 1 attachment missing") && into.join("steward.db").is_file());
    // Without the key nothing of it can be looked at, which is no sign that all is well.
    std::fs::rename(desk.data().join("master.key"), desk.home().join("elsewhere.key")).unwrap();
    let ran = desk.run(&["db", "verify"]);
    assert!(ran.code == 1 && ran.out.contains("1 kept file can't be opened"), "{ran:?}");
}

#[test]
fn a_crash_between_a_file_and_its_row_leaves_nothing_for_long() {
    let desk = Desk::set_up();
    let task = desk.made(&["task", "add", "Read it"]);
    let attachments = desk.data().join("attachments");
    let file = desk.file("a.txt", "the first");
    // Before its row is written …
    assert_eq!(desk.killed_at(1, &["attachment", "add", &task, &file]).code, -1);
    assert_eq!((aged(&attachments).len(), desk.json(&["attachment", "list", &task]).as_array().unwrap().len()), (1, 0));
    let swept = desk.run(&["schedule", "run", "attachments"]).done();
    assert!(swept.contains("0 files whose time was over and 1 that belonged to no task removed"), "{swept}");
    // … and after it, before the copy of what was kept before is removed.
    let id = desk.made(&["attachment", "add", &task, &file]);
    assert_eq!(desk.killed_at(2, &["attachment", "add", &task, &file]).code, -1);
    assert_eq!(desk.json(&["attachment", "list", &task]).as_array().unwrap().len(), 2);
    assert_eq!(aged(&attachments).len(), 2);
    desk.run(&["schedule", "run", "attachments"]).done();
    assert_eq!(aged(&attachments).len(), 1);
    assert_eq!(desk.run(&["attachment", "get", &id, "--output", "-"]).done(), "the first");
    desk.run(&["db", "verify"]).done();
}

#[test]
fn the_master_key_changes_and_a_crash_anywhere_loses_nothing() {
    let desk = Desk::set_up();
    let task = desk.made(&["task", "add", "Read it"]);
    let file = desk.file("a.txt", "the content");
    let id = desk.made(&["attachment", "add", &task, &file]);
    let env_file = desk.file("env", "API_KEY=s3cret-value\n");
    desk.run(&["server", "add", "mover", "--command", "sh", "--env-file", &env_file]).done();
    desk.run(&["backup", "create"]).done();
    let first = desk.json(&["key", "status"]);
    assert_eq!(
        (first.as_array().unwrap().len(), &first[0]["does"], &first[0]["sealed"]),
        (1, &"seals".into(), &2.into())
    );
    let mut reached = 0;
    for place in 1..10 {
        let ran = desk.killed_at(place, &["key", "rotate"]);
        // Wherever it was, all of it opens, and a backup is still its own.
        assert_eq!(desk.run(&["attachment", "get", &id, "--output", "-"]).done(), "the content", "{place}");
        desk.run(&["backup", "verify"]).done();
        if ran.code == 0 {
            break;
        }
        reached = place;
        desk.run(&["key", "rotate", "--resume"]).done();
        let status = desk.json(&["key", "status"]);
        assert_eq!((&status[0]["sealed"], &status[1]["sealed"]), (&2.into(), &0.into()), "{place}: {status}");
    }
    assert!(reached >= 3, "only {reached} places were reached");
    let given = desk.file("new.key", &"24".repeat(32));
    let said = desk.run(&["key", "rotate", "--new-key", &given]).done();
    assert!(said.contains("2 values sealed anew") && said.contains("steward key forget"), "{said}");
    let status = desk.json(&["key", "status"]);
    let oldest = first[0]["fingerprint"].as_str().unwrap();
    assert_eq!(mode(&desk.data().join("master.key")), 0o600);
    assert!(
        desk.run(&["key", "forget", status[0]["fingerprint"].as_str().unwrap()]).refused().contains("this key seals")
    );
    desk.run(&["backup", "verify"]).done();
    desk.run(&["key", "forget", oldest]).done();
    assert!(desk.run(&["backup", "verify"]).refused().contains("another master key"), "it was sealed with that one");
    // A wrong key, and none at all.
    let right = std::fs::read_to_string(desk.data().join("master.key")).unwrap();
    std::fs::write(desk.data().join("master.key"), "42".repeat(32)).unwrap();
    for args in [&["attachment", "get", &id][..], &["key", "rotate"]] {
        assert!(desk.run(args).refused().contains("and this database is sealed with"), "{args:?}");
    }
    let served = desk.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(served.code == 1 && served.err.contains("restore that key's file"), "{served:?}");
    std::fs::remove_file(desk.data().join("master.key")).unwrap();
    let served = desk.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(served.code == 1 && served.err.contains("is missing"), "{served:?}");
    assert!(!desk.data().join("master.key").exists(), "none is made in its place");
    std::fs::write(desk.data().join("master.key"), right).unwrap();
    assert_eq!(desk.run(&["attachment", "get", &id, "--output", "-"]).done(), "the content");
}
