//! The JSON API under `/v1`: rows as they are in the store, lists with a cursor, problem documents for refusals.

mod approvals;
mod auth;
mod lists;
mod logs;
mod second_factor;
mod tasks;
mod tokens;

use axum::{
    Json, Router,
    routing::{delete, get, post},
};
use serde::Serialize;

use crate::{app::App, events};

/// The API's addresses, below `/v1`.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/auth/login", post(auth::login))
        .route("/auth/logout", post(auth::logout))
        .route("/auth/session", get(auth::session))
        .route("/auth/sessions", get(auth::sessions).delete(auth::end_others))
        .route("/auth/sessions/{id}", delete(auth::end_one))
        .route("/auth/reauthenticate", post(auth::reauthenticate))
        .route(
            "/auth/second-factor",
            get(second_factor::state).post(second_factor::begin).delete(second_factor::remove),
        )
        .route("/auth/second-factor/confirm", post(second_factor::confirm))
        .route("/auth/second-factor/recovery-codes", post(second_factor::renew_codes))
        .route("/auth/password", post(auth::change_password))
        .route("/events", get(events::events))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke).get(tokens::get))
        .route("/tasks", get(tasks::list).post(tasks::create))
        .route("/tasks/search", get(tasks::search))
        .route("/tasks/{id}", get(tasks::get))
        .route("/tasks/{id}/complete", post(tasks::complete))
        .route("/tasks/{id}/runs", get(tasks::runs))
        .route("/tasks/{id}/attachments", get(tasks::attachments))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::get))
        .route("/approvals/{id}/decision", post(approvals::decide))
        .route("/notifications", get(lists::notifications))
        .route("/watchers", get(lists::watchers))
        .route("/servers", get(lists::servers))
        .route("/servers/{id}/tools", get(lists::tools))
        .route("/policies", get(lists::policies))
        .route("/logs", get(logs::list).post(logs::add))
        .route("/audit", get(lists::audit))
        .route("/status", get(lists::status))
        .route("/briefing", get(lists::briefing))
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    data: Vec<T>,
    /// Where the next page begins; none on the last one.
    next: Option<String>,
}

impl<T> List<T> {
    /// A page with the next one's cursor.
    fn page((data, next): (Vec<T>, Option<String>)) -> Json<Self> {
        Json(Self { data, next })
    }

    /// A list that is whole.
    fn whole(data: Vec<T>) -> Json<Self> {
        Json(Self { data, next: None })
    }
}
