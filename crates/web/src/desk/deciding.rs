//! The part of an approval's page in which a person decides: the form, who else may be asked, more time, and how it was
//! decided.

use jiff::SignedDuration;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::approvals::Approval;

use super::{
    approval::{Kind, View},
    approvals::{detail, shown_state},
    layout::token,
    parts::{name_of, say, time, visible, when},
    passkeys,
};
use crate::{body::Fields, session::Signed};

/// More time that is offered, in hours.
const TIMES: [(i64, &str); 4] = [(24, "a day"), (72, "three days"), (168, "a week"), (720, "30 days")];

/// Whether a yes needs the password once more.
pub(super) fn needs_password(me: &Signed, approval: &Approval) -> bool {
    domain::risk::needs_password(approval) && !domain::sign_in::is_fresh(&me.session)
}

/// The form in which one decides.
pub(super) fn form(me: &Signed, view: &View, entered: Option<&Fields>, is_editing: bool) -> Markup {
    let kind = view.kind();
    let note = entered.and_then(|e| e.get("note")).unwrap_or_default();
    html! {
        form.decision method="post" action={ "/approvals/" (view.approval.id) "/decision" } data-once="" {
            (token(me))
            // Enter in a field presses the first button: this one, which does nothing.
            button type="submit" disabled hidden {}
            @if kind == Kind::Call && view.form.is_open() {
                details #change open[entered.is_some() || is_editing] {
                    summary data-press="edit" { "Change the arguments first" }
                    p.soft.small { "What you put here is checked against the tool's schema and the policy, and then runs exactly so." }
                    @if let Some(tool) = &view.tool { input type="hidden" name="definition" value=(tool.definition_sha256); }
                    (view.form.render(entered))
                    button type="submit" name="decision" value="change" { "Approve with these changes" }
                }
            }
            @if kind == Kind::Form {
                (asked_by_server(view))
                @if view.form.is_open() && detail(&view.approval, "url").is_none() { (view.form.render(entered)) }
            }
            @if kind != Kind::Form { (note_field(kind, note)) }
            @if needs_password(me, &view.approval) {
                div.field {
                    label for="password" { "Your password, once more" }
                    input #password name="password" type="password" autocomplete="current-password" maxlength="1000" aria-describedby="password-hint";
                    p.hint #password-hint { "A yes to this is of high risk. A no needs no password." }
                }
                @if view.has_passkey { (passkeys::again_button()) }
            }
            div.buttons {
                @match kind {
                    Kind::Outcome => {
                        button.primary type="submit" name="decision" value="done" { "It happened" }
                        button type="submit" name="decision" value="retry" { "Do it again" }
                        button.danger type="submit" name="decision" value="reject" data-press="reject" { "It failed" }
                    }
                    Kind::Question => {
                        button.primary type="submit" name="decision" value="approve" { "Send the answer" }
                        button.danger type="submit" name="decision" value="reject" data-press="reject" { "Refuse to answer" }
                    }
                    Kind::Form => {
                        button.primary type="submit" name="decision" value="approve" {
                            @if detail(&view.approval, "url").is_some() { "I have done it there" } @else { "Send the answer" }
                        }
                        button.danger type="submit" name="decision" value="reject" data-press="reject" { "Refuse to answer" }
                    }
                    Kind::Budget => {
                        button.primary type="submit" name="decision" value="approve" data-press="approve" { "Grant as much again" }
                        button.danger type="submit" name="decision" value="reject" data-press="reject" { "End the task" }
                    }
                    Kind::Call => {
                        button.primary type="submit" name="decision" value="approve" data-plain="" data-press="approve" { "Approve as asked" }
                        button type="submit" name="decision" value="changes" { "Ask for changes" }
                        button.danger type="submit" name="decision" value="reject" data-press="reject" { "Reject" }
                    }
                }
            }
        }
    }
}

/// What a server wants to know, in its words, and the address it names. The address is text: nothing here opens it.
fn asked_by_server(view: &View) -> Markup {
    let a = &view.approval;
    html! {
        blockquote { (visible(detail(a, "message").unwrap_or_default())) }
        @if let Some(url) = detail(a, "url") {
            div.notice {
                p { strong { "It asks you to open an address in your browser." } " Look at where it leads before you copy it; Steward opens nothing." }
                p { code { (visible(url)) } }
            }
        } @else {
            p.soft.small { "The server gets exactly what you enter, and nobody checks what it does with that. Enter no password and no key." }
        }
    }
}

/// Which server asks, and in the course of what.
pub(super) fn whose_question(view: &View) -> Markup {
    let a = &view.approval;
    html! {
        section aria-labelledby="whose" {
            h2 #whose { "Who asks" }
            dl.facts {
                dt { "Server" }
                dd { (say(detail(a, "of_server").unwrap_or("?"))) }
                dt { "While it works on" }
                dd { code { (say(detail(a, "of_tool").unwrap_or("?"))) } }
            }
            p.soft { "The call waits for the answer. Refused, the server goes on without it, or gives up." }
        }
    }
}

fn note_field(kind: Kind, note: &str) -> Markup {
    let (label, hint) = match kind {
        Kind::Question => ("Your answer", ""),
        Kind::Call => (
            "Note",
            "Needed where you ask for changes: say what should be different. Whoever leads the work hears it, and may ask anew.",
        ),
        _ => ("Note", ""),
    };
    html! {
        div.field {
            label for="note" { (label) @if kind != Kind::Question { " " span.soft { "may be left out" } } }
            textarea #note name="note" rows="2" maxlength="4000" aria-describedby=[(!hint.is_empty()).then_some("note-hint")] { "\n" (note) }
            @if !hint.is_empty() { p.hint #note-hint { (hint) } }
        }
    }
}

/// What can be done besides deciding: somebody else is asked, or there is more time.
pub(super) fn others(me: &Signed, view: &View) -> Markup {
    let end = view.approval.expires_at;
    let later = |hours: i64| end.is_some_and(|end| view.now + SignedDuration::from_hours(hours) > end);
    // A server that asks waits no longer than it said.
    let may_last = view.approval.action_type != domain::server_questions::ACTION_TYPE;
    let times: Vec<_> = TIMES.iter().filter(|(hours, _)| may_last && later(*hours)).collect();
    html! {
        @if !times.is_empty() {
            details {
                summary { "Take more time" }
                form.form method="post" action={ "/approvals/" (view.approval.id) "/extend" } data-once="" {
                    (token(me))
                    div.field {
                        label for="hours" { "From now" }
                        select #hours name="hours" { @for (hours, called) in &times { option value=(hours) { (called) } } }
                    }
                    div.buttons { button type="submit" { "Take it" } span.hint { "The work waits as long; no decision means no, then as now." } }
                }
            }
        }
        @if !view.others.is_empty() {
            details {
                summary { "Ask somebody else to decide" }
                form.form method="post" action={ "/approvals/" (view.approval.id) "/ask" } data-once="" {
                    (token(me))
                    div.field {
                        label for="to" { "Whom" }
                        select #to name="to" { @for user in &view.others { option value=(user.id) { (user.username) } } }
                    }
                    div.field {
                        label for="word" { "A word to them " span.soft { "may be left out" } }
                        textarea #word name="note" rows="2" maxlength="4000" {}
                    }
                    div.buttons { button type="submit" { "Ask" } span.hint { "It stays open for you too; whoever decides first decides." } }
                }
            }
        }
    }
}

/// How it was decided, or why the reader can't.
pub(super) fn outcome(me: &Signed, view: &View) -> Markup {
    let a = &view.approval;
    let decided = a.approved_at.or(a.rejected_at);
    html! {
        div.notice {
            @match (shown_state(a, view.now).as_str(), a.approved_by.or(a.rejected_by)) {
                ("pending", _) => p { "You may look at this, " (me.session.username) ", but not decide it: that is for whoever made the task, and for administrators." },
                ("expired", _) if view.kind() == Kind::Form => p { "Nobody answered in time, and the server was told so." },
                ("expired", _) => p { "Nobody decided in time, which means no. The call does not run." },
                (status, by) => {
                    p {
                        strong { (name_of(&view.names, by)) }
                        @match (status, view.kind()) {
                            (_, _) if view.is_sent_back() => " asked for changes",
                            ("approved", Kind::Question | Kind::Form) => " answered",
                            ("approved", Kind::Budget) => " granted as much again",
                            ("approved", _) => " approved this",
                            (_, Kind::Question | Kind::Form) => " refused to answer",
                            (_, Kind::Budget) => " ended the task",
                            _ => " rejected this",
                        }
                        @if let Some(at) = decided { " " (when(at, view.now)) " (" (time(at)) ")" }
                        (answered(view))
                        "."
                    }
                    @if let Some(note) = &a.notes { blockquote { (visible(note)) } }
                }
            }
        }
    }
}

/// What was answered beyond yes or no.
fn answered(view: &View) -> Markup {
    let Some(edit) = view.edit.as_ref().filter(|_| !view.is_sent_back()) else { return html! {} };
    let resolution =
        serde_json::from_str::<Json>(edit).ok().and_then(|e| e.get("resolution")?.as_str().map(str::to_owned));
    match (view.approval.action_type.as_str(), resolution.as_deref()) {
        ("outcome_unknown", Some("done")) => html! { ": it happened" },
        ("outcome_unknown", Some("retry")) => html! { ": do it again" },
        (domain::server_questions::ACTION_TYPE, _) => html! {},
        _ => html! { ", with changed arguments" },
    }
}
