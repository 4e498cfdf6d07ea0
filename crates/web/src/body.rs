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

fn too_large() -> Fault {
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
        origin::check_api(&parts.headers)?;
        let headers = parts.headers.clone();
        let bytes = Bytes::from_request(Request::from_parts(parts, body), &()).await.map_err(|e| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Fault::malformed(format!("the body can't be read: {e}")),
        })?;
        Ok(Self(client, read_json(&headers, &bytes)?))
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
    serde_json::from_slice(text).map_err(|e| match e.classify() {
        Category::Data => Fault::invalid("body", format!("the body does not fit: {e}")),
        Category::Io | Category::Syntax | Category::Eof => Fault::malformed(format!("the body is no JSON: {e}")),
    })
}
