//! The real program on PostgreSQL: it sets archiving up, sees in `doctor` how it stands, and brings a moment back; and its
//! backups are made by a role that sees every row, or not at all.
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
    steward_as(&[("DATABASE_URL", &house.server.url("postgres"))], data, words)
}

fn steward_as(settings: &[(&str, &str)], data: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEWARD_")) {
        command.env_remove(name);
    }
    command
        .envs(settings.iter().copied())
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
    finding(&steward(house, data, &["doctor", "--json"]), "archive").0
}

/// What `doctor` says of one thing: its state, and in which words.
fn finding(ran: &Output, what: &str) -> (String, String) {
    let all: Vec<Value> = serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(ran)));
    let found = all.iter().find(|f| f["what"] == what).unwrap_or_else(|| panic!("{what}: {all:#?}"));
    (found["state"].as_str().unwrap().to_owned(), found["said"].as_str().unwrap().to_owned())
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

    let drilled = steward(&house, data.path(), &["backup", "drill", "--archive", &file, "--json"]);
    assert!(drilled.status.success(), "{}", told(&drilled));
    let report: Value = serde_json::from_slice(&drilled.stdout).unwrap();
    assert_eq!(report["wrong"], serde_json::json!([]), "{report:#}");
    // Backup and drill are noted, so that those who look elsewhere know of them.
    let runs = |ran: &Output| finding(ran, "archive runs");
    assert_eq!(runs(&steward(&house, data.path(), &["doctor", "--json"])).0, "well");
    let again = steward(&house, data.path(), &["backup", "create", "--archive", &file]);
    assert!(again.status.success() && told(&again).contains("A differential backup was made"), "{}", told(&again));
    let missing = house.new_folder("no-such-file.conf").display().to_string();
    assert!(!steward(&house, data.path(), &["backup", "drill", "--archive", &missing]).status.success());
    let (state, said) = runs(&steward(&house, data.path(), &["doctor", "--json"]));
    assert!(state == "wrong" && said.contains("the last drill of the archive failed: there is no archive"), "{said}");

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_made_by_a_role_that_sees_every_row() {
    let house = House::new().await;
    let data = tempfile::tempdir().unwrap();
    let psql = |sql: &str| {
        let port = house.server.port.to_string();
        let mut psql = house.server.program("psql");
        let done = psql.args(["-X", "-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-c", sql]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    psql("CREATE ROLE steward LOGIN IN ROLE app_user, app_service");
    let by = |role: &str, database: &str| format!("postgres://{role}@127.0.0.1:{}/{database}", house.server.port);
    let (live, kept) = (by("steward", "postgres"), data.path().join("kept").display().to_string());
    let settings = [("DATABASE_URL", live.as_str()), ("STEWARD_BACKUP_TARGET", &kept)];

    // Who runs Steward sees its rows alone: nothing is made of them that looks like a backup.
    let refused = steward_as(&settings, data.path(), &["backup", "create"]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    for part in ["row-level security hides rows", "CREATE ROLE steward_backup LOGIN BYPASSRLS", "backup_database_url"] {
        assert!(told(&refused).contains(part), "{part}: {}", told(&refused));
    }
    assert!(told(&steward_as(&settings, data.path(), &["backup", "list"])).contains("no backup yet"));
    let (state, said) = finding(&steward_as(&settings, data.path(), &["doctor", "--json"]), "backup role");
    assert!(state == "wrong" && said.contains("pg_read_all_data"), "{said}");

    std::fs::create_dir(data.path().join("playbooks")).unwrap();
    std::fs::write(data.path().join("playbooks/kept.yaml"), "name: kept\n").unwrap();
    // As it was told to.
    psql("CREATE ROLE steward_backup LOGIN BYPASSRLS");
    psql("GRANT pg_read_all_data TO steward_backup");
    psql("CREATE DATABASE other");
    let ran = |url: &str, words: &[&str]| {
        let all = [settings.as_slice(), &[("STEWARD_BACKUP_DATABASE_URL", url)]].concat();
        steward_as(&all, data.path(), words)
    };
    let elsewhere = ran(&by("steward_backup", "other"), &["backup", "create"]);
    assert!(
        elsewhere.status.code() == Some(1) && told(&elsewhere).contains("not the database that Steward works on"),
        "{}",
        told(&elsewhere)
    );
    let reading = by("steward_backup", "postgres");
    let made = ran(&reading, &["backup", "create", "--json"]);
    assert!(made.status.success(), "{}", told(&made));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(finding(&ran(&reading, &["doctor", "--json"]), "backup role").0, "well");
    assert!(ran(&reading, &["backup", "setup"]).status.success());

    // Nothing is archived: the newest backup comes back by itself, a moment does not, and it is said which backup would.
    let into = house.server.url("restored");
    let archive = data.path().join("none.conf").display().to_string();
    let restore =
        |more: &[&str]| ran(&reading, &[&["backup", "restore", "--into", &into, "--archive", &archive], more].concat());
    let moment = restore(&["--to", &jiff::Timestamp::now().to_string()]);
    let id = made["id"].as_str().unwrap();
    assert!(moment.status.code() == Some(1) && told(&moment).contains(&format!("--bundle {id}")), "{}", told(&moment));
    let back = restore(&[]);
    assert!(back.status.success() && told(&back).contains(id), "{}", told(&back));
    let restored = store::backup::postgres::facts(&Config::from_url(&into).unwrap()).await.unwrap();
    assert_eq!(restored.counts["users"], 1, "every row came along");
    // What the bundle holds beside the database comes back into a folder.
    let folder = data.path().join("beside").display().to_string();
    let beside = ran(&reading, &["backup", "restore", "--bundle", id, "--into", &folder]);
    assert!(beside.status.success() && told(&beside).contains("playbooks/kept.yaml"), "{}", told(&beside));
    assert!(data.path().join("beside/playbooks/kept.yaml").is_file());
}
