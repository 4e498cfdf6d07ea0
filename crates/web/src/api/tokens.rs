//! API tokens: made by people who are logged in, shown once.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use store::api_tokens::{self, ApiToken};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, List},
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

/// How long a token lasts where nothing is said.
const DAYS: u32 = 90;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, revoke))
}

/// Your API tokens, newest first
///
/// With `user_id` another's, for whoever may see them.
#[utoipa::path(get, path = "/tokens", tag = "Tokens", params(
    ("user_id" = Option<Uuid>, Query, description = "Whose tokens"),
    ("ended" = Option<bool>, Query, description = "Those too that are revoked or over"),
    ("limit" = Option<i64>, Query, description = "How many at most, 1 to 200", minimum = 1, maximum = 200),
), responses((status = 200, description = "The tokens' rows, without the tokens", body = List<ApiToken>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["user_id", "ended", "limit"])?;
    let ended = params.one_of("ended", &["true", "false"])? == Some("true");
    let user = params.id("user_id")?.unwrap_or(me.user_id());
    answer::whole(api_tokens::list(&me.actor, app.store(), Some(user), ended, params.limit()?).await?)
}

/// What a new token needs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it is for, 1–100 characters.
    name: String,
    /// How far it reaches: read, tasks, decide, notifications, logs, watchers, servers, policies, users, system.
    scopes: Vec<String>,
    /// How long it lasts: 1 to 366 days.
    #[serde(default = "days")]
    days: u32,
    /// The agent as which it acts; without it, oneself.
    #[serde(default)]
    user_id: Option<Uuid>,
}

fn days() -> u32 {
    DAYS
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Made {
    /// The token itself, shown this once.
    token: String,
    /// Its row.
    #[serde(flatten)]
    row: ApiToken,
}

/// Make an API token
///
/// For people who are logged in. The token is shown this once. An agent's can never decide.
#[utoipa::path(post, path = "/tokens", tag = "Tokens", request_body = NewToken,
    responses((status = 201, description = "The new token", body = Made)))]
async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewToken>) -> Result<Response> {
    let NewToken { name, scopes, days, user_id } = new;
    let new = domain::tokens::NewToken { user_id, name, scopes, days };
    let (token, row) = domain::tokens::create(app.store(), &me.actor, new).await?;
    let place = format!("/v1/tokens/{}", row.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(Made { token, row })).into_response())
}

/// One API token's row
#[utoipa::path(get, path = "/tokens/{id}", tag = "Tokens", params(("id" = Uuid, Path, description = "The token")),
    responses((status = 200, description = "Its row", body = ApiToken)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    let found = api_tokens::get(&me.actor, app.store(), id).await?;
    answer::row(&found.ok_or_else(|| Fault::not_found("token"))?)
}

/// Revoke an API token
///
/// It ends at once, on every node. Its row stays, for the record.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "Tokens", params(("id" = Uuid, Path, description = "The token")),
    responses((status = 204, description = "It is revoked")))]
async fn revoke(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    domain::tokens::revoke(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
