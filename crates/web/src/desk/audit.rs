//! The audit trail: its rows in words and as differences, the history of one row, and the state of the chain.

use std::collections::{BTreeSet, HashMap};

use axum::extract::State;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::audit_trail::{self, AuditRow, ChainReport};
use uuid::Uuid;

use super::{
    diff,
    layout::{Reader, shell, token},
    parts::{cut, empty, name_of, pretty, say, state_as, time},
};
use crate::{
    app::{App, names},
    body::SignedForm,
    fault::Result,
    params::Params,
};

/// Kinds of rows that the trail speaks of.
const KINDS: [&str; 13] = [
    "task",
    "approval",
    "approval_call",
    "approval_edit",
    "user",
    "session",
    "watcher",
    "mcp_server",
    "server_tool",
    "policy",
    "attachment",
    "run",
    "schedule",
];

/// `GET /audit`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    show(&app, &me, &params, None).await
}

/// `POST /audit/verify`: checks the chain and says how it stands. Nothing is changed.
pub(crate) async fn verify(State(app): State<App>, SignedForm(me, _): SignedForm) -> Result<Markup> {
    let report = audit_trail::verify(&me.actor, app.store()).await?;
    let me = Reader::of(&app, me).await?;
    show(&app, &me, &Params::default(), Some(&report)).await
}

async fn show(app: &App, me: &Reader, params: &Params, report: Option<&ChainReport>) -> Result<Markup> {
    params.only(&["entity_type", "entity_id", "limit"])?;
    let (kind, id) = (params.get("entity_type"), params.id("entity_id")?);
    let rows = audit_trail::list(&me.actor, app.store(), kind, id, params.limit()?).await?;
    let names = names(app, &me.actor, rows.iter().filter_map(|r| r.user_id)).await?;
    Ok(shell(
        me,
        "Audit",
        "/audit",
        &html! {
            div.head {
                h1 { @if id.is_some() { "History of one " (kind.unwrap_or("row").replace('_', " ")) } @else { "Audit" } }
                form.acts method="post" action="/audit/verify" { (token(me)) button.quiet type="submit" { "Check the chain" } }
            }
            p.lead { "Every change, written by the database itself in the moment of the change. Each row carries the hash of the one before, so nothing can be taken out or rewritten unseen." }
            @if let Some(report) = report { (chain(report)) }
            @if id.is_some() { p { a href="/audit" { "The whole trail" } } }
            @else { (filter(kind)) }
            @if rows.is_empty() { (empty("No rows.", &html! { "What you did, and what was done to tasks you may see, stands here; all of it needs the permission to read the whole trail." })) }
            ol.timeline {
                @for row in &rows {
                    li.audit {
                        (entry(row, &names))
                        (place(row, id.is_some()))
                        (difference(row))
                    }
                }
            }
        },
    ))
}

fn filter(kind: Option<&str>) -> Markup {
    html! {
        form.filter method="get" action="/audit" {
            label for="entity_type" { "Rows of" }
            select #entity_type name="entity_type" data-now="" {
                option value="" { "everything" }
                @for one in KINDS { option value=(one) selected[Some(one) == kind] { (one.replace('_', " ")) } }
            }
            button.quiet type="submit" { "Show" }
        }
    }
}

fn chain(report: &ChainReport) -> Markup {
    html! {
        @match &report.broken {
            None => div.notice.good role="status" {
                p { (state_as("approved", "The chain is whole")) ": " (report.links) " links." }
                p.small { "Its head " code { (report.head) } @if let Some(at) = &report.head_at { " of " (at) } ". Keep it elsewhere: with it, even a trail that was rewritten as a whole is found out." }
            },
            Some(found) => div.notice.bad role="alert" {
                p { strong { "The chain is broken" } @if let Some(at) = found.position { " at link " (at) } ": " (found.reason) }
                @if let Some(row) = &found.row_id { p { "Row " code { (row) } } }
                p { "Compare with a backup: " code { "steward audit verify" } " says more." }
            },
        }
    }
}

fn place(row: &AuditRow, is_history: bool) -> Markup {
    let (Some(kind), Some(id)) = (&row.entity_type, row.entity_id) else { return html! {} };
    html! {
        p.small {
            @match kind.as_str() {
                "task" => { a href={ "/tasks/" (id) } { "the task" } " · " },
                "approval" => { a href={ "/approvals/" (id) } { "the approval" } " · " },
                _ => {},
            }
            @if !is_history { a href={ "/audit?entity_type=" (crate::guard::encode(kind)) "&entity_id=" (id) } { "its history" } " · " }
            code { (cut(&id.to_string(), 14)) }
            @if let Some(ip) = row.ip_address { " from " (ip) }
        }
    }
}

/// Old against new as a difference.
fn difference(row: &AuditRow) -> Markup {
    let text = |side: &Option<Json>| side.as_ref().map(pretty).unwrap_or_default();
    html! {
        @if row.old_values.is_some() || row.new_values.is_some() {
            details { summary { "What was written" } (diff::text(&text(&row.old_values), &text(&row.new_values), "Before and after")) }
        }
    }
}

/// A row in words: when, what, who, and what changed.
pub(crate) fn entry(row: &AuditRow, names: &HashMap<Uuid, String>) -> Markup {
    html! {
        p { (time(row.created_at)) " " strong { (row.action.replace('_', " ")) } " by " (who(row, names)) }
        @for change in changes(row).iter().take(8) { p.small { (change) } }
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
