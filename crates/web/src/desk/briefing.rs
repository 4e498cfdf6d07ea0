//! The briefing on demand: what was done, what waits and for how long, where it is stuck, what it took, and what comes. Each
//! number leads to its rows.

use axum::extract::State;
use domain::briefing::{self, Briefing, Figure, Item, Period, counted, dollars, length};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::{
    layout::{Reader, shell},
    models::grouped,
    parts::{empty, say, tabs, when},
};
use crate::{app::App, fault::Result, params::Params};

const PERIODS: [(&str, &str); 2] = [("day", "The last day"), ("week", "The last week")];
/// What comes: the rest is of what was.
const AHEAD: [&str; 4] = ["Due soon", "Planned", "Reminders", "Waits that end"];

/// `GET /briefing`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["period"])?;
    let word = params.one_of("period", &PERIODS.map(|p| p.0))?.unwrap_or("day");
    let period = if word == "week" { Period::Week } else { Period::Day };
    let made = briefing::make(app.store(), &me.actor, period, store::now()).await?;
    let shown = |ahead: bool| {
        made.figures().into_iter().filter(move |(name, f, _)| f.count > 0 && AHEAD.contains(name) == ahead)
    };
    let is_quiet = shown(false).next().is_none();
    Ok(shell(
        &me,
        "Briefing",
        "/briefing",
        &html! {
            div.head {
                h1 { "Briefing" }
                p.sum {
                    span { a href=(made.done.link) { b { (made.done.count) } " done" } }
                    span { a href=(made.to_decide.link) { b { (made.to_decide.count) } " to decide" } }
                    span { a href=(made.failed.link) { b { (made.failed.count) } " failed" } }
                }
            }
            (tabs("Of what time", "/briefing", "period", &PERIODS, word))
            @if made.is_cut { p.soft { "There was more than is counted here: these figures are of the first 1,000 rows of each kind." } }
            div.cols {
                div {
                    @if is_quiet { (empty("Nothing happened.", &html! { "What was done, what waits and what failed stands here." })) }
                    @for (name, rows, has_age) in shown(false) { (figure(name, rows, has_age, made.to)) }
                }
                div {
                    (costs(&made))
                    @for (name, rows, _) in shown(true) { (figure(name, rows, false, made.to)) }
                }
            }
            p.soft.small { "It comes by itself too, each day or each week: " a href="/account/telling" { "how you are told" } "." }
        },
    ))
}

/// A figure with its rows. Its name leads to all of them.
fn figure(name: &str, rows: &Figure, has_age: bool, now: Timestamp) -> Markup {
    let id = name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { a href=(rows.link) { (name) } span.count { (rows.count) } }
            ul.lines {
                @for item in &rows.items {
                    li {
                        p.title { (to(item)) }
                        p.meta {
                            @if has_age { "for " (length(now.duration_since(item.at))) } @else { (when(item.at, now)) }
                        }
                    }
                }
            }
            @if rows.count > rows.items.len() { p.more { a href=(rows.link) { "and " (rows.count - rows.items.len()) " more" } } }
        }
    }
}

fn to(item: &Item) -> Markup {
    html! { a href=(item.link) { (say(&item.title)) } }
}

/// What it took: time, money, and where both went.
fn costs(made: &Briefing) -> Markup {
    let seconds = |s: i64| length(SignedDuration::from_secs(s));
    let money = &made.money;
    html! {
        section aria-labelledby="took" {
            h2 #took { "What it took" }
            ul.lines {
                li { p.title { a href="/activity" { "The employee: " (seconds(made.employee_s)) } } p.meta { "of the runs that ended, without waiting for people" } }
                @if made.people_min > 0 {
                    li { p.title { a href=(made.done.link) { "People: " (length(SignedDuration::from_mins(made.people_min))) } } p.meta { "as they say themselves" } }
                }
                @if money.turns > 0 {
                    li {
                        p.title { a href="/models" { "Models: " (dollars(money.cost_microusd)) } }
                        p.meta { (counted(grouped(money.tokens), "token")) " in " (counted(grouped(money.turns), "question")) }
                    }
                    @for spent in &money.dearest {
                        li { p.title { (to(&spent.task)) } p.meta { (dollars(spent.cost_microusd)) ", " (counted(grouped(spent.tokens), "token")) } }
                    }
                }
                @if let Some(within) = made.decided_within_s {
                    li { p.title { a href="/approvals?status=all" { (counted(made.decided, "decision")) } } p.meta { @if made.decided > 1 { "half of them " } "within " (seconds(within)) } }
                }
                @for tool in &made.bottlenecks {
                    li {
                        p.title { code { (say(&tool.what)) } }
                        p.meta {
                            (counted(tool.calls, "call")) " in " (seconds(tool.total_s))
                            @if tool.failed > 0 { ", " (tool.failed) " failed" }
                            "; the slowest " (seconds(tool.slowest_s)) ", in " (to(&tool.slowest))
                        }
                    }
                }
            }
        }
    }
}
