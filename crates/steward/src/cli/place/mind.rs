//! What the employee is told and remembers, and what it thinks with: the handbook, its facts, and the models.

use domain::{brain::limits::Limits, memory as rules};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    handbook::{self, Handbook},
    memories::{self, Memory},
    model_turns::{self, DaySpend, ModelSpend, Used},
};
use uuid::Uuid;

use super::Place;
use crate::{Error, Result, cli::model};

/// Versions of the handbook that are listed.
const VERSIONS: i64 = 200;

/// The language models, with what they used, as `model list --json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Models {
    #[serde(rename = "models")]
    pub(crate) set_up: Vec<web::ModelEntry>,
    pub(crate) today: Used,
    pub(crate) ever: Used,
    pub(crate) worked_ms: WorkedMs,
    pub(crate) limits: Limits,
}

/// For how many milliseconds all tasks together were at work.
#[derive(Debug, Serialize)]
pub(crate) struct WorkedMs {
    pub(crate) today: i64,
    pub(crate) ever: i64,
}

/// What a Steward elsewhere says of its models.
#[derive(Debug, Deserialize)]
struct ModelsThere {
    models: Vec<web::ModelEntry>,
    limits: Limits,
    spent: Vec<ModelSpend>,
    days: Vec<DaySpend>,
    worked_today_ms: i64,
    worked_ms: i64,
}

impl ModelsThere {
    fn summed(self) -> Models {
        let day = store::now().to_zoned(TimeZone::UTC).date().to_string();
        let of_today = self.days.iter().filter(|row| row.day == day);
        let today = of_today.map(|row| (row.turns, row.input_tokens + row.output_tokens, row.cost_microusd));
        let ever = self.spent.iter().map(|row| (row.turns, row.input_tokens + row.output_tokens, row.cost_microusd));
        let worked_ms = WorkedMs { today: self.worked_today_ms, ever: self.worked_ms };
        Models { today: sum(today), ever: sum(ever), worked_ms, set_up: self.models, limits: self.limits }
    }
}

fn sum(used: impl Iterator<Item = (i64, i64, i64)>) -> Used {
    used.fold(Used { turns: 0, tokens: 0, cost_microusd: 0 }, |sum, (turns, tokens, cost_microusd)| Used {
        turns: sum.turns.saturating_add(turns),
        tokens: sum.tokens.saturating_add(tokens),
        cost_microusd: sum.cost_microusd.saturating_add(cost_microusd),
    })
}

impl Place {
    /// The language models that are set up, and what they used.
    pub(crate) async fn models(&self) -> Result<Models> {
        match self {
            Self::Here(ctx) => {
                let brains = model::brains(ctx).await?;
                Ok(Models {
                    set_up: crate::hands::entries(&brains),
                    today: model_turns::spent(&ctx.actor, &ctx.store, true).await?,
                    ever: model_turns::spent(&ctx.actor, &ctx.store, false).await?,
                    worked_ms: WorkedMs {
                        today: model_turns::worked(&ctx.actor, &ctx.store, true).await?.worked_ms,
                        ever: model_turns::worked(&ctx.actor, &ctx.store, false).await?.worked_ms,
                    },
                    limits: brains.limits().clone(),
                })
            }
            Self::There(there) => {
                let found: ModelsThere = there.get("/v1/models", &[]).await?;
                if found.models.is_empty() {
                    return Err(Error::refused(
                        "no language model is set up there; they are described where that Steward runs (docs/models.md)",
                    ));
                }
                Ok(found.summed())
            }
        }
    }

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
