//! What the store counts about itself: connections, waiting, statements, errors, commits. Bounded: one entry for each
//! statement that the program has.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{Error, Result};

/// Upper bounds of times, in microseconds.
const TIMES_US: [u64; 12] =
    [100, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000];
/// Upper bounds of how many transactions share a commit.
const BATCHES: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// How often values fell where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds, ascending, each with how many values were at most that.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum, in the unit of the bounds.
    pub sum: u64,
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    /// `primary` or `replica`.
    pub name: &'static str,
    /// Connections at most.
    pub max_size: u64,
    /// Connections that are open.
    pub size: u64,
    /// Those of them that are free.
    pub available: u64,
    /// Callers that wait for one.
    pub waiting: u64,
    /// Connections made since the start.
    pub created: u64,
    /// Connections closed since the start.
    pub closed: u64,
    /// How long callers waited for a connection, in microseconds.
    pub wait_us: Histogram,
}

/// A statement's (or `transaction`'s) use.
#[derive(Debug, Clone)]
pub struct StatementMetrics {
    /// `table/verb`.
    pub name: &'static str,
    /// How often it ran on its own.
    pub count: u64,
    /// How long all of it took, in microseconds, waiting for a connection included.
    pub sum_us: u64,
    /// How often it ended in an error.
    pub errors: u64,
}

/// The read replica.
#[derive(Debug, Clone)]
pub struct ReplicaMetrics {
    /// Whether reads go there.
    pub usable: bool,
    /// How far it is behind, in microseconds; none while that is not known.
    pub lag_us: Option<u64>,
    /// Reads it answered.
    pub reads: u64,
    /// Reads that were its, but went to the primary: it was behind, down, or behind what the reader had just written.
    pub fallbacks: u64,
}

/// The writer of a SQLite file.
#[derive(Debug, Clone)]
pub struct WriterMetrics {
    /// Transactions that wait for it.
    pub queued: u64,
    /// Durable commits.
    pub commits: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// How many transactions shared each commit.
    pub batches: Histogram,
}

/// Everything the store counted since it was opened.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The pools (PostgreSQL).
    pub pools: Vec<PoolMetrics>,
    /// The replica, where one is set.
    pub replica: Option<ReplicaMetrics>,
    /// The writer (SQLite).
    pub writer: Option<WriterMetrics>,
    /// By name.
    pub statements: Vec<StatementMetrics>,
    /// How long statements and transactions took, in microseconds.
    pub latency_us: Histogram,
    /// Errors by class ([`Error::class`]).
    pub errors: Vec<(&'static str, u64)>,
    /// Statements that were repeated after a deadlock or a broken connection.
    pub retries: u64,
}

/// Counts values into buckets.
#[derive(Debug)]
pub(crate) struct Buckets {
    bounds: &'static [u64],
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Buckets {
    fn new(bounds: &'static [u64]) -> Self {
        // The last one counts what lies beyond all bounds.
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// For lengths of time in microseconds.
    pub(crate) fn of_times() -> Self {
        Self::new(&TIMES_US)
    }

    pub(crate) fn observe(&self, value: u64) {
        let place = self.bounds.iter().position(|b| value <= *b).unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (place, found) in self.counts.iter().enumerate() {
            count += found.load(Relaxed);
            if let Some(bound) = self.bounds.get(place) {
                buckets.push((*bound, count));
            }
        }
        Histogram { buckets, count, sum: self.sum.load(Relaxed) }
    }
}

#[derive(Debug, Default)]
struct Timing {
    count: AtomicU64,
    sum_us: AtomicU64,
    errors: AtomicU64,
}

/// Where a store counts.
#[derive(Debug)]
pub(crate) struct Recorder {
    statements: RwLock<BTreeMap<&'static str, Arc<Timing>>>,
    latency: Buckets,
    errors: [AtomicU64; Error::CLASSES.len()],
    retries: AtomicU64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            statements: RwLock::default(),
            latency: Buckets::of_times(),
            errors: std::array::from_fn(|_| AtomicU64::new(0)),
            retries: AtomicU64::new(0),
        }
    }

    /// Notes how a statement went; hands its result on.
    pub(crate) fn note<T>(&self, name: &'static str, took: Duration, result: Result<T>) -> Result<T> {
        self.ended(name, took, result.as_ref().err());
        result
    }

    /// Notes how a statement went.
    pub(crate) fn ended(&self, name: &'static str, took: Duration, error: Option<&Error>) {
        let known = self.statements.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let timing = known.unwrap_or_else(|| {
            let mut all = self.statements.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(name).or_default())
        });
        let micros = micros(took);
        timing.count.fetch_add(1, Relaxed);
        timing.sum_us.fetch_add(micros, Relaxed);
        self.latency.observe(micros);
        if let Some(error) = error {
            timing.errors.fetch_add(1, Relaxed);
            let class = error.class();
            if let Some(place) = Error::CLASSES.iter().position(|c| *c == class)
                && let Some(count) = self.errors.get(place)
            {
                count.fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// What was counted, without what only the engine knows.
    pub(crate) fn snapshot(&self) -> Metrics {
        let statements = self.statements.read().unwrap_or_else(PoisonError::into_inner);
        Metrics {
            pools: Vec::new(),
            replica: None,
            writer: None,
            statements: statements
                .iter()
                .map(|(name, timing)| StatementMetrics {
                    name,
                    count: timing.count.load(Relaxed),
                    sum_us: timing.sum_us.load(Relaxed),
                    errors: timing.errors.load(Relaxed),
                })
                .collect(),
            latency_us: self.latency.snapshot(),
            errors: Error::CLASSES.into_iter().zip(self.errors.iter().map(|n| n.load(Relaxed))).collect(),
            retries: self.retries.load(Relaxed),
        }
    }
}

/// What SQLite's writer counts.
#[derive(Debug)]
pub(crate) struct WriterCounts {
    pub(crate) commits: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) batches: Buckets,
}

impl WriterCounts {
    pub(crate) fn new() -> Self {
        Self { commits: AtomicU64::new(0), failed: AtomicU64::new(0), batches: Buckets::new(&BATCHES) }
    }

    /// Notes a commit of so many transactions.
    pub(crate) fn committed(&self, transactions: usize, failed: bool) {
        let count = if failed { &self.failed } else { &self.commits };
        count.fetch_add(1, Relaxed);
        self.batches.observe(transactions as u64);
    }

    pub(crate) fn snapshot(&self, queued: usize) -> WriterMetrics {
        WriterMetrics {
            queued: queued as u64,
            commits: self.commits.load(Relaxed),
            failed_commits: self.failed.load(Relaxed),
            batches: self.batches.snapshot(),
        }
    }
}

/// A length of time in whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Buckets, Recorder};
    use crate::Error;

    #[test]
    fn values_fall_into_their_buckets() {
        let buckets = Buckets::of_times();
        for value in [0, 100, 101, 40_000_000] {
            buckets.observe(value);
        }
        let found = buckets.snapshot();
        assert_eq!((found.count, found.sum), (4, 40_000_201));
        assert_eq!(&found.buckets[..2], [(100, 2), (500, 3)]);
        assert_eq!(found.buckets.last(), Some(&(30_000_000, 3)), "what lies beyond is in the count alone");
    }

    #[test]
    fn errors_are_counted_by_class() {
        let recorder = Recorder::new();
        let failed = recorder.note::<()>("tasks/get", Duration::from_millis(1), Err(Error::Busy("x".to_owned())));
        assert!(failed.is_err());
        recorder.note("tasks/get", Duration::from_millis(2), Ok(())).unwrap();
        let found = recorder.snapshot();
        let [get] = &found.statements[..] else { panic!("one statement") };
        assert_eq!((get.name, get.count, get.sum_us, get.errors), ("tasks/get", 2, 3000, 1));
        assert!(found.errors.contains(&("busy", 1)) && found.errors.contains(&("unavailable", 0)));
    }
}
