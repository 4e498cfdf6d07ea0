//! Rows of the audit trail in words.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};
use serde_json::Value as Json;
use store::audit_trail::AuditRow;
use uuid::Uuid;

use super::parts::{cut, name_of, say, time};

/// Rows as a timeline.
pub(crate) fn timeline(rows: &[AuditRow], names: &HashMap<Uuid, String>) -> Markup {
    html! {
        ol.timeline {
            @for row in rows {
                li {
                    p { (time(row.created_at)) " " strong { (row.action.replace('_', " ")) } " by " (who(row, names)) }
                    @for change in changes(row).iter().take(8) { p.small { (change) } }
                }
            }
        }
    }
}

fn who(row: &AuditRow, names: &HashMap<Uuid, String>) -> Markup {
    if row.user_id.is_none() {
        html! { "Steward" }
    } else {
        name_of(names, row.user_id)
    }
}

/// What changed in an update; of a new row only its bare facts are worth telling.
fn changes(row: &AuditRow) -> Vec<Markup> {
    let (Some(old), Some(new)) =
        (row.old_values.as_ref().and_then(Json::as_object), row.new_values.as_ref().and_then(Json::as_object))
    else {
        return Vec::new();
    };
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .map(|key| {
            let text = |side: Option<&Json>| match side {
                None | Some(Json::Null) => html! { span.soft { "nothing" } },
                Some(Json::String(text)) => say(&cut(text, 100)),
                Some(other) => say(&cut(&other.to_string(), 100)),
            };
            html! { (key) ": " (text(old.get(key))) " → " (text(new.get(key))) }
        })
        .collect()
}
