//! What happened by day: the view `daily_activity`, and the flow of tasks.

use jiff::Timestamp;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// Lines of the log of one UTC day and level.
    pub struct DayLevel {
        /// The day, as in `2026-11-27`.
        pub day: String,
        /// `debug`, `info`, `warning`, `error` or `critical`.
        pub level: String,
        /// How many lines.
        pub events: i64,
        /// The parts they are from, with commas between.
        pub modules: String,
    }
}
row! {
    /// Tasks made on one UTC day, and what became of them by now.
    pub struct DayFlow {
        /// The day, as in `2026-11-27`.
        pub day: String,
        /// How many were made.
        pub made: i64,
        /// How many of them are completed.
        pub completed: i64,
        /// How many of them failed.
        pub failed: i64,
    }
}

statements! {
    LEVELS: DayLevel = "activity/levels";
    FLOW: DayFlow = "activity/flow" split;
}

/// Lines of the log of the last 30 days that the actor may see, by day and level (specification: `daily_activity`).
pub async fn levels(actor: &Actor, on: impl Run) -> Result<Vec<DayLevel>> {
    on.list(actor, &LEVELS, Vec::new()).await
}

/// Tasks the actor may see that were made at `since` or later, by day.
pub async fn flow(actor: &Actor, on: impl Run, since: Timestamp) -> Result<Vec<DayFlow>> {
    on.list(actor, &FLOW, vec![since.into()]).await
}
