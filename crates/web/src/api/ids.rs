//! Ids by their beginning, for who types them.

use axum::{extract::State, response::Response};
use domain::ids::{self, Beginning};
use store::beginnings::{Begun, KINDS, Kind};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::answer::{self, List};
use crate::{
    app::App,
    fault::{Fault, Result},
    params::Params,
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find))
}

/// Which rows' ids begin so
///
/// At most six of those that you may see, by id: where it is more than one, more of the id must be said.
#[utoipa::path(get, path = "/ids", tag = "System", params(
    ("kind" = String, Query, description = "What it is the id of"),
    ("begins" = String, Query, description = "The first 8 digits or more, with or without hyphens", min_length = 8, max_length = 36),
), responses((status = 200, description = "The rows", body = List<Begun>)))]
async fn find(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["kind", "begins"])?;
    let kind = params.one_of("kind", &KINDS)?.and_then(Kind::of);
    let kind = kind.ok_or_else(|| Fault::invalid("kind", format!("say what it is the id of: {}", KINDS.join(", "))))?;
    let begins = params.get("begins").unwrap_or_default().parse::<Beginning>();
    let begins = begins.map_err(|why| Fault::invalid("begins", why))?;
    answer::whole(ids::find(app.store(), &me.actor, kind, &begins).await?)
}
