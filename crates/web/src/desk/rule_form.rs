//! Making a rule, also of one decision, and changing one; and what it would have changed of the past.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    policy::DEFAULT_APPROVAL_TTL_MINUTES,
    replay::{self, Change, Replayed},
    rules,
};
use maud::{Markup, html};
use store::{
    Actor, approvals,
    policies::{Asking, NewPolicy, Policy},
    tasks,
};
use uuid::Uuid;

use super::{
    approvals::{detail, is_outside},
    as_read::AsRead,
    form::{Form, choices},
    layout::{Reader, fault_notice, shell, token},
    past::{DAYS, differences},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

/// The place before all others.
const FIRST: i32 = 1;

/// What the form begins with.
#[derive(Debug, Default)]
struct First {
    name: String,
    server: String,
    tool: String,
    condition: String,
    effect: String,
    is_outside: bool,
    minutes: String,
    risk: String,
    approvers: String,
    remind: String,
    escalate: String,
    never_repeat: bool,
    /// The decision that it is made of.
    of: Option<String>,
    /// The rule that is changed.
    id: Option<Uuid>,
}

impl First {
    fn plain() -> Self {
        Self {
            server: "*".to_owned(),
            tool: "*".to_owned(),
            effect: "ask".to_owned(),
            minutes: DEFAULT_APPROVAL_TTL_MINUTES.to_string(),
            risk: "normal".to_owned(),
            approvers: "1".to_owned(),
            ..Self::default()
        }
    }

    fn of(rule: &Policy) -> Self {
        let text = |minutes: Option<i32>| minutes.map(|m| m.to_string()).unwrap_or_default();
        Self {
            name: rule.name.clone(),
            server: rule.server.clone(),
            tool: rule.tool.clone(),
            condition: rule.condition.clone().unwrap_or_default(),
            effect: rule.effect.clone(),
            is_outside: rule.outside,
            minutes: rule.approval_ttl_minutes.to_string(),
            risk: rule.risk.clone(),
            approvers: rule.approvers.to_string(),
            remind: text(rule.remind_minutes),
            escalate: text(rule.escalate_minutes),
            never_repeat: rule.never_repeat,
            of: None,
            id: Some(rule.id),
        }
    }

    fn as_read(&self) -> AsRead {
        let tick = |is_on: bool| if is_on { "yes" } else { "" }.to_owned();
        AsRead(vec![
            ("name", "Name", self.name.clone()),
            ("server", "Servers", self.server.clone()),
            ("tool", "Tools", self.tool.clone()),
            ("condition", "Only if", self.condition.clone()),
            ("effect", "Effect", self.effect.clone()),
            ("outside", "Reaches outside content", tick(self.is_outside)),
            ("minutes", "Minutes to decide", self.minutes.clone()),
            ("risk", "Risk", self.risk.clone()),
            ("approvers", "How many people must agree", self.approvers.clone()),
            ("remind_minutes", "Remind after minutes", self.remind.clone()),
            ("escalate_minutes", "Ask others after minutes", self.escalate.clone()),
            ("never_repeat", "Never made again by itself", tick(self.never_repeat)),
        ])
    }
}

/// `GET /policies/new`, also of a decision: with the call's server, tool and place filled in.
pub(crate) async fn new_page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["approval"])?;
    let first = match params.id("approval")? {
        Some(id) => of_decision(&app, &me, id).await?,
        None => First::plain(),
    };
    Ok(form(&me, &first, Form::default(), None, None))
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
    let edit = approvals::edit(&me.actor, app.store(), id).await?.filter(|_| found.status == "approved");
    let edit = edit.and_then(|text| serde_json::from_str(&text).ok());
    let asked = || found.details.as_ref().and_then(|d| d.get("arguments")).cloned().unwrap_or_default();
    let arguments = edit.unwrap_or_else(asked);
    let effect = if found.status == "rejected" { "deny" } else { "allow" };
    Ok(First {
        name: format!("{server}: {tool}"),
        server: server.to_owned(),
        tool: tool.to_owned(),
        condition: rules::condition_of(&arguments),
        effect: effect.to_owned(),
        is_outside: is_outside && effect == "allow",
        of: Some(id.to_string()),
        ..First::plain()
    })
}

fn form(me: &Reader, first: &First, form: Form<'_>, past: Option<&[Replayed]>, notice: Option<&Markup>) -> Markup {
    let effects = [
        ("allow", "allow: the call runs by itself"),
        ("ask", "ask: a person decides"),
        ("deny", "deny: the call never runs"),
    ]
    .map(|(value, label)| (value.to_owned(), label.to_owned()));
    let (title, action) = match first.id {
        Some(id) => ("Change a rule", format!("/policies/{id}/edit")),
        None => ("Add a rule", "/policies/new".to_owned()),
    };
    let is_asked_unusually = first.approvers != "1"
        || first.never_repeat
        || [&first.remind, &first.escalate].iter().any(|minutes| !minutes.is_empty());
    shell(
        me,
        title,
        "/policies",
        &html! {
            p.crumbs { a href="/policies" { "Policies" } }
            h1 { @if first.of.is_some() { "A rule of this decision" } @else { (title) } }
            @if let Some(id) = &first.of {
                p.lead { "It is filled in as narrow as " a href={ "/approvals/" (id) } { "the call you were asked about" } ": this tool, in these folders. Widen it as far as you trust it, and no further." }
            }
            @if let Some(notice) = notice { (notice) } @else if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action=(action) data-once="" {
                (token(me))
                @if first.id.is_some() { (first.as_read().field(form.sent)) }
                (form.line("name", "Name", &first.name, "For people; each rule has its own."))
                div.pair {
                    (form.line("server", "Servers", &first.server, "A name, or a pattern: * stands for anything, {a,b} for a choice."))
                    (form.line("tool", "Tools", &first.tool, "Likewise."))
                }
                (form.lines("condition", "Only if", &first.condition, "In CEL, over args, task, server, tool, outside, now, calls(…) and known(…); empty holds always.", 2))
                (form.choice("effect", "Effect", &first.effect, &effects, ""))
                (form.tick("outside", "An allowing rule reaches work on content from outside too", first.is_outside))
                div.pair {
                    (form.of_kind("number", "minutes", "Minutes to decide, where it asks", &first.minutes, "No decision means no."))
                    (form.choice("risk", "Risk", &first.risk, &choices(&["low", "normal", "high"]), "A yes to high risk needs the password again."))
                    @if first.id.is_none() { (form.choice("place", "Place", "last", &choices(&["last", "first"]), "The first rule that matches decides.")) }
                }
                details open[form.sent.is_some() || is_asked_unusually] {
                    summary { "More about asking" }
                    div.pair {
                        (form.of_kind("number", "approvers", "How many people must agree", &first.approvers, "1 to 5; one no is a no."))
                        (form.of_kind("number", "remind_minutes", "Remind after minutes", &first.remind, "Empty: never."))
                        (form.of_kind("number", "escalate_minutes", "Ask others after minutes", &first.escalate, "Empty: never."))
                    }
                    (form.tick("never_repeat", "Such a call is never made again by itself", first.never_repeat))
                }
                div.buttons {
                    button.primary type="submit" { @if first.id.is_some() { "Keep it so" } @else { "Add the rule" } }
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
    let first = First::plain();
    if sent.get("past").is_some() {
        let place = if sent.get("place") == Some("first") { FIRST } else { 0 };
        let looked = look(&app, &me.actor, &sent, place, Vec::new()).await;
        return looked_at(&app, me, &first, &sent, looked).await;
    }
    match add(&app, &me.actor, &sent).await {
        Ok(()) => Ok(Redirect::to("/policies").into_response()),
        Err(fault) => again(&app, me, &first, &sent, fault).await,
    }
}

/// `GET /policies/{id}/edit`
pub(crate) async fn edit_page(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let rule = rules::find(app.store(), &me.actor, id).await?;
    Ok(form(&me, &First::of(&rule), Form::default(), None, None))
}

/// `POST /policies/{id}/edit`: changes the rule, or says what that would have changed of the past.
pub(crate) async fn edit(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let rule = rules::find(app.store(), &me.actor, id).await?;
    if sent.get("past").is_some() {
        let looked = look(&app, &me.actor, &sent, rule.position, vec![rule.name.clone()]).await;
        return looked_at(&app, me, &First::of(&rule), &sent, looked).await;
    }
    match change(&app, &me.actor, id, &sent).await {
        Ok(()) => Ok(Redirect::to("/policies").into_response()),
        Err(fault) => {
            let rule = rules::find(app.store(), &me.actor, id).await?;
            again(&app, me, &First::of(&rule), &sent, fault).await
        }
    }
}

async fn looked_at(
    app: &App,
    me: Signed,
    first: &First,
    sent: &Fields,
    looked: Result<Vec<Replayed>>,
) -> Result<Response> {
    match looked {
        Ok(past) => {
            let me = Reader::of(app, me).await?;
            Ok(form(&me, first, Form { sent: Some(sent), fault: None }, Some(&past), None).into_response())
        }
        Err(fault) => again(app, me, first, sent, fault).await,
    }
}

async fn again(app: &App, me: Signed, first: &First, sent: &Fields, fault: Fault) -> Result<Response> {
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let me = Reader::of(app, me).await?;
    let now = first.as_read();
    let notice = first.id.and_then(|_| now.notice(sent, &fault));
    let merged = if notice.is_some() { now.merged(sent) } else { sent.clone() };
    Ok((fault.status, form(&me, first, Form::again(&merged, &fault), None, notice.as_ref())).into_response())
}

/// What a rule would have changed of the last days, in the place of those that it is instead of.
async fn look(app: &App, actor: &Actor, sent: &Fields, position: i32, without: Vec<String>) -> Result<Vec<Replayed>> {
    let rule = NewPolicy { position, ..entered(sent)? };
    let change = Change { without, with: vec![rule] };
    Ok(replay::replay(app.store(), actor, DAYS, &change).await?)
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
        condition: sent.text("condition").map(|t| t.replace("\r\n", "\n")),
        outside: sent.get("outside").is_some(),
        effect: text("effect"),
        approval_ttl_minutes: whole(sent, "minutes")?.unwrap_or(DEFAULT_APPROVAL_TTL_MINUTES),
    })
}

fn asking(sent: &Fields) -> Result<Asking> {
    Ok(Asking {
        approvers: whole(sent, "approvers")?.unwrap_or(1),
        never_repeat: sent.get("never_repeat").is_some(),
        remind_minutes: whole(sent, "remind_minutes")?,
        escalate_minutes: whole(sent, "escalate_minutes")?,
        escalate_to: None,
    })
}

fn risk(sent: &Fields) -> Result<String> {
    match sent.get("risk").unwrap_or("normal") {
        risk @ ("low" | "normal" | "high") => Ok(risk.to_owned()),
        _ => Err(Fault::invalid("risk", "risk must be one of: low, normal, high")),
    }
}

async fn add(app: &App, actor: &Actor, sent: &Fields) -> Result<()> {
    let (asking, risk) = (asking(sent)?, risk(sent)?);
    let position = (sent.get("place") == Some("first")).then_some(FIRST);
    rules::add_with_risk(app.store(), actor, entered(sent)?, position, (risk, asking)).await?;
    Ok(())
}

async fn change(app: &App, actor: &Actor, id: Uuid, sent: &Fields) -> Result<()> {
    let (new, wanted, risk, sent) = (entered(sent)?, asking(sent)?, risk(sent)?, sent.clone());
    let changed = rules::change(app.store(), actor, id, move |rule| {
        First::of(&rule).as_read().check(&sent, &rule)?;
        Ok(Policy {
            name: new.name,
            server: new.server,
            tool: new.tool,
            condition: new.condition,
            outside: new.outside,
            effect: new.effect,
            approval_ttl_minutes: new.approval_ttl_minutes,
            risk,
            approvers: wanted.approvers,
            never_repeat: wanted.never_repeat,
            remind_minutes: wanted.remind_minutes,
            escalate_minutes: wanted.escalate_minutes,
            ..rule
        })
    });
    changed.await?;
    Ok(())
}
