//! `handbook`: what the owner wants the employee to know, in versions that never change.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// A version of the handbook.
    pub struct Handbook {
        /// 1, 2, …; the greatest counts.
        pub version: i32,
        /// Markdown, at most 100,000 characters.
        pub content: String,
        /// Who saved it.
        pub created_by: Option<Uuid>,
        /// When.
        pub created_at: Timestamp,
    }
}

statements! {
    CURRENT: Handbook = "handbook/current";
    LIST: Handbook = "handbook/list";
    SAVE: Handbook = "handbook/save";
}

/// The version that counts; none where nothing was written yet.
pub async fn current(actor: &Actor, on: impl Run) -> Result<Option<Handbook>> {
    on.optional(actor, &CURRENT, Vec::new()).await
}

/// Versions, newest first, at most 200.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Handbook>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// Saves a version, which nobody may have saved before.
pub async fn save(actor: &Actor, on: impl Run, version: i32, content: &str) -> Result<()> {
    on.execute(actor, &SAVE, vec![version.into(), content.into()]).await.map(drop)
}
