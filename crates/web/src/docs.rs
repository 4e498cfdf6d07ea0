//! `/docs`: the API's description as a page, without script and without anything from elsewhere.

use std::{collections::BTreeMap, sync::LazyLock};

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use crate::{api::openapi::DOCUMENT, desk::layout, fault::codes::CODES};

/// The page never changes while the program runs.
static PAGE: LazyLock<String> = LazyLock::new(|| layout::open_page("API", &content(&DOCUMENT)).into_string());

/// `GET /docs`
pub(crate) async fn page() -> Markup {
    PreEscaped(PAGE.clone())
}

fn content(doc: &Value) -> Markup {
    let mut groups: BTreeMap<&str, Vec<(&str, &str, &Value)>> = BTreeMap::new();
    for (path, methods) in doc["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or("Other");
            groups.entry(tag).or_default().push((path, method, operation));
        }
    }
    html! {
        h1 { "Steward’s API" }
        p.soft { "Version " (text(&doc["info"]["version"])) " · OpenAPI 3.1: " a href="/v1/openapi.json" { "/v1/openapi.json" } }
        @for paragraph in text(&doc["info"]["description"]).split("\n\n") { p { (inline(paragraph)) } }
        nav aria-label="Contents" {
            ul { @for tag in groups.keys() { li { a href={ "#" (anchor(tag)) } { (tag) } } } li { a href="#codes" { "Codes of refusals" } } li { a href="#schemas" { "Schemas" } } }
        }
        @for (tag, operations) in &groups {
            section id=(anchor(tag)) {
                h2 { (tag) }
                @for (path, method, operation) in operations { (one(path, method, operation)) }
            }
        }
        section #codes {
            h2 { "Codes of refusals" }
            table {
                caption.hidden { "Codes by status" }
                thead { tr { th scope="col" { "Code" } th scope="col" { "Status" } th scope="col" { "What it means" } } }
                tbody { @for one in CODES { tr { th scope="row" { code { (one.name) } } td { (one.status) } td { (inline(one.means)) } } } }
            }
        }
        section #schemas {
            h2 { "Schemas" }
            @for (name, schema) in doc["components"]["schemas"].as_object().into_iter().flatten() {
                // A part is the same with fields left out; a list is a page of its rows.
                @if !name.ends_with("Part") && !name.starts_with("List_") { (described(name, schema)) }
            }
        }
    }
}

fn one(path: &str, method: &str, operation: &Value) -> Markup {
    let parameters = operation["parameters"].as_array();
    html! {
        details id=(text(&operation["operationId"])) {
            summary { code { (method.to_uppercase()) " " (path) } " " (text(&operation["summary"])) }
            @if let Some(about) = operation["description"].as_str() { p { (inline(about)) } }
            @if let Some(parameters) = parameters {
                table {
                    thead { tr { th scope="col" { "Parameter" } th scope="col" { "In" } th scope="col" { "Type" } th scope="col" { "What" } } }
                    tbody {
                        @for p in parameters {
                            tr { td { code { (text(&p["name"])) } } td { (text(&p["in"])) } td { (kind(&p["schema"])) } td { (inline(text(&p["description"]))) } }
                        }
                    }
                }
            }
            @if let Some(body) = operation.pointer("/requestBody/content/application~1json/schema") {
                p { "Body: " (kind(body)) }
            }
            table {
                thead { tr { th scope="col" { "Answer" } th scope="col" { "Type" } th scope="col" { "When" } } }
                tbody {
                    @for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                        @let response = followed(response);
                        tr {
                            td { (status) }
                            td { @if let Some(schema) = schema_of(response) { (kind(schema)) } }
                            td { (inline(text(&response["description"]))) }
                        }
                    }
                }
            }
        }
    }
}

fn described(name: &str, schema: &Value) -> Markup {
    let parts: Vec<&Value> = schema["allOf"].as_array().map_or_else(|| vec![schema], |all| all.iter().collect());
    html! {
        article id={ "schema-" (name) } {
            h3 { (name) }
            @if let Some(about) = schema["description"].as_str() { p { (inline(about)) } }
            @for part in parts {
                @if part.get("$ref").is_some() { p { "All of " (kind(part)) ", and:" } }
                @if let Some(properties) = part["properties"].as_object().filter(|p| !p.is_empty()) {
                    table {
                        thead { tr { th scope="col" { "Field" } th scope="col" { "Type" } th scope="col" { "What" } } }
                        tbody {
                            @for (field, property) in properties {
                                tr {
                                    td { code { (field) } @if is_required(part, field) { " " span.soft title="always there" { "•" } } }
                                    td { (kind(property)) (limits(property)) }
                                    td { (inline(text(&property["description"]))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn is_required(schema: &Value, field: &str) -> bool {
    schema["required"].as_array().is_some_and(|all| all.iter().any(|name| name == field))
}

/// The type in a few words, with a link where it has a place of its own.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        if let Some(row) = name.strip_prefix("List_") {
            return html! { "page of " a href={ "#schema-" (row) } { (row) } };
        }
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choice].as_array() {
            return choices
                .iter()
                // A part is the same with fields left out.
                .filter(|c| !c["$ref"].as_str().is_some_and(|r| r.ends_with("Part")))
                .map(kind)
                .reduce(|a, b| html! { (a) " or " (b) })
                .unwrap_or_else(|| html! {});
        }
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec!["any"],
    };
    let format = schema["format"].as_str().filter(|f| *f != "int32" && *f != "int64");
    html! {
        (names.join(" or "))
        @if let Some(format) = format { " (" (format) ")" }
        @if names.contains(&"array") { " of " (kind(&schema["items"])) }
    }
}

fn limits(schema: &Value) -> Markup {
    let range = |least: &str, most: &str| match (schema[least].as_i64(), schema[most].as_i64()) {
        (Some(a), Some(b)) => Some(format!("{a}–{b}")),
        (Some(a), None) => Some(format!("from {a}")),
        (None, Some(b)) => Some(format!("to {b}")),
        (None, None) => None,
    };
    let words: Vec<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    html! {
        @if !words.is_empty() { ": " @for (n, word) in words.iter().enumerate() { @if n > 0 { ", " } code { (word) } } }
        @if let Some(range) = range("minimum", "maximum") { ", " (range) }
        @if let Some(range) = range("minLength", "maxLength") { ", " (range) " characters" }
        @if let Some(range) = range("minItems", "maxItems") { ", " (range) " entries" }
    }
}

fn followed(response: &Value) -> &Value {
    let place = response["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    place.and_then(|place| DOCUMENT.pointer(place)).unwrap_or(response)
}

fn schema_of(response: &Value) -> Option<&Value> {
    response["content"].as_object()?.values().next()?.get("schema")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn anchor(tag: &str) -> String {
    tag.to_lowercase().replace(' ', "-")
}

/// Text whose pieces between back ticks are code, and between pairs of stars strong.
fn inline(source: &str) -> Markup {
    html! {
        @for (n, piece) in source.split('`').enumerate() {
            @if n % 2 == 1 { code { (piece) } } @else {
                @for (m, word) in piece.split("**").enumerate() { @if m % 2 == 1 { strong { (word) } } @else { (word) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_schema_is_on_the_page() {
        // The frame is the desk's own.
        let page = content(&DOCUMENT).into_string();
        for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let line = format!("<code>{} {path}</code>", method.to_uppercase());
                assert!(page.contains(&line), "{line}");
            }
        }
        for link in page.split("href=\"#").skip(1).map(|l| l.split('"').next().unwrap()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
        }
        assert!(
            !page.contains("<script") && !page.contains(" style=") && !page.contains("http://"),
            "nothing inline or foreign"
        );
    }

    #[test]
    fn markup_in_texts_stays_text() {
        assert_eq!(inline("a `<b>` **c**").into_string(), "a <code>&lt;b&gt;</code> <strong>c</strong>");
    }
}
