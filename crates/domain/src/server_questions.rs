//! What a server asks of a person while it works on a call. The answer goes back to the server as the person gave it, and is
//! used for nothing else. What the server says is marked as content from outside.

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Actor, Store, Transaction,
    approvals::{self, Approval, NewApproval},
    runs::{self, Step},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    decide::misfits,
    tasks as task_rules,
    work::{Work, Worker},
};

/// What `approvals.action_type` says of such a question.
pub const ACTION_TYPE: &str = "server_question";
/// Bytes that an answer may have as JSON.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// Characters of a question that its headline shows.
const HEADLINE_CHARS: usize = 150;

/// A question to be asked.
#[derive(Debug, Clone)]
pub struct NewServerQuestion {
    /// In the server's words.
    pub message: String,
    /// The form, as a JSON schema of an object; none where an address is shown.
    pub schema: Option<Json>,
    /// What the form holds before anybody filled it in.
    pub defaults: Json,
    /// The address that the person is to open; Steward opens nothing.
    pub url: Option<String>,
    /// How long it may be answered. Unanswered by then, the server hears that nobody did.
    pub patience: SignedDuration,
}

impl Worker {
    /// Asks whoever wants the task done. The step stays as it is: its call waits.
    pub async fn ask_for_server(
        &self,
        store: &Store,
        work: &Work,
        step: &Step,
        new: NewServerQuestion,
    ) -> Result<Uuid> {
        let (server, task) = (step.server.clone(), work.task.clone());
        let headline: String = new.message.chars().take(HEADLINE_CHARS).collect();
        let details = json!({
            "summary": format!("{server} asks: {headline}"),
            "message": new.message,
            "of_server": server,
            "of_tool": step.tool,
            "arguments": new.defaults,
            "schema": new.schema,
            "url": new.url,
            "step": step.name,
            "step_id": step.id,
            "run_id": work.run.id,
            "outside": true,
        });
        let expires_at = store::now() + new.patience;
        self.under_lease(store, &work.lease, move |tx, actor| {
            Box::pin(async move {
                let asked = NewApproval { task_id: task.id, action_type: ACTION_TYPE.to_owned(), details, expires_at };
                let id = approvals::create(&actor, tx, &asked).await?;
                let (title, message) = (format!("{server} asks: {headline}"), Some(task.title.clone()));
                task_rules::tell_creator(&actor, tx, &task, "approval", title, message, Some(id)).await?;
                Ok(id)
            })
        })
        .await
    }
}

/// The answer of a decided question: what the person put into the form, or left as it was.
pub async fn answer(actor: &Actor, on: &Store, approval: &Approval) -> Result<Json> {
    let edited = approvals::edit(actor, on, approval.id).await?;
    match edited {
        // What a person gave is sent, or nothing is.
        Some(text) => serde_json::from_str(&text)
            .map_err(|e| Error::Conflict(format!("the answer that was given can't be read ({e}); nothing was sent"))),
        None => Ok(detail(approval, "arguments")),
    }
}

/// Refuses a yes that the server could not use: the form is not filled in as it must be, or the call is over.
pub(crate) async fn check(actor: &Actor, tx: &Transaction, open: &Approval, edited: Option<&Json>) -> Result<()> {
    if open.action_type != ACTION_TYPE {
        return Ok(());
    }
    let step: Option<Uuid> = detail(open, "step_id").as_str().and_then(|id| id.parse().ok());
    let step = match step {
        Some(id) => runs::step(actor, tx, id).await?,
        None => None,
    };
    if step.is_none_or(|step| step.state != "started") {
        return Err(Error::Conflict(
            "the call that asked this is over, so nobody waits for the answer any more; nothing was sent".to_owned(),
        ));
    }
    let asked = detail(open, "arguments");
    let answer = edited.unwrap_or(&asked);
    if !answer.is_object() || answer.to_string().len() > ANSWER_BYTES {
        return Err(Error::invalid(
            "arguments",
            format!("the answer must be an object of at most {ANSWER_BYTES} bytes; nothing was sent"),
        ));
    }
    let schema = detail(open, "schema");
    let wrong = if schema.is_object() { misfits(&schema, answer)? } else { Vec::new() };
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        "arguments",
        format!("the answer does not fit the form: {}; nothing was sent", wrong.join("; ")),
    ))
}

fn detail(approval: &Approval, name: &str) -> Json {
    approval.details.as_ref().and_then(|details| details.get(name)).cloned().unwrap_or_default()
}
