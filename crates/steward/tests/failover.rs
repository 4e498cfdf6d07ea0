//! The real process while its PostgreSQL fails over to a synchronous standby: it is not started again, everything that
//! was dropped into the folder is done, once, and the audit trail is whole.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod bench;
#[path = "../../store/tests/common/cluster.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod cluster;
#[path = "../../store/tests/common/standby.rs"]
mod standby;

use std::{collections::BTreeMap, time::Duration};

use bench::Bench;
use cluster::{Cluster, Stop};
use domain::decide::{Decision, decide};
use serde_json::{Value, json};
use standby::{control, synchronous_standby_of};
use store::{approvals, audit_trail, runs, tasks};

/// Files that are dropped before, while nothing answers, and after.
const FILES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_a_failover() {
    let primary = Cluster::start(&[]);
    let standby = synchronous_standby_of(&primary);
    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", primary.port, standby.port);
    let bench = Bench::on(tempfile::tempdir().unwrap(), url, None).await;
    let mut process = bench.start(&[("STEWARD_CONNECT_TIMEOUT_S", "3"), ("STEWARD_LEASE_S", "5")]);
    let drop_some = |when: &str| {
        for number in 0..FILES {
            bench.drop_file(&format!("{when} {number}.pdf"), format!("{when} {number}").as_bytes());
        }
    };
    drop_some("before");
    live(&bench, &mut process, "work begins", |done, _| done >= 1).await;
    primary.stop(Stop::Immediate);
    drop_some("meanwhile");
    control(&standby, "promote");
    drop_some("after");
    live(&bench, &mut process, "everything is done", |done, all| done == 3 * FILES && all == done).await;

    let mut moved: BTreeMap<String, usize> = BTreeMap::new();
    for effect in bench.effects().iter().filter(|e| e.starts_with("move_file")) {
        *moved.entry(effect.clone()).or_default() += 1;
    }
    assert_eq!(moved.len(), 3 * FILES, "{moved:#?}");
    assert!(moved.values().all(|times| *times == 1), "nothing is done twice: {moved:#?}");
    for task in tasks::list(&bench.ada, &bench.store, None, None, 100).await.unwrap() {
        let all = runs::list(&bench.ada, &bench.store, task.id).await.unwrap();
        assert_eq!(all.len(), 1, "{}", task.title);
    }
    assert_eq!(audit_trail::verify(&bench.ada, &bench.store).await.unwrap().broken, None);
    assert!(process.stop().await.success(), "it ends in order");
}

/// Decides as a person would, past whatever fails, until it has come to that: of so many tasks so many are completed.
async fn live(bench: &Bench, process: &mut bench::Process, what: &str, is_so: impl Fn(usize, usize) -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let work = async {
        loop {
            tick.tick().await;
            assert!(process.ended().is_none(), "the process stays alive");
            let Ok(tasks) = tasks::list(&bench.ada, &bench.store, None, None, 100).await else { continue };
            if let Some(failed) = tasks.iter().find(|t| t.status == "failed") {
                panic!("the task {} failed: {}", failed.title, failed.metadata);
            }
            if is_so(tasks.iter().filter(|t| t.status == "completed").count(), tasks.len()) {
                return;
            }
            let open = approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 100).await;
            for open in open.unwrap_or_default() {
                let unknown = open.action_type == "outcome_unknown";
                let arguments = unknown.then(|| look(bench, open.details.as_ref().unwrap()));
                // One that could not be decided is looked at again.
                let decided =
                    decide(&bench.store, &bench.ada, open.id, Decision { approve: true, note: None, arguments });
                drop(decided.await);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(150), work)
        .await
        .unwrap_or_else(|_| panic!("{what}: it never came to that"));
}

/// A person who is asked whether a call happened looks at the world.
fn look(bench: &Bench, details: &Value) -> Value {
    let call = format!("{} {}", details["tool"].as_str().unwrap(), details["arguments"]);
    json!({ "resolution": if bench.effects().contains(&call) { "done" } else { "retry" } })
}
