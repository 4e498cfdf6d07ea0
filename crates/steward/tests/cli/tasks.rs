//! Tasks, rules, and the records of what happened.

use serde_json::json;

use crate::desk::{Desk, PASSWORD};

#[test]
fn a_task_from_first_to_last() {
    let desk = Desk::set_up();
    let ran = desk.run(&["task", "list"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", "no tasks\n"));
    assert_eq!(desk.json(&["task", "list"]), json!([]));
    let id = desk.made(&[
        "task",
        "add",
        "Pay the plumber",
        "--description",
        "before\nnoon",
        "--priority",
        "high",
        "--tag",
        "home",
        "--due",
        "2026-01-02",
        "--assign",
        "ada",
        "--kind",
        "triage",
    ]);
    assert_eq!(desk.json(&["task", "show", &id])["task"]["metadata"]["kind"], "triage");
    assert!(desk.run(&["task", "show", &id]).done().contains("kind         triage"));
    assert!(desk.run(&["task", "add", "x", "--kind", " "]).refused().contains("a task's kind"));
    let list = desk.json(&["task", "list", "--status", "pending"]);
    assert_eq!(
        (list[0]["id"].as_str(), list[0]["due_date"].as_str()),
        (Some(id.as_str()), Some("2026-01-02T00:00:00Z"))
    );
    let out = desk.run(&["task", "list"]).done();
    assert!(out.contains(&id) && out.contains("Pay the plumber") && out.contains("ada"), "{out}");
    desk.run(&["task", "start", &id]).done();
    assert!(desk.run(&["task", "start", &id]).refused().contains("can't become in_progress"));
    let out = desk.run(&["task", "complete", &id, "--note", "paid"]).done();
    assert!(out.contains("completed") && out.contains("was due 2026-01-02"), "{out}");
    let whole = desk.json(&["task", "show", &id]);
    assert_eq!(
        (whole["task"]["status"].as_str(), whole["provenance"]["source"].as_str()),
        (Some("completed"), Some("terminal"))
    );
    assert_eq!(whole["task"]["metadata"]["summary"], "paid");
    let out = desk.run(&["task", "show", &id]).done();
    assert!(out.contains("before\n") && out.contains("summary") && out.contains("home"), "{out}");
    let missing = "019b0000-0000-7000-8000-000000000000";
    for args in [
        &["task", "show", missing][..],
        &["task", "start", missing],
        &["task", "assign", missing, "ada"],
        &["task", "depends", missing],
    ] {
        assert!(desk.run(args).refused().contains(missing), "{args:?}");
    }
}

#[test]
fn titles_from_outside_do_not_steer_the_terminal() {
    let desk = Desk::set_up();
    desk.run(&["task", "add", "evil \u{1b}[2J\u{202e}\nline"]).done();
    let out = desk.run(&["task", "list"]).done();
    assert!(out.contains("evil \\u{1b}[2J\\u{202e}\\nline") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn assigning_searching_and_depending() {
    let desk = Desk::set_up();
    let first = desk.made(&["task", "add", "Buy timber"]);
    let second = desk.made(&["task", "add", "Build the shed", "--depends", &first, "--assign", "employee"]);
    assert_eq!(desk.json(&["task", "show", &second])["queue"]["state"], "blocked");
    assert_eq!(desk.json(&["task", "depends", &second])[0]["id"], first.as_str());
    assert!(desk.run(&["task", "depends", &first, "--on", &second]).refused().contains("circle"));
    assert!(desk.run(&["task", "depends", &first, "--not-on", &second]).refused().contains("does not depend on"));
    desk.run(&["task", "complete", &first]).done();
    assert_eq!(desk.json(&["task", "show", &second])["queue"]["state"], "ready");
    assert_eq!(desk.json(&["task", "depends", &second, "--not-on", &first]), json!([]));
    desk.run(&["task", "assign", &second, "ada"]).done();
    assert_eq!(desk.json(&["task", "show", &second])["queue"], json!(null));
    desk.run(&["task", "assign", &second, "--nobody"]).done();
    assert!(desk.run(&["task", "assign", &second, "eve"]).refused().contains("user eve"));
    assert_eq!(desk.json(&["task", "search", "shed"])[0]["id"], second.as_str());
    assert_eq!(desk.json(&["task", "search", "nothing", "like", "it"]), json!([]));
    let hit = desk.json(&[
        "task",
        "search",
        "bui* -timber",
        "--status",
        "pending",
        "--priority",
        "medium",
        "--since",
        "2020-01-01",
    ]);
    assert_eq!(
        hit[0]["snippet"]["title"],
        json!([{"text": "Build", "hit": true}, {"text": " the shed", "hit": false}])
    );
    assert_eq!(desk.json(&["task", "search", "shed", "--tag", "x"]), json!([]));
    let out = desk.run(&["task", "search", "shed"]).done();
    assert!(out.starts_with(&format!("{second}  Build the shed\n    pending, medium priority, made 2")), "{out}");
    desk.run(&["task", "cancel", &second, "--note", "no room"]).done();
    // Another person sees nothing of it, and changes nothing.
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    assert_eq!(desk.json(&["--as", "bob", "task", "list"]), json!([]));
    assert!(desk.run(&["--as", "bob", "task", "complete", &first]).refused().contains(&first));
    assert!(desk.run(&["task", "add", ""]).refused().contains("title"));
    assert!(desk.run(&["task", "add", "x", "--playbook", "nothing"]).refused().contains("file-away"));
    assert_eq!(desk.json(&["task", "add", "x", "--playbook", "file-away"])["metadata"]["playbook"], "file-away");
}

#[test]
fn rules() {
    let desk = Desk::set_up();
    let test = ["policy", "test", "--server", "files", "--tool", "read_file", "--args", r#"{"path": "/home/ada/a"}"#];
    assert_eq!(desk.json(&test)["effect"], "ask");
    desk.run(&[
        "policy",
        "add",
        "reading",
        "--effect",
        "allow",
        "--server",
        "files",
        "--tool",
        "read_*",
        "--condition",
        r#"args.path.startsWith("/home/ada/")"#,
    ])
    .done();
    let verdict = desk.json(&test);
    assert_eq!((verdict["effect"].as_str(), verdict["rule"][1].as_str()), (Some("allow"), Some("reading")));
    assert_eq!(desk.json(&[&test[..], &["--outside"]].concat())["effect"], "ask");
    let added = desk.json(&["policy", "add", "never", "--effect", "deny", "--tool", "read_file", "--position", "1"]);
    assert_eq!(added["position"], 1);
    let out = desk.run(&test).done();
    assert!(out.contains("deny") && out.contains("never"), "{out}");
    assert!(desk.run(&["policy", "add", "never", "--effect", "ask"]).refused().contains("exists already"));
    assert!(
        desk.run(&["policy", "add", "odd", "--effect", "ask", "--condition", "args.("]).refused().contains("condition")
    );
    assert!(desk.run(&["policy", "test", "--server", "f", "--tool", "t", "--args", "{"]).refused().contains("no JSON"));
    let names: Vec<String> = desk
        .json(&["policy", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["never", "reading"]);
    desk.run(&["policy", "remove", "never"]).done();
    assert!(desk.run(&["policy", "remove", "never"]).refused().contains("rule never"));
}

#[test]
fn records() {
    let desk = Desk::set_up();
    let id = desk.made(&["task", "add", "Water the plants"]);
    let trail = desk.json(&["audit", "list", "--entity", "task", "--id", &id]);
    assert_eq!(
        (trail[0]["action"].as_str(), trail[0]["new_values"]["title"].as_str()),
        (Some("task_created"), Some("Water the plants"))
    );
    assert!(trail[0]["user_agent"].as_str().unwrap().contains("terminal"));
    let out = desk.run(&["audit", "list"]).done();
    assert!(out.contains("task_created") && out.contains("ada"), "{out}");
    assert!(desk.run(&["audit", "verify"]).done().contains("is whole"));
    assert_eq!(desk.json(&["audit", "verify"])["broken"], json!(null));
    assert_eq!(desk.json(&["notify", "log"]), json!([]));
    assert_eq!(desk.json(&["logs", "--level", "error", "--module", "x", "--task", &id]), json!([]));
    assert_eq!(
        desk.json(&["logs", "--search", "-nothing", "--since", "2h", "--until", "2020-01-01T00:00:00Z"]),
        json!([])
    );
    let status = desk.json(&["status"]);
    assert_eq!(
        (status["tasks_pending"].as_i64(), status["desk_answers"].as_bool(), status["engine"].as_str()),
        (Some(1), Some(false), Some("SQLite"))
    );
    let out = desk.run(&["status"]).done();
    assert!(out.contains("1 pending") && out.contains("does not answer"), "{out}");
    desk.run(&["doctor"]).done();
    std::fs::set_permissions(desk.data(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = desk.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("chmod go=") && ran.err.contains("1 thing to mend"), "{ran:?}");
}
