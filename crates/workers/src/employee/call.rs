//! The call itself: marked as started in a commit of its own, sent once, and its outcome written down.

use std::time::{Duration, Instant};

use domain::{
    judging,
    playbook::MAX_RESULT_BYTES,
    work::{Counted, Work, Worker},
};
use serde_json::Value as Json;
use store::{approvals, mcp_servers::ServerTool, runs::Step};
use tools::CallError;

use super::{Employee, SERVER_PATIENCE, SERVER_RETRY, Turn, gate::case};
use crate::{Error, Result, checkpoint};

/// How long a worker tries to write down what came of a call.
const INSISTING: Duration = Duration::from_secs(120);

impl Employee {
    /// Starts a step whose call is allowed by the rules, or decided by a person, and ends it.
    pub(super) async fn start(
        &self,
        worker: &Worker,
        work: &Work,
        step: &Step,
        arguments: String,
        (tool, is_decided): (&ServerTool, bool),
    ) -> Result<Turn> {
        let Some(handle) = self.supervisors.handle(&step.server).filter(|h| h.tools().is_some()) else {
            return self.wait_for_server(worker, work, step).await;
        };
        let sha256 = domain::playbook::sha256_hex(&arguments);
        let attempt = work.lease.attempt;
        let counted = if judging::counts_calls(&worker.actor, &self.store, &step.server, &step.tool).await? {
            let value = serde_json::from_str(&arguments).unwrap_or(Json::Null);
            Some(Counted { case: case(work, &step.server, &step.tool, &value), is_decided })
        } else {
            None
        };
        match worker.start(&self.store, &work.lease, step.id, arguments.clone(), sha256, counted).await {
            Ok(None) => {}
            // Others were called meanwhile: it goes the way that the rules want now.
            Ok(Some(_)) => return Ok(Turn::Again),
            Err(e) => {
                if matches!(e, domain::Error::Store(store::Error::OutcomeUnknown(_))) {
                    // It may stand as started; this worker knows that nothing was sent.
                    self.insist(|| worker.unsend(&self.store, &work.lease, step.id, attempt)).await?;
                }
                return Err(e.into());
            }
        }
        checkpoint::reached("step started");
        let outcome = self.call(worker, work, step, (&handle, tool), &arguments).await?;
        checkpoint::reached("call answered");
        let mut brought = None;
        let (state, result, error) = match outcome {
            Ok(result) => {
                let mut json = result.json.to_string();
                if json.len() > MAX_RESULT_BYTES {
                    json = serde_json::json!({"truncated": true, "size_bytes": json.len(), "isError": result.is_error, "content": []}).to_string();
                }
                if result.is_error {
                    let said: String = result.text.chars().take(2000).collect();
                    ("failed", Some(json), Some(format!("the tool answered with an error: {said}")))
                } else {
                    brought = Some(result);
                    ("succeeded", Some(json), None)
                }
            }
            Err(CallError::Refused { code, message }) => {
                let said: String = message.chars().take(2000).collect();
                ("failed", None, Some(format!("the server refused the call: {said} (code {code})")))
            }
            Err(CallError::NotStarted { reason }) => {
                self.insist(|| worker.unsend(&self.store, &work.lease, step.id, attempt)).await?;
                checkpoint::reached("start taken back");
                self.logs.push(
                    "warning",
                    "employee",
                    &format!("{} of {}: {reason}", step.tool, step.server),
                    Some(work.task.id),
                );
                return self.wait_for_server(worker, work, step).await;
            }
            Err(CallError::OutcomeUnknown { reason }) => {
                self.logs.push(
                    "error",
                    "employee",
                    &format!("{} of {}: {reason}", step.tool, step.server),
                    Some(work.task.id),
                );
                self.insist(|| worker.outcome_unknown(&self.store, work, step, reason.clone())).await?;
                checkpoint::reached("outcome asked");
                return Ok(Turn::Leave);
            }
        };
        self.insist(|| worker.end(&self.store, &work.lease, step.id, state, result.clone(), error.clone())).await?;
        checkpoint::reached("step ended");
        if let Some(result) = brought {
            let taking = Box::pin(self.take_files(worker, work, step, &handle, &result));
            self.renewing(worker, work, taking).await?;
        }
        Ok(Turn::Again)
    }

    /// Writes down what only this worker knows, again while the database is away: a lost outcome would have to be asked
    /// of a person. Each such write changes nothing the second time, and is refused once the lease passed to another.
    pub(super) async fn insist<T, F>(&self, write: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = domain::Result<T>>,
    {
        let began = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match write().await {
                Ok(done) => return Ok(done),
                Err(e) => Error::from(e),
            };
            if !error.is_transient() || began.elapsed() > INSISTING {
                return Err(error);
            }
            tracing::warn!(error = %error, "what came of a call could not be written down; it is tried again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// The server does not run: the task is taken up again a little later, and fails when that lasts too long.
    async fn wait_for_server(&self, worker: &Worker, work: &Work, step: &Step) -> Result<Turn> {
        let decided = match step.approval_id {
            Some(id) => approvals::get(&worker.actor, &self.store, id).await?.map(|a| a.updated_at),
            None => None,
        };
        let since = decided.unwrap_or(step.created_at);
        if store::now().duration_since(since) > SERVER_PATIENCE {
            let reason = format!(
                "the server {} did not run for {} minutes; look at: steward server show {}",
                step.server,
                SERVER_PATIENCE.as_mins(),
                step.server
            );
            worker.end(&self.store, &work.lease, step.id, "failed", None, Some(reason)).await?;
            return Ok(Turn::Again);
        }
        worker.give_back(&self.store, &work.lease, SERVER_RETRY).await?;
        Ok(Turn::Later(SERVER_RETRY))
    }
}
