//! Servers: how each fares, what it said last, and what it offers.

use axum::extract::State;
use maud::{Markup, html};
use store::{
    mcp_servers::{self, Server, ServerTool},
    system_logs::{self, LogLine},
};

use super::{
    layout::shell,
    parts::{cut, empty, hash, say, state, time, visible, when},
};
use crate::{app::App, fault::Result, session::Signed};

/// Lines of the log shown of each server.
const LINES: i64 = 8;
/// Servers whose tools and lines are shown.
const SERVERS: usize = 50;

/// `GET /servers`
pub(crate) async fn page(State(app): State<App>, me: Signed) -> Result<Markup> {
    let servers = mcp_servers::list(&me.actor, app.store()).await?;
    let mut blocks = Vec::new();
    for server in servers.iter().take(SERVERS) {
        let module = format!("server:{}", server.name);
        let (tools, lines) = tokio::try_join!(
            mcp_servers::tools(&me.actor, app.store(), server.id),
            system_logs::list(&me.actor, app.store(), None, Some(&module), None, LINES),
        )?;
        blocks.push(block(server, &tools, &lines));
    }
    Ok(shell(
        &me,
        "Servers",
        "/servers",
        &html! {
            h1 { "Servers" }
            p.lead { "A server offers tools. A tool is used only while it is exactly the one that a person approved: a new or changed one waits in quarantine." }
            @if servers.is_empty() {
                (empty("No server is set up.", &html! { "Add one: " code { "steward server add files --command npx --arg -y --arg @modelcontextprotocol/server-filesystem --arg ~/steward" } }))
            }
            @for block in blocks { (block) }
            @if servers.len() > SERVERS { p.soft { "And " (servers.len() - SERVERS) " more: " code { "steward server list" } } }
        },
    ))
}

fn block(server: &Server, tools: &[ServerTool], lines: &[LogLine]) -> Markup {
    let now = store::now();
    let fresh = tools.iter().filter(|t| t.is_offered && !t.is_usable()).count();
    html! {
        article.place id=(server.name) {
            h2 { (say(&server.name)) " " (state(if server.is_active { &server.status } else { "paused" })) }
            p.meta {
                code { (say(&cut(&format!("{} {}", server.command, server.args.join(" ")), 200))) }
                " · " @match server.last_heartbeat { Some(at) => { "last answered " (when(at, now)) }, None => "has not answered yet" }
            }
            @if fresh > 0 {
                p.error { (fresh) @if fresh == 1 { " tool is in quarantine. Look at it, then: " } @else { " tools are in quarantine. Look at them, then: " }  code { "steward server approve-tools " (server.name) " --all" } }
            }
            @if !lines.is_empty() {
                details open[server.is_active && server.status == "error"] {
                    summary { "What it said last" }
                    ul.log { @for line in lines { li { (time(line.timestamp)) " " (state(&line.level)) " " (visible(line.message.as_deref().unwrap_or_default())) } } }
                }
            }
            @if tools.is_empty() { (empty("It has offered no tools yet.", &html! { "They appear here when it has started." })) }
            @else {
                details open[fresh > 0] {
                    summary { "Tools " span.soft { (tools.len()) } }
                    (tool_table(tools, now))
                }
            }
        }
    }
}

fn tool_table(tools: &[ServerTool], now: jiff::Timestamp) -> Markup {
    html! {
        table {
            caption.hidden { "Tools and whether they may be used" }
            thead { tr { th scope="col" { "Tool" } th scope="col" { "Use" } th.opt scope="col" { "Definition" } } }
            tbody {
                @for tool in tools {
                    tr {
                        th scope="row" {
                            code { (say(&tool.name)) }
                            @if let Some(text) = &tool.description { p.soft.small { (say(&cut(text, 240))) } }
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
