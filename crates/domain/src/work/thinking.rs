//! The journal of work that a model leads: questions to the model before they are asked, their ends, and questions to a
//! person that are no call of a tool. Each transaction first renews the lease.

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Store,
    approvals::{self, NewApproval},
    model_turns::{self, ModelTurn, NewTurn, TurnEnd},
    runs,
    task_queue::Lease,
};
use uuid::Uuid;

use super::{PlannedCall, Work, Worker, new_step, wait};
use crate::{
    Result,
    brain::OWN_SERVER,
    playbook::{canonical_json, sha256_hex},
    tasks as task_rules,
};

/// How long a person has to answer a question, and to grant more.
const QUESTION_HOURS: i64 = 24 * 7;

/// A question to a person.
#[derive(Debug, Clone)]
pub struct Question {
    /// The step it is journalled as.
    pub step: String,
    /// [`ask_person`](crate::brain::ASK_PERSON) or [`grant_more`](crate::brain::GRANT_MORE).
    pub tool: &'static str,
    /// What the approval is called: `question` or `budget`.
    pub action_type: &'static str,
    /// What is asked, in a sentence.
    pub summary: String,
    /// What is known of it.
    pub arguments: Json,
}

impl Worker {
    /// The turns of a run.
    pub async fn turns(&self, store: &Store, work: &Work) -> Result<Vec<ModelTurn>> {
        Ok(model_turns::list(&self.actor, store, work.run.id).await?)
    }

    /// Writes down that the model is going to be asked; answers the turn's id.
    pub async fn ask_model(&self, store: &Store, lease: &Lease, turn: NewTurn) -> Result<Uuid> {
        self.under_lease(store, lease, move |tx, actor| {
            Box::pin(async move { Ok(model_turns::ask(&actor, tx, &turn).await?) })
        })
        .await
    }

    /// Writes down what came of a question and, in the same transaction, tells whoever wants the task done: `told` is a title,
    /// before the task's, and a message. Nothing changes the second time, and nobody is told again.
    pub async fn end_turn(
        &self,
        store: &Store,
        work: &Work,
        id: Uuid,
        end: TurnEnd,
        told: Option<(&'static str, String)>,
    ) -> Result<()> {
        let task = work.task.clone();
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let has_ended = model_turns::end(&actor, tx, id, &end).await?;
                let Some((title, message)) = told.filter(|_| has_ended) else { return Ok(()) };
                let title = format!("{title}: {}", task.title);
                task_rules::tell_creator(&actor, tx, &task, "alert", title, Some(message), None).await
            })
        })
        .await
    }

    /// Asks a person something: step, approval, notification, and the task put to wait, in one transaction.
    pub async fn ask_person(&self, store: &Store, work: &Work, question: Question) -> Result<Uuid> {
        let (lease, task) = (work.lease.clone(), work.task.clone());
        let text = canonical_json(&question.arguments);
        let call = PlannedCall {
            step: question.step,
            server: OWN_SERVER.to_owned(),
            tool: question.tool.to_owned(),
            arguments_sha256: sha256_hex(&text),
            arguments: text,
        };
        let details = json!({
            "summary": question.summary,
            "arguments": question.arguments,
            "step": call.step,
            "run_id": work.run.id,
            "outside": work.is_outside(),
            "choices": {"approve": "yes, with an answer as the note", "reject": "no"},
        });
        let step = new_step(work, call, "awaiting_approval", None, None);
        let (action_type, title) = (question.action_type.to_owned(), question.summary);
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let step_id = runs::add_step(&actor, tx, &step).await?;
                let expires_at = store::now() + SignedDuration::from_hours(QUESTION_HOURS);
                let asked = NewApproval { task_id: task.id, action_type, details, expires_at };
                let approval_id = approvals::create(&actor, tx, &asked).await?;
                runs::ask_step(&actor, tx, step_id, "awaiting_approval", approval_id, None).await?;
                let title: String = title.chars().take(200).collect();
                task_rules::tell_creator(
                    &actor,
                    tx,
                    &task,
                    "approval",
                    format!("Question: {title}"),
                    Some(task.title.clone()),
                    Some(approval_id),
                )
                .await?;
                wait(&actor, tx, &lease).await?;
                Ok(approval_id)
            })
        })
        .await
    }
}
