//! `steward policy preset` and `steward policy test --past`: ready-made rules, and changed rules tried on the past.

use std::path::PathBuf;

use domain::{
    presets::{self, PRESETS},
    replay::{self, Change, Replayed},
};
use serde::Deserialize;
use serde_json::json;
use store::{policies::NewPolicy, users};
use uuid::Uuid;

use super::{Context, Json, not_found};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Preset {
    /// The sets there are
    List(Json),
    /// Add a set's rules; those that stand under their names already are left as they are
    Apply {
        /// Its name
        name: String,
        /// For which servers: a pattern such as mail, or *
        #[arg(long, default_value = "*")]
        server: String,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Span {
    /// Judge the calls of the last days anew, and show what would differ
    #[arg(long, value_name = "DAYS")]
    pub(super) past: Option<i64>,
    /// As if this rule did not stand; * for all
    #[arg(long, value_name = "RULE", requires = "past")]
    without: Vec<String>,
    /// As if these rules stood too: a JSON file with one or a list, in the form of `policy list --json`
    #[arg(long, value_name = "FILE", requires = "past")]
    with: Option<PathBuf>,
}

/// A rule as the file gives it: what `policy list --json` shows, of which the judging needs a part.
#[derive(Debug, Deserialize)]
struct Given {
    #[serde(default)]
    position: i32,
    name: String,
    #[serde(default = "any")]
    server: String,
    #[serde(default = "any")]
    tool: String,
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    outside: bool,
    effect: String,
    #[serde(default = "yes")]
    is_active: bool,
}

fn any() -> String {
    "*".to_owned()
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Given>),
    One(Given),
}

pub(super) async fn preset(ctx: &Context, command: Preset) -> Result<()> {
    match command {
        Preset::List(json) => output::list(json.json, &PRESETS, "no presets", &["preset", "what it is for"], |p| {
            vec![p.name.to_owned(), p.says.to_owned()]
        }),
        Preset::Apply { name, server, json } => {
            let done = presets::apply(&ctx.store, &ctx.actor, &name, &server).await?;
            if json.json {
                let rules: Vec<_> = done.iter().map(|(name, added)| json!({ "name": name, "added": added })).collect();
                return output::json(&rules);
            }
            for (rule, added) in done {
                let rule = output::safe(&rule);
                output::line(if added {
                    format!("Added the rule “{rule}”.")
                } else {
                    format!("The rule “{rule}” stands already; it was left as it is.")
                })?;
            }
            Ok(())
        }
    }
}

pub(super) async fn replay(ctx: &Context, days: i64, past: Span, as_json: bool) -> Result<()> {
    let with = match past.with {
        None => Vec::new(),
        Some(file) => {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| Error::file(format!("{} can't be read", file.display()), e))?;
            let given: OneOrMany = serde_json::from_str(&text)
                .map_err(|e| Error::refused(format!("{} holds no rules ({e})", file.display())))?;
            let given = match given {
                OneOrMany::Many(many) => many,
                OneOrMany::One(one) => vec![one],
            };
            given.into_iter().filter(|rule| rule.is_active).map(rule).collect()
        }
    };
    let replayed = replay::replay(&ctx.store, &ctx.actor, days, &Change { without: past.without, with }).await?;
    let differ: Vec<&Replayed> = replayed.iter().filter(|r| r.differs()).collect();
    if as_json {
        return output::json(&json!({ "judged": replayed.len(), "differ": differ }));
    }
    output::note(format!(
        "{} calls of the last {days} days were judged, {} would be judged otherwise; nothing was called",
        replayed.len(),
        differ.len()
    ));
    output::list(false, &differ, "no difference", &["at", "call", "then", "now", "changed", "rule", "arguments"], |r| {
        vec![
            output::time(r.at),
            format!("{}/{}", r.server, r.tool),
            word(r.then),
            word(r.now),
            word(r.changed),
            r.changed_rule.clone().unwrap_or_else(|| "none".to_owned()),
            r.arguments.to_string().chars().take(80).collect(),
        ]
    })
}

/// An effect as the rules write it.
pub(super) fn word(effect: domain::policy::Effect) -> String {
    serde_json::to_value(effect).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn rule(given: Given) -> NewPolicy {
    NewPolicy {
        position: given.position,
        name: given.name,
        server: given.server,
        tool: given.tool,
        condition: given.condition,
        outside: given.outside,
        effect: given.effect,
        approval_ttl_minutes: domain::policy::DEFAULT_APPROVAL_TTL_MINUTES,
    }
}

/// Somebody's id by the name.
pub(super) async fn person(ctx: &Context, name: &str) -> Result<Uuid> {
    users::named(&ctx.actor, &ctx.store, name).await?.map(|u| u.id).ok_or_else(|| not_found("user", name))
}
