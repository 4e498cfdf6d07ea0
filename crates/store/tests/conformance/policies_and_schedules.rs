//! `policies` and `schedules`.

use store::{
    audit_trail, file_attachments,
    policies::{self, NewPolicy},
    runs,
    schedules::{self, Change},
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal, seconds};

crate::on_both!(
    rules_of_tools,
    rules_have_a_risk,
    jobs_fire_once,
    only_an_administrator_changes_a_schedule,
    old_fires_go,
    files_whose_time_is_over_go,
);

fn new(position: i32, name: &str) -> NewPolicy {
    NewPolicy {
        position,
        name: name.to_owned(),
        server: "files".to_owned(),
        tool: "{move,read}_*".to_owned(),
        condition: Some("args.to.startsWith('/')".to_owned()),
        outside: true,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 60,
    }
}

async fn rules_have_a_risk(db: &Db) {
    let on = &db.store;
    let id = policies::create(&db.ada, on, &new(1, "pay")).await.unwrap();
    let risk = async || policies::list(&db.bob, on).await.unwrap()[0].risk.clone();
    assert_eq!(risk().await, "normal");
    assert!(policies::set_risk(&db.ada, on, id, "high").await.unwrap());
    assert_eq!(risk().await, "high");
    assert_eq!(refusal(policies::set_risk(&db.ada, on, id, "none").await), "chk_policy_risk");
    for actor in [&db.bob, &db.obs, &db.employee, &db.admin_agent, &db.nobody] {
        assert!(!policies::set_risk(actor, on, id, "low").await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(policies::set_risk(&db.service, on, id, "low").await), "refused");
    let audit = audit_trail::list(&db.ada, on, Some("policy"), Some(id), 10).await.unwrap();
    assert!(audit.iter().any(|row| row.new_values.as_ref().is_some_and(|v| v["risk"] == "high")), "{audit:?}");
}

async fn rules_of_tools(db: &Db) {
    let on = &db.store;
    for actor in [&db.bob, &db.obs, &db.sus, &db.employee, &db.admin_agent, &db.service, &db.nobody] {
        assert_eq!(refusal(policies::create(actor, on, &new(1, "x")).await), "refused", "{actor:?}");
    }
    let second = policies::create(&db.ada, on, &new(20, "second")).await.unwrap();
    let first = policies::create(&db.ada, on, &new(10, "first")).await.unwrap();
    let last = policies::create(&db.ada, on, &new(20, "last")).await.unwrap();
    let rows = policies::list(&db.employee, on).await.unwrap();
    assert_eq!(rows.iter().map(|p| p.id).collect::<Vec<_>>(), [first, second, last]);
    assert_eq!(
        (rows[0].tool.as_str(), rows[0].outside, rows[0].created_by, rows[0].is_active),
        ("{move,read}_*", true, Some(id(&db.ada)), true)
    );
    assert!(policies::list(&db.nobody, on).await.unwrap().is_empty());
    for (wrong, rule) in [
        (new(5, "first"), "policies_name_key"),
        (new(0, "zero"), "policies_position_check"),
        (NewPolicy { effect: "maybe".to_owned(), ..new(5, "x") }, "chk_policy_effect"),
        (NewPolicy { approval_ttl_minutes: 0, ..new(5, "x") }, "chk_policy_ttl"),
        (new(5, &"x".repeat(101)), "length"),
    ] {
        assert_eq!(refusal(policies::create(&db.ada, on, &wrong).await), rule);
    }
    let mut changed = rows[1].clone();
    (changed.position, changed.effect, changed.condition, changed.is_active) = (30, "deny".to_owned(), None, false);
    for actor in [&db.bob, &db.employee, &db.admin_agent, &db.obs, &db.nobody] {
        assert!(!policies::update(actor, on, &changed).await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(policies::update(&db.service, on, &changed).await), "refused");
    assert!(policies::update(&db.ada, on, &changed).await.unwrap());
    let row = policies::list(&db.bob, on).await.unwrap().pop().unwrap();
    assert_eq!((row.id, row.position, row.effect.as_str()), (changed.id, 30, "deny"));
    assert_eq!((row.condition, row.is_active), (None, false));
    "first".clone_into(&mut changed.name);
    assert_eq!(refusal(policies::update(&db.ada, on, &changed).await), "policies_name_key");
    for actor in [&db.bob, &db.employee, &db.admin_agent, &db.obs, &db.nobody] {
        assert!(!policies::delete(actor, on, first).await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(policies::delete(&db.service, on, first).await), "refused");
    // A rule that decided a step may still go; the step keeps its reason.
    let task = db.task("x").await;
    let run = db.run(task).await;
    let step = runs::NewStep { policy_id: Some(first), ..super::runs::new_step(run, task, 0) };
    let step = runs::add_step(&db.employee, on, &step).await.unwrap();
    assert!(policies::delete(&db.ada, on, first).await.unwrap());
    assert!(!policies::delete(&db.ada, on, Uuid::now_v7()).await.unwrap());
    let row = runs::step(&db.bob, on, step).await.unwrap().unwrap();
    assert_eq!((row.policy_id, row.policy_reason.as_deref()), (None, Some("nothing matches")));
}

/// The schedule that the scenarios change.
async fn statistics(db: &Db) -> schedules::Schedule {
    let all = schedules::list(&db.service, &db.store).await.unwrap();
    all.into_iter().find(|s| s.name == "statistics").unwrap()
}

async fn jobs_fire_once(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    let jobs = schedules::list(service, on).await.unwrap();
    assert_eq!(
        jobs.iter().map(|s| (s.name.as_str(), s.cron.as_str())).collect::<Vec<_>>(),
        [
            ("attachments", "30 3 * * *"),
            ("attachments-check", "40 3 * * *"),
            ("backup", "0 2 * * *"),
            ("backup-drill", "0 5 * * 0"),
            ("cleanup-sessions", "0 2 * * *"),
            ("idempotency-keys", "20 * * * *"),
            ("log-partitions", "30 2 * * *"),
            ("log-retention", "0 3 * * *"),
            ("statistics", "0 4 * * *")
        ]
    );
    let (name, at, next) = ("cleanup-sessions", in_seconds(0), in_seconds(86400));
    // A time that the schedule does not have is nobody's to take.
    assert_eq!(schedules::fire(service, on, name, at, "a", seconds(60)).await.unwrap(), None);
    schedules::plan(service, on, name, at).await.unwrap();
    schedules::plan(service, on, name, next).await.unwrap();
    let (a, b) = tokio::join!(
        schedules::fire(service, on, name, at, "a", seconds(60)),
        schedules::fire(service, on, name, at, "b", seconds(60))
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a.is_some() != b.is_some(), "one of two nodes");
    let held = a.or(b).unwrap();
    schedules::advance(service, on, &held, Some(next), true).await.unwrap();
    assert_eq!(schedules::fire(service, on, name, next, "c", seconds(60)).await.unwrap(), None, "it still runs");
    assert!(schedules::abandoned(service, on).await.unwrap().is_empty());
    assert!(schedules::renew(service, on, &held, seconds(0), Some("half of it")).await.unwrap());
    let left = schedules::abandoned(service, on).await.unwrap();
    assert_eq!((left[0].name.as_str(), left[0].fire_at, left[0].attempt), (name, at, 1));
    assert_eq!(left[0].result.as_deref(), Some("half of it"), "how far it had come is told");
    let again = schedules::retake(service, on, &left[0], "c", seconds(60)).await.unwrap().unwrap();
    assert_eq!(schedules::retake(service, on, &left[0], "d", seconds(60)).await.unwrap(), None, "another was first");
    // The one that was taken for dead writes nothing any more.
    assert!(!schedules::renew(service, on, &held, seconds(60), None).await.unwrap());
    assert!(!schedules::give_back(service, on, &held).await.unwrap());
    assert!(!schedules::finish(service, on, &held, true, "late", 1).await.unwrap());
    assert!(schedules::finish(service, on, &again, false, "failed: x", 17).await.unwrap());
    let row = schedules::list(&db.ada, on).await.unwrap().swap_remove(4);
    assert_eq!((row.last_fire_at, row.next_fire_at, row.last_duration_ms), (Some(at), Some(next), Some(17)));
    assert_eq!((row.last_status.as_deref(), row.last_result.as_deref()), (Some("failed"), Some("failed: x")));
    assert!(row.last_was_missed);
    let fires = schedules::fires(&db.ada, on, name, 10).await.unwrap();
    assert_eq!((fires.len(), fires[0].state.as_str(), fires[0].attempt), (1, "failed", 2));
    assert!(schedules::unreadable(service, on, name, "what").await.unwrap());
    assert!(!schedules::unreadable(service, on, name, "what").await.unwrap(), "that is no news");
    for actor in [&db.ada, &db.bob, &db.nobody] {
        let taken = schedules::fire(actor, on, name, next, "x", seconds(60)).await;
        assert_eq!(refusal(taken), "refused");
        assert_eq!(refusal(schedules::finish(actor, on, &again, true, "x", 1).await), "refused");
        assert_eq!(refusal(schedules::follow_pg_cron(actor, on).await), "refused");
    }
    assert_eq!(schedules::follow_pg_cron(service, on).await.unwrap(), 0);
}

async fn only_an_administrator_changes_a_schedule(db: &Db) {
    let on = &db.store;
    let change = Change { cron: Some("5 4 * * *".to_owned()), is_active: Some(false), ..Change::default() };
    for actor in [&db.bob, &db.obs, &db.sus, &db.employee, &db.admin_agent, &db.nobody] {
        assert!(!schedules::set(actor, on, "statistics", &change, None).await.unwrap(), "{actor:?}");
        assert!(!schedules::request(actor, on, "statistics").await.unwrap(), "{actor:?}");
    }
    assert_eq!(refusal(schedules::set(&db.service, on, "statistics", &change, None).await), "refused");
    assert_eq!(refusal(schedules::request(&db.service, on, "statistics").await), "refused");
    assert!(schedules::set(&db.ada, on, "statistics", &change, None).await.unwrap());
    assert!(!schedules::set(&db.ada, on, "unknown", &change, None).await.unwrap());
    assert!(schedules::request(&db.ada, on, "statistics").await.unwrap());
    let row = statistics(db).await;
    assert_eq!((row.cron.as_str(), row.time_zone.as_str(), row.is_active), ("5 4 * * *", "UTC", false));
    // What was asked for can be taken, and leaves the times as they are.
    let at = row.requested_at.unwrap();
    let held = schedules::fire(&db.service, on, "statistics", at, "a", seconds(60)).await.unwrap().unwrap();
    schedules::advance(&db.service, on, &held, None, false).await.unwrap();
    assert!(schedules::finish(&db.service, on, &held, true, "x", 1).await.unwrap());
    let rows = audit_trail::list(&db.ada, on, Some("schedule"), Some(row.id), 10).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|r| (r.action.as_str(), r.user_id, r.new_values.clone().unwrap())).collect();
    assert_eq!(seen.len(), 2, "a person's changes and nothing else: {seen:?}");
    assert!(seen.iter().all(|(action, user, _)| *action == "schedule_updated" && *user == Some(id(&db.ada))));
    assert!(seen.iter().any(|(_, _, new)| *new == serde_json::json!({ "cron": "5 4 * * *", "is_active": false })));
    assert!(seen.iter().any(|(_, _, new)| new.get("requested_at").is_some()));
}

async fn old_fires_go(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    for number in 0..105 {
        schedules::request(&db.ada, on, "statistics").await.unwrap();
        let at = statistics(db).await.requested_at.unwrap();
        let held = schedules::fire(service, on, "statistics", at, "a", seconds(60)).await.unwrap().unwrap();
        assert!(schedules::finish(service, on, &held, true, &number.to_string(), 1).await.unwrap());
    }
    let fires = schedules::fires(service, on, "statistics", 1000).await.unwrap();
    assert_eq!((fires.len(), fires[0].result.as_deref(), fires[99].result.as_deref()), (100, Some("104"), Some("5")));
}

async fn files_whose_time_is_over_go(db: &Db) {
    let (on, service) = (&db.store, &db.service);
    let task = db.task("files").await;
    let mut made = Vec::new();
    for name in ["stays", "ends", "ended"] {
        let new = file_attachments::NewAttachment {
            filename: name.to_owned(),
            original_filename: name.to_owned(),
            mime_type: None,
            file_size: 1,
            storage_path: format!("aa/{name}"),
            task_id: task,
            hash_checksum: "a".repeat(64),
            expires_at: None,
        };
        made.push(file_attachments::create(&db.bob, on, &new).await.unwrap());
    }
    let (soon, past) = (store::value::time_text(in_seconds(600)), store::value::time_text(in_seconds(-600)));
    db.tamper(&format!(
        "UPDATE file_attachments SET expires_at = '{soon}' WHERE filename = 'ends'; UPDATE file_attachments SET expires_at = '{past}' WHERE filename = 'ended'"
    ))
    .await;
    assert_eq!(refusal(file_attachments::expire(&db.ada, on, 10).await), "refused");
    assert!(file_attachments::expire(service, on, 0).await.unwrap().is_empty());
    assert_eq!(file_attachments::expire(service, on, 10).await.unwrap(), ["aa/ended"]);
    assert!(file_attachments::expire(service, on, 10).await.unwrap().is_empty());
    let left = file_attachments::after(service, on, Uuid::nil(), 10).await.unwrap();
    assert_eq!(left.iter().map(|a| a.id).collect::<Vec<_>>(), made[..2]);
    assert_eq!(file_attachments::after(service, on, made[0], 10).await.unwrap().len(), 1);
}
