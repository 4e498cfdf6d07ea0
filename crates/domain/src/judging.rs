//! A call judged as the world stands: the rules, how often tools were called of late, and whom the owner knows are read, and
//! [`crate::policy::decide`] is asked. Within the transaction that starts a call the same is asked again, so that of two
//! calls that start at once the second one sees the first.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use store::{Actor, Run, contacts, policies, runs, tasks};

use crate::{
    Result,
    policy::{
        self, Call, Rule, Verdict,
        around::{Around, Counts, address},
    },
    rules::rules_of,
};

/// Texts among the arguments that may be somebody's address.
const MOST_ADDRESSES: usize = 256;
/// The longest address, in characters.
const MAX_ADDRESS_CHARS: usize = 320;

/// A call that is to be judged.
#[derive(Debug, Clone)]
pub struct Case {
    /// The server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// The arguments as they will be sent.
    pub arguments: Json,
    /// Whether the work is on content from outside.
    pub outside: bool,
    /// The task, as conditions see it.
    pub task: Json,
}

impl Case {
    /// The call, in a world.
    pub fn call<'a>(&'a self, around: Around<'a>) -> Call<'a> {
        Call {
            server: &self.server,
            tool: &self.tool,
            arguments: &self.arguments,
            outside: self.outside,
            task: &self.task,
            around,
        }
    }

    /// Texts among the arguments that may be addresses, as contacts are kept.
    pub fn addresses(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        collect(&self.arguments, &mut found);
        found.into_iter().collect()
    }
}

fn collect(value: &Json, found: &mut BTreeSet<String>) {
    match value {
        // PostgreSQL takes no text with a zero in it, and no address has one.
        Json::String(text)
            if found.len() < MOST_ADDRESSES && text.chars().count() <= MAX_ADDRESS_CHARS && !text.contains('\0') =>
        {
            found.insert(address(text));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Judges a call by the rules that stand.
pub async fn judge(actor: &Actor, on: impl Run, case: &Case) -> Result<Verdict> {
    let rules = rules_of(policies::list(actor, on).await?);
    judge_by(actor, on, &rules, case).await
}

/// Judges a call by these rules.
pub async fn judge_by(actor: &Actor, on: impl Run, rules: &[Rule], case: &Case) -> Result<Verdict> {
    let needs = policy::needs(rules, &case.server, &case.tool);
    let mut counts = Counts::new();
    for minutes in needs.periods {
        let made = runs::calls_made(actor, on, minutes).await?;
        counts.insert(minutes, made.into_iter().map(|m| (m.server, m.tool, m.made)).collect());
    }
    let mut known = BTreeSet::new();
    if needs.contacts {
        let asked = case.addresses();
        if !asked.is_empty() {
            known.extend(contacts::known(actor, on, asked).await?);
        }
    }
    let provenance = if needs.provenance { Some(provenance_of(actor, on, &case.task).await?) } else { None };
    let around =
        Around { now: store::now(), counts: Some(&counts), known: Some(&known), provenance: provenance.as_ref() };
    Ok(policy::decide(rules, &case.call(around)))
}

/// Where a task came from, as conditions see it: by the row that was written with the task and that nobody can change, and not
/// by what the task says of itself. Of one that has none, and of no task, nothing is known.
pub(crate) async fn provenance_of(actor: &Actor, on: impl Run, task: &Json) -> Result<Json> {
    let id = task.get("id").and_then(Json::as_str).and_then(|id| id.parse().ok());
    let found = match id {
        Some(id) => tasks::provenance(actor, on, id).await?,
        None => None,
    };
    Ok(found.map_or_else(
        || json!({ "source": "", "detail": {} }),
        |found| json!({ "source": found.source, "detail": found.detail }),
    ))
}

/// Whether rules about this server's tool count calls: then a call is judged again in the moment in which it starts.
pub async fn counts_calls(actor: &Actor, on: impl Run, server: &str, tool: &str) -> Result<bool> {
    let rules = rules_of(policies::list(actor, on).await?);
    Ok(!policy::needs(&rules, server, tool).periods.is_empty())
}
