//! One reader's stream: what it missed, then what happens, a sign of life between, and an end that is told.

use std::{collections::VecDeque, convert::Infallible, fmt::Write as _, time::Duration};

use axum::body::Bytes;
use futures_util::stream;
use store::{Actor, Store, events};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Interval, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    Event, coalesced,
    hub::{Message, Receiver, visible},
};
use crate::session::Signed;

/// A sign of life comes, and the log-in is looked at, this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this, and the reader comes again: before the connection is ended under it.
const AGE: Duration = Duration::from_secs(13 * 60);
/// When the reader is to come again after an end.
const RETRY: Duration = Duration::from_secs(2);
/// Changes that are looked through for who comes again; who missed more starts anew.
const MISSED: usize = 2000;

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    store: Store,
    me: Signed,
    receiver: Receiver,
    kinds: Option<Vec<&'static str>>,
    shutdown: CancellationToken,
    heartbeat: Interval,
    end: Instant,
    /// The last event that was told.
    position: i64,
    /// What is to be sent before anything else.
    first: VecDeque<Bytes>,
    has_ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    pub fn new(
        store: Store,
        me: Signed,
        receiver: Receiver,
        kinds: Option<Vec<&'static str>>,
        place: OwnedSemaphorePermit,
        shutdown: CancellationToken,
    ) -> Self {
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            store,
            me,
            receiver,
            kinds,
            shutdown,
            heartbeat,
            end: Instant::now() + AGE,
            position: 0,
            first: VecDeque::new(),
            has_ended: false,
            _place: place,
        }
    }

    /// Gathers what the reader missed, between the event it named and the hub's position.
    pub async fn begin(mut self, resumed: Option<i64>, position: i64) -> store::Result<Self> {
        let mut text = format!("retry: {}\n", RETRY.as_millis());
        self.position = resumed.unwrap_or(position);
        let missed = match resumed {
            Some(seq) if seq < position => self.missed(seq, position).await?,
            _ => Some(Vec::new()),
        };
        if let Some(missed) = missed {
            let _ = write!(text, "event: hello\nid: {}\ndata: {{}}\n\n", self.position);
            self.tell(&missed, &mut text);
        } else {
            // Too much happened: the reader fetches everything anew.
            self.position = position;
            let _ = write!(text, "event: reset\nid: {position}\ndata: {{}}\n\n");
        }
        self.first.push_back(text.into());
        Ok(self)
    }

    async fn missed(&self, after: i64, position: i64) -> store::Result<Option<Vec<Event>>> {
        let (mut from, mut looked, mut found) = (after, 0, Vec::new());
        while from < position {
            let happened = events::after(&Actor::service(), &self.store, from).await?;
            let Some(last) = happened.last() else { break };
            from = last.seq;
            looked += happened.len();
            if looked > MISSED {
                return Ok(None);
            }
            let told = coalesced(&happened);
            let told: Vec<&Event> = told.iter().map(|(event, _)| event).filter(|e| e.seq <= position).collect();
            found.extend(visible(&self.store, &self.me.actor, &told).await?);
        }
        Ok(Some(found))
    }

    /// Writes those events that were not told yet and are asked for.
    fn tell(&mut self, events: &[Event], text: &mut String) {
        for event in events.iter().filter(|event| event.seq > self.position) {
            if self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind)) {
                // Writing into a String does not fail, and neither does making JSON of ids and words.
                let data = serde_json::to_string(event).unwrap_or_default();
                let _ = write!(text, "event: {}\nid: {}\ndata: {data}\n\n", event.kind, event.seq);
            }
        }
        self.position = events.iter().map(|event| event.seq).fold(self.position, i64::max);
    }

    /// Whether the log-in is still valid; where that can't be known now, it is looked at again later.
    async fn is_valid(&self) -> bool {
        match domain::accounts::is_valid(&self.store, &self.me.session, &self.me.token_sha256).await {
            Ok(is_valid) => is_valid,
            Err(e) => {
                tracing::debug!(error = %e, "a stream's log-in could not be looked at");
                true
            }
        }
    }

    /// The next piece; None: the stream has ended.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        if self.has_ended {
            return None;
        }
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                message = self.receiver.messages.recv() => match message {
                    Some(Message::Batch(events)) => {
                        let mut text = String::new();
                        self.tell(&events, &mut text);
                        if !text.is_empty() {
                            return Some(text.into());
                        }
                    }
                    Some(Message::Check) if self.is_valid().await => {}
                    Some(Message::Check) => return Some(self.last("ended", "the log-in has ended")),
                    None if self.receiver.is_dropped() => {
                        return Some(self.last("dropped", "this stream was read too slowly; come again with Last-Event-ID"));
                    }
                    None => return None,
                },
                _ = self.heartbeat.tick() => {
                    return Some(if self.is_valid().await {
                        Bytes::from_static(b": here\n\n")
                    } else {
                        self.last("ended", "the log-in has ended")
                    });
                }
                () = tokio::time::sleep_until(self.end) => return None,
            }
        }
    }

    /// The last event, which says why.
    fn last(&mut self, event: &str, why: &str) -> Bytes {
        self.has_ended = true;
        format!("event: {event}\ndata: {{\"why\":\"{why}\"}}\n\n").into()
    }

    /// What is sent, piece by piece.
    pub fn into_chunks(self) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut stream| async move { stream.next().await.map(|chunk| (Ok(chunk), stream)) })
    }
}
