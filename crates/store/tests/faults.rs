//! What goes wrong around a PostgreSQL: no connection left, a backend killed, a lock that is held, a disk that is full.
//! Waiting is bounded, the error says what is the matter, it mends by itself, and nothing is lost or done twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "common/mod.rs"]
mod common;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/sessions.rs"]
mod sessions;
