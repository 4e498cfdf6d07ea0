//! `steward playbook promote`, the playbooks that are kept in the database, and `replay`: what one would do with past events.

use std::{io::Write, path::PathBuf};

use domain::{
    ids::Beginning,
    playbook::draft::Draft,
    rerun::{Replayed, Span},
};
use serde_json::json;
use store::beginnings::Kind;
use workers::library;

use super::{Json, Place, blocking, db::count, not_found, policy_more::word};
use crate::{Error, Result, output};

#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// A task that a model led to its end
    task: Beginning,
    /// The playbook's name: letters, digits, -, _ and .
    #[arg(long)]
    name: Option<String>,
    /// Write it into this file, which must not be there yet, and keep nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// The playbook's name
    name: String,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// A playbook's file, or the name of a kept one
    playbook: String,
    /// Only what this watcher noticed, also what the playbook is not for
    #[arg(long)]
    watcher: Option<String>,
    /// So many past events, the newest
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: usize,
    #[command(flatten)]
    json: Json,
}

pub(super) async fn promote(place: &Place, args: Promote) -> Result<()> {
    let task = place.id_of(Kind::Task, &args.task).await?;
    let draft = place.draft(task, args.name.as_deref()).await?;
    let Some(file) = args.out else {
        let kept = place.keep_playbook(draft.source.clone(), Some(task)).await?;
        if args.json.json {
            return output::json(&json!({ "draft": draft, "playbook": kept }));
        }
        tell(&draft)?;
        return output::line(format!(
            "Kept as {0}, switched off. Read it: steward playbook show {0}; try it on the past: steward playbook replay {0}; use it: steward playbook on {0}",
            kept.name
        ));
    };
    let (text, path) = (draft.source.clone(), file.clone());
    blocking(move || {
        let fail = |e| Error::file(format!("{} can't be written", path.display()), e);
        // What stands there is never written over.
        let mut opened = std::fs::File::create_new(&path).map_err(fail)?;
        opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(fail)
    })
    .await?;
    if args.json.json {
        return output::json(&json!({ "draft": draft, "file": file }));
    }
    tell(&draft)?;
    output::line(format!("Written to {}; nothing was kept.", file.display()))
}

/// What became a parameter, and what did not.
fn tell(draft: &Draft) -> Result<()> {
    if !draft.parameters.is_empty() {
        output::line("Put in anew for each event:")?;
        output::line(output::table(
            &["step", "argument", "from", "was"],
            draft
                .parameters
                .iter()
                .map(|p| vec![p.step.clone(), p.argument.clone(), p.template.clone(), short(&p.value)]),
        ))?;
    }
    if !draft.literals.is_empty() {
        output::line("Stays as it was:")?;
        output::line(output::table(
            &["step", "argument", "value", "stands within"],
            draft.literals.iter().map(|l| {
                vec![l.step.clone(), l.argument.clone(), short(&l.value), l.part_of.clone().unwrap_or_default()]
            }),
        ))?;
    }
    for remark in &draft.remarks {
        output::note(output::safe(remark));
    }
    Ok(())
}

fn short(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).chars().take(60).collect()
}

pub(super) async fn show(place: &Place, args: &Named) -> Result<()> {
    let kept = place.kept_playbook(&args.name).await?.ok_or_else(|| not_found("kept playbook", &args.name))?;
    if args.json.json {
        return output::json(&kept);
    }
    for line in kept.source.trim_end().lines() {
        output::line(output::safe(line))?;
    }
    Ok(())
}

pub(super) async fn switch(place: &Place, args: &Named, is_on: bool) -> Result<()> {
    let kept = place.switch_playbook(&args.name, is_on).await?;
    if args.json.json {
        return output::json(&kept);
    }
    let what = if is_on { "is on: it takes the tasks that name no playbook and that its match fits" } else { "is off" };
    output::line(format!("The playbook {} {what}.", output::safe(&kept.name)))
}

pub(super) async fn remove(place: &Place, args: &Named) -> Result<()> {
    place.remove_playbook(&args.name).await?;
    if args.json.json {
        return output::json(&json!({ "removed": args.name }));
    }
    output::line(format!("The playbook {} is gone.", output::safe(&args.name)))
}

pub(super) async fn replay(place: &Place, args: Replay) -> Result<()> {
    let source = if let Some(kept) = place.kept_playbook(&args.playbook).await? {
        kept.source
    } else {
        let file = PathBuf::from(&args.playbook);
        blocking(move || {
            if !file.exists() {
                return Err(not_found("kept playbook, and no file,", &file.display().to_string()));
            }
            library::read(&file).map_err(|e| Error::refused(e.message))
        })
        .await?
    };
    let span = Span { watcher: args.watcher, first: None, last: args.last };
    let events = place.replay_playbook(source, span).await?;
    let differ = events.iter().filter(|e| e.differs()).count();
    if args.json.json {
        return output::json(&json!({ "differ": differ, "events": events }));
    }
    output::note(format!(
        "{} gone through, {differ} would be done otherwise; nothing was called",
        count(events.len(), "past event")
    ));
    let lines: Vec<Vec<String>> = events.iter().flat_map(lines).collect();
    output::list(false, &lines, "no past event is for it", &["event", "call", "then", "now", "arguments"], Clone::clone)
}

/// A line for the event, one for each call that would be made, and one for each that was made and would not be.
fn lines(event: &Replayed) -> Vec<Vec<String>> {
    let line = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let at = output::time(event.at);
    let mut lines = vec![match &event.unfit {
        Some(why) => line([&format!("{at} {}", event.title), "", "", "", &format!("not for it: {why}")]),
        None => line([&format!("{at} {}", event.title), "", "", "", &format!("{}: {}", event.ends, event.words)]),
    }];
    lines.extend(event.calls.iter().map(|c| {
        let arguments: String = c.arguments.to_string().chars().take(80).collect();
        let then = c.then.as_deref().unwrap_or("not made");
        line(["", &format!("{}/{}", c.server, c.tool), then, &word(c.now), &arguments])
    }));
    lines.extend(event.missing.iter().map(|c| {
        let arguments: String = c.arguments.to_string().chars().take(80).collect();
        line(["", &format!("{}/{}", c.server, c.tool), &c.then, "not made", &arguments])
    }));
    lines
}
