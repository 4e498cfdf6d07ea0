//! The list of tasks.

use axum::extract::State;
use maud::{Markup, html};
use store::tasks;

use super::{
    layout::shell,
    parts::{empty, name_of, older, say, state, tabs, when},
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
    params.only(&["status", "cursor", "limit"])?;
    let status = params.one_of("status", &FILTERS.map(|f| f.0))?;
    let (limit, now) = (params.limit()?, store::now());
    let rows = tasks::list(&me.actor, app.store(), status, params.cursor()?, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |t| (t.created_at, t.id));
    let names = names(&app, &me.actor, rows.iter().filter_map(|t| t.assigned_to)).await?;
    Ok(shell(
        &me,
        "Tasks",
        "/tasks",
        &html! {
            h1 { "Tasks" }
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
