//! Brings questions to mind: where several must agree, each of them hears of it; whoever was asked is reminded, and after a
//! longer time others are asked too. When, stands in the question, as the rule said it; where nothing is said (no rule, an
//! unknown outcome, a limit, a question of a model, a server or a program) the house reminds. Each is told once, on whichever
//! node.

use domain::{
    decide::approvers_of,
    hand_over,
    telling::copy_id,
    work::asking::{escalate_after, escalate_to, remind_after},
};
use jiff::{SignedDuration, Timestamp};
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

/// For so long after its time a reminder of the house is looked for: what was told then is not looked up for ever.
const LATEST: SignedDuration = SignedDuration::from_hours(24);
/// A question that is open for a shorter time than this is over before a reminder helps.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

/// After how long the house reminds of a question about which nothing is said: after its own time, or half-way to the
/// question's end where that is sooner.
fn usual(approval: &Approval, house: Option<SignedDuration>) -> Option<SignedDuration> {
    let lasts = approval.expires_at?.duration_since(approval.created_at);
    (lasts >= SHORTEST).then(|| house.map(|after| after.min(lasts / 2))).flatten()
}

/// Looks at every open question as of `now`; answers how many people were told. `house` is after how long whoever was asked
/// is reminded where nothing else is said; none never reminds then.
pub async fn round(store: &Store, now: Timestamp, house: Option<SignedDuration>) -> Result<usize> {
    let service = Actor::service();
    let (mut told, mut cursor) = (0, None);
    for _ in 0..MOST_PAGES {
        let page = approvals::list(&service, store, Some("pending"), None, cursor, PAGE).await?;
        for approval in &page {
            let is_over = approval.expires_at.is_some_and(|end| end <= now);
            let by_house = usual(approval, house).filter(|_| remind_after(approval).is_none()).filter(|after| {
                let late = now.duration_since(approval.created_at) - *after;
                !late.is_negative() && late < LATEST
            });
            let is_ours = approvers_of(approval) > 1
                || remind_after(approval).or(by_house).is_some()
                || escalate_after(approval).is_some();
            if !is_over && is_ours {
                told += one(store, approval, by_house, now).await?;
            }
        }
        let Some(last) = page.last().filter(|_| i64::try_from(page.len()).unwrap_or(PAGE) == PAGE) else { break };
        cursor = Some((last.created_at, last.id));
    }
    Ok(told)
}

async fn one(store: &Store, approval: &Approval, by_house: Option<SignedDuration>, now: Timestamp) -> Result<usize> {
    let waited = now.duration_since(approval.created_at);
    let is_due = |after: Option<SignedDuration>| after.is_some_and(|after| waited >= after);
    let reminds = is_due(remind_after(approval).or(by_house));
    let escalates = is_due(escalate_after(approval));
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
