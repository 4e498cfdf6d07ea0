//! `tasks`, their provenance, and the view `task_summary`.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    search::{Marks, Piece, Query},
    statement::statements,
    value::{FromRow, Row, Scalar, Value, page, row},
};

row! {
    /// A task.
    pub struct Task {
        /// Id.
        pub id: Uuid,
        /// Title, 1–255 characters.
        pub title: String,
        /// What is to be done.
        pub description: Option<String>,
        /// `pending`, `in_progress`, `completed`, `failed` or `cancelled`.
        pub status: String,
        /// `low`, `medium`, `high` or `critical`.
        pub priority: String,
        /// Whose work it is.
        pub assigned_to: Option<Uuid>,
        /// Who wants it done.
        pub created_by: Option<Uuid>,
        /// When made.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// When due.
        pub due_date: Option<Timestamp>,
        /// When completed; set exactly while the status is `completed`.
        pub completed_at: Option<Timestamp>,
        /// Minutes it should take; at most 1440 for a critical task.
        pub estimated_duration: Option<i32>,
        /// Minutes it took.
        pub actual_duration: Option<i32>,
        /// Anything else: `playbook`, `file`, `failure_reason`, `summary`, `original_due_date` …
        #[schema(value_type = Object)]
        pub metadata: Json,
        /// Tasks that must be completed first.
        pub dependencies: Vec<Uuid>,
        /// Labels.
        pub tags: Vec<String>,
    }
}
row! {
    /// A row of the view `task_summary`.
    pub struct TaskSummary {
        /// Id.
        pub id: Uuid,
        /// Title.
        pub title: String,
        /// Status.
        pub status: String,
        /// Priority.
        pub priority: String,
        /// Name of the assignee.
        pub assigned_to_name: Option<String>,
        /// When made.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// When due.
        pub due_date: Option<Timestamp>,
        /// Number of approvals asked for.
        pub approval_requests: i64,
        /// `overdue`, `due_soon` or `on_track`, by UTC days.
        pub urgency_status: String,
    }
}
row! {
    /// Where a task came from; written once.
    pub struct Provenance {
        /// The task.
        pub task_id: Uuid,
        /// Whether its content comes from outside, and so is data and never an instruction.
        pub outside: bool,
        /// `watcher:inbox`, `desk`, `terminal` …
        pub source: String,
        /// What is known of it.
        #[schema(value_type = Object)]
        pub detail: Json,
        /// When written.
        pub created_at: Timestamp,
    }
}

/// A task to be made; its creator is the actor.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// Title, 1–255 characters.
    pub title: String,
    /// What is to be done.
    #[serde(default)]
    pub description: Option<String>,
    /// `low`, `medium` (default), `high` or `critical`.
    #[serde(default = "medium")]
    pub priority: String,
    /// Whose work it is.
    #[serde(default)]
    pub assigned_to: Option<Uuid>,
    /// When due.
    #[serde(default)]
    pub due_date: Option<Timestamp>,
    /// Minutes it should take.
    #[serde(default)]
    pub estimated_duration: Option<i32>,
    /// Anything else.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    pub metadata: Json,
    /// Tasks that must be completed first.
    #[serde(default)]
    pub dependencies: Vec<Uuid>,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
}
fn medium() -> String {
    "medium".to_owned()
}
fn empty_object() -> Json {
    Json::Object(serde_json::Map::new())
}
impl NewTask {
    /// A task of medium priority with nothing but a title.
    pub fn titled(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: None,
            priority: medium(),
            assigned_to: None,
            due_date: None,
            estimated_duration: None,
            metadata: empty_object(),
            dependencies: Vec::new(),
            tags: Vec::new(),
        }
    }
}

/// Which tasks a search is about; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// `pending`, `in_progress`, `completed`, `failed` or `cancelled`.
    pub status: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub priority: Option<String>,
    /// Whose work it is.
    pub assigned_to: Option<Uuid>,
    /// Made then or later …
    pub created_from: Option<Timestamp>,
    /// … and before then.
    pub created_before: Option<Timestamp>,
    /// One of its labels.
    pub tag: Option<String>,
}

/// Which tasks a list is of, and in which order; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// `pending`, `in_progress`, `completed`, `failed` or `cancelled`.
    pub status: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub priority: Option<String>,
    /// Whose work it is.
    pub assigned_to: Option<Uuid>,
    /// Who wants it done.
    pub created_by: Option<Uuid>,
    /// One of its labels.
    pub tag: Option<String>,
    /// Due then or later …
    pub due_from: Option<Timestamp>,
    /// … and before then.
    pub due_before: Option<Timestamp>,
    /// What comes first.
    pub order: Order,
}

/// The order of a list of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first; a row's place is when it was made.
    #[default]
    Newest,
    /// The earliest due first, of those that are due at all; a row's place is when it is due.
    Due,
}

impl Order {
    /// Where a task stands in a list of this order.
    pub fn place(self, task: &Task) -> Cursor {
        match self {
            Self::Newest => (task.created_at, task.id),
            Self::Due => (task.due_date.unwrap_or(task.created_at), task.id),
        }
    }
}

/// A task that a search found.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FoundTask {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// What matches, marked.
    pub snippet: TaskSnippet,
}

/// Where a task matches: plain text in pieces, never markup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct TaskSnippet {
    /// The whole title.
    pub title: Vec<Piece>,
    /// Parts of the description around what matches, or its beginning; empty where there is none.
    pub description: Vec<Piece>,
}

/// A task with marked texts, as the database answers it.
#[derive(Debug)]
struct Marked {
    task: Task,
    title: String,
    description: Option<String>,
}
impl FromRow for Marked {
    const COLUMNS: &'static [&'static str] = Task::COLUMNS;
    fn from_row(row: &Row) -> Result<Self> {
        let next = Task::COLUMNS.len();
        Ok(Self {
            task: Task::from_row(row)?,
            title: row.get(next, "title_marked")?,
            description: row.get(next + 1, "description_marked")?,
        })
    }
}

/// A place in a list ordered by newest first.
pub type Cursor = (Timestamp, Uuid);

/// The place before everything that is due: the begin of the year 1.
const FIRST_DUE: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// What a page of such a list begins with: `(time, id) < ($1, $2)`, then `LIMIT $3`. Without a cursor the place is past
/// every row, so that one text, with a plan that walks an index, serves first and later pages.
pub(crate) fn from_place(cursor: Option<Cursor>, limit: i64) -> Vec<Value> {
    let (time, id) = cursor.unwrap_or((Timestamp::MAX, Uuid::max()));
    vec![time.into(), id.into(), page(limit)]
}

statements! {
    CREATE: Task = "tasks/create" wakes;
    OF_SOURCE: Task = "tasks/of_source";
    GET: Task = "tasks/get";
    LOCK: Task = "tasks/lock" split;
    LIST: Task = "tasks/list" split;
    LIST_STATUS: Task = "tasks/list_status" split;
    FILTERED: Task = "tasks/filtered";
    FILTERED_STATUS: Task = "tasks/filtered_status";
    FILTERED_DUE: Task = "tasks/filtered_due";
    FILTERED_ASSIGNED: Task = "tasks/filtered_assigned";
    FILTERED_MADE: Task = "tasks/filtered_made";
    UPDATE: Task = "tasks/update" wakes;
    SET_STATUS: Task = "tasks/set_status" wakes;
    ASSIGN: Scalar<String> = "tasks/assign" split wakes;
    DELETE: Task = "tasks/delete";
    SEARCH: Marked = "tasks/search" split;
    SUMMARIES: TaskSummary = "tasks/summaries" split;
    OPEN_AMONG: Scalar<String> = "tasks/open_among";
    AMONG: Task = "tasks/among";
    AFTER: Task = "tasks/after" split;
    DUE: Task = "tasks/due";
    ADD_PROVENANCE: Provenance = "task_provenance/create";
    PROVENANCE: Provenance = "task_provenance/get";
}

/// Makes a task of the actor's and answers its id.
pub async fn create(actor: &Actor, on: impl Run, new: &NewTask) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        (&new.title).into(),
        new.description.clone().into(),
        (&new.priority).into(),
        new.assigned_to.into(),
        new.due_date.into(),
        new.estimated_duration.into(),
        new.metadata.clone().into(),
        new.dependencies.clone().into(),
        new.tags.clone().into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// One task, if the actor may see it.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Task>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// One task, locked until the transaction ends, if the actor may change it.
pub async fn lock(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Task>> {
    on.optional(actor, &LOCK, vec![id.into()]).await
}

/// Tasks the actor may see, newest first, of a status, after `cursor`.
pub async fn list(
    actor: &Actor,
    on: impl Run,
    status: Option<&str>,
    cursor: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Task>> {
    let mut params = from_place(cursor, limit);
    // Two texts, so that the status is part of the index's walk and not a filter along it.
    let statement = if let Some(status) = status {
        params.push(status.into());
        &LIST_STATUS
    } else {
        &LIST
    };
    on.list(actor, statement, params).await
}

/// Tasks the actor may see that pass the listing's filters, in its order, after `cursor` (the place of the row before, see
/// [`Order::place`]), at most `limit` (1–200). What is left out is left out in the database, so that a page is full where
/// there is as much.
pub async fn filtered(
    actor: &Actor,
    on: impl Run,
    wanted: &Listing,
    cursor: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Task>> {
    let plain = Listing { status: wanted.status.clone(), ..Listing::default() };
    if *wanted == plain {
        return list(actor, on, wanted.status.as_deref(), cursor, limit).await;
    }
    // No label has a NUL, and PostgreSQL takes none.
    if wanted.tag.as_ref().is_some_and(|tag| tag.contains('\0')) {
        return Ok(Vec::new());
    }
    let (statement, mut params) = match wanted.order {
        // Nothing is due before the year 1.
        Order::Due => {
            let (time, id) = cursor.unwrap_or((FIRST_DUE, Uuid::nil()));
            (&FILTERED_DUE, vec![time.into(), id.into(), page(limit)])
        }
        Order::Newest if wanted.assigned_to.is_some() => (&FILTERED_ASSIGNED, from_place(cursor, limit)),
        Order::Newest if wanted.created_by.is_some() => (&FILTERED_MADE, from_place(cursor, limit)),
        Order::Newest if wanted.status.is_some() => (&FILTERED_STATUS, from_place(cursor, limit)),
        Order::Newest => (&FILTERED, from_place(cursor, limit)),
    };
    params.extend([
        wanted.status.clone().into(),
        wanted.priority.clone().into(),
        wanted.assigned_to.into(),
        wanted.created_by.into(),
        wanted.tag.clone().into(),
        wanted.due_from.into(),
        wanted.due_before.into(),
    ]);
    on.list(actor, statement, params).await
}

/// Writes the editable columns of `task`. False: no such task, or not the actor's to change.
pub async fn update(actor: &Actor, on: impl Run, task: &Task) -> Result<bool> {
    let params = vec![
        task.id.into(),
        (&task.title).into(),
        task.description.clone().into(),
        (&task.priority).into(),
        task.due_date.into(),
        task.estimated_duration.into(),
        task.actual_duration.into(),
        task.metadata.clone().into(),
        task.dependencies.clone().into(),
        task.tags.clone().into(),
    ];
    Ok(on.execute(actor, &UPDATE, params).await? > 0)
}

/// Writes status, due date and metadata. False: no such task, or not the actor's to change.
pub async fn set_status(actor: &Actor, on: impl Run, task: &Task) -> Result<bool> {
    let params = vec![task.id.into(), (&task.status).into(), task.due_date.into(), task.metadata.clone().into()];
    Ok(on.execute(actor, &SET_STATUS, params).await? > 0)
}

/// Assigns a task (specification: `assign_task`); `None` takes it from everybody.
pub async fn assign(actor: &Actor, on: impl Run, id: Uuid, assignee: Option<Uuid>) -> Result<()> {
    on.one::<Scalar<String>>(actor, &ASSIGN, vec![id.into(), assignee.into()]).await.map(drop)
}

/// Deletes a task of one's own. False: no such task, or not the actor's.
pub async fn delete(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &DELETE, vec![id.into()]).await? > 0)
}

/// Tasks whose title or description match, best first, at most `limit` (0–500).
pub async fn search(actor: &Actor, on: impl Run, query: &str, limit: i32) -> Result<Vec<Task>> {
    let found = find(actor, on, query, &TaskFilter::default(), limit).await?;
    Ok(found.into_iter().map(|f| f.task).collect())
}

/// The same among the tasks that pass the filter, with what matches marked. What may be typed stands at
/// [`crate::search`]; nothing is a syntax error. On PostgreSQL the best of the 2000 newest that match are found.
pub async fn find(actor: &Actor, on: impl Run, query: &str, filter: &TaskFilter, limit: i32) -> Result<Vec<FoundTask>> {
    let marks = Marks::new();
    let params = vec![
        Query::parse(query).texts(&marks).into(),
        filter.status.clone().into(),
        filter.priority.clone().into(),
        filter.assigned_to.into(),
        filter.created_from.into(),
        filter.created_before.into(),
        filter.tag.clone().into(),
        limit.clamp(0, 500).into(),
    ];
    let found: Vec<Marked> = on.list(actor, &SEARCH, params).await?;
    Ok(found
        .into_iter()
        .map(|Marked { task, title, description }| FoundTask {
            task,
            snippet: TaskSnippet {
                title: marks.read(&title),
                description: description.map(|text| marks.read(&text)).unwrap_or_default(),
            },
        })
        .collect())
}

/// The newest rows of `task_summary` that the actor may see.
pub async fn summaries(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<TaskSummary>> {
    on.list(actor, &SUMMARIES, from_place(None, limit)).await
}

/// Writes where a task of the actor's came from; possible once.
pub async fn add_provenance(
    actor: &Actor,
    on: impl Run,
    task_id: Uuid,
    outside: bool,
    source: &str,
    detail: Json,
) -> Result<()> {
    on.execute(actor, &ADD_PROVENANCE, vec![task_id.into(), outside.into(), source.into(), detail.into()])
        .await
        .map(drop)
}

/// Where a task came from.
pub async fn provenance(actor: &Actor, on: impl Run, task_id: Uuid) -> Result<Option<Provenance>> {
    on.optional(actor, &PROVENANCE, vec![task_id.into()]).await
}

/// Titles of those among `ids` that the actor may see and that are not completed, at most five.
pub async fn open_among(actor: &Actor, on: impl Run, ids: Vec<Uuid>) -> Result<Vec<String>> {
    Ok(on.list::<Scalar<String>>(actor, &OPEN_AMONG, vec![ids.into()]).await?.into_iter().map(|s| s.0).collect())
}

/// Those of `ids` that the actor may see, newest first, at most 200.
pub async fn among(actor: &Actor, on: impl Run, ids: Vec<Uuid>) -> Result<Vec<Task>> {
    on.list(actor, &AMONG, vec![ids.into()]).await
}

/// Tasks the actor may see that need one of `ids` first, the oldest first, at most `limit` (1–200). Of those that a thousand
/// wait for, not all may be looked at.
pub async fn after(actor: &Actor, on: impl Run, ids: Vec<Uuid>, limit: i64) -> Result<Vec<Task>> {
    on.list(actor, &AFTER, vec![ids.into(), page(limit)]).await
}

/// Tasks the actor may see that are due at `from` or later and before `before`, the earliest first, at most `limit`
/// (1–200).
pub async fn due(actor: &Actor, on: impl Run, from: Timestamp, before: Timestamp, limit: i64) -> Result<Vec<Task>> {
    on.list(actor, &DUE, vec![from.into(), before.into(), page(limit)]).await
}

/// Tasks that came from a source, such as `watcher:inbox`, since a moment, as far as the actor may see them; the oldest first,
/// at most 200.
pub async fn of_source(actor: &Actor, on: impl Run, source: &str, since: Timestamp) -> Result<Vec<Task>> {
    on.list(actor, &OF_SOURCE, vec![source.into(), since.into()]).await
}
