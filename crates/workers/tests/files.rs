//! Files on tasks: kept once, swept after a crash, read again by the clock, and never given out damaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;
#[path = "common/watching.rs"]
mod watching;

use std::{io::Cursor, sync::Arc, time::Duration};

use domain::files::{self, NewFile};
use jiff::Timestamp;
use store::{
    Actor, Error,
    file_attachments::{self, Attachment},
    kept_files, notifications, tasks,
    tasks::NewTask,
};
use uuid::Uuid;

use crate::watching::World;

async fn task(world: &World) -> Uuid {
    tasks::create(&world.ada, &world.store, &NewTask::titled("files")).await.unwrap()
}

async fn kept(world: &World, name: &str, content: &[u8], expires_at: Option<Timestamp>) -> NewFile {
    let source = Cursor::new(content.to_vec());
    let kept = files::keep(&world.store, &world.vault, source, 1 << 20).await.unwrap();
    NewFile { name: name.to_owned(), kept, expires_at }
}

async fn add(world: &World, task: Uuid, content: &[u8], expires_at: Option<Timestamp>) -> Attachment {
    let file = kept(world, "a.txt", content, expires_at).await;
    files::add(&world.store, &world.vault, &world.ada, task, file).await.unwrap()
}

async fn read(world: &World, row: &Attachment) -> domain::Result<Vec<u8>> {
    let mut out = Vec::new();
    files::open(&world.store, &world.vault, row).await?.copy(0, u64::MAX, &mut out)?;
    Ok(out)
}

fn on_disk(world: &World) -> Vec<String> {
    world.vault.older_than(Duration::ZERO, 100)
}

async fn sweep(world: &World) -> usize {
    files::sweep(&world.store, &world.vault, Duration::ZERO, || false).await.unwrap()
}

#[tokio::test]
async fn the_same_content_is_kept_once_and_goes_with_its_last_row() {
    for postgres in [false, true] {
        let world = World::new(postgres).await;
        let task = task(&world).await;
        let soon = store::now() + jiff::SignedDuration::from_millis(300);
        let first = add(&world, task, b"the invoice", Some(soon)).await;
        let second = add(&world, task, b"the invoice", None).await;
        let other = add(&world, task, b"another", Some(soon)).await;
        assert_eq!((&first.storage_path, on_disk(&world).len()), (&second.storage_path, 2));
        assert_eq!(first.mime_type.as_deref(), Some("text/plain"));
        assert_eq!(kept_files::figures(&Actor::service(), &world.store).await.unwrap().size_bytes, 18);
        // Its time is over: from then on nobody gets it, and the job takes rows and files away.
        let mut expired = 0;
        let over = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while expired < 2 {
                tick.tick().await;
                expired += files::expire(&world.store, &world.vault).await.unwrap();
            }
        };
        tokio::time::timeout(common::PATIENCE, over).await.unwrap();
        assert!(read(&world, &first).await.is_err() && read(&world, &other).await.is_err());
        assert_eq!(on_disk(&world), std::slice::from_ref(&second.storage_path), "the other row still names it");
        assert_eq!(read(&world, &second).await.unwrap(), b"the invoice");
        assert_eq!(sweep(&world).await, 0);
    }
}

#[tokio::test]
async fn what_a_crash_leaves_is_swept_and_nothing_else() {
    for postgres in [false, true] {
        let world = World::new(postgres).await;
        let task = task(&world).await;
        let row = add(&world, task, b"stands", None).await;
        // Kept, and no row yet: while it is on its way no sweep takes it, and after a crash one does.
        let on_its_way = kept(&world, "b", b"on its way", None).await;
        assert_eq!(sweep(&world).await, 0);
        let later = files::add(&world.store, &world.vault, &world.ada, task, on_its_way).await.unwrap();
        assert_eq!(read(&world, &later).await.unwrap(), b"on its way");
        drop(kept(&world, "c", b"left", None).await);
        assert_eq!((on_disk(&world).len(), sweep(&world).await, on_disk(&world).len()), (3, 1, 2));
        // A row of a kept file that nothing names, and the copy of a content that was kept before.
        let spare = kept(&world, "d", b"stands", None).await;
        kept_files::create(&Actor::service(), &world.store, &spare.kept.stored).await.unwrap();
        drop(spare);
        assert_eq!((sweep(&world).await, on_disk(&world).len()), (1, 2));
        assert_eq!(read(&world, &row).await.unwrap(), b"stands");
        // The row is gone, and Steward ends before its file is.
        let past = store::now() - jiff::SignedDuration::from_secs(1);
        let ended = add(&world, task, b"its time is over", Some(past)).await;
        let gone = world.store.transaction(|tx| {
            Box::pin(async move {
                let places = file_attachments::expire(&Actor::service(), tx, 10).await?;
                kept_files::drop_unused(&Actor::service(), tx, places).await
            })
        });
        assert_eq!(gone.await.unwrap(), std::slice::from_ref(&ended.storage_path));
        assert!(world.vault.holds(&ended.storage_path));
        assert_eq!((sweep(&world).await, on_disk(&world).len()), (1, 2));
        // Nobody hangs a file on what he does not see, and nothing of it stays.
        let file = kept(&world, "e", b"refused", None).await;
        assert!(files::add(&world.store, &world.vault, &Actor::user(Uuid::now_v7()), task, file).await.is_err());
        assert_eq!(on_disk(&world).len(), 2);
    }
}

#[tokio::test]
async fn a_share_that_is_about_to_go_is_not_taken() {
    for postgres in [false, true] {
        let world = World::new(postgres).await;
        let task = task(&world).await;
        let past = store::now() + jiff::SignedDuration::from_millis(50);
        let first = add(&world, task, b"the same", Some(past)).await;
        let again = kept(&world, "b", b"the same", None).await;
        // Between keeping and writing the row, the file it would share goes.
        let gone = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while files::expire(&world.store, &world.vault).await.unwrap() == 0 {
                tick.tick().await;
            }
        };
        tokio::time::timeout(common::PATIENCE, gone).await.unwrap();
        let row = files::add(&world.store, &world.vault, &world.ada, task, again).await.unwrap();
        assert_ne!(row.storage_path, first.storage_path);
        assert_eq!(read(&world, &row).await.unwrap(), b"the same");
    }
}

async fn told(world: &World) -> Vec<String> {
    let all = notifications::list(&world.ada, &world.store, None, 50).await.unwrap();
    all.into_iter().filter(|n| n.r#type == "alert").map(|n| n.title).collect()
}

#[tokio::test]
async fn damage_is_found_told_once_and_given_to_nobody() {
    for postgres in [false, true] {
        let world = World::new(postgres).await;
        let task = task(&world).await;
        let (row, lost) = (add(&world, task, b"the invoice", None).await, add(&world, task, b"the letter", None).await);
        let well = add(&world, task, b"well", None).await;
        let path = |row: &Attachment| world.dir.path().join("attachments").join(&row.storage_path);
        let whole = std::fs::read(path(&row)).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        std::fs::write(path(&row), &altered).unwrap();
        // Whoever asks for it finds out first; the whole of it proves itself only at its end.
        let said = read(&world, &row).await.unwrap_err().to_string();
        assert!(said.contains("altered or cut off"), "{said}");
        std::fs::rename(path(&lost), world.dir.path().join("aside")).unwrap();
        assert!(matches!(read(&world, &lost).await, Err(domain::Error::Store(Error::Damaged(_)))));
        assert_eq!(told(&world).await.len(), 1, "of the lost one");
        let check = || files::check(&world.store, &world.vault, store::now(), Arc::new(|| false));
        let found = check().await.unwrap();
        assert_eq!((found.read, found.damaged), (3, 2));
        let found = check().await.unwrap();
        assert_eq!((found.read, found.damaged), (3, 2));
        assert_eq!(told(&world).await, ["A kept file is damaged"; 2], "each once");
        assert!(matches!(read(&world, &row).await, Err(domain::Error::Store(Error::Damaged(_)))));
        assert_eq!(read(&world, &well).await.unwrap(), b"well");
        // The same content comes again: it is kept anew, not shared with what is damaged.
        let again = add(&world, task, b"the invoice", None).await;
        assert_eq!(read(&world, &again).await.unwrap(), b"the invoice");
        // Restored from a backup.
        std::fs::write(path(&row), &whole).unwrap();
        std::fs::rename(world.dir.path().join("aside"), path(&lost)).unwrap();
        assert_eq!(check().await.unwrap().damaged, 0);
        assert_eq!(read(&world, &row).await.unwrap(), b"the invoice");
        assert_eq!(told(&world).await.len(), 4, "and that is told too");
    }
}

/// A file and its key as Steward 0.1 made them, before keys stood in rows of their own.
#[tokio::test]
async fn a_file_that_bears_its_own_key_is_kept_anew() {
    const PLACE: &str = "ab/0192d3a4-5b6c-7d8e-9f00-1122334455ab";
    for postgres in [false, true] {
        let world = World::with_key(postgres, Some("42".repeat(32))).await;
        let task = task(&world).await;
        let path = world.dir.path().join("attachments").join(PLACE);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, include_bytes!("fixtures/attachment-v1")).unwrap();
        let old = |place: &str, hash: &str| file_attachments::NewAttachment {
            filename: "old.txt".to_owned(),
            original_filename: "old.txt".to_owned(),
            mime_type: None,
            file_size: 12,
            storage_path: place.to_owned(),
            task_id: task,
            hash_checksum: hash.to_owned(),
            expires_at: None,
        };
        let hash = domain::playbook::sha256_hex("an old file\n");
        let id = file_attachments::create(&world.ada, &world.store, &old(PLACE, &hash)).await.unwrap();
        let gone = file_attachments::create(&world.ada, &world.store, &old("ab/00", &hash)).await.unwrap();
        let row = async |id| file_attachments::get(&world.ada, &world.store, id).await.unwrap().unwrap();
        assert_eq!(read(&world, &row(id).await).await.unwrap(), b"an old file\n");
        assert_eq!(
            files::renew(&world.store, &world.vault, &(Arc::new(|| false) as files::IsStopped)).await.unwrap(),
            1
        );
        let now = row(id).await;
        assert!(now.storage_path != PLACE && !path.exists());
        assert_eq!(read(&world, &now).await.unwrap(), b"an old file\n");
        assert!(matches!(read(&world, &row(gone).await).await, Err(domain::Error::Store(Error::Damaged(_)))));
        assert_eq!(told(&world).await.len(), 1);
    }
}
