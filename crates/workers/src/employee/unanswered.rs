//! Questions in a row without an answer: whom to ask next, after which pause, and when the work is given up. All of it follows
//! from the turns that are written down, so that it is the same after a crash.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::model_turns::ModelTurn;

use crate::brains::NoAnswer;

/// Questions in a row that a model leaves without an answer, before the other one is asked.
const BEFORE_FALLBACK: usize = 3;
/// A provider that wants to be left alone for longer than this is one that another model is asked in place of, at once.
const LONG: Duration = Duration::from_secs(60);
/// After so many questions in a row whoever wants the task done is told: after about a quarter of an hour.
const TOLD_AFTER: usize = 11;
/// The work is given up when nothing answered for so long: a provider's bad day, and a line that is down over night, pass.
const LONGEST_OUTAGE: SignedDuration = SignedDuration::from_hours(24);
/// The longest of our own pauses, as a power of two in seconds: 17 minutes.
const LONGEST_PAUSE: usize = 10;
/// How the error of a turn begins whose model will not answer, however often it is asked …
const REFUSED: &str = "refused: ";
/// … and of one whose provider said for how many seconds it wants to be left alone.
const BUSY: &str = "busy for ";

/// Whether a provider wants to be left alone for so long that another model should be asked.
pub(super) fn is_long(no: &NoAnswer) -> bool {
    matches!(no, NoAnswer::Later { retry_after: Some(wait), .. } if *wait > LONG)
}

/// Why there is no answer, as the turn keeps it.
pub(super) fn written(no: &NoAnswer) -> String {
    match no {
        NoAnswer::Never { reason } => format!("{REFUSED}{reason}"),
        NoAnswer::Later { reason, retry_after: Some(wait) } if *wait > LONG => {
            format!("{BUSY}{} s: {reason}", wait.as_secs())
        }
        NoAnswer::Later { reason, .. } => reason.clone(),
    }
}

/// What whoever wants the task done is told with a question that has no answer, after so many before it: once in a row of them.
pub(super) fn told(failures: usize, reason: &str) -> Option<(&'static str, String)> {
    let message = || format!("{reason}; it is asked again from time to time, and the work waits meanwhile");
    (failures + 1 == TOLD_AFTER).then(|| ("No model answers", message()))
}

/// How long to wait after so many questions without an answer before this one. A provider may ask for more than our own
/// pause, never for less.
pub(super) fn pause(failures: usize, retry_after: Option<Duration>) -> Duration {
    let own = Duration::from_secs(1 << failures.min(LONGEST_PAUSE));
    retry_after.unwrap_or_default().max(own)
}

/// The questions since the last answer.
#[derive(Debug)]
pub(super) struct Streak<'a> {
    turns: Vec<&'a ModelTurn>,
    /// How many there were.
    pub failures: usize,
    /// When the first of them was asked.
    pub since: Option<Timestamp>,
    /// Why the last of them has no answer.
    pub last_error: &'a str,
}

impl<'a> Streak<'a> {
    /// The failed turns at the end of a run's; summaries of old turns are none of them.
    pub(super) fn of(turns: impl IntoIterator<Item = &'a ModelTurn, IntoIter: DoubleEndedIterator>) -> Self {
        // The newest first.
        let turns: Vec<&ModelTurn> = turns.into_iter().rev().take_while(|t| t.state == "failed").collect();
        Self {
            failures: turns.len(),
            since: turns.last().map(|t| t.asked_at),
            last_error: turns.first().and_then(|t| t.error.as_deref()).unwrap_or_default(),
            turns,
        }
    }

    /// Whether nothing answered for so long that the work is given up. A time in which nobody asked is none without answers.
    pub(super) fn is_hopeless(&self) -> bool {
        let (Some(first), Some(last)) = (self.since, self.turns.first().and_then(|t| t.answered_at)) else {
            return false;
        };
        self.failures > TOLD_AFTER && last.duration_since(first) >= LONGEST_OUTAGE
    }

    /// Whether a model said that it never will answer.
    pub(super) fn refused(&self, model: &str) -> bool {
        self.turns.iter().any(|t| t.model == model && starts(t, REFUSED))
    }

    /// For how long yet a model's provider wants to be left alone.
    pub(super) fn rest(&self, model: &str, now: Timestamp) -> Option<Duration> {
        let until = self.turns.iter().filter(|t| t.model == model).filter_map(|t| left_alone_until(t)).max()?;
        Duration::try_from(until.duration_since(now)).ok().filter(|rest| !rest.is_zero())
    }

    /// The run's own model, unless it failed too often, said that it never will, or wants to be left alone for long. Where
    /// neither answers they take turns, so that whichever is back first goes on.
    pub(super) fn who_is_asked<'m>(&self, own: &'m str, fallback: Option<&'m str>, now: Timestamp) -> &'m str {
        let Some(fallback) = fallback else { return own };
        let of = |model: &str| self.turns.iter().filter(|t| t.model == model).count();
        if self.refused(fallback) {
            return own;
        }
        if self.refused(own) || self.rest(own, now).is_some() {
            return fallback;
        }
        let is_out = of(own) >= BEFORE_FALLBACK || self.turns.iter().any(|t| t.model == own && starts(t, BUSY));
        let both = is_out && of(fallback) >= BEFORE_FALLBACK;
        let last_was_fallback = self.turns.first().is_some_and(|t| t.model == fallback);
        if !is_out || both && last_was_fallback { own } else { fallback }
    }
}

fn starts(turn: &ModelTurn, with: &str) -> bool {
    turn.error.as_deref().is_some_and(|e| e.starts_with(with))
}

/// Until when a turn's provider wants to be left alone.
fn left_alone_until(turn: &ModelTurn) -> Option<Timestamp> {
    let said = turn.error.as_deref()?.strip_prefix(BUSY)?;
    let seconds = said.split_once(' ')?.0.parse().ok()?;
    turn.answered_at?.checked_add(SignedDuration::from_secs(seconds)).ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// A failed turn, asked so many minutes after the beginning.
    fn failed(model: &str, error: &str, minute: i64) -> ModelTurn {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        ModelTurn {
            id: Uuid::nil(),
            run_id: Uuid::nil(),
            task_id: Uuid::nil(),
            ordinal: 0,
            model: model.to_owned(),
            state: "failed".to_owned(),
            request_sha256: String::new(),
            request_bytes: 0,
            served_by: None,
            answer: None,
            input_tokens: 0,
            cached_tokens: 0,
            output_tokens: 0,
            cost_microusd: 0,
            error: Some(error.to_owned()),
            attempt: 1,
            asked_at: at,
            answered_at: Some(at),
        }
    }

    fn asked(turns: &[ModelTurn], fallback: Option<&'static str>, minute: i64) -> &'static str {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        Streak::of(turns).who_is_asked("own", fallback, now)
    }

    #[test]
    fn a_long_rest_is_not_waited_for_where_another_model_can_be_asked() {
        let no = |secs| NoAnswer::Later { reason: "429".to_owned(), retry_after: Some(Duration::from_secs(secs)) };
        assert!(is_long(&no(3600)) && !is_long(&no(30)));
        let busy = failed("own", &written(&no(3600)), 0);
        assert_eq!(asked(std::slice::from_ref(&busy), Some("spare"), 1), "spare");
        assert_eq!(asked(std::slice::from_ref(&busy), None, 1), "own");
        // The spare fails as well: the own model is asked again when its rest is over, and not before.
        let mut turns = vec![busy];
        turns.extend((1..4).map(|n| failed("spare", "away", n)));
        assert_eq!(asked(&turns, Some("spare"), 10), "spare");
        assert_eq!(asked(&turns, Some("spare"), 61), "own");
        turns.push(failed("own", "away", 61));
        assert_eq!(asked(&turns, Some("spare"), 62), "spare");
        let refused = failed("own", &written(&NoAnswer::Never { reason: "401".to_owned() }), 0);
        assert_eq!(asked(&[refused], Some("spare"), 10_000), "spare");
        assert_eq!(asked(&[failed("own", "away", 0)], Some("spare"), 1), "own");
        let spare = failed("spare", &written(&NoAnswer::Never { reason: "401".to_owned() }), 4);
        turns.push(spare);
        assert_eq!(asked(&turns, Some("spare"), 62), "own", "a spare that refuses is none");
    }

    #[test]
    fn a_provider_makes_a_pause_longer_and_never_shorter() {
        let asked = |failures, wait| pause(failures, Some(Duration::from_secs(wait))).as_secs();
        assert_eq!((asked(0, 0), asked(4, 1), asked(0, 30), asked(20, 0)), (1, 16, 30, 1 << LONGEST_PAUSE));
    }

    #[test]
    fn an_outage_is_given_up_by_the_day_and_not_by_the_quarter_of_an_hour() {
        let away = |count: i64, last: i64| -> Vec<ModelTurn> {
            (0..count).map(|n| failed("own", "away", if n + 1 == count { last } else { n })).collect()
        };
        assert!(!Streak::of(&away(12, 17)).is_hopeless());
        assert!(!Streak::of(&away(60, 23 * 60)).is_hopeless());
        assert!(Streak::of(&away(90, 24 * 60)).is_hopeless());
        assert!(!Streak::of(&away(2, 48 * 60)).is_hopeless(), "nobody asked meanwhile");
        let all: Duration = (0..TOLD_AFTER).map(|n| pause(n, None)).sum();
        assert!(all > Duration::from_secs(10 * 60) && all < Duration::from_secs(60 * 60));
    }
}
