//! `approvals`, the calls they freeze, and the edits a deciding person made.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    tasks::{Cursor, from_place},
    value::{Scalar, page, row},
};

row! {
    /// A question to a person.
    pub struct Approval {
        /// Id.
        pub id: Uuid,
        /// The task that waits.
        pub task_id: Option<Uuid>,
        /// `tool_call` or `outcome_unknown`.
        pub action_type: String,
        /// What is asked: `summary`, `server`, `tool`, `arguments`, `reason`, `outside` …
        #[schema(value_type = Option<Object>)]
        pub details: Option<Json>,
        /// `pending`, `approved`, `rejected` or `expired` (which means no).
        pub status: String,
        /// Who asks: a user's id.
        pub requested_by: String,
        /// Who approved.
        pub approved_by: Option<Uuid>,
        /// When.
        pub approved_at: Option<Timestamp>,
        /// Who rejected.
        pub rejected_by: Option<Uuid>,
        /// When.
        pub rejected_at: Option<Timestamp>,
        /// Until when it may be decided.
        pub expires_at: Option<Timestamp>,
        /// When asked.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// What the deciding person said.
        pub notes: Option<String>,
    }
}
row! {
    /// The call an approval decides, byte for byte, and what the person put in its place.
    pub struct ApprovalCall {
        /// The approval.
        pub approval_id: Uuid,
        /// The step that makes the call.
        pub step_id: Uuid,
        /// Server's name.
        pub server: String,
        /// Tool's name.
        pub tool: String,
        /// SHA-256 of the tool's definition when the person was asked.
        pub definition_sha256: String,
        /// Arguments, frozen.
        pub arguments: String,
        /// Their SHA-256.
        pub arguments_sha256: String,
    }
}
row! {
    /// One person's yes where several are needed.
    pub struct ApprovalVote {
        /// The approval.
        pub approval_id: Uuid,
        /// Who said yes.
        pub user_id: Uuid,
        /// In whose words.
        pub note: Option<String>,
        /// When.
        pub created_at: Timestamp,
    }
}
/// A frozen call with its edit, if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenCall {
    /// The call as asked.
    pub call: ApprovalCall,
    /// The person's arguments and their SHA-256.
    pub edit: Option<(String, String)>,
}
impl crate::value::FromRow for FrozenCall {
    const COLUMNS: &'static [&'static str] = ApprovalCall::COLUMNS;
    fn from_row(row: &crate::value::Row) -> Result<Self> {
        let next = ApprovalCall::COLUMNS.len();
        let (arguments, hash): (Option<String>, Option<String>) =
            (row.get(next, "edited_arguments")?, row.get(next + 1, "edited_sha256")?);
        Ok(Self { call: ApprovalCall::from_row(row)?, edit: arguments.zip(hash) })
    }
}

/// An approval to be asked for; the actor asks.
#[derive(Debug, Clone)]
pub struct NewApproval {
    /// The task that waits.
    pub task_id: Uuid,
    /// `tool_call` or `outcome_unknown`.
    pub action_type: String,
    /// What is asked.
    pub details: Json,
    /// Until when it may be decided.
    pub expires_at: Timestamp,
}

statements! {
    CREATE: Approval = "approvals/create";
    GET: Approval = "approvals/get";
    LOCK: Approval = "approvals/lock" split;
    LIST: Approval = "approvals/list";
    LIST_STATUS: Approval = "approvals/list_status";
    LIST_OPEN: Approval = "approvals/list_open";
    LIST_OF_TASK: Approval = "approvals/list_of_task";
    APPROVE: Approval = "approvals/approve" wakes;
    REJECT: Approval = "approvals/reject" wakes;
    EXPIRE: Scalar<Uuid> = "approvals/expire" wakes;
    EXTEND: Approval = "approvals/extend";
    ADD_CALL: ApprovalCall = "approvals/add_call";
    CALL: FrozenCall = "approvals/call";
    ADD_EDIT: ApprovalCall = "approvals/add_edit";
    EDIT: Scalar<String> = "approvals/edit";
    VOTE: ApprovalVote = "approvals/vote";
    VOTES: ApprovalVote = "approvals/votes";
    WAITING: Scalar<i64> = "approvals/waiting";
    OPEN_OF: Scalar<i64> = "approvals/open_of";
}

/// Asks; answers the approval's id.
pub async fn create(actor: &Actor, on: impl Run, new: &NewApproval) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        new.task_id.into(),
        (&new.action_type).into(),
        new.details.clone().into(),
        new.expires_at.into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// One approval, if the actor may see it.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Approval>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// One open approval, locked until the transaction ends, if the actor may decide it.
pub async fn lock(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Approval>> {
    on.optional(actor, &LOCK, vec![id.into()]).await
}

/// Approvals the actor may see, newest first, of a status and a task, after `cursor`.
pub async fn list(
    actor: &Actor,
    on: impl Run,
    status: Option<&str>,
    task_id: Option<Uuid>,
    cursor: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Approval>> {
    let mut params = from_place(cursor, limit);
    // A text for each, so that task and status are part of an index's walk and not a filter along it.
    let statement = match (task_id, status) {
        (Some(task), status) => {
            params.extend([task.into(), status.into()]);
            &LIST_OF_TASK
        }
        (None, Some("pending")) => &LIST_OPEN,
        (None, Some(status)) => {
            params.push(status.into());
            &LIST_STATUS
        }
        (None, None) => &LIST,
    };
    on.list(actor, statement, params).await
}

/// How many open approvals the actor may see, counted up to `most` (1–200).
pub async fn waiting(actor: &Actor, on: impl Run, most: i64) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &WAITING, vec![page(most)]).await?.0)
}

/// How many open approvals of a kind the actor has asked for, counted up to `most` (1–200).
pub async fn open_of(actor: &Actor, on: impl Run, action_type: &str, most: i64) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &OPEN_OF, vec![action_type.into(), page(most)]).await?.0)
}

/// Approves. False: not open, or not the actor's to decide. The database wakes the work behind it.
pub async fn approve(actor: &Actor, on: impl Run, id: Uuid, notes: Option<&str>) -> Result<bool> {
    Ok(on.execute(actor, &APPROVE, vec![id.into(), notes.into()]).await? > 0)
}

/// Rejects. False: not open, or not the actor's to decide. The database wakes the work behind it.
pub async fn reject(actor: &Actor, on: impl Run, id: Uuid, notes: Option<&str>) -> Result<bool> {
    Ok(on.execute(actor, &REJECT, vec![id.into(), notes.into()]).await? > 0)
}

/// Lets every approval expire whose time is over, and answers which. For Steward itself only.
pub async fn expire(actor: &Actor, on: impl Run) -> Result<Vec<Uuid>> {
    Ok(on.list::<Scalar<Uuid>>(actor, &EXPIRE, Vec::new()).await?.into_iter().map(|s| s.0).collect())
}

/// Gives an open approval time until `expires_at`: later than it stands, at most 30 days from now. False: not open, or not
/// the actor's to decide.
pub async fn extend(actor: &Actor, on: impl Run, id: Uuid, expires_at: Timestamp) -> Result<bool> {
    Ok(on.execute(actor, &EXTEND, vec![id.into(), expires_at.into()]).await? > 0)
}

/// Freezes the call that an approval decides.
pub async fn add_call(actor: &Actor, on: impl Run, call: &ApprovalCall) -> Result<()> {
    let params = vec![
        call.approval_id.into(),
        call.step_id.into(),
        (&call.server).into(),
        (&call.tool).into(),
        (&call.definition_sha256).into(),
        (&call.arguments).into(),
        (&call.arguments_sha256).into(),
    ];
    on.execute(actor, &ADD_CALL, params).await.map(drop)
}

/// The call an approval decides, with the person's edit.
pub async fn call(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<FrozenCall>> {
    on.optional(actor, &CALL, vec![id.into()]).await
}

/// Puts the actor's arguments in place of those asked for; possible once, while the approval is open.
pub async fn add_edit(actor: &Actor, on: impl Run, id: Uuid, arguments: &str, arguments_sha256: &str) -> Result<()> {
    on.execute(actor, &ADD_EDIT, vec![id.into(), arguments.into(), arguments_sha256.into()]).await.map(drop)
}

/// What the deciding person put in place of the arguments, or answered beyond yes and no, as text.
pub async fn edit(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<String>> {
    Ok(on.optional::<Scalar<String>>(actor, &EDIT, vec![id.into()]).await?.map(|s| s.0))
}

/// Says the actor's yes where others must agree too; possible once for each person, while the approval is open.
pub async fn vote(actor: &Actor, on: impl Run, id: Uuid, note: Option<&str>) -> Result<()> {
    on.execute(actor, &VOTE, vec![id.into(), note.into()]).await.map(drop)
}

/// Who said yes so far, where several must; in the order in which they did.
pub async fn votes(actor: &Actor, on: impl Run, id: Uuid) -> Result<Vec<ApprovalVote>> {
    on.list(actor, &VOTES, vec![id.into()]).await
}
