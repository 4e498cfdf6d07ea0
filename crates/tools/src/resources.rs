//! Resources that a tool's result carries or names: what may become a file on the task.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    connection::{Connection, RequestError},
    limits::Limits,
    news::printable,
};

/// Resources of one result that are looked at.
const MOST: usize = 16;
/// Characters of a name.
const NAME_CHARS: usize = 200;
/// The longest URI, in bytes.
const URI_BYTES: usize = 4096;

/// Something that a server gave away. It comes from outside: data, never an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What the server calls it: the end of its URI, or its name; at most 200 printable characters.
    pub name: String,
    /// Its URI, as the server wrote it.
    pub uri: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A resource that a result names and does not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceLink {
    /// As [`Resource::name`].
    pub name: String,
    /// Its URI.
    pub uri: String,
}

/// The resources that stand in a result, at most 16.
pub fn resources_in(result: &Value) -> Vec<Resource> {
    let parts = parts(result).filter(|part| part["type"] == "resource");
    parts.filter_map(|part| resource(&part["resource"], None)).take(MOST).collect()
}

/// The resources that a result names, at most 16.
pub fn links(result: &Value) -> Vec<ResourceLink> {
    let parts = parts(result).filter(|part| part["type"] == "resource_link");
    let link = |part: &Value| {
        let uri = part["uri"].as_str().filter(|uri| uri.len() <= URI_BYTES)?;
        let name = part["name"].as_str().or(part["title"].as_str());
        Some(ResourceLink { name: name_of(uri, name), uri: uri.to_owned() })
    };
    parts.filter_map(link).take(MOST).collect()
}

fn parts(result: &Value) -> impl Iterator<Item = &Value> {
    result["content"].as_array().into_iter().flatten()
}

fn resource(contents: &Value, name: Option<&str>) -> Option<Resource> {
    let uri = contents["uri"].as_str().filter(|uri| uri.len() <= URI_BYTES)?;
    let bytes = match (contents["text"].as_str(), contents["blob"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(blob)) => STANDARD.decode(blob).ok()?,
        (None, None) => return None,
    };
    Some(Resource { name: name_of(uri, name), uri: uri.to_owned(), bytes })
}

/// What a resource is called: by its own name where that looks like a file's, and else by the end of its URI.
fn name_of(uri: &str, name: Option<&str>) -> String {
    let plain = |text: &str| printable(text.rsplit(['/', '\\']).next().unwrap_or_default(), NAME_CHARS);
    let end = uri.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let named = name.map(plain).filter(|name| name.contains('.'));
    let named = named.or_else(|| Some(plain(end)).filter(|end| !end.is_empty() && !end.ends_with(':')));
    named.or_else(|| name.map(plain).filter(|name| !name.is_empty())).unwrap_or_else(|| "resource".to_owned())
}

/// Reads a resource; the error is for the log and the person.
pub(crate) async fn read(connection: &Connection, uri: &str, limits: &Limits) -> Result<Vec<Resource>, String> {
    let read = connection.request("resources/read", json!({ "uri": uri }), limits.call_timeout).await;
    let result = read.map_err(|error| match error {
        RequestError::Late => "it was not given in time".to_owned(),
        RequestError::Closed => "the server stopped".to_owned(),
        RequestError::Answered { code, message } => format!("the server refused it: {message} (code {code})"),
        RequestError::TooLarge { size } => format!("it has {size} bytes"),
        RequestError::Lost { reason } => reason,
    })?;
    let contents = result["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found: Vec<Resource> = contents.iter().take(MOST).filter_map(|part| resource(part, None)).collect();
    let size: usize = found.iter().map(|part| part.bytes.len()).sum();
    if size > limits.resource_bytes {
        return Err(format!("it has {size} bytes, and {} are taken", limits.resource_bytes));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_result_carries_and_names_is_found() {
        let result = json!({"content": [
            {"type": "text", "text": "see the file"},
            {"type": "resource", "resource": {"uri": "file:///home/x/plan.txt", "text": "dig"}},
            {"type": "resource", "resource": {"uri": "db://rows/7", "blob": "AAEC", "mimeType": "image/png"}},
            {"type": "resource", "resource": {"uri": "db://broken", "blob": "not base64!"}},
            {"type": "resource", "resource": {"text": "no uri"}},
            {"type": "resource_link", "uri": "https://example.org/a/b?x=1", "name": "../../etc/report.pdf"},
            {"type": "resource_link", "uri": "mem://notes/", "title": "Notes"},
            {"type": "resource_link"},
        ]});
        let carried: Vec<(String, Vec<u8>)> = resources_in(&result).into_iter().map(|r| (r.name, r.bytes)).collect();
        assert_eq!(carried, [("plan.txt".to_owned(), b"dig".to_vec()), ("7".to_owned(), vec![0, 1, 2])]);
        let named: Vec<(String, String)> = links(&result).into_iter().map(|l| (l.name, l.uri)).collect();
        assert_eq!(
            named,
            [("report.pdf", "https://example.org/a/b?x=1"), ("notes", "mem://notes/")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert!(resources_in(&json!("x")).is_empty() && links(&json!({"content": 1})).is_empty());
        assert_eq!(name_of("x://", Some("A title")), "A title");
    }
}
