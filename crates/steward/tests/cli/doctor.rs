//! `steward doctor`: each thing that is or will soon be wrong has its line, its state and its remedy, also where the
//! database is what is wrong.

use std::{net::TcpListener, os::unix::fs::PermissionsExt, process::Command};

use serde_json::Value;

use crate::desk::{Desk, Ran};

/// The findings of a run, whatever it ended with.
fn findings(ran: &Ran) -> Vec<Value> {
    let Value::Array(all) = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}")) else {
        panic!("{ran:?}")
    };
    for found in &all {
        let state = found["state"].as_str().unwrap();
        assert!(["well", "note", "warning", "wrong"].contains(&state), "{found}");
        assert!(
            state == "well" || found["remedy"].is_string() || found["said"].as_str().unwrap().contains(';'),
            "{found}"
        );
    }
    all
}

#[track_caller]
fn state_of(all: &[Value], what: &str) -> Vec<String> {
    all.iter().filter(|f| f["what"] == what).map(|f| f["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_well_kept_desk() {
    let desk = Desk::set_up();
    let ran = desk.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let all = findings(&ran);
    for (what, state) in [
        ("data folder", "well"),
        ("master key", "note"),
        ("database", "well"),
        ("desk", "note"),
        ("backup", "warning"),
        ("you", "well"),
    ] {
        assert_eq!(state_of(&all, what), [state], "{what}: {all:#?}");
    }
    assert_eq!(state_of(&all, "disk space").len(), 1);
    assert_eq!(state_of(&all, "redis"), Vec::<String>::new());
    assert!(all.iter().any(|f| f["what"] == "backup" && f["said"].as_str().unwrap().contains("there is none at")));
}

#[test]
fn another_steward_at_the_desk_s_address_is_no_desk() {
    let other = Desk::set_up();
    let serving = other.serve();
    let address = serving.address.strip_prefix("http://").unwrap().to_owned();
    let desk = Desk::set_up().env("STEWARD_LISTEN", &address);
    let all = findings(&desk.run(&["doctor", "--json"]));
    assert_eq!(state_of(&all, "desk"), ["warning"], "{all:#?}");
    assert!(desk.run(&["status"]).done().contains("something else"));
    let other = other.env("STEWARD_LISTEN", &address);
    assert_eq!(state_of(&findings(&other.run(&["doctor", "--json"])), "desk"), ["well"]);
    drop(serving);
}

#[test]
fn what_is_wrong_on_the_machine() {
    let desk = Desk::set_up().env("STEWARD_LISTEN", "0.0.0.0:9").env("REDIS_URL", "redis://127.0.0.1:9");
    let playbooks = desk.data().join("playbooks");
    std::fs::create_dir_all(&playbooks).unwrap();
    std::fs::write(playbooks.join("bad.yaml"), "steps: 7\n").unwrap();
    std::fs::set_permissions(desk.data(), PermissionsExt::from_mode(0o750)).unwrap();
    let ran = desk.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let all = findings(&ran);
    assert_eq!(state_of(&all, "data folder"), ["well", "wrong"]);
    assert_eq!(state_of(&all, "playbook"), ["wrong"]);
    assert_eq!(state_of(&all, "address"), ["warning"]);
    assert_eq!(state_of(&all, "redis"), ["warning"]);
    assert!(ran.err.contains("to mend"), "{ran:?}");
}

#[test]
fn it_works_when_the_database_is_down() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ada:s3cret@127.0.0.1:{}/desk", silent.local_addr().unwrap().port());
    let desk = Desk::empty().env("DATABASE_URL", &url).env("STEWARD_CONNECT_TIMEOUT_S", "1");
    let ran = desk.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    let all = findings(&ran);
    assert_eq!(state_of(&all, "database"), ["wrong"]);
    assert_eq!(state_of(&all, "disk space").len(), 1, "the rest is looked at all the same");
    assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{ran:?}");
}

#[test]
fn a_postgresql_with_too_mighty_a_role_and_a_replica_that_is_none() {
    let url = std::env::var("STEWARD_TEST_POSTGRES_URL").expect("STEWARD_TEST_POSTGRES_URL is not set: run ./test");
    let name = format!("steward_doctor_{}", uuid::Uuid::now_v7().simple());
    let psql = |sql: &str| {
        let out = Command::new("psql").args(["-X", "-q", "-d", &url, "-c", sql]).output().unwrap();
        assert!(out.status.success(), "{out:?}");
    };
    psql(&format!("CREATE DATABASE {name}"));
    let own = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
    let checked = std::panic::catch_unwind(|| {
        let desk = Desk::empty().env("DATABASE_URL", &own).env("STEWARD_READ_REPLICA_URL", &own);
        let all = findings(&desk.run(&["doctor", "--json"]));
        assert_eq!(state_of(&all, "database"), ["note"], "it is empty: {all:#?}");
        desk.run(&["db", "migrate"]).done();
        let ran = desk.run(&["doctor", "--json"]);
        let all = findings(&ran);
        assert_eq!(state_of(&all, "database"), ["well"], "{all:#?}");
        assert_eq!(state_of(&all, "role"), ["warning"], "a superuser may do everything: {all:#?}");
        assert_eq!(state_of(&all, "read replica"), ["warning"], "{all:#?}");
        assert_eq!(state_of(&all, "connections").len(), 1);
        assert_eq!(state_of(&all, "log"), ["well"], "{all:#?}");
        assert_eq!(state_of(&all, "clock"), Vec::<String>::new(), "one machine, one clock");
        assert_eq!(ran.code, 0, "{ran:?}");
    });
    psql(&format!("DROP DATABASE {name} WITH (FORCE)"));
    if let Err(panic) = checked {
        std::panic::resume_unwind(panic);
    }
}
