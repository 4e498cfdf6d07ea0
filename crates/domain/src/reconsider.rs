//! What a person can say of an open approval besides yes and no: that the call should be another, and that there is more
//! time to decide.

use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Store,
    approvals::{self, Approval},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    decide::{CHANGES, lock_open, why_not},
    playbook::sha256_hex,
    server_questions,
};

/// How far from now the end of an approval can be put.
pub const MOST_TIME: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Rejects a call and says what should be different; whoever leads the run hears it and may ask for the call anew. `words`:
/// 1 to 4000 characters.
pub async fn ask_for_changes(store: &Store, actor: &Actor, id: Uuid, words: &str) -> Result<Approval> {
    let words = words.trim().to_owned();
    if words.is_empty() || words.chars().count() > 4000 {
        return Err(Error::invalid("note", "say what should be different, in 1 to 4000 characters"));
    }
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let open = lock_open(&actor, tx, id).await?;
                if open.action_type != "tool_call" && open.action_type != crate::requests::ACTION_TYPE {
                    return Err(Error::invalid(
                        "decision",
                        "changes can be asked for where a call waits; answer this with yes or no",
                    ));
                }
                approvals::add_edit(&actor, tx, id, CHANGES, &sha256_hex(CHANGES)).await?;
                if !approvals::reject(&actor, tx, id, Some(&words)).await? {
                    return Err(why_not(&actor, tx, id).await?);
                }
                approvals::get(&actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("approval {id}")))
            })
        })
        .await
}

/// Gives an open approval time until `until`: later than it stands, at most [`MOST_TIME`] from now. Whoever may decide it can.
pub async fn extend(store: &Store, actor: &Actor, id: Uuid, until: Timestamp) -> Result<Approval> {
    let now = store::now();
    if until <= now || until.duration_since(now) > MOST_TIME {
        return Err(Error::invalid("expires_at", "more time ends in the future, and within 30 days from now"));
    }
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let open = lock_open(&actor, tx, id).await?;
                if open.action_type == server_questions::ACTION_TYPE {
                    return Err(Error::invalid(
                        "expires_at",
                        "the server that asks this waits no longer than it said; answer it, or let it end",
                    ));
                }
                if open.expires_at.is_none_or(|end| end >= until) {
                    return Err(Error::invalid("expires_at", "there is as much time already; name a later moment"));
                }
                if !approvals::extend(&actor, tx, id, until).await? {
                    return Err(why_not(&actor, tx, id).await?);
                }
                approvals::get(&actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("approval {id}")))
            })
        })
        .await
}
