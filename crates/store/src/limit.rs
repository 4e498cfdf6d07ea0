//! For `bench/` alone: the limit on SQLite is the driver itself, on a connection with the same functions and guard, so that
//! the same statements run on it.

use std::{path::Path, time::Duration};

use crate::{
    Actor, Error, Result,
    run::TransactionEngine,
    sqlite::{Access, open, sqlite},
};

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// A connection on which `actor` acts from now on, at the moment of this call. An error where the file can't be opened.
pub fn connection(path: &Path, actor: &Actor, wanted: Use) -> Result<rusqlite::Connection> {
    let access = if wanted == Use::Write { Access::Write } else { Access::Read };
    let tx = open(path, access, Duration::from_secs(30))?;
    let inner = sqlite(&tx)?;
    for ping in crate::run::ALL {
        // The first statement puts the actor into the context.
        inner.rows(actor, ping, &[])?;
    }
    match tx.0 {
        TransactionEngine::Sqlite(inner) => Ok(inner.into_connection()),
        TransactionEngine::Postgres(_) => Err(Error::Unavailable("this is not a SQLite connection".to_owned())),
    }
}
