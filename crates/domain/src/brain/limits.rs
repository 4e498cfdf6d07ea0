//! What work led by a model may use up: steps, questions, tokens, money and time of work, for a task, a day and in all. At a limit
//! the work stops and a person is asked; a grant is another allotment of the same size.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use store::{
    approvals::Approval,
    model_turns::{ModelTurn, Used},
    runs::Step,
};

use super::{CUT_OFF, GRANT_MORE, OWN_SERVER};
use crate::{briefing::dollars, server_questions};

/// What an approval is called in which a person says what became of a call.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";
/// The same call with the same arguments, at most.
const MAX_REPEATS: usize = 3;

/// The owner's limits. One that is none does not bind; [`Limits::default`] is what holds where the owner says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls in a run, 1–1000.
    pub task_steps: u32,
    /// Questions in a run, 1–1000.
    pub task_turns: u32,
    /// Tokens read and written for a task.
    pub task_tokens: u64,
    /// US dollars for a task.
    pub task_usd: f64,
    /// Minutes that a task is worked on, waiting for people not counted, 1–10080.
    pub task_minutes: u32,
    /// Calls a UTC day, over all tasks, those of playbooks as well.
    pub day_steps: Option<u64>,
    /// Questions a UTC day, over all tasks.
    pub day_turns: Option<u64>,
    /// Tokens a UTC day, over all tasks.
    pub day_tokens: Option<u64>,
    /// US dollars a UTC day, over all tasks.
    pub day_usd: Option<f64>,
    /// Minutes of work a UTC day, over all tasks, those of playbooks as well; waiting for people not counted.
    pub day_minutes: Option<u64>,
    /// Questions in all.
    pub all_turns: Option<u64>,
    /// Tokens in all.
    pub all_tokens: Option<u64>,
    /// US dollars in all.
    pub all_usd: Option<f64>,
    /// Minutes of work in all.
    pub all_minutes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            task_steps: 50,
            task_turns: 60,
            task_tokens: 500_000,
            task_usd: 2.0,
            task_minutes: 60,
            day_steps: None,
            day_turns: None,
            day_tokens: Some(5_000_000),
            day_usd: Some(20.0),
            day_minutes: None,
            all_turns: None,
            all_tokens: None,
            all_usd: None,
            all_minutes: None,
        }
    }
}

impl Limits {
    /// The first setting that is out of range, by name, with its range.
    pub fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let money = |usd: f64| usd.is_finite() && (0.0..=1_000_000.0).contains(&usd);
        let many = |n: Option<u64>| n.is_none_or(|n| (1..=1_000_000_000_000).contains(&n));
        let (tokens, dollars) = ("1 to 1000000000000 tokens", "0 to 1000000 dollars");
        let (questions, minutes) = ("1 to 1000000000000 questions", "1 to 1000000000000 minutes");
        [
            ("task_steps", (1..=1000).contains(&self.task_steps), "1 to 1000 calls"),
            ("task_turns", (1..=1000).contains(&self.task_turns), "1 to 1000 questions"),
            ("task_tokens", many(Some(self.task_tokens)), tokens),
            ("task_usd", money(self.task_usd), dollars),
            ("task_minutes", (1..=10_080).contains(&self.task_minutes), "1 to 10080 minutes"),
            ("day_steps", many(self.day_steps), "1 to 1000000000000 calls"),
            ("day_turns", many(self.day_turns), questions),
            ("day_tokens", many(self.day_tokens), tokens),
            ("day_usd", self.day_usd.is_none_or(money), dollars),
            ("day_minutes", many(self.day_minutes), minutes),
            ("all_minutes", many(self.all_minutes), minutes),
            ("all_turns", many(self.all_turns), questions),
            ("all_tokens", many(self.all_tokens), tokens),
            ("all_usd", self.all_usd.is_none_or(money), dollars),
        ]
        .into_iter()
        .find_map(|(name, right, range)| (!right).then_some((name, range)))
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The setting's name, or `repeats`.
    pub limit: &'static str,
    /// What happened, for people: what is used of what.
    pub words: String,
    /// How much was used by then, in the limit's own unit: what a grant of another allotment goes on from.
    pub used: u64,
}

/// What was used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// By the task, over all its runs.
    pub task: Used,
    /// Milliseconds in which the task's calls waited for people ([`waited_ms`]).
    pub task_waited_ms: u64,
    /// By everything, this UTC day.
    pub day: Used,
    /// By everything, ever.
    pub all: Used,
    /// Calls of everything, this UTC day; only looked up where [`Limits::day_steps`] binds.
    pub day_steps: u64,
    /// Milliseconds of work of everything, this UTC day; only looked up where [`Limits::day_minutes`] binds.
    pub day_worked_ms: u64,
    /// The same, ever; only looked up where [`Limits::all_minutes`] binds.
    pub all_worked_ms: u64,
}

/// The first limit that is reached, before a model is asked. What a person granted counts as further allotments of the same
/// size: for a task one beside what it had; for the day or in all one more for this run, from what was used when it was asked
/// for. One for a day is over with that UTC day.
pub fn reached(limits: &Limits, usage: &Usage, turns: &[ModelTurn], steps: &[Step], now: Timestamp) -> Option<Reached> {
    let granted = |limit: &str| steps.iter().filter(|s| grant_of(s, limit).is_some()).count();
    let times = |limit: &str| u64::try_from(granted(limit)).unwrap_or(u64::MAX).saturating_add(1);
    let own = steps.iter().filter(|s| s.server == OWN_SERVER).count();
    let calls = u64::try_from(steps.len() - own).unwrap_or(u64::MAX);
    // One that nobody read is none: a provider's outage uses nothing up.
    let asked = turns.iter().filter(|t| t.state != "failed" || t.input_tokens > 0).count();
    let asked = u64::try_from(asked).unwrap_or(u64::MAX);
    let (tokens, cost) = (count(usage.task.tokens), count(usage.task.cost_microusd));
    let minutes = worked_ms(turns, steps).saturating_sub(usage.task_waited_ms) / 60_000;
    let of_task = [
        ("task_steps", calls, u64::from(limits.task_steps), "calls"),
        ("task_turns", asked, u64::from(limits.task_turns), "questions to the model"),
        ("task_tokens", tokens, limits.task_tokens, "tokens"),
        ("task_usd", cost, micro(limits.task_usd), ""),
        ("task_minutes", minutes, u64::from(limits.task_minutes), "minutes of work"),
    ];
    for (limit, used, most, unit) in of_task {
        let most = most.saturating_mul(times(limit));
        if used > 0 && used >= most {
            return Some(Reached { limit, words: format!("this task has used {}", of(limit, used, most, unit)), used });
        }
    }
    let (day, all) = (&usage.day, &usage.all);
    let of_all = [
        ("day_steps", usage.day_steps, limits.day_steps, "calls today"),
        ("day_turns", count(day.turns), limits.day_turns, "questions today"),
        ("day_tokens", count(day.tokens), limits.day_tokens, "tokens today"),
        ("day_usd", count(day.cost_microusd), limits.day_usd.map(micro), "today"),
        ("day_minutes", usage.day_worked_ms / 60_000, limits.day_minutes, "minutes of work today"),
        ("all_minutes", usage.all_worked_ms / 60_000, limits.all_minutes, "minutes of work in all"),
        ("all_turns", count(all.turns), limits.all_turns, "questions in all"),
        ("all_tokens", count(all.tokens), limits.all_tokens, "tokens in all"),
        ("all_usd", count(all.cost_microusd), limits.all_usd.map(micro), "in all"),
    ];
    let utc_day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    for (limit, used, size, unit) in of_all {
        let Some(size) = size else { continue };
        let counts = |s: &&Step| !limit.starts_with("day_") || utc_day(s.created_at) == utc_day(now);
        let granted = steps.iter().filter(counts).filter_map(|s| grant_of(s, limit)).map(|from| from.max(size));
        let most = granted.max().map_or(size, |from| from.saturating_add(size));
        if used > 0 && used >= most {
            return Some(Reached {
                limit,
                words: format!("all tasks together have used {}", of(limit, used, most, unit)),
                used,
            });
        }
    }
    None
}

/// `23 of 20 calls`, `$ 2.0041 of $ 2.0000 today`.
fn of(limit: &str, used: u64, most: u64, unit: &str) -> String {
    let amount = |n: u64| {
        if limit.ends_with("_usd") { dollars(i64::try_from(n).unwrap_or(i64::MAX)) } else { n.to_string() }
    };
    format!("{} of {} {unit}", amount(used), amount(most)).trim_end().to_owned()
}

/// Whether the same call was made too often already.
pub fn repeated(steps: &[Step], server: &str, tool: &str, arguments_sha256: &str) -> Option<Reached> {
    let same = |s: &&Step| s.server == server && s.tool == tool && s.arguments_sha256 == arguments_sha256;
    let most = MAX_REPEATS * (1 + steps.iter().filter(|s| grant_of(s, "repeats").is_some()).count());
    let count = steps.iter().filter(same).count();
    (count >= most).then(|| Reached {
        limit: "repeats",
        words: format!("{tool} of {server} was called {count} times with the same arguments"),
        used: u64::try_from(count).unwrap_or(u64::MAX),
    })
}

/// Of a step in which a person granted more of a limit: how much was used when it was asked for, 0 where that was not noted.
fn grant_of(step: &Step, limit: &str) -> Option<u64> {
    if step.server != OWN_SERVER || step.tool != GRANT_MORE || step.state != "succeeded" {
        return None;
    }
    let asked: serde_json::Value = serde_json::from_str(&step.arguments).ok()?;
    (asked["limit"] == limit).then(|| asked["used"].as_u64().unwrap_or(0))
}

/// Milliseconds in which a model or a tool was waited for. How long a question was under way whose process stopped, nobody knows.
fn worked_ms(turns: &[ModelTurn], steps: &[Step]) -> u64 {
    let thought = turns.iter().filter(|t| t.error.as_deref() != Some(CUT_OFF));
    let thinking = thought.filter_map(|t| t.answered_at.map(|end| length_ms(t.asked_at, end)));
    let calling = steps.iter().filter_map(|s| Some(length_ms(s.started_at?, s.finished_at?)));
    thinking.chain(calling).fold(0, u64::saturating_add)
}

/// Milliseconds in which calls that were under way waited for people: to answer what the server asked, or to say what became of
/// the call. Between its start and its end such a call's step holds both.
pub fn waited_ms(steps: &[Step], approvals: &[Approval]) -> u64 {
    let of_people = |a: &&Approval| [server_questions::ACTION_TYPE, OUTCOME_UNKNOWN].contains(&a.action_type.as_str());
    let waits = |from: Timestamp, to: Timestamp| {
        let within = approvals.iter().filter(of_people).filter(move |a| a.created_at >= from && a.created_at <= to);
        within.map(move |a| length_ms(a.created_at, if a.status == "pending" { to } else { a.updated_at.min(to) }))
    };
    let calls = steps.iter().filter_map(|s| Some(waits(s.started_at?, s.finished_at?)));
    calls.flatten().fold(0, u64::saturating_add)
}

fn length_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Dollars as millionths, rounded down; checked by [`Limits::wrong`].
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked where settings are read"
)]
fn micro(usd: f64) -> u64 {
    (usd * 1e6) as u64
}
