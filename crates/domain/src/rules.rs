//! The policy's rows as the rules that [`crate::policy::decide`] asks, and the making of rules.

use store::{
    Actor, Run, Store,
    policies::{self, NewPolicy, Policy},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    policy::{self, Effect, Rule},
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

/// Adds a rule after checking that it can be read; without a position it goes last.
pub async fn add(on: impl Run, actor: &Actor, mut new: NewPolicy, position: Option<i32>) -> Result<Uuid> {
    let effect =
        effect(&new.effect).ok_or_else(|| Error::invalid("effect", "the effect must be allow, ask or deny"))?;
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
    policy::validate(&rule).map_err(|e| Error::invalid("policy", e.to_string()))?;
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
