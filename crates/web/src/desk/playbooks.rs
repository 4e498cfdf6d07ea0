//! Playbooks: those at hand, and a check of one that is being written.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::playbook::{self, MAX_SOURCE_BYTES, Playbook, PlaybookError};
use maud::{Markup, html};

use super::{
    form::Form,
    layout::{Reader, shell, token},
    parts::{empty, say, state_as},
};
use crate::{
    PlaybookEntry,
    app::App,
    body::SignedForm,
    fault::{Fault, Result},
};

/// The playbooks at hand, read on a thread that may wait for the disk.
pub(crate) async fn at_hand(app: &App) -> Result<Vec<PlaybookEntry>> {
    let list = app.state.playbooks.clone();
    tokio::task::spawn_blocking(move || list.all()).await.map_err(|e| Fault::internal(e.to_string()))
}

/// `GET /playbooks`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    Ok(render(&me, &at_hand(&app).await?, Form::default(), None))
}

/// What a check came to.
type Checked = std::result::Result<Playbook, Vec<PlaybookError>>;

fn render(me: &Reader, rows: &[PlaybookEntry], form: Form<'_>, checked: Option<&Checked>) -> Markup {
    shell(
        me,
        "Playbooks",
        "/playbooks",
        &html! {
            h1 { "Playbooks" }
            p.lead { "A playbook is what the employee follows: written steps, no model needed. Your own lie as YAML in the folder " code { "playbooks" } " of Steward’s data and go before those that come with it." }
            @if rows.is_empty() { (empty("None is at hand.", &html! { "Write one below, check it, and put it into the folder." })) }
            ul.lines {
                @for row in rows {
                    li data-key=(row.name) {
                        p.title { strong { (say(&row.name)) } " " @if row.errors.is_empty() { (state_as("active", "right")) } @else { (state_as("failed", "has mistakes")) } }
                        p.meta { (say(&row.origin)) }
                        @if let Some(text) = &row.description { p { (say(text)) } }
                        @for error in &row.errors { p.error { (say(error)) } }
                    }
                }
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
    )
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
    let (source, rows) = (source.replace("\r\n", "\n"), at_hand(&app).await?);
    let checked = tokio::task::spawn_blocking(move || playbook::parse(&source));
    let checked = checked.await.map_err(|e| Fault::internal(e.to_string()))?;
    let me = Reader::of(&app, me).await?;
    let form = Form { sent: Some(&sent), fault: None };
    Ok(render(&me, &rows, form, Some(&checked)).into_response())
}
