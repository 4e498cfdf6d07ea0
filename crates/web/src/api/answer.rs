//! What the API answers: rows and pages, whole or in part, each with its tag.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    fault::{Fault, Result},
    params::Params,
};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page begins: send it as `cursor`. None on the last page.
    pub next: Option<String>,
}

/// The fields that are wanted of each row; none wants them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields(Option<Vec<String>>);

impl Fields {
    /// All of them.
    pub const ALL: Self = Self(None);

    /// `fields=id,title`: names that the rows have.
    pub fn of(params: &Params, known: &[&[&str]]) -> Result<Self> {
        let Some(text) = params.get("fields").filter(|text| !text.is_empty()) else { return Ok(Self::ALL) };
        let plain = |name: &str| name.strip_prefix("r#").unwrap_or(name).to_owned();
        let known: Vec<String> = known.iter().copied().flatten().map(|name| plain(name)).collect();
        let mut wanted = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !known.iter().any(|k| k == name) {
                let message = format!("there is no field {name}; there are: {}", known.join(", "));
                return Err(Fault::invalid("fields", message));
            }
            wanted.push(name.to_owned());
        }
        Ok(Self((!wanted.is_empty()).then_some(wanted)))
    }

    fn pick(&self, row: &mut Value) {
        if let (Some(wanted), Some(map)) = (&self.0, row.as_object_mut()) {
            map.retain(|name, _| wanted.contains(name));
        }
    }

    /// A page with these fields.
    pub fn page<T: Serialize>(&self, (data, next): (Vec<T>, Option<String>)) -> Result<Response> {
        if self.0.is_none() {
            return json(StatusCode::OK, &List { data, next });
        }
        let mut rows = data.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>().map_err(unwritable)?;
        for row in &mut rows {
            self.pick(row);
        }
        json(StatusCode::OK, &List { data: rows, next })
    }

    /// A row with these fields, under the tag of the whole row: what is sent back with `If-Match` is about all of it.
    pub fn row<T: Serialize>(&self, row: &T) -> Result<Response> {
        let whole = serde_json::to_vec(row).map_err(unwritable)?;
        let tag = tag_of(&whole);
        let mut answer = if self.0.is_none() {
            bytes(StatusCode::OK, whole)
        } else {
            let mut part = serde_json::to_value(row).map_err(unwritable)?;
            self.pick(&mut part);
            json(StatusCode::OK, &part)?
        };
        answer.headers_mut().insert(header::ETAG, tag);
        Ok(answer)
    }
}

/// A whole list.
pub(crate) fn whole<T: Serialize>(data: Vec<T>) -> Result<Response> {
    Fields::ALL.page((data, None))
}

/// A changed row, with its new tag.
pub(crate) fn row<T: Serialize>(row: &T) -> Result<Response> {
    Fields::ALL.row(row)
}

/// A new row: where it is, and its tag.
pub(crate) fn created<T: Serialize>(address: &str, row: &T) -> Result<Response> {
    let mut answer = Fields::ALL.row(row)?;
    *answer.status_mut() = StatusCode::CREATED;
    let address = HeaderValue::from_str(address).map_err(|e| Fault::internal(e.to_string()))?;
    answer.headers_mut().insert(header::LOCATION, address);
    Ok(answer)
}

/// Nothing but that it was done.
pub(crate) fn done() -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Any JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response> {
    Ok(bytes(status, serde_json::to_vec(value).map_err(unwritable)?))
}

fn bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[expect(clippy::needless_pass_by_value, reason = "it is the last that is heard of it")]
fn unwritable(e: serde_json::Error) -> Fault {
    Fault::internal(format!("an answer could not be written as JSON: {e}"))
}

/// The tag of a representation.
pub(crate) fn tag_of(body: &[u8]) -> HeaderValue {
    let hash = Sha256::digest(body);
    let text = format!("\"{}\"", hex::encode(&hash[..16]));
    // Hexadecimal digits between quotation marks are a header's value.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"\""))
}

/// `If-Match`: the tags of which a row must have one before it is changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct IfMatch(Option<String>);

impl IfMatch {
    pub fn of(headers: &HeaderMap) -> Result<Self> {
        let Some(value) = headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().map_err(|_| Fault::malformed("the header If-Match holds what is no tag"))?;
        Ok(Self(Some(text.to_owned())))
    }

    /// Refuses a row that is not as it was read.
    pub fn check<T: Serialize>(&self, row: &T) -> domain::Result<()> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        let body = serde_json::to_vec(row).unwrap_or_default();
        if names(wanted, tag_of(&body).to_str().unwrap_or_default()) {
            return Ok(());
        }
        Err(domain::Error::changed(row))
    }
}

/// Whether a list of tags names this one, or all. The mark of a weak one does not count: ours are all strong.
pub(crate) fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_and_tags_are_of_the_whole() {
        let params = |text: &str| Params(vec![("fields".to_owned(), text.to_owned())]);
        let fields = Fields::of(&params("id, type"), &[&["id", "r#type"]]).unwrap();
        let whole = json!({"id": 1, "type": "x", "other": 2});
        let (part, all) = (fields.row(&whole).unwrap(), row(&whole).unwrap());
        assert_eq!(part.headers()[header::ETAG], all.headers()[header::ETAG]);
        let mut picked = whole.clone();
        fields.pick(&mut picked);
        assert_eq!(picked, json!({"id": 1, "type": "x"}));
        assert_eq!(Fields::of(&params(""), &[&["id"]]).unwrap(), Fields::ALL);
        assert_eq!(Fields::of(&params("id,secret"), &[&["id"]]).unwrap_err().errors[0].field, "fields");
    }

    #[test]
    fn a_row_must_be_as_it_was_read() {
        let (old, new) = (json!({"id": 1, "title": "a"}), json!({"id": 1, "title": "b"}));
        let tag = row(&old).unwrap().headers()[header::ETAG].to_str().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        assert!(IfMatch::of(&headers).unwrap().check(&new).is_ok(), "not demanded");
        for (given, fits) in [
            (tag.clone(), true),
            (format!("\"x\", W/{tag}"), true),
            ("*".to_owned(), true),
            ("\"x\"".to_owned(), false),
        ] {
            headers.insert(header::IF_MATCH, given.parse().unwrap());
            assert_eq!(IfMatch::of(&headers).unwrap().check(&old).is_ok(), fits, "{given}");
        }
        headers.insert(header::IF_MATCH, tag.parse().unwrap());
        assert!(IfMatch::of(&headers).unwrap().check(&new).is_err());
    }
}
