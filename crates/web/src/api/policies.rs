//! The rules that say which calls run, ask or are refused.

use axum::{extract::State, response::Response};
use domain::{
    policy::{DEFAULT_APPROVAL_TTL_MINUTES, Effect},
    replay::{self, Replayed},
    rules,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    policies::{self, Asking, NewPolicy, Policy},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{self, Fields, List},
    changes::{self, Change, Removal},
    facts::RISKS,
    pages::{Page, cut},
    patch::Patch,
};
use crate::{
    app::App,
    body::SignedJson,
    fault::Result,
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(test))
        .routes(routes!(try_out))
        .routes(routes!(get, change, remove))
}

/// The rules in order
///
/// The first active one that matches a call decides; where none does, a person is asked.
#[utoipa::path(get, path = "/policies", tag = "Policies", params(Page),
    responses((status = 200, description = "A page of rules", body = List<Policy>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[Policy::COLUMNS])?;
    fields.page(cut(policies::list(&me.actor, app.store()).await?, &params, |p| p.id.to_string())?)
}

/// A rule to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRule {
    /// Its place; the lowest is tried first. It goes before the rule that holds this place, so that at 1 it is first. Without
    /// it the rule goes last.
    #[serde(default)]
    position: Option<i32>,
    /// Name, unique, 1–100 characters.
    name: String,
    /// A pattern over the server's name: `*`, `?`, `{a,b}`.
    #[serde(default = "any")]
    server: String,
    /// A pattern over the tool's name: `*`, `?`, `{a,b}`.
    #[serde(default = "any")]
    tool: String,
    /// A condition in CEL over `args`, `task`, `server`, `tool`, `outside`, `now`, `calls(…)` and `known(…)`; none always holds.
    #[serde(default)]
    condition: Option<String>,
    /// Whether an allowing rule reaches work on content from outside too.
    #[serde(default)]
    outside: bool,
    /// What happens with the calls it matches.
    effect: String,
    /// Minutes a person has to decide; no decision means no.
    #[serde(default = "a_day")]
    approval_ttl_minutes: i32,
    /// How much may go wrong with what it asks about; a yes to high risk needs the password again.
    #[serde(default = "normal")]
    risk: String,
    /// How many people must say yes; one no is a no.
    #[serde(default = "one")]
    approvers: i32,
    /// Whether a call it matches is never made again by itself, whatever the owner said of the tool.
    #[serde(default)]
    never_repeat: bool,
    /// After how many minutes whoever was asked is reminded, once; none: never.
    #[serde(default)]
    remind_minutes: Option<i32>,
    /// After how many minutes others are asked too; none: never.
    #[serde(default)]
    escalate_minutes: Option<i32>,
    /// Who is asked then; none: everybody else who may decide.
    #[serde(default)]
    escalate_to: Option<Uuid>,
}

fn one() -> i32 {
    1
}

fn any() -> String {
    "*".to_owned()
}

fn normal() -> String {
    "normal".to_owned()
}

fn a_day() -> i32 {
    DEFAULT_APPROVAL_TTL_MINUTES
}

impl NewRule {
    fn rule(self) -> NewPolicy {
        NewPolicy {
            position: self.position.unwrap_or(0),
            name: self.name,
            server: self.server,
            tool: self.tool,
            condition: self.condition,
            outside: self.outside,
            effect: self.effect,
            approval_ttl_minutes: self.approval_ttl_minutes,
        }
    }
}

/// Add a rule; for administrators
#[utoipa::path(post, path = "/policies", tag = "Policies", request_body = NewRule,
    responses((status = 201, description = "The new rule", body = Policy)))]
async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewRule>) -> Result<Response> {
    known_risk(&new.risk)?;
    let asking = Asking {
        approvers: new.approvers,
        never_repeat: new.never_repeat,
        remind_minutes: new.remind_minutes,
        escalate_minutes: new.escalate_minutes,
        escalate_to: new.escalate_to,
    };
    let (position, risk) = (new.position, new.risk.clone());
    let id = rules::add_with_risk(app.store(), &me.actor, new.rule(), position, (risk, asking)).await?;
    answer::created(&format!("/v1/policies/{id}"), &rules::find(app.store(), &me.actor, id).await?)
}

/// One rule
#[utoipa::path(get, path = "/policies/{id}", tag = "Policies", params(("id" = Uuid, Path, description = "The rule")),
    responses((status = 200, description = "The rule", body = Policy)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&rules::find(app.store(), &me.actor, id).await?)
}

/// What can be changed of a rule; what is not named stays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEdit {
    /// Its place; the lowest is tried first. It goes before the rule that holds this place.
    position: i32,
    /// Name, unique, 1–100 characters.
    name: String,
    /// A pattern over the server's name.
    server: String,
    /// A pattern over the tool's name.
    tool: String,
    /// A condition in CEL; `null` takes it away.
    #[serde(default)]
    condition: Option<String>,
    /// Whether an allowing rule reaches work on content from outside too.
    outside: bool,
    /// What happens with the calls it matches.
    effect: String,
    /// Minutes a person has to decide.
    approval_ttl_minutes: i32,
    /// How much may go wrong with what it asks about.
    risk: String,
    /// Whether it counts.
    is_active: bool,
    /// How many people must say yes; one no is a no.
    approvers: i32,
    /// Whether a call it matches is never made again by itself, whatever the owner said of the tool.
    never_repeat: bool,
    /// After how many minutes whoever was asked is reminded, once; none: never.
    remind_minutes: Option<i32>,
    /// After how many minutes others are asked too; none: never.
    escalate_minutes: Option<i32>,
    /// Who is asked then; none: everybody else who may decide.
    escalate_to: Option<Uuid>,
}

fn known_risk(risk: &str) -> domain::Result<()> {
    if RISKS.contains(&risk) {
        return Ok(());
    }
    Err(domain::Error::invalid("risk", format!("risk must be one of: {}", RISKS.join(", "))))
}

fn patched(patch: &Patch, rule: Policy) -> domain::Result<Policy> {
    let asking = rule.asking();
    let e = patch.apply(&RuleEdit {
        position: rule.position,
        name: rule.name,
        server: rule.server,
        tool: rule.tool,
        condition: rule.condition,
        outside: rule.outside,
        effect: rule.effect,
        approval_ttl_minutes: rule.approval_ttl_minutes,
        risk: rule.risk,
        is_active: rule.is_active,
        approvers: asking.approvers,
        never_repeat: asking.never_repeat,
        remind_minutes: asking.remind_minutes,
        escalate_minutes: asking.escalate_minutes,
        escalate_to: asking.escalate_to,
    })?;
    known_risk(&e.risk)?;
    Ok(Policy {
        position: e.position,
        name: e.name,
        server: e.server,
        tool: e.tool,
        condition: e.condition,
        outside: e.outside,
        effect: e.effect,
        approval_ttl_minutes: e.approval_ttl_minutes,
        risk: e.risk,
        is_active: e.is_active,
        approvers: e.approvers,
        never_repeat: e.never_repeat,
        remind_minutes: e.remind_minutes,
        escalate_minutes: e.escalate_minutes,
        escalate_to: e.escalate_to,
        ..rule
    })
}

/// Change a rule; for administrators
#[utoipa::path(patch, path = "/policies/{id}", tag = "Policies", params(("id" = Uuid, Path, description = "The rule")),
    request_body = RuleEdit, responses((status = 200, description = "The rule as it stands now", body = Policy)))]
async fn change(State(app): State<App>, Change(me, id, wanted): Change) -> Result<Response> {
    let changed = rules::change(app.store(), &me.actor, id, move |rule| wanted.of(rule, patched));
    changes::answer(&app, &me, ("policy", id), changed).await
}

/// Remove a rule; for administrators
#[utoipa::path(delete, path = "/policies/{id}", tag = "Policies", params(("id" = Uuid, Path, description = "The rule")),
    responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, Id(id): Id, removal: Removal) -> Result<Response> {
    let rule = rules::find(app.store(), &removal.0.actor, id).await?;
    removal.check(&app, ("policy", id), &rule).await?;
    rules::remove(app.store(), &removal.0.actor, id).await?;
    Ok(answer::done())
}

/// A call to be judged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// The server's name.
    server: String,
    /// The tool's name.
    tool: String,
    /// The call's arguments.
    #[serde(default = "nothing", alias = "args")]
    #[schema(value_type = Object)]
    arguments: Value,
    /// The task the call belongs to, for rules that look at it and for where its content comes from.
    #[serde(default)]
    task_id: Option<Uuid>,
    /// The work is on content from outside.
    #[serde(default)]
    outside: bool,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

/// What would happen with a call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Judged {
    /// `allow`, `ask` or `deny`.
    #[schema(value_type = String)]
    effect: Effect,
    /// The rule that decides; none where no rule matches.
    rule_id: Option<Uuid>,
    /// Its name.
    rule: Option<String>,
    /// Why.
    reason: String,
    /// Minutes that an approval would wait.
    approval_ttl_minutes: i32,
}

/// Say which rule decides a call
///
/// Nothing is called.
#[utoipa::path(post, path = "/policies/test", tag = "Policies", request_body = Trial,
    responses((status = 200, description = "What would happen", body = Judged)))]
async fn test(State(app): State<App>, SignedJson(me, trial): SignedJson<Trial>) -> Result<Response> {
    let verdict = rules::test(
        app.store(),
        &me.actor,
        (&trial.server, &trial.tool),
        &trial.arguments,
        trial.task_id,
        trial.outside,
    )
    .await?;
    let (rule_id, rule) = verdict.rule.unzip();
    answer::json(
        axum::http::StatusCode::OK,
        &Judged {
            effect: verdict.effect,
            rule_id,
            rule,
            reason: verdict.reason,
            approval_ttl_minutes: verdict.approval_ttl_minutes,
        },
    )
}

/// Changed rules, to be tried on the past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trials {
    /// How many days are looked back.
    #[serde(default = "a_week")]
    days: i64,
    /// Names of rules that would not stand; `*` for all.
    #[serde(default)]
    without: Vec<String>,
    /// Rules that would be added.
    #[serde(default)]
    with: Vec<NewRule>,
}

fn a_week() -> i64 {
    7
}

/// A past call that would be judged otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Differing {
    /// The step.
    step_id: Uuid,
    /// Its task.
    task_id: Uuid,
    /// When it was judged.
    at: jiff::Timestamp,
    /// The server's name.
    server: String,
    /// The tool's name.
    tool: String,
    /// The call's arguments.
    #[schema(value_type = Object)]
    arguments: Value,
    /// What was done then: `allow`, `ask` or `deny`.
    #[schema(value_type = String)]
    then: Effect,
    /// What the rules that stand say.
    #[schema(value_type = String)]
    now: Effect,
    /// The rule that says so.
    now_rule: Option<String>,
    /// What the changed rules would say.
    #[schema(value_type = String)]
    changed: Effect,
    /// The rule that would say so.
    changed_rule: Option<String>,
    /// Why.
    reason: String,
}

impl From<Replayed> for Differing {
    fn from(r: Replayed) -> Self {
        let Replayed {
            step_id,
            task_id,
            at,
            server,
            tool,
            arguments,
            then,
            now,
            now_rule,
            changed,
            changed_rule,
            reason,
        } = r;
        Self { step_id, task_id, at, server, tool, arguments, then, now, now_rule, changed, changed_rule, reason }
    }
}

/// How many past calls were judged, and those that would be judged otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TriedOut {
    /// Calls that were judged, at most the newest 1,000.
    judged: usize,
    /// Those that the change would make a difference to, newest first.
    differ: Vec<Differing>,
}

/// Say what changed rules would have done with past calls
///
/// Nothing is called, and no rule is changed.
#[utoipa::path(post, path = "/policies/replay", tag = "Policies", request_body = Trials,
    responses((status = 200, description = "What would differ", body = TriedOut)))]
async fn try_out(State(app): State<App>, SignedJson(me, trials): SignedJson<Trials>) -> Result<Response> {
    let change = replay::Change { without: trials.without, with: trials.with.into_iter().map(NewRule::rule).collect() };
    let replayed = replay::replay(app.store(), &me.actor, trials.days, &change).await?;
    let judged = replayed.len();
    let differ = replayed.into_iter().filter(Replayed::differs).map(Differing::from).collect();
    answer::json(axum::http::StatusCode::OK, &TriedOut { judged, differ })
}
