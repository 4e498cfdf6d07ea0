//! Who saw what the writers did: each number, when it was tried and when it was acknowledged, and what a restored database
//! must and must not hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jiff::Timestamp;
use store::{Actor, Config, Store, Vault, file_attachments, kept_files, tasks};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use uuid::Uuid;

/// Writers at once in one process.
const WRITERS: &str = "3";
/// How long each of them rests after a write, in milliseconds: the proof needs time, not a busy machine.
const REST_MS: &str = "15";
/// Numbers of a process are its own.
const NUMBERS: u64 = 10_000_000;
/// Rows of a page.
const PAGE: i64 = 200;

/// What was seen.
#[derive(Debug, Default)]
pub struct Witness {
    tried: BTreeMap<u64, Timestamp>,
    acknowledged: BTreeMap<u64, Timestamp>,
    processes: u64,
    /// The folder of data whose vault takes in files with what is written.
    data: Option<PathBuf>,
}

/// A process that writes.
#[derive(Debug)]
pub struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// One of this crate's examples, as it was built beside the tests.
pub fn example(name: &str) -> PathBuf {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    let program = program.join("examples").join(name);
    assert!(program.is_file(), "run `cargo build --workspace --examples` first: {} is missing", program.display());
    program
}

impl Witness {
    /// One whose writers bring files too, into the vault of this folder of data.
    pub fn with_files(data: &Path) -> Self {
        Self { data: Some(data.to_owned()), ..Self::default() }
    }

    /// Starts a process that writes.
    pub fn start(&mut self, url: &str, user: Uuid) -> Writer {
        let first = (self.processes * NUMBERS).to_string();
        self.processes += 1;
        let mut child = Command::new(example("writer"))
            .args([url, &user.to_string(), &first, WRITERS, REST_MS])
            .args(&self.data)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Writer { child, lines }
    }

    /// Listens to a writer for a while.
    pub async fn listen(&mut self, writer: &mut Writer, how_long: Duration) {
        let heard = tokio::time::timeout(how_long, async {
            while let Some(line) = writer.lines.next_line().await.unwrap() {
                self.hear(&line);
            }
            panic!("the writer ended by itself");
        });
        drop(heard.await);
    }

    /// Kills a writer and hears what it had still said.
    pub async fn kill(&mut self, mut writer: Writer) {
        writer.child.kill().await.unwrap();
        while let Some(line) = writer.lines.next_line().await.unwrap() {
            self.hear(&line);
        }
    }

    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        // What a killed process had not said to its end tells nothing.
        let (Some(Ok(number)), Some(Ok(micros))) = (words.next().map(str::parse), words.next().map(str::parse)) else {
            return;
        };
        let at = Timestamp::from_microsecond(micros).unwrap();
        match what {
            "try" => drop(self.tried.insert(number, at)),
            "ack" => drop(self.acknowledged.insert(number, at)),
            "err" => {}
            other => panic!("{other}"),
        }
    }

    /// How many were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Every write that was acknowledged by that moment is there, and none that was begun after it. Answers how many are
    /// there.
    pub async fn judge(&self, config: &Config, user: Uuid, moment: Timestamp) -> usize {
        let there = numbers(config, user).await;
        let by_then = self.acknowledged.iter().filter(|(_, at)| **at <= moment);
        let lost: Vec<_> = by_then.clone().filter(|(number, _)| !there.contains(number)).collect();
        assert!(
            lost.is_empty(),
            "acknowledged by {moment} and lost: {} of {}: {:?}",
            lost.len(),
            by_then.count(),
            lost.first()
        );
        for number in &there {
            let tried = self.tried.get(number).unwrap_or_else(|| panic!("{number} was written by nobody"));
            assert!(*tried <= moment, "{number} was begun at {tried}, after {moment}");
        }
        there.len()
    }
}

/// Each file that a restored database names is in the folder's vault, and holds what was written. Answers how many.
pub async fn files(folder: &Path, config: &Config, vault: &Vault) -> usize {
    let (store, service) = (Store::open(config).await.unwrap(), Actor::service());
    let (vault, mut found, mut after) = (vault.at(&folder.join("attachments")), 0, Uuid::nil());
    loop {
        let page = file_attachments::after(&service, &store, after, PAGE).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.id;
        for row in page {
            let kept = kept_files::get(&service, &store, &row.storage_path).await.unwrap().unwrap();
            let mut file = vault.open_file(&row.storage_path, Some(&kept.sealed_key)).unwrap();
            assert_eq!(file.digest(&|| false).unwrap(), row.hash_checksum, "{}", row.filename);
            found += 1;
        }
    }
    store.close().await;
    found
}

/// The numbers that stand in a database, each once.
async fn numbers(config: &Config, user: Uuid) -> BTreeSet<u64> {
    let (store, actor) = (Store::open(config).await.unwrap(), Actor::user(user));
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = tasks::list(&actor, &store, None, cursor, PAGE).await.unwrap();
        for task in &page {
            assert!(found.insert(task.title.parse().unwrap()), "{} is there twice", task.title);
        }
        match page.last() {
            Some(last) if i64::try_from(page.len()).unwrap() == PAGE => cursor = Some((last.created_at, last.id)),
            _ => break,
        }
    }
    store.close().await;
    found
}
