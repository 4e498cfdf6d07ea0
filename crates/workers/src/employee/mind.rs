//! What a model notes and asks to be reminded of. Neither is a call to anybody: both only meet the memory, and its bounds.

use domain::{
    brain::{AskedCall, OWN_SERVER, REMEMBER},
    memory::{self, Noted},
    work::{PlannedCall, Work, Worker},
};
use serde_json::Value as Json;
use store::{memories, tasks::Task};

use super::{Employee, Turn};
use crate::{Result, checkpoint};

/// Facts that one run may note, and how often it may look for some.
const MOST_TIMES: usize = 20;

impl Employee {
    /// What is remembered for whoever wants the task done, as its work begins.
    pub(super) async fn remembered(&self, worker: &Worker, task: &Task) -> Result<Vec<Noted>> {
        let person = domain::tasks::wanted_by(&worker.actor, &self.store, task).await?;
        Ok(match person {
            Some(person) => memory::told(memories::told(&worker.actor, &self.store, person).await?),
            None => Vec::new(),
        })
    }

    /// Notes a fact, or looks for some.
    pub(super) async fn mind(
        &self,
        worker: &Worker,
        work: &Work,
        planned: PlannedCall,
        call: &AskedCall,
    ) -> Result<Turn> {
        let text = |name: &str| call.arguments.get(name).and_then(Json::as_str).unwrap_or_default();
        let times = work.steps.iter().filter(|s| s.server == OWN_SERVER && s.tool == call.name).count();
        if times >= MOST_TIMES {
            let reason =
                format!("{} was called {MOST_TIMES} times in this work, which is as often as it may be", call.name);
            return self.not_made(worker, work, planned, reason).await;
        }
        if call.name == REMEMBER {
            match memory::checked(text("fact")) {
                Ok(fact) => worker.remember(&self.store, work, planned, fact).await?,
                Err(e) => return self.not_made(worker, work, planned, e.to_string()).await,
            }
        } else {
            worker.recall(&self.store, work, planned, text("words").chars().take(500).collect()).await?;
        }
        checkpoint::reached("memory met");
        Ok(Turn::Again)
    }
}
