//! The runs of a task with their journals.

use axum::{extract::State, response::Response};
use domain::brain;
use serde::Serialize;
use store::{
    model_turns::{self, ModelTurn},
    runs::{self, Step, TaskRun},
    task_queue::{self, Queued},
    tasks::{self, Provenance},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::answer::{self, List};
use crate::{
    app::App,
    fault::Result,
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(standing))
}

/// A run with its journal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Journal {
    /// The run.
    #[serde(flatten)]
    run: TaskRun,
    /// Its steps in order.
    steps: Vec<Step>,
    /// Where a language model leads it: the questions to it, their answers, and what they cost.
    turns: Vec<ModelTurn>,
}

/// Runs that are answered with their steps; a task has more only after many failures.
const RUNS: usize = 20;

/// What was done for a task
///
/// Its latest 20 runs, each with its steps: the calls, what decided them, and what came of them.
#[utoipa::path(get, path = "/tasks/{id}/runs", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The runs", body = List<Journal>)))]
async fn list(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    domain::tasks::get(app.store(), &me.actor, id).await?;
    let mut found = Vec::new();
    for run in runs::list(&me.actor, app.store(), id).await?.into_iter().take(RUNS) {
        let steps = runs::steps(&me.actor, app.store(), run.id).await?;
        let turns = match brain::leading_model(&run.playbook) {
            Some(_) => model_turns::list(&me.actor, app.store(), run.id).await?,
            None => Vec::new(),
        };
        found.push(Journal { run, steps, turns });
    }
    answer::whole(found)
}

/// Where a task came from, and where it stands in the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Standing {
    /// Where it came from.
    provenance: Option<Provenance>,
    /// Its place in the employee's queue; none where it is not the employee's.
    queue: Option<Queued>,
}

/// Where a task came from, and where it stands in the queue
#[utoipa::path(get, path = "/tasks/{id}/standing", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "Both, as far as they are there", body = Standing)))]
async fn standing(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    domain::tasks::get(app.store(), &me.actor, id).await?;
    let (provenance, queue) =
        tokio::try_join!(tasks::provenance(&me.actor, app.store(), id), task_queue::get(&me.actor, app.store(), id))?;
    answer::row(&Standing { provenance, queue })
}
