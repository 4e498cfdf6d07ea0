//! `memories`: facts that the employee learned at work, and that people told it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// A fact, with its source. Of it only the words can be changed, by people.
    pub struct Memory {
        /// Id.
        pub id: Uuid,
        /// The fact, 1–1000 characters.
        pub content: String,
        /// For whose work it is; none: everybody's.
        pub user_id: Option<Uuid>,
        /// `person` (somebody wrote it) or `task` (the employee learned it at work).
        pub source: String,
        /// Whether it was learned from what somebody outside wrote: then it is data, whatever it says.
        pub outside: bool,
        /// The task it was learned from.
        pub task_id: Option<Uuid>,
        /// The step in which it was noted.
        pub step_id: Option<Uuid>,
        /// Who noted it.
        pub created_by: Option<Uuid>,
        /// When.
        pub created_at: Timestamp,
        /// When a person last changed its words.
        pub edited_at: Option<Timestamp>,
    }
}

/// A fact to be noted; by whom is the actor.
#[derive(Debug, Clone)]
pub struct NewMemory {
    /// The fact.
    pub content: String,
    /// For whose work; none: everybody's.
    pub user_id: Option<Uuid>,
    /// `person` or `task`.
    pub source: &'static str,
    /// Whether it was learned from outside content.
    pub outside: bool,
    /// The task.
    pub task_id: Option<Uuid>,
    /// The step.
    pub step_id: Option<Uuid>,
}

statements! {
    LIST: Memory = "memories/list";
    TOLD: Memory = "memories/told";
    GET: Memory = "memories/get";
    CREATE: Memory = "memories/create";
    EDIT: Memory = "memories/edit";
    REMOVE: Memory = "memories/remove";
}

/// Facts that the actor may see, newest first, at most `limit` (1–2000).
pub async fn list(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<Memory>> {
    on.list(actor, &LIST, vec![limit.clamp(1, 2000).into()]).await
}

/// Facts for the work of a person, and everybody's; newest first, at most 2000.
pub async fn told(actor: &Actor, on: impl Run, user_id: Uuid) -> Result<Vec<Memory>> {
    on.list(actor, &TOLD, vec![user_id.into()]).await
}

/// One fact.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Memory>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// Notes a fact and answers its id.
pub async fn create(actor: &Actor, on: impl Run, new: &NewMemory) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        (&new.content).into(),
        new.user_id.into(),
        new.source.into(),
        new.outside.into(),
        new.task_id.into(),
        new.step_id.into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// Changes the words. False: none such, or not allowed.
pub async fn edit(actor: &Actor, on: impl Run, id: Uuid, content: &str) -> Result<bool> {
    Ok(on.execute(actor, &EDIT, vec![id.into(), content.into()]).await? > 0)
}

/// Forgets a fact. False: none such, or not allowed.
pub async fn remove(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![id.into()]).await? > 0)
}
