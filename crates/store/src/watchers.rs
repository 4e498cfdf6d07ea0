//! `watchers`, the events they have seen, and their cursors.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    run::whole,
    statement::statements,
    value::{Scalar, row},
};

row! {
    /// A watcher. It acts for the user who made it.
    pub struct Watcher {
        /// Id.
        pub id: Uuid,
        /// Name.
        pub name: String,
        /// What it watches: `folder`, `imap`, `feed` …
        pub watcher_type: String,
        /// What its kind needs.
        #[schema(value_type = Option<Object>)]
        pub config: Option<Json>,
        /// Whether it is to run.
        pub is_active: bool,
        /// When it last looked.
        pub last_run: Option<Timestamp>,
        /// What was wrong then.
        pub last_error: Option<String>,
        /// How often in a row.
        pub error_count: i32,
        /// When made.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// Whose.
        pub created_by: Option<Uuid>,
    }
}

row! {
    /// An event that was noted.
    pub struct KnownEvent {
        /// Its key.
        pub event_key: String,
        /// The task that was made of it; none where it made none, or the task is gone.
        pub task_id: Option<Uuid>,
    }
}

statements! {
    CREATE: Watcher = "watchers/create";
    LIST: Watcher = "watchers/list";
    GET: Watcher = "watchers/get";
    UPDATE: Watcher = "watchers/update";
    SET_ACTIVE: Watcher = "watchers/set_active";
    SET_CONFIG: Watcher = "watchers/set_config";
    REPORT: Watcher = "watchers/report";
    DELETE: Watcher = "watchers/delete";
    ADD_EVENT: Watcher = "watcher_events/create";
    KNOWN: Scalar<bool> = "watcher_events/known";
    KNOWN_KEYS: KnownEvent = "watcher_events/known_keys";
    PUT_CURSOR: Watcher = "watcher_cursors/put";
    GET_CURSOR: Scalar<Json> = "watcher_cursors/get";
}

/// Adds a watcher of the actor's and answers its id.
pub async fn create(actor: &Actor, on: impl Run, name: &str, watcher_type: &str, config: Json) -> Result<Uuid> {
    let id = Uuid::now_v7();
    on.execute(actor, &CREATE, vec![id.into(), name.into(), watcher_type.into(), config.into()]).await?;
    Ok(id)
}

/// Watchers the actor may see, by name; all of them, up to 10,000.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Watcher>> {
    whole(actor, on, &LIST, ("".into(), Uuid::nil().into()), |w: &Watcher| ((&w.name).into(), w.id.into())).await
}

/// One watcher.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Watcher>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// Writes a watcher's name, settings and whether it is to run. False: none such, or not allowed.
pub async fn update(actor: &Actor, on: impl Run, watcher: &Watcher) -> Result<bool> {
    let params =
        vec![watcher.id.into(), (&watcher.name).into(), watcher.config.clone().into(), watcher.is_active.into()];
    Ok(on.execute(actor, &UPDATE, params).await? > 0)
}

/// Says whether a watcher is to run. False: none such, or not allowed.
pub async fn set_active(actor: &Actor, on: impl Run, id: Uuid, is_active: bool) -> Result<bool> {
    Ok(on.execute(actor, &SET_ACTIVE, vec![id.into(), is_active.into()]).await? > 0)
}

/// Changes what its kind needs. False: none such, or not allowed.
pub async fn set_config(actor: &Actor, on: impl Run, id: Uuid, config: Json) -> Result<bool> {
    Ok(on.execute(actor, &SET_CONFIG, vec![id.into(), config.into()]).await? > 0)
}

/// Notes a look: an error counts up, none sets the count to zero. False: none such.
pub async fn report(actor: &Actor, on: impl Run, id: Uuid, error: Option<&str>) -> Result<bool> {
    Ok(on.execute(actor, &REPORT, vec![id.into(), error.into()]).await? > 0)
}

/// Removes a watcher with what it has seen. False: none such, or not allowed.
pub async fn delete(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &DELETE, vec![id.into()]).await? > 0)
}

/// Notes an event under its key. False: it was noted before, and nothing was changed.
pub async fn add_event(
    actor: &Actor,
    on: impl Run,
    watcher_id: Uuid,
    event_key: &str,
    task_id: Option<Uuid>,
    source: &str,
    fingerprint: &str,
) -> Result<bool> {
    let params = vec![watcher_id.into(), event_key.into(), task_id.into(), source.into(), fingerprint.into()];
    Ok(on.execute(actor, &ADD_EVENT, params).await? > 0)
}

/// Whether an event from this source with this fingerprint was noted.
pub async fn known(actor: &Actor, on: impl Run, watcher_id: Uuid, source: &str, fingerprint: &str) -> Result<bool> {
    Ok(on.one::<Scalar<bool>>(actor, &KNOWN, vec![watcher_id.into(), source.into(), fingerprint.into()]).await?.0)
}

/// The events that were noted under these keys, each with its task.
pub async fn known_keys(actor: &Actor, on: impl Run, watcher_id: Uuid, keys: Vec<String>) -> Result<Vec<KnownEvent>> {
    on.list(actor, &KNOWN_KEYS, vec![watcher_id.into(), keys.into()]).await
}

/// Keeps how far the watcher has come.
pub async fn put_cursor(actor: &Actor, on: impl Run, watcher_id: Uuid, cursor: Json) -> Result<()> {
    on.execute(actor, &PUT_CURSOR, vec![watcher_id.into(), cursor.into()]).await.map(drop)
}

/// How far the watcher has come.
pub async fn cursor(actor: &Actor, on: impl Run, watcher_id: Uuid) -> Result<Option<Json>> {
    Ok(on.optional::<Scalar<Json>>(actor, &GET_CURSOR, vec![watcher_id.into()]).await?.map(|s| s.0))
}
