//! A playbook draft of what a model did for a task: the text, what became a parameter and what stayed as it was, and what it
//! would do with past events. Nothing is called; what is kept is switched off.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    playbook::draft::{Draft, Literal, Parameter},
    promote,
    rerun::{self, Replayed, WouldCall},
};
use maud::{Markup, html};
use serde_json::Value as Json;
use store::tasks::Task;

use super::{
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::{block, cut, pretty, say, state, state_as, visible, when},
    playbooks::{keep, read},
};
use crate::{app::App, body::SignedForm, fault::Result, params::Id};

/// Past events that are gone through.
const LAST: usize = 10;

/// `GET /tasks/{id}/playbook`
pub(crate) async fn page(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    let draft = promote::promote(app.store(), &me.actor, id, None).await?;
    let source = draft.source.clone();
    show(&app, &me, &task, &draft, source, Form::default()).await
}

/// `POST /tasks/{id}/playbook`: looks at the text again, or keeps it.
pub(crate) async fn change(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let source = sent.get("source").unwrap_or_default().replace("\r\n", "\n");
    let mut fault = None;
    if sent.get("do") == Some("keep") {
        match keep(&app, &me.actor, source.clone(), Some(id)).await {
            Ok(_) => return Ok(Redirect::to("/playbooks#kept").into_response()),
            Err(refused) if refused.status.is_client_error() => fault = Some(refused),
            Err(other) => return Err(other),
        }
    }
    let me = Reader::of(&app, me).await?;
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    let draft = promote::promote(app.store(), &me.actor, id, None).await?;
    let form = Form { sent: Some(&sent), fault: fault.as_ref() };
    let shown = show(&app, &me, &task, &draft, source, form).await?;
    Ok((fault.map_or(axum::http::StatusCode::OK, |f| f.status), shown).into_response())
}

async fn show(app: &App, me: &Reader, task: &Task, draft: &Draft, source: String, form: Form<'_>) -> Result<Markup> {
    let watcher = task.metadata.pointer("/watcher/name").and_then(Json::as_str).map(str::to_owned);
    let span = rerun::Span { watcher, first: Some(task.id), last: LAST };
    let (events, wrong) = match read(source).await {
        Ok(playbook) => (rerun::replay(app.store(), &me.actor, &playbook, &span).await?, None),
        Err(wrong) if wrong.status.is_client_error() => (Vec::new(), Some(wrong)),
        Err(other) => return Err(other),
    };
    let fault = form.fault.or(wrong.as_ref());
    let form = Form { fault, ..form };
    Ok(render(me, task, draft, form, (&events, wrong.is_none())))
}

fn render(me: &Reader, task: &Task, draft: &Draft, form: Form<'_>, (events, is_right): (&[Replayed], bool)) -> Markup {
    let address = format!("/tasks/{}", task.id);
    shell(
        me,
        "A playbook of this work",
        "/tasks",
        &html! {
            p.crumbs { a href="/tasks" { "Tasks" } " / " a href=(address) { (say(&cut(&task.title, 60))) } }
            h1 { "A playbook of this work" }
            p.lead { "The same calls in the same order, without a model. What came from the event or from an earlier result is put in anew each time; all else stays as it was. Each call still meets the policies, and you." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if !draft.remarks.is_empty() { div.notice { ul { @for remark in &draft.remarks { li { (visible(remark)) } } } } }
            form.form method="post" action={ (address) "/playbook" } {
                (token(me))
                (form.lines("source", "The draft, as YAML", &draft.source, "Change what you like: which events it is for, names, values.", 24))
                div.buttons {
                    button type="submit" name="do" value="look" { "Look at it again" }
                    @if me.is_admin() { button.primary type="submit" name="do" value="keep" { "Keep it, switched off" } }
                }
                @if !me.is_admin() { p.soft.small { "An administrator can keep it here. You can copy it into a file." } }
            }
            div.cols {
                section #past aria-labelledby="past-head" {
                    h2 #past-head { "What it would do with past events" }
                    p.soft { "Nothing is called. A call answers what the same call answered then; where none was made, it stops there. The newest " (LAST) " are shown." }
                    @if !is_right { p.error { "The text has mistakes, so nothing can be said." } }
                    ul.lines { @for event in events { (of_event(event)) } }
                }
                div {
                    section aria-labelledby="parameters" {
                        h2 #parameters { "Put in anew" span.count { (draft.parameters.len()) } }
                        @if draft.parameters.is_empty() { p.soft { "Nothing: it would do exactly the same each time." } }
                        ul.lines { @for one in &draft.parameters { (parameter(one)) } }
                    }
                    section aria-labelledby="literals" {
                        h2 #literals { "Stays as it was" span.count { (draft.literals.len()) } }
                        @if draft.literals.is_empty() { p.soft { "Nothing." } }
                        ul.lines { @for one in &draft.literals { (literal(one)) } }
                    }
                }
            }
        },
    )
}

fn short(value: &Json) -> String {
    visible(&cut(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), 200))
}

fn parameter(one: &Parameter) -> Markup {
    html! {
        li {
            p.title { code { (say(&one.step)) ": " (say(&one.argument)) } }
            p { code { (visible(&cut(&one.template, 300))) } }
            p.meta { "was " (short(&one.value)) }
        }
    }
}

fn literal(one: &Literal) -> Markup {
    html! {
        li {
            p.title { code { (say(&one.step)) ": " (say(&one.argument)) } @if one.part_of.is_some() { " " (state_as("warning", "look at it")) } }
            p { (short(&one.value)) }
            @if let Some(place) = &one.part_of { p.soft.small { "Stands within " code { (visible(place)) } ": for another event it may have to be something else." } }
        }
    }
}

fn of_event(event: &Replayed) -> Markup {
    html! {
        li data-key=(event.task_id) {
            p.title {
                a href={ "/tasks/" (event.task_id) } { (say(&cut(&event.title, 80))) } " "
                @if event.unfit.is_some() { (state_as("skipped", "not for it")) }
                @else if event.differs() { (state_as("warning", "differs")) }
                @else { (state_as("completed", "the same calls")) }
            }
            p.meta { (when(event.at, store::now())) }
            @if let Some(why) = &event.unfit { p.soft.small { (visible(why)) } }
            @if !event.calls.is_empty() {
                details {
                    summary { (event.calls.len()) @if event.calls.len() == 1 { " call" } @else { " calls" } }
                    ol { @for call in &event.calls { (would_call(call)) } }
                }
            }
            @if !event.missing.is_empty() {
                p.small { "Was called and would not be: " @for (n, call) in event.missing.iter().enumerate() { @if n > 0 { ", " } code { (say(&call.server)) "/" (say(&call.tool)) } } }
            }
            @if event.unfit.is_none() { p.small { "It " (event.ends) ": " (visible(&cut(&event.words, 300))) } }
        }
    }
}

fn would_call(call: &WouldCall) -> Markup {
    let now = serde_json::to_value(call.now).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    html! {
        li {
            p { code { (say(&call.server)) "/" (say(&call.tool)) } " " (state(&now)) " "
                @if let Some(then) = &call.then { span.soft.small { "the same call was made then (" (then.replace('_', " ")) ")" } }
                @else { span.soft.small { "not made then" } }
            }
            p.soft.small { (visible(&call.reason)) }
            (block(&pretty(&call.arguments), "Arguments"))
        }
    }
}
