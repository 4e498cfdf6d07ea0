//! What this node may still believe of what was cached. The argument why this is enough stands in the parent module.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Change, snapshot::Snapshot};

/// Changes that are remembered one by one; with one more, nothing cached before is believed.
const MARKS: usize = 4096;

/// What was heard of changes, and since when cached answers may be believed again.
#[derive(Debug)]
pub(super) struct Beliefs(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// Counts what was heard.
    turn: u64,
    /// Holds for everything.
    all: Mark,
    /// Which database the floors are of: None until it is known.
    scope: Option<Arc<str>>,
    /// Hold for what depends on the change.
    marks: HashMap<Change, Mark>,
}

/// A change that was heard.
#[derive(Debug, Clone)]
struct Mark {
    /// The turn at which it was heard: what this node read before is not believed.
    turn: u64,
    /// Shared answers whose stamp does not include it are not believed; None: none at all, until it is known.
    floor: Option<Arc<Snapshot>>,
}

impl Mark {
    fn admits(&self, stamp: &Snapshot) -> bool {
        self.floor.as_ref().is_some_and(|floor| stamp.includes(floor))
    }
}

impl Beliefs {
    /// Nothing is believed yet.
    pub(super) fn new() -> Self {
        let all = Mark { turn: 1, floor: None };
        Self(Mutex::new(Inner { turn: 1, all, scope: None, marks: HashMap::new() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present turn: to be taken before something is read that may be cached.
    pub(super) fn turn(&self) -> u64 {
        self.inner().turn
    }

    /// A change was committed: nothing that depends on it and was read before now is believed.
    pub(super) fn distrust(&self, change: Change) {
        let mut inner = self.inner();
        inner.turn += 1;
        let turn = inner.turn;
        if inner.marks.len() >= MARKS && !inner.marks.contains_key(&change) {
            inner.marks.clear();
            inner.all = Mark { turn, floor: None };
        } else {
            inner.marks.insert(change, Mark { turn, floor: None });
        }
    }

    /// Changes may have been missed: nothing is believed until the floor is known.
    pub(super) fn distrust_all(&self) {
        let mut inner = self.inner();
        inner.turn += 1;
        inner.all = Mark { turn: inner.turn, floor: None };
        inner.marks.clear();
    }

    /// Whether a floor is still to be found.
    pub(super) fn is_unsettled(&self) -> bool {
        let inner = self.inner();
        inner.all.floor.is_none() || inner.marks.values().any(|m| m.floor.is_none())
    }

    /// Gives everything heard up to `turn` its floor, which was found after that turn.
    pub(super) fn settle(&self, turn: u64, floor: Snapshot, scope: &str) {
        let floor = Arc::new(floor);
        let mut inner = self.inner();
        if inner.all.turn <= turn && inner.all.floor.is_none() {
            inner.all.floor = Some(Arc::clone(&floor));
            inner.scope = Some(scope.into());
        }
        for mark in inner.marks.values_mut().filter(|m| m.turn <= turn && m.floor.is_none()) {
            mark.floor = Some(Arc::clone(&floor));
        }
    }

    /// The database that shared answers must be of; None while nothing may be believed.
    pub(super) fn scope(&self) -> Option<Arc<str>> {
        let inner = self.inner();
        inner.all.floor.as_ref().and(inner.scope.clone())
    }

    /// Whether an answer that another node may have cached is believed.
    pub(super) fn believes_shared(&self, scope: &str, on: &[Change], stamp: &Snapshot) -> bool {
        let inner = self.inner();
        inner.scope.as_deref() == Some(scope)
            && inner.all.admits(stamp)
            && on.iter().all(|change| inner.marks.get(change).is_none_or(|m| m.admits(stamp)))
    }

    /// Whether what this node itself read at `turn` is believed.
    pub(super) fn believes_own(&self, on: &[Change], turn: u64) -> bool {
        let inner = self.inner();
        inner.all.floor.is_some()
            && inner.all.turn <= turn
            && on.iter().all(|change| inner.marks.get(change).is_none_or(|m| m.turn <= turn))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Beliefs, Change, MARKS, Snapshot};

    fn user(n: u128) -> Change {
        Change::User(Uuid::from_u128(n))
    }

    /// Everything below a transaction, and nothing running.
    fn at(end: u64) -> Snapshot {
        format!("{end}:{end}:").parse().unwrap()
    }

    #[test]
    fn nothing_is_believed_before_the_floor_is_known() {
        let beliefs = Beliefs::new();
        assert!(beliefs.scope().is_none() && beliefs.is_unsettled());
        assert!(!beliefs.believes_shared("db", &[], &at(u64::MAX)) && !beliefs.believes_own(&[], u64::MAX));
        beliefs.settle(beliefs.turn(), at(10), "db");
        assert!(beliefs.believes_shared("db", &[], &at(10)) && !beliefs.believes_shared("db", &[], &at(9)));
        assert!(!beliefs.believes_shared("another", &[], &at(10)), "what another database said");
        assert!(beliefs.believes_own(&[], beliefs.turn()) && !beliefs.is_unsettled());
    }

    #[test]
    fn a_change_is_never_outlived() {
        let beliefs = Beliefs::new();
        beliefs.settle(beliefs.turn(), at(10), "db");
        let before = beliefs.turn();
        beliefs.distrust(user(1));
        assert!(!beliefs.believes_shared("db", &[user(1)], &at(u64::MAX)), "the floor is not known");
        assert!(beliefs.believes_shared("db", &[user(2)], &at(10)), "of others nothing changed");
        assert!(!beliefs.believes_own(&[user(2), user(1)], before) && beliefs.believes_own(&[user(2)], before));
        assert!(beliefs.believes_own(&[user(1)], beliefs.turn()), "read after the change was heard");
        // A second change while the floor of the first is being found.
        let asked = beliefs.turn();
        beliefs.distrust(user(1));
        beliefs.settle(asked, at(20), "db");
        assert!(!beliefs.believes_shared("db", &[user(1)], &at(20)) && beliefs.is_unsettled());
        beliefs.settle(beliefs.turn(), at(30), "db");
        assert!(
            !beliefs.believes_shared("db", &[user(1)], &at(29)) && beliefs.believes_shared("db", &[user(1)], &at(30))
        );
    }

    #[test]
    fn a_loss_while_the_floor_is_found_is_not_covered_by_it() {
        let beliefs = Beliefs::new();
        let asked = beliefs.turn();
        beliefs.distrust_all();
        beliefs.settle(asked, at(10), "db");
        assert!(beliefs.scope().is_none() && !beliefs.believes_shared("db", &[], &at(99)));
    }

    #[test]
    fn more_changes_than_are_remembered_make_everything_unbelieved() {
        let beliefs = Beliefs::new();
        beliefs.settle(beliefs.turn(), at(10), "db");
        for n in 0..MARKS {
            beliefs.distrust(user(n as u128));
        }
        let before = beliefs.turn();
        beliefs.settle(before, at(20), "db");
        assert!(beliefs.believes_shared("db", &[user(1)], &at(20)));
        beliefs.distrust(user(u128::MAX));
        assert!(!beliefs.believes_shared("db", &[], &at(20)) && !beliefs.believes_own(&[], before));
    }
}
