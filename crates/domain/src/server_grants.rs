//! What servers elsewhere let Steward do: kept sealed when a person authorizes one, renewed by Steward itself, and given up
//! when it can't be renewed any more. What stands in a grant is the tools' to know.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use store::{
    Actor, Store, Vault,
    mcp_servers::{self, Server, is_address},
    sealed::Purpose,
    server_grants,
};
use uuid::Uuid;

use crate::{Error, Result, alarms};

/// How long a node may take to renew a grant.
const RENEWING: SignedDuration = SignedDuration::from_mins(1);

/// Keeps a grant that a person just got for a server, in place of the one before; a server that runs is started anew with it.
/// It needs who may change servers.
pub async fn keep(store: &Store, vault: &Vault, actor: &Actor, server: &Server, grant: &Json) -> Result<()> {
    if !is_address(&server.command) {
        return Err(Error::Conflict(format!(
            "{} is a program on this machine, which needs no authorization; give it its keys as its environment",
            server.name
        )));
    }
    let sealed = vault.seal_json(&Purpose::server_grant(server.id), grant)?;
    let (actor, id) = (actor.clone(), server.id);
    store
        .transaction(move |tx| {
            Box::pin(async move {
                server_grants::remove(&actor, tx, id).await?;
                Ok(server_grants::give(&actor, tx, id, sealed).await?)
            })
        })
        .await
}

/// The grant of a server, opened, and when a person gave it; for Steward itself.
pub async fn opened(store: &Store, vault: &Vault, server_id: Uuid) -> Result<Option<(Json, Timestamp)>> {
    let Some(kept) = server_grants::get(&Actor::service(), store, server_id).await? else { return Ok(None) };
    Ok(Some((vault.unseal_json(&Purpose::server_grant(server_id), &kept.secret)?, kept.created_at)))
}

/// Whether this node may renew the grant now. Others wait meanwhile, at most a minute.
pub async fn hold(store: &Store, server_id: Uuid) -> Result<bool> {
    Ok(server_grants::hold(&Actor::service(), store, server_id, RENEWING).await?)
}

/// Keeps a grant that was renewed, in the place of the one that was given at `given`. False: there is another, or none.
pub async fn renewed(store: &Store, vault: &Vault, server_id: Uuid, given: Timestamp, grant: &Json) -> Result<bool> {
    let sealed = vault.seal_json(&Purpose::server_grant(server_id), grant)?;
    Ok(server_grants::put(&Actor::service(), store, server_id, sealed, given).await?)
}

/// Notes that a grant is over and can't be renewed: the server rests, and the administrators are told.
pub async fn over(
    store: &Store,
    vault: &Vault,
    (id, name): (Uuid, &str),
    given: Timestamp,
    grant: &Json,
    reason: &str,
) -> Result<()> {
    let stands = server_grants::get(&Actor::service(), store, id).await?;
    if stands.is_none_or(|kept| kept.created_at != given) {
        // A person gave another meanwhile.
        return Ok(());
    }
    mcp_servers::set_status(&Actor::service(), store, id, "error", None, None).await?;
    let message = format!(
        "The server {name} no longer accepts Steward's authorization ({reason}). It rests until somebody authorizes it again: steward server authorize {name}"
    );
    alarms::tell_admins(store, "servers", &format!("{name} must be authorized again"), &message).await?;
    // Marked last: broken off before this, it is told once more.
    renewed(store, vault, id, given, grant).await.map(drop)
}
