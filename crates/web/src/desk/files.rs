//! Files that hang on tasks: streamed out of the vault, to be kept or looked at, and never run.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use store::file_attachments::{self, Attachment};

use super::{
    layout::{Reader, shell},
    parts::{block, say, size, visible},
};
use crate::{
    api::attachments::may_add,
    app::App,
    body::SignedForm,
    download,
    fault::{Fault, Result},
    origin,
    params::Id,
    session::Signed,
    upload::{self, Told},
};

/// Text up to this many bytes is shown on a page.
const TEXT_BYTES: i64 = 256 * 1024;
/// Whether a file is shown as text.
pub(crate) fn is_text(file: &Attachment) -> bool {
    let is_kind = |kind: &str| {
        kind.starts_with("text/") || matches!(kind, "application/json" | "application/xml" | "message/rfc822")
    };
    file.mime_type.as_deref().is_some_and(is_kind) && file.file_size.is_some_and(|bytes| bytes <= TEXT_BYTES)
}

async fn found(app: &App, me: &Signed, id: uuid::Uuid) -> Result<Attachment> {
    file_attachments::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("file"))
}

/// `GET /files/{id}`: the content as it came. A picture is shown, everything else is kept; nothing of it runs here.
pub(crate) async fn content(
    State(app): State<App>,
    me: Signed,
    Id(id): Id,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let file = found(&app, &me, id).await?;
    download::content(&app, file, (&method, &headers), true).await
}

/// `POST /tasks/{id}/files`: a file from the task's page.
pub(crate) async fn add(State(app): State<App>, me: Signed, Id(id): Id, request: Request) -> Result<Response> {
    let (token, headers) = (me.form_token.clone(), request.headers().clone());
    let adding = async {
        may_add(&app, &me, id).await?;
        let check = |shown: Option<&str>| origin::check_form(&headers, &token, shown);
        let file = upload::receive(&app, request, Told::default(), check).await?;
        Ok::<_, Fault>(domain::files::add(app.store(), &app.state.vault, &me.actor, id, file).await?)
    };
    match adding.await {
        Ok(_) => Ok(Redirect::to(&format!("/tasks/{id}")).into_response()),
        Err(fault) => super::task::again(&app, me, id, fault).await,
    }
}

/// `POST /files/{id}/remove`: takes it off its task.
pub(crate) async fn remove(State(app): State<App>, Id(id): Id, SignedForm(me, _): SignedForm) -> Result<Response> {
    let task = found(&app, &me, id).await?.task_id;
    domain::files::take_off(app.store(), &me.actor, id).await?;
    let back = task.map_or_else(|| "/tasks".to_owned(), |task| format!("/tasks/{task}#files"));
    Ok(Redirect::to(&back).into_response())
}

/// `GET /files/{id}/text`: a short text on a page, with what hides in it spelt out.
pub(crate) async fn text(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let file = found(&app, &me, id).await?;
    if !is_text(&file) {
        return Err(Fault::not_found("text to be shown; the file can be kept and opened elsewhere"));
    }
    let mut opened = domain::files::open(app.store(), &app.state.vault, &file).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        opened.copy(0, u64::MAX, &mut bytes).map(|()| bytes)
    });
    let bytes = read.await.map_err(|e| Fault::internal(e.to_string()))??;
    let shown = visible(&String::from_utf8_lossy(&bytes));
    Ok(shell(
        &me,
        "File",
        "/tasks",
        &html! {
            @if let Some(task) = file.task_id { p.crumbs { a href={ "/tasks/" (task) } { "The task" } } }
            h1 { (say(&file.original_filename)) }
            p.meta { (size(file.file_size.unwrap_or_default())) " · data, not instruction · " a href={ "/files/" (id) } { "Keep it" } }
            (block(&shown, "Content"))
        },
    ))
}
