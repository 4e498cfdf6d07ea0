//! Today: what waits for the reader, what the employee does, what it did last, what is wrong.

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

use super::{
    approvals::card,
    layout::shell,
    parts::{cut, empty, say, state, visible, when},
};
use crate::{app::App, fault::Result, session::Signed};

/// Lines of a section.
const LINES: i64 = 8;
/// Running tasks of which the present step is shown.
const WATCHED: usize = 5;
/// Servers whose tools are looked through for some that wait for approval.
const SERVERS: usize = 10;

/// `GET /`
pub(crate) async fn page(State(app): State<App>, me: Signed) -> Result<Markup> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let list = |status: &'static str| tasks::list(actor, on, Some(status), None, LINES);
    let (open, running, pending, done, failed, watchers, servers) = tokio::try_join!(
        approvals::list(actor, on, Some("pending"), None, None, LINES + 1),
        list("in_progress"),
        list("pending"),
        list("completed"),
        list("failed"),
        watchers::list(actor, on),
        mcp_servers::shown(actor, on),
    )?;
    let steps = present_steps(&app, &me, &running).await?;
    let fresh_tools = fresh_tools(&app, &me, &servers).await?;
    let waiting: Vec<_> = open.iter().filter(|a| a.expires_at.is_none_or(|end| end > now)).collect();
    let is_bare =
        watchers.is_empty() && servers.is_empty() && done.is_empty() && running.is_empty() && pending.is_empty();
    Ok(shell(
        &me,
        "Today",
        "/",
        &html! {
            h1 data-live="" { "Today" }
            @if is_bare { (first_steps()) }
            section aria-labelledby="waiting" {
                h2 #waiting { "Waiting for you" }
                @if waiting.is_empty() { (empty("Nothing waits for your decision.", &html! { "Calls that need a person stand here until they are decided." })) }
                @else {
                    ul.cards.wait { @for approval in waiting.iter().take(8) { (card(approval, now, &html! {})) } }
                    @if waiting.len() > 8 { p.more { a href="/approvals" { "All that wait" } } }
                }
            }
            section aria-labelledby="now" {
                h2 #now { "The employee now" }
                @if running.is_empty() && pending.is_empty() { (empty("Nothing is in progress.", &html! { "A watcher makes a task from what it notices; or add one with " code { "steward task add" } "." })) }
                @else {
                    ul.lines {
                        @for (place, task) in running.iter().enumerate() { (line(task, now, &step_words(steps.get(place).and_then(Option::as_ref)))) }
                        @for task in &pending { (line(task, now, &html! { "not begun" })) }
                    }
                }
            }
            section aria-labelledby="last" {
                h2 #last { "Done last" }
                @if done.is_empty() { (empty("Nothing is done yet.", &html! { "Finished tasks stand here with what came of them." })) }
                @else {
                    ul.lines { @for task in &done { (line(task, now, &html! { (cut(&visible(task.metadata.get("summary").and_then(|s| s.as_str()).unwrap_or("done")), 160)) })) } }
                    p.more { a href="/tasks?status=completed" { "All that is done" } }
                }
            }
            section aria-labelledby="wrong" {
                h2 #wrong { "What is wrong" }
                (troubles(&failed, &watchers, &servers, &fresh_tools, now))
            }
        },
    ))
}

/// The last step of each running task, for the first few.
async fn present_steps(app: &App, me: &Signed, running: &[Task]) -> Result<Vec<Option<Step>>> {
    let mut found = Vec::new();
    for task in running.iter().take(WATCHED) {
        let newest = runs::list(&me.actor, app.store(), task.id).await?.into_iter().next();
        found.push(match newest {
            Some(run) => runs::steps(&me.actor, app.store(), run.id).await?.pop(),
            None => None,
        });
    }
    Ok(found)
}

fn step_words(step: Option<&Step>) -> Markup {
    let Some(step) = step else { return html! { "beginning" } };
    html! { (state(&step.state)) " " (say(&step.name)) " · " code { (say(&step.server)) "/" (say(&step.tool)) } }
}

/// Servers with offered tools that nobody approved yet: their names and how many.
async fn fresh_tools(app: &App, me: &Signed, servers: &[Server]) -> Result<Vec<(String, usize)>> {
    let mut found = Vec::new();
    for server in servers.iter().filter(|s| s.is_active).take(SERVERS) {
        let tools = mcp_servers::tools(&me.actor, app.store(), server.id).await?;
        let fresh = tools.iter().filter(|t| t.is_offered && !t.is_usable()).count();
        if fresh > 0 {
            found.push((server.name.clone(), fresh));
        }
    }
    Ok(found)
}

fn line(task: &Task, now: Timestamp, words: &Markup) -> Markup {
    html! {
        li {
            p.title { a href={ "/tasks/" (task.id) } { (say(&task.title)) } }
            p.meta { (words) " · " (when(task.completed_at.unwrap_or(task.updated_at), now)) }
        }
    }
}

fn troubles(
    failed: &[Task],
    watchers: &[Watcher],
    servers: &[Server],
    fresh: &[(String, usize)],
    now: Timestamp,
) -> Markup {
    let watchers: Vec<_> = watchers.iter().filter(|w| w.is_active && w.error_count > 0).collect();
    let servers: Vec<_> = servers.iter().filter(|s| s.is_active && s.status != "active").collect();
    if failed.is_empty() && watchers.is_empty() && servers.is_empty() && fresh.is_empty() {
        return empty(
            "Nothing is wrong.",
            &html! { "Failed tasks, watchers that can't see and servers that don't answer stand here." },
        );
    }
    html! {
        ul.lines {
            @for server in servers {
                li {
                    p.title { a href={ "/servers#" (server.name) } { "Server " (say(&server.name)) } }
                    p.meta { (state(&server.status)) " " @match server.last_heartbeat { Some(at) => { "last answered " (when(at, now)) }, None => "has not answered yet" } }
                }
            }
            @for watcher in watchers {
                li {
                    p.title { a href="/watchers" { "Watcher " (say(&watcher.name)) } }
                    p.meta { (state("error")) " " (watcher.error_count) " in a row: " (say(&cut(watcher.last_error.as_deref().unwrap_or_default(), 200))) }
                }
            }
            @for (server, count) in fresh {
                li {
                    p.title { a href={ "/servers#" (server) } { "Tools of " (say(server)) } }
                    p.meta { (state("quarantined")) " " (count) " not approved for use: look at them, then " code { "steward server approve-tools " (server) " --all" } }
                }
            }
            @for task in failed {
                (line(task, now, &html! { (state("failed")) " " (say(&cut(task.metadata.get("failure_reason").and_then(|s| s.as_str()).unwrap_or_default(), 200))) }))
            }
        }
    }
}

fn first_steps() -> Markup {
    html! {
        div.notice {
            p { strong { "A fresh desk." } " Three commands give the employee its first work:" }
            ol {
                li { "a server with tools: " code { "steward server add files --command npx --arg -y --arg @modelcontextprotocol/server-filesystem --arg ~/steward" } }
                li { "its tools approved for use: " code { "steward server approve-tools files --all" } }
                li { "something to watch: " code { "steward watcher add inbox --type folder --config '{\"path\": \"~/steward/inbox\", \"playbook\": \"file-away\"}'" } }
            }
        }
    }
}
