//! Past calls judged by changed rules: what would differ, and nothing is called or written. The time, and how often tools had
//! been called by then, are those of the call; contacts are those of now.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;
use store::{
    Actor, Store, contacts,
    policies::{self, NewPolicy, Policy},
    runs::{self, Step},
    tasks,
};
use uuid::Uuid;

use crate::{
    Error, Result, brain,
    judging::{Case, provenance_of},
    policy::{
        self, Effect, PolicyError, Rule,
        around::{Around, Counts, Needs},
    },
    rules::{effect, rules_of},
    work,
};

/// The furthest that is looked back, in days.
pub const MAX_DAYS: i64 = 90;
/// Calls looked at, the newest.
const MOST_CALLS: i64 = 1000;

/// How the rules would be changed.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Rules that stand and would not, by name; `*` for all of them.
    pub without: Vec<String>,
    /// Rules that would be added, before those that hold their positions; one without (0) after the others.
    pub with: Vec<NewPolicy>,
}

/// A past call, and how it would be judged.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// The step.
    pub step_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// When it was judged.
    pub at: Timestamp,
    /// Server's name.
    pub server: String,
    /// Tool's name.
    pub tool: String,
    /// The arguments.
    pub arguments: Json,
    /// What was done then: `allow`, `ask` or `deny`.
    pub then: Effect,
    /// What the rules that stand say.
    pub now: Effect,
    /// The rule that says so.
    pub now_rule: Option<String>,
    /// What the changed rules would say.
    pub changed: Effect,
    /// The rule that would say so.
    pub changed_rule: Option<String>,
    /// Why.
    pub reason: String,
}

impl Replayed {
    /// Whether the change makes a difference.
    pub fn differs(&self) -> bool {
        self.now != self.changed
    }
}

/// Judges the calls of the last days, of tasks that the actor may see, by changed rules; newest first, at most 1,000.
pub async fn replay(store: &Store, actor: &Actor, days: i64, change: &Change) -> Result<Vec<Replayed>> {
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(Error::invalid("days", format!("1 to {MAX_DAYS} days can be looked back")));
    }
    let standing = policies::list(actor, store).await?;
    let changed = changed_rules(&standing, change)?;
    let standing = rules_of(standing);
    let from = store::now() - SignedDuration::from_hours(24 * days);
    let past = runs::past(actor, store, from, MOST_CALLS).await?;
    let mut seen: BTreeMap<Uuid, Option<(Json, bool, BTreeSet<Uuid>)>> = BTreeMap::new();
    let mut replayed = Vec::new();
    for step in past.iter().filter(|s| s.server != brain::OWN_SERVER) {
        let known = match seen.entry(step.task_id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(context(store, actor, step.task_id).await?),
        };
        let Some((task, is_outside, led)) = known else { continue };
        let read_before = || {
            past.iter().any(|s| {
                s.run_id == step.run_id && s.ordinal < step.ordinal && s.state != "denied" && s.result.is_some()
            })
        };
        let case = Case {
            server: step.server.clone(),
            tool: step.tool.clone(),
            arguments: serde_json::from_str(&step.arguments).unwrap_or(Json::Null),
            outside: *is_outside || (led.contains(&step.run_id) && read_before()),
            task: task.clone(),
        };
        let before = judge(store, actor, &standing, &case, step, &past).await?;
        let after = judge(store, actor, &changed, &case, step, &past).await?;
        replayed.push(Replayed {
            step_id: step.id,
            task_id: step.task_id,
            at: step.created_at,
            server: case.server,
            tool: case.tool,
            arguments: case.arguments,
            then: then(step),
            now: before.effect,
            now_rule: before.rule.map(|(_, name)| name),
            changed: after.effect,
            changed_rule: after.rule.map(|(_, name)| name),
            reason: after.reason,
        });
    }
    Ok(replayed)
}

/// The rules as they would be; one that could not be kept is refused.
fn changed_rules(standing: &[Policy], change: &Change) -> Result<Vec<Rule>> {
    let all = change.without.iter().any(|name| name == "*");
    for name in change.without.iter().filter(|name| *name != "*") {
        if !standing.iter().any(|row| row.name == *name) {
            return Err(Error::NotFound(format!("rule {name}")));
        }
    }
    let kept: Vec<Policy> =
        standing.iter().filter(|row| !all && !change.without.contains(&row.name)).cloned().collect();
    let mut rules = rules_of(kept);
    let mut last = rules.iter().map(|rule| rule.position).max().unwrap_or(0);
    for (at, new) in (0_u128..).zip(&change.with) {
        last = if new.position > 0 { last.max(new.position) } else { last.saturating_add(10) };
        let rule = Rule {
            // Before whatever stands at the same place, and before what was added there, as a rule made now would be.
            id: Uuid::from_u128(1_000_000_u128.saturating_sub(at)),
            position: if new.position > 0 { new.position } else { last },
            name: new.name.clone(),
            server: new.server.clone(),
            tool: new.tool.clone(),
            condition: new.condition.clone(),
            outside: new.outside,
            effect: effect(&new.effect)
                .ok_or_else(|| Error::invalid("effect", "the effect must be allow, ask or deny"))?,
            approval_ttl_minutes: new.approval_ttl_minutes,
        };
        policy::validate(&rule).map_err(|e: PolicyError| Error::invalid(e.field(), format!("{}: {e}", rule.name)))?;
        rules.push(rule);
    }
    Ok(rules)
}

/// What is known of a task: as conditions see it, whether it came from outside, and in which of its runs results did.
async fn context(store: &Store, actor: &Actor, id: Uuid) -> Result<Option<(Json, bool, BTreeSet<Uuid>)>> {
    let Some(task) = tasks::get(actor, store, id).await? else { return Ok(None) };
    let is_outside = tasks::provenance(actor, store, id).await?.is_some_and(|p| p.outside);
    let led = runs::list(actor, store, id).await?.into_iter().filter(work::results_are_outside);
    Ok(Some((serde_json::to_value(&task).unwrap_or_default(), is_outside, led.map(|r| r.id).collect())))
}

async fn judge(
    store: &Store,
    actor: &Actor,
    rules: &[Rule],
    case: &Case,
    step: &Step,
    past: &[Step],
) -> Result<policy::Verdict> {
    let Needs { periods, contacts: asks, provenance: asks_where } = policy::needs(rules, &case.server, &case.tool);
    let counts: Counts = periods.into_iter().map(|minutes| (minutes, made_by_then(past, step, minutes))).collect();
    let addresses = if asks { case.addresses() } else { Vec::new() };
    let known: BTreeSet<String> = if addresses.is_empty() {
        BTreeSet::new()
    } else {
        contacts::known(actor, store, addresses).await?.into_iter().collect()
    };
    let provenance = if asks_where { Some(provenance_of(actor, store, &case.task).await?) } else { None };
    let around =
        Around { now: step.created_at, counts: Some(&counts), known: Some(&known), provenance: provenance.as_ref() };
    Ok(policy::decide(rules, &case.call(around)))
}

/// How often tools had been called in the minutes before a step, as far as the calls looked at show.
fn made_by_then(past: &[Step], step: &Step, minutes: i64) -> policy::around::Made {
    let from = step.created_at - SignedDuration::from_mins(minutes);
    let mut made: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for other in past.iter().filter(|s| s.started_at.is_some_and(|at| at > from && at < step.created_at)) {
        *made.entry((&other.server, &other.tool)).or_default() += 1;
    }
    made.into_iter().map(|((server, tool), n)| (server.to_owned(), tool.to_owned(), n)).collect()
}

/// What was done with a call.
fn then(step: &Step) -> Effect {
    match (step.approval_id, step.state.as_str()) {
        (Some(_), _) => Effect::Ask,
        (None, "denied") => Effect::Deny,
        _ => Effect::Allow,
    }
}
