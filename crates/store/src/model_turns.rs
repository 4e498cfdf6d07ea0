//! `model_turns`, `model_spend` and `work_time`: each question to a language model with its answer, what models used, and how
//! long the employee was at work by the day.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{FromRow, Row, row},
};

row! {
    /// A question to a model and what came of it. Written before it is asked.
    pub struct ModelTurn {
        /// Id.
        pub id: Uuid,
        /// The run.
        pub run_id: Uuid,
        /// The task.
        pub task_id: Uuid,
        /// 0, 1, … within the run; questions that came to nothing count.
        pub ordinal: i32,
        /// The model's name in the owner's settings, at most 100 characters.
        pub model: String,
        /// `asked`, `answered` or `failed`.
        pub state: String,
        /// SHA-256 of what was sent.
        pub request_sha256: String,
        /// How long that was.
        pub request_bytes: i64,
        /// The model that answered, as the provider names it.
        pub served_by: Option<String>,
        /// Words and calls, as JSON text.
        pub answer: Option<String>,
        /// Tokens read, by the provider's count; those from its cache included.
        pub input_tokens: i64,
        /// Of these, tokens from the provider's cache.
        pub cached_tokens: i64,
        /// Tokens written, by the provider's count.
        pub output_tokens: i64,
        /// What it cost by the owner's prices, in millionths of a US dollar.
        pub cost_microusd: i64,
        /// Why there is no answer.
        pub error: Option<String>,
        /// The claim that asked.
        pub attempt: i32,
        /// When asked.
        pub asked_at: Timestamp,
        /// When answered or given up.
        pub answered_at: Option<Timestamp>,
    }
}

/// What questions used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Used {
    /// Questions.
    pub turns: i64,
    /// Tokens read and written.
    pub tokens: i64,
    /// Millionths of a US dollar.
    pub cost_microusd: i64,
}
impl FromRow for Used {
    const COLUMNS: &'static [&'static str] = &[];
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            turns: row.get(0, "turns")?,
            tokens: row.get(1, "tokens")?,
            cost_microusd: row.get(2, "cost_microusd")?,
        })
    }
}

row! {
    /// What one model used on one UTC day.
    pub struct DaySpend {
        /// The day, as in `2026-11-27`.
        pub day: String,
        /// The model's name in the owner's settings.
        pub model: String,
        /// Questions.
        pub turns: i64,
        /// Tokens read.
        pub input_tokens: i64,
        /// Tokens written.
        pub output_tokens: i64,
        /// Millionths of a US dollar.
        pub cost_microusd: i64,
    }
}
row! {
    /// What one model used in all.
    pub struct ModelSpend {
        /// The model's name in the owner's settings.
        pub model: String,
        /// Questions.
        pub turns: i64,
        /// Tokens read.
        pub input_tokens: i64,
        /// Tokens written.
        pub output_tokens: i64,
        /// Millionths of a US dollar.
        pub cost_microusd: i64,
    }
}

row! {
    /// How long the employee was at work.
    pub struct Worked {
        /// Milliseconds in which a model or a tool was waited for, by everything; what people took to answer is not in it.
        pub worked_ms: i64,
    }
}

/// A question that is going to be asked.
#[derive(Debug, Clone)]
pub struct NewTurn {
    /// The run.
    pub run_id: Uuid,
    /// The task.
    pub task_id: Uuid,
    /// Its place in the run.
    pub ordinal: i32,
    /// The model's name in the owner's settings.
    pub model: String,
    /// SHA-256 of what is sent.
    pub request_sha256: String,
    /// How long that is.
    pub request_bytes: i64,
    /// The claim.
    pub attempt: i32,
}

/// How a question ended.
#[derive(Debug, Clone, Default)]
pub struct TurnEnd {
    /// The model that answered, as the provider names it.
    pub served_by: Option<String>,
    /// Words and calls, as JSON text; none where it failed.
    pub answer: Option<String>,
    /// Tokens read.
    pub input_tokens: i64,
    /// Of these from the provider's cache.
    pub cached_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Millionths of a US dollar.
    pub cost_microusd: i64,
    /// Why it failed.
    pub error: Option<String>,
}

statements! {
    ASK: ModelTurn = "model_turns/ask";
    END: ModelTurn = "model_turns/end";
    LIST: ModelTurn = "model_turns/list";
    USED: Used = "model_turns/used";
    SINCE: Used = "model_spend/since" split;
    DAYS: DaySpend = "model_spend/days" split;
    MODELS: ModelSpend = "model_spend/models";
    BOOK: ModelSpend = "model_spend/book" split;
    WORKED: Worked = "work_time/since" split;
}

/// Writes down a question before it is asked, and answers its id.
pub async fn ask(actor: &Actor, on: impl Run, new: &NewTurn) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        new.run_id.into(),
        new.task_id.into(),
        new.ordinal.into(),
        (&new.model).into(),
        (&new.request_sha256).into(),
        new.request_bytes.into(),
        new.attempt.into(),
    ];
    on.execute(actor, &ASK, params).await?;
    Ok(id)
}

/// Writes down how a question ended. False: it had ended before.
pub async fn end(actor: &Actor, on: impl Run, id: Uuid, end: &TurnEnd) -> Result<bool> {
    let params = vec![
        id.into(),
        if end.answer.is_some() { "answered" } else { "failed" }.into(),
        end.served_by.clone().into(),
        end.answer.clone().into(),
        end.input_tokens.into(),
        end.cached_tokens.into(),
        end.output_tokens.into(),
        end.cost_microusd.into(),
        end.error.clone().into(),
    ];
    Ok(on.execute(actor, &END, params).await? > 0)
}

/// Questions of a run in order, at most 1000: a run is given up before it has more.
pub async fn list(actor: &Actor, on: impl Run, run_id: Uuid) -> Result<Vec<ModelTurn>> {
    on.list(actor, &LIST, vec![run_id.into()]).await
}

/// What a task's questions used, over all its runs.
pub async fn used(actor: &Actor, on: impl Run, task_id: Uuid) -> Result<Used> {
    on.one(actor, &USED, vec![task_id.into()]).await
}

/// What all questions used: of this UTC day, or ever.
pub async fn spent(actor: &Actor, on: impl Run, today: bool) -> Result<Used> {
    on.one(actor, &SINCE, vec![today.into()]).await
}

/// How long the employee was at work: this UTC day, or ever. A call counts when it ends.
pub async fn worked(actor: &Actor, on: impl Run, today: bool) -> Result<Worked> {
    on.one(actor, &WORKED, vec![today.into()]).await
}

/// What each model used on each of the last 30 UTC days.
pub async fn spent_by_day(actor: &Actor, on: impl Run) -> Result<Vec<DaySpend>> {
    on.list(actor, &DAYS, Vec::new()).await
}

/// What each model used in all, at most 200 of them.
pub async fn spent_by_model(actor: &Actor, on: impl Run) -> Result<Vec<ModelSpend>> {
    on.list(actor, &MODELS, Vec::new()).await
}

/// Books a question that was asked outside of any task's work: today, for this model. For Steward itself only.
pub async fn book(actor: &Actor, on: impl Run, model: &str, end: &TurnEnd) -> Result<()> {
    let params = vec![model.into(), end.input_tokens.into(), end.output_tokens.into(), end.cost_microusd.into()];
    on.execute(actor, &BOOK, params).await.map(drop)
}
