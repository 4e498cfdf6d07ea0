//! The JSON API under `/v1`: rows as they are in the store, lists with a cursor, problem documents for refusals.
//!
//! A route and its description are one line (`routes!`), so that neither can be without the other.

mod answer;
mod approvals;
pub(crate) mod attachments;
mod audit;
mod auth;
mod briefing;
mod changes;
mod conditional;
mod facts;
mod handbook;
mod idempotency;
mod logs;
mod memories;
mod notifications;
pub(crate) mod openapi;
mod pages;
mod passkeys;
mod patch;
mod playbooks;
mod policies;
mod push;
mod runs;
mod schedules;
mod second_factor;
mod servers;
mod status;
mod task_moves;
mod tasks;
mod tokens;
mod users;
mod watchers;
mod wishes;

use std::sync::LazyLock;

use axum::{
    Router,
    body::Bytes,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tower_http::compression::{
    CompressionLayer, Predicate,
    predicate::{DefaultPredicate, SizeAbove},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::answer::names;
use crate::{app::App, events, fault::Problem};

/// Answers smaller than this are not worth the work of making them smaller.
const COMPRESSED_BYTES: u64 = 1024;

/// The body that carries nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What every operation may answer.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Refusals;

/// Every route with its description.
fn described() -> (Router<App>, utoipa::openapi::OpenApi) {
    let api = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(second_factor::routes())
        .merge(passkeys::routes())
        .merge(tokens::routes())
        .merge(events::routes())
        .merge(tasks::routes())
        .merge(task_moves::routes())
        .merge(runs::routes())
        .merge(attachments::routes())
        .merge(approvals::routes())
        .merge(watchers::routes())
        .merge(servers::routes())
        .merge(policies::routes())
        .merge(playbooks::routes())
        .merge(handbook::routes())
        .merge(memories::routes())
        .merge(notifications::routes())
        .merge(wishes::routes())
        .merge(push::routes())
        .merge(users::routes())
        .merge(schedules::routes())
        .merge(logs::routes())
        .merge(audit::routes())
        .merge(status::routes())
        .merge(briefing::routes())
        .routes(routes!(description));
    OpenApiRouter::with_openapi(<Refusals as utoipa::OpenApi>::openapi()).nest("/v1", api).split_for_parts()
}

/// The API's addresses.
pub(crate) fn routes(app: &App) -> Router<App> {
    // What may be had in parts goes out as it is: its tag and its bytes' numbers are those of the content.
    let in_parts =
        |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| !headers.contains_key(header::ACCEPT_RANGES);
    let small = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_BYTES)).and(in_parts);
    described()
        .0
        .layer(middleware::from_fn_with_state(app.clone(), idempotency::once))
        .layer(middleware::from_fn(conditional::conditional))
        .layer(CompressionLayer::new().compress_when(small))
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "System",
    responses((status = 200, description = "The API in OpenAPI 3.1", body = Object)))]
async fn description() -> Response {
    /// Written and hashed once.
    static WRITTEN: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
        let text = Bytes::from(openapi::DOCUMENT.to_string());
        let tag = answer::tag_of(&text);
        (text, tag)
    });
    let (text, tag) = WRITTEN.clone();
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json")), (header::ETAG, tag)];
    (headers, text).into_response()
}
