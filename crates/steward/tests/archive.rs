//! The real program sets PostgreSQL's archiving up, sees in `doctor` how it stands, and brings a moment back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

#[path = "../../backup/tests/house/mod.rs"]
mod house;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use house::{
    House,
    cluster::{Cluster, Stop},
};
use serde_json::Value;
use store::{
    Actor, Config, Store,
    backup::postgres::{clock, server},
    tasks::{self, NewTask},
};

/// Runs the program on a server, with nobody to answer it.
fn steward(house: &House, data: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEWARD_")) {
        command.env_remove(name);
    }
    command
        .env("DATABASE_URL", house.server.url("postgres"))
        .env("STEWARD_DATA_DIR", data)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn archive_state(house: &House, data: &Path) -> String {
    let ran = steward(house, data, &["doctor", "--json"]);
    let all: Vec<Value> = serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&ran)));
    let found = all.iter().find(|f| f["what"] == "archive").unwrap_or_else(|| panic!("{all:#?}"));
    found["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_comes_back_by_the_terminal() {
    let house = House::new().await;
    let data = tempfile::tempdir().unwrap();
    let (file, repository) =
        (house.options().file.display().to_string(), house.options().repository.display().to_string());
    let setup = ["backup", "setup", "--archive", &file, "--repository", &repository, "--archive-timeout-s", "2"];
    assert_eq!(archive_state(&house, data.path()), "note");

    // Without anybody to ask it says what it would change, and changes nothing.
    let asked = steward(&house, data.path(), &setup);
    assert_eq!(asked.status.code(), Some(1), "{}", told(&asked));
    assert!(
        told(&asked).contains("ALTER SYSTEM SET archive_mode") && told(&asked).contains("--yes"),
        "{}",
        told(&asked)
    );
    assert!(!house.options().file.exists() && server(&house.config).await.unwrap().archive_command.is_empty());

    let by_itself = [setup.as_slice(), &["--yes"]].concat();
    let first = steward(&house, data.path(), &by_itself);
    assert!(first.status.success() && told(&first).contains("Restart it"), "{}", told(&first));
    house.server.stop(Stop::Fast);
    house.server.resume();
    let second = steward(&house, data.path(), &by_itself);
    assert!(second.status.success() && told(&second).contains("a full backup was made"), "{}", told(&second));
    assert_eq!(archive_state(&house, data.path()), "well");

    let store = Store::open(&house.config).await.unwrap();
    let ada = Actor::user(house.ada);
    tasks::create(&ada, &store, &NewTask::titled("before")).await.unwrap();
    let moment = clock(&house.config).await.unwrap().to_string();
    tasks::create(&ada, &store, &NewTask::titled("after")).await.unwrap();
    store.close().await;
    house.archived().await;
    house.destroy();

    let into = house.new_folder("restored").display().to_string();
    let restore = ["backup", "restore", "--to", &moment, "--into", &into, "--archive", &file, "--json"];
    let back = steward(&house, data.path(), &restore);
    assert!(back.status.success(), "{}", told(&back));
    let report: Value = serde_json::from_slice(&back.stdout).unwrap();
    assert_eq!(report["wrong"], serde_json::json!([]), "{report:#}");
    assert!(report["reached"].as_str().unwrap() <= moment.as_str(), "{report:#}");
    assert!(Path::new(&into).join("PG_VERSION").exists() && !Path::new(&into).join("postmaster.pid").exists());
    // The same moment into a database of another server, and there once more only when told so.
    let elsewhere = Cluster::start(&[]);
    let url = elsewhere.url("steward");
    let scratch = house.folder.path().display().to_string();
    let over =
        ["backup", "restore", "--to", &moment, "--into", &url, "--archive", &file, "--scratch", &scratch, "--json"];
    let poured = steward(&house, data.path(), &over);
    assert!(poured.status.success(), "{}", told(&poured));
    let store = Store::open(&Config::from_url(&url).unwrap()).await.unwrap();
    let titles: Vec<String> =
        tasks::list(&ada, &store, None, None, 10).await.unwrap().into_iter().map(|t| t.title).collect();
    store.close().await;
    assert_eq!(titles, ["before"]);
    let refused = steward(&house, data.path(), &over);
    assert!(refused.status.code() == Some(1) && told(&refused).contains("--replace"), "{}", told(&refused));
    let left: Vec<_> = std::fs::read_dir(house.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("steward-")), "{left:?}");
    // Twice into one folder: refused.
    let again = steward(&house, data.path(), &restore);
    assert!(again.status.code() == Some(1) && told(&again).contains("not empty"), "{}", told(&again));
}
