//! The handbook, and the language models that read it.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::brain::limits::Limits;
use serde::{Deserialize, Serialize};
use store::{
    handbook::{self, Handbook},
    model_turns::{self, DaySpend, ModelSpend},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{self, Fields, List},
    pages::{Page, cut},
};
use crate::{app::App, body::SignedJson, desk, fault::Result, hands::ModelEntry, params::Params, session::Signed};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, save)).routes(routes!(models))
}

/// Versions of the handbook, newest first
///
/// The first one counts. Each is kept for good; the newest 200 are listed.
#[utoipa::path(get, path = "/handbook", tag = "Handbook", params(Page),
    responses((status = 200, description = "A page of versions", body = List<Handbook>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[Handbook::COLUMNS])?;
    let found = handbook::list(&me.actor, app.store()).await?;
    fields.page(cut(found, &params, |h: &Handbook| h.version.to_string())?)
}

/// A version to be saved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewVersion {
    /// The version that you have read and write on top of; 0 where nothing was written yet.
    read: i32,
    /// The whole of it: Markdown, at most 100,000 characters.
    content: String,
}

/// Save a version of the handbook
///
/// Whoever has read an older version than the one that stands is told so (409), and nothing is saved.
#[utoipa::path(post, path = "/handbook", tag = "Handbook", request_body = NewVersion,
    responses((status = 201, description = "The new version", body = Handbook)))]
async fn save(State(app): State<App>, SignedJson(me, new): SignedJson<NewVersion>) -> Result<(StatusCode, Response)> {
    let saved = domain::handbook::save(app.store(), &me.actor, new.read, new.content).await?;
    Ok((StatusCode::CREATED, answer::row(&saved)?))
}

/// The language models.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllModels {
    /// Those that are set up.
    models: Vec<ModelEntry>,
    /// What work may use up.
    #[schema(value_type = Object)]
    limits: Limits,
    /// What each used in all.
    spent: Vec<ModelSpend>,
    /// What each used on each of the last 30 UTC days.
    days: Vec<DaySpend>,
    /// For how many milliseconds all tasks together were at work on this UTC day; what people took to answer is not in it.
    worked_today_ms: i64,
    /// For how many in all.
    worked_ms: i64,
}

/// The language models, what each used, and the limits
#[utoipa::path(get, path = "/models", tag = "Handbook",
    responses((status = 200, description = "The models", body = AllModels)))]
async fn models(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    let at_hand = desk::models(&app).await?;
    let (actor, on) = (&me.actor, app.store());
    let (spent, days, today, ever) = tokio::try_join!(
        model_turns::spent_by_model(actor, on),
        model_turns::spent_by_day(actor, on),
        model_turns::worked(actor, on, true),
        model_turns::worked(actor, on, false),
    )?;
    let (worked_today_ms, worked_ms) = (today.worked_ms, ever.worked_ms);
    answer::row(&AllModels { models: at_hand.entries, limits: at_hand.limits, spent, days, worked_today_ms, worked_ms })
}
