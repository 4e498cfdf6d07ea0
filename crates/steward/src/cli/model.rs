//! `steward model`: the language models that are set up, what they used, and a question to try one.

use std::time::Instant;

use domain::brain::transcript::Message;
use serde_json::json;
use store::model_turns;
use workers::brains::{Brains, Question};

use super::{Context, Json, blocking};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The models of models.toml, what each is used for, and what all of them used
    List(Json),
    /// Ask a model a short question, and say how long it took and what it cost
    Test(Test),
}

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// Its name in models.toml
    name: String,
}

pub(super) async fn run(ctx: &Context, command: Command) -> Result<()> {
    let config = ctx.config.clone();
    let Some(brains) = blocking(move || config.brains()).await? else {
        return Err(Error::refused(format!(
            "no language model is set up; describe one in {} (docs/models.md shows how)",
            ctx.config.models_file.display()
        )));
    };
    match command {
        Command::List(format) => list(ctx, &brains, format).await,
        Command::Test(args) => test(&brains, &args.name).await,
    }
}

async fn list(ctx: &Context, brains: &Brains, format: Json) -> Result<()> {
    let today = model_turns::spent(&ctx.actor, &ctx.store, true).await?;
    let ever = model_turns::spent(&ctx.actor, &ctx.store, false).await?;
    let rows = crate::hands::entries(brains);
    if format.json {
        return output::json(&json!({ "models": rows, "today": today, "ever": ever, "limits": brains.limits() }));
    }
    output::list(false, &rows, "there are no models", &["name", "provider", "model", "used for"], |r| {
        vec![r.name.clone(), r.provider.clone(), r.model.clone(), r.used_for.join(", ")]
    })?;
    for (when, used) in [("today", today), ("ever", ever)] {
        output::line(format!(
            "{when}: {} questions, {} tokens, {}",
            used.turns,
            used.tokens,
            dollars(used.cost_microusd)
        ))?;
    }
    Ok(())
}

async fn test(brains: &Brains, name: &str) -> Result<()> {
    if brains.model(name).is_none() {
        let known: Vec<&str> = brains.settings().models.keys().map(String::as_str).collect();
        return Err(Error::refused(format!(
            "there is no model {name:?} in models.toml; there are: {}",
            known.join(", ")
        )));
    }
    let question = Question {
        system: "You are asked whether you can be reached.".to_owned(),
        messages: vec![Message::User("Answer with the one word: yes".to_owned())],
        tools: Vec::new(),
    };
    let began = Instant::now();
    let answered = brains.ask(name, question).await.map_err(|no| Error::refused(no.reason().to_owned()))?;
    let said: String = answered.answer.text.chars().take(60).collect();
    output::line(format!(
        "{name} answered \"{}\" in {} ms: {} tokens read, {} written, {}",
        output::safe(&said),
        began.elapsed().as_millis(),
        answered.input_tokens,
        answered.output_tokens,
        dollars(brains.cost_microusd(name, &answered))
    ))
}

/// Millionths of a dollar as dollars.
fn dollars(microusd: i64) -> String {
    format!("{}.{:06} USD", microusd / 1_000_000, microusd % 1_000_000)
}
