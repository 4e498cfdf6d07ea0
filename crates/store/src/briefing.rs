//! What a briefing is made of: the rows of a period that the actor may see, narrow and bounded.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{page, row},
};

row! {
    /// A task in short.
    pub struct BriefTask {
        /// Id.
        pub id: Uuid,
        /// Title.
        pub title: String,
        /// Status.
        pub status: String,
        /// Priority.
        pub priority: String,
        /// Whose it is to do.
        pub assigned_to: Option<Uuid>,
        /// When made.
        pub created_at: Timestamp,
        /// When last changed: of an ended one, when it ended.
        pub updated_at: Timestamp,
        /// By when.
        pub due_date: Option<Timestamp>,
        /// How long a person says that it took, in minutes.
        pub actual_duration: Option<i32>,
    }
}
row! {
    /// An approval in short.
    pub struct BriefApproval {
        /// Id.
        pub id: Uuid,
        /// The task that waits, or waited.
        pub task_id: Option<Uuid>,
        /// `pending`, `approved`, `rejected` or `expired`.
        pub status: String,
        /// When asked.
        pub created_at: Timestamp,
        /// When approved.
        pub approved_at: Option<Timestamp>,
        /// When rejected.
        pub rejected_at: Option<Timestamp>,
        /// Until when there is, or was, time to decide.
        pub expires_at: Timestamp,
    }
}
row! {
    /// A run in short.
    pub struct BriefRun {
        /// The task.
        pub task_id: Uuid,
        /// The playbook.
        pub playbook: String,
        /// When begun.
        pub started_at: Timestamp,
        /// When ended.
        pub finished_at: Option<Timestamp>,
    }
}
row! {
    /// A call in short.
    pub struct BriefStep {
        /// The task.
        pub task_id: Uuid,
        /// The server.
        pub server: String,
        /// The tool.
        pub tool: String,
        /// How it ended.
        pub state: String,
        /// When sent.
        pub started_at: Option<Timestamp>,
        /// When answered.
        pub finished_at: Option<Timestamp>,
    }
}

row! {
    /// What questions to models for one task used.
    pub struct BriefSpend {
        /// The task.
        pub task_id: Uuid,
        /// Questions.
        pub turns: i64,
        /// Tokens read and written.
        pub tokens: i64,
        /// Millionths of a US dollar.
        pub cost_microusd: i64,
    }
}
row! {
    /// A reminder that is still to come.
    pub struct BriefReminder {
        /// Id.
        pub id: Uuid,
        /// What of.
        pub title: String,
        /// When it comes.
        pub scheduled_for: Timestamp,
    }
}
row! {
    /// A wait that is not over.
    pub struct BriefWait {
        /// The task.
        pub task_id: Uuid,
        /// The step's name.
        pub name: String,
        /// What is waited for, with `until`, as JSON text.
        pub arguments: String,
    }
}

statements! {
    ENDED: BriefTask = "briefing/ended";
    OPEN: BriefTask = "briefing/open";
    APPROVALS: BriefApproval = "briefing/approvals";
    RUNS: BriefRun = "briefing/runs";
    STEPS: BriefStep = "briefing/steps";
    TURNS: BriefSpend = "briefing/turns";
    REMINDERS: BriefReminder = "briefing/reminders";
    WAITS: BriefWait = "briefing/waits";
}

/// Tasks that ended in a period, newest first.
pub async fn ended(actor: &Actor, on: impl Run, from: Timestamp, to: Timestamp, limit: i64) -> Result<Vec<BriefTask>> {
    on.list(actor, &ENDED, vec![from.into(), to.into(), page(limit)]).await
}

/// Tasks that are not ended, oldest first.
pub async fn open(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<BriefTask>> {
    on.list(actor, &OPEN, vec![page(limit)]).await
}

/// Approvals that were asked for before the end of a period and were not over before its beginning: all that wait, however
/// long, and all that were decided or expired in it. Those that wait come first, the newest first of each.
pub async fn approvals(
    actor: &Actor,
    on: impl Run,
    from: Timestamp,
    to: Timestamp,
    limit: i64,
) -> Result<Vec<BriefApproval>> {
    on.list(actor, &APPROVALS, vec![from.into(), to.into(), page(limit)]).await
}

/// Runs of these tasks.
pub async fn runs(actor: &Actor, on: impl Run, tasks: Vec<Uuid>, limit: i64) -> Result<Vec<BriefRun>> {
    on.list(actor, &RUNS, vec![tasks.into(), page(limit)]).await
}

/// Calls that were sent for these tasks.
pub async fn steps(actor: &Actor, on: impl Run, tasks: Vec<Uuid>, limit: i64) -> Result<Vec<BriefStep>> {
    on.list(actor, &STEPS, vec![tasks.into(), page(limit)]).await
}

/// What questions to models used in a period for these tasks, the dearest first.
pub async fn turns(
    actor: &Actor,
    on: impl Run,
    tasks: Vec<Uuid>,
    from: Timestamp,
    to: Timestamp,
    limit: i64,
) -> Result<Vec<BriefSpend>> {
    on.list(actor, &TURNS, vec![tasks.into(), from.into(), to.into(), page(limit)]).await
}

/// The actor's own reminders that come within a period, the next first.
pub async fn reminders(
    actor: &Actor,
    on: impl Run,
    from: Timestamp,
    to: Timestamp,
    limit: i64,
) -> Result<Vec<BriefReminder>> {
    on.list(actor, &REMINDERS, vec![from.into(), to.into(), page(limit)]).await
}

/// Waits of these tasks that are not over, in the order in which they were begun.
pub async fn waits(actor: &Actor, on: impl Run, tasks: Vec<Uuid>, limit: i64) -> Result<Vec<BriefWait>> {
    on.list(actor, &WAITS, vec![tasks.into(), page(limit)]).await
}
