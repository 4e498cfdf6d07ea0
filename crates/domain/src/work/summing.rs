//! Summaries of old turns in the journal: the question to the model and the step it is asked for begin and end together.

use serde_json::{Value as Json, json};
use store::{
    Store,
    model_turns::{self, NewTurn, TurnEnd},
    runs,
};
use uuid::Uuid;

use super::{PlannedCall, Work, Worker, new_step};
use crate::{
    Result,
    brain::{OWN_SERVER, SUM_UP, summary},
    playbook::{canonical_json, sha256_hex},
};

impl Worker {
    /// Writes down that a model is going to be asked to sum up everything through a turn; answers the ids of the question and
    /// of the step.
    pub async fn begin_summary(
        &self,
        store: &Store,
        work: &Work,
        turn: NewTurn,
        through: i32,
    ) -> Result<(Option<Uuid>, Uuid)> {
        let text = canonical_json(&json!(summary::Stretch { through, turn: turn.ordinal, outside: work.is_outside() }));
        let call = PlannedCall {
            step: summary::step_name(through),
            server: OWN_SERVER.to_owned(),
            tool: SUM_UP.to_owned(),
            arguments_sha256: sha256_hex(&text),
            arguments: text,
        };
        let step = new_step(work, call, "planned", None, None);
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let turn = model_turns::ask(&actor, tx, &turn).await?;
                Ok((Some(turn), runs::add_step(&actor, tx, &step).await?))
            })
        })
        .await
    }

    /// Writes down what came of it. Nothing changes the second time.
    pub async fn end_summary(
        &self,
        store: &Store,
        work: &Work,
        (turn, step): (Option<Uuid>, Uuid),
        end: TurnEnd,
        came: Result<Json, String>,
    ) -> Result<()> {
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                if let Some(turn) = turn {
                    model_turns::end(&actor, tx, turn, &end).await?;
                }
                let (state, result, error) = match came {
                    Ok(said) => ("succeeded", Some(said.to_string()), None),
                    Err(why) => ("failed", None, Some(why)),
                };
                runs::end_step(&actor, tx, step, state, result.as_deref(), error.as_deref()).await?;
                Ok(())
            })
        })
        .await
    }
}
