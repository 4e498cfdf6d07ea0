//! `policies` and `schedules`.

use store::{
    policies::{self, NewPolicy},
    runs, schedules,
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(rules_of_tools, jobs_fire_once);

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

async fn jobs_fire_once(db: &Db) {
    let on = &db.store;
    let jobs = schedules::list(&db.service, on).await.unwrap();
    assert_eq!(
        jobs.iter().map(|s| (s.name.as_str(), s.cron.as_str())).collect::<Vec<_>>(),
        [("cleanup-sessions", "0 2 * * *"), ("log-partitions", "30 2 * * *")]
    );
    let at = in_seconds(0);
    let (a, b) = tokio::join!(
        schedules::fire(&db.service, on, "cleanup-sessions", at),
        schedules::fire(&db.service, on, "cleanup-sessions", at)
    );
    assert!(a.unwrap() != b.unwrap(), "one of two nodes");
    assert!(schedules::fire(&db.service, on, "cleanup-sessions", in_seconds(60)).await.unwrap());
    assert_eq!(refusal(schedules::fire(&db.service, on, "unknown", at).await), "foreign_key");
    schedules::record(&db.service, on, "cleanup-sessions", Some(at), in_seconds(86400), Some("3 removed"))
        .await
        .unwrap();
    let row = &schedules::list(&db.ada, on).await.unwrap()[0];
    assert_eq!((row.last_fire_at, row.last_result.as_deref()), (Some(at), Some("3 removed")));
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(schedules::fire(actor, on, "cleanup-sessions", in_seconds(5)).await), "refused");
        assert_eq!(refusal(schedules::record(actor, on, "cleanup-sessions", None, at, None).await), "refused");
    }
}
