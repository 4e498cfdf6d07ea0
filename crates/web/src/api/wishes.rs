//! How you want to be told, and a test of each way.

use axum::{extract::State, http::HeaderMap, response::Response};
use domain::telling::{self, WAYS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{self, IfMatch},
    patch::Patch,
};
use crate::{
    app::App,
    body::{SignedJson, SignedPatch},
    desk,
    fault::{Fault, Result},
    hands::Told,
    params::Params,
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change)).routes(routes!(test))
}

/// How you want to be told
#[utoipa::path(get, path = "/notifications/wishes", tag = "Notifications",
    responses((status = 200, description = "Your wishes, as docs/notifications.md describes them", body = Object)))]
async fn show(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&telling::wishes(app.store(), &me.actor).await?)
}

/// Change how you want to be told
#[utoipa::path(patch, path = "/notifications/wishes", tag = "Notifications", request_body = Object,
    responses((status = 200, description = "Your wishes as they stand now", body = Object)))]
async fn change(State(app): State<App>, headers: HeaderMap, SignedPatch(me, body): SignedPatch) -> Result<Response> {
    let (patch, expected) = (Patch::of(body)?, IfMatch::of(&headers)?);
    let before = telling::wishes(app.store(), &me.actor).await?;
    expected.check(&before)?;
    let wishes = patch.apply(&before)?;
    let wishes = serde_json::to_value(wishes).map_err(|e| Fault::internal(e.to_string()))?;
    telling::set_wishes(app.store(), &me.actor, &wishes).await?;
    answer::row(&telling::wishes(app.store(), &me.actor).await?)
}

/// The way to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WayToTry {
    /// `email`, `push` or `sms`.
    channel: String,
}

/// What became of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// `sent`, `under_way` or `failed`.
    state: &'static str,
    /// Why it failed.
    error: Option<String>,
}

/// Send yourself a test
#[utoipa::path(post, path = "/notifications/test", tag = "Notifications", request_body = WayToTry,
    responses((status = 200, description = "What became of it", body = Outcome)))]
async fn test(State(app): State<App>, SignedJson(me, way): SignedJson<WayToTry>) -> Result<Response> {
    if !WAYS.contains(&way.channel.as_str()) {
        return Err(Fault::invalid("channel", format!("the channel must be one of: {}", WAYS.join(", "))));
    }
    let outcome = match desk::try_way(&app, &me, &way.channel).await? {
        Told::Sent => Outcome { state: "sent", error: None },
        Told::UnderWay => Outcome { state: "under_way", error: None },
        Told::Failed(why) => Outcome { state: "failed", error: Some(why) },
    };
    answer::row(&outcome)
}
