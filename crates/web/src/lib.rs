//! HTTP: the desk's pages, the JSON API, health and metrics. The only crate that knows axum.
//!
//! A request passes one guard (host, time, headers, the look of errors), then a handler that calls verbs of `store`
//! and `domain` with the actor of its session. Nothing is changed by GET, and no handler can read a form or a JSON
//! body without the check against forged requests, since the check is part of reading it.

mod access;
mod api;
mod app;
mod assets;
mod body;
mod cache_figures;
mod chain_check;
mod database_figures;
mod desk;
mod docs;
mod download;
mod events;
mod fault;
mod guard;
mod hands;
mod health;
mod hooks;
mod hosts;
mod mcp;
mod origin;
mod params;
mod proxies;
mod rate;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod upload;

use std::{fmt, sync::Arc};

use store::{Store, Vault};

pub use hands::{Backups, Bundle, Finding, Hands, ModelEntry, Models, Preview, Seen, Settings, Told};
pub use health::instance;
pub use proxies::Proxies;
pub use serve::{serve, serve_tls};
pub use tls::{Tls, TlsFiles};

/// The description of the API: OpenAPI 3.1.
pub fn openapi() -> &'static serde_json::Value {
    &api::openapi::DOCUMENT
}

/// What the pages and the API work with.
#[derive(Debug, Clone)]
pub struct State {
    /// The database.
    pub store: Store,
    /// Seals secrets and keeps attachments.
    pub vault: Vault,
    /// What other parts of the program do for the web.
    pub hands: Arc<dyn Hands>,
    /// Version shown and told.
    pub version: &'static str,
    /// Names under which the desk may be reached besides loopback and the address it listens on, as in
    /// `desk.example.org`; a port is not part of the name.
    pub allowed_hosts: Vec<String>,
    /// The proxies before the desk that are believed from where a request comes.
    pub trusted_proxies: Proxies,
    /// The playbooks at hand.
    pub playbooks: Playbooks,
}

/// A playbook as a list shows it.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct PlaybookEntry {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The file, `built in`, or `kept here`.
    pub origin: String,
    /// Whether the employee uses it; files are always used.
    pub is_on: bool,
    /// What is wrong with it, with line and column.
    pub errors: Vec<String>,
}

/// Where playbooks are listed: whoever runs the desk knows their folder.
#[derive(Clone)]
pub struct Playbooks(Arc<dyn Fn() -> Vec<PlaybookEntry> + Send + Sync>);

impl Playbooks {
    /// Listed by `list`, which may wait for the disk: it is called on a blocking thread.
    pub fn new(list: impl Fn() -> Vec<PlaybookEntry> + Send + Sync + 'static) -> Self {
        Self(Arc::new(list))
    }

    pub(crate) fn all(&self) -> Vec<PlaybookEntry> {
        (self.0)()
    }
}

impl fmt::Debug for Playbooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Playbooks")
    }
}
