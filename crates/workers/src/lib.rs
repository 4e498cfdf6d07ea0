//! What works by itself: watchers, the employee, the supervision of servers, logs and housekeeping.

pub mod checkpoint;
pub mod employee;
pub mod error;
mod folder_intake;
pub mod housekeeping;
pub mod library;
pub mod logs;
pub mod servers;
pub mod watchers;
pub mod watching;

pub use error::{Error, Result};
