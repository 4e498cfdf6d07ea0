//! Policies: the rules in order, moved, paused and removed, and a call tried against them.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    judging::{self, Case},
    policy::{Effect, Verdict},
    rules::{self, order::Way},
};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::policies::{self, Policy};
use uuid::Uuid;

use super::{
    form::Form,
    layout::{Reader, button, fault_notice, sentence, shell, token},
    parts::{empty, say, state},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
};

/// `GET /policies`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let rows = policies::shown(&me.actor, app.store()).await?;
    Ok(render(&me, &rows, Form::default(), None))
}

fn render(me: &Reader, rows: &[Policy], form: Form<'_>, verdict: Option<&Verdict>) -> Markup {
    shell(
        me,
        "Policies",
        "/policies",
        &html! {
            div.head {
                h1 { "Policies" }
                @if me.is_admin() { p.acts { a.button.primary href="/policies/new" { "Add a rule" } } }
            }
            p.lead { "Before each call the rules are asked from top to bottom; the first one that matches decides. Where none does, a person is asked." }
            p.soft {
                a href="/policies/presets" { "Ready-made rules" } " · "
                a href="/policies/past" { "Rules on the past" } " · "
                a href="/policies/contacts" { "Contacts that rules know" }
            }
            @if rows.is_empty() {
                (empty("There are no rules: every call asks.", &html! { "Decide a few approvals first; then make a rule of a decision that is always the same." }))
            } @else { (table(me, rows)) }
            (try_part(form, verdict, me))
        },
    )
}

fn table(me: &Reader, rows: &[Policy]) -> Markup {
    html! {
        table {
            caption.hidden { "Rules in the order in which they are asked" }
            thead {
                tr {
                    th scope="col" { "Rule" } th scope="col" { "Effect" } th scope="col" { "Calls" }
                    th.opt scope="col" { "Reaches outside content" }
                    @if me.is_admin() { th scope="col" { span.hidden { "Change" } } }
                }
            }
            tbody {
                @for rule in rows {
                    tr data-key=(rule.id) {
                        th scope="row" {
                            span.soft.num { (rule.position) } " "
                            @if me.is_admin() { a href={ "/policies/" (rule.id) "/edit" } { (say(&rule.name)) } } @else { (say(&rule.name)) }
                            @if !rule.is_active { " " (state("paused")) }
                        }
                        td { (state(&rule.effect)) @if rule.effect == "ask" { p.soft.small { "within " (minutes(rule.approval_ttl_minutes)) } } }
                        td {
                            code { (say(&rule.server)) "/" (breakable(&rule.tool)) }
                            @if let Some(condition) = &rule.condition { p.small { "if " code { (say(condition)) } } }
                        }
                        td.opt { @if rule.outside || rule.effect != "allow" { "yes" } @else { "no, asks instead" } }
                        @if me.is_admin() {
                            td { (changes(me, rows, rule)) }
                        }
                    }
                }
            }
        }
        p.soft.small { "After the last rule: ask." }
    }
}

/// What may be done with a rule where it stands.
fn changes(me: &Reader, rows: &[Policy], rule: &Policy) -> Markup {
    let id = rule.id.to_string();
    let press = |action: &str, field: (&str, &str), label: &str| {
        button(me, action, &[("id", &id), field], label, "quiet", &rule.name)
    };
    html! {
        div.buttons {
            @if rows.first().is_some_and(|first| first.id != rule.id) { (press("/policies/move", ("way", "up"), "Up")) }
            @if rows.last().is_some_and(|last| last.id != rule.id) { (press("/policies/move", ("way", "down"), "Down")) }
            @if rule.is_active { (press("/policies/run", ("run", "no"), "Pause")) } @else { (press("/policies/run", ("run", "yes"), "Go on")) }
            form.inline method="post" action="/policies/remove" {
                (token(me))
                input type="hidden" name="id" value=(rule.id);
                button.quiet.danger type="submit" aria-label={ "Remove: " (rule.name) } data-sure={ "Remove the rule " (rule.name) "?" } { "Remove" }
            }
        }
    }
}

/// The form in which a call is tried, with what came of it.
fn try_part(form: Form<'_>, verdict: Option<&Verdict>, me: &Reader) -> Markup {
    html! {
        section #try aria-labelledby="try-head" {
            h2 #try-head { "Try a call" }
            p.soft { "Nothing is called: it is only said which rule would decide." }
            @if let Some(verdict) = verdict {
                div.notice role="status" {
                    p {
                        (state(effect_word(verdict.effect)))
                        @if let Some((_, name)) = &verdict.rule { " by the rule " strong { (say(name)) } } @else { " by no rule" }
                    }
                    p.small { (say(&sentence(&verdict.reason))) }
                }
            }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action="/policies/try" {
                (token(me))
                div.pair {
                    (form.line("server", "Server", "files", ""))
                    (form.line("tool", "Tool", "move_file", ""))
                }
                (form.lines("arguments", "Arguments, as JSON", "{}", "", 3))
                (form.tick("outside", "The work is on content from outside", false))
                div.buttons { button type="submit" { "Try it" } }
            }
        }
    }
}

fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Ask => "ask",
        Effect::Deny => "deny",
    }
}

/// `POST /policies/try`: says which rule decides a call; nothing is called and nothing changed.
pub(crate) async fn try_call(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let rows = policies::list(&me.actor, app.store()).await?;
    let me = Reader::of(&app, me).await?;
    let text = sent.text("arguments").unwrap_or("{}");
    let arguments: Json = match serde_json::from_str(text) {
        Ok(arguments) => arguments,
        Err(e) => {
            let fault = Fault::invalid("arguments", format!("the arguments are no JSON: {e}"));
            return Ok((fault.status, render(&me, &rows, Form::again(&sent, &fault), None)).into_response());
        }
    };
    let case = Case {
        server: sent.text("server").unwrap_or_default().to_owned(),
        tool: sent.text("tool").unwrap_or_default().to_owned(),
        arguments,
        outside: sent.get("outside").is_some(),
        task: json!({}),
    };
    let verdict = judging::judge(&me.actor, app.store(), &case).await?;
    let form = Form { sent: Some(&sent), fault: None };
    Ok(render(&me, &rows, form, Some(&verdict)).into_response())
}

/// `POST /policies/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let id = named(&sent)?;
    if !policies::delete(&me.actor, app.store(), id).await? {
        return Err(Fault::not_found("rule that you may remove"));
    }
    Ok(Redirect::to("/policies").into_response())
}

fn named(sent: &Fields) -> Result<Uuid> {
    sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("rule"))
}

/// `POST /policies/move`: past its neighbour.
pub(crate) async fn step(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let way = match sent.get("way") {
        Some("up") => Way::Up,
        Some("down") => Way::Down,
        _ => return Err(Fault::invalid("way", "a rule is moved up or down")),
    };
    rules::order::step(app.store(), &me.actor, named(&sent)?, way).await?;
    Ok(Redirect::to("/policies").into_response())
}

/// `POST /policies/run`: lets a rule count, or not.
pub(crate) async fn run(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let is_active = match sent.get("run") {
        Some("yes") => true,
        Some("no") => false,
        _ => return Err(Fault::invalid("run", "a rule is paused, or goes on")),
    };
    rules::change(app.store(), &me.actor, named(&sent)?, move |rule| Ok(Policy { is_active, ..rule })).await?;
    Ok(Redirect::to("/policies").into_response())
}

/// A long list of names that may break after its commas.
fn breakable(text: &str) -> Markup {
    html! { @for (place, part) in text.split(',').enumerate() { @if place > 0 { "," wbr; } (say(part)) } }
}

fn minutes(minutes: i32) -> String {
    match minutes {
        m if m % 1440 == 0 => format!("{} days", m / 1440).replace("1 days", "1 day"),
        m if m % 60 == 0 => format!("{} h", m / 60),
        m => format!("{m} min"),
    }
}
