//! Watchers beyond folders, being told, and the briefing, as a person types them.

use serde_json::json;

use crate::desk::{Desk, PASSWORD};

#[test]
fn a_schedule_is_tried_and_shown() {
    let desk = Desk::set_up();
    let config = r#"{"cron": "0 9 * * *", "time_zone": "Europe/Berlin", "title": "Report", "assign_to": "ada"}"#;
    let out = desk.run(&["watcher", "add", "report", "--type", "schedule", "--config", config]).done();
    assert!(out.contains("Added the watcher report: each event becomes a task for ada."), "{out}");
    let out = desk.run(&["watcher", "test", "report"]).done();
    assert!(out.contains("no task now") && out.contains("Nothing was changed"), "{out}");
    assert_eq!(desk.json(&["watcher", "test", "report"]), json!([]));
    assert!(desk.run(&["watcher", "list"]).done().contains("0 9 * * *"));
    for (kind, config, word) in [
        ("schedule", r#"{"cron": "sometimes", "title": "x", "assign_to": "ada"}"#, "five fields"),
        ("schedule", r#"{"cron": "0 9 * * *", "title": "x"}"#, "who does the work"),
        ("schedule", r#"{"cron": "0 9 * * *", "title": "x", "assign_to": "eve"}"#, "no such user"),
        ("feed", r#"{"url": "news", "playbook": "file-away"}"#, "https://"),
        ("feed", r#"{"url": "https://x.test", "playbook": "nothing"}"#, "file-away"),
        ("csv", r#"{"path": "~/b", "playbook": "file-away", "format": {"columns": {"date": "d"}}}"#, "amount"),
        ("imap", r#"{"host": "h", "user": "u", "playbook": "file-away", "colour": 1}"#, "colour"),
        ("webhook", r#"{"scheme": "pigeon", "playbook": "file-away"}"#, "do not fit"),
    ] {
        let line = desk.run(&["watcher", "add", "w", "--type", kind, "--config", config]).refused();
        assert!(line.contains(word), "{config}: {line}");
    }
}

#[test]
fn credentials_come_by_the_standard_input_and_are_never_shown() {
    let desk = Desk::set_up();
    let config = r#"{"host": "127.0.0.1", "port": 9, "user": "ada", "playbook": "file-away", "security": "none"}"#;
    let add = ["watcher", "add", "mail", "--type", "imap", "--config", config, "--credentials-file", "-"];
    let line = desk.with_input(&add, "app-password").refused();
    assert!(line.contains("no JSON") && !line.contains("app-password"), "{line}");
    assert!(desk.with_input(&add, r#"{"word": "x"}"#).refused().contains("need a password"));
    desk.with_input(&add, r#"{"password": "s3cret-word"}"#).done();
    for args in
        [&["watcher", "show", "mail"][..], &["watcher", "show", "mail", "--json"], &["watcher", "list", "--json"]]
    {
        let ran = desk.run(args);
        assert!(ran.out.contains("(sealed)") && !ran.out.contains("s3cret"), "{args:?}: {}", ran.out);
    }
    let file = std::fs::read(desk.data().join("steward.db")).unwrap();
    assert!(!file.windows(11).any(|w| w == b"s3cret-word"), "unreadable at rest");
    let line = desk.run(&["watcher", "test", "mail"]).refused();
    assert!(line.contains("not a public address"), "{line}");
    desk.with_input(&["watcher", "credentials", "mail"], r#"{"password": "another"}"#).done();
    // What only an administrator may allow.
    desk.with_input(&["user", "add", "bob", "--email", "b@example.org"], PASSWORD).done();
    let private = r#"{"url": "http://127.0.0.1:9", "playbook": "file-away", "allow_private": ["127.0.0.1"]}"#;
    let line = desk.run(&["--as", "bob", "watcher", "add", "x", "--type", "feed", "--config", private]).refused();
    assert!(line.contains("administrator"), "{line}");
}

#[test]
fn a_webhook_s_secret_is_shown_once() {
    let desk = Desk::set_up();
    let config = r#"{"scheme": "github", "playbook": "file-away"}"#;
    let out = desk.run(&["watcher", "add", "repo", "--type", "webhook", "--config", config]).done();
    let secret = out.split("not shown again: ").nth(1).unwrap().trim().to_owned();
    assert!(secret.len() >= 32 && out.contains("/hooks/"), "{out}");
    assert!(!desk.run(&["watcher", "show", "repo"]).done().contains(&secret));
    let line = desk.with_input(&["watcher", "credentials", "repo"], r#"{"secret": "short"}"#).refused();
    assert!(line.contains("at least 16"), "{line}");
}

#[test]
fn being_told_is_set_up_and_wished_for() {
    let desk = Desk::set_up();
    let config = r#"{"host": "127.0.0.1", "port": 9, "security": "none", "from": "steward@example.org"}"#;
    desk.run(&["notify", "channel", "set", "email", "--config", config]).done();
    assert!(desk.run(&["notify", "channel", "list"]).done().contains("127.0.0.1"));
    // Nothing listens there: it says so instead of hoping.
    let line = desk.run(&["notify", "test", "email"]).refused();
    assert!(line.contains("did not take the mail"), "{line}");
    let sent = desk.json(&["notify", "log", "--sent"]);
    assert_eq!((&sent[0]["notification"]["sent_at"], &sent[0]["outbox"]["state"]), (&json!(null), &json!("waiting")));
    let wish = r#"{"time_zone": "Europe/Berlin", "quiet": {"from": "22:00", "to": "07:00"}}"#;
    let out = desk.run(&["notify", "wishes", "--set", wish]).done();
    assert!(out.contains("Europe/Berlin"), "{out}");
    assert!(desk.run(&["notify", "wishes"]).done().contains("22:00"));
    assert!(desk.run(&["notify", "wishes", "--set", r#"{"time_zone": "Mars"}"#]).refused().contains("no time zone"));
    desk.with_input(&["user", "add", "bob", "--email", "b@example.org"], PASSWORD).done();
    assert_eq!(desk.run(&["--as", "bob", "notify", "channel", "set", "email", "--config", config]).code, 1);
    desk.run(&["--as", "bob", "notify", "wishes", "--set", wish]).done();
    desk.run(&["notify", "channel", "remove", "email"]).done();
}

#[test]
fn a_briefing_names_its_rows() {
    let desk = Desk::set_up();
    let done = desk.made(&["task", "add", "Pay the plumber", "--assign", "ada"]);
    desk.run(&["task", "start", &done]).done();
    desk.run(&["task", "complete", &done]).done();
    let open = desk.made(&["task", "add", "Call the bank", "--due", "2026-01-02"]);
    let out = desk.run(&["briefing"]).done();
    assert!(out.contains("## [Done: 1](") && out.contains(&format!("/tasks/{done})")), "{out}");
    assert!(out.contains("## [Overdue: 1](") && out.contains(&format!("/tasks/{open})")), "{out}");
    // To be read, it is plain text.
    let seen = desk.at_a_terminal(&["briefing"], "");
    assert!(seen.code == 0 && seen.out.contains("Done: 1") && seen.out.contains("- Pay the plumber"), "{seen:?}");
    assert!(!seen.out.contains("](") && !seen.out.contains("##"), "{seen:?}");
    assert!(desk.at_a_terminal(&["briefing", "--markdown"], "").out.contains("## [Done: 1]("));
    let whole = desk.json(&["briefing", "--week"]);
    assert_eq!(
        (&whole["period"], &whole["done"]["count"], &whole["open"]["count"]),
        (&json!("week"), &json!(1), &json!(1))
    );
}

#[test]
fn a_folder_is_tried_too() {
    let desk = Desk::set_up();
    let config = r#"{"path": "~/in", "playbook": "file-away", "settle_ms": 100}"#;
    desk.run(&["watcher", "add", "inbox", "--type", "folder", "--config", config]).done();
    assert_eq!(desk.json(&["watcher", "test", "inbox"]), json!([]));
    std::fs::write(desk.home().join("in/a.pdf"), "x").unwrap();
    let out = desk.run(&["watcher", "test", "inbox"]).done();
    assert!(out.contains("File: a.pdf") && out.contains("nothing was changed"), "{out}");
    assert_eq!(desk.json(&["task", "list"]), json!([]));
    std::fs::remove_dir_all(desk.home().join("in")).unwrap();
    assert_eq!(desk.run(&["watcher", "test", "inbox"]).code, 1);
}

#[test]
fn the_example_for_events_is_a_playbook() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/playbooks/note-down.yaml");
    let whole = Desk::empty().json(&["playbook", "check", file]);
    assert_eq!(whole["steps"][1]["tool"], "write_file");
}

#[test]
fn nobody_has_steward_s_own_files_watched_or_handed_to_a_tool() {
    let desk = Desk::set_up();
    let data = desk.data().display().to_string();
    let above = desk.data().parent().unwrap().display().to_string();
    for place in [&data, &above] {
        let config = json!({ "path": place, "playbook": "file-away" }).to_string();
        let line = desk.run(&["watcher", "add", "own", "--type", "folder", "--config", &config]).refused();
        assert!(line.contains("where Steward keeps its own data"), "{line}");
        let line = desk.run(&["server", "add", "own", "--command", "sh", "--arg", place]).refused();
        assert!(line.contains("where Steward keeps its own data"), "{line}");
        let config = json!({ "folders": [place] }).to_string();
        let line = desk.run(&["server", "add", "own", "--builtin", "files", "--config", &config]).refused();
        assert!(line.contains("where Steward keeps its own data"), "{line}");
    }
}
