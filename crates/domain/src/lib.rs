//! Rules and transactions that span tables: accounts, intake, work, decisions, playbooks, policy, schedules. No I/O of its own.

pub mod accounts;
pub mod alarms;
pub mod audit_file;
pub mod backups;
pub mod brain;
pub mod briefing;
pub mod checkpoint;
pub mod decide;
pub mod error;
pub mod files;
pub mod guessing;
pub mod hand_over;
pub mod handbook;
pub mod intake;
pub mod master_key;
pub mod passkeys;
pub mod passwords;
pub mod playbook;
pub mod policy;
pub mod reconsider;
pub mod redact;
pub mod requests;
pub mod rules;
pub mod schedules;
pub mod second_factor;
pub mod servers;
pub mod sign_in;
pub mod tasks;
pub mod telling;
pub mod tokens;
pub mod watcher_changes;
pub mod watchers;
pub mod web_push;
pub mod webhooks;
pub mod work;

pub use error::{Error, Result};
