//! What all handlers share, and the one router.

use std::{net::SocketAddr, ops::Deref, sync::Arc, sync::atomic::AtomicU64};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use domain::guessing::DeviceKey;
use jiff::Timestamp;
use store::{Actor, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    State, api, assets,
    chain_check::Checks,
    desk, docs,
    events::Events,
    fault::{Fault, Result},
    guard,
    hands::Settings,
    health, hooks,
    hosts::Hosts,
    mcp,
    mcp::Mcp,
    rate::Rates,
    upload,
};

/// Bodies hold at most this much.
pub(crate) const BODY_BYTES: usize = 256 * 1024;

/// What all handlers share; cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub state: State,
    pub hosts: Hosts,
    /// Proves that a browser's mark is ours.
    pub device_key: DeviceKey,
    pub events: Events,
    /// Steward's own MCP server.
    pub mcp: Mcp,
    pub calls: hooks::Calls,
    /// Calls of webhooks that were not believed.
    pub refusals: hooks::Refusals,
    pub rates: Rates,
    pub started_at: Timestamp,
    /// Whoever verifies the audit trail holds it.
    pub verifying: Arc<Semaphore>,
    /// The check of the trail that goes on beside its page, or the last one.
    pub checks: Checks,
    /// Ends with the server.
    pub shutdown: CancellationToken,
    /// Whoever looks for what is wrong holds it.
    pub looking: Semaphore,
    /// Each upload under way holds one.
    pub uploads: Semaphore,
    /// Answers by class: 1xx … 5xx.
    pub answers: [AtomicU64; 5],
}

impl Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// For a server that listens on `listen` and ends with `shutdown`.
    pub fn new(state: State, listen: SocketAddr, shutdown: CancellationToken) -> Self {
        let hosts = Hosts::new(listen, &state.allowed_hosts);
        let device_key = DeviceKey::new(&state.vault.derive("marks of browsers"));
        let mcp = Mcp::new(state.store.clone(), state.vault.clone(), shutdown.child_token());
        let inner = Inner {
            state,
            mcp,
            device_key,
            hosts,
            events: Events::new(shutdown.clone()),
            calls: hooks::Calls::default(),
            refusals: hooks::Refusals::default(),
            rates: Rates::default(),
            started_at: store::now(),
            verifying: Arc::new(Semaphore::new(1)),
            checks: Checks::default(),
            shutdown,
            looking: Semaphore::new(1),
            uploads: Semaphore::new(upload::AT_ONCE),
            answers: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        Self(Arc::new(inner))
    }

    pub fn store(&self) -> &Store {
        &self.state.store
    }

    /// Refuses settings that a watcher of this kind can't use.
    pub async fn check_watcher(&self, settings: Settings) -> Result<()> {
        let hands = Arc::clone(&self.state.hands);
        let kept = store::playbooks::in_use(&Actor::service(), self.store()).await?;
        let kept: Vec<String> = kept.into_iter().map(|k| k.name).collect();
        let checked = tokio::task::spawn_blocking(move || hands.check_watcher(&settings, &kept)).await;
        Ok(checked.map_err(|e| Fault::internal(e.to_string()))??)
    }
}

/// Names of users by id, for showing.
pub(crate) async fn names(
    app: &App,
    actor: &Actor,
    ids: impl IntoIterator<Item = uuid::Uuid>,
) -> Result<std::collections::HashMap<uuid::Uuid, String>, Fault> {
    let ids: std::collections::BTreeSet<_> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(std::collections::HashMap::new());
    }
    let users = store::users::names(actor, app.store(), ids.into_iter().collect()).await?;
    Ok(users.into_iter().map(|u| (u.id, u.username)).collect())
}

/// Everything that can be asked for.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .merge(desk::routes())
        .merge(api::routes(&app))
        .merge(api::compressed(
            Router::new().route("/docs", get(docs::page)).route("/assets/{file}", get(assets::asset)),
        ))
        .route("/hooks/{id}", post(hooks::receive).layer(DefaultBodyLimit::max(hooks::HOOK_BYTES)))
        .route("/mcp", any(mcp::serve))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(|| async { Fault::not_found("page") })
        .method_not_allowed_fallback(|| async { Fault::method_not_allowed() })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the payload over")]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    let said =
        payload.downcast_ref::<&str>().map(ToString::to_string).or_else(|| payload.downcast_ref::<String>().cloned());
    Fault::internal(said.unwrap_or_else(|| "a handler panicked".to_owned())).into_response()
}
