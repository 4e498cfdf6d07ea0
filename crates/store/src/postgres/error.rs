//! What PostgreSQL says, in the store's words.

use tokio_postgres::error::{DbError, SqlState};

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
        "57014" | "55P03" | "40001" | "40P01" => Error::Busy(db.message().to_owned()),
        c if c.starts_with("53100") => Error::Storage(db.message().to_owned()),
        c if c.starts_with("53") => Error::Busy(db.message().to_owned()),
        c if c.starts_with("57P") || c.starts_with("08") || c.starts_with("25006") => {
            Error::Unavailable(db.message().to_owned())
        }
        // A row that is not there is refused like one that is not the actor's.
        "P0002" => Error::refused(db.table().unwrap_or(statement)),
        "42P01" | "42703" | "42883" | "3F000" => {
            Error::Schema(format!("the schema does not fit this Steward ({}); run: steward db migrate", db.message()))
        }
        _ => Error::Database { statement: statement.to_owned(), reason: db.message().to_owned() },
    }
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
