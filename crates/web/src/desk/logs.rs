//! What people are told, and what Steward wrote down.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::telling;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use maud::{Markup, html};
use store::{
    notifications,
    system_logs::{self, Filter, FoundLine, LogLine},
};

use super::{
    layout::{Reader, button, shell, token},
    parts::{block, cut, empty, marked, pretty, say, state, tabs, time, turns, visible, when},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    params::{Params, page as cut_page},
    session::Signed,
};

const READ: [(&str, &str); 4] = [("unread", "Unread"), ("read", "Read"), ("archived", "Archived"), ("all", "All")];
const LEVELS: [(&str, &str); 6] = [
    ("", "All"),
    ("critical", "Critical"),
    ("error", "Error"),
    ("warning", "Warning"),
    ("info", "Info"),
    ("debug", "Debug"),
];

/// `GET /notifications`
pub(crate) async fn notifications(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["status", "limit", "cursor"])?;
    let filter = params.one_of("status", &READ.map(|f| f.0))?.unwrap_or("unread");
    let (limit, cursor) = (params.limit()?, params.cursor()?);
    let status = (filter != "all").then_some(filter);
    let rows = notifications::page(&me.actor, app.store(), status, cursor, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |n| (n.created_at, n.id));
    let (now, has_unread) = (store::now(), rows.iter().any(|n| n.status == "unread"));
    Ok(shell(
        &me,
        "Notifications",
        "/notifications",
        &html! {
            div.head {
                h1 { "Notifications" }
                @if has_unread {
                    form.acts method="post" action="/notifications/read" { (token(&me)) button.quiet type="submit" name="id" value="all" { "Mark all as read" } }
                }
            }
            (tabs("Which notifications", "/notifications", "status", &READ, filter))
            div #notes data-live="" {
            @if rows.is_empty() { (empty("Nothing here.", &html! { "You are told when something waits for you, is done, or failed." })) }
            ul.lines {
                @for note in &rows {
                    li.unread[note.status == "unread"] data-key=(note.id) {
                        p.title {
                            @match link(note.data.as_ref()) {
                                Some(address) => { a href=(address) { (say(&note.title)) } },
                                None => (say(&note.title)),
                            }
                        }
                        @if let Some(text) = &note.message { p.text { (cut(&visible(text), 600)) } }
                        div.meta {
                            (state(&note.r#type)) " " (when(note.created_at, now))
                            @let (id, title) = (note.id.to_string(), cut(&note.title, 80));
                            @if note.status == "unread" { " " (button(&me, "/notifications/read", &[("id", &id)], "Mark as read", "quiet", &title)) }
                            @if note.status != "archived" { " " (button(&me, "/notifications/archive", &[("id", &id)], "Put away", "quiet", &title)) }
                        }
                    }
                }
            }
            (turns(cursor.is_some(), next.as_deref(), "/notifications", &[("status", filter)]))
            }
        },
    ))
}

/// Where a notification leads.
fn link(data: Option<&serde_json::Value>) -> Option<String> {
    let id = |name: &str| data?.get(name)?.as_str()?.parse::<uuid::Uuid>().ok();
    let of_briefing = || match data?.get("briefing")?.as_str()? {
        period @ ("day" | "week") => Some(format!("/briefing?period={period}")),
        _ => None,
    };
    id("approval_id")
        .map(|id| format!("/approvals/{id}"))
        .or_else(|| id("task_id").map(|id| format!("/tasks/{id}")))
        .or_else(of_briefing)
}

/// `POST /notifications/read`: one, or all.
pub(crate) async fn mark_read(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    if sent.get("id") == Some("all") {
        notifications::read_all(&me.actor, app.store()).await?;
        return Ok(Redirect::to("/notifications").into_response());
    }
    mark(&app, &me, &sent, "read").await
}

/// `POST /notifications/archive`
pub(crate) async fn archive(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    mark(&app, &me, &sent, "archived").await
}

async fn mark(app: &App, me: &Signed, sent: &Fields, status: &str) -> Result<Response> {
    let id = sent.get("id").ok_or_else(|| Fault::invalid("id", "say which notification"))?;
    let id = id.parse().map_err(|_| Fault::not_found("notification"))?;
    if !notifications::set_status(&me.actor, app.store(), id, status).await? {
        return Err(Fault::not_found("notification"));
    }
    Ok(Redirect::to("/notifications").into_response())
}

/// `GET /logs`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["level", "module", "q", "task", "from", "to", "limit", "cursor"])?;
    let (level, module) = (params.one_of("level", &LEVELS.map(|f| f.0))?, params.get("module"));
    let (task_id, cursor, limit) = (params.id("task")?, params.cursor()?, params.limit()?);
    let (from, to, zone) = span(&app, &me, &params).await?;
    let filter =
        Filter { level: level.and_then(system_logs::level), module, task_id, from, to, after: cursor, user_id: None };
    let rows = match params.get("q") {
        Some(query) => system_logs::search(&me.actor, app.store(), query, &filter, limit + 1).await?,
        None => system_logs::find(&me.actor, app.store(), &filter, limit + 1)
            .await?
            .into_iter()
            .map(|line| FoundLine { line, snippet: Vec::new() })
            .collect(),
    };
    let (rows, next) = cut_page(rows, limit, |found| (found.line.timestamp, found.line.id));
    let kept = ["level", "module", "q", "task", "from", "to"].map(|name| (name, params.get(name).unwrap_or_default()));
    // What is older than a line stays as it is; only the newest page has news.
    let live = (cursor.is_none() && to.is_none()).then_some("poll");
    Ok(shell(
        &me,
        "Logs",
        "/logs",
        &html! {
            div.head { h1 { "Logs" } @if live.is_some() { p.soft { "New lines appear by themselves." } } }
            (tabs("Which level, or heavier", "/logs", "level", &LEVELS, level.unwrap_or_default()))
            form.filter method="get" action="/logs" role="search" {
                @if let Some(level) = level { input type="hidden" name="level" value=(level); }
                @if let Some(task) = task_id { input type="hidden" name="task" value=(task); }
                label.hidden for="q" { "Search lines" }
                input #q name="q" type="search" value=[params.get("q")] maxlength="400" placeholder="Words in the line" data-search="lines";
                label.hidden for="module" { "Part" }
                input #module name="module" type="text" value=[module] maxlength="100" placeholder="Part, as in server:files" autocapitalize="none" spellcheck="false" data-search="lines";
                label for="from" { "From" }
                input #from name="from" type="datetime-local" value=[params.get("from")];
                label for="to" { "to" }
                input #to name="to" type="datetime-local" value=[params.get("to")];
                button.quiet type="submit" { "Show" }
            }
            @if from.is_some() || to.is_some() { p.soft.small { "Times are those of " (zone) "; another zone is set under " a href="/account/telling" { "How you are told" } "." } }
            @if let Some(task) = task_id { p { "Lines of " a href={ "/tasks/" (task) } { "one task" } " · " a href="/logs" { "All lines" } } }
            div #lines data-live=[live] {
                @if rows.is_empty() { (empty("No lines.", &html! { "Lines about your own work are here; those of others need the permission to read all logs." })) }
                @else {
                    table.dense {
                        caption.hidden { "Lines of the log, newest first" }
                        thead { tr { th scope="col" { "When" } th scope="col" { "Level" } th.opt scope="col" { "Part" } th scope="col" { "Line" } } }
                        tbody {
                            @for FoundLine { line, snippet } in &rows {
                                tr data-key=(line.id) {
                                    td { (time(line.timestamp)) }
                                    td { (state(&line.level)) }
                                    td.opt { code { (say(line.module.as_deref().unwrap_or_default())) } }
                                    td.grow {
                                        @if snippet.is_empty() { (visible(line.message.as_deref().unwrap_or_default())) } @else { (marked(snippet)) }
                                        @if let Some(task) = line.task_id { " " a href={ "/tasks/" (task) } aria-label="The task of this line" { "task" } }
                                        (more_of(line))
                                    }
                                }
                            }
                        }
                    }
                }
                (turns(cursor.is_some(), next.as_deref(), "/logs", &kept))
            }
        },
    ))
}

/// What else is known of a line.
fn more_of(line: &LogLine) -> Markup {
    let is_plain = line.metadata.as_ref().is_none_or(|m| m.as_object().is_some_and(serde_json::Map::is_empty));
    html! {
        @if !is_plain || line.request_id.is_some() {
            details {
                summary.small { "More" }
                @if let Some(id) = &line.request_id { p.small { "Request " code { (say(id)) } } }
                @if let Some(metadata) = line.metadata.as_ref().filter(|_| !is_plain) { (block(&pretty(metadata), "Fields of the line")) }
            }
        }
    }
}

/// The time that is asked for; a clock without a zone is the reader's own, as set among the wishes of being told.
async fn span(app: &App, me: &Reader, params: &Params) -> Result<(Option<Timestamp>, Option<Timestamp>, String)> {
    let (from, to) = (params.get("from"), params.get("to"));
    if from.is_none() && to.is_none() {
        return Ok((None, None, String::new()));
    }
    let wishes = telling::wishes(app.store(), &me.actor).await?;
    let zone = wishes.zone().unwrap_or(TimeZone::UTC);
    let read = |name: &str, text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        let local = || text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
        let at = text.parse::<Timestamp>().ok().or_else(local);
        at.map(Some).ok_or_else(|| Fault::invalid(name, format!("{name} must be a time such as 2026-12-24T15:00")))
    };
    Ok((read("from", from)?, read("to", to)?, wishes.time_zone))
}
