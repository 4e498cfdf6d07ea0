//! What notices things outside: one module for each kind of watcher.

pub mod folder;
pub mod polling;
