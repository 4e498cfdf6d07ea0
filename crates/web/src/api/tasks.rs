//! Tasks, their runs and their files.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    file_attachments::{self, Attachment},
    runs::{self, Step, TaskRun},
    tasks::{self, FoundTask, NewTask, Task, TaskFilter},
};

use super::List;
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params, page},
    session::Signed,
};

/// What a task can be.
const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "cancelled"];

/// `GET /v1/tasks`
pub(crate) async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<Task>>> {
    params.only(&["status", "limit", "cursor"])?;
    let (status, limit) = (params.one_of("status", &STATUSES)?, params.limit()?);
    let rows = tasks::list(&me.actor, app.store(), status, params.cursor()?, limit + 1).await?;
    Ok(List::page(page(rows, limit, |t| (t.created_at, t.id))))
}

/// What a task can be as to its priority.
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// `GET /v1/tasks/search?q=…`: best first, each with what matches marked.
pub(crate) async fn search(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<FoundTask>>> {
    params.only(&["q", "status", "priority", "assigned_to", "created_from", "created_before", "tag", "limit"])?;
    let filter = TaskFilter {
        status: params.one_of("status", &STATUSES)?.map(str::to_owned),
        priority: params.one_of("priority", &PRIORITIES)?.map(str::to_owned),
        assigned_to: params.id("assigned_to")?,
        created_from: params.time("created_from")?,
        created_before: params.time("created_before")?,
        tag: params.get("tag").map(str::to_owned),
    };
    let limit = i32::try_from(params.limit()?).unwrap_or(i32::MAX);
    let found = tasks::find(&me.actor, app.store(), params.get("q").unwrap_or_default(), &filter, limit).await?;
    Ok(List::whole(found))
}

/// `POST /v1/tasks`
pub(crate) async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewTask>) -> Result<Response> {
    let length = new.title.chars().count();
    if !(1..=255).contains(&length) {
        return Err(Fault::invalid("title", format!("the title has {length} characters; it needs 1 to 255")));
    }
    if !new.metadata.is_object() {
        return Err(Fault::invalid("metadata", "the metadata must be an object"));
    }
    let actor = me.actor.clone();
    // What a program writes is not a person's word, and so counts as content from outside.
    let is_program = me.is_program();
    let id = app
        .store()
        .transaction(move |tx| {
            Box::pin(async move {
                let id = tasks::create(&actor, tx, &new).await?;
                tasks::add_provenance(&actor, tx, id, is_program, "api", json!({})).await?;
                Ok::<_, store::Error>(id)
            })
        })
        .await?;
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/v1/tasks/{id}"))], Json(task)).into_response())
}

/// `GET /v1/tasks/{id}`
pub(crate) async fn get(State(app): State<App>, me: Signed, Id(id): Id) -> Result<Json<Task>> {
    Ok(Json(domain::tasks::get(app.store(), &me.actor, id).await?))
}

/// What may be said with a completion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Completion {
    /// What came of it.
    #[serde(default)]
    summary: Option<String>,
}

/// The completed task, and what else the person must know.
#[derive(Debug, Serialize)]
pub(crate) struct Completed {
    #[serde(flatten)]
    task: Task,
    notice: Option<String>,
}

/// `POST /v1/tasks/{id}/complete`
pub(crate) async fn complete(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, said): SignedJson<Completion>,
) -> Result<Json<Completed>> {
    if said.summary.as_ref().is_some_and(|s| s.chars().count() > 4000) {
        return Err(Fault::invalid("summary", "the summary is longer than 4000 characters; shorten it"));
    }
    let notice = domain::tasks::set_status(app.store(), &me.actor, id, "completed", said.summary).await?;
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    Ok(Json(Completed { task, notice }))
}

/// A run with its journal.
#[derive(Debug, Serialize)]
pub(crate) struct Journal {
    #[serde(flatten)]
    run: TaskRun,
    steps: Vec<Step>,
}

/// Runs that are answered with their steps; a task has more only after many failures.
const RUNS: usize = 20;

/// `GET /v1/tasks/{id}/runs`
pub(crate) async fn runs(
    State(app): State<App>,
    me: Signed,
    Id(id): Id,
    params: Params,
) -> Result<Json<List<Journal>>> {
    params.only(&[])?;
    domain::tasks::get(app.store(), &me.actor, id).await?;
    let mut found = Vec::new();
    for run in runs::list(&me.actor, app.store(), id).await?.into_iter().take(RUNS) {
        let steps = runs::steps(&me.actor, app.store(), run.id).await?;
        found.push(Journal { run, steps });
    }
    Ok(List::whole(found))
}

/// `GET /v1/tasks/{id}/attachments`
pub(crate) async fn attachments(
    State(app): State<App>,
    me: Signed,
    Id(id): Id,
    params: Params,
) -> Result<Json<List<Attachment>>> {
    params.only(&[])?;
    domain::tasks::get(app.store(), &me.actor, id).await?;
    Ok(List::whole(file_attachments::list(&me.actor, app.store(), id).await?))
}
