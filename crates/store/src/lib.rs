//! The only crate that speaks to a database: one closed type over PostgreSQL and SQLite, one file a table.
//!
//! Every verb takes the [`Actor`] first and runs either on its own (`&Store`) or within a transaction
//! (`&Transaction`). Who may see and change what is decided by the database: row-level security on PostgreSQL, the
//! same rules as temporary views and triggers on SQLite (`src/sqlite/guard_*.sql`). Row structs are the payload.

// Tests in here share their fixtures with those outside, which know the crate by its name.
#[cfg(test)]
extern crate self as store;

pub mod activity;
pub mod actor;
pub mod api_tokens;
pub mod approvals;
pub mod audit_trail;
pub mod backup;
pub mod beginnings;
pub mod briefing;
pub mod cache;
pub mod canonical;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
pub mod config;
pub mod contacts;
pub mod diagnosis;
pub mod error;
pub mod events;
mod every;
pub mod file_attachments;
pub mod handbook;
pub mod idempotency_keys;
pub mod kept_files;
#[cfg(feature = "limit")]
pub mod limit;
pub mod log_keeping;
pub mod login_tries;
pub mod maintain;
pub mod master_key;
pub mod mcp_servers;
pub mod memories;
pub mod metrics;
pub mod migrate;
pub mod model_turns;
pub mod moving;
pub mod notification_channels;
pub mod notification_outbox;
pub mod notifications;
pub mod passkeys;
pub mod playbooks;
pub mod policies;
mod postgres;
#[cfg(test)]
mod prepared;
pub mod push_subscriptions;
#[cfg(test)]
#[path = "../tests/permissions/raw.rs"]
mod raw;
mod run;
pub mod runs;
pub mod schedules;
pub mod sealed;
pub mod search;
pub mod second_factors;
pub mod server_grants;
pub mod sessions;
pub mod signals;
mod sqlite;
pub mod statement;
pub mod system_logs;
pub mod task_queue;
pub mod tasks;
pub mod users;
pub mod value;
pub mod vault;
pub mod verify;
pub mod watchers;

pub use actor::{Actor, Principal};
pub use config::{Config, Target};
pub use error::{Error, Result};
pub use every::every_statement;
pub use metrics::Metrics;
pub use run::{BoxFuture, Run, Store, Transaction};
pub use value::now;
pub use vault::Vault;
