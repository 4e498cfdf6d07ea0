//! The desk: pages for people. They work without script; nothing on them is inline.

mod approval;
mod approvals;
mod arguments;
mod audit;
mod entry;
pub(crate) mod layout;
mod logs;
mod parts;
mod places;
mod servers;
mod task;
mod tasks;
mod today;
mod words;

pub(crate) use approval::give;

use axum::{
    Router,
    routing::{get, post},
};

use crate::app::App;

/// The pages' addresses.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(today::page))
        .route("/setup/{token}", get(entry::setup_page).post(entry::setup))
        .route("/login", get(entry::login_page).post(entry::login))
        .route("/logout", post(entry::logout))
        .route("/approvals", get(approvals::page))
        .route("/approvals/{id}", get(approval::page))
        .route("/approvals/{id}/decision", post(approval::decide))
        .route("/tasks", get(tasks::page))
        .route("/tasks/{id}", get(task::page))
        .route("/watchers", get(places::watchers))
        .route("/policies", get(places::policies))
        .route("/servers", get(servers::page))
        .route("/notifications", get(logs::notifications))
        .route("/notifications/read", post(logs::mark_read))
        .route("/logs", get(logs::page))
}
