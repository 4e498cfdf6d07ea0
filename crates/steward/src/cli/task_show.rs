//! `steward task show`: a task with all that belongs to it.

use serde_json::Value;
use store::{approvals::Approval, runs::Step};
use uuid::Uuid;

use super::{
    Place,
    place::{RunWithSteps, Whole},
};
use crate::{Result, output};

pub(super) async fn run(place: &Place, id: Uuid, json: bool) -> Result<()> {
    let whole = place.whole_task(id).await?;
    if json { output::json(&whole) } else { show(place, &whole).await }
}

async fn show(place: &Place, whole: &Whole) -> Result<()> {
    let task = &whole.task;
    let names = place.names([task.assigned_to, task.created_by]).await?;
    let from = whole.provenance.as_ref().map_or_else(String::new, |p| {
        if p.outside { format!("{} (content from outside)", p.source) } else { p.source.clone() }
    });
    let mut rows = vec![
        ("id", task.id.to_string()),
        ("title", output::safe(&task.title)),
        ("status", super::task::status_of(place, task, super::task::waiting_of(&whole.approvals).contains(&task.id))),
        ("priority", task.priority.clone()),
        ("assigned to", names.of(task.assigned_to)),
        ("made by", names.of(task.created_by)),
        ("made", output::time(task.created_at)),
        ("came from", from),
        ("due", output::due(task.due_date)),
        ("completed", output::maybe_time(task.completed_at)),
        ("queue", whole.queue.as_ref().map_or_else(String::new, |q| q.state.clone())),
        ("depends on", task.dependencies.iter().map(Uuid::to_string).collect::<Vec<_>>().join("\n")),
        ("tags", task.tags.join(", ")),
        ("description", task.description.clone().unwrap_or_default()),
    ];
    for (key, label) in
        [("playbook", "playbook"), ("kind", "kind"), ("summary", "summary"), ("failure_reason", "why it failed")]
    {
        if let Some(text) = task.metadata.get(key).and_then(serde_json::Value::as_str) {
            rows.push((label, text.to_owned()));
        }
    }
    rows.retain(|(_, value)| !value.is_empty());
    output::fields(&rows)?;
    if !whole.attachments.is_empty() {
        let files = whole.attachments.iter().map(|a| {
            vec![
                a.filename.clone(),
                a.file_size.map(|s| s.to_string()).unwrap_or_default(),
                a.hash_checksum.clone().unwrap_or_default(),
            ]
        });
        output::line(format!("\n{}", output::table(&["file", "bytes", "sha-256"], files)))?;
    }
    for RunWithSteps { run, steps } in &whole.runs {
        output::line(format!(
            "\nRun {} with the playbook {}: {}, begun {}",
            run.number,
            run.playbook,
            run.state,
            output::time(run.started_at)
        ))?;
        if let Some(error) = &run.error {
            output::line(format!("  {}", output::safe(error)))?;
        }
        let rows = steps.iter().map(|s| {
            let why = s.error.clone().or_else(|| s.policy_reason.clone()).unwrap_or_default();
            vec![s.name.clone(), format!("{}/{}", s.server, s.tool), s.state.clone(), why]
        });
        output::line(output::table(&["step", "tool", "state", "why"], rows))?;
        for step in steps {
            for line in called(place, &whole.approvals, step).await? {
                output::line(output::safe(&line))?;
            }
        }
    }
    if !whole.approvals.is_empty() {
        let rows = whole.approvals.iter().map(|a| {
            vec![a.id.to_string(), super::approval::asks(a), a.status.clone(), a.notes.clone().unwrap_or_default()]
        });
        output::line(format!("\n{}", output::table(&["approval", "asks", "status", "note"], rows)))?;
    }
    Ok(())
}

/// With what a call was made, and that a person set it so; or is going to be, where the person said yes and it has not begun.
async fn called(place: &Place, approvals: &[Approval], step: &Step) -> Result<Vec<String>> {
    let asked = approvals.iter().find(|a| a.action_type == "tool_call" && is_about(a, step));
    let text = |name: &str| {
        asked?.details.as_ref()?.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let mut sent = step.started_at.map(|_| step.arguments.clone());
    if let (None, Some(yes)) = (&sent, asked.filter(|a| a.status == "approved")) {
        sent = place.approval(yes.id).await?.edited_arguments;
    }
    let Some(sent) = sent else { return Ok(Vec::new()) };
    let verb = if step.started_at.is_some() { "was called" } else { "will be called" };
    let mut lines = vec![format!("  {} {verb} with {}", step.name, cut(&sent))];
    if let (Some(before), Some(yes)) = (text("arguments"), asked)
        && is_another(&sent, &before)
    {
        let names = place.names([yes.approved_by]).await?;
        lines.push(format!("    as {} set it; asked for was {}", names.of(yes.approved_by), cut(&before)));
    }
    Ok(lines)
}

/// Whether an approval asked for this call of this run.
fn is_about(approval: &Approval, step: &Step) -> bool {
    let detail = |name: &str| approval.details.as_ref().and_then(|d| d.get(name)).and_then(Value::as_str);
    detail("run_id") == Some(step.run_id.to_string().as_str()) && detail("step") == Some(step.name.as_str())
}

/// Whether two texts of JSON say different things.
fn is_another(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    read(one) != read(other)
}

/// What fits on a screen of it.
fn cut(text: &str) -> String {
    const SHOWN_CHARS: usize = 400;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}… (--json shows all)", &text[..end]),
        None => text.to_owned(),
    }
}
