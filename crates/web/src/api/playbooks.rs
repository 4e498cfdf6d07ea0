//! Written steps that the employee follows.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::{
    playbook::{self, draft::Draft},
    playbooks as rules, promote,
    rerun::{self, Replayed},
};
use serde::{Deserialize, Serialize};
use store::playbooks::{self, KeptPlaybook};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, List},
    changes::Removal,
};
use crate::{
    PlaybookEntry,
    app::App,
    body::SignedJson,
    desk,
    fault::{Fault, Result},
    params::{Id, Params, Place},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, keep))
        .routes(routes!(check))
        .routes(routes!(replay))
        .routes(routes!(get, remove))
        .routes(routes!(on))
        .routes(routes!(off))
        .routes(routes!(draft))
}

/// The playbooks at hand: the owner's files, those that are kept here, and those that come with Steward
#[utoipa::path(get, path = "/playbooks", tag = "Playbooks",
    responses((status = 200, description = "All of them, files first", body = List<PlaybookEntry>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&[])?;
    let kept = playbooks::list(&me.actor, app.store()).await?;
    let at_hand = app.state.playbooks.clone();
    let found = tokio::task::spawn_blocking(move || {
        let kept = kept.into_iter().map(|kept| {
            let (description, errors) = rules::described(&kept);
            PlaybookEntry { name: kept.name, description, origin: "kept here".to_owned(), is_on: kept.is_on, errors }
        });
        at_hand.all().into_iter().chain(kept).collect::<Vec<_>>()
    });
    answer::whole(found.await.map_err(|e| Fault::internal(e.to_string()))?)
}

/// What a playbook shall be made of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DraftWish {
    /// Its name: letters, digits, `-`, `_` and `.`, at most 100; without it, one after the watcher and the task.
    #[serde(default)]
    name: Option<String>,
}

/// Make a playbook draft of what a model did for a task
///
/// The calls that succeeded, in their order; what came from the event or from an earlier result as templates. Nothing is kept.
#[utoipa::path(post, path = "/tasks/{id}/promote", tag = "Playbooks", params(("id" = Uuid, Path, description = "The task")),
    request_body = DraftWish, responses((status = 200, description = "The draft", body = Draft)))]
async fn draft(State(app): State<App>, Id(id): Id, SignedJson(me, wish): SignedJson<DraftWish>) -> Result<Response> {
    answer::json(StatusCode::OK, &promote::promote(app.store(), &me.actor, id, wish.name.as_deref()).await?)
}

/// A playbook to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPlaybook {
    /// The YAML, at most 256 KiB.
    source: String,
    /// The task whose work it was made of.
    #[serde(default)]
    task_id: Option<Uuid>,
}

/// Keep a playbook, switched off; for administrators
#[utoipa::path(post, path = "/playbooks", tag = "Playbooks", request_body = NewPlaybook,
    responses((status = 201, description = "The playbook", body = KeptPlaybook)))]
async fn keep(State(app): State<App>, SignedJson(me, new): SignedJson<NewPlaybook>) -> Result<Response> {
    let kept = desk::keep_playbook(&app, &me.actor, new.source, new.task_id).await?;
    answer::created(&format!("/v1/playbooks/{}", kept.name), &kept)
}

/// A playbook that is kept here, with its text
#[utoipa::path(get, path = "/playbooks/{name}", tag = "Playbooks",
    params(("name" = String, Path, description = "The playbook's name")),
    responses((status = 200, description = "The playbook", body = KeptPlaybook)))]
async fn get(State(app): State<App>, me: Signed, Place(name): Place<String>, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&rules::named(&me.actor, app.store(), &name).await?)
}

/// Switch a playbook on; for administrators
///
/// From now on it takes the tasks that name no playbook and that its `match` fits.
#[utoipa::path(post, path = "/playbooks/{name}/on", tag = "Playbooks",
    params(("name" = String, Path, description = "The playbook's name")), request_body = Nothing,
    responses((status = 200, description = "The playbook as it stands now", body = KeptPlaybook)))]
async fn on(
    State(app): State<App>,
    Place(name): Place<String>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    answer::row(&rules::switch(app.store(), &me.actor, &name, true).await?)
}

/// Switch a playbook off; for administrators
#[utoipa::path(post, path = "/playbooks/{name}/off", tag = "Playbooks",
    params(("name" = String, Path, description = "The playbook's name")), request_body = Nothing,
    responses((status = 200, description = "The playbook as it stands now", body = KeptPlaybook)))]
async fn off(
    State(app): State<App>,
    Place(name): Place<String>,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<Response> {
    answer::row(&rules::switch(app.store(), &me.actor, &name, false).await?)
}

/// Remove a playbook that is kept here; for administrators
///
/// Runs that it led keep its text.
#[utoipa::path(delete, path = "/playbooks/{name}", tag = "Playbooks",
    params(("name" = String, Path, description = "The playbook's name")),
    responses((status = 204, description = "It is gone")))]
async fn remove(State(app): State<App>, Place(name): Place<String>, removal: Removal) -> Result<Response> {
    let kept = rules::named(&removal.0.actor, app.store(), &name).await?;
    removal.check(&app, ("playbook", kept.id), &kept).await?;
    rules::remove(app.store(), &removal.0.actor, &name).await?;
    Ok(answer::done())
}

/// A playbook to be tried on the past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaybookTrial {
    /// The YAML, at most 256 KiB.
    source: String,
    /// Only what this watcher noticed, also what the playbook is not for.
    #[serde(default)]
    watcher: Option<String>,
    /// So many past events, the newest: 1 to 50.
    #[serde(default = "ten")]
    last: usize,
}

fn ten() -> usize {
    10
}

/// What a playbook would do with past events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlaybookTried {
    /// How many of them would be done otherwise.
    differ: usize,
    /// The events, newest first.
    events: Vec<Replayed>,
}

/// Say what a playbook would do with past events
///
/// Which it is for, which calls it would make beside those that were made, and what the rules would say. Nothing is called or
/// written. A call answers what the same call answered then; where none was made, it stops there.
#[utoipa::path(post, path = "/playbooks/replay", tag = "Playbooks", request_body = PlaybookTrial,
    responses((status = 200, description = "What would differ", body = PlaybookTried)))]
async fn replay(State(app): State<App>, SignedJson(me, trials): SignedJson<PlaybookTrial>) -> Result<Response> {
    let playbook = desk::read_playbook(trials.source).await?;
    let span = rerun::Span { watcher: trials.watcher, first: None, last: trials.last };
    let events = rerun::replay(app.store(), &me.actor, &playbook, &span).await?;
    answer::json(StatusCode::OK, &PlaybookTried { differ: events.iter().filter(|e| e.differs()).count(), events })
}

/// A playbook's text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    /// The YAML, at most 64 KiB.
    source: String,
}

/// A step of a playbook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outline {
    /// Its name.
    name: String,
    /// The server it calls.
    server: String,
    /// The tool it calls.
    tool: String,
}

/// A mistake in a playbook's text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mistake {
    /// Line, from 1.
    line: usize,
    /// Column, from 1, in characters.
    column: usize,
    /// What is wrong and what to do about it.
    message: String,
}

/// What was found in a playbook's text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    /// Whether it can be used.
    is_right: bool,
    /// Its name.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Its steps in the order of the text.
    steps: Vec<Outline>,
    /// Every mistake, in the order of the lines.
    errors: Vec<Mistake>,
}

/// Check a playbook's text
///
/// Nothing is kept and nothing runs; every mistake is named with its line and column.
#[utoipa::path(post, path = "/playbooks/check", tag = "Playbooks", request_body = Text,
    responses((status = 200, description = "What was found", body = Checked)))]
async fn check(State(_): State<App>, SignedJson(_, text): SignedJson<Text>) -> Result<Response> {
    if text.source.len() > playbook::MAX_SOURCE_BYTES {
        return Err(Fault::invalid(
            "source",
            format!("the text has {} bytes; a playbook has at most {}", text.source.len(), playbook::MAX_SOURCE_BYTES),
        ));
    }
    // Reading YAML and its templates is work for a thread that may be busy.
    let read = tokio::task::spawn_blocking(move || playbook::parse(&text.source)).await;
    let checked = match read.map_err(|e| Fault::internal(e.to_string()))? {
        Ok(playbook) => Checked {
            is_right: true,
            name: Some(playbook.name().to_owned()),
            description: playbook.description().map(str::to_owned),
            steps: playbook
                .steps()
                .iter()
                .map(|s| Outline { name: s.name.to_owned(), server: s.server.to_owned(), tool: s.tool.to_owned() })
                .collect(),
            errors: Vec::new(),
        },
        Err(errors) => Checked {
            is_right: false,
            name: None,
            description: None,
            steps: Vec::new(),
            errors: errors
                .into_iter()
                .map(|e| Mistake { line: e.line, column: e.column, message: e.message })
                .collect(),
        },
    };
    answer::json(StatusCode::OK, &checked)
}
