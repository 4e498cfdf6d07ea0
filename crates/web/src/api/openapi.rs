//! The description of the API (OpenAPI 3.1), made from the routes and the rows' own types and enriched with what types
//! do not say: which refusals to expect, what fields may hold, examples.

use std::{collections::BTreeSet, sync::LazyLock};

use serde_json::{Map, Value, json};

use super::facts::{FACTS, FILTERS, Fact};
use crate::fault::codes::CODES;

/// The whole description.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| enrich(serde_json::to_value(super::described()).unwrap_or_default()));

const ABOUT: &str = "\
Steward's API: tasks, approvals, watchers, servers, policies, notifications, logs and the audit trail, under the same rights \
as everywhere else: you read and change what you may, and nothing is changed by GET.

**Who asks.** A token (`Authorization: Bearer …`) or the desk's cookie. What changes something must show that no other site \
sent it: a JSON body, or the header `X-Steward-CSRF: 1`.

**Lists** are `{data, next}`, newest first unless said otherwise. Send `next` as `cursor` for the following page.

**Changes** are merge patches (RFC 7396). A row comes with an `ETag`; sent back as `If-Match`, the change is refused with 412 \
where the row is another by now, and the answer says how it stands and what changed it.

**Repeating.** A POST with an `Idempotency-Key` is done once: the same key with the same request gets the same answer for 24 \
hours. A file is the same request by its task, name, content and `expires_at`, in a form or not.

**Refusals** are problem documents (RFC 9457) with a stable `code`, and `errors` by field. **Times** are RFC 3339 in UTC.";

/// Statuses, when each is answered, and for which operations.
const REFUSALS: &[(u16, &str)] = &[
    (304, "Not modified: `If-None-Match` names what would be sent"),
    (400, "The request can't be read"),
    (401, "This needs a valid session or token"),
    (403, "You may not do this, or it does not show where it comes from"),
    (404, "There is no such thing, or you may not see it"),
    (408, "Nothing of the body came for 30 seconds"),
    (409, "Its state does not allow it, or somebody else was first"),
    (412, "It is not as `If-Match` says; the answer says how it stands"),
    (413, "The body is larger than 256 KiB, or a file than the operator allows"),
    (415, "The body must be JSON"),
    (416, "The content has no such range; `Content-Range` says how long it is"),
    (421, "This Steward does not answer to the host that the request names"),
    (422, "A field is wrong; `errors` says which"),
    (429, "Too many requests; `Retry-After` says when to come again"),
    (500, "Something went wrong inside; the log has the details under the request's id"),
    (503, "The database is busy or away; `Retry-After` says when to come again"),
    (507, "The disk is full, or files take all that the operator allows"),
];

fn expected(status: u16, method: &str, path: &str, is_open: bool) -> bool {
    let writes = method != "get";
    match status {
        304 => !writes,
        401 => !is_open || path.ends_with("/login"),
        404 => path.contains('{') || writes,
        408 => is_upload(method, path),
        415 => writes && !is_upload(method, path),
        409 | 413 | 507 => writes,
        412 => honours_if_match(method, path) || path.ends_with("/content"),
        416 => path.ends_with("/content"),
        _ => true,
    }
}

/// Files are brought in a form or as they are.
fn is_upload(method: &str, path: &str) -> bool {
    method == "post" && path.ends_with("/attachments")
}

/// Rows with a tag of their own. What can only be revoked or forgotten (sessions, tokens, browsers) is as it was read.
fn honours_if_match(method: &str, path: &str) -> bool {
    let rows = ["tasks", "watchers", "servers", "policies", "memories", "playbooks", "attachments"];
    let kind = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    method == "patch" || method == "delete" && rows.contains(&kind)
}

/// Operations without a session.
const OPEN: &[&str] = &["/v1/auth/login", "/v1/auth/login/passkey", "/v1/auth/login/passkey/begin", "/v1/openapi.json"];

fn enrich(mut doc: Value) -> Value {
    doc["openapi"] = json!("3.1.0");
    doc["info"] = json!({
        "title": "Steward",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    doc["servers"] = json!([{ "url": "/" }]);
    doc["security"] = json!([{ "token": [] }, { "cookie": [] }]);
    let inputs = inputs(&doc);
    if let Some(schemas) = doc["components"]["schemas"].as_object_mut() {
        for (name, schema) in schemas.iter_mut() {
            dress_schema(name, schema, inputs.contains(name));
        }
        add_parts(schemas, &inputs);
    }
    let schemas = doc["components"]["schemas"].as_object().cloned().unwrap_or_default();
    if let Some(paths) = doc["paths"].as_object_mut() {
        for (path, methods) in paths.iter_mut() {
            for (method, operation) in methods.as_object_mut().into_iter().flatten() {
                dress_operation(path, method, operation, &schemas);
            }
        }
    }
    doc["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer", "description": "An API token" },
        "cookie": { "type": "apiKey", "in": "cookie", "name": "steward_session", "description": "The desk's session" },
    });
    doc["components"]["responses"] = REFUSALS
        .iter()
        .map(|(status, when)| {
            let mut response = json!({ "description": when });
            if *status != 304 {
                response["content"] = json!({
                    "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
                });
            }
            if matches!(status, 429 | 503) {
                response["headers"] =
                    json!({ "Retry-After": { "description": "Seconds", "schema": { "type": "integer" } } });
            }
            (format!("Status{status}"), response)
        })
        .collect::<Map<String, Value>>()
        .into();
    doc
}

/// Names of the schemas that requests are made of.
fn inputs(doc: &Value) -> BTreeSet<String> {
    let mut open: Vec<&Value> = Vec::new();
    for operation in
        doc["paths"].as_object().into_iter().flatten().flat_map(|(_, m)| m.as_object().into_iter().flatten())
    {
        open.push(&operation.1["requestBody"]);
    }
    let mut found = BTreeSet::new();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next())
                    && found.insert(name.to_owned())
                {
                    open.push(&doc["components"]["schemas"][name]);
                }
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    found
}

fn dress_schema(name: &str, schema: &mut Value, is_input: bool) {
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        dress_schema(name, part, is_input);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (field, property) in properties.iter_mut() {
        for (_, _, fact) in FACTS.iter().filter(|(of, named, _)| *of == name && named == field) {
            state(property, fact);
        }
        if name != "Problem" {
            add_example(field, property);
        }
    }
    if name == "Problem"
        && let Some(code) = properties.get_mut("code")
    {
        code["enum"] = CODES.iter().map(|c| c.name).collect();
    }
    let all: Vec<String> = properties.keys().cloned().collect();
    if name.ends_with("Edit") {
        // What is not named in a change stays.
        demand_nothing(schema);
    } else if name == "Stands" {
        // It is part of the answer to a change that came late, and of no other.
        demand_nothing(schema);
    } else if !is_input && name != "Problem" {
        // What is answered has all its fields.
        schema["required"] = json!(all);
    }
}

fn state(property: &mut Value, fact: &Fact) {
    match fact {
        Fact::Words(words) => {
            let mut words: Vec<Value> = words.iter().map(|w| json!(w)).collect();
            if property["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null"))) {
                words.push(Value::Null);
            }
            property["enum"] = Value::Array(words);
        }
        Fact::Chars(least, most) => {
            property["minLength"] = json!(least);
            property["maxLength"] = json!(most);
        }
        Fact::Range(least, most) => {
            property["minimum"] = json!(least);
            property["maximum"] = json!(most);
        }
        Fact::Items(most) => property["maxItems"] = json!(most),
    }
}

fn add_example(field: &str, property: &mut Value) {
    let format = property["format"].as_str().unwrap_or_default();
    let example = match (format, field) {
        ("uuid", _) => json!("0192d3a4-5b6c-7d8e-9f00-112233445566"),
        ("date-time", _) => json!("2026-12-24T15:00:00Z"),
        (_, "title") => json!("Call the tax office"),
        (_, "username") => json!("ada"),
        (_, "email") => json!("ada@example.org"),
        (_, "tags") => json!(["home"]),
        (_, "cron") => json!("30 2 * * *"),
        (_, "time_zone") => json!("Europe/Berlin"),
        (_, "server") => json!("files"),
        (_, "tool") => json!("move_file"),
        (_, "watcher_type") => json!("folder"),
        (_, "command") => json!("npx"),
        (_, "module") => json!("importer"),
        (_, "message") => json!("the import stopped"),
        _ => return,
    };
    if property.get("$ref").is_none() {
        property["examples"] = json!([example]);
    }
}

/// For each row that can be answered in part, the same with no field required.
fn add_parts(schemas: &mut Map<String, Value>, inputs: &BTreeSet<String>) {
    let parts: Vec<(String, Value)> = schemas
        .iter()
        .filter(|(name, schema)| {
            !inputs.contains(*name)
                && !name.starts_with("List_")
                && (schema.get("properties").is_some() || schema.get("allOf").is_some())
        })
        .map(|(name, schema)| (format!("{name}Part"), part_of(schema)))
        .collect();
    let wanted: BTreeSet<String> = parts.iter().map(|(name, _)| name.clone()).collect();
    schemas.extend(parts);
    let lists: Vec<(String, Value)> = schemas
        .iter()
        .filter_map(|(name, schema)| {
            let row = name.strip_prefix("List_")?;
            wanted.contains(&format!("{row}Part")).then(|| {
                let mut list = schema.clone();
                list["properties"]["data"]["items"] = json!({ "$ref": format!("#/components/schemas/{row}Part") });
                (format!("{name}Part"), list)
            })
        })
        .collect();
    schemas.extend(lists);
}

fn part_of(schema: &Value) -> Value {
    let mut part = schema.clone();
    for piece in part.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = piece.get("$ref").and_then(Value::as_str).map(|r| format!("{r}Part"));
        match name {
            Some(name) => *piece = json!({ "$ref": name }),
            None => demand_nothing(piece),
        }
    }
    demand_nothing(&mut part);
    part
}

fn demand_nothing(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        map.remove("required");
    }
}

fn dress_operation(path: &str, method: &str, operation: &mut Value, schemas: &Map<String, Value>) {
    let words: Vec<&str> = path.split('/').filter(|w| !w.is_empty() && *w != "v1").collect();
    let id = words.iter().map(|w| w.trim_matches(['{', '}']).replace(['-', '.'], "_")).collect::<Vec<_>>().join("_");
    operation["operationId"] = json!(format!("{method}_{id}"));
    let is_open = OPEN.contains(&path);
    if is_open {
        operation["security"] = json!([]);
    }
    for (status, _) in REFUSALS.iter().filter(|(status, _)| expected(*status, method, path, is_open)) {
        operation["responses"][status.to_string()] =
            json!({ "$ref": format!("#/components/responses/Status{status}") });
    }
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in &mut parameters {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let Some((_, _, words)) = FILTERS.iter().find(|(of, field, _)| *of == path && *field == name) {
            parameter["schema"] = json!({ "type": "string", "enum": words });
        }
        // A parameter is there or not; it is never `null`.
        if let Some(kinds) = parameter["schema"]["type"].as_array().cloned() {
            parameter["schema"]["type"] = kinds.into_iter().find(|k| k != "null").unwrap_or(Value::Null);
        }
    }
    let takes_fields = parameters.iter().any(|p| p["name"] == "fields");
    // Lists of tags are as long as a request's head may be; what is none of ours just does not match (RFC 9110, 13.1).
    let header = |name: &str, about: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": about, "schema": schema });
    let tags = || json!({ "type": "string" });
    if method == "get" {
        let about = "The `ETag` of what you have; 304 says that it is still right";
        parameters.push(header("If-None-Match", about, tags()));
    } else if honours_if_match(method, path) {
        parameters.push(header("If-Match", "The `ETag` of the row as you read it", tags()));
    } else if method == "post" && !path.starts_with("/v1/auth/") {
        let about = "A word of your own; the same request under it is done once in 24 hours";
        parameters.push(header(
            "Idempotency-Key",
            about,
            json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        ));
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        // A body that is missing counts as `{}`; but a change is said, be it of nothing.
        let demands = |schema: &Value| schema["required"].as_array().is_some_and(|names| !names.is_empty());
        let name = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()).unwrap_or_default();
        operation["requestBody"]["required"] = json!(method == "patch" || schemas.get(name).is_none_or(demands));
    }
    if method == "patch" {
        let content = &mut operation["requestBody"]["content"];
        let body = content["application/json"].clone();
        content["application/merge-patch+json"] = body;
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if !status.starts_with('2') {
            continue;
        }
        response["headers"] =
            json!({ "X-Request-Id": { "description": "The request's id in the log", "schema": { "type": "string" } } });
        let Some(schema) = response.pointer_mut("/content/application~1json/schema") else { continue };
        response_part(schema, takes_fields, schemas);
        if method == "get" {
            response["headers"]["ETag"] =
                json!({ "description": "The tag of this answer", "schema": { "type": "string" } });
        }
    }
}

/// With `fields` a part of each row is answered.
fn response_part(schema: &mut Value, takes_fields: bool, schemas: &Map<String, Value>) {
    let Some(name) = schema.get("$ref").and_then(Value::as_str).map(str::to_owned) else { return };
    let part = format!("{name}Part");
    if takes_fields && part.rsplit('/').next().is_some_and(|own| schemas.contains_key(own)) {
        *schema = json!({ "anyOf": [{ "$ref": name }, { "$ref": part }] });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_said_of_fields_is_said_of_fields_that_there_are() {
        let schemas = &DOCUMENT["components"]["schemas"];
        for (name, field, _) in FACTS {
            assert!(schemas[name]["properties"].get(field).is_some(), "{name} has no field {field}");
        }
        for (path, field, _) in FILTERS {
            let parameters = DOCUMENT["paths"][path]["get"]["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|p| p["name"] == *field), "{path} takes no {field}");
        }
    }

    #[test]
    fn everything_is_described() {
        let mut ids = BTreeSet::new();
        for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let place = format!("{method} {path}");
                assert!(ids.insert(operation["operationId"].to_string()), "{place}: its id is another's too");
                assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{place} has no summary");
                assert!(operation["tags"].as_array().is_some_and(|t| t.len() == 1), "{place} has no tag");
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    assert!(parameter["description"].is_string(), "{place}: {parameter} is not described");
                }
            }
        }
        for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
            if name.ends_with("Part") {
                continue;
            }
            let own = std::iter::once(schema).chain(schema["allOf"].as_array().into_iter().flatten());
            for (field, property) in own.flat_map(|s| s["properties"].as_object().into_iter().flatten()) {
                let said = property["description"].is_string()
                    || property["oneOf"].as_array().into_iter().flatten().any(|o| o["description"].is_string())
                    || property["$ref"].is_string();
                assert!(said, "{name}.{field} is not described");
            }
        }
        let text = DOCUMENT.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let place = reference.split('"').next().unwrap();
            assert!(DOCUMENT.pointer(place).is_some(), "{place} leads nowhere");
        }
    }

    /// A line for each operation, its parameters and answers, and for each field of each schema.
    fn outline() -> Vec<String> {
        let plain = |v: &Value| {
            let mut v = v.clone();
            if let Some(map) = v.as_object_mut() {
                map.retain(|name, _| !matches!(name.as_str(), "description" | "examples"));
            }
            domain::playbook::canonical_json(&v).replace("#/components/schemas/", "")
        };
        // Whether a map keeps its own order depends on a feature that any crate may switch on.
        let sorted = |map: &Value| -> BTreeMap<String, Value> {
            map.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let mut lines = Vec::new();
        for (path, methods) in sorted(&DOCUMENT["paths"]) {
            for (method, operation) in sorted(&methods) {
                lines.push(format!("{method} {path}: {}", operation["summary"].as_str().unwrap()));
                for p in operation["parameters"].as_array().into_iter().flatten() {
                    lines.push(format!("    {} {}: {}", p["in"], p["name"], plain(&p["schema"])));
                }
                if let Some(body) = operation.pointer("/requestBody/content/application~1json/schema") {
                    let needed = operation["requestBody"]["required"] == true;
                    lines.push(format!("    {}: {}", if needed { "body" } else { "body, or none" }, plain(body)));
                }
                let answers = sorted(&operation["responses"]);
                lines.push(format!("    answers: {}", answers.keys().cloned().collect::<Vec<_>>().join(" ")));
                for response in answers.values() {
                    if let Some(schema) = response.pointer("/content/application~1json/schema") {
                        lines.push(format!("    {}", plain(schema)));
                    }
                }
            }
        }
        for (name, schema) in sorted(&DOCUMENT["components"]["schemas"]) {
            if name.ends_with("Part") {
                continue;
            }
            let own = std::iter::once(&schema).chain(schema["allOf"].as_array().into_iter().flatten());
            for part in own {
                let required = part.get("required").map(Value::to_string).unwrap_or_default();
                lines.push(format!("{name}{} {required}", part.get("$ref").map(Value::to_string).unwrap_or_default()));
                for (field, property) in sorted(&part["properties"]) {
                    lines.push(format!("    {field}: {}", plain(&property)));
                }
            }
        }
        lines
    }

    #[test]
    fn the_description_is_as_it_was() {
        insta::assert_snapshot!(outline().join("\n"));
    }
}
