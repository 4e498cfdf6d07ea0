//! From an empty house to the first finished task: a folder, a server of files with its tools, a watcher with its playbook.
//! Each step is one button; what is set up can be changed where it stands.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::servers::NewServer;
use maud::{Markup, html};
use serde_json::json;
use store::{
    mcp_servers::{self, Server, ServerTool},
    watchers::{self, Watcher},
};

use super::{
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{cut, say, state},
    playbooks::at_hand,
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    session::Signed,
};

/// The server of files that is set up here.
const BUILTIN: &str = "builtin:files";
/// One from elsewhere that serves as well, by the name of its package.
const PACKAGE: &str = "@modelcontextprotocol/server-filesystem";
/// The playbook that comes with Steward.
const PLAYBOOK: &str = "file-away";
/// Where all of it lies unless another place is named.
const ROOT: &str = "~/steward";

/// What stands of it.
struct Standing {
    server: Option<Server>,
    tools: Vec<ServerTool>,
    watcher: Option<Watcher>,
    has_playbook: bool,
}

impl Standing {
    async fn of(app: &App, me: &Signed) -> Result<Self> {
        let (actor, on) = (&me.actor, app.store());
        let server = mcp_servers::list(actor, on)
            .await?
            .into_iter()
            .find(|s| s.command == BUILTIN || s.args.iter().any(|a| a == PACKAGE));
        let tools = match &server {
            Some(server) => mcp_servers::tools(actor, on, server.id).await?,
            None => Vec::new(),
        };
        let watcher = watchers::list(actor, on).await?.into_iter().find(|w| w.watcher_type == "folder");
        let has_playbook = at_hand(app).await?.iter().any(|p| p.name == PLAYBOOK && p.errors.is_empty());
        Ok(Self { server, tools, watcher, has_playbook })
    }

    /// The folder that the server may touch.
    fn root(&self) -> Option<String> {
        let server = self.server.as_ref()?;
        let named = domain::confined::folders(&server.command, &server.args).into_iter().next();
        named.or_else(|| server.args.last().cloned()).filter(|p| p.starts_with('/'))
    }

    fn is_usable(&self) -> bool {
        self.tools.iter().any(ServerTool::is_usable)
    }
}

/// `GET /begin`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let standing = Standing::of(&app, &me).await?;
    Ok(render(&me, &standing, Form::default()))
}

fn render(me: &Reader, standing: &Standing, form: Form<'_>) -> Markup {
    let done = [standing.server.is_some(), standing.is_usable(), standing.watcher.is_some()];
    let next = done.iter().position(|d| !d).unwrap_or(done.len());
    let step = |place: usize, title: &str, body: Markup| {
        html! {
            li.done[done.get(place) == Some(&true)].next[place == next] aria-current=[(place == next).then_some("step")] {
                div { p.title { strong { (title) } @if done.get(place) == Some(&true) { span.hidden { " (done)" } } } (body) }
            }
        }
    };
    shell(
        me,
        "Begin here",
        "/",
        &html! {
            p.crumbs { a href="/" { "Today" } }
            h1 { "Begin with a folder" }
            p.lead { "What you put into a folder is filed away by kind and date, and nothing moves before you said yes. It takes three steps; all of it can be changed later." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if !me.is_admin() { p { "An administrator does this." } }
            @else {
                div #steps data-live="" {
                    ol.check {
                        (step(0, "A folder of Steward’s own", folder_step(me, standing, form)))
                        (step(1, "The tools it may use there", tool_step(me, standing)))
                        (step(2, "The inbox, watched", watch_step(me, standing)))
                        (step(3, "The first file", html! {
                            @if next == 3 {
                                p { "Put a file into " code { (inbox(standing)) } ". Within seconds it is a task, and what is to be done with it waits for you under " a href="/approvals" { "Approvals" } "." }
                            }
                        }))
                    }
                }
                p.soft { "Something else? " a href="/servers/new" { "Add another server" } " or " a href="/watchers/new" { "watch something else" } "." }
            }
        },
    )
}

fn inbox(standing: &Standing) -> String {
    let watched = standing.watcher.as_ref().and_then(|w| w.config.as_ref()).and_then(|c| c.get("path"));
    watched
        .and_then(|p| p.as_str())
        .map_or_else(|| format!("{}/inbox", standing.root().unwrap_or_else(|| ROOT.to_owned())), str::to_owned)
}

fn folder_step(me: &Reader, standing: &Standing, form: Form<'_>) -> Markup {
    match standing.root() {
        Some(root) => html! { p.meta { "The server of files may touch " code { (say(&root)) } " and nothing else." } },
        None if standing.server.is_some() => html! {},
        None => html! {
            form.form method="post" action="/begin/server" data-once="" {
                (token(me))
                (form.line("path", "Folder", ROOT, "On the machine that runs Steward. It is made if it is missing, and all that is done is done within it."))
                p.hint { "A server of files, which Steward brings along, is set up for it. A rule lets it look; whatever changes something asks you." }
                div.buttons { button.primary type="submit" { "Set it up" } }
            }
        },
    }
}

fn tool_step(me: &Reader, standing: &Standing) -> Markup {
    let Some(server) = &standing.server else { return html! {} };
    if standing.is_usable() {
        let usable = standing.tools.iter().filter(|t| t.is_usable()).count();
        return html! { p.meta { (usable) " tools are approved for use, exactly as they are now." } };
    }
    if standing.tools.is_empty() {
        return html! {
            p.meta { "The server is starting. " (state(&server.status)) " " a href="/begin" { "Look again" } }
            @if server.status == "error" { p.meta { "It does not start. " a href={ "/servers#" (server.name) } { "What it says" } } }
        };
    }
    html! {
        p.meta { "It offers these. A tool is used only while it is exactly the one you approved; that it may be used does not mean that nobody is asked." }
        details { summary { (standing.tools.len()) " tools" } ul.lines { @for tool in &standing.tools { li { code { (say(&tool.name)) } @if let Some(text) = &tool.description { p.soft.small { (say(&cut(text, 160))) } } } } } }
        (button(me, "/begin/tools", &[("server", &server.name)], "Approve them", "primary", ""))
    }
}

fn watch_step(me: &Reader, standing: &Standing) -> Markup {
    if let Some(watcher) = &standing.watcher {
        return html! { p.meta { a href={ "/watchers/" (watcher.id) } { (say(&watcher.name)) } " watches " code { (inbox(standing)) } "." } };
    }
    if !standing.is_usable() {
        return html! {};
    }
    html! {
        @if standing.has_playbook {
            p.meta { "What arrives in " code { (inbox(standing)) } " becomes a task for the playbook " a href="/playbooks" { (PLAYBOOK) } ": it looks at each file, chooses a folder by its rules, and asks before it moves anything." }
            (button(me, "/begin/watcher", &[], "Watch it", "primary", ""))
        } @else {
            p.meta { "The playbook " (PLAYBOOK) " is not at hand or has mistakes; " a href="/playbooks" { "look at it" } " first." }
        }
    }
}

/// The whole path of a folder, made where it is missing.
pub(super) async fn folder(app: &App, path: &str) -> Result<String> {
    let (hands, path) = (std::sync::Arc::clone(&app.state.hands), path.to_owned());
    let made = tokio::task::spawn_blocking(move || hands.folder(&path)).await;
    Ok(made.map_err(|e| Fault::internal(e.to_string()))??)
}

async fn told(app: &App, me: Signed, sent: &Fields, done: Result<()>) -> Result<Response> {
    match done {
        Ok(()) => Ok(Redirect::to("/begin").into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let standing = Standing::of(app, &me).await?;
            let me = Reader::of(app, me).await?;
            let form = Form { sent: sent.get("path").map(|_| sent), fault: Some(&fault) };
            Ok((fault.status, render(&me, &standing, form)).into_response())
        }
        Err(fault) => Err(fault),
    }
}

async fn only_admins(app: &App, me: &Signed) -> Result<()> {
    // Any folder of the machine may be named here.
    if domain::watchers::may_reach_private(app.store(), &me.actor).await? {
        return Ok(());
    }
    Err(store::Error::Refused { what: "only administrators set this up".to_owned() }.into())
}

/// `POST /begin/server`
pub(crate) async fn server(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let done = async {
        only_admins(&app, &me).await?;
        let root = folder(&app, sent.text("path").unwrap_or(ROOT)).await?;
        folder(&app, &format!("{root}/inbox")).await?;
        let new = NewServer {
            name: "files".to_owned(),
            command: BUILTIN.to_owned(),
            args: vec![json!({ "folders": [root] }).to_string()],
            environment: std::collections::BTreeMap::new(),
        };
        domain::servers::add(app.store(), &app.state.vault, &me.actor, new).await?;
        Ok(())
    }
    .await;
    told(&app, me, &sent, done).await
}

/// `POST /begin/tools`: approves the tools that are offered now.
pub(crate) async fn tools(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let name = sent.get("server").unwrap_or_default();
    let done = domain::servers::approve_tools(app.store(), &me.actor, name, &[], true, false).await;
    told(&app, me, &sent, done.map(drop).map_err(Fault::from)).await
}

/// `POST /begin/watcher`
pub(crate) async fn watcher(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let done = async {
        only_admins(&app, &me).await?;
        let standing = Standing::of(&app, &me).await?;
        if standing.watcher.is_some() {
            return Ok(());
        }
        let path = folder(&app, &format!("{}/inbox", standing.root().unwrap_or_else(|| ROOT.to_owned()))).await?;
        let config = json!({ "path": path, "playbook": PLAYBOOK });
        let new = domain::watchers::NewWatcher {
            name: "inbox".to_owned(),
            watcher_type: "folder".to_owned(),
            config,
            credentials: None,
        };
        domain::watchers::add(app.store(), &app.state.vault, &me.actor, new).await?;
        Ok(())
    }
    .await;
    told(&app, me, &sent, done).await
}
