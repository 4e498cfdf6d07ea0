//! Activity: what happened in the last 30 days, drawn and as tables: lines of the log, the flow of tasks, decisions.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use maud::{Markup, html};
use store::{
    activity::{self, DayFlow, DayLevel},
    approvals::{self, Approval},
    model_turns::{self, DaySpend},
    system_logs::LEVELS,
};

use super::{
    drawing::{Part, Series, bars, key, strip, table},
    layout::{Reader, shell},
    models::{dollars, grouped},
    parts::{empty, say, took},
};
use crate::{
    app::App,
    fault::{Fault, Result},
    guard::encode,
};

/// Days that are shown.
const DAYS: i64 = 30;
/// Decisions that are looked at.
const DECISIONS: i64 = 500;
/// Parts of the program that are drawn: those that spoke on most days.
const MODULES: usize = 12;
/// How long decisions take, as they are drawn: up to so many minutes, in words, and the colour.
const LENGTHS: [(i64, &str, u8); 4] =
    [(1, "within a minute", 2), (60, "within an hour", 1), (24 * 60, "within a day", 3), (i64::MAX, "later", 4)];

/// `GET /activity`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let days = days(now)?;
    let since = now - SignedDuration::from_hours(24 * (DAYS - 1));
    let (levels, flow, decided, spent) = tokio::try_join!(
        activity::levels(actor, on),
        activity::flow(actor, on, since),
        approvals::list(actor, on, None, None, None, DECISIONS),
        model_turns::spent_by_day(actor, on),
    )?;
    Ok(shell(
        &me,
        "Activity",
        "/activity",
        &html! {
            h1 { "Activity" }
            p.lead { "The last " (DAYS) " days, by UTC days." }
            section aria-labelledby="flow" { h2 #flow { "Tasks" } (flow_part(&days, &flow)) }
            section aria-labelledby="decisions" { h2 #decisions { "Decisions" } (decision_part(&days, &decided, since)) }
            section aria-labelledby="cost" { h2 #cost { "What models cost" } (cost_part(&days, &spent)) }
            section aria-labelledby="lines" { h2 #lines { "Lines of the log" } (level_part(&days, &levels)) }
            @if !levels.is_empty() { section aria-labelledby="modules" { h2 #modules { "Parts of the program" } (module_part(&days, &levels)) } }
        },
    ))
}

fn days(now: Timestamp) -> Result<Vec<String>> {
    let wrong = |e: jiff::Error| Fault::internal(e.to_string());
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut day: Date = today.checked_sub((DAYS - 1).days()).map_err(wrong)?;
    let mut days = Vec::new();
    while day <= today {
        days.push(day.to_string());
        day = day.tomorrow().map_err(wrong)?;
    }
    Ok(days)
}

fn flow_part(days: &[String], flow: &[DayFlow]) -> Markup {
    if flow.is_empty() {
        return empty(
            "No task was made in this time.",
            &html! { "Days with tasks stand here, with what became of them." },
        );
    }
    let names = [("still open", 0), ("completed", 2), ("failed", 4)];
    let parts: BTreeMap<&str, Vec<Part>> = flow
        .iter()
        .map(|d| (d.day.as_str(), vec![(2, d.completed), (3, d.failed), (1, (d.made - d.completed - d.failed).max(0))]))
        .collect();
    let total = |of: fn(&DayFlow) -> i64| flow.iter().map(of).sum::<i64>();
    let (made, completed, failed) = (total(|d| d.made), total(|d| d.completed), total(|d| d.failed));
    html! {
        p.sum {
            span { b { (made) } " made" } span { b { (completed) } " of them completed" } span { b { (failed) } " failed" }
            @if let Some(share) = (completed * 100).checked_div(completed + failed) { span { b { (share) " %" } " of those that ended went well" } }
        }
        (bars(days, &parts, &names))
        (table("Tasks by the day they were made", days, &parts, &names))
    }
}

fn decision_part(days: &[String], rows: &[Approval], since: Timestamp) -> Markup {
    let within = rows.iter().filter(|a| a.created_at >= since);
    let mut times: Vec<SignedDuration> = Vec::new();
    let mut by_day: BTreeMap<String, [i64; LENGTHS.len()]> = BTreeMap::new();
    let (mut yes, mut no, mut late) = (0, 0, 0);
    for row in within {
        match row.status.as_str() {
            "approved" => yes += 1,
            "rejected" => no += 1,
            "expired" => late += 1,
            _ => {}
        }
        if let Some(at) = row.approved_at.or(row.rejected_at) {
            let length = at.duration_since(row.created_at);
            let series =
                LENGTHS.iter().position(|(minutes, ..)| length.as_mins() < *minutes).unwrap_or(LENGTHS.len() - 1);
            by_day.entry(at.to_zoned(TimeZone::UTC).date().to_string()).or_default()[series] += 1;
            times.push(length);
        }
    }
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    let words = |length: SignedDuration| took(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + length);
    if yes + no + late == 0 {
        return empty("Nothing was decided in this time.", &html! { "How long decisions take stands here." });
    }
    let names = LENGTHS.map(|(_, name, colour)| (name, colour));
    let parts: BTreeMap<&str, Vec<Part>> =
        by_day.iter().map(|(day, counts)| (day.as_str(), (1..).zip(counts.iter().copied()).collect())).collect();
    html! {
        dl.facts {
            dt { "Approved" } dd { (yes) }
            dt { "Rejected" } dd { (no) }
            dt { "Expired" } dd { (late) @if late > 0 { span.soft { " – nobody decided in time, which meant no" } } }
            @if let (Some(half), Some(most)) = (at(50), at(90)) {
                dt { "Time to decide" } dd { (words(half)) " for half of them, " (words(most)) " for nine of ten" }
            }
        }
        @if !parts.is_empty() {
            h3 { "How long they took" }
            (bars(days, &parts, &names))
            (table("Decisions by their day and by how long they took", days, &parts, &names))
        }
        @if rows.len() >= usize::try_from(DECISIONS).unwrap_or(usize::MAX) { p.soft.small { "Of the last " (DECISIONS) " calls that asked." } }
    }
}

/// Cost by day and model, in hundredths of a cent.
fn cost_part(days: &[String], rows: &[DaySpend]) -> Markup {
    if rows.is_empty() {
        return empty(
            "No model was asked in this time.",
            &html! { "What language models cost stands here, by day and model." },
        );
    }
    let mut models: Vec<&str> = rows.iter().map(|r| r.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    // More models than colours share the last one.
    let names: Vec<Series<'_>> =
        models.iter().copied().zip([2, 1, 3, 5, 4, 0].into_iter().chain(std::iter::repeat(0))).collect();
    let mut parts: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
    for row in rows {
        let series = models.iter().position(|m| *m == row.model).unwrap_or_default() + 1;
        parts.entry(row.day.as_str()).or_default().push((series, row.cost_microusd / 100));
    }
    let (cost, questions) = rows.iter().fold((0, 0), |(c, q), r| (c + r.cost_microusd, q + r.turns));
    html! {
        p.sum { span { b { (dollars(cost)) } " in all" } span { b { (grouped(questions)) } " questions" } }
        (bars(days, &parts, &names))
        (table("Cost by day and model, in hundredths of a cent", days, &parts, &names))
        p.soft.small { "In hundredths of a cent. " a href="/models" { "What each model cost, and the limits" } }
    }
}

fn level_part(days: &[String], rows: &[DayLevel]) -> Markup {
    if rows.is_empty() {
        return empty(
            "No lines that you may see.",
            &html! { "Lines about your own work are counted here; all of them need the permission to read all logs." },
        );
    }
    let names = level_names();
    let mut parts: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
    for row in rows {
        let series = LEVELS.iter().position(|l| *l == row.level).unwrap_or_default() + 1;
        parts.entry(row.day.as_str()).or_default().push((series, row.events));
    }
    html! {
        (bars(days, &parts, &names))
        (table("Lines of the log by day and level", days, &parts, &names))
    }
}

/// Who spoke on which day, in the colour of the worst that was said.
fn module_part(days: &[String], rows: &[DayLevel]) -> Markup {
    let (colours, warning, error) = (level_names(), 2, 3);
    let mut modules: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for row in rows {
        let level = LEVELS.iter().position(|l| *l == row.level).unwrap_or_default();
        for module in row.modules.split(", ").filter(|m| !m.is_empty()) {
            let worst = modules.entry(module).or_default().entry(row.day.as_str()).or_default();
            *worst = level.max(*worst);
        }
    }
    let count = |said: &BTreeMap<&str, usize>, least: usize| said.values().filter(|level| **level >= least).count();
    let of_days = |n: usize| if n == 1 { "1 day".to_owned() } else { format!("{n} days") };
    let mut often: Vec<(&str, BTreeMap<&str, usize>)> = modules.into_iter().collect();
    often.sort_by_key(|(name, said)| (std::cmp::Reverse((said.len(), count(said, warning))), *name));
    html! {
        p.soft.small { "A mark for each day on which a part wrote into the log, in the colour of the worst line." }
        (key(&colours))
        ul.lines {
            @for (name, said) in often.iter().take(MODULES) {
                li {
                    p {
                        a href={ "/logs?module=" (encode(name)) } { (say(name)) }
                        span.soft.small {
                            " on " (of_days(said.len()))
                            @let (bad, worse) = (count(said, warning), count(said, error));
                            @if bad > worse { ", with warnings on " (of_days(bad - worse)) }
                            @if worse > 0 { ", with errors on " (of_days(worse)) }
                        }
                    }
                    (strip(days, &said.iter().map(|(day, level)| (*day, colours.get(*level).map_or(0, |c| c.1))).collect()))
                }
            }
        }
        @if often.len() > MODULES { p.soft.small { (often.len() - MODULES) " more spoke on fewer days." } }
    }
}

/// The levels with their colours.
fn level_names() -> Vec<Series<'static>> {
    LEVELS.into_iter().zip([0, 1, 3, 4, 5]).collect()
}
