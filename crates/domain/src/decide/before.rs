//! What is looked at before a yes is taken: one after which nothing would run is refused, and the question stays open.

use serde_json::Value as Json;
use store::{
    Actor, Transaction,
    approvals::{self, Approval, ApprovalCall},
    mcp_servers, tasks,
};
use uuid::Uuid;

use super::check_schema;
use crate::{
    Error, Result, confined,
    judging::{self, Case},
    playbook::canonical_json,
    policy::Effect,
    requests, rules, server_questions,
    work::is_of_the_server_asked_about,
};

/// Refuses a yes after which the call would not be made: the tool is no longer the one the person was asked about, a rule
/// denies the call by now, or it names what its server may not touch. Answers the rule that asks about the call by now. What is
/// edited is judged with its edit, by [`check_edit`].
pub(super) async fn refuse_what_would_not_run(
    actor: &Actor,
    tx: &Transaction,
    open: &Approval,
    edit: Option<&Json>,
) -> Result<Option<Uuid>> {
    let is_again = open.action_type == "outcome_unknown" && edit.is_some_and(|edit| edit["resolution"] == "retry");
    if open.action_type != "tool_call" && !is_again {
        return Ok(None);
    }
    let Some(call) = approvals::call(actor, tx, open.id).await?.map(|frozen| frozen.call) else { return Ok(None) };
    refuse_changed_tool(actor, tx, open, &call).await?;
    if edit.is_some() && !is_again {
        return Ok(None);
    }
    let arguments: Json = serde_json::from_str(&call.arguments).unwrap_or_default();
    let verdict = judging::judge(actor, tx, &case(actor, tx, open, &call, &arguments).await?).await?;
    if verdict.effect == Effect::Deny {
        return Err(Error::Conflict(format!(
            "the policy denies this call by now, so nothing would run: {}; reject it, or change the rule first (steward \
             policy list)",
            verdict.reason
        )));
    }
    let rule = verdict.rule.filter(|_| verdict.effect == Effect::Ask).map(|(rule, _)| rule);
    if let (true, Some(rule)) = (is_again, rule) {
        // One person says what became of it. To make the call again is another question there.
        let (risk, asking) = rules::asking_of(actor, tx, rule).await?;
        let wants = if asking.approvers > 1 {
            "wants more than one person's word"
        } else if risk == "high" {
            "calls it of high risk and wants to be asked"
        } else {
            ""
        };
        if !wants.is_empty() {
            return Err(Error::Conflict(format!(
                "a rule {wants} before this is done again, so nothing would run; say whether it happened, and reopen the task \
                 to be asked anew"
            )));
        }
    }
    match outside_its_folders(actor, tx, &call.server, &arguments).await? {
        Some(why) => Err(Error::Conflict(format!(
            "{why}, so the server {} would refuse it; reject it, or set another place",
            call.server
        ))),
        None => Ok(rule),
    }
}

/// A yes to a tool that is no longer the one the person was asked about would be a no in the end; the question stays open.
async fn refuse_changed_tool(actor: &Actor, tx: &Transaction, open: &Approval, call: &ApprovalCall) -> Result<()> {
    let tool = mcp_servers::tool(actor, tx, &call.server, &call.tool).await?;
    match tool {
        Some(tool)
            if tool.is_usable()
                && tool.definition_sha256 == call.definition_sha256
                && is_of_the_server_asked_about(open, &tool) =>
        {
            Ok(())
        }
        _ => Err(Error::Conflict(format!(
            "the tool {} of {} is not the one you were asked about any more; reject this, look at the tool (steward server \
             tools {}), and reopen the task to be asked anew",
            call.tool, call.server, call.server
        ))),
    }
}

/// The call as it would be judged in the moment in which it starts.
async fn case(actor: &Actor, tx: &Transaction, open: &Approval, call: &ApprovalCall, arguments: &Json) -> Result<Case> {
    let task_id = open.task_id.unwrap_or_default();
    let task = tasks::get(actor, tx, task_id).await?.ok_or_else(|| Error::NotFound(format!("task {task_id}")))?;
    // As when it was asked: a model may have read what came from outside since the task was made.
    let asked_as_outside = open.details.as_ref().is_some_and(|d| d["outside"] == true);
    let outside = asked_as_outside || tasks::provenance(actor, tx, task_id).await?.is_some_and(|p| p.outside);
    Ok(Case {
        server: call.server.clone(),
        tool: call.tool.clone(),
        arguments: arguments.clone(),
        outside,
        task: serde_json::to_value(&task).unwrap_or_default(),
    })
}

/// What among the arguments lies outside the folders that a server may touch, as far as its settings say so.
async fn outside_its_folders(
    actor: &Actor,
    tx: &Transaction,
    server: &str,
    arguments: &Json,
) -> Result<Option<String>> {
    let found = mcp_servers::named(actor, tx, server).await?;
    Ok(found.and_then(|server| confined::outside(&server, arguments)))
}

/// Checks edited arguments as the call itself is checked, and answers their canonical text and the rule they meet.
pub(super) async fn check_edit(
    actor: &Actor,
    tx: &Transaction,
    open: &Approval,
    arguments: &Json,
) -> Result<(String, Option<Uuid>)> {
    if open.action_type == "outcome_unknown" {
        return match arguments.get("resolution").and_then(Json::as_str) {
            Some("done" | "retry") => Ok((canonical_json(arguments), None)),
            _ => Err(Error::invalid(
                "resolution",
                "say resolution=done (it happened) or resolution=retry (make the call again)",
            )),
        };
    }
    if open.action_type == requests::ACTION_TYPE {
        let text = canonical_json(arguments);
        if !arguments.is_object() || text.len() > requests::ARGUMENT_BYTES {
            return Err(Error::invalid(
                "arguments",
                format!("the arguments must be an object of at most {} bytes", requests::ARGUMENT_BYTES),
            ));
        }
        return Ok((text, None));
    }
    if open.action_type == server_questions::ACTION_TYPE {
        // Checked already, with what the form held.
        return Ok((canonical_json(arguments), None));
    }
    let frozen = approvals::call(actor, tx, open.id)
        .await?
        .ok_or_else(|| Error::NotFound(format!("call of approval {}", open.id)))?
        .call;
    let tool = mcp_servers::tool(actor, tx, &frozen.server, &frozen.tool).await?.ok_or_else(|| {
        Error::Conflict(format!("the server {} no longer offers the tool {}", frozen.server, frozen.tool))
    })?;
    check_schema(&tool.input_schema, arguments)?;
    if let Some(why) = outside_its_folders(actor, tx, &frozen.server, arguments).await? {
        return Err(Error::invalid("arguments", format!("{why}, so the server {} would refuse it", frozen.server)));
    }
    let verdict = judging::judge(actor, tx, &case(actor, tx, open, &frozen, arguments).await?).await?;
    if verdict.effect == Effect::Deny {
        return Err(Error::invalid(
            "arguments",
            format!("the policy denies the call with these arguments: {}", verdict.reason),
        ));
    }
    Ok((canonical_json(arguments), verdict.rule.map(|(id, _)| id)))
}
