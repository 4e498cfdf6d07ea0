//! `steward playbook run --dry`: every call that a playbook would make on a file, what the rules would say to each, and nothing
//! is called or written.

use std::{collections::BTreeMap, path::Path};

use domain::{
    judging::Case,
    playbook::dry::{DryStep, dry_run},
    rerun,
    rules::rules_of,
};
use serde_json::{Value, json};
use store::policies;
use uuid::Uuid;

use super::{Context, blocking, playbook::described, policy_more::word};
use crate::{Error, Result, output};

/// The answer of a step as `STEP=JSON`; what is no JSON is text.
pub(super) fn parse_answer(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((step, answer)) if !step.is_empty() => {
            let value = serde_json::from_str(answer).unwrap_or_else(|_| Value::String(answer.to_owned()));
            Ok((step.to_owned(), value))
        }
        _ => Err("write it as STEP=ANSWER, such as info='isFile: true'".to_owned()),
    }
}

/// Shows what the playbook would do with a file.
pub(super) async fn show(
    ctx: &Context,
    name: String,
    file: &Path,
    answers: Vec<(String, Value)>,
    as_json: bool,
) -> Result<()> {
    let (playbook, _) = ctx.library().find(&ctx.store, &ctx.actor, &name).await?;
    let file = file.to_owned();
    let facts = blocking(move || {
        let path =
            std::path::absolute(&file).map_err(|e| Error::file(format!("{} can't be read", file.display()), e))?;
        let meta = std::fs::metadata(&path).map_err(|e| Error::file(format!("{} can't be read", path.display()), e))?;
        if !meta.is_file() {
            return Err(Error::refused(format!("{} is no plain file; name one", path.display())));
        }
        let modified = meta.modified().ok().and_then(|t| jiff::Timestamp::try_from(t).ok()).unwrap_or_else(store::now);
        // Its content is not read: a dry run keeps no copy, and so knows no hash.
        let mut facts = described(&path, modified, (meta.len(), &"0".repeat(64)));
        let title = format!("File: {}", facts["file"]["name"].as_str().unwrap_or_default());
        facts["task"] = json!({
            "id": Uuid::nil(), "title": title, "description": null, "priority": "medium", "tags": [],
            "created_at": store::now(), "due_date": null,
        });
        facts["event"] = Value::Null;
        facts["outside"] = Value::Bool(true);
        facts["now"] = json!(store::now());
        Ok(facts)
    })
    .await?;
    let run = dry_run(&playbook, &facts, &answers.into_iter().collect::<BTreeMap<_, _>>());
    let mut shown = Vec::new();
    for step in &run.steps {
        let (says, why) = judge(ctx, step, &facts["task"]).await?;
        shown.push((step, says, why));
    }
    if as_json {
        let steps: Vec<Value> = shown
            .iter()
            .map(|(step, says, why)| {
                let mut row = json!(step);
                row["rules_say"] = json!(says);
                row["why"] = json!(why);
                row
            })
            .collect();
        return output::json(&json!({ "steps": steps, "completes": run.completes, "words": run.words }));
    }
    output::list(false, &shown, "it would do nothing", &["step", "does", "rules say", "with"], |(step, says, why)| {
        let does = match step.kind {
            "call" => format!("{}/{}", step.server, step.tool),
            other => other.to_owned(),
        };
        let with = step.reason.clone().unwrap_or_else(|| step.arguments.to_string());
        vec![step.step.clone(), does, format!("{says} ({why})"), with]
    })?;
    let assumed = shown.iter().any(|(step, ..)| step.kind == "call" && !step.is_given);
    output::note(format!(
        "nothing was called; it would {}: {}{}",
        if run.completes { "be completed" } else { "fail" },
        output::safe(&run.words),
        if assumed { " (every call is assumed to answer nothing, unless you say --answer STEP=ANSWER)" } else { "" }
    ));
    Ok(())
}

/// What would happen with a call.
async fn judge(ctx: &Context, step: &DryStep, task: &Value) -> Result<(String, String)> {
    if step.kind != "call" {
        return Ok(("-".to_owned(), "no tool is called".to_owned()));
    }
    let case = Case {
        server: step.server.clone(),
        tool: step.tool.clone(),
        arguments: step.arguments.clone(),
        outside: true,
        task: task.clone(),
    };
    let rules = rules_of(policies::list(&ctx.actor, &ctx.store).await?);
    let (effect, why) = rerun::says(&ctx.store, &ctx.actor, &rules, &case).await?;
    Ok((word(effect), why))
}
