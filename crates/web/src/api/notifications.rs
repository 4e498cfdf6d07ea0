//! What you were told.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};
use store::{
    notifications::{self, Notification},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, Fields, IfMatch, List},
    changes,
    facts::NOTIFICATION_STATUSES,
    pages::Page,
};
use crate::{
    app::App,
    body::{SignedJson, SignedPatch},
    fault::{Fault, Result},
    params::{Id, Params, page},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(mark_all_read))
        .routes(routes!(get, mark))
        .routes(routes!(read))
        .routes(routes!(archive))
}

/// What you were told, newest first
#[utoipa::path(get, path = "/notifications", tag = "Notifications", params(
    ("status" = Option<String>, Query, description = "Those of this status"), Page,
), responses((status = 200, description = "A page of notifications", body = List<Notification>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["status", "limit", "cursor", "fields"])?;
    let (status, limit) = (params.one_of("status", NOTIFICATION_STATUSES)?, params.limit()?);
    let fields = Fields::of(&params, &[Notification::COLUMNS])?;
    let rows = notifications::page(&me.actor, app.store(), status, params.cursor()?, limit + 1).await?;
    fields.page(page(rows, limit, |n| (n.created_at, n.id)))
}

async fn find(app: &App, me: &Signed, id: Uuid) -> Result<Notification> {
    notifications::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("notification"))
}

/// One notification
#[utoipa::path(get, path = "/notifications/{id}", tag = "Notifications",
    params(("id" = Uuid, Path, description = "The notification")),
    responses((status = 200, description = "The notification", body = Notification)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&find(&app, &me, id).await?)
}

/// How a notification shall stand.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationEdit {
    /// `unread`, `read` or `archived`.
    status: String,
}

async fn set(app: &App, me: &Signed, id: Uuid, status: &str) -> Result<Response> {
    if notifications::set_status(&me.actor, app.store(), id, status).await? {
        return Ok(answer::done());
    }
    Err(Fault::not_found("notification"))
}

/// Mark a notification as unread, read or archived
#[utoipa::path(patch, path = "/notifications/{id}", tag = "Notifications",
    params(("id" = Uuid, Path, description = "The notification")), request_body = NotificationEdit,
    responses((status = 204, description = "It is marked")))]
async fn mark(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
    SignedPatch(me, body): SignedPatch,
) -> Result<Response> {
    let (expected, edit) = (IfMatch::of(&headers)?, crate::body::fit::<NotificationEdit>(body)?);
    if !NOTIFICATION_STATUSES.contains(&edit.status.as_str()) {
        return Err(Fault::invalid("status", format!("status must be one of: {}", NOTIFICATION_STATUSES.join(", "))));
    }
    let row = find(&app, &me, id).await?;
    if let Err(e) = expected.check(&row) {
        return Err(changes::told(&app, &me, ("notification", id), e.into()).await);
    }
    set(&app, &me, id, &edit.status).await
}

/// Mark a notification as read
#[utoipa::path(post, path = "/notifications/{id}/read", tag = "Notifications",
    params(("id" = Uuid, Path, description = "The notification")), request_body = Nothing,
    responses((status = 204, description = "It is marked")))]
async fn read(State(app): State<App>, Id(id): Id, SignedJson(me, Nothing {}): SignedJson<Nothing>) -> Result<Response> {
    set(&app, &me, id, "read").await
}

/// Put a notification away
#[utoipa::path(post, path = "/notifications/{id}/archive", tag = "Notifications",
    params(("id" = Uuid, Path, description = "The notification")), request_body = Nothing,
    responses((status = 204, description = "It is put away")))]
async fn archive(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    set(&app, &me, id, "archived").await
}

/// How many were marked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Marked {
    /// Notifications that were unread until now.
    marked: u64,
}

/// Mark all your unread notifications as read
#[utoipa::path(post, path = "/notifications/read", tag = "Notifications", request_body = Nothing,
    responses((status = 200, description = "How many were marked", body = Marked)))]
async fn mark_all_read(State(app): State<App>, SignedJson(me, Nothing {}): SignedJson<Nothing>) -> Result<Response> {
    let marked = notifications::read_all(&me.actor, app.store()).await?;
    answer::json(axum::http::StatusCode::OK, &Marked { marked })
}
