//! One task: its facts, where it came from, its files, its runs step by step, and what was done with it.

use std::collections::HashMap;

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::{
    approvals::{self, Approval},
    audit_trail::{self, AuditRow},
    file_attachments::{self, Attachment},
    policies,
    runs::{self, Step, TaskRun},
    tasks::{self, Provenance, Task},
};
use uuid::Uuid;

use super::{
    approvals::card,
    audit::timeline,
    layout::shell,
    parts::{cut, empty, hash, json_block, name_of, outside_mark, pretty, say, size, state, time, took, visible, when},
};
use crate::{
    app::{App, names},
    fault::Result,
    params::Id,
    session::Signed,
};

/// Runs whose steps are shown; older ones are named.
const RUNS: usize = 10;
/// Approvals whose audit rows join the timeline.
const APPROVALS: usize = 10;
/// Rows of the timeline.
const ROWS: i64 = 100;
/// Characters of a tool's answer that are shown.
const ANSWER: usize = 4000;

/// `GET /tasks/{id}`
pub(crate) async fn page(State(app): State<App>, me: Signed, Id(id): Id) -> Result<Markup> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let task = domain::tasks::get(on, actor, id).await?;
    let (provenance, files, runs, approvals, policies) = tokio::try_join!(
        tasks::provenance(actor, on, id),
        file_attachments::list(actor, on, id),
        runs::list(actor, on, id),
        approvals::list(actor, on, None, Some(id), None, 50),
        policies::shown(actor, on),
    )?;
    let mut journal = Vec::new();
    for run in runs.iter().take(RUNS) {
        journal.push(runs::steps(actor, on, run.id).await?);
    }
    let trail = trail(&app, &me, id, &approvals).await?;
    let people = trail.iter().filter_map(|r| r.user_id).chain(task.assigned_to).chain(task.created_by);
    let names = names(&app, actor, people).await?;
    let rules: HashMap<Uuid, String> = policies.into_iter().map(|p| (p.id, p.name)).collect();
    let open: Vec<_> = approvals.iter().filter(|a| a.status == "pending").collect();
    let is_live = matches!(task.status.as_str(), "pending" | "in_progress");
    Ok(shell(
        &me,
        &cut(&task.title, 60),
        "/tasks",
        &html! {
            p.crumbs { a href="/tasks" { "Tasks" } }
            h1 data-live=[is_live.then_some("")] { (say(&task.title)) }
            p.meta { (state(&task.status)) @if provenance.as_ref().is_some_and(|p| p.outside) { " " (outside_mark()) } }
            (outcome(&task))
            @if !open.is_empty() {
                section aria-labelledby="waits" {
                    h2 #waits { "Waits for a decision" }
                    ul.cards.wait { @for approval in open { (card(approval, now, &html! {})) } }
                }
            }
            section aria-labelledby="facts" { h2 #facts { "Facts" } (facts(&task, provenance.as_ref(), &names, now)) }
            section aria-labelledby="files" { h2 #files { "Files" } (file_table(&files)) }
            section aria-labelledby="runs" {
                h2 #runs { "Work" }
                @if runs.is_empty() { (empty("No run yet.", &html! { "The employee begins one when the task is assigned to it and what it depends on is completed." })) }
                @for (run, steps) in runs.iter().zip(&journal) { (run_block(run, steps, &rules)) }
                @if runs.len() > RUNS { p.soft { "Older runs: " (runs.len() - RUNS) } }
            }
            section aria-labelledby="trail" { h2 #trail { "Audit" } (timeline(&trail, &names)) }
        },
    ))
}

/// What was done with the task and its approvals, newest first.
async fn trail(app: &App, me: &Signed, id: Uuid, approvals: &[Approval]) -> Result<Vec<AuditRow>> {
    let mut rows = audit_trail::list(&me.actor, app.store(), Some("task"), Some(id), ROWS).await?;
    for approval in approvals.iter().take(APPROVALS) {
        rows.extend(audit_trail::list(&me.actor, app.store(), Some("approval"), Some(approval.id), 10).await?);
    }
    rows.sort_by_key(|r| std::cmp::Reverse((r.created_at, r.id)));
    Ok(rows)
}

/// What came of it, in the words of whoever finished it.
fn outcome(task: &Task) -> Markup {
    let word = |name: &str| task.metadata.get(name).and_then(Json::as_str);
    html! {
        @if let Some(reason) = word("failure_reason") { div.notice.bad { p { strong { "Failed: " } (visible(reason)) } } }
        @if let Some(summary) = word("summary") { div.notice.good { p { (visible(summary)) } } }
    }
}

fn facts(task: &Task, from: Option<&Provenance>, names: &HashMap<Uuid, String>, now: Timestamp) -> Markup {
    html! {
        @if let Some(text) = &task.description { p.text { (visible(text)) } }
        dl.facts {
            dt { "Made" }
            dd { (time(task.created_at)) " by " (name_of(names, task.created_by)) }
            dt { "Assigned to" }
            dd { (name_of(names, task.assigned_to)) }
            dt { "Priority" }
            dd { (task.priority) }
            @if let Some(due) = task.due_date { dt { "Due" } dd { (time(due)) " (" (when(due, now)) ")" } }
            @if let Some(done) = task.completed_at { dt { "Completed" } dd { (time(done)) } }
            @if !task.dependencies.is_empty() {
                dt { "Needs first" }
                dd { @for (place, id) in task.dependencies.iter().enumerate() { @if place > 0 { ", " } a href={ "/tasks/" (id) } { "task " (cut(&id.to_string(), 9)) } } }
            }
            @if !task.tags.is_empty() { dt { "Labels" } dd { (say(&task.tags.join(", "))) } }
            dt { "Comes from" }
            dd {
                @match from {
                    None => "somebody here",
                    Some(from) => {
                        code { (say(&from.source)) }
                        @if from.outside { " " (outside_mark()) p.soft.small { "Its content was written outside: it is data, not an instruction, and loses automatic permission unless a rule says otherwise." } }
                    }
                }
            }
        }
        @if let Some(from) = from.filter(|f| f.detail.as_object().is_some_and(|d| !d.is_empty())) {
            details { summary { "What is known of its origin" } (super::parts::block(&pretty(&from.detail), "Origin")) }
        }
        @if task.metadata.as_object().is_some_and(|m| !m.is_empty()) {
            details { summary { "Metadata" } (super::parts::block(&pretty(&task.metadata), "Metadata")) }
        }
    }
}

fn file_table(files: &[Attachment]) -> Markup {
    if files.is_empty() {
        return empty("No files.", &html! { "A file that a folder watcher finds hangs on its task, encrypted." });
    }
    html! {
        table {
            caption.hidden { "Files of this task" }
            thead { tr { th scope="col" { "Name" } th scope="col" { "Size" } th.opt scope="col" { "Type (guessed)" } } }
            tbody {
                @for file in files {
                    tr {
                        th scope="row" {
                            (say(&file.original_filename))
                            @if let Some(sum) = &file.hash_checksum { p.soft.small { "SHA-256 " code { (sum) } } }
                        }
                        td { @match file.file_size { Some(bytes) => (size(bytes)), None => "?" } }
                        td.opt { (say(file.mime_type.as_deref().unwrap_or("unknown"))) }
                    }
                }
            }
        }
    }
}

fn run_block(run: &TaskRun, steps: &[Step], rules: &HashMap<Uuid, String>) -> Markup {
    html! {
        article.run aria-label={ "Run " (run.number) } {
            h3 { "Run " (run.number) " " (state(&run.state)) }
            p.meta {
                "playbook " (say(&run.playbook)) " " (hash(&run.playbook_sha256)) " · begun " (time(run.started_at))
                @if let Some(end) = run.finished_at { " · took " (took(run.started_at, end)) }
            }
            @if let Some(error) = &run.error { p.error { (visible(error)) } }
            @if steps.is_empty() { p.soft { "No step yet." } }
            ol.steps { @for step in steps { (step_block(step, rules)) } }
        }
    }
}

fn step_block(step: &Step, rules: &HashMap<Uuid, String>) -> Markup {
    let rule = step.policy_id.map(|id| rules.get(&id).map_or("a rule that is gone", String::as_str));
    html! {
        li {
            p.title { (say(&step.name)) " " (state(&step.state)) }
            p.meta {
                code { (say(&step.server)) "/" (say(&step.tool)) }
                @if let (Some(from), Some(to)) = (step.started_at, step.finished_at) { " · took " (took(from, to)) }
                @if let Some(id) = step.approval_id { " · " a href={ "/approvals/" (id) } { "its approval" } }
            }
            @if let Some(error) = &step.error { p.error { (visible(error)) } }
            @if rule.is_some() || step.policy_reason.is_some() {
                p.small { "Decided by " @match rule { Some(name) => (say(name)), None => "no rule" } @if let Some(reason) = &step.policy_reason { ": " (say(reason)) } }
            }
            details {
                summary { "Arguments " (hash(&step.arguments_sha256)) }
                (json_block(&step.arguments, "Arguments"))
            }
            @if let Some(result) = &step.result {
                details {
                    summary { "What the tool answered " span.soft { "(data, not instruction)" } }
                    (answer(result))
                }
            }
        }
    }
}

fn answer(result: &str) -> Markup {
    let shown = serde_json::from_str::<Json>(result).map_or_else(|_| visible(result), |v| pretty(&v));
    html! {
        (super::parts::block(&cut(&shown, ANSWER), "Answer"))
        @if shown.chars().count() > ANSWER { p.soft.small { "Cut after " (ANSWER) " characters." } }
    }
}
