//! Rows by how their ids begin: what somebody means who types the beginning of one.

use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{page, row},
};

row! {
    /// A row whose id begins so.
    pub struct Begun {
        /// Its id.
        pub id: Uuid,
        /// What it is called, or what kind it is of.
        pub label: String,
    }
}

/// What has an id that people type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task.
    Task,
    /// An approval.
    Approval,
    /// A file on a task.
    Attachment,
    /// A fact that is remembered.
    Memory,
}

/// The words for [`Kind`], as the API takes them.
pub const KINDS: [&str; 4] = ["task", "approval", "attachment", "memory"];

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Approval => "approval",
            Self::Attachment => "attachment",
            Self::Memory => "memory",
        }
    }

    /// The kind of a word of [`KINDS`].
    pub fn of(word: &str) -> Option<Self> {
        [Self::Task, Self::Approval, Self::Attachment, Self::Memory].into_iter().find(|kind| kind.word() == word)
    }
}

statements! {
    TASKS: Begun = "beginnings/tasks";
    APPROVALS: Begun = "beginnings/approvals";
    ATTACHMENTS: Begun = "beginnings/attachments";
    MEMORIES: Begun = "beginnings/memories";
}

/// Rows that the actor may see with ids from `first` to `last`, by id, at most `limit` (1–200).
pub async fn find(
    actor: &Actor,
    on: impl Run,
    kind: Kind,
    (first, last): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<Begun>> {
    let statement = match kind {
        Kind::Task => &TASKS,
        Kind::Approval => &APPROVALS,
        Kind::Attachment => &ATTACHMENTS,
        Kind::Memory => &MEMORIES,
    };
    on.list(actor, statement, vec![first.into(), last.into(), page(limit)]).await
}
