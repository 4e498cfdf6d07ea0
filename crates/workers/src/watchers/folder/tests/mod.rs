//! The folder watcher on a real folder, with an intake in memory whose words are the tests' signals.

mod arrivals;
mod refusals;
mod troubles;

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::eyes::Eyes;
use super::*;

/// No signal takes this long unless something is broken.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(super) struct TakenFile {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) raw_name: Option<Vec<u8>>,
    pub(super) size_bytes: u64,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Told {
    Take(TakenFile),
    Refused(Refusal),
    Healthy,
    Failed(String),
    Looked(Round),
}

/// An intake in memory.
pub(super) struct Fake {
    told: mpsc::UnboundedSender<Told>,
    known: Mutex<HashSet<(String, String)>>,
    pub(super) takes: AtomicUsize,
    /// Takes fail while set.
    pub(super) down: AtomicBool,
    /// Files of this name always fail.
    pub(super) poison: Mutex<Option<String>>,
    /// The next take panics.
    pub(super) panics: AtomicBool,
    /// Takes never end while set.
    pub(super) hangs: AtomicBool,
    /// Writes to the file while the next take reads it.
    pub(super) disturb: AtomicBool,
}

impl Fake {
    fn say(&self, told: Told) {
        // The test may have ended already.
        let _ = self.told.send(told);
    }

    fn read(candidate: &mut Candidate) -> Vec<u8> {
        let mut body = Vec::new();
        if candidate.size_bytes < 1 << 20 {
            candidate.file.read_to_end(&mut body).unwrap();
        }
        body
    }
}

impl Intake for Fake {
    fn known<'a>(&'a self, source: &'a str, fingerprint: &'a str) -> BoxFuture<'a, Result<bool, IntakeError>> {
        async move { Ok(self.known.lock().unwrap().contains(&(source.to_owned(), fingerprint.to_owned()))) }.boxed()
    }

    fn take(&self, mut candidate: Candidate) -> BoxFuture<'_, Result<Taken, IntakeError>> {
        async move {
            if self.hangs.load(Ordering::SeqCst) {
                self.takes.fetch_add(1, Ordering::SeqCst);
                self.say(Told::Take(TakenFile {
                    path: candidate.path.clone(),
                    name: candidate.name.clone(),
                    raw_name: None,
                    size_bytes: 0,
                    body: Vec::new(),
                }));
                std::future::pending::<()>().await;
            }
            assert!(!self.panics.swap(false, Ordering::SeqCst), "the intake panics");
            let poisoned = self.poison.lock().unwrap().as_ref() == Some(&candidate.name);
            if self.down.load(Ordering::SeqCst) || poisoned {
                return Err(IntakeError::new("the database does not answer."));
            }
            let body = Self::read(&mut candidate);
            if self.disturb.swap(false, Ordering::SeqCst) {
                std::fs::write(&candidate.path, "disturbed").unwrap();
            }
            if !candidate.is_unchanged().unwrap() {
                return Ok(Taken::Changed);
            }
            self.known.lock().unwrap().insert((candidate.source.clone(), candidate.fingerprint.clone()));
            self.takes.fetch_add(1, Ordering::SeqCst);
            self.say(Told::Take(TakenFile {
                path: candidate.path,
                name: candidate.name,
                raw_name: candidate.raw_name,
                size_bytes: candidate.size_bytes,
                body,
            }));
            Ok(Taken::Task(Uuid::now_v7()))
        }
        .boxed()
    }

    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<(), IntakeError>> {
        async move {
            self.known.lock().unwrap().insert((refusal.source.clone(), refusal.fingerprint.clone()));
            self.say(Told::Refused(refusal));
            Ok(())
        }
        .boxed()
    }

    fn healthy(&self) -> BoxFuture<'_, ()> {
        async move { self.say(Told::Healthy) }.boxed()
    }

    fn failed<'a>(&'a self, error: &'a str) -> BoxFuture<'a, ()> {
        async move { self.say(Told::Failed(error.to_owned())) }.boxed()
    }

    fn looked(&self, round: Round) {
        self.say(Told::Looked(round));
    }
}

/// A folder, its watcher and what it said.
pub(super) struct Rig {
    pub(super) dir: TempDir,
    settings: Value,
    pub(super) fake: Arc<Fake>,
    told: mpsc::UnboundedReceiver<Told>,
    pub(super) wake: Arc<Notify>,
    stop: CancellationToken,
    watcher: Option<JoinHandle<()>>,
}

impl Rig {
    /// A folder that nobody watches yet.
    pub(super) fn new(settings: Value) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let fake = Fake {
            told: sender,
            known: Mutex::default(),
            takes: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            poison: Mutex::default(),
            panics: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            disturb: AtomicBool::new(false),
        };
        let dir = tempfile::tempdir().unwrap();
        let rig = Self {
            dir,
            settings,
            fake: Arc::new(fake),
            told,
            wake: Arc::default(),
            stop: CancellationToken::new(),
            watcher: None,
        };
        std::fs::create_dir(rig.root()).unwrap();
        rig
    }

    /// The same, watched and at rest.
    pub(super) async fn started(settings: Value) -> Self {
        let mut rig = Self::new(settings);
        rig.start();
        rig.quiet().await;
        rig
    }

    /// The watched folder.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    fn config(&self) -> FolderConfig {
        let mut config = json!({"path": self.root(), "playbook": "p", "settle_ms": 100, "poll_ms": 250});
        for (key, value) in self.settings.as_object().unwrap() {
            config[key] = value.clone();
        }
        parse(&config).unwrap()
    }

    pub(super) fn start(&mut self) {
        let eyes = Eyes::new(Arc::clone(&self.wake));
        self.start_with(eyes);
    }

    /// Starts with the system's reports going nowhere.
    pub(super) fn start_blind(&mut self) {
        self.start_with(Eyes::new(Arc::default()));
    }

    fn start_with(&mut self, eyes: Eyes) {
        self.stop = CancellationToken::new();
        let intake: Arc<dyn Intake> = Arc::clone(&self.fake) as _;
        let watching = run::run_with(eyes, self.config(), intake, Arc::clone(&self.wake), self.stop.clone());
        self.watcher = Some(tokio::spawn(watching));
    }

    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        timeout(LIMIT, self.watcher.take().unwrap()).await.unwrap().unwrap();
    }

    /// Waits for a word that the test looks for; others are passed over.
    pub(super) async fn wait<T>(&mut self, mut find: impl FnMut(Told) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = find(self.told.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        timeout(LIMIT, waiting).await.expect("the watcher said nothing of the kind")
    }

    pub(super) async fn take(&mut self) -> TakenFile {
        self.wait(|told| match told {
            Told::Take(file) => Some(file),
            Told::Refused(refusal) => panic!("refused: {refusal:?}"),
            _ => None,
        })
        .await
    }

    pub(super) async fn refusal(&mut self) -> Refusal {
        self.wait(|told| if let Told::Refused(refusal) = told { Some(refusal) } else { None }).await
    }

    pub(super) async fn failed(&mut self) -> String {
        self.wait(|told| if let Told::Failed(text) = told { Some(text) } else { None }).await
    }

    pub(super) async fn healthy(&mut self) {
        self.wait(|told| matches!(told, Told::Healthy).then_some(())).await;
    }

    pub(super) async fn looked(&mut self, fits: impl Fn(&Round) -> bool) -> Round {
        self.wait(|told| if let Told::Looked(round) = told { fits(&round).then_some(round) } else { None }).await
    }

    /// Waits for so many whole looks that began after this call.
    pub(super) async fn looks(&mut self, count: usize) -> Round {
        while self.told.try_recv().is_ok() {}
        // One may have been under way.
        let mut last = self.looked(|round| round.listed).await;
        for _ in 0..count {
            last = self.looked(|round| round.listed).await;
        }
        last
    }

    /// Waits until everything in the folder is dealt with, as seen by a look that began after this call.
    pub(super) async fn quiet(&mut self) {
        let last = self.looks(1).await;
        if last.pending > 0 {
            self.looked(|round| round.listed && round.pending == 0).await;
        }
    }

    pub(super) fn takes(&self) -> usize {
        self.fake.takes.load(Ordering::SeqCst)
    }
}
