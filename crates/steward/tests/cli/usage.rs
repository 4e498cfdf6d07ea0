//! Help, wrong usage and wrong settings.

use crate::desk::Desk;

#[test]
fn help_is_the_manual() {
    let desk = Desk::empty().env("COLUMNS", "110");
    insta::assert_snapshot!("help", desk.run(&["--help"]).done());
    for noun in [
        "setup", "db", "user", "task", "approval", "watcher", "server", "policy", "schedule", "playbook", "notify",
        "logs", "audit", "status", "briefing", "doctor",
    ] {
        let out = desk.run(&[noun, "--help"]).done();
        assert!(out.contains("Usage: steward"), "{out}");
    }
    assert!(desk.run(&["--version"]).done().starts_with("steward "));
}

#[test]
fn shells_complete_and_the_manual_is_written() {
    let desk = Desk::empty();
    for (shell, sign) in
        [("bash", "complete -F _steward"), ("zsh", "#compdef steward"), ("fish", "complete -c steward")]
    {
        let script = desk.run(&["completions", shell]).done();
        for word in [sign, "approve-tools", "token-file"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    let file = desk.file("steward.bash", &desk.run(&["completions", "bash"]).done());
    let completed = std::process::Command::new("bash")
        .args(["--norc", "-c", "source \"$0\" && COMP_WORDS=(steward app) COMP_CWORD=1 && _steward steward app steward && echo \"${COMPREPLY[@]}\"", &file])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "approval", "{completed:?}");
    assert!(desk.run(&["man"]).done().contains(".SH NAME"));
    let folder = desk.home().join("man1");
    desk.run(&["man", "--into", folder.to_str().unwrap()]).done();
    let page = std::fs::read_to_string(folder.join("steward-task-add.1")).unwrap();
    assert!(!folder.join("steward-help.1").exists(), "help is no page of its own");
    assert!(page.contains("priority") && page.contains("token\\-file"), "{page}");
}

#[test]
fn wrong_usage_is_2() {
    let desk = Desk::empty();
    for args in [
        &["--nonsense"][..],
        &["nonsense"],
        &["task", "add"],
        &["task", "show", "no-uuid"],
        &["task", "show", "019"],
        &["logs", "--task", "zzz"],
        &["task", "add", "x", "--priority", "urgent"],
        &["task", "add", "x", "--due", "soon"],
        &["task", "list", "--limit", "0"],
        &["approval", "approve", "019b0000-0000-7000-8000-000000000000", "--set", "x"],
        &["watcher", "add", "x", "--type", "carrier-pigeon", "--config", "{}"],
        &["server", "approve-tools", "files"],
        &["user", "role", "ada", "king"],
        &["policy", "add", "x"],
        &["--only", "web", "task", "list"],
        &["serve", "--only", "nothing"],
        &["logs", "--follow", "--json"],
    ] {
        let ran = desk.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
    }
    for args in [
        &["backup", "restore", "--into", "x", "--to", "yesterday"][..],
        &["audit", "export", "--since", "2026-13-01T00:00:00Z"],
        &["attachment", "add", "019b0000-0000-7000-8000-000000000000", "x", "--expires-at", "never"],
    ] {
        let ran = desk.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("T15:00:00Z"), "{args:?}: it says how a moment is written: {}", ran.err);
    }
    assert!(!desk.data().exists());
}

#[test]
fn wrong_settings_are_named_in_one_line() {
    let desk = Desk::empty().env("STEWARD_POOLSIZE", "3");
    assert!(desk.run(&["status"]).refused().contains("STEWARD_POOLSIZE is no setting"));
    let desk = Desk::empty();
    let file = desk.file("wrong.toml", "listen = \"127.0.0.1:1\"\npolsize = 3\n");
    let line = desk.run(&["--config", &file, "status"]).refused();
    assert!(line.contains("line 2") && line.contains("polsize") && line.contains("pool_size"), "{line}");
    let file = desk.file("wrong.toml", "pool_size = 3000\n");
    let line = desk.run(&["status", "--config", &file]).refused();
    assert!(line.contains("pool_size") && line.contains("line 1") && line.contains("1 to 500"), "{line}");
    assert!(desk.run(&["--config", "missing.toml", "status"]).refused().contains("missing.toml"));
    for url in ["mysql://u:s3cret@localhost/x", "postgres://u:s3cret@localhost:nonsense/x"] {
        let line = Desk::empty().env("DATABASE_URL", url).run(&["status"]).refused();
        assert!(line.contains("DATABASE_URL") && !line.contains("s3cret"), "{line}");
    }
    let line = desk.run(&["--database-url", "postgres://u:s3cret@localhost/x", "status"]).refused();
    assert!(line.contains("--database-url") && !line.contains("s3cret"), "{line}");
    assert!(!desk.data().exists(), "nothing was made");
}

#[test]
fn a_file_in_the_data_folder_counts() {
    let desk = Desk::set_up();
    std::fs::write(desk.data().join("steward.toml"), "lease_s = \"long\"\n").unwrap();
    let line = desk.run(&["status"]).refused();
    assert!(line.contains("lease_s") && line.contains("steward.toml line 1"), "{line}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    // A closed stdout, as `head` leaves it.
    let desk = Desk::set_up();
    let status = std::process::Command::new("sh")
        .args(["-c", "\"$0\" task list --json | true", env!("CARGO_BIN_EXE_steward")])
        .env("STEWARD_DATA_DIR", desk.data())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(status.stderr).unwrap(), "");
}

#[test]
fn what_is_wrong_is_said_in_plain_words() {
    let desk = Desk::set_up();
    for (args, words) in [
        (&["--port", "8080"][..], "--listen 127.0.0.1:8080"),
        (&["serve", "--port=8080"], "STEWARD_LISTEN"),
        (&["logs", "--task", "zzz"], "36 characters"),
        (&["policy", "add", "x", "--effect", "ask", "--position", "-1"], "from 1 to 2147483647"),
        (&["policy", "add", "x", "--effect", "ask", "--position", "99999999999"], "from 1 to 2147483647"),
        (&["task", "list", "--limit", "-3"], "1..=500"),
    ] {
        let ran = desk.run(args);
        assert!(ran.code == 2 && ran.err.contains(words), "{args:?}: {ran:?}");
    }
    let last = i32::MAX.to_string();
    desk.run(&["policy", "add", "last", "--effect", "ask", "--position", &last]).done();
    let line = desk.run(&["policy", "add", "behind", "--effect", "ask", "--position", &last]).refused();
    assert!(line.contains("no place behind"), "{line}");
    let ran = desk.run(&["logs", "--search", "nowhere"]);
    assert!(
        ran.code == 0 && ran.err.contains("nothing found for \"nowhere\"") && ran.err.contains("messages"),
        "{ran:?}"
    );
    let help = desk.run(&["setup", "--help"]).done();
    assert!(help.contains(&format!("{} characters", domain::passwords::MIN_CHARS)), "{help}");
}
