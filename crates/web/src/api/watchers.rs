//! Watchers: what notices things outside.

use axum::{extract::State, response::Response};
use domain::watchers::{CREDENTIALS, DECIDES, shown};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    value::FromRow,
    watchers::{self, Watcher},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, Fields, List},
    changes::{self, Change, Removal, Wanted},
    pages::{Page, cut},
    patch::Patch,
};
use crate::{
    app::App,
    body::SignedJson,
    desk,
    fault::{Fault, Result},
    hands::{Preview, Settings},
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(test))
}

/// Watchers that you may see, by name
#[utoipa::path(get, path = "/watchers", tag = "Watchers", params(Page),
    responses((status = 200, description = "A page of watchers", body = List<Watcher>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[Watcher::COLUMNS])?;
    let found = watchers::list(&me.actor, app.store()).await?.into_iter().map(shown).collect();
    fields.page(cut(found, &params, |w: &Watcher| w.id.to_string())?)
}

/// A watcher to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWatcher {
    /// Name, 1–100 characters on one line; yours alone.
    name: String,
    /// What it watches, such as `folder`.
    #[serde(alias = "type")]
    watcher_type: String,
    /// What its kind needs.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Value,
    /// Passwords and tokens that its kind needs; sealed, and never shown again.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    credentials: Option<Value>,
}

/// A watcher that was added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AddedWatcher {
    /// The watcher.
    #[serde(flatten)]
    watcher: Watcher,
    /// What is to be known of it: another one watches the same folder, and what both want becomes two tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Add a watcher
///
/// It acts under your rights: what it notices becomes a task of yours. Where another one watches the same folder the answer
/// says so in `warning`.
#[utoipa::path(post, path = "/watchers", tag = "Watchers", request_body = NewWatcher,
    responses((status = 201, description = "The new watcher", body = AddedWatcher)))]
async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewWatcher>) -> Result<Response> {
    let NewWatcher { name, watcher_type, config, credentials } = new;
    domain::watchers::check_place(&me.actor, app.store(), &watcher_type, &config).await?;
    checked(&app, &me, &watcher_type, &config, credentials.as_ref()).await?;
    let new = domain::watchers::NewWatcher { name, watcher_type, config, credentials };
    let id = domain::watchers::add(app.store(), &app.state.vault, &me.actor, new).await?;
    let all = watchers::list(&me.actor, app.store()).await?;
    let watcher = shown(find(&app, &me, id).await?);
    let (address, warning) = (format!("/v1/watchers/{id}"), domain::watchers::also_watched(&all, &watcher));
    let mut answer = answer::created(&address, &watcher)?;
    if warning.is_some() {
        // The tag stays the row's, which is what it is asked for with later.
        *answer.body_mut() = answer::created(&address, &AddedWatcher { watcher, warning })?.into_body();
    }
    Ok(answer)
}

async fn checked(
    app: &App,
    me: &Signed,
    watcher_type: &str,
    config: &Value,
    credentials: Option<&Value>,
) -> Result<()> {
    if me.is_program() && config.get(DECIDES).is_some() {
        return Err(Fault::invalid(
            "config",
            "decides is set by a person, at the desk or in the terminal: no token lets a folder decide",
        ));
    }
    app.check_watcher(Settings {
        watcher_type: watcher_type.to_owned(),
        config: config.clone(),
        credentials: credentials.cloned(),
        may_reach_private: domain::watchers::may_reach_private(app.store(), &me.actor).await?,
    })
    .await
}

async fn find(app: &App, me: &Signed, id: Uuid) -> Result<Watcher> {
    watchers::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("watcher"))
}

/// One watcher
#[utoipa::path(get, path = "/watchers/{id}", tag = "Watchers", params(("id" = Uuid, Path, description = "The watcher")),
    responses((status = 200, description = "The watcher", body = Watcher)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&shown(find(&app, &me, id).await?))
}

/// What can be changed of a watcher; what is not named stays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WatcherEdit {
    /// Name, 1–100 characters on one line.
    name: String,
    /// What its kind needs; merged key by key.
    #[schema(value_type = Object)]
    config: Value,
    /// Whether it is to run.
    is_active: bool,
}

/// The watcher as the patch makes it. Sealed credentials stay as they are.
fn patched(patch: &Patch, watcher: Watcher) -> domain::Result<Watcher> {
    let sealed = watcher.config.as_ref().and_then(|c| c.get(CREDENTIALS)).cloned();
    let e = patch.apply(&WatcherEdit {
        name: watcher.name,
        config: watcher.config.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        is_active: watcher.is_active,
    })?;
    if e.config.get(CREDENTIALS) != sealed.as_ref() {
        return Err(domain::Error::invalid(
            "config",
            "credentials do not belong into the settings; add the watcher anew",
        ));
    }
    Ok(Watcher { name: e.name, config: Some(e.config), is_active: e.is_active, ..watcher })
}

/// Change a watcher
#[utoipa::path(patch, path = "/watchers/{id}", tag = "Watchers", params(("id" = Uuid, Path, description = "The watcher")),
    request_body = WatcherEdit, responses((status = 200, description = "The watcher as it stands now", body = Watcher)))]
async fn change(State(app): State<App>, Change(me, id, wanted): Change) -> Result<Response> {
    changes::answer(&app, &me, ("watcher", id), changed(&app, &me, id, wanted)).await
}

async fn changed(app: &App, me: &Signed, id: Uuid, wanted: Wanted) -> Result<Watcher> {
    // Looked at before the transaction, which waits for no disk.
    let before = find(app, me, id).await?;
    let after = patched(wanted.patch(), before.clone())?;
    if after.config != before.config
        && let Some(mut config) = after.config
    {
        let credentials = domain::watchers::credentials(&app.state.vault, &before)?;
        if let Some(settings) = config.as_object_mut() {
            settings.remove(CREDENTIALS);
        }
        domain::watchers::check(app.store(), &me.actor, &config).await?;
        domain::watchers::check_place(&me.actor, app.store(), &after.watcher_type, &config).await?;
        checked(app, me, &after.watcher_type, &config, credentials.as_ref()).await?;
    }
    let changed = domain::watcher_changes::change(app.store(), &me.actor, id, move |watcher| {
        wanted.check(&shown(watcher.clone()))?;
        patched(wanted.patch(), watcher)
    });
    Ok(shown(changed.await?))
}

async fn set_active(app: &App, me: &Signed, id: Uuid, is_active: bool) -> Result<Response> {
    let changed = domain::watcher_changes::change(app.store(), &me.actor, id, move |w| Ok(Watcher { is_active, ..w }));
    answer::row(&shown(changed.await?))
}

/// Let a watcher rest
#[utoipa::path(post, path = "/watchers/{id}/pause", tag = "Watchers",
    params(("id" = Uuid, Path, description = "The watcher")), request_body = Nothing,
    responses((status = 200, description = "The watcher as it stands now", body = Watcher)))]
async fn pause(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    set_active(&app, &me, id, false).await
}

/// Let a paused watcher go on
#[utoipa::path(post, path = "/watchers/{id}/resume", tag = "Watchers",
    params(("id" = Uuid, Path, description = "The watcher")), request_body = Nothing,
    responses((status = 200, description = "The watcher as it stands now", body = Watcher)))]
async fn resume(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    set_active(&app, &me, id, true).await
}

/// See what a watcher would make tasks of now
///
/// It looks, and nothing is changed. At most 20 tasks are shown.
#[utoipa::path(post, path = "/watchers/{id}/test", tag = "Watchers",
    params(("id" = Uuid, Path, description = "The watcher")), request_body = Nothing,
    responses((status = 200, description = "The tasks it would make", body = List<Preview>)))]
async fn test(State(app): State<App>, Id(id): Id, SignedJson(me, Nothing {}): SignedJson<Nothing>) -> Result<Response> {
    answer::whole(desk::preview(&app, &me, id).await?)
}

/// Remove a watcher with what it has seen
///
/// Its tasks stay.
#[utoipa::path(delete, path = "/watchers/{id}", tag = "Watchers", params(("id" = Uuid, Path, description = "The watcher")),
    responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, Id(id): Id, removal: Removal) -> Result<Response> {
    removal.check(&app, ("watcher", id), &shown(find(&app, &removal.0, id).await?)).await?;
    let me = removal.0;
    if watchers::delete(&me.actor, app.store(), id).await? {
        Ok(answer::done())
    } else {
        Err(Fault::refused("watchers"))
    }
}
