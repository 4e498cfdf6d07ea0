//! The loop: when to look, what to hand over, what to tell.

use std::collections::VecDeque;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::config::FolderConfig;
use super::eyes::Eyes;
use super::names::quoted;
use super::take;
use super::tracker::{MAX_PENDING, Order, Outcome, Report, Tracker, Work};
use super::{Intake, Round};

/// Files taken at once.
const MAX_TAKES: usize = 2;
/// Files examined ahead of being taken.
const QUEUE: usize = 64;
/// The least pause between two looks, however much is reported.
const LOOK_GAP: Duration = Duration::from_millis(100);
/// How soon a folder that cannot be read is looked for again.
const RETURN_CHECK: Duration = Duration::from_secs(1);
/// How long a round may take before people are told that the disk does not answer.
const ROUND_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait for the intake to note how the watcher is.
const TELL_LIMIT: Duration = Duration::from_secs(5);
/// How long takes under way may go on after the shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Watches until `shutdown`, which it obeys within about two seconds. Notifying `wake` makes it look at once; the
/// system's reports use the same bell.
pub async fn run(config: FolderConfig, intake: Arc<dyn Intake>, wake: Arc<Notify>, shutdown: CancellationToken) {
    let eyes = Eyes::new(Arc::clone(&wake));
    run_with(eyes, config, intake, wake, shutdown).await;
}

/// The same with the system's reports going where `eyes` sends them.
pub(super) async fn run_with(
    eyes: Eyes,
    config: FolderConfig,
    intake: Arc<dyn Intake>,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let now = Instant::now();
    let mut watcher = Watcher {
        config: Arc::new(config),
        intake,
        wake,
        shutdown,
        home: Some(Tracker::new(eyes)),
        away: None,
        landed: Vec::new(),
        queue: VecDeque::new(),
        takes: JoinSet::new(),
        gate: Backoff::default(),
        trouble: Trouble::default(),
        well: false,
        nudged: false,
        more: false,
        last_look: None,
        next_look: now,
    };
    watcher.run().await;
}

/// Something that keeps the folder from being read, told ever more rarely.
#[derive(Default)]
struct Trouble {
    text: Option<String>,
    telling: Backoff,
}

/// A round under way on a blocking thread, the tracker with it.
struct Away {
    round: JoinHandle<(Tracker, Report)>,
    began: Instant,
    look: bool,
}

struct Watcher {
    config: Arc<FolderConfig>,
    intake: Arc<dyn Intake>,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
    home: Option<Tracker>,
    away: Option<Away>,
    /// What became of files while the tracker was away.
    landed: Vec<(PathBuf, Outcome)>,
    queue: VecDeque<Work>,
    takes: JoinSet<(Work, Outcome, Option<String>)>,
    /// Shut after a failed take, whichever file it was: the intake itself may be down.
    gate: Backoff,
    trouble: Trouble,
    /// Whether people were last told that all is well.
    well: bool,
    /// Something changed since the last look began.
    nudged: bool,
    /// The last look had no room for all it found.
    more: bool,
    /// When the last look ended and how long it took.
    last_look: Option<(Instant, Duration)>,
    next_look: Instant,
}

impl Watcher {
    async fn run(&mut self) {
        while !self.shutdown.is_cancelled() {
            let now = Instant::now();
            self.land();
            self.begin_round(now);
            self.begin_takes(now);
            let next = self.next_event(now);
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Some(done) = self.takes.join_next() => match done {
                    Ok((work, outcome, trouble)) => self.take_ended(work, outcome, trouble).await,
                    Err(error) => tracing::error!(%error, "a take ended without a word"),
                },
                (tracker, report, look, took) = returned(&mut self.away, &self.wake) => {
                    self.away = None;
                    self.home = Some(tracker);
                    self.round_ended(report, look, took).await;
                },
                () = self.wake.notified() => self.nudged = true,
                () = sleep_until(next.into()) => self.late(Instant::now()).await,
            }
        }
        self.queue.clear();
        let grace = async { while self.takes.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_GRACE, grace).await.is_err() {
            self.takes.abort_all();
        }
    }

    /// When the next look is due.
    fn look_at(&self) -> Instant {
        let Some((ended, took)) = self.last_look else { return self.next_look };
        let refill = self.more && self.home.as_ref().is_some_and(|tracker| tracker.len() < MAX_PENDING / 2);
        if self.nudged || refill {
            // A large folder is not listed over and over because one file in it grows.
            self.next_look.min(ended + LOOK_GAP.max(took * 4))
        } else {
            self.next_look
        }
    }

    fn begin_round(&mut self, now: Instant) {
        let look = self.look_at() <= now;
        let want = QUEUE.saturating_sub(self.queue.len());
        let due = want > 0 && self.home.as_ref().and_then(Tracker::next_due).is_some_and(|due| due <= now);
        if !look && !due {
            return;
        }
        let Some(mut tracker) = self.home.take() else { return };
        let order = Order { look, hurry: look && self.nudged, want };
        if look {
            self.nudged = false;
        }
        let (config, stop) = (Arc::clone(&self.config), self.shutdown.clone());
        let round = tokio::task::spawn_blocking(move || {
            let report = tracker.round(&config, order, &stop);
            (tracker, report)
        });
        self.away = Some(Away { round, began: now, look });
    }

    async fn round_ended(&mut self, report: Report, look: bool, took: Duration) {
        let now = Instant::now();
        self.land();
        self.queue.extend(report.work);
        if look {
            let poll = Duration::from_millis(self.config.poll_ms);
            self.last_look = Some((now, took));
            self.more = report.full;
            self.nudged |= report.look_again;
            self.next_look = now + if report.trouble.is_some() { RETURN_CHECK.min(poll) } else { poll.max(took * 9) };
            match report.trouble {
                Some(text) => self.in_trouble(text, now).await,
                None => self.trouble = Trouble::default(),
            }
        }
        if let Some(tracker) = &self.home {
            let round = Round {
                listed: report.listed,
                entries: report.entries,
                pending: tracker.len(),
                held_open: tracker.held_open(),
                events: tracker.sees_all(),
            };
            self.tell_if_well().await;
            self.intake.looked(round);
        }
    }

    fn begin_takes(&mut self, now: Instant) {
        let most = if self.gate.is_failing() { 1 } else { MAX_TAKES };
        while self.takes.len() < most && self.gate.is_open(now) {
            let Some(work) = self.queue.pop_front() else { return };
            self.takes.spawn(take::task(Arc::clone(&self.config), Arc::clone(&self.intake), work));
        }
    }

    async fn take_ended(&mut self, work: Work, outcome: Outcome, trouble: Option<String>) {
        let failed = matches!(outcome, Outcome::Failed);
        self.landed.push((work.path, outcome));
        self.land();
        if failed {
            self.gate.fail(Instant::now());
        } else {
            self.gate.reset();
        }
        match trouble {
            Some(text) => self.tell_failed(&text).await,
            None => self.tell_if_well().await,
        }
    }

    /// Brings what became of files to the tracker, when it is here.
    fn land(&mut self) {
        if let Some(tracker) = &mut self.home {
            for (path, outcome) in self.landed.drain(..) {
                tracker.finished(&self.config, &path, &outcome);
            }
        }
    }

    /// When the loop must move without being woken.
    fn next_event(&self, now: Instant) -> Instant {
        let mut next = match (&self.home, &self.away) {
            (Some(tracker), _) => {
                let due = if self.queue.len() < QUEUE { tracker.next_due() } else { None };
                due.map_or(self.look_at(), |due| due.min(self.look_at()))
            }
            (None, Some(away)) => {
                self.trouble.telling.until().map_or(away.began + ROUND_LIMIT, |told| told.max(away.began + ROUND_LIMIT))
            }
            (None, None) => now + RETURN_CHECK,
        };
        if let (Some(until), false) = (self.gate.until(), self.queue.is_empty())
            && until > now
        {
            next = next.min(until);
        }
        next
    }

    /// Tells people when a round takes far too long: a dead network disk holds whoever asks it.
    async fn late(&mut self, now: Instant) {
        if self.away.as_ref().is_some_and(|away| away.began + ROUND_LIMIT <= now) {
            let text = format!(
                "The watched folder {} does not answer. Check the disk or network share it is on; watching goes on by itself.",
                quoted(&self.config.path)
            );
            self.in_trouble(text, now).await;
        }
    }

    async fn in_trouble(&mut self, text: String, now: Instant) {
        let new = self.trouble.text.as_ref() != Some(&text);
        if new {
            self.trouble.telling.reset();
        }
        if new || self.trouble.telling.is_open(now) {
            self.trouble.telling.fail(now);
            self.tell_failed(&text).await;
        }
        self.trouble.text = Some(text);
    }

    async fn tell_failed(&mut self, text: &str) {
        self.well = false;
        self.tell(self.intake.failed(text)).await;
    }

    async fn tell_if_well(&mut self) {
        let fine = self.last_look.is_some()
            && self.trouble.text.is_none()
            && self.home.as_ref().is_some_and(|tracker| !tracker.has_failures());
        if fine && !self.well {
            self.well = true;
            self.tell(self.intake.healthy()).await;
        }
    }

    /// Waits for a word to be noted, but neither for long nor into the shutdown.
    async fn tell(&self, word: impl Future<Output = ()>) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            told = timeout(TELL_LIMIT, word) => if told.is_err() {
                tracing::warn!("the state of a folder watcher could not be noted in time");
            },
        }
    }
}

/// Waits for the round under way, for ever when there is none.
async fn returned(away: &mut Option<Away>, wake: &Arc<Notify>) -> (Tracker, Report, bool, Duration) {
    let Some(Away { round, began, look }) = away else { return pending().await };
    match round.await {
        Ok((tracker, report)) => (tracker, report, *look, began.elapsed()),
        Err(error) => {
            // Nothing is lost with the tracker: the folder and the intake know everything.
            tracing::error!(%error, "a look at a folder ended with an internal error; starting anew");
            let trouble = "The watched folder could not be looked at because of an internal error, which is in the log; it is tried again by itself.";
            let report = Report { trouble: Some(trouble.to_owned()), ..Report::default() };
            (Tracker::new(Eyes::new(Arc::clone(wake))), report, true, began.elapsed())
        }
    }
}
