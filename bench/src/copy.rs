//! Writes beside the copy of a big SQLite file: a backup is made and the log is shipped while somebody writes. Each write is
//! timed, against the same writer without a copy, and so is how far the log grows.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use backup::{
    Attachments, Engine, Place, Progress, Safe,
    engine::SqliteEngine,
    keys::Recipients,
    place::Access,
    safe::Keep,
    ship::{self, Pace, Shipping},
};
use store::{
    Actor, Store, Vault,
    tasks::{self, NewTask},
};
use tokio_util::sync::CancellationToken;

use crate::{
    data,
    error::{Error, Result},
    measure::{Aim, Line, Plan, Series, as_f64},
};

/// Tasks in the file, beside what makes it big.
const TASKS: usize = 10_000;
/// Bytes of one thing that makes it big.
const PIECE: u32 = 1_000_000;
/// Bytes of the log that may wait for the place.
const ROOM: u64 = 4_000_000_000;
/// Between two writes of whoever does not write without rest.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest write beside a copy, in milliseconds.
const MOST_MS: f64 = 50.0;
/// Rounds at most: each makes a backup of the whole file.
const ROUNDS: usize = 3;
/// How often it is looked how large the log is.
const LOOKING: Duration = Duration::from_millis(20);

/// The file, and where all of it lies.
#[derive(Debug)]
pub(crate) struct Copying<'a> {
    /// A folder with room for three times the file.
    pub(crate) folder: &'a Path,
    /// How big it is, in millions of bytes.
    pub(crate) size_mb: u64,
    /// How often and how long.
    pub(crate) plan: Plan,
}

/// How long the writes of one turn took, in milliseconds.
struct Waits(Vec<f64>);

impl Waits {
    fn longest(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }

    /// Within which 99 of 100 are done.
    fn most(&self) -> f64 {
        self.0.get(self.0.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
    }
}

impl Copying<'_> {
    pub(crate) async fn measure(&self) -> Result<Vec<Line>> {
        let home = self.folder.join("copied");
        std::fs::create_dir_all(&home)?;
        let file = home.join("steward.db");
        data::load_sqlite(&file, TASKS).await?;
        let (path, pieces) = (file.clone(), self.size_mb * 1_000_000 / u64::from(PIECE));
        tokio::task::spawn_blocking(move || fill(&path, pieces)).await??;
        store::backup::ship(&file)?;
        let store = Store::open(&store::Config::from_url(&format!("sqlite://{}", file.display()))?).await?;
        let vault = Vault::open(&home.join("master.key"), &home.join("attachments"))?;
        let recipients = Recipients::master(&vault);
        let shipping = Shipping::open(&file, &home.join("backup"), recipients.clone(), ROOM)?;
        let shipping = Arc::new(Mutex::new(shipping));
        let kept = self.folder.join("kept");
        let safe = Safe {
            place: Place::open(&kept.to_string_lossy(), &Access::default())?,
            recipients: Some(recipients),
            engine: Engine::Sqlite(SqliteEngine::new(file.clone()).with_shipping(Arc::clone(&shipping))),
            vault: Some(vault),
            attachments_dir: home.join("attachments"),
            master_key_file: home.join("master.key"),
            data_dir: home.clone(),
            settings_file: home.join("steward.toml"),
            models_file: home.join("models.toml"),
            scratch_dir: home.join("backup"),
            keep: Keep { daily: 1, weekly: 0, monthly: 0 },
            progress: Progress::default(),
            version: env!("CARGO_PKG_VERSION"),
        };
        safe.create().await?;
        let (stop, copied) = (CancellationToken::new(), safe.clone());
        let copy = move || {
            let safe = copied.clone();
            async move { safe.create().await.map(drop) }
        };
        let attachments = Attachments::new(safe.attachments_dir.clone());
        let alarm = |alarm| println!("copy: {alarm:?}");
        let ships = ship::run(shipping, attachments, safe.claim(), Pace::default(), alarm, copy, stop.clone());
        let ships = tokio::spawn(ships);
        let mut lines = Vec::new();
        for pause in [PAUSE, Duration::ZERO] {
            lines.extend(self.beside(&store, &safe, &file, pause).await?);
        }
        stop.cancel();
        ships.await?;
        store.close().await;
        std::fs::remove_dir_all(&home)?;
        std::fs::remove_dir_all(&kept)?;
        Ok(lines)
    }

    /// One writer, alone and beside a copy in turn.
    async fn beside(&self, store: &Store, safe: &Safe, file: &Path, pause: Duration) -> Result<[Line; 4]> {
        let [mut longest, mut most, mut alone_longest, mut alone_most, mut took] = [const { Series(Vec::new()) }; 5];
        let looked = Log::follow(file);
        for _ in 0..self.plan.rounds.min(ROUNDS) {
            let end = Instant::now() + self.plan.length();
            let alone = write(store, pause, || Instant::now() >= end).await?;
            alone_longest.0.push(alone.longest());
            alone_most.0.push(alone.most());
            let (safe, began) = (safe.clone(), Instant::now());
            let copying = tokio::spawn(async move { safe.create().await });
            let beside = write(store, pause, || copying.is_finished()).await?;
            copying.await??;
            took.0.push(began.elapsed().as_secs_f64());
            longest.0.push(beside.longest());
            most.0.push(beside.most());
        }
        let log = looked.end().await?;
        let how = if pause.is_zero() { "without rest".to_owned() } else { format!("every {} ms", pause.as_millis()) };
        let of = format!("SQLite of {} MB, a writer {how} beside a backup and the shipping of the log", self.size_mb);
        let line = |what: &str, unit, ours, limit: Series, aim| {
            let against = if limit.0.is_empty() { "" } else { "the same writer, no backup" };
            Line { work: format!("{of}: {what}"), unit, ours, against, limit, aim }
        };
        Ok([
            line("longest write", "ms", longest, alone_longest, Aim::Under(MOST_MS)),
            line("99 % of writes within", "ms", most, alone_most, Aim::Shown),
            line("the log's file grew to", "MiB", Series(vec![log]), Series::default(), Aim::Shown),
            line("one backup took", "s", took, Series::default(), Aim::Shown),
        ])
    }
}

/// Makes the file big.
fn fill(path: &Path, pieces: u64) -> Result<()> {
    let file = rusqlite::Connection::open(path)?;
    file.execute_batch("CREATE TABLE bench_ballast (id INTEGER PRIMARY KEY, content BLOB NOT NULL); BEGIN")?;
    {
        let mut add = file.prepare("INSERT INTO bench_ballast (content) VALUES (randomblob(?1))")?;
        for _ in 0..pieces {
            add.execute([PIECE])?;
        }
    }
    file.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Writes one task after the other until `is_over`.
async fn write(store: &Store, pause: Duration, is_over: impl Fn() -> bool) -> Result<Waits> {
    let (me, new) = (Actor::user(data::user(1)), NewTask::titled("written beside a copy"));
    let mut waits = Vec::new();
    while !is_over() {
        let began = Instant::now();
        tasks::create(&me, store, &new).await?;
        waits.push(began.elapsed().as_secs_f64() * 1000.0);
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
    waits.sort_by(f64::total_cmp);
    Ok(Waits(waits))
}

/// How large the log's file was at most.
struct Log {
    most: Arc<AtomicU64>,
    stop: CancellationToken,
    looking: tokio::task::JoinHandle<()>,
}

impl Log {
    fn follow(file: &Path) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let (log, most, stop) = (PathBuf::from(log), Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (seen, over) = (Arc::clone(&most), stop.clone());
        let looking = tokio::spawn(async move {
            let mut tick = tokio::time::interval(LOOKING);
            while !over.is_cancelled() {
                tick.tick().await;
                if let Ok(meta) = tokio::fs::metadata(&log).await {
                    seen.fetch_max(meta.len(), Ordering::Relaxed);
                }
            }
        });
        Self { most, stop, looking }
    }

    /// In MiB.
    async fn end(self) -> Result<f64> {
        self.stop.cancel();
        self.looking.await.map_err(Error::from)?;
        Ok(as_f64(usize::try_from(self.most.load(Ordering::Relaxed)).unwrap_or(usize::MAX)) / (1024.0 * 1024.0))
    }
}
