//! Approvals and the decision.

use axum::{extract::State, response::Response};
use domain::decide::Decision;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    approvals::{self, Approval, ApprovalCall},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

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
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(decide))
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

/// An approval with its frozen call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Asked {
    /// The approval.
    #[serde(flatten)]
    approval: Approval,
    /// The call that it decides, as it was asked for.
    call: Option<ApprovalCall>,
    /// The arguments that a person put in place of those asked for, as JSON text.
    edited_arguments: Option<String>,
}

/// One approval with the call it decides
#[utoipa::path(get, path = "/approvals/{id}", tag = "Approvals",
    params(("id" = Uuid, Path, description = "The approval")),
    responses((status = 200, description = "The approval", body = Asked)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    let (approval, frozen) =
        tokio::try_join!(approvals::get(&me.actor, app.store(), id), approvals::call(&me.actor, app.store(), id))?;
    let approval = approval.ok_or_else(|| Fault::not_found("approval"))?;
    let (call, edit) = frozen.map(|f| (f.call, f.edit)).unzip();
    answer::row(&Asked { approval, call, edited_arguments: edit.flatten().map(|e| e.0) })
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[serde(alias = "approved")]
    Approve,
    #[serde(alias = "rejected")]
    Reject,
}

/// What a person says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Yes or no.
    decision: Word,
    /// In the person's words, at most 4000 characters.
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
    let decision = Decision { approve: said.decision == Word::Approve, note: said.note, arguments: said.arguments };
    answer::row(&desk::give(&app, &me, id, decision).await?)
}
