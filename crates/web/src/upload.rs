//! Taking files in: a body of any length streams into the vault, as the part `file` of a form or as it is; or it is looked at
//! alone, to tell whether it is one that came before. No more of it is in memory than a few pieces.

use std::{
    io::{self, Read},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, Method, StatusCode, header},
};
use domain::files::{self, Kept, NewFile};
use futures_util::{Stream, StreamExt};
use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    app::App,
    fault::{Fault, Result},
};

/// How long an upload may take in all; a connection lets what is under way finish for as long.
pub(crate) const TIME: Duration = Duration::from_secs(15 * 60);
/// How long nothing of it may come.
const SILENCE: Duration = Duration::from_secs(30);
/// Uploads at once; each holds a thread.
pub(crate) const AT_ONCE: usize = 32;
/// How long what is left of a refused one is read, so that its sender comes to hear why.
const REST: Duration = Duration::from_secs(20);
/// Pieces that wait for the disk.
const WAITING: usize = 4;
/// Bytes of a field beside the file.
const FIELD_BYTES: usize = 4096;
/// Bytes that a form takes beside its file, at most.
const FORM_BYTES: u64 = 64 * 1024;
/// Fields of a form beside the file.
const FIELDS: usize = 16;

/// Whether the request brings a file, so that it has more time.
pub(crate) fn is_upload(method: &Method, path: &str) -> bool {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let last = path.strip_prefix("/tasks/").and_then(|rest| rest.split_once('/')).map(|(_, last)| last);
    *method == Method::POST && matches!(last, Some("attachments" | "files"))
}

/// What the address may say where the body is the file alone.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub name: Option<String>,
    pub expires_at: Option<Timestamp>,
}

/// A file that came.
#[derive(Debug)]
pub(crate) struct Came {
    pub name: String,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    pub expires_at: Option<Timestamp>,
    /// What the vault holds of it; none where it was looked at alone.
    pub kept: Option<Kept>,
}

impl Came {
    /// Lets go of what the vault holds.
    pub async fn give_up(self, app: &App) {
        if let Some(kept) = self.kept {
            files::give_up(&app.state.vault, &[NewFile { name: self.name, kept, expires_at: None }]).await;
        }
    }
}

/// What becomes of a content on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The vault keeps it.
    Keep,
    /// It is hashed, and that is all.
    Look,
}

/// Takes the file of a request in, to be hung on a task. `check` sees the form's token before anything of the file is read;
/// what is not a form shows in other ways where it comes from.
pub(crate) async fn receive(
    app: &App,
    request: Request,
    told: Told,
    check: impl Fn(Option<&str>) -> Result<()>,
) -> Result<NewFile> {
    let came = take(app, request, told, Aim::Keep, check).await?;
    let kept = came.kept.ok_or_else(|| Fault::internal("a file that was to be kept was not"))?;
    Ok(NewFile { name: came.name, kept, expires_at: came.expires_at })
}

/// The same, for either aim.
pub(crate) async fn take(
    app: &App,
    request: Request,
    told: Told,
    aim: Aim,
    check: impl Fn(Option<&str>) -> Result<()>,
) -> Result<Came> {
    let Ok(_slot) = app.uploads.try_acquire() else {
        return Err(Fault::busy(format!("{AT_ONCE} uploads are under way"), "too_many_uploads", 5));
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_form = kind.trim_start().to_ascii_lowercase().starts_with("multipart/");
    let too_large =
        announced(request.headers()).filter(|bytes| *bytes > app.state.vault.limits().file_bytes + FORM_BYTES);
    let refused =
        too_large.map(|_| Fault::from(store::Error::TooLarge { limit_bytes: app.state.vault.limits().file_bytes }));
    if is_form {
        let mut form = Multipart::from_request(request, &()).await.map_err(unreadable)?;
        let mut file = None;
        let taken = match refused {
            Some(fault) => Err(fault),
            None => from_form(app, &mut form, aim, check, &mut file).await,
        };
        if let Some(came) = file {
            // What came behind the file was refused, and so is the file.
            came.give_up(app).await;
        }
        if taken.is_err() {
            // Whoever is still sending does not read yet.
            let _ = timeout(REST, rest_of(form)).await;
        }
        return taken;
    }
    check(None)?;
    let name = told.name.filter(|name| !name.trim().is_empty()).ok_or_else(|| {
        Fault::invalid("filename", "the file's name is missing: give it as ?filename=…, or send the file in a form")
    });
    let expires_at = ahead(told.expires_at);
    let mut body = request.into_body().into_data_stream();
    let taken = match (refused, name, expires_at) {
        (Some(fault), ..) | (_, Err(fault), _) | (_, _, Err(fault)) => Err(fault),
        (None, Ok(name), Ok(expires_at)) => {
            let came = poured(app, &mut body, aim, name).await;
            came.map(|came| Came { expires_at, ..came })
        }
    };
    if taken.is_err() {
        let _ = timeout(REST, async { while let Some(Ok(_)) = body.next().await {} }).await;
    }
    taken
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn rest_of(mut form: Multipart) {
    while let Ok(Some(mut field)) = form.next_field().await {
        while let Ok(Some(_)) = field.chunk().await {}
    }
}

fn unreadable(e: impl std::fmt::Display) -> Fault {
    Fault::invalid("file", format!("the form can't be read: {e}"))
}

/// Reads a form. A file that was taken in before something else was refused stays in `file`.
async fn from_form(
    app: &App,
    form: &mut Multipart,
    aim: Aim,
    check: impl Fn(Option<&str>) -> Result<()>,
    file: &mut Option<Came>,
) -> Result<Came> {
    let (mut token, mut expires_at) = (None, None);
    for _ in 0..FIELDS {
        let field = timeout(SILENCE, form.next_field()).await.map_err(|_| silent())?.map_err(unreadable)?;
        let Some(mut field) = field else {
            let came = file.take().ok_or_else(|| Fault::invalid("file", "choose a file first"))?;
            return Ok(Came { expires_at, ..came });
        };
        match field.name().unwrap_or_default() {
            "file" => {
                if file.is_some() {
                    return Err(Fault::invalid("file", "send one file at a time; none was kept"));
                }
                check(token.as_deref())?;
                let name = field.file_name().unwrap_or_default().to_owned();
                if name.is_empty() {
                    return Err(Fault::invalid("file", "choose a file first"));
                }
                *file = Some(poured(app, &mut field, aim, name).await?);
            }
            other => {
                let other = other.to_owned();
                let mut text = Vec::new();
                while let Some(piece) =
                    timeout(SILENCE, field.chunk()).await.map_err(|_| silent())?.map_err(unreadable)?
                {
                    if text.len() + piece.len() > FIELD_BYTES {
                        return Err(Fault::malformed(format!(
                            "a field of the form is longer than {FIELD_BYTES} bytes"
                        )));
                    }
                    text.extend(piece);
                }
                let text = String::from_utf8(text).map_err(unreadable)?;
                match other.as_str() {
                    "csrf" => token = Some(text),
                    "expires_at" => expires_at = ahead(moment(text.trim())?)?,
                    _ => return Err(Fault::invalid(other, "this form has the fields file and expires_at")),
                }
            }
        }
    }
    Err(Fault::malformed(format!("the form has more than {FIELDS} fields")))
}

/// A moment, or a day, which lasts to its end in UTC.
fn moment(text: &str) -> Result<Option<Timestamp>> {
    if text.is_empty() {
        return Ok(None);
    }
    let of_day = |day: civil::Date| day.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp());
    let found = text.parse().ok().or_else(|| of_day(text.parse().ok()?));
    found.map(Some).ok_or_else(|| {
        Fault::invalid("expires_at", "expires_at must be a moment such as 2026-12-24T15:00:00Z, or a day")
    })
}

fn ahead(at: Option<Timestamp>) -> Result<Option<Timestamp>> {
    match at {
        Some(at) if at <= store::now() => Err(Fault::invalid("expires_at", "expires_at must lie ahead")),
        at => Ok(at),
    }
}

fn silent() -> Fault {
    Fault::new(
        StatusCode::REQUEST_TIMEOUT,
        "too_slow",
        format!("nothing of the file came for {} seconds; nothing was kept", SILENCE.as_secs()),
    )
    .advice("Send it again.")
}

/// A file's content to where it shall go.
async fn poured<E: std::fmt::Display>(
    app: &App,
    source: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    aim: Aim,
    name: String,
) -> Result<Came> {
    let (sha256, kept) = match aim {
        Aim::Keep => {
            let kept = pour(app, source).await?;
            (kept.stored.sha256.clone(), Some(kept))
        }
        Aim::Look => (look(source, app.state.vault.limits().file_bytes).await?, None),
    };
    Ok(Came { name, sha256, expires_at: None, kept })
}

/// The next piece of a body; none at its end.
async fn piece<E: std::fmt::Display>(
    source: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>> {
    let piece = timeout(SILENCE, source.next()).await.map_err(|_| silent())?.transpose();
    piece.map_err(|e| Fault::malformed(format!("the file did not arrive whole: {e}")))
}

/// Hashes a body within the limit of a file.
async fn look<E: std::fmt::Display>(
    source: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    limit_bytes: u64,
) -> Result<String> {
    let (mut hash, mut size_bytes) = (Sha256::new(), 0_u64);
    while let Some(piece) = piece(source).await? {
        size_bytes = size_bytes.saturating_add(piece.len() as u64);
        if size_bytes > limit_bytes {
            return Err(store::Error::TooLarge { limit_bytes }.into());
        }
        hash.update(&piece);
    }
    Ok(hex::encode(hash.finalize()))
}

/// Pours a body into the vault.
async fn pour<E: std::fmt::Display>(
    app: &App,
    source: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Kept> {
    let (pieces, waiting) = mpsc::channel(WAITING);
    let vault = &app.state.vault;
    let keeping = files::keep(
        app.store(),
        vault,
        Poured { waiting, piece: Bytes::new(), is_over: false },
        vault.limits().file_bytes,
    );
    let sending = async move {
        loop {
            let piece = piece(source).await?;
            let is_last = piece.is_none();
            // Whoever takes no more says why itself.
            if pieces.send(piece).await.is_err() || is_last {
                return Ok::<_, Fault>(());
            }
        }
    };
    let (kept, sent) = tokio::join!(keeping, sending);
    sent?;
    Ok(kept?)
}

/// The other end: what was sent, to be read on a thread that may wait. Where the sender goes away it does not just end.
struct Poured {
    waiting: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    is_over: bool,
}

impl Read for Poured {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_over {
            match self.waiting.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.is_over = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its sender went away")),
            }
        }
        let part = self.piece.split_to(self.piece.len().min(out.len()));
        out[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_to_its_end() {
        assert_eq!(moment("2026-12-24").unwrap().unwrap().to_string(), "2026-12-25T00:00:00Z");
        assert_eq!(moment("2026-12-24T15:00:00Z").unwrap().unwrap().to_string(), "2026-12-24T15:00:00Z");
        assert!(moment("").unwrap().is_none() && moment("tomorrow").is_err() && ahead(Some(store::now())).is_err());
    }

    #[test]
    fn uploads_are_known_by_their_address() {
        for (method, path, is) in [
            (Method::POST, "/v1/tasks/1/attachments", true),
            (Method::POST, "/tasks/1/files", true),
            (Method::GET, "/v1/tasks/1/attachments", false),
            (Method::POST, "/v1/tasks/1/assign", false),
            (Method::POST, "/v1/attachments", false),
        ] {
            assert_eq!(is_upload(&method, path), is, "{method} {path}");
        }
    }
}
