//! Continuous archiving of a real PostgreSQL by a real pgBackRest: set up, checked, and a moment brought back from it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod house;

use std::os::unix::fs::MetadataExt;

use backup::{
    Claim, Engine, Error, Place,
    place::Access,
    postgres::{Against, PgBackRest, Plan, Recovery, Standing},
};
use house::{House, cluster::Stop, until};
use jiff::SignedDuration;
use store::{
    Actor, Config, Store,
    backup::postgres::{archive, clock, facts, server, set_archiving},
    tasks::{self, NewTask},
};
use tokio_util::sync::CancellationToken;

async fn write(store: &Store, house: &House, title: &str) {
    tasks::create(&Actor::user(house.ada), store, &NewTask::titled(title)).await.unwrap();
}

async fn titles(config: &Config, house: &House) -> Vec<String> {
    let store = Store::open(config).await.unwrap();
    let found = tasks::list(&Actor::user(house.ada), &store, None, None, 100).await.unwrap();
    store.close().await;
    let mut titles: Vec<String> = found.into_iter().map(|t| t.title).collect();
    titles.sort();
    titles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_up_says_what_it_changes_and_proves_itself() {
    let house = House::new().await;
    let never = CancellationToken::new();
    let plan = Plan::make(&house.config, house.options()).await.unwrap();
    let said = plan.lines().join("\n");
    for part in [
        "archive_mode = 'on'",
        "archive-push \"%p\"",
        "archive_timeout = '2s'",
        "mode 0600",
        "AES-256",
        "pgbackrest check",
    ] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    let before = server(&house.config).await.unwrap();
    assert_eq!((before.archive_mode.as_str(), before.archive_command.as_str()), ("off", ""), "a plan changes nothing");
    assert!(!house.options().file.exists(), "a plan changes nothing");

    let Standing::NeedsRestart(how) = plan.carry_out(&never).await.unwrap() else { panic!("it takes a restart") };
    assert!(how.contains("restart"), "{how}");
    let file = std::fs::metadata(house.options().file).unwrap();
    assert_eq!(file.mode() & 0o777, 0o600, "the pass phrase is the database user's alone");
    assert_eq!(file.uid(), std::fs::metadata(house.server.data()).unwrap().uid());
    let text = std::fs::read_to_string(house.options().file).unwrap();
    let phrase = text.lines().find_map(|l| l.strip_prefix("repo1-cipher-pass=")).unwrap();
    assert!(phrase.len() >= 64 && !said.contains(phrase), "the pass phrase is long and shown to nobody");

    house.server.stop(Stop::Fast);
    house.server.resume();
    let again = Plan::make(&house.config, house.options()).await.unwrap();
    assert_eq!(again.carry_out(&never).await.unwrap(), Standing::Archives("full"));
    // And once more: what stands is left as it is.
    let third = Plan::make(&house.config, house.options()).await.unwrap();
    assert!(!third.lines().join("\n").contains("ALTER SYSTEM"), "{:?}", third.lines());
    assert_eq!(third.carry_out(&never).await.unwrap(), Standing::Archives("diff"));
    assert!(std::fs::read_to_string(house.options().file).unwrap().contains(phrase), "the pass phrase stays");

    let engine = PgBackRest::open(&house.options().file).await.unwrap().unwrap();
    engine.verify(&never).await.unwrap();
    let info = engine.info(&never).await.unwrap();
    assert_eq!(info.backups.iter().map(|b| b.is_full).collect::<Vec<_>>(), [true, false]);
    // Nothing of the database's own words lies open in the archive.
    let found =
        std::process::Command::new("grep").args(["-rlaF", "ada@example.org"]).arg(house.options().repository).output();
    assert_eq!(found.unwrap().stdout, b"", "the archive is encrypted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_archives_otherwise_is_left_alone() {
    let house = House::new().await;
    set_archiving(&house.config, "cp %p /var/elsewhere/%f", 60).await.unwrap();
    let said = Plan::make(&house.config, house.options()).await.unwrap_err().to_string();
    assert!(said.contains("archives already") && said.contains("/var/elsewhere"), "{said}");
    assert!(!house.options().file.exists() && !house.options().repository.exists(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_comes_back() {
    let house = House::archiving().await;
    let never = CancellationToken::new();
    let engine = PgBackRest::open(&house.options().file).await.unwrap().unwrap();
    let first = engine.info(&never).await.unwrap().backups[0].ended_at;
    until("a second after the backup", async || {
        clock(&house.config).await.unwrap() > first + SignedDuration::from_secs(1)
    })
    .await;
    let store = Store::open(&house.config).await.unwrap();
    write(&store, &house, "before").await;
    let known = facts(&house.config).await.unwrap();
    write(&store, &house, "just before").await;
    let moment = clock(&house.config).await.unwrap();
    write(&store, &house, "after").await;
    store.close().await;
    house.archived().await;
    let end = clock(&house.config).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    let place = Place::open(kept.path().join("kept").to_str().unwrap(), &Access::default()).unwrap();
    let claim = |config: &Config| Claim::new(place.clone(), Engine::of(config), kept.path().join("backup"));
    claim(&house.config).take().await.unwrap();
    house.destroy();

    let into = house.new_folder("moment");
    let to_it = Recovery { into: into.clone(), to: Some(moment) };
    let back = engine.recover(&to_it, &never).await.unwrap();
    let config = back.config("postgres").unwrap();
    assert_eq!(
        titles(&config, &house).await,
        ["before", "just before"],
        "everything up to the moment and nothing after"
    );
    assert!(back.reached().await.unwrap().unwrap() <= moment);
    let proof = back.prove("postgres", &Against::AtLeast(known.clone()), &never).await.unwrap();
    assert_eq!(proof.wrong, Vec::<String>::new(), "{:#?}", proof.checks);
    assert!(proof.checks.iter().any(|c| c.starts_with("pg_amcheck: well")), "{:#?}", proof.checks);
    let said = claim(&config).take().await.unwrap_err();
    assert!(matches!(said, Error::NotOwn { .. }), "the place of the backups stays the original's: {said}");
    let said = claim(&config).check_archive().await.unwrap_err();
    assert!(said.to_string().contains("--take-over"), "and so does the archive: {said}");
    assert!(!archive(&config).await.unwrap().is_on, "a copy never writes into the original's archive");
    let data = back.data.clone();
    back.stop().await.unwrap();
    assert!(!data.join("postmaster.pid").exists() && data.join("PG_VERSION").exists());

    // Never over what is there.
    let said = engine.recover(&to_it, &never).await.unwrap_err().to_string();
    assert!(said.contains("not empty"), "{said}");
    // Not before the first backup, and not beyond the archive's end without saying so.
    let early = Recovery { into: house.new_folder("early"), to: Some(first - SignedDuration::from_secs(3600)) };
    let said = engine.recover(&early, &never).await.unwrap_err().to_string();
    assert!(said.contains("oldest moment") && !early.into.exists(), "{said}");
    let late = Recovery { into: house.new_folder("late"), to: Some(end) };
    let said = engine.recover(&late, &never).await.unwrap_err().to_string();
    assert!(said.contains("does not reach"), "{said}");
    // Everything there is.
    let all = Recovery { into: house.new_folder("all"), to: None };
    let back = engine.recover(&all, &never).await.unwrap();
    assert_eq!(titles(&back.config("postgres").unwrap(), &house).await, ["after", "before", "just before"]);
    // A head from elsewhere is found out.
    let mut other = known;
    other.chain_head = "f".repeat(64);
    let proof = back.prove("postgres", &Against::AtLeast(other), &never).await.unwrap();
    assert!(proof.wrong.iter().any(|w| w.contains("not in the audit chain")), "{:?}", proof.wrong);
    let data = back.data.clone();
    // Dropped, as when something goes wrong: it does not go on running.
    drop(back);
    assert!(!data.join("postmaster.pid").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_fails_is_seen() {
    let house = House::archiving().await;
    let well = archive(&house.config).await.unwrap();
    assert!(well.is_on && !well.is_failing && well.timeout_s == 2, "{well:?}");
    let away = house.new_folder("away");
    std::fs::rename(house.options().repository, &away).unwrap();
    std::fs::write(house.options().repository, "a file in its place").unwrap();
    let store = Store::open(&house.config).await.unwrap();
    write(&store, &house, "unarchived").await;
    store.close().await;
    store::backup::postgres::switch_log(&house.config).await.unwrap();
    until("the failure shows", async || {
        let now = archive(&house.config).await.unwrap();
        now.is_failing && now.waiting > 0
    })
    .await;
    std::fs::remove_file(house.options().repository).unwrap();
    std::fs::rename(&away, house.options().repository).unwrap();
    until("the gap is caught up", async || {
        let now = archive(&house.config).await.unwrap();
        !now.is_failing && now.waiting == 0
    })
    .await;
}
