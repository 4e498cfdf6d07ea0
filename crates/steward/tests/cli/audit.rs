//! The audit trail at the terminal: checking it, exporting it, and checking the export without anything of Steward's.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::desk::{Desk, mode};

/// A desk with some history.
fn desk() -> Desk {
    let desk = Desk::set_up();
    for n in 0..5 {
        desk.run(&["task", "add", &format!("tâche {n} \"„\u{1f600}")]).done();
    }
    desk
}

#[test]
fn the_chain_and_a_head_kept_elsewhere() {
    let desk = desk();
    let report = desk.json(&["audit", "verify"]);
    let head = report["head"].as_str().unwrap();
    assert!(report["links"].as_i64().unwrap() > 10 && report["head_at"].as_str().unwrap().ends_with('Z'));
    desk.run(&["task", "add", "later"]).done();
    let out = desk.run(&["audit", "verify", "--head", head]).done();
    assert!(out.contains(&format!("stands at position {}", report["links"])), "{out}");
    let other = desk.run(&["audit", "verify", "--head", &"a".repeat(64)]).refused();
    assert!(other.contains("kept elsewhere") && other.contains("backup"), "{other}");
    assert_eq!(desk.run(&["audit", "verify", "--head", "short"]).code, 2);
    assert_eq!(desk.run(&["audit", "verify", "--head", &"0".repeat(64)]).code, 2, "every chain follows zeros");
}

#[test]
fn an_export_proves_itself_without_the_database() {
    let desk = desk();
    let file = desk.home().join("audit.jsonl.zst").to_str().unwrap().to_owned();
    let key = desk.run(&["audit", "key"]).done().trim().to_owned();
    let told = desk.run(&["audit", "export", "--out", &file]);
    assert!(told.code == 0 && told.err.contains(&key), "{told:?}");
    assert_eq!(mode(file.as_ref()), 0o600);
    let report = desk.json(&["audit", "verify"]);
    // Another machine, where nothing is set up.
    let elsewhere = Desk::empty();
    let out = elsewhere.run(&["audit", "verify", "--file", &file, "--key", &key]).done();
    assert!(out.contains("is whole") && out.contains(report["head"].as_str().unwrap()), "{out}");
    assert!(!elsewhere.data().exists(), "nothing was made there");
    let wrong = elsewhere.run(&["audit", "verify", "--file", &file, "--key", &"a".repeat(64)]).refused();
    assert!(wrong.contains("signed with the key"), "{wrong}");
    // A part, to the standard output.
    let part = desk.home().join("part").to_str().unwrap().to_owned();
    desk.run(&["audit", "export", "--out", &part, "--from", "3", "--to", "6"]).done();
    assert!(desk.run(&["audit", "export", "--out", &part]).refused().contains("there already"));
    let found = elsewhere.json(&["audit", "verify", "--file", &part]);
    assert_eq!((found["from_position"].as_i64(), found["count"].as_i64()), (Some(3), Some(4)));
    assert!(desk.run(&["audit", "export", "--out", &part, "--from", "999999"]).refused().contains("--from"));
    let long_ago = ["audit", "export", "--out", &part, "--before", "2001-01-01T00:00:00Z"];
    assert!(desk.run(&long_ago).refused().contains("no changes"));
    // One letter of one row.
    let text = zstd::decode_all(std::fs::File::open(&file).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap().replacen("task_created", "task_creaded", 1);
    std::fs::write(&part, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    let altered = elsewhere.run(&["audit", "verify", "--file", &part]).refused();
    assert!(altered.contains("was altered") && altered.contains("at position"), "{altered}");
    // Whoever does not see all of it exports nothing of it.
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], super::desk::PASSWORD).done();
    assert!(desk.run(&["--as", "bob", "audit", "export", "--out", &part]).refused().contains("you may not do this"));
}

#[test]
fn the_documented_program_checks_an_export() {
    let docs = include_str!("../../../../docs/audit.md");
    let program = docs.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let desk = desk();
    let file = desk.home().join("audit.jsonl.zst");
    desk.run(&["audit", "export", "--out", file.to_str().unwrap()]).done();
    let text = zstd::decode_all(std::fs::File::open(&file).unwrap()).unwrap();
    let check = |text: &[u8]| {
        let mut python = Command::new("python3")
            .args(["-c", program, "audit"])
            .current_dir(desk.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3");
        // It stops reading where it finds a fault.
        drop(python.stdin.take().unwrap().write_all(text));
        python.wait_with_output().unwrap()
    };
    let report = desk.json(&["audit", "verify"]);
    let said = check(&text);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let wanted = format!("{} {}\n", report["links"], report["head"].as_str().unwrap());
    assert_eq!(String::from_utf8(said.stdout).unwrap(), wanted);
    // What it leaves for another program to check the signature with.
    let openssl = "openssl pkeyutl -verify -pubin -keyform DER -inkey audit.der -rawin -in audit.message -sigfile audit.signature";
    assert!(docs.contains(openssl));
    for name in ["audit.der", "audit.message", "audit.signature"] {
        assert!(desk.home().join(name).exists(), "{name}");
    }
    let altered = String::from_utf8(text).unwrap().replacen("task_created", "task_creaded", 1);
    let said = check(altered.as_bytes());
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("was altered"));
}
