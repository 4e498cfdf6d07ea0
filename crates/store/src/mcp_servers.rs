//! `mcp_servers` and `server_tools`: the servers, and what each offers.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run, Store,
    cache::{Change, Kind},
    run::whole,
    statement::statements,
    value::row,
};

row! {
    /// A server, without its environment.
    pub struct Server {
        /// Id.
        pub id: Uuid,
        /// Name, unique.
        pub name: String,
        /// `stdio`, `http` or `builtin`.
        pub server_type: String,
        /// Program.
        pub command: String,
        /// Its arguments.
        pub args: Vec<String>,
        /// `active`, `inactive` or `error`.
        pub status: String,
        /// Last sign of life.
        pub last_heartbeat: Option<Timestamp>,
        /// What it says it can: `tools`, `resources` …
        pub capabilities: Vec<String>,
        /// When added.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// Whether it is to run.
        pub is_active: bool,
    }
}
row! {
    /// What is needed to start a server. For Steward itself only.
    pub struct ServerLaunch {
        /// Id.
        pub id: Uuid,
        /// Name.
        pub name: String,
        /// Program.
        pub command: String,
        /// Its arguments.
        pub args: Vec<String>,
        /// Its environment, sealed (see [`crate::vault`]).
        #[schema(value_type = Option<Object>)]
        pub environment: Option<Json>,
        /// When last changed.
        pub updated_at: Timestamp,
    }
}
row! {
    /// A tool. It is usable only while `approved_sha256` equals `definition_sha256` and it is offered.
    pub struct ServerTool {
        /// The server.
        pub server_id: Uuid,
        /// Name, unique within the server.
        pub name: String,
        /// What the server says it does.
        pub description: Option<String>,
        /// JSON Schema of its arguments.
        #[schema(value_type = serde_json::Value)]
        pub input_schema: Json,
        /// SHA-256 of all the server says of it.
        pub definition_sha256: String,
        /// The definition a person approved.
        pub approved_sha256: Option<String>,
        /// Who.
        pub approved_by: Option<Uuid>,
        /// When.
        pub approved_at: Option<Timestamp>,
        /// The owner's word that it is safe to run twice.
        pub repeatable: bool,
        /// Whether the server offered it when last asked.
        pub is_offered: bool,
        /// When first offered.
        pub first_seen: Timestamp,
        /// When last offered.
        pub last_seen: Timestamp,
    }
}
impl ServerTool {
    /// Whether a person approved it as it is now.
    pub fn is_usable(&self) -> bool {
        self.is_offered && self.approved_sha256.as_deref() == Some(self.definition_sha256.as_str())
    }
}

statements! {
    CREATE: Server = "mcp_servers/create";
    LIST: Server = "mcp_servers/list";
    NAMED: Server = "mcp_servers/named";
    LAUNCHES: ServerLaunch = "mcp_servers/secrets";
    UPDATE: Server = "mcp_servers/update";
    UPDATE_ALL: Server = "mcp_servers/update_all";
    SET_ACTIVE: Server = "mcp_servers/set_active";
    SET_STATUS: Server = "mcp_servers/set_status";
    DELETE: Server = "mcp_servers/delete";
    TOOLS: ServerTool = "server_tools/list";
    TOOL: ServerTool = "server_tools/find";
    SEE: ServerTool = "server_tools/see";
    WITHDRAW: ServerTool = "server_tools/withdraw";
    APPROVE: ServerTool = "server_tools/approve";
}

/// Adds a server; `environment` is sealed. Answers its id.
pub async fn create(
    actor: &Actor,
    on: impl Run,
    name: &str,
    command: &str,
    args: Vec<String>,
    environment: Option<Json>,
) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![id.into(), name.into(), kind_of(command).into(), command.into(), args.into(), environment.into()];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// With what the command of a server begins that needs no program.
pub const BUILTIN: &str = "builtin:";

/// What a server is by its command: `stdio` a program, `http` one elsewhere, `builtin` one that needs neither.
pub fn kind_of(command: &str) -> &'static str {
    if command.starts_with(BUILTIN) {
        "builtin"
    } else if is_address(command) {
        "http"
    } else {
        "stdio"
    }
}

/// Whether a server's command is the address of a server elsewhere, and so no program.
pub fn is_address(command: &str) -> bool {
    command.starts_with("https://") || command.starts_with("http://")
}

/// Servers by name; all of them, up to 10,000.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Server>> {
    whole(actor, on, &LIST, ("".into(), Uuid::nil().into()), |s: &Server| ((&s.name).into(), s.id.into())).await
}

/// The same, as it was remembered: for showing. Only `last_heartbeat` may be up to five minutes old.
pub async fn shown(actor: &Actor, store: &Store) -> Result<Vec<Server>> {
    let Some(user) = actor.user_id() else { return list(actor, store).await };
    let on = [Change::User(user), Change::Servers];
    store.cache.kept(store, (Kind::Servers, &user.to_string()), &on, Box::pin(list(actor, store))).await
}

/// A server by name.
pub async fn named(actor: &Actor, on: impl Run, name: &str) -> Result<Option<Server>> {
    on.optional(actor, &NAMED, vec![name.into()]).await
}

/// What is needed to start the servers that are to run. For Steward itself only.
pub async fn launches(actor: &Actor, on: impl Run) -> Result<Vec<ServerLaunch>> {
    on.list(actor, &LAUNCHES, Vec::new()).await
}

/// Writes how a server is started and whether it is to run; `environment` is sealed, and stays as it is where none is
/// given. False: none such, or not allowed.
pub async fn update(actor: &Actor, on: impl Run, server: &Server, environment: Option<Option<Json>>) -> Result<bool> {
    let mut params =
        vec![server.id.into(), (&server.command).into(), server.args.clone().into(), server.is_active.into()];
    let statement = if let Some(environment) = environment {
        params.push(environment.into());
        &UPDATE_ALL
    } else {
        &UPDATE
    };
    Ok(on.execute(actor, statement, params).await? > 0)
}

/// Says whether a server is to run. False: none such, or not allowed.
pub async fn set_active(actor: &Actor, on: impl Run, id: Uuid, is_active: bool) -> Result<bool> {
    Ok(on.execute(actor, &SET_ACTIVE, vec![id.into(), is_active.into()]).await? > 0)
}

/// Notes how a server fares; `None` leaves capabilities and heartbeat as they are. For Steward itself only.
pub async fn set_status(
    actor: &Actor,
    on: impl Run,
    id: Uuid,
    status: &str,
    capabilities: Option<Vec<String>>,
    heartbeat: Option<Timestamp>,
) -> Result<()> {
    on.execute(actor, &SET_STATUS, vec![id.into(), status.into(), capabilities.into(), heartbeat.into()])
        .await
        .map(drop)
}

/// Removes a server with its tools. False: none such, or not allowed.
pub async fn delete(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &DELETE, vec![id.into()]).await? > 0)
}

/// A server's tools by name, at most 1000.
pub async fn tools(actor: &Actor, on: impl Run, server_id: Uuid) -> Result<Vec<ServerTool>> {
    on.list(actor, &TOOLS, vec![server_id.into()]).await
}

/// A tool by its server's name and its own.
pub async fn tool(actor: &Actor, on: impl Run, server: &str, name: &str) -> Result<Option<ServerTool>> {
    on.optional(actor, &TOOL, vec![server.into(), name.into()]).await
}

/// Notes that a server offers a tool; a changed definition loses its approval. For Steward itself only.
pub async fn see_tool(
    actor: &Actor,
    on: impl Run,
    server_id: Uuid,
    name: &str,
    description: Option<&str>,
    input_schema: &Json,
    definition_sha256: &str,
) -> Result<()> {
    let params =
        vec![server_id.into(), name.into(), description.into(), input_schema.clone().into(), definition_sha256.into()];
    on.execute(actor, &SEE, params).await.map(drop)
}

/// Marks a tool as no longer offered. For Steward itself only.
pub async fn withdraw_tool(actor: &Actor, on: impl Run, server_id: Uuid, name: &str) -> Result<()> {
    on.execute(actor, &WITHDRAW, vec![server_id.into(), name.into()]).await.map(drop)
}

/// Approves a tool as it was shown (`definition_sha256`). False: it changed since, there is none, or not allowed.
pub async fn approve_tool(
    actor: &Actor,
    on: impl Run,
    server_id: Uuid,
    name: &str,
    definition_sha256: &str,
    repeatable: bool,
) -> Result<bool> {
    Ok(on
        .execute(actor, &APPROVE, vec![server_id.into(), name.into(), definition_sha256.into(), repeatable.into()])
        .await?
        > 0)
}
