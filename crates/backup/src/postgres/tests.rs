//! A dump of a real server, put back into another one that knows nothing of it.

#[path = "../../../store/tests/common/cluster.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod cluster;

use std::{io::Read, os::unix::fs::PermissionsExt};

use cluster::Cluster;
use store::{
    Actor, Config, Store,
    backup::postgres::{Held, facts, prepare_roles, settle},
    migrate,
    tasks::{self, NewTask},
    users::{self, NewUser},
};
use tokio_util::sync::CancellationToken;

use super::{
    child::Identity,
    dump::Dump,
    restore::{Restore, Target, contents, program},
    scratch::Scratch,
    verify::{Against, prove},
};

/// A migrated server with an administrator and some of his tasks.
async fn house() -> (Cluster, Config, Store, Actor) {
    let server = Cluster::start(&[]);
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
    let ada = Actor::user(users::create(&Actor::service(), &store, &ada).await.unwrap());
    for number in 0..50 {
        tasks::create(&ada, &store, &NewTask::titled(format!("task {number}"))).await.unwrap();
    }
    (server, config, store, ada)
}

async fn dumped(config: &Config, held: &Held) -> Vec<u8> {
    let dump = Dump::of(config, held).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let size = dump.write(&mut bytes, &CancellationToken::new()).unwrap();
        assert_eq!(size, bytes.len() as u64);
        bytes
    })
    .await
    .unwrap()
}

async fn put_back(config: &Config, held: &Held, bytes: &[u8]) -> crate::Result<()> {
    let program = program(held.facts.server_major).await?;
    prepare_roles(config, &held.facts).await?;
    let bytes = bytes.to_vec();
    let config = config.clone();
    tokio::task::spawn_blocking(move || {
        let list = contents(&program, &mut bytes.as_slice())?;
        Restore::into(&config, &program, &list)?.read(&mut bytes.as_slice(), &CancellationToken::new())
    })
    .await
    .unwrap()
}

/// A folder for a scratch server, its owner's.
fn room(owner: Identity) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    owner.give(folder.path()).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_is_one_moment_and_comes_back_unchanged() {
    let (server, config, store, ada) = house().await;
    let held = Held::take(&config).await.unwrap();
    // Written while the dump is taken: it belongs to another moment.
    tasks::create(&ada, &store, &NewTask::titled("too late")).await.unwrap();
    let bytes = dumped(&config, &held).await;
    assert_eq!(held.facts.counts["tasks"], 50);
    assert_eq!(facts(&config).await.unwrap().counts["tasks"], 51);

    let never = CancellationToken::new();
    let owner = Identity::owner_of(&server.data()).unwrap();
    let folder = room(owner);
    let scratch = Scratch::make(folder.path(), owner, held.facts.server_major, &never).await.unwrap();
    let named = scratch.config("steward").unwrap();
    let target = Target::find(&named, false).await.unwrap();
    put_back(&target.config, &held, &bytes).await.unwrap();
    settle(&target.config).await.unwrap();
    let proof = prove(&target.config, None, &Against::Just(held.facts.clone()), &never).await.unwrap();
    assert_eq!(proof.wrong, Vec::<String>::new(), "{:#?}", proof.checks);
    assert_eq!(proof.facts.chain_head, held.facts.chain_head);
    assert_eq!(target.put_in_place(&named).await.unwrap(), None);

    // A second time it meets something: refused, and then put in the place of it, which is kept.
    let said = Target::find(&named, false).await.unwrap_err().to_string();
    assert!(said.contains("not empty") && said.contains("--replace"), "{said}");
    let target = Target::find(&named, true).await.unwrap();
    // What breaks off is not taken for a whole one, and nothing of it stands.
    let cut = put_back(&target.config, &held, &bytes[..bytes.len() / 2]).await.unwrap_err().to_string();
    assert!(cut.contains("pg_restore"), "{cut}");
    put_back(&target.config, &held, &bytes).await.unwrap();
    settle(&target.config).await.unwrap();
    let kept = target.put_in_place(&named).await.unwrap().unwrap();
    for name in ["steward", kept.as_str()] {
        let there = facts(&scratch.config(name).unwrap()).await.unwrap();
        assert_eq!(there.chain_head, held.facts.chain_head, "{name}");
    }

    // What differs is told.
    let mut other = held.facts.clone();
    other.counts.insert("tasks".to_owned(), 49);
    other.chain_head = "0".repeat(64);
    let proof = prove(&named, None, &Against::Just(other), &never).await.unwrap();
    assert_eq!(proof.wrong.len(), 2, "{:?}", proof.wrong);
    store.close().await;
    held.release().await.unwrap();
    let data = folder.path().to_owned();
    drop(scratch);
    assert!(!data.join("postmaster.pid").exists(), "a scratch server ends with its value");
    std::process::Command::new("chown").args(["-R", "0"]).arg(&data).status().ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_breaks_leaves_nothing() {
    struct Breaks<'a>(&'a [u8], usize);
    impl Read for Breaks<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.1 == 0 {
                return Err(crate::error::through(crate::Error::refused("the part was altered")));
            }
            let n = into.len().min(self.1).min(self.0.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            self.1 -= n;
            Ok(n)
        }
    }
    let (_server, config, store, _) = house().await;
    store.close().await;
    let held = Held::take(&config).await.unwrap();
    let bytes = dumped(&config, &held).await;
    let named = config.with_database("elsewhere");
    let target = Target::find(&named, false).await.unwrap().config;
    let program = program(held.facts.server_major).await.unwrap();
    let (into, length) = (target.clone(), bytes.len());
    let broke = tokio::task::spawn_blocking(move || {
        let list = contents(&program, &mut bytes.as_slice())?;
        // All rows have gone in by then; only the end is missing.
        Restore::into(&into, &program, &list)?.read(&mut Breaks(&bytes, length - 1), &CancellationToken::new())
    });
    assert_eq!(broke.await.unwrap().unwrap_err().to_string(), "the part was altered");
    let place = store::backup::postgres::Place::look(&target).await.unwrap();
    assert_eq!(place, store::backup::postgres::Place::Empty, "nothing of it stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_does_not_see_all_is_refused_with_the_remedy() {
    let (server, config, store, _) = house().await;
    store.close().await;
    let psql = |sql: &str| {
        let port = server.port.to_string();
        let done = server
            .program("psql")
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-c", sql])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    psql("CREATE ROLE blind LOGIN IN ROLE app_user, app_service");
    psql("CREATE ROLE sees LOGIN BYPASSRLS");
    let by = |role: &str| Config::from_url(&format!("postgres://{role}@127.0.0.1:{}/postgres", server.port)).unwrap();
    let said = Held::take(&by("blind")).await.unwrap_err().to_string();
    assert!(said.contains("row-level security") && said.contains("BYPASSRLS"), "{said}");
    let said = Held::take(&by("sees")).await.unwrap_err().to_string();
    assert!(said.contains("may not read") && said.contains("pg_read_all_data"), "{said}");
    psql("GRANT pg_read_all_data TO sees");
    let held = Held::take(&by("sees")).await.unwrap();
    assert_eq!(held.facts.counts["tasks"], 50, "{}", config.describe());
    let bytes = dumped(&by("sees"), &held).await;
    let named = config.with_database("copy");
    let target = Target::find(&named, false).await.unwrap().config;
    put_back(&target, &held, &bytes).await.unwrap();
    assert_eq!(facts(&target).await.unwrap().chain_head, held.facts.chain_head);
}
