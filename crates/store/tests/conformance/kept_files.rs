//! `kept_files`.

use store::{
    Vault,
    file_attachments::{self, NewAttachment},
    kept_files as kept,
    vault::Stored,
};

use crate::common::{Db, in_seconds, refusal};

crate::on_both!(the_same_content_is_found, only_what_nothing_names_is_let_go, what_was_read_longest_ago_comes_first);

fn vault() -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("key"), &dir.path().join("files")).unwrap();
    (dir, vault)
}

fn named(file: &Stored, task_id: uuid::Uuid) -> NewAttachment {
    NewAttachment {
        filename: "a".to_owned(),
        original_filename: "a".to_owned(),
        mime_type: None,
        file_size: 1,
        storage_path: file.storage_path.clone(),
        task_id,
        hash_checksum: file.sha256.clone(),
        expires_at: Some(in_seconds(-60)),
    }
}

async fn the_same_content_is_found(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    let (_dir, vault) = vault();
    let files = [b"a", b"a", b"b"].map(|content| vault.store(&mut content.as_slice(), 10).unwrap());
    for actor in [&db.ada, &db.bob, &db.employee, &db.obs, &db.nobody] {
        assert_eq!(refusal(kept::create(actor, on, &files[0]).await), "refused", "{actor:?}");
        assert_eq!(refusal(kept::get(actor, on, &files[0].storage_path).await), "refused", "{actor:?}");
    }
    for file in &files {
        kept::create(service, on, file).await.unwrap();
    }
    let row = kept::get(service, on, &files[0].storage_path).await.unwrap().unwrap();
    assert_eq!((row.content_sha256.as_str(), row.size_bytes, row.trouble), (files[0].sha256.as_str(), 1, None));
    assert_eq!(row.sealed_key, files[0].sealed_key);
    let alike = kept::alike(service, on, &files[0].sha256).await.unwrap();
    assert_eq!(
        alike.iter().map(|k| &k.storage_path).collect::<Vec<_>>(),
        [&files[0].storage_path, &files[1].storage_path]
    );
    assert!(kept::checked(service, on, &files[0].storage_path, Some("gone")).await.unwrap());
    assert_eq!(kept::alike(service, on, &files[0].sha256).await.unwrap().len(), 1, "what is damaged is shared no more");
    let troubled = kept::troubled(service, on, 10).await.unwrap();
    assert_eq!(troubled.iter().map(|k| k.trouble.as_deref()).collect::<Vec<_>>(), [Some("gone")]);
    let figures = kept::figures(service, on).await.unwrap();
    assert_eq!((figures.files, figures.size_bytes), (3, 3));
    assert_eq!(refusal(kept::create_lost(service, on, ("x", "no", 1), "t").await), "chk_kept_file_sha256");
    assert_eq!(refusal(kept::create_lost(service, on, ("x", &"a".repeat(64), -1), "t").await), "chk_kept_file_size");
}

async fn only_what_nothing_names_is_let_go(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    let (_dir, vault) = vault();
    let (used, unused) =
        (vault.store(&mut b"a".as_slice(), 10).unwrap(), vault.store(&mut b"b".as_slice(), 10).unwrap());
    let task = db.task("files").await;
    for file in [&used, &unused] {
        kept::create(service, on, file).await.unwrap();
    }
    file_attachments::create(&db.bob, on, &named(&used, task)).await.unwrap();
    assert_eq!(file_attachments::named(&db.bob, on, &used.storage_path).await.unwrap().len(), 1);
    assert_eq!(kept::unused(service, on, 10).await.unwrap(), std::slice::from_ref(&unused.storage_path));
    let places = vec![used.storage_path.clone(), unused.storage_path.clone()];
    let drop_unused = || {
        let (service, places) = (service.clone(), places.clone());
        on.transaction(move |tx| Box::pin(async move { kept::drop_unused(&service, tx, places).await }))
    };
    assert_eq!(drop_unused().await.unwrap(), std::slice::from_ref(&unused.storage_path));
    assert!(drop_unused().await.unwrap().is_empty());
    assert_eq!(file_attachments::expire(service, on, 10).await.unwrap(), std::slice::from_ref(&used.storage_path));
    assert_eq!(drop_unused().await.unwrap(), std::slice::from_ref(&used.storage_path));
    // Rows without a kept file, as older ones are.
    file_attachments::create(&db.bob, on, &named(&used, task)).await.unwrap();
    let old = file_attachments::unkept(service, on, 10).await.unwrap();
    assert_eq!(old.len(), 1);
    assert_eq!(refusal(file_attachments::move_to(&db.ada, on, &used.storage_path, "ab/new").await), "refused");
    assert_eq!(file_attachments::move_to(service, on, &used.storage_path, "ab/new").await.unwrap(), 1);
    let moved = file_attachments::get(&db.bob, on, old[0].id).await.unwrap().unwrap();
    assert_eq!(moved.storage_path, "ab/new");
}

async fn what_was_read_longest_ago_comes_first(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    for name in ["ab/1", "ab/2", "ab/3"] {
        kept::create_lost(service, on, (name, &"a".repeat(64), 1), "t").await.unwrap();
    }
    assert!(kept::due(service, on, in_seconds(-60), 10).await.unwrap().is_empty());
    for name in ["ab/2", "ab/1"] {
        assert!(kept::checked(service, on, name, None).await.unwrap());
    }
    let due = kept::due(service, on, in_seconds(60), 10).await.unwrap();
    assert_eq!(due.iter().map(|k| k.storage_path.as_str()).collect::<Vec<_>>(), ["ab/3", "ab/2", "ab/1"]);
    assert_eq!(kept::due(service, on, in_seconds(60), 1).await.unwrap().len(), 1);
    assert!(!kept::checked(service, on, "ab/none", None).await.unwrap());
}
