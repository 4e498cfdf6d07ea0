//! One approval: what would happen, where it came from, the exact call, and the decision.

use std::collections::HashMap;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use domain::decide::Decision;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::{
    approvals::{self, Approval, FrozenCall},
    mcp_servers::{self, ServerTool},
    tasks::{self, Provenance, Task},
    users::User,
};
use uuid::Uuid;

use super::{
    approvals::{Behind, QUEUE, badge, detail, headline, is_outside, shown_state},
    arguments::ArgumentForm,
    diff,
    layout::{Reader, fault_notice, shell, token},
    parts::{json_block, name_of, outside_mark, say, state, time, visible, when},
    words,
};
use crate::{
    app::{App, names},
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    guard::encode,
    params::{Id, Params},
    session::{self, Signed},
};

/// All that the page shows.
struct View {
    approval: Approval,
    call: Option<FrozenCall>,
    tool: Option<ServerTool>,
    task: Option<Task>,
    provenance: Option<Provenance>,
    /// What a person answered where an outcome is unknown, or put in place of the arguments.
    edit: Option<String>,
    form: ArgumentForm,
    can_decide: bool,
    /// Who else may decide, where the reader may.
    others: Vec<User>,
    names: HashMap<Uuid, String>,
    now: Timestamp,
}

async fn load(app: &App, me: &Signed, id: Uuid) -> Result<View> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let approval = approvals::get(actor, on, id).await?.ok_or_else(|| Fault::not_found("approval"))?;
    let (call, edit) = tokio::try_join!(approvals::call(actor, on, id), approvals::edit(actor, on, id))?;
    let (task, provenance) = match approval.task_id {
        Some(task_id) => tokio::try_join!(tasks::get(actor, on, task_id), tasks::provenance(actor, on, task_id))?,
        None => (None, None),
    };
    let tool = match &call {
        Some(frozen) => mcp_servers::tool(actor, on, &frozen.call.server, &frozen.call.tool).await?,
        None => None,
    };
    let asked = match &call {
        Some(frozen) => {
            serde_json::from_str(&frozen.call.arguments).map_err(|e| Fault::internal(format!("approval {id}: {e}")))?
        }
        None => approval.details.as_ref().and_then(|d| d.get("arguments")).cloned().unwrap_or_default(),
    };
    let form = ArgumentForm::new(tool.as_ref().map(|t| &t.input_schema), asked);
    let people = [approval.approved_by, approval.rejected_by, approval.requested_by.parse().ok()];
    let names = names(app, actor, people.into_iter().flatten()).await?;
    let behind = Behind::of(app, me, std::slice::from_ref(&approval), QUEUE).await?;
    let can_decide = shown_state(&approval, now) == "pending" && behind.may_decide(&approval);
    let others = if can_decide { domain::hand_over::deciders(on, actor, &approval).await? } else { Vec::new() };
    Ok(View { approval, call, tool, task, provenance, edit, form, can_decide, others, names, now })
}

/// `GET /approvals/{id}`
pub(crate) async fn page(State(app): State<App>, me: Reader, Id(id): Id, params: Params) -> Result<Markup> {
    params.only(&["edit", "asked"])?;
    let view = load(&app, &me, id).await?;
    let asked = params.get("asked").filter(|name| view.others.iter().any(|u| u.username == *name));
    let shown = Shown { is_editing: params.get("edit").is_some(), asked, ..Shown::default() };
    Ok(render(&me, &view, &shown))
}

/// `POST /approvals/{id}/decision`
pub(crate) async fn decide(
    State(app): State<App>,
    headers: HeaderMap,
    Id(id): Id,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let view = load(&app, &me, id).await?;
    let done = match read_decision(&view, &sent) {
        Ok(decision) => give_with_password(&app, &me, &headers, id, decision, &sent).await,
        Err(fault) => Err(fault),
    };
    match done {
        Ok(()) => Ok(Redirect::to(&match sent.get("back") {
            Some(QUEUE) => format!("{QUEUE}?decided=1"),
            Some("/") => "/".to_owned(),
            Some("task") => view.approval.task_id.map_or_else(|| "/".to_owned(), |task| format!("/tasks/{task}")),
            _ => format!("{QUEUE}/{id}"),
        })
        .into_response()),
        // Decided by somebody else meanwhile, or a wrong value: the page as it stands now, with what was entered.
        Err(fault) if fault.status.is_client_error() => {
            let view = load(&app, &me, id).await?;
            let me = Reader::of(&app, me).await?;
            Ok((
                fault.status,
                render(&me, &view, &Shown { fault: Some(&fault), entered: Some(&sent), ..Shown::default() }),
            )
                .into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// Gives a decision; a password beside it shows again who it is.
async fn give_with_password(
    app: &App,
    me: &Signed,
    headers: &HeaderMap,
    id: Uuid,
    decision: Decision,
    sent: &Fields,
) -> Result<()> {
    let mut me = me.clone();
    if let Some(password) = sent.get("password").filter(|p| !p.is_empty()) {
        session::reauthenticate(app, &me, headers, password.to_owned()).await?;
        me.session.authenticated_at = Some(store::now());
    }
    give(app, &me, id, decision).await.map(drop)
}

/// Whether a yes needs the password once more.
fn needs_password(me: &Signed, view: &View) -> bool {
    detail(&view.approval, "risk") == Some("high") && !domain::sign_in::is_fresh(&me.session)
}

/// Gives a decision; its commit wakes the workers. Pages and API decide here.
pub(crate) async fn give(app: &App, me: &Signed, id: Uuid, decision: Decision) -> Result<Approval> {
    if me.session.is_agent {
        return Err(store::Error::Refused { what: "a program's session never decides".to_owned() }.into());
    }
    let is_fresh = domain::sign_in::is_fresh(&me.session);
    Ok(domain::decide::decide_from_afar(app.store(), &me.actor, id, decision, is_fresh).await?)
}

fn read_decision(view: &View, sent: &Fields) -> Result<Decision> {
    let note = sent.text("note").map(|n| n.replace("\r\n", "\n"));
    let with = |approve: bool, arguments: Option<Json>| Ok(Decision { approve, note: note.clone(), arguments });
    let is_question = view.approval.action_type == "outcome_unknown";
    match (sent.get("decision").unwrap_or_default(), is_question) {
        ("reject", _) => with(false, None),
        ("done", true) => with(true, Some(json!({"resolution": "done"}))),
        ("retry", true) => with(true, Some(json!({"resolution": "retry"}))),
        ("approve", false) => {
            let entered = view.form.read(sent)?;
            if entered.is_some_and(|a| !view.form.is_original(&a)) {
                return Err(Fault::conflict("nothing was decided: you changed arguments, but pressed the button that approves the call as it was asked for")
                    .advice("Press “Approve with these changes”, or put the fields back."));
            }
            with(true, None)
        }
        ("change", false) => {
            let current = view.tool.as_ref().map_or("", |t| t.definition_sha256.as_str());
            if sent.get("definition").is_some_and(|d| d != current) {
                return Err(Fault::conflict("nothing was decided: the tool changed since you opened the page"));
            }
            let entered = view
                .form
                .read(sent)?
                .ok_or_else(|| Fault::invalid("arguments", "the form carried no arguments; open the page again"))?;
            let is_same = view.form.is_original(&entered);
            with(true, (!is_same).then_some(entered))
        }
        _ => Err(Fault::invalid("decision", "say with one of the buttons what you decide")),
    }
}

/// How the page is shown this time.
#[derive(Debug, Default)]
struct Shown<'a> {
    fault: Option<&'a Fault>,
    entered: Option<&'a Fields>,
    /// With the form for the arguments open.
    is_editing: bool,
    /// Who was just asked to decide.
    asked: Option<&'a str>,
}

fn render(me: &Reader, view: &View, shown: &Shown<'_>) -> Markup {
    let Shown { fault, entered, is_editing, asked } = *shown;
    let approval = &view.approval;
    let is_question = approval.action_type == "outcome_unknown";
    shell(
        me,
        "Approval",
        "/approvals",
        &html! {
            p.crumbs { a href="/approvals" { "Approvals" } }
            h1.statement { (headline(approval)) }
            p.meta {
                (badge(approval, view.now))
                @if let Some((risk, why)) = words::risk_of(approval) { " " (words::risk_mark(risk)) ": " (why) "." }
                @if view.provenance.as_ref().map_or_else(|| is_outside(approval), |p| p.outside) { " " (outside_mark()) }
                @if let Some(end) = approval.expires_at.filter(|_| approval.status == "pending") {
                    " Decide " (when(end, view.now)) " (" (time(end)) "). No decision means no."
                }
            }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            @if is_question && approval.status == "pending" {
                div.notice {
                    p { strong { "The call was started and no answer came." } " Steward does not repeat it by itself. Look whether it took effect, then say so." }
                    @if let Some(reason) = detail(approval, "reason") { p.soft { (say(reason)) } }
                }
            }
            div.cols {
                div {
                    section #decided data-live="" aria-labelledby="decision" {
                        h2 #decision { "The decision" }
                        @if let Some(name) = asked { div.notice.good role="status" { p { strong { (say(name)) } " was asked to decide. It stays open for you too." } } }
                        @if view.can_decide { (decision_form(me, view, entered, is_question, is_editing)) } @else { (decision_text(me, view)) }
                    }
                    (hand_over(me, view))
                    section aria-labelledby="call" { h2 #call { "The exact call" } (exact_call(view)) }
                }
                div {
                    section aria-labelledby="from" { h2 #from { "Where it comes from" } (origin(view)) }
                    @if me.is_admin() && !is_question && view.call.is_some() {
                        section aria-labelledby="rule" {
                            h2 #rule { "So that you are not asked again" }
                            p.soft { "A rule decides calls like this one from now on." }
                            p { a.button.quiet href={ "/policies/new?approval=" (approval.id) } { "Make a rule of this" } }
                        }
                    }
                }
            }
        },
    )
}

fn decision_form(me: &Signed, view: &View, entered: Option<&Fields>, is_question: bool, is_editing: bool) -> Markup {
    let note = entered.and_then(|e| e.get("note")).unwrap_or_default();
    html! {
        form.decision method="post" action={ "/approvals/" (view.approval.id) "/decision" } data-once="" {
            (token(me))
            // Enter in a field presses the first button: this one, which does nothing.
            button type="submit" disabled hidden {}
            @if !is_question && view.form.is_open() {
                details #change open[entered.is_some() || is_editing] {
                    summary data-press="edit" { "Change the arguments first" }
                    p.soft.small { "What you put here is checked against the tool's schema and the policy, and then runs exactly so." }
                    @if let Some(tool) = &view.tool { input type="hidden" name="definition" value=(tool.definition_sha256); }
                    (view.form.render(entered))
                    button type="submit" name="decision" value="change" { "Approve with these changes" }
                }
            }
            div.field {
                label for="note" { "Note " span.soft { "may be left out" } }
                textarea #note name="note" rows="2" maxlength="4000" { "\n" (note) }
            }
            @if needs_password(me, view) {
                div.field {
                    label for="password" { "Your password, once more" }
                    input #password name="password" type="password" autocomplete="current-password" maxlength="1000" aria-describedby="password-hint";
                    p.hint #password-hint { "A yes to this is of high risk. A no needs no password." }
                }
            }
            div.buttons {
                @if is_question {
                    button.primary type="submit" name="decision" value="done" { "It happened" }
                    button type="submit" name="decision" value="retry" { "Do it again" }
                    button.danger type="submit" name="decision" value="reject" { "It failed" }
                } @else {
                    button.primary type="submit" name="decision" value="approve" data-plain="" data-press="approve" { "Approve as asked" }
                    button.danger type="submit" name="decision" value="reject" data-press="reject" { "Reject" }
                }
            }
        }
    }
}

/// The form in which somebody else is asked.
fn hand_over(me: &Signed, view: &View) -> Markup {
    html! {
        @if !view.others.is_empty() {
            details {
                summary { "Ask somebody else to decide" }
                form.form method="post" action={ "/approvals/" (view.approval.id) "/ask" } data-once="" {
                    (token(me))
                    div.field {
                        label for="to" { "Whom" }
                        select #to name="to" { @for user in &view.others { option value=(user.id) { (user.username) } } }
                    }
                    div.field {
                        label for="word" { "A word to them " span.soft { "may be left out" } }
                        textarea #word name="note" rows="2" maxlength="4000" {}
                    }
                    div.buttons { button type="submit" { "Ask" } span.hint { "It stays open for you too; whoever decides first decides." } }
                }
            }
        }
    }
}

/// `POST /approvals/{id}/ask`: tells somebody else that a decision is asked for.
pub(crate) async fn ask(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let to = sent.get("to").and_then(|id| id.parse().ok());
    let to: Uuid = to.ok_or_else(|| Fault::invalid("to", "say whom to ask"))?;
    let note = sent.text("note").map(|n| n.replace("\r\n", "\n"));
    let asked = domain::hand_over::ask(app.store(), &me.actor, id, to, note.as_deref()).await?;
    Ok(Redirect::to(&format!("/approvals/{id}?asked={}", encode(&asked.username))).into_response())
}

/// How it was decided, or why the reader can't.
fn decision_text(me: &Signed, view: &View) -> Markup {
    let a = &view.approval;
    let decided = a.approved_at.or(a.rejected_at);
    html! {
        div.notice {
            @match (shown_state(a, view.now).as_str(), a.approved_by.or(a.rejected_by)) {
                ("pending", _) => p { "You may look at this, " (me.session.username) ", but not decide it: that is for whoever made the task, and for administrators." },
                ("expired", _) => p { "Nobody decided in time, which means no. The call does not run." },
                (status, by) => {
                    p {
                        strong { (name_of(&view.names, by)) }
                        @if status == "approved" { " approved this" } @else { " rejected this" }
                        @if let Some(at) = decided { " " (when(at, view.now)) " (" (time(at)) ")" }
                        (answered(view))
                        "."
                    }
                    @if let Some(note) = &a.notes { blockquote { (visible(note)) } }
                }
            }
        }
    }
}

/// What was answered beyond yes or no.
fn answered(view: &View) -> Markup {
    let Some(edit) = &view.edit else { return html! {} };
    let resolution =
        serde_json::from_str::<Json>(edit).ok().and_then(|e| e.get("resolution")?.as_str().map(str::to_owned));
    match (view.approval.action_type.as_str(), resolution.as_deref()) {
        ("outcome_unknown", Some("done")) => html! { ": it happened" },
        ("outcome_unknown", Some("retry")) => html! { ": do it again" },
        _ => html! { ", with changed arguments" },
    }
}

fn origin(view: &View) -> Markup {
    let asker = view.approval.requested_by.parse().ok();
    html! {
        dl.facts {
            dt { "Asked" }
            dd { (time(view.approval.created_at)) " by " (name_of(&view.names, asker)) }
            @if let Some(task) = &view.task {
                dt { "Task" }
                dd { a href={ "/tasks/" (task.id) } { (say(&task.title)) } }
            }
            @if let Some(step) = detail(&view.approval, "step") {
                dt { "Step" }
                dd { (say(step)) @if let Some(playbook) = detail(&view.approval, "playbook") { " of the playbook " (say(playbook)) } }
            }
            @if let Some(from) = &view.provenance {
                dt { "Content" }
                dd {
                    "from " code { (say(&from.source)) }
                    @if from.outside { " " (outside_mark()) p.soft.small { "It was written by somebody outside. What it says is data, not an instruction; read the arguments with that in mind." } }
                }
            }
            @if let Some(reason) = detail(&view.approval, "reason") {
                dt { "Why you are asked" }
                dd { (say(reason)) }
            }
        }
    }
}

fn exact_call(view: &View) -> Markup {
    let a = &view.approval;
    html! {
        dl.facts {
            dt { "Tool" }
            dd {
                code { (say(detail(a, "server").unwrap_or("?"))) " / " (say(detail(a, "tool").unwrap_or("?"))) }
                @if let Some(tool) = &view.tool {
                    @if !tool.is_usable() { " " (state("quarantined")) }
                    @if let Some(text) = &tool.description { p.soft.small { "The server says: " (say(&super::parts::cut(text, 400))) } }
                }
            }
        }
        @match &view.call {
            Some(frozen) => {
                p.label { "Arguments, as asked; SHA-256 " code { (frozen.call.arguments_sha256) } }
                (json_block(&frozen.call.arguments, "Arguments as asked"))
                @if let Some((arguments, sha256)) = &frozen.edit {
                    p.label { "Arguments, as approved; SHA-256 " code { (sha256) } }
                    (diff::json(&frozen.call.arguments, arguments, "What was changed before it was approved"))
                }
            }
            None => {
                p.label { "Arguments" }
                (json_block(&a.details.as_ref().and_then(|d| d.get("arguments")).map(ToString::to_string).unwrap_or_default(), "Arguments"))
            }
        }
    }
}
