//! Past events gone through by a playbook: which it would take, and which calls it would make beside those that were made.
//! Nothing is called or written. What a call answers is what the same call answered then; where none was made, it stops there
//! and says so.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{
    Actor, Store, mcp_servers, policies,
    runs::{self, Step},
    tasks::{self, Task},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Error, Result, brain,
    decide::check_schema,
    judging::{self, Case},
    playbook::{MAX_JOURNAL, Next, Outcome, OutcomeState, Playbook, canonical_json},
    policy::{Effect, Rule},
    rules::rules_of,
    work,
};

/// Events shown at most.
pub const MAX_LAST: usize = 50;
/// Tasks looked at, the newest.
const MOST_TASKS: usize = 1000;
/// Tasks read at once.
const PAGE: i64 = 200;
/// Calls judged in all.
const MOST_CALLS: usize = 1000;

/// Which past events are gone through.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Those of this watcher; without it, of every watcher (and then only those that the playbook is for are told of).
    pub watcher: Option<String>,
    /// This task before all others.
    pub first: Option<Uuid>,
    /// So many, the newest; 1 to [`MAX_LAST`].
    pub last: usize,
}

/// A call that would be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WouldCall {
    /// The playbook's step.
    pub step: String,
    /// Server's name.
    pub server: String,
    /// Tool's name.
    pub tool: String,
    /// The arguments.
    #[schema(value_type = Object)]
    pub arguments: Json,
    /// How the same call ended then; none where it was not made.
    pub then: Option<String>,
    /// What the rules that stand say: `allow`, `ask` or `deny`.
    #[schema(value_type = String)]
    pub now: Effect,
    /// Why.
    pub reason: String,
}

/// A call that was made, and would not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WasCalled {
    /// Server's name.
    pub server: String,
    /// Tool's name.
    pub tool: String,
    /// The arguments.
    #[schema(value_type = Object)]
    pub arguments: Json,
    /// How it ended.
    pub then: String,
}

/// A past event, and what the playbook would do with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// The task that it became.
    pub task_id: Uuid,
    /// The task's title.
    pub title: String,
    /// When it was noticed.
    pub at: jiff::Timestamp,
    /// Why the playbook is not for it; none where it is.
    pub unfit: Option<String>,
    /// What it would call.
    pub calls: Vec<WouldCall>,
    /// What was called and would not be; calls that only failed or were refused then are left out.
    pub missing: Vec<WasCalled>,
    /// `completes`, `fails`, or `stops` where it can't be known how it would go on.
    pub ends: String,
    /// What would be said at the end, or why it stops.
    pub words: String,
}

impl Replayed {
    /// Whether something else would be done than was done.
    pub fn differs(&self) -> bool {
        self.unfit.is_none() && (!self.missing.is_empty() || self.calls.iter().any(|c| c.then.is_none()))
    }
}

/// Goes through past events that the actor may see, the newest first.
pub async fn replay(store: &Store, actor: &Actor, playbook: &Playbook, span: &Span) -> Result<Vec<Replayed>> {
    if !(1..=MAX_LAST).contains(&span.last) {
        return Err(Error::invalid("last", format!("1 to {MAX_LAST} past events can be gone through")));
    }
    let rules = rules_of(policies::list(actor, store).await?);
    let mut left = MOST_CALLS;
    let mut replayed = Vec::new();
    for task in events(store, actor, span).await? {
        if replayed.len() >= span.last {
            break;
        }
        // Those that it is not for are told of where they are asked for alone.
        let is_asked_for = span.watcher.is_some() || span.first == Some(task.id);
        if !is_asked_for && playbook.mismatch(&work::facts_of(&task, true, task.created_at)).is_some() {
            continue;
        }
        let one = Event { store, actor, rules: &rules, playbook, task: &task }.replay(&mut left).await?;
        if one.unfit.is_none() || is_asked_for {
            replayed.push(one);
        }
    }
    Ok(replayed)
}

/// Tasks that came of what a watcher noticed.
async fn events(store: &Store, actor: &Actor, span: &Span) -> Result<Vec<Task>> {
    let watcher_of = |task: &Task| task.metadata.pointer("/watcher/name").and_then(Json::as_str).map(str::to_owned);
    let mut found = Vec::new();
    if let Some(id) = span.first {
        found.push(crate::tasks::get(store, actor, id).await?);
    }
    let (mut cursor, mut looked_at) = (None, 0);
    while looked_at < MOST_TASKS && (span.watcher.is_none() || found.len() < span.last) {
        let page = tasks::list(actor, store, None, cursor, PAGE).await?;
        looked_at += page.len();
        let is_last = i64::try_from(page.len()).unwrap_or(PAGE) < PAGE;
        cursor = page.last().map(|task| (task.created_at, task.id));
        found.extend(page.into_iter().filter(|task| {
            span.first != Some(task.id)
                && match (watcher_of(task), &span.watcher) {
                    (Some(of), Some(wanted)) => of == *wanted,
                    (of, None) => of.is_some(),
                    (None, Some(_)) => false,
                }
        }));
        if is_last {
            break;
        }
    }
    Ok(found)
}

struct Event<'a> {
    store: &'a Store,
    actor: &'a Actor,
    rules: &'a [Rule],
    playbook: &'a Playbook,
    task: &'a Task,
}

impl Event<'_> {
    /// `left` are the steps that may still be gone through.
    async fn replay(&self, left: &mut usize) -> Result<Replayed> {
        let (store, actor, task) = (self.store, self.actor, self.task);
        let is_outside = tasks::provenance(actor, store, task.id).await?.is_some_and(|p| p.outside);
        let runs = runs::list(actor, store, task.id).await?;
        let (mut past, mut began) = (Vec::new(), task.created_at);
        if let Some(run) = runs.iter().find(|r| r.state == "completed").or_else(|| runs.first()) {
            (past, began) = (runs::steps(actor, store, run.id).await?, run.started_at);
        }
        past.retain(|s| s.server != brain::OWN_SERVER && !s.server.is_empty());
        let facts = work::facts_of(task, is_outside, began);
        let mut replayed = Replayed {
            task_id: task.id,
            title: task.title.clone(),
            at: task.created_at,
            unfit: self.playbook.mismatch(&facts),
            calls: Vec::new(),
            missing: Vec::new(),
            ends: "stops".to_owned(),
            words: String::new(),
        };
        if replayed.unfit.is_some() {
            return Ok(replayed);
        }
        let seen = serde_json::to_value(task).unwrap_or_default();
        let (mut journal, mut used): (Vec<Outcome>, Vec<Uuid>) = (Vec::new(), Vec::new());
        let (ends, words) = loop {
            if journal.len() > MAX_JOURNAL {
                break ("stops", format!("it does more than {MAX_JOURNAL} steps"));
            }
            if *left == 0 {
                break ("stops", format!("more than {MOST_CALLS} steps would be judged; look at fewer events"));
            }
            *left -= 1;
            // Each step is worked out from the first one on; others get their turn in between.
            tokio::task::yield_now().await;
            let (step, server, tool, arguments) = match self.playbook.next(&facts, &journal) {
                Ok(
                    Next::Call { step, server, tool, arguments } | Next::Again { step, server, tool, arguments, .. },
                ) => (step, server, tool, arguments),
                Ok(Next::Skip { step, .. }) => {
                    journal.push(Outcome::new(step, OutcomeState::Skipped));
                    continue;
                }
                Ok(Next::Wait { step, .. }) => {
                    break ("stops", format!("step {step} would wait, and how that ends is not known"));
                }
                Ok(Next::Task { step, .. }) => {
                    break ("stops", format!("step {step} would make a task, and its id is not known"));
                }
                Ok(Next::Finish { summary }) => break ("completes", summary),
                Ok(Next::Fail { reason }) => break ("fails", reason),
                Err(error) => break ("fails", error.to_string()),
            };
            let text = canonical_json(&arguments);
            let same = past
                .iter()
                .find(|s| s.server == server && s.tool == tool && s.arguments == text && !used.contains(&s.id));
            let outside = is_outside
                || self.playbook.results_are_outside()
                    && journal.iter().any(|o| matches!(o.state, OutcomeState::Succeeded { .. }));
            let case = Case { server, tool, arguments, outside, task: seen.clone() };
            let (now, reason) = says(store, actor, self.rules, &case).await?;
            replayed.calls.push(WouldCall {
                step: step.clone(),
                server: case.server,
                tool: case.tool,
                arguments: case.arguments,
                then: same.map(|s| s.state.clone()),
                now,
                reason,
            });
            let Some(outcome) = same.and_then(work::outcome) else {
                break (
                    "stops",
                    format!("step {step} was not called like this then, and what it would answer is not known"),
                );
            };
            used.extend(same.map(|s| s.id));
            journal.push(Outcome { step, ..outcome });
        };
        // Where it stops nobody knows what would have come.
        if ends != "stops" {
            replayed.missing =
                past.iter().filter(|s| s.state == "succeeded" && !used.contains(&s.id)).map(was_called).collect();
        }
        (replayed.ends, replayed.words) = (ends.to_owned(), words);
        Ok(replayed)
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

/// What would happen with a call now, and why: the tool's approval and its schema come before the rules.
pub async fn says(store: &Store, actor: &Actor, rules: &[Rule], case: &Case) -> Result<(Effect, String)> {
    let tool = mcp_servers::tool(actor, store, &case.server, &case.tool).await?;
    let Some(tool) = tool.filter(mcp_servers::ServerTool::is_usable) else {
        return Ok((Effect::Deny, "the tool is not there, or not approved".to_owned()));
    };
    if let Err(e) = check_schema(&tool.input_schema, &case.arguments) {
        return Ok((Effect::Deny, e.to_string()));
    }
    let verdict = judging::judge_by(actor, store, rules, case).await?;
    Ok((verdict.effect, verdict.reason))
}
