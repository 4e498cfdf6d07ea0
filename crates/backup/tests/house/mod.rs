//! A server with a Steward's database in it, and an archive of its own.
#![allow(dead_code, reason = "each test binary uses a part of it")]

#[path = "../../../store/tests/common/cluster.rs"]
pub mod cluster;

use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use backup::postgres::{Options, Plan, Standing};
use cluster::{Cluster, Stop};
use store::{
    Actor, Config, Store,
    backup::postgres::{archive, switch_log},
    migrate,
    users::{self, NewUser},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long something that comes by itself may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A server with an archive beside it.
pub struct House {
    pub server: Cluster,
    /// The folder that everything else lies in: the database user's.
    pub folder: tempfile::TempDir,
    /// The database's owner.
    pub config: Config,
    /// An administrator.
    pub ada: Uuid,
}

impl House {
    /// A migrated server with an administrator; nothing is archived yet.
    pub async fn new() -> Self {
        let server = Cluster::start(&[]);
        let folder = tempfile::Builder::new().prefix("steward-archive-").tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = Config::from_url(&server.url("postgres")).unwrap();
        migrate::migrate(&config).await.unwrap();
        let store = Store::open(&config).await.unwrap();
        let ada = NewUser {
            username: "ada".to_owned(),
            email: "ada@example.org".to_owned(),
            password_hash: "$argon2id$none".to_owned(),
            role: "admin".to_owned(),
            first_name: None,
            last_name: None,
        };
        let ada = users::create(&Actor::service(), &store, &ada).await.unwrap();
        store.close().await;
        Self { server, folder, config, ada }
    }

    /// How its archive is set up.
    pub fn options(&self) -> Options {
        Options {
            file: self.folder.path().join("pgbackrest.conf"),
            repository: self.folder.path().join("repository"),
            archive_timeout_s: 2,
            full_backups: 2,
            ..Options::default()
        }
    }

    /// Sets archiving up, with the restart that it takes.
    pub async fn archiving() -> Self {
        let this = Self::new().await;
        let never = CancellationToken::new();
        let standing = Plan::make(&this.config, this.options()).await.unwrap().carry_out(&never).await.unwrap();
        assert!(matches!(standing, Standing::NeedsRestart(_)), "{standing:?}");
        this.server.stop(Stop::Fast);
        this.server.resume();
        let standing = Plan::make(&this.config, this.options()).await.unwrap().carry_out(&never).await.unwrap();
        assert_eq!(standing, Standing::Archives("full"));
        this
    }

    /// A folder that is not there yet.
    pub fn new_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until everything that is written now lies in the archive.
    pub async fn archived(&self) {
        let before = archive(&self.config).await.unwrap().archived;
        switch_log(&self.config).await.unwrap();
        until("the log is archived", async || {
            let now = archive(&self.config).await.unwrap();
            now.archived > before && now.waiting == 0
        })
        .await;
    }

    /// What a disk does when it dies.
    pub fn destroy(&self) {
        self.server.stop(Stop::Immediate);
        std::fs::remove_dir_all(self.server.data()).unwrap();
    }
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while !is_so().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("{what}: it never came to that"));
}
