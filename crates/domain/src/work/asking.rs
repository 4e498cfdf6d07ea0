//! What a question says of those it is for, frozen with it: how many must agree, and when whom else it is brought to.

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{approvals::Approval, policies::Asking};
use uuid::Uuid;

/// Puts what the rule says into a question's details. What is as always is left out.
pub(super) fn freeze(details: &mut Json, asking: &Asking) {
    if asking.approvers > 1 {
        details["approvers"] = json!(asking.approvers);
    }
    if let Some(minutes) = asking.remind_minutes {
        details["remind_minutes"] = json!(minutes);
    }
    if let Some(minutes) = asking.escalate_minutes {
        details["escalate_minutes"] = json!(minutes);
        details["escalate_to"] = json!(asking.escalate_to);
    }
}

/// After how long whoever was asked is reminded.
pub fn remind_after(approval: &Approval) -> Option<SignedDuration> {
    minutes(approval, "remind_minutes")
}

/// After how long others are asked too.
pub fn escalate_after(approval: &Approval) -> Option<SignedDuration> {
    minutes(approval, "escalate_minutes")
}

/// Who is asked then; none: everybody else who may decide.
pub fn escalate_to(approval: &Approval) -> Option<Uuid> {
    approval.details.as_ref()?.get("escalate_to")?.as_str()?.parse().ok()
}

fn minutes(approval: &Approval, name: &str) -> Option<SignedDuration> {
    Some(SignedDuration::from_mins(approval.details.as_ref()?.get(name)?.as_i64()?))
}
