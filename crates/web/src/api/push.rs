//! Pushes to browsers: one's own, each of which asked its reader first.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::web_push;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::push_subscriptions::PushSubscription;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Nothing,
    answer::{self, List},
};
use crate::{
    app::App,
    body::SignedJson,
    fault::Result,
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(key)).routes(routes!(list, subscribe)).routes(routes!(unsubscribe))
}

/// The key by which a browser knows who sends.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PushKey {
    /// For `applicationServerKey` of `pushManager.subscribe`, in base 64 for addresses.
    key: String,
}

/// The key by which a browser knows who sends
#[utoipa::path(get, path = "/push/key", tag = "Notifications",
    responses((status = 200, description = "Its public half", body = PushKey)))]
async fn key(State(app): State<App>, _: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    let hands = &app.state.hands;
    let key = web_push::key(app.store(), &app.state.vault, || hands.make_push_key()).await?;
    answer::json(StatusCode::OK, &PushKey { key: hands.push_public(&key)? })
}

/// Your browsers that are told, newest first
#[utoipa::path(get, path = "/push/subscriptions", tag = "Notifications",
    responses((status = 200, description = "The browsers, without their addresses", body = List<PushSubscription>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::whole(web_push::list(app.store(), &me.actor).await?)
}

/// A browser that asks to be told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBrowser {
    /// What you call it, 1–100 characters.
    name: String,
    /// What `pushManager.subscribe` answered: `endpoint` and `keys` with `p256dh` and `auth`; sealed, and never shown again.
    #[schema(value_type = Object)]
    subscription: Value,
}

/// What a browser gives, as it is kept: what stands in `keys` beside the address.
fn flat(mut subscription: Value) -> Value {
    if let Some(map) = subscription.as_object_mut() {
        map.remove("expirationTime");
        if let Some(Value::Object(keys)) = map.remove("keys") {
            map.extend(keys);
        }
    }
    subscription
}

/// Have a browser told from now on
///
/// Messages go over its maker's service, encrypted for the browser alone: a title, and where it leads.
#[utoipa::path(post, path = "/push/subscriptions", tag = "Notifications", request_body = NewBrowser,
    responses((status = 201, description = "The browser", body = PushSubscription)))]
async fn subscribe(State(app): State<App>, SignedJson(me, new): SignedJson<NewBrowser>) -> Result<Response> {
    let browser = flat(new.subscription);
    let endpoint = app.state.hands.check_browser(&browser)?;
    let kept = web_push::subscribe(app.store(), &app.state.vault, &me.actor, &new.name, (&endpoint, &browser)).await?;
    answer::json(StatusCode::CREATED, &kept)
}

/// Tell a browser no more
#[utoipa::path(delete, path = "/push/subscriptions/{id}", tag = "Notifications",
    params(("id" = Uuid, Path, description = "The browser")), responses((status = 204, description = "It is told no more")))]
async fn unsubscribe(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    web_push::unsubscribe(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
