//! `steward model`: the language models that are set up, what they used, and a question to try one.

use std::time::Instant;

use domain::{brain::transcript::Message, ids::Beginning};
use serde_json::{Value, json};
use store::beginnings::Kind;
use uuid::Uuid;
use workers::{
    brains::{Brains, Meter, Question},
    employee::rethink,
};

use super::{Context, Json, Place, blocking, db::count, place::Models, policy_more::word};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The models of models.toml, what each is used for, and what all of them used
    List(Json),
    /// Ask a model a short question, and say how long it took and what it cost
    Test(Test),
    /// Have a model go through work that was done, and show which calls it would ask for; it is asked, and nothing is called
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// A task that a model led
    #[arg(long, value_name = "TASK")]
    task: Beginning,
    /// The model's name in models.toml
    #[arg(long, value_name = "NAME")]
    model: String,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// Its name in models.toml
    name: String,
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List(format) => list(&place.models().await?, format),
        Command::Test(args) => {
            let ctx = place.here()?;
            test(ctx, &brains(ctx).await?, &args.name).await
        }
        Command::Replay(args) => {
            let ctx = place.here()?;
            let task = place.id_of(Kind::Task, &args.task).await?;
            replay(ctx, &brains(ctx).await?, task, args).await
        }
    }
}

/// The models that are set up here.
pub(super) async fn brains(ctx: &Context) -> Result<Brains> {
    let config = ctx.config.clone();
    blocking(move || config.brains()).await?.ok_or_else(|| {
        Error::refused(format!(
            "no language model is set up; describe one in {} (docs/models.md shows how)",
            ctx.config.models_file.display()
        ))
    })
}

fn list(found: &Models, format: Json) -> Result<()> {
    if format.json {
        return output::json(found);
    }
    output::list(false, &found.set_up, "there are no models", &["name", "provider", "model", "used for"], |r| {
        vec![r.name.clone(), r.provider.clone(), r.model.clone(), r.used_for.join(", ")]
    })?;
    for (when, used, worked) in
        [("today", &found.today, found.worked_ms.today), ("ever", &found.ever, found.worked_ms.ever)]
    {
        output::line(format!(
            "{when}: {} questions, {} tokens, {}; at work for {} minutes",
            used.turns,
            used.tokens,
            dollars(used.cost_microusd),
            worked / 60_000
        ))?;
    }
    Ok(())
}

fn known(brains: &Brains, name: &str) -> Result<()> {
    if brains.model(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = brains.settings().models.keys().map(String::as_str).collect();
    Err(Error::refused(format!("there is no model {name:?} in models.toml; there are: {}", known.join(", "))))
}

async fn replay(ctx: &Context, brains: &Brains, task: Uuid, args: Replay) -> Result<()> {
    known(brains, &args.model)?;
    let found = rethink::rethink(&ctx.store, &ctx.actor, brains, task, &args.model).await?;
    if args.json.json {
        return output::json(&json!({ "differs": found.differs(), "replay": found }));
    }
    let short = |arguments: &Value| arguments.to_string().chars().take(80).collect::<String>();
    let mut lines: Vec<Vec<String>> = Vec::new();
    for call in &found.calls {
        let then = call.then.clone().unwrap_or_else(|| "not made".to_owned());
        let made = format!("{}/{}", call.server, call.tool);
        lines.push(vec![made, then, word(call.now), short(&call.arguments)]);
    }
    for call in &found.missing {
        let made = format!("{}/{}", call.server, call.tool);
        lines.push(vec![made, call.then.clone(), "not made".to_owned(), short(&call.arguments)]);
    }
    output::list(false, &lines, "it would call nothing", &["call", "then", "now", "arguments"], Clone::clone)?;
    output::note(format!(
        "it {}: {}; {}; it was asked {} ({}), and nothing was called",
        found.ends,
        output::safe(&found.words),
        if found.differs() { "something else would be done" } else { "the same would be done" },
        count(usize::try_from(found.used.turns).unwrap_or_default(), "time"),
        dollars(found.used.cost_microusd)
    ));
    Ok(())
}

async fn test(ctx: &Context, brains: &Brains, name: &str) -> Result<()> {
    known(brains, name)?;
    let question = Question {
        system: "You are asked whether you can be reached.".to_owned(),
        messages: vec![Message::User("Answer with the one word: yes".to_owned())],
        tools: Vec::new(),
    };
    let began = Instant::now();
    let mut used = Meter::default();
    let answered = brains.ask(name, question, &mut used).await;
    rethink::book(&ctx.store, brains, name, &used).await?;
    let answered = answered.map_err(|no| Error::refused(no.reason().to_owned()))?;
    let said: String = answered.answer.text.chars().take(60).collect();
    output::line(format!(
        "{name} answered \"{}\" in {} ms: {} tokens read, {} written, {}",
        output::safe(&said),
        began.elapsed().as_millis(),
        used.input_tokens,
        used.output_tokens,
        dollars(brains.cost_microusd(name, &used))
    ))
}

/// Millionths of a dollar as dollars.
fn dollars(microusd: i64) -> String {
    format!("{}.{:06} USD", microusd / 1_000_000, microusd % 1_000_000)
}
