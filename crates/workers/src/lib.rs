//! What works by itself: watchers, the employee, the supervision of servers, logs and housekeeping.

pub mod archive_watch;
pub mod brains;
pub mod briefings;
pub mod browsers;
pub mod employee;
pub mod error;
mod folder_intake;
pub mod folder_preview;
pub mod grants;
pub mod housekeeping;
pub mod jobs;
pub mod library;
pub mod log_keeping;
pub mod logs;
pub mod notifier;
mod once;
pub mod reminding;
pub mod safekeeping;
pub mod scheduler;
pub mod servers;
pub mod silence;
mod waiting;
pub mod watchers;
pub mod watching;

pub use domain::checkpoint;
pub use error::{Error, Result};
