//! The commands: what can be said on the command line, and who carries it out. One file a noun.
#![allow(clippy::doc_markdown, reason = "these comments are the help that people read")]

mod approval;
mod archive;
mod attachment;
mod audit;
mod audit_export;
mod backup;
mod backup_setup;
mod briefing;
mod contact;
mod context;
mod db;
mod db_move;
pub(crate) mod doctor;
pub(crate) mod folders;
mod handbook;
mod health;
mod ids;
mod key;
mod logs;
mod maintain;
mod manual;
mod mcp;
mod memory;
mod model;
mod notify;
mod partitions;
mod password;
mod place;
mod playbook;
mod playbook_dry;
mod playbook_kept;
mod policy;
mod policy_more;
mod schedule;
mod server;
mod server_authorize;
mod server_tools;
mod setup;
mod status;
mod task;
mod task_search;
mod task_show;
mod token;
mod user;
mod verify;
mod watcher;
mod watcher_add;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
    value_parser,
};

use workers::logs::LogQueue;

pub(crate) use self::context::open_vault;
use self::{context::Context, place::Place};
use crate::{
    Result,
    config::{Config, Flags},
    known_passwords::KnownInFile,
    logging, open_files, output,
    serve::{self, Only},
};

/// Heading of what is also a setting.
const SETTINGS: &str = "Settings";
const FIRST_STEPS: &str = "\
First steps:
  steward                      start; prints the desk's address and a link for set-up
  steward setup --username ada --email ada@example.org
  steward server add files --builtin files \\
      --config '{\"folders\": [\"~/steward\"]}'
  steward server tools files
  steward server approve-tools files --all
  steward watcher add inbox --type folder \\
      --config '{\"path\": \"~/steward/inbox\", \"playbook\": \"file-away\"}'
  steward approval list        what waits for a decision

With --server URL --token-file FILE (STEWARD_SERVER, STEWARD_TOKEN_FILE) the commands about rows ask a \
Steward that runs elsewhere. Every list takes --json. Exit codes: 0 done, 1 refused or failed (the reason \
is one line on stderr), 2 wrong usage. Settings: flags, then environment, then steward.toml, then \
defaults. Keys: database_url (DATABASE_URL), redis_url (REDIS_URL), and data_dir, listen, allowed_hosts, \
trusted_proxies, known_passwords_file, tls_certificate_file, tls_key_file, master_key_file, pool_size, idle_timeout_s, \
connect_timeout_s, lease_s, log_level, log_retention_months, remind_after_h, models_file, read_replica_url, server, \
token_file, attachment_max_mb, attachments_total_mb, backup_* (STEWARD_ and the key).";

/// Steward, a personal AI employee: it notices what arrives, works on it, and asks before it acts.
#[derive(Debug, Parser)]
#[command(name = "steward", version, after_help = FIRST_STEPS, max_term_width = 120)]
struct Cli {
    /// Serve only the web, or only the work (watchers, employee, servers)
    #[arg(long, value_enum, value_name = "web|work", hide_possible_values = true)]
    only: Option<Only>,
    #[command(flatten)]
    flags: Flags,
    /// Act as this user; without it, as the only admin [env: STEWARD_AS]
    #[arg(long = "as", global = true, value_name = "USERNAME", help_heading = SETTINGS)]
    acting_as: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process (as without any command)
    Serve {
        /// Serve only the web, or only the work (watchers, employee, servers)
        #[arg(long, value_enum, value_name = "web|work", hide_possible_values = true)]
        only: Option<Only>,
    },
    /// Make the first admin and the employee
    Setup(setup::Args),
    /// The database: migrate, status, drift, verify, maintain, partitions, move
    #[command(subcommand)]
    Db(db::Command),
    /// Backups: create, list, verify, restore, drill, setup
    #[command(subcommand)]
    Backup(backup::Command),
    #[command(flatten)]
    Acting(Acting),
    /// Look for what is wrong, and say how to mend it
    Doctor(doctor::Args),
    /// Print the description of the API (OpenAPI 3.1)
    Openapi,
    /// Print what a shell needs to complete these commands (see docs/operating.md)
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: manual::Shell,
    },
    /// Print the manual as a man page, or write one a command into a folder
    Man(manual::Args),
}

/// Commands that a person carries out on the database.
#[derive(Debug, Subcommand)]
enum Acting {
    /// People and agents
    #[command(subcommand)]
    User(user::Command),
    /// API tokens: what a program shows in place of a log-in
    #[command(subcommand)]
    Token(token::Command),
    /// Tasks
    #[command(subcommand)]
    Task(task::Command),
    /// Files on tasks: list, add, get
    #[command(subcommand)]
    Attachment(attachment::Command),
    /// The master key: status, rotate, forget
    #[command(subcommand)]
    Key(key::Command),
    /// What waits for a decision, and deciding it
    #[command(subcommand)]
    Approval(approval::Command),
    /// What notices things outside
    #[command(subcommand)]
    Watcher(watcher::Command),
    /// MCP servers and the tools they offer
    #[command(subcommand)]
    Server(server::Command),
    /// Rules that say which calls run, ask or are refused
    #[command(subcommand)]
    Policy(policy::Command),
    /// People whom rules know
    #[command(subcommand)]
    Contact(contact::Command),
    /// What runs by the clock
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Written steps the employee follows
    #[command(subcommand)]
    Playbook(playbook::Command),
    /// What the employee should know: the handbook, in versions
    #[command(subcommand)]
    Handbook(handbook::Command),
    /// Facts that the employee remembers
    #[command(subcommand)]
    Memory(memory::Command),
    /// Language models that lead work without a playbook
    #[command(subcommand)]
    Model(model::Command),
    /// What you were told
    #[command(subcommand)]
    Notify(notify::Command),
    /// What happened, for the operator
    Logs(logs::Args),
    /// Who changed what, and the proof that nothing was altered
    #[command(subcommand)]
    Audit(audit::Command),
    /// How things stand, at a glance
    Status(status::Args),
    /// What was done, what waits, and what comes
    Briefing(briefing::Args),
    /// Serve tasks, approvals, files, log and audit to an agent that starts this (MCP)
    Mcp(mcp::Args),
}

/// A whole invocation.
#[derive(Debug)]
pub struct Invocation {
    cli: Cli,
    settings_file: Option<PathBuf>,
}

const SETTINGS_FILE: &str = "settings_file";
const SERVER: &str = "steward_server";

/// Every command with every argument.
fn whole() -> clap::Command {
    everywhere(Cli::command())
}

/// Reads the command line. The error is clap's: help, version or wrong usage.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let matches = whole().try_get_matches_from(args).map_err(with_hint)?;
    let settings_file = deepest::<PathBuf>(&matches, SETTINGS_FILE);
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.flags.server = deepest(&matches, SERVER);
    if cli.only.is_some() && !matches!(cli.command, None | Some(Command::Serve { .. })) {
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, "--only goes with serve alone"));
    }
    Ok(Invocation { cli, settings_file })
}

/// What other programs call `--listen` is told by its name here.
fn with_hint(error: clap::Error) -> clap::Error {
    let asked = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(name))) => name.clone(),
        _ => return error,
    };
    if !matches!(asked.as_str(), "--port" | "-p" | "--bind" | "--host" | "--address") {
        return error;
    }
    let said = format!(
        "there is no {asked}; the desk's address and port are said together, such as --listen 127.0.0.1:8080 (STEWARD_LISTEN)"
    );
    Cli::command().error(ErrorKind::UnknownArgument, said)
}

/// Has a number below zero refused in words about numbers, and not taken for an option. Then adds `--config FILE` and `--server URL` to every command that has none of its own. clap's own global arguments can't
/// do that.
fn everywhere(mut command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, everywhere);
    }
    command = command.mut_args(|arg| {
        let takes_a_value = arg.get_action().takes_values();
        if takes_a_value { arg.allow_negative_numbers(true) } else { arg }
    });
    let all = [
        Arg::new(SETTINGS_FILE)
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("The file of settings; without it steward.toml in the data folder, if there is one"),
        Arg::new(SERVER)
            .long("server")
            .value_name("URL")
            .help("Ask the Steward that runs there, instead of the database here [env: STEWARD_SERVER]"),
    ];
    for arg in all {
        if !command.get_arguments().any(|a| a.get_long() == arg.get_long()) {
            command = command.arg(arg.help_heading(SETTINGS));
        }
    }
    command
}

fn deepest<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    let deeper = matches.subcommand().and_then(|(_, sub)| deepest(sub, name));
    deeper.or_else(|| matches.try_get_one::<T>(name).ok().flatten().cloned())
}

/// Carries an invocation out.
pub async fn run(invocation: Invocation) -> Result<()> {
    let Invocation { cli, settings_file } = invocation;
    // What needs neither settings nor a database.
    match cli.command {
        Some(Command::Openapi) => return output::json(web::openapi()),
        Some(Command::Completions { shell }) => return manual::completions(whole(), shell),
        Some(Command::Man(args)) => return blocking(move || manual::man(whole(), args)).await,
        _ => {}
    }
    let flags = cli.flags;
    let config = blocking(move || Config::load(&flags, settings_file.as_deref())).await?;
    if let Some(file) = config.known_passwords_file.clone() {
        // The first of a process stays; there is one a process.
        domain::passwords::look_up_in(Box::new(KnownInFile(file)));
    }
    let acting_as = cli.acting_as.or_else(|| std::env::var("STEWARD_AS").ok().filter(|name| !name.is_empty()));
    let serves = matches!(cli.command, None | Some(Command::Serve { .. }));
    // A command says what it has to say itself; what lies below it is told only to whoever asks.
    if !serves && std::env::var_os("STEWARD_LOG").is_some() {
        logging::start(None)?;
    }
    let is_local = |command: &Option<Command>| !matches!(command, Some(Command::Acting(_)));
    if let Some(server) = config.server.as_deref().filter(|_| is_local(&cli.command)) {
        return Err(place::only_here(server));
    }
    match cli.command {
        None => start(config, cli.only).await,
        Some(Command::Serve { only }) => start(config, only.or(cli.only)).await,
        Some(Command::Setup(args)) => setup::run(config, args).await,
        Some(Command::Db(command)) => db::run(config, command).await,
        Some(Command::Backup(command)) => Box::pin(backup::run(config, command)).await,
        Some(Command::Openapi | Command::Completions { .. } | Command::Man(_)) => Ok(()),
        Some(Command::Doctor(args)) => doctor::run(config, acting_as.as_deref(), args).await,
        // A file can be checked without a database.
        Some(Command::Acting(Acting::Playbook(playbook::Command::Check(args)))) => playbook::check(args).await,
        Some(Command::Acting(Acting::Audit(audit::Command::Verify(args)))) if args.file.is_some() => {
            audit::verify_file(args).await
        }
        Some(Command::Acting(command)) => {
            let place = Place::open(config, acting_as.as_deref()).await?;
            let result = act(&place, command).await;
            place.close().await;
            result
        }
    }
}

/// Serves until it is asked to stop.
async fn start(config: Config, only: Option<Only>) -> Result<()> {
    let folder = config.clone();
    blocking(move || folder.ensure_data_dir()).await?;
    if let Err(e) = open_files::raise() {
        output::note(format!("steward: the limit of open files can't be raised ({e}); steward doctor says what it is"));
    }
    let logs = LogQueue::with_spill(config.log_spill());
    logging::start(Some((logs.clone(), config.log_level)))?;
    serve::run(config, logs, only).await
}

async fn act(place: &Place, command: Acting) -> Result<()> {
    match command {
        Acting::User(command) => user::run(place, command).await,
        Acting::Token(command) => token::run(place, command).await,
        Acting::Task(command) => task::run(place, command).await,
        Acting::Attachment(command) => attachment::run(place, command).await,
        Acting::Key(command) => key::run(place.here()?, command).await,
        Acting::Approval(command) => approval::run(place, command).await,
        Acting::Watcher(command) => watcher::run(place, command).await,
        Acting::Server(command) => Box::pin(server::run(place, command)).await,
        Acting::Policy(command) => policy::run(place, command).await,
        Acting::Contact(command) => contact::run(place.here()?, command).await,
        Acting::Schedule(command) => schedule::run(place, command).await,
        Acting::Playbook(command) => playbook::run(place, command).await,
        Acting::Handbook(command) => handbook::run(place, command).await,
        Acting::Memory(command) => memory::run(place, command).await,
        Acting::Model(command) => model::run(place, command).await,
        Acting::Notify(command) => notify::run(place, command).await,
        Acting::Logs(args) => logs::run(place, args).await,
        Acting::Audit(command) => audit::run(place, command).await,
        Acting::Status(args) => status::run(place, args).await,
        Acting::Briefing(args) => briefing::run(place, args).await,
        Acting::Mcp(args) => mcp::run(place.here()?, args).await,
    }
}

/// `--json`, for every command that answers something.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Json {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// How many rows a list shows.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Limit {
    /// How many at most, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(i64).range(1..=500))]
    limit: i64,
}

impl Limit {
    /// Says, where a list is as long as it may be, that there may be more.
    fn note(self, shown: usize) {
        if i64::try_from(shown).is_ok_and(|shown| shown >= self.limit) {
            output::note(format!("{shown} shown; there may be more: --limit N"));
        }
    }
}

/// Runs work that blocks off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| crate::Error::Internal(e.to_string()))?
}

/// There is no such thing, or the person may not see it: which of them is not said.
fn not_found(what: &str, name: &str) -> crate::Error {
    domain::Error::NotFound(format!("{what} {name}")).into()
}

/// A write that changed nothing although the row is there.
fn not_allowed(what: &str) -> crate::Error {
    store::Error::Refused { what: what.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::{Acting, Command, parse, whole};

    fn args(line: &str) -> Vec<std::ffi::OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        whole().debug_assert();
    }

    #[test]
    fn the_settings_file_is_taken_anywhere_but_where_config_means_something_else() {
        for line in [
            "steward --config f task list",
            "steward task --config f list",
            "steward task list --config f",
            "steward --config f",
            "steward serve --config f",
        ] {
            assert_eq!(parse(args(line)).unwrap().settings_file.unwrap().to_str(), Some("f"), "{line}");
        }
        let both = parse(args("steward --config f watcher add inbox --type folder --config {}")).unwrap();
        assert_eq!(both.settings_file.unwrap().to_str(), Some("f"));
        assert!(matches!(both.cli.command, Some(Command::Acting(Acting::Watcher(_)))));
        assert!(parse(args("steward --only web task list")).is_err());
        assert!(parse(args("steward --only web")).is_ok());
        let there = |line: &str| parse(args(line)).unwrap().cli.flags.server;
        for line in [
            "steward --server u task list",
            "steward task list --server u",
            "steward --server u policy test --server files --tool x",
        ] {
            assert_eq!(there(line).as_deref(), Some("u"), "{line}");
        }
        assert_eq!(there("steward policy test --server files --tool x"), None);
    }
}
