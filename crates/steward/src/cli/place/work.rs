//! Tasks and approvals.

use domain::{
    decide::{self, Decision},
    hand_over,
    ids::{self, Beginning},
    reconsider,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    Actor,
    approvals::{self, Approval, ApprovalCall},
    beginnings::{Begun, Kind},
    file_attachments::{self, Attachment},
    runs::{self, Step, TaskRun},
    task_queue::{self, Queued},
    tasks::{self, FoundTask, NewTask, Provenance, Task, TaskFilter},
    users::User,
};
use uuid::Uuid;

use super::Place;
use crate::{
    Error, Result,
    cli::{not_allowed, not_found},
};

/// A task with all that belongs to it, as `task show --json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Whole {
    pub(crate) task: Task,
    pub(crate) provenance: Option<Provenance>,
    pub(crate) queue: Option<Queued>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) approvals: Vec<Approval>,
    pub(crate) runs: Vec<RunWithSteps>,
}

/// A run with its journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunWithSteps {
    #[serde(flatten)]
    pub(crate) run: TaskRun,
    pub(crate) steps: Vec<Step>,
}

/// Where a task came from and where it stands in the queue.
#[derive(Debug, Deserialize)]
struct Standing {
    provenance: Option<Provenance>,
    queue: Option<Queued>,
}

/// A task that was moved.
#[derive(Debug, Deserialize)]
struct Moved {
    notice: Option<String>,
}

/// An approval with its frozen call and the arguments that a person put in place of those asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(flatten)]
    pub(crate) approval: Approval,
    pub(crate) call: Option<ApprovalCall>,
    pub(crate) edited_arguments: Option<String>,
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|v| v.to_string())
}

impl Place {
    /// Makes a task of the person's, noting where it came from.
    pub(crate) async fn add_task(&self, new: NewTask) -> Result<Task> {
        match self {
            Self::Here(ctx) => {
                let actor = ctx.actor.clone();
                let made = ctx.store.transaction(move |tx| {
                    Box::pin(async move {
                        let id = tasks::create(&actor, tx, &new).await?;
                        tasks::add_provenance(&actor, tx, id, false, "terminal", json!({})).await?;
                        tasks::get(&actor, tx, id).await?.ok_or_else(|| not_found("task", &id.to_string()))
                    })
                });
                made.await
            }
            Self::There(there) => {
                let body = json!({
                    "title": new.title, "description": new.description, "priority": new.priority,
                    "assigned_to": new.assigned_to, "due_date": new.due_date,
                    "estimated_duration": new.estimated_duration, "metadata": new.metadata,
                    "dependencies": new.dependencies, "tags": new.tags,
                });
                there.send_json("POST", "/v1/tasks", &body).await
            }
        }
    }

    /// Tasks, newest first.
    pub(crate) async fn tasks(&self, status: Option<&str>, limit: i64) -> Result<Vec<Task>> {
        match self {
            Self::Here(ctx) => Ok(tasks::list(&ctx.actor, &ctx.store, status, None, limit).await?),
            Self::There(there) => there.list("/v1/tasks", &[("status", text(status))], limit).await,
        }
    }

    /// Tasks that match, best first.
    pub(crate) async fn find_tasks(&self, words: &str, filter: &TaskFilter, limit: i64) -> Result<Vec<FoundTask>> {
        match self {
            Self::Here(ctx) => {
                let limit = i32::try_from(limit).unwrap_or(i32::MAX);
                Ok(tasks::find(&ctx.actor, &ctx.store, words, filter, limit).await?)
            }
            Self::There(there) => {
                let query = [
                    ("q", Some(words.to_owned())),
                    ("status", filter.status.clone()),
                    ("priority", filter.priority.clone()),
                    ("assigned_to", text(filter.assigned_to)),
                    ("created_from", text(filter.created_from)),
                    ("created_before", text(filter.created_before)),
                    ("tag", filter.tag.clone()),
                ];
                // There is one page of the best.
                there.list("/v1/tasks/search", &query, limit).await
            }
        }
    }

    /// Rows whose ids begin so, as far as the person may see them.
    pub(crate) async fn begun(&self, kind: Kind, typed: &Beginning) -> Result<Vec<Begun>> {
        match self {
            Self::Here(ctx) => Ok(ids::find(&ctx.store, &ctx.actor, kind, typed).await?),
            Self::There(there) => {
                let query = [("kind", Some(kind.word().to_owned())), ("begins", Some(typed.to_string()))];
                there.whole("/v1/ids", &query).await
            }
        }
    }

    /// One task.
    pub(crate) async fn task(&self, id: Uuid) -> Result<Task> {
        match self {
            Self::Here(ctx) => Ok(domain::tasks::get(&ctx.store, &ctx.actor, id).await?),
            Self::There(there) => there.get(&format!("/v1/tasks/{id}"), &[]).await,
        }
    }

    /// One task with all that belongs to it.
    pub(crate) async fn whole_task(&self, id: Uuid) -> Result<Whole> {
        let task = self.task(id).await?;
        match self {
            Self::Here(ctx) => {
                let (actor, store) = (&ctx.actor, &ctx.store);
                let mut with_steps = Vec::new();
                for run in runs::list(actor, store, id).await? {
                    let steps = runs::steps(actor, store, run.id).await?;
                    with_steps.push(RunWithSteps { run, steps });
                }
                Ok(Whole {
                    task,
                    provenance: tasks::provenance(actor, store, id).await?,
                    queue: task_queue::get(actor, store, id).await?,
                    attachments: file_attachments::list(actor, store, id).await?,
                    approvals: approvals::list(actor, store, None, Some(id), None, 200).await?,
                    runs: with_steps,
                })
            }
            Self::There(there) => {
                let standing: Standing = there.get(&format!("/v1/tasks/{id}/standing"), &[]).await?;
                Ok(Whole {
                    task,
                    provenance: standing.provenance,
                    queue: standing.queue,
                    attachments: there.whole(&format!("/v1/tasks/{id}/attachments"), &[]).await?,
                    approvals: there.list("/v1/approvals", &[("task_id", Some(id.to_string()))], 200).await?,
                    runs: there.whole(&format!("/v1/tasks/{id}/runs"), &[]).await?,
                })
            }
        }
    }

    /// Gives a task to somebody, or takes it from everybody.
    pub(crate) async fn assign_task(&self, id: Uuid, assignee: Option<Uuid>) -> Result<()> {
        match self {
            Self::Here(ctx) => {
                // Looked up first, so that an unknown task is told from one that is not the person's to give away.
                domain::tasks::get(&ctx.store, &ctx.actor, id).await?;
                Ok(tasks::assign(&ctx.actor, &ctx.store, id, assignee).await?)
            }
            Self::There(there) => {
                there.tell("POST", &format!("/v1/tasks/{id}/assign"), &json!({ "assigned_to": assignee })).await
            }
        }
    }

    /// Moves a task, and answers what else the person must know.
    pub(crate) async fn move_task(&self, id: Uuid, to: Move, note: Option<String>) -> Result<Option<String>> {
        match self {
            Self::Here(ctx) => Ok(domain::tasks::set_status(&ctx.store, &ctx.actor, id, to.status(), note).await?),
            Self::There(there) => {
                let body = note.map_or_else(|| json!({}), |note| json!({ "summary": note }));
                let moved: Moved = there.send_json("POST", &format!("/v1/tasks/{id}/{}", to.verb()), &body).await?;
                Ok(moved.notice)
            }
        }
    }

    /// Changes what must be completed before a task, and answers the task.
    pub(crate) async fn change_dependencies(&self, id: Uuid, on: Vec<Uuid>, not_on: Vec<Uuid>) -> Result<Task> {
        match self {
            Self::Here(ctx) => {
                let actor = ctx.actor.clone();
                ctx.store
                    .transaction(move |tx| Box::pin(async move { dependencies(&actor, tx, id, on, &not_on).await }))
                    .await
            }
            Self::There(there) => {
                let body = json!({ "add": on, "remove": not_on });
                there.send_json("POST", &format!("/v1/tasks/{id}/dependencies"), &body).await
            }
        }
    }

    /// The tasks that must be completed before one, as far as the person may see them.
    pub(crate) async fn dependencies(&self, task: &Task) -> Result<Vec<Task>> {
        match self {
            Self::Here(ctx) => {
                let mut found = Vec::new();
                for dependency in &task.dependencies {
                    found.extend(tasks::get(&ctx.actor, &ctx.store, *dependency).await?);
                }
                Ok(found)
            }
            Self::There(there) => there.whole(&format!("/v1/tasks/{}/dependencies", task.id), &[]).await,
        }
    }

    /// Approvals, newest first.
    pub(crate) async fn approvals(
        &self,
        status: Option<&str>,
        task: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Approval>> {
        match self {
            Self::Here(ctx) => Ok(approvals::list(&ctx.actor, &ctx.store, status, task, None, limit).await?),
            Self::There(there) => {
                there.list("/v1/approvals", &[("status", text(status)), ("task_id", text(task))], limit).await
            }
        }
    }

    /// One approval with the call it decides.
    pub(crate) async fn approval(&self, id: Uuid) -> Result<Asked> {
        let unknown = || not_found("approval", &id.to_string());
        match self {
            Self::Here(ctx) => {
                let (actor, store) = (&ctx.actor, &ctx.store);
                let approval = approvals::get(actor, store, id).await?.ok_or_else(unknown)?;
                let call = approvals::call(actor, store, id).await?.map(|frozen| frozen.call);
                Ok(Asked { approval, call, edited_arguments: approvals::edit(actor, store, id).await? })
            }
            Self::There(there) => there.find(&format!("/v1/approvals/{id}")).await?.ok_or_else(unknown),
        }
    }

    /// Says yes or no. `is_fresh`: who acts has just shown the password; a token elsewhere never has.
    pub(crate) async fn decide(&self, id: Uuid, decision: Decision, is_fresh: bool) -> Result<Approval> {
        match self {
            Self::Here(ctx) => Ok(decide::decide_from_afar(&ctx.store, &ctx.actor, id, decision, is_fresh).await?),
            Self::There(there) => {
                let word = if decision.approve { "approve" } else { "reject" };
                let mut body = json!({ "decision": word, "note": decision.note });
                if let Some(arguments) = decision.arguments {
                    body["arguments"] = arguments;
                }
                there.send_json("POST", &format!("/v1/approvals/{id}/decision"), &body).await
            }
        }
    }

    /// Says what should be different: a no that whoever leads the work hears.
    pub(crate) async fn ask_for_changes(&self, id: Uuid, note: &str) -> Result<Approval> {
        match self {
            Self::Here(ctx) => Ok(reconsider::ask_for_changes(&ctx.store, &ctx.actor, id, note).await?),
            Self::There(there) => {
                let body = json!({ "decision": "changes", "note": note });
                there.send_json("POST", &format!("/v1/approvals/{id}/decision"), &body).await
            }
        }
    }

    /// Takes more time to decide.
    pub(crate) async fn extend_approval(&self, id: Uuid, until: Timestamp) -> Result<Approval> {
        match self {
            Self::Here(ctx) => Ok(reconsider::extend(&ctx.store, &ctx.actor, id, until).await?),
            Self::There(there) => {
                let body = json!({ "expires_at": until });
                there.send_json("POST", &format!("/v1/approvals/{id}/extend"), &body).await
            }
        }
    }

    /// Who else may decide an approval.
    pub(crate) async fn deciders(&self, id: Uuid) -> Result<Vec<User>> {
        match self {
            Self::Here(ctx) => {
                let approval = self.approval(id).await?.approval;
                Ok(hand_over::deciders(&ctx.store, &ctx.actor, &approval).await?)
            }
            Self::There(there) => there.whole(&format!("/v1/approvals/{id}/deciders"), &[]).await,
        }
    }

    /// Asks somebody else to decide.
    pub(crate) async fn ask_to_decide(&self, id: Uuid, whom: Uuid, note: Option<&str>) -> Result<()> {
        match self {
            Self::Here(ctx) => Ok(hand_over::ask(&ctx.store, &ctx.actor, id, whom, note).await.map(drop)?),
            Self::There(there) => {
                let body = json!({ "to": whom, "note": note });
                there.tell("POST", &format!("/v1/approvals/{id}/ask"), &body).await
            }
        }
    }

    /// The schema of a tool's arguments; none where the tool is not known.
    pub(crate) async fn tool_schema(&self, server: &str, tool: &str) -> Result<Option<Value>> {
        match self {
            Self::Here(ctx) => {
                let found = store::mcp_servers::tool(&ctx.actor, &ctx.store, server, tool).await?;
                Ok(found.map(|t| t.input_schema))
            }
            Self::There(_) => {
                let Some(server) = self.servers().await?.into_iter().find(|s| s.name == server) else {
                    return Ok(None);
                };
                Ok(self.tools(&server).await?.into_iter().find(|t| t.name == tool).map(|t| t.input_schema))
            }
        }
    }
}

/// What a person does with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Start,
    Complete,
    Cancel,
    Reopen,
}

impl Move {
    /// What the task is then.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Start => "in_progress",
            Self::Complete => "completed",
            Self::Cancel => "cancelled",
            Self::Reopen => "pending",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Complete => "complete",
            Self::Cancel => "cancel",
            Self::Reopen => "reopen",
        }
    }
}

async fn dependencies(
    actor: &Actor,
    tx: &store::Transaction,
    id: Uuid,
    on: Vec<Uuid>,
    not_on: &[Uuid],
) -> Result<Task> {
    let Some(mut task) = tasks::lock(actor, tx, id).await? else {
        return Err(match tasks::get(actor, tx, id).await? {
            Some(_) => not_allowed("tasks"),
            None => not_found("task", &id.to_string()),
        });
    };
    if let Some(stranger) = not_on.iter().find(|d| !task.dependencies.contains(d)) {
        return Err(Error::refused(format!("the task does not depend on {stranger}; see: steward task depends {id}")));
    }
    task.dependencies.retain(|d| !not_on.contains(d));
    for new in on {
        if !task.dependencies.contains(&new) {
            task.dependencies.push(new);
        }
    }
    if tasks::update(actor, tx, &task).await? { Ok(task) } else { Err(not_allowed("tasks")) }
}
