//! What the employee is told and remembers: the handbook and its facts.

use domain::memory as rules;
use serde_json::json;
use store::{
    handbook::{self, Handbook},
    memories::{self, Memory},
};
use uuid::Uuid;

use super::Place;
use crate::Result;

/// Versions of the handbook that are listed.
const VERSIONS: i64 = 200;

impl Place {
    /// Versions of the handbook, newest first; the first one counts.
    pub(crate) async fn handbook(&self) -> Result<Vec<Handbook>> {
        match self {
            Self::Here(ctx) => Ok(handbook::list(&ctx.actor, &ctx.store).await?),
            Self::There(there) => there.list("/v1/handbook", &[], VERSIONS).await,
        }
    }

    /// Saves a version on top of one that was read.
    pub(crate) async fn save_handbook(&self, read: i32, content: String) -> Result<Handbook> {
        match self {
            Self::Here(ctx) => Ok(domain::handbook::save(&ctx.store, &ctx.actor, read, content).await?),
            Self::There(there) => {
                there.send_json("POST", "/v1/handbook", &json!({ "read": read, "content": content })).await
            }
        }
    }

    /// What is remembered, newest first.
    pub(crate) async fn memories(&self, limit: i64) -> Result<Vec<Memory>> {
        match self {
            Self::Here(ctx) => Ok(memories::list(&ctx.actor, &ctx.store, limit).await?),
            Self::There(there) => there.list("/v1/memories", &[], limit).await,
        }
    }

    /// One fact.
    pub(crate) async fn memory(&self, id: Uuid) -> Result<Memory> {
        match self {
            Self::Here(ctx) => Ok(rules::get(&ctx.actor, &ctx.store, id).await?),
            Self::There(there) => there.get(&format!("/v1/memories/{id}"), &[]).await,
        }
    }

    /// Tells a fact.
    pub(crate) async fn add_memory(&self, fact: &str, is_for_all: bool) -> Result<Memory> {
        match self {
            Self::Here(ctx) => Ok(rules::add(&ctx.store, &ctx.actor, fact, is_for_all).await?),
            Self::There(there) => {
                let new = json!({ "content": fact, "is_for_all": is_for_all });
                there.send_json("POST", "/v1/memories", &new).await
            }
        }
    }

    /// Changes a fact's words.
    pub(crate) async fn edit_memory(&self, id: Uuid, fact: String) -> Result<Memory> {
        match self {
            Self::Here(ctx) => {
                let edit = move |memory| Ok(Memory { content: fact, ..memory });
                Ok(rules::edit(&ctx.store, &ctx.actor, id, edit).await?)
            }
            Self::There(there) => {
                there.send_json("PATCH", &format!("/v1/memories/{id}"), &json!({ "content": fact })).await
            }
        }
    }

    /// Forgets a fact.
    pub(crate) async fn forget_memory(&self, id: Uuid) -> Result<()> {
        match self {
            Self::Here(ctx) => Ok(rules::forget(&ctx.store, &ctx.actor, id).await?),
            Self::There(there) => there.tell("DELETE", &format!("/v1/memories/{id}"), &json!({})).await,
        }
    }
}
