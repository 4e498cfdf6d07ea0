//! What the employee remembers: facts that people told it and that it learned at work, each with its source, to be changed and
//! forgotten.

use std::collections::HashMap;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::memory::{self as rules, MAX_CHARS};
use maud::{Markup, html};
use store::memories::{self, Memory};
use uuid::Uuid;

use super::{
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::{cut, empty, name_of, outside_mark, visible, when},
};
use crate::{
    app::{App, names},
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    session::Signed,
};

/// Facts that are shown.
const SHOWN: i64 = 200;

/// `GET /memory`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    render(&app, &me, Form::default()).await
}

/// `POST /memory`
pub(crate) async fn add(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let fact = sent.get("content").unwrap_or_default();
    let added = rules::add(app.store(), &me.actor, fact, sent.get("all").is_some()).await;
    done(&app, me, &sent, added.map(drop)).await
}

/// `POST /memory/edit`
pub(crate) async fn edit(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let words = sent.get("words").unwrap_or_default().to_owned();
    let changed =
        rules::edit(app.store(), &me.actor, id(&sent)?, |memory| Ok(Memory { content: words, ..memory })).await;
    done(&app, me, &sent, changed.map(drop)).await
}

/// `POST /memory/forget`
pub(crate) async fn forget(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    rules::forget(app.store(), &me.actor, id(&sent)?).await?;
    Ok(Redirect::to("/memory").into_response())
}

fn id(sent: &Fields) -> Result<Uuid> {
    sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("fact"))
}

/// Back to the page; what was refused stands on it.
async fn done(app: &App, me: Signed, sent: &Fields, result: domain::Result<()>) -> Result<Response> {
    match result.map_err(Fault::from) {
        Ok(()) => Ok(Redirect::to("/memory").into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(app, me).await?;
            Ok((fault.status, render(app, &me, Form::again(sent, &fault)).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

async fn render(app: &App, me: &Reader, form: Form<'_>) -> Result<Markup> {
    let known = memories::list(&me.actor, app.store(), SHOWN).await?;
    let people: Vec<Uuid> = known.iter().flat_map(|m| m.user_id.into_iter().chain(m.created_by)).collect();
    let names = names(app, &me.actor, people).await?;
    Ok(shell(
        me,
        "Memory",
        "/memory",
        &html! {
            h1 { "Memory" }
            p.lead { "What the employee learned at work, and what people told it. A language model is told some of it as its work begins, and finds the rest when it asks: as data, each fact with its source." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            div.cols {
                section aria-labelledby="known" {
                    h2 #known { "Known" span.count { (known.len()) } }
                    @if known.is_empty() { (empty("Nothing is known yet.", &html! { "Tell it what helps with many tasks: who people are, where things belong, what you prefer." })) }
                    ul.lines { @for memory in &known { (line(me, memory, &names)) } }
                }
                section aria-labelledby="tell" {
                    h2 #tell { "Tell a fact" }
                    form.form method="post" action="/memory" data-once="" {
                        (token(me))
                        (form.lines("content", "The fact", "", "One, in a sentence that can be understood by itself. No secrets: they are struck out.", 3))
                        @if me.is_admin() { (form.tick("all", "For everybody’s work, not only for mine", false)) }
                        div.buttons { button.primary type="submit" { "Tell it" } span.hint { "At most " (MAX_CHARS) " characters." } }
                    }
                }
            }
        },
    ))
}

fn line(me: &Reader, memory: &Memory, names: &HashMap<Uuid, String>) -> Markup {
    let is_mine = memory.user_id == Some(me.user_id());
    let about = cut(&memory.content, 60);
    html! {
        li data-key=(memory.id) {
            p.text { (visible(&memory.content)) @if memory.outside { " " (outside_mark()) } }
            p.meta {
                @if memory.source == "person" { "told by " (name_of(names, memory.created_by)) } @else { "learned at work" }
                @if let Some(task) = memory.task_id { ", on " a href={ "/tasks/" (task) } { "a task" } }
                " · " (when(memory.created_at, store::now()))
                " · for " @if memory.user_id.is_none() { "everybody" } @else if is_mine { "you" } @else { (name_of(names, memory.user_id)) }
                @if let Some(at) = memory.edited_at { " · changed " (when(at, store::now())) }
            }
            @if is_mine || me.is_admin() {
                details {
                    summary { "Change or forget it" }
                    form.form method="post" action="/memory/edit" data-once="" {
                        (token(me))
                        input type="hidden" name="id" value=(memory.id);
                        div.field {
                            label for={ "words-" (memory.id) } { "The fact" }
                            textarea id={ "words-" (memory.id) } name="words" rows="3" maxlength=(MAX_CHARS) { "\n" (memory.content) }
                            @if memory.outside { p.hint { "It stays marked as learned from outside content. What you vouch for, tell anew." } }
                        }
                        div.buttons { button type="submit" aria-label={ "Change it: " (about) } { "Change it" } }
                    }
                    form.inline method="post" action="/memory/forget" {
                        (token(me))
                        input type="hidden" name="id" value=(memory.id);
                        button.quiet.danger type="submit" aria-label={ "Forget it: " (about) } data-sure="Forget this fact?" { "Forget it" }
                    }
                }
            }
        }
    }
}
