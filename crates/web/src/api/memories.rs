//! Facts that the employee remembers.

use axum::{extract::State, response::Response};
use domain::{Error, memory};
use serde::{Deserialize, Serialize};
use store::{
    memories::{self, Memory},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{self, Fields, List},
    changes::{self, Change, Removal},
    pages::{Page, cut},
    patch::Patch,
};
use crate::{
    app::App,
    body::SignedJson,
    fault::Result,
    params::{Id, Params},
    session::Signed,
};

/// Facts that a list goes through.
const ALL: i64 = 2000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(get, change, forget))
}

/// What the employee remembers, newest first
///
/// Facts for your own work and for everybody's; administrators see all. Each says where it is from, and whether it was learned
/// from outside content. The newest 2,000 are listed.
#[utoipa::path(get, path = "/memories", tag = "Handbook", params(Page),
    responses((status = 200, description = "A page of facts", body = List<Memory>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[Memory::COLUMNS])?;
    let found = memories::list(&me.actor, app.store(), ALL).await?;
    fields.page(cut(found, &params, |m| m.id.to_string())?)
}

/// A fact that a person tells.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFact {
    /// The fact, 1–1000 characters.
    content: String,
    /// Whether it is for everybody's work, which is for administrators to say; else it is for your own.
    #[serde(default)]
    is_for_all: bool,
}

/// Tell the employee a fact
#[utoipa::path(post, path = "/memories", tag = "Handbook", request_body = NewFact,
    responses((status = 201, description = "The fact", body = Memory)))]
async fn add(State(app): State<App>, SignedJson(me, new): SignedJson<NewFact>) -> Result<Response> {
    let memory = memory::add(app.store(), &me.actor, &new.content, new.is_for_all).await?;
    answer::created(&format!("/v1/memories/{}", memory.id), &memory)
}

/// One fact
#[utoipa::path(get, path = "/memories/{id}", tag = "Handbook", params(("id" = Uuid, Path, description = "The fact")),
    responses((status = 200, description = "The fact", body = Memory)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&[])?;
    answer::row(&memory::get(&me.actor, app.store(), id).await?)
}

/// What can be changed of a fact.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FactEdit {
    /// The fact, 1–1000 characters.
    content: String,
}

fn patched(patch: &Patch, memory: Memory) -> std::result::Result<Memory, Error> {
    let FactEdit { content } = patch.apply(&FactEdit { content: memory.content })?;
    Ok(Memory { content, ..memory })
}

/// Change a fact's words
///
/// What was learned from outside content stays marked so.
#[utoipa::path(patch, path = "/memories/{id}", tag = "Handbook", params(("id" = Uuid, Path, description = "The fact")),
    request_body = FactEdit, responses((status = 200, description = "The fact as it stands now", body = Memory)))]
async fn change(State(app): State<App>, Change(me, id, wanted): Change) -> Result<Response> {
    let changed = memory::edit(app.store(), &me.actor, id, move |memory| wanted.of(memory, patched));
    changes::answer(&app, &me, ("memory", id), changed).await
}

/// Forget a fact
#[utoipa::path(delete, path = "/memories/{id}", tag = "Handbook", params(("id" = Uuid, Path, description = "The fact")),
    responses((status = 204, description = "It is gone")))]
async fn forget(State(app): State<App>, Id(id): Id, removal: Removal) -> Result<Response> {
    let row = memory::get(&removal.0.actor, app.store(), id).await?;
    removal.check(&app, ("memory", id), &row).await?;
    memory::forget(app.store(), &removal.0.actor, id).await?;
    Ok(answer::done())
}
