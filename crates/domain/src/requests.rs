//! What a program asks of people: a yes or a no to something that it will do itself. Steward keeps the question, its
//! decision and who made it; it runs nothing.

use jiff::SignedDuration;
use serde_json::{Map, Value as Json, json};
use store::{
    Actor, Store,
    approvals::{self, Approval, NewApproval},
    notifications::{self, NewNotification},
    tasks::{self, NewTask, Task},
    users,
};
use uuid::Uuid;

use crate::{
    Error, Result,
    playbook::{canonical_json, sha256_hex},
};

/// What `approvals.action_type` says of such a question.
pub const ACTION_TYPE: &str = "request";
/// Bytes that the arguments may have as JSON.
pub const ARGUMENT_BYTES: usize = 64 * 1024;
/// The longest that a question may stay open, in minutes: thirty days.
pub const MOST_MINUTES: u32 = 30 * 24 * 60;
/// How long it stays open where nothing is said, in minutes: a day.
pub const MINUTES: u32 = 24 * 60;
/// Questions of one program that may be open at a time: more than people can answer helps nobody.
pub const MOST_OPEN: i64 = 100;
/// The words for a risk.
pub const RISKS: [&str; 2] = ["normal", "high"];

/// A question to be asked.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// The task it belongs to, which the actor must see; none: one is made for it.
    pub task_id: Option<Uuid>,
    /// What would be done, in a person's words: 1–200 characters.
    pub summary: String,
    /// Exactly what would be done, as an object of at most [`ARGUMENT_BYTES`]; whoever decides may change it.
    pub arguments: Map<String, Json>,
    /// Why, at most 4000 characters.
    pub reason: Option<String>,
    /// A word of [`RISKS`]; `high` wants a person who has just shown who it is.
    pub risk: String,
    /// How long it may be decided: 1 to [`MOST_MINUTES`] minutes. Undecided by then means no.
    pub minutes: u32,
    /// By which way it came: `api`, `mcp` …
    pub via: &'static str,
}

/// Asks, and tells those who may decide: who made the task, or the administrators where that is a program. What the
/// question says is a program's word and marked as content from outside.
pub async fn ask(store: &Store, actor: &Actor, new: NewRequest) -> Result<Approval> {
    check(&new)?;
    let arguments = Json::Object(new.arguments.clone());
    let text = canonical_json(&arguments);
    if text.len() > ARGUMENT_BYTES {
        return Err(Error::invalid(
            "arguments",
            format!(
                "the arguments have {} bytes; they may have {ARGUMENT_BYTES}. Name large content instead",
                text.len()
            ),
        ));
    }
    let details = json!({
        "summary": new.summary.trim(),
        "arguments": arguments,
        "arguments_sha256": sha256_hex(&text),
        "reason": new.reason,
        "risk": new.risk,
        "outside": true,
        "via": new.via,
    });
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                if approvals::open_of(&actor, tx, ACTION_TYPE, MOST_OPEN).await? >= MOST_OPEN {
                    return Err(Error::Conflict(format!(
                        "{MOST_OPEN} questions of yours wait for an answer, and more may not be open at a time; wait until some of them are decided"
                    )));
                }
                let task = task_of(&actor, tx, &new).await?;
                if matches!(task.status.as_str(), "completed" | "failed" | "cancelled") {
                    return Err(Error::Conflict(format!(
                        "the task is {}, so nothing can be asked for it; reopen it first, or ask for another task",
                        task.status
                    )));
                }
                let expires_at = store::now() + SignedDuration::from_mins(new.minutes.into());
                let asked = NewApproval { task_id: task.id, action_type: ACTION_TYPE.to_owned(), details, expires_at };
                let id = approvals::create(&actor, tx, &asked).await?;
                let title = format!("Asked: {}", new.summary.trim());
                // Nobody writes into another's notifications but Steward itself; the request behind it stands in the audit.
                let (ip, user_agent) = (actor.ip_address, actor.user_agent.as_deref());
                let service = Actor::service().from_request(ip, user_agent, actor.request_id.as_deref());
                for user_id in deciders(tx, &task).await? {
                    let told = NewNotification {
                        user_id,
                        title: title.clone(),
                        message: Some(task.title.clone()),
                        r#type: "approval",
                        data: json!({ "task_id": task.id, "approval_id": id }),
                    };
                    notifications::create(&service, tx, &told).await?;
                }
                approvals::get(&actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("approval {id}")))
            })
        })
        .await
}

fn check(new: &NewRequest) -> Result<()> {
    let length = new.summary.trim().chars().count();
    if !(1..=200).contains(&length) {
        return Err(Error::invalid(
            "summary",
            format!("the summary has {length} characters; say in 1 to 200 what would be done"),
        ));
    }
    if new.reason.as_ref().is_some_and(|r| r.chars().count() > 4000) {
        return Err(Error::invalid("reason", "the reason is longer than 4000 characters; shorten it"));
    }
    if !RISKS.contains(&new.risk.as_str()) {
        return Err(Error::invalid("risk", format!("the risk is {:?}; say {}", new.risk, RISKS.join(" or "))));
    }
    if !(1..=MOST_MINUTES).contains(&new.minutes) {
        return Err(Error::invalid(
            "minutes",
            format!("a question stays open for 1 to {MOST_MINUTES} minutes, not {}", new.minutes),
        ));
    }
    Ok(())
}

/// The task that is named, or one made for the question.
async fn task_of(actor: &Actor, tx: &store::Transaction, new: &NewRequest) -> Result<Task> {
    let id = if let Some(id) = new.task_id {
        id
    } else {
        let id = tasks::create(actor, tx, &NewTask::titled(new.summary.trim())).await?;
        tasks::add_provenance(actor, tx, id, true, new.via, json!({})).await?;
        id
    };
    tasks::get(actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("task {id}")))
}

/// Who is told: people alone, at most ten.
async fn deciders(tx: &store::Transaction, task: &Task) -> Result<Vec<Uuid>> {
    if let Some(owner) = task.created_by
        && users::allowed(&Actor::user(owner), tx, "approval_decide_own").await?
    {
        return Ok(vec![owner]);
    }
    Ok(users::people_with_role(&Actor::service(), tx, "admin").await?.into_iter().map(|u| u.id).collect())
}
