//! The employee's work on one task, as transactions: claim, journal, ask, start, end, finish. Each one first renews
//! the lease; whoever lost it writes nothing ([`Error::LeaseLost`]).
//!
//! The life of a step is drawn in docs/steps.md.

pub mod asking;
mod calls;
mod journal;
mod open;
mod remembering;
mod summing;
mod thinking;
pub mod waits;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Actor, BoxFuture, Store, Transaction,
    approvals::{self, Approval, ApprovalCall, FrozenCall, NewApproval},
    mcp_servers::{self, ServerTool},
    runs::{self, NewStep, Step, TaskRun},
    task_queue::{self, Lease},
    tasks::{self, Provenance, Task},
};
use uuid::Uuid;

pub(crate) use self::journal::outcome;
pub use self::{
    journal::{changes_asked, facts, facts_of, outcomes, pending_step, sent_back},
    open::{open, reopen},
    thinking::Question,
};
use crate::{Error, Result, brain, deceit, judging::Case, playbook, policy::Verdict, tasks as task_rules};

/// A claimed task with all that is needed to go on.
#[derive(Debug, Clone)]
pub struct Work {
    /// The lease it is held under.
    pub lease: Lease,
    /// The task.
    pub task: Task,
    /// Where it came from.
    pub provenance: Option<Provenance>,
    /// The run.
    pub run: TaskRun,
    /// Its journal.
    pub steps: Vec<Step>,
}

impl Work {
    /// Whether what is worked on comes from outside: the task does, or an event that was waited for, or a model that leads the
    /// work (or a playbook made of such work) has read what a tool answered, and who knows where the tool had it from, or it
    /// brought to mind what was learned from outside, or a tool has hung files on the task. A task without provenance was made
    /// by a person here.
    pub fn is_outside(&self) -> bool {
        self.provenance.as_ref().is_some_and(|p| p.outside)
            || self.steps.iter().any(|s| s.server != brain::OWN_SERVER && s.state != "denied" && s.result.is_some())
                && results_are_outside(&self.run)
            || self
                .steps
                .iter()
                .any(|s| waits::brought_outside(s) || remembering::recalled_outside(s) || brought_files(s))
    }
}

/// Whether a tool's answer carried or named files, which were hung on the task.
fn brought_files(step: &Step) -> bool {
    let brings = |said: &String| said.contains(r#""type":"resource""#) || said.contains(r#""type":"resource_link""#);
    step.state == "succeeded" && step.result.as_ref().is_some_and(brings)
}

/// Whether what tools answer in this run counts as content from outside.
pub fn results_are_outside(run: &TaskRun) -> bool {
    brain::leading_model(&run.playbook).is_some()
        // Most playbooks say nothing of it, and need not be read for that.
        || run.playbook_source.contains("results")
            && playbook::parse(&run.playbook_source).is_ok_and(|p| p.results_are_outside())
}

/// A file that a call names, as it was when a person was asked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SeenFile {
    /// Its path, as the arguments write it.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its content; none where it is too long to be read each time.
    pub sha256: Option<String>,
}

/// What a person is asked about besides the call: it is to be the same when the call is made.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The tool.
    pub tool: &'a ServerTool,
    /// Files that the arguments name.
    pub files: &'a [SeenFile],
}

impl<'a> From<&'a ServerTool> for Seen<'a> {
    fn from(tool: &'a ServerTool) -> Self {
        Self { tool, files: &[] }
    }
}

impl Seen<'_> {
    /// The files a person was asked about, from an approval's details.
    pub fn files_of(approval: &Approval) -> Vec<SeenFile> {
        let files = approval.details.as_ref().and_then(|details| details.get("files"));
        files.and_then(|files| serde_json::from_value(files.clone()).ok()).unwrap_or_default()
    }
}

/// Whether `tool` belongs to the server that a person was asked about: another one may bear its name by now. (What the
/// employee asks names the server; another program's question may name none.)
pub fn is_of_the_server_asked_about(approval: &Approval, tool: &ServerTool) -> bool {
    let asked = approval.details.as_ref().and_then(|details| details.get("server_id"));
    asked.is_none_or(|asked| asked.as_str() == Some(tool.server_id.to_string().as_str()))
}

/// A call about whose tool rules count calls.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The call.
    pub case: Case,
    /// Whether a person said yes to it: then only a rule that denies it holds it back.
    pub is_decided: bool,
}

/// A call that a playbook asks for, checked and frozen.
#[derive(Debug, Clone)]
pub struct PlannedCall {
    /// The step's name.
    pub step: String,
    /// Server's name.
    pub server: String,
    /// Tool's name.
    pub tool: String,
    /// Arguments as canonical JSON text.
    pub arguments: String,
    /// Their SHA-256.
    pub arguments_sha256: String,
}

/// The employee at work: who it is and how long it holds a task.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The employee.
    pub actor: Actor,
    /// Name of this worker: `<node>/<number>`.
    pub name: String,
    /// How long a lease holds without being renewed.
    pub lease: SignedDuration,
}

impl Worker {
    /// Claims the most urgent ready task.
    pub async fn claim(&self, store: &Store) -> Result<Option<Lease>> {
        Ok(task_queue::claim(&self.actor, store, &self.name, self.lease).await?)
    }

    /// Runs a transaction under the lease.
    pub async fn under_lease<T, F>(&self, store: &Store, lease: &Lease, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t Transaction, Actor) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (actor, lease, length) = (self.actor.clone(), lease.clone(), self.lease);
        store
            .transaction(move |tx| {
                Box::pin(async move {
                    if !task_queue::hold(&actor, tx, &lease, length).await? {
                        return Err(Error::LeaseLost);
                    }
                    work(tx, actor).await
                })
            })
            .await
    }

    /// The same for work that changes the task itself. Whoever changes a task takes its row first and its place in the
    /// queue after it (the database's trigger does); in the other order this and a person's change would each wait for
    /// what the other holds.
    async fn changing_task<T, F>(&self, store: &Store, lease: &Lease, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t Transaction, Actor, Task) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (actor, lease, length) = (self.actor.clone(), lease.clone(), self.lease);
        store
            .transaction(move |tx| {
                Box::pin(async move {
                    let task = tasks::lock(&actor, tx, lease.task_id).await?;
                    if !task_queue::hold(&actor, tx, &lease, length).await? {
                        return Err(Error::LeaseLost);
                    }
                    let task = task.ok_or_else(|| Error::NotFound(format!("task {}", lease.task_id)))?;
                    work(tx, actor, task).await
                })
            })
            .await
    }

    /// Renews the lease during a long call.
    pub async fn renew(&self, store: &Store, lease: &Lease) -> Result<()> {
        if task_queue::hold(&self.actor, store, lease, self.lease).await? { Ok(()) } else { Err(Error::LeaseLost) }
    }

    /// Gives the task back, to be taken up again after `delay`.
    pub async fn give_back(&self, store: &Store, lease: &Lease, delay: SignedDuration) -> Result<()> {
        task_queue::release(&self.actor, store, lease, delay).await.map(drop).map_err(Into::into)
    }

    /// Journals a step that the policy allows; answers its id.
    pub async fn journal_allowed(
        &self,
        store: &Store,
        work: &Work,
        call: PlannedCall,
        verdict: &Verdict,
    ) -> Result<Uuid> {
        let step = new_step(work, call, "allowed", Some(verdict), None);
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move { Ok(runs::add_step(&actor, tx, &step).await?) })
        })
        .await
    }

    /// Journals a step that is not going to happen: `denied` by the policy, or `skipped` by the playbook.
    pub async fn journal_undone(
        &self,
        store: &Store,
        work: &Work,
        call: PlannedCall,
        state: &'static str,
        verdict: Option<&Verdict>,
        reason: String,
    ) -> Result<()> {
        let step = new_step(work, call, state, verdict, Some(reason));
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move { runs::add_step(&actor, tx, &step).await.map(drop).map_err(Into::into) })
        })
        .await
    }

    /// Asks a person about a call: step, approval with the frozen call, notification, and the task put to wait, in one
    /// transaction. A step that was journalled before is asked about again.
    pub async fn ask(
        &self,
        store: &Store,
        work: &Work,
        step: Option<&Step>,
        call: PlannedCall,
        verdict: &Verdict,
        seen: impl Into<Seen<'_>>,
    ) -> Result<Uuid> {
        let (lease, task) = (work.lease.clone(), work.task.clone());
        let known = step.map(|s| s.id);
        let Seen { tool, files } = seen.into();
        let details = json!({
            "summary": summary(&call),
            "server": call.server,
            "server_id": tool.server_id,
            "files": files,
            "tool": call.tool,
            "arguments": serde_json::from_str::<Json>(&call.arguments).unwrap_or_default(),
            "arguments_sha256": call.arguments_sha256,
            "step": call.step,
            "run_id": work.run.id,
            "playbook": work.run.playbook,
            "reason": verdict.reason,
            "rule": verdict.rule.as_ref().map(|(_, name)| name),
            "outside": work.is_outside(),
            "risk": "normal",
            "source": work.provenance.as_ref().map(|p| p.source.clone()),
            "changes": work.steps.iter().rev().find(|s| s.approval_id.is_some()).and_then(changes_asked),
        });
        let rule = verdict.rule.as_ref().map(|(id, _)| *id);
        let expires_at = store::now() + SignedDuration::from_mins(verdict.approval_ttl_minutes.into());
        let (new, definition_sha256) =
            (new_step(work, call.clone(), "awaiting_approval", Some(verdict), None), tool.definition_sha256.clone());
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let step_id = match known {
                    Some(id) => id,
                    None => runs::add_step(&actor, tx, &new).await?,
                };
                let mut details = details;
                if let Some(rule) = rule {
                    let (risk, asking) = crate::rules::asking_of(&actor, tx, rule).await?;
                    details["risk"] = risk.into();
                    asking::freeze(&mut details, &asking);
                }
                let question =
                    NewApproval { task_id: task.id, action_type: "tool_call".to_owned(), details, expires_at };
                let approval_id = approvals::create(&actor, tx, &question).await?;
                let frozen = ApprovalCall {
                    approval_id,
                    step_id,
                    server: call.server.clone(),
                    tool: call.tool.clone(),
                    definition_sha256,
                    arguments: call.arguments.clone(),
                    arguments_sha256: call.arguments_sha256.clone(),
                };
                approvals::add_call(&actor, tx, &frozen).await?;
                runs::ask_step(&actor, tx, step_id, "awaiting_approval", approval_id, None).await?;
                let title = format!("Approval needed: {}", summary(&call));
                task_rules::tell_creator(
                    &actor,
                    tx,
                    &task,
                    "approval",
                    title,
                    Some(task.title.clone()),
                    Some(approval_id),
                )
                .await?;
                wait(&actor, tx, &lease).await?;
                Ok(approval_id)
            })
        })
        .await
    }

    /// Records that nobody knows whether a started call took effect, and asks a person; nothing is repeated.
    pub async fn outcome_unknown(&self, store: &Store, work: &Work, step: &Step, reason: String) -> Result<Uuid> {
        let (lease, task, step) = (work.lease.clone(), work.task.clone(), step.clone());
        let mut details = json!({
            "summary": format!("Did it happen? {}/{} was started and no answer came", step.server, step.tool),
            "server": step.server,
            "tool": step.tool,
            "arguments": serde_json::from_str::<Json>(&step.arguments).unwrap_or_default(),
            "arguments_sha256": step.arguments_sha256,
            "step": step.name,
            "run_id": work.run.id,
            "reason": reason,
            "outside": work.is_outside(),
            "choices": {"approve": "it happened: go on", "approve with resolution=retry": "make the call again", "reject": "it failed"},
        });
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                // Should the person want it again, it must be the tool as it is now.
                let tool = mcp_servers::tool(&actor, tx, &step.server, &step.tool).await?;
                details["server_id"] = json!(tool.as_ref().map(|t| t.server_id));
                let question = NewApproval {
                    task_id: task.id,
                    action_type: "outcome_unknown".to_owned(),
                    details,
                    expires_at: store::now() + SignedDuration::from_hours(24 * 7),
                };
                let approval_id = approvals::create(&actor, tx, &question).await?;
                let call = ApprovalCall {
                    approval_id,
                    step_id: step.id,
                    server: step.server.clone(),
                    tool: step.tool.clone(),
                    definition_sha256: tool.map(|t| t.definition_sha256).unwrap_or_default(),
                    arguments: step.arguments.clone(),
                    arguments_sha256: step.arguments_sha256.clone(),
                };
                approvals::add_call(&actor, tx, &call).await?;
                runs::ask_step(&actor, tx, step.id, "outcome_unknown", approval_id, Some(&reason)).await?;
                let title = format!("Please look: did {} of {} happen?", step.tool, step.server);
                task_rules::tell_creator(&actor, tx, &task, "alert", title, Some(reason), Some(approval_id)).await?;
                wait(&actor, tx, &lease).await?;
                Ok(approval_id)
            })
        })
        .await
    }

    /// Completes (or fails) run and task together and tells the person who wanted it.
    pub async fn finish(&self, store: &Store, work: &Work, completed: bool, words: String) -> Result<()> {
        let run_id = work.run.id;
        // The person may have changed the task meanwhile: what is written starts from how it stands now.
        self.changing_task(store, &work.lease, move |tx, actor, task| {
            Box::pin(async move {
                let (state, status, kind) =
                    if completed { ("completed", "completed", "status") } else { ("failed", "failed", "error") };
                runs::finish(&actor, tx, run_id, state, if completed { None } else { Some(&words) }).await?;
                let said = task_rules::move_to(&actor, tx, task.clone(), status, Some(&words)).await?;
                let title = format!("{}: {}", if completed { "Done" } else { "Failed" }, task.title);
                let message = said.map_or_else(|| words.clone(), |said| format!("{words}\n{said}"));
                task_rules::tell_creator(&actor, tx, &task, kind, title, Some(message), None).await
            })
        })
        .await
    }

    /// Fails a task of which no run could be begun.
    pub async fn fail_unopened(&self, store: &Store, lease: &Lease, words: String) -> Result<()> {
        self.changing_task(store, lease, move |tx, actor, task| {
            Box::pin(async move {
                task_rules::move_to(&actor, tx, task.clone(), "failed", Some(&words)).await?;
                task_rules::tell_creator(
                    &actor,
                    tx,
                    &task,
                    "error",
                    format!("Failed: {}", task.title),
                    Some(words),
                    None,
                )
                .await
            })
        })
        .await
    }

    /// Puts a task whose decision is still open to wait. False: it was decided in this moment, and nothing waits.
    pub async fn wait(&self, store: &Store, lease: &Lease, approval_id: Uuid) -> Result<bool> {
        let held = lease.clone();
        self.under_lease(store, lease, move |tx, actor| {
            Box::pin(async move {
                // Read while the queue's row is held: a decision that comes later finds it waiting.
                let open = approvals::get(&actor, tx, approval_id).await?.is_some_and(|a| a.status == "pending");
                if open {
                    wait(&actor, tx, &held).await?;
                }
                Ok(open)
            })
        })
        .await
    }

    /// What the deciding person put in place of the arguments, as text.
    pub async fn edit(&self, store: &Store, approval_id: Uuid) -> Result<Option<String>> {
        Ok(approvals::edit(&self.actor, store, approval_id).await?)
    }

    /// The approval a step waits for, with the frozen call (none for an unknown outcome).
    pub async fn decision(&self, store: &Store, step: &Step) -> Result<Option<(Approval, Option<FrozenCall>)>> {
        let Some(id) = step.approval_id else { return Ok(None) };
        let Some(approval) = approvals::get(&self.actor, store, id).await? else { return Ok(None) };
        let call = approvals::call(&self.actor, store, id).await?;
        Ok(Some((approval, call)))
    }
}

async fn wait(actor: &Actor, tx: &Transaction, lease: &Lease) -> Result<()> {
    if task_queue::wait(actor, tx, lease).await? { Ok(()) } else { Err(Error::LeaseLost) }
}

fn new_step(
    work: &Work,
    call: PlannedCall,
    state: &'static str,
    verdict: Option<&Verdict>,
    error: Option<String>,
) -> NewStep {
    NewStep {
        run_id: work.run.id,
        task_id: work.task.id,
        ordinal: work.steps.last().map_or(0, |s| s.ordinal + 1),
        name: call.step,
        server: call.server,
        tool: call.tool,
        state,
        arguments: call.arguments,
        arguments_sha256: call.arguments_sha256,
        policy_id: verdict.and_then(|v| v.rule.as_ref()).map(|(id, _)| *id),
        policy_reason: verdict.map(|v| v.reason.clone()),
        attempt: work.lease.attempt,
        error,
    }
}

/// The call in a few plain words.
fn summary(call: &PlannedCall) -> String {
    let arguments: Json = serde_json::from_str(&call.arguments).unwrap_or_default();
    let shown: Vec<String> = arguments
        .as_object()
        .map(|map| map.iter().map(|(k, v)| format!("{} {}", deceit::visible(k), short(v))).collect())
        .unwrap_or_default();
    format!("{} of {} ({})", call.tool, call.server, shown.join(", "))
}

fn short(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plain: String = text.chars().map(|c| if c.is_control() { '␣' } else { c }).take(121).collect();
    let clean = deceit::visible(&plain);
    if clean.chars().count() > 120 { format!("{}…", clean.chars().take(119).collect::<String>()) } else { clean }
}
