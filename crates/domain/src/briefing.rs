//! The briefing: what was done, what waits and for how long, where it is stuck, what it took, and what comes. Worked out
//! from rows, without a model; each figure says which rows it counts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use store::{
    Actor, Store,
    briefing::{self as rows, BriefApproval, BriefRun, BriefStep, BriefTask},
    watchers,
};
use uuid::Uuid;

use crate::Result;

/// Rows of each kind at most; where there are more, the briefing says so.
const MOST: i64 = 1000;
/// Rows that a figure names.
const NAMED: usize = 20;
/// An approval that is older than this has expired: none lives longer.
const OLDEST_APPROVAL: SignedDuration = SignedDuration::from_hours(24 * 35);

/// Of what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// The last 24 hours.
    Day,
    /// The last seven days.
    Week,
}

impl Period {
    fn length(self) -> SignedDuration {
        SignedDuration::from_hours(match self {
            Self::Day => 24,
            Self::Week => 24 * 7,
        })
    }
}

/// A row that a figure counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Where it stands on the desk, as in `/tasks/…`.
    pub link: String,
    /// What it is.
    pub title: String,
    /// Since when, or by when.
    pub at: Timestamp,
}

/// A figure and the rows behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// How many.
    pub count: usize,
    /// The first twenty of them.
    pub items: Vec<Item>,
}

/// Where time goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// `server.tool`.
    pub what: String,
    /// Calls.
    pub calls: usize,
    /// Of these, failed ones.
    pub failed: usize,
    /// Seconds in all.
    pub total_s: i64,
    /// The slowest one's task.
    pub slowest: Item,
    /// Its seconds.
    pub slowest_s: i64,
}

/// A briefing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Briefing {
    /// Of what time.
    pub period: Period,
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Completed tasks.
    pub done: Figure,
    /// Failed tasks.
    pub failed: Figure,
    /// Cancelled tasks.
    pub cancelled: Figure,
    /// Approvals that wait for a person, the longest waiting first.
    pub to_decide: Figure,
    /// Open tasks, the oldest first.
    pub open: Figure,
    /// Open tasks whose day is over.
    pub overdue: Figure,
    /// Approvals that expired undecided.
    pub expired: Figure,
    /// Half of the decisions took at most so many seconds; none where nothing was decided.
    pub decided_within_s: Option<i64>,
    /// Decisions that were made.
    pub decided: usize,
    /// The tools that took longest.
    pub bottlenecks: Vec<Bottleneck>,
    /// Seconds that the employee's runs of the ended tasks took, waiting included.
    pub employee_s: i64,
    /// Minutes that people say the ended tasks took them.
    pub people_min: i64,
    /// Open tasks that are due within the coming period.
    pub due: Figure,
    /// Times that schedules fire within it.
    pub planned: Figure,
    /// Watchers that can't see.
    pub failing_watchers: Figure,
    /// Whether there were more rows than were counted.
    pub is_cut: bool,
}

/// Makes the actor's briefing of what he may see, as of `now`.
pub async fn make(store: &Store, actor: &Actor, period: Period, now: Timestamp) -> Result<Briefing> {
    let from = now - period.length();
    let ended = rows::ended(actor, store, from, now, MOST).await?;
    let open = rows::open(actor, store, MOST).await?;
    let approvals = rows::approvals(actor, store, from - OLDEST_APPROVAL, now, MOST).await?;
    let ids: Vec<Uuid> = ended.iter().map(|t| t.id).collect();
    let runs = rows::runs(actor, store, ids.clone(), MOST).await?;
    let steps = rows::steps(actor, store, ids, MOST).await?;
    let seen = watchers::list(actor, store).await?;
    let mut planned = Vec::new();
    for watcher in
        seen.iter().filter(|w| w.is_active && w.watcher_type == "schedule" && w.created_by == actor.user_id())
    {
        let cursor = watchers::cursor(actor, store, watcher.id).await?;
        let next = cursor.as_ref().and_then(|c| c.pointer("/state/next")).and_then(|n| n.as_str());
        if let Some(at) = next.and_then(|n| n.parse::<Timestamp>().ok()).filter(|at| *at < now + period.length()) {
            planned.push(Item { link: "/watchers".to_owned(), title: watcher.name.clone(), at });
        }
    }
    planned.sort_by_key(|i| i.at);
    let failing = seen.iter().filter(|w| w.is_active && w.error_count > 0).map(|w| Item {
        link: "/watchers".to_owned(),
        title: format!("{}: {}", w.name, w.last_error.as_deref().unwrap_or_default()),
        at: w.last_run.unwrap_or(w.created_at),
    });
    let failing_watchers = figure(failing);
    let all = [ended.len(), open.len(), approvals.len(), runs.len(), steps.len()];
    let is_cut = all.iter().any(|n| i64::try_from(*n).is_ok_and(|n| n >= MOST));
    Ok(Briefing {
        planned: figure(planned),
        failing_watchers,
        is_cut,
        ..of_rows(period, from, now, &ended, &open, &approvals, &runs, &steps)
    })
}

#[allow(clippy::too_many_arguments, reason = "these are the rows that a briefing is made of")]
fn of_rows(
    period: Period,
    from: Timestamp,
    now: Timestamp,
    ended: &[BriefTask],
    open: &[BriefTask],
    approvals: &[BriefApproval],
    runs: &[BriefRun],
    steps: &[BriefStep],
) -> Briefing {
    let titles: BTreeMap<Uuid, &str> = ended.iter().chain(open).map(|t| (t.id, t.title.as_str())).collect();
    let with = |status: &str| figure(ended.iter().filter(|t| t.status == status).map(|t| task(t, t.updated_at)));
    let asked = |a: &BriefApproval| Item {
        link: format!("/approvals/{}", a.id),
        title: a.task_id.and_then(|id| titles.get(&id)).map_or_else(|| "a question".to_owned(), |t| (*t).to_owned()),
        at: a.created_at,
    };
    let mut waits: Vec<&BriefApproval> = approvals.iter().filter(|a| a.status == "pending").collect();
    waits.sort_by_key(|a| a.created_at);
    let mut decided: Vec<i64> = approvals
        .iter()
        .filter_map(|a| a.approved_at.or(a.rejected_at).map(|at| (at, a.created_at)))
        .filter(|(at, _)| *at >= from && *at < now)
        .map(|(at, since)| at.duration_since(since).as_secs())
        .collect();
    decided.sort_unstable();
    let soon = now + period.length();
    let mut due: Vec<&BriefTask> =
        open.iter().filter(|t| t.due_date.is_some_and(|d| d >= day_of(now) && d < soon)).collect();
    due.sort_by_key(|t| t.due_date);
    let employee: SignedDuration = runs
        .iter()
        .filter_map(|r| Some(r.finished_at?.duration_since(r.started_at)))
        .fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    Briefing {
        period,
        from,
        to: now,
        done: with("completed"),
        failed: with("failed"),
        cancelled: with("cancelled"),
        to_decide: figure(waits.into_iter().map(asked)),
        open: figure(open.iter().map(|t| task(t, t.created_at))),
        overdue: figure(
            open.iter()
                .filter(|t| t.due_date.is_some_and(|d| d < day_of(now)))
                .map(|t| task(t, t.due_date.unwrap_or(now))),
        ),
        expired: figure(approvals.iter().filter(|a| a.status == "expired" && a.created_at >= from).map(asked)),
        decided_within_s: decided.get(decided.len() / 2).copied(),
        decided: decided.len(),
        bottlenecks: bottlenecks(steps, &titles),
        employee_s: employee.as_secs(),
        people_min: ended.iter().filter_map(|t| t.actual_duration).map(i64::from).sum(),
        due: figure(due.into_iter().map(|t| task(t, t.due_date.unwrap_or(now)))),
        planned: Figure::default(),
        failing_watchers: Figure::default(),
        is_cut: false,
    }
}

/// The tools that took longest in all, the five first.
fn bottlenecks(steps: &[BriefStep], titles: &BTreeMap<Uuid, &str>) -> Vec<Bottleneck> {
    let mut by_tool: BTreeMap<String, Bottleneck> = BTreeMap::new();
    for step in steps {
        let (Some(began), Some(ended)) = (step.started_at, step.finished_at) else { continue };
        let took_s = ended.duration_since(began).as_secs().max(0);
        let item = || Item {
            link: format!("/tasks/{}", step.task_id),
            title: titles.get(&step.task_id).map_or_else(|| "a task".to_owned(), |t| (*t).to_owned()),
            at: began,
        };
        let what = format!("{}.{}", step.server, step.tool);
        let entry = by_tool.entry(what.clone()).or_insert_with(|| Bottleneck {
            what,
            calls: 0,
            failed: 0,
            total_s: 0,
            slowest: item(),
            slowest_s: -1,
        });
        entry.calls += 1;
        entry.failed += usize::from(step.state == "failed" || step.state == "outcome_unknown");
        entry.total_s += took_s;
        if took_s > entry.slowest_s {
            (entry.slowest, entry.slowest_s) = (item(), took_s);
        }
    }
    let mut all: Vec<Bottleneck> = by_tool.into_values().collect();
    all.sort_by(|a, b| b.total_s.cmp(&a.total_s).then_with(|| a.what.cmp(&b.what)));
    all.truncate(5);
    all
}

fn task(task: &BriefTask, at: Timestamp) -> Item {
    Item { link: format!("/tasks/{}", task.id), title: task.title.clone(), at }
}

fn figure(items: impl IntoIterator<Item = Item>) -> Figure {
    let mut items: Vec<Item> = items.into_iter().collect();
    let count = items.len();
    items.truncate(NAMED);
    Figure { count, items }
}

/// When the day began, as due dates have it: days are UTC days.
fn day_of(now: Timestamp) -> Timestamp {
    now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |z| z.timestamp())
}

impl Briefing {
    /// As a person reads it, in Markdown. `desk` goes before each link; without one, links are left out.
    pub fn text(&self, desk: Option<&str>) -> String {
        let words = match self.period {
            Period::Day => "the last day",
            Period::Week => "the last week",
        };
        let mut lines = vec![format!("# Briefing: {words}")];
        let parts = [
            ("Waits for you to decide", &self.to_decide, true),
            ("Failed", &self.failed, false),
            ("Overdue", &self.overdue, false),
            ("Watchers that can't see", &self.failing_watchers, false),
            ("Done", &self.done, false),
            ("Cancelled", &self.cancelled, false),
            ("Open", &self.open, true),
            ("Expired undecided", &self.expired, false),
            ("Due soon", &self.due, false),
            ("Planned", &self.planned, false),
        ];
        for (title, figure, has_age) in parts.into_iter().filter(|(_, figure, _)| figure.count > 0) {
            lines.extend([String::new(), format!("## {title}: {}", figure.count)]);
            lines.extend(figure.items.iter().map(|item| self.line(item, desk, has_age)));
            if figure.count > figure.items.len() {
                lines.push(format!("- and {} more", figure.count - figure.items.len()));
            }
        }
        let seconds = |s: i64| length(SignedDuration::from_secs(s));
        lines.extend([
            String::new(),
            "## What it took".to_owned(),
            format!("- the employee: {}", seconds(self.employee_s)),
        ]);
        if self.people_min > 0 {
            lines.push(format!("- people: {}", length(SignedDuration::from_mins(self.people_min))));
        }
        if let Some(within) = self.decided_within_s {
            lines.push(format!("- {} decisions, half of them within {}", self.decided, seconds(within)));
        }
        for b in &self.bottlenecks {
            let failed = if b.failed > 0 { format!(", {} failed", b.failed) } else { String::new() };
            lines.push(format!("- {}: {} calls in {}{failed}", b.what, b.calls, seconds(b.total_s)));
        }
        if self.is_cut {
            let words = "There was more than is counted here: these figures are of the first 1,000 rows of each kind.";
            lines.extend([String::new(), words.to_owned()]);
        }
        lines.join("\n") + "\n"
    }

    fn line(&self, item: &Item, desk: Option<&str>, has_age: bool) -> String {
        let title: String = item.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let title = match desk {
            Some(desk) => format!("[{}]({desk}{})", title.replace(['[', ']'], " "), item.link),
            None => title,
        };
        let age = if has_age { format!(" (for {})", length(self.to.duration_since(item.at))) } else { String::new() };
        format!("- {title}{age}")
    }
}

/// `3 d 4 h`, `2 h 5 min`, `40 s`.
fn length(length: SignedDuration) -> String {
    let s = length.as_secs().max(0);
    match (s / 86_400, s / 3600 % 24, s / 60 % 60) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}
