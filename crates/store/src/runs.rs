//! `runs` and `steps`: the journal of the employee's work.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{page, row},
};

row! {
    /// One attempt at a task, by a playbook frozen as it was.
    pub struct TaskRun {
        /// Id.
        pub id: Uuid,
        /// The task.
        pub task_id: Uuid,
        /// 1, 2, … within the task.
        pub number: i32,
        /// Playbook's name.
        pub playbook: String,
        /// Its text when the run began.
        pub playbook_source: String,
        /// SHA-256 of that text.
        pub playbook_sha256: String,
        /// `running`, `completed`, `failed` or `cancelled`.
        pub state: String,
        /// Why it failed.
        pub error: Option<String>,
        /// The agent.
        pub started_by: Option<Uuid>,
        /// When begun.
        pub started_at: Timestamp,
        /// When ended.
        pub finished_at: Option<Timestamp>,
    }
}
row! {
    /// One call of a tool within a run.
    pub struct Step {
        /// Id.
        pub id: Uuid,
        /// The run.
        pub run_id: Uuid,
        /// The task.
        pub task_id: Uuid,
        /// 0, 1, … within the run.
        pub ordinal: i32,
        /// The step's name in the playbook.
        pub name: String,
        /// Server's name.
        pub server: String,
        /// Tool's name.
        pub tool: String,
        /// `planned`, `awaiting_approval`, `allowed`, `started`, `succeeded`, `failed`, `denied`, `skipped` or `outcome_unknown`.
        pub state: String,
        /// The arguments that are sent, frozen.
        pub arguments: String,
        /// Their SHA-256.
        pub arguments_sha256: String,
        /// The rule that decided.
        pub policy_id: Option<Uuid>,
        /// Why it decided so.
        pub policy_reason: Option<String>,
        /// The approval asked for last.
        pub approval_id: Option<Uuid>,
        /// The claim that started it.
        pub attempt: i32,
        /// What the tool answered, as JSON text, cut to the limit.
        pub result: Option<String>,
        /// Why it failed or was not done.
        pub error: Option<String>,
        /// When the call was sent.
        pub started_at: Option<Timestamp>,
        /// When it ended.
        pub finished_at: Option<Timestamp>,
        /// When planned.
        pub created_at: Timestamp,
    }
}

row! {
    /// How often a tool was really called in a time.
    pub struct CallsMade {
        /// Server's name.
        pub server: String,
        /// Tool's name.
        pub tool: String,
        /// How often.
        pub made: i64,
    }
}

/// A step to be journalled.
#[derive(Debug, Clone)]
pub struct NewStep {
    /// The run.
    pub run_id: Uuid,
    /// The task.
    pub task_id: Uuid,
    /// 0, 1, … within the run.
    pub ordinal: i32,
    /// The step's name in the playbook.
    pub name: String,
    /// Server's name.
    pub server: String,
    /// Tool's name.
    pub tool: String,
    /// State it begins in.
    pub state: &'static str,
    /// Arguments as canonical JSON text.
    pub arguments: String,
    /// Their SHA-256.
    pub arguments_sha256: String,
    /// The rule that decided.
    pub policy_id: Option<Uuid>,
    /// Why it decided so.
    pub policy_reason: Option<String>,
    /// The claim.
    pub attempt: i32,
    /// Why it was denied or skipped.
    pub error: Option<String>,
}

statements! {
    CREATE_RUN: TaskRun = "runs/create";
    LIST_RUNS: TaskRun = "runs/list";
    FINISH_RUN: TaskRun = "runs/finish";
    CREATE_STEP: Step = "steps/create";
    GET_STEP: Step = "steps/get";
    LIST_STEPS: Step = "steps/list";
    SHOWN_STEPS: Step = "steps/shown";
    PRESENT_STEP: Step = "steps/present";
    START_STEP: Step = "steps/start";
    UNSEND_STEP: Step = "steps/unsend";
    ASK_STEP: Step = "steps/ask";
    END_STEP: Step = "steps/end";
    CALLS_MADE: CallsMade = "steps/calls_made" split;
    PAST: Step = "steps/past";
}

/// Begins a run of a task and answers its id.
pub async fn create(
    actor: &Actor,
    on: impl Run,
    task_id: Uuid,
    playbook: &str,
    source: &str,
    source_sha256: &str,
) -> Result<Uuid> {
    let id = Uuid::now_v7();
    on.execute(
        actor,
        &CREATE_RUN,
        vec![id.into(), task_id.into(), playbook.into(), source.into(), source_sha256.into()],
    )
    .await?;
    Ok(id)
}

/// Runs of a task, newest first, at most 100.
pub async fn list(actor: &Actor, on: impl Run, task_id: Uuid) -> Result<Vec<TaskRun>> {
    on.list(actor, &LIST_RUNS, vec![task_id.into()]).await
}

/// Ends a run that is running. False: none such.
pub async fn finish(actor: &Actor, on: impl Run, id: Uuid, state: &str, error: Option<&str>) -> Result<bool> {
    Ok(on.execute(actor, &FINISH_RUN, vec![id.into(), state.into(), error.into()]).await? > 0)
}

/// Journals a step and answers its id. A step denied or skipped is finished at once.
pub async fn add_step(actor: &Actor, on: impl Run, new: &NewStep) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let finished = matches!(new.state, "denied" | "skipped").then(crate::now);
    let params = vec![
        id.into(),
        new.run_id.into(),
        new.task_id.into(),
        new.ordinal.into(),
        (&new.name).into(),
        (&new.server).into(),
        (&new.tool).into(),
        new.state.into(),
        (&new.arguments).into(),
        (&new.arguments_sha256).into(),
        new.policy_id.into(),
        new.policy_reason.clone().into(),
        None::<Uuid>.into(),
        new.attempt.into(),
        new.error.clone().into(),
        finished.into(),
    ];
    on.execute(actor, &CREATE_STEP, params).await?;
    Ok(id)
}

/// One step.
pub async fn step(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Step>> {
    on.optional(actor, &GET_STEP, vec![id.into()]).await
}

/// Steps of a run in order, at most 1000.
pub async fn steps(actor: &Actor, on: impl Run, run_id: Uuid) -> Result<Vec<Step>> {
    on.list(actor, &LIST_STEPS, vec![run_id.into()]).await
}

/// The newest steps of a run, the last first, at most `limit` (0–1000), with no more than 16,384 characters of what each tool
/// answered: for showing.
pub async fn shown_steps(actor: &Actor, on: impl Run, run_id: Uuid, limit: i64) -> Result<Vec<Step>> {
    on.list(actor, &SHOWN_STEPS, vec![run_id.into(), page(limit)]).await
}

/// The last step of a task's newest run, cut in the same way; none where that run has none yet.
pub async fn present_step(actor: &Actor, on: impl Run, task_id: Uuid) -> Result<Option<Step>> {
    on.optional(actor, &PRESENT_STEP, vec![task_id.into()]).await
}

/// Marks a step as started, with the arguments that are going to be sent. False: it was started before.
pub async fn start_step(
    actor: &Actor,
    on: impl Run,
    id: Uuid,
    attempt: i32,
    arguments: &str,
    arguments_sha256: &str,
) -> Result<bool> {
    Ok(on
        .execute(actor, &START_STEP, vec![id.into(), attempt.into(), arguments.into(), arguments_sha256.into()])
        .await?
        > 0)
}

/// Takes back the start of a step whose call certainly never left. False: it is not this claim's.
pub async fn unsend_step(actor: &Actor, on: impl Run, id: Uuid, attempt: i32) -> Result<bool> {
    Ok(on.execute(actor, &UNSEND_STEP, vec![id.into(), attempt.into()]).await? > 0)
}

/// Ties a step to the approval it waits for.
pub async fn ask_step(
    actor: &Actor,
    on: impl Run,
    id: Uuid,
    state: &str,
    approval_id: Uuid,
    error: Option<&str>,
) -> Result<()> {
    on.execute(actor, &ASK_STEP, vec![id.into(), state.into(), approval_id.into(), error.into()]).await.map(drop)
}

/// Ends a step. False: it had ended before.
pub async fn end_step(
    actor: &Actor,
    on: impl Run,
    id: Uuid,
    state: &str,
    result: Option<&str>,
    error: Option<&str>,
) -> Result<bool> {
    Ok(on.execute(actor, &END_STEP, vec![id.into(), state.into(), result.into(), error.into()]).await? > 0)
}

/// How often tools were really called in the last `minutes`, by whomever and for whatever task. Within a transaction nobody
/// else counts or starts a counted call until it ends.
pub async fn calls_made(actor: &Actor, on: impl Run, minutes: i64) -> Result<Vec<CallsMade>> {
    on.list(actor, &CALLS_MADE, vec![minutes.into()]).await
}

/// Steps since a moment, of tasks that the actor may see, newest first.
pub async fn past(actor: &Actor, on: impl Run, since: Timestamp, limit: i64) -> Result<Vec<Step>> {
    on.list(actor, &PAST, vec![since.into(), limit.clamp(1, 1000).into()]).await
}
