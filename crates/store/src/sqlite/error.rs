//! What SQLite says, in the store's words.

use rusqlite::{Error as SqliteError, ErrorCode, ffi};

use crate::Error;

/// Maps an error of a statement to the store's; a constraint keeps its name.
pub(crate) fn translate(statement: &str, error: &SqliteError) -> Error {
    let SqliteError::SqliteFailure(code, message) = error else {
        return Error::Database { statement: statement.to_owned(), reason: error.to_string() };
    };
    let message = message.as_deref().unwrap_or("no further word");
    match code.code {
        ErrorCode::ConstraintViolation => constraint(*code, message),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Error::Busy("another program writes to the file".to_owned())
        }
        ErrorCode::DiskFull
        | ErrorCode::ReadOnly
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied => Error::Storage(message.to_owned()),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Schema(format!(
            "the database file is damaged or is no SQLite database ({message}); restore a backup"
        )),
        ErrorCode::AuthorizationForStatementDenied => Error::refused(statement),
        // What a function of ours raises comes without its code.
        _ if message.starts_with("refused: ") || message.starts_with("CHECK constraint failed: ") => {
            constraint(*code, message)
        }
        _ if message.starts_with("no such table") || message.starts_with("no such column") => {
            Error::Schema(format!("the schema does not fit this Steward ({message}); run: steward db migrate"))
        }
        _ => Error::Database { statement: statement.to_owned(), reason: message.to_owned() },
    }
}

fn constraint(code: ffi::Error, message: &str) -> Error {
    if let Some(table) = message.strip_prefix("refused: ") {
        return Error::refused(table);
    }
    if message.contains("append-only") {
        return Error::refused("audit_trail");
    }
    let Some((rule, what)) = message.split_once(" constraint failed: ") else {
        return if code.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY {
            Error::from_constraint("foreign_key")
        } else {
            wrong_form(message)
        };
    };
    match rule {
        "UNIQUE" => Error::from_constraint(&unique(what)),
        // `tasks.title`: PostgreSQL names the column.
        "NOT NULL" => Error::from_constraint(what.rsplit('.').next().unwrap_or(what)),
        "CHECK" if what.starts_with("length(") => Error::Constraint {
            constraint: "length".to_owned(),
            message: "a text is longer than its column allows; shorten it".to_owned(),
        },
        // A rule without a name guards a column's type.
        "CHECK" if what.contains(' ') => wrong_form(what),
        _ => Error::from_constraint(what),
    }
}

pub(super) fn wrong_form(what: &str) -> Error {
    Error::Constraint { constraint: "format".to_owned(), message: format!("a value has the wrong form: {what}") }
}

/// The name PostgreSQL gives a unique rule that SQLite calls by its columns (`runs.task_id, runs.number`) or its index.
/// A test compares the list with the schema.
pub(crate) fn unique(columns: &str) -> String {
    if let Some(index) = columns.strip_prefix("index '") {
        return index.trim_end_matches('\'').to_owned();
    }
    let (table, first) = columns.split(", ").next().and_then(|c| c.split_once('.')).unwrap_or((columns, ""));
    match columns {
        "sessions.token" => "idx_sessions_token".to_owned(),
        "runs.task_id, runs.number" => "uq_runs_task_number".to_owned(),
        "steps.run_id, steps.ordinal" => "uq_steps_run_ordinal".to_owned(),
        "model_turns.run_id, model_turns.ordinal" => "uq_model_turns_run_ordinal".to_owned(),
        "playbooks.name" => "uq_playbooks_name".to_owned(),
        "schedule_fires.name" => "uq_schedule_fires_running".to_owned(),
        "api_tokens.token"
        | "users.username"
        | "users.email"
        | "mcp_servers.name"
        | "policies.name"
        | "audit_chain.audit_id"
        | "passkeys.credential_sha256"
        | "push_subscriptions.endpoint_sha256"
        | "schedules.id"
        | "notification_channels.id" => {
            format!("{table}_{first}_key")
        }
        _ => format!("{table}_pkey"),
    }
}
