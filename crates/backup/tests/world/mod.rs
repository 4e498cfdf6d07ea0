//! A SQLite house whose backups are made, shipped and brought back in a test.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use backup::{
    Attachments, Engine, Opener, Place, Progress, Safe,
    engine::SqliteEngine,
    keys::Recipients,
    place::Access,
    safe::{Keep, Wish},
    ship::{self, Shipping},
};
use jiff::Timestamp;
use store::{
    Actor, Config, Store, Vault,
    file_attachments::{self, NewAttachment},
    kept_files, migrate,
    tasks::{self, NewTask},
    users::{self, NewUser},
    vault::Stored,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Bytes that may wait for the place.
pub const ROOM: u64 = 100_000_000;

pub struct World {
    pub dir: TempDir,
    pub store: Option<Store>,
    pub ada: Actor,
    pub ada_id: Uuid,
    pub vault: Vault,
    pub shipping: Option<Arc<Mutex<Shipping>>>,
    pub room: u64,
}

/// A task that was written: between these two moments, both included.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    pub id: Uuid,
    pub began: Timestamp,
    pub done: Timestamp,
}

impl World {
    pub async fn new(ships: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let vault = Vault::open(&data.join("master.key"), &data.join("attachments")).unwrap();
        let config = config(&data);
        migrate::migrate(&config).await.unwrap();
        if ships {
            store::backup::ship(&data.join("steward.db")).unwrap();
        }
        let store = Store::open(&config).await.unwrap();
        let new = NewUser {
            username: "ada".to_owned(),
            email: "ada@example.org".to_owned(),
            password_hash: "!".to_owned(),
            role: "admin".to_owned(),
            first_name: None,
            last_name: None,
        };
        let ada_id = users::create(&Actor::service(), &store, &new).await.unwrap();
        let ada = Actor::user(ada_id);
        let mut world = Self { dir, store: Some(store), ada, ada_id, vault, shipping: None, room: ROOM };
        if ships {
            world.start_shipping();
        }
        world
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn database(&self) -> PathBuf {
        self.data().join("steward.db")
    }

    pub fn kept(&self) -> PathBuf {
        self.dir.path().join("kept")
    }

    pub fn place(&self) -> Place {
        Place::open(self.kept().to_str().unwrap(), &Access::default()).unwrap()
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// As after a start of Steward.
    pub fn start_shipping(&mut self) {
        self.shipping = None;
        let recipients = Recipients::master(&self.vault);
        let shipping = Shipping::open(&self.database(), &self.data().join("backup"), recipients, self.room).unwrap();
        self.shipping = Some(Arc::new(Mutex::new(shipping)));
    }

    pub fn shipping(&self) -> std::sync::MutexGuard<'_, Shipping> {
        self.shipping.as_ref().unwrap().lock().unwrap()
    }

    pub async fn send(&self) -> backup::Result<()> {
        ship::send_waiting(self.shipping.as_ref().unwrap(), &mut self.attachments(), &self.place()).await
    }

    pub fn attachments(&self) -> Attachments {
        Attachments::new(self.data().join("attachments"))
    }

    pub fn safe(&self) -> Safe {
        let engine = SqliteEngine::new(self.database());
        let engine = match &self.shipping {
            Some(shipping) => engine.with_shipping(Arc::clone(shipping)),
            None => engine,
        };
        Safe {
            place: self.place(),
            recipients: Some(Recipients::master(&self.vault)),
            engine: Engine::Sqlite(engine),
            vault: Some(self.vault.clone()),
            attachments_dir: self.data().join("attachments"),
            master_key_file: self.data().join("master.key"),
            data_dir: self.data(),
            settings_file: self.data().join("steward.toml"),
            models_file: self.data().join("models.toml"),
            scratch_dir: self.data().join("backup"),
            keep: Keep::default(),
            progress: Progress::default(),
            version: "0",
        }
    }

    pub fn opener(&self) -> Opener {
        Opener::default().with_master(&self.vault)
    }

    pub async fn write(&self) -> Written {
        let began = store::now();
        let new: NewTask = serde_json::from_value(serde_json::json!({ "title": "Read it" })).unwrap();
        let id = tasks::create(&self.ada, self.store(), &new).await.unwrap();
        Written { id, began, done: store::now() }
    }

    /// A file with this content, on a task of its own; it is named after it.
    pub async fn attach(&self, content: &str) -> (Written, Stored) {
        self.attach_until(content, None).await
    }

    /// The same with the end of its time.
    pub async fn attach_until(&self, content: &str, expires_at: Option<Timestamp>) -> (Written, Stored) {
        let began = store::now();
        let (vault, bytes) = (self.vault.clone(), content.as_bytes().to_vec());
        let stored = tokio::task::spawn_blocking(move || vault.store(&mut bytes.as_slice(), 1 << 20)).await.unwrap();
        let stored = stored.unwrap();
        let (file, ada, name) = (stored.clone(), self.ada.clone(), format!("{content}.txt"));
        let work = self.store().transaction(move |tx| {
            Box::pin(async move {
                let task_id = tasks::create(&ada, tx, &NewTask::titled("Keep it")).await?;
                kept_files::create(&Actor::service(), tx, &file).await?;
                let new = NewAttachment {
                    filename: name.clone(),
                    original_filename: name,
                    mime_type: None,
                    file_size: i64::try_from(file.size_bytes).unwrap(),
                    storage_path: file.storage_path.clone(),
                    task_id,
                    hash_checksum: file.sha256.clone(),
                    expires_at,
                };
                file_attachments::create(&ada, tx, &new).await?;
                Ok::<_, store::Error>(task_id)
            })
        });
        let id = work.await.unwrap();
        (Written { id, began, done: store::now() }, stored)
    }

    /// Takes away what has come to the end of its time.
    pub async fn expire(&self) {
        let work = self.store().transaction(|tx| {
            Box::pin(async move {
                let places = file_attachments::expire(&Actor::service(), tx, 100).await?;
                kept_files::drop_unused(&Actor::service(), tx, places).await
            })
        });
        for place in work.await.unwrap() {
            self.vault.remove(&place).unwrap();
        }
    }

    pub async fn restore(&self, name: &str, to: Option<Timestamp>) -> backup::Result<PathBuf> {
        let into = self.dir.path().join(name);
        let wish = Wish { id: None, to, into: into.clone(), replace: false };
        let restored = self.safe().restore(&wish, &self.opener()).await?;
        assert_eq!((restored.missing, restored.wrong), (Vec::new(), Vec::new()));
        Ok(into)
    }

    /// The tasks that stand in a restored folder, which is sound in every way.
    pub async fn tasks(&self, folder: &Path) -> BTreeSet<Uuid> {
        let config = config(folder);
        let store = Store::open(&config).await.unwrap();
        let report = store::verify::run(&config, &store, None, &|_: &str| {}).await.unwrap();
        assert_eq!(report.findings, []);
        let found = tasks::list(&self.ada, &store, None, None, 500).await.unwrap();
        store.close().await;
        found.into_iter().map(|t| t.id).collect()
    }

    /// Restored to `at`, every write that was acknowledged by then is there, and none that began later.
    pub async fn check(&self, name: &str, at: Timestamp, writes: &[Written]) {
        let there = self.tasks(&self.restore(name, Some(at)).await.unwrap()).await;
        for write in writes {
            assert!(write.done > at || there.contains(&write.id), "{name}: {write:?} is missing at {at}");
            assert!(write.began <= at || !there.contains(&write.id), "{name}: {write:?} is there at {at}");
        }
    }
}

pub fn config(folder: &Path) -> Config {
    Config::from_url(&format!("sqlite://{}", folder.join("steward.db").display())).unwrap()
}
