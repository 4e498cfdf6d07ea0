//! Databases that are missing, new, silent, newer or altered, and folders that can't be used.

use std::net::TcpListener;

use crate::desk::{Desk, PASSWORD, mode};

#[test]
fn nothing_is_there_at_first() {
    let desk = Desk::empty();
    let line = desk.run(&["task", "list"]).refused();
    assert!(line.contains("there is no database at") && line.contains("start Steward first"), "{line}");
    assert!(desk.run(&["db", "drift"]).refused().contains("steward db migrate"));
    let status = desk.json(&["db", "status"]);
    assert_eq!((status["engine"].as_str(), status["applied"].as_array().unwrap().len()), (Some("SQLite"), 0));
    assert!(!desk.data().exists(), "looking makes nothing");
    assert!(desk.json(&["doctor"]).as_array().unwrap().iter().all(|f| f["state"] != "wrong"));
}

#[test]
fn migrating_by_hand() {
    let desk = Desk::empty();
    let out = desk.run(&["db", "migrate"]).done();
    assert!(out.contains("Applied") && out.contains("users"), "{out}");
    assert_eq!(mode(&desk.data()), 0o700);
    assert_eq!(mode(&desk.data().join("steward.db")), 0o600);
    assert!(desk.run(&["db", "migrate"]).done().contains("up to date"));
    let out = desk.run(&["db", "status"]).done();
    assert!(out.contains("SQLite") && out.contains("pending   none") && out.contains("audit_trail"), "{out}");
    assert!(desk.run(&["db", "drift"]).done().contains("is what the migrations make"));
    let line = desk.run(&["task", "list"]).refused();
    assert!(line.contains("nobody is set up yet"), "{line}");
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let desk = Desk::set_up();
    let status = desk.json(&["db", "status"]);
    let last = status["applied"].as_array().unwrap().last().unwrap().clone();
    let file = desk.data().join("steward.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // Only the store may write SQL, so the row of the last migration is given a higher number in the file itself: the
    // number is the rowid, one byte, seven before the name (header of six bytes: its length, null, and three types).
    let name = last["name"].as_str().unwrap();
    let number = u8::try_from(last["version"].as_i64().unwrap()).unwrap();
    let place = (7..bytes.len() - name.len() - 64)
        .find(|at| {
            let (text, checksum) = bytes[*at..*at + name.len() + 64].split_at(name.len());
            text == name.as_bytes() && checksum.iter().all(u8::is_ascii_hexdigit) && bytes[*at - 7] == number
        })
        .expect("the migration's row");
    bytes[place - 7] = 99;
    std::fs::write(&file, &bytes).unwrap();
    for args in [&["task", "list"][..], &["db", "migrate"], &["db", "status"], &["serve"]] {
        let line = desk.run(args).refused();
        assert!(line.contains("newer Steward") && line.contains("99"), "{args:?}: {line}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_database_that_is_none() {
    let desk = Desk::empty();
    let file = desk.file("notes.txt", "This is no database, however long one looks at it. ".repeat(100).as_str());
    let desk = desk.env("DATABASE_URL", &format!("sqlite://{file}"));
    let line = desk.run(&["task", "list"]).refused();
    assert!(line.contains("database"), "{line}");
}

#[test]
fn a_server_that_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let desk = Desk::empty()
        .env("DATABASE_URL", &format!("postgres://ada:s3cret@127.0.0.1:{port}/desk"))
        .env("STEWARD_CONNECT_TIMEOUT_S", "1");
    let line = desk.run(&["task", "list"]).refused();
    assert!(
        line.contains(&format!("127.0.0.1:{port}")) && line.contains("within 1 s") && line.contains("check that"),
        "{line}"
    );
    assert!(!line.contains("s3cret"), "{line}");
    let desk = Desk::empty()
        .env("DATABASE_URL", "postgres://ada:s3cret@127.0.0.1:9/desk")
        .env("STEWARD_POOL_CONNECT_TIMEOUT_S", "1");
    assert!(desk.run(&["db", "status"]).refused().contains("127.0.0.1:9"));
}

#[test]
fn folders_that_cannot_be_used() {
    for folder in ["/proc/steward", "/dev/null/steward"] {
        let desk = Desk::empty().env("STEWARD_DATA_DIR", folder);
        for args in [&["db", "migrate"][..], &["setup", "--username", "ada", "--email", "ada@example.org"], &["serve"]]
        {
            let line = desk.with_input(args, PASSWORD).refused();
            assert!(
                line.contains("the data folder") && line.contains(folder) && line.contains("STEWARD_DATA_DIR"),
                "{line}"
            );
        }
    }
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let desk = Desk::empty();
    let out = desk.run(&["db", "migrate", "--dry-run"]).done();
    assert!(out.contains("1 users, in a transaction") && out.contains("TABLE users ("), "{out}");
    let plan = desk.json(&["db", "migrate", "--dry-run"]);
    assert!(plan["migrations"][0]["statements"].as_array().unwrap().len() > 2, "{plan}");
    assert!(desk.json(&["db", "status"])["applied"].as_array().unwrap().is_empty());
    desk.run(&["db", "migrate"]).done();
    assert!(desk.run(&["db", "migrate", "--dry-run"]).done().contains("nothing to do"));
}

#[test]
fn a_move_wants_another_engine_and_no_password_in_a_flag() {
    let desk = Desk::set_up();
    let there = desk.data().join("there.db");
    let line = desk.run(&["db", "move", "--to", &format!("sqlite://{}", there.display())]).refused();
    assert!(line.contains("from SQLite to PostgreSQL or back"), "{line}");
    assert!(!there.exists());
    let line = desk.run(&["db", "move", "--to", "postgres://a:secret@localhost/b"]).refused();
    assert!(line.contains("STEWARD_MOVE_TO") && !line.contains("secret"), "{line}");
    assert!(desk.run(&["db", "move"]).refused().contains("say where to"));
}
