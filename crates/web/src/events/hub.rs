//! The one reader of a node: looks for changes, asks as each user which of them that user may see, and hands them to the
//! user's streams. It never waits for a stream.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use store::{
    Actor, BoxFuture, Store, events,
    events::Happened,
    signals::{Signal, Topic},
    users,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Event, coalesced};

/// How often the chain is looked at while somebody listens; what happens between two looks is told together.
const LOOK: Duration = Duration::from_millis(250);
/// How soon a look follows a signal, which may be one of many.
const SOON: Duration = Duration::from_millis(20);
/// Users that are asked for at once.
const ASKED_AT_ONCE: usize = 8;
/// How often all streams look at their log-ins when signals may have been lost, at most.
const CHECK_ALL: Duration = Duration::from_secs(2);
/// Kinds of which whoever may sign in may hear.
const FOR_EVERYBODY: [&str; 4] = ["mcp_server", "policy", "schedule", "user"];

/// What a stream is handed.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// What happened, in order.
    Batch(Arc<Vec<Event>>),
    /// Look whether your log-in is still valid.
    Check,
}

/// The hub's end of a stream.
#[derive(Debug)]
pub(super) struct Sender {
    messages: mpsc::Sender<Message>,
    is_dropped: Arc<AtomicBool>,
}

/// The stream's end.
#[derive(Debug)]
pub(super) struct Receiver {
    pub messages: mpsc::Receiver<Message>,
    is_dropped: Arc<AtomicBool>,
}

impl Receiver {
    /// Whether the stream fell too far behind.
    pub fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::SeqCst)
    }
}

/// Both ends, with room for `waiting` messages.
pub(super) fn channel(waiting: usize) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(waiting);
    let is_dropped = Arc::new(AtomicBool::new(false));
    (Sender { messages: sender, is_dropped: Arc::clone(&is_dropped) }, Receiver { messages: receiver, is_dropped })
}

impl Sender {
    /// Hands a message over. False: the stream has ended, or falls too far behind and ends with this.
    fn send(&self, message: Message) -> bool {
        match self.messages.try_send(message) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.is_dropped.store(true, Ordering::SeqCst);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// A stream that wants to be handed what happens.
#[derive(Debug)]
pub(super) struct Join {
    pub user: Uuid,
    pub token_sha256: String,
    pub sender: Sender,
    /// Behind which position it will be.
    pub answer: oneshot::Sender<i64>,
}

/// The streams of a user.
struct Group {
    actor: Actor,
    /// Whether the user may see what is others'; None: to be asked.
    sees_others: Option<bool>,
    streams: Vec<(String, Sender)>,
}

struct Hub {
    store: Store,
    groups: HashMap<Uuid, Group>,
    /// Up to where everything was handed over; None: nobody listens.
    position: Option<i64>,
    /// When all streams last looked at their log-ins.
    checked_at: Option<Instant>,
    wants_check: bool,
    is_failing: bool,
}

/// What a user may hear of, once the database has said so.
type Asking<'a> = BoxFuture<'a, store::Result<(Uuid, Vec<Event>)>>;

/// Works until `shutdown`; the streams end with it.
pub(super) async fn run(store: Store, mut joining: mpsc::Receiver<Join>, shutdown: CancellationToken) {
    let mut signals = store.signals();
    let mut hub =
        Hub { store, groups: HashMap::new(), position: None, checked_at: None, wants_check: false, is_failing: false };
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            join = joining.recv() => match join {
                Some(join) => hub.join(join).await,
                None => return,
            },
            signal = signals.recv() => match signal {
                Some(signal) => {
                    hub.heard(&signal);
                    look.reset_after(SOON);
                }
                None => return,
            },
            _ = look.tick(), if hub.position.is_some() => hub.look().await,
        }
    }
}

impl Hub {
    async fn join(&mut self, join: Join) {
        if self.position.is_none() {
            match events::latest(&Actor::service(), &self.store).await {
                Ok(latest) => self.position = Some(latest),
                // The answer is dropped, which tells whoever waits for it.
                Err(e) => return tracing::warn!(error = %e, "a stream of events could not begin"),
            }
        }
        let Some(position) = self.position else { return };
        if join.answer.send(position).is_ok() {
            let group = self.groups.entry(join.user).or_insert_with(|| Group {
                actor: Actor::user(join.user),
                sees_others: None,
                streams: Vec::new(),
            });
            group.streams.push((join.token_sha256, join.sender));
        }
    }

    fn heard(&mut self, signal: &Signal) {
        match signal {
            Signal::Changed(Topic::Sessions, hash) => {
                for group in self.groups.values_mut() {
                    group.streams.retain(|(h, sender)| h != hash || sender.send(Message::Check));
                }
            }
            Signal::Changed(Topic::Users, id) => {
                if let Some(group) = id.parse().ok().and_then(|id: Uuid| self.groups.get_mut(&id)) {
                    group.sees_others = None;
                    group.streams.retain(|(_, sender)| sender.send(Message::Check));
                }
            }
            Signal::Changed(Topic::RolePermissions, _) | Signal::Missed => {
                self.groups.values_mut().for_each(|group| group.sees_others = None);
                self.wants_check = true;
            }
            Signal::Changed(..) | Signal::Ready => {}
        }
    }

    /// Looks once: what happened is handed to whom it concerns.
    async fn look(&mut self) {
        self.check_all();
        for group in self.groups.values_mut() {
            group.streams.retain(|(_, sender)| !sender.messages.is_closed());
        }
        self.groups.retain(|_, group| !group.streams.is_empty());
        if self.groups.is_empty() {
            self.position = None;
            return;
        }
        loop {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => {
                    self.is_failing = false;
                    return;
                }
                Err(e) => {
                    if !self.is_failing {
                        tracing::warn!(error = %e, "what happened could not be read; streams of events wait until it can");
                    }
                    self.is_failing = true;
                    return;
                }
            }
        }
    }

    /// Where signals may have been lost, each stream looks at its log-in.
    fn check_all(&mut self) {
        if !self.wants_check || self.checked_at.is_some_and(|at| at.elapsed() < CHECK_ALL) {
            return;
        }
        (self.wants_check, self.checked_at) = (false, Some(Instant::now()));
        for group in self.groups.values_mut() {
            group.streams.retain(|(_, sender)| sender.send(Message::Check));
        }
    }

    /// Reads and hands over one batch. True: there may be more.
    async fn step(&mut self) -> store::Result<bool> {
        let Some(position) = self.position else { return Ok(false) };
        let happened = events::after(&Actor::service(), &self.store, position).await?;
        let Some(last) = happened.last() else { return Ok(false) };
        let (last, is_full) = (last.seq, happened.len() >= events::BATCH);
        let told = coalesced(&happened);
        let mut asked: Vec<Asking<'_>> = Vec::with_capacity(self.groups.len());
        for (user, group) in &mut self.groups {
            let sees_others = match group.sees_others {
                Some(sees) => sees,
                None => *group.sees_others.insert(sees_others(&self.store, &group.actor).await?),
            };
            let mine: Vec<&Event> =
                told.iter().filter(|(e, h)| may_concern(e, h, *user, sees_others)).map(|(event, _)| event).collect();
            if !mine.is_empty() {
                let (user, store, actor) = (*user, &self.store, group.actor.clone());
                asked.push(Box::pin(async move { Ok((user, visible(store, &actor, &mine).await?)) }));
            }
        }
        let found: Vec<_> = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
        // All or nothing: what could not be asked for is asked for again with the whole batch.
        let found: Vec<(Uuid, Vec<Event>)> = found.into_iter().collect::<Result<_, _>>()?;
        for (user, events) in found.into_iter().filter(|(_, events)| !events.is_empty()) {
            let events = Arc::new(events);
            if let Some(group) = self.groups.get_mut(&user) {
                group.streams.retain(|(_, sender)| sender.send(Message::Batch(Arc::clone(&events))));
            }
        }
        self.position = Some(last);
        Ok(is_full)
    }
}

/// Whether a user may see what is others'.
async fn sees_others(store: &Store, actor: &Actor) -> store::Result<bool> {
    for permission in ["task_view_all", "approval_view_all", "watcher_view_all", "audit_view_all"] {
        if users::allowed(actor, store, permission).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a change may concern a user at all; that the user may see it, the database says.
fn may_concern(event: &Event, happened: &Happened, user: Uuid, sees_others: bool) -> bool {
    sees_others
        || FOR_EVERYBODY.contains(&event.kind)
        || [happened.creator, happened.assignee, happened.person].contains(&Some(user))
}

/// Those of the events whose rows the actor may see.
pub(super) async fn visible(store: &Store, actor: &Actor, told: &[&Event]) -> store::Result<Vec<Event>> {
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(&str, Uuid)> = told.iter().map(|event| event.asks_for()).collect();
    let seen = events::visible(actor, store, &rows).await?;
    let is_seen = |event: &Event| {
        let (kind, id) = event.asks_for();
        seen.iter().any(|row| row.id == id && row.kind == kind)
    };
    Ok(told.iter().filter(|event| is_seen(event)).map(|event| (*event).clone()).collect())
}
