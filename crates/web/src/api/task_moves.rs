//! What is done with a task: giving it away, beginning, completing, cancelling, reopening, and what comes before it.

use axum::{extract::State, response::Response};
use domain::Error;
use serde::{Deserialize, Serialize};
use store::tasks::{self, Task};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, List},
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(assign))
        .routes(routes!(start))
        .routes(routes!(complete))
        .routes(routes!(cancel))
        .routes(routes!(reopen))
        .routes(routes!(dependencies, depend))
}

/// Who shall have a task: by id or by name; neither takes it from everybody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment {
    /// The user's id.
    #[serde(default, alias = "assignee_id", alias = "user_id", alias = "assignee")]
    assigned_to: Option<Uuid>,
    /// The user's name, such as `employee`.
    #[serde(default)]
    username: Option<String>,
}

/// Give a task to somebody
#[utoipa::path(post, path = "/tasks/{id}/assign", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    request_body = Assignment, responses((status = 200, description = "The task as it stands now", body = Task)))]
async fn assign(State(app): State<App>, Id(id): Id, SignedJson(me, to): SignedJson<Assignment>) -> Result<Response> {
    let assignee = match (to.assigned_to, to.username) {
        (Some(_), Some(_)) => return Err(Fault::invalid("username", "give an id or a name, not both")),
        (id, None) => id,
        (None, Some(name)) => {
            let user = store::users::named(&me.actor, app.store(), &name).await?;
            Some(user.ok_or_else(|| Fault::invalid("username", format!("there is no user {name}")))?.id)
        }
    };
    answer::row(&domain::tasks::assign(app.store(), &me.actor, id, assignee).await?)
}

/// What may be said with a move.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Remark {
    /// What came of it, or why; at most 4000 characters.
    #[serde(default, alias = "note", alias = "reason")]
    summary: Option<String>,
}

/// A task that was moved.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Moved {
    /// The task as it stands now.
    #[serde(flatten)]
    task: Task,
    /// What else there is to know: that its due date was moved, for example.
    notice: Option<String>,
}

async fn move_to(app: &App, me: &Signed, id: Uuid, status: &str, said: Option<String>) -> Result<Response> {
    if said.as_ref().is_some_and(|s| s.chars().count() > 4000) {
        return Err(Fault::invalid("summary", "the summary is longer than 4000 characters; shorten it"));
    }
    let notice = domain::tasks::set_status(app.store(), &me.actor, id, status, said).await?;
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    answer::row(&Moved { task, notice })
}

/// Say that work on a task has begun
#[utoipa::path(post, path = "/tasks/{id}/start", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    request_body = Nothing, responses((status = 200, description = "The task as it stands now", body = Moved)))]
async fn start(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    move_to(&app, &me, id, "in_progress", None).await
}

/// Say that a task is done
///
/// An overdue one is moved to today, keeps its first date in `metadata.original_due_date`, and `notice` says so.
#[utoipa::path(post, path = "/tasks/{id}/complete", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    request_body = Remark, responses((status = 200, description = "The task as it stands now", body = Moved)))]
async fn complete(State(app): State<App>, Id(id): Id, SignedJson(me, said): SignedJson<Remark>) -> Result<Response> {
    move_to(&app, &me, id, "completed", said.summary).await
}

/// Give a task up
#[utoipa::path(post, path = "/tasks/{id}/cancel", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    request_body = Remark, responses((status = 200, description = "The task as it stands now", body = Moved)))]
async fn cancel(State(app): State<App>, Id(id): Id, SignedJson(me, said): SignedJson<Remark>) -> Result<Response> {
    move_to(&app, &me, id, "cancelled", said.summary).await
}

/// Give a failed, cancelled or completed task anew
///
/// A new run begins from the start of its playbook.
#[utoipa::path(post, path = "/tasks/{id}/reopen", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    request_body = Nothing, responses((status = 200, description = "The task as it stands now", body = Moved)))]
async fn reopen(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    move_to(&app, &me, id, "pending", None).await
}

/// Tasks that are looked up for one answer.
const SHOWN: usize = 200;

/// What must be completed before a task
///
/// Those of its dependencies that you may see, at most 200.
#[utoipa::path(get, path = "/tasks/{id}/dependencies", tag = "Tasks",
    params(("id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The tasks", body = List<Task>)))]
async fn dependencies(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    let task = domain::tasks::get(app.store(), &me.actor, id).await?;
    let mut found = Vec::new();
    for dependency in task.dependencies.iter().take(SHOWN) {
        found.extend(tasks::get(&me.actor, app.store(), *dependency).await?);
    }
    answer::whole(found)
}

/// What changes of a task's dependencies.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dependencies {
    /// Tasks that must be completed first.
    #[serde(default)]
    add: Vec<Uuid>,
    /// Tasks that need not be completed first any more.
    #[serde(default)]
    remove: Vec<Uuid>,
}

/// Change what must be completed before a task
///
/// Tasks that do not exist, the task itself and circles are refused.
#[utoipa::path(post, path = "/tasks/{id}/dependencies", tag = "Tasks",
    params(("id" = Uuid, Path, description = "The task")), request_body = Dependencies,
    responses((status = 200, description = "The task as it stands now", body = Task)))]
async fn depend(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, wanted): SignedJson<Dependencies>,
) -> Result<Response> {
    let changed = domain::tasks::change(app.store(), &me.actor, id, move |mut task| {
        if let Some(stranger) = wanted.remove.iter().find(|d| !task.dependencies.contains(d)) {
            return Err(Error::invalid("remove", format!("the task does not depend on {stranger}")));
        }
        task.dependencies.retain(|d| !wanted.remove.contains(d));
        for new in wanted.add {
            if !task.dependencies.contains(&new) {
                task.dependencies.push(new);
            }
        }
        Ok(task)
    });
    answer::row(&changed.await?)
}
