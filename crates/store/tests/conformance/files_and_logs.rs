//! `file_attachments` and `system_logs`.

use serde_json::json;
use store::{
    file_attachments::{self, NewAttachment},
    schedules,
    system_logs::{self, NewLogLine},
    value::time_text,
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(attachments, log_lines, months_of_the_log);

async fn attachments(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let new = |task_id| NewAttachment {
        filename: "Rechnung März.pdf".to_owned(),
        original_filename: "ä".repeat(255),
        mime_type: Some("application/pdf".to_owned()),
        file_size: 5_000_000_000,
        storage_path: format!("ab/{task_id}"),
        task_id,
        hash_checksum: "0".repeat(64),
    };
    let made = file_attachments::create(&db.bob, on, &new(task)).await.unwrap();
    let row = file_attachments::get(&db.employee, on, made).await.unwrap().unwrap();
    assert_eq!(
        (row.filename.as_str(), row.file_size, row.uploaded_by, row.task_id),
        ("Rechnung März.pdf", Some(5_000_000_000), Some(id(&db.bob)), Some(task))
    );
    assert!(row.is_encrypted && row.original_filename == "ä".repeat(255));
    assert_eq!(file_attachments::list(&db.obs, on, task).await.unwrap(), std::slice::from_ref(&row));
    for actor in [&db.cat, &db.sus, &db.nobody] {
        assert!(file_attachments::get(actor, on, made).await.unwrap().is_none());
        assert!(file_attachments::list(actor, on, task).await.unwrap().is_empty());
        assert!(!file_attachments::is_stored(actor, on, &row.storage_path).await.unwrap());
    }
    assert!(file_attachments::is_stored(&db.service, on, &row.storage_path).await.unwrap());
    assert!(!file_attachments::is_stored(&db.service, on, "ab/other").await.unwrap());
    for actor in [&db.obs, &db.sus, &db.cat, &db.service, &db.nobody] {
        assert_eq!(refusal(file_attachments::create(actor, on, &new(task)).await), "refused");
    }
    for (wrong, rule) in [
        (NewAttachment { file_size: -1, ..new(task) }, "file_attachments_file_size_check"),
        (NewAttachment { hash_checksum: "abc".to_owned(), ..new(task) }, "file_attachments_hash_checksum_check"),
        (NewAttachment { filename: "x".repeat(256), ..new(task) }, "length"),
        (new(Uuid::now_v7()), "refused"),
    ] {
        assert_eq!(refusal(file_attachments::create(&db.bob, on, &wrong).await), rule);
    }
    // A deleted task leaves the file's row, so that its content is found and removed.
    store::tasks::delete(&db.bob, on, task).await.unwrap();
    assert_eq!(file_attachments::get(&db.bob, on, made).await.unwrap().unwrap().task_id, None);
}

fn line(level: &'static str, module: &str, seconds: i64) -> NewLogLine {
    NewLogLine {
        id: Uuid::now_v7(),
        timestamp: time_text(in_seconds(seconds)),
        level,
        module: module.to_owned(),
        message: format!("{module} says ü"),
        user_id: None,
        task_id: None,
        request_id: Some("r-1".to_owned()),
        metadata: json!({ "n": 1 }),
    }
}

async fn log_lines(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let lines = [
        line("info", "a", -3),
        NewLogLine { task_id: Some(task), user_id: Some(id(&db.bob)), ..line("error", "b", -2) },
        NewLogLine { message: "a\0b".to_owned(), metadata: json!({ "a": ["\0"] }), ..line("info", "b", -1) },
        // Years away: the partition that catches the rest.
        line("debug", "old", -5 * 366 * 86400),
    ];
    assert_eq!(system_logs::append(&db.service, on, &lines).await.unwrap(), 4);
    assert_eq!(system_logs::append(&db.service, on, &[]).await.unwrap(), 0);
    let of = async |actor, level, module, task_id| -> Vec<String> {
        let rows = system_logs::list(actor, on, level, module, task_id, 10).await.unwrap();
        rows.into_iter().map(|l| format!("{} {}", l.level, l.module.unwrap_or_default())).collect()
    };
    assert_eq!(of(&db.service, None, None, None).await, ["info b", "error b", "info a", "debug old"]);
    assert_eq!(of(&db.ada, Some("info"), None, None).await, ["info b", "info a"]);
    assert_eq!(of(&db.obs, None, Some("b"), None).await, ["info b", "error b"]);
    assert_eq!(of(&db.obs, None, None, Some(task)).await, ["error b"]);
    assert_eq!(of(&db.bob, None, None, None).await, ["error b"], "one's own");
    assert!(of(&db.cat, None, None, None).await.is_empty());
    let rows = system_logs::list(&db.service, on, Some("info"), Some("b"), None, 10).await.unwrap();
    assert_eq!(
        (rows[0].message.as_deref(), &rows[0].metadata),
        (Some("a\u{2400}b"), &Some(json!({ "a": ["\u{2400}"] }))),
        "a stray NUL costs nothing"
    );
    assert_eq!((rows[0].request_id.as_deref(), rows[0].ip_address), (Some("r-1"), None));
    // In nobody's or one's own name.
    assert_eq!(
        system_logs::append(
            &db.bob,
            on,
            &[line("info", "mine", 0), NewLogLine { user_id: Some(id(&db.bob)), ..line("info", "mine", 0) }]
        )
        .await
        .unwrap(),
        2
    );
    let forged = NewLogLine { user_id: Some(id(&db.cat)), ..line("info", "x", 0) };
    assert_eq!(refusal(system_logs::append(&db.bob, on, &[forged]).await), "refused");
    assert_eq!(
        refusal(system_logs::append(&db.service, on, &[line("info", "c", 0), line("loud", "c", 0)]).await),
        "chk_log_level"
    );
    assert!(of(&db.service, None, Some("c"), None).await.is_empty(), "all or none");
    // Many at once are cut to a thousand.
    let many: Vec<NewLogLine> = (0..1100).map(|_| line("debug", "many", 0)).collect();
    assert_eq!(system_logs::append(&db.service, on, &many).await.unwrap(), 1000);
}

async fn months_of_the_log(db: &Db) {
    let on = &db.store;
    assert_eq!(schedules::ensure_log_partitions(&db.service, on).await.unwrap(), 0, "the migration made them");
    assert_eq!(refusal(schedules::ensure_log_partitions(&db.ada, on).await), "refused");
}
