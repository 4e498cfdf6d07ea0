//! Waiting longer after each failure in a row.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait after the given number of failures in a row: 1 s, doubling, at most 60 s; none after none.
pub(super) fn delay(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        // The shift is bounded: 2^6 s is over the longest already.
        n => LONGEST.min(FIRST * (1 << (n - 1).min(6))),
    }
}

/// A gate that stays shut for a while after each failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Whether the last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When the next attempt may be made; `None` for at once.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether an attempt may be made now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Notes a failure.
    pub(super) fn fail(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + delay(self.failures));
    }

    /// Notes a success.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|n| delay(n).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(u32::MAX).as_secs(), 60);
    }
}
