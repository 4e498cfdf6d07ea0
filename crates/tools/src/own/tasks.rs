//! Tasks through Steward's own server.

use domain::tasks as rules;
use jiff::Timestamp;
use rmcp::{
    RoleServer,
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::{
    approvals, file_attachments, runs,
    tasks::{self, NewTask, TaskFilter},
    users,
};
use uuid::Uuid;

use super::{
    Caller, OwnServer,
    answer::{Answer, Refusal, cursor, json, page},
};

/// Runs and approvals that are shown with a task.
const SHOWN: i64 = 20;

/// What `task_create` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    /// 1 to 255 characters.
    title: String,
    /// What is to be done.
    #[serde(default)]
    description: Option<String>,
    /// `low`, `medium` (where nothing is said), `high` or `critical`.
    #[serde(default)]
    priority: Option<String>,
    /// A user's name; `employee` is Steward's own.
    #[serde(default)]
    assigned_to: Option<String>,
    /// When due: RFC 3339, such as 2026-12-01T09:00:00Z.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    due_date: Option<Timestamp>,
    /// Labels.
    #[serde(default)]
    tags: Vec<String>,
    /// Tasks that must be completed first.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    depends_on: Vec<Uuid>,
    /// The playbook that the employee shall follow.
    #[serde(default)]
    playbook: Option<String>,
    /// The kind of task, by which a model is chosen.
    #[serde(default)]
    kind: Option<String>,
}

pub(super) async fn create(own: &OwnServer, caller: &Caller, sent: New, _: &RequestContext<RoleServer>) -> Answer {
    let assigned_to = match &sent.assigned_to {
        Some(name) => Some(named(own, caller, name).await?),
        None => None,
    };
    let mut new = NewTask {
        description: sent.description,
        assigned_to,
        due_date: sent.due_date,
        tags: sent.tags,
        dependencies: sent.depends_on,
        ..NewTask::titled(sent.title)
    };
    if let Some(priority) = sent.priority {
        new.priority = priority;
    }
    if let Some(playbook) = sent.playbook {
        new.metadata["playbook"] = json!(playbook);
    }
    if let Some(kind) = sent.kind {
        rules::check_kind(&kind)?;
        new.metadata["kind"] = json!(kind);
    }
    json(&rules::create(&own.store, &caller.actor, new, "mcp", true).await?)
}

/// The id of the user with this name.
async fn named(own: &OwnServer, caller: &Caller, name: &str) -> Result<Uuid, Refusal> {
    let found = users::named(&caller.actor, &own.store, name).await?;
    found.map(|user| user.id).ok_or_else(|| Refusal::Arguments(format!("assigned_to: there is no user {name:?}")))
}

/// What `task_get` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    /// The task.
    #[schemars(with = "String")]
    task_id: Uuid,
}

pub(super) async fn get(own: &OwnServer, caller: &Caller, sent: One, _: &RequestContext<RoleServer>) -> Answer {
    whole(own, caller, sent.task_id).await
}

/// A task with what belongs to it.
pub(super) async fn whole(own: &OwnServer, caller: &Caller, id: Uuid) -> Answer {
    let (actor, on) = (&caller.actor, &own.store);
    let task = rules::get(on, actor, id).await?;
    let (provenance, files, asked, runs) = tokio::try_join!(
        tasks::provenance(actor, on, id),
        file_attachments::list(actor, on, id),
        approvals::list(actor, on, None, Some(id), None, SHOWN),
        runs::list(actor, on, id),
    )?;
    let mut out = json(&task)?;
    if let Some(fields) = out.as_object_mut() {
        // Where nobody wrote it down, nobody vouches for it either.
        fields.insert("outside".to_owned(), provenance.as_ref().is_none_or(|p| p.outside).into());
        fields.insert("source".to_owned(), provenance.map(|p| p.source).into());
        fields.insert("files".to_owned(), files.iter().map(file_line).collect());
        fields.insert("approvals".to_owned(), json(&asked)?);
        fields.insert("runs".to_owned(), json(&runs)?);
    }
    Ok(out)
}

fn file_line(file: &file_attachments::Attachment) -> Json {
    json!({
        "id": file.id,
        "filename": file.filename,
        "mime_type": file.mime_type,
        "bytes": file.file_size,
        "sha256": file.hash_checksum,
        "uri": format!("steward://files/{}", file.id),
    })
}

/// What `task_list` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// `pending`, `in_progress`, `completed`, `failed` or `cancelled`.
    #[serde(default)]
    status: Option<String>,
    /// 1 to 100; 20 where nothing is said.
    #[serde(default)]
    limit: Option<u8>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "cancelled"];

pub(super) async fn list(own: &OwnServer, caller: &Caller, sent: List, _: &RequestContext<RoleServer>) -> Answer {
    let status = sent.status.as_deref();
    if let Some(other) = status.filter(|s| !STATUSES.contains(s)) {
        return Err(Refusal::Arguments(format!("status: a task is {}, never {other:?}", STATUSES.join(", "))));
    }
    let limit = i64::from(sent.limit.unwrap_or(20).clamp(1, 100));
    let place = cursor(sent.cursor.as_deref())?;
    let rows = tasks::list(&caller.actor, &own.store, status, place, limit + 1).await?;
    page("tasks", rows, limit, |t| (t.created_at, t.id))
}

/// What `task_search` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// What is looked for.
    query: String,
    /// Of this status alone.
    #[serde(default)]
    status: Option<String>,
    /// 1 to 50; 10 where nothing is said.
    #[serde(default)]
    limit: Option<u8>,
}

pub(super) async fn search(own: &OwnServer, caller: &Caller, sent: Search, _: &RequestContext<RoleServer>) -> Answer {
    let limit = i32::from(sent.limit.unwrap_or(10).clamp(1, 50));
    let filter = TaskFilter { status: sent.status, ..TaskFilter::default() };
    let found = tasks::find(&caller.actor, &own.store, &sent.query, &filter, limit).await?;
    Ok(json!({ "tasks": json(&found)? }))
}

/// What `task_finish` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    /// The task.
    #[schemars(with = "String")]
    task_id: Uuid,
    /// `completed`, `failed` or `cancelled`.
    status: String,
    /// What came of it, or why; at most 4000 characters.
    #[serde(default)]
    summary: Option<String>,
}

pub(super) async fn finish(own: &OwnServer, caller: &Caller, sent: Finish, _: &RequestContext<RoleServer>) -> Answer {
    if !["completed", "failed", "cancelled"].contains(&sent.status.as_str()) {
        return Err(Refusal::Arguments("status: a task ends as completed, failed or cancelled".to_owned()));
    }
    if sent.summary.as_ref().is_some_and(|s| s.chars().count() > 4000) {
        return Err(Refusal::Arguments("summary: at most 4000 characters; shorten it".to_owned()));
    }
    let notice = rules::set_status(&own.store, &caller.actor, sent.task_id, &sent.status, sent.summary).await?;
    let mut out = json(&rules::get(&own.store, &caller.actor, sent.task_id).await?)?;
    if let (Some(fields), Some(notice)) = (out.as_object_mut(), notice) {
        fields.insert("notice".to_owned(), notice.into());
    }
    Ok(out)
}

/// What `task_assign` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assign {
    /// The task.
    #[schemars(with = "String")]
    task_id: Uuid,
    /// A user's name; none takes it from everybody.
    #[serde(default)]
    assigned_to: Option<String>,
}

pub(super) async fn assign(own: &OwnServer, caller: &Caller, sent: Assign, _: &RequestContext<RoleServer>) -> Answer {
    let to = match &sent.assigned_to {
        Some(name) => Some(named(own, caller, name).await?),
        None => None,
    };
    json(&rules::assign(&own.store, &caller.actor, sent.task_id, to).await?)
}
