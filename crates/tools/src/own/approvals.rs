//! Asking people through Steward's own server, and waiting for what they decide.

use std::time::Duration;

use domain::{
    decide::CHANGES,
    requests::{self, NewRequest},
};
use rmcp::{
    RoleServer,
    model::ProgressNotificationParam,
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use store::approvals::{self, Approval};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{
    Caller, OwnServer,
    answer::{Answer, Refusal, cursor, json, page},
};

/// How long is waited where nothing is said: less than proxies let a silent request live.
const WAIT_S: u32 = 25;
/// The longest wait of one call, in seconds.
const MOST_S: u32 = 300;
/// How often the row is looked at where no signal comes.
const POLL: Duration = Duration::from_secs(2);
/// Signals that come together are one look.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often a waiting caller is told that its request lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What `approval_request` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// What would be done, in a person's words, 1 to 200 characters.
    summary: String,
    /// Exactly what would be done; whoever decides may change it.
    #[serde(default)]
    arguments: Map<String, Json>,
    /// Why it should be done, at most 4000 characters.
    #[serde(default)]
    reason: Option<String>,
    /// The task it belongs to; without it, a task is made for the question.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    task_id: Option<Uuid>,
    /// `normal`, or `high`: then the yes is taken only from a person who has just shown who it is.
    #[serde(default)]
    risk: Option<String>,
    /// Minutes until nobody's decision means no: 1 to 43200, a day where nothing is said.
    #[serde(default)]
    minutes: Option<u32>,
}

pub(super) async fn request(own: &OwnServer, caller: &Caller, sent: Request, _: &RequestContext<RoleServer>) -> Answer {
    let new = NewRequest {
        task_id: sent.task_id,
        summary: sent.summary,
        arguments: sent.arguments,
        reason: sent.reason,
        risk: sent.risk.unwrap_or_else(|| "normal".to_owned()),
        minutes: sent.minutes.unwrap_or(requests::MINUTES),
        via: "mcp",
    };
    let asked = requests::ask(&own.store, &caller.actor, new).await?;
    shown(own, caller, &asked).await
}

/// What `approval_wait` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// The approval.
    #[schemars(with = "String")]
    approval_id: Uuid,
    /// How long to wait, 0 to 300 seconds.
    #[serde(default)]
    #[schemars(range(max = 300))]
    seconds: Option<u32>,
}

pub(super) async fn wait(own: &OwnServer, caller: &Caller, sent: Wait, context: &RequestContext<RoleServer>) -> Answer {
    let seconds = sent.seconds.unwrap_or(WAIT_S);
    if seconds > MOST_S {
        return Err(Refusal::Arguments(format!("seconds: one call waits for 0 to {MOST_S} seconds; call it again")));
    }
    let (began, id) = (Instant::now(), sent.approval_id);
    let end = began + Duration::from_secs(seconds.into());
    // Made before the first look, so that no decision falls between the two.
    let mut signals = own.store.signals();
    let mut sign = began + SIGN_OF_LIFE;
    loop {
        let found = approvals::get(&caller.actor, &own.store, id).await?;
        let approval = found.ok_or_else(|| domain::Error::NotFound(format!("approval {id}")))?;
        if approval.status != "pending" || Instant::now() >= end {
            return shown(own, caller, &approval).await;
        }
        if Instant::now() >= sign {
            tell(context, began.elapsed(), seconds).await;
            sign += SIGN_OF_LIFE;
        }
        tokio::select! {
            () = context.ct.cancelled() => return Err(Refusal::Cancelled),
            signal = signals.recv() => {
                if signal.is_none() {
                    return shown(own, caller, &approval).await;
                }
                sleep(TOGETHER).await;
            }
            () = sleep_until(end.min(Instant::now() + POLL)) => {}
        }
    }
}

/// A sign of life to a caller that wants one.
async fn tell(context: &RequestContext<RoleServer>, passed: Duration, of: u32) {
    let Some(token) = context.meta.get_progress_token() else { return };
    let progress = ProgressNotificationParam::new(token, passed.as_secs_f64())
        .with_total(of.into())
        .with_message("nobody has decided yet");
    // A caller that went away needs none.
    if let Err(e) = context.peer.notify_progress(progress).await {
        tracing::debug!(cause = %e, "a waiting caller could not be told");
    }
}

/// What `approval_list` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// `pending`, `approved`, `rejected` or `expired`.
    #[serde(default)]
    status: Option<String>,
    /// Of this task alone.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    task_id: Option<Uuid>,
    /// 1 to 100; 20 where nothing is said.
    #[serde(default)]
    limit: Option<u8>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

pub(super) async fn list(own: &OwnServer, caller: &Caller, sent: List, _: &RequestContext<RoleServer>) -> Answer {
    if let Some(status) = sent.status.as_deref().filter(|s| !["pending", "approved", "rejected", "expired"].contains(s))
    {
        return Err(Refusal::Arguments(format!(
            "status: an approval is pending, approved, rejected or expired, never {status:?}"
        )));
    }
    let limit = i64::from(sent.limit.unwrap_or(20).clamp(1, 100));
    let place = cursor(sent.cursor.as_deref())?;
    let status = sent.status.as_deref();
    let rows = approvals::list(&caller.actor, &own.store, status, sent.task_id, place, limit + 1).await?;
    page("approvals", rows, limit, |a| (a.created_at, a.id))
}

/// An approval for its asker: the row, and beside it what a yes allows, with the deciding person's changes in it.
pub(super) async fn shown(own: &OwnServer, caller: &Caller, approval: &Approval) -> Answer {
    let edit = approvals::edit(&caller.actor, &own.store, approval.id).await?;
    let is_sent_back = approval.status == "rejected" && edit.as_deref() == Some(CHANGES);
    let edit = edit.filter(|_| approval.status == "approved");
    let asked = approval.details.as_ref().and_then(|d| d.get("arguments")).cloned().unwrap_or(json!({}));
    let edited = edit.as_deref().map(serde_json::from_str::<Json>).transpose();
    let edited = edited.map_err(|e| Refusal::Internal(format!("approval {}: {e}", approval.id)))?;
    let mut out = json(approval)?;
    if let Some(fields) = out.as_object_mut() {
        // A no that wants it otherwise: `notes` say how, and it may be asked for anew.
        fields.insert("asked_otherwise".to_owned(), is_sent_back.into());
        fields.insert("was_changed".to_owned(), edited.is_some().into());
        fields.insert("arguments".to_owned(), edited.unwrap_or(asked));
    }
    Ok(out)
}
