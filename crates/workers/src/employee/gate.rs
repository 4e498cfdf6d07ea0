//! Before a call: the tool's approval, its schema, the policy, and a person's decision. Undecided, expired and any
//! error mean no.

use domain::{
    brain::{OWN_SERVER, SUM_UP},
    decide::{CHANGES, check_schema},
    judging::{self, Case},
    playbook::sha256_hex,
    policy::{Effect, Verdict},
    rules,
    work::{self, PlannedCall, Seen, Work, Worker, is_of_the_server_asked_about},
};
use serde_json::{Value as Json, json};
use store::{
    approvals::{Approval, FrozenCall},
    mcp_servers::{self, ServerTool},
    runs::Step,
};
use uuid::Uuid;

use super::{Employee, Turn, files};
use crate::{Result, checkpoint};

/// A call of this work, to be judged.
pub(super) fn case(work: &Work, server: &str, tool: &str, arguments: &Json) -> Case {
    Case {
        server: server.to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.clone(),
        outside: work.is_outside(),
        task: serde_json::to_value(&work.task).unwrap_or(Json::Null),
    }
}

impl Employee {
    async fn verdict(
        &self,
        worker: &Worker,
        work: &Work,
        server: &str,
        tool: &str,
        arguments: &Json,
    ) -> Result<Verdict> {
        let case = case(work, server, tool, arguments);
        Ok(judging::judge(&worker.actor, &self.store, &case).await?)
    }

    /// The tool as it may be used now, or why it may not.
    async fn usable(&self, worker: &Worker, server: &str, tool: &str) -> Result<Result<ServerTool, String>> {
        if server == OWN_SERVER {
            // Its steps are answered by people; a server that bears this name could answer in their place.
            return Ok(Err(format!("{OWN_SERVER} is no server; give the server another name")));
        }
        let found = mcp_servers::tool(&worker.actor, &self.store, server, tool).await?;
        Ok(match found {
            None => {
                Err(format!("there is no tool {tool} of a server {server}; add the server, or correct the playbook"))
            }
            Some(t) if t.is_usable() => Ok(t),
            Some(t) if !t.is_offered => Err(format!("the server {server} no longer offers the tool {tool}")),
            Some(t) if t.approved_sha256.is_some() => Err(format!(
                "the tool {tool} of {server} changed since it was approved; look at it and run: steward server approve-tools {server} {tool}"
            )),
            Some(_) => Err(format!(
                "the tool {tool} of {server} is not approved for use; run: steward server approve-tools {server} {tool}"
            )),
        })
    }

    /// Journals a call that the playbook asks for, as the policy wants it.
    pub(super) async fn plan(&self, worker: &Worker, work: &Work, call: PlannedCall, arguments: &Json) -> Result<Turn> {
        let verdict = self.verdict(worker, work, &call.server, &call.tool, arguments).await?;
        let tool = match self.usable(worker, &call.server, &call.tool).await? {
            Ok(tool) => tool,
            Err(reason) => return self.undone(worker, work, call, &verdict, reason).await,
        };
        if let Err(e) = check_schema(&tool.input_schema, arguments) {
            return self.undone(worker, work, call, &verdict, e.to_string()).await;
        }
        match verdict.effect {
            Effect::Deny => {
                let reason = format!("the policy denies it: {}", verdict.reason);
                self.undone(worker, work, call, &verdict, reason).await
            }
            Effect::Allow => {
                worker.journal_allowed(&self.store, work, call, &verdict).await?;
                checkpoint::reached("step allowed");
                Ok(Turn::Again)
            }
            Effect::Ask => {
                let files = files::seen(arguments).await?;
                let seen = Seen { tool: &tool, files: &files };
                worker.ask(&self.store, work, None, call, &verdict, seen).await?;
                checkpoint::reached("approval asked");
                Ok(Turn::Leave)
            }
        }
    }

    async fn undone(
        &self,
        worker: &Worker,
        work: &Work,
        call: PlannedCall,
        verdict: &Verdict,
        reason: String,
    ) -> Result<Turn> {
        self.logs.push(
            "warning",
            "employee",
            &format!("{} of {} was not called: {reason}", call.tool, call.server),
            Some(work.task.id),
        );
        worker.journal_undone(&self.store, work, call, "denied", Some(verdict), reason).await?;
        checkpoint::reached("step denied");
        Ok(Turn::Again)
    }

    /// Goes on with a step that did not end: the process stopped, or a decision came.
    pub(super) async fn resume(&self, worker: &Worker, work: &Work, step: Step) -> Result<Turn> {
        if step.server.is_empty() {
            return self.resume_wait(worker, work, &step).await;
        }
        if step.server == OWN_SERVER && step.tool == SUM_UP {
            return self.resume_summary(worker, work, &step).await;
        }
        if step.server == OWN_SERVER {
            return match worker.decision(&self.store, &step).await? {
                Some((approval, _)) => self.resume_question(worker, work, &step, approval).await,
                None => self.end_denied(worker, work, &step, "the question it waited for is gone".to_owned()).await,
            };
        }
        match step.state.as_str() {
            "started" => self.resume_started(worker, work, &step).await,
            "awaiting_approval" => match worker.decision(&self.store, &step).await? {
                Some((approval, Some(frozen))) => self.resume_decided(worker, work, &step, approval, frozen).await,
                _ => self.end_denied(worker, work, &step, "the approval it waited for is gone".to_owned()).await,
            },
            "outcome_unknown" => match worker.decision(&self.store, &step).await? {
                Some((approval, frozen)) => self.resume_unknown(worker, work, &step, approval, frozen).await,
                None => self.end_denied(worker, work, &step, "the question about its outcome is gone".to_owned()).await,
            },
            // Allowed and never started: by a person's decision, which is looked at again, or by the rules.
            _ => match worker.decision(&self.store, &step).await? {
                Some((approval, Some(frozen))) if approval.action_type == "tool_call" => {
                    self.resume_decided(worker, work, &step, approval, frozen).await
                }
                Some((approval, frozen)) => self.resume_unknown(worker, work, &step, approval, frozen).await,
                None => self.resume_allowed(worker, work, &step).await,
            },
        }
    }

    async fn resume_allowed(&self, worker: &Worker, work: &Work, step: &Step) -> Result<Turn> {
        let arguments: Json = serde_json::from_str(&step.arguments).unwrap_or(Json::Null);
        let verdict = self.verdict(worker, work, &step.server, &step.tool, &arguments).await?;
        let tool = match self.usable(worker, &step.server, &step.tool).await? {
            Ok(tool) => tool,
            Err(reason) => return self.end_denied(worker, work, step, reason).await,
        };
        match verdict.effect {
            Effect::Allow => self.start(worker, work, step, step.arguments.clone(), (&tool, false)).await,
            Effect::Deny => {
                self.end_denied(worker, work, step, format!("the policy denies it: {}", verdict.reason)).await
            }
            Effect::Ask => {
                let call = PlannedCall {
                    step: step.name.clone(),
                    server: step.server.clone(),
                    tool: step.tool.clone(),
                    arguments: step.arguments.clone(),
                    arguments_sha256: step.arguments_sha256.clone(),
                };
                let files = files::seen(&arguments).await?;
                let seen = Seen { tool: &tool, files: &files };
                worker.ask(&self.store, work, Some(step), call, &verdict, seen).await?;
                checkpoint::reached("approval asked");
                Ok(Turn::Leave)
            }
        }
    }

    async fn resume_decided(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        approval: Approval,
        frozen: FrozenCall,
    ) -> Result<Turn> {
        match approval.status.as_str() {
            "approved" => {}
            "pending" => {
                return self.wait(worker, work, approval.id).await;
            }
            "rejected" => {
                let note = approval
                    .notes
                    .filter(|n| !n.trim().is_empty())
                    .unwrap_or_else(|| "rejected without a note".to_owned());
                if frozen.edit.is_some_and(|(answer, _)| answer == CHANGES) {
                    return self.send_back(worker, work, step, note).await;
                }
                return self.end_denied(worker, work, step, note).await;
            }
            _ => return self.end_denied(worker, work, step, "nobody decided in time, which means no".to_owned()).await,
        }
        let (arguments, sha256) = frozen.edit.unwrap_or((frozen.call.arguments, frozen.call.arguments_sha256));
        if sha256_hex(&arguments) != sha256 {
            return self
                .end_denied(
                    worker,
                    work,
                    step,
                    "the approved arguments do not fit their hash; nothing was called".to_owned(),
                )
                .await;
        }
        self.start_as_decided(worker, work, step, arguments, &approval, &frozen.call.definition_sha256).await
    }

    /// Starts a call that a person decided, if the tool and the files it names are still those the person was asked about
    /// and no rule denies it since.
    async fn start_as_decided(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        arguments: String,
        approval: &Approval,
        definition_sha256: &str,
    ) -> Result<Turn> {
        let tool = match self.usable(worker, &step.server, &step.tool).await? {
            Ok(tool)
                if tool.definition_sha256 == definition_sha256 && is_of_the_server_asked_about(approval, &tool) =>
            {
                tool
            }
            Ok(_) => {
                return self
                    .end_denied(worker, work, step, "the tool changed after the person was asked; ask again".to_owned())
                    .await;
            }
            Err(reason) => return self.end_denied(worker, work, step, reason).await,
        };
        let value: Json = serde_json::from_str(&arguments).unwrap_or(Json::Null);
        let verdict = self.verdict(worker, work, &step.server, &step.tool, &value).await?;
        if verdict.effect == Effect::Deny {
            return self.end_denied(worker, work, step, format!("a rule denies it since: {}", verdict.reason)).await;
        }
        if let Some(reason) = files::changed(Seen::files_of(approval), &value).await? {
            return self.end_denied(worker, work, step, reason).await;
        }
        self.start(worker, work, step, arguments, (&tool, true)).await
    }

    /// Puts the task to wait for a decision, unless it came in this moment.
    pub(super) async fn wait(&self, worker: &Worker, work: &Work, approval_id: Uuid) -> Result<Turn> {
        Ok(if worker.wait(&self.store, &work.lease, approval_id).await? { Turn::Leave } else { Turn::Again })
    }

    /// A call was in flight when its worker stopped: nobody knows, so a person is asked, unless the owner said that
    /// the tool may be repeated and no rule says that it never is.
    async fn resume_started(&self, worker: &Worker, work: &Work, step: &Step) -> Result<Turn> {
        let never = rules::never_repeated(&worker.actor, &self.store, &step.server, &step.tool).await?;
        if let Ok(tool) = self.usable(worker, &step.server, &step.tool).await?
            && tool.repeatable
            && never.is_none()
        {
            worker.unsend(&self.store, &work.lease, step.id, step.attempt).await?;
            checkpoint::reached("repeatable step taken back");
            return Ok(Turn::Again);
        }
        let reason = "Steward stopped while the call was under way; it may or may not have taken effect".to_owned();
        worker.outcome_unknown(&self.store, work, step, reason).await?;
        checkpoint::reached("outcome asked");
        Ok(Turn::Leave)
    }

    /// A person said whether a call happened. Doing it again is judged like any call.
    async fn resume_unknown(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        approval: Approval,
        frozen: Option<FrozenCall>,
    ) -> Result<Turn> {
        match approval.status.as_str() {
            "approved" => {
                let edit = worker.edit(&self.store, approval.id).await?;
                let retry = edit
                    .and_then(|e| serde_json::from_str::<Json>(&e).ok())
                    .is_some_and(|e| e["resolution"] == "retry");
                if !retry {
                    let result = json!({"content": [{"type": "text", "text": "a person says that it happened"}], "isError": false});
                    worker.end(&self.store, &work.lease, step.id, "succeeded", Some(result.to_string()), None).await?;
                    checkpoint::reached("outcome declared");
                    return Ok(Turn::Again);
                }
                let arguments: Json = serde_json::from_str(&step.arguments).unwrap_or(Json::Null);
                let verdict = self.verdict(worker, work, &step.server, &step.tool, &arguments).await?;
                if let (Effect::Ask, Some((rule, _))) = (verdict.effect, &verdict.rule) {
                    // One person said what became of it. To make the call again is another question, where it is one for
                    // several people or for somebody who has just shown who it is.
                    let (risk, asking) = domain::rules::asking_of(&worker.actor, &self.store, *rule).await?;
                    if asking.approvers > 1 || risk == "high" {
                        let reason = "a rule wants more than one person's word before this is done again; reopen the task to be asked anew";
                        return self.end_denied(worker, work, step, reason.to_owned()).await;
                    }
                }
                let definition = frozen.map(|f| f.call.definition_sha256).unwrap_or_default();
                self.start_as_decided(worker, work, step, step.arguments.clone(), &approval, &definition).await
            }
            "pending" => self.wait(worker, work, approval.id).await,
            // Nobody knows whether it happened, so nothing tries it again by itself.
            "expired" => {
                let reason = "its outcome is unknown, and nobody said in time what became of it".to_owned();
                self.end_denied(worker, work, step, reason).await
            }
            other => {
                let reason =
                    approval.notes.unwrap_or_else(|| format!("its outcome is unknown (the question was {other})"));
                worker.end(&self.store, &work.lease, step.id, "failed", None, Some(reason)).await?;
                Ok(Turn::Again)
            }
        }
    }

    /// Ends a step that a person wants otherwise: whoever leads the run hears it, and may ask for the call anew.
    async fn send_back(&self, worker: &Worker, work: &Work, step: &Step, words: String) -> Result<Turn> {
        self.logs.push(
            "info",
            "employee",
            &format!("{} of {} was not called: a person asks for changes", step.tool, step.server),
            Some(work.task.id),
        );
        let result = Some(work::sent_back(&words));
        worker.end(&self.store, &work.lease, step.id, "denied", result, Some(words)).await?;
        checkpoint::reached("step denied");
        Ok(Turn::Again)
    }

    async fn end_denied(&self, worker: &Worker, work: &Work, step: &Step, reason: String) -> Result<Turn> {
        self.logs.push(
            "warning",
            "employee",
            &format!("{} of {} was not called: {reason}", step.tool, step.server),
            Some(work.task.id),
        );
        worker.end(&self.store, &work.lease, step.id, "denied", None, Some(reason)).await?;
        checkpoint::reached("step denied");
        Ok(Turn::Again)
    }
}
