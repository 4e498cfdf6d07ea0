//! Speaks to what is outside: HTTP with a guard, feeds, calendars, bank statements, pages, mail both ways, gateways, and pushes to browsers.
//!
//! It knows nothing of tasks, watchers or databases: it is asked, and answers what it found or why not. Everything has a
//! bound in bytes and in time, and an address that is not public is refused unless it was allowed by name.

pub mod address;
pub mod calendar;
pub mod feed;
pub mod gateway;
pub mod http;
pub mod imap;
pub mod mail;
pub mod page;
pub mod smtp;
pub mod statement;
pub mod tls;
mod trouble;
pub mod web_push;

pub use trouble::{Kind, Result, Trouble, Unanswered};
