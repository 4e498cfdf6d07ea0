//! The only crate that speaks to a database: one closed type over PostgreSQL and SQLite, one file a table.
//!
//! Every verb takes the [`Actor`] first and runs either on its own (`&Store`) or within a transaction
//! (`&Transaction`). Who may see and change what is decided by the database: row-level security on PostgreSQL, the
//! same rules as temporary views and triggers on SQLite (`src/sqlite/guard_*.sql`). Row structs are the payload.

pub mod actor;
pub mod approvals;
pub mod audit_trail;
pub mod canonical;
pub mod config;
pub mod error;
pub mod file_attachments;
pub mod mcp_servers;
pub mod migrate;
pub mod notifications;
pub mod policies;
mod postgres;
#[cfg(test)]
mod prepared;
mod run;
pub mod runs;
pub mod schedules;
pub mod sessions;
mod sqlite;
pub mod statement;
pub mod system_logs;
pub mod task_queue;
pub mod tasks;
pub mod users;
pub mod value;
pub mod vault;
pub mod watchers;

pub use actor::{Actor, Principal};
pub use config::{Config, Target};
pub use error::{Error, Result};
pub use run::{BoxFuture, Run, Store, Transaction};
pub use value::now;
pub use vault::Vault;
