//! Servers that need no other program: files within folders, the web within hosts, mail, notes, tasks and reminders.
//!
//! Each is spoken to like any other server (`server` speaks the protocol within this process), and is bound by the same
//! approval of its tools, the same rules, journal and outcomes. What one may touch stands in its settings, which are the one
//! argument of its command `builtin:KIND`; what is secret stands sealed in its environment.

mod confined;
mod files;
mod house;
mod mail;
mod notes;
mod search;
mod server;
mod web;

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{Actor, Store, mcp_servers::BUILTIN};

pub(crate) use server::Builtin;

/// The kinds there are.
pub const KINDS: [&str; 5] = ["files", "web", "mail", "notes", "tasks"];

/// Why a tool did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// It surely was not done, and would not be if it were asked again.
    Refused(String),
    /// It surely was not done; it may be asked again.
    NotStarted(String),
    /// It may have been done.
    Unknown(String),
}

type Done = Result<Value, Failure>;

impl Failure {
    fn refused(said: impl Into<String>) -> Self {
        Self::Refused(said.into())
    }
}

/// A built-in server with its settings.
enum Kind {
    Files(files::Files),
    Web(web::Web),
    Mail(mail::Mail),
    Notes(notes::Notes),
    Tasks(house::House),
}

/// The kind that a server's command names; none where that is a program or an address.
pub fn kind_of(command: &str) -> Option<&str> {
    command.strip_prefix(BUILTIN)
}

/// Whether a built-in server can be used with these settings; the error is for its owner. Of other servers it says nothing.
pub fn check(command: &str, args: &[String], environment: &BTreeMap<String, String>) -> Result<(), String> {
    if kind_of(command).is_none() {
        return Ok(());
    }
    let environment =
        environment.iter().map(|(name, value)| (name.clone(), SecretString::from(value.as_str()))).collect();
    open(command, args, &environment, None).map(drop)
}

/// The same for a server that somebody adds, who may: that is looked at first, as it asks the disk. A refusal is one of
/// `field`.
pub async fn check_new(
    field: &'static str,
    store: &Store,
    actor: &Actor,
    new: &domain::servers::NewServer,
) -> domain::Result<()> {
    if kind_of(&new.command).is_none() {
        return Ok(());
    }
    domain::servers::may_change(actor, store).await?;
    let new = new.clone();
    let checked = domain::own_places::ask_disk(field, move || check(&new.command, &new.args, &new.environment)).await?;
    checked.map_err(|why| domain::Error::invalid(field, why))
}

fn open(
    command: &str,
    args: &[String],
    environment: &BTreeMap<String, SecretString>,
    store: Option<Store>,
) -> Result<Kind, String> {
    let kind = kind_of(command).unwrap_or_default();
    let config = match args {
        [] => json!({}),
        [text] => serde_json::from_str(text).map_err(|e| format!("the settings are no JSON ({e})"))?,
        _ => return Err("a built-in server takes its settings as one JSON object, and nothing else".to_owned()),
    };
    match kind {
        "files" => files::Files::open(&settings(config)?).map(Kind::Files),
        "web" => web::Web::open(settings(config)?, environment.get("AUTHORIZATION")).map(Kind::Web),
        "mail" => mail::Mail::open(settings(config)?, environment.get("PASSWORD")).map(Kind::Mail),
        "notes" => notes::Notes::open(&settings(config)?).map(Kind::Notes),
        "tasks" => house::House::open(settings(config)?, store).map(Kind::Tasks),
        other => Err(format!("there is no built-in server {other:?}; there are: {}", KINDS.join(", "))),
    }
}

fn settings<T: DeserializeOwned>(config: Value) -> Result<T, String> {
    serde_json::from_value(config).map_err(|e| format!("the settings do not fit: {e}"))
}

/// The arguments of a call. They fit the tool's schema already, as far as the employee asks; a person may try anything.
fn arguments<T: DeserializeOwned>(sent: Value) -> Result<T, Failure> {
    serde_json::from_value(sent).map_err(|e| Failure::refused(format!("the arguments do not fit the tool: {e}")))
}

/// A tool as the protocol shows it.
fn tool(name: &str, description: &str, is_reading: bool, properties: &Value, required: &[&str]) -> Value {
    json!({
        "name": name,
        "description": description,
        "inputSchema": {
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        },
        "annotations": { "readOnlyHint": is_reading },
    })
}

impl Kind {
    fn tools(&self) -> Vec<Value> {
        match self {
            Self::Files(files) => files.tools(),
            Self::Web(_) => web::tools(),
            Self::Mail(_) => mail::tools(),
            Self::Notes(_) => notes::tools(),
            Self::Tasks(_) => house::tools(),
        }
    }

    async fn call(&self, tool: &str, sent: Value) -> Done {
        match self {
            Self::Files(files) => files.call(tool, sent).await,
            Self::Web(web) => web.call(tool, sent).await,
            Self::Mail(mail) => mail.call(tool, sent).await,
            Self::Notes(notes) => notes.call(tool, sent).await,
            Self::Tasks(house) => house.call(tool, sent).await,
        }
    }
}

fn unknown_tool(tool: &str) -> Failure {
    Failure::refused(format!("there is no tool {tool}"))
}

/// Runs what waits for a disk away from the async threads. What ends unexpectedly may have been done.
async fn blocking(work: impl FnOnce() -> Done + Send + 'static) -> Done {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Failure::Unknown(format!("it ended unexpectedly ({e})"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &str, config: &Value, environment: &[(&str, &str)]) -> Result<(), String> {
        let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        check(command, &[config.to_string()], &environment)
    }

    #[test]
    fn settings_are_checked_before_a_server_is_added() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().display().to_string();
        said("builtin:files", &json!({ "folders": [folder] }), &[]).unwrap();
        said("builtin:notes", &json!({ "folder": folder }), &[]).unwrap();
        said("builtin:web", &json!({ "hosts": ["api.example.org"] }), &[("AUTHORIZATION", "Bearer x")]).unwrap();
        let account = json!({ "host": "smtp.example.org", "from": "Ada <ada@example.org>", "user": "ada" });
        said("builtin:mail", &account, &[("PASSWORD", "x")]).unwrap();
        said("builtin:tasks", &json!({}), &[]).unwrap();
        said("npx", &json!({}), &[]).unwrap();
        for (command, config, word) in [
            ("builtin:files", json!({}), "folders"),
            ("builtin:files", json!({ "folders": [] }), "folder"),
            ("builtin:files", json!({ "folders": ["relative"] }), "whole path"),
            ("builtin:files", json!({ "folders": ["/a/../b"] }), "whole path"),
            ("builtin:files", json!({ "folders": ["/a"], "folder": 1 }), "folder"),
            ("builtin:web", json!({ "hosts": [] }), "hosts"),
            ("builtin:web", json!({ "hosts": ["https://x.example"] }), "host"),
            ("builtin:mail", account, "password"),
            ("builtin:mail", json!({ "host": "x", "from": "nobody" }), "from"),
            ("builtin:clock", json!({}), "files, web, mail"),
        ] {
            let why = said(command, &config, &[]).unwrap_err();
            assert!(why.contains(word), "{command} {config}: {why}");
        }
        let two = json!({ "hosts": ["a.example", "b.example"] });
        assert!(said("builtin:web", &two, &[("AUTHORIZATION", "Bearer x")]).unwrap_err().contains("one host"));
    }
}
