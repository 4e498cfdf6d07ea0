//! What Steward's own server shows as resources: `steward://tasks/ID`, `approvals/ID`, `files/ID`, `audit/KIND/ID`.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::tokens::Scope;
use rmcp::{
    ErrorData,
    model::{ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::Value as Json;
use store::{approvals, tasks as rows};
use uuid::Uuid;

use super::{
    Caller, OwnServer,
    answer::{self, Refusal},
    approvals::shown,
    records, tasks,
};

const SCHEME: &str = "steward://";
/// Tasks of one page.
const PAGE: i64 = 50;

/// What the places look like.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    [
        ("steward://tasks/{id}", "task", "A task with its files, approvals and runs", Some("application/json")),
        ("steward://approvals/{id}", "approval", "An approval and what a yes to it allows", Some("application/json")),
        ("steward://files/{id}", "file", "A file of at most 256 KiB; read larger ones with file_read", None),
        (
            "steward://audit/{entity_type}/{entity_id}",
            "history",
            "The last hundred changes of a row",
            Some("application/json"),
        ),
    ]
    .into_iter()
    .map(|(place, name, words, kind)| {
        let template = ResourceTemplate::new(place, name).with_description(words);
        match kind {
            Some(kind) => template.with_mime_type(kind),
            None => template,
        }
    })
    .collect()
}

/// The caller's tasks, newest first.
pub(super) async fn list(
    own: &OwnServer,
    caller: &Caller,
    place: Option<String>,
) -> Result<ListResourcesResult, ErrorData> {
    let listed = async {
        if !caller.reaches(Scope::Read) {
            return Ok((Vec::new(), None));
        }
        let place = answer::cursor(place.as_deref())?;
        let mut found = rows::list(&caller.actor, &own.store, None, place, PAGE + 1).await?;
        let has_more = found.len() > usize::try_from(PAGE).unwrap_or(0);
        found.truncate(usize::try_from(PAGE).unwrap_or(0));
        let next = found.last().filter(|_| has_more).map(|t| format!("{}/{}", t.created_at, t.id));
        Ok::<_, Refusal>((found, next))
    };
    let (found, next) = listed.await.map_err(|e| e.as_error())?;
    let resources = found.into_iter().map(|task| {
        Resource::new(format!("{SCHEME}tasks/{}", task.id), format!("task {}", task.id))
            .with_title(task.title)
            .with_description(format!("{}, priority {}", task.status, task.priority))
            .with_mime_type("application/json")
    });
    let mut page = ListResourcesResult::with_all_items(resources.collect());
    page.next_cursor = next;
    Ok(page)
}

/// What stands at a place.
pub(super) async fn read(own: &OwnServer, caller: &Caller, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = contents(own, caller, uri).await.map_err(|e| e.as_error())?;
    Ok(ReadResourceResult::new(vec![contents]))
}

async fn contents(own: &OwnServer, caller: &Caller, uri: &str) -> Result<ResourceContents, Refusal> {
    if !caller.reaches(Scope::Read) {
        return Err(Refusal::Scope(Scope::Read));
    }
    let unknown = || Refusal::from(domain::Error::NotFound(format!("resource {uri}")));
    let place = uri.strip_prefix(SCHEME).ok_or_else(unknown)?;
    let (kind, rest) = place.split_once('/').ok_or_else(unknown)?;
    let id = |text: &str| text.parse::<Uuid>().map_err(|_| unknown());
    let row = match kind {
        "tasks" => tasks::whole(own, caller, id(rest)?).await?,
        "approvals" => {
            let found = approvals::get(&caller.actor, &own.store, id(rest)?).await?;
            shown(own, caller, &found.ok_or_else(unknown)?).await?
        }
        "audit" => {
            let (entity, row) = rest.split_once('/').ok_or_else(unknown)?;
            records::history_of(own, caller, entity, id(row)?).await?
        }
        "files" => return file(own, caller, uri, id(rest)?).await,
        _ => return Err(unknown()),
    };
    Ok(as_text(uri, &row))
}

fn as_text(uri: &str, row: &Json) -> ResourceContents {
    ResourceContents::text(row.to_string(), uri).with_mime_type("application/json")
}

async fn file(own: &OwnServer, caller: &Caller, uri: &str, id: Uuid) -> Result<ResourceContents, Refusal> {
    let part = records::part(own, caller, id, 0, records::PART_BYTES).await?;
    if part.total > records::PART_BYTES {
        return Err(Refusal::Arguments(format!(
            "the file has {} bytes, a resource at most {}; read it in parts with the tool file_read",
            part.total,
            records::PART_BYTES
        )));
    }
    let kind = part.file.mime_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    Ok(match String::from_utf8(part.bytes) {
        Ok(text) => ResourceContents::text(text, uri),
        Err(other) => ResourceContents::blob(STANDARD.encode(other.into_bytes()), uri),
    }
    .with_mime_type(kind))
}
