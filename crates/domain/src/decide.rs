//! A person's decision: edit, decision, the work it releases and the audit row in one transaction.

mod before;

use serde_json::Value as Json;
use store::{
    Actor, Store,
    approvals::{self, Approval},
    tasks,
};
use uuid::Uuid;

use self::before::{check_edit, refuse_what_would_not_run};
use crate::{Error, Result, hand_over, playbook::sha256_hex, risk, rules, server_questions};

/// What stands in place of an edit where a person rejects a call and wants it otherwise: whoever asked may ask anew.
pub const CHANGES: &str = r#"{"resolution":"changes"}"#;

/// What a person says.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Yes or no.
    pub approve: bool,
    /// In the person's words, at most 4000 characters.
    pub note: Option<String>,
    /// Arguments to be used in place of those asked for; only with yes.
    pub arguments: Option<Json>,
}

/// Decides an approval and answers it as it stands then: still pending where further people must agree. Who decides late,
/// twice or without the right is told so, and nothing changes; neither does a yes after which nothing would run. An edit must
/// fit the tool's schema, must not be denied by the policy and must stay within the folders that the server may touch. For
/// who has just shown who it is.
pub async fn decide(store: &Store, actor: &Actor, id: Uuid, decision: Decision) -> Result<Approval> {
    decide_from_afar(store, actor, id, decision, true).await
}

/// The same for whoever may not have: a yes to what is of high risk is taken only where `is_fresh`.
pub async fn decide_from_afar(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    decision: Decision,
    is_fresh: bool,
) -> Result<Approval> {
    if decision.note.as_ref().is_some_and(|n| n.chars().count() > 4000) {
        return Err(Error::invalid("note", "the note is longer than 4000 characters; shorten it"));
    }
    if decision.arguments.is_some() && !decision.approve {
        return Err(Error::invalid("arguments", "arguments can be edited only when approving"));
    }
    let actor = actor.clone();
    let lapsed = lapsed_votes(store, &actor, id).await?;
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let open = lock_open(&actor, tx, id).await?;
                if decision.approve {
                    // Before anybody enters a password for nothing.
                    let rule = refuse_what_would_not_run(&actor, tx, &open, decision.arguments.as_ref()).await?;
                    if !is_fresh && (risk::needs_password(&open) || is_high_by(&actor, tx, rule).await?) {
                        return Err(Error::ReauthenticationNeeded);
                    }
                    server_questions::check(&actor, tx, &open, decision.arguments.as_ref()).await?;
                }
                let needed = approvers_of(&open);
                let agreed = if needed > 1 { approvals::votes(&actor, tx, id).await? } else { Vec::new() };
                if decision.approve && agreed.iter().any(|vote| actor.user_id() == Some(vote.user_id)) {
                    return Err(Error::Conflict("you have agreed already; it needs another person's yes too".to_owned()));
                }
                // Each of several agrees to what each was shown.
                if decision.arguments.is_some() && needed > 1 {
                    return Err(Error::Conflict(
                        "several people must agree to the call as it stands; reject it, and say in the note what you want changed"
                            .to_owned(),
                    ));
                }
                if let Some(arguments) = &decision.arguments {
                    let (text, rule) = check_edit(&actor, tx, &open, arguments).await?;
                    // Edited so that another rule is met: its risk counts too.
                    if let Some(rule) = rule {
                        let (risk, asking) = rules::asking_of(&actor, tx, rule).await?;
                        if risk == "high" && !is_fresh {
                            return Err(Error::ReauthenticationNeeded);
                        }
                        if asking.approvers > needed {
                            return Err(Error::invalid(
                                "arguments",
                                format!("with these arguments {} people must agree; reject it, and let it be asked anew", asking.approvers),
                            ));
                        }
                    }
                    approvals::add_edit(&actor, tx, id, &text, &sha256_hex(&text)).await?;
                }
                let note = decision.note.as_deref();
                let counting = agreed.iter().filter(|vote| !lapsed.contains(&vote.user_id)).count();
                if decision.approve && i64::try_from(counting).unwrap_or(i64::MAX) + 1 < needed.into() {
                    approvals::vote(&actor, tx, id, note).await?;
                    return Ok(open);
                }
                let done = if decision.approve {
                    approvals::approve(&actor, tx, id, note).await?
                } else {
                    approvals::reject(&actor, tx, id, note).await?
                };
                if !done {
                    return Err(why_not(&actor, tx, id).await?);
                }
                approvals::get(&actor, tx, id).await?.ok_or_else(|| Error::NotFound(format!("approval {id}")))
            })
        })
        .await
}

/// Whether a rule that came after the question says that the call is of high risk.
async fn is_high_by(actor: &Actor, tx: &store::Transaction, rule: Option<Uuid>) -> Result<bool> {
    let Some(rule) = rule else { return Ok(false) };
    Ok(rules::asking_of(actor, tx, rule).await?.0 == "high")
}

/// Who agreed to an approval and may not decide it any more: their yes does not count. The database sees to it once more.
async fn lapsed_votes(store: &Store, actor: &Actor, id: Uuid) -> Result<Vec<Uuid>> {
    let mut lapsed = Vec::new();
    let Some(open) = approvals::get(actor, store, id).await?.filter(|open| approvers_of(open) > 1) else {
        return Ok(lapsed);
    };
    for vote in approvals::votes(actor, store, id).await? {
        if !hand_over::may_decide(store, &Actor::user(vote.user_id), &open).await? {
            lapsed.push(vote.user_id);
        }
    }
    Ok(lapsed)
}

/// The approval, locked, if it is open and the actor's to decide; else why not.
pub(crate) async fn lock_open(actor: &Actor, tx: &store::Transaction, id: Uuid) -> Result<Approval> {
    let Some(open) = approvals::lock(actor, tx, id).await? else {
        return Err(why_not(actor, tx, id).await?);
    };
    if open.expires_at.is_some_and(|end| end <= store::now()) {
        return Err(Error::Conflict("this approval has expired, which means no; nothing was changed".to_owned()));
    }
    if let Some(task_id) = open.task_id
        && let Some(task) = tasks::get(actor, tx, task_id).await?
        && matches!(task.status.as_str(), "completed" | "failed" | "cancelled")
    {
        return Err(Error::Conflict(format!(
            "the task is {}, so nothing waits for this decision any more; nothing was changed",
            task.status
        )));
    }
    Ok(open)
}

/// How many people must say yes, as the question froze it.
pub fn approvers_of(approval: &Approval) -> i32 {
    let frozen = approval.details.as_ref().and_then(|d| d.get("approvers")).and_then(Json::as_i64);
    frozen.and_then(|n| i32::try_from(n).ok()).unwrap_or(1).max(1)
}

/// Why an approval can't be decided by the actor.
pub(crate) async fn why_not(actor: &Actor, tx: &store::Transaction, id: Uuid) -> Result<Error> {
    Ok(match approvals::get(actor, tx, id).await? {
        None => Error::NotFound(format!("approval {id}")),
        Some(a) if a.status == "pending" => store::Error::Refused { what: "approvals".to_owned() }.into(),
        Some(a) => {
            let who = match a.approved_by.or(a.rejected_by) {
                Some(id) => store::users::names(actor, tx, vec![id])
                    .await?
                    .pop()
                    .map_or_else(|| "somebody".to_owned(), |u| u.username),
                None => "nobody".to_owned(),
            };
            let when = a.approved_at.or(a.rejected_at).unwrap_or(a.updated_at);
            Error::Conflict(format!(
                "this approval is already {} (by {who} at {when:.0}); nothing was changed",
                a.status
            ))
        }
    })
}

/// Checks arguments against a tool's JSON Schema; the error names each place.
pub fn check_schema(schema: &Json, arguments: &Json) -> Result<()> {
    let wrong = misfits(schema, arguments)?;
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid("arguments", format!("the arguments do not fit the tool: {}", wrong.join("; "))))
    }
}

/// Where a value does not fit a server's JSON Schema, and why: the first five places.
pub(crate) fn misfits(schema: &Json, value: &Json) -> Result<Vec<String>> {
    let validator = jsonschema::validator_for(schema).map_err(|e| {
        Error::invalid("schema", format!("the tool's own schema is broken ({e}); the server must be mended"))
    })?;
    let wrong = validator.iter_errors(value).take(5).map(|e| {
        let place = e.instance_path().to_string();
        if place.is_empty() { e.to_string() } else { format!("{place}: {e}") }
    });
    Ok(wrong.collect())
}

/// Puts `path=value` edits into arguments. A path is dotted (`options.depth`, `items.0`); a value stays text where the
/// schema or the present value is text, and is read as JSON elsewhere, so that types survive.
pub fn apply_edits(arguments: &Json, schema: Option<&Json>, edits: &[(String, String)]) -> Result<Json> {
    let mut out = arguments.clone();
    for (path, text) in edits {
        refuse_unknown(arguments, schema, path)?;
        let mut place = &mut out;
        let mut kind = schema;
        for key in path.split('.') {
            kind = kind.and_then(|k| k.get("properties").and_then(|p| p.get(key)).or_else(|| k.get("items")));
            place = match place {
                Json::Array(items) => {
                    let length = items.len();
                    key.parse::<usize>().ok().and_then(|i| items.get_mut(i)).ok_or_else(|| {
                        Error::invalid(path.clone(), format!("the list has {length} entries; {key} is not one of them"))
                    })?
                }
                Json::Object(map) => map.entry(key).or_insert(Json::Null),
                _ => return Err(Error::invalid(path.clone(), format!("there is nothing called {key} to set"))),
            };
        }
        let is_text = place.is_string() || kind.and_then(|k| k.get("type")).and_then(Json::as_str) == Some("string");
        *place = if is_text {
            Json::String(text.clone())
        } else {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
        };
    }
    Ok(out)
}

/// A field that neither the arguments nor the tool's schema know is a slip of the pen: what the person meant would
/// silently not happen. A schema that says it takes further fields gets them.
fn refuse_unknown(arguments: &Json, schema: Option<&Json>, path: &str) -> Result<()> {
    let field = path.split('.').next().unwrap_or(path);
    let Some(known) = schema.and_then(|s| s.get("properties")).and_then(Json::as_object) else { return Ok(()) };
    let is_open = schema.and_then(|s| s.get("additionalProperties")).is_some_and(|more| *more != Json::Bool(false));
    if is_open || known.contains_key(field) || arguments.get(field).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    Err(Error::invalid(path, format!("the tool has no argument {field}; it has {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{apply_edits, check_schema};

    #[test]
    fn edits_keep_their_types() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}, "deep": {"type": "object", "properties": {"x": {"type": "boolean"}}}}});
        let edits =
            [("n", "7"), ("s", "7"), ("deep.x", "true"), ("list.1", "null")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let got = apply_edits(&json!({"n": 1, "s": "a", "deep": {}, "list": [1, 2]}), Some(&schema), &edits).unwrap();
        assert_eq!(got, json!({"n": 7, "s": "7", "deep": {"x": true}, "list": [1, null]}));
        let slip = apply_edits(&json!({"n": 1}), Some(&schema), &[("m".to_owned(), "1".to_owned())]);
        assert!(slip.unwrap_err().to_string().contains("no argument m; it has"));
        assert!(apply_edits(&json!({"list": []}), None, &[("list.3".to_owned(), "1".to_owned())]).is_err());
    }

    #[test]
    fn a_call_must_fit_the_schema() {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"], "additionalProperties": false});
        assert!(check_schema(&schema, &json!({"path": "a"})).is_ok());
        let said = check_schema(&schema, &json!({"path": 1})).unwrap_err().to_string();
        assert!(said.contains("/path"), "{said}");
        assert!(check_schema(&schema, &json!({})).is_err());
    }
}
