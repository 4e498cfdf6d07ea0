//! Playbooks: files at hand, those that are kept here and switched on and off, and a check of one that is being written.

use std::collections::HashMap;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    playbook::{self, MAX_SOURCE_BYTES, Playbook, PlaybookError},
    playbooks as rules,
};
use maud::{Markup, html};
use store::{
    Actor,
    playbooks::{self, KeptPlaybook},
};
use uuid::Uuid;

use super::{
    form::Form,
    layout::{Reader, button, shell, token},
    parts::{block, empty, name_of, say, state_as, visible, when},
};
use crate::{
    PlaybookEntry,
    app::{App, names},
    body::SignedForm,
    fault::{Fault, Result},
};

/// The playbooks at hand, read on a thread that may wait for the disk.
pub(crate) async fn at_hand(app: &App) -> Result<Vec<PlaybookEntry>> {
    let list = app.state.playbooks.clone();
    tokio::task::spawn_blocking(move || list.all()).await.map_err(|e| Fault::internal(e.to_string()))
}

/// Names of the playbooks that a task or a watcher may name: files that are right, and kept ones that are switched on.
pub(super) async fn usable(app: &App, actor: &Actor) -> Result<Vec<String>> {
    let files = at_hand(app).await?.into_iter().filter(|entry| entry.errors.is_empty()).map(|entry| entry.name);
    let kept = playbooks::in_use(actor, app.store()).await?.into_iter().map(|kept| kept.name);
    Ok(files.chain(kept).collect())
}

/// Reads a playbook's text, on a thread that may be busy.
pub(crate) async fn read(source: String) -> Result<Playbook> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Fault::invalid("source", format!("a playbook has at most {MAX_SOURCE_BYTES} bytes")));
    }
    let read = tokio::task::spawn_blocking(move || rules::read(&source)).await;
    read.map_err(|e| Fault::internal(e.to_string()))?.map_err(in_source)
}

/// Keeps a playbook, switched off.
pub(crate) async fn keep(app: &App, actor: &Actor, source: String, task_id: Option<Uuid>) -> Result<KeptPlaybook> {
    let taken: Vec<String> = at_hand(app).await?.into_iter().map(|entry| entry.name).collect();
    rules::save(app.store(), actor, source, task_id, &taken).await.map_err(in_source)
}

/// What is wrong with a playbook's text is wrong with the field that holds it.
fn in_source(error: domain::Error) -> Fault {
    match error {
        wrong @ domain::Error::Playbook { .. } => Fault::invalid("source", wrong.to_string()),
        other => other.into(),
    }
}

/// `GET /playbooks`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    render(&app, &me, Form::default(), None).await
}

/// `POST /playbooks/switch`
pub(crate) async fn switch(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let is_on = match sent.get("to") {
        Some("on") => true,
        Some("off") => false,
        _ => return Err(Fault::invalid("to", "a playbook is switched on or off")),
    };
    rules::switch(app.store(), &me.actor, sent.get("name").unwrap_or_default(), is_on).await?;
    Ok(Redirect::to("/playbooks#kept").into_response())
}

/// `POST /playbooks/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    rules::remove(app.store(), &me.actor, sent.get("name").unwrap_or_default()).await?;
    Ok(Redirect::to("/playbooks#kept").into_response())
}

/// What a check came to.
type Checked = std::result::Result<Playbook, Vec<PlaybookError>>;

async fn render(app: &App, me: &Reader, form: Form<'_>, checked: Option<&Checked>) -> Result<Markup> {
    let rows = at_hand(app).await?;
    let kept = playbooks::list(&me.actor, app.store()).await?;
    let names = names(app, &me.actor, kept.iter().filter_map(|k| k.created_by)).await?;
    Ok(shell(
        me,
        "Playbooks",
        "/playbooks",
        &html! {
            h1 { "Playbooks" }
            p.lead { "A playbook is what the employee follows: written steps, no model needed. Your own lie as YAML in the folder " code { "playbooks" } " of Steward’s data and go before those that come with it." }
            @if rows.is_empty() { (empty("None is at hand.", &html! { "Write one below, check it, and put it into the folder." })) }
            ul.lines {
                @for row in &rows {
                    li data-key=(row.name) {
                        p.title { strong { (say(&row.name)) } " " @if row.errors.is_empty() { (state_as("active", "right")) } @else { (state_as("failed", "has mistakes")) } }
                        p.meta { (say(&row.origin)) }
                        @if let Some(text) = &row.description { p { (say(text)) } }
                        @for error in &row.errors { p.error { (say(error)) } }
                    }
                }
            }
            section #kept aria-labelledby="kept-head" {
                h2 #kept-head { "Kept here" }
                p.soft { "Made of work that a model led. One that is switched on takes the tasks that name no playbook and that its " code { "match" } " fits; others still go to the model." }
                @if kept.is_empty() { (empty("None is kept.", &html! { "On the page of a task that a model led to its end stands “Make a playbook of it”." })) }
                ul.lines { @for one in &kept { (kept_line(me, one, &names)) } }
            }
            section #check aria-labelledby="check-head" {
                h2 #check-head { "Check one" }
                @match checked {
                    None => {},
                    Some(Ok(found)) => (right(found)),
                    Some(Err(errors)) => div.notice.bad role="alert" {
                        p { strong { "It has mistakes." } }
                        ul { @for error in errors { li { (error) } } }
                    },
                }
                form.form method="post" action="/playbooks/check" {
                    (token(me))
                    (form.lines("source", "The playbook, as YAML", "", "Nothing is kept; every mistake is named with its line.", 14))
                    div.buttons { button type="submit" { "Check it" } }
                }
            }
        },
    ))
}

fn kept_line(me: &Reader, kept: &KeptPlaybook, names: &HashMap<Uuid, String>) -> Markup {
    let now = store::now();
    let (to, label) = if kept.is_on { ("off", "Switch it off") } else { ("on", "Switch it on") };
    html! {
        li data-key=(kept.name) {
            p.title { strong { (say(&kept.name)) } " " @if kept.is_on { (state_as("active", "on")) } @else { (state_as("paused", "off")) } }
            p.meta {
                "kept " (when(kept.created_at, now)) " by " (name_of(names, kept.created_by))
                @if let Some(task) = kept.task_id { " · made of " a href={ "/tasks/" (task) } { "a task" } }
                @if let Some(at) = kept.switched_at { " · switched " (when(at, now)) }
            }
            details { summary { "Its text" } (block(&visible(&kept.source), "The playbook")) }
            @if me.is_admin() {
                div.buttons {
                    (button(me, "/playbooks/switch", &[("name", kept.name.as_str()), ("to", to)], label, "quiet", &kept.name))
                    form.inline method="post" action="/playbooks/remove" {
                        (token(me))
                        input type="hidden" name="name" value=(kept.name);
                        button.quiet.danger type="submit" aria-label={ "Remove: " (kept.name) } data-sure={ "Remove the playbook " (kept.name) "?" } { "Remove" }
                    }
                }
            }
        }
    }
}

fn right(found: &Playbook) -> Markup {
    html! {
        div.notice.good role="status" {
            p { strong { "It is right." } " " (say(found.name())) " has these steps:" }
            ol { @for step in found.steps() { li { (say(step.name)) ": " code { (say(step.server)) "/" (say(step.tool)) } } } }
        }
    }
}

/// `POST /playbooks/check`: reads a playbook and names its mistakes; nothing is kept.
pub(crate) async fn check(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let source = sent.get("source").unwrap_or_default();
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Fault::invalid("source", format!("a playbook has at most {MAX_SOURCE_BYTES} bytes")));
    }
    let source = source.replace("\r\n", "\n");
    let checked = tokio::task::spawn_blocking(move || playbook::parse(&source));
    let checked = checked.await.map_err(|e| Fault::internal(e.to_string()))?;
    let me = Reader::of(&app, me).await?;
    let form = Form { sent: Some(&sent), fault: None };
    Ok(render(&app, &me, form, Some(&checked)).await?.into_response())
}
