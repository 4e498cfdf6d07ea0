//! The job, from a dropped file to the effect in the world, on both databases and with a real server process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

use common::Steward;
use domain::{
    accounts,
    decide::{Decision, decide},
    servers as server_rules,
};
use serde_json::json;
use store::{
    Actor, approvals, audit_trail, file_attachments, notifications, runs, tasks, tasks::NewTask, users, watchers,
};

on_both!(
    an_approved_move_happens_exactly_once,
    an_edited_destination_is_used,
    a_rejection_moves_nothing_and_gives_its_note,
    a_playbook_hears_what_should_be_different,
    an_expired_approval_means_no,
    unapproved_tools_are_not_called,
    the_same_content_twice_is_one_task,
    the_machine_s_folders_are_watched_for_administrators_alone,
    a_file_that_changed_after_the_question_stays_where_it_is,
    a_server_added_anew_under_the_name_is_not_the_one_asked_about,
);

fn yes() -> Decision {
    Decision { approve: true, note: None, arguments: None }
}

/// Also where a watcher was written past the rules, or its owner is no administrator any more: that counts at once.
async fn the_machine_s_folders_are_watched_for_administrators_alone(postgres: bool) {
    let s = Steward::start(postgres).await;
    let bob = accounts::add_user(&s.store, &s.ada, "bob", "bob@example.org", "user", "four other words fit".into());
    let bob = bob.await.unwrap();
    let place = s.home().join("bobs");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("first.txt"), b"first").unwrap();
    let config = json!({ "path": place, "playbook": "file-away", "settle_ms": 200 });
    let id = watchers::create(&Actor::user(bob), &s.store, "bobs", "folder", config).await.unwrap();
    let refused = async |s: &Steward| {
        let error = watchers::get(&s.ada, &s.store, id).await.unwrap().unwrap().last_error;
        error.filter(|e| e.contains("only administrators")).map(drop)
    };
    let taken = async |s: &Steward, name: &str| s.tasks().await.iter().any(|t| t.title.contains(name)).then_some(());
    s.until("it is refused", refused).await;
    let watcher = watchers::get(&s.ada, &s.store, id).await.unwrap().unwrap();
    let looked = workers::folder_preview::preview(&s.store, &s.ada, &watcher, 10).await;
    assert!(looked.is_err(), "nor is it looked at for a test");
    assert!(taken(&s, "first.txt").await.is_none());
    assert!(users::set_role(&s.ada, &s.store, bob, "admin").await.unwrap());
    s.until("its file is taken", async |s| taken(s, "first.txt").await).await;
    assert!(users::set_role(&s.ada, &s.store, bob, "user").await.unwrap());
    s.until("it is refused again", refused).await;
    std::fs::write(place.join("second.txt"), b"second").unwrap();
    s.drop_file("third.txt", b"third");
    s.until("another's goes on", async |s| taken(s, "third.txt").await).await;
    assert!(taken(&s, "second.txt").await.is_none());
    s.stop().await;
}

async fn an_approved_move_happens_exactly_once(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_file("Rechnung März 2026.pdf", b"%PDF-1.4 an invoice");
    let approval = s.pending().await;
    let task = s.tasks().await.pop().unwrap();
    assert_eq!(task.title, "File: Rechnung März 2026.pdf");
    assert!(tasks::provenance(&s.ada, &s.store, task.id).await.unwrap().unwrap().outside);
    let files = file_attachments::list(&s.ada, &s.store, task.id).await.unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].hash_checksum.as_deref(), Some(domain::playbook::sha256_hex("%PDF-1.4 an invoice").as_str()));
    assert!(from.exists(), "nothing moves before the decision");
    let details = approval.details.clone().unwrap();
    assert_eq!(details["tool"], "move_file");
    assert_eq!(details["outside"], true);
    decide(&s.store, &s.ada, approval.id, yes()).await.unwrap();
    let task = s.task_that_is("completed").await;
    let to = details["arguments"]["destination"].as_str().unwrap();
    assert!(to.contains("/Invoices/2026/") || to.contains("/Invoices/"), "{to}");
    assert!(std::path::Path::new(to).exists() && !from.exists());
    assert_eq!(s.effects().iter().filter(|e| e.starts_with("move_file")).count(), 1);
    let run = runs::list(&s.ada, &s.store, task.id).await.unwrap().pop().unwrap();
    let steps = runs::steps(&s.ada, &s.store, run.id).await.unwrap();
    assert_eq!(
        steps.iter().map(|s| (s.tool.as_str(), s.state.as_str())).collect::<Vec<_>>(),
        [("get_file_info", "succeeded"), ("create_directory", "succeeded"), ("move_file", "succeeded")]
    );
    let frozen = approvals::call(&s.ada, &s.store, approval.id).await.unwrap().unwrap().call;
    assert_eq!(steps[2].arguments, frozen.arguments, "what ran is what was approved");
    let told = notifications::list(&s.ada, &s.store, None, 10).await.unwrap();
    assert_eq!(told.iter().map(|n| n.r#type.as_str()).collect::<Vec<_>>(), ["status", "approval"]);
    let late = decide(&s.store, &s.ada, approval.id, yes()).await.unwrap_err().to_string();
    assert!(late.contains("already approved (by ada"), "{late}");
    let report = audit_trail::verify(&s.ada, &s.store).await.unwrap();
    assert_eq!(report.broken, None);
    assert!(report.links > 10);
    s.stop().await;
}

async fn an_edited_destination_is_used(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_file("note.txt", b"a note");
    let approval = s.pending().await;
    let to = s.home().join("elsewhere.txt");
    let wrong = Decision { arguments: Some(json!({"source": 7, "destination": to})), ..yes() };
    assert!(decide(&s.store, &s.ada, approval.id, wrong).await.unwrap_err().to_string().contains("/source"));
    let edit = Decision { arguments: Some(json!({"source": from, "destination": to})), ..yes() };
    decide(&s.store, &s.ada, approval.id, edit).await.unwrap();
    let task = s.task_that_is("completed").await;
    assert!(to.exists() && !from.exists());
    assert!(task.metadata["summary"].as_str().unwrap().contains("elsewhere.txt"), "{}", task.metadata);
    s.stop().await;
}

async fn a_rejection_moves_nothing_and_gives_its_note(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_file("a.txt", b"a");
    let approval = s.pending().await;
    let no = Decision { approve: false, note: Some("not this one".into()), arguments: None };
    decide(&s.store, &s.ada, approval.id, no).await.unwrap();
    let task = s.task_that_is("failed").await;
    assert!(task.metadata["failure_reason"].as_str().unwrap().contains("not this one"), "{}", task.metadata);
    assert!(from.exists());
    assert!(!s.effects().iter().any(|e| e.starts_with("move_file")));
    s.stop().await;
}

async fn a_playbook_hears_what_should_be_different(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_elsewhere("a.txt", b"a");
    let to = s.home().join("there.txt");
    let source = from.display();
    let book = format!(
        "name: put\nsteps:\n  - name: move\n    server: files\n    tool: move_file\n    arguments:\n      source: {source}\n      destination: \"{{{{ changes or '/nowhere' }}}}\"\n"
    );
    s.add_playbook("put.yaml", &book);
    let employee = users::agent(&Actor::service(), &s.store, domain::accounts::EMPLOYEE).await.unwrap();
    let new = NewTask { assigned_to: employee, metadata: json!({"playbook": "put"}), ..NewTask::titled("put") };
    tasks::create(&s.ada, &s.store, &new).await.unwrap();
    let first = s.pending().await;
    let words = to.to_str().unwrap();
    domain::reconsider::ask_for_changes(&s.store, &s.ada, first.id, words).await.unwrap();
    let second = s.pending_but(first.id).await;
    assert_eq!(second.details.as_ref().unwrap()["arguments"]["destination"], words);
    decide(&s.store, &s.ada, second.id, yes()).await.unwrap();
    s.task_that_is("completed").await;
    assert!(to.exists() && !from.exists());
    s.stop().await;
}

async fn an_expired_approval_means_no(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_file("a.txt", b"a");
    let approval = s.pending().await;
    // The clock can't be turned; the row's own end can, as the database's owner may.
    expire_now(&s, approval.id);
    let late = decide(&s.store, &s.ada, approval.id, yes()).await;
    assert!(late.is_err(), "{late:?}");
    let task = s.task_that_is("failed").await;
    assert!(task.metadata["failure_reason"].as_str().unwrap().contains("nobody decided in time"), "{}", task.metadata);
    assert!(from.exists());
    s.stop().await;
}

fn expire_now(s: &Steward, id: uuid::Uuid) {
    match &s.database.config.target {
        store::Target::Sqlite(path) => {
            let sql = format!(
                "DROP TRIGGER trg_approvals_audit; DROP TRIGGER trg_approvals_updated_at; DROP TRIGGER trg_approvals_extend; UPDATE approvals SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE id = '{id}'"
            );
            let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],timeout=10)\nc.executescript(sys.argv[2])\nc.commit()";
            let out = std::process::Command::new("python3").args(["-c", script]).arg(path).arg(sql).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        store::Target::Postgres(_) => {
            let base = std::env::var("STEWARD_TEST_POSTGRES_URL").unwrap();
            let store::Target::Postgres(config) = &s.database.config.target else { unreachable!() };
            let url = format!("{}/{}", base.rsplit_once('/').unwrap().0, config.get_dbname().unwrap());
            let sql = format!(
                "ALTER TABLE approvals DISABLE TRIGGER trg_approvals_extend; UPDATE approvals SET expires_at = '2020-01-01' WHERE id = '{id}'; \
                 ALTER TABLE approvals ENABLE TRIGGER trg_approvals_extend"
            );
            let out = std::process::Command::new("psql").args(["-X", "-q", "-d", &url, "-c", &sql]).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
    }
}

async fn unapproved_tools_are_not_called(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.drop_file("a.txt", b"a");
    let task = s.task_that_is("failed").await;
    assert!(task.metadata["failure_reason"].as_str().unwrap().contains("approve-tools"), "{}", task.metadata);
    assert!(s.effects().is_empty());
    s.stop().await;
}

async fn the_same_content_twice_is_one_task(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.drop_file("a.txt", b"same");
    s.task_that_is("failed").await;
    s.drop_file("b.txt", b"same");
    s.drop_file("c.txt", b"other");
    let count = s
        .until("the third file is a task", async |s| {
            let tasks = s.tasks().await;
            tasks.iter().any(|t| t.title == "File: c.txt").then_some(tasks.len())
        })
        .await;
    assert_eq!(count, 2);
    s.stop().await;
}

async fn a_file_that_changed_after_the_question_stays_where_it_is(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_file("a.txt", b"what the person saw");
    let approval = s.pending().await;
    std::fs::write(&from, b"what somebody put in its place").unwrap();
    decide(&s.store, &s.ada, approval.id, yes()).await.unwrap();
    let task = s.task_that_is("failed").await;
    let reason = task.metadata["failure_reason"].as_str().unwrap();
    assert!(reason.contains("a.txt changed after the person was asked"), "{reason}");
    assert_eq!(std::fs::read(&from).unwrap(), b"what somebody put in its place");
    assert!(!s.effects().iter().any(|e| e.starts_with("move_file")));
    s.stop().await;
}

async fn a_server_added_anew_under_the_name_is_not_the_one_asked_about(postgres: bool) {
    let s = Steward::start(postgres).await;
    s.approve_tools().await;
    let from = s.drop_file("a.txt", b"a");
    let approval = s.pending().await;
    // The same name and the very same tools, which are approved: still another server than the person knew.
    server_rules::remove(&s.store, &s.ada, "files").await.unwrap();
    s.add_server().await;
    s.approve_tools().await;
    let refused = decide(&s.store, &s.ada, approval.id, yes()).await.unwrap_err().to_string();
    assert!(refused.contains("is not the one you were asked about any more"), "{refused}");
    let no = Decision { approve: false, note: Some("another server".into()), arguments: None };
    decide(&s.store, &s.ada, approval.id, no).await.unwrap();
    s.task_that_is("failed").await;
    assert!(from.exists());
    assert!(!s.effects().iter().any(|e| e.starts_with("move_file")));
    s.stop().await;
}
