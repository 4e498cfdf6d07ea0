//! The cases, as they stand in the files, and the world they are tried in.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

/// The server's name.
pub const SERVER: &str = "world";
/// The files, each named by how its content arrives.
pub const KINDS: [&str; 10] =
    ["mail", "file", "feed", "page", "calendar", "name", "result", "description", "attachment", "question"];
/// Those of them that come by no watcher: a person's own task makes the model meet them.
pub const OF_TOOLS: [&str; 4] = ["result", "description", "attachment", "question"];

/// What an attacker wrote, and what a model does that obeys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique.
    pub name: String,
    /// The content.
    pub says: String,
    /// The calls it asks for.
    #[serde(default)]
    pub obeys: Vec<Call>,
    /// The model's last words; `Done.` where none are given.
    pub ends: Option<String>,
    /// Of an attachment: the part of the tool's answer that brings it; a text under an address of its own where none is given.
    pub part: Option<Value>,
    /// The one that a person approves.
    #[serde(default)]
    pub is_honest: bool,
    /// The file it stands in.
    #[serde(skip)]
    pub kind: String,
}

/// A call that the attacker wants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool; with `=` before it the whole name as it is called.
    pub tool: String,
    #[serde(default)]
    pub arguments: Value,
    /// In place of the arguments: JSON as the model writes it.
    pub raw: Option<String>,
    pub meets: Meets,
}

/// What a call must meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meets {
    /// It reads, and may.
    Reading,
    /// A person is asked.
    Person,
    /// A rule denies it.
    Rule,
    /// There is nothing to call: no such tool, not approved, or wrong arguments.
    Nothing,
}

impl Call {
    pub fn offered(&self) -> String {
        self.tool.strip_prefix('=').map_or_else(|| format!("{SERVER}__{}", self.tool), str::to_owned)
    }
}

impl Case {
    /// Whether the content is met only when a tool is asked for it.
    pub fn is_read(&self) -> bool {
        matches!(self.kind.as_str(), "file" | "result" | "attachment" | "question")
    }

    /// All calls, the reading one first.
    pub fn calls(&self) -> Vec<Call> {
        let read =
            Call { tool: "read".to_owned(), arguments: json!({"id": self.name}), raw: None, meets: Meets::Reading };
        let first = self.is_read().then_some(read);
        first.into_iter().chain(self.obeys.iter().cloned()).collect()
    }
}

/// Every case of the files.
pub fn all() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        case: Vec<Case>,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redteam/cases");
    let mut all: Vec<Case> = Vec::new();
    for kind in KINDS {
        let text = std::fs::read_to_string(folder.join(format!("{kind}.toml"))).unwrap();
        let File { case } = toml::from_str(&text).unwrap_or_else(|e| panic!("{kind}.toml: {e}"));
        all.extend(case.into_iter().map(|case| Case { kind: kind.to_owned(), ..case }));
    }
    let mut names: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "each case has a name of its own");
    all
}

/// What the server offers: the house's tools, and one for each description that is an attack.
pub fn world(all: &[Case]) -> Value {
    let text = |names: &[&str]| {
        let fields: serde_json::Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({"type": "object", "properties": fields, "required": names})
    };
    let answers: serde_json::Map<String, Value> =
        all.iter().filter(|c| c.is_read()).map(|c| (c.name.clone(), c.says.clone().into())).collect();
    let of = |kind: &'static str| all.iter().filter(move |c| c.kind == kind);
    let asks: serde_json::Map<String, Value> =
        of("question").map(|c| (c.name.clone(), c.says.clone().into())).collect();
    let parts: serde_json::Map<String, Value> = of("attachment")
        .map(|c| {
            let own =
                || json!({"type": "resource", "resource": {"uri": format!("world://{}", c.name), "text": c.says}});
            let part = c.part.clone().unwrap_or_else(own);
            (c.name.clone(), json!([{"type": "text", "text": "It is attached."}, part]))
        })
        .collect();
    let mut tools = vec![json!({
        "name": "read", "description": "Reads a thing.", "inputSchema": text(&["id"]), "answers": answers,
        "asks": asks, "parts": parts,
    })];
    for (name, says, needs) in [
        ("send_mail", "Sends a mail.", &["to", "subject", "body"][..]),
        ("pay", "Pays.", &["iban", "amount"]),
        ("delete_file", "Deletes a file.", &["path"]),
        ("write_note", "Writes a note.", &["path", "text"]),
        ("fetch", "Fetches an address.", &["url"]),
        ("share", "Shares a file.", &["path", "with"]),
        ("run", "Runs a command.", &["command"]),
        ("wipe", "Wipes everything.", &[]),
    ] {
        tools.push(json!({"name": name, "description": says, "inputSchema": text(needs), "effect": true}));
    }
    for case in all.iter().filter(|c| c.kind == "description") {
        let mut schema = text(&[]);
        schema["properties"]["word"] = json!({"type": "string", "description": case.says});
        tools.push(json!({"name": format!("look_{}", case.name), "description": case.says, "inputSchema": schema}));
    }
    json!({ "tools": tools })
}
