//! The policy's rows as the rules that [`crate::policy::decide`] asks, and the making of rules.

use serde_json::{Value as Json, json};
use store::{
    Actor, Run, Store,
    policies::{self, NewPolicy, Policy},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    policy::{self, Call, Effect, PolicyError, Rule, Verdict},
};

/// The active rules in order. A row whose effect is unknown counts as `ask`.
pub fn rules_of(rows: Vec<Policy>) -> Vec<Rule> {
    rows.into_iter()
        .filter(|row| row.is_active)
        .map(|row| Rule {
            id: row.id,
            position: row.position,
            name: row.name,
            server: row.server,
            tool: row.tool,
            condition: row.condition,
            outside: row.outside,
            effect: effect(&row.effect).unwrap_or(Effect::Ask),
            approval_ttl_minutes: row.approval_ttl_minutes,
        })
        .collect()
}

fn effect(text: &str) -> Option<Effect> {
    match text {
        "allow" => Some(Effect::Allow),
        "ask" => Some(Effect::Ask),
        "deny" => Some(Effect::Deny),
        _ => None,
    }
}

/// Changes a rule: `change` is given the row and answers it as it shall be. What can't be read is refused.
pub async fn change(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    change: impl FnOnce(Policy) -> Result<Policy> + Send + 'static,
) -> Result<Policy> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let before = find(tx, &actor, id).await?;
                let risk = before.risk.clone();
                let after = change(before)?;
                let effect = effect(&after.effect).ok_or_else(unknown_effect)?;
                let rule = Rule {
                    id: after.id,
                    position: after.position,
                    name: after.name.clone(),
                    server: after.server.clone(),
                    tool: after.tool.clone(),
                    condition: after.condition.clone(),
                    outside: after.outside,
                    effect,
                    approval_ttl_minutes: after.approval_ttl_minutes,
                };
                policy::validate(&rule).map_err(|e| wrong(&e))?;
                if !policies::update(&actor, tx, &after).await? {
                    return Err(store::Error::Refused { what: "policies".to_owned() }.into());
                }
                if after.risk != risk && !policies::set_risk(&actor, tx, id, &after.risk).await? {
                    return Err(store::Error::Refused { what: "policies".to_owned() }.into());
                }
                find(tx, &actor, id).await
            })
        })
        .await
}

/// Removes a rule.
pub async fn remove(store: &Store, actor: &Actor, id: Uuid) -> Result<()> {
    find(store, actor, id).await?;
    if policies::delete(actor, store, id).await? {
        return Ok(());
    }
    Err(store::Error::Refused { what: "policies".to_owned() }.into())
}

/// A rule by id.
pub async fn find(on: impl Run, actor: &Actor, id: Uuid) -> Result<Policy> {
    let all = policies::list(actor, on).await?;
    all.into_iter().find(|rule| rule.id == id).ok_or_else(|| Error::NotFound(format!("rule {id}")))
}

/// Which rule decides a call; nothing is called. With a task the call is judged as work on it, whose content may come
/// from outside.
pub async fn test(
    store: &Store,
    actor: &Actor,
    (server, tool): (&str, &str),
    arguments: &Json,
    task: Option<Uuid>,
    outside: bool,
) -> Result<Verdict> {
    let (task, outside) = match task {
        None => (json!({}), outside),
        Some(id) => {
            let task = crate::tasks::get(store, actor, id).await?;
            let is_outside = store::tasks::provenance(actor, store, id).await?.is_some_and(|p| p.outside);
            (serde_json::to_value(&task).unwrap_or_default(), outside || is_outside)
        }
    };
    let rules = rules_of(policies::list(actor, store).await?);
    Ok(policy::decide(&rules, &Call { server, tool, arguments, outside, task: &task }))
}

fn unknown_effect() -> Error {
    Error::invalid("effect", "the effect must be allow, ask or deny")
}

/// The field that a rule's error is about, as far as it says.
fn wrong(error: &PolicyError) -> Error {
    Error::invalid(error.field(), error.to_string())
}

/// Adds a rule after checking that it can be read; without a position it goes last.
pub async fn add(on: impl Run, actor: &Actor, mut new: NewPolicy, position: Option<i32>) -> Result<Uuid> {
    let effect = effect(&new.effect).ok_or_else(unknown_effect)?;
    new.position = match position {
        Some(position) => position,
        None => policies::list(actor, on).await?.last().map_or(10, |last| last.position.saturating_add(10)),
    };
    let rule = Rule {
        id: Uuid::nil(),
        position: new.position,
        name: new.name.clone(),
        server: new.server.clone(),
        tool: new.tool.clone(),
        condition: new.condition.clone(),
        outside: new.outside,
        effect,
        approval_ttl_minutes: new.approval_ttl_minutes,
    };
    policy::validate(&rule).map_err(|e| wrong(&e))?;
    Ok(policies::create(actor, on, &new).await?)
}

/// How much may go wrong with what a rule asks about; a rule that is gone meanwhile counts as `high`.
pub async fn risk_of(actor: &Actor, on: impl Run, rule: Uuid) -> Result<String> {
    let found = policies::list(actor, on).await?.into_iter().find(|row| row.id == rule);
    Ok(found.map_or_else(|| "high".to_owned(), |row| row.risk))
}

/// The same, with how much may go wrong with what the rule asks about: `low`, `normal` or `high`.
pub async fn add_with_risk(
    store: &Store,
    actor: &Actor,
    new: NewPolicy,
    position: Option<i32>,
    risk: String,
) -> Result<Uuid> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let id = add(tx, &actor, new, position).await?;
                if risk != "normal" && !policies::set_risk(&actor, tx, id, &risk).await? {
                    return Err(store::Error::Refused { what: "policies".to_owned() }.into());
                }
                Ok::<_, Error>(id)
            })
        })
        .await
}
