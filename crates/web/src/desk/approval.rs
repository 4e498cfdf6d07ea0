//! One approval: what would happen, where it came from, the exact call, and the decision.

use std::collections::HashMap;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    deceit,
    decide::{CHANGES, Decision, approvers_of},
    risk,
};
use jiff::{SignedDuration, Timestamp};
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
    deciding, diff,
    layout::{Reader, fault_notice, shell},
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
pub(super) struct View {
    pub approval: Approval,
    call: Option<FrozenCall>,
    pub tool: Option<ServerTool>,
    task: Option<Task>,
    provenance: Option<Provenance>,
    /// What a person answered beyond yes and no, or put in place of the arguments.
    pub edit: Option<String>,
    /// Who said yes so far, where several must.
    agreed: Vec<Uuid>,
    pub form: ArgumentForm,
    can_decide: bool,
    /// Who else may decide, where the reader may.
    pub others: Vec<User>,
    pub names: HashMap<Uuid, String>,
    /// Whether the reader could show a passkey in place of the password.
    pub has_passkey: bool,
    pub now: Timestamp,
}

/// What an approval asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether a call may be made.
    Call,
    /// Whether a call that was started took effect.
    Outcome,
    /// Something that whoever leads the run wants to know.
    Question,
    /// Whether work may go on beyond a limit.
    Budget,
    /// What a server wants to know while it works on a call: a form to be filled in, or an address to be opened.
    Form,
}

impl View {
    pub fn kind(&self) -> Kind {
        match self.approval.action_type.as_str() {
            "outcome_unknown" => Kind::Outcome,
            "question" => Kind::Question,
            "budget" => Kind::Budget,
            domain::server_questions::ACTION_TYPE => Kind::Form,
            _ => Kind::Call,
        }
    }

    /// Whether a person wants the call otherwise.
    pub fn is_sent_back(&self) -> bool {
        self.approval.status == "rejected" && self.edit.as_deref() == Some(CHANGES)
    }
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
    let fields = approval.details.as_ref().and_then(|d| d.get("schema")).filter(|schema| schema.is_object());
    let form = ArgumentForm::new(tool.as_ref().map(|t| &t.input_schema).or(fields), asked);
    let agreed: Vec<Uuid> = if approvers_of(&approval) > 1 {
        approvals::votes(actor, on, id).await?.into_iter().map(|v| v.user_id).collect()
    } else {
        Vec::new()
    };
    let people = [approval.approved_by, approval.rejected_by, approval.requested_by.parse().ok()];
    let names = names(app, actor, people.into_iter().flatten().chain(agreed.iter().copied())).await?;
    let behind = Behind::of(app, me, std::slice::from_ref(&approval), QUEUE).await?;
    let can_decide = shown_state(&approval, now) == "pending" && behind.may_decide(&approval);
    let others = if can_decide { domain::hand_over::deciders(on, actor, &approval).await? } else { Vec::new() };
    let has_passkey = deciding::needs_password(me, &approval) && !domain::passkeys::list(on, actor).await?.is_empty();
    Ok(View { approval, call, tool, task, provenance, edit, agreed, form, can_decide, others, names, has_passkey, now })
}

/// `GET /approvals/{id}`
pub(crate) async fn page(State(app): State<App>, me: Reader, Id(id): Id, params: Params) -> Result<Markup> {
    params.only(&["edit", "asked", "extended"])?;
    let view = load(&app, &me, id).await?;
    let asked = params.get("asked").filter(|name| view.others.iter().any(|u| u.username == *name));
    let (is_editing, is_extended) = (params.get("edit").is_some(), params.get("extended").is_some());
    let shown = Shown { is_editing, is_extended, asked, ..Shown::default() };
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
    let done = if sent.get("decision") == Some("changes") {
        send_back(&app, &me, id, sent.text("note").unwrap_or_default()).await.map(drop)
    } else {
        match read_decision(&view, &sent) {
            Ok(decision) => give_with_password(&app, &me, &headers, id, decision, &sent).await,
            Err(fault) => Err(fault),
        }
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

/// Gives a decision; its commit wakes the workers. Pages and API decide here.
pub(crate) async fn give(app: &App, me: &Signed, id: Uuid, decision: Decision) -> Result<Approval> {
    if me.session.is_agent {
        return Err(store::Error::Refused { what: "a program's session never decides".to_owned() }.into());
    }
    let is_fresh = domain::sign_in::is_fresh(&me.session);
    Ok(domain::decide::decide_from_afar(app.store(), &me.actor, id, decision, is_fresh).await?)
}

/// Sends a call back with what should be different. Pages and API do it here.
pub(crate) async fn send_back(app: &App, me: &Signed, id: Uuid, words: &str) -> Result<Approval> {
    if me.session.is_agent {
        return Err(store::Error::Refused { what: "a program's session never decides".to_owned() }.into());
    }
    Ok(domain::reconsider::ask_for_changes(app.store(), &me.actor, id, &words.replace("\r\n", "\n")).await?)
}

/// `POST /approvals/{id}/extend`: more time to decide.
pub(crate) async fn extend(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let hours = sent.get("hours").and_then(|h| h.parse().ok()).filter(|h| (1..=720).contains(h));
    let hours: i64 = hours.ok_or_else(|| Fault::invalid("hours", "say how much time, from one hour to 30 days"))?;
    let until = store::now() + SignedDuration::from_hours(hours);
    match domain::reconsider::extend(app.store(), &me.actor, id, until).await.map_err(Fault::from) {
        Ok(_) => Ok(Redirect::to(&format!("{QUEUE}/{id}?extended=yes")).into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let view = load(&app, &me, id).await?;
            let me = Reader::of(&app, me).await?;
            let shown = Shown { fault: Some(&fault), ..Shown::default() };
            Ok((fault.status, render(&me, &view, &shown)).into_response())
        }
        Err(fault) => Err(fault),
    }
}

fn read_decision(view: &View, sent: &Fields) -> Result<Decision> {
    let note = sent.text("note").map(|n| n.replace("\r\n", "\n"));
    let with = |approve: bool, arguments: Option<Json>| Ok(Decision { approve, note: note.clone(), arguments });
    match (sent.get("decision").unwrap_or_default(), view.kind()) {
        ("reject", _) => with(false, None),
        ("done", Kind::Outcome) => with(true, Some(json!({"resolution": "done"}))),
        ("retry", Kind::Outcome) => with(true, Some(json!({"resolution": "retry"}))),
        ("approve", Kind::Question) if note.is_none() => {
            Err(Fault::invalid("note", "write the answer first; nothing was sent"))
        }
        ("approve", Kind::Question | Kind::Budget) => with(true, None),
        ("approve", Kind::Form) => {
            let entered = view.form.read(sent)?;
            with(true, entered.filter(|answer| !view.form.is_original(answer)))
        }
        ("approve", Kind::Call) => {
            let entered = view.form.read(sent)?;
            if entered.is_some_and(|a| !view.form.is_original(&a)) {
                return Err(Fault::conflict("nothing was decided: you changed arguments, but pressed the button that approves the call as it was asked for")
                    .advice("Press “Approve with these changes”, or put the fields back."));
            }
            with(true, None)
        }
        ("change", Kind::Call) => {
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
    /// Whether more time was just given.
    is_extended: bool,
    /// Who was just asked to decide.
    asked: Option<&'a str>,
}

fn render(me: &Reader, view: &View, shown: &Shown<'_>) -> Markup {
    let Shown { fault, entered, is_editing, is_extended, asked } = *shown;
    let approval = &view.approval;
    let kind = view.kind();
    shell(
        me,
        "Approval",
        "/approvals",
        &html! {
            p.crumbs { a href="/approvals" { "Approvals" } }
            h1.statement { (headline(approval)) }
            p.meta {
                (badge(approval, view.now))
                @if let Some((risk, why)) = risk::of_approval(approval) { " " (words::risk_mark(risk)) ": " (why) "." }
                @if kind == Kind::Form || view.provenance.as_ref().map_or_else(|| is_outside(approval), |p| p.outside) { " " (outside_mark()) }
                @if let Some(end) = approval.expires_at.filter(|_| approval.status == "pending") {
                    " Decide " (when(end, view.now)) " (" (time(end)) "). No decision means no."
                }
            }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            (agreement(view))
            @if is_extended { div.notice.good role="status" { p { "There is more time to decide." } } }
            @if kind == Kind::Outcome && approval.status == "pending" {
                div.notice {
                    p { strong { "The call was started and no answer came." } " Steward does not repeat it by itself. Look whether it took effect, then say so." }
                    @if let Some(reason) = detail(approval, "reason") { p.soft { (say(reason)) } }
                }
            }
            div.cols {
                div {
                    section #decided data-live="" aria-labelledby="decision" {
                        h2 #decision { @if matches!(kind, Kind::Question | Kind::Form) { "The answer" } @else { "The decision" } }
                        @if let Some(name) = asked { div.notice.good role="status" { p { strong { (say(name)) } " was asked to decide. It stays open for you too." } } }
                        @if let Some(words) = detail(approval, "changes") { div.notice { p { "Asked for again, after somebody wanted it otherwise:" } blockquote { (visible(words)) } } }
                        @if view.can_decide { (deciding::form(me, view, entered, is_editing)) } @else { (deciding::outcome(me, view)) }
                    }
                    @if view.can_decide { (deciding::others(me, view)) }
                    @if kind == Kind::Form { (deciding::whose_question(view)) }
                    @if matches!(kind, Kind::Call | Kind::Outcome) {
                        section aria-labelledby="call" { h2 #call { "The exact call" } (exact_call(view)) }
                    }
                }
                div {
                    section aria-labelledby="from" { h2 #from { "Where it comes from" } (origin(view)) }
                    @if me.is_admin() && kind == Kind::Call && view.call.is_some() {
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

/// `POST /approvals/{id}/ask`: tells somebody else that a decision is asked for.
pub(crate) async fn ask(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let to = sent.get("to").and_then(|id| id.parse().ok());
    let to: Uuid = to.ok_or_else(|| Fault::invalid("to", "say whom to ask"))?;
    let note = sent.text("note").map(|n| n.replace("\r\n", "\n"));
    let asked = domain::hand_over::ask(app.store(), &me.actor, id, to, note.as_deref()).await?;
    Ok(Redirect::to(&format!("/approvals/{id}?asked={}", encode(&asked.username))).into_response())
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

/// The arguments that a question carries without a frozen call.
fn asked_arguments(approval: &Approval) -> String {
    approval.details.as_ref().and_then(|d| d.get("arguments")).map(ToString::to_string).unwrap_or_default()
}

fn exact_call(view: &View) -> Markup {
    let a = &view.approval;
    html! {
        @if a.action_type == domain::requests::ACTION_TYPE {
            p.soft { "Another program asks, and acts by itself on your answer. Steward keeps question and answer, and calls nothing." }
        } @else {
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
        }
        @match &view.call {
            Some(frozen) => {
                (deceptions(&frozen.call.arguments))
                p.label { "Arguments, as asked; SHA-256 " code { (frozen.call.arguments_sha256) } }
                (json_block(&frozen.call.arguments, "Arguments as asked"))
                @if let Some((arguments, sha256)) = frozen.edit.as_ref().filter(|_| !view.is_sent_back()) {
                    p.label { "Arguments, as approved; SHA-256 " code { (sha256) } }
                    (diff::json(&frozen.call.arguments, arguments, "What was changed before it was approved"))
                }
            }
            None => {
                p.label { "Arguments" }
                (json_block(&asked_arguments(a), "Arguments"))
                @if let (Some(edit), true) = (&view.edit, a.action_type == domain::requests::ACTION_TYPE && a.status == "approved") {
                    p.label { "Arguments, as approved" }
                    (diff::json(&asked_arguments(a), edit, "What was changed before it was approved"))
                }
            }
        }
    }
}

/// What eyes alone would miss in a call's arguments.
fn deceptions(arguments: &str) -> Markup {
    let (hidden, mixed) = (deceit::hidden(arguments), deceit::mixed_words(arguments));
    html! {
        @if hidden > 0 || !mixed.is_empty() {
            div.notice {
                p { strong { "Look closely." }
                    @if hidden > 0 { " There are characters in it that nobody sees (" (hidden) "); here they are written as \\u…." }
                    @if !mixed.is_empty() { " There are words in it whose letters only look like others:" }
                }
                @if !mixed.is_empty() { ul { @for word in &mixed { li { (say(word)) } } } }
            }
        }
    }
}

/// How many must agree, and who has.
fn agreement(view: &View) -> Markup {
    let needed = approvers_of(&view.approval);
    html! {
        @if needed > 1 {
            div.notice {
                p {
                    strong { (needed) " people must agree." }
                    @if view.agreed.is_empty() { " Nobody has yet; one no is a no." }
                    @else {
                        " So far: "
                        @for (place, id) in view.agreed.iter().enumerate() { @if place > 0 { ", " } (name_of(&view.names, Some(*id))) }
                        "."
                    }
                }
            }
        }
    }
}
