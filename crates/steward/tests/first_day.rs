//! The first ten minutes of the README by the real program, on both databases: as written with the server of files that comes
//! with Steward, and with the real one from elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod bench;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value as Json;

struct Person {
    home: tempfile::TempDir,
    url: Option<String>,
}

impl Person {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("STEWARD_LISTEN", "127.0.0.1:0");
        if let Some(url) = &self.url {
            command.env("DATABASE_URL", url);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed and answers what it printed.
    fn steward(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(
            out.status.success(),
            "steward {args:?}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap()
    }

    fn list(&self, args: &[&str]) -> Vec<Json> {
        let mut all = args.to_vec();
        all.push("--json");
        serde_json::from_str(&self.steward(&all)).unwrap()
    }

    /// Looks again until `look` finds something.
    async fn until<T>(&self, what: &str, limit: Duration, look: impl Fn(&Self) -> Option<T>) -> T {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let found = async {
            loop {
                tick.tick().await;
                if let Some(found) = look(self) {
                    return found;
                }
            }
        };
        let in_time = tokio::time::timeout(limit, found).await;
        in_time.unwrap_or_else(|late| {
            panic!("{late}: {what}\n{}\n{}", self.steward(&["task", "list"]), self.steward(&["logs"]))
        })
    }
}

struct Serving(Child);
impl Serving {
    /// Starts `steward` and waits for the line that says where the desk is.
    fn start(person: &Person) -> (Self, String, Vec<String>) {
        let mut child = person.command(&[]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it ended at once").unwrap();
        let address = first.split_whitespace().find(|w| w.starts_with("http://")).unwrap().to_owned();
        let mut more = Vec::new();
        if first.contains("Steward") {
            // The set-up link follows only on the first start; reading on must not block afterwards.
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
            while let Ok(line) = receiver.recv_timeout(Duration::from_secs(1)) {
                more.push(line);
            }
        }
        (Self(child), address, more)
    }
}
impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn file_server() -> String {
    std::env::var("STEWARD_TEST_FILESYSTEM_SERVER").expect("STEWARD_TEST_FILESYSTEM_SERVER is not set; run ./test")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_day_on_sqlite() {
    the_first_day(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_day_on_postgres() {
    let (url, drop_from) = bench::postgres_database();
    the_first_day(Some(url)).await;
    let (base, name) = drop_from.unwrap();
    bench::psql(&base, &format!("DROP DATABASE {name} WITH (FORCE)"));
}

async fn the_first_day(url: Option<String>) {
    let person = Person { home: tempfile::tempdir().unwrap(), url };
    if person.url.is_some() {
        let early = person.run(&[]);
        assert_eq!(early.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&early.stderr).contains("steward db migrate"),
            "an old schema is refused, with the command to run"
        );
        person.steward(&["db", "migrate"]);
    }
    let (serving, _address, said) = Serving::start(&person);
    assert!(said.iter().any(|l| l.contains("/setup/")), "{said:?}");
    set_up(&person);
    let home = person.home.path().to_owned();
    let steward = home.join("steward");
    if person.url.is_none() {
        let settings = r#"{"folders": ["~/steward"]}"#;
        person.steward(&["server", "add", "files", "--builtin", "files", "--config", settings]);
    } else {
        let (program, folder) = (file_server(), steward.to_str().unwrap());
        person.steward(&["server", "add", "files", "--command", "node", "--arg", &program, "--arg", folder]);
    }
    let offered = person.steward(&["server", "tools", "files"]);
    assert!(offered.contains("move_file"), "{offered}");
    person.steward(&["server", "approve-tools", "files", "--all"]);
    person.steward(&[
        "watcher",
        "add",
        "inbox",
        "--type",
        "folder",
        "--config",
        r#"{"path": "~/steward/inbox", "playbook": "file-away"}"#,
    ]);

    // Approved as asked.
    let first = drop_file(&steward, "Rechnung März 2026.pdf", b"%PDF-1.4 first");
    let dropped = std::time::Instant::now();
    person.until("a task", Duration::from_secs(10), |p| p.list(&["task", "list"]).pop()).await;
    println!("a task after {} ms", dropped.elapsed().as_millis());
    let approval = pending(&person).await;
    let id = approval["id"].as_str().unwrap();
    assert_eq!(approval["details"]["tool"], "move_file");
    assert_eq!(approval["details"]["outside"], true);
    assert!(first.exists());
    person.steward(&["approval", "approve", id]);
    settled(&person, 1).await;
    assert!(!first.exists());
    let moved = approval["details"]["arguments"]["destination"].as_str().unwrap();
    assert_eq!(std::fs::read(moved).unwrap(), b"%PDF-1.4 first");
    let again = person.run(&["approval", "approve", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("already approved"));

    // Approved with another destination; one that does not fit is refused and changes nothing.
    let second = drop_file(&steward, "note.txt", b"second");
    let id = pending(&person).await["id"].as_str().unwrap().to_owned();
    let elsewhere = steward.join("elsewhere.txt");
    assert_eq!(person.run(&["approval", "approve", &id, "--set", "nothing.here=1"]).status.code(), Some(1));
    person.steward(&["approval", "approve", &id, "--set", &format!("destination={}", elsewhere.display())]);
    settled(&person, 2).await;
    assert!(elsewhere.exists() && !second.exists());

    // Rejected with a note.
    let third = drop_file(&steward, "odd\nname 'quoted'.txt", b"third");
    let id = pending(&person).await["id"].as_str().unwrap().to_owned();
    person.steward(&["approval", "reject", &id, "--note", "leave it there"]);
    settled(&person, 3).await;
    assert!(third.exists());
    let failed = person.list(&["task", "list", "--status", "failed"]);
    assert!(failed[0]["metadata"]["failure_reason"].as_str().unwrap().contains("leave it there"), "{failed:?}");

    assert!(
        person.steward(&["audit", "verify"]).to_lowercase().contains("whole")
            || person.run(&["audit", "verify"]).status.success()
    );
    if person.url.is_none() {
        let other = person.run(&[]);
        assert_eq!(other.status.code(), Some(1));
        let said = String::from_utf8_lossy(&other.stderr).into_owned();
        assert!(said.contains(&serving.0.id().to_string()), "the second is told the first's pid: {said}");
    }
    assert!(person.steward(&["db", "drift"]).trim().is_empty() || person.run(&["db", "drift"]).status.success());
}

fn set_up(person: &Person) {
    let mut child = person
        .command(&["setup", "--username", "ada", "--email", "ada@example.org"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "four words are enough").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn drop_file(steward: &Path, name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = steward.join("inbox").join(name);
    std::fs::write(&path, content).unwrap();
    path
}

async fn pending(person: &Person) -> Json {
    person
        .until("an approval is pending", Duration::from_secs(20), |p| {
            p.list(&["approval", "list", "--status", "pending"]).pop()
        })
        .await
}

/// Waits until so many tasks are neither pending nor in progress.
async fn settled(person: &Person, count: usize) {
    person
        .until("the task has ended", Duration::from_secs(20), |p| {
            let ended = p
                .list(&["task", "list"])
                .iter()
                .filter(|t| t["status"] == "completed" || t["status"] == "failed")
                .count();
            (ended == count).then_some(())
        })
        .await;
}
