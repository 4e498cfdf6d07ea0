//! What a tool is, as its server describes it, and the hash by which any change of that shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The longest name kept; `server_tools.name` holds no more.
const MAX_NAME_CHARS: usize = 255;
/// The largest definition kept, in bytes.
const MAX_DEFINITION_BYTES: usize = 256 * 1024;

/// One tool a server offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Unique within the server; 1 to 255 characters.
    pub name: String,
    /// The server's words; data, not to be trusted.
    pub description: Option<String>,
    /// The JSON schema its arguments must meet.
    pub input_schema: Value,
    /// SHA-256 (hex) over the whole definition in canonical form: name, title, description, input and output schema,
    /// annotations and whatever else the server says of it, except `_meta` and `icons`, which carry no meaning for a
    /// call and change by themselves.
    pub sha256: String,
}

impl ToolDefinition {
    /// Reads one entry of `tools/list`; an unusable one is an error that says why.
    pub(crate) fn read(entry: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = entry else { return Err("a tool that is not an object".into()) };
        fields.remove("_meta");
        fields.remove("icons");
        let name = match fields.get("name") {
            Some(Value::String(name)) if !name.is_empty() && name.chars().count() <= MAX_NAME_CHARS => name.clone(),
            _ => return Err(format!("a tool without a name of 1 to {MAX_NAME_CHARS} characters")),
        };
        let input_schema = match fields.get("inputSchema") {
            Some(schema @ Value::Object(_)) => schema.clone(),
            _ => return Err(format!("the tool {name:?}, which has no input schema")),
        };
        let description = fields.get("description").and_then(Value::as_str).map(str::to_owned);
        let canonical = canonical_json(&Value::Object(fields));
        if canonical.len() > MAX_DEFINITION_BYTES {
            return Err(format!("the tool {name:?}, whose definition has {} bytes", canonical.len()));
        }
        Ok(Self { name, description, input_schema, sha256: hex::encode(Sha256::digest(canonical.as_bytes())) })
    }
}

/// A whole list of tools by name. Two tools of one name are both left out: which of them a call would reach is the
/// server's secret.
pub(crate) fn collect(entries: Vec<Value>) -> (BTreeMap<String, ToolDefinition>, Vec<String>) {
    let mut tools: BTreeMap<String, Option<ToolDefinition>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for entry in entries {
        match ToolDefinition::read(entry) {
            Ok(tool) => {
                let name = tool.name.clone();
                if let Some(earlier) = tools.get_mut(&name) {
                    left_out.push(format!("the tool {name:?}, which is listed twice"));
                    *earlier = None;
                } else {
                    tools.insert(name, Some(tool));
                }
            }
            Err(what) => left_out.push(what),
        }
    }
    (tools.into_iter().filter_map(|(name, tool)| Some((name, tool?))).collect(), left_out)
}

/// The one text of a JSON value: keys sorted, no white space. Two values that mean the same have the same text.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

// Recursion is bounded by the parser, which refuses more than 128 levels.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => write_object(fields, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_object(fields: &Map<String, Value>, out: &mut String) {
    // Sorted here whatever order the map keeps: another crate may switch `preserve_order` on for everybody.
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort_unstable();
    out.push('{');
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&Value::String(name.clone()).to_string());
        out.push(':');
        write_canonical(&fields[name.as_str()], out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool() -> Value {
        json!({"name": "move_file", "description": "Moves.", "inputSchema": {"type": "object", "properties": {}},
               "annotations": {"readOnlyHint": false}})
    }

    #[test]
    fn the_order_of_keys_is_not_a_change_and_everything_else_is() {
        let hash = |value: Value| ToolDefinition::read(value).unwrap().sha256;
        let reordered: Value = serde_json::from_str(
            r#"{"inputSchema":{"properties":{},"type":"object"},"annotations":{"readOnlyHint":false},
                "name":"move_file","description":"Moves.","_meta":{"seen":1},"icons":[]}"#,
        )
        .unwrap();
        assert_eq!(hash(tool()), hash(reordered));
        for (field, value) in [
            ("name", json!("move_files")),
            ("title", json!("Move")),
            ("description", json!("Moves and mails.")),
            ("inputSchema", json!({"type": "object"})),
            ("outputSchema", json!({"type": "object"})),
            ("annotations", json!({"readOnlyHint": true})),
        ] {
            let mut changed = tool();
            changed[field] = value;
            assert_ne!(hash(tool()), hash(changed), "{field}");
        }
    }

    #[test]
    fn unusable_and_ambiguous_tools_are_left_out_and_named() {
        let twice = json!({"name": "x", "inputSchema": {}});
        let long = json!({"name": "n".repeat(256), "inputSchema": {}});
        let huge = json!({"name": "huge", "description": "d".repeat(300_000), "inputSchema": {}});
        let (tools, left_out) =
            collect(vec![tool(), twice.clone(), twice, long, huge, json!({"name": "no schema"}), json!(3)]);
        assert_eq!(tools.keys().collect::<Vec<_>>(), ["move_file"]);
        assert_eq!(left_out.len(), 5, "{left_out:?}");
    }
}
