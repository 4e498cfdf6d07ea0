//! Tests over the whole router, on a database of their own.

mod api;
mod backups;
mod deciding;
mod desk;
mod events;
mod files;
mod guards;
mod hooks;
mod house;
mod logs;
mod mcp;
mod oneself;
mod pages;
mod promoting;
mod rights;
mod rows;
mod rules;
mod second_factor;
mod serve;
mod sessions;
mod signing_in;
mod tls;
mod tokens;
mod upkeep;
mod watchers;
