//! `steward server`: MCP servers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use domain::servers::{self, NewServer};
use store::mcp_servers::{self, Server};

use super::{Context, Json, Place, blocking, folders::Made, server_authorize, server_tools};
use crate::{Error, Result, config::expand_home, output};

/// The largest file of environment variables, in bytes.
const MAX_ENV_FILE: u64 = 64 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a server: a program that Steward starts, one elsewhere that it speaks to over HTTP, or a built-in one
    Add(Add),
    /// The servers and how they fare
    List(Json),
    /// One server, without its secrets
    Show {
        server: String,
        #[command(flatten)]
        json: Json,
    },
    /// What a server offers, and whether it may be used
    Tools {
        server: String,
        #[command(flatten)]
        json: Json,
    },
    /// Approve tools as they are now; a tool that changes later waits again
    ApproveTools {
        server: String,
        /// Which
        #[arg(required_unless_present = "all", value_name = "TOOL")]
        tools: Vec<String>,
        /// Every tool it offers now
        #[arg(long, conflicts_with = "tools")]
        all: bool,
        /// Your word that these are safe to run twice: they are repeated after a crash without asking
        #[arg(long)]
        repeatable: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Let Steward use a server elsewhere, in the browser (OAuth)
    Authorize(server_authorize::Args),
    /// Stop a server until it is resumed
    Pause {
        server: String,
        #[command(flatten)]
        json: Json,
    },
    /// Start a paused server again
    Resume {
        server: String,
        #[command(flatten)]
        json: Json,
    },
    /// Remove a server with its tools
    Remove { server: String },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Its name: letters, digits, dots, dashes or underscores
    name: String,
    /// The program that is the server
    #[arg(long, required_unless_present_any = ["url", "builtin"])]
    command: Option<String>,
    /// A server that needs no program (docs/tools.md says what each may do)
    #[arg(long, value_name = "KIND", value_parser = tools::builtin::KINDS, conflicts_with_all = ["command", "url", "args"])]
    builtin: Option<String>,
    /// What a built-in server may touch, in JSON, such as '{"folder": "~/notes"}'; passwords belong into --env-file
    #[arg(long, value_name = "JSON", requires = "builtin")]
    config: Option<String>,
    /// The address of a server elsewhere (streamable HTTP), in place of a program
    #[arg(long, value_name = "URL", conflicts_with_all = ["command", "args", "env", "env_file"])]
    url: Option<String>,
    /// A file with a line `Name: value` for each header that the server elsewhere wants, such as `Authorization: Bearer …`
    #[arg(long, value_name = "FILE", requires = "url")]
    header_file: Option<PathBuf>,
    /// An argument of the program; may be said several times
    #[arg(long = "arg", value_name = "ARG", allow_hyphen_values = true)]
    args: Vec<String>,
    /// A variable of its environment, NAME=VALUE; others on this machine can read it here, so better use --env-file
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A file with a line NAME=VALUE for each variable of its environment
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::Add(args) => add(place.here()?, args).await,
        Command::List(json) => {
            let found = place.servers().await?;
            output::list(
                json.json,
                &found,
                "no servers; add one with: steward server add --help",
                &["name", "state", "last sign of life", "command"],
                |s| vec![s.name.clone(), state(s).to_owned(), output::maybe_time(s.last_heartbeat), command_line(s)],
            )
        }
        Command::Show { server, json } => show(place, &server, json.json).await,
        Command::Tools { server, json } => server_tools::run(place, &server, json.json).await,
        Command::ApproveTools { server, tools, all, repeatable, json } => {
            let server = place.server(&server).await?.name;
            let approved = place.approve_tools(&server, &tools, all, repeatable).await?;
            if json.json {
                return output::json(&approved);
            }
            let names: Vec<String> = approved.iter().map(|name| output::safe(name)).collect();
            output::line(format!(
                "Approved for use{}: {}. The rules still say which calls run, ask or are refused: steward policy list",
                if repeatable { ", and as safe to run twice" } else { "" },
                names.join(", ")
            ))
        }
        Command::Authorize(args) => Box::pin(server_authorize::run(place.here()?, args)).await,
        Command::Pause { server, json } => set_active(place, &server, false, json.json).await,
        Command::Resume { server, json } => set_active(place, &server, true, json.json).await,
        Command::Remove { server } => {
            let server = place.server(&server).await?.name;
            let rules = place.remove_server(&server).await?;
            output::line(format!("Removed the server {server}."))?;
            for rule in rules {
                output::line(format!("Removed with it the rule that allowed it something: {rule}"))?;
            }
            Ok(())
        }
    }
}

async fn add(ctx: &Context, args: Add) -> Result<()> {
    let (env, env_file, header_file) = (args.env, args.env_file, args.header_file);
    let environment = blocking(move || match header_file {
        Some(file) => headers(&file),
        None => environment(&env, env_file.as_deref()),
    })
    .await?;
    let vault = ctx.vault().await?;
    let (command, arguments) = match (args.builtin, args.config) {
        (Some(kind), config) => {
            (format!("{}{kind}", mcp_servers::BUILTIN), vec![config.unwrap_or_else(|| "{}".to_owned())])
        }
        (None, _) => (args.url.or(args.command).unwrap_or_default(), args.args),
    };
    let new = NewServer { name: args.name.clone(), command, args: arguments, environment };
    tools::builtin::check_new("config", &ctx.store, &ctx.actor, &new).await?;
    let (command, arguments) = (new.command.clone(), new.args.clone());
    let made = blocking(move || make_folders(&command, &arguments)).await?;
    let rule = match servers::add(&ctx.store, &vault, &ctx.actor, new).await {
        Ok((_, rule)) => rule,
        Err(e) => {
            blocking(move || {
                made.into_iter().for_each(Made::take_back);
                Ok(())
            })
            .await?;
            return Err(e.into());
        }
    };
    if args.json.json {
        return output::json(&servers::named(&ctx.store, &ctx.actor, &args.name).await?);
    }
    for said in made.iter().filter_map(Made::said) {
        output::line(said)?;
    }
    if let Some(rule) = rule {
        output::line(format!(
            "Its reading tools (and making folders) are allowed by the rule “{rule}”; whatever else writes asks first (steward policy list)."
        ))?;
    }
    output::line(format!("Added the server {0}. See what it offers: steward server tools {0}", args.name))
}

/// Servers of files want their folders to be there, so those at home are made for them. Blocking.
fn make_folders(command: &str, args: &[String]) -> Result<Vec<Made>> {
    let home = std::env::home_dir();
    let mut made = Vec::new();
    let of_program = args.iter().skip_while(|a| !domain::servers::is_filesystem_server(a)).skip(1).cloned();
    for arg in domain::confined::folders(command, args).into_iter().chain(of_program) {
        let Some(folder) = expand_home(&arg, home.as_deref()).filter(|f| f.is_absolute()) else { continue };
        match Made::folder(&folder, home.as_deref()) {
            Ok(one) => made.push(one),
            Err(e) => {
                made.into_iter().for_each(Made::take_back);
                return Err(e);
            }
        }
    }
    Ok(made)
}

/// The environment from flags and file; a flag goes before the file. Blocking.
fn environment(flags: &[String], file: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    if let Some(file) = file {
        for (place, line) in lines(file)? {
            let (name, value) = variable(line.strip_prefix("export ").unwrap_or(&line), &place)?;
            found.insert(name, unquoted(&value).to_owned());
        }
    }
    for flag in flags {
        let (name, value) = variable(flag, "--env")?;
        found.insert(name, value);
    }
    Ok(found)
}

/// The headers that a file names. A value that is wrong is not shown: it may be a secret.
fn headers(file: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (place, line) in lines(file)? {
        let (name, value) = line.split_once(':').map(|(n, v)| (n.trim(), v.trim())).unwrap_or_default();
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_name || value.is_empty() || value.chars().any(char::is_control) {
            return Err(Error::refused(format!("{place} is no `Name: value`, such as Authorization: Bearer …")));
        }
        found.insert(name.to_owned(), value.to_owned());
    }
    Ok(found)
}

/// The lines of a small file that say something, each with its place.
fn lines(file: &Path) -> Result<Vec<(String, String)>> {
    let fail = |e| Error::file(format!("the file {} can't be read", file.display()), e);
    if std::fs::metadata(file).map_err(fail)?.len() > MAX_ENV_FILE {
        return Err(Error::refused(format!(
            "{} is larger than {MAX_ENV_FILE} bytes; it is hardly a file of names and values",
            file.display()
        )));
    }
    let text = std::fs::read_to_string(file).map_err(fail)?;
    let numbered = (1..).zip(text.lines().map(str::trim));
    let said = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    Ok(said.map(|(number, line)| (format!("line {number} of {}", file.display()), line.to_owned())).collect())
}

/// One `NAME=VALUE`. What stands there is not shown when it is wrong: it may be a secret.
fn variable(text: &str, place: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name && !value.contains('\0') {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err(Error::refused(format!(
        "{place} is no NAME=VALUE; a name has letters, digits and underscores, and does not begin with a digit"
    )))
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn state(server: &Server) -> &str {
    match (server.is_active, server.status.as_str()) {
        (false, _) => "paused",
        (true, "active") => "running",
        (true, "error") => "failing",
        (true, _) => "not running",
    }
}

fn command_line(server: &Server) -> String {
    [&server.command].into_iter().chain(&server.args).map(String::as_str).collect::<Vec<_>>().join(" ")
}

async fn show(place: &Place, name: &str, json: bool) -> Result<()> {
    let server = place.server(name).await?;
    if json {
        return output::json(&server);
    }
    output::fields(&[
        ("id", server.id.to_string()),
        ("name", server.name.clone()),
        ("type", server.server_type.clone()),
        ("command", command_line(&server)),
        ("environment", "(sealed)".to_owned()),
        ("state", state(&server).to_owned()),
        ("last sign of life", output::maybe_time(server.last_heartbeat)),
        ("can", server.capabilities.join(", ")),
        ("added", output::time(server.created_at)),
    ])
}

async fn set_active(place: &Place, name: &str, is_active: bool, json: bool) -> Result<()> {
    let found = place.server(name).await?;
    place.set_server_active(found.id, is_active).await?;
    let what = if is_active { "is started again by a running Steward" } else { "is stopped" };
    output::told(json, &place.server(name).await?, format!("The server {} {what}.", found.name))
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn variables_from_a_file_and_flags() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        std::fs::write(&file, "# a comment\nexport A=1\nB=\"two words\"\n\nC=a=b\n").unwrap();
        let found = environment(&["A=9".to_owned()], Some(&file)).unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("A", "9"), ("B", "two words"), ("C", "a=b")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        std::fs::write(&file, "A=1\ns3cret\n").unwrap();
        let line = environment(&[], Some(&file)).unwrap_err().line();
        assert!(line.contains("line 2") && !line.contains("s3cret"), "{line}");
        assert!(environment(&["=x".to_owned()], None).is_err());
    }
}
