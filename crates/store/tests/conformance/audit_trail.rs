//! `audit_trail` and its chain.

use serde_json::json;
use store::{
    Store, Target, approvals,
    audit_trail::{self, Damage, Finding, Link},
    canonical::{AuditRow, GENESIS_SHA256, audit_text, chain_sha256},
    mcp_servers, notifications, policies, runs, sessions, task_queue, tasks, users, watchers,
};

use crate::common::{Db, id, in_seconds, new_user, refusal, seconds};

crate::on_both!(
    every_change_leaves_its_row,
    who_reads_the_trail,
    an_altered_row_is_found,
    a_row_altered_and_hashed_anew_is_found,
    a_removed_row_is_found,
    a_removed_link_is_found,
    a_row_removed_with_its_link_is_found,
    a_row_past_the_chain_is_found,
    a_row_inserted_with_a_link_is_found,
    a_new_order_of_links_is_found,
    a_new_order_of_rows_is_found,
    a_cut_tail_is_found,
    a_tail_cut_off_whole_shows_against_a_head_kept_elsewhere,
    a_chain_wiped_out_is_found,
    an_emptied_trail_is_found_and_so_is_one_begun_anew,
    concurrent_writers_never_fork_it,
    the_owner_only_appends
);

/// A bit of everything, so that the chain is long and of many kinds.
async fn work(db: &Db) -> usize {
    let on = &db.store;
    let bob = db.bob.clone().from_request(Some("192.0.2.7".parse().unwrap()), Some("Fire\u{7}fox „ü“"), Some("r-1"));
    let task = tasks::create(
        &bob,
        on,
        &tasks::NewTask {
            assigned_to: Some(id(&db.employee)),
            ..tasks::NewTask::titled("tâche \u{1F600} \\ \" \u{1}")
        },
    )
    .await
    .unwrap();
    let mut row = tasks::get(&bob, on, task).await.unwrap().unwrap();
    row.metadata = json!({ "n": 1.50, "e": 1e-7, "big": u64::MAX, "z": [], "a": { "ä": "\u{1F600}" } });
    row.due_date = Some(in_seconds(9999));
    tasks::update(&bob, on, &row).await.unwrap();
    let lease = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
    let run = db.run(task).await;
    let step = runs::add_step(&db.employee, on, &super::runs::new_step(run, task, 0)).await.unwrap();
    let approval = db.approval(task).await;
    runs::ask_step(&db.employee, on, step, "awaiting_approval", approval, None).await.unwrap();
    task_queue::wait(&db.employee, on, &lease).await.unwrap();
    let call = approvals::ApprovalCall {
        approval_id: approval,
        step_id: step,
        server: "files".to_owned(),
        tool: "t".to_owned(),
        definition_sha256: "d".to_owned(),
        arguments: "{ \"a\": 1.0 }".to_owned(),
        arguments_sha256: "a".to_owned(),
    };
    approvals::add_call(&db.employee, on, &call).await.unwrap();
    tasks::add_provenance(&bob, on, task, true, "watcher:inbox", json!({ "path": "ü" })).await.unwrap();
    approvals::add_edit(&db.bob, on, approval, "{}", &"0".repeat(64)).await.unwrap();
    approvals::approve(&db.bob, on, approval, Some("yes")).await.unwrap();
    runs::end_step(&db.employee, on, step, "succeeded", Some("{}"), None).await.unwrap();
    runs::finish(&db.employee, on, run, "completed", None).await.unwrap();
    let server = mcp_servers::create(&db.ada, on, "files", "npx", vec!["a".to_owned()], Some(json!({ "K": "s3cret" })))
        .await
        .unwrap();
    mcp_servers::see_tool(&db.service, on, server, "t", None, &json!({}), "h").await.unwrap();
    mcp_servers::approve_tool(&db.ada, on, server, "t", "h", false).await.unwrap();
    mcp_servers::delete(&db.ada, on, server).await.unwrap();
    let inbox = watchers::create(&db.bob, on, "inbox", "folder", json!({ "p": 1 })).await.unwrap();
    watchers::report(&db.bob, on, inbox, Some("e")).await.unwrap();
    let new = policies::NewPolicy {
        position: 1,
        name: "p".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 5,
    };
    policies::create(&db.ada, on, &new).await.unwrap();
    sessions::create(&db.service, on, id(&db.bob), &"a".repeat(64), in_seconds(60), bob.ip_address, None)
        .await
        .unwrap();
    let told = notifications::NewNotification {
        user_id: id(&db.bob),
        title: "t".to_owned(),
        message: None,
        r#type: "info",
        data: json!({}),
    };
    notifications::create(&db.service, on, &told).await.unwrap();
    let extra = users::create(&db.ada, on, &new_user("extra", "user")).await.unwrap();
    users::set_status(&db.ada, on, extra, "suspended").await.unwrap();
    tasks::delete(&db.bob, on, task).await.unwrap();
    audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap().len()
}

async fn every_change_leaves_its_row(db: &Db) {
    let on = &db.store;
    let rows = work(db).await;
    let report = audit_trail::verify(&db.ada, on).await.unwrap();
    assert_eq!((report.links, &report.broken), (i64::try_from(rows).unwrap(), &None));
    let all = audit_trail::list(&db.service, on, None, None, 1000).await.unwrap();
    let made = all.iter().find(|a| a.action == "task_created").unwrap();
    assert_eq!(
        (made.user_id, made.ip_address, made.user_agent.as_deref()),
        (Some(id(&db.bob)), Some("192.0.2.7".parse().unwrap()), Some("Firefox „ü“"))
    );
    let mut actions: Vec<&str> = all.iter().map(|a| a.action.as_str()).collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(
        actions,
        [
            "agent_created",
            "approval_call_created",
            "approval_call_deleted",
            "approval_created",
            "approval_deleted",
            "approval_edit_created",
            "approval_edit_deleted",
            "approval_updated",
            "mcp_server_created",
            "mcp_server_deleted",
            "notification_created",
            "policy_created",
            "run_created",
            "run_deleted",
            "run_updated",
            "server_tool_created",
            "server_tool_deleted",
            "server_tool_updated",
            "session_created",
            "step_created",
            "step_deleted",
            "step_updated",
            "task_created",
            "task_deleted",
            "task_provenance_created",
            "task_provenance_deleted",
            "task_updated",
            "user_created",
            "user_updated",
            "watcher_created",
            "watcher_updated"
        ]
    );
    // Nothing that was rolled back, nor a read, leaves a row.
    let bob = db.bob.clone();
    crate::common::undone(on, move |tx| {
        Box::pin(async move { tasks::create(&bob, tx, &tasks::NewTask::titled("x")).await.unwrap() })
    })
    .await;
    assert_eq!(audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap().len(), rows);
    // A change that changes nothing is none.
    users::set_status(&db.ada, on, id(&db.cat), "active").await.unwrap();
    assert_eq!(audit_trail::list(&db.ada, on, None, None, 1000).await.unwrap().len(), rows);
    assert_eq!(audit_trail::verify(&db.service, on).await.unwrap().head.len(), 64);
}

async fn who_reads_the_trail(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    for (actor, sees) in [
        (&db.ada, 1),
        (&db.bob, 1),
        (&db.employee, 1),
        (&db.obs, 1),
        (&db.service, 1),
        (&db.cat, 0),
        (&db.sus, 0),
        (&db.nobody, 0),
    ] {
        assert_eq!(audit_trail::list(actor, on, Some("task"), Some(task), 10).await.unwrap().len(), sees, "{actor:?}");
    }
    for (kind, entity) in [(None, None), (Some("task"), Some(task))] {
        for actor in [&db.ada, &db.bob] {
            let all = audit_trail::list(actor, on, kind, entity, 1000).await.unwrap();
            let (mut walked, mut place) = (Vec::new(), None);
            while walked.len() < all.len() {
                let page = audit_trail::page(actor, on, kind, entity, place, 2).await.unwrap();
                let last = page.last().expect("the walk reaches every row");
                place = Some((last.created_at, last.id));
                walked.extend(page);
            }
            assert_eq!(walked, all, "page by page");
            assert!(audit_trail::page(actor, on, kind, entity, place, 2).await.unwrap().is_empty());
        }
    }
    let of_ada = audit_trail::list(&db.bob, on, Some("user"), None, 100).await.unwrap();
    assert!(of_ada.is_empty(), "what others did to others stays theirs");
    // Who may not read the whole trail sees no chain, and no alarm.
    for actor in [&db.bob, &db.obs, &db.nobody] {
        let report = audit_trail::verify(actor, on).await.unwrap();
        assert_eq!(report.links, 0, "{actor:?}");
    }
    assert_eq!(audit_trail::verify(&db.ada, on).await.unwrap().broken, None);
}

/// What a check says after the database was tampered with: the damage, the position, and the row and its time.
async fn broken(db: &Db, sql: &str) -> Finding {
    assert_eq!(audit_trail::verify(&db.ada, &db.store).await.unwrap().broken, None);
    db.tamper(sql).await;
    // Also through a connection that was open before.
    let said = audit_trail::verify(&db.ada, &db.store).await.unwrap().broken.expect("the chain is broken");
    let anew = Store::open(&db.config).await.unwrap();
    assert_eq!(audit_trail::verify(&db.ada, &anew).await.unwrap().broken.as_ref(), Some(&said));
    anew.close().await;
    said
}

/// The link at a position.
async fn link(db: &Db, position: i64) -> Link {
    audit_trail::links(&db.ada, &db.store, position - 1, 1).await.unwrap().pop().expect("a link")
}

/// What a finding must say of a row at a position.
fn of(damage: Damage, position: i64, row: &Link) -> (Damage, Option<i64>, Option<String>, Option<String>) {
    (damage, Some(position), Some(row.row_id.clone()), row.created_at.clone())
}
fn said(found: &Finding) -> (Damage, Option<i64>, Option<String>, Option<String>) {
    (found.damage, found.position, found.row_id.clone(), found.created_at.clone())
}

async fn an_altered_row_is_found(db: &Db) {
    work(db).await;
    let fifth = link(db, 5).await;
    let found = broken(
        db,
        "UPDATE audit_trail SET user_agent = 'x' WHERE id = (SELECT audit_id FROM audit_chain WHERE seq = 5)",
    )
    .await;
    assert_eq!(said(&found), of(Damage::Altered, 5, &fifth));
    let words = found.to_string();
    assert!(
        words.contains(&fifth.row_id) && words.contains("at position 5") && words.contains("was altered"),
        "{words}"
    );
}

async fn a_row_altered_and_hashed_anew_is_found(db: &Db) {
    work(db).await;
    let sixth = link(db, 6).await;
    let (text, id) = (sixth.text.clone().unwrap(), &sixth.row_id);
    // The action is the third member of the text.
    let members: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let text = text.replacen(&members[2].to_string(), "\"nothing\"", 1);
    let anew = store::canonical::chain_sha256(&sixth.previous_sha256, &text);
    let found = broken(
        db,
        &format!(
            "UPDATE audit_trail SET action = 'nothing' WHERE id = '{id}'; UPDATE audit_chain SET sha256 = '{anew}' WHERE seq = 6"
        ),
    )
    .await;
    assert_eq!(said(&found), of(Damage::Altered, 6, &sixth));
    assert!(found.reason.contains("hashed anew"), "{found}");
}

async fn a_removed_row_is_found(db: &Db) {
    work(db).await;
    let seventh = link(db, 7).await;
    let found = broken(db, "DELETE FROM audit_trail WHERE id = (SELECT audit_id FROM audit_chain WHERE seq = 7)").await;
    assert_eq!(said(&found), (Damage::Removed, Some(7), Some(seventh.row_id), None));
}

async fn a_removed_link_is_found(db: &Db) {
    work(db).await;
    let third = link(db, 3).await;
    let found = broken(db, "DELETE FROM audit_chain WHERE seq = 3").await;
    assert_eq!(said(&found), of(Damage::Removed, 3, &third));
}

async fn a_row_removed_with_its_link_is_found(db: &Db) {
    work(db).await;
    let found = broken(
        db,
        "DELETE FROM audit_trail WHERE id IN (SELECT audit_id FROM audit_chain WHERE seq IN (3, 4)); DELETE FROM audit_chain WHERE seq IN (3, 4)",
    )
    .await;
    assert_eq!(said(&found), (Damage::Removed, Some(3), None, None));
    assert!(found.reason.starts_with("2 links and their rows are gone, written between 2"), "{found}");
}

const FOREIGN: &str = "00000000-0000-7000-8000-000000000001";

async fn a_row_past_the_chain_is_found(db: &Db) {
    work(db).await;
    let sql = format!(
        "INSERT INTO audit_trail (id, action, created_at) VALUES ('{FOREIGN}', 'x', '2026-01-01T00:00:00.000000Z')"
    );
    let found = broken(db, &sql).await;
    assert_eq!(
        said(&found),
        (Damage::Inserted, None, Some(FOREIGN.to_owned()), Some("2026-01-01T00:00:00.000000Z".to_owned()))
    );
}

async fn a_row_inserted_with_a_link_is_found(db: &Db) {
    work(db).await;
    let fourth = link(db, 4).await;
    let (time, head) = ("2026-01-01T00:00:00.000000Z", &fourth.sha256);
    let text = format!("[\"{FOREIGN}\", null, \"x\", null, null, null, null, null, null, \"{time}\"]");
    let hash = store::canonical::chain_sha256(head, &text);
    let sql = format!(
        "UPDATE audit_chain SET seq = seq + 1000000 WHERE seq >= 5; UPDATE audit_chain SET seq = seq - 999999 WHERE seq > 1000000;
         INSERT INTO audit_trail (id, action, created_at) VALUES ('{FOREIGN}', 'x', '{time}');
         INSERT INTO audit_chain (seq, audit_id, previous_sha256, sha256) VALUES (5, '{FOREIGN}', '{head}', '{hash}')"
    );
    let found = broken(db, &sql).await;
    assert_eq!(said(&found), (Damage::Inserted, Some(5), Some(FOREIGN.to_owned()), Some(time.to_owned())));
}

async fn a_new_order_of_links_is_found(db: &Db) {
    work(db).await;
    let fourth = link(db, 4).await;
    let sql = "UPDATE audit_chain SET seq = 100000 WHERE seq = 4; UPDATE audit_chain SET seq = 4 WHERE seq = 5; UPDATE audit_chain SET seq = 5 WHERE seq = 100000";
    let found = broken(db, sql).await;
    assert_eq!(said(&found), of(Damage::Reordered, 4, &fourth));
    assert!(found.reason.contains("stands at position 5"), "{found}");
}

async fn a_new_order_of_rows_is_found(db: &Db) {
    work(db).await;
    let (fourth, ninth) = (link(db, 4).await, link(db, 9).await);
    let set = |row: &str, seq: i64| format!("UPDATE audit_chain SET audit_id = '{row}' WHERE seq = {seq};");
    let sql = [set(FOREIGN, 4), set(&fourth.row_id, 9), set(&ninth.row_id, 4)].concat();
    let found = broken(db, &sql).await;
    assert_eq!(said(&found), of(Damage::Reordered, 4, &ninth));
    assert!(found.reason.contains("belongs at position 9"), "{found}");
}

async fn a_cut_tail_is_found(db: &Db) {
    work(db).await;
    let last = audit_trail::verify(&db.ada, &db.store).await.unwrap();
    let kept = link(db, last.links).await;
    let found = broken(db, "DELETE FROM audit_chain WHERE seq = (SELECT max(seq) FROM audit_chain)").await;
    assert_eq!(said(&found), (Damage::Removed, None, Some(kept.row_id), kept.created_at));
    assert_eq!(
        refusal(users::credentials(&db.ada, &db.store, "ada").await.map(|_| ())),
        "refused",
        "the rest still answers"
    );
}

async fn a_tail_cut_off_whole_shows_against_a_head_kept_elsewhere(db: &Db) {
    work(db).await;
    let report = audit_trail::verify(&db.ada, &db.store).await.unwrap();
    let against = async |head: &str| audit_trail::verify_against(&db.ada, &db.store, Some(head)).await.unwrap();
    assert_eq!(against(&report.head).await.anchored_at, Some(report.links));
    assert_eq!(against(&link(db, 2).await.sha256).await.anchored_at, Some(2));
    // The head of an empty chain stands in none.
    assert!(against(GENESIS_SHA256).await.broken.is_some());
    db.tamper(
        "DELETE FROM audit_trail WHERE id = (SELECT audit_id FROM audit_chain ORDER BY seq DESC LIMIT 1);
         DELETE FROM audit_chain WHERE seq = (SELECT max(seq) FROM audit_chain)",
    )
    .await;
    let cut = audit_trail::verify(&db.ada, &db.store).await.unwrap();
    assert_eq!((cut.links, cut.broken), (report.links - 1, None), "in itself it is whole");
    let found = against(&report.head).await.broken.unwrap();
    assert_eq!((found.damage, found.position), (Damage::Removed, None));
    assert!(found.reason.contains("kept elsewhere"), "{found}");
}

async fn a_chain_wiped_out_is_found(db: &Db) {
    work(db).await;
    let found = broken(db, "DELETE FROM audit_chain").await;
    assert_eq!((found.damage, found.position), (Damage::Removed, None));
}

/// Both are whole in themselves; but there are users of whose making they do not speak.
async fn an_emptied_trail_is_found_and_so_is_one_begun_anew(db: &Db) {
    work(db).await;
    assert_eq!(audit_trail::verify(&db.ada, &db.store).await.unwrap().broken, None);
    let found = broken(db, "DELETE FROM audit_trail; DELETE FROM audit_chain").await;
    assert_eq!((found.damage, found.position), (Damage::Removed, None));
    assert!(found.reason.contains("no row says that he was made"), "{found}");
    // A first row of a new trail, linked as the database links.
    let row = "00000000-0000-7000-8000-0000000000f1";
    let text = audit_text(&AuditRow {
        id: row,
        user_id: None,
        action: "odd_created",
        entity_type: None,
        entity_id: None,
        old_values: None,
        new_values: None,
        ip_address: None,
        user_agent: None,
        created_at: "2026-11-22T17:50:00.000000Z",
    });
    let (before, hash) = (GENESIS_SHA256, chain_sha256(GENESIS_SHA256, &text.unwrap()));
    db.tamper(&format!(
        "INSERT INTO audit_trail (id, action, created_at) VALUES ('{row}', 'odd_created', '2026-11-22T17:50:00.000000Z');
         INSERT INTO audit_chain (seq, audit_id, previous_sha256, sha256) VALUES (1, '{row}', '{before}', '{hash}')"
    ))
    .await;
    let anew = audit_trail::verify(&db.ada, &db.store).await.unwrap();
    assert_eq!((anew.links, anew.broken.unwrap().reason), (1, found.reason), "in itself it is whole");
}

/// Several nodes (and on SQLite several programs on one file) write at once: one chain, without a fork or a gap.
async fn concurrent_writers_never_fork_it(db: &Db) {
    const NODES: usize = 4;
    const WRITERS: usize = 4;
    const TASKS: usize = 8;
    let before = audit_trail::verify(&db.ada, &db.store).await.unwrap().links;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Store::open(&db.config).await.unwrap());
    }
    let mut writing = tokio::task::JoinSet::new();
    for node in &nodes {
        for writer in 0..WRITERS {
            let (node, bob) = (node.clone(), db.bob.clone());
            writing.spawn(async move {
                for n in 0..TASKS {
                    let undo = n % 4 == 3;
                    let bob = bob.clone();
                    let made: Result<(), store::Error> = node
                        .transaction(move |tx| {
                            Box::pin(async move {
                                tasks::create(&bob, tx, &tasks::NewTask::titled(format!("{writer} {n}"))).await?;
                                tasks::create(&bob, tx, &tasks::NewTask::titled("second")).await?;
                                if undo { Err(store::Error::RolledBack) } else { Ok(()) }
                            })
                        })
                        .await;
                    assert_eq!(made.is_err(), undo, "{made:?}");
                }
            });
        }
    }
    while let Some(ended) = writing.join_next().await {
        ended.unwrap();
    }
    let wanted = before + i64::try_from(NODES * WRITERS * TASKS * 3 / 4 * 2).unwrap();
    for node in &nodes {
        let report = audit_trail::verify(&db.ada, node).await.unwrap();
        assert_eq!((report.links, report.broken), (wanted, None));
    }
    for node in nodes {
        node.close().await;
    }
}

/// Not even whoever owns the database alters it in an ordinary session.
async fn the_owner_only_appends(db: &Db) {
    work(db).await;
    let any = [
        "UPDATE audit_trail SET action = 'x'",
        "DELETE FROM audit_trail",
        "UPDATE audit_chain SET sha256 = 'x'",
        "DELETE FROM audit_chain",
    ];
    match &db.owner.target {
        Target::Postgres(_) => {
            let owner = crate::common::connect(&db.owner).await;
            let further = [
                "TRUNCATE audit_trail",
                "TRUNCATE audit_trail CASCADE",
                "TRUNCATE audit_chain",
                "TRUNCATE audit_trail, audit_chain",
                "INSERT INTO audit_trail (id, action) SELECT id, action FROM audit_trail LIMIT 1 ON CONFLICT (id) DO UPDATE SET action = 'x'",
                "MERGE INTO audit_chain c USING audit_chain d ON c.seq = d.seq WHEN MATCHED THEN DELETE",
                "SET session_replication_role = replica; DELETE FROM audit_trail",
            ];
            for sql in any.into_iter().chain(further) {
                let refused = owner.batch_execute(sql).await.unwrap_err();
                let refused = refused.as_db_error().unwrap();
                assert!(refused.message().contains("append-only"), "{sql}: {refused:?}");
                owner.batch_execute("RESET session_replication_role").await.unwrap();
            }
        }
        Target::Sqlite(path) => {
            let path = path.clone();
            let refused = move || {
                let file = rusqlite::Connection::open(path).unwrap();
                any.map(|sql| file.execute_batch(sql).unwrap_err().to_string())
            };
            for said in tokio::task::spawn_blocking(refused).await.unwrap() {
                assert!(said.contains("append-only"), "{said}");
            }
        }
    }
    assert_eq!(audit_trail::verify(&db.ada, &db.store).await.unwrap().broken, None);
}
