//! Interrogates the schema that the migrations make, on both databases, against the specification itself: what it names
//! stands under that name, and what it forbids is refused.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test stops where it can't go on")]

mod specification;

#[path = "schema/fresh.rs"]
mod fresh;
#[path = "schema/migrations.rs"]
mod migrations;
#[path = "schema/postgres.rs"]
mod postgres;
#[path = "schema/postgres_rows.rs"]
mod postgres_rows;
#[path = "schema/rights.rs"]
mod rights;
#[path = "schema/sqlite.rs"]
mod sqlite;
#[path = "schema/violations.rs"]
mod violations;
