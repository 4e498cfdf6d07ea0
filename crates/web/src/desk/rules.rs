//! Policies: the rules in order, a call tried against them, and the making of rules, also of one decision.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    judging::{self, Case},
    policy::{DEFAULT_APPROVAL_TTL_MINUTES, Effect, Verdict},
    replay::{self, Change, Replayed},
    rules,
};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::{
    approvals,
    policies::{self, Asking, NewPolicy, Policy},
    tasks,
};
use uuid::Uuid;

use super::{
    approvals::{detail, is_outside},
    form::{Form, choices},
    layout::{Reader, fault_notice, sentence, shell, token},
    parts::{empty, say, state},
    past::{DAYS, differences},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    params::Params,
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
                    @if me.is_admin() { th scope="col" { span.hidden { "Remove" } } }
                }
            }
            tbody {
                @for rule in rows {
                    tr data-key=(rule.id) {
                        th scope="row" {
                            span.soft.num { (rule.position) } " " (say(&rule.name))
                            @if !rule.is_active { " " (state("paused")) }
                        }
                        td { (state(&rule.effect)) @if rule.effect == "ask" { p.soft.small { "within " (minutes(rule.approval_ttl_minutes)) } } }
                        td {
                            code { (say(&rule.server)) "/" (breakable(&rule.tool)) }
                            @if let Some(condition) = &rule.condition { p.small { "if " code { (say(condition)) } } }
                        }
                        td.opt { @if rule.outside || rule.effect != "allow" { "yes" } @else { "no, asks instead" } }
                        @if me.is_admin() {
                            td {
                                form.inline method="post" action="/policies/remove" {
                                    (token(me))
                                    input type="hidden" name="id" value=(rule.id);
                                    button.quiet.danger type="submit" aria-label={ "Remove: " (rule.name) } data-sure={ "Remove the rule " (rule.name) "?" } { "Remove" }
                                }
                            }
                        }
                    }
                }
            }
        }
        p.soft.small { "After the last rule: ask." }
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
    let id: Uuid = sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("rule"))?;
    if !policies::delete(&me.actor, app.store(), id).await? {
        return Err(Fault::not_found("rule that you may remove"));
    }
    Ok(Redirect::to("/policies").into_response())
}

/// What the form for a rule begins with.
#[derive(Debug, Default)]
struct First {
    name: String,
    server: String,
    tool: String,
    condition: String,
    effect: &'static str,
    is_outside: bool,
    /// The decision that it is made of.
    of: Option<String>,
}

/// `GET /policies/new`, also of a decision: with the call's server, tool and place filled in.
pub(crate) async fn new_page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["approval"])?;
    let first = match params.id("approval")? {
        Some(id) => of_decision(&app, &me, id).await?,
        None => First { server: "*".to_owned(), tool: "*".to_owned(), effect: "ask", ..First::default() },
    };
    Ok(form(&me, &first, Form::default(), None))
}

async fn of_decision(app: &App, me: &Reader, id: Uuid) -> Result<First> {
    let found = approvals::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("approval"))?;
    let (server, tool) = (detail(&found, "server").unwrap_or("*"), detail(&found, "tool").unwrap_or("*"));
    // By where the task comes from, or by what a model had read by then.
    let is_outside = is_outside(&found)
        || match found.task_id {
            Some(task) => tasks::provenance(&me.actor, app.store(), task).await?.is_some_and(|p| p.outside),
            None => false,
        };
    // What was allowed, where a person changed what was asked.
    let edit = store::approvals::edit(&me.actor, app.store(), id).await?.filter(|_| found.status == "approved");
    let edit = edit.and_then(|text| serde_json::from_str(&text).ok());
    let asked = || found.details.as_ref().and_then(|d| d.get("arguments")).cloned().unwrap_or_default();
    let arguments = edit.unwrap_or_else(asked);
    let effect = if found.status == "rejected" { "deny" } else { "allow" };
    Ok(First {
        name: format!("{server}: {tool}"),
        server: server.to_owned(),
        tool: tool.to_owned(),
        condition: rules::condition_of(&arguments),
        effect,
        is_outside,
        of: Some(id.to_string()),
    })
}

fn form(me: &Reader, first: &First, form: Form<'_>, past: Option<&[Replayed]>) -> Markup {
    let effects = [
        ("allow", "allow: the call runs by itself"),
        ("ask", "ask: a person decides"),
        ("deny", "deny: the call never runs"),
    ]
    .map(|(value, label)| (value.to_owned(), label.to_owned()));
    shell(
        me,
        "Add a rule",
        "/policies",
        &html! {
            p.crumbs { a href="/policies" { "Policies" } }
            h1 { @if first.of.is_some() { "A rule of this decision" } @else { "Add a rule" } }
            @if let Some(id) = &first.of {
                p.lead { "It is filled in as narrow as " a href={ "/approvals/" (id) } { "the call you were asked about" } ": this tool, in these folders. Widen it as far as you trust it, and no further." }
            }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action="/policies/new" data-once="" {
                (token(me))
                (form.line("name", "Name", &first.name, "For people; each rule has its own."))
                div.pair {
                    (form.line("server", "Servers", &first.server, "A name, or a pattern: * stands for anything, {a,b} for a choice."))
                    (form.line("tool", "Tools", &first.tool, "Likewise."))
                }
                (form.lines("condition", "Only if", &first.condition, "In CEL, over args, task, server, tool, outside, now, calls(…) and known(…); empty holds always.", 2))
                (form.choice("effect", "Effect", first.effect, &effects, ""))
                (form.tick("outside", "An allowing rule reaches work on content from outside too", first.is_outside && first.effect == "allow" && first.of.is_some()))
                div.pair {
                    (form.of_kind("number", "minutes", "Minutes to decide, where it asks", &DEFAULT_APPROVAL_TTL_MINUTES.to_string(), "No decision means no."))
                    (form.choice("risk", "Risk", "normal", &choices(&["low", "normal", "high"]), "A yes to high risk needs the password again."))
                    (form.choice("place", "Place", "last", &choices(&["last", "first"]), "The first rule that matches decides."))
                }
                details open[form.sent.is_some()] {
                    summary { "More about asking" }
                    div.pair {
                        (form.of_kind("number", "approvers", "How many people must agree", "1", "1 to 5; one no is a no."))
                        (form.of_kind("number", "remind_minutes", "Remind after minutes", "", "Empty: never."))
                        (form.of_kind("number", "escalate_minutes", "Ask others after minutes", "", "Empty: never."))
                    }
                    (form.tick("never_repeat", "Such a call is never made again by itself", false))
                }
                div.buttons {
                    button.primary type="submit" { "Add the rule" }
                    button type="submit" name="past" value="yes" { "Look what it would change" }
                    a.button href="/policies" { "Leave it" }
                }
            }
            @if let Some(past) = past { (differences(past)) }
        },
    )
}

/// `POST /policies/new`: adds the rule, or says what it would have changed of the past.
pub(crate) async fn create(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let looks = sent.get("past").is_some();
    let done = if looks {
        look(&app, &me.actor, &sent).await.map(Some)
    } else {
        add(&app, &me.actor, &sent).await.map(|()| None)
    };
    match done {
        Ok(None) => Ok(Redirect::to("/policies").into_response()),
        Ok(Some(past)) => {
            let me = Reader::of(&app, me).await?;
            Ok(form(&me, &First::default(), Form { sent: Some(&sent), fault: None }, Some(&past)).into_response())
        }
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            Ok((fault.status, form(&me, &First::default(), Form::again(&sent, &fault), None)).into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// What a rule would have changed of the last days.
async fn look(app: &App, actor: &store::Actor, sent: &Fields) -> Result<Vec<Replayed>> {
    let mut rule = entered(sent)?;
    rule.position = place(app, actor, sent).await?.unwrap_or(0);
    let change = Change { without: Vec::new(), with: vec![rule] };
    Ok(replay::replay(app.store(), actor, DAYS, &change).await?)
}

/// Where it shall stand; none: last.
async fn place(app: &App, actor: &store::Actor, sent: &Fields) -> Result<Option<i32>> {
    if sent.get("place") != Some("first") {
        return Ok(None);
    }
    // Before the first; rules are set ten apart.
    let first = policies::list(actor, app.store()).await?.first().map_or(10, |p| p.position);
    Ok(Some((first / 2).max(1)))
}

fn whole(sent: &Fields, name: &'static str) -> Result<Option<i32>> {
    let text = sent.text(name).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::invalid(name, "give a whole number"))
}

fn entered(sent: &Fields) -> Result<NewPolicy> {
    let text = |name: &str| sent.text(name).unwrap_or_default().to_owned();
    Ok(NewPolicy {
        position: 0,
        name: text("name"),
        server: text("server"),
        tool: text("tool"),
        condition: sent.text("condition").map(str::to_owned),
        outside: sent.get("outside").is_some(),
        effect: text("effect"),
        approval_ttl_minutes: whole(sent, "minutes")?.unwrap_or(DEFAULT_APPROVAL_TTL_MINUTES),
    })
}

async fn add(app: &App, actor: &store::Actor, sent: &Fields) -> Result<()> {
    let asking = Asking {
        approvers: whole(sent, "approvers")?.unwrap_or(1),
        never_repeat: sent.get("never_repeat").is_some(),
        remind_minutes: whole(sent, "remind_minutes")?,
        escalate_minutes: whole(sent, "escalate_minutes")?,
        escalate_to: None,
    };
    let risk = sent.get("risk").unwrap_or("normal").to_owned();
    let position = place(app, actor, sent).await?;
    rules::add_with_risk(app.store(), actor, entered(sent)?, position, (risk, asking)).await?;
    Ok(())
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
