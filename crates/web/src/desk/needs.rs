//! What a task hangs on: the tasks before it and those that wait for it, drawn and as lists, and a search by which one more is
//! named. It is a page of its own where there is no script.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use store::tasks::{self, Task, TaskFilter};
use uuid::Uuid;

use super::{
    graph,
    layout::{Reader, button, shell},
    parts::{empty, marked, say, state},
    task, task_form,
};
use crate::{
    app::App,
    body::SignedForm,
    fault::{Fault, Result},
    params::{Id, Params},
};

/// Tasks on each side that are drawn.
const DRAWN: usize = 24;
/// Tasks that a search offers.
const OFFERED: i32 = 8;

/// What a task hangs on.
#[derive(Debug, Default)]
pub(crate) struct Hangs {
    /// Tasks that must be completed first, and those before them.
    pub before: Vec<Task>,
    /// Tasks that wait for it, and those behind them.
    pub after: Vec<Task>,
}

impl Hangs {
    pub async fn of(app: &App, me: &Reader, task: &Task) -> Result<Self> {
        let (before, after) = tokio::try_join!(before(app, me, task), after(app, me, task))?;
        Ok(Self { before, after })
    }
}

/// The tasks before a task, generation by generation.
async fn before(app: &App, me: &Reader, task: &Task) -> Result<Vec<Task>> {
    let mut found: Vec<Task> = Vec::new();
    let mut next = task.dependencies.clone();
    while !next.is_empty() && found.len() < DRAWN {
        next.truncate(DRAWN - found.len());
        let tasks = tasks::among(&me.actor, app.store(), next).await?;
        next = tasks.iter().flat_map(|t| t.dependencies.clone()).collect();
        next.retain(|id| !found.iter().chain(&tasks).any(|t| t.id == *id));
        next.sort_unstable();
        next.dedup();
        found.extend(tasks);
    }
    Ok(found)
}

/// The tasks behind a task, generation by generation.
async fn after(app: &App, me: &Reader, task: &Task) -> Result<Vec<Task>> {
    let mut found: Vec<Task> = Vec::new();
    let mut last = vec![task.id];
    while !last.is_empty() && found.len() < DRAWN {
        let room = i64::try_from(DRAWN - found.len()).unwrap_or(1);
        let mut tasks = tasks::after(&me.actor, app.store(), last, room).await?;
        tasks.retain(|t| !found.iter().any(|known| known.id == t.id));
        last = tasks.iter().map(|t| t.id).collect();
        found.extend(tasks);
    }
    Ok(found)
}

/// The part of the task's page.
pub(crate) fn section(me: &Reader, task: &Task, hangs: &Hangs) -> Markup {
    let waits = || hangs.after.iter().filter(|t| t.dependencies.contains(&task.id));
    html! {
        section aria-labelledby="hangs" {
            h2 #hangs { "What it hangs on" }
            @if !hangs.before.is_empty() || !hangs.after.is_empty() { div.scroll tabindex="0" role="group" aria-label="Drawing of the tasks before and after" { (graph::draw(task, &hangs.before, &hangs.after)) } }
            @if !task.dependencies.is_empty() {
                h3 { "Needs first" }
                ul.lines { @for id in &task.dependencies { li { (needed(me, task, *id, hangs)) } } }
            }
            @if waits().next().is_some() {
                h3 { "Waits for it" }
                ul.lines { @for one in waits() { li { (link(one)) } } }
            }
            details.add {
                summary { "Name a task that is needed first" }
                (search_form(task, ""))
                div #candidates {}
            }
        }
    }
}

fn link(task: &Task) -> Markup {
    html! { a href={ "/tasks/" (task.id) } { (say(&task.title)) } " " (state(&task.status)) }
}

fn needed(me: &Reader, task: &Task, id: Uuid, hangs: &Hangs) -> Markup {
    let known = hangs.before.iter().find(|t| t.id == id);
    let title = known.map_or_else(|| id.to_string(), |t| t.title.clone());
    html! {
        div.buttons {
            span { @match known { Some(one) => { (link(one)) }, None => span.soft { "a task you may not see" } } }
            (button(me, &address(task.id), &[("remove", &id.to_string())], "Not needed", "quiet", &title))
        }
    }
}

fn address(id: Uuid) -> String {
    format!("/tasks/{id}/needs")
}

fn search_form(task: &Task, words: &str) -> Markup {
    html! {
        form.filter role="search" method="get" action=(address(task.id)) {
            label.hidden for="needed" { "Title, id or address of a task" }
            input #needed type="search" name="q" value=(words) maxlength="400" autocomplete="off" required placeholder="Title, id or address" data-search="candidates" data-stays="";
            button.quiet type="submit" { "Look for it" }
        }
    }
}

/// `GET /tasks/{id}/needs?q=`: tasks that may be named.
pub(crate) async fn page(State(app): State<App>, me: Reader, Id(id): Id, params: Params) -> Result<Markup> {
    params.only(&["q"])?;
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    let words = params.get("q").unwrap_or_default().trim();
    let found = candidates(&app, &me, &task, words).await?;
    Ok(shell(
        &me,
        "Needed first",
        "/tasks",
        &html! {
            p.crumbs { a href="/tasks" { "Tasks" } " / " a href={ "/tasks/" (id) } { (say(&task.title)) } }
            h1 { "What is needed first" }
            (search_form(&task, words))
            div #candidates {
                @if words.is_empty() {} @else if found.is_empty() {
                    (empty("No other task matches.", &html! { "Words are looked for in titles and descriptions; an id or the address of a task’s page names just that one." }))
                } @else { ul.lines { @for one in found { li { (one) } } } }
            }
        },
    ))
}

/// What matches, each with the button that names it.
async fn candidates(app: &App, me: &Reader, task: &Task, words: &str) -> Result<Vec<Markup>> {
    let may = |id: Uuid| id != task.id && !task.dependencies.contains(&id);
    let with_button = |id: Uuid, title: &Markup, plain: &str, status: &str| {
        html! {
            p.title { (title) " " (state(status)) }
            div.buttons { (button(me, &address(task.id), &[("add", &id.to_string())], "Needed first", "quiet", plain)) }
        }
    };
    if let Some(id) = task_form::id_in(words) {
        let found = tasks::among(&me.actor, app.store(), vec![id]).await?;
        let shown = |t: &Task| with_button(t.id, &say(&t.title), &t.title, &t.status);
        return Ok(found.iter().filter(|t| may(t.id)).map(shown).collect());
    }
    if words.is_empty() {
        return Ok(Vec::new());
    }
    // The last word may be one that is still being typed.
    let found = tasks::find(&me.actor, app.store(), &format!("{words}*"), &TaskFilter::default(), OFFERED).await?;
    let shown = |f: &tasks::FoundTask| with_button(f.task.id, &marked(&f.snippet.title), &f.task.title, &f.task.status);
    Ok(found.iter().filter(|f| may(f.task.id)).map(shown).collect())
}

/// `POST /tasks/{id}/needs`: names one more, or takes one away.
pub(crate) async fn change(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let read = |name| {
        let wrong = || Fault::invalid("dependencies", "name a task by its id or address");
        sent.text(name).map(|text| task_form::id_in(text).ok_or_else(wrong)).transpose()
    };
    let (add, remove) = (read("add")?, read("remove")?);
    let actor = me.actor.clone();
    let done = app.store().transaction(move |tx| {
        Box::pin(async move {
            let refused = || domain::Error::from(store::Error::Refused { what: "tasks".to_owned() });
            let mut task = tasks::lock(&actor, tx, id).await?.ok_or_else(refused)?;
            task.dependencies.retain(|known| Some(*known) != remove && Some(*known) != add);
            task.dependencies.extend(add);
            if task.dependencies.len() > task_form::NEEDED {
                let said = format!("a task needs at most {} others first", task_form::NEEDED);
                return Err(domain::Error::invalid("dependencies", said));
            }
            if tasks::update(&actor, tx, &task).await? { Ok(()) } else { Err(refused()) }
        })
    });
    match done.await {
        Ok(()) => Ok(Redirect::to(&format!("/tasks/{id}#hangs")).into_response()),
        Err(error) => task::again(&app, me, id, error.into()).await,
    }
}
