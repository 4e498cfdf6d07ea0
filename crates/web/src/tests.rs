//! Tests over the whole router, on a database of their own.

mod api;
mod desk;
mod guards;
mod house;
mod logs;
mod serve;
mod sessions;
