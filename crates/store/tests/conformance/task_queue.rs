//! `task_queue`: claims, leases, and what makes work ready.

use std::collections::BTreeSet;

use store::{
    task_queue,
    tasks::{self, NewTask},
};
use uuid::Uuid;

use crate::common::{Db, id, refusal, seconds};

crate::on_both!(
    claims_are_exclusive,
    by_priority,
    leases_are_fenced,
    dependencies_unblock,
    the_queue_follows_the_task,
    reclaiming
);

async fn claims_are_exclusive(db: &Db) {
    let mut made = BTreeSet::new();
    for n in 0..50 {
        made.insert(db.task(&format!("t{n}")).await);
    }
    let mut claimers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, employee) = (db.store.clone(), db.employee.clone());
        claimers.spawn(async move {
            let mut mine = Vec::new();
            while let Some(lease) =
                task_queue::claim(&employee, &store, &format!("worker-{n}"), seconds(60)).await.unwrap()
            {
                assert_eq!((lease.worker.as_str(), lease.attempt), (format!("worker-{n}").as_str(), 1));
                mine.push(lease.task_id);
            }
            mine
        });
    }
    let claimed: Vec<Uuid> = claimers.join_all().await.concat();
    assert_eq!(claimed.len(), 50, "each once");
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), made);
}

async fn by_priority(db: &Db) {
    let on = &db.store;
    let mut made = Vec::new();
    for priority in ["low", "high", "medium", "critical", "high"] {
        let new =
            NewTask { priority: priority.to_owned(), assigned_to: Some(id(&db.employee)), ..NewTask::titled(priority) };
        made.push(tasks::create(&db.bob, on, &new).await.unwrap());
    }
    // One that may not begin yet, though it is urgent.
    let later = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
    assert_eq!(later.task_id, made[3]);
    assert!(task_queue::release(&db.employee, on, &later, seconds(3600)).await.unwrap());
    let mut order = Vec::new();
    while let Some(lease) = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap() {
        order.push(lease.task_id);
    }
    assert_eq!(order, [made[1], made[4], made[2], made[0]]);
    for actor in [&db.bob, &db.ada, &db.admin_agent, &db.sus, &db.nobody, &db.service] {
        assert!(task_queue::claim(actor, on, "w", seconds(60)).await.unwrap().is_none(), "{actor:?} has no work");
    }
}

async fn leases_are_fenced(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let old = task_queue::claim(&db.employee, on, "one", seconds(-1)).await.unwrap().unwrap();
    assert!(task_queue::hold(&db.employee, on, &old, seconds(-1)).await.unwrap());
    for actor in [&db.bob, &db.ada, &db.cat, &db.obs, &db.nobody] {
        assert!(!task_queue::hold(actor, on, &old, seconds(60)).await.unwrap(), "{actor:?}");
        assert!(!task_queue::wait(actor, on, &old).await.unwrap(), "{actor:?}");
        assert!(!task_queue::release(actor, on, &old, seconds(0)).await.unwrap(), "{actor:?}");
    }
    assert_eq!(task_queue::reclaim(&db.service, on, None).await.unwrap(), [task]);
    // Nobody claimed it since: what its holder has still to say is heard.
    assert!(task_queue::hold(&db.employee, on, &old, seconds(-1)).await.unwrap());
    assert_eq!(task_queue::reclaim(&db.service, on, None).await.unwrap(), [task]);
    let new = task_queue::claim(&db.employee, on, "one", seconds(60)).await.unwrap().unwrap();
    assert_eq!(new.attempt, 2);
    assert!(!task_queue::hold(&db.employee, on, &old, seconds(60)).await.unwrap(), "fenced out");
    assert!(!task_queue::wait(&db.employee, on, &old).await.unwrap());
    assert!(!task_queue::release(&db.employee, on, &old, seconds(0)).await.unwrap());
    assert!(task_queue::hold(&db.employee, on, &new, seconds(120)).await.unwrap());
    let row = task_queue::get(&db.bob, on, task).await.unwrap().unwrap();
    assert_eq!(
        (row.state.as_str(), row.worker.as_deref(), row.attempt, row.assignee),
        ("leased", Some("one"), 2, id(&db.employee))
    );
    // Whoever takes the task from the agent fences it out as well.
    tasks::assign(&db.bob, on, task, Some(id(&db.admin_agent))).await.unwrap();
    assert!(!task_queue::hold(&db.employee, on, &new, seconds(60)).await.unwrap());
    let row = task_queue::get(&db.bob, on, task).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.worker, row.attempt, row.assignee), ("ready", None, 3, id(&db.admin_agent)));
}

async fn dependencies_unblock(db: &Db) {
    let on = &db.store;
    let (one, two) = (db.task("one").await, db.task("two").await);
    let new = NewTask { assigned_to: Some(id(&db.employee)), dependencies: vec![one, two], ..NewTask::titled("after") };
    let after = tasks::create(&db.bob, on, &new).await.unwrap();
    let state = async || task_queue::get(&db.bob, on, after).await.unwrap().unwrap().state;
    let finish = async |task, status: &str| {
        let mut row = tasks::get(&db.bob, on, task).await.unwrap().unwrap();
        status.clone_into(&mut row.status);
        assert!(tasks::set_status(&db.bob, on, &row).await.unwrap());
    };
    assert_eq!(state().await, "blocked");
    finish(one, "completed").await;
    assert_eq!(state().await, "blocked");
    finish(two, "failed").await;
    assert_eq!(state().await, "blocked", "only what is completed counts");
    assert!(task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().is_none());
    finish(two, "completed").await;
    assert_eq!(state().await, "ready", "finishing the last one wakes it");
    finish(two, "pending").await;
    assert_eq!(state().await, "blocked");
    finish(two, "completed").await;
    let lease = loop {
        let lease = task_queue::claim(&db.employee, on, "w", seconds(60)).await.unwrap().unwrap();
        if lease.task_id == after {
            break lease;
        }
    };
    finish(one, "pending").await;
    assert_eq!(state().await, "leased", "work under way is not stopped by it");
    assert!(task_queue::hold(&db.employee, on, &lease, seconds(60)).await.unwrap());
}

async fn the_queue_follows_the_task(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let queued = async || task_queue::get(&db.bob, on, task).await.unwrap();
    assert_eq!(queued().await.unwrap().priority_rank, 1);
    let mut row = tasks::get(&db.bob, on, task).await.unwrap().unwrap();
    "critical".clone_into(&mut row.priority);
    tasks::update(&db.bob, on, &row).await.unwrap();
    assert_eq!(queued().await.unwrap().priority_rank, 3);
    for actor in [&db.ada, &db.obs, &db.employee, &db.service] {
        assert!(task_queue::get(actor, on, task).await.unwrap().is_some());
    }
    for actor in [&db.cat, &db.sus, &db.nobody] {
        assert!(task_queue::get(actor, on, task).await.unwrap().is_none());
    }
    tasks::assign(&db.bob, on, task, Some(id(&db.cat))).await.unwrap();
    assert!(queued().await.is_none(), "a person claims nothing");
    tasks::assign(&db.bob, on, task, Some(id(&db.employee))).await.unwrap();
    assert_eq!(queued().await.unwrap().state, "ready");
    "cancelled".clone_into(&mut row.status);
    tasks::set_status(&db.bob, on, &row).await.unwrap();
    assert!(queued().await.is_none(), "what is finished is not claimed");
    "pending".clone_into(&mut row.status);
    tasks::set_status(&db.bob, on, &row).await.unwrap();
    assert!(queued().await.is_some());
    tasks::delete(&db.bob, on, task).await.unwrap();
    assert!(task_queue::get(&db.service, on, task).await.unwrap().is_none());
}

async fn reclaiming(db: &Db) {
    let on = &db.store;
    for n in 0..4 {
        db.task(&format!("t{n}")).await;
    }
    let mut leased = Vec::new();
    for (worker, until) in [("node_1/a", 60), ("node-1/a", 60), ("NODE_1/a", 60), ("late", -1)] {
        leased.push(task_queue::claim(&db.employee, on, worker, seconds(until)).await.unwrap().unwrap().task_id);
    }
    assert!(task_queue::reclaim(&db.bob, on, Some("node")).await.unwrap().is_empty(), "not a person's");
    // A worker's name is no pattern.
    let mut freed = task_queue::reclaim(&db.service, on, Some("node_1/")).await.unwrap();
    freed.sort();
    assert_eq!(freed, [leased[0], leased[3]], "the node's own, and what ran out");
    assert!(task_queue::reclaim(&db.service, on, None).await.unwrap().is_empty());
    assert!(task_queue::reclaim(&db.service, on, Some("%")).await.unwrap().is_empty());
    assert_eq!(refusal(task_queue::claim(&db.employee, on, &"w".repeat(101), seconds(1)).await), "length");
}
