//! `steward policy`: the rules, and which of them decides a call.

use domain::{ids::Beginning, policy::DEFAULT_APPROVAL_TTL_MINUTES};
use serde_json::Value;
use store::{
    beginnings::Kind,
    policies::{Asking, NewPolicy},
};

use super::{Json, Place, ids, not_found, place::Trial};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The rules in order: the first that matches decides, and where none does, a person is asked
    List(Json),
    /// Add a rule
    Add(Add),
    /// Say which rule decides a call, or what changed rules would have done with past calls; nothing is called
    Test(Test),
    /// Ready-made rules
    #[command(subcommand)]
    Preset(super::policy_more::Preset),
    /// Remove a rule
    Remove {
        /// Its name or id
        rule: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Its name
    name: String,
    /// What happens with the calls it matches
    #[arg(long, value_parser = ["allow", "ask", "deny"])]
    effect: String,
    /// Which servers: a pattern such as files, or *
    #[arg(long, default_value = "*")]
    server: String,
    /// Which tools: a pattern such as read_*, or {move_file,write_file}
    #[arg(long, default_value = "*")]
    tool: String,
    /// A condition in CEL over args, task, server, tool, outside and now, such as: inside(args.path, "/home/ada"),
    /// known(args.to), calls("send_*", "1h") < 10, local("Europe/Berlin").hour < 20
    #[arg(long, value_name = "CEL")]
    condition: Option<String>,
    /// An allowing rule reaches work on content from outside too
    #[arg(long)]
    outside: bool,
    /// How much may go wrong with what it asks about; a yes to high risk needs the password again
    #[arg(long, value_parser = ["low", "normal", "high"], default_value = "normal")]
    risk: String,
    /// Its place, before the rule that holds it; the lowest is tried first. Without it the rule goes last
    #[arg(long, value_name = "N", value_parser = rule_place)]
    position: Option<i32>,
    /// Minutes a person has to decide; no decision means no
    #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_APPROVAL_TTL_MINUTES)]
    ttl_minutes: i32,
    /// How many people must say yes
    #[arg(long, value_name = "N", default_value_t = 1)]
    approvers: i32,
    /// A call it matches is never made again by itself, whatever was said of the tool
    #[arg(long)]
    never_repeat: bool,
    /// Remind whoever was asked after so many minutes
    #[arg(long, value_name = "MINUTES")]
    remind_minutes: Option<i32>,
    /// Ask others too after so many minutes
    #[arg(long, value_name = "MINUTES")]
    escalate_minutes: Option<i32>,
    /// Who is asked then; without it, everybody else who may decide
    #[arg(long, value_name = "USERNAME", requires = "escalate_minutes")]
    escalate_to: Option<String>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    past: super::policy_more::Span,
    /// The server's name
    #[arg(long, required_unless_present = "past", conflicts_with = "past")]
    server: Option<String>,
    /// The tool's name
    #[arg(long, required_unless_present = "past", conflicts_with = "past")]
    tool: Option<String>,
    /// The call's arguments in JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    args: String,
    /// The work is on content from outside
    #[arg(long)]
    outside: bool,
    /// The task the call belongs to, for rules that look at it
    #[arg(long, value_name = "ID")]
    task: Option<Beginning>,
    #[command(flatten)]
    json: Json,
}

/// A rule's place as it was typed.
fn rule_place(text: &str) -> Result<i32, String> {
    let place = text.parse::<i32>().ok().filter(|place| *place > 0);
    place.ok_or_else(|| format!("a rule's place is a whole number from 1 to {}; the lowest is tried first", i32::MAX))
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List(json) => {
            let found = place.policies().await?;
            output::list(
                json.json,
                &found,
                "no rules: every call asks",
                &["position", "name", "effect", "risk", "server", "tool", "outside", "condition"],
                |p| {
                    vec![
                        p.position.to_string(),
                        if p.is_active { p.name.clone() } else { format!("{} (off)", p.name) },
                        p.effect.clone(),
                        p.risk.clone(),
                        p.server.clone(),
                        p.tool.clone(),
                        if p.outside { "yes" } else { "no" }.to_owned(),
                        p.condition.clone().unwrap_or_default(),
                    ]
                },
            )
        }
        Command::Add(args) => add(place, args).await,
        Command::Test(args) => test(place, args).await,
        Command::Preset(command) => super::policy_more::preset(place.here()?, command).await,
        Command::Remove { rule } => remove(place, &rule).await,
    }
}

async fn add(place: &Place, args: Add) -> Result<()> {
    let new = NewPolicy {
        position: 0,
        name: args.name.clone(),
        server: args.server,
        tool: args.tool,
        condition: args.condition,
        outside: args.outside,
        effect: args.effect.clone(),
        approval_ttl_minutes: args.ttl_minutes,
    };
    let escalate_to = match &args.escalate_to {
        Some(name) => Some(super::policy_more::person(place.here()?, name).await?),
        None => None,
    };
    let asking = Asking {
        approvers: args.approvers,
        never_repeat: args.never_repeat,
        remind_minutes: args.remind_minutes,
        escalate_minutes: args.escalate_minutes,
        escalate_to,
    };
    let added = place.add_policy(new, args.position, (args.risk, asking)).await?;
    if args.json.json {
        return output::json(&added);
    }
    output::line(format!("Added the rule “{}” ({}).", output::safe(&args.name), args.effect))
}

async fn test(place: &Place, args: Test) -> Result<()> {
    if let Some(days) = args.past.past {
        return super::policy_more::replay(place.here()?, days, args.past, args.json.json).await;
    }
    let arguments: Value = serde_json::from_str(&args.args)
        .map_err(|e| Error::refused(format!("--args is no JSON ({e}); write it as '{{\"path\": \"/home/ada/x\"}}'")))?;
    let (server, tool) = (args.server.unwrap_or_default(), args.tool.unwrap_or_default());
    let task = place.maybe_id_of(Kind::Task, args.task.as_ref()).await?;
    let trial = Trial { server, tool, arguments, task, outside: args.outside };
    let verdict = place.test_policy(&trial).await?;
    if args.json.json {
        return output::json(&verdict);
    }
    let effect =
        serde_json::to_value(verdict.effect).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    output::fields(&[
        ("effect", effect),
        ("rule", verdict.rule.map_or_else(|| "none".to_owned(), |(_, name)| name)),
        ("why", verdict.reason),
    ])
}

async fn remove(place: &Place, name: &str) -> Result<()> {
    let all = place.policies().await?;
    let found = ids::named("rule", name, &all, |rule| (rule.id, rule.name.as_str()))?;
    let found = *found.first().ok_or_else(|| not_found("rule", name))?;
    place.remove_policy(found.id).await?;
    output::line(format!("Removed the rule “{}”.", output::safe(&found.name)))
}
