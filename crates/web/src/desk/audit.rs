//! The audit trail: its rows in words and as differences, the history of one row, and the state of the chain.

use std::collections::{BTreeSet, HashMap};

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::Value as Json;
use store::{
    audit_trail::{self, AuditRow, ChainReport},
    users,
};
use uuid::Uuid;

use super::{
    diff,
    layout::{Reader, shell, token},
    parts::{cut, empty, name_of, pretty, say, state_as, time, turns, when},
};
use crate::{
    app::{App, names},
    body::SignedForm,
    chain_check::{self, Check},
    fault::{Fault, Result},
    params::{Params, page as cut_page},
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
    params.only(&["entity_type", "entity_id", "limit", "cursor"])?;
    let (kind, id, limit) = (params.get("entity_type"), params.id("entity_id")?, params.limit()?);
    let cursor = params.cursor()?;
    let rows = audit_trail::page(&me.actor, app.store(), kind, id, cursor, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |row| (row.created_at, row.id));
    let names = names(&app, &me.actor, rows.iter().filter_map(|r| r.user_id)).await?;
    let sees_all = users::may(&me.actor, app.store(), "audit_view_all").await?;
    let check = app.checks.last().filter(|_| sees_all);
    let text = id.map(|id| id.to_string()).unwrap_or_default();
    let filters = [("entity_type", kind.unwrap_or_default()), ("entity_id", &text)];
    Ok(shell(
        &me,
        "Audit",
        "/audit",
        &html! {
            div.head {
                h1 { @if id.is_some() { "History of one " (kind.unwrap_or("row").replace('_', " ")) } @else { "Audit" } }
                @if sees_all { form.acts method="post" action="/audit/verify" { (token(&me)) button.quiet type="submit" { "Check the chain" } } }
            }
            p.lead { "Every change, written by the database itself in the moment of the change. Each row carries the hash of the one before, so nothing can be taken out or rewritten unseen." }
            @if let Some(check) = check { (chain_section(&check)) }
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
            (turns(cursor.is_some(), next.as_deref(), "/audit", &filters))
        },
    ))
}

/// `POST /audit/verify`: begins to check the chain, which goes on when the page is left. Nothing is changed.
pub(crate) async fn verify(State(app): State<App>, SignedForm(me, _): SignedForm) -> Result<Response> {
    if !users::allowed(&me.actor, app.store(), "audit_view_all").await? {
        return Err(Fault::refused("audit_chain"));
    }
    chain_check::begin(&app, me.actor.clone());
    Ok(Redirect::to("/audit").into_response())
}

/// How the check stands that is under way, or what the last one found.
fn chain_section(check: &Check) -> Markup {
    let now = store::now();
    html! {
        div #chain data-live=(if check.ended.is_none() { "poll" } else { "" }) {
            @match &check.ended {
                None => div.notice role="status" {
                    p { (state_as("running", "The chain is being checked")) ", begun " (when(check.begun_at, now)) ": " (check.good()) " links are good so far." }
                    p.small { "It goes on when you leave this page." }
                },
                Some((at, Ok(report))) => { (chain(report)) p.soft.small { "Checked " (when(*at, now)) "." } },
                Some((_, Err(reason))) => div.notice.bad role="alert" { p { strong { "The check did not come to its end: " } (say(reason)) } p { "Begin it again." } },
            }
        }
    }
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
