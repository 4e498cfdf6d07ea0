//! The real process is killed (SIGKILL) at every recorded point of a run and started again, on both databases, against
//! a server that counts its effects: work goes on where it stood, and nothing happens twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod bench;

use std::{os::unix::process::ExitStatusExt, time::Duration};

use bench::Bench;
use domain::decide::{Decision, decide};
use serde_json::json;
use store::{approvals, audit_trail, runs};

/// More points than a run has; the loop ends at the first that is not reached.
const MOST_POINTS: u32 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_on_sqlite() {
    killed_at_every_point(false, Answer::Yes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_on_postgres() {
    killed_at_every_point(true, Answer::Yes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_where_the_answer_is_no() {
    killed_at_every_point(false, Answer::No).await;
}

/// What the person says when asked whether the file may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

impl Answer {
    /// How the task ends.
    fn end(self) -> &'static str {
        if self == Self::Yes { "completed" } else { "failed" }
    }
}

async fn killed_at_every_point(postgres: bool, answer: Answer) {
    let mut reached = 0;
    for point in 1..=MOST_POINTS {
        let bench = Bench::new(postgres).await;
        bench.drop_file("Rechnung März 2026.pdf", format!("invoice {point}").as_bytes());
        let mut process = bench.start(&[("STEWARD_TEST_KILL_AT", &point.to_string())]);
        let status = match live(&bench, &mut process, answer).await {
            Some(status) => status,
            // The last point lies behind the completion: it may die while it is asked to stop.
            None => process.stop().await,
        };
        if status.success() {
            bench.check(point, answer).await;
            break;
        }
        assert_eq!(status.signal(), Some(9), "point {point}: it was killed");
        reached = point;
        let mut process = bench.start(&[]);
        assert!(live(&bench, &mut process, answer).await.is_none(), "point {point}: the second process lives");
        assert!(process.stop().await.success(), "point {point}: the second process ends in order");
        bench.check(point, answer).await;
    }
    assert!(reached >= 10, "only {reached} points were reached");
    assert!(reached < MOST_POINTS, "the run never came to its end");
}

/// Decides as a person would until the task has come to its end (`None`) or the process dies.
async fn live(bench: &Bench, process: &mut bench::Process, answer: Answer) -> Option<std::process::ExitStatus> {
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    let work = async {
        loop {
            tick.tick().await;
            if let Some(status) = process.ended() {
                return Some(status);
            }
            let tasks = store::tasks::list(&bench.ada, &bench.store, None, None, 10).await.unwrap();
            assert!(tasks.len() <= 1, "one file is one task: {tasks:#?}");
            match tasks.first().map(|t| t.status.as_str()) {
                Some(end) if end == answer.end() => return None,
                Some(end @ ("completed" | "failed")) => panic!("the task {end}: {}", tasks[0].metadata),
                _ => {}
            }
            for open in approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 10).await.unwrap() {
                let unknown = open.action_type == "outcome_unknown";
                let arguments = unknown.then(|| bench.look(open.details.as_ref().unwrap()));
                let approve = unknown || answer == Answer::Yes;
                decide(&bench.store, &bench.ada, open.id, Decision { approve, note: None, arguments }).await.unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("the run did not come to an end")
}

impl Bench {
    /// A person who is asked whether a call happened looks at the world.
    fn look(&self, details: &serde_json::Value) -> serde_json::Value {
        let tool = details["tool"].as_str().unwrap();
        let happened = self.effects().iter().any(|e| e.starts_with(tool));
        json!({ "resolution": if happened { "done" } else { "retry" } })
    }

    async fn check(&self, point: u32, answer: Answer) {
        let effects = self.effects();
        for (tool, wanted) in [("create_directory", 1), ("move_file", usize::from(answer == Answer::Yes))] {
            let count = effects.iter().filter(|e| e.starts_with(tool)).count();
            assert_eq!(count, wanted, "point {point}: {tool} happened {count} times: {effects:#?}");
        }
        let task = store::tasks::list(&self.ada, &self.store, None, None, 10).await.unwrap().pop().unwrap();
        let runs = runs::list(&self.ada, &self.store, task.id).await.unwrap();
        assert_eq!(runs.len(), 1, "point {point}: one run");
        assert_eq!(runs[0].state, answer.end());
        for step in runs::steps(&self.ada, &self.store, runs[0].id).await.unwrap() {
            let refused = answer == Answer::No && step.tool == "move_file";
            assert_eq!(step.state, if refused { "denied" } else { "succeeded" }, "point {point}: {step:#?}");
        }
        let report = audit_trail::verify(&self.ada, &self.store).await.unwrap();
        assert_eq!(report.broken, None, "point {point}");
    }
}
