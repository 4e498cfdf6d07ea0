//! Watchers, servers and playbooks.

use serde_json::json;

use crate::desk::{Desk, PASSWORD, mode};

#[test]
fn a_folder_watcher() {
    let desk = Desk::set_up();
    let config = r#"{"path": "~/steward/inbox", "playbook": "file-away"}"#;
    let out = desk.run(&["watcher", "add", "inbox", "--type", "folder", "--config", config]).done();
    assert!(out.contains("Made the folder") && out.contains("Added the watcher inbox"), "{out}");
    assert_eq!(mode(&desk.home().join("steward/inbox")), 0o700);
    let list = desk.json(&["watcher", "list"]);
    assert_eq!(list[0]["config"], serde_json::from_str::<serde_json::Value>(config).unwrap(), "kept as it was written");
    assert!(
        desk.run(&["watcher", "add", "inbox", "--type", "folder", "--config", config]).refused().contains("already")
    );
    let twice = desk.run(&["watcher", "add", "again", "--type", "folder", "--config", config]);
    assert!(twice.code == 0 && twice.err.contains("the watcher inbox watches"), "{twice:?}");
    desk.run(&["watcher", "remove", "again"]).done();
    desk.run(&["watcher", "pause", "inbox"]).done();
    assert!(desk.run(&["watcher", "list"]).done().contains("paused"));
    desk.run(&["watcher", "resume", "inbox"]).done();
    assert!(desk.run(&["watcher", "show", "inbox"]).done().contains("acts for      ada"));
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    assert!(desk.run(&["--as", "bob", "watcher", "remove", "inbox"]).refused().contains("watcher inbox"));
    let id = list[0]["id"].as_str().unwrap();
    desk.run(&["watcher", "remove", id]).done();
    assert_eq!(desk.json(&["watcher", "list"]), json!([]));
}

#[test]
fn a_watcher_that_cannot_be() {
    let desk = Desk::set_up();
    let add = |config: &str| desk.run(&["watcher", "add", "w", "--type", "folder", "--config", config]);
    for (config, word) in [
        ("{", "no JSON"),
        ("[]", "JSON object"),
        (r#"{"path": "~/in", "playbook": "file-away", "colour": 1}"#, "`colour`"),
        (r#"{"path": "in", "playbook": "file-away"}"#, "`path`"),
        (r#"{"path": "~/in", "playbook": "nothing"}"#, "file-away"),
        (r#"{"path": "~/in", "playbook": "file-away", "assign_to": "eve"}"#, "eve"),
        (r#"{"path": "~/in", "playbook": "file-away", "priority": "urgent"}"#, "priority"),
    ] {
        let line = add(config).refused();
        assert!(line.contains(word), "{config}: {line}");
    }
    desk.file("plain", "");
    assert!(add(r#"{"path": "~/plain", "playbook": "file-away"}"#).refused().contains("no folder"));
    assert!(!desk.home().join("in").exists(), "what was refused made nothing");
    let ran = add(r#"{"path": "/nowhere/at/all", "playbook": "file-away"}"#);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("/nowhere/at/all is missing"), "{ran:?}");
    // An observer may add none, and the folder that was made for it goes again.
    desk.with_input(&["user", "add", "olga", "--email", "o@example.org", "--role", "observer"], PASSWORD).done();
    let line = desk
        .run(&[
            "--as",
            "olga",
            "watcher",
            "add",
            "mine",
            "--type",
            "folder",
            "--config",
            r#"{"path": "~/a/b", "playbook": "file-away"}"#,
        ])
        .refused();
    assert!(line.contains("you may not do this"), "{line}");
    assert!(!desk.home().join("a").exists());
}

/// A server in a few lines of shell: two tools, the second with what the file beside it says.
const SERVER: &str = r#"
said=$(cat "$HOME/said")
while read -r line; do
  id=$(printf %s "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case $line in
    *'"initialize"'*) printf '%s\n' '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}' ;;
    *'"tools/list"'*) printf '%s\n' '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[{"name":"read_it","description":"Reads it.\nAnd more.","inputSchema":{"type":"object"}},{"name":"move_it","description":"'$said'","inputSchema":{"type":"object"}}]}}' ;;
  esac
done
"#;

#[test]
fn a_server_and_its_tools() {
    let desk = Desk::set_up();
    let script = desk.file("server.sh", SERVER);
    desk.file("said", "Moves-it.");
    let env_file = desk.file("env", "API_KEY=s3cret-value\n");
    let out =
        desk.run(&["server", "add", "mover", "--command", "sh", "--arg", &script, "--env-file", &env_file]).done();
    assert!(out.contains("Added the server mover") && !out.contains("s3cret"), "{out}");
    assert!(desk.run(&["server", "add", "mover", "--command", "sh"]).refused().contains("exists already"));
    for args in [&["server", "list"][..], &["server", "show", "mover"]] {
        assert!(!desk.json(args).to_string().contains("s3cret"));
    }
    let state = |tools: &serde_json::Value, name: &str| {
        tools.as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()["state"].as_str().unwrap().to_owned()
    };
    // No Steward runs, so the terminal asks the server itself.
    let tools = desk.json(&["server", "tools", "mover"]);
    assert_eq!((state(&tools, "read_it").as_str(), state(&tools, "move_it").as_str()), ("new", "new"));
    let ran = desk.run(&["server", "tools", "mover"]);
    assert!(ran.out.contains("Reads it.") && !ran.out.contains("And more"), "{ran:?}");
    assert!(ran.err.contains("approve-tools mover"), "{ran:?}");
    assert!(desk.run(&["server", "approve-tools", "mover", "fly"]).refused().contains("tool fly"));
    desk.run(&["server", "approve-tools", "mover", "read_it", "--repeatable"]).done();
    let tools = desk.json(&["server", "tools", "mover"]);
    assert_eq!((state(&tools, "read_it").as_str(), state(&tools, "move_it").as_str()), ("approved", "new"));
    assert!(desk.run(&["server", "approve-tools", "mover", "--all"]).done().contains("read_it"));
    desk.run(&["server", "pause", "mover"]).done();
    assert!(desk.run(&["server", "list"]).done().contains("paused"));
    desk.run(&["server", "resume", "mover"]).done();
    desk.run(&["server", "remove", "mover"]).done();
    assert!(desk.run(&["server", "tools", "mover"]).refused().contains("server mover"));
    let everything = std::fs::read_dir(desk.data()).unwrap().map(|f| f.unwrap().path()).filter(|f| f.is_file());
    for file in everything {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(12).any(|w| w == b"s3cret-value"), "{}", file.display());
    }
}

#[test]
fn a_server_that_does_not_start() {
    let desk = Desk::set_up();
    desk.run(&["server", "add", "broken", "--command", "no-such-program"]).done();
    let ran = desk.run(&["server", "tools", "broken"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.lines().last().unwrap().contains("no-such-program"), "{ran:?}");
    assert!(desk.run(&["server", "add", "x y", "--command", "sh"]).refused().contains("name"));
    assert!(desk.run(&["server", "add", "x", "--command", "sh", "--env", "s3cret"]).refused().contains("NAME=VALUE"));
    desk.run(&["server", "pause", "broken"]).done();
    assert!(desk.run(&["server", "tools", "broken"]).refused().contains("paused"));
}

#[test]
fn the_filesystem_server_finds_its_folder() {
    let desk = Desk::set_up();
    let folder = desk.home().join("steward");
    let out = desk
        .run(&[
            "server",
            "add",
            "files",
            "--command",
            "npx",
            "--arg",
            "-y",
            "--arg",
            "@modelcontextprotocol/server-filesystem",
            "--arg",
            folder.to_str().unwrap(),
        ])
        .done();
    assert!(out.contains("Made the folder") && out.contains("files: reading"), "{out}");
    assert_eq!(mode(&folder), 0o700);
    let server = desk.json(&["server", "show", "files"]);
    assert_eq!(server["args"], json!(["-y", "@modelcontextprotocol/server-filesystem", folder]));
    assert_eq!(
        desk.json(&["policy", "test", "--server", "files", "--tool", "get_file_info", "--outside"])["effect"],
        "allow"
    );
    assert_eq!(
        desk.json(&["policy", "test", "--server", "files", "--tool", "move_file", "--outside"])["effect"],
        "ask"
    );
    // A refused one leaves no folder behind.
    let other = desk.home().join("other");
    desk.run(&[
        "server",
        "add",
        "files",
        "--command",
        "npx",
        "--arg",
        "server-filesystem",
        "--arg",
        other.to_str().unwrap(),
    ])
    .refused();
    assert!(!other.exists());
}

#[test]
fn playbooks() {
    let desk = Desk::set_up();
    assert_eq!(desk.json(&["playbook", "list"])[0]["name"], "file-away");
    let good = desk.file("good.yaml", "name: look\nsteps:\n  - name: info\n    server: files\n    tool: get_file_info\n    arguments:\n      path: \"{{ file.path }}\"\n");
    let out = desk.run(&["playbook", "check", &good]).done();
    assert!(out.contains("look is right") && out.contains("files/get_file_info"), "{out}");
    assert_eq!(desk.json(&["playbook", "check", &good])["steps"][0]["tool"], "get_file_info");
    let more = desk.file("more.yaml", "name: more\nsteps:\n  - { name: rest, wait: { minutes: 5 } }\n  - { name: next, task: { title: t } }\n  - { name: all, for_each: '[1]', at_most: 1, steps: [{ name: a, server: files, tool: get_file_info }] }\n");
    let out = desk.run(&["playbook", "check", &more]).done();
    for said in ["(waits)", "(makes a task)", "(for each of a list)", "files/get_file_info"] {
        assert!(out.contains(said) && !out.contains("  /"), "{said}: {out}");
    }
    let bad = desk.file("bad.yaml", "name: look\nsteps:\n  - name: info\n    sever: files\n");
    let line = Desk::empty().run(&["playbook", "check", &bad]).refused();
    assert!(line.contains("line 4, column 5") && line.contains("bad.yaml"), "{line}");
    assert!(desk.run(&["playbook", "check", "missing.yaml"]).refused().contains("missing.yaml"));
    let file = desk.file("Rechnung März 2026.pdf", "not really a PDF");
    let task = desk.json(&["playbook", "run", "file-away", "--file", &file]);
    let whole = desk.json(&["task", "show", task["id"].as_str().unwrap()]);
    assert_eq!(whole["task"]["metadata"]["file"]["extension"], "pdf");
    assert_eq!(whole["task"]["metadata"]["watcher"]["path"], desk.home().to_str().unwrap());
    assert_eq!(
        (whole["provenance"]["outside"].as_bool(), whole["queue"]["state"].as_str()),
        (Some(true), Some("ready"))
    );
    assert_eq!(whole["attachments"][0]["file_size"], 16);
    assert_eq!(whole["attachments"][0]["hash_checksum"], whole["task"]["metadata"]["file"]["sha256"]);
    assert!(desk.run(&["playbook", "run", "nothing", "--file", &file]).refused().contains("file-away"));
    assert!(desk.run(&["playbook", "run", "file-away", "--file", "missing"]).refused().contains("missing"));
    assert!(
        desk.run(&["playbook", "run", "file-away", "--file", desk.home().to_str().unwrap()])
            .refused()
            .contains("no plain file")
    );
}
