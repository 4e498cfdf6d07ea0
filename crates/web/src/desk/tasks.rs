//! The tasks: as a list, a board or a calendar, and what a search finds among them.

use std::collections::HashMap;

use axum::extract::State;
use domain::{tasks::Due, telling};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use maud::{Markup, html};
use store::tasks::{self, Listing, Task, TaskFilter};
use uuid::Uuid;

use super::{
    layout::{Reader, shell},
    parts::{cut, due, empty, marked, minor_tabs, name_of, older, say, state, tabs, visible, when},
};
use crate::{
    app::{App, names},
    fault::{Fault, Result},
    guard::encode,
    params::{Params, page as cut_page},
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
const VIEWS: [(&str, &str); 3] = [("", "List"), ("board", "Board"), ("calendar", "Calendar")];
const PRIORITIES: [&str; 5] = ["", "critical", "high", "medium", "low"];
/// Cards of a column of the board.
const COLUMN: i64 = 25;

/// `GET /tasks`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["status", "priority", "tag", "cursor", "limit", "q", "view", "month"])?;
    let view = params.one_of("view", &VIEWS.map(|v| v.0))?.unwrap_or_default();
    let status = params.one_of("status", &FILTERS.map(|f| f.0))?;
    let now = store::now();
    let is_search = params.get("q").is_some();
    let is_chosen = is_search || ["tag", "priority"].iter().any(|name| params.get(name).is_some());
    let body = match view {
        _ if is_search => found(&app, &me, &params, status, now).await?,
        _ if is_chosen => list(&app, &me, &params, status, now).await?,
        "board" => board(&app, &me, now).await?,
        "calendar" => calendar(&app, &me, &params, now).await?,
        _ => list(&app, &me, &params, status, now).await?,
    };
    Ok(shell(
        &me,
        "Tasks",
        "/tasks",
        &html! {
            div.head {
                h1 { "Tasks" }
                p.acts { a.button.primary href="/tasks/new" { "New task" } }
            }
            (search_form(&params, status))
            @if !is_chosen { (tabs("How to look at them", "/tasks", "view", &VIEWS, view)) }
            (body)
        },
    ))
}

/// The form in which one searches. It keeps the status that is being looked at.
fn search_form(params: &Params, status: Option<&str>) -> Markup {
    let priority = params.get("priority").unwrap_or_default();
    html! {
        form.filter role="search" method="get" action="/tasks" {
            label.hidden for="q" { "Search tasks" }
            input #q type="search" name="q" value=[params.get("q")] maxlength="400" autocomplete="off" placeholder="Words, \"a phrase\", -without" data-search="tasks";
            label.hidden for="priority" { "Priority" }
            select #priority name="priority" data-now="" {
                @for one in PRIORITIES { option value=(one) selected[one == priority] { @if one.is_empty() { "Any priority" } @else { (one) } } }
            }
            @if let Some(tag) = params.get("tag") { input type="hidden" name="tag" value=(tag); }
            @if let Some(status) = status { input type="hidden" name="status" value=(status); }
            button.quiet type="submit" { "Search" }
            @if let Some(tag) = params.get("tag") { span.soft { "with the label " strong { (say(tag)) } } }
        }
    }
}

async fn list(app: &App, me: &Reader, params: &Params, status: Option<&str>, now: Timestamp) -> Result<Markup> {
    let limit = params.limit()?;
    let (priority, tag) = (params.one_of("priority", &PRIORITIES)?, params.get("tag"));
    let wanted = Listing {
        status: status.map(str::to_owned),
        priority: priority.map(str::to_owned),
        tag: tag.map(str::to_owned),
        ..Listing::default()
    };
    let rows = tasks::filtered(&me.actor, app.store(), &wanted, params.cursor()?, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |t| wanted.order.place(t));
    let names = names(app, &me.actor, rows.iter().filter_map(|t| t.assigned_to)).await?;
    let is_chosen = priority.or(tag).is_some();
    let tag = tag.map(encode).unwrap_or_default();
    let kept =
        [("status", status.unwrap_or_default()), ("priority", priority.unwrap_or_default()), ("tag", tag.as_str())];
    Ok(html! {
        @if is_chosen { p.soft { a href="/tasks" { "All tasks" } } }
        @else { (minor_tabs("Which tasks", "/tasks", "status", &FILTERS, status.unwrap_or_default())) }
        div #tasks data-live="" {
            @if rows.is_empty() && is_chosen {
                (empty("No task matches.", &html! { "Choose another priority or label, or look through " a href="/tasks" { "all tasks" } "." }))
            } @else if rows.is_empty() {
                (empty("No tasks here.", &html! { "Watchers make them from what they notice; or " a href="/tasks/new" { "add one yourself" } "." }))
            } @else {
                table {
                    caption.hidden { "Tasks, newest first" }
                    thead { tr { th scope="col" { "Task" } th scope="col" { "State" } th.opt scope="col" { "Priority" } th.opt scope="col" { "Assigned to" } th.opt scope="col" { "Due" } th scope="col" { "Made" } } }
                    tbody { @for task in &rows { (row(task, &names, now)) } }
                }
                (older(next.as_deref(), "/tasks", &kept))
            }
        }
    })
}

fn row(task: &Task, names: &HashMap<Uuid, String>, now: Timestamp) -> Markup {
    html! {
        tr data-key=(task.id) {
            th scope="row" {
                a href={ "/tasks/" (task.id) } { (say(&task.title)) }
                @if !task.tags.is_empty() { " " span.tags.small { @for tag in &task.tags { a href={ "/tasks?tag=" (encode(tag)) } { (say(tag)) } } } }
            }
            td { (state(&task.status)) }
            td.opt { (task.priority) }
            td.opt { (name_of(names, task.assigned_to)) }
            td.opt { (due(task, now)) }
            td { (when(task.created_at, now)) }
        }
    }
}

/// What a search found, best first.
async fn found(app: &App, me: &Reader, params: &Params, status: Option<&str>, now: Timestamp) -> Result<Markup> {
    let filter = TaskFilter {
        status: status.map(str::to_owned),
        priority: params.one_of("priority", &PRIORITIES)?.map(str::to_owned),
        tag: params.get("tag").map(str::to_owned),
        ..TaskFilter::default()
    };
    let limit = i32::try_from(params.limit()?).unwrap_or(i32::MAX);
    let rows = tasks::find(&me.actor, app.store(), params.get("q").unwrap_or_default(), &filter, limit).await?;
    Ok(html! {
        p.soft { a href="/tasks" { "All tasks" } }
        div #tasks {
            @if rows.is_empty() {
                (empty("No task matches.", &html! { "Words are looked for in titles and descriptions. " code { "\"a phrase\"" } ", " code { "-without" } ", " code { "this or that" } " and " code { "begin*" } " are understood." }))
            } @else {
                ul.lines {
                    @for f in &rows {
                        li data-key=(f.task.id) {
                            p.title { a href={ "/tasks/" (f.task.id) } { (marked(&f.snippet.title)) } }
                            p.meta { (state(&f.task.status)) " " (f.task.priority) " priority, made " (when(f.task.created_at, now)) }
                            @if !f.snippet.description.is_empty() { p { (marked(&f.snippet.description)) } }
                        }
                    }
                }
            }
        }
    })
}

/// A column a status.
async fn board(app: &App, me: &Reader, now: Timestamp) -> Result<Markup> {
    let (actor, on) = (&me.actor, app.store());
    let list = |status: &'static str| tasks::list(actor, on, Some(status), None, COLUMN + 1);
    let (pending, running, failed, done) =
        tokio::try_join!(list("pending"), list("in_progress"), list("failed"), list("completed"))?;
    let columns = [
        ("pending", "Pending", pending),
        ("in_progress", "In progress", running),
        ("failed", "Failed", failed),
        ("completed", "Completed", done),
    ];
    let names = names(app, actor, columns.iter().flat_map(|c| &c.2).filter_map(|t| t.assigned_to)).await?;
    let most = usize::try_from(COLUMN).unwrap_or_default();
    Ok(html! {
        div #tasks.board data-live="" role="group" aria-label="Board" tabindex="0" {
            @for (status, name, rows) in &columns {
                section aria-labelledby={ "column-" (status) } {
                    h2 id={ "column-" (status) } { (name) " " span.count { (rows.len().min(most)) @if rows.len() > most { "+" } } }
                    @if rows.is_empty() { p.empty { "None." } }
                    ul {
                        @for task in rows.iter().take(most) {
                            li data-key=(task.id) {
                                p.title { a href={ "/tasks/" (task.id) } { (say(&cut(&task.title, 90))) } }
                                p.meta {
                                    @if task.priority != "medium" { (task.priority) " · " }
                                    (name_of(&names, task.assigned_to))
                                    @if task.due_date.is_some() { " · due " (due(task, now)) }
                                }
                            }
                        }
                    }
                    @if rows.len() > most { p.more { a href={ "/tasks?status=" (status) } { "All of them" } } }
                }
            }
        }
    })
}

/// A month, by the days on which tasks are due; a moment stands on its day in the reader's own zone, as it is set among the
/// wishes of being told.
async fn calendar(app: &App, me: &Reader, params: &Params, now: Timestamp) -> Result<Markup> {
    let zone = telling::wishes(app.store(), &me.actor).await?.zone().unwrap_or(TimeZone::UTC);
    let today = now.to_zoned(zone.clone()).date();
    let first = match params.get("month") {
        None => today.first_of_month(),
        Some(text) => format!("{text}-01")
            .parse::<Date>()
            .map_err(|_| Fault::invalid("month", "month must be a month such as 2026-12"))?,
    };
    let wrong = |_| Fault::invalid("month", "there is no such month");
    let begin = first.checked_sub(i64::from(first.weekday().to_monday_zero_offset()).days()).map_err(wrong)?;
    let next = first.checked_add(1.month()).map_err(wrong)?;
    let last = first.checked_sub(1.month()).map_err(wrong)?;
    let mut days = vec![begin];
    while days.len() < 42 && (days.len() % 7 != 0 || days.last().is_some_and(|d| *d < next)) {
        let day = days.last().copied().unwrap_or(begin).tomorrow().map_err(wrong)?;
        if day >= next && day.weekday() == Weekday::Monday {
            break;
        }
        days.push(day);
    }
    let start = |day: Date| day.to_zoned(TimeZone::UTC).map(|z| z.timestamp()).map_err(wrong);
    let end = days.last().copied().unwrap_or(begin).tomorrow().map_err(wrong)?;
    // A zone is less than a day from UTC.
    let (from, to) = (begin.yesterday().map_err(wrong)?, end.tomorrow().map_err(wrong)?);
    let rows = tasks::due(&me.actor, app.store(), start(from)?, start(to)?, 200).await?;
    let day_of = |task: &Task| match task.due_date.map(Due::of)? {
        Due::Day(day) => Some(day),
        Due::At(at) => Some(at.to_zoned(zone.clone()).date()),
    };
    let of = |day: Date| -> Vec<&Task> { rows.iter().filter(|t| day_of(t) == Some(day)).collect() };
    let month = |date: Date| date.strftime("%Y-%m").to_string();
    Ok(html! {
        div.head {
            h2 { (first.strftime("%B %Y").to_string()) }
            p.acts {
                a.button.quiet href={ "/tasks?view=calendar&month=" (month(last)) } rel="prev" { "Earlier" }
                a.button.quiet href={ "/tasks?view=calendar&month=" (month(next)) } rel="next" { "Later" }
            }
        }
        div #tasks data-live="" {
            table.calendar {
                caption.hidden { "Tasks by the day they are due" }
                thead { tr { @for day in days.iter().take(7) { th scope="col" { (day.strftime("%a").to_string()) } } } }
                tbody {
                    @for week in days.chunks(7) {
                        tr {
                            @for day in week {
                                td.today[*day == today] {
                                    span.day { (day.day()) @if day.month() != first.month() { " " span.small { (day.strftime("%b").to_string()) } } }
                                    (of_day(&of(*day)))
                                }
                            }
                        }
                    }
                }
            }
            div.agenda {
                @if rows.is_empty() { (empty("Nothing is due in this month.", &html! { "Give a task a due date, and it stands here." })) }
                @for day in &days {
                    @let due = of(*day);
                    @if !due.is_empty() { h3 { (day.strftime("%A, %-d %B").to_string()) } (of_day(&due)) }
                }
            }
        }
    })
}

fn of_day(tasks: &[&Task]) -> Markup {
    html! {
        @if !tasks.is_empty() {
            ul {
                @for task in tasks.iter().take(4) {
                    li { a href={ "/tasks/" (task.id) } title=(visible(&task.title)) { @if task.status == "completed" { "✓ " } (say(&cut(&task.title, 60))) } }
                }
                @if tasks.len() > 4 { li.soft { (tasks.len() - 4) " more" } }
            }
        }
    }
}
