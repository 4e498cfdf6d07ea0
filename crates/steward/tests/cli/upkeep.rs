//! What runs by the clock, damage and upkeep, from the terminal.

use crate::desk::{Desk, PASSWORD};

#[test]
fn schedules_are_listed_changed_and_run() {
    let desk = Desk::set_up();
    let list = desk.json(&["schedule", "list"]);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "attachments",
            "attachments-check",
            "backup",
            "backup-drill",
            "cleanup-sessions",
            "idempotency-keys",
            "log-partitions",
            "log-retention",
            "statistics"
        ]
    );
    let out =
        desk.run(&["schedule", "set", "statistics", "--cron", "15 5 * * 1", "--time-zone", "Europe/Berlin"]).done();
    assert!(out.contains("statistics runs at 15 5 * * 1 in Europe/Berlin, next at "), "{out}");
    let out = desk.run(&["schedule", "set", "statistics", "--pause"]).done();
    assert!(out.contains("is paused"), "{out}");
    let said = desk.run(&["schedule", "set", "statistics", "--cron", "sometimes"]).refused();
    assert!(said.contains("can't be read") && said.contains("30 2 * * *"), "{said}");
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    for json in [&[][..], &["--json"]] {
        let said = desk.run(&[&["--as", "bob", "schedule", "list"], json].concat()).refused();
        assert!(said.contains("you may not see what runs by the clock"), "{said}");
    }
    for name in names {
        let fire = desk.json(&["schedule", "run", name]);
        assert_eq!(fire["state"].as_str(), Some("done"), "{fire}");
    }
    let audit = desk.run(&["audit", "list", "--entity", "schedule"]).done();
    assert!(audit.contains("schedule_updated"), "{audit}");
}

#[test]
fn damage_is_found_and_upkeep_done() {
    let desk = Desk::set_up();
    let out = desk.run(&["db", "verify"]).done();
    assert!(out.contains("audit chain") && out.contains("well"), "{out}");
    desk.run(&["db", "maintain"]).done();
    assert!(desk.data().join("steward.db").is_file());
    desk.run(&["task", "add", "Read it"]).done();
    let actions = desk.json(&["db", "maintain"]);
    let merged = |a: &serde_json::Value| a["place"] == "idx_tasks_fulltext" && a["what"] == "merged";
    assert!(actions.as_array().unwrap().iter().any(merged), "{actions}");
    // A kept file that belongs to nothing, as a crash leaves it.
    desk.run(&["schedule", "run", "attachments"]).done();
    let kept = desk.data().join("attachments/aa/00aa");
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::write(&kept, "sealed").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    std::fs::File::options().write(true).open(&kept).unwrap().set_modified(old).unwrap();
    let said = desk.run(&["db", "verify"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("aa/00aa: belongs to no row") && said.err.contains("1 thing to mend"), "{said:?}");
    let out = desk.run(&["schedule", "run", "attachments"]).done();
    assert!(out.contains("1 that belonged to no task removed"), "{out}");
    desk.run(&["db", "verify"]).done();
}
