//! What servers elsewhere let Steward do, from the database to the tools and back.

use std::sync::Arc;

use domain::server_grants;
use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use store::{
    Store, Vault,
    mcp_servers::{Server, ServerLaunch, is_address},
};
use tools::{Grant, GrantKeeper, Granted};
use uuid::Uuid;

use crate::{Error, Result};

/// What a server may be started with.
pub(crate) enum Standing {
    /// It needs none, or a person gave one.
    Ready(Option<Granted>),
    /// What a person gave is over: it rests until it is given anew.
    Over,
}

/// Looks at the grant of a server.
pub(crate) async fn of(store: &Store, vault: &Vault, launch: &ServerLaunch) -> Result<Standing> {
    if !is_address(&launch.command) {
        return Ok(Standing::Ready(None));
    }
    let Some((grant, given)) = server_grants::opened(store, vault, launch.id).await? else {
        return Ok(Standing::Ready(None));
    };
    let grant: Grant = serde_json::from_value(grant).map_err(|e| odd(&e))?;
    if grant.is_over {
        return Ok(Standing::Over);
    }
    let keeper = Keeper { store: store.clone(), vault: vault.clone(), id: launch.id, name: launch.name.clone(), given };
    Ok(Standing::Ready(Some(Granted { authorized_at: given.to_string(), keeper: Arc::new(keeper) })))
}

/// Keeps what a person just let Steward do at a server.
pub async fn keep(store: &Store, vault: &Vault, actor: &store::Actor, server: &Server, grant: &Grant) -> Result<()> {
    Ok(server_grants::keep(store, vault, actor, server, &serde_json::to_value(grant).map_err(|e| odd(&e))?).await?)
}

fn odd(e: &serde_json::Error) -> Error {
    Error::Internal(format!("a grant can't be read or written: {e}"))
}

struct Keeper {
    store: Store,
    vault: Vault,
    id: Uuid,
    name: String,
    /// When the person gave it; one that was given later is another's.
    given: Timestamp,
}

impl Keeper {
    async fn read(&self) -> Result<Option<Grant>> {
        let opened = server_grants::opened(&self.store, &self.vault, self.id).await?;
        let own = opened.filter(|(_, given)| *given == self.given);
        own.map(|(grant, _)| serde_json::from_value(grant).map_err(|e| odd(&e))).transpose()
    }

    async fn write(&self, grant: &Grant) -> Result<()> {
        let grant = serde_json::to_value(grant).map_err(|e| odd(&e))?;
        server_grants::renewed(&self.store, &self.vault, self.id, self.given, &grant).await?;
        Ok(())
    }

    async fn end(&self, grant: &Grant, reason: &str) -> Result<()> {
        let grant = serde_json::to_value(grant.ended()).map_err(|e| odd(&e))?;
        Ok(server_grants::over(&self.store, &self.vault, (self.id, &self.name), self.given, &grant, reason).await?)
    }
}

impl GrantKeeper for Keeper {
    fn load(&self) -> BoxFuture<'_, std::result::Result<Grant, String>> {
        async move {
            let found = self.read().await.map_err(|e| e.to_string())?;
            found.ok_or_else(|| "it is no longer authorized".to_owned())
        }
        .boxed()
    }

    fn hold(&self) -> BoxFuture<'_, std::result::Result<bool, String>> {
        async move { server_grants::hold(&self.store, self.id).await.map_err(|e| e.to_string()) }.boxed()
    }

    fn save<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, std::result::Result<(), String>> {
        async move { self.write(grant).await.map_err(|e| e.to_string()) }.boxed()
    }

    fn over<'a>(&'a self, grant: &'a Grant, reason: &'a str) -> BoxFuture<'a, ()> {
        async move {
            if let Err(e) = self.end(grant, reason).await {
                tracing::error!(error = %e, server = self.name, "that a server must be authorized again could not be told");
            }
        }
        .boxed()
    }
}
