//! The handbook: what the employee is told with each task that a model leads, its versions, and what changed between them.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::handbook::{self as rules, MAX_CHARS};
use maud::{Markup, html};
use store::handbook::{self, Handbook};

use super::{
    diff,
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::{empty, name_of, time, visible, when},
};
use crate::{
    app::{App, names},
    body::SignedForm,
    fault::{Fault, Result},
    params::Params,
};

/// `GET /handbook`, also of an older version beside what stood before it.
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["version"])?;
    let wanted = params.get("version").map(str::parse::<i32>).transpose();
    let wanted = wanted.map_err(|_| Fault::not_found("such version of the handbook"))?;
    render(&app, &me, wanted, Form::default()).await
}

async fn render(app: &App, me: &Reader, wanted: Option<i32>, form: Form<'_>) -> Result<Markup> {
    let versions = handbook::list(&me.actor, app.store()).await?;
    let names = names(app, &me.actor, versions.iter().filter_map(|v| v.created_by)).await?;
    let shown = match wanted {
        None => versions.first(),
        Some(number) => Some(
            versions
                .iter()
                .find(|v| v.version == number)
                .ok_or_else(|| Fault::not_found("such version of the handbook"))?,
        ),
    };
    let before = shown.and_then(|s| versions.iter().find(|v| v.version == s.version - 1));
    let now = store::now();
    Ok(shell(
        me,
        "Handbook",
        "/handbook",
        &html! {
            h1 { "Handbook" }
            p.lead { "What the employee should know of you and your house. A language model reads it with each task it leads; a run keeps the version it began with. Each version is kept for good." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            div.cols {
                div {
                    @if let Some(shown) = shown {
                        section aria-labelledby="shown" {
                            h2 #shown { "Version " (shown.version) }
                            p.meta { "saved " (when(shown.created_at, now)) " by " (name_of(&names, shown.created_by)) }
                            p.text { (visible(&shown.content)) }
                            @if let Some(before) = before {
                                details open[wanted.is_some()] {
                                    summary { "What changed since version " (before.version) }
                                    (diff::text(&visible(&before.content), &visible(&shown.content), "What changed"))
                                }
                            }
                        }
                    } @else {
                        (empty("Nothing is written yet.", &html! { "Write what you would tell a new colleague on the first day: who you are, where things belong, what never to do." }))
                    }
                    @if me.is_admin() && wanted.is_none() { section aria-labelledby="write" { h2 #write { "Write the next version" } (edit_form(me, form, shown)) } }
                    @if wanted.is_some() { p { a href="/handbook" { "The version that counts" } } }
                }
                div {
                    section aria-labelledby="versions" {
                        h2 #versions { "Versions" }
                        @if versions.is_empty() { p.soft { "None yet." } }
                        ul.lines {
                            @for version in &versions {
                                li { p.title { a href={ "/handbook?version=" (version.version) } { "Version " (version.version) } } p.meta { (time(version.created_at)) " by " (name_of(&names, version.created_by)) } }
                            }
                        }
                    }
                }
            }
        },
    ))
}

fn edit_form(me: &Reader, form: Form<'_>, now: Option<&Handbook>) -> Markup {
    let (read, content) = now.map_or((0, ""), |h| (h.version, h.content.as_str()));
    html! {
        form.form method="post" action="/handbook" data-once="" {
            (token(me))
            input type="hidden" name="read" value=(form.value("read", &read.to_string()));
            (form.lines("content", "The whole of it", content, "Plain words or Markdown; nothing in it allows a call, which is for the policies.", 16))
            div.buttons { button.primary type="submit" { "Save it as a new version" } span.hint { "At most " (MAX_CHARS) " characters." } }
        }
    }
}

/// `POST /handbook`
pub(crate) async fn save(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let read = sent.get("read").and_then(|v| v.parse().ok()).unwrap_or(0);
    let content = sent.get("content").unwrap_or_default().replace("\r\n", "\n");
    match rules::save(app.store(), &me.actor, read, content).await.map_err(Fault::from) {
        Ok(_) => Ok(Redirect::to("/handbook").into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            Ok((fault.status, render(&app, &me, None, Form::again(&sent, &fault)).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}
