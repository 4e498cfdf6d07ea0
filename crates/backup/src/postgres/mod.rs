//! PostgreSQL: dumps of one moment in a bundle, and continuous archiving with recovery to any moment. Both by programs
//! that are known and kept well (`pg_dump`, `pg_restore`, pgBackRest); what stands here finds them, tells them what to do
//! without showing a secret, and proves what they did.

mod bundle;
mod child;
mod connect;
mod drill;
mod dump;
mod pgbackrest;
mod programs;
mod restore;
mod scratch;
mod verify;

use std::path::Path;

use crate::Error;

pub use self::{
    bundle::{Restored, pour, restore, write},
    drill::{Drilled, drill, drill_archive},
    pgbackrest::{Backup, DEFAULT_FILE, Info, Options, PgBackRest, Plan, Recovered, Recovery, Standing},
    verify::{Against, Proof},
};

/// A file or folder that can't be used.
fn unusable(path: &Path, source: std::io::Error) -> Error {
    Error::file(format!("{} can't be used", path.display()), source)
}

#[cfg(test)]
mod tests;
