//! `POST /hooks/{id}`: what other programs tell. Signed, fresh, counted, and durable before it is acknowledged.

use std::{
    collections::HashMap,
    io::Cursor,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    files::{self, NewFile},
    intake::{self, Event},
    watchers as rules,
    webhooks::{self, Settings},
};
use serde_json::{Value, json};
use store::{Actor, tasks::NewTask, users, watchers, watchers::Watcher};
use uuid::Uuid;

use crate::{app::App, session::Client};

/// Bytes of a call.
pub(crate) const HOOK_BYTES: usize = 1024 * 1024;
/// Bytes of a body that a task carries; a larger one is in its file alone.
const EVENT_BYTES: usize = 64 * 1024;
/// Calls a minute, a webhook and a sender.
const CALLS: u32 = 120;
const WINDOW: Duration = Duration::from_secs(60);
/// Senders that are counted at once; each takes about 60 bytes.
const SENDERS: usize = 20_000;

/// After so many refused calls in a row a webhook's owner is to know: one may be a stranger's.
const REFUSED: u32 = 3;
/// For so long refused calls are counted together …
const COUNTED: Duration = Duration::from_secs(3600);
/// … and so often at most their number is written down.
const NOTED_EVERY: Duration = Duration::from_secs(600);

/// Calls in a row that were refused.
#[derive(Debug)]
struct Streak {
    since: Instant,
    count: u32,
    /// When their number was last written down.
    noted: Option<Instant>,
}

/// Calls in a row that were refused, by webhook. Only webhooks that there are have an entry.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Uuid, Streak>>);

impl Refusals {
    /// Counts a refused call. Answers how many there were, when that is to be written down.
    fn count(&self, id: Uuid, now: Instant) -> Option<u32> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let streak = map.entry(id).or_insert(Streak { since: now, count: 0, noted: None });
        if now.duration_since(streak.since) >= COUNTED {
            (streak.since, streak.count) = (now, 0);
        }
        streak.count = streak.count.saturating_add(1);
        if streak.count < REFUSED || streak.noted.is_some_and(|at| now.duration_since(at) < NOTED_EVERY) {
            return None;
        }
        streak.noted = Some(now);
        Some(streak.count)
    }

    /// A call was believed: all is well.
    fn forget(&self, id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// A webhook, and who calls it.
type Sender = (Uuid, Option<IpAddr>);

/// The calls of late: since when, and how many.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<Sender, (Instant, u32)>>);

impl Calls {
    /// Counts a call before it is judged. An error is the time to wait, in seconds.
    fn begin(&self, id: Uuid, ip: Option<IpAddr>, now: Instant) -> Result<(), u64> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= SENDERS {
            map.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        let is_full = map.len() >= SENDERS;
        match map.get_mut(&(id, ip)) {
            Some((since, count)) if now.duration_since(*since) < WINDOW => {
                if *count >= CALLS {
                    return Err(WINDOW.saturating_sub(now.duration_since(*since)).as_secs() + 1);
                }
                *count += 1;
            }
            Some(entry) => *entry = (now, 1),
            None if is_full => return Err(WINDOW.as_secs()),
            None => {
                map.insert((id, ip), (now, 1));
            }
        }
        Ok(())
    }
}

/// A short answer: senders are programs.
fn answer(status: StatusCode, said: Value) -> Response {
    (status, Json(said)).into_response()
}

fn refused(status: StatusCode, why: &str) -> Response {
    answer(status, json!({ "error": why }))
}

fn later(seconds: u64) -> Response {
    let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, "too many calls; send it again later");
    answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    answer
}

/// `POST /hooks/{id}`
pub(crate) async fn receive(
    State(app): State<App>,
    Path(id): Path<String>,
    client: Client,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let nothing = || refused(StatusCode::NOT_FOUND, "there is no such webhook");
    let Ok(id) = id.parse::<Uuid>() else { return nothing() };
    if let Err(seconds) = app.calls.begin(id, client.ip, Instant::now()) {
        return later(seconds);
    }
    let watcher = match watchers::get(&Actor::service(), app.store(), id).await {
        Ok(Some(watcher)) if watcher.watcher_type == "webhook" => watcher,
        Ok(_) => return nothing(),
        Err(e) => return failed(&e),
    };
    if !watcher.is_active {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "this webhook rests; send it again later");
    }
    let taken = take(&app, &watcher, &headers, &body).await;
    if taken.is_ok() {
        app.refusals.forget(id);
    }
    match taken {
        Ok(Taken::Task(id)) => answer(StatusCode::ACCEPTED, json!({ "task_id": id })),
        Ok(Taken::Known) => answer(StatusCode::OK, json!({ "duplicate": true })),
        Err(Failed::Refused(why)) => {
            tracing::warn!(watcher = %watcher.name, %why, ip = client.ip.map(tracing::field::display), "a call of a webhook was refused");
            if let Some(count) = app.refusals.count(id, Instant::now())
                && let Err(e) = webhooks::note_refusals(app.store(), &watcher, count, why).await
            {
                tracing::warn!(watcher = %watcher.name, error = %e, "a watcher's state could not be written down");
            }
            refused(StatusCode::UNAUTHORIZED, &why.to_string())
        }
        Err(Failed::Rules(e)) => {
            if let Err(e) = watchers::report(&Actor::service(), app.store(), id, Some(&e.to_string())).await {
                tracing::warn!(watcher = %watcher.name, error = %e, "a watcher's state could not be written down");
            }
            failed(&e)
        }
    }
}

/// The sender sends it again; what is wrong stands in the log and at the watcher, and is none of the sender's business.
fn failed(e: &dyn std::fmt::Display) -> Response {
    tracing::error!(error = %e, "a call of a webhook could not be taken");
    refused(StatusCode::SERVICE_UNAVAILABLE, "it could not be taken now; send it again later")
}

enum Taken {
    Task(Uuid),
    Known,
}

enum Failed {
    Refused(webhooks::Refused),
    Rules(domain::Error),
}

impl<E: Into<domain::Error>> From<E> for Failed {
    fn from(e: E) -> Self {
        Self::Rules(e.into())
    }
}

async fn take(app: &App, watcher: &Watcher, headers: &HeaderMap, body: &Bytes) -> Result<Taken, Failed> {
    let settings = Settings::parse(watcher.config.as_ref().unwrap_or(&Value::Null))?;
    let credentials = rules::credentials(&app.state.vault, watcher)?;
    let secret = webhooks::check_secret(credentials.as_ref())?;
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let delivery = settings.verify(&secret, &header, body, store::now()).map_err(Failed::Refused)?;
    let actor = intake::acting_for(watcher)?;
    if !watchers::known_keys(&actor, app.store(), watcher.id, vec![delivery.key.clone()]).await?.is_empty() {
        return Ok(Taken::Known);
    }
    let assigned_to = match &settings.assign_to {
        None => None,
        Some(name) => {
            let user = users::named(&actor, app.store(), name).await?;
            Some(
                user.ok_or_else(|| {
                    domain::Error::invalid(
                        "assign_to",
                        format!("there is no user {name} to assign to; correct assign_to"),
                    )
                })?
                .id,
            )
        }
    };
    let content_type = header("content-type").unwrap_or_else(|| "application/octet-stream".to_owned());
    let file = keep(app, body.clone(), &content_type).await?;
    let said: Value = if body.len() > EVENT_BYTES {
        Value::Null
    } else {
        serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body).replace('\0', "")))
    };
    let title = settings.title.clone().unwrap_or_else(|| watcher.name.clone());
    let title = match &delivery.event {
        Some(event) => format!("{title}: {event}"),
        None => title,
    };
    let task = NewTask {
        assigned_to,
        priority: settings.priority.clone().unwrap_or_else(|| "medium".to_owned()),
        metadata: json!({
            "playbook": settings.playbook,
            "event": { "kind": "webhook", "type": delivery.event, "body": without_nul(said), "content_type": content_type },
            "watcher": { "name": watcher.name },
        }),
        ..NewTask::titled(title.chars().filter(|c| !c.is_control()).take(255).collect::<String>())
    };
    let event = Event {
        fingerprint: delivery.key.clone(),
        key: delivery.key,
        source: "webhook".to_owned(),
        task,
        files: vec![file],
        parts: Vec::new(),
        detail: json!({ "scheme": format!("{:?}", settings.scheme).to_lowercase(), "user_agent": header("user-agent") }),
        cursor: json!({ "last_event_at": store::now() }),
    };
    match intake::intake(app.store(), &app.state.vault, watcher, event).await {
        Ok(id) => {
            tracing::info!(watcher = %watcher.name, task_id = %id, "a call became a task");
            Ok(Taken::Task(id))
        }
        Err(domain::Error::Duplicate) => Ok(Taken::Known),
        Err(e) => Err(e.into()),
    }
}

async fn keep(app: &App, body: Bytes, content_type: &str) -> Result<NewFile, domain::Error> {
    let kept = files::keep(app.store(), &app.state.vault, Cursor::new(body), HOOK_BYTES as u64).await?;
    let name = if content_type.contains("json") { "call.json" } else { "call.txt" };
    Ok(NewFile { name: name.to_owned(), kept, expires_at: None })
}

/// Texts from outside may hold a NUL, which no database keeps.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(s) if s.contains('\0') => Value::String(s.replace('\0', "")),
        Value::Array(list) => Value::Array(list.into_iter().map(without_nul).collect()),
        Value::Object(map) => map
            .into_iter()
            .map(|(k, v)| (k.replace('\0', ""), without_nul(v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
