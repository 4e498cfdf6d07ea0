//! Servers: how each fares, what it said last, what it offers, and which of that may be used.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::servers::NewServer;
use maud::{Markup, html};
use store::{
    mcp_servers::{self, Server, ServerTool},
    system_logs::{self, LogLine},
};

use super::{
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{block as text_block, cut, empty, hash, pretty, say, state, time, visible, when},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
};

/// Lines of the log shown of each server.
const LINES: i64 = 12;
/// Servers whose tools and lines are shown.
const SERVERS: usize = 50;

/// `GET /servers`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let servers = mcp_servers::list(&me.actor, app.store()).await?;
    let mut blocks = Vec::new();
    for server in servers.iter().take(SERVERS) {
        let module = format!("server:{}", server.name);
        let (tools, lines) = tokio::try_join!(
            mcp_servers::tools(&me.actor, app.store(), server.id),
            system_logs::list(&me.actor, app.store(), None, Some(&module), None, LINES),
        )?;
        blocks.push(block(&me, server, &tools, &lines));
    }
    Ok(shell(
        &me,
        "Servers",
        "/servers",
        &html! {
            div.head {
                h1 { "Servers and tools" }
                @if me.is_admin() { p.acts { a.button.primary href="/servers/new" { "Add a server" } } }
            }
            p.lead { "A server offers tools. A tool is used only while it is exactly the one that a person approved: a new or changed one waits in quarantine." }
            @if servers.is_empty() {
                (empty("No server is set up.", &html! { "The employee acts through tools only. " a href="/servers/new" { "Add a server" } ", for files to begin with." }))
            }
            @for block in blocks { (block) }
            @if servers.len() > SERVERS { p.soft { "And " (servers.len() - SERVERS) " more: " code { "steward server list" } } }
        },
    ))
}

fn block(me: &Reader, server: &Server, tools: &[ServerTool], lines: &[LogLine]) -> Markup {
    let now = store::now();
    let fresh = tools.iter().filter(|t| t.is_offered && !t.is_usable()).count();
    html! {
        article.place id=(server.name) {
            div id={ "server-" (server.id) } data-live="" {
                div.head {
                    h2 { (say(&server.name)) " " (state(if server.is_active { &server.status } else { "paused" })) }
                    @if me.is_admin() {
                        div.acts {
                            @let (word, verb) = if server.is_active { ("no", "Pause") } else { ("yes", "Resume") };
                            (button(me, "/servers/run", &[("name", &server.name), ("run", word)], verb, "quiet", &server.name))
                            form.inline method="post" action="/servers/remove" {
                                (token(me))
                                input type="hidden" name="name" value=(server.name);
                                button.quiet.danger type="submit" aria-label={ "Remove: " (server.name) } data-sure={ "Remove " (server.name) " with the rules that allow it something?" } { "Remove" }
                            }
                        }
                    }
                }
                p.meta {
                    code { (say(&cut(&format!("{} {}", server.command, server.args.join(" ")), 200))) }
                    " · " @match server.last_heartbeat { Some(at) => { "last answered " (when(at, now)) }, None => "has not answered yet" }
                }
                @if !lines.is_empty() {
                    details open[server.is_active && server.status == "error"] {
                        summary { "What it said last, on its error channel too" }
                        ul.log { @for line in lines { li { (time(line.timestamp)) " " (state(&line.level)) " " (visible(line.message.as_deref().unwrap_or_default())) } } }
                    }
                }
            }
            @if tools.is_empty() { (empty("It has offered no tools yet.", &html! { "They appear here when it has started." })) }
            @else { (tool_part(me, server, tools, fresh, now)) }
        }
    }
}

/// The tools, as a form in which those in quarantine are ticked and approved.
fn tool_part(me: &Reader, server: &Server, tools: &[ServerTool], fresh: usize, now: jiff::Timestamp) -> Markup {
    let may_approve = me.is_admin() && fresh > 0;
    html! {
        @if fresh > 0 {
            p.error { (fresh) @if fresh == 1 { " tool is in quarantine. Look at what it says of itself, then approve it." } @else { " tools are in quarantine. Look at what they say of themselves, then approve those that may be used." } }
        }
        form method="post" action="/servers/tools" data-once="" {
            (token(me))
            input type="hidden" name="server" value=(server.name);
            details open[fresh > 0] {
                summary { "Tools " span.soft { (tools.len()) } }
                table {
                    caption.hidden { "Tools of " (server.name) " and whether they may be used" }
                    thead {
                        tr {
                            @if may_approve { th scope="col" { span.hidden { "Choose" } } }
                            th scope="col" { "Tool" } th scope="col" { "Use" } th.opt scope="col" { "Definition" }
                        }
                    }
                    tbody { @for tool in tools { (tool_row(tool, may_approve, now)) } }
                }
            }
            @if may_approve {
                p.buttons {
                    button.primary type="submit" name="which" value="chosen" { "Approve those ticked" }
                    button type="submit" name="which" value="all" { "Approve all " (fresh) }
                    label.check-box { input type="checkbox" name="repeatable" value="yes"; "They are safe to repeat: running one twice does no more than once" }
                }
            }
        }
    }
}

fn tool_row(tool: &ServerTool, may_approve: bool, now: jiff::Timestamp) -> Markup {
    html! {
        tr {
            @if may_approve {
                td {
                    @if tool.is_offered && !tool.is_usable() {
                        span.pick { input type="checkbox" name="tool" value={ (tool.definition_sha256) ":" (tool.name) } aria-label={ "Approve " (tool.name) }; }
                    }
                }
            }
            th scope="row" {
                code { (say(&tool.name)) }
                @if let Some(text) = &tool.description { p.soft.small { (say(&cut(text, 240))) } }
                details { summary { "Its arguments" } (text_block(&pretty(&tool.input_schema), "Schema of the arguments")) }
            }
            td {
                (use_of(tool))
                @if tool.repeatable { p.soft.small { "safe to repeat" } }
                @if let Some(at) = tool.approved_at.filter(|_| tool.is_usable()) { p.soft.small { "approved " (when(at, now)) } }
            }
            td.opt { (hash(&tool.definition_sha256)) }
        }
    }
}

fn use_of(tool: &ServerTool) -> Markup {
    match (tool.is_usable(), tool.is_offered, &tool.approved_sha256) {
        (true, _, _) => state("approved"),
        (false, false, _) => state("no longer offered"),
        (false, true, Some(_)) => html! { (state("quarantined")) p.soft.small { "changed since it was approved" } },
        (false, true, None) => html! { (state("quarantined")) p.soft.small { "nobody approved it yet" } },
    }
}

/// `POST /servers/tools`: approves tools exactly as they were shown; one that changed meanwhile is refused.
pub(crate) async fn approve(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let name = sent.get("server").unwrap_or_default();
    let server = domain::servers::named(app.store(), &me.actor, name).await?;
    let is_repeatable = sent.get("repeatable").is_some();
    if sent.get("which") == Some("all") {
        domain::servers::approve_tools(app.store(), &me.actor, name, &[], true, is_repeatable).await?;
    } else {
        let chosen: Vec<(String, String)> = chosen(&sent);
        if chosen.is_empty() {
            return Err(Fault::invalid("tool", "no tool is ticked; tick those that may be used"));
        }
        for (definition, tool) in &chosen {
            if !mcp_servers::approve_tool(&me.actor, app.store(), server.id, tool, definition, is_repeatable).await? {
                let detail =
                    format!("{tool} was not approved: it changed since you looked at it, or you may not approve tools");
                return Err(Fault::conflict(detail).advice("Go back, look at it as it is now, and approve it then."));
            }
        }
    }
    Ok(Redirect::to(&format!("/servers#{}", server.name)).into_response())
}

/// The ticked tools, each with the definition that was shown.
fn chosen(sent: &Fields) -> Vec<(String, String)> {
    let ticked = sent.0.iter().filter(|(name, _)| name == "tool");
    ticked.filter_map(|(_, v)| v.split_once(':')).map(|(d, t)| (d.to_owned(), t.to_owned())).collect()
}

/// `POST /servers/run`: lets a server rest, or go on.
pub(crate) async fn run(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let server = domain::servers::named(app.store(), &me.actor, sent.get("name").unwrap_or_default()).await?;
    if !mcp_servers::set_active(&me.actor, app.store(), server.id, sent.get("run") == Some("yes")).await? {
        return Err(store::Error::Refused { what: "mcp_servers".to_owned() }.into());
    }
    Ok(Redirect::to(&format!("/servers#{}", server.name)).into_response())
}

/// `POST /servers/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    domain::servers::remove(app.store(), &me.actor, sent.get("name").unwrap_or_default()).await?;
    Ok(Redirect::to("/servers").into_response())
}

/// `GET /servers/new`
pub(crate) async fn new_page(me: Reader) -> Markup {
    form(&me, Form::default())
}

fn form(me: &Reader, form: Form<'_>) -> Markup {
    shell(
        me,
        "Add a server",
        "/servers",
        &html! {
            p.crumbs { a href="/servers" { "Servers" } }
            h1 { "Add a server" }
            p.lead { "A server is a program on this machine that speaks MCP on its standard channels: Steward starts it, watches over it, and starts it again when it dies. Or it is built in and needs no program." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action="/servers/new" data-once="" {
                (token(me))
                (form.line("name", "Name", "files", "Letters, digits, dots, dashes or underscores."))
                (form.choice("builtin", "Kind", "", &kinds(), "What a built-in one may touch stands in its settings; a program has its own way."))
                (form.lines("config", "Settings of a built-in one, in JSON", "", "Files: {\"folders\": [\"~/steward\"]}. Web: {\"hosts\": [\"api.example.org\"]}. Mail: {\"host\": \"smtp.example.org\", \"user\": \"me\", \"from\": \"Me <me@example.org>\"}, and PASSWORD=… in its environment. Notes: {\"folder\": \"~/steward/notes\"}. Tasks and reminders: {}.", 2))
                (form.line("command", "Program", "npx", "As you would type it in a terminal on the machine that runs Steward."))
                (form.lines("args", "Its arguments, one a line", "-y\n@modelcontextprotocol/server-filesystem\n/home/me/steward", "For the well-known server of files, the last lines are the folders it may touch; a rule that lets it read is added with it.", 4))
                // What was entered there is not sent back.
                (Form { sent: None, fault: form.fault }.lines("environment", "Its environment, one NAME=VALUE a line", "", "For keys and passwords: it is encrypted before it is kept, and never shown again.", 2))
                div.buttons { button.primary type="submit" { "Add it" } a.button href="/servers" { "Leave it" } }
            }
        },
    )
}

/// `POST /servers/new`
pub(crate) async fn create(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let done = async {
        let new = read(&sent)?;
        tools::builtin::check_new("config", app.store(), &me.actor, &new).await?;
        Ok::<_, Fault>(domain::servers::add(app.store(), &app.state.vault, &me.actor, new).await?)
    };
    match done.await {
        Ok(_) => Ok(Redirect::to(&format!("/servers#{}", sent.text("name").unwrap_or_default())).into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            Ok((fault.status, form(&me, Form::again(&sent, &fault))).into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// What a server can be: a program, or built in.
fn kinds() -> Vec<(String, String)> {
    let named = [
        ("", "A program"),
        ("files", "Built in: files within folders"),
        ("web", "Built in: the web within hosts"),
        ("mail", "Built in: mail by SMTP"),
        ("notes", "Built in: notes"),
        ("tasks", "Built in: tasks and reminders"),
    ];
    named.map(|(kind, called)| (kind.to_owned(), called.to_owned())).to_vec()
}

fn read(sent: &Fields) -> Result<NewServer> {
    let lines = |name: &str| -> Vec<String> {
        let text = sent.get(name).unwrap_or_default();
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
    };
    let mut environment = BTreeMap::new();
    for line in lines("environment") {
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            // The line itself may hold a secret, and is not repeated.
            .ok_or_else(|| Fault::invalid("environment", "each line must be NAME=VALUE"))?;
        environment.insert(name.to_owned(), value.to_owned());
    }
    let (command, args) = match sent.text("builtin") {
        Some(kind) => {
            let settings = sent.text("config").unwrap_or("{}");
            (format!("{}{kind}", mcp_servers::BUILTIN), vec![settings.to_owned()])
        }
        None => (sent.text("command").unwrap_or_default().to_owned(), lines("args")),
    };
    Ok(NewServer { name: sent.text("name").unwrap_or_default().to_owned(), command, args, environment })
}
