//! The queue of approvals: grouped, decided in seconds, one by one or several at once.

use std::collections::HashMap;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    decide::{Decision, approvers_of},
    risk::{self, Risk},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::{
    approvals::{self, Approval},
    tasks::{self, Task},
    users,
};
use uuid::Uuid;

use super::{
    layout::{Reader, sentence, shell, token},
    parts::{empty, minor_tabs, name_of, older, outside_mark, say, state, tabs, when},
    words,
};
use crate::{
    app::{App, names},
    body::SignedForm,
    fault::{Fault, Result},
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
const ORDERS: [(&str, &str); 3] = [("", "By kind"), ("task", "By task"), ("time", "By time")];
/// The queue's address.
pub(crate) const QUEUE: &str = "/approvals";
/// Approvals that can be decided at once.
const AT_ONCE: usize = 50;

/// What of the tasks behind approvals is needed to show them.
#[derive(Debug)]
pub(crate) struct Behind {
    tasks: HashMap<Uuid, Task>,
    /// Whether the reader decides about everything, or only about what the reader asked to be done.
    decides_all: bool,
    decides_own: bool,
    user_id: Uuid,
    form_token: String,
    /// The page that shows them: where one comes back to after a quick decision.
    place: &'static str,
    /// Whether several can be chosen and decided at once.
    has_boxes: bool,
}

impl Behind {
    /// Of these approvals.
    pub async fn of(app: &App, me: &Signed, rows: &[Approval], place: &'static str) -> Result<Self> {
        let mut ids: Vec<Uuid> = rows.iter().filter_map(|a| a.task_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = if ids.is_empty() { Vec::new() } else { tasks::among(&me.actor, app.store(), ids).await? };
        let is_person = !me.session.is_agent;
        Ok(Self {
            tasks: found.into_iter().map(|t| (t.id, t)).collect(),
            decides_all: is_person && users::may(&me.actor, app.store(), "approval_decide").await?,
            decides_own: is_person && users::may(&me.actor, app.store(), "approval_decide_own").await?,
            user_id: me.user_id(),
            form_token: me.form_token.clone(),
            place,
            has_boxes: false,
        })
    }

    fn task(&self, approval: &Approval) -> Option<&Task> {
        self.tasks.get(&approval.task_id?)
    }

    /// Whether to offer a decision; whether it counts is judged by the database alone.
    pub fn may_decide(&self, approval: &Approval) -> bool {
        let is_own = self.task(approval).is_some_and(|t| t.created_by == Some(self.user_id));
        self.decides_all || (self.decides_own && is_own)
    }

    /// Whether a yes or no can be given without looking at the approval's own page.
    fn is_quick(&self, approval: &Approval, now: Timestamp) -> bool {
        shown_state(approval, now) == "pending"
            && risk::of_approval(approval).is_some_and(|(risk, _)| risk < Risk::High)
            && approvers_of(approval) == 1
            && self.may_decide(approval)
    }
}

/// `GET /approvals`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["status", "by", "cursor", "limit", "decided", "refused"])?;
    let filter = params.one_of("status", &FILTERS.map(|f| f.0))?.unwrap_or("pending");
    let order = params.one_of("by", &ORDERS.map(|f| f.0))?.unwrap_or_default();
    let status = (filter != "all").then_some(filter);
    let limit = params.limit()?.min(50);
    let rows = approvals::list(&me.actor, app.store(), status, None, params.cursor()?, limit + 1).await?;
    let (rows, next) = cut_page(rows, limit, |a| (a.created_at, a.id));
    let mut behind = Behind::of(&app, &me, &rows, QUEUE).await?;
    let names = names(&app, &me.actor, rows.iter().filter_map(|a| a.approved_by.or(a.rejected_by))).await?;
    let now = store::now();
    let more = |approval: &Approval| {
        html! {
            @if let Some(by) = approval.approved_by.or(approval.rejected_by) {
                " by " (name_of(&names, Some(by))) " " (when(approval.approved_at.or(approval.rejected_at).unwrap_or(approval.updated_at), now))
            }
        }
    };
    let order = if filter == "pending" { order } else { "time" };
    // A single one is decided by its own buttons.
    behind.has_boxes = rows.iter().filter(|a| behind.is_quick(a, now)).count() > 1;
    Ok(shell(
        &me,
        "Approvals",
        "/approvals",
        &html! {
            div.head {
                h1 { "Approvals" }
                @if filter == "pending" && !rows.is_empty() {
                    p.sum { span { b { (me.waiting_words()) } @if me.waiting_words() == "1" { " waits" } @else { " wait" } } }
                }
            }
            (outcome(&params))
            (tabs("Which approvals", "/approvals", "status", &FILTERS, filter))
            @if filter == "pending" && rows.len() > 1 { (minor_tabs("In which order", "/approvals", "by", &ORDERS, order)) }
            div #queue data-live="" {
                @if rows.is_empty() {
                    @if filter == "pending" {
                        (empty("Nothing waits for a decision.", &html! { "When a rule says " em { "ask" } ", or no rule matches, the call stands here until somebody decides or its time is over, which means no." }))
                    } @else {
                        (empty("There are none.", &html! { "Try another filter." }))
                    }
                }
                @for (head, group) in groups(&rows, order, &behind) {
                    section {
                        @if let Some(head) = head {
                            h2 { (head) span.count { (group.len()) } }
                            @if group.iter().filter(|a| behind.is_quick(a, now)).count() > 1 {
                                label.check-box data-script="" hidden { input type="checkbox" data-all="id"; "All of these" }
                            }
                        }
                        ul.cards.wait[filter == "pending"] { @for approval in group { (card(approval, now, &behind, &more(approval))) } }
                    }
                }
                (older(next.as_deref(), "/approvals", &[("status", filter), ("by", order)]))
                @if behind.has_boxes { (batch(&me)) }
            }
        },
    ))
}

/// What became of the last decision, told after it.
fn outcome(params: &Params) -> Markup {
    let count = |name: &str| params.get(name).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    let (decided, refused) = (count("decided"), count("refused"));
    html! {
        @if decided > 0 { div.notice.good role="status" { p { (decided) @if decided == 1 { " call is" } @else { " calls are" } " decided." } } }
        @if refused > 0 {
            div.notice.bad role="alert" { p { strong { (refused) " could not be decided" } ": somebody was faster, the time was over, or the tool changed. Those that still wait are below." } }
        }
    }
}

/// The form to which the boxes of the queue belong.
fn batch(me: &Reader) -> Markup {
    html! {
        form #batch.batch method="post" action="/approvals/batch" data-once="" {
            (token(me))
            output { "Chosen ones:" }
            button.primary type="submit" name="decision" value="approve" { "Approve them" }
            button.danger type="submit" name="decision" value="reject" { "Reject them" }
            span.hint { "Calls of high risk are decided one by one." }
        }
    }
}

/// What is asked where no call waits, and the head of its group.
const ASKED: [(&str, &str); 5] = [
    ("outcome_unknown", "Did it happen?"),
    ("question", "Questions"),
    ("budget", "May it go on?"),
    (domain::requests::ACTION_TYPE, "Asked by other programs"),
    (domain::server_questions::ACTION_TYPE, "Asked by servers at work"),
];

/// The rows under their heads, in the order of their first.
fn groups<'a>(rows: &'a [Approval], order: &str, behind: &Behind) -> Vec<(Option<Markup>, Vec<&'a Approval>)> {
    if order == "time" {
        return vec![(None, rows.iter().collect())];
    }
    let mut groups: Vec<(String, Option<Markup>, Vec<&Approval>)> = Vec::new();
    for row in rows {
        let (key, head) = if order == "task" {
            let head = behind.task(row).map_or_else(
                || html! { "Without a task" },
                |t| html! { a href={ "/tasks/" (t.id) } { (say(&t.title)) } },
            );
            (row.task_id.map(|id| id.to_string()).unwrap_or_default(), head)
        } else if let Some((kind, head)) = ASKED.iter().find(|(kind, _)| *kind == row.action_type) {
            ((*kind).to_owned(), html! { (head) })
        } else {
            let (server, tool) = (detail(row, "server").unwrap_or_default(), detail(row, "tool").unwrap_or_default());
            (format!("{server}/{tool}"), words::kind(server, tool))
        };
        match groups.iter_mut().find(|g| g.0 == key) {
            Some(group) => group.2.push(row),
            None => groups.push((key, Some(head), vec![row])),
        }
    }
    groups.into_iter().map(|(_, head, rows)| (head, rows)).collect()
}

/// An approval in a list, with a quick yes and no where that is safe.
pub(crate) fn card(approval: &Approval, now: Timestamp, behind: &Behind, more: &Markup) -> Markup {
    let is_quick = behind.is_quick(approval, now);
    let has_box = is_quick && behind.has_boxes;
    let about = format!("queue-{}", approval.id);
    html! {
        li data-key=(approval.id) {
            div.row.plain[!has_box] {
                @if has_box {
                    span.pick { input type="checkbox" name="id" value=(approval.id) form="batch" data-press="choose" aria-label="Choose" aria-describedby=(about); }
                }
                div.grow {
                    p.title id=(about) { a href={ "/approvals/" (approval.id) } { (headline(approval)) } }
                    p.meta {
                        @if shown_state(approval, now) != "pending" { (badge(approval, now)) (more) " " }
                        @if approval.status == "pending" && let Some((risk, _)) = risk::of_approval(approval) { (words::risk_mark(risk)) " " }
                        @if is_outside(approval) { (outside_mark()) " " }
                        @if let Some(task) = behind.task(approval) { "for " a href={ "/tasks/" (task.id) } { (say(&super::parts::cut(&task.title, 60))) } " · " }
                        "asked " (when(approval.created_at, now))
                        @if approval.status == "pending" && let Some(end) = approval.expires_at { " · decide " (when(end, now)) }
                    }
                }
                @if shown_state(approval, now) == "pending" && behind.may_decide(approval) {
                    @if is_quick {
                        form.buttons method="post" action={ "/approvals/" (approval.id) "/decision" } data-once="" aria-describedby=(about) {
                            input type="hidden" name="csrf" value=(behind.form_token);
                            input type="hidden" name="back" value=(behind.place);
                            button.quiet type="submit" name="decision" value="approve" data-press="approve" { "Approve" }
                            button.quiet.danger type="submit" name="decision" value="reject" data-press="reject" { "Reject" }
                            a.button.quiet href={ "/approvals/" (approval.id) "?edit=yes#change" } data-press="edit" aria-describedby=(about) { "Edit" }
                        }
                    } @else {
                        p.buttons { a.button.quiet href={ "/approvals/" (approval.id) } data-press="edit" aria-describedby=(about) { "Look and decide" } }
                    }
                }
            }
        }
    }
}

/// `POST /approvals/batch`: the same decision about several, each in a transaction of its own.
pub(crate) async fn decide_several(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let approve = match sent.get("decision") {
        Some("approve") => true,
        Some("reject") => false,
        _ => return Err(Fault::invalid("decision", "say with one of the buttons what you decide")),
    };
    let mut ids: Vec<Uuid> = sent.0.iter().filter(|(n, _)| n == "id").filter_map(|(_, id)| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err(Fault::invalid("id", "none is chosen; tick the calls that you decide about"));
    }
    if ids.len() > AT_ONCE {
        return Err(Fault::invalid("id", format!("at most {AT_ONCE} can be decided at once")));
    }
    let (mut decided, mut refused) = (0, 0);
    for id in ids {
        let row = approvals::get(&me.actor, app.store(), id).await?;
        // What must be looked at on its own page is not decided in passing, whatever was sent.
        if row.as_ref().and_then(risk::of_approval).is_none_or(|(risk, _)| risk == Risk::High) {
            refused += 1;
            continue;
        }
        let decision = Decision { approve, note: None, arguments: None };
        match super::give(&app, &me, id, decision).await {
            Ok(_) => decided += 1,
            Err(fault) if fault.status.is_client_error() => refused += 1,
            Err(fault) => return Err(fault),
        }
    }
    Ok(Redirect::to(&format!("/approvals?decided={decided}&refused={refused}")).into_response())
}

/// The state as a mark.
pub(crate) fn badge(approval: &Approval, now: Timestamp) -> Markup {
    match shown_state(approval, now).as_str() {
        "pending" => state("waiting for a decision"),
        other => state(other),
    }
}

/// `pending` is shown as expired when its time is over, though nobody has noted that yet.
pub(crate) fn shown_state(approval: &Approval, now: Timestamp) -> String {
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
        _ => say(&sentence(detail(approval, "summary").unwrap_or(&approval.action_type))),
    }
}
