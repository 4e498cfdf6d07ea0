//! The log: reading it with filters and a search, and lines that programs hand in.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use domain::redact;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{
    system_logs::{self, Filter, FoundLine, LEVELS, LogLine, NewLogLine},
    value::{FromRow, time_text},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{Fields, List},
    pages::Page,
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Params, page},
    session::Signed,
};

/// Lines in one request.
const LINES: usize = 1000;
/// Characters of a line's message, of a module's name and of a request's id.
const MESSAGE_CHARS: usize = 8000;
const NAME_CHARS: usize = 100;
/// Bytes of a line's metadata as JSON.
const METADATA_BYTES: usize = 16 * 1024;
/// How old a line may be, and how far its clock may be ahead.
const OLDEST: SignedDuration = SignedDuration::from_hours(31 * 24);
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// Characters of a query.
const QUERY_CHARS: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add))
}

/// Lines of the log that you may see, newest first
///
/// With `search` each line comes with its message in pieces, those marked that match.
#[utoipa::path(get, path = "/logs", tag = "Logs", params(
    ("level" = Option<String>, Query, description = "Lines of this weight and heavier ones"),
    ("module" = Option<String>, Query, description = "Lines of this part of Steward"),
    ("task_id" = Option<Uuid>, Query, description = "Lines about this task"),
    ("user_id" = Option<Uuid>, Query, description = "Lines about this user"),
    ("from" = Option<Timestamp>, Query, description = "Lines of then and later"),
    ("to" = Option<Timestamp>, Query, description = "Lines from before then"),
    ("search" = Option<String>, Query, description = "Words in the message", max_length = 1000),
    Page,
), responses((status = 200, description = "A page of lines", body = List<FoundLine>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["level", "module", "task_id", "user_id", "from", "to", "search", "limit", "cursor", "fields"])?;
    let fields = Fields::of(&params, &[LogLine::COLUMNS, &["snippet"]])?;
    let limit = params.limit()?;
    let filter = Filter {
        level: params.one_of("level", &LEVELS)?.and_then(system_logs::level),
        module: params.get("module"),
        task_id: params.id("task_id")?,
        user_id: params.id("user_id")?,
        from: time(&params, "from")?,
        to: time(&params, "to")?,
        after: params.cursor()?,
    };
    let rows = match params.get("search") {
        Some(query) if query.chars().count() > QUERY_CHARS => {
            return Err(Fault::invalid("search", format!("the search is longer than {QUERY_CHARS} characters")));
        }
        Some(query) => system_logs::search(&me.actor, app.store(), query, &filter, limit + 1).await?,
        None => system_logs::find(&me.actor, app.store(), &filter, limit + 1)
            .await?
            .into_iter()
            .map(|line| FoundLine { line, snippet: Vec::new() })
            .collect(),
    };
    fields.page(page(rows, limit, |found| (found.line.timestamp, found.line.id)))
}

fn time(params: &Params, name: &str) -> Result<Option<Timestamp>> {
    let wrong = |_| Fault::invalid(name, format!("{name} must be a time such as 2026-01-31T08:00:00Z"));
    params.get(name).map(|text| text.parse().map_err(wrong)).transpose()
}

/// A batch of lines, 1–1000.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// The lines.
    #[schema(min_items = 1, max_items = 1000)]
    lines: Vec<Line>,
}

/// A line as a program hands it in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Line {
    /// When; now where it is missing.
    #[serde(default)]
    timestamp: Option<Timestamp>,
    /// Its weight.
    level: String,
    /// Which part of the program.
    #[serde(default)]
    module: Option<String>,
    /// What happened.
    message: String,
    /// The task it is about.
    #[serde(default)]
    task_id: Option<Uuid>,
    /// The program's own request; this one where it is missing.
    #[serde(default)]
    request_id: Option<String>,
    /// Further fields, at most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

/// What was written.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Written {
    /// Lines that were written.
    written: u64,
}

/// Hand in lines
///
/// All are written, or none. They stand in the name of whoever hands them in, without the secrets that are known by name
/// or look.
#[utoipa::path(post, path = "/logs", tag = "Logs", request_body = Batch,
    responses((status = 201, description = "How many were written", body = Written)))]
async fn add(
    State(app): State<App>,
    SignedJson(me, Batch { lines }): SignedJson<Batch>,
) -> Result<(StatusCode, Json<Written>)> {
    if !(1..=LINES).contains(&lines.len()) {
        return Err(Fault::invalid("lines", format!("there are {} lines; send 1 to {LINES} at once", lines.len())));
    }
    let now = store::now();
    let lines: Vec<NewLogLine> =
        lines.into_iter().enumerate().map(|(n, line)| checked(line, n, &me, now)).collect::<Result<_>>()?;
    let written = system_logs::append(&me.actor, app.store(), &lines).await?;
    Ok((StatusCode::CREATED, Json(Written { written })))
}

fn checked(line: Line, n: usize, me: &Signed, now: Timestamp) -> Result<NewLogLine> {
    let wrong = |field: &str, why: String| Err(Fault::invalid(format!("lines[{n}].{field}"), why));
    let bounded = |field: &str, text: Option<&String>, most: usize| match text {
        Some(text) if text.chars().count() > most => {
            Err(Fault::invalid(format!("lines[{n}].{field}"), format!("the {field} is longer than {most} characters")))
        }
        _ => Ok(()),
    };
    let Some(level) = system_logs::level(&line.level) else {
        return wrong("level", format!("level must be one of: {}", LEVELS.join(", ")));
    };
    bounded("module", line.module.as_ref(), NAME_CHARS)?;
    bounded("request_id", line.request_id.as_ref(), NAME_CHARS)?;
    bounded("message", Some(&line.message), MESSAGE_CHARS)?;
    let timestamp = line.timestamp.unwrap_or(now);
    if timestamp < now - OLDEST || timestamp > now + AHEAD {
        return wrong("timestamp", "a line may be 31 days old and its clock an hour ahead, not more".to_owned());
    }
    let mut metadata = Value::Object(line.metadata);
    if metadata.to_string().len() > METADATA_BYTES {
        return wrong("metadata", format!("the metadata is larger than {METADATA_BYTES} bytes"));
    }
    redact::json(&mut metadata);
    let mut new = NewLogLine::new(level, line.module.as_deref().unwrap_or("api"), redact::text(&line.message));
    new.timestamp = time_text(timestamp);
    new.user_id = Some(me.user_id());
    new.task_id = line.task_id;
    new.request_id =
        line.request_id.or_else(|| me.actor.request_id.as_ref().map(|id| id.chars().take(NAME_CHARS).collect()));
    new.ip_address = me.actor.ip_address;
    new.user_agent.clone_from(&me.actor.user_agent);
    new.metadata = metadata;
    Ok(new)
}
