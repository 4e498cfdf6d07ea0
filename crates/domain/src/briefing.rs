//! The briefing: what was done, what waits and for how long, where it is stuck, what it took, and what comes. Worked out
//! from rows, without a model; each figure says which rows it counts.

mod text;
mod took;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use store::{
    Actor, Store,
    briefing::{self as rows, BriefApproval, BriefRun, BriefSpend, BriefStep, BriefTask, BriefWait},
    watchers,
};
use uuid::Uuid;

use crate::Result;
pub use text::{Links, counted, dollars, length};

/// Rows of each kind at most; where there are more, the briefing says so.
const MOST: i64 = 1000;
/// Rows that a figure names.
const NAMED: usize = 20;
/// Tools and tasks that are named of those that took the most.
const DEAREST: usize = 5;

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
    /// Where all of them stand on the desk, among others of their kind.
    #[serde(default)]
    pub link: String,
    /// The first twenty of them.
    pub items: Vec<Item>,
}

/// What questions to models for a task used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The task.
    pub task: Item,
    /// Tokens read and written.
    pub tokens: i64,
    /// Millionths of a US dollar.
    pub cost_microusd: i64,
}

/// What questions to models used for the tasks that ended in the period and those that are open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Questions.
    pub turns: i64,
    /// Tokens read and written.
    pub tokens: i64,
    /// Millionths of a US dollar, by the owner's prices.
    pub cost_microusd: i64,
    /// The tasks that took the most, the dearest first.
    pub dearest: Vec<Spent>,
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
    /// Seconds within the period that the employee's runs took which have ended, without the time in which they waited for a
    /// person.
    pub employee_s: i64,
    /// Minutes that people say the ended tasks took them.
    pub people_min: i64,
    /// What models used.
    #[serde(default)]
    pub money: Money,
    /// Open tasks that are due within the coming period.
    pub due: Figure,
    /// Times that schedules fire within it.
    pub planned: Figure,
    /// One's own reminders that come within it.
    #[serde(default)]
    pub reminders: Figure,
    /// Waits of open tasks that end within it at the latest.
    #[serde(default)]
    pub waits: Figure,
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
    let approvals = rows::approvals(actor, store, from, now, MOST).await?;
    let ids: Vec<Uuid> = ended.iter().map(|t| t.id).collect();
    let open_ids: Vec<Uuid> = open.iter().map(|t| t.id).collect();
    let steps = rows::steps(actor, store, ids.clone(), MOST).await?;
    let both: Vec<Uuid> = ids.into_iter().chain(open_ids.iter().copied()).collect();
    // A task that was given anew is open, and what its first run took was taken all the same.
    let runs = rows::runs(actor, store, both.clone(), MOST).await?;
    let turns = rows::turns(actor, store, both, from, now, MOST).await?;
    let soon = now + period.length();
    let reminders = rows::reminders(actor, store, now, soon, MOST).await?;
    let waits = rows::waits(actor, store, open_ids, MOST).await?;
    let seen = watchers::list(actor, store).await?;
    let at_watcher = |id: Uuid| format!("/watchers/{id}");
    let mut planned = Vec::new();
    for watcher in
        seen.iter().filter(|w| w.is_active && w.watcher_type == "schedule" && w.created_by == actor.user_id())
    {
        let cursor = watchers::cursor(actor, store, watcher.id).await?;
        let next = cursor.as_ref().and_then(|c| c.pointer("/state/next")).and_then(|n| n.as_str());
        if let Some(at) = next.and_then(|n| n.parse::<Timestamp>().ok()).filter(|at| *at < soon) {
            planned.push(Item { link: at_watcher(watcher.id), title: watcher.name.clone(), at });
        }
    }
    planned.sort_by_key(|i| i.at);
    let failing = seen.iter().filter(|w| w.is_active && w.error_count > 0).map(|w| Item {
        link: at_watcher(w.id),
        title: format!("{}: {}", w.name, w.last_error.as_deref().unwrap_or_default()),
        at: w.last_run.unwrap_or(w.created_at),
    });
    let reminded = reminders.iter().map(|r| Item {
        link: "/notifications".to_owned(),
        title: r.title.clone(),
        at: r.scheduled_for,
    });
    let all = [ended.len(), open.len(), approvals.len(), runs.len(), steps.len(), turns.len(), waits.len()];
    let is_cut = all.iter().any(|n| i64::try_from(*n).is_ok_and(|n| n >= MOST));
    let titles: BTreeMap<Uuid, &str> = ended.iter().chain(&open).map(|t| (t.id, t.title.as_str())).collect();
    Ok(Briefing {
        money: money(&turns, &titles, now),
        planned: figure("/watchers", planned),
        reminders: figure("/notifications", reminded),
        waits: figure("/tasks?status=in_progress", ends_of_waits(&waits, &titles, soon)),
        failing_watchers: figure("/watchers", failing),
        is_cut,
        ..of_rows(period, from, now, &ended, &open, &approvals, &runs, &steps)
    })
}

/// What models used, and for what the most.
fn money(turns: &[BriefSpend], titles: &BTreeMap<Uuid, &str>, now: Timestamp) -> Money {
    let sum = |of: fn(&BriefSpend) -> i64| turns.iter().map(of).fold(0, i64::saturating_add);
    let dearest = turns.iter().take(DEAREST).map(|spent| Spent {
        task: of_task(spent.task_id, titles, now),
        tokens: spent.tokens,
        cost_microusd: spent.cost_microusd,
    });
    Money {
        turns: sum(|s| s.turns),
        tokens: sum(|s| s.tokens),
        cost_microusd: sum(|s| s.cost_microusd),
        dearest: dearest.collect(),
    }
}

/// The waits that end before `soon`, the next first.
fn ends_of_waits(waits: &[BriefWait], titles: &BTreeMap<Uuid, &str>, soon: Timestamp) -> Vec<Item> {
    let until = |wait: &BriefWait| {
        let arguments: serde_json::Value = serde_json::from_str(&wait.arguments).ok()?;
        arguments.get("until")?.as_str()?.parse::<Timestamp>().ok()
    };
    let ends = waits.iter().filter_map(|wait| Some((wait, until(wait).filter(|at| *at < soon)?)));
    let mut items: Vec<Item> = ends.map(|(wait, at)| of_task(wait.task_id, titles, at)).collect();
    items.sort_by_key(|item| item.at);
    items
}

fn of_task(id: Uuid, titles: &BTreeMap<Uuid, &str>, at: Timestamp) -> Item {
    let title = titles.get(&id).map_or_else(|| "a task".to_owned(), |title| (*title).to_owned());
    Item { link: format!("/tasks/{id}"), title, at }
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
    let with = |status: &str| {
        let rows = ended.iter().filter(|t| t.status == status).map(|t| task(t, t.updated_at));
        figure(&format!("/tasks?status={status}"), rows)
    };
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
    Briefing {
        period,
        from,
        to: now,
        done: with("completed"),
        failed: with("failed"),
        cancelled: with("cancelled"),
        to_decide: figure("/approvals", waits.into_iter().map(asked)),
        open: figure("/tasks?view=board", open.iter().map(|t| task(t, t.created_at))),
        overdue: figure(
            "/tasks?view=calendar",
            open.iter()
                .filter(|t| t.due_date.is_some_and(|d| d < day_of(now)))
                .map(|t| task(t, t.due_date.unwrap_or(now))),
        ),
        expired: figure(
            "/approvals?status=expired",
            approvals.iter().filter(|a| a.status == "expired" && a.expires_at >= from && a.expires_at < now).map(asked),
        ),
        decided_within_s: decided.get(decided.len() / 2).copied(),
        decided: decided.len(),
        bottlenecks: bottlenecks(steps, &titles),
        employee_s: took::worked(runs, approvals, from, now).as_secs(),
        people_min: ended.iter().filter_map(|t| t.actual_duration).map(i64::from).sum(),
        money: Money::default(),
        due: figure("/tasks?view=calendar", due.into_iter().map(|t| task(t, t.due_date.unwrap_or(now)))),
        planned: Figure::default(),
        reminders: Figure::default(),
        waits: Figure::default(),
        failing_watchers: Figure::default(),
        is_cut: false,
    }
}

/// The tools that took longest in all.
fn bottlenecks(steps: &[BriefStep], titles: &BTreeMap<Uuid, &str>) -> Vec<Bottleneck> {
    let mut by_tool: BTreeMap<String, Bottleneck> = BTreeMap::new();
    for step in steps {
        let (Some(began), Some(ended)) = (step.started_at, step.finished_at) else { continue };
        let took_s = ended.duration_since(began).as_secs().max(0);
        let item = || of_task(step.task_id, titles, began);
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
    all.truncate(DEAREST);
    all
}

fn task(task: &BriefTask, at: Timestamp) -> Item {
    Item { link: format!("/tasks/{}", task.id), title: task.title.clone(), at }
}

fn figure(link: &str, items: impl IntoIterator<Item = Item>) -> Figure {
    let mut items: Vec<Item> = items.into_iter().collect();
    let count = items.len();
    items.truncate(NAMED);
    Figure { count, link: link.to_owned(), items }
}

/// When the day began, as due dates have it: days are UTC days.
fn day_of(now: Timestamp) -> Timestamp {
    now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |z| z.timestamp())
}
