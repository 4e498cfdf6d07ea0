//! `/mcp`: Steward's own MCP server over streamable HTTP, for programs with a token.

use std::fmt;

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use domain::tokens::Scope;
use store::{Store, Vault};
use tokio_util::sync::CancellationToken;
use tools::own::{self, Caller, HttpService};
use tower::Service;

use crate::{
    app::App,
    fault::{Fault, Result},
    session::{self, Signed},
};

/// The service behind `/mcp`.
pub(crate) struct Mcp(HttpService);

impl fmt::Debug for Mcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mcp")
    }
}

impl Mcp {
    pub fn new(store: Store, vault: Vault, shutdown: CancellationToken) -> Self {
        Self(own::http(store, vault, shutdown))
    }
}

/// `/mcp`, whatever the method. A cookie opens nothing here: browsers send it along for others' pages.
pub(crate) async fn serve(State(app): State<App>, me: Signed, mut request: Request) -> Result<Response> {
    if session::bearer_token(request.headers()).is_none() {
        return Err(Fault::log_in_needed());
    }
    let scopes = Scope::ALL.into_iter().filter(|scope| scope.is_held_by(&me.session)).collect();
    request.extensions_mut().insert(Caller { actor: me.actor, scopes });
    match app.mcp.0.clone().call(request).await {
        Ok(answer) => Ok(answer.map(Body::new).into_response()),
        Err(never) => match never {},
    }
}
