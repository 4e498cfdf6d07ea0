//! Giving files out: the whole content or one part of it (RFC 9110, 14), as it came, never run, and only if it is what
//! was kept. Nothing is read before somebody takes it.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use store::{file_attachments::Attachment, vault::KeptFile};

use crate::{
    api::names,
    app::App,
    fault::{Fault, Result},
    guard::encode,
};

/// Bytes that are read ahead of whoever takes them.
const PIECE: u64 = 256 * 1024;
/// Pictures up to this many bytes are shown.
const PICTURE_BYTES: i64 = 16 << 20;
/// Kinds of pictures that a browser draws and that hold no program.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Whether a file is shown as a picture.
pub(crate) fn is_picture(file: &Attachment) -> bool {
    file.mime_type.as_deref().is_some_and(|kind| PICTURES.contains(&kind))
        && file.file_size.is_some_and(|bytes| bytes <= PICTURE_BYTES)
}

/// What is wanted of a content of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// From the first byte to the last, both within.
    Part(u64, u64),
    /// A part that there is not.
    Nothing,
}

/// Reads `Range`, of which one range of bytes is understood; whatever else it says means the whole.
fn wanted(headers: &HeaderMap, size: u64, tag: Option<&str>) -> Wanted {
    let Some(range) = headers.get(header::RANGE).and_then(|v| v.to_str().ok()) else { return Wanted::Whole };
    // Only a strong tag that is ours says that the sender's part is of this content; a moment never does.
    if headers.get(header::IF_RANGE).is_some_and(|given| given.to_str().ok() != tag) {
        return Wanted::Whole;
    }
    let Some((unit, set)) = range.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = set.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes")) else {
        return Wanted::Whole;
    };
    let number = |text: &str| -> Option<u64> {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // What is larger than any content is as good as the largest.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => {
            if first < size {
                Wanted::Part(first, size - 1)
            } else {
                Wanted::Nothing
            }
        }
        (Some(first), Some(last)) if first <= last => {
            if first < size {
                Wanted::Part(first, last.min(size - 1))
            } else {
                Wanted::Nothing
            }
        }
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        // The last bytes of nothing are nothing, which no part can say.
        (None, Some(_)) if first.is_empty() && size == 0 => Wanted::Whole,
        (None, Some(last)) if first.is_empty() => Wanted::Part(size - last.min(size), size - 1),
        _ => Wanted::Whole,
    }
}

/// The content of a file that somebody may see. It is shown in place where `is_shown` says so and its kind is harmless;
/// else it is kept.
pub(crate) async fn content(
    app: &App,
    file: Attachment,
    (method, headers): (&Method, &HeaderMap),
    is_shown: bool,
) -> Result<Response> {
    let tag = file.hash_checksum.as_ref().map(|hash| format!("\"{hash}\""));
    let given = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if let (Some(list), Some(tag)) = (given(header::IF_MATCH), &tag)
        && !list.split(',').map(str::trim).any(|t| t == "*" || t == tag)
    {
        let fault = Fault::new(StatusCode::PRECONDITION_FAILED, "changed", "the content is not the one that you know");
        return Err(fault.advice("Read it anew."));
    }
    let mut shared = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| -> Result<()> {
        let value = HeaderValue::from_str(value).map_err(|_| Fault::internal("a file's name makes no header"))?;
        shared.insert(name, value);
        Ok(())
    };
    set(header::ACCEPT_RANGES, "bytes")?;
    set(header::CACHE_CONTROL, "private, no-store")?;
    if let Some(tag) = &tag {
        set(header::ETAG, tag)?;
        if given(header::IF_NONE_MATCH).is_some_and(|list| names(list, tag)) {
            return Ok((StatusCode::NOT_MODIFIED, shared).into_response());
        }
    }
    let is_shown = is_shown && is_picture(&file);
    let kind = if is_shown { file.mime_type.as_deref().unwrap_or_default() } else { "application/octet-stream" };
    let place = if is_shown { "inline" } else { "attachment" };
    set(header::CONTENT_TYPE, kind)?;
    set(header::CONTENT_DISPOSITION, &disposition(place, &file.filename))?;
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")?;
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    let opened = domain::files::open(app.store(), &app.state.vault, &file).await?;
    let size = opened.size_bytes();
    let wanted = if *method == Method::GET { wanted(headers, size, tag.as_deref()) } else { Wanted::Whole };
    let (status, from, to) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(first, last) => {
            set(header::CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"))?;
            (StatusCode::PARTIAL_CONTENT, first, last + 1)
        }
        Wanted::Nothing => {
            let fault =
                Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_range", format!("the file has {size} bytes"));
            let mut answer = fault.advice("Ask for a part that there is.").into_response();
            let value =
                HeaderValue::from_str(&format!("bytes */{size}")).map_err(|e| Fault::internal(e.to_string()))?;
            answer.headers_mut().insert(header::CONTENT_RANGE, value);
            return Ok(answer);
        }
    };
    set(header::CONTENT_LENGTH, &(to - from).to_string())?;
    let body = if *method == Method::HEAD { Body::empty() } else { pieces(app, file.storage_path, opened, (from, to)) };
    Ok((status, shared, body).into_response())
}

fn disposition(place: &str, name: &str) -> String {
    format!("{place}; filename*=UTF-8''{}", encode(name).replace('/', "%2F"))
}

/// The content, piece by piece; one that proves to be altered ends in an error, so that nobody takes it for whole.
fn pieces(app: &App, place: String, file: KeptFile, (from, to): (u64, u64)) -> Body {
    let app = app.clone();
    // An empty content proves itself too.
    let begin = Some((file, from, from == to));
    Body::from_stream(stream::try_unfold(begin, move |state| {
        let (app, place) = (app.clone(), place.clone());
        async move {
            let Some((mut file, at, _)) = state.filter(|(_, at, is_empty)| *at < to || *is_empty) else {
                return Ok(None);
            };
            // Each piece ends where the vault's own do.
            let end = ((at / PIECE + 1) * PIECE).min(to);
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = Vec::new();
                file.copy(at, end, &mut piece).map(|()| (file, piece))
            });
            match read.await.map_err(io::Error::other)? {
                Ok((file, piece)) => Ok(Some((Bytes::from(piece), Some((file, end, false))))),
                Err(e) => {
                    if let store::Error::Damaged(what) = &e {
                        domain::files::damaged(app.store(), &place, what).await;
                    }
                    Err(io::Error::other(e.to_string()))
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_nothing_else() {
        let tag = "\"abc\"";
        let ask = |range: &str, if_range: Option<&str>, size: u64| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            if let Some(given) = if_range {
                headers.insert(header::IF_RANGE, given.parse().unwrap());
            }
            wanted(&headers, size, Some(tag))
        };
        let huge = "99999999999999999999999999";
        for (range, size, expected) in [
            ("bytes=0-0", 10, Wanted::Part(0, 0)),
            ("bytes=2-", 10, Wanted::Part(2, 9)),
            ("Bytes=2-99", 10, Wanted::Part(2, 9)),
            (&format!("bytes=2-{huge}"), 10, Wanted::Part(2, 9)),
            ("bytes=-3", 10, Wanted::Part(7, 9)),
            ("bytes=-99", 10, Wanted::Part(0, 9)),
            ("bytes=10-", 10, Wanted::Nothing),
            (&format!("bytes={huge}-"), 10, Wanted::Nothing),
            ("bytes=-0", 10, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=-1", 0, Wanted::Whole),
            ("bytes=5-2", 10, Wanted::Whole),
            ("bytes=0-1,3-4", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("lines=0-1", 10, Wanted::Whole),
            ("bytes", 10, Wanted::Whole),
        ] {
            assert_eq!(ask(range, None, size), expected, "{range} of {size}");
        }
        assert_eq!(ask("bytes=1-1", Some(tag), 10), Wanted::Part(1, 1));
        for other in ["\"abd\"", "W/\"abc\"", "Wed, 21 Oct 2026 07:28:00 GMT", "*"] {
            assert_eq!(ask("bytes=1-1", Some(other), 10), Wanted::Whole, "{other}");
        }
    }
}
