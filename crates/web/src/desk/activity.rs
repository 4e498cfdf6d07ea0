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
    layout::{Reader, shell},
    models::{dollars, grouped},
    parts::{empty, took},
};
use crate::{
    app::App,
    fault::{Fault, Result},
};

/// Days that are shown.
const DAYS: i64 = 30;
/// Decisions that are looked at.
const DECISIONS: i64 = 500;
/// The drawing, in its own units.
const WIDTH: usize = 720;
const HEIGHT: usize = 120;

/// One part of a day's bar: its series and how many.
type Part = (usize, i64);

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
            section aria-labelledby="decisions" { h2 #decisions { "Decisions" } (decision_part(&decided, since)) }
            section aria-labelledby="cost" { h2 #cost { "What models cost" } (cost_part(&days, &spent)) }
            section aria-labelledby="lines" { h2 #lines { "Lines of the log" } (level_part(&days, &levels)) }
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

/// A series and the colour it is drawn in.
type Series<'a> = (&'a str, u8);

/// Bars of days, each of parts that stand on one another, with a key. What it shows stands in a table beside it.
fn bars(days: &[String], parts: &BTreeMap<&str, Vec<Part>>, names: &[Series<'_>]) -> Markup {
    let sum = |day: &str| parts.get(day).map_or(0, |p| p.iter().map(|(_, n)| *n).sum::<i64>());
    let most = days.iter().map(|d| sum(d)).max().unwrap_or(0).max(1);
    let step = WIDTH / days.len().max(1);
    let height = |count: i64| usize::try_from(count * i64::try_from(HEIGHT).unwrap_or(1) / most).unwrap_or(0);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 18) } width=(WIDTH) height=(HEIGHT + 18) aria-hidden="true" focusable="false" {
            @for (place, day) in days.iter().enumerate() {
                @let mut top = HEIGHT;
                @for (series, count) in parts.get(day.as_str()).into_iter().flatten() {
                    @let tall = height(*count).max(usize::from(*count > 0));
                    @let () = top = top.saturating_sub(tall);
                    rect class={ "s" (names.get(series - 1).map_or(0, |n| n.1)) } x=(place * step + 1) y=(top) width=(step.saturating_sub(3)) height=(tall) {}
                }
                @if place % 7 == 1 { text.day x=(place * step) y=(HEIGHT + 14) { (day.get(5..).unwrap_or_default()) } }
            }
            path.axis d={ "M0 " (HEIGHT) "H" (WIDTH) } {}
            text x="0" y="10" { (most) }
        }
        ul.key aria-hidden="true" {
            @for (name, colour) in names {
                li { svg viewBox="0 0 8 8" focusable="false" { rect class={ "s" (colour) } width="8" height="8" {} } (name) }
            }
        }
    }
}

/// The same as a table; days on which nothing happened are left out.
fn table(caption: &str, days: &[String], parts: &BTreeMap<&str, Vec<Part>>, names: &[Series<'_>]) -> Markup {
    let count = |day: &str, series: usize| {
        parts.get(day).map_or(0, |p| p.iter().filter(|(s, _)| *s == series).map(|(_, n)| *n).sum::<i64>())
    };
    html! {
        details {
            summary { "The same as a table" }
            table.dense {
                caption.hidden { (caption) }
                thead { tr { th scope="col" { "Day" } @for (name, _) in names { th.num scope="col" { (name) } } } }
                tbody {
                    @for day in days.iter().rev().filter(|d| parts.contains_key(d.as_str())) {
                        tr { th scope="row" { (day) } @for series in 1..=names.len() { td.num { (count(day, series)) } } }
                    }
                }
            }
        }
    }
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

fn decision_part(rows: &[Approval], since: Timestamp) -> Markup {
    let within = rows.iter().filter(|a| a.created_at >= since);
    let mut times: Vec<SignedDuration> = Vec::new();
    let (mut yes, mut no, mut late) = (0, 0, 0);
    for row in within {
        match row.status.as_str() {
            "approved" => yes += 1,
            "rejected" => no += 1,
            "expired" => late += 1,
            _ => {}
        }
        if let Some(at) = row.approved_at.or(row.rejected_at) {
            times.push(at.duration_since(row.created_at));
        }
    }
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    let words = |length: SignedDuration| took(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + length);
    if yes + no + late == 0 {
        return empty("Nothing was decided in this time.", &html! { "How long decisions take stands here." });
    }
    html! {
        dl.facts {
            dt { "Approved" } dd { (yes) }
            dt { "Rejected" } dd { (no) }
            dt { "Expired" } dd { (late) @if late > 0 { span.soft { " – nobody decided in time, which meant no" } } }
            @if let (Some(half), Some(most)) = (at(50), at(90)) {
                dt { "Time to decide" } dd { (words(half)) " for half of them, " (words(most)) " for nine of ten" }
            }
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
    let names: Vec<Series<'_>> = LEVELS.iter().copied().zip([0, 1, 3, 4, 5]).collect();
    let mut parts: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
    let mut modules: BTreeMap<&str, i64> = BTreeMap::new();
    for row in rows {
        let series = LEVELS.iter().position(|l| *l == row.level).unwrap_or_default() + 1;
        parts.entry(row.day.as_str()).or_default().push((series, row.events));
        for module in row.modules.split(", ").filter(|m| !m.is_empty()) {
            *modules.entry(module).or_default() += 1;
        }
    }
    let mut often: Vec<(&str, i64)> = modules.into_iter().collect();
    often.sort_by_key(|(name, days)| (std::cmp::Reverse(*days), *name));
    html! {
        (bars(days, &parts, &names))
        (table("Lines of the log by day and level", days, &parts, &names))
        p.small { "Parts that spoke on most days: " @for (place, (name, _)) in often.iter().take(8).enumerate() { @if place > 0 { ", " } a href={ "/logs?module=" (crate::guard::encode(name)) } { (super::parts::say(name)) } } }
    }
}
