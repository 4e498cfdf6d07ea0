//! Tags on what is read, so that what has not changed is not sent again.

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::answer;
use crate::fault::Fault;

/// Answers up to this size get a tag of their own; what is larger is sent as it is.
const TAGGED_BYTES: u64 = 8 << 20;

/// Gives answers to GET their tag, and none but the tag where the reader has it already.
pub(super) async fn conditional(request: Request, next: Next) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return next.run(request).await;
    }
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let answer = next.run(request).await;
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let (answer, tag) = match answer.headers().get(header::ETAG).cloned() {
        Some(tag) => (answer, tag),
        None => match tagged(answer).await {
            Ok(found) => found,
            Err(answer) => return answer,
        },
    };
    let is_known = known
        .as_ref()
        .and_then(|k| k.to_str().ok())
        .is_some_and(|k| answer::names(k, tag.to_str().unwrap_or_default()));
    if !is_known {
        return answer;
    }
    let mut short = Response::new(Body::empty());
    *short.status_mut() = StatusCode::NOT_MODIFIED;
    short.headers_mut().insert(header::ETAG, tag);
    short
}

/// The same answer with a tag; an error where it is a stream, or too large.
async fn tagged(answer: Response) -> Result<(Response, HeaderValue), Response> {
    if answer.body().size_hint().exact().is_none_or(|size| size > TAGGED_BYTES) {
        return Err(answer);
    }
    let (mut parts, body) = answer.into_parts();
    let limit = usize::try_from(TAGGED_BYTES).unwrap_or(usize::MAX);
    let bytes = match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => bytes,
        Err(e) => return Err(axum::response::IntoResponse::into_response(Fault::internal(e.to_string()))),
    };
    let tag = answer::tag_of(&bytes);
    parts.headers.insert(header::ETAG, tag.clone());
    Ok((Response::from_parts(parts, Body::from(bytes)), tag))
}
