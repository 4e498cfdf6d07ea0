//! What works by itself: watchers, the employee, the supervision of servers, logs and housekeeping.

pub mod checkpoint;
pub mod employee;
pub mod error;
mod folder_intake;
pub mod housekeeping;
pub mod jobs;
pub mod library;
pub mod log_keeping;
pub mod logs;
pub mod scheduler;
pub mod servers;
mod waiting;
pub mod watchers;
pub mod watching;

pub use error::{Error, Result};
