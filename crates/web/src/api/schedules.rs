//! What runs by the clock.

use axum::{extract::State, http::HeaderMap, response::Response};
use domain::schedules as rules;
use serde::Deserialize;
use store::{
    schedules::{self, Change, Fire, Schedule},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Nothing,
    answer::{self, Fields, IfMatch, List},
    changes,
    pages::{Page, cut},
};
use crate::{
    app::App,
    body::{SignedJson, SignedPatch},
    fault::{Fault, Result},
    params::{Params, Place},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, change))
        .routes(routes!(fires))
        .routes(routes!(run))
        .routes(routes!(cancel))
}

/// Schedules by name; for administrators
#[utoipa::path(get, path = "/schedules", tag = "Schedules", params(Page),
    responses((status = 200, description = "A page of schedules", body = List<Schedule>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[Schedule::COLUMNS])?;
    fields.page(cut(schedules::list(&me.actor, app.store()).await?, &params, |s| s.name.clone())?)
}

/// One schedule
#[utoipa::path(get, path = "/schedules/{name}", tag = "Schedules",
    params(("name" = String, Path, description = "The job's name, such as `cleanup-sessions`")),
    responses((status = 200, description = "The schedule", body = Schedule)))]
async fn get(State(app): State<App>, me: Signed, Place(name): Place<String>, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&rules::named(app.store(), &me.actor, &name).await?)
}

/// What can be changed of a schedule; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleEdit {
    /// When, as a cron expression of five fields.
    #[serde(default)]
    cron: Option<String>,
    /// In which zone (IANA name).
    #[serde(default)]
    time_zone: Option<String>,
    /// Whether it fires at all.
    #[serde(default)]
    is_active: Option<bool>,
}

/// Change when a job runs; for administrators
#[utoipa::path(patch, path = "/schedules/{name}", tag = "Schedules",
    params(("name" = String, Path, description = "The job's name")), request_body = ScheduleEdit,
    responses((status = 200, description = "The schedule as it stands now", body = Schedule)))]
async fn change(
    State(app): State<App>,
    Place(name): Place<String>,
    headers: HeaderMap,
    SignedPatch(me, body): SignedPatch,
) -> Result<Response> {
    let edit: ScheduleEdit = crate::body::fit(body)?;
    for (field, text) in [("cron", &edit.cron), ("time_zone", &edit.time_zone)] {
        if text.as_ref().is_some_and(|t| t.chars().count() > 100) {
            return Err(Fault::invalid(field, format!("{field} is longer than 100 characters")));
        }
    }
    let (expected, found) = (IfMatch::of(&headers)?, rules::named(app.store(), &me.actor, &name).await?);
    if let Err(e) = expected.check(&found) {
        return Err(changes::told(&app, &me, ("schedule", found.id), e.into()).await);
    }
    let change = Change { cron: edit.cron, time_zone: edit.time_zone, is_active: edit.is_active };
    answer::row(&rules::set(app.store(), &me.actor, &name, change).await?)
}

/// The latest times a job ran; for administrators
#[utoipa::path(get, path = "/schedules/{name}/fires", tag = "Schedules", params(
    ("name" = String, Path, description = "The job's name"),
    ("limit" = Option<i64>, Query, description = "How many at most, 1 to 200", minimum = 1, maximum = 200),
), responses((status = 200, description = "Newest first", body = List<Fire>)))]
async fn fires(State(app): State<App>, me: Signed, Place(name): Place<String>, params: Params) -> Result<Response> {
    params.only(&["limit"])?;
    rules::named(app.store(), &me.actor, &name).await?;
    answer::whole(schedules::fires(&me.actor, app.store(), &name, params.limit()?).await?)
}

/// Let a job run once now; for administrators
///
/// Whichever node serves takes it up within seconds.
#[utoipa::path(post, path = "/schedules/{name}/run", tag = "Schedules",
    params(("name" = String, Path, description = "The job's name")), request_body = Nothing,
    responses((status = 200, description = "The schedule; `requested_at` is now", body = Schedule)))]
async fn run(
    State(app): State<App>,
    Place(name): Place<String>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    answer::row(&rules::request(app.store(), &me.actor, &name).await?)
}

/// Break a job off that runs; for administrators
///
/// Its node sees that within seconds, undoes what can be undone (a backup leaves nothing at its place), and says so in the
/// fire's `result`. While it runs, `result` says how far it has come. One that does not run just now is answered with 409.
#[utoipa::path(post, path = "/schedules/{name}/cancel", tag = "Schedules",
    params(("name" = String, Path, description = "The job's name")), request_body = Nothing,
    responses((status = 200, description = "The schedule; `last_result` says who broke it off", body = Schedule)))]
async fn cancel(
    State(app): State<App>,
    Place(name): Place<String>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    answer::row(&rules::cancel(app.store(), &me.actor, &name).await?)
}
