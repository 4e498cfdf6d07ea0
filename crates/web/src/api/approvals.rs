//! Approvals and the decision.

use axum::{extract::State, response::Response};
use domain::{
    decide::Decision,
    requests::{self, NewRequest},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{
    approvals::{self, Approval, ApprovalCall},
    users::User,
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{self, Fields, List},
    facts::APPROVAL_STATUSES,
    pages::Page,
};
use crate::{
    app::App,
    body::SignedJson,
    desk,
    fault::{Fault, Result},
    params::{Id, Params, page},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, request))
        .routes(routes!(get))
        .routes(routes!(decide))
        .routes(routes!(extend))
        .routes(routes!(deciders))
        .routes(routes!(ask))
}

/// What was asked of people, newest first
#[utoipa::path(get, path = "/approvals", tag = "Approvals", params(
    ("status" = Option<String>, Query, description = "Approvals of this status"),
    ("task_id" = Option<Uuid>, Query, description = "Approvals of this task"),
    Page,
), responses((status = 200, description = "A page of approvals", body = List<Approval>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["status", "task_id", "limit", "cursor", "fields"])?;
    let (status, limit) = (params.one_of("status", APPROVAL_STATUSES)?, params.limit()?);
    let fields = Fields::of(&params, &[Approval::COLUMNS])?;
    let rows =
        approvals::list(&me.actor, app.store(), status, params.id("task_id")?, params.cursor()?, limit + 1).await?;
    fields.page(page(rows, limit, |a| (a.created_at, a.id)))
}

/// What a program asks of people.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The task it belongs to; without it, a task is made for the question.
    #[serde(default)]
    task_id: Option<Uuid>,
    /// What would be done, in a person's words, 1–200 characters.
    #[schema(min_length = 1, max_length = 200)]
    summary: String,
    /// Exactly what would be done, at most 64 KiB; whoever decides may change it.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// Why, at most 4000 characters.
    #[serde(default)]
    #[schema(max_length = 4000)]
    reason: Option<String>,
    /// `normal`, or `high`: then the yes is taken only from a person who has just shown who it is.
    #[serde(default = "normal")]
    #[schema(pattern = "^(normal|high)$", default = "normal")]
    risk: String,
    /// Minutes until nobody's decision means no: 1–43200, a day where nothing is said.
    #[serde(default = "a_day")]
    #[schema(minimum = 1, maximum = 43200, default = 1440)]
    minutes: u32,
}

fn normal() -> String {
    "normal".to_owned()
}

fn a_day() -> u32 {
    requests::MINUTES
}

/// Ask people for a yes or a no to something that you will do yourself
///
/// Steward keeps the question and its decision, and runs nothing. Look at `/v1/approvals/{id}` (or `/v1/events`) for the
/// decision; where it is yes, do what `edited_arguments` says, or what you asked for where that is null. It is marked as
/// content from outside.
#[utoipa::path(post, path = "/approvals", tag = "Approvals", request_body = Request,
    responses((status = 201, description = "The approval, pending", body = Approval)))]
async fn request(State(app): State<App>, SignedJson(me, sent): SignedJson<Request>) -> Result<Response> {
    let Request { task_id, summary, arguments, reason, risk, minutes } = sent;
    let new = NewRequest { task_id, summary, arguments, reason, risk, minutes, via: "api" };
    let asked = requests::ask(app.store(), &me.actor, new).await?;
    answer::created(&format!("/v1/approvals/{}", asked.id), &asked)
}

/// An approval with its frozen call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Asked {
    /// The approval.
    #[serde(flatten)]
    approval: Approval,
    /// The call that it decides, as it was asked for.
    call: Option<ApprovalCall>,
    /// The arguments that a person put in place of those asked for, as JSON text; `{"resolution":"changes"}` where a call was
    /// rejected because the person wants it otherwise.
    edited_arguments: Option<String>,
}

/// One approval with the call it decides
#[utoipa::path(get, path = "/approvals/{id}", tag = "Approvals",
    params(("id" = Uuid, Path, description = "The approval")),
    responses((status = 200, description = "The approval", body = Asked)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    let (actor, on) = (&me.actor, app.store());
    let (approval, frozen, edited_arguments) = tokio::try_join!(
        approvals::get(actor, on, id),
        approvals::call(actor, on, id),
        approvals::edit(actor, on, id)
    )?;
    let approval = approval.ok_or_else(|| Fault::not_found("approval"))?;
    answer::row(&Asked { approval, call: frozen.map(|f| f.call), edited_arguments })
}

/// Yes, no, or otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[serde(alias = "approved")]
    Approve,
    #[serde(alias = "rejected")]
    Reject,
    Changes,
}

/// What a person says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Yes, no, or no with what should be different: whoever leads the work hears it and may ask anew.
    decision: Word,
    /// In the person's words, at most 4000 characters; with `changes` it must say what should be different.
    #[serde(default, alias = "notes")]
    note: Option<String>,
    /// Arguments in place of those asked for; only with yes. They must fit the tool's schema and the policy.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
}

/// Decide
///
/// Only a person can, once, and not after the approval has expired. What was approved then runs as it stands here.
#[utoipa::path(post, path = "/approvals/{id}/decision", tag = "Approvals",
    params(("id" = Uuid, Path, description = "The approval")), request_body = Said,
    responses((status = 200, description = "The approval as it stands now", body = Approval)))]
async fn decide(State(app): State<App>, Id(id): Id, SignedJson(me, said): SignedJson<Said>) -> Result<Response> {
    if said.decision == Word::Changes {
        if said.arguments.is_some() {
            return Err(Fault::invalid("arguments", "arguments can be edited only when approving"));
        }
        return answer::row(&desk::send_back(&app, &me, id, said.note.as_deref().unwrap_or_default()).await?);
    }
    let decision = Decision { approve: said.decision == Word::Approve, note: said.note, arguments: said.arguments };
    answer::row(&desk::give(&app, &me, id, decision).await?)
}

/// More time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoreTime {
    /// Until when it may be decided: later than it stands, and within 30 days from now.
    expires_at: Timestamp,
}

/// Take more time to decide
///
/// Whoever may decide can. The work behind it waits as long; no decision means no, then as before.
#[utoipa::path(post, path = "/approvals/{id}/extend", tag = "Approvals",
    params(("id" = Uuid, Path, description = "The approval")), request_body = MoreTime,
    responses((status = 200, description = "The approval as it stands now", body = Approval)))]
async fn extend(State(app): State<App>, Id(id): Id, SignedJson(me, more): SignedJson<MoreTime>) -> Result<Response> {
    answer::row(&domain::reconsider::extend(app.store(), &me.actor, id, more.expires_at).await?)
}

/// Who else may decide an approval
#[utoipa::path(get, path = "/approvals/{id}/deciders", tag = "Approvals",
    params(("id" = Uuid, Path, description = "The approval")),
    responses((status = 200, description = "People besides you, by name", body = List<User>)))]
async fn deciders(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    let approval = approvals::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("approval"))?;
    answer::whole(domain::hand_over::deciders(app.store(), &me.actor, &approval).await?)
}

/// Whom to ask.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandOver {
    /// The person's id: one of the deciders.
    to: Uuid,
    /// A word to them, at most 4000 characters.
    #[serde(default)]
    note: Option<String>,
}

/// Ask somebody else to decide
///
/// They are told. It stays open for everybody who may decide it.
#[utoipa::path(post, path = "/approvals/{id}/ask", tag = "Approvals",
    params(("id" = Uuid, Path, description = "The approval")), request_body = HandOver,
    responses((status = 200, description = "Who was asked", body = User)))]
async fn ask(State(app): State<App>, Id(id): Id, SignedJson(me, whom): SignedJson<HandOver>) -> Result<Response> {
    answer::row(&domain::hand_over::ask(app.store(), &me.actor, id, whom.to, whom.note.as_deref()).await?)
}
