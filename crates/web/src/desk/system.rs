//! How Steward itself stands: backups, database, pool, Redis, the log's months, and what runs by the clock.

use axum::extract::State;
use maud::{Markup, html};
use store::{
    Actor,
    log_keeping::{self, LogMonth},
    metrics::{Histogram, Metrics},
    schedules, users,
};

use super::{
    jobs,
    layout::{Reader, shell},
    parts::{say, size, state, state_as, time, when},
};
use crate::{app::App, fault::Result};

/// `GET /system`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let all = schedules::list(actor, on).await?;
    // Who may not look at the log's places is not told of them.
    let months = if users::may(actor, on, "log_admin").await? {
        log_keeping::partitions(&Actor::service(), on).await?
    } else {
        Vec::new()
    };
    let backups = super::backups::section(&app, &me, &all, now).await?;
    let metrics = on.metrics();
    Ok(shell(
        &me,
        "System",
        "/system",
        &html! {
            h1 { "System" }
            @if let Some(backups) = backups { (backups) }
            div.cols {
                div {
                    section #jobs data-live="" aria-labelledby="clock" { h2 #clock { "By the clock" } (jobs::table(&me, &all, now)) }
                    @if !months.is_empty() { section aria-labelledby="months" { h2 #months { "Where the log lies" } (month_table(&months)) } }
                }
                div {
                    section #figures data-live="" aria-labelledby="database" { h2 #database { "Database" } (figures(&app, &metrics, now)) }
                    section aria-labelledby="more" {
                        h2 #more { "More" }
                        @if me.is_admin() { p { a.button.quiet href="/system/findings" { "Look for what is wrong" } } }
                        p { "It takes seconds, and says how to mend it, as " code { "steward doctor" } " does. " a href="/metrics" { "/metrics" } " has every figure for Prometheus." }
                    }
                }
            }
        },
    ))
}

fn figures(app: &App, metrics: &Metrics, now: jiff::Timestamp) -> Markup {
    let errors: u64 = metrics.errors.iter().map(|(_, count)| count).sum();
    let caches = app.store().cache_figures();
    html! {
        dl.facts {
            dt { "Steward" } dd { (app.state.version) ", up since " (when(app.started_at, now)) }
            dt { "Engine" } dd { (app.store().engine_name()) }
            @for pool in &metrics.pools {
                dt { "Pool " (pool.name) }
                dd {
                    (pool.size - pool.available) " of " (pool.max_size) " connections in use"
                    @if pool.waiting > 0 { ", " strong { (pool.waiting) " callers wait" } }
                }
            }
            @if let Some(replica) = &metrics.replica {
                dt { "Replica" }
                dd { (state(if replica.usable { "active" } else { "error" })) @if let Some(lag) = replica.lag_us { " " (lag / 1000) " ms behind" } }
            }
            @if let Some(writer) = &metrics.writer { dt { "Writer" } dd { (writer.commits) " commits, " (writer.queued) " transactions wait" } }
            dt { "Answers within" }
            dd { @match median(&metrics.latency_us) { Some(us) => { (milliseconds(us)) " for half of all statements" }, None => "nothing measured yet" } }
            dt { "Errors" } dd { (errors) " since the start, refusals included; " (metrics.retries) " repeated" }
            dt { "Caches" } dd { (state_as(if caches.is_trusting { "active" } else { "waiting" }, if caches.is_trusting { "believed" } else { "not believed now" })) }
            dt { "Redis" }
            dd { @match &caches.redis { Some(redis) => (state_as(if redis.breaker.as_str() == "closed" { "active" } else { "error" }, if redis.breaker.as_str() == "closed" { "answers" } else { "does not answer; slower, not wrong" })), None => span.soft { "none is set; the cache is in this process" } } }
        }
    }
}

/// The bound under which half of the values fell.
fn median(histogram: &Histogram) -> Option<u64> {
    let half = histogram.count.div_ceil(2);
    (histogram.count > 0)
        .then(|| histogram.buckets.iter().find(|(_, count)| *count >= half).map(|(bound, _)| *bound))?
}

fn milliseconds(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

fn month_table(months: &[LogMonth]) -> Markup {
    html! {
        table.dense {
            caption.hidden { "Months of the log" }
            thead { tr { th scope="col" { "Place" } th.opt scope="col" { "From" } th.num scope="col" { "Lines" } th.num.opt scope="col" { "Size" } } }
            tbody {
                @for month in months {
                    tr {
                        th scope="row" { code { (say(&month.name)) } @if month.state != "month" { " " (state(&month.state)) } }
                        td.opt { @if let Some(at) = month.from_at { (time(at)) } }
                        td.num { @if !month.is_exact { "about " } (month.lines) }
                        td.num.opt { @if let Some(bytes) = month.size_bytes { (size(bytes)) } }
                    }
                }
            }
        }
    }
}
