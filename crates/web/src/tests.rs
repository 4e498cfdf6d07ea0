//! Tests over the whole router, on a database of their own.

mod api;
mod desk;
mod events;
mod guards;
mod hooks;
mod house;
mod logs;
mod pages;
mod rights;
mod rows;
mod second_factor;
mod serve;
mod sessions;
mod signing_in;
mod tls;
mod tokens;
