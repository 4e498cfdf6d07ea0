//! The list of tasks.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use store::{
    search::Piece,
    tasks::{self, FoundTask, TaskFilter},
};

use super::{
    layout::shell,
    parts::{empty, name_of, older, say, state, tabs, visible, when},
};
use crate::{
    app::{App, names},
    fault::Result,
    params::{Params, page as cut_page},
    session::Signed,
};

/// Statuses of tasks, with the names of their filters.
const FILTERS: [(&str, &str); 6] = [
    ("", "All"),
    ("pending", "Pending"),
    ("in_progress", "In progress"),
    ("completed", "Completed"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
];

/// `GET /tasks`
pub(crate) async fn page(State(app): State<App>, me: Signed, params: Params) -> Result<Markup> {
    params.only(&["status", "cursor", "limit", "q"])?;
    let status = params.one_of("status", &FILTERS.map(|f| f.0))?;
    let (limit, now) = (params.limit()?, store::now());
    if let Some(query) = params.get("q") {
        let filter = TaskFilter { status: status.map(str::to_owned), ..TaskFilter::default() };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let found = tasks::find(&me.actor, app.store(), query, &filter, limit).await?;
        return Ok(shell(&me, "Tasks", "/tasks", &results(query, status, &found, now)));
    }
    let rows = tasks::list(&me.actor, app.store(), status, params.cursor()?, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |t| (t.created_at, t.id));
    let names = names(&app, &me.actor, rows.iter().filter_map(|t| t.assigned_to)).await?;
    Ok(shell(
        &me,
        "Tasks",
        "/tasks",
        &html! {
            h1 { "Tasks" }
            (search_form("", None))
            (tabs("Which tasks", "/tasks", "status", &FILTERS, status.unwrap_or_default()))
            @if rows.is_empty() {
                (empty("No tasks here.", &html! { "Watchers make them from what they notice; you add one with " code { "steward task add" } "." }))
            } @else {
                table {
                    caption.hidden { "Tasks, newest first" }
                    thead { tr { th scope="col" { "Task" } th scope="col" { "State" } th.opt scope="col" { "Priority" } th.opt scope="col" { "Assigned to" } th scope="col" { "Made" } } }
                    tbody {
                        @for task in &rows {
                            tr {
                                th scope="row" { a href={ "/tasks/" (task.id) } { (say(&task.title)) } }
                                td { (state(&task.status)) }
                                td.opt { (task.priority) }
                                td.opt { (name_of(&names, task.assigned_to)) }
                                td { (when(task.created_at, now)) }
                            }
                        }
                    }
                }
                (older(next.as_deref(), "/tasks", &[("status", status.unwrap_or_default())]))
            }
        },
    ))
}

/// The form in which one searches. It keeps the status that is being looked at.
fn search_form(query: &str, status: Option<&str>) -> Markup {
    html! {
        form.filter role="search" method="get" action="/tasks" {
            label for="q" { "Search" }
            input #q type="text" name="q" value=(query) maxlength="400" autocomplete="off";
            @if let Some(status) = status { input type="hidden" name="status" value=(status); }
            button.quiet type="submit" { "Search" }
        }
    }
}

/// What a search found, best first.
fn results(query: &str, status: Option<&str>, found: &[FoundTask], now: Timestamp) -> Markup {
    html! {
        h1 { "Tasks" }
        (search_form(query, status))
        p.soft { a href="/tasks" { "All tasks" } }
        @if found.is_empty() {
            (empty("No task matches.", &html! { "Words are looked for in titles and descriptions. " code { "\"a phrase\"" } ", " code { "-without" } ", " code { "this or that" } " and " code { "begin*" } " are understood." }))
        } @else {
            ul.lines {
                @for f in found {
                    li {
                        p.title { a href={ "/tasks/" (f.task.id) } { (marked(&f.snippet.title)) } }
                        p.meta { (state(&f.task.status)) " " (f.task.priority) " priority, made " (when(f.task.created_at, now)) }
                        @if !f.snippet.description.is_empty() { p { (marked(&f.snippet.description)) } }
                    }
                }
            }
        }
    }
}

/// A snippet, with what matches marked; everything else in it is text.
fn marked(pieces: &[Piece]) -> Markup {
    html! {
        bdi {
            @for piece in pieces {
                @if piece.hit { mark { (visible(&piece.text)) } } @else { (visible(&piece.text)) }
            }
        }
    }
}
