//! All supervised servers: those that are wanted run, the others do not.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::future::join_all;

use crate::{
    handle::ServerHandle,
    spec::ServerSpec,
    supervisor::{Context, supervise},
};

/// The servers by name.
pub struct Supervisors {
    context: Context,
    running: Mutex<BTreeMap<String, (ServerSpec, ServerHandle)>>,
    /// One reconciliation at a time, so that a server is never started twice.
    reconciling: tokio::sync::Mutex<()>,
}

impl Supervisors {
    /// None yet. Call [`crate::reap_leftovers`] before the first is started.
    pub fn new(context: Context) -> Self {
        Self { context, running: Mutex::default(), reconciling: tokio::sync::Mutex::default() }
    }

    /// Makes exactly these run: starts what is new, stops what is gone, stops and starts what changed. Returns when
    /// what had to stop has stopped; the new ones go on starting.
    pub async fn set_wanted(&self, wanted: Vec<ServerSpec>) {
        let _one_at_a_time = self.reconciling.lock().await;
        let mut wanted: BTreeMap<String, ServerSpec> =
            wanted.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        let unwanted: Vec<ServerHandle> = {
            let mut running = self.running();
            let (kept, unwanted) = std::mem::take(&mut *running)
                .into_iter()
                .partition(|(name, (spec, _))| wanted.get(name).is_some_and(|wish| wish == spec));
            *running = kept;
            let unwanted: BTreeMap<String, (ServerSpec, ServerHandle)> = unwanted;
            unwanted.into_values().map(|(_, handle)| handle).collect()
        };
        join_all(unwanted.iter().map(ServerHandle::stop)).await;
        if self.context.shutdown.is_cancelled() {
            return;
        }
        let mut running = self.running();
        wanted.retain(|name, _| !running.contains_key(name));
        for (name, spec) in wanted {
            let handle = supervise(spec.clone(), &self.context);
            running.insert(name, (spec, handle));
        }
    }

    /// The server of this name, when it is wanted; it may still be starting, or failing.
    pub fn handle(&self, name: &str) -> Option<ServerHandle> {
        self.running().get(name).map(|(_, handle)| handle.clone())
    }

    /// All of them, by name.
    pub fn handles(&self) -> Vec<ServerHandle> {
        self.running().values().map(|(_, handle)| handle.clone()).collect()
    }

    /// Stops all of them, side by side: at most about five seconds with the default limits. None starts afterwards.
    pub async fn shutdown(&self) {
        self.context.shutdown.cancel();
        let _one_at_a_time = self.reconciling.lock().await;
        let handles = self.handles();
        join_all(handles.iter().map(ServerHandle::stop)).await;
        self.running().clear();
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, (ServerSpec, ServerHandle)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
