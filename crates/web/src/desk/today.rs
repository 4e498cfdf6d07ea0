//! Today: what waits for the reader, what the employee does, what it did last, what is wrong.

use std::collections::HashMap;

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use store::{
    approvals,
    mcp_servers::{self, Server},
    runs::{self, Step},
    tasks::{self, Task},
    watchers::{self, Watcher},
};
use uuid::Uuid;

use super::{
    approvals::{Behind, card},
    layout::{Reader, shell},
    parts::{cut, due, empty, name_of, say, state, state_as, visible, when},
};
use crate::{
    app::{App, names},
    fault::Result,
};

/// Lines of a section.
const LINES: i64 = 8;
/// Running tasks of which the present step is shown.
const WATCHED: usize = 5;
/// Servers whose tools are looked through.
const SERVERS: usize = 10;

/// All that the page shows.
struct View {
    waiting: Vec<approvals::Approval>,
    behind: Behind,
    running: Vec<Task>,
    pending: Vec<Task>,
    done: Vec<Task>,
    failed: Vec<Task>,
    watchers: Vec<Watcher>,
    servers: Vec<Server>,
    tools: Vec<Tools>,
    steps: Vec<Option<Step>>,
    names: HashMap<Uuid, String>,
    now: Timestamp,
}

/// How many of a server's tools may be used, and how many wait to be looked at.
struct Tools {
    server: String,
    usable: usize,
    fresh: usize,
}

async fn load(app: &App, me: &Reader) -> Result<View> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let list = |status: &'static str| tasks::list(actor, on, Some(status), None, LINES);
    let (open, running, pending, done, failed, watchers, servers) = tokio::try_join!(
        approvals::list(actor, on, Some("pending"), None, None, LINES + 8),
        list("in_progress"),
        list("pending"),
        list("completed"),
        list("failed"),
        watchers::list(actor, on),
        mcp_servers::shown(actor, on),
    )?;
    let waiting: Vec<_> = open.into_iter().filter(|a| a.expires_at.is_none_or(|end| end > now)).take(8).collect();
    let behind = Behind::of(app, me, &waiting, "/").await?;
    let steps = present_steps(app, me, &running).await?;
    let tools = tools(app, me, &servers).await?;
    let people = running.iter().chain(&pending).filter_map(|t| t.assigned_to);
    let names = names(app, actor, people).await?;
    Ok(View { waiting, behind, running, pending, done, failed, watchers, servers, tools, steps, names, now })
}

/// `GET /`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let view = load(&app, &me).await?;
    let wrong = troubles(&view);
    Ok(shell(
        &me,
        "Today",
        "/",
        &html! {
            div.head {
                h1 { "Today" }
                p.sum #sum data-live="" {
                    span { b { (me.waiting_words()) } " waiting" }
                    span { b { (view.running.len()) } " in progress" }
                    span { b { (wrong.len()) } " wrong" }
                }
            }
            (first_steps(&me, &view))
            div.cols {
                div {
                    section #waits data-live="" aria-labelledby="waiting" {
                        h2 #waiting { "Waiting for you" }
                        @if view.waiting.is_empty() { (empty("Nothing waits for your decision.", &html! { "Calls that need a person stand here until they are decided." })) }
                        @else {
                            ul.cards.wait { @for approval in &view.waiting { (card(approval, view.now, &view.behind, &html! {})) } }
                            @if me.waiting_words() != view.waiting.len().to_string() { p.more { a href="/approvals" { "All that wait" } } }
                        }
                    }
                    section #last data-live="" aria-labelledby="done" {
                        h2 #done { "Done last" }
                        @if view.done.is_empty() { (empty("Nothing is done yet.", &html! { "Finished tasks stand here with what came of them." })) }
                        @else {
                            ul.lines { @for task in &view.done { (line(task, view.now, &html! { (cut(&visible(task.metadata.get("summary").and_then(|s| s.as_str()).unwrap_or("done")), 160)) })) } }
                            p.more { a href="/tasks?status=completed" { "All that is done" } }
                        }
                    }
                }
                div {
                    section #now-part data-live="" aria-labelledby="now" {
                        h2 #now { "In work" }
                        @if view.running.is_empty() && view.pending.is_empty() { (empty("Nothing is in progress.", &html! { "A watcher makes a task from what it notices; or " a href="/tasks/new" { "add one" } "." })) }
                        @else { (work(&view)) }
                    }
                    section #wrong-part data-live="" aria-labelledby="wrong" {
                        h2 #wrong { "What is wrong" }
                        @if wrong.is_empty() { (empty("Nothing is wrong.", &html! { "Failed tasks, watchers that can’t see and servers that don’t answer stand here." })) }
                        @else { ul.lines { @for trouble in &wrong { li { (trouble) } } } }
                    }
                }
            }
        },
    ))
}

/// The last step of each running task, for the first few.
async fn present_steps(app: &App, me: &Reader, running: &[Task]) -> Result<Vec<Option<Step>>> {
    let mut found = Vec::new();
    for task in running.iter().take(WATCHED) {
        found.push(runs::present_step(&me.actor, app.store(), task.id).await?);
    }
    Ok(found)
}

async fn tools(app: &App, me: &Reader, servers: &[Server]) -> Result<Vec<Tools>> {
    let mut found = Vec::new();
    for server in servers.iter().filter(|s| s.is_active).take(SERVERS) {
        let tools = mcp_servers::tools(&me.actor, app.store(), server.id).await?;
        found.push(Tools {
            server: server.name.clone(),
            usable: tools.iter().filter(|t| t.is_usable()).count(),
            fresh: tools.iter().filter(|t| t.is_offered && !t.is_usable()).count(),
        });
    }
    Ok(found)
}

fn work(view: &View) -> Markup {
    html! {
        ul.lines {
            @for (place, task) in view.running.iter().enumerate() {
                (line(task, view.now, &step_words(view, task, view.steps.get(place).and_then(Option::as_ref))))
            }
            @for task in &view.pending {
                (line(task, view.now, &html! {
                    (state_as("pending", "not begun"))
                    @if task.due_date.is_some() { " · due " (due(task, view.now)) }
                    " · " @match task.assigned_to { Some(_) => (name_of(&view.names, task.assigned_to)), None => "nobody has it" }
                }))
            }
        }
    }
}

fn step_words(view: &View, task: &Task, step: Option<&Step>) -> Markup {
    if let Some(step) = step {
        html! { (state(&step.state)) " " (say(&step.name)) " · " code { (say(&step.server)) "/" (say(&step.tool)) } }
    } else {
        html! { (state_as("running", "begun")) " " (name_of(&view.names, task.assigned_to)) }
    }
}

fn line(task: &Task, now: Timestamp, words: &Markup) -> Markup {
    html! {
        li {
            p.title { a href={ "/tasks/" (task.id) } { (say(&task.title)) } }
            p.meta { (words) " · " (when(task.completed_at.unwrap_or(task.updated_at), now)) }
        }
    }
}

fn troubles(view: &View) -> Vec<Markup> {
    let mut found = Vec::new();
    for server in view.servers.iter().filter(|s| s.is_active && s.status != "active") {
        found.push(html! {
            p.title { a href={ "/servers#" (server.name) } { "Server " (say(&server.name)) } }
            p.meta { (state(&server.status)) " " @match server.last_heartbeat { Some(at) => { "last answered " (when(at, view.now)) }, None => "has not answered yet" } }
        });
    }
    for watcher in view.watchers.iter().filter(|w| w.is_active && w.error_count > 0) {
        found.push(html! {
            p.title { a href="/watchers" { "Watcher " (say(&watcher.name)) } }
            p.meta { (state("error")) " " (watcher.error_count) " in a row: " (say(&cut(watcher.last_error.as_deref().unwrap_or_default(), 200))) }
        });
    }
    for tools in view.tools.iter().filter(|t| t.fresh > 0) {
        found.push(html! {
            p.title { a href={ "/servers#" (tools.server) } { "Tools of " (say(&tools.server)) } }
            p.meta { (state("quarantined")) " " (tools.fresh) " not approved for use" }
        });
    }
    for task in &view.failed {
        let why = task.metadata.get("failure_reason").and_then(|s| s.as_str()).unwrap_or_default();
        found.push(html! {
            p.title { a href={ "/tasks/" (task.id) } { (say(&task.title)) } }
            p.meta { (state("failed")) " " (say(&cut(why, 200))) " · " (when(task.updated_at, view.now)) }
        });
    }
    found
}

/// The way from an empty house to the first finished task; it goes when the last of it is done.
fn first_steps(me: &Reader, view: &View) -> Markup {
    let has_tools = view.tools.iter().any(|t| t.usable > 0);
    let is_done = [!view.servers.is_empty(), has_tools, !view.watchers.is_empty(), !view.done.is_empty()];
    if is_done.iter().all(|d| *d) || (!view.done.is_empty() && !view.watchers.is_empty()) || !me.is_admin() {
        return html! {};
    }
    let next = is_done.iter().position(|d| !d).unwrap_or_default();
    let steps = [
        (
            "A server with tools",
            html! { "The employee acts through tools only. " a href="/servers/new" { "Add a server" } ", for files to begin with." },
        ),
        (
            "Its tools, looked at and approved",
            html! { "A tool is used only while it is exactly the one you approved: " a href="/servers" { "look at what the server offers" } "." },
        ),
        (
            "Something to watch",
            html! { "What arrives in a folder becomes a task for a playbook: " a href="/watchers/new" { "add a watcher" } "." },
        ),
        (
            "The first task",
            html! { "Put a file into that folder. What the employee wants to do with it will stand here, and waits for your word." },
        ),
    ];
    html! {
        section #first data-live="" aria-labelledby="begin" {
            h2 #begin { "Begin here" }
            @if next < 3 { p { a.button.primary href="/begin" { "Set it up in three steps" } } }
            ol.check {
                @for (place, (title, words)) in steps.iter().enumerate() {
                    li.done[is_done[place]].next[place == next] aria-current=[(place == next).then_some("step")] {
                        div { p.title { strong { (title) } @if is_done[place] { span.hidden { " (done)" } } } @if !is_done[place] { p.meta { (words) } } }
                    }
                }
            }
        }
    }
}
