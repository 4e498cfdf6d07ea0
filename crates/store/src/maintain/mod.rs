//! Upkeep beside the running work: dead rows, figures for the planner, bloated indexes, free pages, the log of writes.
//!
//! On PostgreSQL it needs the tables' owner and never holds a lock that writers wait for long; on SQLite it works in small
//! steps, between which writers have their turn.

mod postgres;
mod sqlite;

use tokio_util::sync::CancellationToken;

use crate::{Config, Error, Result, Target};

/// Something that was done, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Action {
    /// The table, index or file.
    pub place: String,
    /// `vacuumed`, `analysed`, `rebuilt`, `removed`, `shrunk`, `merged`, or `left`.
    pub what: &'static str,
    /// Figures, or the reason.
    pub said: String,
}

/// Told what is worked on next.
pub type Progress = std::sync::Arc<dyn Fn(&str) + Send + Sync>;

/// Does what the statistics call for, until it is done or `stop` is cancelled; what was begun is ended first. Refused where
/// the role does not own the tables.
pub async fn run(config: &Config, progress: Progress, stop: &CancellationToken) -> Result<Vec<Action>> {
    match &config.target {
        Target::Postgres(_) => postgres::run(config, &progress, stop).await,
        Target::Sqlite(path) => {
            let (path, stop) = (path.clone(), stop.clone());
            tokio::task::spawn_blocking(move || sqlite::run(&path, &progress, &stop))
                .await
                .map_err(|e| Error::Unavailable(e.to_string()))?
        }
    }
}
