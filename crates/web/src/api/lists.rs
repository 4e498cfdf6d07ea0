//! Lists that are only read, and how Steward stands.

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use store::{
    audit_trail::{self, AuditRow},
    mcp_servers::{self, Server, ServerTool},
    notifications::{self, Notification},
    policies::{self, Policy},
    watchers::{self, Watcher},
};

use super::List;
use crate::{
    app::App,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

/// `GET /v1/notifications`
pub(crate) async fn notifications(
    State(app): State<App>,
    me: Signed,
    params: Params,
) -> Result<Json<List<Notification>>> {
    params.only(&["status", "limit"])?;
    let status = params.one_of("status", &["unread", "read", "archived"])?;
    Ok(List::whole(notifications::list(&me.actor, app.store(), status, params.limit()?).await?))
}

/// `GET /v1/watchers`
pub(crate) async fn watchers(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<Watcher>>> {
    params.only(&[])?;
    Ok(List::whole(watchers::list(&me.actor, app.store()).await?.into_iter().map(domain::watchers::shown).collect()))
}

/// `GET /v1/servers`
pub(crate) async fn servers(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<Server>>> {
    params.only(&[])?;
    Ok(List::whole(mcp_servers::list(&me.actor, app.store()).await?))
}

/// A tool with whether it may be used.
#[derive(Debug, Serialize)]
pub(crate) struct Offered {
    #[serde(flatten)]
    tool: ServerTool,
    is_usable: bool,
}

/// `GET /v1/servers/{id}/tools`
pub(crate) async fn tools(
    State(app): State<App>,
    me: Signed,
    Id(id): Id,
    params: Params,
) -> Result<Json<List<Offered>>> {
    params.only(&[])?;
    if !mcp_servers::list(&me.actor, app.store()).await?.iter().any(|s| s.id == id) {
        return Err(Fault::not_found("server"));
    }
    let tools = mcp_servers::tools(&me.actor, app.store(), id).await?;
    Ok(List::whole(tools.into_iter().map(|tool| Offered { is_usable: tool.is_usable(), tool }).collect()))
}

/// `GET /v1/policies`
pub(crate) async fn policies(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<Policy>>> {
    params.only(&[])?;
    Ok(List::whole(policies::list(&me.actor, app.store()).await?))
}

/// `GET /v1/audit`
pub(crate) async fn audit(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<AuditRow>>> {
    params.only(&["entity_type", "entity_id", "limit"])?;
    Ok(List::whole(
        audit_trail::list(&me.actor, app.store(), params.get("entity_type"), params.id("entity_id")?, params.limit()?)
            .await?,
    ))
}

/// How Steward stands, as far as the asking user may know.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    started_at: Timestamp,
    database: &'static str,
    servers: usize,
    servers_not_active: usize,
    watchers: usize,
    watchers_failing: usize,
}

/// `GET /v1/status`
pub(crate) async fn status(State(app): State<App>, me: Signed, params: Params) -> Result<Json<Status>> {
    params.only(&[])?;
    let (servers, watchers) =
        tokio::try_join!(mcp_servers::list(&me.actor, app.store()), watchers::list(&me.actor, app.store()))?;
    Ok(Json(Status {
        version: app.state.version,
        started_at: app.started_at,
        database: app.store().engine_name(),
        servers_not_active: servers.iter().filter(|s| s.is_active && s.status != "active").count(),
        servers: servers.len(),
        watchers_failing: watchers.iter().filter(|w| w.is_active && w.error_count > 0).count(),
        watchers: watchers.len(),
    }))
}

/// `GET /v1/briefing?period=day|week`: what was done, what waits, where it is stuck, and what comes.
pub(crate) async fn briefing(
    State(app): State<App>,
    me: Signed,
    params: Params,
) -> Result<Json<domain::briefing::Briefing>> {
    params.only(&["period"])?;
    let period = match params.one_of("period", &["day", "week"])? {
        Some("week") => domain::briefing::Period::Week,
        _ => domain::briefing::Period::Day,
    };
    Ok(Json(domain::briefing::make(app.store(), &me.actor, period, store::now()).await?))
}
