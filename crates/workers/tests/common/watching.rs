//! What the tests of polling watchers share: a database with a person, and a watcher that is let look.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::sync::Arc;

use domain::{
    accounts::{self, Setup},
    watchers::{self as rules, NewWatcher},
};
use serde_json::{Value as Json, json};
use store::{Actor, Store, Vault, notifications, tasks, tasks::Task, watchers};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    logs::LogQueue,
    watchers::polling::{self, Poller},
};

use crate::common::{Database, PATIENCE};

/// A database with ada, and watchers that are let look.
pub struct World {
    pub dir: tempfile::TempDir,
    _database: Database,
    pub store: Store,
    pub vault: Vault,
    pub ada: Actor,
}

/// A watcher at work.
pub struct Work {
    stop: CancellationToken,
    looked: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Work {
    pub async fn look(&self) {
        tokio::time::timeout(PATIENCE, self.looked.notified()).await.expect("a look in time");
    }
    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl World {
    pub async fn new(postgres: bool) -> Self {
        Self::with_key(postgres, None).await
    }

    /// With this master key in place of a new one.
    pub async fn with_key(postgres: bool, key: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if let Some(key) = key {
            std::fs::write(dir.path().join("master.key"), key).unwrap();
        }
        let database = if postgres { Database::postgres().await } else { Database::sqlite(dir.path()).await };
        let store = Store::open(&database.config).await.unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        let setup = Setup {
            username: "ada".into(),
            email: "ada@example.org".into(),
            password: "four words are enough".into(),
            token: None,
        };
        let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
        Self { dir, _database: database, store, vault, ada }
    }

    pub async fn add(&self, kind: &str, mut config: Json, credentials: Option<Json>) -> Uuid {
        config["playbook"] = json!("p");
        let new = NewWatcher { name: kind.to_owned(), watcher_type: kind.to_owned(), config, credentials };
        rules::add(&self.store, &self.vault, &self.ada, new).await.unwrap()
    }

    pub async fn start(&self, id: Uuid) -> Work {
        let watcher = watchers::get(&self.ada, &self.store, id).await.unwrap().unwrap();
        let secret = rules::credentials(&self.vault, &watcher).unwrap();
        let config = watcher.config.clone().unwrap();
        let (common, source) = polling::open(&watcher.watcher_type, &config, secret.as_ref(), true).unwrap();
        let (stop, looked) = (CancellationToken::new(), Arc::new(Notify::new()));
        let poller = Poller {
            store: self.store.clone(),
            vault: self.vault.clone(),
            watcher,
            reaches_private: !common.allow_private.is_empty(),
            common,
            source,
            logs: LogQueue::default(),
            looked: Arc::clone(&looked),
        };
        Work { task: tokio::spawn(polling::run(poller, stop.clone())), stop, looked }
    }

    pub async fn watcher_named(&self, name: &str) -> watchers::Watcher {
        let all = watchers::list(&self.ada, &self.store).await.unwrap();
        all.into_iter().find(|w| w.name == name).unwrap()
    }

    /// Lets it look once.
    pub async fn once(&self, id: Uuid) {
        let work = self.start(id).await;
        work.look().await;
        work.end().await;
    }

    pub async fn tasks(&self) -> Vec<Task> {
        tasks::list(&self.ada, &self.store, None, None, 200).await.unwrap()
    }

    /// Titles, oldest first.
    pub async fn titles(&self) -> Vec<String> {
        let mut titles: Vec<String> = self.tasks().await.into_iter().map(|t| t.title).collect();
        titles.reverse();
        titles
    }

    pub async fn told(&self) -> Vec<String> {
        let told = notifications::list(&self.ada, &self.store, None, 50).await.unwrap();
        told.into_iter().map(|n| format!("{}: {}", n.title, n.message.unwrap_or_default())).collect()
    }

    pub async fn watcher(&self, id: Uuid) -> watchers::Watcher {
        watchers::get(&self.ada, &self.store, id).await.unwrap().unwrap()
    }
}
