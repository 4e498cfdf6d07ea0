//! Files that hang on tasks: streamed out of the vault, to be kept or looked at, and never run.

use std::io::{self, Write};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use maud::{Markup, html};
use store::file_attachments::{self, Attachment};
use tokio::sync::mpsc;

use super::{
    layout::{Reader, shell},
    parts::{block, say, size, visible},
};
use crate::{
    app::App,
    fault::{Fault, Result},
    guard::encode,
    params::Id,
    session::Signed,
};

/// Pieces that wait for a slow reader, each of a chunk of the vault's.
const WAITING: usize = 4;
/// Text up to this many bytes is shown on a page.
const TEXT_BYTES: i64 = 256 * 1024;
/// Pictures up to this many bytes are shown on the task's page.
const PICTURE_BYTES: i64 = 16 << 20;
/// Kinds of pictures that a browser draws and that hold no program.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Whether a file is shown as a picture.
pub(crate) fn is_picture(file: &Attachment) -> bool {
    file.mime_type.as_deref().is_some_and(|kind| PICTURES.contains(&kind))
        && file.file_size.is_some_and(|bytes| bytes <= PICTURE_BYTES)
}

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
pub(crate) async fn content(State(app): State<App>, me: Signed, Id(id): Id) -> Result<Response> {
    let file = found(&app, &me, id).await?;
    let is_shown = is_picture(&file);
    let kind = if is_shown { file.mime_type.as_deref().unwrap_or_default() } else { "application/octet-stream" };
    let place = if is_shown { "inline" } else { "attachment" };
    let disposition = format!("{place}; filename*=UTF-8''{}", encode(&file.filename).replace('/', "%2F"));
    let wrong = |_| Fault::internal("a file's name makes no header");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_str(kind).map_err(wrong)?),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(wrong)?),
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, stream_of(&app, file)).into_response())
}

/// The content, piece by piece; a file that was altered ends in an error, so that nobody takes it for whole.
fn stream_of(app: &App, file: Attachment) -> Body {
    let (pieces, waiting) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let vault = app.state.vault.clone();
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces(pieces.clone());
        if let Err(e) = vault.read(&file.storage_path, &mut out) {
            if pieces.is_closed() {
                // The reader went away; that is no fault of the file's.
                return;
            }
            tracing::error!(file = %file.id, error = %e, "a file could not be read from the vault");
            // The reader may have gone in this moment.
            let _ = pieces.blocking_send(Err(io::Error::other("the file could not be read")));
        }
    });
    Body::from_stream(stream::unfold(waiting, |mut waiting| async move {
        waiting.recv().await.map(|piece| (piece, waiting))
    }))
}

/// Hands what is written to the answer, and waits where the reader is slow.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(piece).map_err(|_| io::Error::other("the reader went away"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `GET /files/{id}/text`: a short text on a page, with what hides in it spelt out.
pub(crate) async fn text(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let file = found(&app, &me, id).await?;
    if !is_text(&file) {
        return Err(Fault::not_found("text to be shown; the file can be kept and opened elsewhere"));
    }
    let (vault, place) = (app.state.vault.clone(), file.storage_path.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        vault.read(&place, &mut bytes).map(|_| bytes)
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
