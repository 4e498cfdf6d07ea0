//! One task: its facts, what may be done with it, and one timeline of all that happened.

use std::collections::HashMap;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use domain::{brain, promote, tasks::Due};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;
use store::{
    approvals::{self, Approval},
    audit_trail::{self, AuditRow},
    file_attachments::{self, Attachment},
    model_turns::{self, ModelTurn, Used},
    policies,
    runs::{self, Step, TaskRun},
    system_logs::{self, LogLine},
    tasks::{self, Provenance, Task},
};
use uuid::Uuid;

use super::{
    approvals::{Behind, card},
    files,
    layout::{Reader, button, fault_notice, shell, token},
    models::{dollars, grouped},
    needs::{self, Hangs},
    parts::{cut, due, empty, name_of, outside_mark, pretty, say, size, state, time, visible},
    story,
};
use crate::{
    app::{App, names},
    body::SignedForm,
    download::is_picture,
    fault::{Fault, Result},
    guard::encode,
    params::Id,
    session::Signed,
};

/// Runs whose steps are shown; older ones are named.
const RUNS: usize = 10;
/// Steps of a run that are shown: as many as a playbook has at most.
const STEPS: i64 = 100;
/// Approvals whose audit rows join the timeline.
const APPROVALS: usize = 10;
/// Audit rows and log lines of the timeline.
const ROWS: i64 = 100;

/// All that the page shows.
pub(crate) struct View {
    pub task: Task,
    pub provenance: Option<Provenance>,
    pub files: Vec<Attachment>,
    pub runs: Vec<TaskRun>,
    pub journal: Vec<Vec<Step>>,
    /// Questions to models, by run.
    pub turns: Vec<Vec<ModelTurn>>,
    /// What they used in all.
    pub used: Used,
    pub approvals: Vec<Approval>,
    pub behind: Behind,
    pub trail: Vec<AuditRow>,
    pub lines: Vec<LogLine>,
    pub hangs: Hangs,
    pub names: HashMap<Uuid, String>,
    pub rules: HashMap<Uuid, String>,
    pub now: Timestamp,
}

async fn load(app: &App, me: &Reader, id: Uuid) -> Result<View> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let task = domain::tasks::get(on, actor, id).await?;
    let (provenance, files, runs, approvals, policies, lines) = tokio::try_join!(
        tasks::provenance(actor, on, id),
        file_attachments::list(actor, on, id),
        runs::list(actor, on, id),
        approvals::list(actor, on, None, Some(id), None, 50),
        policies::shown(actor, on),
        system_logs::list(actor, on, None, None, Some(id), ROWS),
    )?;
    let (mut journal, mut turns) = (Vec::new(), Vec::new());
    for run in runs.iter().take(RUNS) {
        journal.push(runs::shown_steps(actor, on, run.id, STEPS).await?);
        if brain::leading_model(&run.playbook).is_some() {
            turns.push(model_turns::list(actor, on, run.id).await?);
        }
    }
    let used = if turns.is_empty() { Used::default() } else { model_turns::used(actor, on, id).await? };
    let trail = trail(app, me, id, &approvals).await?;
    let hangs = Hangs::of(app, me, &task).await?;
    let behind = Behind::of(app, me, &approvals, "task").await?;
    let deciders = approvals.iter().filter_map(|a| a.approved_by.or(a.rejected_by));
    let people = trail.iter().filter_map(|r| r.user_id).chain(task.assigned_to).chain(task.created_by).chain(deciders);
    let names = names(app, actor, people).await?;
    let rules = policies.into_iter().map(|p| (p.id, p.name)).collect();
    Ok(View {
        task,
        provenance,
        files,
        runs,
        journal,
        turns,
        used,
        approvals,
        behind,
        trail,
        lines,
        hangs,
        names,
        rules,
        now,
    })
}

/// `GET /tasks/{id}`
pub(crate) async fn page(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    let view = load(&app, &me, id).await?;
    Ok(render(&me, &view, None))
}

/// `POST /tasks/{id}/status`
pub(crate) async fn set_status(
    State(app): State<App>,
    Id(id): Id,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let status = sent.get("status").unwrap_or_default();
    let note = sent.text("note").map(|n| n.replace("\r\n", "\n"));
    match domain::tasks::set_status(app.store(), &me.actor, id, status, note).await {
        Ok(_) => Ok(Redirect::to(&format!("/tasks/{id}")).into_response()),
        Err(error) => again(&app, me, id, error.into()).await,
    }
}

/// The page once more, with what was refused on it.
pub(super) async fn again(app: &App, me: Signed, id: Uuid, fault: Fault) -> Result<Response> {
    let is_told = fault.status.is_client_error() || fault.status == StatusCode::INSUFFICIENT_STORAGE;
    if !is_told || fault.status == StatusCode::NOT_FOUND {
        return Err(fault);
    }
    let me = Reader::of(app, me).await?;
    let view = load(app, &me, id).await?;
    Ok((fault.status, render(&me, &view, Some(&fault))).into_response())
}

/// What was done with the task and its approvals, newest first.
async fn trail(app: &App, me: &Reader, id: Uuid, approvals: &[Approval]) -> Result<Vec<AuditRow>> {
    let mut rows = audit_trail::list(&me.actor, app.store(), Some("task"), Some(id), ROWS).await?;
    for approval in approvals.iter().take(APPROVALS) {
        rows.extend(audit_trail::list(&me.actor, app.store(), Some("approval"), Some(approval.id), 10).await?);
    }
    rows.sort_by_key(|r| std::cmp::Reverse((r.created_at, r.id)));
    Ok(rows)
}

fn render(me: &Reader, view: &View, fault: Option<&Fault>) -> Markup {
    let task = &view.task;
    let open: Vec<_> = view.approvals.iter().filter(|a| a.status == "pending").collect();
    shell(
        me,
        &cut(&task.title, 60),
        "/tasks",
        &html! {
            p.crumbs { a href="/tasks" { "Tasks" } }
            div.head {
                h1 { (say(&task.title)) }
                p.acts { a.button.quiet href={ "/tasks/" (task.id) "/edit" } { "Edit" } }
            }
            div #standing data-live="" {
                p.meta { (state(&task.status)) " · " (task.priority) " priority" @if view.provenance.as_ref().is_some_and(|p| p.outside) { " " (outside_mark()) } }
                (outcome(task))
            }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            div.cols {
                div {
                    div #waits data-live="" {
                        @if !open.is_empty() {
                            section aria-labelledby="waiting" {
                                h2 #waiting { "Waits for a decision" }
                                ul.cards.wait { @for approval in open { (card(approval, view.now, &view.behind, &html! {})) } }
                            }
                        }
                    }
                    @if let Some(text) = &task.description { p.text { (visible(text)) } }
                    section #story data-live="" aria-labelledby="happened" {
                        h2 #happened { "What happened" }
                        @if view.runs.is_empty() { (empty("No run yet.", &html! { "The employee begins one when the task is assigned to it and what it depends on is completed." })) }
                        (story::timeline(view))
                        @if view.runs.len() > RUNS { p.soft { "Older runs: " (view.runs.len() - RUNS) } }
                        (goes_on(view))
                    }
                }
                div {
                    section aria-labelledby="facts" { h2 #facts { "Facts" } (facts(view)) }
                    (needs::section(me, task, &view.hangs))
                    section aria-labelledby="files" { h2 #files { "Files" } (file_list(me, &view.files)) (add_file(me, task)) }
                    section #acts data-live="" aria-labelledby="act" { h2 #act { "What you can do" } (acts(me, task)) (promotion(view)) }
                }
            }
        },
    )
}

/// Where the rest stands of what is too much for one line of time.
fn goes_on(view: &View) -> Markup {
    let most = usize::try_from(ROWS).unwrap_or_default();
    html! {
        @if view.trail.iter().filter(|row| row.entity_type.as_deref() == Some("task")).count() >= most {
            p.soft { "Only the newest " (most) " changes stand here: " a href={ "/audit?entity_type=task&entity_id=" (view.task.id) } { "all changes of this task" } "." }
        }
        @if view.journal.iter().any(|steps| steps.len() >= usize::try_from(STEPS).unwrap_or_default()) {
            p.soft { "Of a run only the newest " (STEPS) " steps stand here." }
        }
        @if view.lines.len() >= most {
            p.soft { "Only the newest " (most) " lines of the log stand here: " a href={ "/logs?task=" (view.task.id) } { "all its lines" } "." }
        }
    }
}

/// What came of it, in the words of whoever finished it.
fn outcome(task: &Task) -> Markup {
    let word = |name: &str| task.metadata.get(name).and_then(Json::as_str);
    html! {
        @if let Some(reason) = word("failure_reason") { div.notice.bad { p { strong { "Failed: " } (visible(reason)) } } }
        @if let Some(summary) = word("summary") { div.notice.good { p { (visible(summary)) } } }
    }
}

/// The moves a task may make, as forms.
fn acts(me: &Reader, task: &Task) -> Markup {
    let moves: &[(&str, &str, &str)] = match task.status.as_str() {
        "pending" => {
            &[("completed", "Done", "primary"), ("in_progress", "Begin", ""), ("cancelled", "Give it up", "danger")]
        }
        "in_progress" => &[
            ("completed", "Done", "primary"),
            ("failed", "It failed", "danger"),
            ("cancelled", "Give it up", "danger"),
        ],
        _ => &[("pending", "Open it again", "")],
    };
    let assign = format!("/tasks/{}/assign", task.id);
    html! {
        @if task.assigned_to.is_none() && moves.len() > 1 {
            div.buttons {
                (button(me, &assign, &[("to", "employee")], "Give it to the employee", "quiet", ""))
                (button(me, &assign, &[("to", "me")], "Take it", "quiet", ""))
            }
        }
        form.form method="post" action={ "/tasks/" (task.id) "/status" } data-once="" {
            (token(me))
            button type="submit" disabled hidden {}
            @if moves.len() > 1 {
                div.field {
                    label for="note" { "What came of it, or why " span.soft { "may be left out" } }
                    textarea #note name="note" rows="2" maxlength="4000" {}
                }
            } @else { p.soft.small { "A new run begins from the start of its playbook." } }
            div.buttons { @for (status, label, class) in moves { button class=(class) type="submit" name="status" value=(status) { (label) } } }
        }
    }
}

/// The way to a playbook that does the same.
fn promotion(view: &View) -> Markup {
    html! {
        @if promote::finished_run(&view.runs).is_some() {
            p.soft.small { "A model led this to its end. What it did can be done again without it." }
            div.buttons { a.button href={ "/tasks/" (view.task.id) "/playbook" } { "Make a playbook of it" } }
        }
    }
}

fn facts(view: &View) -> Markup {
    let (task, from) = (&view.task, view.provenance.as_ref());
    html! {
        dl.facts {
            dt { "Made" }
            dd { (time(task.created_at)) " by " (name_of(&view.names, task.created_by)) }
            dt { "Assigned to" }
            dd { (name_of(&view.names, task.assigned_to)) }
            @if let Some(at) = task.due_date { dt { "Due" } dd { (due(task, view.now)) @if let Due::At(at) = Due::of(at) { " (" (time(at)) ")" } } }
            @if let Some(done) = task.completed_at { dt { "Completed" } dd { (time(done)) } }
            @if let Some(minutes) = task.estimated_duration { dt { "Estimated" } dd { (minutes) " min" } }
            @if view.used.turns > 0 { dt { "Cost" } dd { (dollars(view.used.cost_microusd)) " for " (view.used.turns) " questions, " (grouped(view.used.tokens)) " tokens" } }
            @if !task.tags.is_empty() {
                dt { "Labels" }
                dd.tags { @for tag in &task.tags { a href={ "/tasks?tag=" (encode(tag)) } { (say(tag)) } } }
            }
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

/// A file from here; the form works without script, and its token stands before the file.
fn add_file(me: &Reader, task: &Task) -> Markup {
    html! {
        details.add {
            summary { "Add a file" }
            form.form method="post" action={ "/tasks/" (task.id) "/files" } enctype="multipart/form-data" data-once="" {
                (token(me))
                div.field {
                    label for="keep-until" { "Keep until " span.soft { "may be left out" } }
                    input #keep-until name="expires_at" type="date";
                }
                div.field {
                    label for="file" { "File" }
                    input #file name="file" type="file" required;
                }
                div.buttons { button type="submit" { "Add it" } }
            }
        }
    }
}

fn file_list(me: &Reader, files: &[Attachment]) -> Markup {
    if files.is_empty() {
        return empty(
            "No files.",
            &html! { "A file that a watcher finds or that you add hangs on the task, encrypted." },
        );
    }
    html! {
        ul.lines {
            @for file in files {
                li {
                    p.title { a href={ "/files/" (file.id) } download[!is_picture(file)] { (say(&file.original_filename)) } }
                    p.meta {
                        @match file.file_size { Some(bytes) => (size(bytes)), None => "unknown size" }
                        " · " (say(file.mime_type.as_deref().unwrap_or("unknown type")))
                    }
                    @if is_picture(file) {
                        details { summary { "Look at it" } img.preview src={ "/files/" (file.id) } alt={ "Content of " (visible(&file.original_filename)) } loading="lazy"; }
                    } @else if files::is_text(file) {
                        p.small { a href={ "/files/" (file.id) "/text" } { "Look at it" } }
                    }
                    @if let Some(sum) = &file.hash_checksum { p.soft.small { "SHA-256 " code { (sum) } } }
                    div.buttons { (button(me, &format!("/files/{}/remove", file.id), &[], "Remove", "quiet", &visible(&file.original_filename))) }
                }
            }
        }
    }
}
