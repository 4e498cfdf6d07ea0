//! The policy's rows as the rules that [`crate::policy::decide`] asks, and the making of rules.

pub mod order;

use serde_json::{Value as Json, json};
use store::{
    Actor, Run, Store,
    approvals::{self, Approval},
    policies::{self, Asking, NewPolicy, Policy},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    decide::approvers_of,
    judging::{self, Case},
    policy::{self, Effect, MAX_APPROVAL_TTL_MINUTES, PolicyError, Rule, Verdict},
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

pub(crate) fn effect(text: &str) -> Option<Effect> {
    match text {
        "allow" => Some(Effect::Allow),
        "ask" => Some(Effect::Ask),
        "deny" => Some(Effect::Deny),
        _ => None,
    }
}

/// Changes a rule: `change` is given the row and answers it as it shall be. What can't be read is refused. Moved to a place
/// that another rule holds it goes before that one.
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
                policies::lock(&actor, tx).await?;
                let before = find(tx, &actor, id).await?;
                let (risk, asking, position) = (before.risk.clone(), before.asking(), before.position);
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
                if after.position != position {
                    let mut others = order::settled(tx, &actor).await?;
                    others.retain(|row| row.id != id);
                    order::make_room(tx, &actor, &mut others, after.position).await?;
                }
                if !policies::update(&actor, tx, &after).await? {
                    return Err(store::Error::Refused { what: "policies".to_owned() }.into());
                }
                if after.risk != risk && !policies::set_risk(&actor, tx, id, &after.risk).await? {
                    return Err(store::Error::Refused { what: "policies".to_owned() }.into());
                }
                let wanted = after.asking();
                check_asking(&wanted)?;
                if wanted != asking && !policies::set_asking(&actor, tx, id, &wanted).await? {
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
    let case = Case { server: server.to_owned(), tool: tool.to_owned(), arguments: arguments.clone(), outside, task };
    judging::judge(actor, store, &case).await
}

fn unknown_effect() -> Error {
    Error::invalid("effect", "the effect must be allow, ask or deny")
}

/// The field that a rule's error is about, as far as it says.
fn wrong(error: &PolicyError) -> Error {
    Error::invalid(error.field(), error.to_string())
}

/// Adds a rule after checking that it can be read: before the rule that holds this place, so that at 1 it is first; without a
/// position it goes last.
pub async fn add(on: impl Run, actor: &Actor, mut new: NewPolicy, position: Option<i32>) -> Result<Uuid> {
    let effect = effect(&new.effect).ok_or_else(unknown_effect)?;
    let mut others = order::settled(on, actor).await?;
    new.position = position.unwrap_or_else(|| others.last().map_or(10, |last| last.position.saturating_add(10)));
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
    order::make_room(on, actor, &mut others, new.position).await?;
    Ok(policies::create(actor, on, &new).await?)
}

/// How much may go wrong with what a rule asks about, and how it asks; a rule that is gone meanwhile counts as `high`.
pub async fn asking_of(actor: &Actor, on: impl Run, rule: Uuid) -> Result<(String, Asking)> {
    let found = policies::list(actor, on).await?.into_iter().find(|row| row.id == rule);
    Ok(found.map_or_else(|| ("high".to_owned(), Asking::default()), |row| (row.risk.clone(), row.asking())))
}

/// The rule that forbids to make a call of this tool again by itself, if there is one.
pub async fn never_repeated(actor: &Actor, on: impl Run, server: &str, tool: &str) -> Result<Option<String>> {
    let rows = policies::list(actor, on).await?.into_iter().filter(|row| row.is_active && row.never_repeat);
    Ok(rows.into_iter().find(|row| policy::names(&row.server, &row.tool, server, tool)).map(|row| row.name))
}

/// Whether what a rule says of those it asks can be kept.
pub fn check_asking(asking: &Asking) -> Result<()> {
    if !(1..=5).contains(&asking.approvers) {
        return Err(Error::invalid("approvers", "1 to 5 people can be asked to agree"));
    }
    for (field, minutes) in [("remind_minutes", asking.remind_minutes), ("escalate_minutes", asking.escalate_minutes)] {
        if minutes.is_some_and(|m| !(1..=MAX_APPROVAL_TTL_MINUTES).contains(&m)) {
            return Err(Error::invalid(field, format!("{field} needs 1 to {MAX_APPROVAL_TTL_MINUTES} minutes")));
        }
    }
    Ok(())
}

/// The same, with how much may go wrong with what the rule asks about (`low`, `normal` or `high`), and how it asks.
pub async fn add_with_risk(
    store: &Store,
    actor: &Actor,
    new: NewPolicy,
    position: Option<i32>,
    (risk, asking): (String, Asking),
) -> Result<Uuid> {
    let actor = actor.clone();
    store
        .transaction(move |tx| Box::pin(async move { add_whole(tx, &actor, new, position, &risk, &asking).await }))
        .await
}

/// The same within a transaction.
pub async fn add_whole(
    on: impl Run,
    actor: &Actor,
    new: NewPolicy,
    position: Option<i32>,
    risk: &str,
    asking: &Asking,
) -> Result<Uuid> {
    check_asking(asking)?;
    let id = add(on, actor, new, position).await?;
    let risk_kept = risk == "normal" || policies::set_risk(actor, on, id, risk).await?;
    let asking_kept = *asking == Asking::default() || policies::set_asking(actor, on, id, asking).await?;
    if risk_kept && asking_kept { Ok(id) } else { Err(store::Error::Refused { what: "policies".to_owned() }.into()) }
}

/// A rule made of a decision: this tool with such arguments, and no further. Paths may move within their folders, texts that
/// name somebody must stay, whatever else there is is free.
pub fn of_decision(approval: &Approval, effect: &str) -> Option<NewPolicy> {
    // What became of a call, or what somebody wants to know, says nothing of calls to come.
    let details = approval.details.as_ref().filter(|_| approval.action_type == "tool_call")?;
    let (server, tool) = (details.get("server")?.as_str()?, details.get("tool")?.as_str()?);
    let condition = details.get("arguments").map(condition_of).filter(|c| !c.is_empty());
    Some(NewPolicy {
        position: 0,
        name: format!("{server}: {tool}").chars().take(100).collect(),
        server: server.to_owned(),
        tool: tool.to_owned(),
        condition,
        outside: effect == "allow" && details.get("outside").and_then(Json::as_bool) == Some(true),
        effect: effect.to_owned(),
        approval_ttl_minutes: policy::DEFAULT_APPROVAL_TTL_MINUTES,
    })
}

/// Refuses what no allowing rule can be made of, whatever is decided: to be asked before the decision is.
pub fn may_be_always(approval: &Approval) -> Result<()> {
    let why = match approval.action_type.as_str() {
        "outcome_unknown" => "this asks whether a call happened, and no rule for calls to come follows from that",
        "tool_call" if approvers_of(approval) > 1 => {
            "it is for several people to agree, so one alone makes no rule of it"
        }
        "tool_call" => return Ok(()),
        _ => "only a call of a tool can be allowed for good",
    };
    Err(Error::Conflict(format!("{why}; no rule was made, so decide it without one")))
}

/// Makes a rule of a decision, so that such a call is allowed without asking; it stands before the rule that asked. Answers the
/// rule, which is an ordinary one: seen, changed and removed like any other.
pub async fn always(store: &Store, actor: &Actor, approval: &Approval) -> Result<Policy> {
    // As it stands by now: whoever said yes first of several has decided nothing yet.
    let approval = approvals::get(actor, store, approval.id).await?;
    let mut approval = approval.ok_or_else(|| Error::NotFound("approval".to_owned()))?;
    may_be_always(&approval)?;
    if approval.status != "approved" {
        return Err(Error::Conflict("only what was allowed once can be allowed for good; no rule was made".to_owned()));
    }
    // Of what was allowed, not of what was asked.
    let edit = approvals::edit(actor, store, approval.id).await?.map(|text| serde_json::from_str::<Json>(&text));
    if let (Some(edit), Some(Json::Object(details))) = (edit, &mut approval.details) {
        let edit = edit
            .map_err(|e| Error::Conflict(format!("the arguments as approved can't be read ({e}); no rule was made")))?;
        details.insert("arguments".to_owned(), edit);
    }
    let Some(mut new) = of_decision(&approval, "allow") else {
        return Err(Error::Conflict("only a call of a tool can be allowed for good".to_owned()));
    };
    let asked_by = approval.details.as_ref().and_then(|d| d.get("rule")).and_then(Json::as_str).map(str::to_owned);
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let rows = order::settled(tx, &actor).await?;
                let asking = rows.iter().find(|row| Some(&row.name) == asked_by.as_ref());
                let plain = new.name.clone();
                for number in 2.. {
                    if !rows.iter().any(|row| row.name == new.name) {
                        break;
                    }
                    new.name = format!("{} ({number})", plain.chars().take(90).collect::<String>());
                }
                let position = asking.map(|row| row.position);
                let id = add(tx, &actor, new, position).await?;
                find(tx, &actor, id).await
            })
        })
        .await
}

/// A condition that reaches no further than the folders of the paths and the people among a call's arguments: narrow at first,
/// for a person to widen.
pub fn condition_of(arguments: &Json) -> String {
    let Some(map) = arguments.as_object() else { return String::new() };
    let parts = map.iter().filter_map(|(name, value)| {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        let text = value.as_str().filter(|_| is_name)?;
        // A string literal of CEL is written as one of JSON.
        if text.starts_with('/') {
            let folder = text.rsplit_once('/').map(|(folder, _)| folder).filter(|f| !f.is_empty())?;
            return Some(format!("inside(args.{name}, {})", Json::from(folder)));
        }
        let is_somebody =
            matches!(name.as_str(), "to" | "cc" | "bcc" | "recipient" | "with" | "iban") || text.contains("://");
        is_somebody.then(|| format!("args.{name} == {}", Json::from(text)))
    });
    let mut parts: Vec<String> = parts.collect();
    // What widens the circle was not there, and is not let in.
    parts.extend(
        ["cc", "bcc"]
            .into_iter()
            .filter(|n| map.contains_key("to") && !map.contains_key(*n))
            .map(|n| format!("!has(args.{n})")),
    );
    parts.join(" && ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::condition_of;

    #[test]
    fn a_rule_of_a_decision_is_as_narrow_as_its_folders_and_people() {
        let arguments =
            json!({"source": "/in/a \"b\".pdf", "destination": "/out/2026/a.pdf", "n": 1, "odd-name": "/x/y"});
        let condition = condition_of(&arguments);
        assert!(condition.contains(r#"inside(args.source, "/in")"#), "{condition}");
        assert!(condition.contains(r#"inside(args.destination, "/out/2026")"#), "{condition}");
        assert!(!condition.contains("odd"), "{condition}");
        assert_eq!(condition_of(&json!({"path": "/top"})), "");
        assert_eq!(
            condition_of(&json!({"to": "bob@example.org", "subject": "x"})),
            r#"args.to == "bob@example.org" && !has(args.cc) && !has(args.bcc)"#
        );
    }
}
