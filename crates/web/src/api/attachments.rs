//! Files on tasks: their rows, bringing one, and its content.

use axum::{
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};
use domain::files::NewFile;
use jiff::Timestamp;
use serde_json::json;
use store::{
    file_attachments::{self, Attachment},
    users,
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{self, Fields, List},
    changes::Removal,
    idempotency::{self, Key},
    pages::Page,
};
use crate::{
    app::App,
    download,
    fault::{Fault, Result},
    origin,
    params::{Id, Params, page},
    session::Signed,
    upload::{self, Aim, Came, Told},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(of_task, add))
        // A file is bounded by its own limit, piece by piece.
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(list))
        .routes(routes!(attachment, remove))
        .routes(routes!(content))
}

/// Files on a task
#[utoipa::path(get, path = "/tasks/{id}/attachments", tag = "Attachments",
    params(("id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The files' rows, at most 200", body = List<Attachment>)))]
async fn of_task(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    domain::tasks::get(app.store(), &me.actor, id).await?;
    answer::whole(file_attachments::list(&me.actor, app.store(), id).await?)
}

/// A form with a file.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what is read piece by piece")]
struct Upload {
    /// The file, with its name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// When it may be removed; never without.
    expires_at: Option<Timestamp>,
}

/// The bytes of a file.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes what is written piece by piece")]
struct Content(Vec<u8>);

/// Hang a file on a task
///
/// In a form, or as the body itself with its name in the address. What it is is told by its content, never by its sender.
/// Sent again under the same `Idempotency-Key`, a file of the same name, content and time is hung on the task once.
#[utoipa::path(post, path = "/tasks/{id}/attachments", tag = "Attachments", params(
    ("id" = Uuid, Path, description = "The task"),
    ("filename" = Option<String>, Query, description = "The file's name, where the body is the file itself"),
    ("expires_at" = Option<Timestamp>, Query, description = "When it may be removed, where the body is the file itself; never without"),
), request_body(content((Upload = "multipart/form-data"), (Content = "application/octet-stream"))),
    responses((status = 201, description = "The file's row", body = Attachment)))]
async fn add(State(app): State<App>, me: Signed, Id(id): Id, params: Params, request: Request) -> Result<Response> {
    origin::check_api(request.headers())?;
    params.only(&["filename", "expires_at"])?;
    let told = Told { name: params.get("filename").map(str::to_owned), expires_at: params.time("expires_at")? };
    may_add(&app, &me, id).await?;
    let Some(key) = Key::of_upload(&me, request.headers())? else {
        return hang(&app, &me, id, upload::receive(&app, request, told, |_| Ok(())).await?).await;
    };
    // What came before is not kept a second time: it is looked at, and gets the answer of then.
    let aim = if key.is_known(&app).await? { Aim::Look } else { Aim::Keep };
    let came = upload::take(&app, request, told, aim, |_| Ok(())).await?;
    let said = json!([came.name, came.sha256, came.expires_at]);
    let hash = idempotency::hash_of(&format!("/v1/tasks/{id}/attachments"), said.to_string().as_bytes());
    let Came { name, kept: Some(kept), expires_at, .. } = came else {
        return idempotency::earlier(&app, &key, &hash, true).await;
    };
    let file = NewFile { name, kept, expires_at };
    let begun = key.begin(&app, &hash).await;
    if !matches!(begun, Ok(true)) {
        domain::files::give_up(&app.state.vault, &[file]).await;
        begun?;
        return idempotency::earlier(&app, &key, &hash, false).await;
    }
    let to = app.clone();
    let work = async move { hang(&to, &me, id, file).await.unwrap_or_else(IntoResponse::into_response) };
    Ok(key.finish(&app, work).await)
}

/// Hangs a file that the vault holds on its task.
async fn hang(app: &App, me: &Signed, id: uuid::Uuid, file: NewFile) -> Result<Response> {
    let row = domain::files::add(app.store(), &app.state.vault, &me.actor, id, file).await?;
    answer::created(&format!("/v1/attachments/{}", row.id), &row)
}

/// Refuses whoever may not hang a file on the task, before the file is read.
pub(crate) async fn may_add(app: &App, me: &Signed, task: uuid::Uuid) -> Result<()> {
    domain::tasks::get(app.store(), &me.actor, task).await?;
    if users::allowed(&me.actor, app.store(), "task_create").await? {
        return Ok(());
    }
    Err(Fault::refused("file_attachments"))
}

/// One file's row
#[utoipa::path(get, path = "/attachments/{id}", tag = "Attachments",
    params(("id" = Uuid, Path, description = "The file")),
    responses((status = 200, description = "The file's row, without its content", body = Attachment)))]
async fn attachment(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&found(&app, &me, id).await?)
}

/// Files that you may see, the newest first
#[utoipa::path(get, path = "/attachments", tag = "Attachments", params(Page),
    responses((status = 200, description = "A page of the files' rows", body = List<Attachment>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let (limit, fields) = (params.limit()?, Fields::of(&params, &[Attachment::COLUMNS])?);
    let rows = file_attachments::newest(&me.actor, app.store(), params.cursor()?, limit + 1).await?;
    fields.page(page(rows, limit, |file| (file.created_at, file.id)))
}

/// Take a file off its task
///
/// Whoever may change the task may. Its content goes within a day, unless another task has the same.
#[utoipa::path(delete, path = "/attachments/{id}", tag = "Attachments",
    params(("id" = Uuid, Path, description = "The file")), responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, Id(id): Id, removal: Removal) -> Result<Response> {
    removal.check(&app, ("file_attachment", id), &found(&app, &removal.0, id).await?).await?;
    domain::files::take_off(app.store(), &removal.0.actor, id).await?;
    Ok(answer::done())
}

async fn found(app: &App, me: &Signed, id: uuid::Uuid) -> Result<Attachment> {
    file_attachments::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("attachment"))
}

/// A file's content
///
/// Whole, or the one range that `Range` names; with `If-Range` only while the content is the one that its tag is of.
#[utoipa::path(get, path = "/attachments/{id}/content", tag = "Attachments", params(
    ("id" = Uuid, Path, description = "The file"),
    ("inline" = Option<bool>, Query, description = "Whether to show it in place, which is done with harmless pictures alone"),
    ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-499`; anything else means the whole"),
    ("If-Range" = Option<String>, Header, description = "The `ETag` of what you have a part of"),
), responses(
    (status = 200, description = "The content as it came", body = Content, content_type = "application/octet-stream"),
    (status = 206, description = "The part", body = Content, content_type = "application/octet-stream"),
))]
async fn content(
    State(app): State<App>,
    me: Signed,
    Id(id): Id,
    params: Params,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    params.only(&["inline"])?;
    let is_shown = params.one_of("inline", &["true", "false"])? == Some("true");
    let file = found(&app, &me, id).await?;
    download::content(&app, file, (&method, &headers), is_shown).await
}
