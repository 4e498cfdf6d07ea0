//! Reading what is sent: forms and JSON, bounded. The check against forged requests is part of reading, so that no
//! handler can forget it.

use axum::{
    body::Bytes,
    extract::{Form, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode},
};
use serde::de::DeserializeOwned;

use crate::{
    app::{App, BODY_BYTES},
    fault::{Fault, Result},
    origin,
    params::FIELDS,
    session::{Client, Signed},
};

/// How deep a body's arrays and objects may stand in one another.
const DEPTH: usize = 32;

/// The fields of a form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// A field's value, as it was sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A field's value without white space around it; none where it is missing or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|v| !v.is_empty())
    }

    async fn read(request: Request) -> Result<Self> {
        let Form(pairs) =
            Form::<Vec<(String, String)>>::from_request(request, &()).await.map_err(|e| match e.status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(),
                _ => Fault::malformed(format!("the form can't be read: {e}")),
            })?;
        if pairs.len() > FIELDS {
            return Err(Fault::malformed(format!("the form has more than {FIELDS} fields")));
        }
        Ok(Self(pairs))
    }
}

pub(crate) fn too_large() -> Fault {
    Fault::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("what was sent is larger than {} KiB", BODY_BYTES / 1024),
    )
    .advice("Send less; nothing was changed.")
}

/// A form sent by somebody logged in, from a page of this session.
#[derive(Debug)]
pub(crate) struct SignedForm(pub Signed, pub Fields);

impl FromRequest<App> for SignedForm {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let me = Signed::from_request_parts(&mut parts, app).await?;
        let headers = parts.headers.clone();
        let fields = Fields::read(Request::from_parts(parts, body)).await?;
        origin::check_form(&headers, &me.form_token, fields.get("csrf"))?;
        Ok(Self(me, fields))
    }
}

/// A form sent by somebody who is not logged in yet.
#[derive(Debug)]
pub(crate) struct OpenForm(pub Client, pub Fields);

impl FromRequest<App> for OpenForm {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let client = Client::from_request_parts(&mut parts, app).await?;
        origin::check_open_form(&parts.headers)?;
        Ok(Self(client, Fields::read(Request::from_parts(parts, body)).await?))
    }
}

/// A JSON body sent by anybody; an empty one counts as `{}`.
#[derive(Debug)]
pub(crate) struct OpenJson<T>(pub Client, pub T);

impl<T: DeserializeOwned> FromRequest<App> for OpenJson<T> {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let client = Client::from_request_parts(&mut parts, app).await?;
        let (headers, bytes) = whole(Request::from_parts(parts, body)).await?;
        Ok(Self(client, read_json(&headers, &bytes)?))
    }
}

/// The body of a request to the API.
async fn whole(request: Request) -> Result<(HeaderMap, Bytes)> {
    origin::check_api(request.headers())?;
    let headers = request.headers().clone();
    let bytes = Bytes::from_request(request, &()).await.map_err(|e| match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Fault::malformed(format!("the body can't be read: {e}")),
    })?;
    Ok((headers, bytes))
}

/// What shall be changed, sent by somebody logged in. A change of nothing is `{}`; no body at all is a mistake.
#[derive(Debug)]
pub(crate) struct SignedPatch(pub Signed, pub serde_json::Value);

impl FromRequest<App> for SignedPatch {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let me = Signed::from_request_parts(&mut parts, app).await?;
        let (headers, bytes) = whole(Request::from_parts(parts, body)).await?;
        if bytes.is_empty() {
            return Err(Fault::malformed("the change is missing: send a JSON object"));
        }
        Ok(Self(me, read_json(&headers, &bytes)?))
    }
}

/// A JSON body sent by somebody logged in.
#[derive(Debug)]
pub(crate) struct SignedJson<T>(pub Signed, pub T);

impl<T: DeserializeOwned> FromRequest<App> for SignedJson<T> {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let me = Signed::from_request_parts(&mut parts, app).await?;
        let OpenJson(_, value) = OpenJson::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self(me, value))
    }
}

fn read_json<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T> {
    use serde_json::error::Category;
    if !bytes.is_empty() && !origin::is_json(headers) {
        return Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body must be JSON: send Content-Type: application/json",
        ));
    }
    let text = if bytes.is_empty() { b"{}" } else { bytes };
    if depth(text) > DEPTH {
        return Err(Fault::malformed(format!("the body is nested more than {DEPTH} deep")));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| match e.inner().classify() {
        Category::Data => misfit(&e.path().to_string(), e.inner()),
        Category::Io | Category::Syntax | Category::Eof => {
            Fault::malformed(format!("the body is no JSON: {}", e.inner()))
        }
    })?;
    reader.end().map_err(|e| Fault::malformed(format!("the body is no JSON: {e}")))?;
    Ok(value)
}

/// A value as what it should be; what does not fit is named.
pub(crate) fn fit<T: DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|e| misfit(&e.path().to_string(), e.inner()))
}

fn misfit(path: &str, e: &serde_json::Error) -> Fault {
    Fault::invalid(if path == "." { "body" } else { path }, format!("the body does not fit: {e}"))
}

/// How deep arrays and objects stand in one another, texts left out.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut most, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (is_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => is_text = !is_text,
            (false, b'[' | b'{') => {
                now += 1;
                most = most.max(now);
            }
            (false, b']' | b'}') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_is_counted_outside_texts() {
        for (json, expected) in
            [("1", 0), ("[]", 1), (r#"{"a":[{"b":1},[]]}"#, 3), (r#"["[[[", "\\\"[["]"#, 1), ("]]]", 0)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
        assert_eq!(depth("[".repeat(500).as_bytes()), 500);
    }
}
