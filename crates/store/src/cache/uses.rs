//! Uses of sessions that are still to be written down: gathered, and written together every few seconds.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// A use of a session is noted at most this often.
pub(crate) const EVERY: SignedDuration = SignedDuration::from_secs(60);
/// Sessions whose use waits at most; with one more, its use is written at once.
const WAITING: usize = 10_000;

/// A session or an API token was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The session.
    pub session_id: Uuid,
    /// SHA-256 of its token in hex.
    pub token_sha256: String,
    /// When it was used.
    pub at: Timestamp,
    /// When it ends unless it is used again.
    pub expires_at: Timestamp,
    /// Whether it is an API token, whose end does not move.
    pub is_token: bool,
}

/// The uses that wait, and when each session's was last taken up here.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: HashMap<Uuid, Use>,
    taken_up: HashMap<Uuid, Timestamp>,
}

impl Uses {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a use up, unless one was within the last minute. False: too many wait.
    pub(super) fn note(&self, used: Use) -> bool {
        let mut inner = self.inner();
        if inner.taken_up.get(&used.session_id).is_some_and(|last| used.at.duration_since(*last) < EVERY) {
            return true;
        }
        if inner.waiting.len() >= WAITING || inner.taken_up.len() >= WAITING {
            return false;
        }
        inner.taken_up.insert(used.session_id, used.at);
        inner.waiting.insert(used.session_id, used);
        true
    }

    /// What waits, in the order of ids; and forgets what is older than a minute.
    pub(super) fn take(&self, now: Timestamp) -> Vec<Use> {
        let mut inner = self.inner();
        inner.taken_up.retain(|_, last| now.duration_since(*last) < EVERY);
        let mut uses: Vec<Use> = inner.waiting.drain().map(|(_, used)| used).collect();
        uses.sort_unstable_by_key(|used| used.session_id);
        uses
    }

    /// Puts back what could not be written, as far as there is room.
    pub(super) fn put_back(&self, uses: Vec<Use>) {
        let mut inner = self.inner();
        for used in uses {
            if inner.waiting.len() >= WAITING {
                return;
            }
            inner.waiting.entry(used.session_id).or_insert(used);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.inner().waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use uuid::Uuid;

    use super::{Use, Uses, WAITING};

    fn used(session: u128, second: i64) -> Use {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let expires_at = at + SignedDuration::from_hours(12);
        Use { session_id: Uuid::from_u128(session), token_sha256: "a".repeat(64), at, expires_at, is_token: false }
    }

    #[test]
    fn at_most_once_a_minute_a_session() {
        let uses = Uses::default();
        for second in 0..180 {
            assert!(uses.note(used(1, second)));
            if second % 5 == 4 {
                let taken = uses.take(used(1, second).at);
                assert_eq!(taken.len(), usize::from(matches!(second, 4 | 64 | 124)), "{second}");
            }
        }
    }

    #[test]
    fn what_could_not_be_written_is_kept_and_newer_uses_stand() {
        let uses = Uses::default();
        assert!(uses.note(used(2, 0)) && uses.note(used(1, 0)));
        let taken = uses.take(used(1, 70).at);
        assert_eq!(taken.iter().map(|u| u.session_id.as_u128()).collect::<Vec<_>>(), [1, 2], "in order");
        assert!(uses.note(used(1, 70)));
        uses.put_back(taken);
        assert_eq!(uses.take(used(1, 71).at), [used(1, 70), used(2, 0)]);
    }

    #[test]
    fn the_number_is_bounded() {
        let uses = Uses::default();
        assert!((0..WAITING).all(|n| uses.note(used(n as u128, 0))));
        assert!(!uses.note(used(u128::MAX, 0)));
        assert_eq!(uses.len(), WAITING);
    }
}
