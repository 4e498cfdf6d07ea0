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
mod ids;
mod logs;
mod memories;
mod notifications;
pub(crate) mod openapi;
pub(crate) mod pages;
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

/// Its parts; each has its routes with their descriptions.
const PARTS: [fn() -> OpenApiRouter<App>; 27] = [
    auth::routes,
    second_factor::routes,
    passkeys::routes,
    tokens::routes,
    events::routes,
    tasks::routes,
    task_moves::routes,
    runs::routes,
    attachments::routes,
    approvals::routes,
    watchers::routes,
    servers::routes,
    policies::routes,
    playbooks::routes,
    handbook::routes,
    memories::routes,
    notifications::routes,
    wishes::routes,
    push::routes,
    users::routes,
    schedules::routes,
    logs::routes,
    audit::routes,
    status::routes,
    briefing::routes,
    ids::routes,
    own_routes,
];

fn own_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(description))
}

/// The description of every route.
fn described() -> utoipa::openapi::OpenApi {
    let api = PARTS.iter().fold(OpenApiRouter::new(), |all, part| all.merge(part()));
    OpenApiRouter::with_openapi(<Refusals as utoipa::OpenApi>::openapi()).nest("/v1", api).into_openapi()
}

/// The API's addresses.
pub(crate) fn routes(app: &App) -> Router<App> {
    // Part by part, so that memory never holds the description of all of them: few ever ask for it.
    let api = PARTS.iter().fold(Router::new(), |all, part| all.merge(part().split_for_parts().0));
    let plain = Router::new()
        .nest("/v1", api)
        .layer(middleware::from_fn_with_state(app.clone(), idempotency::once))
        .layer(middleware::from_fn(conditional::conditional));
    compressed(plain)
}

/// With answers as gzip or zstd for whoever takes them so. Not for pages with forms: they hold the session's token beside
/// words that an address can bring, and the length of the two together would tell of the token.
pub(crate) fn compressed(routes: Router<App>) -> Router<App> {
    // What may be had in parts goes out as it is: its tag and its bytes' numbers are those of the content.
    let in_parts =
        |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| !headers.contains_key(header::ACCEPT_RANGES);
    let small = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_BYTES)).and(in_parts);
    routes.layer(CompressionLayer::new().compress_when(small))
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
