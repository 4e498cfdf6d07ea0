//! The terminal as people and scripts meet it: the real program, on a data folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "cli/api.rs"]
mod api;
#[path = "cli/approvals.rs"]
mod approvals;
#[path = "cli/attachments.rs"]
mod attachments;
#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/backups.rs"]
mod backups;
#[path = "cli/database.rs"]
mod database;
#[path = "cli/desk.rs"]
mod desk;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/ids.rs"]
mod ids;
#[path = "cli/memory.rs"]
mod memory;
#[path = "cli/outside.rs"]
mod outside;
#[path = "cli/people.rs"]
mod people;
#[path = "cli/remote.rs"]
mod remote;
#[path = "cli/tasks.rs"]
mod tasks;
#[path = "cli/upkeep.rs"]
mod upkeep;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/watching.rs"]
mod watching;
