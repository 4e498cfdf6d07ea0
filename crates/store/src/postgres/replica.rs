//! Reads from a streaming standby, where a person asks for what may be a moment old: never for what the same user just
//! wrote, and never when the standby is down or too far behind. Everything that decides or works reads the primary.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio_postgres::types::PgLsn;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    pool::Connections,
    transaction::{Answer, Wanted, once},
};
use crate::{
    Actor, Error, Principal,
    metrics::{ReplicaMetrics, micros},
    statement::Statement,
    value::Value,
};

/// Statements that show what is there and decide nothing, in order. Sessions, rights, rules, claims and whatever an
/// approval's decision rests on are not among them.
const SHOWS: &[&str] = &[
    "approvals/list",
    "approvals/list_of_task",
    "approvals/list_status",
    "audit_trail/counts",
    "audit_trail/list",
    "audit_trail/list_of_entity",
    "file_attachments/list",
    "notifications/list",
    "notifications/list_status",
    "runs/list",
    "system_logs/find",
    "system_logs/find_of_task",
    "system_logs/list",
    "system_logs/list_of_task",
    "system_logs/search",
    "tasks/get",
    "tasks/list",
    "tasks/list_status",
    "tasks/search",
    "tasks/summaries",
];

/// How often the standby and the primary are asked how far they are.
const LOOK: Duration = Duration::from_millis(250);
/// How long either may take to say so.
const PATIENCE: Duration = Duration::from_secs(1);
/// Users remembered at most; beyond them everybody reads the primary until the standby has come that far.
const MOST_WRITERS: usize = 10_000;
/// Places of the primary remembered at most.
const MOST_PLACES: usize = 256;

const PRIMARY_PLACE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END";
const REPLICA_PLACE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END";

/// The standby and what is known of it.
#[derive(Debug)]
pub(super) struct Replica {
    connections: Connections,
    most_behind: Duration,
    state: Mutex<State>,
    reads: AtomicU64,
    fallbacks: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Up to where the standby has replayed; none while it is not used.
    replayed: Option<u64>,
    lag: Option<Duration>,
    /// What everybody's reads need.
    floor: u64,
    /// A change was made of which nobody knows where it stands: nobody reads the standby before it has reached what the
    /// primary says from now on.
    distrusted: Option<Instant>,
    /// What each user's reads need.
    written: HashMap<Uuid, u64>,
    /// Where the primary was, and when it was asked.
    places: VecDeque<(Instant, u64)>,
}

impl Replica {
    pub(super) fn new(connections: Connections, most_behind: Duration) -> Self {
        Self {
            connections,
            most_behind,
            state: Mutex::default(),
            reads: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The standby's answer. None: the primary is to be asked.
    pub(super) async fn read(
        &self,
        actor: &Actor,
        statement: &'static Statement,
        params: &[Value],
        wanted: Wanted,
    ) -> Option<Answer> {
        let Principal::User(user) = actor.principal else { return None };
        // What carries no request is Steward's own work.
        if actor.request_id.is_none() || SHOWS.binary_search(&statement.name).is_err() {
            return None;
        }
        if !self.state().serves(user) {
            self.fallbacks.fetch_add(1, Relaxed);
            return None;
        }
        match once(&self.connections, actor, statement, params, wanted, false).await {
            Ok((answer, _)) => {
                self.reads.fetch_add(1, Relaxed);
                Some(answer)
            }
            Err(failure) => {
                self.fallbacks.fetch_add(1, Relaxed);
                if matches!(failure.error, Error::Unavailable(_)) {
                    // The next look finds out whether it is back.
                    self.state().replayed = None;
                }
                None
            }
        }
    }

    /// Notes what a user wrote, and how far the standby must be before that user reads there.
    pub(super) fn wrote(&self, user: Option<Uuid>, reach: Option<PgLsn>) {
        match (user, reach) {
            (Some(user), Some(reach)) => self.state().wrote(user, reach.into()),
            // Steward's own writes are shown to nobody in particular.
            (None, Some(_)) => {}
            (_, None) => self.distrust(),
        }
    }

    /// A change may have been made, and nobody knows where it stands.
    pub(super) fn distrust(&self) {
        self.state().distrusted = Some(Instant::now());
    }

    pub(super) fn metrics(&self) -> ReplicaMetrics {
        let state = self.state();
        ReplicaMetrics {
            usable: state.replayed.is_some(),
            lag_us: state.lag.map(micros),
            reads: self.reads.load(Relaxed),
            fallbacks: self.fallbacks.load(Relaxed),
        }
    }

    pub(super) fn pool(&self) -> &Connections {
        &self.connections
    }

    /// Looks until the end how far both are.
    pub(super) async fn keep_looking(&self, primary: Connections, end: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = tick.tick() => {}
            }
            let asked = Instant::now();
            let (at, replayed) = tokio::join!(place(&primary, PRIMARY_PLACE), place(&self.connections, REPLICA_PLACE));
            let was = self.state().replayed.is_some();
            self.state().look(asked, at, replayed, self.most_behind);
            let is = self.state().replayed.is_some();
            if is && !was {
                tracing::info!("reads go to the read replica");
            } else if was && !is {
                tracing::warn!("the read replica does not answer or is too far behind; reads go to the primary");
            }
        }
    }
}

impl State {
    fn serves(&self, user: Uuid) -> bool {
        let needed = self.written.get(&user).copied().unwrap_or_default().max(self.floor);
        self.distrusted.is_none() && self.replayed.is_some_and(|replayed| replayed >= needed)
    }

    fn wrote(&mut self, user: Uuid, reach: u64) {
        if self.written.len() >= MOST_WRITERS && !self.written.contains_key(&user) {
            let furthest = self.written.drain().map(|(_, reach)| reach).max().unwrap_or_default();
            self.floor = self.floor.max(furthest);
        }
        let known = self.written.entry(user).or_default();
        *known = reach.max(*known);
    }

    /// Takes in how far both were when they were asked.
    fn look(&mut self, asked: Instant, primary: Option<u64>, replayed: Option<u64>, most_behind: Duration) {
        if let Some(primary) = primary {
            if self.places.len() >= MOST_PLACES {
                self.places.pop_front();
            }
            self.places.push_back((asked, primary));
            // Only a place that was asked for after the doubt arose is past what the doubt is about.
            if self.distrusted.is_some_and(|since| asked >= since) {
                self.distrusted = None;
                self.floor = self.floor.max(primary);
            }
        }
        let Some(replayed) = replayed else {
            (self.replayed, self.lag) = (None, None);
            return;
        };
        // It is as old as the last place of the primary that it has reached.
        while self.places.len() > 1 && self.places.get(1).is_some_and(|(_, place)| *place <= replayed) {
            self.places.pop_front();
        }
        let reached = self.places.front().filter(|(_, place)| *place <= replayed);
        self.lag = reached.map(|(when, _)| asked.elapsed() + asked.duration_since(*when));
        self.replayed = self.lag.filter(|lag| *lag <= most_behind).map(|_| replayed);
        self.written.retain(|_, needed| *needed > replayed);
    }
}

/// How far a server's log of changes reaches; none where it does not say so in time, or is not what it should be.
async fn place(on: &Connections, sql: &str) -> Option<u64> {
    let asked = async {
        let client = on.client().await.ok()?;
        let statement = client.prepare_cached(sql).await.ok()?;
        let row = client.query_one(&statement, &[]).await.ok()?;
        row.try_get::<_, Option<PgLsn>>(0).ok()?.map(u64::from)
    };
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use uuid::Uuid;

    use super::{MOST_WRITERS, SHOWS, State};

    const BOUND: Duration = Duration::from_secs(5);

    #[test]
    fn the_list_names_statements_that_read() {
        assert!(SHOWS.is_sorted());
        for name in SHOWS {
            let known = crate::every::every_statement();
            let statement = known.iter().find(|s| s.name == *name).unwrap_or_else(|| panic!("there is no {name}"));
            assert!(!statement.writes(), "{name}");
        }
    }

    #[test]
    fn who_wrote_waits_for_the_standby() {
        let (mut state, ada, bob) = (State::default(), Uuid::now_v7(), Uuid::now_v7());
        assert!(!state.serves(ada), "nothing is known yet");
        state.look(Instant::now(), Some(100), Some(100), BOUND);
        assert!(state.serves(ada));
        state.wrote(ada, 150);
        assert!(!state.serves(ada) && state.serves(bob));
        state.look(Instant::now(), Some(160), Some(149), BOUND);
        assert!(!state.serves(ada) && state.serves(bob));
        state.look(Instant::now(), Some(160), Some(150), BOUND);
        assert!(state.serves(ada) && state.written.is_empty());
    }

    #[test]
    fn too_far_behind_or_silent_is_not_used() {
        let (mut state, ada) = (State::default(), Uuid::now_v7());
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        state.look(long_ago, Some(100), Some(100), Duration::from_secs(120));
        assert!(state.serves(ada));
        state.look(Instant::now(), Some(200), Some(150), BOUND);
        assert!(!state.serves(ada) && state.lag.is_some_and(|lag| lag >= Duration::from_secs(60)), "{:?}", state.lag);
        state.look(Instant::now(), Some(210), Some(210), BOUND);
        assert!(state.serves(ada), "it is back by itself");
        state.look(Instant::now(), Some(220), None, BOUND);
        assert!(!state.serves(ada));
    }

    #[test]
    fn a_change_of_unknown_outcome_makes_all_wait() {
        let (mut state, ada) = (State::default(), Uuid::now_v7());
        state.look(Instant::now(), Some(100), Some(100), BOUND);
        state.distrusted = Some(Instant::now());
        assert!(!state.serves(ada));
        state.look(Instant::now(), Some(180), Some(120), BOUND);
        assert!(!state.serves(ada), "it has not come to where the primary was afterwards");
        state.look(Instant::now(), Some(180), Some(180), BOUND);
        assert!(state.serves(ada));
    }

    #[test]
    fn writers_are_bounded() {
        let mut state = State::default();
        state.look(Instant::now(), Some(1), Some(1), BOUND);
        for place in 0..=MOST_WRITERS as u64 {
            state.wrote(Uuid::now_v7(), 10 + place);
        }
        assert_eq!(state.written.len(), 1);
        assert!(!state.serves(Uuid::now_v7()), "who is no more remembered waits for the furthest of them");
    }
}
