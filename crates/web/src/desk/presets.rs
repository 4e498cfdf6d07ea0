//! Ready-made rules: what sets there are, and adding one.

use axum::{extract::State, response::IntoResponse, response::Response};
use domain::presets::{self, PRESETS};
use maud::{Markup, html};

use super::{
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::say,
};
use crate::{
    app::App,
    body::SignedForm,
    fault::{Fault, Result},
};

/// `GET /policies/presets`
pub(crate) async fn page(me: Reader) -> Markup {
    render(&me, None, &[])
}

/// What was added, by name; false: it stood there already.
type Added = (String, bool);

fn render(me: &Reader, fault: Option<&Fault>, added: &[Added]) -> Markup {
    let form = Form::default();
    shell(
        me,
        "Ready-made rules",
        "/policies",
        &html! {
            p.crumbs { a href="/policies" { "Policies" } }
            h1 { "Ready-made rules" }
            p.lead { "Once added they are rules like any other: you see them under Policies, try calls against them, and remove them." }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            @if !added.is_empty() {
                div.notice role="status" {
                    @for (name, is_new) in added {
                        p { (say(name)) @if *is_new { " was added." } @else { " stands already, and was left as it is." } }
                    }
                    p { a href="/policies" { "See the rules" } }
                }
            }
            @for preset in PRESETS {
                section aria-labelledby=(preset.name) {
                    h2 id=(preset.name) { (preset.name.replace('-', " ")) }
                    p { (super::layout::sentence(preset.says)) }
                    @if me.is_admin() {
                        form.form method="post" action="/policies/presets" data-once="" {
                            (token(me))
                            input type="hidden" name="preset" value=(preset.name);
                            details {
                                summary { "For some servers only" }
                                (form.line("server", "Servers", "*", "A name, or a pattern: * stands for anything, {a,b} for a choice."))
                            }
                            div.buttons { button type="submit" aria-label={ "Add these rules: " (preset.name) } { "Add these rules" } }
                        }
                    }
                }
            }
            @if !me.is_admin() { p.soft { "An administrator adds them." } }
        },
    )
}

/// `POST /policies/presets`
pub(crate) async fn apply(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let server = sent.text("server").unwrap_or("*");
    let done = presets::apply(app.store(), &me.actor, sent.get("preset").unwrap_or_default(), server).await;
    match done.map_err(Fault::from) {
        Ok(added) => Ok(render(&Reader::of(&app, me).await?, None, &added).into_response()),
        Err(fault) if fault.status.is_client_error() => {
            Ok((fault.status, render(&Reader::of(&app, me).await?, Some(&fault), &[])).into_response())
        }
        Err(fault) => Err(fault),
    }
}
