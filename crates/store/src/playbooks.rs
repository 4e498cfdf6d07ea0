//! `playbooks`: those that are kept here and not as files, made of work that a model led.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// A playbook that is kept in the database. Only its being switched on or off changes.
    pub struct KeptPlaybook {
        /// Id.
        pub id: Uuid,
        /// Name, unique among those kept here, 1–100 characters.
        pub name: String,
        /// The YAML, 1–262,144 characters.
        pub source: String,
        /// Whether the employee uses it.
        pub is_on: bool,
        /// The task whose work it was made of.
        pub task_id: Option<Uuid>,
        /// Who kept it.
        pub created_by: Option<Uuid>,
        /// When.
        pub created_at: Timestamp,
        /// When it was last switched on or off.
        pub switched_at: Option<Timestamp>,
    }
}

statements! {
    LIST: KeptPlaybook = "playbooks/list";
    IN_USE: KeptPlaybook = "playbooks/in_use";
    NAMED: KeptPlaybook = "playbooks/named";
    CREATE: KeptPlaybook = "playbooks/create";
    SWITCH: KeptPlaybook = "playbooks/switch";
    REMOVE: KeptPlaybook = "playbooks/remove";
}

/// All that the actor may see, by name, at most 200.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<KeptPlaybook>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// Those that are switched on, by name, at most 200.
pub async fn in_use(actor: &Actor, on: impl Run) -> Result<Vec<KeptPlaybook>> {
    on.list(actor, &IN_USE, Vec::new()).await
}

/// One of them.
pub async fn named(actor: &Actor, on: impl Run, name: &str) -> Result<Option<KeptPlaybook>> {
    on.optional(actor, &NAMED, vec![name.into()]).await
}

/// Keeps one, switched off, and answers its id. A name that is taken is refused.
pub async fn create(actor: &Actor, on: impl Run, name: &str, source: &str, task_id: Option<Uuid>) -> Result<Uuid> {
    let id = Uuid::now_v7();
    on.execute(actor, &CREATE, vec![id.into(), name.into(), source.into(), task_id.into()]).await?;
    Ok(id)
}

/// Switches one on or off. False: none such, or not allowed.
pub async fn switch(actor: &Actor, on: impl Run, name: &str, is_on: bool) -> Result<bool> {
    Ok(on.execute(actor, &SWITCH, vec![name.into(), is_on.into()]).await? > 0)
}

/// Removes one. False: none such, or not allowed.
pub async fn remove(actor: &Actor, on: impl Run, name: &str) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![name.into()]).await? > 0)
}
