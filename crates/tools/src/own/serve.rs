//! The two ways to Steward's own server: a program's standard input and output, and streamable HTTP.

use std::{io, sync::Arc, time::Duration};

use rmcp::{
    ServiceExt,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, stdio as standard_streams,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use store::{Store, Vault};
use tokio_util::sync::CancellationToken;

use super::{Caller, OwnServer};

/// Bytes that a request may have.
const BODY_BYTES: usize = 256 * 1024;
/// A comment in a silent answer, so that no proxy between thinks it dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What answers requests over HTTP. Each must carry a [`Caller`] among its extensions; who may ask at all, from where
/// and how often is the web's to say. It keeps nothing between requests, so that any node answers any of them.
pub type HttpService = StreamableHttpService<OwnServer, NeverSessionManager>;

/// The service for streamable HTTP, until `shutdown`.
pub fn http(store: Store, vault: Vault, shutdown: CancellationToken) -> HttpService {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(false)
        // The web's guard has looked at host and origin already.
        .disable_allowed_hosts()
        .with_max_request_body_bytes(BODY_BYTES)
        .with_sse_keep_alive(Some(SIGN_OF_LIFE))
        .with_cancellation_token(shutdown);
    let own = OwnServer { store, vault, caller: None };
    StreamableHttpService::new(move || Ok(own.clone()), Arc::new(NeverSessionManager::default()), config)
}

/// Serves one client on standard input and output until it closes them, or until `shutdown`.
pub async fn stdio(store: Store, vault: Vault, caller: Caller, shutdown: CancellationToken) -> io::Result<()> {
    let own = OwnServer { store, vault, caller: Some(caller) };
    let begun = own.serve_with_ct(standard_streams(), shutdown).await;
    let running = match begun {
        Ok(running) => running,
        // A client that goes before it has said who it is has asked for nothing.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(io::Error::other(e.to_string())),
    };
    running.waiting().await.map(drop).map_err(io::Error::other)
}
