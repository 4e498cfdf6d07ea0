//! What can go wrong in the store, in words that can be shown to a person.

/// The store's one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The actor may not do this. Nothing was changed.
    #[error("you may not do this ({what}); ask an administrator for the permission")]
    Refused {
        /// Table or verb that refused.
        what: String,
    },
    /// A rule of the schema refused the change. `constraint` is its name in the schema.
    #[error("{message}")]
    Constraint {
        /// The constraint's name (`chk_…`, `uq_…`, `idx_…`), or the table and columns where it has none.
        constraint: String,
        /// What that means, for a person.
        message: String,
    },
    /// The database can't be reached or doesn't answer in time.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The connection was lost while a change was being committed: it stands whole, or not at all, and which of the two
    /// is not known. Whoever repeats it looks first.
    #[error(
        "the database's answer was lost while the change was being saved ({0}); look whether it was made before you send it again"
    )]
    OutcomeUnknown(String),
    /// The pool or the queue of writes is full: try again in a moment.
    #[error("the database is busy: {0}; try again in a moment")]
    Busy(String),
    /// The disk is full or can't be written.
    #[error("the database can't be written: {0}; free some space or check the folder's permissions, then try again")]
    Storage(String),
    /// The schema is older, newer or other than this program expects.
    #[error("{0}")]
    Schema(String),
    /// A row could not be read as what it should be.
    #[error("the column {column} holds something unexpected: {reason}")]
    Decode {
        /// Column's name.
        column: String,
        /// What was found.
        reason: String,
    },
    /// A file of an attachment or a key could not be used.
    #[error("{0}")]
    Vault(String),
    /// A file holds more than one file may. Nothing was kept.
    #[error("the file is larger than the limit of {limit_bytes} bytes; nothing was kept")]
    TooLarge {
        /// What one file may hold.
        limit_bytes: u64,
    },
    /// All files together would hold more than they may. Nothing was kept.
    #[error(
        "with this file, attachments would take more than the {total_bytes} bytes they may take together; nothing was kept"
    )]
    Quota {
        /// What all may hold.
        total_bytes: u64,
    },
    /// A kept file is missing or is not what was kept.
    #[error("{0}")]
    Damaged(String),
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
    /// An earlier statement of the same transaction failed; all of it was rolled back.
    #[error("the transaction was rolled back because a statement in it failed")]
    RolledBack,
    /// Anything else the database said.
    #[error("the database refused the statement {statement}: {reason}")]
    Database {
        /// Name of the statement (`table/verb`).
        statement: String,
        /// What the database said.
        reason: String,
    },
}

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The names of [`Error::class`].
    pub const CLASSES: [&'static str; 15] = [
        "refused",
        "constraint",
        "unavailable",
        "outcome_unknown",
        "busy",
        "storage",
        "schema",
        "decode",
        "vault",
        "too_large",
        "quota",
        "damaged",
        "config",
        "rolled_back",
        "database",
    ];

    /// What kind of error this is, in one word: for figures.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Constraint { .. } => "constraint",
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Busy(_) => "busy",
            Self::Storage(_) => "storage",
            Self::Schema(_) => "schema",
            Self::Decode { .. } => "decode",
            Self::Vault(_) => "vault",
            Self::TooLarge { .. } => "too_large",
            Self::Quota { .. } => "quota",
            Self::Damaged(_) => "damaged",
            Self::Config(_) => "config",
            Self::RolledBack => "rolled_back",
            Self::Database { .. } => "database",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything. Nothing was changed by it; where that
    /// is not known ([`Error::OutcomeUnknown`]) this is false.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_) | Self::Storage(_))
    }

    /// Whether what it says is for the log alone: it speaks of rows, files and statements, and whoever asked can do nothing
    /// about it.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::Decode { .. } | Self::Vault(_) | Self::Config(_) | Self::RolledBack | Self::Database { .. }
        )
    }

    /// The constraint's name, if a constraint refused.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { constraint, .. } => Some(constraint),
            _ => None,
        }
    }

    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::Refused { what: what.into() }
    }

    /// A constraint by its name in the schema. Where both an index of the specification and a constraint hold the same
    /// rule, and where SQLite knows no name, one word stands for it on both databases.
    pub(crate) fn from_constraint(name: &str) -> Self {
        let name = match name {
            "users_username_key" => "idx_users_username",
            "users_email_key" => "idx_users_email",
            name if name.ends_with("_fkey") || name == "FOREIGN KEY constraint failed" => "foreign_key",
            name => name,
        };
        Self::Constraint { constraint: name.to_owned(), message: explain(name) }
    }
}

/// What a constraint means to the person whose change it refused.
fn explain(name: &str) -> String {
    let text = match name {
        "idx_users_username" => "this user name is taken; choose another",
        "idx_users_email" => "this e-mail address is in use; choose another",
        "chk_role" => "the role must be admin, user or observer",
        "chk_status" => "this status does not exist",
        "chk_priority" => "the priority must be low, medium, high or critical",
        "chk_due_date_not_past" => "a task can't be completed after its due date; move the due date first",
        "chk_completed_at" => "only a completed task has a time of completion",
        "chk_priority_duration" => "a critical task may be estimated at 1440 minutes (24 hours) at most",
        "chk_task_dependencies" => {
            "the dependencies must be existing tasks, each once, without a circle, and a task others depend on can't be deleted"
        }
        "chk_approval_final" => "this approval is already decided or expired; nothing was changed",
        "chk_approval_not_expired" => "this approval has expired, which means no; nothing was changed",
        "chk_approval_extension" => "more time is given to later than it stands, and to at most 30 days from now",
        "chk_approval_single_decision" => "an approval is either approved by somebody, rejected by somebody, or open",
        "tasks_assignee_active" => "the assignee is no active user; choose another",
        "foreign_key" => "something this names does not exist, or something else still needs it; nothing was changed",
        "mcp_servers_name_key" => "a server of this name exists already; choose another name",
        "chk_api_token_agent" => "an agent's token can't contain the scope decide: only people decide",
        "chk_policy_risk" => "the risk must be low, normal or high",
        "policies_name_key" => "a policy of this name exists already; choose another name",
        "uq_playbooks_name" => "a playbook of this name exists already; choose another name",
        _ => return format!("the rule {name} of the database refused this; nothing was changed"),
    };
    text.to_owned()
}
