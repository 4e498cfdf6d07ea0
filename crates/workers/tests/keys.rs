//! Another master key in place of the old one: everything that is sealed, on both databases, while others work, and
//! wherever it ends early.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;
#[path = "common/watching.rs"]
mod watching;

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{
    files::{self, IsStopped, NewFile},
    master_key, second_factor, server_grants,
    servers::{self, NewServer},
    watchers as rules, web_push,
};
use serde_json::json;
use store::{
    Actor, Vault, audit_trail, file_attachments, idempotency_keys, master_key as noted,
    sealed::{self, Kind, Purpose},
    tasks,
    tasks::NewTask,
};
use workers::notifier;

use crate::watching::World;

/// Something sealed of every kind, made as Steward makes it.
async fn sealed_world(postgres: bool) -> World {
    let world = World::new(postgres).await;
    let (store, vault, ada) = (&world.store, &world.vault, &world.ada);
    let me = ada.user_id().unwrap();
    for name in ["files", "mail"] {
        let environment = BTreeMap::from([("TOKEN".to_owned(), format!("s3cret of {name}"))]);
        let new = NewServer { name: name.to_owned(), command: "true".to_owned(), args: Vec::new(), environment };
        servers::add(store, vault, ada, new).await.unwrap();
    }
    world.add("feed", json!({ "url": "https://example.org/feed" }), Some(json!({ "token": "s3cret" }))).await;
    let config = json!({
        "host": "localhost", "port": 25, "security": "starttls", "user": "steward",
        "from": "Steward <steward@example.org>", "desk_url": "https://desk.example.org/",
    });
    notifier::set_channel(store, vault, ada, "email", config, Some(&json!({ "password": "s3cret" }))).await.unwrap();
    second_factor::begin(store, vault, ada).await.unwrap();
    web_push::key(store, vault, || Ok("s3cret".to_owned().into())).await.unwrap();
    let browser = json!({ "endpoint": "https://push.example.org/s3cret" });
    web_push::subscribe(store, vault, ada, "phone", ("https://push.example.org/s3cret", &browser)).await.unwrap();
    let address = "https://shop.example.org/mcp".to_owned();
    let new = NewServer { name: "shop".to_owned(), command: address, args: Vec::new(), environment: BTreeMap::new() };
    let (shop, _) = servers::add(store, vault, ada, new).await.unwrap();
    let shop = servers::find(store, ada, shop).await.unwrap();
    server_grants::keep(store, vault, ada, &shop, &json!({ "token": "s3cret" })).await.unwrap();
    let service = Actor::service();
    assert!(idempotency_keys::begin(&service, store, me, "k:1", &"a".repeat(64)).await.unwrap());
    let answer = vault.seal_json(&Purpose::request_answer(me, "k:1"), &json!({ "body": "s3cret" })).unwrap();
    assert!(idempotency_keys::finish(&service, store, me, "k:1", 201, answer).await.unwrap());
    let task = tasks::create(ada, store, &NewTask::titled("files")).await.unwrap();
    for content in ["one", "two", "three"] {
        let kept = files::keep(store, vault, Cursor::new(content), 100).await.unwrap();
        files::add(store, vault, ada, task, NewFile { name: content.to_owned(), kept, expires_at: None })
            .await
            .unwrap();
    }
    world
}

/// Everything that is sealed, opened; and by which keys it is sealed.
async fn opened(world: &World, vault: &Vault) -> (Vec<String>, Vec<String>) {
    let (mut clear, mut keys) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let rows = sealed::after(&Actor::service(), &world.store, kind, "", 100).await.unwrap();
        assert!(!rows.is_empty(), "{kind:?}: there is nothing of it here, so that nobody would see it forgotten");
        for row in rows {
            let value = vault.unseal_json(&kind.purpose(&row.binding), &row.value).unwrap();
            clear.push(format!("{kind:?} {} {value}", row.id));
            keys.push(row.value["key"].as_str().unwrap().to_owned());
        }
    }
    keys.sort();
    keys.dedup();
    (clear, keys)
}

fn never() -> IsStopped {
    Arc::new(|| false)
}

#[tokio::test]
async fn everything_is_sealed_anew_and_can_be_opened_at_any_time() {
    for postgres in [false, true] {
        let world = sealed_world(postgres).await;
        let (store, ada) = (&world.store, &world.ada);
        // A Steward that runs already, and the terminal.
        let running = world.vault.clone();
        let terminal = Vault::open(world.vault.key_file(), &world.dir.path().join("attachments")).unwrap();
        master_key::admit(store, &running).await.unwrap();
        let (before, keys) = opened(&world, &running).await;
        let old = running.fingerprints();
        assert_eq!(
            (keys, noted::get(&Actor::service(), store).await.unwrap().unwrap().fingerprint),
            (old.clone(), old[0].clone())
        );
        terminal.put_first(None).unwrap();
        master_key::admit(store, &terminal).await.unwrap();
        let new = terminal.fingerprints()[0].clone();
        assert_eq!(opened(&world, &running).await.0, before, "nothing is sealed anew yet, and all of it opens");
        // It ends early, and goes on.
        let left = AtomicUsize::new(0);
        let early: IsStopped = Arc::new(move || left.fetch_add(1, Ordering::SeqCst) > 0);
        let first = master_key::seal_anew(store, &terminal, ada, &early).await.unwrap();
        assert!(first > 0);
        assert_eq!(opened(&world, &running).await.0, before);
        let rest = master_key::seal_anew(store, &terminal, ada, &never()).await.unwrap();
        assert_eq!(first + rest, before.len());
        assert_eq!(opened(&world, &running).await, (before.clone(), vec![new.clone()]));
        assert_eq!(master_key::seal_anew(store, &terminal, ada, &never()).await.unwrap(), 0);
        // What the running one seals from now on is sealed with the new key, and nothing needs the old one.
        let me = ada.user_id().unwrap();
        assert_eq!(running.seal_json(&Purpose::second_factor(me), &json!(1)).unwrap()["key"], json!(new));
        assert_eq!(master_key::sealed_with(store, &old[0]).await.unwrap(), 0);
        assert!(terminal.forget(&old[0]).unwrap());
        assert_eq!(opened(&world, &running).await.0, before);
        let rows = file_attachments::after(ada, store, uuid::Uuid::nil(), 10).await.unwrap();
        for row in rows {
            let mut content = Vec::new();
            files::open(store, &running, &row).await.unwrap().copy(0, u64::MAX, &mut content).unwrap();
            assert_eq!(String::from_utf8(content).unwrap(), row.filename);
        }
        let watcher = world.watcher_named("feed").await;
        assert_eq!(rules::credentials(&running, &watcher).unwrap(), Some(json!({ "token": "s3cret" })));
        assert_eq!(watcher.config.unwrap()["url"], "https://example.org/feed", "and the rest of it stands");
        let audited = audit_trail::list(ada, store, Some("watcher"), Some(watcher.id), 50).await.unwrap();
        assert!(audited.len() > 1, "it was made, and sealed anew");
        for row in audited {
            for values in [row.old_values, row.new_values].into_iter().flatten() {
                let config = values.get("config").filter(|config| config.get("credentials").is_some());
                assert!(config.is_none_or(|config| config["credentials"] == "(secret)"), "{values}");
            }
        }
    }
}

#[tokio::test]
async fn work_goes_on_while_the_key_changes() {
    for postgres in [false, true] {
        let world = sealed_world(postgres).await;
        let (store, ada) = (world.store.clone(), world.ada.clone());
        let running = world.vault.clone();
        master_key::admit(&store, &running).await.unwrap();
        let task = tasks::create(&ada, &store, &NewTask::titled("more")).await.unwrap();
        let adding = async {
            for n in 0..40 {
                let kept = files::keep(&store, &running, Cursor::new(format!("file {n}")), 100).await.unwrap();
                let file = NewFile { name: n.to_string(), kept, expires_at: None };
                files::add(&store, &running, &ada, task, file).await.unwrap();
            }
        };
        let terminal = Vault::open(world.vault.key_file(), &world.dir.path().join("attachments")).unwrap();
        let rotating = async {
            for _ in 0..3 {
                terminal.put_first(None).unwrap();
                master_key::admit(&store, &terminal).await.unwrap();
                master_key::seal_anew(&store, &terminal, &ada, &never()).await.unwrap();
            }
        };
        tokio::join!(adding, rotating);
        master_key::seal_anew(&store, &terminal, &ada, &never()).await.unwrap();
        assert_eq!(opened(&world, &running).await.1, [terminal.fingerprints()[0].clone()]);
        assert_eq!(file_attachments::list(&ada, &store, task).await.unwrap().len(), 40);
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_one_sentence() {
    for postgres in [false, true] {
        let world = sealed_world(postgres).await;
        let store = &world.store;
        let folder = world.dir.path().join("attachments");
        let wrong = Vault::open(&world.dir.path().join("another.key"), &folder).unwrap();
        // A database from before keys had names: what is sealed tells.
        let said = master_key::admit(store, &wrong).await.unwrap_err().to_string();
        assert!(said.contains("another.key is not the one this database is sealed with"), "{said}");
        master_key::admit(store, &world.vault).await.unwrap();
        let said = master_key::admit(store, &wrong).await.unwrap_err().to_string();
        assert!(said.contains(&world.vault.fingerprints()[0]) && said.contains("restore that key's file"), "{said}");
        // Behind another one in the file, it is known, and the other seals from then on.
        let both = std::fs::read_to_string(world.dir.path().join("another.key")).unwrap()
            + "\n"
            + &std::fs::read_to_string(world.vault.key_file()).unwrap();
        std::fs::write(world.vault.key_file(), both).unwrap();
        master_key::admit(store, &world.vault).await.unwrap();
        let standing = master_key::standing(store, &world.vault).await.unwrap();
        assert_eq!((standing.is_known, standing.expected), (true, wrong.fingerprints()[0].clone()));
        assert!(standing.older > 0);
        // Only who may change servers, watchers and channels seals theirs anew.
        let bob = domain::accounts::add_user(
            store,
            &world.ada,
            "bob",
            "bob@example.org",
            "user",
            "four words are enough".into(),
        );
        let bob = Actor::user(bob.await.unwrap());
        let refused = master_key::seal_anew(store, &world.vault, &bob, &never()).await;
        assert!(matches!(refused, Err(store::Error::Refused { .. })) || sealed_by_others(&world).await > 0);
    }
}

/// What people own and another key sealed.
async fn sealed_by_others(world: &World) -> usize {
    let mut count = 0;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_peoples()) {
        let rows = sealed::after(&Actor::service(), &world.store, kind, "", 100).await.unwrap();
        count += rows.iter().filter(|row| !world.vault.is_current(&row.value)).count();
    }
    count
}

/// Nothing in the whole file is sealed that the list does not know: a column that is missing from it shows here.
#[tokio::test]
async fn every_sealed_column_is_in_the_list() {
    const MARK: &[u8] = b"\"sealed\":\"";
    let world = sealed_world(false).await;
    let mut known: Vec<Vec<u8>> = Vec::new();
    for kind in Kind::ALL {
        let rows = sealed::after(&Actor::service(), &world.store, kind, "", 100).await.unwrap();
        known.extend(rows.into_iter().map(|row| row.value["sealed"].as_str().unwrap().as_bytes().to_vec()));
    }
    let mut found = 0;
    for name in ["steward.db", "steward.db-wal"] {
        let bytes = std::fs::read(world.dir.path().join(name)).unwrap_or_default();
        for place in (0..bytes.len()).filter(|place| bytes[*place..].starts_with(MARK)) {
            let rest = &bytes[place + MARK.len()..];
            let value = rest.split(|b| *b == b'"').next().unwrap();
            assert!(
                known.iter().any(|k| k == value),
                "{}",
                String::from_utf8_lossy(&bytes[place.saturating_sub(200)..place])
            );
            found += 1;
        }
    }
    assert!(found >= known.len(), "{found} of {}", known.len());
}
