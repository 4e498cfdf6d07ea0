//! Brings questions to mind: where several must agree, each of them hears of it; whoever was asked is reminded, and after a
//! longer time others are asked too. When, stands in the question, as the rule said it; each is told once, on whichever node.

use domain::{
    decide::approvers_of,
    hand_over,
    telling::copy_id,
    work::asking::{escalate_after, escalate_to, remind_after},
};
use jiff::Timestamp;
use serde_json::json;
use store::{
    Actor, Store,
    approvals::{self, Approval},
    tasks,
};
use uuid::Uuid;

use crate::{
    Result,
    once::{Told, told_once},
};

/// Open questions of a page.
const PAGE: i64 = 200;
/// Pages looked at in one round.
const MOST_PAGES: usize = 50;

/// Looks at every open question as of `now`; answers how many people were told.
pub async fn round(store: &Store, now: Timestamp) -> Result<usize> {
    let service = Actor::service();
    let (mut told, mut cursor) = (0, None);
    for _ in 0..MOST_PAGES {
        let page = approvals::list(&service, store, Some("pending"), None, cursor, PAGE).await?;
        for approval in &page {
            let is_over = approval.expires_at.is_some_and(|end| end <= now);
            let is_ours =
                approvers_of(approval) > 1 || remind_after(approval).is_some() || escalate_after(approval).is_some();
            if !is_over && is_ours {
                told += one(store, approval, now).await?;
            }
        }
        let Some(last) = page.last().filter(|_| i64::try_from(page.len()).unwrap_or(PAGE) == PAGE) else { break };
        cursor = Some((last.created_at, last.id));
    }
    Ok(told)
}

async fn one(store: &Store, approval: &Approval, now: Timestamp) -> Result<usize> {
    let waited = now.duration_since(approval.created_at);
    let is_due = |after: Option<jiff::SignedDuration>| after.is_some_and(|after| waited >= after);
    let (reminds, escalates) = (is_due(remind_after(approval)), is_due(escalate_after(approval)));
    let takes_several = approvers_of(approval) > 1;
    if !reminds && !escalates && !takes_several {
        return Ok(0);
    }
    let task = match approval.task_id {
        Some(id) => tasks::get(&Actor::service(), store, id).await?,
        None => None,
    };
    let owner = match &task {
        Some(task) => domain::tasks::wanted_by(&Actor::service(), store, task).await?,
        None => None,
    };
    let Some(owner) = owner else { return Ok(0) };
    let agreed: Vec<Uuid> = if takes_several {
        approvals::votes(&Actor::service(), store, approval.id).await?.into_iter().map(|v| v.user_id).collect()
    } else {
        Vec::new()
    };
    let mut count = 0;
    if reminds && !agreed.contains(&owner) {
        count += usize::from(tell(store, approval, owner, "Still waiting for your decision", now).await?);
    }
    if !escalates && !takes_several {
        return Ok(count);
    }
    let others = hand_over::deciders(store, &Actor::user(owner), approval).await?;
    if takes_several {
        for other in others.iter().filter(|u| u.id != owner && !agreed.contains(&u.id)) {
            count +=
                usize::from(tell(store, approval, other.id, "Several people must agree, you may be one", now).await?);
        }
    }
    if escalates {
        let named = escalate_to(approval).filter(|id| others.iter().any(|u| u.id == *id));
        for other in others.iter().filter(|u| named.is_none_or(|id| id == u.id) && !agreed.contains(&u.id)) {
            count += usize::from(tell(store, approval, other.id, "Nobody has decided yet, please do", now).await?);
        }
    }
    Ok(count)
}

async fn tell(store: &Store, approval: &Approval, user_id: Uuid, words: &str, now: Timestamp) -> Result<bool> {
    let what = approval.details.as_ref().and_then(|d| d.get("summary")).and_then(|s| s.as_str()).unwrap_or("a call");
    let until = approval
        .expires_at
        .map(|end| format!(" It can be decided until {}; no decision means no.", end.strftime("%Y-%m-%d %H:%M UTC")));
    let told = Told {
        user_id,
        title: format!("{words}: {what}"),
        message: format!(
            "It was asked at {}.{}",
            approval.created_at.strftime("%Y-%m-%d %H:%M UTC"),
            until.unwrap_or_default()
        ),
        kind: "approval",
        priority: "high",
        data: Some(json!({ "approval_id": approval.id, "task_id": approval.task_id })),
    };
    told_once(store, copy_id(approval.id, &format!("{words} {user_id}")), told, now).await
}
