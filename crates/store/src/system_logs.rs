//! `system_logs`: what happened, for the operator.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    search::{self, Marks, Piece, Query},
    statement::statements,
    value::{FromRow, Row, Value, page, row, time_text},
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
        #[schema(value_type = Option<String>)]
        pub ip_address: Option<IpAddr>,
        /// By which program.
        pub user_agent: Option<String>,
        /// Further fields.
        #[schema(value_type = Option<Object>)]
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
    /// Which request, at most 100 characters.
    pub request_id: Option<String>,
    /// From where.
    pub ip_address: Option<IpAddr>,
    /// By which program.
    pub user_agent: Option<String>,
    /// Further fields.
    pub metadata: Json,
}

impl NewLogLine {
    /// A line of this moment with nothing but its words; a module that is too long is cut.
    pub fn new(level: &'static str, module: &str, message: impl Into<String>) -> Self {
        Self {
            id: Uuid::now_v7(),
            timestamp: time_text(crate::now()),
            level,
            module: module.chars().take(100).collect(),
            message: message.into(),
            user_id: None,
            task_id: None,
            request_id: None,
            ip_address: None,
            user_agent: None,
            metadata: Json::Object(serde_json::Map::new()),
        }
    }
}

/// A line with what a search found in it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FoundLine {
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
    /// The message with what matches marked: plain text in pieces, never markup. Empty where nothing was looked for.
    pub snippet: Vec<Piece>,
}

/// A line with a marked message, as the database answers it.
#[derive(Debug)]
struct Marked {
    line: LogLine,
    message: String,
}
impl FromRow for Marked {
    const COLUMNS: &'static [&'static str] = LogLine::COLUMNS;
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { line: LogLine::from_row(row)?, message: row.get(LogLine::COLUMNS.len(), "marked")? })
    }
}

/// The specification's levels, least first.
pub const LEVELS: [&str; 5] = ["debug", "info", "warning", "error", "critical"];

/// The level of this name.
pub fn level(name: &str) -> Option<&'static str> {
    LEVELS.into_iter().find(|known| *known == name)
}

/// Which lines; what is not set does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// This level or a heavier one.
    pub level: Option<&'static str>,
    /// This part alone.
    pub module: Option<&'a str>,
    /// This task alone.
    pub task_id: Option<Uuid>,
    /// This user alone.
    pub user_id: Option<Uuid>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Only what is older than this line: its time and id.
    pub after: Option<(Timestamp, Uuid)>,
}

impl Filter<'_> {
    /// No part has a NUL in its name, and PostgreSQL takes none.
    fn is_of_nothing(&self) -> bool {
        self.module.is_some_and(|module| module.contains('\0'))
    }

    /// The statements' parameters, in order. Bounds that are not set lie beyond every line, so that one plan serves all.
    fn params(&self, limit: i64) -> Vec<Value> {
        let least = self.level.and_then(|l| LEVELS.iter().position(|known| *known == l)).unwrap_or(0);
        let levels: Vec<String> = LEVELS[least..].iter().map(|l| (*l).to_owned()).collect();
        let (before, before_id) = self.after.unwrap_or((END, Uuid::max()));
        vec![
            levels.into(),
            self.module.into(),
            self.task_id.into(),
            self.user_id.into(),
            self.from.unwrap_or(BEGINNING).into(),
            self.to.unwrap_or(END).into(),
            before.into(),
            before_id.into(),
            page(limit),
        ]
    }
}

/// Before every line, and after: the years 1 and 9999, which both databases hold and sort.
const BEGINNING: Timestamp = Timestamp::constant(-62_135_596_800, 0);
const END: Timestamp = Timestamp::constant(253_370_764_800, 0);

statements! {
    CREATE: LogLine = "system_logs/create" split;
    CREATE_AGAIN: LogLine = "system_logs/create_again" split;
    LIST: LogLine = "system_logs/list";
    LIST_OF_TASK: LogLine = "system_logs/list_of_task";
    FIND: LogLine = "system_logs/find";
    FIND_OF_TASK: LogLine = "system_logs/find_of_task";
    SEARCH: Marked = "system_logs/search" split;
}

/// Writes lines in one statement, at most 1000 at once; a line that stands already is not written again, and a task that is
/// gone is left out of its line. Answers how many were.
pub async fn append(actor: &Actor, on: impl Run, lines: &[NewLogLine]) -> Result<u64> {
    let lines = document(&lines[..lines.len().min(1000)])
        .map_err(|e| crate::Error::Decode { column: "system_logs".to_owned(), reason: e.to_string() })?;
    // Nearly always the lines are new and their tasks stand, so the statement that looks at each is the second. Within a
    // transaction of the caller's a refusal would end that.
    if on.store().is_some() {
        match on.execute(actor, &CREATE, vec![Value::Document(lines.clone())]).await {
            Err(crate::Error::Constraint { .. }) => {}
            done => return done,
        }
    }
    let written = on.execute(actor, &CREATE_AGAIN, vec![Value::Document(lines)]).await;
    // A line on its way into the DEFAULT partition while its month was made: the next try finds the month.
    written.map_err(|e| match e.constraint() {
        Some("system_logs_default") => crate::Error::Busy("a month of the log is just being made".to_owned()),
        _ => e,
    })
}

/// The lines as one document. Neither database keeps a NUL in a text; a program's stray one must not cost the other lines.
fn document(lines: &[NewLogLine]) -> serde_json::Result<String> {
    let text = serde_json::to_string(lines)?;
    if !text.contains("\\u0000") {
        return Ok(text);
    }
    let mut lines = serde_json::to_value(lines)?;
    show_nul(&mut lines);
    serde_json::to_string(&lines)
}

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
    let statement = if task_id.is_some() { &LIST_OF_TASK } else { &LIST };
    on.list(actor, statement, vec![level.into(), module.into(), task_id.into(), page(limit)]).await
}

/// The newest lines that the actor may see and the filter lets through, at most `limit`.
pub async fn find(actor: &Actor, on: impl Run, filter: &Filter<'_>, limit: i64) -> Result<Vec<LogLine>> {
    if filter.is_of_nothing() {
        return Ok(Vec::new());
    }
    let statement = if filter.task_id.is_some() { &FIND_OF_TASK } else { &FIND };
    on.list(actor, statement, filter.params(limit)).await
}

/// Those of them whose message answers the query, newest first. The query is what a person types: words, `"a phrase"`, `or`,
/// `-not`, `begin*`.
pub async fn search(
    actor: &Actor,
    on: impl Run,
    query: &str,
    filter: &Filter<'_>,
    limit: i64,
) -> Result<Vec<FoundLine>> {
    if filter.is_of_nothing() {
        return Ok(Vec::new());
    }
    let (mut params, marks) = (filter.params(limit), Marks::new());
    params.push(Query::parse(query).texts(&marks).into());
    let found: Vec<Marked> = on.list(actor, &SEARCH, params).await?;
    Ok(found
        .into_iter()
        .map(|Marked { line, message }| {
            // A line is shown as it was written: PostgreSQL's marked text leaves out what looks like a tag.
            let snippet = search::mark(line.message.as_deref().unwrap_or_default(), &marks.read(&message));
            FoundLine { line, snippet }
        })
        .collect())
}
