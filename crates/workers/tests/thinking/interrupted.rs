//! Work that a model leads and whose process stopped in the middle: what was written down by then is begun by hand, and a
//! Steward that wakes goes on with it.

use domain::{
    accounts::EMPLOYEE,
    work::{self, Work, Worker},
};
use jiff::SignedDuration;
use serde_json::json;
use store::{
    Actor,
    model_turns::{NewTurn, TurnEnd},
    notifications, users,
};

use super::{
    brains,
    common::Steward,
    give,
    model_server::{ModelServer, Play},
};

crate::on_both!(whoever_waits_is_told_though_the_process_stops_on_that_very_failure);

/// Another process that has begun the only task.
pub async fn begun(s: &Steward) -> (Worker, Work) {
    let employee = users::agent(&Actor::service(), &s.store, EMPLOYEE).await.unwrap().unwrap();
    let worker = Worker { actor: Actor::user(employee), name: "gone/0".into(), lease: SignedDuration::from_secs(60) };
    let lease = worker.claim(&s.store).await.unwrap().unwrap();
    let brief = json!({"model": "main", "handbook_version": null, "system": "You work."}).to_string();
    let work = work::open(&worker, &s.store, &lease, "model:main", &brief).await.unwrap();
    (worker, work)
}

/// A question of it.
pub fn asked(work: &Work, ordinal: i32) -> NewTurn {
    NewTurn {
        run_id: work.run.id,
        task_id: work.task.id,
        ordinal,
        model: "main".to_owned(),
        request_sha256: "0".repeat(64),
        request_bytes: 10,
        attempt: work.lease.attempt,
    }
}

async fn whoever_waits_is_told_though_the_process_stops_on_that_very_failure(postgres: bool) {
    let server = ModelServer::start([Play::Say("Done.")]).await;
    let mut s = Steward::asleep(postgres, Some(brains(&server, "", ""))).await;
    give(&s, "Anything").await;
    let (worker, work) = begun(&s).await;
    for ordinal in 0..11 {
        let id = worker.ask_model(&s.store, &work.lease, asked(&work, ordinal)).await.unwrap();
        // The process stops before it hears anything of the eleventh.
        if ordinal < 10 {
            let end = TurnEnd { error: Some("away".to_owned()), ..TurnEnd::default() };
            worker.end_turn(&s.store, &work, id, end, None).await.unwrap();
        }
    }
    worker.give_back(&s.store, &work.lease, SignedDuration::ZERO).await.unwrap();
    s.wake();
    s.task_that_is("completed").await;
    let told = notifications::list(&s.ada, &s.store, None, 200).await.unwrap();
    assert_eq!(told.iter().filter(|n| n.title == "No model answers: Anything").count(), 1, "{told:#?}");
    s.stop().await;
}
