//! The bounds of a supervised server: time, size, rates and restarts.

use std::time::Duration;

/// Every bound a server is held to. The defaults are for real servers; tests choose smaller ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the start of the process to the end of its first list of tools. `npx` may have to fetch a package.
    pub start_timeout: Duration,
    /// How long a call may take when the caller names no time of its own. A sign of progress gives it that time anew, and
    /// while a person is asked it does not count.
    pub call_timeout: Duration,
    /// How long a call may take in any case.
    pub longest_call: Duration,
    /// What may be read of one resource, in bytes.
    pub resource_bytes: usize,
    /// Between the answer to one ping and the next.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered before the server is killed. While a call is in flight a ping may stay
    /// unanswered: many servers do one thing at a time, and the call has a limit of its own.
    pub ping_timeout: Duration,
    /// How often the tools are listed again without being told that they changed.
    pub relist_interval: Duration,
    /// Lines of stderr passed on in a minute; the rest is counted.
    pub stderr_lines_per_minute: u32,
    /// What is kept of one line of stderr, in bytes.
    pub line_bytes: usize,
    /// What is kept of one result, in bytes; a longer one is cut and marked.
    pub max_result_bytes: usize,
    /// The wait before the first restart; it doubles with every failure in the window.
    pub restart_min: Duration,
    /// The longest wait before a restart.
    pub restart_max: Duration,
    /// How many failures in `restart_window` are followed by a restart. The next one gives up.
    pub max_restarts_in_window: usize,
    /// The window in which failures count, and how long a server that was given up is left alone.
    pub restart_window: Duration,
    /// How long a server may take to leave after its stdin closed, and again after SIGTERM.
    pub stop_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(120),
            longest_call: Duration::from_secs(3600),
            resource_bytes: 4 * 1024 * 1024,
            ping_interval: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(10),
            relist_interval: Duration::from_secs(300),
            stderr_lines_per_minute: 120,
            line_bytes: 8 * 1024,
            max_result_bytes: 1024 * 1024,
            restart_min: Duration::from_secs(1),
            restart_max: Duration::from_secs(60),
            max_restarts_in_window: 5,
            restart_window: Duration::from_secs(600),
            stop_grace: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The wait after the `failures`-th failure in the window (counted from 1).
    pub(crate) fn back_off(&self, failures: usize) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
        self.restart_min.saturating_mul(1 << doublings).min(self.restart_max)
    }

    /// The longest message that is read whole: lists of tools may be longer than results.
    pub(crate) fn message_bytes(&self) -> usize {
        const ROOM: usize = 4 * 1024 * 1024;
        // A resource comes as text of the base64 kind.
        self.max_result_bytes.saturating_mul(2).max(self.resource_bytes.saturating_mul(3) / 2).max(ROOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let limits = Limits::default();
        let waits: Vec<u64> = [1, 2, 3, 4, 5, 6, 7, 8, 1000].iter().map(|n| limits.back_off(*n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
