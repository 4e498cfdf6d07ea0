//! `verify` finds each kind of damage and nothing where there is none; `maintain` works beside those who write;
//! and where one person owns nearly everything, a page costs no more.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

#[path = "upkeep/maintain.rs"]
mod maintain;
#[path = "upkeep/plans.rs"]
mod plans;
#[path = "upkeep/verify.rs"]
mod verify;
