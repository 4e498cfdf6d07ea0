//! `/v1/events`: what happens, told to whoever may see it, as it happens.
//!
//! Events are changes in the audit chain ([`store::events`]), so none can be missed, and their ids are positions in it:
//! a reader goes on where it stopped, on any node. An event says that a row changed, not what stands in it; the reader
//! fetches it under its own rights. One reader a node ([`hub`]) reads the chain for all streams, coalesces what happened
//! to the same row, and asks the database as each user what that user may see.

mod hub;
mod stream;

use std::sync::{Arc, OnceLock};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use store::{
    Store,
    events::{Happened, KINDS},
};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::hub::Join;
use crate::{
    app::App,
    fault::{Fault, Result},
    params::Params,
    session::Signed,
};

/// Streams at once on this node; fewer than connections, so that pages are answered beside them.
const STREAMS: usize = 1536;
/// Batches that wait for a stream; one that falls further behind is dropped and told.
const WAITING: usize = 32;
/// Streams that wait to be let in.
const JOINING: usize = 256;

/// Something happened to a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Event {
    #[serde(skip)]
    seq: i64,
    /// A word of [`KINDS`].
    #[serde(skip)]
    kind: &'static str,
    /// The row's id.
    id: Uuid,
    /// `task_updated`, `approval_created` …: the last of what happened to it.
    action: String,
    /// The task it belongs to.
    task_id: Option<Uuid>,
    /// When.
    at: Timestamp,
    /// What shows that a row is gone which nobody can see any more.
    #[serde(skip)]
    gone: Option<Uuid>,
}

impl Event {
    /// What is told of a change; None: it is nobody's to hear.
    fn of(happened: &Happened) -> Option<Self> {
        let word = match happened.kind.as_deref()? {
            "task_provenance" => "task",
            "approval_call" | "approval_edit" | "approval_vote" => "approval",
            "server_tool" => "mcp_server",
            "agent" => "user",
            "audit" => return None,
            word => word,
        };
        let kind = KINDS.into_iter().find(|kind| *kind == word)?;
        Some(Self {
            seq: happened.seq,
            kind,
            id: happened.entity_id?,
            action: happened.action.clone(),
            task_id: happened.task_id,
            at: happened.created_at,
            gone: happened.action.ends_with("_deleted").then_some(happened.audit_id),
        })
    }

    /// What must be visible for it to be told.
    fn asks_for(&self) -> (&'static str, Uuid) {
        self.gone.map_or((self.kind, self.id), |audit_id| ("audit", audit_id))
    }
}

/// The changes without those that a later one of the same row stands for, in order.
fn coalesced(happened: &[Happened]) -> Vec<(Event, &Happened)> {
    let mut seen = std::collections::HashSet::new();
    let mut events: Vec<_> = happened
        .iter()
        .rev()
        .filter_map(|h| Event::of(h).map(|event| (event, h)))
        .filter(|(event, _)| seen.insert((event.kind, event.id)))
        .collect();
    events.reverse();
    events
}

/// The streams of this node.
#[derive(Debug)]
pub(crate) struct Events {
    joins: OnceLock<mpsc::Sender<Join>>,
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Events {
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { joins: OnceLock::new(), places: Arc::new(Semaphore::new(STREAMS)), shutdown }
    }

    /// Streams that are open now.
    pub fn open(&self) -> usize {
        STREAMS.saturating_sub(self.places.available_permits())
    }

    /// Has the hub send to `sender` from now on; answers the position behind which it does. The first call starts it.
    async fn join(&self, store: &Store, me: &Signed, sender: hub::Sender) -> Option<i64> {
        let joins = self.joins.get_or_init(|| {
            let (joins, joining) = mpsc::channel(JOINING);
            tokio::spawn(hub::run(store.clone(), joining, self.shutdown.clone()));
            joins
        });
        let (answer, position) = oneshot::channel();
        let join = Join { user: me.user_id(), token_sha256: me.token_sha256.clone(), sender, answer };
        joins.send(join).await.ok()?;
        position.await.ok()
    }
}

fn too_many() -> Fault {
    let mut fault = Fault::new(
        axum::http::StatusCode::SERVICE_UNAVAILABLE,
        "too_many_streams",
        format!("{STREAMS} streams of events are open on this node; no more can be taken"),
    );
    fault.retry_after_s = Some(30);
    fault.advice("Close streams that are not needed, or ask again later.")
}

/// Behind which event the reader wants to go on.
fn resumed(headers: &HeaderMap, params: &Params) -> Result<Option<i64>> {
    let header = headers.get(HeaderName::from_static("last-event-id")).map(|v| v.to_str().unwrap_or("?"));
    let Some(text) = header.or_else(|| params.get("after")).filter(|t| !t.is_empty()) else { return Ok(None) };
    let wrong = || Fault::invalid("after", "the id of the last event must be a number that an event here had");
    text.parse().ok().filter(|n: &i64| *n >= 0).map(Some).ok_or_else(wrong)
}

/// The kinds that the reader wants; all where none is named.
fn kinds(params: &Params) -> Result<Option<Vec<&'static str>>> {
    let Some(words) = params.get("kinds") else { return Ok(None) };
    let known = || KINDS.into_iter().filter(|k| *k != "audit");
    let of = |word: &str| {
        let found = known().find(|kind| *kind == word);
        found.ok_or_else(|| {
            let all: Vec<_> = known().collect();
            Fault::invalid("kinds", format!("kinds must be some of: {}", all.join(", ")))
        })
    };
    words.split(',').take(KINDS.len()).map(of).collect::<Result<_>>().map(Some)
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What happens, as it happens
///
/// A stream of server-sent events that goes on until the reader, its log-in or Steward ends; each says which row changed,
/// of those that you may see. `Last-Event-ID` (or `after`) goes on behind an event.
#[utoipa::path(get, path = "/events", tag = "Events", params(
    ("after" = Option<i64>, Query, description = "The id of the last event you have", minimum = 0),
    ("kinds" = Option<String>, Query, description = "The kinds that are told, separated by commas: `task`, `approval` …"),
    ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event you have, as browsers send it"),
), responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream")))]
async fn events(State(app): State<App>, me: Signed, headers: HeaderMap, params: Params) -> Result<Response> {
    params.only(&["after", "kinds"])?;
    let (resumed, kinds) = (resumed(&headers, &params)?, kinds(&params)?);
    let place = Arc::clone(&app.events.places).try_acquire_owned().map_err(|_| too_many())?;
    let (sender, receiver) = hub::channel(WAITING);
    let position = app.events.join(app.store(), &me, sender).await.ok_or_else(|| {
        Fault::from(store::Error::Unavailable("the position of the last event could not be read".to_owned()))
    })?;
    let stream = stream::Stream::new(app.store().clone(), me, receiver, kinds, place, app.events.shutdown.clone());
    let stream = stream.begin(resumed, position).await?;
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Body::from_stream(stream.into_chunks())).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(seq: i64, kind: &str, action: &str, id: u128) -> Happened {
        Happened {
            seq,
            audit_id: Uuid::from_u128(1000),
            action: action.to_owned(),
            kind: Some(kind.to_owned()),
            entity_id: Some(Uuid::from_u128(id)),
            created_at: Timestamp::UNIX_EPOCH,
            task_id: None,
            creator: None,
            assignee: None,
            person: None,
        }
    }

    #[test]
    fn the_last_change_of_a_row_stands_for_those_before() {
        let all = [
            happened(1, "task", "task_created", 1),
            happened(2, "approval", "approval_created", 2),
            happened(3, "approval_call", "approval_call_created", 2),
            happened(4, "session", "session_created", 3),
            happened(5, "task", "task_updated", 1),
            happened(6, "task", "task_deleted", 4),
            happened(7, "audit", "audit", 5),
        ];
        let told: Vec<(i64, &str, &str)> =
            coalesced(&all).iter().map(|(event, happened)| (event.seq, event.kind, happened.action.as_str())).collect();
        assert_eq!(
            told,
            [(3, "approval", "approval_call_created"), (5, "task", "task_updated"), (6, "task", "task_deleted")]
        );
        assert_eq!(coalesced(&all)[2].0.asks_for(), ("audit", Uuid::from_u128(1000)), "what is gone can't be seen");
    }
}
