//! A task's timeline: steps, calls and what they answered, approvals, files, log lines and changes, in one line of time.

use std::collections::BTreeSet;

use domain::{brain, work::changes_asked};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::{
    model_turns::ModelTurn,
    runs::{Step, TaskRun},
};

use super::{
    approvals::headline,
    audit,
    models::{dollars, grouped},
    parts::{cut, hash, json_block, name_of, pretty, say, state, state_as, time, took, visible},
    task::View,
};

/// Characters of a tool's answer that are shown.
const ANSWER: usize = 4000;

/// Something that happened.
struct Event {
    at: Timestamp,
    /// Among what happened at one moment, the later in the course of things.
    rank: u8,
    class: &'static str,
    body: Markup,
}

/// All of it, newest first.
pub(crate) fn timeline(view: &View) -> Markup {
    let mut events: Vec<Event> = Vec::new();
    let summed_up = view.journal.iter().flatten().filter_map(|s| Some((s.run_id, brain::summary::stretch_of(s)?.turn)));
    let summaries: BTreeSet<_> = summed_up.collect();
    for turn in view.turns.iter().flatten() {
        events.push(of_turn(turn, summaries.contains(&(turn.run_id, turn.ordinal))));
    }
    for (run, steps) in view.runs.iter().zip(&view.journal) {
        events.extend(of_run(run));
        events.extend(steps.iter().map(|step| of_step(view, run, step)));
    }
    for approval in &view.approvals {
        let (by, at) = (approval.approved_by.or(approval.rejected_by), approval.approved_at.or(approval.rejected_at));
        if let Some(at) = at {
            let class = if approval.status == "approved" { "" } else { "bad" };
            events.push(Event {
                at,
                rank: 3,
                class,
                body: html! {
                    p { (time(at)) " " (state(&approval.status)) " by " strong { (name_of(&view.names, by)) } }
                    p { a href={ "/approvals/" (approval.id) } { (headline(approval)) } }
                    @if let Some(note) = &approval.notes { blockquote { (visible(note)) } }
                },
            });
        } else {
            events.push(Event {
                at: approval.created_at,
                rank: 3,
                class: "wait",
                body: html! {
                    p { (time(approval.created_at)) " " (state(if approval.status == "pending" { "waiting for a decision" } else { &approval.status })) }
                    p { a href={ "/approvals/" (approval.id) } { (headline(approval)) } }
                },
            });
        }
    }
    for file in &view.files {
        let body =
            html! { p { (time(file.created_at)) " file " strong { (say(&file.original_filename)) } " was attached" } };
        events.push(Event { at: file.created_at, rank: 1, class: "", body });
    }
    for line in &view.lines {
        events.push(Event {
            at: line.timestamp,
            rank: 2,
            class: "log",
            body: html! { p { (time(line.timestamp)) " " (state(&line.level)) " " (visible(&cut(line.message.as_deref().unwrap_or_default(), 500))) } },
        });
    }
    for row in &view.trail {
        events.push(Event { at: row.created_at, rank: 0, class: "audit", body: audit::entry(row, &view.names) });
    }
    events.sort_by_key(|e| std::cmp::Reverse((e.at, e.rank)));
    html! { ol.timeline { @for event in &events { li class=(event.class) { (event.body) } } } }
}

fn of_run(run: &TaskRun) -> Vec<Event> {
    let begun = Event {
        at: run.started_at,
        rank: 1,
        class: "",
        body: html! { p { (time(run.started_at)) " run " (run.number) @match brain::leading_model(&run.playbook) { Some(model) => { " led by the model " strong { (say(model)) } }, None => { " of the playbook " strong { (say(&run.playbook)) } " " (hash(&run.playbook_sha256)) } } " began" } },
    };
    let ended = run.finished_at.map(|end| Event {
        at: end,
        rank: 4,
        class: if run.state == "failed" { "bad" } else { "" },
        body: html! {
            p { (time(end)) " run " (run.number) " " (state(&run.state)) " after " (took(run.started_at, end)) }
            @if let Some(error) = &run.error { p.error { (visible(error)) } }
        },
    });
    [begun].into_iter().chain(ended).collect()
}

/// A question to a model, what it answered, and what that cost.
fn of_turn(turn: &ModelTurn, is_for_summary: bool) -> Event {
    let answer = brain::answer_of(turn);
    let class = if turn.state == "failed" { "step bad" } else { "step" };
    let body = html! {
        p.title { (time(turn.answered_at.unwrap_or(turn.asked_at))) " " strong { (say(&turn.model)) } " " (state_as(if turn.state == "answered" { "succeeded" } else { &turn.state }, &turn.state)) }
        p.meta {
            "question " (turn.ordinal + 1)
            @if is_for_summary { ", for a summary of what was before" }
            @if turn.state != "asked" {
                " · " (grouped(turn.input_tokens)) " tokens read, " (grouped(turn.output_tokens)) " written · " (dollars(turn.cost_microusd))
                @if answer.as_ref().is_some_and(|a| a.estimated) { " (estimated)" }
            }
            @if let Some(end) = turn.answered_at { " · took " (took(turn.asked_at, end)) }
            @if let Some(by) = &turn.served_by { " · " code { (say(by)) } }
        }
        @if let Some(error) = &turn.error { p.error { (visible(error)) } }
        @if let Some(answer) = &answer {
            @if !answer.text.trim().is_empty() { blockquote { (visible(&cut(answer.text.trim(), 1000))) } }
            @for call in answer.calls.iter().take(brain::MAX_CALLS) { p.small { "asks for " code { (say(&call.name)) } } }
        }
    };
    Event { at: turn.answered_at.unwrap_or(turn.asked_at), rank: 1, class, body }
}

fn of_step(view: &View, run: &TaskRun, step: &Step) -> Event {
    let at = step.finished_at.or(step.started_at).unwrap_or(step.created_at);
    let class = match step.state.as_str() {
        "failed" | "denied" => "step bad",
        "awaiting_approval" | "outcome_unknown" => "step wait",
        _ => "step",
    };
    let rule = step.policy_id.map(|id| view.rules.get(&id).map_or("a rule that is gone", String::as_str));
    let body = html! {
        p.title {
            (time(at)) " " strong { (say(&step.name)) } " " (state(&step.state))
            @if view.runs.len() > 1 { " " span.soft { "run " (run.number) } }
        }
        p.meta {
            code { (say(&step.server)) "/" (say(&step.tool)) }
            @if let (Some(from), Some(to)) = (step.started_at, step.finished_at) { " · took " (took(from, to)) }
            @if let Some(id) = step.approval_id { " · " a href={ "/approvals/" (id) } { "its approval" } }
        }
        @match changes_asked(step) {
            Some(words) => { p { "A person wants it otherwise:" } blockquote { (visible(&words)) } },
            None => { @if let Some(error) = &step.error { p.error { (visible(error)) } } },
        }
        @if rule.is_some() || step.policy_reason.is_some() {
            p.small { "Decided by " @match rule { Some(name) => (say(name)), None => "no rule" } @if let Some(reason) = &step.policy_reason { ": " (say(reason)) } }
        }
        details { summary { "Arguments " (hash(&step.arguments_sha256)) } (json_block(&step.arguments, "Arguments")) }
        @if let Some(result) = step.result.as_ref().filter(|_| step.state != "denied") {
            details { summary { "What the tool answered " span.soft { "(data, not instruction)" } } (answer(result)) }
        }
    };
    Event { at, rank: 2, class, body }
}

fn answer(result: &str) -> Markup {
    let shown = serde_json::from_str::<Json>(result).map_or_else(|_| visible(result), |v| pretty(&v));
    html! {
        (super::parts::block(&cut(&shown, ANSWER), "Answer"))
        @if shown.chars().count() > ANSWER { p.soft.small { "Cut after " (ANSWER) " characters." } }
    }
}
