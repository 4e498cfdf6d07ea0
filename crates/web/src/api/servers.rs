//! MCP servers and the tools they offer.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use domain::servers::{self, ServerChange};
use serde::{Deserialize, Serialize};
use store::{
    mcp_servers::{self, Server, ServerTool},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{self, Fields, List},
    changes::{self, Change, Removal},
    pages::{Page, cut},
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, remove))
        .routes(routes!(tools))
        .routes(routes!(approve_tools))
}

/// Servers by name
#[utoipa::path(get, path = "/servers", tag = "Servers", params(Page),
    responses((status = 200, description = "A page of servers, without their environments", body = List<Server>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[Server::COLUMNS])?;
    fields.page(cut(mcp_servers::list(&me.actor, app.store()).await?, &params, |s| s.id.to_string())?)
}

/// A server to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewServer {
    /// Name, unique: 1–100 letters, digits, dots, dashes or underscores.
    name: String,
    /// The program that is started; or the address of a server elsewhere; or `builtin:` and the kind of a built-in one.
    command: String,
    /// Its arguments, at most 100 and 32768 bytes in all; for a built-in server its settings, as the text of one JSON object.
    #[serde(default)]
    args: Vec<String>,
    /// Its environment, at most 100 variables and 32768 bytes in all; sealed, and never shown again.
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// A server that was added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Added {
    /// The server.
    #[serde(flatten)]
    server: Server,
    /// The rule that was made for its reading tools, where it is the well-known filesystem server.
    rule: Option<String>,
}

/// Add a server; for administrators
#[utoipa::path(post, path = "/servers", tag = "Servers", request_body = NewServer,
    responses((status = 201, description = "The new server", body = Added)))]
async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewServer>) -> Result<Response> {
    let new = servers::NewServer { name: new.name, command: new.command, args: new.args, environment: new.environment };
    tools::builtin::check_new("args", app.store(), &me.actor, &new).await?;
    let (id, rule) = servers::add(app.store(), &app.state.vault, &me.actor, new).await?;
    let server = servers::find(app.store(), &me.actor, id).await?;
    answer::created(&format!("/v1/servers/{id}"), &Added { server, rule })
}

/// One server
#[utoipa::path(get, path = "/servers/{id}", tag = "Servers", params(("id" = Uuid, Path, description = "The server")),
    responses((status = 200, description = "The server, without its environment", body = Server)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&servers::find(app.store(), &me.actor, id).await?)
}

/// What can be changed of a server; what is not named stays.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerEdit {
    /// The program that is started.
    command: String,
    /// Its arguments; the whole list.
    args: Vec<String>,
    /// The whole environment in place of the one that stands; `{}` takes it away.
    #[serde(default)]
    environment: Option<BTreeMap<String, String>>,
    /// Whether it is to run.
    is_active: bool,
}

/// Change a server; for administrators
#[utoipa::path(patch, path = "/servers/{id}", tag = "Servers", params(("id" = Uuid, Path, description = "The server")),
    request_body = ServerEdit, responses((status = 200, description = "The server as it stands now", body = Server)))]
async fn change(State(app): State<App>, Change(me, id, wanted): Change) -> Result<Response> {
    let changed = servers::change(app.store(), &app.state.vault, &me.actor, id, move |server| {
        wanted.check(server)?;
        let edit = ServerEdit {
            command: server.command.clone(),
            args: server.args.clone(),
            environment: None,
            is_active: server.is_active,
        };
        let e = wanted.patch().apply(&edit)?;
        Ok(ServerChange { launch: Some((e.command, e.args)), environment: e.environment, is_active: Some(e.is_active) })
    });
    changes::answer(&app, &me, ("mcp_server", id), changed).await
}

/// Remove a server with its tools; for administrators
///
/// The rules that allow just this server something go with it.
#[utoipa::path(delete, path = "/servers/{id}", tag = "Servers", params(("id" = Uuid, Path, description = "The server")),
    responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, Id(id): Id, removal: Removal) -> Result<Response> {
    let server = servers::find(app.store(), &removal.0.actor, id).await?;
    removal.check(&app, ("mcp_server", id), &server).await?;
    servers::remove(app.store(), &removal.0.actor, &server.name).await?;
    Ok(answer::done())
}

/// A tool with whether it may be used.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Offered {
    /// The tool.
    #[serde(flatten)]
    tool: ServerTool,
    /// Whether a person approved it as the server offers it now.
    is_usable: bool,
}

async fn offered(app: &App, me: &Signed, id: Uuid) -> Result<Response> {
    let tools = mcp_servers::tools(&me.actor, app.store(), id).await?;
    answer::whole(tools.into_iter().map(|tool| Offered { is_usable: tool.is_usable(), tool }).collect())
}

/// What a server offers
#[utoipa::path(get, path = "/servers/{id}/tools", tag = "Servers", params(("id" = Uuid, Path, description = "The server")),
    responses((status = 200, description = "Its tools by name, at most 1000", body = List<Offered>)))]
async fn tools(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    servers::find(app.store(), &me.actor, id).await?;
    offered(&app, &me, id).await
}

/// Which tools are approved, as the server offers them now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approved {
    /// The tools by name; none and `all` approves each that is offered.
    #[serde(default)]
    tools: Vec<String>,
    /// All that are offered.
    #[serde(default)]
    all: bool,
    /// Your word that they are safe to run twice.
    #[serde(default)]
    repeatable: bool,
}

/// Approve tools of a server; for administrators
///
/// A tool whose definition changes later loses its approval.
#[utoipa::path(post, path = "/servers/{id}/approve-tools", tag = "Servers",
    params(("id" = Uuid, Path, description = "The server")), request_body = Approved,
    responses((status = 200, description = "Its tools as they stand now", body = List<Offered>)))]
async fn approve_tools(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, said): SignedJson<Approved>,
) -> Result<Response> {
    if said.tools.is_empty() && !said.all {
        return Err(Fault::invalid("tools", "name the tools, or say all"));
    }
    let server = servers::find(app.store(), &me.actor, id).await?;
    servers::approve_tools(app.store(), &me.actor, &server.name, &said.tools, said.all, said.repeatable).await?;
    offered(&app, &me, id).await
}
