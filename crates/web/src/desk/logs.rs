//! What people are told, and what Steward wrote down.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use store::{
    notifications,
    system_logs::{self, Filter, FoundLine},
};

use super::{
    layout::{Reader, shell, token},
    parts::{cut, empty, marked, say, state, tabs, time, visible, when},
};
use crate::{
    app::App,
    body::SignedForm,
    fault::{Fault, Result},
    params::{LIMIT_MAX, Params},
};

const READ: [(&str, &str); 3] = [("unread", "Unread"), ("read", "Read"), ("all", "All")];
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
    params.only(&["status", "limit"])?;
    let filter = params.one_of("status", &READ.map(|f| f.0))?.unwrap_or("unread");
    let rows =
        notifications::list(&me.actor, app.store(), (filter != "all").then_some(filter), params.limit()?).await?;
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
                            @if note.status == "unread" {
                                " " form.inline method="post" action="/notifications/read" {
                                    (token(&me))
                                    button.quiet type="submit" name="id" value=(note.id) aria-label={ "Mark as read: " (cut(&note.title, 80)) } { "Mark as read" }
                                }
                            }
                        }
                    }
                }
            }
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

/// `POST /notifications/read`: one, or all that are shown as unread.
pub(crate) async fn mark_read(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let ids = match sent.get("id") {
        Some("all") => notifications::list(&me.actor, app.store(), Some("unread"), LIMIT_MAX)
            .await?
            .into_iter()
            .map(|n| n.id)
            .collect(),
        Some(id) => vec![id.parse().map_err(|_| Fault::not_found("notification"))?],
        None => return Err(Fault::invalid("id", "say which notification was read")),
    };
    let is_one = ids.len() == 1;
    for id in ids {
        if !notifications::set_status(&me.actor, app.store(), id, "read").await? && is_one {
            return Err(Fault::not_found("notification"));
        }
    }
    Ok(Redirect::to("/notifications").into_response())
}

/// `GET /logs`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["level", "module", "q", "limit"])?;
    let (level, module) = (params.one_of("level", &LEVELS.map(|f| f.0))?, params.get("module"));
    let filter = Filter { level: level.and_then(system_logs::level), module, ..Filter::default() };
    let limit = params.limit()?;
    let rows = match params.get("q") {
        Some(query) => system_logs::search(&me.actor, app.store(), query, &filter, limit).await?,
        None => system_logs::find(&me.actor, app.store(), &filter, limit)
            .await?
            .into_iter()
            .map(|line| FoundLine { line, snippet: Vec::new() })
            .collect(),
    };
    Ok(shell(
        &me,
        "Logs",
        "/logs",
        &html! {
            div.head { h1 { "Logs" } p.soft { "New lines appear by themselves." } }
            (tabs("Which level, or heavier", "/logs", "level", &LEVELS, level.unwrap_or_default()))
            form.filter method="get" action="/logs" role="search" {
                @if let Some(level) = level { input type="hidden" name="level" value=(level); }
                label.hidden for="q" { "Search lines" }
                input #q name="q" type="search" value=[params.get("q")] maxlength="400" placeholder="Words in the line" data-search="lines";
                label.hidden for="module" { "Part" }
                input #module name="module" type="text" value=[module] maxlength="100" placeholder="Part, as in server:files" autocapitalize="none" spellcheck="false" data-search="lines";
                button.quiet type="submit" { "Show" }
            }
            div #lines data-live="poll" {
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
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}
