//! Random sequences of operations by random actors on both databases: the same results, the same refusals by the same
//! names, and in the end the same rows and the same audit trail.
//!
//! 24 sequences of up to 40 steps; `PROPTEST_CASES` asks for more. Ids and times differ from run to run, so an id is
//! compared by which row it names and a time by whether it is one that the sequence itself gave. Two differences are
//! known. The order of the audit rows of one transaction (PostgreSQL and SQLite delete what hangs on a deleted row in
//! another order): these are compared sorted. And PostgreSQL measures a text before it asks who writes it, so that a text
//! that is too long is called so also to those who may not write it at all: sequences draw none, the conformance suite does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "parity/draw.rs"]
mod draw;
#[path = "parity/ops.rs"]
mod ops;
#[path = "parity/rows.rs"]
mod rows;

use common::{Engine, Fresh, People, people};
use draw::{Ids, KINDS, Op};
use futures_util::FutureExt;
use ops::apply;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use rows::Names;
use serde_json::{Value as Json, json};
use store::{Error, Store};

/// A step of a sequence.
#[derive(Debug, Clone)]
enum Step {
    One(Op),
    /// Several in one transaction; a failure of one is passed on, or swallowed.
    Together(Vec<Op>, bool),
}

/// One of the two databases, with what has been made in it.
struct Side {
    fresh: Fresh,
    store: Store,
    people: People,
    ids: Ids,
}

/// A migrated and peopled database, to be copied for each sequence.
struct Template {
    fresh: Fresh,
    people: People,
}

async fn template(engine: Engine) -> Template {
    let fresh = Fresh::new(engine).await;
    fresh.migrate().await;
    let store = Store::open(&fresh.runtime).await.unwrap();
    let people = people(&store).await;
    store.close().await;
    Template { fresh, people }
}

impl Side {
    async fn new(template: &Template) -> Self {
        let fresh = Fresh::copy_of(&template.fresh).await;
        let store = Store::open(&fresh.runtime).await.unwrap();
        Self { fresh, store, people: template.people.clone(), ids: Ids::new(&template.people) }
    }

    /// Does a step and says what it answered, ids and times made comparable.
    async fn take(&mut self, step: &Step, start: jiff::Timestamp) -> Json {
        let answer = match step {
            Step::One(op) => match Box::pin(apply(&self.store, &self.people, &self.ids, op, start)).await {
                Ok((answer, made)) => {
                    self.ids.add(made);
                    answer
                }
                Err(e) => json!({ "error": common::kind(&e) }),
            },
            Step::Together(ops, swallow) => {
                let (ops, swallow, people, mut ids) = (ops.clone(), *swallow, self.people.clone(), self.ids.clone());
                let done = self
                    .store
                    .transaction(move |tx| {
                        Box::pin(async move {
                            let mut answers = Vec::new();
                            for op in &ops {
                                match Box::pin(apply(tx, &people, &ids, op, start)).await {
                                    Ok((answer, made)) => {
                                        ids.add(made);
                                        answers.push(answer);
                                    }
                                    Err(e) if swallow => answers.push(json!({ "error": common::kind(&e) })),
                                    Err(e) => return Err(e),
                                }
                            }
                            Ok::<_, Error>((answers, ids))
                        })
                    })
                    .await;
                match done {
                    Ok((answers, ids)) => {
                        self.ids = ids;
                        Json::Array(answers)
                    }
                    Err(e) => json!({ "error": common::kind(&e) }),
                }
            }
        };
        Names::new(&self.ids, start).normal(answer)
    }
}

/// Runs one sequence on both and answers the first difference.
async fn compare(steps: &[Step], lite: &mut Side, pg: &mut Side) -> Result<(), String> {
    let start = store::now();
    for (number, step) in draw::beginning().into_iter().map(Step::One).chain(steps.iter().cloned()).enumerate() {
        let (a, b) = (lite.take(&step, start).await, pg.take(&step, start).await);
        if a != b {
            return Err(format!("step {number}, {step:?}\nSQLite     {a}\nPostgreSQL {b}"));
        }
        if a.to_string().contains("unexpected: ") {
            return Err(format!("step {number}, {step:?} has an error without a name: {a}"));
        }
    }
    let (a, b) = (
        rows::all(&lite.store, &lite.people, &lite.ids, start).await,
        rows::all(&pg.store, &pg.people, &pg.ids, start).await,
    );
    for ((what, a), (_, b)) in a.iter().zip(&b) {
        if a != b {
            return Err(format!("{what} differ\nSQLite     {a}\nPostgreSQL {b}"));
        }
    }
    Ok(())
}

async fn case(steps: &[Step], templates: &[Template; 2]) -> Result<(), String> {
    let (mut lite, mut pg) = (Side::new(&templates[0]).await, Side::new(&templates[1]).await);
    let outcome = std::panic::AssertUnwindSafe(compare(steps, &mut lite, &mut pg)).catch_unwind().await;
    for side in [lite, pg] {
        side.store.close().await;
        side.fresh.remove().await;
    }
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn op() -> impl Strategy<Value = Op> {
    (0..draw::ACTORS.len(), 0..KINDS.len(), any::<u8>(), any::<u8>(), any::<u8>())
        .prop_map(|(actor, kind, a, b, c)| Op { actor: draw::ACTORS[actor], kind: KINDS[kind], a, b, c })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => op().prop_map(Step::One),
        1 => (prop::collection::vec(op(), 1..4), any::<bool>()).prop_map(|(ops, swallow)| Step::Together(ops, swallow)),
    ]
}

#[test]
fn random_work_ends_alike_on_both_databases() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let templates = runtime.block_on(async { [template(Engine::Sqlite).await, template(Engine::Postgres).await] });
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 120, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 20..40), |steps| {
        runtime.block_on(case(&steps, &templates)).map_err(TestCaseError::fail)
    });
    runtime.block_on(async {
        let [lite, pg] = templates;
        lite.fresh.remove().await;
        pg.fresh.remove().await;
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => panic!("{why}\nafter {steps:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// The beginning does what it is for, or the sequences would compare refusals only.
#[test]
fn the_beginning_makes_one_of_everything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let template = template(Engine::Sqlite).await;
        let mut side = Side::new(&template).await;
        for op in draw::beginning() {
            let answer = side.take(&Step::One(op.clone()), store::now()).await;
            assert!(answer.get("error").is_none(), "{op:?}: {answer}");
        }
        for (kind, ids) in side.ids.each() {
            assert!(!ids.is_empty(), "no {kind}");
        }
        side.store.close().await;
    });
}
