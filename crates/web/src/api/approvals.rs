//! Approvals and the decision.

use axum::{Json, extract::State};
use domain::decide::Decision;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::approvals::{self, Approval, ApprovalCall};

use super::List;
use crate::{
    app::App,
    body::SignedJson,
    desk,
    fault::{Fault, Result},
    params::{Id, Params, page},
    session::Signed,
};

/// What an approval can be.
const STATUSES: [&str; 4] = ["pending", "approved", "rejected", "expired"];

/// `GET /v1/approvals`
pub(crate) async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<Approval>>> {
    params.only(&["status", "task_id", "limit", "cursor"])?;
    let (status, limit) = (params.one_of("status", &STATUSES)?, params.limit()?);
    let rows =
        approvals::list(&me.actor, app.store(), status, params.id("task_id")?, params.cursor()?, limit + 1).await?;
    Ok(List::page(page(rows, limit, |a| (a.created_at, a.id))))
}

/// An approval with its frozen call.
#[derive(Debug, Serialize)]
pub(crate) struct Asked {
    #[serde(flatten)]
    approval: Approval,
    call: Option<ApprovalCall>,
    /// The arguments a person put in place of those asked for.
    edited_arguments: Option<String>,
}

/// `GET /v1/approvals/{id}`
pub(crate) async fn get(State(app): State<App>, me: Signed, Id(id): Id) -> Result<Json<Asked>> {
    let (approval, frozen) =
        tokio::try_join!(approvals::get(&me.actor, app.store(), id), approvals::call(&me.actor, app.store(), id))?;
    let approval = approval.ok_or_else(|| Fault::not_found("approval"))?;
    let (call, edit) = frozen.map(|f| (f.call, f.edit)).unzip();
    Ok(Json(Asked { approval, call, edited_arguments: edit.flatten().map(|e| e.0) }))
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Approve,
    Reject,
}

/// What a person says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    decision: Word,
    #[serde(default)]
    note: Option<String>,
    /// In place of those asked for.
    #[serde(default)]
    arguments: Option<Value>,
}

/// `POST /v1/approvals/{id}/decision`
pub(crate) async fn decide(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, said): SignedJson<Said>,
) -> Result<Json<Approval>> {
    let decision = Decision { approve: said.decision == Word::Approve, note: said.note, arguments: said.arguments };
    Ok(Json(desk::give(&app, &me, id, decision).await?))
}
