//! What PostgreSQL says, in the store's words.

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::Error;

/// Maps an error of a statement to the store's; a constraint keeps its name.
pub(crate) fn translate(statement: &str, error: &tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        return if error.is_closed() || is_io(error) {
            Error::Unavailable(format!("the connection broke: {}", chain(error)))
        } else {
            Error::Database { statement: statement.to_owned(), reason: chain(error) }
        };
    };
    let code = db.code();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Error::refused(db.table().or_else(|| table_in(db.message())).unwrap_or(statement));
    }
    match code.code() {
        // An earlier statement of the transaction failed.
        "25P02" => Error::RolledBack,
        c if c.starts_with("23") => Error::from_constraint(db.constraint().unwrap_or_else(|| column(db))),
        "22001" => Error::Constraint {
            constraint: "length".to_owned(),
            message: "a text is longer than its column allows; shorten it".to_owned(),
        },
        c if c.starts_with("22") => Error::Constraint {
            constraint: "format".to_owned(),
            message: format!("a value has the wrong form: {}", db.message()),
        },
        "26000" | "42P05" => Error::Busy("a connection pooler gave another session".to_owned()),
        "55P03" => Error::Busy(format!("somebody else holds what this needs ({})", db.message())),
        "57014" | "40001" | "40P01" => Error::Busy(db.message().to_owned()),
        c if c.starts_with("53100") => Error::Storage(db.message().to_owned()),
        c if c.starts_with("53") => Error::Busy(db.message().to_owned()),
        "25006" => Error::Unavailable(format!("it takes no writes ({}); it may be a standby", db.message())),
        c if c.starts_with("57P") || c.starts_with("08") || c == "25P03" => Error::Unavailable(db.message().to_owned()),
        // A row that is not there is refused like one that is not the actor's.
        "P0002" => Error::refused(db.table().unwrap_or(statement)),
        "42P01" | "42703" | "42883" | "3F000" => {
            Error::Schema(format!("the schema does not fit this Steward ({}); run: steward db migrate", db.message()))
        }
        _ => Error::Database { statement: statement.to_owned(), reason: db.message().to_owned() },
    }
}

/// Whether the connection is gone and the answer with it.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none() && (error.is_closed() || is_io(error))
}

/// Whether the server ended the session with these words, or it leads to a server that takes no writes.
pub(super) fn ends_the_session(error: &tokio_postgres::Error) -> bool {
    is_read_only(error)
        || error.as_db_error().is_some_and(|db| {
            matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
                || db.code().code().starts_with("57P")
                || db.code().code().starts_with("08")
        })
}

/// Whether the server takes no writes.
pub(super) fn is_read_only(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Whether the server undid all of it for a reason that may be over when it is done again: a deadlock, a conflict with
/// another transaction, or the end of this session before it committed.
pub(super) fn may_be_repeated(error: &tokio_postgres::Error) -> bool {
    let codes = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE, SqlState::ADMIN_SHUTDOWN];
    error.code().is_some_and(|code| codes.contains(code)) || is_another_session(error)
}

/// Whether a pooler gave the statement another session than the one that prepared it.
pub(super) fn is_another_session(error: &tokio_postgres::Error) -> bool {
    let codes = [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT];
    error.code().is_some_and(|code| codes.contains(code))
}

fn column(db: &DbError) -> &str {
    db.column().or(db.table()).unwrap_or("constraint")
}

/// The table in `… for table "x"` or `permission denied for table x`.
fn table_in(message: &str) -> Option<&str> {
    message.rsplit("table ").next().filter(|_| message.contains("table ")).map(|t| t.trim_matches('"'))
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::iter::successors(std::error::Error::source(error), |e| e.source())
        .any(<dyn std::error::Error>::is::<std::io::Error>)
}

/// The error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let next = e.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = e.source();
    }
    text
}
