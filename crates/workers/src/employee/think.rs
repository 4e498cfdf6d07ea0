//! Work that a model leads: limits, the question and its journal, and what follows from the answer. The calls that the
//! model asks for go the way of every call (`gate.rs`).

use std::time::Duration;

use domain::{
    brain::{
        self, ASK_PERSON, AskedCall, CUT_OFF, GIVE_UP, GRANT_MORE, Next, OWN_SERVER, RECALL, REMEMBER,
        limits::{self, Reached, Usage},
        names::{self, Offer, Offered},
        summary,
        transcript::transcript,
        words,
    },
    memory::Noted,
    playbook::{canonical_json, sha256_hex},
    work::{self, PlannedCall, Question as PersonQuestion, Work, Worker},
};
use jiff::{SignedDuration, tz::TimeZone};
use serde_json::{Value as Json, json};
use store::{
    Actor, Store,
    approvals::{self, Approval},
    handbook, mcp_servers,
    model_turns::{self, ModelTurn, NewTurn, TurnEnd},
    runs::{self, Step},
    task_queue::Lease,
    tasks::Task,
};

use super::{
    Employee, Turn,
    unanswered::{self, Streak},
};
use crate::{
    Error, Result,
    brains::{Brains, Meter, NoAnswer, OfferedTool, Question},
    checkpoint,
};

/// Of a task's approvals so many are looked at, the newest, for how long its calls waited.
const MOST_ASKED: i64 = 200;
/// Tools offered with a question at most.
const MAX_TOOLS: usize = 128;

/// What a run that a model leads is begun with, frozen as its source.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Brief {
    model: String,
    handbook_version: Option<i32>,
    system: String,
    /// What is remembered for whoever wants the task done.
    #[serde(default)]
    memories: Vec<Noted>,
}

impl Employee {
    /// The name and source of a run that a model leads. `None`: no model is set up.
    pub(super) async fn brief(&self, worker: &Worker, task: &Task) -> Result<Option<(String, String)>> {
        let Some(brains) = &self.brains else { return Ok(None) };
        let handbook = handbook::current(&worker.actor, &self.store).await?;
        let model = brains.choose(task.metadata.get("kind").and_then(Json::as_str)).to_owned();
        let brief = Brief {
            handbook_version: handbook.as_ref().map(|h| h.version),
            system: words::system(handbook.as_ref().map(|h| h.content.as_str())),
            model: model.clone(),
            memories: self.remembered(worker, task).await?,
        };
        let source = serde_json::to_string(&brief).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(Some((format!("{}{model}", brain::RUN_PREFIX), source)))
    }

    /// Goes on with work that a model leads.
    pub(super) async fn think(&self, worker: &Worker, work: &Work) -> Result<Turn> {
        let Some(brains) = self.brains.clone() else {
            let reason = "no language model is set up any more (models.toml); set one up, or give the task a playbook";
            return self.finish(worker, work, false, reason.to_owned()).await;
        };
        let Ok(brief) = serde_json::from_str::<Brief>(&work.run.playbook_source) else {
            return self.finish(worker, work, false, "what the run was begun with can't be read".to_owned()).await;
        };
        if let Some(refused) =
            work.steps.last().filter(|s| s.tool == GRANT_MORE && s.server == OWN_SERVER && s.state == "denied")
        {
            let why = refused.error.clone().unwrap_or_default();
            return self
                .finish(worker, work, false, format!("it stopped at a limit, and no more was granted: {why}"))
                .await;
        }
        let turns = self.turns(worker, work).await?;
        match brain::next(&turns, &work.steps) {
            Next::Ask => self.ask_model(worker, work, &brains, &brief, &turns).await,
            Next::Call { step, call } => self.take_up(worker, work, &brains, step, &call).await,
            Next::Finish { words } => self.finish(worker, work, true, words).await,
            Next::GiveUp { reason } => self.finish(worker, work, false, reason).await,
        }
    }

    /// The turns; one that was cut off by a crash ends here as failed. It may have been paid for, and is never taken for answered.
    async fn turns(&self, worker: &Worker, work: &Work) -> Result<Vec<ModelTurn>> {
        let turns = worker.turns(&self.store, work).await?;
        let Some(open) = turns.iter().position(|t| t.state == "asked") else { return Ok(turns) };
        let told = unanswered::told(Streak::of(&turns[..open]).failures, CUT_OFF);
        let end = TurnEnd { error: Some(CUT_OFF.to_owned()), ..TurnEnd::default() };
        worker.end_turn(&self.store, work, turns[open].id, end, told).await?;
        Ok(worker.turns(&self.store, work).await?)
    }

    /// Asks the model, if no limit stands against it.
    async fn ask_model(
        &self,
        worker: &Worker,
        work: &Work,
        brains: &Brains,
        brief: &Brief,
        turns: &[ModelTurn],
    ) -> Result<Turn> {
        let (actor, store) = (&worker.actor, &self.store);
        let usage = Usage {
            task: model_turns::used(actor, store, work.task.id).await?,
            task_waited_ms: waited_ms(actor, store, work).await?,
            day: model_turns::spent(actor, store, true).await?,
            all: model_turns::spent(actor, store, false).await?,
            ..bounded(actor, store, brains).await?
        };
        let now = store::now();
        if let Some(reached) = limits::reached(brains.limits(), &usage, turns, &work.steps, now) {
            return self.stop_at_limit(worker, work, &reached).await;
        }
        let summaries = summary::turns_of(&work.steps);
        let streak = Streak::of(turns.iter().filter(|t| !summaries.contains(&t.ordinal)));
        if streak.is_hopeless() {
            let words = format!(
                "no model answered {} times in a row since {}, the last time: {}",
                streak.failures,
                streak.since.map(|at| at.to_string()).unwrap_or_default(),
                streak.last_error
            );
            return self.finish(worker, work, false, words).await;
        }
        let name = streak.who_is_asked(&brief.model, brains.fallback(&brief.model), now).to_owned();
        let offer = self.offer(worker).await?;
        if self.sum_up(worker, work, (brains, &name), brief, turns, &offer).await? {
            return Ok(Turn::Again);
        }
        let Some(question) = question(brains, &name, brief, work, turns, &offer) else {
            let reason = "the task and its last results are longer than the model can read; split the task, or use a model with a larger window";
            return self.finish(worker, work, false, reason.to_owned()).await;
        };
        let turn = new_turn(work, turns, &name, &question);
        let id = worker.ask_model(store, &work.lease, turn).await?;
        checkpoint::reached("model asked");
        let mut used = Meter::default();
        let answered = self.while_renewing(worker, &work.lease, brains.ask(&name, question, &mut used)).await;
        checkpoint::reached("model answered");
        let came = answered.as_ref().map_err(unanswered::written);
        let end = brains.turn_end(&name, &used, came).map_err(|e| Error::Internal(e.to_string()))?;
        let told = answered.as_ref().err().and_then(|no| unanswered::told(streak.failures, no.reason()));
        self.insist(|| worker.end_turn(store, work, id, end.clone(), told.clone())).await?;
        checkpoint::reached("turn journalled");
        let Err(no) = answered else { return Ok(Turn::Again) };
        self.logs.push(
            "warning",
            "employee",
            &format!("the model {name} gave no answer: {}", no.reason()),
            Some(work.task.id),
        );
        self.after_no_answer(worker, work, brains, (&brief.model, &name), no, &streak).await
    }

    /// Without an answer: another model at once where this one never will, or not for a while; else the same a little later.
    /// The task waits; whoever wants it done was told with the turn, where it goes on for long.
    async fn after_no_answer(
        &self,
        worker: &Worker,
        work: &Work,
        brains: &Brains,
        (own, name): (&str, &str),
        no: NoAnswer,
        before: &Streak<'_>,
    ) -> Result<Turn> {
        let other = brains.fallback(own).filter(|fallback| name == own && !before.refused(fallback));
        let delay = match &no {
            NoAnswer::Never { .. } if other.is_some() => return Ok(Turn::Again),
            NoAnswer::Later { .. } if other.is_some() && unanswered::is_long(&no) => return Ok(Turn::Again),
            NoAnswer::Never { .. } if name != own && !before.refused(own) => {
                before.rest(own, store::now()).unwrap_or_else(|| unanswered::pause(before.failures, None))
            }
            NoAnswer::Never { reason } => {
                return self.finish(worker, work, false, format!("the model {name} can't be asked: {reason}")).await;
            }
            NoAnswer::Later { retry_after, .. } => {
                let pause = unanswered::pause(before.failures, *retry_after);
                // Whichever of the two is to be had first.
                before.rest(own, store::now()).filter(|_| name != own).map_or(pause, |rest| rest.min(pause))
            }
        };
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::from_mins(5));
        worker.give_back(&self.store, &work.lease, delay).await?;
        Ok(Turn::Later(delay))
    }

    /// Waits for an answer and renews the lease meanwhile.
    pub(super) async fn while_renewing<T>(&self, worker: &Worker, lease: &Lease, answer: impl Future<Output = T>) -> T {
        tokio::pin!(answer);
        let third = self.lease.unsigned_abs() / 3;
        let mut renewal = tokio::time::interval(third.max(Duration::from_millis(200)));
        renewal.tick().await;
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                _ = renewal.tick() => {
                    if let Err(e) = worker.renew(&self.store, lease).await {
                        tracing::warn!(error = %e, "a lease could not be renewed while a model was asked");
                    }
                }
            }
        }
    }

    /// Every tool that a person approved, by the name it is offered under.
    async fn offer(&self, worker: &Worker) -> Result<Offer> {
        offer(&worker.actor, &self.store).await
    }

    /// A call that the model asks for: to a person, or to a tool by way of the gate. A name that is not offered is told to
    /// the model and nothing is called.
    async fn take_up(
        &self,
        worker: &Worker,
        work: &Work,
        brains: &Brains,
        step: String,
        call: &AskedCall,
    ) -> Result<Turn> {
        let text = canonical_json(&call.arguments);
        let planned = |server: &str, tool: &str| PlannedCall {
            step: step.clone(),
            server: server.to_owned(),
            tool: tool.chars().take(255).collect(),
            arguments_sha256: sha256_hex(&text),
            arguments: text.clone(),
        };
        if call.name == REMEMBER || call.name == RECALL {
            return self.mind(worker, work, planned(OWN_SERVER, &call.name), call).await;
        }
        if call.name == ASK_PERSON {
            let asked = call.arguments.get("question").and_then(Json::as_str).unwrap_or_default().trim();
            if asked.is_empty() {
                let reason = "ask_person needs a question, as text".to_owned();
                return self.not_made(worker, work, planned(OWN_SERVER, ASK_PERSON), reason).await;
            }
            let question = PersonQuestion {
                step,
                tool: ASK_PERSON,
                action_type: "question",
                summary: asked.chars().take(2000).collect(),
                arguments: call.arguments.clone(),
            };
            return self.ask_person(worker, work, question).await;
        }
        // Of one answer's many calls the last may be over the limit that the question was not: its own and everybody's.
        let usage = bounded(&worker.actor, &self.store, brains).await?;
        if let Some(reached) = limits::reached(brains.limits(), &usage, &[], &work.steps, store::now()) {
            return self.stop_at_limit(worker, work, &reached).await;
        }
        let offer = self.offer(worker).await?;
        let Some(offered) = offer.get(&call.name) else {
            let reason = format!("there is no tool {:?} that may be used; use one of those you were given", call.name);
            return self.not_made(worker, work, planned("", &call.name), reason).await;
        };
        if !call.arguments.is_object() {
            let reason = "its arguments are no JSON object; write them again".to_owned();
            return self.not_made(worker, work, planned(&offered.server, &offered.tool.name), reason).await;
        }
        let planned = planned(&offered.server, &offered.tool.name);
        if let Some(reached) = limits::repeated(&work.steps, &planned.server, &planned.tool, &planned.arguments_sha256)
        {
            return self.stop_at_limit(worker, work, &reached).await;
        }
        self.plan(worker, work, planned, &call.arguments).await
    }

    pub(super) async fn not_made(
        &self,
        worker: &Worker,
        work: &Work,
        call: PlannedCall,
        reason: String,
    ) -> Result<Turn> {
        worker.journal_undone(&self.store, work, call, "denied", None, reason).await?;
        checkpoint::reached("step denied");
        Ok(Turn::Again)
    }

    async fn ask_person(&self, worker: &Worker, work: &Work, question: PersonQuestion) -> Result<Turn> {
        worker.ask_person(&self.store, work, question).await?;
        checkpoint::reached("person asked");
        Ok(Turn::Leave)
    }

    /// At a limit the work stops and says where it is; a person may grant another allotment.
    async fn stop_at_limit(&self, worker: &Worker, work: &Work, reached: &Reached) -> Result<Turn> {
        let done = work.steps.iter().filter(|s| s.state == "succeeded" && s.server != OWN_SERVER).count();
        let question = PersonQuestion {
            step: format!("limit {}", work.steps.len()),
            tool: GRANT_MORE,
            action_type: "budget",
            summary: format!(
                "May it go on? The limit {} is reached: {}; {done} calls are done",
                reached.limit, reached.words
            ),
            arguments: json!({ "limit": reached.limit, "reached": reached.words, "used": reached.used }),
        };
        self.ask_person(worker, work, question).await
    }

    /// A question to a person that was answered, or was not.
    pub(super) async fn resume_question(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        approval: Approval,
    ) -> Result<Turn> {
        let (state, result, error) = match approval.status.as_str() {
            "pending" => return self.wait(worker, work, approval.id).await,
            "approved" => {
                let answer = approval.notes.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| "yes".to_owned());
                ("succeeded", Some(json!({ "answer": answer }).to_string()), None)
            }
            "rejected" => {
                let note = approval.notes.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| "no".to_owned());
                ("denied", None, Some(format!("the person says: {note}")))
            }
            _ => ("denied", None, Some("nobody answered in time, which means no".to_owned())),
        };
        worker.end(&self.store, &work.lease, step.id, state, result, error).await?;
        checkpoint::reached("question answered");
        Ok(Turn::Again)
    }
}

/// Every tool that may be used, by the name it is offered under.
pub(super) async fn offer(actor: &Actor, store: &Store) -> Result<Offer> {
    let mut tools = Vec::new();
    let servers = mcp_servers::list(actor, store).await?;
    for server in servers.into_iter().filter(|s| s.is_active && s.name != OWN_SERVER) {
        for tool in mcp_servers::tools(actor, store, server.id).await? {
            tools.push(Offered { server: server.name.clone(), tool });
        }
    }
    Ok(names::offer(tools))
}

/// What everything used that calls use up as well: calls and time. Each is only looked up where a limit binds it.
async fn bounded(actor: &Actor, store: &Store, brains: &Brains) -> Result<Usage> {
    let (limits, mut usage) = (brains.limits(), Usage::default());
    if limits.day_steps.is_some() {
        let now = store::now().to_zoned(TimeZone::UTC);
        let minutes = i64::from(now.hour()) * 60 + i64::from(now.minute());
        let made = runs::calls_made(actor, store, minutes.max(1)).await?;
        usage.day_steps = made.iter().map(|tool| u64::try_from(tool.made).unwrap_or(0)).fold(0, u64::saturating_add);
    }
    let worked = async |today| -> Result<u64> {
        Ok(u64::try_from(model_turns::worked(actor, store, today).await?.worked_ms).unwrap_or(0))
    };
    if limits.day_minutes.is_some() {
        usage.day_worked_ms = worked(true).await?;
    }
    if limits.all_minutes.is_some() {
        usage.all_worked_ms = worked(false).await?;
    }
    Ok(usage)
}

/// How long calls of this work waited for people; only looked up where one took long.
async fn waited_ms(actor: &Actor, store: &Store, work: &Work) -> Result<u64> {
    let took_long = |s: &Step| {
        s.started_at.zip(s.finished_at).is_some_and(|(from, to)| to.duration_since(from) > SignedDuration::from_mins(1))
    };
    if !work.steps.iter().any(took_long) {
        return Ok(0);
    }
    let asked = approvals::list(actor, store, None, Some(work.task.id), None, MOST_ASKED).await?;
    Ok(limits::waited_ms(&work.steps, &asked))
}

/// What of a question is the same whatever was said so far.
pub(super) struct Setting {
    /// The mark around what comes from outside.
    pub mark: String,
    /// The task, and what is remembered.
    pub about: String,
    /// Tokens that the conversation may have.
    pub room: u64,
    tools: Vec<OfferedTool>,
}

impl Setting {
    /// For a question to this model.
    pub fn of(brains: &Brains, name: &str, brief: &Brief, work: &Work, offer: &Offer) -> Self {
        let mark = words::mark(work.run.id);
        let mut tools: Vec<OfferedTool> = offer
            .iter()
            .take(MAX_TOOLS)
            .map(|(name, offered)| OfferedTool {
                name: name.clone(),
                // The server's own words are from outside too; what they claim allows nothing.
                description: words::plain(offered.tool.description.as_deref().unwrap_or_default()),
                schema: words::schema(&offered.tool.input_schema),
            })
            .collect();
        tools.extend(own_tools());
        let mut about = words::task(&work.task, work.provenance.as_ref(), &work::facts(work), &mark);
        if !brief.memories.is_empty() {
            about.push_str("\n\nWhat was noted before, for what it is worth:\n");
            about.push_str(&words::remembered(&brief.memories, &mark));
        }
        let tools_bytes: usize =
            tools.iter().map(|t| t.description.len() + t.schema.to_string().len() + t.name.len()).sum();
        let room = room(brains, name, tools_bytes + brief.system.len());
        Self { mark, about, room, tools }
    }
}

/// Tokens that a conversation with a model may have, beside its answer and so many bytes that are always told.
pub(super) fn room(brains: &Brains, name: &str, fixed_bytes: usize) -> u64 {
    let (window, answer) = brains.model(name).map_or((0, 0), |m| (m.window_tokens, u64::from(m.answer_tokens)));
    let fixed = u64::try_from(fixed_bytes / 3).unwrap_or(u64::MAX);
    window.saturating_sub(answer).saturating_sub(fixed)
}

pub(super) fn question(
    brains: &Brains,
    name: &str,
    brief: &Brief,
    work: &Work,
    turns: &[ModelTurn],
    offer: &Offer,
) -> Option<Question> {
    let Setting { mark, about, room, tools } = Setting::of(brains, name, brief, work, offer);
    let messages = transcript(about, turns, &work.steps, &mark, room)?;
    Some(Question { system: brief.system.clone(), messages, tools })
}

/// What Steward itself answers.
fn own_tools() -> [OfferedTool; 4] {
    let text = |name: &str, what: &str| json!({"type": "object", "properties": {name: {"type": "string", "description": what}}, "required": [name], "additionalProperties": false});
    [
        OfferedTool {
            name: ASK_PERSON.to_owned(),
            description: "Ask the person you work for a question, and wait for the answer.".to_owned(),
            schema: text("question", "The question, in a sentence or two."),
        },
        OfferedTool {
            name: REMEMBER.to_owned(),
            description: "Note a fact for later tasks of the person you work for, at most 1000 characters.".to_owned(),
            schema: text("fact", "The fact, in a sentence that can be understood without this task."),
        },
        OfferedTool {
            name: RECALL.to_owned(),
            description:
                "Find what was noted before: the facts that hold the most of your words; without words the newest."
                    .to_owned(),
            schema: text("words", "A few words, or nothing."),
        },
        OfferedTool {
            name: GIVE_UP.to_owned(),
            description: "End the task because it can't be done.".to_owned(),
            schema: text("reason", "Why it can't be done, and what a person could do."),
        },
    ]
}

/// The question as it is journalled before it is asked.
pub(super) fn new_turn(work: &Work, turns: &[ModelTurn], model: &str, question: &Question) -> NewTurn {
    let sent = fingerprint(question);
    NewTurn {
        run_id: work.run.id,
        task_id: work.task.id,
        ordinal: turns.last().map_or(0, |t| t.ordinal + 1),
        model: model.to_owned(),
        request_sha256: sha256_hex(&sent),
        request_bytes: i64::try_from(sent.len()).unwrap_or(i64::MAX),
        attempt: work.lease.attempt,
    }
}

/// All that is sent, as one text: what a turn's hash is of.
fn fingerprint(question: &Question) -> String {
    let tools: Vec<Json> = question.tools.iter().map(|t| json!([t.name, t.description, t.schema])).collect();
    canonical_json(&json!([question.system, format!("{:?}", question.messages), tools]))
}
