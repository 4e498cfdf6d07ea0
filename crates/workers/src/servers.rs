//! Keeps the servers of the database running, and writes down how they fare and what they offer.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use secrecy::SecretString;
use serde_json::Value as Json;
use store::{
    Actor, Store, Vault,
    mcp_servers::{self, ServerLaunch},
    sealed::Purpose,
    signals::Topic,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tools::{EventKind, Granted, Limits, ServerEvent, ServerSpec, Supervisors, ToolDefinition};
use uuid::Uuid;

use crate::{
    Error, Result,
    grants::{self, Standing},
    logs::LogQueue,
    waiting,
};

/// What a server is started with.
fn spec(store: &Store, vault: &Vault, launch: ServerLaunch, granted: Option<Granted>) -> Result<ServerSpec> {
    let environment = match launch.environment {
        None => BTreeMap::new(),
        Some(sealed) => {
            let Json::Object(map) = vault.unseal_json(&Purpose::server_environment(&launch.name), &sealed)? else {
                return Err(Error::Server {
                    name: launch.name,
                    reason: "its environment is not a list of names and values; remove it and add it again".to_owned(),
                });
            };
            map.into_iter().filter_map(|(k, v)| v.as_str().map(|v| (k, SecretString::from(v)))).collect()
        }
    };
    Ok(ServerSpec {
        id: launch.id,
        name: launch.name,
        command: launch.command,
        args: launch.args,
        environment,
        directory: None,
        store: Some(store.clone()),
        granted,
    })
}

/// Reconciles the running servers with the database until `shutdown`.
pub async fn keep_running(
    store: Store,
    vault: Vault,
    supervisors: Arc<Supervisors>,
    logs: LogQueue,
    shutdown: CancellationToken,
) {
    let mut signals = store.signals();
    let mut failing = false;
    loop {
        match mcp_servers::launches(&Actor::service(), &store).await {
            Ok(launches) => {
                let (mut wanted, mut unknown) = (Vec::new(), None);
                for launch in launches {
                    let (id, name) = (launch.id, launch.name.clone());
                    let spec = match grants::of(&store, &vault, &launch).await {
                        Ok(Standing::Ready(granted)) => spec(&store, &vault, launch, granted),
                        // Whoever can authorize it again was told when it ended.
                        Ok(Standing::Over) => continue,
                        // A database that does not answer stops nothing that runs.
                        Err(e) if e.is_transient() => {
                            unknown = Some(e);
                            break;
                        }
                        Err(e) => Err(e),
                    };
                    match spec {
                        Ok(spec) => wanted.push(spec),
                        Err(e) => {
                            logs.push("error", &format!("server:{name}"), &e.to_string(), None);
                            note(mcp_servers::set_status(&Actor::service(), &store, id, "error", None, None).await);
                        }
                    }
                }
                match unknown {
                    None => {
                        failing = false;
                        supervisors.set_wanted(wanted).await;
                    }
                    Some(e) => untold(&mut failing, &e),
                }
            }
            Err(e) => untold(&mut failing, &e),
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = waiting::changed(&store, &mut signals, &[Topic::McpServers]) => {}
        }
    }
    supervisors.shutdown().await;
}

/// Says once that it is not known which servers are wanted.
fn untold(failing: &mut bool, e: &dyn std::fmt::Display) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(error = %e, "the list of servers can't be read; those that run go on");
    }
}

/// Writes down the news of servers until their senders are gone or `shutdown`.
pub async fn write_down(
    store: Store,
    logs: LogQueue,
    mut events: mpsc::Receiver<ServerEvent>,
    shutdown: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => break,
            event = events.recv() => match event { Some(event) => event, None => break },
        };
        let (id, module) = (event.server_id, format!("server:{}", event.server_name));
        let service = Actor::service();
        let result = match event.kind {
            EventKind::Starting => Ok(()),
            EventKind::Running { server_version, capabilities, tools } => {
                logs.push("info", &module, &format!("running: {server_version}, {} tools", tools.len()), None);
                let listed = offer(&store, id, &tools).await;
                let status =
                    mcp_servers::set_status(&service, &store, id, "active", Some(capabilities), Some(store::now()))
                        .await;
                listed.and(status)
            }
            EventKind::ToolsChanged { tools } => {
                logs.push(
                    "warning",
                    &module,
                    "its tools changed; new and changed ones wait until a person approves them",
                    None,
                );
                offer(&store, id, &tools).await
            }
            EventKind::Heartbeat => {
                mcp_servers::set_status(&service, &store, id, "active", None, Some(store::now())).await
            }
            EventKind::Stderr { line } => {
                logs.push("info", &module, &line, None);
                Ok(())
            }
            EventKind::Failed { reason, retry_in } => {
                logs.push(
                    "error",
                    &module,
                    &format!("failed: {reason}; it is started again in {} s", retry_in.as_secs()),
                    None,
                );
                mcp_servers::set_status(&service, &store, id, "error", None, None).await
            }
            EventKind::GaveUp { reason } => {
                logs.push(
                    "critical",
                    &module,
                    &format!("failed too often and is left alone for a while: {reason}"),
                    None,
                );
                mcp_servers::set_status(&service, &store, id, "error", None, None).await
            }
            EventKind::Stopped => mcp_servers::set_status(&service, &store, id, "inactive", None, None).await,
        };
        note(result);
    }
}

fn note(result: store::Result<()>) {
    if let Err(e) = result {
        tracing::warn!(error = %e, "the state of a server could not be written down");
    }
}

/// Writes down what a server offers now, in one transaction.
async fn offer(store: &Store, server_id: Uuid, tools: &[ToolDefinition]) -> store::Result<()> {
    let tools = tools.to_vec();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let service = Actor::service();
                let known = mcp_servers::tools(&service, tx, server_id).await?;
                for tool in &tools {
                    mcp_servers::see_tool(
                        &service,
                        tx,
                        server_id,
                        &tool.name,
                        tool.description.as_deref(),
                        &tool.input_schema,
                        &tool.sha256,
                    )
                    .await?;
                }
                for gone in known.iter().filter(|k| k.is_offered && !tools.iter().any(|t| t.name == k.name)) {
                    mcp_servers::withdraw_tool(&service, tx, server_id, &gone.name).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Starts a server, writes down what it offers, and stops it: for the terminal where no Steward runs. Answers how
/// many tools it offers.
pub async fn list_now(store: &Store, vault: &Vault, name: &str) -> Result<usize> {
    let launch = mcp_servers::launches(&Actor::service(), store).await?.into_iter().find(|l| l.name == name);
    let launch = launch.ok_or_else(|| domain::Error::NotFound(format!("active server {name}")))?;
    let id = launch.id;
    let granted = match grants::of(store, vault, &launch).await? {
        Standing::Ready(granted) => granted,
        Standing::Over => {
            let reason = format!("its authorization is over; run: steward server authorize {name}");
            return Err(Error::Server { name: name.to_owned(), reason });
        }
    };
    let spec = spec(store, vault, launch, granted)?;
    let found = Box::pin(tools::probe(&spec, &Limits::default()))
        .await
        .map_err(|e| Error::Server { name: name.to_owned(), reason: e.to_string() })?;
    offer(store, id, &found).await?;
    Ok(found.len())
}

/// Kills what a Steward that was killed left running.
pub async fn reap(run_dir: &Path) {
    match tools::reap_leftovers(run_dir).await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "servers left over from a Steward that ended abruptly were stopped"),
        Err(e) => tracing::warn!(error = %e, "left-over servers could not be looked for"),
    }
}
