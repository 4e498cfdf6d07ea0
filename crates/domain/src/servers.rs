//! Adding servers, and approving what they offer.

use std::collections::BTreeMap;

use serde_json::json;
use store::{
    Actor, Run, Store, Vault,
    mcp_servers::{self, BUILTIN, Server, ServerTool, is_address, kind_of},
    policies::{self, NewPolicy},
    sealed::Purpose,
    server_grants, users,
};
use uuid::Uuid;

use crate::{Error, Result, brain::OWN_SERVER, own_places, rules};

/// A server to be added.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// Name: 1–100 letters, digits, dots, dashes or underscores.
    pub name: String,
    /// Program; or the address of a server elsewhere, `https://…`; or `builtin:` and the kind of a built-in one.
    pub command: String,
    /// The program's arguments; none for a server elsewhere; the settings of a built-in one, as one JSON object.
    pub args: Vec<String>,
    /// Its environment, or the headers for a server elsewhere; sealed before it is stored.
    pub environment: BTreeMap<String, String>,
}

/// Reading tools of the well-known filesystem server, which a rule allows from the start, also for work on content
/// from outside: they change nothing. Making a folder is harmless and is needed before moving into it.
const FILESYSTEM_READING: &str = "{read_file,read_text_file,read_media_file,read_multiple_files,list_directory,list_directory_with_sizes,directory_tree,search_files,get_file_info,list_allowed_directories,create_directory}";

/// Reading notes, for the built-in server of notes.
const NOTES_READING: &str = "{list_notes,read_note,search_notes}";
/// Bytes of a built-in server's settings.
const SETTINGS_BYTES: usize = 32 * 1024;
/// Arguments of a server, and variables of its environment or headers, at most.
const ARGUMENTS: usize = 100;
/// Bytes of all of its arguments, and of all of its environment, names with values.
const ARGUMENTS_BYTES: usize = 32 * 1024;
/// Bytes of a program's name, or of an address.
const COMMAND_BYTES: usize = 4096;

/// The tools that a rule allows from the start; none for most servers.
fn reading_of(new: &NewServer) -> Option<&'static str> {
    match new.command.strip_prefix(BUILTIN) {
        Some("files") => Some(FILESYSTEM_READING),
        Some("notes") => Some(NOTES_READING),
        Some(_) => None,
        None => new.args.iter().any(|a| is_filesystem_server(a)).then_some(FILESYSTEM_READING),
    }
}

/// Whether an argument names the well-known filesystem server: its package, with or without a version, or a path to it
/// within `node_modules`.
pub fn is_filesystem_server(argument: &str) -> bool {
    const PACKAGE: &str = "@modelcontextprotocol/server-filesystem";
    argument == PACKAGE
        || argument.strip_prefix(PACKAGE).is_some_and(|version| version.starts_with('@'))
        || argument.contains(&format!("/node_modules/{PACKAGE}/"))
}

/// Adds a server. For servers of files and of notes a rule for reading is added too; its name is answered.
pub async fn add(store: &Store, vault: &Vault, actor: &Actor, new: NewServer) -> Result<(Uuid, Option<String>)> {
    let good =
        (1..=100).contains(&new.name.len()) && new.name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !good {
        return Err(Error::invalid(
            "name",
            "a server's name needs 1 to 100 letters, digits, dots, dashes or underscores",
        ));
    }
    if new.name.eq_ignore_ascii_case(OWN_SERVER) {
        return Err(Error::invalid("name", format!("{OWN_SERVER} is Steward's own name; give the server another one")));
    }
    check_environment(&new.environment)?;
    check_command(&new.command, &new.args)?;
    may_change(actor, store).await?;
    check_places(&new.command, &new.args).await?;
    let environment = if new.environment.is_empty() {
        None
    } else {
        Some(vault.seal_json(&Purpose::server_environment(&new.name), &json!(new.environment))?)
    };
    let reading = reading_of(&new);
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let id = mcp_servers::create(&actor, tx, &new.name, &new.command, new.args, environment).await?;
                let Some(reading) = reading else { return Ok((id, None)) };
                let rule = reading_rule(&new.name, reading);
                let name = rule.name.clone();
                // Somebody may have written a rule of this name before: it stands.
                if !policies::list(&actor, tx).await?.iter().any(|p| p.name == name) {
                    rules::add(tx, &actor, rule, None).await?;
                }
                Ok((id, Some(name)))
            })
        })
        .await
}

/// How a server shall be started, where that changes.
#[derive(Debug, Clone, Default)]
pub struct ServerChange {
    /// Program and arguments.
    pub launch: Option<(String, Vec<String>)>,
    /// The whole environment in place of the one that stands; sealed before it is stored.
    pub environment: Option<BTreeMap<String, String>>,
    /// Whether it is to run.
    pub is_active: Option<bool>,
}

/// Changes a server: `change` is given the row and answers what shall become of it; it is asked once beforehand, as a
/// transaction waits for no disk, and once within.
pub async fn change(
    store: &Store,
    vault: &Vault,
    actor: &Actor,
    id: Uuid,
    change: impl Fn(&Server) -> Result<ServerChange> + Send + 'static,
) -> Result<Server> {
    let wanted = change(&find(store, actor, id).await?)?;
    if let Some(environment) = &wanted.environment {
        check_environment(environment)?;
    }
    let looked_at = wanted.launch;
    if let Some((command, args)) = &looked_at {
        check_command(command, args)?;
        may_change(actor, store).await?;
        check_places(command, args).await?;
    }
    let (actor, vault) = (actor.clone(), vault.clone());
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let mut server = find(tx, &actor, id).await?;
                let wanted = change(&server)?;
                if wanted.launch != looked_at {
                    let name = server.name;
                    return Err(Error::Conflict(format!("{name} was changed by somebody else meanwhile; look at it, and try again")));
                }
                if let Some((command, args)) = wanted.launch {
                    if kind_of(&command) != kind_of(&server.command) {
                        return Err(Error::invalid(
                            "command",
                            "a program does not become a server elsewhere or a built-in one, nor the other way round; add it under another name",
                        ));
                    }
                    let is_same = (&server.command, &server.args) == (&command, &args);
                    if !is_same && wanted.environment.is_none() && has_secrets(tx, id).await? {
                        return Err(Error::invalid(
                            "environment",
                            "its secrets do not go along to another place: give its environment anew, or an empty one",
                        ));
                    }
                    if command != server.command {
                        // What was granted was granted for the other address.
                        server_grants::remove(&actor, tx, id).await?;
                    }
                    (server.command, server.args) = (command, args);
                }
                server.is_active = wanted.is_active.unwrap_or(server.is_active);
                let sealed = match wanted.environment {
                    None => None,
                    Some(given) if given.is_empty() => Some(None),
                    Some(given) => {
                        Some(Some(vault.seal_json(&Purpose::server_environment(&server.name), &json!(given))?))
                    }
                };
                if !mcp_servers::update(&actor, tx, &server, sealed).await? {
                    return Err(store::Error::Refused { what: "mcp_servers".to_owned() }.into());
                }
                find(tx, &actor, id).await
            })
        })
        .await
}

/// Whether something sealed goes to a server when it starts.
async fn has_secrets(tx: &store::Transaction, id: Uuid) -> Result<bool> {
    let all = mcp_servers::launches(&Actor::service(), tx).await?;
    Ok(all.into_iter().any(|server| server.id == id && server.environment.is_some()))
}

/// A server by id.
pub async fn find(on: impl store::Run, actor: &Actor, id: Uuid) -> Result<Server> {
    let all = mcp_servers::list(actor, on).await?;
    all.into_iter().find(|server| server.id == id).ok_or_else(|| Error::NotFound(format!("server {id}")))
}

/// Refuses whoever may not change servers: asked before a disk is.
pub async fn may_change(actor: &Actor, on: impl Run) -> Result<()> {
    if users::allowed(actor, on, "server_admin").await? {
        return Ok(());
    }
    Err(store::Error::Refused { what: "mcp_servers".to_owned() }.into())
}

async fn check_places(command: &str, args: &[String]) -> Result<()> {
    // What a built-in one may touch it checks itself.
    if kind_of(command) == "stdio" {
        own_places::check_arguments("args", args.to_vec()).await?;
    }
    Ok(())
}

fn check_environment(environment: &BTreeMap<String, String>) -> Result<()> {
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    if environment.len() > ARGUMENTS || bytes > ARGUMENTS_BYTES {
        return Err(Error::invalid(
            "environment",
            format!("a server takes at most {ARGUMENTS} variables of {ARGUMENTS_BYTES} bytes in all"),
        ));
    }
    if let Some(name) = environment.keys().find(|n| n.is_empty() || n.contains(['=', '\0'])) {
        return Err(Error::invalid("environment", format!("{name:?} can't be the name of a variable")));
    }
    Ok(())
}

fn check_command(command: &str, args: &[String]) -> Result<()> {
    if args.len() > ARGUMENTS || args.iter().map(String::len).sum::<usize>() > ARGUMENTS_BYTES {
        return Err(Error::invalid(
            "args",
            format!("a server takes at most {ARGUMENTS} arguments of {ARGUMENTS_BYTES} bytes in all"),
        ));
    }
    if command.len() > COMMAND_BYTES {
        return Err(Error::invalid("command", format!("the program or address is longer than {COMMAND_BYTES} bytes")));
    }
    if is_address(command) && !args.is_empty() {
        return Err(Error::invalid(
            "args",
            "a server elsewhere takes no arguments; give what it needs in its address or in headers",
        ));
    }
    if is_address(command) && (command.contains(['@', ' ', '#']) || command.split('/').nth(2).is_none_or(str::is_empty))
    {
        return Err(Error::invalid(
            "command",
            "the address needs a machine's name and no password: give what opens the server as a header",
        ));
    }
    let is_settings = |text: &String| {
        text.len() <= SETTINGS_BYTES && serde_json::from_str::<serde_json::Value>(text).is_ok_and(|v| v.is_object())
    };
    if kind_of(command) == "builtin" && !(args.len() == 1 && args.iter().all(is_settings)) {
        return Err(Error::invalid(
            "args",
            format!(
                "a built-in server takes its settings as one JSON object of at most {SETTINGS_BYTES} bytes, and nothing else"
            ),
        ));
    }
    if command.trim().is_empty() {
        return Err(Error::invalid("command", "the program that starts the server is missing; give it with --command"));
    }
    Ok(())
}

fn reading_rule(server: &str, tools: &str) -> NewPolicy {
    NewPolicy {
        position: 0,
        name: format!("{server}: reading"),
        server: server.to_owned(),
        tool: tools.to_owned(),
        condition: None,
        outside: true,
        effect: "allow".to_owned(),
        approval_ttl_minutes: 1440,
    }
}

/// Removes a server with its tools and the rules that allow just this server something: another server that is given
/// the name one day must not find them. Answers the names of those rules.
pub async fn remove(store: &Store, actor: &Actor, name: &str) -> Result<Vec<String>> {
    let server = named(store, actor, name).await?;
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let mut removed = Vec::new();
                for rule in policies::list(&actor, tx).await? {
                    if rule.server == server.name && rule.effect == "allow" {
                        if !policies::delete(&actor, tx, rule.id).await? {
                            return Err(store::Error::Refused { what: "policies".to_owned() }.into());
                        }
                        removed.push(rule.name);
                    }
                }
                if !mcp_servers::delete(&actor, tx, server.id).await? {
                    return Err(store::Error::Refused { what: "mcp_servers".to_owned() }.into());
                }
                Ok(removed)
            })
        })
        .await
}

/// A server by name.
pub async fn named(store: &Store, actor: &Actor, name: &str) -> Result<Server> {
    mcp_servers::named(actor, store, name).await?.ok_or_else(|| Error::NotFound(format!("server {name}")))
}

/// Approves tools of a server as it offers them now, by name or all, and answers those approved, so that they can be
/// shown. A tool that changes in this moment is refused.
pub async fn approve_tools(
    store: &Store,
    actor: &Actor,
    server: &str,
    names: &[String],
    all: bool,
    repeatable: bool,
) -> Result<Vec<ServerTool>> {
    let server = named(store, actor, server).await?;
    let offered = mcp_servers::tools(actor, store, server.id).await?;
    if let Some(unknown) = names.iter().find(|n| !offered.iter().any(|t| t.is_offered && t.name == **n)) {
        return Err(Error::NotFound(format!("tool {unknown} of {}", server.name)));
    }
    let chosen: Vec<ServerTool> =
        offered.into_iter().filter(|t| t.is_offered && (all || names.contains(&t.name))).collect();
    if chosen.is_empty() {
        return Err(Error::Conflict(format!(
            "{} has offered no tools yet; see: steward server tools {}",
            server.name, server.name
        )));
    }
    let (actor, approved) = (actor.clone(), chosen.clone());
    store
        .transaction(move |tx| {
            Box::pin(async move {
                for tool in chosen {
                    if !mcp_servers::approve_tool(
                        &actor,
                        tx,
                        tool.server_id,
                        &tool.name,
                        &tool.definition_sha256,
                        repeatable,
                    )
                    .await?
                    {
                        // Either it changed in this moment, or the actor may not.
                        return Err(store::Error::Refused { what: format!("server_tools: {}", tool.name) }.into());
                    }
                }
                Ok(())
            })
        })
        .await
        .map(|()| approved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_a_server_is_bounded() {
        let field = |result: Result<()>| match result {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let args = |n: usize, bytes: usize| vec!["a".repeat(bytes); n];
        check_command("npx", &args(100, 300)).unwrap();
        assert_eq!(field(check_command("npx", &args(101, 1))), "args");
        assert_eq!(field(check_command("npx", &args(2, 17_000))), "args");
        assert_eq!(field(check_command(&"x".repeat(4097), &[])), "command");
        let environment = |n: usize, bytes: usize| (0..n).map(|n| (format!("V{n}"), "a".repeat(bytes))).collect();
        check_environment(&environment(100, 300)).unwrap();
        for wrong in [environment(101, 1), environment(1, 33_000), BTreeMap::from([("A=B".to_owned(), String::new())])]
        {
            assert_eq!(field(check_environment(&wrong)), "environment");
        }
    }
}
