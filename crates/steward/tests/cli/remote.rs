//! Commands about rows ask a Steward elsewhere, with the same answers.

use crate::desk::{Desk, PASSWORD, Serving};

/// A house with something in it, a Steward that serves it, and a machine elsewhere with a token of ada's.
pub fn house(scopes: &str) -> (Desk, Serving, Desk) {
    let here = Desk::set_up();
    let (serving, there) = elsewhere(&here, scopes);
    (here, serving, there)
}

fn elsewhere(here: &Desk, scopes: &str) -> (Serving, Desk) {
    let serving = here.serve();
    let token = here.run(&["token", "create", "laptop", "--scope", scopes]).done();
    let token = token.lines().next().unwrap().to_owned();
    let there = Desk::empty().env("STEWARD_SERVER", &serving.address);
    let file = there.file("token", &format!("{token}\n"));
    let there = there.env("STEWARD_TOKEN_FILE", &file);
    (serving, there)
}

const ALL: &str = "read,tasks,decide,notifications,logs,watchers,servers,policies,users,system";

#[test]
fn what_is_read_elsewhere_is_what_stands_here() {
    let (here, _serving, there) = house(ALL);
    here.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    let first = here.made(&["task", "add", "Call the tax office", "--tag", "home", "--assign", "bob"]);
    let second = here.made(&["task", "add", "Write the letter", "--depends", &first, "--due", "2030-01-01"]);
    here.run(&["server", "add", "notes", "--command", "true"]).done();
    here.run(&[
        "watcher",
        "add",
        "inbox",
        "--type",
        "folder",
        "--config",
        r#"{"path": "~/inbox", "playbook": "file-away"}"#,
    ])
    .done();
    here.run(&["policy", "add", "no deleting", "--effect", "deny", "--tool", "delete_*"]).done();
    let book = here.file("handbook.md", "Bills go to Ada.\n");
    here.run(&["handbook", "set", "--file", &book]).done();
    let fact = there.json(&["memory", "add", "Flour is bought at the mill."])["id"].as_str().unwrap().to_owned();
    for args in [
        &["task", "list"][..],
        &["task", "list", "--status", "completed"],
        &["task", "show", &second],
        &["task", "search", "tax office", "--assigned", "bob"],
        &["task", "depends", &second],
        &["approval", "list", "--all"],
        &["watcher", "list"],
        &["watcher", "show", "inbox"],
        &["server", "list"],
        &["server", "show", "notes"],
        &["policy", "list"],
        &["policy", "test", "--tool", "delete_file", "--args", "{}"],
        &["user", "list"],
        &["user", "show", "bob"],
        &["schedule", "list"],
        &["playbook", "list"],
        &["notify", "log"],
        &["audit", "list", "--entity", "task"],
        &["audit", "verify"],
        &["logs", "--level", "critical"],
        &["logs", "--module", "nobody"],
        &["logs", "--search", "never-said-here", "--since", "1h", "--until", "2099-01-01T00:00:00Z", "--level", "info"],
        &["handbook", "show"],
        &["handbook", "history"],
        &["memory", "list"],
        &["memory", "show", &fact],
    ] {
        // A policy is tried for a server, which is what --server means there.
        let args =
            if args[..2] == ["policy", "test"] { [args, &["--server", "files"]].concat() } else { args.to_vec() };
        for args in [args.clone(), [args, vec!["--json"]].concat()] {
            let (near, far) = (here.run(&args), there.run(&args));
            assert_eq!((far.code, &far.out, &far.err), (near.code, &near.out, &near.err), "{args:?}");
        }
    }
    let status = there.json(&["status"]);
    assert_eq!((&status["acting_as"], &status["desk_answers"]), (&"ada".into(), &true.into()));
    assert_eq!(there.json(&["briefing"])["open"]["count"], 2);
    for args in [
        &["task", "show", "019b0000-0000-7000-8000-000000000000"][..],
        &["user", "show", "nobody"],
        &["watcher", "show", "x"],
    ] {
        assert_eq!(there.run(args).refused(), here.run(args).refused(), "{args:?}");
    }
}

#[test]
fn what_is_done_elsewhere_is_done_here() {
    let (here, serving, there) = house(ALL);
    let first = there.made(&["task", "add", "Call the tax office", "--priority", "high"]);
    let second = there.made(&["task", "add", "Write the letter"]);
    assert_eq!(here.json(&["task", "show", &first])["task"]["priority"], "high");
    there.run(&["task", "depends", &second, "--on", &first]).done();
    assert!(there.run(&["task", "complete", &second]).refused().contains("complete them first"));
    assert_eq!(there.run(&["task", "assign", &first, "employee"]).done(), "employee has the task now.\n");
    assert_eq!(there.run(&["task", "start", &first]).done(), "The task is in progress now.\n");
    assert_eq!(there.json(&["task", "complete", &first, "--note", "done by phone"])["status"], "completed");
    assert_eq!(here.json(&["task", "show", &first])["task"]["metadata"]["summary"], "done by phone");
    there.run(&["policy", "add", "ask first", "--effect", "ask", "--risk", "high"]).done();
    assert!(here.run(&["policy", "list"]).done().contains("ask first"));
    there.run(&["policy", "remove", "ask first"]).done();
    there.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    assert_eq!(there.json(&["user", "role", "bob", "observer"])["role"], "observer");
    there.run(&["user", "suspend", "bob"]).done();
    let bob = here.json(&["user", "show", "bob"]);
    assert_eq!((&bob["role"], &bob["status"]), (&"observer".into(), &"suspended".into()));
    here.run(&["server", "add", "notes", "--command", "true"]).done();
    assert_eq!(there.json(&["server", "pause", "notes"])["is_active"], false);
    assert_eq!(here.json(&["server", "show", "notes"])["is_active"], false);
    there.run(&["server", "remove", "notes"]).done();
    there.run(&["schedule", "set", "cleanup-sessions", "--cron", "5 3 * * *"]).done();
    assert!(here.run(&["schedule", "list"]).done().contains("5 3 * * *"));
    // The request stands beside what it did.
    let told = here.json(&["audit", "list", "--entity", "task", "--id", &first]);
    assert!(told.as_array().unwrap().iter().any(|row| row["request_id"].is_string()), "{told}");
    drop(serving);
    assert!(there.run(&["task", "list"]).refused().contains("--server"));
}

#[test]
fn what_needs_the_machine_itself_is_refused() {
    let (here, serving, there) = house("read");
    for args in [
        &["db", "status"][..],
        &["backup", "list"],
        &["doctor"],
        &["serve"],
        &[],
        &["setup", "--username", "x", "--email", "x@example.org"],
        &["token", "list"],
        &["watcher", "add", "x", "--type", "folder", "--config", "{}"],
        &["notify", "wishes"],
        &["audit", "key"],
        &["model", "test", "main"],
    ] {
        let line = there.run(args).refused();
        assert!(line.contains("run it on that machine"), "{args:?}: {line}");
    }
    assert!(!there.data().exists(), "nothing was made");
    assert!(there.run(&["task", "add", "x"]).refused().contains("scope tasks"));
    assert!(there.run(&["task", "list", "--as", "bob"]).refused().contains("do not go together"));
    let wrong = Desk::empty().env("STEWARD_SERVER", &serving.address);
    assert!(wrong.run(&["task", "list"]).refused().contains("--token-file"));
    let file = wrong.file("token", "st_wrong\n");
    let line = wrong.run(&["task", "list", "--token-file", &file]).refused();
    assert!(line.contains("unknown, revoked or over"), "{line}");
    let line = here.run(&["task", "list", "--server", "desk.example.org", "--token-file", &file]).refused();
    assert!(line.contains("https://desk.example.org"), "{line}");
}

#[test]
fn models_are_listed_elsewhere_too() {
    let here = Desk::set_up();
    std::fs::write(
        here.data().join("models.toml"),
        "[models.main]\nprovider = \"ollama\"\nmodel = \"small\"\n[use]\ndefault = \"main\"\n",
    )
    .unwrap();
    let (_serving, there) = elsewhere(&here, "read");
    let (mine, theirs) = (here.json(&["model", "list"]), there.json(&["model", "list"]));
    assert_eq!(mine["models"][0]["name"], "main");
    assert_eq!(mine, theirs);
}
