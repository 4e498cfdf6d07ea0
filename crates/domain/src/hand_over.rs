//! Asking somebody else to decide: the approval stays open for all who may decide it, and one of them is told.

use serde_json::json;
use store::{
    Actor, Store,
    approvals::{self, Approval},
    notifications::{self, NewNotification},
    tasks,
    users::{self, User},
};
use uuid::Uuid;

use crate::{Error, Result};

/// People besides the actor who may decide an approval, by name, at most eleven.
pub async fn deciders(store: &Store, actor: &Actor, approval: &Approval) -> Result<Vec<User>> {
    let mut found = users::people_with_role(actor, store, "admin").await?;
    if let Some(id) = approval.task_id
        && let Some(owner) = tasks::get(actor, store, id).await?.and_then(|t| t.created_by)
        && !found.iter().any(|u| u.id == owner)
    {
        let owners = users::names(actor, store, vec![owner]).await?;
        for owner in owners.into_iter().filter(|u| u.status == "active") {
            if users::allowed(&Actor::user(owner.id), store, "approval_decide_own").await? {
                found.push(owner);
            }
        }
    }
    found.retain(|u| Some(u.id) != actor.user_id());
    Ok(found)
}

/// Tells somebody that the actor asks for a decision. Only who may decide can hand over, and only to who may decide too.
pub async fn ask(store: &Store, actor: &Actor, id: Uuid, to: Uuid, note: Option<&str>) -> Result<User> {
    if note.is_some_and(|n| n.chars().count() > 4000) {
        return Err(Error::invalid("note", "the note is longer than 4000 characters; shorten it"));
    }
    let open = approvals::get(actor, store, id).await?.ok_or_else(|| Error::NotFound(format!("approval {id}")))?;
    if open.status != "pending" || open.expires_at.is_some_and(|end| end <= store::now()) {
        return Err(Error::Conflict("nothing waits for this decision any more; nobody was told".to_owned()));
    }
    let me = actor.user_id().unwrap_or_default();
    let mine = users::names(actor, store, vec![me]).await?.pop();
    let (Some(mine), true) = (mine, may_decide(store, actor, &open).await?) else {
        return Err(store::Error::Refused { what: "approvals".to_owned() }.into());
    };
    let Some(to) = deciders(store, actor, &open).await?.into_iter().find(|u| u.id == to) else {
        return Err(Error::invalid("to", "choose somebody who may decide this; nobody was told"));
    };
    let what = open.details.as_ref().and_then(|d| d.get("summary")).and_then(|s| s.as_str()).unwrap_or("a call");
    let new = NewNotification {
        user_id: to.id,
        title: format!("{} asks you to decide: {what}", mine.username),
        message: note.map(str::to_owned),
        r#type: "approval",
        data: json!({ "approval_id": id, "task_id": open.task_id }),
    };
    // Nobody writes into another's notifications but Steward itself; the request behind it stands in the audit.
    let service =
        Actor::service().from_request(actor.ip_address, actor.user_agent.as_deref(), actor.request_id.as_deref());
    notifications::create(&service, store, &new).await?;
    Ok(to)
}

/// Whether a person may decide an approval.
pub(crate) async fn may_decide(store: &Store, actor: &Actor, open: &Approval) -> Result<bool> {
    if users::allowed(actor, store, "approval_decide").await? {
        return Ok(true);
    }
    let is_own = match open.task_id {
        Some(id) => tasks::get(actor, store, id).await?.is_some_and(|t| t.created_by == actor.user_id()),
        None => false,
    };
    Ok(is_own && users::allowed(actor, store, "approval_decide_own").await?)
}
