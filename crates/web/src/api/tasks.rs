//! Tasks: finding, making and changing them.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::Error;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    tasks::{self, FoundTask, Listing, NewTask, Order, Task, TaskFilter},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{self, Fields, List},
    changes::{self, Change, Removal},
    facts::{PRIORITIES, TASK_STATUSES},
    pages::Page,
    patch::Patch,
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params, page},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(search)).routes(routes!(get, change, remove))
}

/// Orders of the list.
pub(super) const ORDERS: &[&str] = &["newest", "due"];

/// Tasks that you may see, newest first, or the earliest due
#[utoipa::path(get, path = "/tasks", tag = "Tasks", params(
    ("status" = Option<String>, Query, description = "Tasks of this status"),
    ("priority" = Option<String>, Query, description = "Tasks of this priority"),
    ("assigned_to" = Option<Uuid>, Query, description = "Tasks that this user works on"),
    ("created_by" = Option<Uuid>, Query, description = "Tasks that this user wants done"),
    ("tag" = Option<String>, Query, description = "Tasks with this label"),
    ("due_from" = Option<Timestamp>, Query, description = "Tasks due then or later"),
    ("due_before" = Option<Timestamp>, Query, description = "Tasks due before then"),
    ("sort" = Option<String>, Query, description = "`newest` first, as without it; or by the time they are `due`, the earliest first: then only those that are due at all"),
    Page,
), responses((status = 200, description = "A page of tasks", body = List<Task>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    let (wanted, limit) = (listing(&params)?, params.limit()?);
    let fields = Fields::of(&params, &[Task::COLUMNS])?;
    let rows = tasks::filtered(&me.actor, app.store(), &wanted, params.cursor()?, limit + 1).await?;
    fields.page(page(rows, limit, |t| wanted.order.place(t)))
}

/// What a list of tasks is asked for.
fn listing(params: &Params) -> Result<Listing> {
    params.only(&[
        "status",
        "priority",
        "assigned_to",
        "created_by",
        "tag",
        "due_from",
        "due_before",
        "sort",
        "limit",
        "cursor",
        "fields",
    ])?;
    Ok(Listing {
        status: params.one_of("status", TASK_STATUSES)?.map(str::to_owned),
        priority: params.one_of("priority", PRIORITIES)?.map(str::to_owned),
        assigned_to: params.id("assigned_to")?,
        created_by: params.id("created_by")?,
        tag: params.get("tag").map(str::to_owned),
        due_from: params.time("due_from")?,
        due_before: params.time("due_before")?,
        order: if params.one_of("sort", ORDERS)? == Some("due") { Order::Due } else { Order::Newest },
    })
}

/// Tasks that match a search, best first
///
/// What may be typed: words, `"a phrase"`, `begin*`, `-without`. Nothing is a syntax error. Each task comes with what
/// matches, marked, as plain text in pieces.
#[utoipa::path(get, path = "/tasks/search", tag = "Tasks", params(
    ("q" = Option<String>, Query, description = "What to look for in titles and descriptions"),
    ("status" = Option<String>, Query, description = "Tasks of this status"),
    ("priority" = Option<String>, Query, description = "Tasks of this priority"),
    ("assigned_to" = Option<Uuid>, Query, description = "Tasks that this user works on"),
    ("created_from" = Option<Timestamp>, Query, description = "Tasks made then or later"),
    ("created_before" = Option<Timestamp>, Query, description = "Tasks made before then"),
    ("tag" = Option<String>, Query, description = "Tasks with this label"),
    ("limit" = Option<i64>, Query, description = "How many at most, 1 to 200", minimum = 1, maximum = 200),
    ("fields" = Option<String>, Query, description = "Only these fields of each row, separated by commas"),
), responses((status = 200, description = "The best matches; there is no further page", body = List<FoundTask>)))]
async fn search(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[
        "q",
        "status",
        "priority",
        "assigned_to",
        "created_from",
        "created_before",
        "tag",
        "limit",
        "fields",
    ])?;
    let filter = TaskFilter {
        status: params.one_of("status", TASK_STATUSES)?.map(str::to_owned),
        priority: params.one_of("priority", PRIORITIES)?.map(str::to_owned),
        assigned_to: params.id("assigned_to")?,
        created_from: params.time("created_from")?,
        created_before: params.time("created_before")?,
        tag: params.get("tag").map(str::to_owned),
    };
    let fields = Fields::of(&params, &[Task::COLUMNS, &["snippet"]])?;
    let limit = i32::try_from(params.limit()?).unwrap_or(i32::MAX);
    let found = tasks::find(&me.actor, app.store(), params.get("q").unwrap_or_default(), &filter, limit).await?;
    fields.page((found, None))
}

/// Make a task
///
/// It is yours. What a program makes is marked as content from outside, which no rule lets act by itself unless it says so.
#[utoipa::path(post, path = "/tasks", tag = "Tasks", request_body = NewTask,
    responses((status = 201, description = "The new task", body = Task)))]
async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewTask>) -> Result<Response> {
    let task = domain::tasks::create(app.store(), &me.actor, new, "api", me.is_program()).await?;
    answer::created(&format!("/v1/tasks/{}", task.id), &task)
}

/// One task
#[utoipa::path(get, path = "/tasks/{id}", tag = "Tasks", params(
    ("id" = Uuid, Path, description = "The task"),
    ("fields" = Option<String>, Query, description = "Only these fields, separated by commas"),
), responses((status = 200, description = "The task", body = Task)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&["fields"])?;
    let fields = Fields::of(&params, &[Task::COLUMNS])?;
    fields.row(&domain::tasks::get(app.store(), &me.actor, id).await?)
}

/// What can be changed of a task; what is not named stays, and `null` takes away what may be missing.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskEdit {
    /// Title, 1–255 characters.
    title: String,
    /// What is to be done.
    #[serde(default)]
    description: Option<String>,
    /// How it stands. It moves as the verbs move it: `pending` and `in_progress` to any, the others back to `pending`.
    status: String,
    /// How much it matters.
    priority: String,
    /// Whose work it is; changing it needs the permission to assign.
    #[serde(default)]
    assigned_to: Option<Uuid>,
    /// When due.
    #[serde(default)]
    due_date: Option<Timestamp>,
    /// Minutes it should take; at most 1440 for a critical task.
    #[serde(default)]
    estimated_duration: Option<i32>,
    /// Minutes it took.
    #[serde(default)]
    actual_duration: Option<i32>,
    /// Anything else; merged key by key.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Value,
    /// Tasks that must be completed first; the whole list.
    #[serde(default)]
    dependencies: Vec<Uuid>,
    /// Labels; the whole list.
    #[serde(default)]
    tags: Vec<String>,
}

fn patched(patch: &Patch, task: Task) -> domain::Result<Task> {
    let edit = TaskEdit {
        title: task.title,
        description: task.description,
        status: task.status,
        priority: task.priority,
        assigned_to: task.assigned_to,
        due_date: task.due_date,
        estimated_duration: task.estimated_duration,
        actual_duration: task.actual_duration,
        metadata: task.metadata,
        dependencies: task.dependencies,
        tags: task.tags,
    };
    let e = patch.apply(&edit)?;
    for (field, value, known) in [("status", &e.status, TASK_STATUSES), ("priority", &e.priority, PRIORITIES)] {
        if !known.contains(&value.as_str()) {
            return Err(Error::invalid(field, format!("{field} must be one of: {}", known.join(", "))));
        }
    }
    let metadata = if e.metadata.is_null() { Value::Object(serde_json::Map::new()) } else { e.metadata };
    Ok(Task {
        title: e.title,
        description: e.description,
        status: e.status,
        priority: e.priority,
        assigned_to: e.assigned_to,
        due_date: e.due_date,
        estimated_duration: e.estimated_duration,
        actual_duration: e.actual_duration,
        metadata,
        dependencies: e.dependencies,
        tags: e.tags,
        ..task
    })
}

/// Change a task
#[utoipa::path(patch, path = "/tasks/{id}", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    request_body = TaskEdit, responses((status = 200, description = "The task as it stands now", body = Task)))]
async fn change(State(app): State<App>, Change(me, id, wanted): Change) -> Result<Response> {
    let changed = domain::tasks::change(app.store(), &me.actor, id, move |task| wanted.of(task, patched));
    changes::answer(&app, &me, ("task", id), changed).await
}

/// Delete a task of your own
///
/// Its runs, approvals and files go with it; the audit trail keeps what was done.
#[utoipa::path(delete, path = "/tasks/{id}", tag = "Tasks", params(("id" = Uuid, Path, description = "The task")),
    responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, Id(id): Id, Removal(me, expected): Removal) -> Result<Response> {
    let removed = domain::tasks::remove(app.store(), &me.actor, id, move |task| expected.check(task)).await;
    let is_gone = match removed {
        Ok(is_gone) => is_gone,
        Err(e) => return Err(changes::told(&app, &me, ("task", id), e.into()).await),
    };
    if !is_gone {
        return Err(Fault::new(StatusCode::FORBIDDEN, "refused", "you may delete only tasks that you made")
            .advice("Cancel it instead, or ask whoever made it."));
    }
    Ok(answer::done())
}
