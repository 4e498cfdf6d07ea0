//! Runs the watchers of the database: starts what is wanted, stops what is not, starts anew what changed.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value as Json;
use store::{
    Actor, Store, Vault,
    signals::Topic,
    watchers::{self, Watcher},
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    folder_intake::FolderIntake,
    logs::LogQueue,
    waiting,
    watchers::{
        folder,
        polling::{self, Poller},
    },
};

const NO_ADMINISTRATOR: &str = "only administrators have this machine's folders and files watched, and its owner is none: an administrator can add it anew";

struct Running {
    name: String,
    config: Option<Json>,
    /// Whether its owner may have it watched; what may not stands here without a task.
    may_go_on: bool,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// Reconciles the running watchers with the database until `shutdown`.
pub async fn keep_watching(store: Store, vault: Vault, logs: LogQueue, shutdown: CancellationToken) {
    let mut signals = store.signals();
    let mut running: HashMap<Uuid, Running> = HashMap::new();
    loop {
        match watchers::list(&Actor::service(), &store).await {
            Ok(list) => reconcile(&mut running, list, &store, &vault, &logs, &shutdown).await,
            Err(e) => tracing::warn!(error = %e, "the list of watchers can't be read; those that run go on"),
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = waiting::changed(&store, &mut signals, &[Topic::Watchers]) => {}
        }
    }
    for (_, one) in running {
        end(one).await;
    }
}

async fn reconcile(
    running: &mut HashMap<Uuid, Running>,
    list: Vec<Watcher>,
    store: &Store,
    vault: &Vault,
    logs: &LogQueue,
    shutdown: &CancellationToken,
) {
    let mut wanted = Vec::new();
    for watcher in list.into_iter().filter(|w| w.is_active) {
        let may_go_on = match domain::watchers::may_go_on(store, &watcher).await {
            Ok(may) => Some(may),
            Err(e) => {
                tracing::warn!(watcher = %watcher.name, error = %e, "whether a watcher may go on is not known; it is looked at again");
                None
            }
        };
        wanted.push((watcher, may_go_on));
    }
    let unwanted: Vec<Uuid> = running
        .iter()
        .filter(|(id, one)| {
            !wanted.iter().any(|(w, may)| {
                w.id == **id
                    && w.name == one.name
                    && w.config == one.config
                    && may.is_none_or(|may| may == one.may_go_on)
            })
        })
        .map(|(id, _)| *id)
        .collect();
    for id in unwanted {
        if let Some(one) = running.remove(&id) {
            end(one).await;
        }
    }
    for (watcher, may_go_on) in wanted {
        let Some(may_go_on) = may_go_on.filter(|_| !running.contains_key(&watcher.id)) else { continue };
        let stop = shutdown.child_token();
        let (name, config) = (watcher.name.clone(), watcher.config.clone());
        let id = watcher.id;
        let started = if may_go_on {
            start(watcher, store, vault, logs, &stop).await
        } else {
            Err(Unstarted::Wrong(NO_ADMINISTRATOR.to_owned()))
        };
        let task = match started {
            Ok(task) => task,
            Err(Unstarted::Later(e)) => {
                tracing::warn!(watcher = %name, error = %e, "a watcher could not be started; it is tried again");
                continue;
            }
            Err(Unstarted::Wrong(why)) => {
                if let Err(e) = watchers::report(&Actor::service(), store, id, Some(&why)).await {
                    tracing::warn!(watcher = %name, error = %e, "a watcher's state could not be written down");
                }
                None
            }
        };
        running.insert(id, Running { name, config, may_go_on, stop, task });
    }
}

/// Why a watcher was not started.
enum Unstarted {
    /// Its settings are wrong; for its owner.
    Wrong(String),
    /// The database did not answer.
    Later(domain::Error),
}

/// Starts a watcher; none for one that is called from outside.
async fn start(
    watcher: Watcher,
    store: &Store,
    vault: &Vault,
    logs: &LogQueue,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, Unstarted> {
    let config = watcher.config.clone().unwrap_or(Json::Null);
    if let Ok(owner) = domain::intake::acting_for(&watcher) {
        // What its path leads to may be another place than when it was added.
        domain::watchers::check_place(&owner, store, &watcher.watcher_type, &config).await.map_err(|e| match e {
            domain::Error::Invalid { .. } => Unstarted::Wrong(e.to_string()),
            e => Unstarted::Later(e),
        })?;
    }
    match watcher.watcher_type.as_str() {
        // Whoever serves the web receives for it.
        "webhook" => Ok(None),
        "folder" => {
            let parsed = folder::parse(&config).map_err(|e| Unstarted::Wrong(e.to_string()))?;
            let intake = Arc::new(FolderIntake {
                store: store.clone(),
                vault: vault.clone(),
                watcher,
                config: parsed.clone(),
                logs: logs.clone(),
                health: Arc::default(),
            });
            Ok(Some(tokio::spawn(folder::run(parsed, intake, Arc::new(Notify::new()), stop.clone()))))
        }
        kind => {
            let secret = domain::watchers::credentials(vault, &watcher).map_err(|e| Unstarted::Wrong(e.to_string()))?;
            let actor = domain::intake::acting_for(&watcher).map_err(|e| Unstarted::Wrong(e.to_string()))?;
            let allowed = domain::watchers::may_reach_private(store, &actor).await.map_err(Unstarted::Later)?;
            let (common, source) =
                polling::open(kind, &config, secret.as_ref(), allowed).map_err(|t| Unstarted::Wrong(t.message))?;
            let poller = Poller {
                store: store.clone(),
                vault: vault.clone(),
                watcher,
                reaches_private: allowed && !common.allow_private.is_empty(),
                common,
                source,
                logs: logs.clone(),
                looked: Arc::default(),
            };
            Ok(Some(tokio::spawn(polling::run(poller, stop.clone()))))
        }
    }
}

async fn end(one: Running) {
    one.stop.cancel();
    if let Some(task) = one.task
        && let Err(e) = task.await
    {
        tracing::error!(watcher = %one.name, error = %e, "a watcher ended unexpectedly");
    }
}
