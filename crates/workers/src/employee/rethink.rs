//! A past run gone through by another model: which calls it would ask for beside those that were made. The model is really
//! asked; nothing is called or written. What a call answers is what the same call answered then; where none was made, it stops
//! there and says so.

use domain::{
    brain::{
        self, Next, OWN_SERVER,
        limits::{self, Usage},
    },
    judging::Case,
    playbook::canonical_json,
    policy::Effect,
    rerun::{self, WasCalled, WouldCall},
    rules::rules_of,
    work::Work,
};
use serde::Serialize;
use serde_json::Value as Json;
use store::{
    Actor, Store,
    model_turns::{self, ModelTurn, Used},
    policies,
    runs::{self, Step},
    task_queue::Lease,
    tasks,
};
use uuid::Uuid;

use super::think::{Brief, offer, question};
use crate::{
    Error, Result,
    brains::{Brains, Meter},
};

/// What a model would do with a task that was done before.
#[derive(Debug, Clone, Serialize)]
pub struct Rethought {
    /// The run that was gone through.
    pub run_id: Uuid,
    /// What the model would call; where a call was not made then, that is the last.
    pub calls: Vec<WouldCall>,
    /// What was called and would not be.
    pub missing: Vec<WasCalled>,
    /// `completes`, `fails`, or `stops` where it can't be known how it would go on.
    pub ends: &'static str,
    /// The model's last words, or why it stops.
    pub words: String,
    /// What asking it used; it counts towards the day, and towards no task.
    pub used: Used,
}

impl Rethought {
    /// Whether something else would be done than was done.
    pub fn differs(&self) -> bool {
        !self.missing.is_empty() || self.calls.iter().any(|c| c.then.is_none())
    }
}

/// Books what a question outside of any task's work used: it counts towards the day, and in all.
pub async fn book(store: &Store, brains: &Brains, model: &str, used: &Meter) -> Result<()> {
    if *used == Meter::default() {
        return Ok(());
    }
    let end = brains.turn_end(model, used, Err(String::new())).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(model_turns::book(&Actor::service(), store, model, &end).await?)
}

/// Has a model go through the newest run of a task that a model led.
pub async fn rethink(store: &Store, actor: &Actor, brains: &Brains, task_id: Uuid, model: &str) -> Result<Rethought> {
    let task = domain::tasks::get(store, actor, task_id).await?;
    let led =
        runs::list(actor, store, task_id).await?.into_iter().find(|r| brain::leading_model(&r.playbook).is_some());
    let run = led.ok_or_else(|| domain::Error::Conflict("no model led the work on this task".to_owned()))?;
    let unread = || domain::Error::Conflict("what the run was begun with can't be read".to_owned());
    let brief: Brief = serde_json::from_str(&run.playbook_source).map_err(|_| unread())?;
    let (mut past, turns) = (runs::steps(actor, store, run.id).await?, model_turns::list(actor, store, run.id).await?);
    let asked = asked_for(&turns, &past);
    let lease = Lease { task_id, worker: String::new(), attempt: 0 };
    let provenance = tasks::provenance(actor, store, task_id).await?;
    let mut run = Again {
        store,
        actor,
        brains,
        model,
        turns: Vec::new(),
        work: Work { lease, task, provenance, run, steps: Vec::new() },
        calls: Vec::new(),
        used: Vec::new(),
    };
    let (ends, words) = run.go_through(&brief, &past, &asked).await?;
    past.retain(|s| ends != "stops" && s.state == "succeeded" && s.server != OWN_SERVER && !run.used.contains(&s.id));
    Ok(Rethought {
        run_id: run.work.run.id,
        missing: past.iter().map(was_called).collect(),
        ends,
        words,
        used: spent(&run.turns),
        calls: run.calls,
    })
}

/// The arguments that the model asked for, step by step: a person may have changed what was sent.
fn asked_for(turns: &[ModelTurn], steps: &[Step]) -> Vec<(Uuid, String)> {
    let answers: Vec<_> = turns.iter().filter_map(|t| brain::answer_of(t).map(|a| (t.ordinal, a))).collect();
    let of = |step: &Step| {
        answers.iter().find_map(|(ordinal, answer)| {
            let at = (0..answer.calls.len()).find(|n| brain::step_name(*ordinal, *n) == step.name)?;
            Some(canonical_json(&answer.calls[at].arguments))
        })
    };
    steps.iter().filter_map(|s| of(s).map(|text| (s.id, text))).collect()
}

struct Again<'a> {
    store: &'a Store,
    actor: &'a Actor,
    brains: &'a Brains,
    model: &'a str,
    turns: Vec<ModelTurn>,
    /// As if it were under way: its steps are those that were met again.
    work: Work,
    calls: Vec<WouldCall>,
    /// Past steps that were met again.
    used: Vec<Uuid>,
}

impl Again<'_> {
    async fn go_through(
        &mut self,
        brief: &Brief,
        past: &[Step],
        asked: &[(Uuid, String)],
    ) -> Result<(&'static str, String)> {
        let (actor, store) = (self.actor, self.store);
        let offer = offer(actor, store).await?;
        let rules = rules_of(policies::list(actor, store).await?);
        loop {
            let (day, all) =
                (model_turns::spent(actor, store, true).await?, model_turns::spent(actor, store, false).await?);
            let usage = Usage { task: spent(&self.turns), day, all, ..Usage::default() };
            if let Some(reached) =
                limits::reached(self.brains.limits(), &usage, &self.turns, &self.work.steps, store::now())
            {
                return Ok(("stops", format!("the limit {} is reached: {}", reached.limit, reached.words)));
            }
            let (step, call) = match brain::next(&self.turns, &self.work.steps) {
                Next::Ask => {
                    let Some(question) = question(self.brains, self.model, brief, &self.work, &self.turns, &offer)
                    else {
                        return Ok(("stops", "the task is longer than the model can read".to_owned()));
                    };
                    let mut used = Meter::default();
                    let answered = self.brains.ask(self.model, question, &mut used).await;
                    book(store, self.brains, self.model, &used).await?;
                    match answered {
                        Ok(answered) => {
                            let end = self.brains.turn_end(self.model, &used, Ok(&answered));
                            self.turns.push(self.turn(end.map_err(|e| Error::Internal(e.to_string()))?));
                        }
                        Err(no) => return Ok(("stops", format!("the model gave no answer: {}", no.reason()))),
                    }
                    continue;
                }
                Next::Call { step, call } => (step, call),
                Next::Finish { words } => return Ok(("completes", words)),
                Next::GiveUp { reason } => return Ok(("fails", reason)),
            };
            let own = [brain::ASK_PERSON, brain::REMEMBER, brain::RECALL].contains(&call.name.as_str());
            let named = offer.get(&call.name).map(|o| (o.server.clone(), o.tool.name.clone()));
            let (server, tool) = match named {
                _ if own => (OWN_SERVER.to_owned(), call.name.clone()),
                Some(named) => named,
                None => (String::new(), call.name.clone()),
            };
            let text = canonical_json(&call.arguments);
            let same = past.iter().find(|s| {
                s.server == server
                    && s.tool == tool
                    && !self.used.contains(&s.id)
                    && s.finished_at.is_some()
                    && (s.arguments == text || asked.iter().any(|(id, asked)| *id == s.id && *asked == text))
            });
            let (now, reason) = if own {
                (Effect::Allow, "it is Steward’s own".to_owned())
            } else {
                let case = Case {
                    server: server.clone(),
                    tool: tool.clone(),
                    arguments: call.arguments.clone(),
                    outside: self.work.is_outside(),
                    task: serde_json::to_value(&self.work.task).unwrap_or(Json::Null),
                };
                rerun::says(store, actor, &rules, &case).await?
            };
            let then = same.map(|s| s.state.clone());
            self.calls.push(WouldCall {
                step: step.clone(),
                server,
                tool,
                arguments: call.arguments,
                then,
                now,
                reason,
            });
            let Some(same) = same else {
                return Ok((
                    "stops",
                    format!("{step} was not made like this then, and what it would answer is not known"),
                ));
            };
            self.used.push(same.id);
            let ordinal = i32::try_from(self.work.steps.len()).unwrap_or(i32::MAX);
            self.work.steps.push(Step { name: step, ordinal, ..same.clone() });
        }
    }

    fn turn(&self, end: model_turns::TurnEnd) -> ModelTurn {
        ModelTurn {
            id: Uuid::now_v7(),
            run_id: self.work.run.id,
            task_id: self.work.task.id,
            ordinal: i32::try_from(self.turns.len()).unwrap_or(i32::MAX),
            model: self.model.to_owned(),
            state: "answered".to_owned(),
            request_sha256: String::new(),
            request_bytes: 0,
            served_by: end.served_by,
            answer: end.answer,
            input_tokens: end.input_tokens,
            cached_tokens: end.cached_tokens,
            output_tokens: end.output_tokens,
            cost_microusd: end.cost_microusd,
            error: None,
            attempt: 0,
            asked_at: store::now(),
            answered_at: Some(store::now()),
        }
    }
}

fn spent(turns: &[ModelTurn]) -> Used {
    Used {
        turns: i64::try_from(turns.len()).unwrap_or(i64::MAX),
        tokens: turns.iter().map(|t| t.input_tokens.saturating_add(t.output_tokens)).sum(),
        cost_microusd: turns.iter().map(|t| t.cost_microusd).sum(),
    }
}

fn was_called(step: &Step) -> WasCalled {
    WasCalled {
        server: step.server.clone(),
        tool: step.tool.clone(),
        arguments: serde_json::from_str(&step.arguments).unwrap_or(Json::Null),
        then: step.state.clone(),
    }
}
