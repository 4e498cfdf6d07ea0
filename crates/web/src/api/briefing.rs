//! What was done, what waits, where it is stuck, and what comes.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::briefing::{self, Period};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::answer;
use crate::{app::App, fault::Result, params::Params, session::Signed};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make))
}

/// What was done, what waits, where it is stuck, and what comes
#[utoipa::path(get, path = "/briefing", tag = "System", params(
    ("period" = Option<String>, Query, description = "The time it is about: `day` (without it) or `week`"),
), responses((status = 200, description = "The briefing", body = Object)))]
async fn make(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["period"])?;
    let period = match params.one_of("period", &["day", "week"])? {
        Some("week") => Period::Week,
        _ => Period::Day,
    };
    answer::json(StatusCode::OK, &briefing::make(app.store(), &me.actor, period, store::now()).await?)
}
