//! PostgreSQL in a bundle and back, and the drill on it: real servers, real programs, everything as on the day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod house;

use std::time::Duration;

use backup::{
    Bundle, Claim, Engine, Error, Opener, Place, Progress, Safe, Writer,
    claim::Whose,
    keys::Recipients,
    manifest::Attachments,
    place::Access,
    postgres::{self, Against, PgBackRest},
    safe::Keep,
};
use house::{House, cluster::Cluster};
use store::{
    Actor, Config, Store, Vault,
    backup::postgres::facts,
    file_attachments::{self, NewAttachment},
    kept_files,
    tasks::{self, NewTask},
};
use tokio_util::sync::CancellationToken;

/// Where bundles are kept, and the key to them.
struct Kept {
    folder: tempfile::TempDir,
    vault: Vault,
    place: Place,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("master.key"), &folder.path().join("attachments")).unwrap();
        let place = Place::open(folder.path().join("kept").to_str().unwrap(), &Access::default()).unwrap();
        Self { folder, vault, place }
    }

    async fn bundle_of(&self, config: &Config) -> Bundle {
        let mut writer = Writer::begin(&self.place, &Recipients::master(&self.vault)).unwrap();
        let facts = postgres::write(config, &mut writer, &CancellationToken::new()).await.unwrap();
        let contents = writer.finish(facts, Attachments::default(), false, "0").await.unwrap();
        self.open(&contents.id).await
    }

    async fn open(&self, id: &str) -> Bundle {
        Bundle::open(&self.place, id, &Opener::default().with_master(&self.vault)).await.unwrap()
    }
}

async fn write(house: &House, number: usize) {
    let store = Store::open(&house.config).await.unwrap();
    for n in 0..number {
        tasks::create(&Actor::user(house.ada), &store, &NewTask::titled(format!("task {n}"))).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_comes_back_on_another_server() {
    let house = House::new().await;
    let never = CancellationToken::new();
    write(&house, 20).await;
    let kept = Kept::new();
    let bundle = kept.bundle_of(&house.config).await;
    let said = &bundle.manifest().facts;
    assert_eq!((said.engine.as_str(), said.tables["tasks"], said.tables["users"]), ("PostgreSQL", 20, 1));
    assert!(said.audit.links >= 21 && said.schema_version > 20, "{said:?}");
    bundle.verify().await.unwrap();
    // Nothing of it lies open where it is kept.
    let found = std::process::Command::new("grep").args(["-rlaF", "ada@example.org"]).arg(kept.folder.path()).output();
    assert_eq!(found.unwrap().stdout, b"");

    let elsewhere = Cluster::start(&[]);
    let named = Config::from_url(&elsewhere.url("steward")).unwrap();
    let restored = postgres::restore(&bundle, &named, false, None, &never).await.unwrap();
    assert_eq!(restored.proof.wrong, Vec::<String>::new());
    assert_eq!(restored.roles, ["app_user", "app_definer", "app_service"], "they were not there, and are now");
    assert_eq!(facts(&named).await.unwrap().chain_head, said.audit.sha256);
    // It is a Steward's database: the next write goes on in the same chain.
    let store = Store::open(&named).await.unwrap();
    tasks::create(&Actor::user(house.ada), &store, &NewTask::titled("the day after")).await.unwrap();
    let chain = store::audit_trail::verify(&Actor::service(), &store).await.unwrap();
    assert_eq!((chain.broken, chain.links), (None, said.audit.links + 1));
    store.close().await;

    // The place stays the original's, until the restored one takes it over.
    let claim = |config: &Config| Claim::new(kept.place.clone(), Engine::of(config), kept.folder.path().join("backup"));
    claim(&house.config).take().await.unwrap();
    claim(&house.config).take().await.unwrap();
    assert!(matches!(claim(&named).take().await, Err(Error::NotOwn { .. })));
    assert!(claim(&named).take_over().await.unwrap().is_some());
    assert!(matches!(claim(&house.config).hold().await, Err(Error::NotOwn { .. })));
    assert!(matches!(claim(&named).whose().await.unwrap(), Whose::Own(_)));

    // Over something only when told so, and then the former stays beside it.
    let refused = postgres::restore(&bundle, &named, false, None, &never).await.unwrap_err().to_string();
    assert!(refused.contains("not empty"), "{refused}");
    let over = postgres::restore(&bundle, &named, true, None, &never).await.unwrap();
    let former = facts(&named.with_database(over.kept_as.as_deref().unwrap())).await.unwrap();
    assert_eq!(former.counts["tasks"], 21, "what was written since is not lost with it");
    assert_eq!(facts(&named).await.unwrap().counts["tasks"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_with_damage_changes_nothing() {
    let house = House::new().await;
    write(&house, 5).await;
    let kept = Kept::new();
    let id = kept.bundle_of(&house.config).await.manifest().id.clone();
    // The dump is the second part behind the manifest.
    let part = kept.folder.path().join(format!("kept/bundles/{id}/00002.part"));
    let mut bytes = std::fs::read(&part).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let named = house.config.with_database("restored");
    let bundle = kept.open(&id).await;
    let said =
        postgres::restore(&bundle, &named, false, None, &CancellationToken::new()).await.unwrap_err().to_string();
    assert!(said.contains("database/dump"), "the part is named: {said}");
    let place = store::backup::postgres::Place::look(&named).await.unwrap();
    assert_eq!(place, store::backup::postgres::Place::Empty, "nothing of it stands");
}

/// One node makes the backups, another one has a vault of its own: what that brought to the place stays there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_nodes_vault_stays_while_a_row_names_it() {
    let house = House::new().await;
    let kept = Kept::new();
    let (other, ada) = (kept.vault.at(&kept.folder.path().join("other")), Actor::user(house.ada));
    let take_in = async |content: &'static [u8]| {
        let vault = other.clone();
        tokio::task::spawn_blocking(move || vault.store(&mut { content }, 100)).await.unwrap().unwrap()
    };
    let (named, unnamed) = (take_in(b"the invoice").await, take_in(b"nobody's").await);
    let store = Store::open(&house.config).await.unwrap();
    let task_id = tasks::create(&ada, &store, &NewTask::titled("Keep it")).await.unwrap();
    kept_files::create(&Actor::service(), &store, &named).await.unwrap();
    let new = NewAttachment {
        filename: "invoice.txt".to_owned(),
        original_filename: "invoice.txt".to_owned(),
        mime_type: None,
        file_size: 11,
        storage_path: named.storage_path.clone(),
        task_id,
        hash_checksum: named.sha256.clone(),
        expires_at: None,
    };
    file_attachments::create(&ada, &store, &new).await.unwrap();
    store.close().await;
    backup::Attachments::new(kept.folder.path().join("other")).send(&kept.place).await.unwrap();
    let at_place = |path: &str| kept.folder.path().join("kept/files").join(path);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(100 * 24 * 3600);
    for file in [&named, &unnamed] {
        std::fs::File::open(at_place(&file.storage_path)).unwrap().set_modified(long_ago).unwrap();
    }
    let safe = Safe {
        place: kept.place.clone(),
        recipients: Some(Recipients::master(&kept.vault)),
        engine: Engine::of(&house.config),
        vault: Some(kept.vault.clone()),
        attachments_dir: kept.folder.path().join("attachments"),
        master_key_file: kept.folder.path().join("master.key"),
        data_dir: kept.folder.path().to_owned(),
        settings_file: kept.folder.path().join("steward.toml"),
        models_file: kept.folder.path().join("models.toml"),
        scratch_dir: kept.folder.path().join("backup"),
        keep: Keep { daily: 1, weekly: 0, monthly: 0 },
        progress: Progress::default(),
        version: "0",
    };
    safe.create().await.unwrap();
    safe.create().await.unwrap();
    assert_eq!(safe.list().await.unwrap().bundles.len(), 1, "the first one went");
    assert!(at_place(&named.storage_path).is_file(), "a row names it");
    assert!(!at_place(&unnamed.storage_path).exists(), "no row does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_restores_looks_reads_and_leaves_nothing() {
    let house = House::archiving().await;
    let never = CancellationToken::new();
    write(&house, 10).await;
    let kept = Kept::new();
    let bundle = kept.bundle_of(&house.config).await;
    let room = tempfile::tempdir_in(house.folder.path()).unwrap();
    std::fs::set_permissions(room.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();

    let drilled = postgres::drill(&bundle, &house.config, room.path(), &never).await.unwrap();
    assert_eq!(drilled.proof.wrong, Vec::<String>::new());
    assert_eq!((drilled.from.as_str(), drilled.newest), (bundle.manifest().id.as_str(), bundle.manifest().facts.as_of));
    assert!(drilled.took > Duration::ZERO);
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0, "nothing is left of it");

    // The archive's drill knows more: what was written since.
    write(&house, 1).await;
    house.archived().await;
    let engine = PgBackRest::open(&house.options().file).await.unwrap().unwrap();
    let known = facts(&house.config).await.unwrap();
    let by_archive =
        postgres::drill_archive(&engine, "postgres", &Against::AtLeast(known), room.path(), &never).await.unwrap();
    assert_eq!(by_archive.proof.wrong, Vec::<String>::new());
    assert_eq!(by_archive.proof.facts.counts["tasks"], 11);
    assert!(by_archive.newest > drilled.newest);
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0, "nothing is left of it");

    // One that fails leaves nothing either.
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert!(postgres::drill(&bundle, &house.config, room.path(), &stopped).await.is_err());
    assert!(postgres::drill_archive(&engine, "postgres", &Against::Nothing, room.path(), &stopped).await.is_err());
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0, "nothing is left of it");
}
