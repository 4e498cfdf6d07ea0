//! `system_logs`: what happened, for the operator.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{page, row},
};

row! {
    /// A line of the log.
    pub struct LogLine {
        /// Id.
        pub id: Uuid,
        /// When.
        pub timestamp: Timestamp,
        /// `debug`, `info`, `warning`, `error` or `critical`.
        pub level: String,
        /// Which part of Steward, or `server:NAME`.
        pub module: Option<String>,
        /// What.
        pub message: Option<String>,
        /// Whom it concerns.
        pub user_id: Option<Uuid>,
        /// Which task.
        pub task_id: Option<Uuid>,
        /// Which request.
        pub request_id: Option<String>,
        /// From where.
        pub ip_address: Option<IpAddr>,
        /// By which program.
        pub user_agent: Option<String>,
        /// Further fields.
        pub metadata: Option<Json>,
    }
}

/// A line to be written.
#[derive(Debug, Clone, serde::Serialize)]
pub struct NewLogLine {
    /// Id.
    pub id: Uuid,
    /// When, as [`crate::value::time_text`] writes it.
    pub timestamp: String,
    /// `debug`, `info`, `warning`, `error` or `critical`.
    pub level: &'static str,
    /// Which part, at most 100 characters.
    pub module: String,
    /// What.
    pub message: String,
    /// Whom it concerns.
    pub user_id: Option<Uuid>,
    /// Which task.
    pub task_id: Option<Uuid>,
    /// Which request.
    pub request_id: Option<String>,
    /// Further fields.
    pub metadata: Json,
}

statements! {
    CREATE: LogLine = "system_logs/create" split;
    LIST: LogLine = "system_logs/list";
}

/// Writes lines in one statement, at most 1000 at once.
pub async fn append(actor: &Actor, on: impl Run, lines: &[NewLogLine]) -> Result<u64> {
    let mut lines = serde_json::to_value(&lines[..lines.len().min(1000)])
        .map_err(|e| crate::Error::Decode { column: "system_logs".to_owned(), reason: e.to_string() })?;
    show_nul(&mut lines);
    on.execute(actor, &CREATE, vec![lines.into()]).await
}

/// Neither database keeps a NUL in a text; a program's stray one must not cost the other lines.
fn show_nul(json: &mut Json) {
    match json {
        Json::String(s) if s.contains('\0') => *s = s.replace('\0', "\u{2400}"),
        Json::Array(list) => list.iter_mut().for_each(show_nul),
        Json::Object(map) => map.values_mut().for_each(show_nul),
        _ => {}
    }
}

/// The newest lines the actor may see, of a level, a module and a task.
pub async fn list(
    actor: &Actor,
    on: impl Run,
    level: Option<&str>,
    module: Option<&str>,
    task_id: Option<Uuid>,
    limit: i64,
) -> Result<Vec<LogLine>> {
    on.list(actor, &LIST, vec![level.into(), module.into(), task_id.into(), page(limit)]).await
}
