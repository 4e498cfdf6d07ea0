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
        ErrorCode::ConstraintViolation => constraint(code, message),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy("another program writes to the file".to_owned()),
        ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            Error::Storage(message.to_owned())
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Schema(format!(
            "the database file is damaged or is no SQLite database ({message}); restore a backup"
        )),
        _ if message.starts_with("no such table") || message.starts_with("no such column") => {
            Error::Schema(format!("the schema does not fit this Steward ({message}); run: steward db migrate"))
        }
        _ => Error::Database { statement: statement.to_owned(), reason: message.to_owned() },
    }
}

fn constraint(code: &ffi::Error, message: &str) -> Error {
    if let Some(table) = message.strip_prefix("refused: ") {
        return Error::refused(table);
    }
    if message.contains("append-only") {
        return Error::refused("audit_trail");
    }
    if code.extended_code == ffi::SQLITE_CONSTRAINT_DATATYPE {
        return Error::Constraint { constraint: "format".to_owned(), message: message.to_owned() };
    }
    let name = message.rsplit(": ").next().unwrap_or(message);
    let name = name.strip_prefix("index ").unwrap_or(name).trim_matches('\'');
    if message.starts_with("CHECK") && name.starts_with("length(") {
        return Error::Constraint { constraint: "length".to_owned(), message: "a text is longer than its column allows; shorten it".to_owned() };
    }
    // `UNIQUE constraint failed: users.username` bears the name PostgreSQL gives the same rule.
    let name = match name.split_once('.') {
        Some((table, column)) if message.starts_with("UNIQUE") && !column.contains(',') => format!("{table}_{column}_key"),
        Some((_, column)) if message.starts_with("NOT NULL") => column.to_owned(),
        _ => name.to_owned(),
    };
    Error::from_constraint(&name)
}
