//! The breaker before Redis: after a few failures in a row nobody asks any more, until a trial succeeds.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Failures in a row that open the breaker.
const FAILURES: u32 = 3;

/// Whether Redis is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It is asked.
    Closed,
    /// A trial is under way; nobody else asks.
    HalfOpen,
    /// It is not asked.
    Open,
}

impl BreakerState {
    /// `closed`, `half_open` or `open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    fn of(number: u32) -> Self {
        match number {
            0 => Self::Closed,
            1 => Self::HalfOpen,
            _ => Self::Open,
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// A breaker; it begins closed.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    state: AtomicU32,
    openings: AtomicU64,
}

impl Breaker {
    pub(super) fn state(&self) -> BreakerState {
        BreakerState::of(self.state.load(Ordering::Acquire))
    }

    pub(super) fn lets_pass(&self) -> bool {
        self.state() == BreakerState::Closed
    }

    /// How often it opened.
    pub(super) fn openings(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    /// An answer came, whatever it was.
    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// No answer came. True: this opened the breaker.
    pub(super) fn failed(&self) -> bool {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES {
            return false;
        }
        let (closed, open) = (BreakerState::Closed.number(), BreakerState::Open.number());
        let opened = self.state.compare_exchange(closed, open, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if opened {
            self.openings.fetch_add(1, Ordering::Relaxed);
        }
        opened
    }

    /// A trial begins.
    pub(super) fn begin_trial(&self) {
        self.state.store(BreakerState::HalfOpen.number(), Ordering::Release);
    }

    /// A trial ended.
    pub(super) fn end_trial(&self, answered: bool) {
        self.failures.store(0, Ordering::Relaxed);
        let state = if answered { BreakerState::Closed } else { BreakerState::Open };
        self.state.store(state.number(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerState, FAILURES};

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_trial() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                assert!(!breaker.failed());
            }
            breaker.succeeded();
        }
        assert_eq!((breaker.state(), breaker.openings()), (BreakerState::Closed, 0));
        let opened = (0..FAILURES + 2).filter(|_| breaker.failed()).count();
        assert_eq!((opened, breaker.openings(), breaker.state()), (1, 1, BreakerState::Open));
        breaker.begin_trial();
        assert!(!breaker.lets_pass() && !breaker.failed(), "a late failure changes nothing");
        breaker.end_trial(false);
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.begin_trial();
        breaker.end_trial(true);
        assert!(breaker.lets_pass());
    }
}
