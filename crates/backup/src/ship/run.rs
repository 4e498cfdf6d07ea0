//! The loop that ships: the spool is fed every half second, whatever the place does; another task empties it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Shipping, remove_file, spooled};
use crate::{Attachments, Claim, Error, Place, Result, error::joined, place::pieces};

/// How often the log is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long the last segments may take when Steward ends.
const ENDING: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// When somebody is told.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long the place may be away before.
    pub patience: Duration,
    /// Bytes of the database's own log from which on something holds it.
    pub large_log_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { patience: Duration::from_secs(600), large_log_bytes: 256 * 1024 * 1024 }
    }
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// The log could not be followed; a new copy is being made.
    Broken(String),
    /// The log can't be kept at all just now.
    Failing(String),
    /// Segments wait for the place for longer than ten minutes.
    Behind {
        /// Segments.
        waiting: usize,
        /// Bytes.
        waiting_bytes: u64,
        /// Why.
        reason: String,
    },
    /// The place is another database's: nothing goes there.
    NotOwn(String),
    /// The database's own log grows, as a reader holds on to an old state.
    Held {
        /// Bytes of it.
        log_bytes: u64,
    },
    /// It is well again.
    Well,
}

/// Ships until `shutdown`: the log, and before each piece of it the attachments, to a place that is this database's.
/// `alarm` is told of trouble once, and when it is over; `copy` makes a new copy where one is needed (a bundle).
pub async fn run<F>(
    shipping: Arc<Mutex<Shipping>>,
    attachments: Attachments,
    claim: Claim,
    limits: Pace,
    alarm: impl Fn(Alarm) + Send + Sync + 'static,
    copy: impl Fn() -> F + Send + Sync + 'static,
    shutdown: CancellationToken,
) where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let alarm = Arc::new(alarm);
    let sending = tokio::spawn(send(
        Arc::clone(&shipping),
        attachments.clone(),
        claim.clone(),
        limits.patience,
        Arc::clone(&alarm),
        shutdown.clone(),
    ));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut failing, mut held) = (false, false);
    let mut copy_after = tokio::time::Instant::now();
    let mut pause = TICK;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = tick.tick() => {}
        }
        let Turn { ticked, broken, needs_copy, log_bytes } = turn(&shipping).await;
        if let Some(why) = broken {
            tracing::warn!(reason = %why, "the database's log could not be followed; a new copy begins it anew");
            alarm(Alarm::Broken(why));
        }
        match (&ticked, failing) {
            (Err(e), false) => {
                tracing::error!(error = %e, "the database's log can't be kept; it is tried again");
                alarm(Alarm::Failing(e.to_string()));
            }
            (Ok(()), true) => {
                tracing::info!("the database's log is kept again");
                alarm(Alarm::Well);
            }
            _ => {}
        }
        failing = ticked.is_err();
        if log_bytes > limits.large_log_bytes && !held {
            tracing::warn!(log_bytes, "the database's log grows, as a reader holds on to an old state");
            alarm(Alarm::Held { log_bytes });
            held = true;
        } else if held && log_bytes <= limits.large_log_bytes / 2 {
            tracing::info!("nothing holds the database's log any more");
            alarm(Alarm::Well);
            held = false;
        }
        if needs_copy && tokio::time::Instant::now() >= copy_after {
            match copy().await {
                Ok(()) => pause = TICK,
                Err(e) => {
                    tracing::warn!(error = %e, "the copy that the log goes on from could not be made; it is tried again");
                    pause = (pause * 2).min(LONGEST);
                    copy_after = tokio::time::Instant::now() + pause;
                }
            }
        }
    }
    drop(turn(&shipping).await);
    let mut attachments = sending.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "the sending of the log ended unexpectedly");
        attachments
    });
    match tokio::time::timeout(ENDING, send_own(&shipping, &mut attachments, &claim)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::warn!(error = %e, "the last of the log waits in the spool for the next start"),
        Err(_) => tracing::warn!("the last of the log waits in the spool for the next start"),
    }
}

struct Turn {
    ticked: Result<()>,
    broken: Option<String>,
    needs_copy: bool,
    log_bytes: u64,
}

async fn turn(shipping: &Arc<Mutex<Shipping>>) -> Turn {
    let shipping = Arc::clone(shipping);
    let turned = tokio::task::spawn_blocking(move || {
        let mut shipping = shipping.lock().unwrap_or_else(PoisonError::into_inner);
        let ticked = shipping.tick();
        let (broken, needs_copy) = (shipping.take_broken(), shipping.needs_copy());
        Turn { ticked, broken, needs_copy, log_bytes: shipping.log_bytes() }
    });
    turned.await.unwrap_or_else(|e| Turn {
        ticked: Err(Error::Internal(e.to_string())),
        broken: None,
        needs_copy: false,
        log_bytes: 0,
    })
}

async fn send(
    shipping: Arc<Mutex<Shipping>>,
    mut attachments: Attachments,
    claim: Claim,
    patience: Duration,
    alarm: Arc<impl Fn(Alarm)>,
    shutdown: CancellationToken,
) -> Attachments {
    let mut pause = TICK;
    let mut failing_since = None;
    let (mut told, mut is_others) = (false, false);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return attachments,
            () = tokio::time::sleep(pause) => {}
        }
        let sent = tokio::select! {
            () = shutdown.cancelled() => None,
            sent = async {
                claim.hold().await?;
                begin_anew(&shipping, is_others).await?;
                is_others = false;
                send_waiting(&shipping, &mut attachments, claim.place()).await
            } => Some(sent),
        };
        let Some(sent) = sent else { return attachments };
        match sent {
            Ok(()) => {
                if told {
                    tracing::info!("the place of the backups answers again; the log has caught up");
                    alarm(Alarm::Well);
                }
                (pause, failing_since, told) = (TICK, None, false);
            }
            Err(e @ Error::NotOwn { .. }) => {
                if !is_others {
                    tracing::error!(error = %e, "the log is not sent");
                    alarm(Alarm::NotOwn(e.to_string()));
                }
                (pause, told, is_others) = ((pause * 2).min(LONGEST), true, true);
            }
            Err(e) => {
                let is_new = failing_since.is_none();
                let since = *failing_since.get_or_insert_with(tokio::time::Instant::now);
                let is_unread = matches!(e, Error::Unread(_));
                if is_new && is_unread {
                    tracing::error!(error = %e, "an attachment could not be sent to the place of the backups");
                } else if is_new {
                    tracing::warn!(error = %e, "the log could not be sent to the place of the backups; it waits in the spool");
                }
                // The log went.
                pause = if is_unread { TICK } else { (pause * 2).min(LONGEST) };
                if since.elapsed() >= patience && !told {
                    told = true;
                    let (waiting, waiting_bytes) = waiting(&shipping).await;
                    alarm(Alarm::Behind { waiting, waiting_bytes, reason: e.to_string() });
                }
            }
        }
    }
}

/// Sends what waits, where the place is still this database's.
async fn send_own(shipping: &Arc<Mutex<Shipping>>, attachments: &mut Attachments, claim: &Claim) -> Result<()> {
    claim.hold().await?;
    begin_anew(shipping, false).await?;
    send_waiting(shipping, attachments, claim.place()).await
}

/// Begins a new series where the place was another's, or a command that took it over made this one forget its own.
async fn begin_anew(shipping: &Arc<Mutex<Shipping>>, was_others: bool) -> Result<()> {
    let shipping = Arc::clone(shipping);
    let begun = tokio::task::spawn_blocking(move || {
        let mut shipping = shipping.lock().unwrap_or_else(PoisonError::into_inner);
        if was_others || shipping.was_forgotten() { shipping.begin_anew() } else { Ok(()) }
    });
    joined(begun.await)
}

async fn waiting(shipping: &Arc<Mutex<Shipping>>) -> (usize, u64) {
    let shipping = Arc::clone(shipping);
    let looked =
        tokio::task::spawn_blocking(move || spooled(&shipping.lock().unwrap_or_else(PoisonError::into_inner).folder));
    joined(looked.await).map_or((0, 0), |all| (all.len(), all.iter().map(|s| s.size_bytes).sum()))
}

/// Sends what waits in the spool, in order, and before it the attachments: a row that it brings has its file. A file that
/// can't be read holds up neither the others nor the log, and is told at the end ([`Error::Unread`]).
pub async fn send_waiting(shipping: &Arc<Mutex<Shipping>>, attachments: &mut Attachments, place: &Place) -> Result<()> {
    let shipping = Arc::clone(shipping);
    let listed = tokio::task::spawn_blocking(move || {
        let shipping = shipping.lock().unwrap_or_else(PoisonError::into_inner);
        // A segment that the state does not know yet is written once more after a crash, perhaps otherwise.
        let is_known = |s: &super::Spooled| {
            shipping.state.series.as_ref() != Some(&s.series) || s.number < shipping.state.next_segment
        };
        let waiting = spooled(&shipping.folder)?.into_iter().filter(is_known).collect::<Vec<_>>();
        Ok((waiting, shipping.needs_copy()))
    });
    let (waiting, needs_copy) = joined(listed.await)?;
    // The copy that a log begins with brings them itself.
    let mut unread = None;
    if !waiting.is_empty() || !needs_copy {
        match attachments.send(place).await {
            Ok(_) => {}
            Err(e @ Error::Unread(_)) => unread = Some(e),
            Err(e) => return Err(e),
        }
    }
    for segment in waiting {
        let path = segment.path.clone();
        let read = tokio::task::spawn_blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            // The spool was given up meanwhile.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::file(format!("{} can't be read", path.display()), e)),
        });
        let Some(bytes) = joined(read.await)? else { continue };
        let (writer, pieces) = pieces::channel();
        let (put, ()) =
            futures_util::future::join(place.put(&segment.name, pieces), writer.send_all(bytes.into())).await;
        put?;
        joined(tokio::task::spawn_blocking(move || remove_file(&segment.path)).await)?;
    }
    unread.map_or(Ok(()), Err)
}
