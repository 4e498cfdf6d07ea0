//! The policy's rows as the rules that [`crate::policy::decide`] asks, and the making of rules.

use store::{
    Actor, Run,
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
