//! What a refused change is told: how the row stands now, and who changed it last.

use domain::Error;
use serde_json::{Value, json};
use store::audit_trail;
use uuid::Uuid;

use crate::{app::App, fault::Fault, session::Signed};

/// Changes that are shown.
const SHOWN: i64 = 5;

/// The fault of a change; one that was refused because the row is another by now says what became of it.
pub(super) async fn told(app: &App, me: &Signed, kind: &str, id: Uuid, error: Error) -> Fault {
    let Error::Changed { current } = error else { return error.into() };
    // Without the trail the row itself still says how it stands.
    let rows = audit_trail::list(&me.actor, app.store(), Some(kind), Some(id), SHOWN).await.unwrap_or_default();
    let changes: Vec<Value> = rows
        .into_iter()
        .map(|row| {
            json!({ "at": row.created_at, "user_id": row.user_id, "action": row.action,
                    "from": row.old_values, "to": row.new_values })
        })
        .collect();
    Fault::changed(*current, changes)
}
