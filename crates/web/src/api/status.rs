//! How Steward stands, as far as the asking user may know.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use serde::Serialize;
use store::{mcp_servers, watchers};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::answer;
use crate::{app::App, fault::Result, params::Params, session::Signed};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(status))
}

/// How Steward stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// Its version.
    version: &'static str,
    /// When this process was started.
    started_at: Timestamp,
    /// `PostgreSQL` or `SQLite`.
    database: &'static str,
    /// The database's own version.
    database_version: String,
    /// Servers.
    servers: usize,
    /// Servers that are to run and do not.
    servers_not_active: usize,
    /// Watchers that you may see.
    watchers: usize,
    /// Those of them whose last look failed.
    watchers_failing: usize,
}

/// How Steward stands, at a glance
#[utoipa::path(get, path = "/status", tag = "System", responses((status = 200, description = "The figures", body = Status)))]
async fn status(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    let (servers, watchers) =
        tokio::try_join!(mcp_servers::list(&me.actor, app.store()), watchers::list(&me.actor, app.store()))?;
    answer::row(&Status {
        version: app.state.version,
        started_at: app.started_at,
        database: app.store().engine_name(),
        database_version: app.store().engine_version().await?,
        servers_not_active: servers.iter().filter(|s| s.is_active && s.status != "active").count(),
        servers: servers.len(),
        watchers_failing: watchers.iter().filter(|w| w.is_active && w.error_count > 0).count(),
        watchers: watchers.len(),
    })
}
