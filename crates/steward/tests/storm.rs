//! Many events at once, through watchers, playbooks and approvals, while the processes that work on them are killed at random
//! moments: each event becomes one task, each effect happens once, and where nobody knows whether it did a person is asked.
//!
//! `STEWARD_TEST_EVENTS` says how many events (each database), `STEWARD_TEST_SEED` which random moments; the seed is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on stops where it stands"
)]

mod bench;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use bench::Bench;
use domain::{
    decide::{Decision, decide},
    rules,
};
use serde_json::{Value, json};
use store::{
    approvals, audit_trail,
    policies::NewPolicy,
    runs, tasks,
    tasks::{Cursor, Task},
};

/// Events where nothing is said.
const EVENTS: u64 = 120;
/// Lives of all nodes together that are ended by force, at the least …
const DEATHS: u64 = 12;
/// … and one for so many events.
const EVENTS_A_DEATH: u64 = 200;
/// How often it is looked whether all is over, and so much more seldom for each thousand events: the look goes through them all.
const COUNT_EVERY: Duration = Duration::from_millis(200);
/// Steps of the journal for each event, about.
const POINTS: u64 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_or_doubled_on_sqlite() {
    storm(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_or_doubled_on_postgres() {
    storm(true).await;
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// Numbers that look random and are the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn throw() -> Self {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
        let seed = number("STEWARD_TEST_SEED", u64::from(clock));
        println!("STEWARD_TEST_SEED={seed}");
        // A small seed would begin with small numbers.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From `from` to just below `to`.
    fn within(&mut self, from: u64, to: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from + self.0 % (to - from).max(1)
    }
}

/// One process that works, in a data directory of its own.
struct Node {
    data: PathBuf,
    child: Child,
    /// When it is killed from outside, where that is so.
    dies_at: Option<Instant>,
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(bench: &Bench, data: &Path, kill_at: Option<u64>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
    command
        .args(["serve", "--only", "work"])
        .env_clear()
        .envs(std::env::vars().filter(|(k, _)| ["PATH", "HOME", "LANG"].contains(&k.as_str())))
        .env("DATABASE_URL", &bench.url)
        .env("STEWARD_DATA_DIR", data)
        .env("STEWARD_MASTER_KEY_FILE", bench.dir.path().join("data/master.key"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(point) = kill_at {
        command.env("STEWARD_TEST_KILL_AT", point.to_string());
    }
    command.spawn().unwrap()
}

/// The folders, the playbooks, the rules and the watchers: half of the events are files, half rows of a statement; a third of
/// them asks.
async fn prepare(bench: &Bench, nodes: &[PathBuf], events: u64) {
    let home = bench.dir.path().join("home");
    for folder in ["storm", "bank"] {
        std::fs::create_dir_all(home.join(folder)).unwrap();
    }
    let book = |name: &str, line: &str| {
        format!(
            "name: {name}\nsteps:\n  - name: note\n    server: files\n    tool: append\n    arguments: {{ line: \"{line}\" }}\n"
        )
    };
    for data in nodes {
        std::fs::create_dir_all(data.join("playbooks")).unwrap();
        for (name, line) in [("count-file", "{{ file.name }}"), ("count-row", "{{ event.rows[0].text }}")] {
            std::fs::write(data.join(format!("playbooks/{name}.yaml")), book(name, line)).unwrap();
        }
    }
    let rule = NewPolicy {
        position: 0,
        name: "most are allowed".to_owned(),
        server: "files".to_owned(),
        tool: "append".to_owned(),
        condition: Some(
            "!(args.line.endsWith(\"0\") || args.line.endsWith(\"3\") || args.line.endsWith(\"6\"))".to_owned(),
        ),
        outside: true,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 600,
    };
    rules::add(&bench.store, &bench.ada, rule, None).await.unwrap();
    let files = json!({ "path": home.join("storm"), "playbook": "count-file", "settle_ms": 100 });
    store::watchers::create(&bench.ada, &bench.store, "storm", "folder", files).await.unwrap();
    let columns = json!({ "date": "date", "amount": "amount", "text": "text" });
    let rows = json!({ "path": home.join("bank"), "playbook": "count-row", "per": "row", "every_s": 5, "format": { "columns": columns } });
    store::watchers::create(&bench.ada, &bench.store, "bank", "csv", rows).await.unwrap();
    for n in 0..events / 2 {
        std::fs::write(home.join(format!("storm/file-{n:05}")), format!("content {n}")).unwrap();
    }
    let mut statement = "date,amount,text\n".to_owned();
    for n in events / 2..events {
        writeln!(statement, "2026-01-01,1.00,row-{n:05}").unwrap();
    }
    let path = home.join("bank/january.csv");
    std::fs::write(&path, statement).unwrap();
    let then = SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
}

async fn storm(postgres: bool) {
    let events = number("STEWARD_TEST_EVENTS", EVENTS) / 2 * 2;
    let mut dice = Dice::throw();
    let bench = Bench::new(postgres).await;
    let folders: Vec<PathBuf> = (0..if postgres { 3 } else { 1 })
        .map(|n| bench.dir.path().join(if n == 0 { "data".into() } else { format!("node-{n}") }))
        .collect();
    prepare(&bench, &folders, events).await;
    let (mut deaths, wanted_deaths) = (0, DEATHS.max(events / EVENTS_A_DEATH));
    let mut start = |data: PathBuf, deaths: u64| {
        let may_die = deaths < wanted_deaths;
        // Most die at a point of the journal, some wherever they stand.
        let by_point = may_die && dice.within(0, 3) > 0;
        let most = (events * POINTS / wanted_deaths).max(30);
        let kill_at = by_point.then(|| dice.within(3, most));
        let dies_at = (may_die && !by_point).then(|| Instant::now() + Duration::from_millis(dice.within(100, 2500)));
        Node { child: spawn(&bench, &data, kill_at), data, dies_at }
    };
    let mut nodes: Vec<Node> = folders.into_iter().map(|data| start(data, 0)).collect();
    let patience =
        Instant::now() + Duration::from_secs(120) + Duration::from_millis(300) * u32::try_from(events).unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    let mut asked = BTreeMap::<String, u64>::new();
    let count_every = COUNT_EVERY * u32::try_from(1 + events / 1000).unwrap();
    let mut counted = Instant::now();
    loop {
        tick.tick().await;
        assert!(Instant::now() < patience, "not in time: {} of {events} tasks", all(&bench).await.len());
        for node in &mut nodes {
            let is_due = node.dies_at.is_some_and(|at| Instant::now() >= at);
            if is_due || node.child.try_wait().unwrap().is_some() {
                deaths += 1;
                drop(node.child.kill());
                drop(node.child.wait());
                *node = start(node.data.clone(), deaths);
            }
        }
        for open in approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 100).await.unwrap() {
            *asked.entry(open.action_type.clone()).or_default() += 1;
            let details = open.details.as_ref().unwrap();
            let arguments = (open.action_type == "outcome_unknown").then(|| {
                // A person who is asked whether a call happened looks at the world.
                let happened = lines(&bench).contains_key(details["arguments"]["line"].as_str().unwrap());
                json!({ "resolution": if happened { "done" } else { "retry" } })
            });
            let yes = Decision { approve: true, note: None, arguments };
            decide(&bench.store, &bench.ada, open.id, yes).await.unwrap();
        }
        if Instant::now() >= counted + count_every {
            if is_over(&bench, events).await {
                break;
            }
            counted = Instant::now();
        }
    }
    drop(nodes);
    println!("{events} events, {deaths} processes killed, people were asked {asked:?}");
    judge(&bench, events).await;
}

async fn is_over(bench: &Bench, events: u64) -> bool {
    for status in ["pending", "in_progress"] {
        if !tasks::list(&bench.ada, &bench.store, Some(status), None, 1).await.unwrap().is_empty() {
            return false;
        }
    }
    all(bench).await.len() as u64 == events
}

/// Every task, whatever its state.
async fn all(bench: &Bench) -> Vec<Task> {
    let mut found: Vec<Task> = Vec::new();
    let mut place: Option<Cursor> = None;
    loop {
        let page = tasks::list(&bench.ada, &bench.store, None, place, 200).await.unwrap();
        let Some(last) = page.last() else { return found };
        place = Some((last.created_at, last.id));
        found.extend(page);
    }
}

/// The effects in the world: each line with how often it was appended.
fn lines(bench: &Bench) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for effect in bench.effects() {
        if let Some(arguments) = effect.strip_prefix("append ") {
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            *counted.entry(arguments["line"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    counted
}

async fn judge(bench: &Bench, events: u64) {
    let wanted: BTreeSet<String> =
        (0..events).map(|n| if n < events / 2 { format!("file-{n:05}") } else { format!("row-{n:05}") }).collect();
    let counted = lines(bench);
    let happened: BTreeSet<String> = counted.keys().cloned().collect();
    assert_eq!(happened, wanted, "each event had its effect, and nothing else happened");
    let twice: Vec<_> = counted.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "these happened more than once: {twice:?}");
    let tasks = all(bench).await;
    assert_eq!(tasks.len() as u64, events, "no event is lost, and none is two tasks");
    let mut lines = BTreeSet::new();
    for task in &tasks {
        assert_eq!(task.status, "completed", "{task:#?}");
        let all = runs::list(&bench.ada, &bench.store, task.id).await.unwrap();
        assert_eq!(all.len(), 1, "one run a task: {all:#?}");
        let steps = runs::steps(&bench.ada, &bench.store, all[0].id).await.unwrap();
        assert_eq!(steps.len(), 1, "{steps:#?}");
        assert_eq!(steps[0].state, "succeeded", "{steps:#?}");
        let arguments: Value = serde_json::from_str(&steps[0].arguments).unwrap();
        lines.insert(arguments["line"].as_str().unwrap().to_owned());
    }
    assert_eq!(lines, wanted, "each task is of an event of its own");
    assert_eq!(audit_trail::verify(&bench.ada, &bench.store).await.unwrap().broken, None);
}
