//! Who changed what, and whether the trail is whole.

use axum::{extract::State, response::Response};
use store::{
    audit_trail::{self, AuditRow, ChainReport, Filter},
    users,
    value::FromRow,
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{self, Fields, List},
    pages::Page,
};
use crate::{
    app::App,
    fault::{Fault, Result},
    params::{Params, Place, page},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify)).routes(routes!(history))
}

/// The newest changes that you may see
///
/// Yours, those of tasks that you see, and all for whoever may see the whole trail.
#[utoipa::path(get, path = "/audit", tag = "Audit", params(
    ("entity_type" = Option<String>, Query, description = "Changes of this kind of row: `task`, `approval`, `user` …"),
    ("entity_id" = Option<Uuid>, Query, description = "Changes of this row"),
    ("user_id" = Option<Uuid>, Query, description = "Changes by this user"),
    ("action" = Option<String>, Query, description = "Changes of this kind, as a row's `action` names it"),
    ("from" = Option<Timestamp>, Query, description = "Changes of then and later"),
    ("to" = Option<Timestamp>, Query, description = "Changes from before then"),
    Page,
), responses((status = 200, description = "A page of changes", body = List<AuditRow>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["entity_type", "entity_id", "user_id", "action", "from", "to", "limit", "cursor", "fields"])?;
    let (limit, fields) = (params.limit()?, Fields::of(&params, &[AuditRow::COLUMNS])?);
    let filter = Filter {
        entity_type: params.get("entity_type"),
        entity_id: params.id("entity_id")?,
        user_id: params.id("user_id")?,
        action: params.get("action"),
        from: params.time("from")?,
        to: params.time("to")?,
    };
    let rows = audit_trail::filtered(&me.actor, app.store(), &filter, params.cursor()?, limit + 1).await?;
    fields.page(page(rows, limit, |row| (row.created_at, row.id)))
}

/// What was changed of a row, newest first
#[utoipa::path(get, path = "/audit/{entity_type}/{entity_id}", tag = "Audit", params(
    ("entity_type" = String, Path, description = "The kind of row: `task`, `approval`, `user` …"),
    ("entity_id" = Uuid, Path, description = "The row"),
    Page,
), responses((status = 200, description = "Its newest changes that you may see", body = List<AuditRow>)))]
async fn history(
    State(app): State<App>,
    me: Signed,
    Place((kind, id)): Place<(String, Uuid)>,
    params: Params,
) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let (limit, fields) = (params.limit()?, Fields::of(&params, &[AuditRow::COLUMNS])?);
    let rows = audit_trail::page(&me.actor, app.store(), Some(&kind), Some(id), params.cursor()?, limit + 1).await?;
    fields.page(page(rows, limit, |row| (row.created_at, row.id)))
}

/// Whether the whole trail is as it was written; for whoever may see all of it
///
/// It reads the whole chain, which takes seconds where it is long.
#[utoipa::path(get, path = "/audit/verify", tag = "Audit", params(
    ("head" = Option<String>, Query, description = "A head that you kept elsewhere, 64 hexadecimal digits: the chain must contain it"),
), responses((status = 200, description = "What was found", body = ChainReport)))]
async fn verify(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["head"])?;
    let head = params.get("head").map(str::to_ascii_lowercase);
    if head.as_ref().is_some_and(|h| h.len() != 64 || !h.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(Fault::invalid("head", "a head has 64 hexadecimal digits"));
    }
    if !users::allowed(&me.actor, app.store(), "audit_view_all").await? {
        return Err(Fault::refused("audit_chain"));
    }
    // One at once: it is much work, and its answer hardly differs.
    let Ok(_permit) = app.verifying.try_acquire() else {
        return Err(Fault::busy("the trail is being verified".to_owned(), "busy", 5));
    };
    let report = audit_trail::verify_against(&me.actor, app.store(), head.as_deref()).await?;
    answer::json(axum::http::StatusCode::OK, &report)
}
