//! The list of approvals.

use axum::extract::State;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::approvals::{self, Approval};

use super::{
    layout::shell,
    parts::{empty, name_of, older, outside_mark, say, state, tabs, when},
    words,
};
use crate::{
    app::{App, names},
    fault::Result,
    params::{Params, page as cut_page},
    session::Signed,
};

const FILTERS: [(&str, &str); 5] = [
    ("pending", "Waiting"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
    ("expired", "Expired"),
    ("all", "All"),
];

/// `GET /approvals`
pub(crate) async fn page(State(app): State<App>, me: Signed, params: Params) -> Result<Markup> {
    params.only(&["status", "cursor", "limit"])?;
    let filter = params.one_of("status", &FILTERS.map(|f| f.0))?.unwrap_or("pending");
    let status = (filter != "all").then_some(filter);
    let limit = params.limit()?;
    let rows = approvals::list(&me.actor, app.store(), status, None, params.cursor()?, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |a| (a.created_at, a.id));
    let names = names(&app, &me.actor, rows.iter().filter_map(|a| a.approved_by.or(a.rejected_by))).await?;
    let now = store::now();
    Ok(shell(
        &me,
        "Approvals",
        "/approvals",
        &html! {
            h1 { "Approvals" }
            (tabs("Which approvals", "/approvals", "status", &FILTERS, filter))
            @if rows.is_empty() {
                @if filter == "pending" {
                    (empty("Nothing waits for a decision.", &html! { "When a rule says " em { "ask" } ", or no rule matches, the call stands here until somebody decides or its time is over, which means no." }))
                } @else {
                    (empty("There are none.", &html! { "Try another filter." }))
                }
            } @else {
                ul.cards {
                    @for approval in &rows {
                        (card(approval, now, &html! {
                            @if let Some(by) = approval.approved_by.or(approval.rejected_by) {
                                " by " (name_of(&names, Some(by))) " " (when(approval.approved_at.or(approval.rejected_at).unwrap_or(approval.updated_at), now))
                            }
                        }))
                    }
                }
                (older(next.as_deref(), "/approvals", &[("status", filter)]))
            }
        },
    ))
}

/// An approval in a list.
pub(crate) fn card(approval: &Approval, now: jiff::Timestamp, more: &Markup) -> Markup {
    html! {
        li {
            p.title { a href={ "/approvals/" (approval.id) } { (headline(approval)) } }
            p.meta {
                (badge(approval, now))
                (more)
                @if is_outside(approval) { " " (outside_mark()) }
                " asked " (when(approval.created_at, now))
                @if approval.status == "pending" && let Some(end) = approval.expires_at { " · decide " (when(end, now)) }
            }
        }
    }
}

/// The state as a mark.
pub(crate) fn badge(approval: &Approval, now: jiff::Timestamp) -> Markup {
    match shown_state(approval, now).as_str() {
        "pending" => state("waiting for a decision"),
        other => state(other),
    }
}

/// `pending` is shown as expired when its time is over, though nobody has noted that yet.
pub(crate) fn shown_state(approval: &Approval, now: jiff::Timestamp) -> String {
    if approval.status == "pending" && approval.expires_at.is_some_and(|end| end <= now) {
        "expired".to_owned()
    } else {
        approval.status.clone()
    }
}

/// A text of the approval's details.
pub(crate) fn detail<'a>(approval: &'a Approval, name: &str) -> Option<&'a str> {
    approval.details.as_ref()?.get(name)?.as_str()
}

/// Whether the work is on content from outside.
pub(crate) fn is_outside(approval: &Approval) -> bool {
    approval.details.as_ref().and_then(|d| d.get("outside")).and_then(Json::as_bool).unwrap_or(false)
}

/// What it is about, in a sentence.
pub(crate) fn headline(approval: &Approval) -> Markup {
    match (detail(approval, "server"), detail(approval, "tool")) {
        (Some(server), Some(tool)) => {
            let arguments = approval.details.as_ref().and_then(|d| d.get("arguments")).cloned().unwrap_or_default();
            let call = words::sentence(server, tool, &arguments);
            if approval.action_type == "outcome_unknown" {
                html! { "Did this happen? " (call) }
            } else {
                call
            }
        }
        _ => say(detail(approval, "summary").unwrap_or(&approval.action_type)),
    }
}
