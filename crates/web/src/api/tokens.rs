//! API tokens: made by people who are logged in, shown once.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use store::api_tokens::{self, ApiToken};
use uuid::Uuid;

use super::{List, auth::Nothing};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

/// How long a token lasts where nothing is said.
const DAYS: u32 = 90;

/// `GET /v1/tokens`: one's own, or with `user_id` another's, for who may see them; newest first.
pub(crate) async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Json<List<ApiToken>>> {
    params.only(&["user_id", "ended", "limit"])?;
    let ended = params.one_of("ended", &["true", "false"])? == Some("true");
    let user = params.id("user_id")?.unwrap_or(me.user_id());
    Ok(List::whole(api_tokens::list(&me.actor, app.store(), Some(user), ended, params.limit()?).await?))
}

/// What a new token needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
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
#[derive(Serialize)]
pub(crate) struct Made {
    /// The token itself, shown this once.
    token: String,
    #[serde(flatten)]
    row: ApiToken,
}

/// `POST /v1/tokens`
pub(crate) async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewToken>) -> Result<Response> {
    let NewToken { name, scopes, days, user_id } = new;
    let new = domain::tokens::NewToken { user_id, name, scopes, days };
    let (token, row) = domain::tokens::create(app.store(), &me.actor, new).await?;
    let place = format!("/v1/tokens/{}", row.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(Made { token, row })).into_response())
}

/// `GET /v1/tokens/{id}`
pub(crate) async fn get(State(app): State<App>, me: Signed, Id(id): Id) -> Result<Json<ApiToken>> {
    let found = api_tokens::get(&me.actor, app.store(), id).await?;
    Ok(Json(found.ok_or_else(|| Fault::not_found("token"))?))
}

/// `DELETE /v1/tokens/{id}`: revokes it; its row stays, for the record.
pub(crate) async fn revoke(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    domain::tokens::revoke(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
