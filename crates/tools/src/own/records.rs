//! Files, the log and the audit trail through Steward's own server.

use std::{io::Cursor, str};

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    files::{self, NewFile},
    redact,
};
use rmcp::{
    RoleServer,
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::{
    audit_trail,
    file_attachments::{self, Attachment},
    system_logs::{self, Filter, NewLogLine},
};
use uuid::Uuid;

use super::{
    Caller, OwnServer,
    answer::{Answer, Refusal, cursor, json, page},
};

/// Bytes of a file that one answer holds at most.
pub(super) const PART_BYTES: u64 = 256 * 1024;

/// What `file_read` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadFile {
    /// The file, as `task_get` names it.
    #[schemars(with = "String")]
    file_id: Uuid,
    /// First byte; 0 where nothing is said.
    #[serde(default)]
    offset: Option<u64>,
    /// Bytes, at most 262144.
    #[serde(default)]
    length: Option<u64>,
}

/// A part of a file.
#[derive(Debug)]
pub(super) struct Part {
    pub file: Attachment,
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// Bytes of the whole.
    pub total: u64,
}

pub(super) async fn read_file(
    own: &OwnServer,
    caller: &Caller,
    sent: ReadFile,
    _: &RequestContext<RoleServer>,
) -> Answer {
    let (offset, length) = (sent.offset.unwrap_or(0), sent.length.unwrap_or(PART_BYTES));
    if !(1..=PART_BYTES).contains(&length) {
        return Err(Refusal::Arguments(format!("length: 1 to {PART_BYTES} bytes at once; read on with offset")));
    }
    let part = part(own, caller, sent.file_id, offset, length).await?;
    let end = offset + part.bytes.len() as u64;
    let mut out = json!({
        "filename": part.file.filename,
        "mime_type": part.file.mime_type,
        "sha256": part.file.hash_checksum,
        "offset": part.offset,
        "total_bytes": part.total,
        "next_offset": (end < part.total).then_some(end),
        "outside": true,
    });
    let (name, content) = match str::from_utf8(&part.bytes) {
        Ok(text) => ("text", text.to_owned()),
        Err(_) => ("base64", STANDARD.encode(&part.bytes)),
    };
    if let Some(fields) = out.as_object_mut() {
        fields.insert(name.to_owned(), content.into());
    }
    Ok(out)
}

/// Reads a part of a file.
pub(super) async fn part(
    own: &OwnServer,
    caller: &Caller,
    id: Uuid,
    offset: u64,
    length: u64,
) -> Result<Part, Refusal> {
    let file = file_attachments::get(&caller.actor, &own.store, id).await?;
    let file = file.ok_or_else(|| domain::Error::NotFound(format!("file {id}")))?;
    let mut kept = files::open(&own.store, &own.vault, &file).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        kept.copy(offset, offset.saturating_add(length), &mut bytes).map(|()| (bytes, kept.size_bytes()))
    });
    let (bytes, total) = read.await.map_err(|e| Refusal::Internal(e.to_string()))??;
    Ok(Part { file, offset, bytes, total })
}

/// What `file_add` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddFile {
    /// The task.
    #[schemars(with = "String")]
    task_id: Uuid,
    /// Its name, 1 to 255 characters.
    filename: String,
    /// Its content as text; either this or `base64`.
    #[serde(default)]
    text: Option<String>,
    /// Its content in base64.
    #[serde(default)]
    base64: Option<String>,
}

pub(super) async fn add_file(
    own: &OwnServer,
    caller: &Caller,
    sent: AddFile,
    _: &RequestContext<RoleServer>,
) -> Answer {
    if !(1..=255).contains(&sent.filename.chars().count()) {
        return Err(Refusal::Arguments("filename: a name has 1 to 255 characters".to_owned()));
    }
    let bytes = match (sent.text, sent.base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(coded)) => STANDARD
            .decode(coded.trim())
            .map_err(|_| Refusal::Arguments("base64: this is no base64; encode the file's bytes anew".to_owned()))?,
        _ => return Err(Refusal::Arguments("give the content as text or as base64, one of the two".to_owned())),
    };
    // Before anything is kept: who may not see the task learns nothing else.
    domain::tasks::get(&own.store, &caller.actor, sent.task_id).await?;
    let kept = files::keep(&own.store, &own.vault, Cursor::new(bytes), PART_BYTES).await?;
    let file = NewFile { name: sent.filename, kept, expires_at: None };
    json(&files::add(&own.store, &own.vault, &caller.actor, sent.task_id, file).await?)
}

/// What `log_search` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    /// Words in the message; none: any line.
    #[serde(default)]
    query: Option<String>,
    /// `debug`, `info`, `warning`, `error` or `critical`: this level or a heavier one.
    #[serde(default)]
    level: Option<String>,
    /// Of this task alone.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    task_id: Option<Uuid>,
    /// 1 to 100; 20 where nothing is said.
    #[serde(default)]
    limit: Option<u8>,
}

fn level(name: &str) -> Result<&'static str, Refusal> {
    system_logs::level(name).ok_or_else(|| {
        Refusal::Arguments(format!("level: {} and no others, not {name:?}", system_logs::LEVELS.join(", ")))
    })
}

pub(super) async fn logs(own: &OwnServer, caller: &Caller, sent: Logs, _: &RequestContext<RoleServer>) -> Answer {
    let level = sent.level.as_deref().map(level).transpose()?;
    let filter = Filter { level, task_id: sent.task_id, ..Filter::default() };
    let limit = i64::from(sent.limit.unwrap_or(20).clamp(1, 100));
    let lines = match sent.query.as_deref().map(str::trim).filter(|q| !q.is_empty()) {
        Some(query) => {
            let found = system_logs::search(&caller.actor, &own.store, query, &filter, limit).await?;
            found.into_iter().map(|found| found.line).collect()
        }
        None => system_logs::find(&caller.actor, &own.store, &filter, limit).await?,
    };
    Ok(json!({ "lines": json(&lines)? }))
}

/// What `log_write` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// `debug`, `info`, `warning`, `error` or `critical`.
    level: String,
    /// What happened, at most 4000 characters.
    message: String,
    /// Which part of your program; `mcp` where nothing is said.
    #[serde(default)]
    module: Option<String>,
    /// The task that it concerns.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    task_id: Option<Uuid>,
}

pub(super) async fn write_line(own: &OwnServer, caller: &Caller, sent: Line, _: &RequestContext<RoleServer>) -> Answer {
    let length = sent.message.chars().count();
    if !(1..=4000).contains(&length) {
        return Err(Refusal::Arguments(format!("message: it has {length} characters; a line has 1 to 4000")));
    }
    let module = sent.module.unwrap_or_else(|| "mcp".to_owned());
    let line = NewLogLine {
        user_id: caller.actor.user_id(),
        task_id: sent.task_id,
        request_id: caller.actor.request_id.clone(),
        ip_address: caller.actor.ip_address,
        user_agent: caller.actor.user_agent.clone(),
        ..NewLogLine::new(level(&sent.level)?, &module, redact::text(&sent.message))
    };
    let written = system_logs::append(&caller.actor, &own.store, std::slice::from_ref(&line)).await?;
    if written == 0 {
        return Err(Refusal::Internal("a line of the log was not written".to_owned()));
    }
    Ok(json!({ "id": line.id }))
}

/// What `audit_history` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    /// `task`, `approval`, `user`, `watcher` …
    entity_type: String,
    /// The row.
    #[schemars(with = "String")]
    entity_id: Uuid,
    /// 1 to 100; 20 where nothing is said.
    #[serde(default)]
    limit: Option<u8>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

pub(super) async fn history(own: &OwnServer, caller: &Caller, sent: History, _: &RequestContext<RoleServer>) -> Answer {
    let limit = i64::from(sent.limit.unwrap_or(20).clamp(1, 100));
    let place = cursor(sent.cursor.as_deref())?;
    let kind = Some(sent.entity_type.as_str());
    let rows = audit_trail::page(&caller.actor, &own.store, kind, Some(sent.entity_id), place, limit + 1).await?;
    page("changes", rows, limit, |row| (row.created_at, row.id))
}

/// A row's history as a resource.
pub(super) async fn history_of(own: &OwnServer, caller: &Caller, kind: &str, id: Uuid) -> Result<Json, Refusal> {
    let rows = audit_trail::list(&caller.actor, &own.store, Some(kind), Some(id), 100).await?;
    Ok(json!({ "changes": json(&rows)? }))
}
