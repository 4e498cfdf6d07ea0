//! What a server says while it works on a call (how far it is, what it wants to know from a person), and how long the
//! call is waited for meanwhile.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use crate::asking::Question;

/// What is shown of a server's words on how far it is, in characters.
const SHOWN_CHARS: usize = 200;

/// What a server says while it works on a call. It comes from outside: data, never an instruction.
#[derive(Debug)]
pub enum CallNews {
    /// How far it is.
    Progress(Progress),
    /// It wants to know something from a person, and waits for the answer.
    Question(Question),
}

/// How far a server says that it is with a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// How much is done, in a measure of the server's own.
    pub done: f64,
    /// Of how much, where the server knows.
    pub total: Option<f64>,
    /// In its words: at most 200 printable characters.
    pub message: Option<String>,
}

impl Progress {
    pub(crate) fn read(params: &Value) -> Option<Self> {
        let done = params["progress"].as_f64().filter(|done| done.is_finite())?;
        let total = params["total"].as_f64().filter(|total| total.is_finite() && *total > 0.0);
        let message = params["message"].as_str().map(|text| printable(text, SHOWN_CHARS));
        Some(Self { done, total, message: message.filter(|text| !text.is_empty()) })
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.total {
            Some(total) => write!(f, "{} of {total}", self.done)?,
            None => write!(f, "{}", self.done)?,
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// The first characters of a text, on one line and without what nobody sees.
pub(crate) fn printable(text: &str, most_chars: usize) -> String {
    let plain = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control());
    plain.take(most_chars).collect::<String>().trim().to_owned()
}

/// Whoever waits for a call listens to its news in this way.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub news: Option<mpsc::Sender<CallNews>>,
    pub patience: Arc<Patience>,
}

/// How long a call is waited for. A sign of progress gives it its time anew, and while a person is asked its clock stands;
/// the hard limit holds in any case.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    hard: Instant,
    clock: Mutex<Clock>,
    moved: Notify,
}

#[derive(Debug)]
struct Clock {
    until: Instant,
    /// Questions that a person has not answered, and what was left when the first of them was asked.
    open: usize,
    left: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration, hard: Duration) -> Self {
        Self::begun(Instant::now(), limit, hard)
    }

    fn begun(now: Instant, limit: Duration, hard: Duration) -> Self {
        let clock = Clock { until: now + limit, open: 0, left: limit };
        Self { limit, hard: now + hard.max(limit), clock: Mutex::new(clock), moved: Notify::new() }
    }

    /// The server says that it goes on.
    pub(crate) fn renew(&self) {
        self.set(Instant::now(), |clock, now| {
            clock.left = self.limit;
            clock.until = now + self.limit;
        });
    }

    /// A person is asked.
    pub(crate) fn stop(&self) {
        self.set(Instant::now(), Clock::stop);
    }

    /// The person has answered, or nobody will.
    pub(crate) fn go_on(&self) {
        self.set(Instant::now(), Clock::go_on);
    }

    fn set(&self, now: Instant, change: impl FnOnce(&mut Clock, Instant)) {
        change(&mut self.clock(), now);
        self.moved.notify_one();
    }

    /// Waits until no time is left.
    pub(crate) async fn over(&self) {
        loop {
            let end = self.end();
            if end <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(end) => {}
                () = self.moved.notified() => {}
            }
        }
    }

    /// How long it may still last in any case.
    pub(crate) fn longest(&self) -> Duration {
        self.hard.saturating_duration_since(Instant::now())
    }

    fn end(&self) -> Instant {
        let clock = self.clock();
        if clock.open > 0 { self.hard } else { clock.until.min(self.hard) }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    fn stop(&mut self, now: Instant) {
        if self.open == 0 {
            self.left = self.until.saturating_duration_since(now);
        }
        self.open += 1;
    }

    fn go_on(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        self.until = now + self.left;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::Instant;

    use super::{Clock, Patience, Progress};

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn progress_renews_and_questions_stop_the_clock_up_to_the_hard_limit() {
        let begin = Instant::now();
        let lasts = |patience: &Patience| patience.end().duration_since(begin).as_secs();
        let patience = Patience::begun(begin, 10 * S, 60 * S);
        assert_eq!(lasts(&patience), 10);
        patience.set(begin + 4 * S, Clock::stop);
        assert_eq!(lasts(&patience), 60, "a person is asked");
        patience.set(begin + 5 * S, Clock::stop);
        patience.set(begin + 20 * S, Clock::go_on);
        assert_eq!(lasts(&patience), 60, "another question is open");
        patience.set(begin + 24 * S, Clock::go_on);
        assert_eq!(lasts(&patience), 30, "six seconds were left when the first was asked");
        patience.set(begin + 55 * S, |clock, now| clock.until = now + 10 * S);
        assert_eq!(lasts(&patience), 60, "the hard limit holds");
        let patience = Patience::new(10 * S, 60 * S);
        patience.renew();
        assert!(patience.end() >= begin + 10 * S && patience.longest() <= 60 * S);
    }

    #[test]
    fn progress_is_read_and_shown_in_bounds() {
        let read = |params| Progress::read(&params).map(|progress| progress.to_string());
        assert_eq!(read(json!({"progress": 3, "total": 4, "message": "a\nb\u{7}"})).unwrap(), "3 of 4: a b");
        assert_eq!(read(json!({"progress": 0.5})).unwrap(), "0.5");
        assert_eq!(read(json!({"progress": "x"})), None);
        assert_eq!(read(json!({"progress": 1, "message": "m".repeat(999)})).unwrap().len(), 203);
    }
}
